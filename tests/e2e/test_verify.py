"""vmferry verify: finds any change of an imported disk."""

import json

import pytest
from harness.disks import MIB, flip_bit, qemu_img
from test_import_vsphere import images, import_vm


@pytest.fixture
def imported(sim, vmferry, tmp_path):
    def make(image_format="raw"):
        target = tmp_path / "out"
        import_vm(vmferry, sim, "Off VM #1 (EFI)", target, "--format", image_format).good()
        return target, images(target, image_format)

    return make


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_untouched__is_good(vmferry, imported, image_format):
    target, _ = imported(image_format)
    vmferry("verify", target).good()


@pytest.mark.parametrize("offset", [0, 512 * 1001, 16 * MIB - 1])
def test_flipped_bit__is_found_and_the_disk_named(vmferry, imported, offset):
    target, (_, second) = imported()
    flip_bit(second, offset)
    vmferry("verify", target).failed(second.name)


def test_changed_qcow2__is_found(vmferry, imported):
    target, (first, _) = imported("qcow2")
    # Through qemu, so that the container stays sound and only the content differs.
    import subprocess

    command = ["qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 1048576 512", first]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert qemu_img("check", "-f", "qcow2", first).returncode == 0
    vmferry("verify", target).failed(first.name)


def test_hole_that_was_filled_with_zeroes__is_still_good(vmferry, imported):
    target, (first, _) = imported()
    data = first.read_bytes()
    first.write_bytes(data)
    vmferry("verify", target).good()


def test_other_size__is_found(vmferry, imported):
    target, (first, _) = imported()
    with open(first, "ab") as image:
        image.write(bytes(512))
    vmferry("verify", target).failed(first.name)


def test_missing_image__is_named(vmferry, imported):
    target, (first, _) = imported()
    first.unlink()
    vmferry("verify", target).failed(first.name)


def test_missing_record__is_named(vmferry, imported):
    target, _ = imported()
    (target / "vmferry.json").unlink()
    vmferry("verify", target).failed("vmferry.json")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"disks": 7}', '{"disks": [{}]}'])
def test_broken_record__is_refused(vmferry, imported, text):
    target, _ = imported()
    (target / "vmferry.json").write_text(text)
    vmferry("verify", target).failed("vmferry.json")


def test_record_that_leads_out__is_refused(vmferry, imported, tmp_path):
    target, (first, _) = imported()
    outside = tmp_path / first.name
    first.rename(outside)
    text = (target / "vmferry.json").read_text().replace(first.name, f"../{first.name}")
    json.loads(text)
    (target / "vmferry.json").write_text(text)
    vmferry("verify", target).failed()
