"""Fixtures of the end-to-end tests.

    VMFERRY=path/of/vmferry [VSPHERE_SIM=path/of/vsphere-sim] /usr/bin/python3 -m pytest tests/e2e

Without VSPHERE_SIM the simulator is built (it needs Go, which is fetched when it is missing).
"""

import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import cli  # noqa: E402
from harness.disks import MIB, cached_disk  # noqa: E402
from harness.simulator import Simulator  # noqa: E402
from harness.warm import QUICK, WarmRun, warm_vm  # noqa: E402

TOP = pathlib.Path(__file__).parents[2]
BUILD_SIMULATOR = """
set -eu
ui_log_file=$(mktemp)
for part in ui go simulator; do . "$1/deploy/lib/$part.sh"; done
simulator_build "$1/tests/peers/vsphere" "$(ui_cache_dir)" >&2
printf '%s' "$simulator_program"
"""


def pytest_configure(config):
    if not os.access(cli.VMFERRY, os.X_OK):
        raise pytest.UsageError("the environment variable VMFERRY must name a vmferry program")
    cli.VMFERRY = os.path.abspath(cli.VMFERRY)


@pytest.fixture(scope="session")
def sim_program():
    program = os.environ.get("VSPHERE_SIM")
    if not program:
        done = subprocess.run(
            ["sh", "-c", BUILD_SIMULATOR, "sh", TOP], stdout=subprocess.PIPE, text=True, check=True
        )
        program = done.stdout
    return os.path.abspath(program)


@pytest.fixture(scope="session")
def start_simulator(sim_program, tmp_path_factory):
    """start_simulator(name, *arguments, vms=[...]): one that lives as long as the tests do."""
    running = []

    def start(name, *arguments, vms=None):
        folder = tmp_path_factory.mktemp(f"sim-{name}")
        running.append(Simulator(sim_program, folder, *arguments, vms=vms))
        return running[-1]

    yield start
    for simulator in running:
        simulator.stop()


def vm(name, folder, disks, **more):
    """A VM for the simulator's --vms file; disks are (path, keys of a disk...)."""
    return {
        "name": name,
        "folder": folder,
        "disks": [{"path": str(path), **keys} for path, keys in disks],
        "guestId": "debian12_64Guest",
        "nics": [{"mac": "00:50:56:0a:0b:0c", "network": "VM Network", "model": "vmxnet3"}],
        **more,
    }


def standard_vms(folder):
    """Small VMs, one for each kind of thing that an import meets."""

    def disk(name, size, seed, dense=0.4, **keys):
        return cached_disk(folder / f"{name}.raw", size, seed, dense), keys

    return [
        vm(
            "run01",
            "/prod/web",
            [disk("run01-0", 96 * MIB, 1), disk("run01-1", 48 * MIB + 512 * 3, 2)],
            power="on",
            cpus=4,
            coresPerSocket=2,
            memoryMB=3072,
            tags=["env:prod", "tier:web"],
            cbt=True,
            notes="two lines\nof notes: \"quoted\"",
        ),
        vm(
            "Off VM #1 (EFI)",
            "/prod/db",
            [disk("off-0", 64 * MIB, 3), disk("off-1", 16 * MIB, 4, controller="nvme")],
            firmware="efi",
            secureBoot=True,
            tags=["env:prod"],
        ),
        vm("empty01", "/test", [disk("empty-0", MIB, 5, dense=0)], power="on"),
        vm(
            "indep01",
            "/test",
            [disk("ind-0", 8 * MIB, 6), disk("ind-1", 8 * MIB, 7, mode="independent_persistent")],
            power="on",
        ),
        vm("twin", "/test/a", [disk("twin-a", 2 * MIB, 8)]),
        vm("twin", "/test/b", [disk("twin-b", 2 * MIB, 9)]),
        vm("snapped", "/test", [disk("snap-0", 4 * MIB, 10)], power="on", snapshots=["by hand"]),
    ]


def small_vms(folder):
    """VMs of a few MiB, for tests of what happens around their disks."""

    def disk(name, size, seed, **keys):
        return cached_disk(folder / f"{name}.raw", size, seed, 0.6), keys

    efi = {"firmware": "efi", "guestId": "windows2019srv_64Guest"}
    return [
        vm(
            "web",
            "/prod",
            [disk("web-0", 12 * MIB, 21), disk("web-1", 5 * MIB + 512 * 3, 22)],
            power="on",
            tags=["env:prod"],
        ),
        vm("one", "/prod", [disk("one-0", 12 * MIB, 23)], power="on"),
        vm("off", "/prod", [disk("off-0", 3 * MIB, 24)], **efi),
        vm("Web01", "/a", [disk("upper-0", MIB, 25)]),
        vm("web01", "/b", [disk("lower-0", 2 * MIB, 26)]),
    ]


