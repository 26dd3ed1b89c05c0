"""Facts of VMs as vSphere tells them, and the rules that they trip: each from the property collector
through the model to its finding. What a rule does with a fact is the unit tests' to say."""

import itertools
import json

import pytest
from harness.disks import MIB

number = itertools.count()
looked = {}


def vm(*disks, **more):
    """On, tracked, with tools, and nothing to be said against it."""
    n = next(number)
    return {
        "power": "on",
        "guestId": "debian12_64Guest",
        "cbt": True,
        "hostname": f"guest{n}",
        "disks": [{"size": 4 * MIB, **disk} for disk in disks or [{}]],
        "nics": [{"mac": f"00:50:56:22:33:{n:02x}"}],
        "cdroms": [],
        "guestDisks": [],
        **more,
    }


OFF = {"power": "off"}
SMALL = {"path": "/boot", "capacity": 500 * MIB, "free": 20 * MIB, "type": "ext4"}

# What it is, and which rules it trips beside those of every VM.
CASES = {
    "clean": (vm(), set()),
    "clean-off": (vm(**OFF), set()),
    "disconnected": (vm(connection="disconnected"), {"vm.disconnected"}),
    "orphaned": (vm(**OFF, connection="orphaned"), {"vm.orphaned"}),
    "inaccessible": (vm(**OFF, connection="inaccessible"), {"vm.inaccessible"}),
    "invalid": (vm(**OFF, connection="invalid"), {"vm.invalid"}),
    "suspended": (vm(power="suspended"), {"vm.suspended"}),
    "asks": (vm(question="moved or copied?"), {"vm.question"}),
    "template": (vm(**OFF, template=True), {"vm.template"}),
    "encrypted": (vm(**OFF, encrypted=True), {"vm.encrypted"}),
    "tolerant": (vm(faultTolerant=True), {"vm.fault-tolerance"}),
    "no-disks": (vm(**OFF, disks=[]), {"vm.disks-none"}),
    "secure-boot": (vm(firmware="efi", secureBoot=True), {"vm.secure-boot", "vm.efi-variables"}),
    "Odd Name": (vm(), {"vm.name-changed"}),
    "consolidate": (vm(consolidationNeeded=True), {"snapshot.consolidation"}),
    "snapshots": (vm(snapshots=["a", "b", "c", "d"]), {"snapshot.chain", "vm.snapshots"}),
    "leftover": (vm(snapshots=["vmferry-import-1"]), {"snapshot.leftover", "vm.snapshots"}),
    "passthrough": (vm(devices=["pci"]), {"snapshot.passthrough", "device.pci-passthrough"}),
    "no-tools": (vm(tools=False), {"tools.missing"}),
    "tools-stopped": (vm(toolsRunning=False), {"tools.stopped"}),
    "tools-old": (vm(toolsVersion="outdated"), {"tools.outdated"}),
    "affinity": (vm(cpuAffinity=[0, 2], cpus=2), {"cpu.affinity"}),
    "numa": (vm(numaAffinity="0,1"), {"cpu.numa-affinity"}),
    "latency": (vm(latency="high"), {"cpu.latency"}),
    "hot-plug": (vm(cpuHotAdd=True, memoryHotAdd=True), {"cpu.hot-plug", "memory.hot-plug"}),
    "evc": (vm(evcMode="intel-skylake"), {"cpu.evc"}),
    "topology": (vm(cpus=6, coresPerSocket=4), {"cpu.topology"}),
    "memory-odd": (vm(memoryMB=1025), {"memory.odd"}),
    "reserved": (
        vm(cpuAllocation={"reservation": 500}, memoryAllocation={"reservation": 16}),
        {"vm.cpu-reservation", "vm.memory-reservation"},
    ),
    "independent": (vm({}, {"mode": "independent_persistent"}), {"disk.independent"}),
    "volatile": (
        vm({}, {"mode": "independent_nonpersistent"}, **OFF),
        {"disk.not-persistent"},
    ),
    "rdm": (vm({}, {"rdm": "virtual"}, **OFF), {"disk.rdm-undecided", "disk.rdm"}),
    "multi-writer": (
        vm({}, {"sharing": "multiwriter"}),
        {"disk.shared-snapshot", "disk.shared"},
    ),
    "shared-bus": (
        vm({"controller": "lsilogic", "sharedBus": "physical"}, **OFF),
        {"disk.shared"},
    ),
    "encrypted-disk": (vm({"encrypted": True}, **OFF), {"disk.encrypted"}),
    "no-datastore": (vm({}, {"noDatastore": True}, **OFF), {"disk.no-datastore"}),
    "boot-full": (vm(guestDisks=[SMALL]), {"guest.free-space"}),
    "netware": (vm(guestId="netware6Guest"), {"guest.os-unsupported"}),
    "other": (vm(guestId="otherGuest64"), {"guest.os-unknown"}),
    "old32": (vm(guestId="debian10Guest"), {"guest.32-bit"}),
    "localhost": (vm(hostname="localhost.localdomain"), {"guest.hostname"}),
    "sriov": (
        vm(**OFF, nics=[{"mac": "00:50:56:44:00:01", "model": "sriov"}]),
        {"nic.sriov"},
    ),
    "nic-down": (
        vm(nics=[{"mac": "00:50:56:44:00:02", "connected": False}]),
        {"nic.disconnected"},
    ),
    "no-nic": (vm(nics=[]), {"nic.none"}),
    "nested": (vm(nestedHV=True), {"vm.nested"}),
    "vtpm": (
        vm(**OFF, firmware="efi", vtpm=True),
        {"vm.tpm", "vm.encrypted", "vm.efi-variables"},
    ),
    "iso": (vm(cdroms=[{"iso": "[LocalDS_0] iso/x.iso"}]), {"cdrom.iso-lost"}),
}

