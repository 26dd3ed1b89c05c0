"""jobs/migration/transport* against the simulated vCenter: rounds of a VM that is written to all
the time, by each transport, end with what the snapshot froze, byte for byte, whatever breaks in
the middle; and what a transport cannot copy it refuses, with the reason."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

import pytest
from conftest import Shared, left_over, vm
from harness import cli
from harness.cli import wait_until
from harness.disks import MIB, assert_same_disk, cached_disk

BUILD = pathlib.Path(cli.VMFERRY or "/nowhere").parents[1]
PROGRAM = BUILD / "tests" / "real" / "real.jobs.migration.transport"
PLUGIN = BUILD / "tests" / "unit" / "nbdkit-vddk-plugin.so"
SIZES = [12 * MIB, 5 * MIB + 512 * 3]


def vms(folder):
    def disk(name, size, seed, **keys):
        return cached_disk(folder / f"{name}.raw", size, seed, 0.6), keys

    return [
        vm(
            "two",
            "/prod",
            [disk("two-0", SIZES[0], 51), disk("two-1", SIZES[1], 52)],
            power="on",
            cbt=True,
        ),
        vm("one", "/prod", [disk("one-0", SIZES[0], 53)], power="on", cbt=True),
        vm("off vm #1", "/prod", [disk("off-0", SIZES[1], 54)], cbt=True, datastore="nfs tier 2"),
        vm("kept", "/prod", [disk("kept-0", MIB, 55)], power="on", snapshots=["by hand"]),
    ]


@pytest.fixture(scope="module")
def shared(start_simulator, tmp_path_factory):
    return Shared(
        lambda: start_simulator(
            "transports",
            *("--task-delay", "20ms", "--lease-timeout", "4s"),
            vms=vms(tmp_path_factory.mktemp("transport-disks")),
        )
    )


@pytest.fixture
def sim(shared):
    watched = shared.watched()
    simulator = next(watched)
    simulator.control("POST", "/options", {"folder_locked": False})
    yield simulator
    for name, disk in (("two", 0), ("two", 1), ("one", 0)):
        load(simulator, name, disk, 0)
    # A lease that its session took along holds its VM until it has timed out.
    deadline = time.monotonic() + 20
    while left_over(simulator) and time.monotonic() < deadline:
        time.sleep(0.1)
    next(watched, None)


def load(sim, name, disk, bytes_per_second):
    sim.control(
        "POST", "/guest-load", {"vm": name, "disk": disk, "bytes_per_second": bytes_per_second}
    )


def frozen(sim, name, disk, path):
    """What the newest snapshot holds of that disk."""
    return sim.save_frozen(name, disk, path)


class Program:
    """The program, doing one step at a time; it logs in at its start and out at its end."""

    def __init__(self, sim, home, **more):
        self.morefs = {machine["name"]: machine["moref"] for machine in sim.ready["vms"]}
        self.password = sim.password
        self._errors = open(home / f"stderr.{id(self)}", "w+b")
        self.process = subprocess.Popen(
            [PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=cli.environment(
                home,
                VMFERRY_TEST_URL=sim.url,
                VMFERRY_TEST_USER=sim.user,
                VMFERRY_TEST_PASSWORD=sim.password,
                VMFERRY_TEST_CA=sim.ca_file,
                VMFERRY_TEST_DEBUG=1,
                **more,
            ),
        )

    def told(self):
        return open(self._errors.name, errors="replace").read()

    def begin(self, *words):
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        assert line, "the program ended: " + self.told()[-3000:]
        return json.loads(line)

    def __call__(self, *words):
        self.begin(*words)
        return self.answer()

    def well(self, *words):
        answer = self(*words)
        assert "code" not in answer, answer
        return answer

    def snapshot(self, name, power="on"):
        return self.well("snapshot", self.morefs[name], power)

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        told = self.told()
        self._errors.close()
        assert not cli.SANITIZER.search(told) and self.process.returncode == 0, told[-3000:]
        for secret in (self.password, "vmware_soap_session"):
            assert secret not in told, "a secret was logged"


@pytest.fixture
def program(sim, tmp_path):
    """program(**environment): one of them, ended before the simulator is looked at."""
    running = []

    def start(**more):
        assert PROGRAM.exists(), f"{PROGRAM} is not built"
        running.append(Program(sim, tmp_path, **more))
        return running[-1]

    yield start
    for one in running:
        one.end()


class Library:
    """A folder that the stand-in of VMware's library takes for its own."""

    def __init__(self, sim, folder):
        self.sim = sim
        self.folder = folder
        (folder / "lib64").mkdir(parents=True)
        (folder / "lib64" / "libvixDiskLib.so.8").write_text("ELF")
        self.environment = {"VMFERRY_TEST_LIBDIR": folder, "VMFERRY_TEST_PLUGIN": PLUGIN}

    def serve(self, name, snapshot, **other):
        """The disk of that snapshot, to whoever comes with the right words."""
        machine = next(v for v in self.sim.ready["vms"] if v["name"] == name)
        port = self.sim.url.rsplit(":", 1)[1].strip("/")
        expected = {
            "server": "127.0.0.1",
            "port": port,
            "user": self.sim.user,
            "password": self.sim.password,
            "thumbprint": self.sim.ready["thumbprint_sha1"],
            "vm": f"moref={machine['moref']}",
            "snapshot": snapshot,
            "file": f"[LocalDS_0] {name}/{name}.vmdk",
            **other,
        }
        lines = "".join(f"{key}={value}\n" for key, value in expected.items())
        (self.folder / "expected").write_text(lines)
        frozen(self.sim, name, 0, self.folder / "content")

    def filter(self, *words):
        """nbdkit behind these filters, with their parameters."""
        program = self.folder / "nbdkit"
        filters = " ".join(f"--filter={w}" for w in words if "=" not in w)
        parameters = " ".join(w for w in words if "=" in w)
        program.write_text(
            f'#!/bin/sh\ncase "$1" in --dump-plugin) exec nbdkit "$@" ;; esac\n'
            f'exec nbdkit {filters} "$@" {parameters}\n'
        )
        program.chmod(0o755)
        self.environment["VMFERRY_TEST_NBDKIT"] = program