RATE = 4 * MIB  # bytes a second of one NFC stream, where a test acts in the middle of a copy


class Shared:
    """A simulator that many tests use; replaced once a test has left something behind in it."""

    def __init__(self, start):
        self._start = start
        self._simulator = None

    def watched(self):
        """As a fixture: afterwards the source must be as it was, whatever the test did."""
        simulator = self._simulator = self._simulator or self._start()
        simulator.control("DELETE", "/calls")
        yield simulator
        simulator.clear_faults()
        found = left_over(simulator)
        if found:
            self._simulator = None
        assert not found


@pytest.fixture(scope="session")
def _standard(start_simulator, tmp_path_factory):
    return Shared(
        lambda: start_simulator("standard", vms=standard_vms(tmp_path_factory.mktemp("disks")))
    )


@pytest.fixture(scope="session")
def _slow(start_simulator, tmp_path_factory):
    return Shared(
        lambda: start_simulator(
            "slow",
            *("--nfc-rate", RATE, "--lease-timeout", "20s"),
            vms=standard_vms(tmp_path_factory.mktemp("slow-disks")),
        )
    )


@pytest.fixture(scope="session")
def _small(start_simulator, tmp_path_factory):
    return Shared(
        lambda: start_simulator("small", vms=small_vms(tmp_path_factory.mktemp("small-disks")))
    )


def left_over(simulator):
    """What an ended vmferry must not leave on the source."""
    state = simulator.control("GET", "/state")
    found = []
    if state["sessions"]:
        found.append(f"{state['sessions']} live sessions")
    found += [f"lease {lease}" for lease in state["leases"] if lease["held"]]
    for machine in state["vms"]:
        kept = [s["name"] for s in machine["snapshots"] if s["name"] != "by hand"]
        if kept:
            found.append(f"snapshots {kept} of {machine['name']}")
        for key in ("consolidationNeeded", "busy", "held"):
            if machine[key]:
                found.append(f"{key} of {machine['name']}")
    return found


@pytest.fixture
def sim(_standard):
    """The standard VMs."""
    yield from _standard.watched()


@pytest.fixture
def slow(_slow):
    """The same VMs, behind slow NFC streams."""
    yield from _slow.watched()


@pytest.fixture
def small(_small):
    """Other VMs, whose disks are small."""
    yield from _small.watched()


@pytest.fixture
def start(tmp_path):
    """start(ARGUMENT...): a vmferry in the background; killed at the end of the test."""
    home = tmp_path / "home"
    home.mkdir()
    processes = []

    def run(*arguments, secrets=("simulated-Pa55",), **more):
        process = cli.Process(arguments, home, **more)
        process.secrets = list(secrets)
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.running():
            process.process.kill()
            process.process.wait()


@pytest.fixture
def vmferry(start):
    """vmferry(ARGUMENT..., timeout=120): run it to its end."""

    def run(*arguments, timeout=120, **more):
        return start(*arguments, **more).wait(timeout)

    return run


@pytest.fixture
def warm(start_simulator, start, tmp_path):
    """warm(ARGUMENT..., image_format="raw", options=QUICK, **spec): a WarmRun of a VM of its own on
    a simulator of its own, which ends with the test: its guest would write on and on."""
    made = []

    def make(*arguments, image_format="raw", options=QUICK, readable=False, **spec):
        folder = tmp_path / f"source-{len(made)}"
        folder.mkdir()
        # The export of one that was killed holds the VM until it has timed out.
        delays = ["--task-delay", "20ms", "--shutdown-delay", "200ms", "--lease-timeout", "10s"]
        simulator = start_simulator("warm", *delays, *arguments, vms=[warm_vm(folder, **spec)])
        if readable:
            simulator.control("POST", "/options", {"folder_locked": False})
        made.append(simulator)
        name = spec.get("name", "warm")
        return WarmRun(simulator, start, tmp_path / "out", name, image_format, options)

    yield make
    for simulator in made:
        simulator.stop()


@pytest.fixture
def small_disk():
    """small_disk(PATH, MIB): a file system of that size, mounted there. Needs root."""
    mounted = []

    def mount(path, mebibytes, *options):
        path.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", ",".join([f"size={mebibytes}m", *options]), "none", path],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "-l", path], check=True)


def finished_looking(folder):
    """Files below a target that could be taken for a result: all but those that say they are not."""
    if not folder.exists():
        return []
    files = [p for p in folder.rglob("*") if p.is_file()]
    unfinished = [p for p in files if p.suffix == ".partial" or p.name == ".vmferry-unfinished"]
    return sorted(p.name for p in set(files) - set(unfinished))