# Warm alone: what rounds need, which a copy of one moment does not.
WARM = {
    "hardware-4": (vm(hardware="vmx-04", cbt=False), {"cbt.unsupported"}),
    "untracked": (vm(cbt=False), {"cbt.off"}),
    "untracked-snapshot": (vm(cbt=False, snapshots=["a"]), {"cbt.off", "cbt.snapshots"}),
    "tracked": (vm(), set()),
}


def machines(cases):
    return [{"name": name, **spec} for name, (spec, _) in cases.items()]


@pytest.fixture(scope="module")
def fleet(start_simulator):
    return start_simulator("rules", vms=machines(CASES) + machines(WARM))


@pytest.fixture
def judged(vmferry, fleet):
    """judged(ARGUMENT...): IDs of findings of the VM and of its mapping, by VM; of one look for all
    tests that ask alike."""

    def run(*arguments):
        if arguments not in looked:
            result = vmferry(
                "check", *fleet.arguments(), "--probe", "none", "-o", "json", *arguments
            )
            assert result.status in (0, 2), result
            looked[arguments] = {
                one["name"]: {f["id"] for f in one["findings"] if f["area"] in ("VM", "mapping")}
                for one in json.loads(result.out)["vms"]
            }
        return looked[arguments]

    return run


@pytest.mark.parametrize("name", CASES)
def test_fact__trips_its_rules_and_no_others(judged, name):
    cold = judged()
    assert cold[name] - cold["clean"] == CASES[name][1]


def test_clean_vm__trips_no_rule_of_the_vm(judged):
    assert judged()["clean"] <= {"disk.used-unknown"}


@pytest.mark.parametrize("name", WARM)
def test_warm__needs_tracking(judged, name):
    tracking = {one for one in judged("--warm")[name] if one.startswith("cbt.")}
    assert tracking == WARM[name][1]


def test_mapping__decides(judged):
    decided = judged("--rdm", "copy", "--name", "rdm")
    assert "disk.rdm-undecided" not in decided["rdm"]
    skipped = judged("--disk", "1:skip", "--name", "independent")
    assert "disk.independent" not in skipped["independent"]
