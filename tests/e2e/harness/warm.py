"""A warm migration under test: its source, whose guest writes all the time, the program, and the
folder that it fills."""

import filecmp
import json
import signal

from . import cli
from .cli import wait_until
from .disks import MIB, assert_clean_image, assert_same_disk, cached_disk

STATUS = ".vmferry-status.json"
REQUEST = ".vmferry-request.json"
CHECKPOINT = ".vmferry-checkpoint.json"
SUFFIX = {"raw": ".img", "qcow2": ".qcow2"}
# Rounds without a pause, and without waiting for what a lone guest may change in a minute.
QUICK = ["--min-interval", "1s", "--max-interval", "1s"]
MIX = {"random": 4, "sequential": 3, "zero": 2, "trim": 1}
ENDS = ("done", "failed", "cancelled")


def warm_vm(folder, name="warm", sizes=(12 * MIB, 4 * MIB + 512 * 3), seed=50, **more):
    """A running VM that can be migrated warm, for the simulator's --vms file."""
    disks = [
        {"path": str(cached_disk(folder / f"{name}-{number}.raw", size, seed + number))}
        for number, size in enumerate(sizes)
    ]
    return {
        "name": name,
        "folder": "/prod",
        "disks": disks,
        "guestId": "debian12_64Guest",
        "nics": [{"mac": "00:50:56:0a:0b:0d", "network": "VM Network", "model": "vmxnet3"}],
        "power": "on",
        "cbt": True,
        "notes": "kept by people",
        **more,
    }


class Source:
    """The VM on a simulator."""

    def __init__(self, sim, name="warm"):
        self.sim = sim
        self.name = name

    def state(self):
        state = self.sim.control("GET", "/state")
        return next(vm for vm in state["vms"] if vm["name"] == self.name)

    def load(self, bytes_per_second, seed=1, disks=None, **more):
        """The guest writes all over its disks, in every way; 0 stops it."""
        numbers = disks if disks is not None else list(range(len(self.state()["disks"])))
        order = {
            "vm": self.name,
            "disks": numbers,
            "bytes_per_second": bytes_per_second,
            "mix": MIX,
            "min_bytes": 4096,
            "max_bytes": MIB,
            "seed": seed,
            **more,
        }
        self.sim.control("POST", "/guest-load", order)

    def written(self):
        """Pieces that the guest has written under its load."""
        return sum(disk.get("load", {}).get("writes", 0) for disk in self.state()["disks"])

    def events(self, *kinds):
        found = self.sim.control("GET", f"/journal?vm={self.name}")
        return [event["event"] for event in found if not kinds or event["event"] in kinds]

    def disks(self):
        return [disk["path"] for disk in self.state()["disks"]]

    def own_snapshots(self):
        return [s["name"] for s in self.state()["snapshots"] if s["name"].startswith("vmferry")]

    def assert_clean(self, power, note):
        """What must be true of it after every end of a migration."""
        state = self.state()
        assert not self.own_snapshots(), state["snapshots"]
        assert not state["consolidationNeeded"] and not state["busy"] and not state["held"], state
        assert state["power"] == power, f"the source is {state['power']}"
        assert ("vmferry" in state["annotation"]) == note, state["annotation"]
        assert "kept by people" in state["annotation"]

    def assert_never_started_after_delivery(self):
        """No power-on comes after the note that tells where the VM is now."""
        events = self.events("powered_on", "annotated")
        last_note = max((n for n, event in enumerate(events) if event == "annotated"), default=None)
        assert last_note is None or "powered_on" not in events[last_note:], events


