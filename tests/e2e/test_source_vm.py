"""jobs/migration/source_vm against the simulated vCenter: whatever fails, no snapshot is forgotten
and no VM that was on stays off."""

import time

import pytest
from conftest import vm
from harness.cli import wait_until
from harness.disks import MIB, cached_disk
from harness.driven import Driven

NOTES = "by hand\r\n<web & db>, \"since\" 2019\t\n\n--- vmferry ---\nnot theirs: it has no end\r"
PROGRAM = "jobs.migration.source_vm"


@pytest.fixture(scope="module")
def simulator(start_simulator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source-vm")

    def machine(name, **more):
        disks = [(cached_disk(folder / f"{name}-{i}.raw", MIB, 50 + i), {}) for i in range(2)]
        return vm(name, "/test", disks, **{"power": "on", "cbt": True, **more})

    names = ["life", "lost", "quiesce", "asks", "slow", "hangs", "busy", "crash", "full", "merge"]
    names += ["restart", "moves", "joins"]
    vms = [machine(name) for name in names]
    vms += [
        machine("fresh", cbt=False),
        machine("snapped", cbt=False, snapshots=["by hand"]),
        machine("mute", tools=False),
        machine("noted", notes=NOTES),
        machine("off", power="off", cbt=False),
    ]
    options = ("--task-delay", "20ms", "--shutdown-delay", "300ms")
    return start_simulator("source-vm", *options, vms=vms)


@pytest.fixture
def sim(simulator):
    """The common one, with its faults and counters as new."""
    simulator.clear_faults()
    simulator.control("DELETE", "/calls")
    yield simulator
    simulator.clear_faults()


@pytest.fixture
def open_vm(sim, tmp_path):
    running = []

    def start(name, *arguments):
        running.append(Driven(PROGRAM, sim, tmp_path, name, *arguments))
        return running[-1]

    yield start
    for program in running:
        if program.process.poll() is None:
            program.end()


def state(sim, name):
    return next(v for v in sim.control("GET", "/state")["vms"] if v["name"] == name)


def snapshots(sim, name):
    return [s["name"] for s in state(sim, name)["snapshots"]]


def events(sim, name, *kinds):
    told = sim.control("GET", f"/journal?vm={name}")
    return [e["event"] for e in told if not kinds or e["event"] in kinds]


def asked(sim, method):
    return sim.control("GET", "/calls")["soap"].get(method, 0)


def power(sim, name):
    return state(sim, name)["power"]


POWER = ("powered_on", "powered_off", "shutdown_asked", "guest_shut_down")


def test_whole_life(sim, open_vm):
    source = open_vm("life")
    assert source.good("look")["tracked"]
    source.good("track", "no")
    assert snapshots(sim, "life") == []
    before = source.good("snapshot")
    name = snapshots(sim, "life")[0]
    assert name.startswith("vmferry-warm-2") and before["moref"]
    assert before["frozen"]["power"] == "on" and before["frozen"]["host"]
    sim.guest_write("life", 0, 100_000, 10, 1)
    after = source.good("snapshot")
    seen = source.good("look")
    assert seen["own"] == 2 and seen["others"] == 0
    refused = source("snapshot")
    assert refused["code"] == "conflict" and "vmferry cancel" in refused["hint"]
    assert source.good("frozen")["moref"] == after["moref"] != before["moref"]
    changed = source.good("areas", 0, before["frozen"]["change_ids"][0])
    assert changed["why"] == 0 and changed["total"] == 65536
    source.good("remove")
    assert snapshots(sim, "life") == [] and source.good("frozen").keys() == {"told"}
    source.good("remove")

    source.good("shut_down")
    assert power(sim, "life") == "off"
    source.good("shut_down")
    last = source.good("snapshot")
    assert last["frozen"]["power"] == "off"
    source.good("remove")
    source.good("note", "it went elsewhere")
    source.good("power_on")
    source.good("power_on")
    assert events(sim, "life", *POWER) == ["shutdown_asked", "guest_shut_down", "powered_on"]


def test_whole_life__at_an_esxi_host(start_simulator, tmp_path):
    disk = cached_disk(tmp_path / "esx.raw", MIB, 90)
    machine = vm("esx", "/", [(disk, {})], power="on", cbt=False)
    sim = start_simulator("esx", "--esx", "--task-delay", "20ms", vms=[machine])
    source = Driven(PROGRAM, sim, tmp_path, "esx")
    source.good("track", "stun")
    before = source.good("snapshot")
    source.good("remove")
    sim.guest_write("esx", 0, 0, 10, 1)
    source.good("shut_down")
    source.good("snapshot")
    assert source.good("areas", 0, before["frozen"]["change_ids"][0])["total"] == 65536
    source.good("remove")
    source.good("note", "it went elsewhere")
    source.good("power_on")
    source.end()
    seen = state(sim, "esx")
    assert seen["power"] == "on" and not seen["snapshots"] and "elsewhere" in seen["annotation"]


def test_tracking__is_enabled_only_when_permitted(sim, open_vm):
    source = open_vm("fresh")
    refused = source("track", "no")
    assert refused["code"] == "conflict" and "--allow-stun" in refused["hint"]
    assert asked(sim, "ReconfigVM_Task") == 0 and snapshots(sim, "fresh") == []
    source.good("track", "stun")
    assert source.good("look")["tracked"] and snapshots(sim, "fresh") == []
    source.good("track", "no")
    assert asked(sim, "ReconfigVM_Task") == 1 and asked(sim, "CreateSnapshot_Task") == 1
    assert all(source.good("snapshot")["frozen"]["change_ids"])
    source.good("remove")


def test_tracking__of_a_disk_that_came_later_begins_with_a_round(sim, open_vm):
    source = open_vm("joins")
    sim.control("POST", "/disk-add", {"vm": "joins", "size": MIB})
    assert source.good("look")["tracked"]
    source.good("track", "no")
    assert asked(sim, "ReconfigVM_Task") == 0 and asked(sim, "CreateSnapshot_Task") == 0
    source.good("snapshot")
    source.good("remove")
    ids = source.good("snapshot")["frozen"]["change_ids"]
    assert len(ids) == 3 and all(ids)
    source.good("remove")


def test_tracking__of_a_vm_that_is_off_stuns_nobody(sim, open_vm):
    source = open_vm("off")
    source.good("track", "no")
    assert all(source.good("snapshot")["frozen"]["change_ids"])
    source.good("remove")


def test_tracking__cannot_begin_with_snapshots(sim, open_vm):
    source = open_vm("snapped")
    refused = source("track", "stun")
    assert refused["code"] == "conflict" and "by hand" in refused["message"]
    assert not state(sim, "snapped")["changeTrackingEnabled"]
    # Without tracking the VM can be copied all the same, and its owner's snapshot stays.
    source.good("snapshot")
    assert source.good("look")["others"] == 1
    source.good("remove")
    assert snapshots(sim, "snapped") == ["by hand"]


@pytest.mark.parametrize("how", ["reset", "drop"])
def test_lost_answer__makes_no_second_snapshot(sim, open_vm, how):
    source = open_vm("lost")
    sim.fault("CreateSnapshot_Task", how, executed=True, match="lost")
    source.good("snapshot")
    assert len(snapshots(sim, "lost")) == 1 and asked(sim, "CreateSnapshot_Task") == 1
    sim.fault("RemoveSnapshot_Task", how, executed=True, match="lost")
    source.good("remove")
    assert snapshots(sim, "lost") == []


def test_lost_sessions__are_made_good(sim, open_vm):
    source = open_vm("lost")
    for call in ("look", "snapshot", "remove", "shut_down", "power_on"):
        sim.control("POST", "/expire-sessions", {})
        source.good(call)
    for method in ("ReconfigVM_Task", "WaitForUpdatesEx"):
        sim.fault(method, "not_authenticated")
    source.good("note", "x")
    source.good("note", "-")
    assert power(sim, "lost") == "on" and snapshots(sim, "lost") == []


@pytest.mark.parametrize("mode", ["refuse", "503"])
def test_restarts_of_vcenter__are_survived(sim, open_vm, mode):
    """In the middle of what a host does: its task is lost, and it goes on."""
    source = open_vm("restart")
    methods = ("CreateSnapshot_Task", "RemoveSnapshot_Task", "PowerOnVM_Task")
    sim.control("POST", "/options", {"task_delay_ms": dict.fromkeys(methods, 1500)})
    for call, method in zip(("snapshot", "remove", "power_on"), methods):
        if call == "power_on":
            source.good("shut_down")
        source.send(call)
        wait_until(lambda: state(sim, "restart")["busy"], 20, "the task")
        sim.control("POST", "/restart", {"seconds": 1, "mode": mode})
        answer = source.answer()
        assert "code" not in answer, answer
        assert asked(sim, method) <= 2
        assert len(snapshots(sim, "restart")) == (1 if call == "snapshot" else 0)
    assert power(sim, "restart") == "on"
    sim.control("POST", "/options", {"task_delay_ms": dict.fromkeys(methods, 20)})


def test_cleanup__is_tried_for_longer_than_a_call(sim, open_vm):
    source = open_vm("restart")
    source.good("snapshot")
    sim.control("POST", "/restart", {"seconds": 18, "mode": "refuse"})
    told = source.good("remove")["told"]
    assert "trying again" in told and snapshots(sim, "restart") == []


def test_moved_and_renamed_vm__is_the_same(sim, open_vm):
    source = open_vm("moves")
    before = source.good("snapshot")
    source.good("remove")
    sim.control("POST", "/vmotion", {"vm": "moves", "datastore": "nfs tier 2"})
    sim.control("POST", "/rename", {"vm": "moves", "name": "moved"})
    seen = source.good("look")
    assert seen["name"] == "moved" and seen["host"] != before["frozen"]["host"]
    assert "was called" in seen["told"]
    after = source.good("snapshot")
    assert after["frozen"]["host"] == seen["host"]
    answer = source.good("areas", 0, before["frozen"]["change_ids"][0])
    assert answer["why"] == 0 and answer["total"] == 0
    source.good("remove")
    assert snapshots(sim, "moved") == []


def test_quiescing__that_fails_is_told_once_and_not_tried_again(sim, open_vm):
    source = open_vm("quiesce")
    sim.fault("", "quiesce_fault", count=-1, match="quiesce")
    first = source.good("snapshot")
    assert first["told"].count("warning") == 1 and "crash-consistent" in first["told"]
    source.good("remove")
    assert asked(sim, "CreateSnapshot_Task") == 2
    again = source.good("snapshot")
    assert "warning" not in again["told"] and asked(sim, "CreateSnapshot_Task") == 3
    source.good("remove")


def test_question__is_told_and_waited_for(sim, open_vm):
    source = open_vm("asks", 2500)
    sim.control("POST", "/question", {"vm": "asks", "text": "The disk is full.\nRetry?"})
    refused = source("shut_down")
    assert refused["code"] == "conflict" and "The disk is full. Retry?" in refused["message"]
    assert "warning asks: the VM waits for an answer" in refused["told"]
    assert "console" in refused["hint"]
    sim.control("POST", "/question", {"vm": "asks", "text": ""})
    source.good("shut_down")
    assert power(sim, "asks") == "off"
    source.good("power_on")


def test_cancelled_shutdown__is_undone_once_the_guest_is_down(sim, open_vm):
    source = open_vm("slow")
    sim.fault("", "shutdown_hang", seconds=3, match="slow")
    source.good("cancel", 500)
    began = time.monotonic()
    assert source("shut_down")["code"] == "cancelled"
    assert time.monotonic() - began < 20 and power(sim, "slow") == "on"
    source.good("power_on")
    assert power(sim, "slow") == "on"
    assert events(sim, "slow", *POWER) == ["shutdown_asked", "guest_shut_down", "powered_on"]


def test_killed_in_a_shutdown__the_next_run_waits_for_the_guest(sim, open_vm):
    sim.control("DELETE", "/journal")
    sim.fault("", "shutdown_hang", seconds=3, match="slow")
    source = open_vm("slow")
    source.send("shut_down")
    wait_until(lambda: events(sim, "slow", "shutdown_asked"), 20, "the question to the guest")
    source.kill()
    open_vm("slow").good("power_on")
    assert events(sim, "slow", *POWER) == ["shutdown_asked", "guest_shut_down", "powered_on"]


def test_hanging_guest__is_a_conflict_or_powered_off(sim, open_vm):
    sim.fault("", "shutdown_hang", count=-1, match="hangs")
    refused = open_vm("hangs", 1500)("shut_down")
    assert refused["code"] == "conflict" and "1 s" in refused["message"]
    assert "--hard-power-off" in refused["hint"] and power(sim, "hangs") == "on"
    done = open_vm("hangs", "hard", 1500).good("shut_down")
    assert "warning hangs: powering the VM off hard" in done["told"]
    assert events(sim, "hangs", "powered_off") and power(sim, "hangs") == "off"


def test_guest_without_tools__cannot_be_asked(sim, open_vm):
    refused = open_vm("mute")("shut_down")
    assert refused["code"] == "unsupported" and "tools" in refused["message"]
    assert power(sim, "mute") == "on"
    open_vm("mute", "hard").good("shut_down")
    assert power(sim, "mute") == "off"


def test_busy_vm__is_waited_for(sim, open_vm):
    source = open_vm("busy")
    for method in ("CreateSnapshot_Task", "RemoveSnapshot_Task", "PowerOnVM_Task"):
        sim.fault(method, "task_error", fault="TaskInProgress", match="busy")
    source.good("snapshot")
    source.good("remove")
    source.good("shut_down")
    source.good("cancel", 0)
    source.good("power_on")
    assert asked(sim, "PowerOnVM_Task") == 2 and power(sim, "busy") == "on"


def test_lost_answers_of_power_calls__do_no_harm(sim, open_vm):
    source = open_vm("busy")
    for method in ("ShutdownGuest", "PowerOnVM_Task"):
        sim.fault(method, "reset", executed=True, match="busy")
    source.good("shut_down")
    assert power(sim, "busy") == "off"
    source.good("power_on")
    assert power(sim, "busy") == "on"


def test_power_on__that_is_refused_says_what_to_do(sim, open_vm):
    source = open_vm("full")
    source.good("shut_down")
    sim.fault("PowerOnVM_Task", "task_error", fault="InsufficientResourcesFault", match="full")
    failed = source("power_on")
    assert failed["code"] == "space" and "power it on in vSphere" in failed["hint"]
    source.good("power_on")


def test_snapshots_of_killed_runs__are_adopted_and_removed(sim, open_vm, tmp_path):
    first = open_vm("crash")
    old = first.good("snapshot")
    first.kill()
    by_hand = Driven("importer.vsphere.cbt", sim, tmp_path)
    # One on top of ours, and one that is only named like ours.
    by_hand.good("snapshot", by_hand.morefs["crash"], "by hand")
    by_hand.good("snapshot", by_hand.morefs["crash"], "vmferry-warm-copied")
    by_hand.end()

    source = open_vm("crash")
    seen = source.good("look")
    assert seen["own"] == 1 and seen["others"] == 2
    assert source("adopt", "snapshot-nowhere")["code"] == "missing"
    taken = source.good("adopt", old["moref"])
    assert taken["moref"] == old["moref"]
    assert taken["frozen"]["change_ids"] == old["frozen"]["change_ids"]
    new = source.good("snapshot")
    assert source.good("areas", 0, old["frozen"]["change_ids"][0])["why"] == 0
    source.good("remove")
    assert snapshots(sim, "crash") == ["by hand", "vmferry-warm-copied"]
    assert source("adopt", new["moref"])["code"] == "missing"


def test_removal__that_fails_names_what_is_left(sim, open_vm):
    source = open_vm("merge")
    moref = source.good("snapshot")["moref"]
    sim.fault("RemoveSnapshot_Task", "task_error", fault="FileLocked", match="merge")
    failed = source("remove")
    assert failed["code"] == "conflict" and moref in failed["message"]
    assert snapshots(sim, "merge")[0] in failed["message"] and "remove" in failed["hint"]
    assert source.good("frozen")["moref"] == moref
    source.good("remove")
    assert snapshots(sim, "merge") == []


def test_removal__that_does_not_merge_is_followed_by_a_consolidation(sim, open_vm):
    source = open_vm("merge")
    source.good("snapshot")
    sim.fault("", "consolidation_needed", match="merge")
    told = source.good("remove")["told"]
    assert "consolidating" in told and asked(sim, "ConsolidateVMDisks_Task") == 1
    assert not state(sim, "merge")["consolidationNeeded"]
    source.good("snapshot")
    sim.fault("", "consolidation_needed", match="merge")
    sim.fault("ConsolidateVMDisks_Task", "task_error", fault="FileLocked", match="merge")
    assert "may need consolidation" in source.good("remove")["told"]


def test_note__leaves_what_people_wrote(sim, open_vm):
    source = open_vm("noted")

    def notes():
        return state(sim, "noted")["annotation"]

    assert notes() == NOTES
    source.good("note", "moved to <kube> & co.|Do not power on.")
    assert notes().endswith(NOTES) and "moved to <kube> & co.\nDo not power on.\n" in notes()
    first = notes()
    source.good("note", "moved to <kube> & co.|Do not power on.")
    assert notes() == first and asked(sim, "ReconfigVM_Task") == 1
    # Somebody was faster: the notes are read again.
    sim.fault("ReconfigVM_Task", "task_error", fault="ConcurrentAccess", match="noted")
    source.good("note", "moved on")
    assert notes().count("--- end of") == 1 and "moved on" in notes()
    source.good("note", "-")
    assert notes() == NOTES
    empty = open_vm("lost")
    empty.good("note", "here")
    assert "here" in state(sim, "lost")["annotation"]
    empty.good("note", "-")
    assert state(sim, "lost")["annotation"] == ""