@pytest.fixture
def library(sim, tmp_path):
    return Library(sim, tmp_path / "vddk")


def disks_of(name):
    return range(2) if name == "two" else range(1)


def assert_copied(sim, name, prefix):
    for disk in disks_of(name):
        image = frozen(sim, name, disk, f"{prefix}-want-{disk}.raw")
        assert_same_disk(f"{prefix}-{disk}.raw", "raw", image)


# --- rounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nfc", "https", "vddk"])
def test_rounds_of_a_running_vm(sim, program, library, tmp_path, kind):
    name = "one" if kind == "vddk" else "two"
    run = program(**library.environment)
    for disk in disks_of(name):
        load(sim, name, disk, 4 * MIB)
    for number in range(5):
        snapshot = run.snapshot(name)["moref"]
        library.serve(name, snapshot)
        if number == 0:
            assert run.well("choose", kind)["kind"] == kind
        answer = run.well("copy", tmp_path / "copy", "changed" if number else "all")
        assert answer["warnings"] == 0
        size = sum(SIZES[disk] for disk in disks_of(name))
        assert answer["written"] == size if number == 0 else 0 < answer["written"] < size
        if kind != "nfc":
            assert answer["source"] < size * 1.1 if number == 0 else size * 0.9
        assert_copied(sim, name, tmp_path / "copy")
        run.well("remove", "-")
        # Zeroes, and something in the last sector.
        for disk in disks_of(name):
            sim.guest_write(name, disk, number * 300_001, 200_000, number, pattern="zero")
            sim.guest_write(name, disk, SIZES[disk] - 512, 512, number)


@pytest.mark.parametrize("kind", ["nfc", "https"])
def test_vm_that_is_off(sim, program, tmp_path, kind):
    run = program()
    run.snapshot("off vm #1", power="off")
    run.well("choose", kind)
    run.well("copy", tmp_path / "copy", "all")
    run.well("remove", "-")
    image = frozen(sim, "off vm #1", 0, tmp_path / "want.raw")
    assert_same_disk(tmp_path / "copy-0.raw", "raw", image)


def test_rounds_of_an_esxi_host(start_simulator, tmp_path):
    folder = tmp_path / "disks"
    folder.mkdir()
    arguments = ("--esx", "--task-delay", "20ms", "--folder-locked=false")
    sim = start_simulator("transports-esx", *arguments, vms=vms(folder)[1:2])
    run = Program(sim, tmp_path)
    for number, kind in enumerate(["https", "nfc", "https"]):
        run.snapshot("one")
        run.well("choose", kind)
        run.well("copy", tmp_path / "copy", "changed" if number else "all")
        assert_copied(sim, "one", tmp_path / "copy")
        run.well("remove", "-")
        sim.guest_write("one", 0, number * MIB, 200_000, number)
    run.end()
    assert not left_over(sim)