class WarmRun:
    """`vmferry migrate --warm` of one VM into one folder, run as often as a test wants to."""

    def __init__(self, sim, start, target, name="warm", image_format="raw", options=QUICK):
        self.sim = sim
        self.source = Source(sim, name)
        self.target = target
        self.format = image_format
        self.options = list(options)
        self._start = start
        self.process = None

    def begin(self, *more, env=None):
        self.process = self._start(
            *("migrate", "--warm", *self.sim.arguments(), "--vm", self.source.name),
            *("--to", f"dir:{self.target}", "--format", self.format, *self.options, *more),
            env=env,
        )
        return self

    def command(self, name, *more, timeout=120, **keys):
        """`vmferry NAME dir:TARGET`, to its end."""
        return self._start(name, f"dir:{self.target}", *more, **keys).wait(timeout)

    def status(self):
        """As the file shows it; None: there is none yet."""
        try:
            return json.loads((self.target / STATUS).read_text())
        except FileNotFoundError:
            return None

    def checkpoint(self):
        try:
            return json.loads((self.target / CHECKPOINT).read_text())
        except FileNotFoundError:
            return None

    def _wait(self, condition, timeout, what):
        def look():
            status = self.status()
            if status and condition(status):
                return status
            if not self.process.running():
                raise AssertionError(f"it ended before {what}: {self.process.wait()}")
            return None

        try:
            return wait_until(look, timeout, what)
        except AssertionError as late:
            raise AssertionError(
                f"{late}; it is {self.status()}\n{self.process.err_so_far()[-3000:]}"
            ) from None

    def wait_phase(self, *phases, timeout=60):
        return self._wait(lambda s: s["phase"] in phases, timeout, f"phase {phases}")

    def wait_round(self, number, timeout=60):
        """Until that round is over. The next may follow without a pause."""
        return self._wait(
            lambda s: s["round"] > number or (s["round"] == number and s["phase"] == "waiting"),
            timeout,
            f"the end of round {number}",
        )

    def wait_copying(self, number, timeout=60):
        return self._wait(
            lambda s: s["round"] >= number and s["phase"] == "copying", timeout, f"round {number}"
        )

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.process.wait()

    def stop(self, number=signal.SIGTERM, timeout=60):
        self.process.signal(number)
        return self.process.wait(timeout)

    def end(self, timeout=120):
        return self.process.wait(timeout)

    def cut_over(self):
        """Asked for by command; the migration and the command both end well."""
        asked = self.command("cutover").good()
        self.end().good()
        return asked

    # --- what is there -----------------------------------------------------------------------

    def images(self):
        """The disks, in order. Besides them there are record, manifests and the status alone."""
        suffix = SUFFIX[self.format]
        names = sorted(path.name for path in self.target.iterdir())
        disks = [name for name in names if name.endswith(suffix)]
        expected = {*disks, "vmferry.json", "manifests.yaml", STATUS}
        assert set(names) == expected, f"{names} instead of {sorted(expected)}"
        assert disks == [f"{self.source.name}-disk-{n}{suffix}" for n in range(len(disks))]
        return [self.target / name for name in disks]

    def assert_same(self):
        """Every disk is as the source's is now."""
        images = self.images()
        disks = self.source.disks()
        assert len(images) == len(disks)
        for image, disk in zip(images, disks):
            if self.format == "raw":
                assert filecmp.cmp(image, disk, shallow=False), f"{image} is not {disk}"
            else:
                assert_same_disk(image, self.format, disk)
                assert_clean_image(image, self.format)

    def assert_delivered(self, told=True, verify=True):
        """The end that is wanted: same bytes, source off with its note, nothing left behind. Unless
        it is `told`, the status is as an earlier moment left it."""
        self.source.assert_clean("off", note=True)
        self.source.assert_never_started_after_delivery()
        self.assert_same()
        assert self.status()["phase"] == "done" or not told
        if verify:
            self._start("verify", str(self.target)).wait().good()

    def assert_undone(self, power="on"):
        """Failed or cancelled before the new VM was there: the source is as it was, and the folder
        says that it is not finished."""
        self.source.assert_clean(power, note=False)
        assert not (self.target / "vmferry.json").exists()
        assert (self.target / ".vmferry-unfinished").exists()


def program_has_faults():
    """Whether the program was built with VF_FAULTS, without which no point can be killed at."""
    return b"VMFERRY_FAULTS" in open(cli.VMFERRY, "rb").read()
