"""A stand-in for nbdkit with VMware's library: a program that is called as nbdkit is, has the
simulator save what the snapshot froze of the disk, and becomes the real nbdkit with the stand-in
plugin of tests/peers/nbdkit, which checks its parameters and serves that."""

import json
import pathlib
import subprocess

from . import cli

SCRIPT = """#!/usr/bin/python3
import json, os, shutil, sys, tempfile, urllib.request

WORLD = json.loads({world!r})
arguments = sys.argv[1:]
given = dict(a.split("=", 1) for a in arguments if "=" in a and not a.startswith("-"))
arguments = [WORLD["plugin"] if a == "vddk" else a for a in arguments]
if "--dump-plugin" not in arguments:
    folder = tempfile.mkdtemp(prefix="vddk-", dir=WORLD["folder"])
    shutil.copytree(os.path.join(given["libdir"], "lib64"), os.path.join(folder, "lib64"))
    body = {{
        "vm": given["vm"].removeprefix("moref="),
        "disk": WORLD["files"].index(given["file"]),
        "path": os.path.join(folder, "content"),
    }}
    # Of a VM that is off no snapshot is named.
    if "snapshot" in given:
        body["snapshot"] = given["snapshot"]
    else:
        body["live"] = True
    request = urllib.request.Request(
        WORLD["control"] + "/save-frozen", json.dumps(body).encode(), method="POST"
    )
    urllib.request.build_opener(urllib.request.ProxyHandler({{}})).open(request, timeout=60)
    with open(os.path.join(folder, "expected"), "w") as expected:
        expected.write("".join(f"{{key}}={{value}}\\n" for key, value in WORLD["expected"].items()))
    arguments = ["libdir=" + folder if a.startswith("libdir=") else a for a in arguments]
    with open(os.path.join(WORLD["folder"], "started"), "a") as log:
        log.write(json.dumps(body) + "\\n")
os.execv({nbdkit!r}, [{nbdkit!r}, *WORLD["filters"], *arguments])
"""


def vddk_options(sim, name, folder, home, filters=()):
    """What `vmferry migrate` is to be given, for the disks of that VM. `filters` are nbdkit's, with
    their parameters: ["--filter=delay", ...] go first, "rdelay=1ms" last."""
    library = folder / "library"
    (library / "lib64").mkdir(parents=True)
    (library / "lib64" / "libvixDiskLib.so.8").write_text("ELF")
    listed = subprocess.run(
        [cli.VMFERRY, "inventory", *sim.arguments(), "--name", name, "-o", "json"],
        capture_output=True,
        text=True,
        env=cli.environment(home),
        check=True,
        timeout=60,
    )
    (machine,) = json.loads(listed.stdout)["vms"]
    plugin = pathlib.Path(cli.VMFERRY).parents[1] / "tests" / "unit" / "nbdkit-vddk-plugin.so"
    world = {
        "plugin": str(plugin),
        "control": sim.ready["control"],
        "folder": str(folder),
        "files": [disk["file"] for disk in machine["disks"]],
        "expected": {
            "user": sim.user,
            "password": sim.password,
            "thumbprint": sim.ready["thumbprint_sha1"],
            "vm": f"moref={machine['moref']}",
        },
        "filters": list(filters),
    }
    program = folder / "nbdkit"
    program.write_text(SCRIPT.format(world=json.dumps(world), nbdkit="/usr/bin/nbdkit"))
    program.chmod(0o755)
    return [*("--transport", "vddk", "--vddk-libdir", library), *("--nbdkit", program)]


def servers_started(folder):
    """How many disks were served so far."""
    log = folder / "started"
    return len(log.read_text().splitlines()) if log.exists() else 0
