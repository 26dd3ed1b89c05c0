"""However an import ends, by a signal, a fault or the target, the source is clean again (the
fixtures assert that) and nothing at the target looks finished."""

import signal
import time

import pytest
from conftest import finished_looking
from harness.cli import wait_until
from harness.disks import MIB, assert_same_disk
from test_import_vsphere import calls, images, import_vm, snapshots

SNAPSHOT_CALLS = ("CreateSnapshot_Task", "CreateSnapshotEx_Task")


def copying(sim):
    """Bytes that went out on the leases that are open now."""
    leases = [lease for lease in sim.control("GET", "/state")["leases"] if lease["held"]]
    return sum(sum(lease["sent"].values()) for lease in leases)


def start_copy(slow, start, target, *more, name="run01"):
    process = start("import", *slow.arguments(), "--vm", name, "--to", f"dir:{target}", *more)
    wait_until(lambda: copying(slow) > MIB or not process.running(), what="the copy to begin")
    assert process.running(), process.wait()
    return process


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("name", ["run01", "Off VM #1 (EFI)"])
def test_signal_in_the_middle__ends_in_2_s_and_cleans_up(
    slow, start, tmp_path, number, status, name
):
    process = start_copy(slow, start, tmp_path / "out", name=name)
    sent = time.monotonic()
    process.signal(number)
    result = process.wait(30)
    took = time.monotonic() - sent
    assert result.status == status, result
    assert not finished_looking(tmp_path / "out")
    made = calls(slow)
    assert made.get("HttpNfcLeaseAbort", 0) == 1
    if name == "run01":
        assert made["RemoveSnapshot_Task"] == 1
    assert took < 4, f"{took:.1f} s: 2 s are allowed, and what removing a snapshot takes here"


def test_signal_while_the_snapshot_is_made__removes_it(sim, start, tmp_path):
    sim.fault("CreateSnapshot_Task", "task_slow", seconds=3)
    process = start("import", *sim.arguments(), "--vm", "run01", "--to", f"dir:{tmp_path / 'out'}")
    wait_until(lambda: calls(sim).get("CreateSnapshot_Task"), what="the snapshot's start")
    time.sleep(0.3)
    process.signal(signal.SIGTERM)
    assert process.wait(30).status == 143
    wait_until(lambda: not snapshots(sim, "run01"), 10, "the snapshot's end")


def test_signal_at_login__ends_at_once(sim, start, tmp_path):
    # Not Login itself: a session that the server makes after we left is nobody's to end.
    sim.fault("RetrieveServiceContent", "stall", seconds=30)
    process = start("import", *sim.arguments(), "--vm", "run01", "--to", f"dir:{tmp_path / 'out'}")
    time.sleep(1)
    sent = time.monotonic()
    process.signal(signal.SIGTERM)
    assert process.wait(30).status == 143
    assert time.monotonic() - sent < 3


def test_kill_in_the_middle__nothing_looks_finished_and_the_next_run_works(
    start_simulator, start, vmferry, tmp_path, tmp_path_factory
):
    from conftest import RATE, standard_vms

    vms = [v for v in standard_vms(tmp_path_factory.mktemp("kill")) if v["name"] == "run01"]
    sim = start_simulator("kill", "--nfc-rate", RATE, "--lease-timeout", "3s", vms=vms)
    target = tmp_path / "out"
    process = start_copy(sim, start, target)
    process.signal(signal.SIGKILL)
    assert process.wait().status == -signal.SIGKILL
    assert not finished_looking(target)
    assert vmferry("verify", target).status == 1
    wait_until(lambda: not copying(sim), 20, "the lease to time out")
    result = import_vm(vmferry, sim, "run01", target)
    assert result.status == 0, result
    for disk, image in enumerate(images(target)):
        frozen = sim.save_frozen("run01", disk, tmp_path / f"frozen-{disk}.raw")
        assert_same_disk(image, "raw", frozen)


@pytest.mark.parametrize("after", [0, 5 * MIB])
def test_truncated_stream__fails(sim, vmferry, tmp_path, after):
    sim.fault("nfc", "truncate", count=-1, after_bytes=after)
    result = import_vm(vmferry, sim, "run01", tmp_path / "out")
    result.failed("run01", "disk")
    assert not finished_looking(tmp_path / "out")


def test_dropped_stream__fails(sim, vmferry, tmp_path):
    sim.fault("nfc", "drop", count=-1, after_bytes=3 * MIB)
    import_vm(vmferry, sim, "run01", tmp_path / "out").failed("run01", "disk")
    assert not finished_looking(tmp_path / "out")


@pytest.mark.parametrize("after", [2 * MIB, 7 * MIB + 12345])
def test_flipped_bit__is_never_written_as_good(sim, vmferry, tmp_path, after):
    sim.fault("nfc", "bitflip", count=-1, after_bytes=after)
    import_vm(vmferry, sim, "Off VM #1 (EFI)", tmp_path / "out").failed("disk")
    assert not finished_looking(tmp_path / "out")


