"""vmferry import --vm: what arrives is what was there, and the source is as it was."""

import json

import pytest
import yaml

from harness.cli import wait_until
from harness.disks import (
    MIB,
    allocated_bytes,
    assert_clean_image,
    assert_same_disk,
    differ,
    virtual_size,
)


def images(target, image_format="raw"):
    """The disk images of a target, in order; nothing else but record and manifests is there."""
    suffix = {"raw": ".img", "qcow2": ".qcow2"}[image_format]
    names = sorted(p.name for p in target.iterdir())
    disks = [name for name in names if name.endswith(suffix)]
    assert sorted([*disks, "vmferry.json", "manifests.yaml"]) == names
    stem = disks[0].rsplit("-disk-0", 1)[0]
    assert disks == [f"{stem}-disk-{n}{suffix}" for n in range(len(disks))]
    return [target / name for name in disks]


def documents(target, kind):
    found = yaml.safe_load_all((target / "manifests.yaml").read_text())
    return [document for document in found if document["kind"] == kind]


def calls(sim):
    return sim.control("GET", "/calls")["soap"]


def import_vm(vmferry, sim, name, target, *more, **keys):
    return vmferry(
        "import", *sim.arguments(), "--vm", name, "--to", f"dir:{target}", *more, **keys
    )


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_running_vm_that_is_written_to__arrives_as_at_the_snapshot(
    slow, start, tmp_path, image_format
):
    target = tmp_path / "out"
    more = ["--to", f"dir:{target}", "--format", image_format]
    process = start("import", *slow.arguments(), "--vm", "run01", *more)
    wait_until(lambda: snapshots(slow, "run01"), what="the snapshot")
    seed = 100
    while process.running():
        # All over both disks, the end of the stream included, with the copy under way.
        for disk, size in ((0, 96 * MIB), (1, 48 * MIB)):
            for place in range(0, size - MIB, size // 9):
                seed += 1
                slow.guest_write("run01", disk, place, 70_000, seed)
    process.wait().good()
    assert seed > 120, "the guest wrote too little to prove anything"
    for disk, image in enumerate(images(target, image_format)):
        frozen = slow.save_frozen("run01", disk, tmp_path / f"frozen-{disk}.raw")
        assert_same_disk(image, image_format, frozen)
        assert_clean_image(image, image_format)
        assert differ(slow.live_disk("run01", disk), frozen), "no write came after the snapshot"


def snapshots(sim, name):
    state = sim.control("GET", "/state")
    return next(vm for vm in state["vms"] if vm["name"] == name)["snapshots"]


def test_running_vm__snapshot_lease_and_session_are_closed(sim, vmferry, tmp_path):
    import_vm(vmferry, sim, "run01", tmp_path / "out").good()
    made = calls(sim)
    assert made.get("CreateSnapshot_Task", 0) + made.get("CreateSnapshotEx_Task", 0) == 1
    assert made["ExportSnapshot"] == 1
    assert made["HttpNfcLeaseComplete"] == 1
    assert made["RemoveSnapshot_Task"] == 1
    assert made["Logout"] == 1
    for disk in (0, 1):
        frozen = sim.save_frozen("run01", disk, tmp_path / f"{disk}.raw")
        assert_same_disk(images(tmp_path / "out")[disk], "raw", frozen)


def test_vm_with_snapshots_of_its_own__keeps_them(sim, vmferry, tmp_path):
    import_vm(vmferry, sim, "snapped", tmp_path / "out").good()
    assert [s["name"] for s in snapshots(sim, "snapped")] == ["by hand"]
    frozen = sim.save_frozen("snapped", 0, tmp_path / "frozen.raw")
    assert_same_disk(images(tmp_path / "out")[0], "raw", frozen)


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_powered_off_vm__arrives_without_a_snapshot(sim, vmferry, tmp_path, image_format):
    name, target = "Off VM #1 (EFI)", tmp_path / "out"
    import_vm(vmferry, sim, name, target, "--format", image_format).good()
    for disk, image in enumerate(images(target, image_format)):
        assert_same_disk(image, image_format, sim.live_disk(name, disk))
        assert_clean_image(image, image_format)
    made = calls(sim)
    assert made["ExportVm"] == 1
    assert not [call for call in made if "Snapshot" in call]


def test_target__is_sparse(sim, vmferry, tmp_path):
    import_vm(vmferry, sim, "run01", tmp_path / "out").good()
    image = images(tmp_path / "out")[0]
    assert image.stat().st_size == 96 * MIB
    # 40 % random and 15 % text; the rest is holes, written zeroes and lone sectors.
    assert allocated_bytes(image) < 80 * MIB


def test_disk_of_zeroes__arrives_with_its_size(sim, vmferry, tmp_path):
    import_vm(vmferry, sim, "empty01", tmp_path / "out", "--format", "qcow2").good()
    image = images(tmp_path / "out", "qcow2")[0]
    assert virtual_size(image, "qcow2") == MIB
    assert_same_disk(image, "qcow2", sim.live_disk("empty01", 0))


def test_by_reference__imports_that_twin(sim, vmferry, tmp_path):
    second = [vm for vm in sim.ready["vms"] if vm["name"] == "twin"][1]
    import_vm(vmferry, sim, second["moref"], tmp_path / "out").good()
    assert_same_disk(images(tmp_path / "out")[0], "raw", second["disks"][0]["path"])


@pytest.mark.parametrize("more", [["--parallel-disks", "1"], ["--threads", "1"], ["--threads", "7"]])
def test_limits__change_nothing_in_the_result(sim, vmferry, tmp_path, more):
    name = "Off VM #1 (EFI)"
    import_vm(vmferry, sim, name, tmp_path / "out", *more).good()
    for disk, image in enumerate(images(tmp_path / "out")):
        assert_same_disk(image, "raw", sim.live_disk(name, disk))


def test_parallel_disks_1__has_one_stream_at_a_time(slow, start, tmp_path):
    more = ["--parallel-disks", "1", "--to", f"dir:{tmp_path / 'out'}"]
    process = start("import", *slow.arguments(), "--vm", "run01", *more)
    partial = tmp_path / "out"
    seen = set()
    while process.running():
        state = slow.control("GET", "/state")
        held = [lease for lease in state["leases"] if lease["held"]]
        for lease in held:
            moving = [key for key, sent in lease["sent"].items() if sent]
            seen.add(len(moving))
            if len(moving) == 2:
                # The second stream starts when the first disk is complete.
                assert any(p.stat().st_size == 96 * MIB for p in partial.glob("*disk-0*"))
    process.wait().good()
    assert 1 in seen


def test_record__has_digests_sizes_and_origin(sim, vmferry, tmp_path):
    import_vm(vmferry, sim, "run01", tmp_path / "out").good()
    record = json.loads((tmp_path / "out" / "vmferry.json").read_text())
    text = json.dumps(record)
    assert "run01" in text and str(96 * MIB) in text and str(48 * MIB + 1536) in text
    assert sim.password not in text
    disks = record["disks"]
    assert len(disks) == 2
    assert disks[0]["digest"] and disks[0]["digest"] != disks[1]["digest"]


def test_same_content__same_digest_in_raw_and_qcow2(sim, vmferry, tmp_path):
    digests = []
    for image_format in ("raw", "qcow2"):
        target = tmp_path / image_format
        import_vm(vmferry, sim, "Off VM #1 (EFI)", target, "--format", image_format).good()
        record = json.loads((target / "vmferry.json").read_text())
        digests.append([disk["digest"] for disk in record["disks"]])
    assert digests[0] == digests[1]


def test_manifests__carry_the_vm(sim, vmferry, tmp_path):
    target = tmp_path / "out"
    more = ["--namespace", "imported", "--storage-class", "fast"]
    import_vm(vmferry, sim, "run01", target, *more).good()
    (machine,) = documents(target, "VirtualMachine")
    volumes = documents(target, "DataVolume")
    assert machine["metadata"]["name"] == "run01"
    assert machine["metadata"]["namespace"] == "imported"
    domain = machine["spec"]["template"]["spec"]["domain"]
    assert domain["cpu"]["sockets"] * domain["cpu"]["cores"] == 4
    assert domain["cpu"]["cores"] == 2
    assert "3Gi" in json.dumps(domain) or "3072Mi" in json.dumps(domain)
    (nic,) = domain["devices"]["interfaces"]
    assert nic["macAddress"] == "00:50:56:0a:0b:0c"
    assert len(domain["devices"]["disks"]) == len(volumes) == 2
    for volume in volumes:
        assert volume["metadata"]["namespace"] == "imported"
        storage = volume["spec"].get("storage") or volume["spec"]["pvc"]
        assert storage["storageClassName"] == "fast"
    claims = [v["dataVolume"]["name"] for v in machine["spec"]["template"]["spec"]["volumes"]]
    assert claims == [volume["metadata"]["name"] for volume in volumes]


def test_manifests__odd_name_and_efi(sim, vmferry, tmp_path):
    target = tmp_path / "out"
    import_vm(vmferry, sim, "Off VM #1 (EFI)", target).good()
    (machine,) = documents(target, "VirtualMachine")
    name = machine["metadata"]["name"]
    assert name == name.lower() and name.replace("-", "").isalnum() and len(name) <= 63
    assert "Off VM #1 (EFI)" in machine["metadata"]["annotations"].values()
    firmware = machine["spec"]["template"]["spec"]["domain"]["firmware"]
    assert firmware["bootloader"]["efi"]["secureBoot"] is True
    assert images(target)[0].name.startswith(name)


@pytest.mark.parametrize("fault", ["ApplicationQuiesceFault", "FilesystemQuiesceFault"])
def test_quiesce_fault__falls_back_with_a_warning(sim, vmferry, tmp_path, fault):
    sim.fault("CreateSnapshot_Task", "quiesce_fault", fault=fault)
    result = import_vm(vmferry, sim, "run01", tmp_path / "out")
    assert result.status == 0, result
    assert "warning" in result.err.lower() and "quiesce" in result.err.lower(), result
    assert calls(sim)["CreateSnapshot_Task"] == 2
    frozen = sim.save_frozen("run01", 0, tmp_path / "frozen.raw")
    assert_same_disk(images(tmp_path / "out")[0], "raw", frozen)


def test_quiesce_ignored_by_the_host__is_told(sim, vmferry, tmp_path):
    sim.fault("CreateSnapshot_Task", "quiesce_ignored")
    result = import_vm(vmferry, sim, "run01", tmp_path / "out")
    assert result.status == 0, result
    assert "warning" in result.err.lower() and "quiesce" in result.err.lower(), result


def test_no_quiesce__asks_for_none(sim, vmferry, tmp_path):
    sim.fault("CreateSnapshot_Task", "quiesce_fault")
    result = import_vm(vmferry, sim, "run01", tmp_path / "out", "--no-quiesce")
    result.good()
    assert calls(sim)["CreateSnapshot_Task"] == 1


def test_consolidation_needed__is_done(sim, vmferry, tmp_path):
    sim.fault("RemoveSnapshot_Task", "consolidation_needed")
    import_vm(vmferry, sim, "run01", tmp_path / "out").good()
    assert calls(sim)["ConsolidateVMDisks_Task"] == 1


@pytest.fixture(scope="module")
def host(start_simulator, tmp_path_factory):
    from conftest import standard_vms

    folder = tmp_path_factory.mktemp("esx-disks")
    vms = [
        {key: value for key, value in vm.items() if key not in ("folder", "tags")}
        for vm in standard_vms(folder)
        if vm["name"] in ("run01", "Off VM #1 (EFI)")
    ]
    return start_simulator("esx", "--esx", vms=vms)


@pytest.mark.parametrize("name", ["run01", "Off VM #1 (EFI)"])
def test_esxi__imports_the_same_way(host, vmferry, tmp_path, name):
    import_vm(vmferry, host, name, tmp_path / "out").good()
    for disk, image in enumerate(images(tmp_path / "out")):
        want = host.live_disk(name, disk)
        if name == "run01":
            want = host.save_frozen(name, disk, tmp_path / f"frozen-{disk}.raw")
        assert_same_disk(image, "raw", want)
    state = host.control("GET", "/state")
    assert state["sessions"] == 0
    assert not any(lease["held"] for lease in state["leases"])
    assert not any(vm["snapshots"] for vm in state["vms"])


def test_esxi__inventory(host, vmferry):
    result = vmferry("inventory", *host.arguments(), "-o", "json").good()
    assert "run01" in result.out and "Off VM #1 (EFI)" in result.out


def test_nfc_host_with_its_own_certificate__is_trusted_by_the_lease(
    start_simulator, vmferry, tmp_path, tmp_path_factory
):
    from conftest import left_over, standard_vms

    vms = [v for v in standard_vms(tmp_path_factory.mktemp("two")) if v["name"] == "snapped"]
    sim = start_simulator("two-hosts", "--nfc-listen", "127.0.0.1:0", vms=vms)
    import_vm(vmferry, sim, "snapped", tmp_path / "out").good()
    frozen = sim.save_frozen("snapped", 0, tmp_path / "frozen.raw")
    assert_same_disk(images(tmp_path / "out")[0], "raw", frozen)
    assert not left_over(sim)
