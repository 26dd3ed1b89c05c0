"""The simulated vCenter as a process, and its control door."""

import json
import os
import signal
import subprocess
import urllib.request

from .cli import wait_until

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Simulator:
    """One running simulator. `vms`: list of dictionaries as its --vms file takes them."""

    def __init__(self, program, folder, *arguments, vms=None):
        self.folder = folder
        work = folder / "work"
        work.mkdir(parents=True)
        ready = folder / "ready.json"
        command = [program, "--dir", work, "--ready-file", ready, "--die-with-parent"]
        if vms is not None:
            config = folder / "vms.json"
            config.write_text(json.dumps(vms))
            command += ["--vms", config]
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(
            [str(part) for part in [*command, *arguments]],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        wait_until(
            lambda: ready.exists() or self.process.poll() is not None, 30, "the simulator"
        )
        assert self.process.poll() is None, (folder / "log").read_text()[-2000:]
        self.ready = json.loads(ready.read_text())
        self.url = self.ready["url"]
        self.user = self.ready["user"]
        self.password = self.ready["password"]
        self.ca_file = self.ready["ca_file"]
        self.password_file = folder / "password"
        self.password_file.write_text(self.password)
        self.password_file.chmod(0o600)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def arguments(self):
        """How to reach it, for vmferry."""
        return [
            *("--source", self.url, "--user", self.user),
            *("--password-file", str(self.password_file), "--ca-file", self.ca_file),
        ]

    def control(self, method, path, body=None):
        request = urllib.request.Request(
            self.ready["control"] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with OPENER.open(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text.strip() else None

    def fault(self, target, kind, **more):
        return self.control("POST", "/faults", {"target": target, "kind": kind, **more})

    def clear_faults(self):
        self.control("DELETE", "/faults")

    def guest_write(self, vm, disk, offset, length, seed, pattern="random"):
        self.control(
            "POST",
            "/guest-write",
            {
                "vm": vm,
                "disk": disk,
                "offset": offset,
                "length": length,
                "pattern": pattern,
                "seed": seed,
            },
        )

    def save_frozen(self, vm, disk, path, index=-1):
        body = {"vm": vm, "disk": disk, "index": index, "path": str(path)}
        self.control("POST", "/save-frozen", body)
        return path

    def live_disk(self, vm, disk):
        found = next(v for v in self.ready["vms"] if v["name"] == vm)
        return found["disks"][disk]["path"]
