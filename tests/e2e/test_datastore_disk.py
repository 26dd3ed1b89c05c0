"""importer/source/datastore against the simulated vCenter's /folder: the same bytes whatever the
server does in the middle, and a reason when a disk cannot be read this way."""

import json
import pathlib
import subprocess

import pytest
from conftest import Shared, vm
from harness import cli
from harness.disks import MIB, assert_same_disk, cached_disk

BUILD = pathlib.Path(cli.VMFERRY or "/nowhere").parents[1]
PROGRAM = BUILD / "tests" / "real" / "real.importer.source.datastore"
SIZE = 24 * MIB + 512 * 3
STALL_MS = 1500


def vms(folder):
    def disk(name, size, seed, **keys):
        return cached_disk(folder / f"{name}.raw", size, seed, 0.7), keys

    return [
        vm("off vm #1", "/prod", [disk("off-0", SIZE, 41)], datastore="nfs tier 2"),
        vm("on", "/prod", [disk("on-0", 6 * MIB, 42)], power="on", snapshots=["by hand"]),
    ]


@pytest.fixture(scope="module")
def shared(start_simulator, tmp_path_factory):
    return Shared(
        lambda: start_simulator("folder", vms=vms(tmp_path_factory.mktemp("folder-disks")))
    )


@pytest.fixture
def source(shared):
    yield from shared.watched()


class Reader:
    """The program under test, with one disk open (or not: `opened` says)."""

    def __init__(self, simulator, home, file, size, threads=4, read_bytes=MIB, datacenter="DC0"):
        arguments = [PROGRAM, datacenter, file, size, threads, read_bytes, STALL_MS]
        self._errors = open(home / f"stderr.{id(self)}", "w+b")
        self._secret = simulator.password
        self.process = subprocess.Popen(
            [str(word) for word in arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=cli.environment(
                home,
                VMFERRY_TEST_URL=simulator.url,
                VMFERRY_TEST_USER=simulator.user,
                VMFERRY_TEST_PASSWORD=simulator.password,
                VMFERRY_TEST_CA=simulator.ca_file,
                VMFERRY_TEST_DEBUG=1,
            ),
        )
        self.opened = self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        assert line, "the program ended: " + open(self._errors.name).read()[-3000:]
        return json.loads(line)

    def copy(self, path):
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
        self._errors.seek(0)
        told = self._errors.read().decode(errors="replace")
        self._errors.close()
        found = cli.SANITIZER.search(told)
        assert not found, told
        assert "http: " in told, "no log, no look for secrets"
        for secret in (self._secret, "vmware_soap_session"):
            assert secret not in told, "a secret was logged"


@pytest.fixture
def read(source, tmp_path):
    """read(FILE, SIZE, ...): a Reader, ended before the simulator is looked at."""
    readers = []

    def start(*arguments, **more):
        assert PROGRAM.exists(), f"{PROGRAM} is not built"
        readers.append(Reader(source, tmp_path, *arguments, **more))
        return readers[-1]

    yield start
    for reader in readers:
        reader.end()


OFF = "[nfs tier 2] off vm #1/off vm #1.vmdk"
ON = "[LocalDS_0] on/on.vmdk"


def test_disk_of_a_vm_that_is_off(source, read, tmp_path):
    reader = read(OFF, SIZE)
    assert reader.opened.get("size") == SIZE, reader.opened
    assert "ms" in reader.copy(tmp_path / "copy.raw")
    assert_same_disk(tmp_path / "copy.raw", "raw", source.live_disk("off vm #1", 0))


@pytest.mark.parametrize("threads", [1, 2, 8, 16])
def test_any_number_of_connections(source, read, tmp_path, threads):
    reader = read(OFF, SIZE, threads=threads, read_bytes=300007)
    reader.copy(tmp_path / "copy.raw")
    assert_same_disk(tmp_path / "copy.raw", "raw", source.live_disk("off vm #1", 0))


@pytest.mark.parametrize(
    "kind, more",
    [
        ("reset", {"after_bytes": 70000}),
        ("reset", {}),
        ("drop", {"after_bytes": 500000}),
        ("truncate", {"after_bytes": 1000}),
        ("stall", {"after_bytes": 200000, "seconds": 60, "count": 2}),
        ("stall", {"after_bytes": -1, "seconds": 60, "count": 2}),
        ("http503", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.get("after_bytes", "")),
)
def test_same_bytes_after_trouble(source, read, tmp_path, kind, more):
    reader = read(OFF, SIZE)
    source.fault("folder", kind, **{"count": 5, "after": 3, **more})
    answer = reader.copy(tmp_path / "copy.raw")
    assert "ms" in answer, answer
    assert source.control("GET", "/faults")[0]["hits"] == more.get("count", 5)
    assert_same_disk(tmp_path / "copy.raw", "raw", source.live_disk("off vm #1", 0))


def test_expired_session_is_renewed(source, read, tmp_path):
    reader = read(OFF, SIZE, threads=8)
    assert reader.opened["renewals"] == 0
    source.control("POST", "/expire-sessions", {})
    answer = reader.copy(tmp_path / "copy.raw")
    assert answer.get("renewals", 0) >= 1, answer
    assert_same_disk(tmp_path / "copy.raw", "raw", source.live_disk("off vm #1", 0))
    # Those that were refused together logged in once.
    assert source.control("GET", "/calls")["soap"]["Login"] == 2


def test_session_that_dies_in_the_middle(source, read, tmp_path):
    reader = read(OFF, SIZE)
    source.fault("folder", "not_authenticated", count=2, after=5)
    answer = reader.copy(tmp_path / "copy.raw")
    assert answer.get("renewals", 0) >= 1, answer
    assert_same_disk(tmp_path / "copy.raw", "raw", source.live_disk("off vm #1", 0))


def test_locked_disk_is_told_with_its_reason(source, read):
    answer = read(ON, 6 * MIB).opened
    assert answer["code"] == "conflict" and answer["reason"] == "DatastoreFileLocked", answer
    assert "locked by a running virtual machine" in answer["message"]
    assert ON.replace(".vmdk", "-flat.vmdk") in answer["message"]
    assert "transport" in answer["hint"]


def test_frozen_base_where_it_may_be_read(source, read, tmp_path):
    source.control("POST", "/options", {"folder_locked": False})
    try:
        reader = read(ON, 6 * MIB)
        assert reader.opened.get("size") == 6 * MIB, reader.opened
        # The base stands still below the snapshot, whatever the guest does.
        source.guest_write("on", 0, MIB, 2 * MIB, 77)
        assert "ms" in reader.copy(tmp_path / "copy.raw")
        source.save_frozen("on", 0, tmp_path / "frozen.raw", index=0)
        assert_same_disk(tmp_path / "copy.raw", "raw", tmp_path / "frozen.raw")
    finally:
        source.control("POST", "/options", {"folder_locked": True})


def test_what_is_not_there_is_told(source, read):
    for file, more in [
        ("[nfs tier 2] nobody/nobody.vmdk", {}),
        ("[no such] off vm #1/off vm #1.vmdk", {}),
        (OFF, {"datacenter": "DC9"}),
    ]:
        answer = read(file, SIZE, **more).opened
        assert answer["code"] == "missing" and answer["reason"] == "DatastoreFileMissing", answer


def test_disk_of_another_size_is_told(source, read):
    answer = read(OFF, SIZE + 512).opened
    assert answer["code"] == "conflict" and answer["reason"] == "DatastoreFileSize", answer
    assert str(SIZE) in answer["message"] and str(SIZE + 512) in answer["message"]
