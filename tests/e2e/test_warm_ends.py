"""vmferry migrate --warm that does not go well: the source is as it was, nothing is left behind, and
the same command goes on with what was copied."""

import json
import signal

import pytest
from harness.cli import wait_until
from harness.disks import MIB
from harness.tcp_proxy import TcpProxy
from harness.warm import CHECKPOINT, STATUS, WarmRun

LOAD = 2 * MIB


def fail_last_round(run):
    """The last snapshot cannot be taken."""
    run.sim.fault("CreateSnapshot_Task", "task_error", count=-1, fault="FileFault")


def test_guest_that_shuts_down_too_late__is_powered_on_again(warm):
    run = warm()
    run.source.load(LOAD)
    run.sim.fault("ShutdownGuest", "shutdown_hang", seconds=5)
    failed = run.begin("--cutover", "asap", "--shutdown-timeout", "2s").end()
    failed.failed("warm", "shut down", "--hard-power-off")
    events = run.source.events("guest_shut_down", "powered_on", "powered_off")
    assert events == ["guest_shut_down", "powered_on"]
    run.assert_undone()
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()


def test_guest_that_does_not_shut_down__is_powered_off_where_allowed(warm):
    run = warm()
    run.source.load(LOAD)
    run.sim.fault("ShutdownGuest", "shutdown_hang", count=-1)
    more = ["--cutover", "asap", "--shutdown-timeout", "2s", "--hard-power-off"]
    run.begin(*more).end().good()
    assert "powered_off" in run.source.events()
    run.assert_delivered()


def test_guest_without_tools__takes_a_hard_power_off(warm):
    run = warm(tools=False)
    # Preflight would refuse it before there is a folder.
    run.begin("--cutover", "asap", "--check", "none").end().failed("warm", "--hard-power-off")
    run.assert_undone()
    run.begin("--cutover", "asap", "--hard-power-off").end().good()
    run.assert_delivered()


@pytest.mark.parametrize(
    "faults",
    [
        "source.off:1:eio",
        "round.finish:1:eio",
        "migration.deliver:1:eio",
        "dir.named:1:enospc",
    ],
)
def test_failure_in_the_cutover__powers_on_again_and_can_be_repeated(warm, faults):
    run = warm()
    run.source.load(LOAD)
    run.begin("--cutover", "asap", env={"VMFERRY_FAULTS": faults})
    failed = run.end()
    if failed.status == 0:
        run.assert_delivered()  # it was made good
        return
    failed.failed("warm")
    run.assert_undone()
    # The guest writes again from here on, and nothing of that may be missed.
    went_down = run.source.events("guest_shut_down")
    assert len(run.source.events("powered_on")) == len(went_down)
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()


def test_source_that_ran_after_its_last_snapshot__is_not_delivered(warm):
    """On and off again between two looks at it: what it wrote then is in no round."""
    run = warm()
    run.begin("--cutover", "asap", env={"VMFERRY_FAULTS": "migration.deliver:1:reset"})
    run.wait_phase("delivering")
    write = {"vm": "warm", "disk": 1, "offset": 65536, "length": 4096, "pattern": "random"}
    run.sim.control("POST", "/guest-write", {**write, "seed": 9, "force": True})
    run.end().failed("warm", "changed after the last snapshot")
    run.assert_undone()
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()


def test_last_snapshot_that_cannot_be_taken__powers_on_again(warm):
    run = warm()
    run.source.load(LOAD)
    run.begin()
    run.wait_round(1)
    run.sim.fault("ShutdownGuest", "shutdown_hang", seconds=2)
    run.command("cutover", "--no-wait").good()
    wait_until(lambda: "shutdown_asked" in run.source.events(), what="the shutdown")
    fail_last_round(run)
    run.end().failed("warm", "snapshot")
    run.assert_undone()
    run.sim.clear_faults()
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()


@pytest.mark.parametrize(
    "phase, number", [("copying", signal.SIGINT), ("waiting", signal.SIGTERM)]
)
def test_signal__cleans_up_and_the_same_command_goes_on(warm, phase, number):
    run = warm(options=["--min-interval", "5s"], readable=True)
    run.source.load(LOAD)
    run.begin()
    if phase == "copying":
        run.wait_phase("copying")
    else:
        run.wait_round(1)
    ended = run.stop(number)
    assert ended.status == 128 + number, ended
    run.assert_undone()
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()


def test_signal_in_the_cutover__powers_on_again(warm):
    run = warm()
    run.source.load(LOAD)
    run.sim.fault("ShutdownGuest", "shutdown_hang", seconds=3)
    run.begin("--cutover", "asap", "--shutdown-timeout", "8s")
    wait_until(lambda: "shutdown_asked" in run.source.events(), 60, "the shutdown")
    assert run.stop().status == 143
    assert run.source.events("guest_shut_down", "powered_on") == ["guest_shut_down", "powered_on"]
    run.assert_undone()
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()


def test_cancel__ends_a_migration_that_runs(warm):
    run = warm()
    run.source.load(LOAD)
    run.begin()
    run.wait_round(1)
    run.command("cancel").good()
    assert run.end().status == 1
    run.assert_undone()
    assert run.status()["phase"] == "cancelled"
    assert list(run.target.glob("*.partial")), "what was copied is kept"
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()


def test_cancel_with_discard__leaves_nothing(warm):
    run = warm(image_format="qcow2")
    run.begin()
    run.wait_round(1)
    run.command("cancel", "--discard").good()
    run.end()
    run.source.assert_clean("on", note=False)
    left = [p.name for p in run.target.iterdir()] if run.target.exists() else []
    assert left in ([], [STATUS]), left


