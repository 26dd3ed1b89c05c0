"""vmferry import --ova, --ovf, --vmdk: honest packages arrive, others are refused."""

import subprocess

import pytest
from conftest import finished_looking
from harness import ova
from harness.disks import MIB, assert_same_disk, make_disk
from harness.proxy import file_server
from harness.vmdk import stream_optimized
from test_import_vsphere import documents, images


@pytest.fixture(scope="module")
def raws(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raws")
    return [
        make_disk(folder / "one.raw", 12 * MIB + 512, 1),
        make_disk(folder / "two.raw", 5 * MIB, 2),
    ]


@pytest.fixture(scope="module")
def streams(raws):
    return [(stream_optimized(raw.read_bytes()), raw.stat().st_size) for raw in raws]


def import_ova(vmferry, source, target, *more, **keys):
    return vmferry("import", "--ova", source, "--to", f"dir:{target}", *more, **keys)


def assert_arrived(target, raws, image_format="raw"):
    found = images(target, image_format)
    assert len(found) == len(raws)
    for image, raw in zip(found, raws):
        assert_same_disk(image, image_format, raw)


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512", None])
@pytest.mark.parametrize("compressed", [False, True])
def test_ova__arrives(vmferry, tmp_path, raws, streams, algorithm, compressed):
    members = ova.package("box", streams, algorithm, compressed)
    source = ova.write_ova(tmp_path / "box.ova", members)
    import_ova(vmferry, source, tmp_path / "out", "--format", "qcow2").good()
    assert_arrived(tmp_path / "out", raws, "qcow2")
    (machine,) = documents(tmp_path / "out", "VirtualMachine")
    assert machine["metadata"]["name"] == "box"
    domain = machine["spec"]["template"]["spec"]["domain"]
    assert "efi" in domain["firmware"]["bootloader"]
    vmferry("verify", tmp_path / "out").good()


def test_ova_by_http__arrives(vmferry, tmp_path, raws, streams):
    ova.write_ova(tmp_path / "box.ova", ova.package("box", streams))
    with file_server(tmp_path) as server:
        import_ova(vmferry, f"{server.url}/box.ova", tmp_path / "out").good()
    assert_arrived(tmp_path / "out", raws)


def test_ova_by_http__not_found_names_status(vmferry, tmp_path):
    with file_server(tmp_path) as server:
        import_ova(vmferry, f"{server.url}/none.ova", tmp_path / "out").failed("404")
    assert not finished_looking(tmp_path / "out")


def test_ova_by_http__a_signature_is_not_shown(vmferry, tmp_path):
    with file_server(tmp_path) as server:
        url = f"{server.url}/none.ova?signature=s3cret"
        result = import_ova(vmferry, url, tmp_path / "out", "--progress", "json").failed("404")
    assert "/none.ova" in result.out
    assert "s3cret" not in result.out + result.err


def test_ova_by_http__that_breaks_off_fails(vmferry, tmp_path, streams):
    ova.write_ova(tmp_path / "box.ova", ova.package("box", streams))
    with file_server(tmp_path, cut_after=3 * MIB) as server:
        import_ova(vmferry, f"{server.url}/box.ova", tmp_path / "out").failed()
    assert not finished_looking(tmp_path / "out")


def test_ova_from_standard_input__arrives(vmferry, tmp_path, raws, streams):
    source = ova.write_ova(tmp_path / "box.ova", ova.package("box", streams))
    with open(source, "rb") as stream:
        import_ova(vmferry, "-", tmp_path / "out", stdin=stream).good()
    assert_arrived(tmp_path / "out", raws)


def test_ova_from_a_pipe__that_ends_early_fails(vmferry, tmp_path, streams):
    source = ova.write_ova(tmp_path / "box.ova", ova.package("box", streams))
    cut = subprocess.Popen(["head", "-c", str(3 * MIB), source], stdout=subprocess.PIPE)
    import_ova(vmferry, "-", tmp_path / "out", stdin=cut.stdout).failed()
    cut.stdout.close()
    cut.wait()
    assert not finished_looking(tmp_path / "out")


def test_manifest_behind_the_disks__is_checked_too(vmferry, tmp_path, raws, streams):
    members = ova.package("box", streams)
    members.append(members.pop(1))
    import_ova(vmferry, ova.write_ova(tmp_path / "late.ova", members), tmp_path / "out").good()
    assert_arrived(tmp_path / "out", raws)
    name, text = members.pop()
    first = text.index(b"= ") + 2
    wrong = b"0" if text[first : first + 1] != b"0" else b"1"
    members.append((name, text[:first] + wrong + text[first + 1 :]))
    bad = ova.write_ova(tmp_path / "bad.ova", members)
    import_ova(vmferry, bad, tmp_path / "bad").failed("box.ovf")
    assert not finished_looking(tmp_path / "bad")


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512"])
def test_manifest_that_does_not_match__fails_and_names_the_file(
    vmferry, tmp_path, streams, algorithm
):
    # The disk is sound in itself: only the manifest can tell.
    members = ova.package("box", streams, algorithm)
    other = stream_optimized(b"other content".ljust(5 * MIB, b"."))
    members[3] = (members[3][0], other)
    source = ova.write_ova(tmp_path / "box.ova", members)
    import_ova(vmferry, source, tmp_path / "out").failed("box-disk2.vmdk")
    assert not finished_looking(tmp_path / "out")


def test_disk_that_is_missing__is_named(vmferry, tmp_path, streams):
    members = ova.package("box", streams, None)
    source = ova.write_ova(tmp_path / "box.ova", members[:-1])
    import_ova(vmferry, source, tmp_path / "out").failed("box-disk2.vmdk")
    assert not finished_looking(tmp_path / "out")


def test_several_vms__are_refused_and_listed(vmferry, tmp_path, streams):
    systems = (
        '<VirtualSystemCollection ovf:id="both"><Info>two</Info>'
        + ova.virtual_system("front", 1)
        + ova.virtual_system("back", 1, 1)
        + "</VirtualSystemCollection>"
    )
    members = ova.package("box", streams, systems=systems)
    source = ova.write_ova(tmp_path / "box.ova", members)
    import_ova(vmferry, source, tmp_path / "out").failed("front", "back")
    assert not finished_looking(tmp_path / "out")


@pytest.mark.parametrize("name", ["../evil.vmdk", "/etc/evil.vmdk"])
def test_names_that_lead_out__are_refused(vmferry, tmp_path, streams, name):
    disks = [(name, len(streams[0][0]), streams[0][1])]
    members = [("box.ovf", ova.envelope("box", disks)), (name, streams[0][0])]
    import_ova(vmferry, ova.write_ova(tmp_path / "x.ova", members), tmp_path / "out").failed()
    assert not (tmp_path / "evil.vmdk").exists()
    assert not finished_looking(tmp_path / "out")


@pytest.mark.parametrize(
    "data", [b"", b"not a tar at all" * 100, b"\0" * 20480], ids=["empty", "text", "zeroes"]
)
def test_what_is_no_ova__is_refused(vmferry, tmp_path, data):
    (tmp_path / "x.ova").write_bytes(data)
    import_ova(vmferry, tmp_path / "x.ova", tmp_path / "out").failed("x.ova")
    assert not finished_looking(tmp_path / "out")


def test_entities_in_the_descriptor__are_not_expanded(vmferry, tmp_path, streams):
    members = ova.package("box", streams, None)
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">'
    bomb += b'<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    text = members[0][1].replace(b"<Envelope", bomb + b"<Envelope", 1)
    members[0] = ("box.ovf", text.replace(b"<Name>box<", b"<Name>&f;&b;<"))
    source = ova.write_ova(tmp_path / "x.ova", members)
    result = import_ova(vmferry, source, tmp_path / "out")
    assert "root:" not in result.err
    for path in finished_looking(tmp_path / "out"):
        assert not path.endswith(".yaml") or "root:" not in (tmp_path / "out" / path).read_text()


@pytest.mark.parametrize("compressed", [False, True])
def test_ovf_folder__arrives(vmferry, tmp_path, raws, streams, compressed):
    members = ova.package("box", streams, compressed=compressed)
    source = ova.write_folder(tmp_path / "box", members)
    vmferry("import", "--ovf", source, "--to", f"dir:{tmp_path / 'out'}").good()
    assert_arrived(tmp_path / "out", raws)


def test_ovf_folder__manifest_is_checked(vmferry, tmp_path, streams):
    members = ova.package("box", streams)
    members[2] = (members[2][0], stream_optimized(bytes(12 * MIB) + b"x".ljust(512, b"y")))
    source = ova.write_folder(tmp_path / "box", members)
    result = vmferry("import", "--ovf", source, "--to", f"dir:{tmp_path / 'out'}")
    result.failed("box-disk1.vmdk")
    assert not finished_looking(tmp_path / "out")


def test_name__overrides_the_one_of_the_package(vmferry, tmp_path, streams):
    source = ova.write_ova(tmp_path / "box.ova", ova.package("box", streams))
    import_ova(vmferry, source, tmp_path / "out", "--name", "renamed").good()
    assert images(tmp_path / "out")[0].name == "renamed-disk-0.img"


def test_vmdk__becomes_a_vm_of_one_disk(vmferry, tmp_path, raws, streams):
    source = tmp_path / "lone.vmdk"
    source.write_bytes(streams[0][0])
    more = ["--name", "lone", "--to", f"dir:{tmp_path / 'out'}"]
    vmferry("import", "--vmdk", source, *more).good()
    assert_arrived(tmp_path / "out", raws[:1])
    assert documents(tmp_path / "out", "VirtualMachine")[0]["metadata"]["name"] == "lone"