def test_nfc__disks_with_nothing_to_copy_are_not_read(sim, program, tmp_path):
    run = program()
    run.snapshot("two")
    run.well("choose", "nfc")
    before = len(sim.control("GET", "/state")["leases"])
    answer = run.well("copy", tmp_path / "copy", f"1:0+512,1:{MIB}+1024")
    assert answer["written"] == 1536 and answer["disks"] == 1
    leases = sim.control("GET", "/state")["leases"][before:]
    assert len(leases) == 1 and leases[0]["state"] == "done" and len(leases[0]["sent"]) == 1
    run.well("remove", "-")


# --- the choice -------------------------------------------------------------------------------


def test_auto__https_where_every_disk_can_be_read(sim, program):
    run = program()
    run.snapshot("two")
    answer = run.well("choose", "auto")
    assert answer["kind"] == "https" and "lets the frozen disks" in answer["why"]
    assert sim.control("GET", "/calls")["http"].get("folder", 6) >= 6
    run.well("remove", "-")


def test_auto__nfc_where_the_datastore_refuses(sim, program):
    sim.control("POST", "/options", {"folder_locked": True})
    run = program()
    run.snapshot("one")
    start = time.monotonic()
    answer = run.well("choose", "auto")
    assert answer["kind"] == "nfc"
    assert answer["why"] == (
        "the datastore does not let a running VM's disk be read: it is locked (500)"
    )
    assert time.monotonic() - start < 20
    run.well("remove", "-")


def test_auto__nfc_where_the_browser_is_out_of_order(sim, program):
    sim.fault("folder", "http503", count=-1)
    run = program()
    run.snapshot("one")
    answer = run.well("choose", "auto")
    assert answer["kind"] == "nfc" and "503" in answer["why"]
    run.well("remove", "-")


def test_auto__vddk_where_a_library_is_given(sim, program, library):
    run = program(**library.environment)
    library.serve("one", run.snapshot("one")["moref"])
    answer = run.well("choose", "auto")
    assert answer["kind"] == "vddk" and "version 8" in answer["why"]
    run.well("remove", "-")


def test_auto__library_that_cannot_read_is_told_and_left(sim, program, library):
    run = program(**library.environment)
    library.serve("one", run.snapshot("one")["moref"], user="somebody")
    answer = run.well("choose", "auto")
    assert answer["kind"] == "https"
    assert "vddk cannot be had" in answer["why"] and "user is wrong" in answer["why"]
    failure = run("choose", "vddk")
    assert "user is wrong" in failure["message"], failure
    (library.folder / "lib64" / "libvixDiskLib.so.8").unlink()
    failure = run("choose", "vddk")
    assert failure["code"] == "missing" and "vmware-vix-disklib-distrib" in failure["hint"]
    run.well("remove", "-")


def test_https__frozen_state_that_is_no_base_is_refused(sim, program):
    run = program()
    run.snapshot("kept")
    failure = run("choose", "https")
    assert failure["code"] == "unsupported" and "older snapshot" in failure["message"], failure
    assert "remove the VM's other snapshots" in failure["hint"]
    answer = run.well("choose", "auto")
    assert answer["kind"] == "nfc" and "older snapshot" in answer["why"]
    run.well("remove", "-")


def test_https__second_snapshot_of_ours_is_refused(sim, program, tmp_path):
    first, second = program(), program()
    first.snapshot("one")
    first.well("choose", "https")
    sim.guest_write("one", 0, 0, MIB, 7)
    second.snapshot("one")
    assert second("choose", "https")["code"] == "unsupported"
    first.well("copy", tmp_path / "copy", "all")
    image = sim.save_frozen("one", 0, tmp_path / "want.raw", index=-2)
    assert_same_disk(tmp_path / "copy-0.raw", "raw", image)
    first.well("remove", "-")
    second.well("remove", "-")


# --- trouble ----------------------------------------------------------------------------------


def copy_through(sim, run, prefix, kind, name="two"):
    """A full copy, into which the caller has put some trouble."""
    answer = run("copy", prefix, "all")
    if "code" not in answer:
        assert_copied(sim, name, prefix)
    return answer


