"""importer/vsphere/cbt against the simulated vCenter: a guest writes all the time, and the areas
that are named, copied from one frozen state onto the one before, make them the same."""

import pytest
from conftest import vm
from harness.cli import wait_until
from harness.disks import MIB, assert_same_disk, cached_disk, differ
from harness.driven import Driven

SIZES = [12 * MIB, 5 * MIB + 512 * 3]

# enum vf_full_copy
NOT_NEEDED, NO_CHANGE_ID, OTHER_TRACKING, TAKEN_BACK, RESIZED, REFUSED, BAD_ANSWER = range(7)


def vms(folder):
    def disk(name, size, seed, **keys):
        return cached_disk(folder / f"{name}.raw", size, seed), keys

    return [
        vm(
            "fresh",
            "/test",
            [
                disk("fresh-0", SIZES[0], 31),
                disk("fresh-1", SIZES[1], 32),
                disk("fresh-2", MIB, 33, mode="independent_persistent"),
            ],
            power="on",
        ),
        vm(
            "on",
            "/test",
            [disk("on-0", SIZES[0], 34), disk("on-1", SIZES[1], 35)],
            power="on",
            cbt=True,
        ),
        vm("off", "/test", [disk("off-0", SIZES[0], 36)], cbt=True),
        vm("old", "/test", [disk("old-0", MIB, 37)], hardware="vmx-04"),
        vm("snapped", "/test", [disk("snapped-0", MIB, 38)], power="on", snapshots=["by hand"]),
    ]


class Client(Driven):
    """tests/real/importer/vsphere/test_cbt.c"""

    def __init__(self, sim, home):
        super().__init__("importer.vsphere.cbt", sim, home)

    def on(self, name, command, *words):
        """A call about that VM, which must go well."""
        return self.good(command, self.morefs[name], *words)

    def areas(self, name, snapshot, disk, since, capacity=None):
        moref = snapshot["moref"] if snapshot else "-"
        return self.on(name, "areas", moref, disk, since, capacity or SIZES[disk])


@pytest.fixture
def sim(start_simulator, tmp_path):
    """One of the test's own: what it does to the tracking stays."""
    folder = tmp_path / "disks"
    folder.mkdir()
    simulator = start_simulator("cbt", "--task-delay", "20ms", vms=vms(folder))
    yield simulator
    state = simulator.control("GET", "/state")
    left = [s["name"] for v in state["vms"] for s in v["snapshots"] if s["name"] != "by hand"]
    simulator.stop()
    assert not state["sessions"] and not left


@pytest.fixture
def client(sim, tmp_path):
    running = Client(sim, tmp_path)
    yield running
    if running.process.poll() is None:
        running.end()


def asked(sim, method):
    """How often that method was called."""
    return sim.control("GET", "/calls")["soap"].get(method, 0)


def load(sim, name, disk, bytes_per_second):
    sim.control(
        "POST", "/guest-load", {"vm": name, "disk": disk, "bytes_per_second": bytes_per_second}
    )


def frozen(sim, name, disk, snapshot, path):
    """What the snapshot holds of that disk, as a raw file."""
    body = {"vm": name, "disk": disk, "snapshot": snapshot["moref"], "path": str(path)}
    sim.control("POST", "/save-frozen", body)
    return path


def patch(target, source, areas):
    with open(target, "r+b") as to, open(source, "rb") as of:
        for offset, length in areas:
            of.seek(offset)
            to.seek(offset)
            to.write(of.read(length))


def assert_apart(answer, size):
    """In order, neither touching nor overlapping, inside the disk."""
    end = -1
    for offset, length in answer["areas"]:
        assert offset > end and length > 0
        end = offset + length
    assert end <= size
    assert answer["total"] == sum(length for _, length in answer["areas"])