def test_lease_that_times_out__fails_and_says_so(sim, vmferry, tmp_path):
    sim.fault("nfc", "lease_timeout", after_bytes=2 * MIB)
    import_vm(vmferry, sim, "run01", tmp_path / "out").failed("lease")
    assert not finished_looking(tmp_path / "out")


def test_lease__is_kept_alive_by_progress(start_simulator, vmferry, tmp_path, tmp_path_factory):
    from conftest import RATE, left_over, standard_vms

    vms = [v for v in standard_vms(tmp_path_factory.mktemp("lease")) if v["name"] == "run01"]
    arguments = ["--nfc-rate", RATE, "--lease-timeout", "2s", "--session-timeout", "3s"]
    sim = start_simulator("lease", *arguments, vms=vms)
    result = import_vm(vmferry, sim, "run01", tmp_path / "out")
    result.good()
    assert result.seconds > 5, "too fast to prove anything"
    assert not left_over(sim)


@pytest.mark.parametrize(
    "method, fault",
    [
        ("CreateSnapshot_Task", "NoPermission"),
        ("ExportSnapshot", "NoPermission"),
    ],
)
def test_fault_of_a_method__fails_and_cleans_up(sim, vmferry, tmp_path, method, fault):
    sim.fault(method, "fault", count=-1, fault=fault)
    import_vm(vmferry, sim, "run01", tmp_path / "out").failed("run01")
    assert not finished_looking(tmp_path / "out")


def test_task_error__fails_with_its_text(sim, vmferry, tmp_path):
    sim.fault("CreateSnapshot_Task", "task_error", count=-1, fault="FileFault")
    import_vm(vmferry, sim, "run01", tmp_path / "out").failed("run01", "snapshot")
    assert not finished_looking(tmp_path / "out")


def test_snapshot_that_cannot_be_removed__is_told(start_simulator, vmferry, tmp_path, tmp_path_factory):
    from conftest import standard_vms

    vms = [v for v in standard_vms(tmp_path_factory.mktemp("stuck")) if v["name"] == "run01"]
    sim = start_simulator("stuck", vms=vms)
    sim.fault("RemoveSnapshot_Task", "task_error", count=-1, fault="FileFault")
    result = import_vm(vmferry, sim, "run01", tmp_path / "out")
    name = snapshots(sim, "run01")[0]["name"]
    assert name in result.err or snapshots(sim, "run01")[0]["moref"] in result.err, result


def test_lease_that_cannot_be_completed__is_a_warning(sim, vmferry, tmp_path):
    """Every byte is there by then, and its end was marked."""
    sim.fault("HttpNfcLeaseComplete", "fault", fault="InvalidState")
    result = import_vm(vmferry, sim, "run01", tmp_path / "out")
    assert result.status == 0 and "warning" in result.err, result
    vmferry("verify", tmp_path / "out").good()


def test_session_lost_in_the_copy__ends_the_lease_and_is_told(slow, start, tmp_path):
    """A lease ends with its session; the snapshot is removed with a new one all the same."""
    process = start_copy(slow, start, tmp_path / "out")
    slow.control("POST", "/expire-sessions")
    process.wait().failed("run01", "lease")
    assert calls(slow)["Login"] >= 2
    assert not finished_looking(tmp_path / "out")


@pytest.mark.parametrize(
    "method, kind",
    [
        ("Login", "http503"),
        ("Login", "reset"),
        ("RetrievePropertiesEx", "http503"),
        ("RetrievePropertiesEx", "reset"),
        ("RetrievePropertiesEx", "not_authenticated"),
        ("CreateSnapshot_Task", "not_authenticated"),
        ("ExportSnapshot", "http503"),
        ("ExportSnapshot", "not_authenticated"),
        ("HttpNfcLeaseProgress", "http503"),
        ("RemoveSnapshot_Task", "http503"),
    ],
)
def test_passing_trouble__is_retried(sim, vmferry, tmp_path, method, kind):
    sim.fault(method, kind, count=2 if kind == "http503" else 1)
    import_vm(vmferry, sim, "run01", tmp_path / "out").good()
    assert_same_disk(
        images(tmp_path / "out")[0], "raw", sim.save_frozen("run01", 0, tmp_path / "f.raw")
    )


def test_server_that_stays_down__fails_in_the_end(sim, vmferry, tmp_path):
    sim.fault("Login", "http503", count=-1)
    result = import_vm(vmferry, sim, "run01", tmp_path / "out", timeout=150)
    result.failed("503")
    assert calls(sim)["Login"] >= 3
    assert not finished_looking(tmp_path / "out")
