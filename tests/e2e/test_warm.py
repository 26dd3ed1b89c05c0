"""vmferry migrate --warm into a folder: what arrives is what was there when the source went off, by
each transport, and when it does."""

import datetime
import json
import time

import pytest
from harness.cli import wait_until
from harness.disks import MIB
from harness.vddk import servers_started, vddk_options

# A guest that changes less than is copied, but something in each round.
LOAD = 2 * MIB


def in_seconds(seconds):
    """RFC 3339, that many seconds from now."""
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


def by_transport(run, transport, tmp_path):
    if transport != "vddk":
        return ["--transport", transport]
    folder = tmp_path / "vddk"
    folder.mkdir()
    return vddk_options(run.sim, run.source.name, folder, tmp_path)


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
@pytest.mark.parametrize("transport", ["nfc", "https", "vddk"])
def test_guest_that_writes_all_the_time__arrives_as_it_was_shut_down(
    warm, tmp_path, transport, image_format
):
    run = warm(image_format=image_format, readable=transport == "https")
    run.source.load(LOAD)
    run.begin(*by_transport(run, transport, tmp_path))
    status = run.wait_round(4)
    assert status["transport"] == transport
    assert run.source.written() > 20, "the guest wrote too little to prove anything"
    assert run.source.state()["power"] == "on"
    run.cut_over()
    run.assert_delivered()
    assert not run.sim.control("GET", "/state")["sessions"]
    events = run.source.events("snapshot_created", "snapshot_removed", "shutdown_asked")
    assert events.count("snapshot_created") == events.count("snapshot_removed") >= 6
    assert events.count("shutdown_asked") == 1
    if transport == "vddk":
        assert servers_started(tmp_path / "vddk") >= 6


def test_auto__takes_what_can_be_read_and_says_why(warm):
    run = warm(readable=True)
    run.begin("--cutover", "asap").end().good()
    status = run.status()
    assert status["transport"] == "https" and "datastore" in status["transportReason"]
    run.assert_delivered()


def test_auto__falls_back_to_nfc_and_says_why(warm):
    run = warm()
    run.begin()
    status = run.wait_round(0)
    assert status["transport"] == "nfc" and "locked" in status["transportReason"]
    run.command("cancel").good()


def test_transport_that_was_asked_for_and_cannot_be_had__fails_and_says_why(warm):
    run = warm()
    run.begin("--transport", "https").end().failed("https", "Hard disk 1", "locked")
    run.assert_undone()


def test_asap__cuts_over_when_rounds_gain_no_more(warm):
    run = warm()
    run.source.load(LOAD)
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()
    assert run.status()["measuredDowntimeMs"] > 0


def test_budget__cuts_over_when_it_is_met(warm):
    run = warm()
    run.source.load(LOAD)
    run.begin("--max-downtime", "5m").end().good()
    run.assert_delivered()


def test_budget_that_cannot_be_met__goes_on_with_rounds(warm):
    run = warm()
    run.source.load(LOAD)
    run.begin("--max-downtime", "1s")
    status = run.wait_round(3)
    assert status["forecast"]["downtimeMs"] > 1000
    assert run.source.state()["power"] == "on"
    run.cut_over()
    run.assert_delivered()


@pytest.mark.parametrize("asked", ["when it began", "by command"])
def test_time__cuts_over_then_and_not_before(warm, asked):
    run = warm()
    run.source.load(LOAD)
    then = time.time() + 6
    if asked == "by command":
        run.begin()
        run.wait_round(1)
        then = time.time() + 5
        run.command("cutover", "--at", in_seconds(5), "--no-wait").good()
        assert run.process.running()
    else:
        run.begin("--cutover", in_seconds(6))
    run.end().good()
    assert time.time() > then - 2
    journal = run.sim.control("GET", "/journal?vm=warm")
    asked_at = next(e["at"] for e in journal if e["event"] == "shutdown_asked")
    assert datetime.datetime.fromisoformat(asked_at[:19] + "+00:00").timestamp() >= then - 2
    run.assert_delivered()


