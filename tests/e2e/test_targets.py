"""What the target may be, and what is refused before anything is touched."""

import json
import os

import pytest
from conftest import finished_looking
from harness.disks import MIB, assert_same_disk, make_disk
from harness.vmdk import stream_optimized
from test_import_ends import SNAPSHOT_CALLS
from test_import_vsphere import calls, documents, images, import_vm


def touched_nothing(sim):
    made = calls(sim)
    return not any(made.get(call) for call in (*SNAPSHOT_CALLS, "ExportVm", "ExportSnapshot"))


@pytest.mark.parametrize(
    "name, hint", [("nosuch", "nosuch"), ("run0", "run0"), ("RUN01 ", "RUN01")]
)
def test_vm_name_that_matches_none__is_named(sim, vmferry, tmp_path, name, hint):
    import_vm(vmferry, sim, name, tmp_path / "out").failed(hint)
    assert not finished_looking(tmp_path / "out")


def test_vm_name_that_matches_several__lists_them(sim, vmferry, tmp_path):
    result = import_vm(vmferry, sim, "twin", tmp_path / "out")
    result.failed("twin", "/test/a", "/test/b")
    for machine in sim.ready["vms"]:
        if machine["name"] == "twin":
            assert machine["moref"] in result.err
    assert touched_nothing(sim)


def test_independent_disk_of_a_running_vm__is_refused_by_name(sim, vmferry, tmp_path):
    import_vm(vmferry, sim, "indep01", tmp_path / "out").failed("indep01", "independent")
    assert touched_nothing(sim)
    assert not finished_looking(tmp_path / "out")


def test_existing_import__is_refused_and_kept(sim, vmferry, tmp_path):
    target = tmp_path / "out"
    import_vm(vmferry, sim, "twin-not-there", target).failed()
    import_vm(vmferry, sim, "empty01", target).good()
    before = {p.name: (p.stat().st_ino, p.read_bytes()) for p in target.iterdir()}
    sim.control("DELETE", "/calls")
    import_vm(vmferry, sim, "empty01", target).failed(str(target), "--overwrite")
    assert {p.name: (p.stat().st_ino, p.read_bytes()) for p in target.iterdir()} == before
    assert touched_nothing(sim)


def test_overwrite__replaces_an_import_whole(sim, vmferry, tmp_path):
    target = tmp_path / "out"
    import_vm(vmferry, sim, "Off VM #1 (EFI)", target).good()
    assert len(images(target)) == 2
    import_vm(vmferry, sim, "snapped", target, "--overwrite", "--format", "qcow2").good()
    (image,) = images(target, "qcow2")
    frozen = sim.save_frozen("snapped", 0, tmp_path / "frozen.raw")
    assert_same_disk(image, "qcow2", frozen)


def test_overwrite_that_fails__keeps_the_earlier_import(sim, vmferry, tmp_path):
    target = tmp_path / "out"
    import_vm(vmferry, sim, "Off VM #1 (EFI)", target).good()
    sim.fault("nfc", "truncate", count=-1, after_bytes=4 * MIB)
    import_vm(vmferry, sim, "Off VM #1 (EFI)", target, "--overwrite").failed()
    sim.clear_faults()
    vmferry("verify", target).good()


def test_folder_with_other_peoples_files__is_not_cleared(sim, vmferry, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "thesis.txt").write_text("years of work")
    import_vm(vmferry, sim, "empty01", target, "--overwrite")
    assert (target / "thesis.txt").read_text() == "years of work"


def test_target_that_is_a_file__is_refused(sim, vmferry, tmp_path):
    (tmp_path / "out").write_text("a file")
    import_vm(vmferry, sim, "empty01", tmp_path / "out").failed("out")
    assert (tmp_path / "out").read_text() == "a file"
    assert touched_nothing(sim)