def test_cancel__of_one_that_was_killed_does_it_itself(warm):
    run = warm(readable=True)
    run.source.load(LOAD)
    run.begin()
    run.wait_copying(1)
    run.kill()
    asked = run.command("cancel")
    asked.failed("--source", "--user", status=2)
    run.command("cancel", *run.sim.arguments()).good()
    run.assert_undone()
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()


def test_cancel__of_one_that_was_killed_in_its_cutover_powers_on(warm):
    run = warm()
    run.source.load(LOAD)
    run.begin("--cutover", "asap", env={"VMFERRY_FAULTS": "machine.stopped:1:kill"})
    assert run.end().status == -signal.SIGKILL
    assert run.source.state()["power"] == "off"
    run.command("cancel", *run.sim.arguments(), "--discard").good()
    run.source.assert_clean("on", note=False)
    assert not run.target.exists()


def test_cancel__of_one_that_another_run_overtook_leaves_the_source_off(warm, start, tmp_path):
    """Of the two the other has come to its end, and its VM may run."""
    run = warm()
    run.begin("--cutover", "asap", env={"VMFERRY_FAULTS": "machine.stopped:1:kill"})
    assert run.end().status == -signal.SIGKILL
    other = WarmRun(run.sim, start, tmp_path / "other")
    other.begin("--cutover", "asap").end().good()
    failed = run.command("cancel", *run.sim.arguments(), "--discard")
    failed.failed("migrated already", "notes")
    other.assert_delivered()


def test_other_vm_into_the_folder__is_refused_before_anything_is_touched(warm, start, tmp_path):
    run = warm()
    run.begin()
    run.wait_round(0)
    run.kill()
    before = {p.name: p.stat().st_mtime_ns for p in run.target.iterdir()}
    other = warm(name="other", seed=90)
    more = ["--to", f"dir:{run.target}", "--cutover", "asap"]
    refused = start("migrate", "--warm", *other.sim.arguments(), "--vm", "other", *more).wait()
    refused.failed("other", "another VM")
    assert {p.name: p.stat().st_mtime_ns for p in run.target.iterdir()} == before
    other.source.assert_clean("on", note=False)
    assert not other.source.events("snapshot_created")
    start("import", *other.sim.arguments(), "--vm", "other", "--to", f"dir:{run.target}").wait().failed(
        "warm"
    )
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()


def test_damaged_checkpoint__is_never_trusted(warm):
    run = warm()
    run.begin()
    run.wait_round(1)
    run.stop()
    path = run.target / CHECKPOINT
    text = path.read_text()
    assert text.count("warm-disk-0") == 1
    path.write_text(text.replace("warm-disk-0", "warm-disk-1"))
    run.source.load(LOAD)
    done = run.begin("--cutover", "asap").end().good()
    assert "checkpoint" in done.err and "in full" in done.err, done
    run.assert_delivered()


def test_full_target__keeps_what_was_copied(warm, small_disk):
    run = warm()
    run.target = small_disk(run.target, 6)
    failed = run.begin("--cutover", "asap").end()
    failed.failed("warm")
    run.source.assert_clean("on", note=False)


def bytes_read(run, proxy, *more, env=None):
    """A run by https behind the proxy, and how much it was sent."""
    before = proxy.answered
    arguments = run.sim.arguments()
    arguments[arguments.index("--source") + 1] = proxy.url
    run.process = run._start(
        *("migrate", "--warm", *arguments, "--vm", run.source.name),
        *("--to", f"dir:{run.target}", "--format", run.format, *run.options, *more),
        env=env,
    )
    return run.process.wait(180), lambda: proxy.answered - before


def test_kill_in_the_full_copy__copies_what_was_not_flushed_and_no_more(warm):
    """By what came over the line: the second run reads what was not flushed, and little more."""
    size = 512 * MIB
    run = warm(readable=True, sizes=(size,), seed=200)
    transport = ["--transport", "https", "--cutover", "asap"]
    with TcpProxy(run.sim.url) as proxy:
        faults = {"VMFERRY_FAULTS": "journal.flush:14:kill"}
        killed, read = bytes_read(run, proxy, *transport, env=faults)
        first = read()
        assert killed.status == -signal.SIGKILL, killed
        flushed = sum(disk["copiedBytes"] for disk in run.checkpoint()["disks"])
        assert size * 0.1 < flushed < size * 0.9
        done, read = bytes_read(run, proxy, *transport)
        done.good()
    second = read()
    twice = first + second - size
    print(f"{flushed} flushed; {first} + {second} for {size}: {twice} twice")
    # 1 % of the disk, but at least 8 MiB, come between two flushes; and something is on its way.
    assert twice < 24 * MIB
    run.assert_delivered()


def test_retry_after_a_failure__reads_only_what_is_missing(warm):
    run = warm(readable=True, sizes=(64 * MIB,), seed=201)
    transport = ["--transport", "https", "--cutover", "asap"]
    with TcpProxy(run.sim.url) as proxy:
        faults = {"VMFERRY_FAULTS": "round.finish:1:eio"}
        failed, read = bytes_read(run, proxy, *transport, env=faults)
        failed.failed("warm")
        assert read() > 64 * MIB
        run.assert_undone()
        # Days later, as far as it can tell.
        run.source.load(LOAD)
        wait_until(lambda: run.source.written() > 5, what="the guest's writes")
        done, read = bytes_read(run, proxy, *transport)
        done.good()
        assert read() < 40 * MIB, f"{read()} bytes were read again"
    run.assert_delivered()
    assert json.loads((run.target / STATUS).read_text())["round"] >= 2