def empty_disk(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    return path


@pytest.mark.parametrize(
    "limits", [{}, {"max_areas": 2, "area_window": MIB // 2}], ids=["one-answer", "many-windows"]
)
def test_rounds__of_a_running_vm(sim, client, tmp_path, limits):
    name, disks = "fresh", range(2)
    if limits:
        sim.control("POST", "/options", limits)
    assert client.on(name, "look") == {"stun_due": False, "states": ["off", "off", "outside"]}
    assert client.on(name, "enable")["changed"]
    waiting = {"stun_due": True, "states": ["waiting", "waiting", "outside"]}
    assert client.on(name, "look") == waiting
    client.on(name, "stun", "vmferry-stun")
    assert client.on(name, "look") == {"stun_due": False, "states": ["on", "on", "outside"]}
    assert not client.on(name, "enable")["changed"]

    for disk in disks:
        load(sim, name, disk, 2 * MIB)
    before = client.on(name, "snapshot", "vmferry-0")
    targets = []
    for disk in disks:
        answer = client.areas(name, before, disk, "*")
        assert answer["why"] == NOT_NEEDED and 0 < answer["total"] < SIZES[disk], answer
        image = frozen(sim, name, disk, before, tmp_path / f"image-{disk}.raw")
        targets.append(empty_disk(tmp_path / f"target-{disk}.raw", SIZES[disk]))
        patch(targets[disk], image, answer["areas"])
        assert_same_disk(targets[disk], "raw", image)

    for number in range(1, 6):
        for disk in disks:
            # What is loaded falls where it may; these make a zeroed area and lone blocks sure.
            sim.guest_write(name, disk, number * 300_001, 200_000, number, pattern="zero")
            for k in range(5):
                sim.guest_write(name, disk, (number * 7 + k * 160) * 4096 + 100, 10, number)
        if number == 5:
            for disk in disks:
                load(sim, name, disk, 0)
        after = client.on(name, "snapshot", f"vmferry-{number}")
        for disk in disks:
            image = frozen(sim, name, disk, after, tmp_path / f"image-{disk}.raw")
            assert differ(targets[disk], image)
            answer = client.areas(name, after, disk, before["change_ids"][disk])
            assert answer["why"] == NOT_NEEDED, answer
            assert_apart(answer, SIZES[disk])
            assert answer["total"] < SIZES[disk]
            patch(targets[disk], image, answer["areas"])
            assert_same_disk(targets[disk], "raw", image)
        client("remove", before["moref"])
        before = after

    assert asked(sim, "QueryChangedDiskAreas") == 12 or limits
    assert asked(sim, "QueryChangedDiskAreas") > 100 or not limits
    idle = client.on(name, "snapshot", "vmferry-idle")
    for disk in disks:
        answer = client.areas(name, idle, disk, before["change_ids"][disk])
        assert answer == {"why": NOT_NEEDED, "total": 0, "areas": []}
    client("remove", before["moref"])
    client("remove", idle["moref"])


def test_powered_off_vm__needs_no_snapshot(sim, client, tmp_path):
    before = client.on("off", "snapshot", "vmferry-0")
    target = frozen(sim, "off", 0, before, tmp_path / "target.raw")
    body = {"vm": "off", "disk": 0, "offset": 700_000, "length": 9000, "seed": 1, "force": True}
    sim.control("POST", "/guest-write", {**body, "pattern": "random"})
    answer = client.areas("off", None, 0, before["change_ids"][0])
    assert answer["why"] == NOT_NEEDED and answer["total"] == 65536
    live = sim.live_disk("off", 0)
    assert differ(target, live)
    patch(target, live, answer["areas"])
    assert_same_disk(target, "raw", live)
    client("remove", before["moref"])


def test_running_vm_without_snapshot__is_a_conflict(client):
    before = client.on("on", "snapshot", "vmferry-0")
    client("remove", before["moref"])
    answer = client("areas", client.morefs["on"], "-", 0, before["change_ids"][0], SIZES[0])
    assert answer["code"] == "conflict"


def expect_whole(answer, why, disk=0):
    assert answer["why"] == why, answer
    assert answer["areas"] == [[0, SIZES[disk]]] and answer["total"] == SIZES[disk]


def test_reset_tracking__is_a_full_copy(sim, client):
    before = client.on("on", "snapshot", "vmferry-0")
    after = client.on("on", "snapshot", "vmferry-1")
    sim.control("POST", "/cbt-reset", {"vm": "on"})
    # Both IDs are of the tracking that ended: only the server knows.
    answer = client.areas("on", after, 0, before["change_ids"][0])
    expect_whole(answer, REFUSED)
    assert "FileFault" in answer["detail"]
    client("remove", before["moref"])
    client("remove", after["moref"])
    anew = client.on("on", "snapshot", "vmferry-2")
    questions = asked(sim, "QueryChangedDiskAreas")
    expect_whole(client.areas("on", anew, 0, before["change_ids"][0]), OTHER_TRACKING)
    assert "detail" not in client.areas("on", anew, 0, before["change_ids"][0])
    assert asked(sim, "QueryChangedDiskAreas") == questions > 0
    client("remove", anew["moref"])


def test_stale_states__are_full_copies(client):
    one = client.on("on", "snapshot", "vmferry-0")
    two = client.on("on", "snapshot", "vmferry-1")
    older, newer = one["change_ids"][0], two["change_ids"][0]
    assert client.areas("on", one, 0, older)["areas"] == []
    expect_whole(client.areas("on", one, 0, newer), TAKEN_BACK)
    expect_whole(client.areas("on", two, 0, one["change_ids"][1]), OTHER_TRACKING)
    expect_whole(client.areas("on", two, 0, older, SIZES[0] - 512), RESIZED)
    expect_whole(client.areas("on", two, 0, "-"), NO_CHANGE_ID)
    expect_whole(client.areas("on", two, 0, "nonsense"), NO_CHANGE_ID)
    # A state of this tracking that never was.
    never = older.rsplit("/", 1)[0] + "/0"
    expect_whole(client.areas("on", two, 0, never), REFUSED)
    client("remove", one["moref"])
    client("remove", two["moref"])


def test_untracked_disk__is_a_full_copy(client):
    taken = client.on("fresh", "snapshot", "vmferry-0")
    assert taken["change_ids"] == ["", "", ""]
    expect_whole(client.areas("fresh", taken, 0, "*"), NO_CHANGE_ID)
    client("remove", taken["moref"])


def test_snapshot_that_is_gone__is_missing(client):
    one = client.on("on", "snapshot", "vmferry-0")
    client("remove", one["moref"])
    answer = client("areas", client.morefs["on"], one["moref"], 0, "*", SIZES[0])
    assert answer["code"] == "missing"


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "http503", "count": 2},
        {"kind": "reset"},
        {"kind": "drop"},
        {"kind": "reset", "executed": True},
        {"kind": "not_authenticated"},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
def test_transport_failure_between_windows__loses_nothing(sim, client, fault):
    sim.control("POST", "/options", {"area_window": 4 * MIB})
    one = client.on("on", "snapshot", "vmferry-0")
    for k in range(3):
        sim.guest_write("on", 0, k * 4 * MIB, 100, k)
    two = client.on("on", "snapshot", "vmferry-1")
    sim.fault("QueryChangedDiskAreas", after=1, **fault)
    answer = client.areas("on", two, 0, one["change_ids"][0])
    assert answer["why"] == NOT_NEEDED
    assert answer["areas"] == [[k * 4 * MIB, 65536] for k in range(3)]
    assert sim.control("GET", "/faults")[0]["hits"] >= 1
    client("remove", one["moref"])
    client("remove", two["moref"])


def test_fault_between_windows__is_a_full_copy(sim, client):
    sim.control("POST", "/options", {"area_window": 4 * MIB})
    one = client.on("on", "snapshot", "vmferry-0")
    sim.fault("QueryChangedDiskAreas", "fault", after=1, fault="FileFault")
    expect_whole(client.areas("on", one, 0, one["change_ids"][0]), REFUSED)
    assert client.areas("on", one, 0, one["change_ids"][0])["why"] == NOT_NEEDED
    client("remove", one["moref"])


def test_vms_that_cannot__are_told(client):
    answer = client("enable", client.morefs["old"])
    assert answer["code"] == "unsupported" and "vmx-04" in answer["message"]
    for command in (["enable", client.morefs["snapped"]], ["stun", client.morefs["snapped"], "x"]):
        answer = client(*command)
        assert answer["code"] == "conflict" and "by hand" in answer["message"]
        assert "remove" in answer["hint"]
    assert client("enable", "vm-none")["code"] == "missing"


def test_reconfiguration__failures(sim, client):
    """A busy VM is asked again, and a task that fails is an error."""
    sim.fault("ReconfigVM_Task", "task_error", fault="TaskInProgress")
    assert client.on("fresh", "enable")["changed"]
    assert asked(sim, "ReconfigVM_Task") == 2
    assert client.on("fresh", "look")["stun_due"]
    # The snapshot of the stun fails: nothing stays, and it can be had again.
    sim.fault("CreateSnapshot_Task", "task_error", fault="NoDiskSpace")
    assert client("stun", client.morefs["fresh"], "vmferry-stun")["code"] == "space"
    client.on("fresh", "stun", "vmferry-stun")
    assert not client.on("fresh", "look")["stun_due"]


def test_ended_input__logs_out(sim, client):
    client.on("on", "look")
    client.end()
    wait_until(lambda: not sim.control("GET", "/state")["sessions"], 10, "the logout")