def test_window__is_waited_for(warm):
    run = warm()
    begin = time.time()
    run.begin("--cutover", f"{in_seconds(5)}/{in_seconds(3600)}", "--max-downtime", "10m")
    run.end().good()
    assert time.time() - begin > 3
    run.assert_delivered()


def test_window_that_is_over__waits_for_the_command(warm):
    run = warm()
    run.begin("--cutover", f"{in_seconds(-7200)}/{in_seconds(-3600)}")
    run.wait_round(1)
    assert run.source.state()["power"] == "on"
    run.cut_over()
    run.assert_delivered()


def test_vm_that_is_off__is_migrated_and_stays_off(warm):
    run = warm(power="off")
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()
    assert not run.source.events("powered_on", "powered_off", "shutdown_asked")


def test_tracking_that_is_off__takes_permission_to_stun(warm):
    run = warm(cbt=False)
    # Preflight would refuse it before there is a folder.
    run.begin("--cutover", "asap", "--check", "none").end().failed("warm", "--allow-stun")
    run.assert_undone()
    assert not run.source.events("snapshot_created")
    run.source.load(LOAD)
    run.begin("--cutover", "asap", "--allow-stun").end().good()
    run.assert_delivered()


def test_snapshots_of_others__stay(warm, tmp_path):
    run = warm(snapshots=["by hand"])
    run.source.load(LOAD)
    run.begin("--cutover", "asap").end().good()
    state = run.source.state()
    assert [s["name"] for s in state["snapshots"]] == ["by hand"]
    run.assert_delivered()


def test_status__in_all_its_forms(warm):
    run = warm()
    run.source.load(LOAD)
    run.begin()
    run.wait_round(2)
    text = run.command("status").good().out
    for word in ("Migration", "Round", "Transport", "Downtime", "warm-disk-0.img", "Hard disk 2"):
        assert word in text, text
    assert "by nobody" not in text
    tree = json.loads(run.command("status", "-o", "json").good().out)
    assert tree["alive"] and tree["round"] >= 2
    assert tree["forecast"]["worstDowntimeMs"] >= tree["forecast"]["downtimeMs"] > 0
    assert len(tree["disks"]) == 2 and tree["copiedBytes"] > 12 * MIB
    run.kill()
    wait_until(lambda: "by nobody" in run.command("status").good().out, what="its end to be seen")
    run.command("cutover").failed("no vmferry works", "--cutover asap")
    run.begin("--cutover", "asap").end().good()
    lines = run.command("status", "--watch", "-o", "json").good().out.splitlines()
    assert len(lines) == 1 and json.loads(lines[0])["phase"] == "done"
    run.command("cutover").good()
    run.command("cancel").failed("nothing to cancel")


def test_progress_json__has_the_status_with_each_phase(warm):
    run = warm()
    run.source.load(LOAD)
    done = run.begin("--cutover", "asap", "--progress", "json").end().good()
    lines = [json.loads(line) for line in done.out.splitlines()]
    phases = [line["status"]["phase"] for line in lines if "status" in line]
    for phase in ("copying", "stopping", "delivering", "cleaning", "done"):
        assert phase in phases, phases
    starts = [line for line in lines if line["event"] == "disk_start"]
    assert len(starts) >= 3 and starts[0]["total_bytes"] == 12 * MIB
    assert lines[-1]["event"] == "result" and lines[-1]["code"] == "ok"


def test_second_migration_into_the_folder__is_refused_while_one_runs(warm):
    run = warm()
    run.begin()
    run.wait_round(0)
    first = run.process
    run.begin().end().failed("another")
    run.process = first
    run.cut_over()
    run.assert_delivered()
    run.begin("--cutover", "asap").end().failed("finished import", "--overwrite")


def test_pauses_between_rounds__leave_the_source_without_snapshots(warm):
    run = warm(options=["--min-interval", "10s"])
    run.source.load(LOAD)
    run.begin()
    run.wait_round(1)
    assert not run.source.own_snapshots()
    run.cut_over()
    run.assert_delivered()