def unprivileged():
    """Root without its capabilities: permission bits count, and the program stays readable."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all")


def test_unwritable_directory__is_refused_before_the_copy(sim, vmferry, tmp_path):
    target = tmp_path / "out"
    target.mkdir(mode=0o555)
    result = import_vm(vmferry, sim, "run01", target, prefix=unprivileged())
    result.failed(str(target))
    assert touched_nothing(sim)
    assert list(target.iterdir()) == []


def test_folder_that_cannot_be_made__is_refused_before_the_copy(sim, vmferry, tmp_path):
    parent = tmp_path / "locked"
    parent.mkdir(mode=0o555)
    result = import_vm(vmferry, sim, "run01", parent / "out", prefix=unprivileged())
    result.failed(str(parent))
    assert touched_nothing(sim)


def test_read_only_file_system__is_refused_before_the_copy(sim, vmferry, small_disk, tmp_path):
    target = small_disk(tmp_path / "ro", 8, "ro")
    import_vm(vmferry, sim, "run01", target / "out").failed("read-only")
    assert touched_nothing(sim)


def test_disk_that_is_too_small__is_refused_before_the_copy(sim, vmferry, small_disk, tmp_path):
    target = small_disk(tmp_path / "small", 16)
    import_vm(vmferry, sim, "run01", target / "out").failed("space")
    assert touched_nothing(sim)
    assert not finished_looking(target)


def test_disk_that_fills_up__fails_and_cleans_up(sim, vmferry, small_disk, tmp_path):
    raw = make_disk(tmp_path / "raw", 40 * MIB, 1, dense=0.9)
    source = tmp_path / "s.vmdk"
    source.write_bytes(stream_optimized(raw.read_bytes()))
    target = small_disk(tmp_path / "small", 16)
    with open(source, "rb") as stream:
        # From a stream nothing can be known beforehand.
        result = vmferry("convert", "-", target / "disk.img", stdin=stream)
    result.failed("space")
    assert not finished_looking(target)


def test_two_imports_into_one_folder__one_is_refused(slow, start, tmp_path):
    from test_import_ends import start_copy

    first = start_copy(slow, start, tmp_path / "out")
    second = start(
        "import", *slow.arguments(), "--vm", "run01", "--to", f"dir:{tmp_path / 'out'}"
    ).wait()
    assert second.status == 1, second
    first.wait().good()
    for disk, image in enumerate(images(tmp_path / "out")):
        digest = json.loads((tmp_path / "out/vmferry.json").read_text())["disks"][disk]["digest"]
        assert digest and image.stat().st_size


def test_path_with_blanks_and_percent__works(sim, vmferry, tmp_path):
    target = tmp_path / "a b %2f ü"
    import_vm(vmferry, sim, "empty01", target).good()
    vmferry("verify", target).good()


def test_networks_and_bus__are_as_told(sim, vmferry, tmp_path):
    target = tmp_path / "out"
    more = ["--disk-bus", "sata", "--network", "VM Network=prod/vlan-7"]
    result = import_vm(vmferry, sim, "empty01", target, *more)
    result.good()
    machine = documents(target, "VirtualMachine")[0]["spec"]["template"]["spec"]
    assert {d["disk"]["bus"] for d in machine["domain"]["devices"]["disks"]} == {"sata"}
    assert [n["multus"]["networkName"] for n in machine["networks"]] == ["prod/vlan-7"]
    assert "bridge" in machine["domain"]["devices"]["interfaces"][0]


def test_network_rule__unused_is_told_and_bad_is_misuse(sim, vmferry, tmp_path):
    result = import_vm(vmferry, sim, "empty01", tmp_path / "a", "--network", "nosuch=pod")
    result.good()
    assert "nosuch" in result.err
    for bad in ("pod", "VM Network=", "=pod", "a=b/c/d"):
        result = import_vm(vmferry, sim, "empty01", tmp_path / "b", "--network", bad)
        result.failed("network", status=2)
    assert not (tmp_path / "b").exists()
