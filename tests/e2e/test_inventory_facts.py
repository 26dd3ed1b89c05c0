"""What is known of a VM that has everything, and what is not said of one that has nothing."""

import json

import pytest

EVERYTHING = {
    "name": "everything",
    "power": "on",
    "firmware": "efi",
    "vtpm": True,
    "nestedHV": True,
    "cpuHotAdd": True,
    "cpuHotRemove": True,
    "memoryLocked": True,
    "cpuAllocation": {"reservation": 1000, "limit": 4000, "level": "custom", "shares": 1234},
    "memoryAllocation": {"reservation": 512, "level": "high"},
    "cpuAffinity": [0, 2],
    "numaAffinity": "0,1",
    "latency": "high",
    "evcMode": "intel-skylake",
    "faultTolerant": True,
    "connection": "inaccessible",
    "question": "moved or copied?",
    "toolsVersion": "outdated",
    "hostname": "localhost.localdomain",
    "host": "DC0_C0_H1",
    "attributes": {"owner": "web team", "cost": "4711"},
    "cdroms": [{"iso": "[LocalDS_0] iso/a.iso"}, {"kind": "empty", "controller": "sata"}],
    "devices": ["pci", "vgpu", "usb-xhci", "usb", "serial", "parallel", "floppy", "floppy-empty"]
    + ["sound", "nvdimm", "watchdog", "3d"],
    "bootOrder": ["cdrom", "disk:1", "nic:0"],
    "guestDisks": [{"path": "C:\\", "capacity": 1000000, "free": 10, "type": "NTFS"}],
    "dns": ["192.0.2.53"],
    "searchDomains": ["example.org"],
    "nics": [
        {
            "model": "sriov",
            "gateway4": "192.0.2.1",
            "gateway6": "fe80::1",
            "addresses": [
                {"ip": "192.0.2.7", "prefix": 24, "origin": "manual"},
                {"ip": "2001:db8::7", "prefix": 64, "origin": "random"},
                {"ip": "192.0.2.8", "prefix": 24},
            ],
        },
        {"model": "pcnet32", "addresses": []},
    ],
    "disks": [
        {"size": 1 << 20, "rdm": "physical", "rdmDevice": "naa.6001"},
        {"size": 1 << 20, "sharing": "multiwriter", "encrypted": True, "controller": "sata"},
    ],
}
NOTHING = {"name": "nothing", "cdroms": [], "tools": False}


KINDS = {"vcenter": (), "prefix": ("--xsi", "vcsim"), "esxi": ("--esx",)}


@pytest.fixture(scope="module", params=KINDS)
def source(request, start_simulator):
    vms = [dict(EVERYTHING), dict(NOTHING)]
    if request.param == "esxi":
        del vms[0]["host"]
    return request.param, start_simulator("facts", *KINDS[request.param], vms=vms)


@pytest.fixture
def known(vmferry, source):
    result = vmferry("inventory", *source[1].arguments(), "-o", "json").good()
    return {vm["name"]: vm for vm in json.loads(result.out)["vms"]}


def test_machine__what_binds_and_limits_it(known):
    vm = known["everything"]
    assert vm["cpu_allocation"] == {
        "reservation_mhz": 1000,
        "limit_mhz": 4000,
        "level": "custom",
        "shares": 1234,
    }
    assert vm["memory_allocation"] == {"reservation_bytes": 512 << 20, "level": "high", "shares": 40960}
    for flag in ("memory_locked", "cpu_affinity", "numa_affinity", "encrypted", "fault_tolerant"):
        assert vm[flag] is True, flag
    assert (vm["latency"], vm["evc_mode"]) == ("high", "intel-skylake")
    assert vm["cpu_hot_add"] is vm["cpu_hot_remove"] is vm["nested_hv"] is vm["has_vtpm"] is True
    assert vm["host_cpu_mhz"] > 0


def test_place__cluster_and_attributes_are_of_a_vcenter(known, source):
    vm = known["everything"]
    if source[0] == "esxi":
        assert "cluster" not in vm and "attributes" not in vm
        return
    assert (vm["host"], vm["cluster"]) == ("DC0_C0_H1", "DC0_C0")
    assert vm["attributes"] == [
        {"name": "cost", "value": "4711"},
        {"name": "owner", "value": "web team"},
    ]


def test_state__question_connection_and_tools(known):
    vm = known["everything"]
    assert (vm["connection"], vm["question"]) == ("inaccessible", "moved or copied?")
    assert (vm["tools"], vm["tools_outdated"]) == ("running", True)


def test_guest__addresses_routes_dns_and_space(known):
    vm = known["everything"]
    first, second = vm["nics"]
    assert first["addresses"] == [
        {"ip": "192.0.2.7", "prefix_len": 24, "origin": "static"},
        {"ip": "2001:db8::7", "prefix_len": 64, "origin": "auto"},
        {"ip": "192.0.2.8", "prefix_len": 24},
    ]
    assert (first["gateway4"], first["gateway6"]) == ("192.0.2.1", "fe80::1")
    assert "addresses" not in second and "gateway4" not in second
    assert (first["model"], second["model"]) == ("sriov", "pcnet32")
    assert (vm["dns_servers"], vm["dns_search"]) == (["192.0.2.53"], ["example.org"])
    assert vm["guest_disks"] == [{"path": "C:\\", "capacity_bytes": 1000000, "free_bytes": 10}]
    assert vm["guest_hostname"] == "localhost.localdomain"


def test_devices__drives_raw_disks_and_what_has_no_counterpart(known):
    vm = known["everything"]
    assert [(c["bus"], c.get("file")) for c in vm["cdroms"]] == [
        ("sata", None),
        ("ide", "[LocalDS_0] iso/a.iso"),
    ]
    assert sorted(d["kind"] for d in vm["devices"]) == sorted(
        ["3d", "pci-passthrough", "vgpu", "usb-controller", "usb", "serial", "parallel", "floppy"]
        + ["sound", "nvdimm", "watchdog"]
    )
    assert vm["boot_order"] == ["CD-ROM", "Hard disk 2", "Network adapter 1"]
    shared, raw = vm["disks"]
    assert shared["shared"] is shared["encrypted"] is True
    assert raw["rdm"] is raw["rdm_physical"] is True and raw["rdm_device"] == "naa.6001"


def test_nothing__is_said_of_what_is_not_there(known):
    vm = known["nothing"]
    assert vm["tools"] == "not-installed" and vm["connection"] == "good"
    for key in ("question", "cdroms", "devices", "boot_order", "guest_disks", "dns_servers", "attributes"):
        assert key not in vm
    for key in ("numa_affinity", "cpu_affinity", "encrypted", "fault_tolerant", "evc_mode"):
        assert key not in vm
    assert vm["disks"] == vm["nics"] == []