@pytest.mark.parametrize(
    "target, kind, more",
    [
        ("folder", "reset", {"after_bytes": 70000, "count": 5}),
        ("folder", "truncate", {"after_bytes": 1000, "count": 5}),
        ("folder", "http503", {"count": 5}),
        ("folder", "not_authenticated", {"count": 2}),
        ("folder", "stall", {"after_bytes": 200000, "seconds": 60, "count": 2}),
        ("nfc", "reset", {"after_bytes": 3 * MIB}),
        ("nfc", "drop", {"after_bytes": MIB}),
        ("nfc", "http503", {}),
        ("nfc", "stall", {"after_bytes": MIB, "seconds": 60}),
        ("nfc", "lease_timeout", {"after_bytes": 2 * MIB}),
        ("HttpNfcLeaseProgress", "http503", {}),
        ("sdk", "http503", {"after": 2, "count": 4}),
        ("sdk", "reset", {"after": 2, "count": 4}),
        ("ExportSnapshot", "reset", {"executed": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_same_bytes_after_trouble(sim, program, tmp_path, target, kind, more):
    run = program()
    run.snapshot("two")
    run.well("choose", "https" if target == "folder" else "nfc")
    rule = {"count": 1, "after": 9 if target == "folder" else 0, **more}
    sim.fault(target, kind, **rule)
    answer = copy_through(sim, run, tmp_path / "copy", kind)
    assert "code" not in answer, answer
    if target != "HttpNfcLeaseProgress":  # a copy may be over before the first of them
        assert sim.control("GET", "/faults")[0]["hits"] == rule["count"]
    run.well("remove", "-")


@pytest.mark.parametrize("kind", ["nfc", "https"])
def test_session_that_expires_in_the_middle(sim, program, tmp_path, kind):
    run = program()
    run.snapshot("two")
    run.well("choose", kind)
    target = "folder" if kind == "https" else "nfc"
    # Held in the middle until the session is gone.
    sim.fault(target, "stall", after=9 if kind == "https" else 0, after_bytes=100000, seconds=1)
    run.begin("copy", tmp_path / "copy", "all")
    wait_until(lambda: sim.control("GET", "/faults")[0]["hits"], 20, "the copy's middle")
    sim.control("POST", "/expire-sessions", {})
    answer = run.answer()
    assert "code" not in answer, answer
    assert_copied(sim, "two", tmp_path / "copy")
    run.well("remove", "-")


@pytest.mark.parametrize("kind", ["nfc", "https", "vddk"])
def test_cancelled_in_the_middle(sim, program, library, tmp_path, kind):
    library.filter("rate", "rate=16M")
    run = program(**library.environment)
    library.serve("one", run.snapshot("one")["moref"])
    run.well("choose", kind)
    target, after = ("folder", 3) if kind == "https" else ("nfc", 0)  # behind its small questions
    sim.fault(target, "stall", after=after, after_bytes=100000, seconds=60, count=-1)
    run.well("cancel", 500)
    answer = run("copy", tmp_path / "copy", "all")
    assert answer["code"] == "cancelled" and answer["ms"] < 20000, answer
    sim.clear_faults()
    wait_until(lambda: not nbdkits(tmp_path), 5, "no server left")
    run.well("remove", "-")


def nbdkits(home):
    """Folders of servers that run, or were left."""
    return list(home.glob("**/vmferry-nbdkit-*"))


@pytest.mark.parametrize(
    "words",
    [
        ["delay", "rdelay=2ms", "delay-extents=1ms"],
        ["error", "error-pread-rate=3%"],
        ["rate", "rate=64M"],
    ],
    ids=lambda words: words[0],
)
def test_vddk__through_trouble(sim, program, library, tmp_path, words):
    library.filter(*words)
    run = program(**library.environment)
    library.serve("one", run.snapshot("one")["moref"])
    run.well("choose", "vddk")
    answer = run("copy", tmp_path / "copy", "all")
    assert "code" not in answer, answer
    assert_copied(sim, "one", tmp_path / "copy")
    run.well("remove", "-")
    assert not nbdkits(tmp_path)


def test_vddk__library_that_crashes_is_started_again(sim, program, library, tmp_path):
    library.filter("rate", "rate=16M")
    run = program(**library.environment)
    library.serve("one", run.snapshot("one")["moref"])
    run.well("choose", "vddk")
    run.begin("copy", tmp_path / "copy", "all")

    def pid():
        found = [int(text) for f in nbdkits(tmp_path) if (text := read(f / "pid").strip())]
        return found[0] if found else None

    wait_until(pid, 20, "the server")
    time.sleep(1)
    os.kill(pid(), signal.SIGKILL)
    answer = run.answer()
    assert "code" not in answer, answer
    assert_copied(sim, "one", tmp_path / "copy")
    run.well("remove", "-")


def read(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def test_vddk__disk_that_cannot_be_read_is_no_copy(sim, program, library, tmp_path):
    run = program(**library.environment)
    library.serve("one", run.snapshot("one")["moref"])
    run.well("choose", "vddk")
    with open(library.folder / "content", "r+b") as content:
        content.truncate(SIZES[0] - MIB)
    answer = run("copy", tmp_path / "copy", "all")
    assert answer["code"] == "conflict", answer
    assert "disk 0 (Hard disk 1)" in answer["message"] and "the hardware says" in answer["message"]
    assert not nbdkits(tmp_path)
    run.well("remove", "-")


def test_nfc__stream_that_ends_too_early_is_no_copy(sim, program, tmp_path):
    run = program()
    run.snapshot("one")
    run.well("choose", "nfc")
    sim.fault("nfc", "truncate", after_bytes=2 * MIB, count=-1)
    answer = run("copy", tmp_path / "copy", "0:0+4096")
    assert answer["code"] in ("invalid", "retry"), answer
    assert "disk 0 (Hard disk 1)" in answer["message"]
    sim.clear_faults()
    run.well("copy", tmp_path / "copy", "all")
    assert_copied(sim, "one", tmp_path / "copy")
    run.well("remove", "-")


def test_nfc__damage_is_no_copy(sim, program, tmp_path):
    run = program()
    run.snapshot("one")
    run.well("choose", "nfc")
    sim.fault("nfc", "bitflip", after_bytes=2 * MIB, count=-1)
    answer = run("copy", tmp_path / "copy", "all")
    assert answer["code"] == "invalid", answer
    run.well("remove", "-")


@pytest.mark.parametrize("number", [0, 1], ids=["full", "delta"])
def test_nfc__damage_that_shows_late_spoils_nothing(warm, number):
    """The first grain comes with the address of another: what it overwrote is copied again, by a
    run that goes on where the one before has found out."""
    run = warm()
    go_on = ["--transport", "nfc", "--cutover", "asap"]
    run.source.load(MIB)
    if number:
        run.begin("--transport", "nfc").wait_round(1)
        run.stop()
    run.sim.fault("nfc", "bitflip", after_bytes=128 * 512 + 1, count=-1)
    run.begin(*go_on).end().failed("VMDK", "Hard disk")
    run.sim.clear_faults()
    run.begin(*go_on).end().good()
    run.assert_delivered()


@contextlib.contextmanager
def held_in_the_middle(sim, run, prefix):
    """A copy by https has begun, and comes no further before this ends."""
    sim.fault("folder", "stall", after=5, after_bytes=1000, seconds=60, count=-1)
    run.begin("copy", prefix, "all")
    wait_until(lambda: sim.control("GET", "/faults")[0]["hits"], 20, "the copy's middle")
    yield
    sim.clear_faults()


def test_https__disk_that_is_locked_suddenly_is_told(sim, program, tmp_path):
    run = program()
    run.snapshot("one")
    run.well("choose", "https")
    with held_in_the_middle(sim, run, tmp_path / "copy"):
        sim.control("POST", "/options", {"folder_locked": True})
    answer = run.answer()
    assert answer["code"] == "conflict" and answer["reason"] == "DatastoreFileLocked", answer
    assert "disk 0 (Hard disk 1)" in answer["message"]
    # Another transport goes on.
    run.well("choose", "auto")
    run.well("copy", tmp_path / "copy", "all")
    assert_copied(sim, "one", tmp_path / "copy")
    run.well("remove", "-")


def test_https__snapshot_that_somebody_removes_is_told(sim, program, tmp_path):
    run = program()
    moref = run.snapshot("one")["moref"]
    run.well("choose", "https")
    with held_in_the_middle(sim, run, tmp_path / "copy"):
        program().well("remove", moref)
    answer = run.answer()
    assert answer["code"] == "retry", answer
    assert f"snapshot {moref} was removed by somebody else" in answer["message"]
    assert "backups" in answer["hint"]
