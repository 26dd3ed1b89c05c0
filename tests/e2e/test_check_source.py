"""What vmferry check finds of the source and of the path to it, on a vCenter that is not well; and
that probing leaves nothing behind."""

import json
import signal

import pytest
from conftest import left_over, vm
from harness.cli import wait_until
from harness.disks import MIB, cached_disk
from harness.vddk import vddk_options


def vms(folder):
    def disk(name, seed):
        return cached_disk(folder / f"{name}.raw", 24 * MIB, seed, 0.6), {}

    return [
        vm("off", "/prod", [disk("off-0", 71)]),
        vm("on", "/prod", [disk("on-0", 72)], power="on", cbt=True, datastore="nfs tier 2"),
    ]


@pytest.fixture(scope="module")
def shared(start_simulator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ill")
    return start_simulator("ill", "--task-delay", "50ms", vms=vms(folder))


HOSTS = ["DC0_H0", "DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2"]


@pytest.fixture
def source(shared):
    """A vCenter that is well; it is made so again after each test."""
    shared.control("DELETE", "/journal")
    yield shared
    shared.clear_faults()
    found = left_over(shared)
    for name in ("on", "off", "nfs tier 2"):
        shared.control("POST", "/privileges", {"object": name, "lacks": []})
    for host in HOSTS:
        well = {"host": host, "maintenance": False, "connection": "connected"}
        shared.control("POST", "/host", well)
    shared.control("POST", "/cluster", {"cluster": "DC0_C0", "ha": False, "dpm": False})
    well = {"free": 3 << 40, "capacity": 4 << 40, "maintenance": False, "accessible": True}
    shared.control("POST", "/datastore", {"datastore": "nfs tier 2", **well})
    shared.control("POST", "/options", {"clock_skew_ms": 0, "folder_locked": True})
    assert not found


@pytest.fixture
def check(vmferry, source):
    """check(ARGUMENT...): all findings by ID, each a list of ("SEVERITY", "OBJECT: MESSAGE")."""

    def run(*arguments, status=(0, 2)):
        result = vmferry("check", *source.arguments(), "-o", "json", *arguments)
        assert result.status in status, result
        tree = json.loads(result.out)
        found = {}
        for finding in [*tree["findings"], *(f for m in tree["vms"] for f in m["findings"])]:
            text = f"{finding.get('object', '')}: {finding['message']}"
            found.setdefault(finding["id"], []).append((finding["severity"], text))
        return found

    return run


def one(found, rule):
    assert rule in found, sorted(found)
    assert len(found[rule]) == 1, found[rule]
    return found[rule][0]


def events(source, name):
    return [e["event"] for e in source.control("GET", f"/journal?vm={name}")]


# --- the path ----------------------------------------------------------------------------------


def test_light_probe__measures_an_export_and_ends_it(source, check):
    found = check("off")
    severity, text = one(found, "copy.duration")
    assert severity == "information" and "by nfc" in text and "as measured" in text
    assert not [rule for rule in found if rule.startswith(("host.", "nfc.", "path."))], found
    assert events(source, "off") == ["lease_opened", "lease_error"]


def test_light_probe__of_a_running_vm_tries_names_and_files_alone(source, check):
    found = check("on", "--warm")
    severity, text = one(found, "host.name-unresolved")
    assert severity == "warning" and "only the name" in text
    severity, text = one(found, "https.refused")
    assert severity == "information" and "locked" in text and "nfs tier 2" in text
    assert events(source, "on") == []


def test_light_probe__reads_what_the_datastore_lets_be_read(source, check):
    source.control("POST", "/options", {"folder_locked": False})
    found = check("on", "--warm")
    assert "https.refused" not in found
    _, text = one(found, "copy.duration")
    assert "by https" in text and "as measured" in text


def test_no_probe__asks_only_for_facts(source, check):
    source.control("DELETE", "/calls")
    found = check("off", "on", "--warm", "--probe", "none")
    calls = source.control("GET", "/calls")
    assert not [what for what in calls["http"] if "/folder" in what or "/nfc" in what]
    assert calls["soap"]["Login"] == 1 and "ExportVm" not in calls["soap"]
    assert "usual rate" in found["copy.duration"][0][1]


def test_full_probe__takes_a_snapshot_reads_it_and_removes_it(source, check):
    found = check("on", "--warm", "--probe", "full")
    assert events(source, "on") == [
        *("snapshot_created", "lease_opened", "lease_error", "snapshot_removed")
    ]
    assert "host.name-unresolved" not in found  # the export's URL named another address
    assert one(found, "https.refused")[0] == "information"
    assert "by nfc" in one(found, "copy.duration")[1]


def test_full_probe__that_is_cancelled_removes_its_snapshot(source, start):
    source.fault("nfc", "stall", after_bytes=0)
    process = start("check", *source.arguments(), "on", "--warm", "--probe", "full")
    wait_until(lambda: "lease_opened" in events(source, "on"), 60, "the export")
    process.signal(signal.SIGINT)
    assert process.wait(60).status != 0
    assert "snapshot_removed" in events(source, "on")


def test_probe__of_a_library_that_reads(source, check, tmp_path):
    options = vddk_options(source, "off", tmp_path, tmp_path)
    found = check("off", "--warm", *options)
    assert "vddk.refused" not in found and "path.not-tried" not in found, found


def test_probe__of_a_library_that_is_none(check, tmp_path):
    found = check("off", "--warm", "--vddk-libdir", tmp_path)
    severity, text = one(found, "vddk.refused")
    assert severity == "warning"
    assert "by https" in one(found, "copy.duration")[1]


def test_probe__of_a_library_has_nothing_to_read_of_a_running_vm(check, tmp_path):
    found = check("on", "--warm", "--vddk-libdir", tmp_path)
    assert any("only a snapshot" in text for _, text in found["path.not-tried"])


def test_export_that_is_refused__leaves_no_transport_to_a_cold_copy(source, check):
    source.fault("ExportVm", "fault", fault="RestrictedVersion", count=-1)
    found = check("off", status=(2,))
    assert one(found, "nfc.refused")[0] == "warning"
    severity, _ = one(found, "path.no-transport")
    assert severity == "critical"
    assert "path.no-transport" not in check("off", "--warm")  # https is left


# --- the source --------------------------------------------------------------------------------


def test_privileges_that_are_missing__are_told_by_name_and_place(source, check):
    assert not [rule for rule in check("off", "on", "--warm") if rule.startswith("account.")]
    lacks = {
        "on": ["VirtualMachine.State.CreateSnapshot", "VirtualMachine.Interact.PowerOn"],
        "nfs tier 2": ["Datastore.Browse"],
    }
    for name, privileges in lacks.items():
        source.control("POST", "/privileges", {"object": name, "lacks": privileges})
    found = check("off", "on", "--warm", status=(2,))
    severity, text = one(found, "account.privilege")
    assert severity == "critical" and "CreateSnapshot" in text
    assert "PowerOn" in one(found, "account.privilege-useful")[1]
    severity, text = one(found, "account.privilege-transport")
    assert severity == "information" and 'Datastore.Browse on datastore "nfs tier 2"' in text


def test_hosts_and_clusters__that_are_not_well(source, check):
    for host in HOSTS:
        source.control("POST", "/host", {"host": host, "maintenance": True})
    source.control("POST", "/cluster", {"cluster": "DC0_C0", "ha": True, "dpm": True})
    found = check("off", "on", "--warm", "--probe", "none")
    assert len(found["host.maintenance"]) == 2
    assert {severity for severity, _ in found["host.maintenance"]} == {"warning"}
    for rule in found:
        if rule.startswith("cluster."):
            assert "DC0_C0" in one(found, rule)[1]
    assert {"cluster.drs", "cluster.ha"} & found.keys()
    for host in HOSTS:
        source.control("POST", "/host", {"host": host, "connection": "notResponding"})
    found = check("off", "on", "--probe", "light", status=(2,))
    assert len(found["host.disconnected"]) == 2


def test_datastores__that_are_not_well(source, check):
    ill = {"datastore": "nfs tier 2", "free": 9 << 30, "capacity": 100 << 30, "maintenance": True}
    source.control("POST", "/datastore", ill)
    found = check("off", "on", "--probe", "none")
    assert "9.0 GiB of 100 GiB are free" in one(found, "datastore.space")[1]
    assert "nfs tier 2" in one(found, "datastore.maintenance")[1]
    source.control("POST", "/datastore", {"datastore": "nfs tier 2", "accessible": False})
    found = check("off", "on", "--probe", "none", status=(2,))
    assert one(found, "datastore.inaccessible")[0] == "critical"


def test_clock__that_is_wrong(source, check):
    assert "source.clock-skew" not in check("off", "--probe", "none")
    source.control("POST", "/options", {"clock_skew_ms": 3600000})
    severity, text = one(check("off", "--probe", "none"), "source.clock-skew")
    assert severity == "warning" and "ahead of" in text


def test_what_may_not_be_read__is_told_and_the_rest_is_judged(source, check):
    source.fault("HasUserPrivilegeOnEntities", "fault", fault="NoPermission", count=-1)
    source.control("POST", "/options", {"clock_skew_ms": 3600000})
    found = check("off", "--probe", "none")
    assert "privileges" in one(found, "source.unreadable")[1]
    assert "source.clock-skew" in found


def test_bare_host__is_told_and_judged_without_privileges(start_simulator, vmferry, tmp_path):
    simulator = start_simulator("bare", "--esx", vms=vms(tmp_path)[:1])
    result = vmferry("check", *simulator.arguments(), "-o", "json", "off")
    found = {f["id"]: f for f in json.loads(result.out)["findings"]}
    assert found["source.esxi"]["severity"] == "information"
    assert "source.unreadable" not in found
    assert not left_over(simulator)
    simulator.stop()
