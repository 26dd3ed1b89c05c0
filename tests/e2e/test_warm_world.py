"""vmferry migrate --warm while the world around it changes: disks that come and go, tracking that is
lost, a vCenter that is away. What arrives is right all the same, or it is refused."""

import pytest
from harness.cli import wait_until
from harness.disks import MIB, assert_same_disk

LOAD = 2 * MIB


def begin(warm, **keys):
    """Some rounds under load are over."""
    run = warm(**keys)
    run.source.load(LOAD)
    run.begin()
    run.wait_round(1)
    return run


def reconfigure(run, request, **body):
    """What is refused under a snapshot or a task, as there is one most of the time."""

    def attempt():
        try:
            run.sim.control("POST", request, {"vm": "warm", **body})
            return True
        except OSError:
            return False

    wait_until(attempt, 60, "a moment without a snapshot")


def test_disk_that_is_added__is_copied_in_full(warm, tmp_path):
    run = begin(warm)
    extra = tmp_path / "extra.raw"
    extra.write_bytes(b"added" * (MIB // 5) + bytes(MIB - 5 * (MIB // 5)))
    reconfigure(run, "/disk-add", path=str(extra))
    run.source.load(LOAD, disks=[0, 1, 2])
    run.wait_round(run.status()["round"] + 1)
    wait_until(lambda: len(run.status()["disks"]) == 3, 60, "the third disk")
    run.cut_over()
    assert len(run.images()) == 3
    run.assert_delivered()


def test_disk_that_is_removed__is_left_out(warm):
    run = begin(warm)
    run.source.load(0)
    reconfigure(run, "/disk-remove", disk=1)
    run.source.load(LOAD, disks=[0])
    run.wait_round(run.status()["round"] + 1)
    run.command("cutover").good()
    ended = run.end().good()
    assert "Hard disk 2" in ended.err
    assert len(run.images()) == 1
    run.assert_delivered()


@pytest.mark.parametrize("image_format, reset", [("raw", True), ("qcow2", False)])
def test_disk_that_grows__has_its_new_size(warm, image_format, reset):
    run = begin(warm, image_format=image_format)
    reconfigure(run, "/disk-grow", disk=1, size=6 * MIB, cbt_reset=reset)
    run.source.load(LOAD, seed=2)
    run.wait_round(run.status()["round"] + 2)
    run.cut_over()
    run.assert_delivered()


def test_tracking_that_is_reset__is_noticed_and_copied_in_full(warm):
    run = begin(warm)
    run.sim.control("POST", "/cbt-reset", {"vm": "warm"})
    run.wait_round(run.status()["round"] + 2)
    run.command("cutover").good()
    ended = run.end().good()
    assert "in full" in ended.err, ended
    run.assert_delivered()


def test_vmotion_and_a_new_name__change_nothing(warm):
    run = begin(warm)
    run.sim.control("POST", "/vmotion", {"vm": "warm"})
    run.sim.control("POST", "/rename", {"vm": "warm", "name": "moved"})
    run.source.name = "moved"
    run.wait_round(run.status()["round"] + 1)
    run.command("cutover").good()
    run.end().good()
    run.source.name = "warm"
    images = run.images()
    run.source.name = "moved"
    run.source.assert_clean("off", note=True)
    for image, disk in zip(images, run.source.disks()):
        assert_same_disk(image, "raw", disk)


def test_sessions_that_are_lost__are_made_anew(warm):
    run = begin(warm)
    for _ in range(2):
        run.sim.control("POST", "/expire-sessions")
        run.wait_round(run.status()["round"] + 1)
    run.cut_over()
    run.assert_delivered()


@pytest.mark.parametrize("mode, transport", [("refuse", "https"), ("503", "nfc")])
def test_vcenter_that_restarts__is_waited_for(warm, mode, transport):
    run = warm(readable=transport == "https")
    run.source.load(LOAD)
    run.begin("--transport", transport)
    run.wait_round(1)
    run.sim.control("POST", "/restart", {"seconds": 3, "mode": mode})
    run.wait_round(run.status()["round"] + 2, timeout=120)
    run.cut_over()
    run.assert_delivered()


TROUBLE = {
    "https": [
        ("folder", "reset", {"count": 5}),
        ("folder", "http503", {"count": 5}),
        ("folder", "truncate", {"count": 5}),
        ("folder", "not_authenticated", {"count": 2}),
        ("QueryChangedDiskAreas", "http503", {"count": 2}),
    ],
    "nfc": [
        ("nfc", "reset", {"count": 2, "after_bytes": MIB}),
        ("nfc", "lease_timeout", {"count": 1, "after_bytes": MIB}),
        ("CreateSnapshot_Task", "reset", {"count": 1, "executed": True}),
        ("RemoveSnapshot_Task", "reset", {"count": 1, "executed": True}),
        ("RemoveSnapshot_Task", "consolidation_needed", {"count": 1}),
    ],
}


@pytest.mark.parametrize("transport", TROUBLE)
def test_passing_trouble__costs_time_and_no_bytes(warm, transport):
    run = warm(readable=transport == "https")
    run.source.load(LOAD)
    run.begin("--transport", transport)
    run.wait_round(1)
    for target, kind, more in TROUBLE[transport]:
        run.sim.fault(target, kind, **more)
        before = run.status()["round"]
        wait_until(lambda: run.sim.control("GET", "/faults")[-1]["hits"], 60, f"{target} {kind}")
        run.wait_round(before + 1, timeout=120)
    run.cut_over()
    run.assert_delivered()


@pytest.mark.parametrize("kind", ["truncate", "bitflip"])
def test_damaged_stream__is_never_taken_for_the_disk(warm, kind):
    run = begin(warm)
    run.sim.fault("nfc", kind, count=1, after_bytes=MIB)
    wait_until(lambda: run.sim.control("GET", "/faults")[0]["hits"], 60, "the damage")
    if run.process.running():
        run.command("cutover")
    if run.end().status != 0:
        run.assert_undone()
        run.begin("--cutover", "asap").end().good()
    run.assert_delivered()


def test_datastore_that_is_locked_meanwhile__is_read_another_way(warm):
    run = begin(warm, readable=True)
    assert run.status()["transport"] == "https"
    run.sim.control("POST", "/options", {"folder_locked": True})
    wait_until(lambda: run.status()["transport"] == "nfc", 60, "another transport")
    run.wait_round(run.status()["round"] + 1)
    run.cut_over()
    run.assert_delivered()


def test_disk_that_grew_while_nobody_looked__is_copied_in_full(warm):
    run = begin(warm)
    assert run.stop().status == 143
    reconfigure(run, "/disk-grow", disk=0, size=16 * MIB)
    ended = run.begin("--cutover", "asap").end().good()
    assert "in full" in ended.err, ended
    run.assert_delivered()


def test_query_that_stays_refused__leads_to_a_full_copy(warm):
    run = begin(warm)
    run.sim.fault("QueryChangedDiskAreas", "fault", count=-1, fault="FileFault")
    wait_until(lambda: "in full" in run.process.err_so_far(), 60, "a full copy")
    run.command("cutover").good()
    ended = run.end().good()
    assert "in full" in ended.err, ended
    run.assert_delivered()


def test_server_that_stays_down__fails_and_goes_on_later(warm):
    run = begin(warm)
    run.sim.fault("CreateSnapshot_Task", "task_error", count=-1, fault="FileFault")
    run.end().failed("warm", "snapshot")
    run.assert_undone()
    run.sim.clear_faults()
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()


def test_tracking_that_was_reset_meanwhile__is_noticed_by_the_next_run(warm):
    run = begin(warm)
    assert run.stop().status == 143
    run.sim.control("POST", "/cbt-reset", {"vm": "warm"})
    ended = run.begin("--cutover", "asap").end().good()
    assert "in full" in ended.err, ended
    run.assert_delivered()


def test_leftover_snapshots_of_a_killed_run__are_removed(warm):
    run = begin(warm, readable=True)
    wait_until(lambda: run.source.own_snapshots(), 60, "a snapshot")
    run.kill()
    run.begin("--cutover", "asap").end().good()
    run.assert_delivered()
