"""vmferry convert: every kind that is read, against qemu-img; and what is refused."""

import struct

import pytest
from conftest import finished_looking
from harness import ova
from harness.disks import MIB, assert_clean_image, assert_same_disk, flip_bit, make_disk, qemu_img
from harness.vmdk import cowd, descriptor, sesparse, stream_descriptor, stream_optimized

SIZE = 20 * MIB + 3 * 512


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_disk(tmp_path_factory.mktemp("raw") / "disk.raw", SIZE, 42)


def by_qemu(subformat):
    def write(folder, raw):
        path = folder / "s.vmdk"
        options = f"subformat={subformat}"
        done = qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", options, raw, path)
        assert done.returncode == 0, done.stderr
        return path

    return write


def by_us(writer):
    def write(folder, raw):
        path = folder / "s.vmdk"
        path.write_bytes(writer(raw.read_bytes()))
        return path

    return write


def beside(create_type, suffix, kind, writer=bytes, more=""):
    def write(folder, raw):
        (folder / f"s-{suffix}.vmdk").write_bytes(writer(raw.read_bytes()))
        line = f'RW {SIZE // 512} {kind} "s-{suffix}.vmdk"{more}'
        (folder / "s.vmdk").write_text(descriptor(create_type, [line]))
        return folder / "s.vmdk"

    return write


def in_pieces(folder, raw):
    """Flat extents of which one is read only, one begins inside its file, one is zeroes: where
    qemu-img drops extents without a word."""
    data = raw.read_bytes()
    third = 7 * MIB
    (folder / "s-f001.vmdk").write_bytes(data[:third])
    (folder / "s-f002.vmdk").write_bytes(b"?" * 1024 + data[third : 2 * third])
    rest = data[2 * third :]
    (folder / "s-f003.vmdk").write_bytes(rest)
    lines = [
        f'RDONLY {third // 512} FLAT "s-f001.vmdk" 0',
        f'RW {third // 512} FLAT "s-f002.vmdk" 2',
        f'RW {len(rest) // 512} FLAT "s-f003.vmdk" 0',
        "RW 2048 ZERO",
    ]
    (folder / "s.vmdk").write_text(descriptor("twoGbMaxExtentFlat", lines))
    whole = folder / "whole.raw"
    whole.write_bytes(data + bytes(MIB))
    return folder / "s.vmdk"


def as_qcow2(folder, raw):
    path = folder / "s.qcow2"
    assert qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, path).returncode == 0
    return path


KINDS = {
    "stream-esxi": by_us(stream_optimized),
    "stream-esxi-8k-grains": by_us(lambda data: stream_optimized(data, grain=16)),
    "stream-qemu": by_qemu("streamOptimized"),
    "hosted-sparse": by_qemu("monolithicSparse"),
    "split-sparse": by_qemu("twoGbMaxExtentSparse"),
    "flat": by_qemu("monolithicFlat"),
    "split-flat": by_qemu("twoGbMaxExtentFlat"),
    "vmfs": beside("vmfs", "flat", "VMFS"),
    "vmfs-thin": beside("vmfsThin", "flat", "VMFS"),
    "cowd": beside("vmfsSparse", "delta", "VMFSSPARSE", cowd),
    "sesparse": beside("seSparse", "sesparse", "SESPARSE", sesparse),
    "pieces": in_pieces,
    "qcow2": as_qcow2,
}


@pytest.mark.parametrize("target_format", ["raw", "qcow2"])
@pytest.mark.parametrize("kind", KINDS)
def test_kind__converts_byte_for_byte(vmferry, tmp_path, raw, kind, target_format):
    source = KINDS[kind](tmp_path, raw)
    target = tmp_path / "out" / f"disk.{'img' if target_format == 'raw' else 'qcow2'}"
    target.parent.mkdir()
    result = vmferry("convert", source, target, "--format", target_format)
    assert result.status == 0, result
    want = tmp_path / "whole.raw" if (tmp_path / "whole.raw").exists() else raw
    assert_same_disk(target, target_format, want)
    assert_clean_image(target, target_format)
    assert finished_looking(target.parent) == [target.name]


@pytest.mark.parametrize("kind", ["stream-esxi", "stream-qemu"])
def test_standard_input__converts(vmferry, tmp_path, raw, kind):
    source = KINDS[kind](tmp_path, raw)
    with open(source, "rb") as stream:
        vmferry("convert", "-", tmp_path / "d.qcow2", stdin=stream).good()
    assert_same_disk(tmp_path / "d.qcow2", "qcow2", raw)


def test_ova__converts_its_disk(vmferry, tmp_path, raw):
    members = ova.package("box", [(stream_optimized(raw.read_bytes()), SIZE)])
    source = ova.write_ova(tmp_path / "box.ova", members)
    vmferry("convert", source, tmp_path / "d.img").good()
    assert_same_disk(tmp_path / "d.img", "raw", raw)


def test_suffix__chooses_the_format(vmferry, tmp_path, raw):
    source = KINDS["stream-esxi"](tmp_path, raw)
    vmferry("convert", source, tmp_path / "d.qcow2").good()
    assert_clean_image(tmp_path / "d.qcow2", "qcow2")
    assert (tmp_path / "d.qcow2").read_bytes()[:4] == b"QFI\xfb"


def test_other_formats__go_through_qemu_img(vmferry, tmp_path, raw):
    source = tmp_path / "s.vhdx"
    assert qemu_img("convert", "-f", "raw", "-O", "vhdx", raw, source).returncode == 0
    vmferry("convert", source, tmp_path / "d.img", "--from", "vhdx").good()
    # vhdx rounds up to a mebibyte.
    want = tmp_path / "want.raw"
    assert qemu_img("convert", "-f", "vhdx", "-O", "raw", source, want).returncode == 0
    assert_same_disk(tmp_path / "d.img", "raw", want)


def test_digest__is_of_the_content_whatever_the_container(vmferry, tmp_path, raw):
    digests = set()
    for number, kind in enumerate(["stream-esxi", "hosted-sparse", "sesparse"]):
        folder = tmp_path / kind
        folder.mkdir()
        source = KINDS[kind](folder, raw)
        target = folder / ("d.img" if number % 2 else "d.qcow2")
        digests.add(vmferry("convert", source, target, "--digest").good().out.split()[0])
    assert len(digests) == 1


def test_existing_target__is_refused_unless_overwrite(vmferry, tmp_path, raw):
    source = KINDS["stream-esxi"](tmp_path, raw)
    target = tmp_path / "d.img"
    target.write_text("precious")
    vmferry("convert", source, target).failed("--overwrite")
    assert target.read_text() == "precious"
    vmferry("convert", source, target, "--overwrite").good()
    assert_same_disk(target, "raw", raw)


def refused(vmferry, tmp_path, source, *words):
    target = tmp_path / "out"
    target.mkdir(exist_ok=True)
    result = vmferry("convert", source, target / "d.img").failed(*words)
    assert finished_looking(target) == []
    assert list(target.iterdir()) == [], "a partial file is left"
    return result


@pytest.mark.parametrize("cut", [100, 600, 70_000, -512, -1024, -1536, -70_000])
def test_truncated_stream__is_refused(vmferry, tmp_path, raw, cut):
    data = stream_optimized(raw.read_bytes())
    (tmp_path / "s.vmdk").write_bytes(data[:cut])
    refused(vmferry, tmp_path, tmp_path / "s.vmdk")
    with open(tmp_path / "s.vmdk", "rb") as stream:
        vmferry("convert", "-", tmp_path / "out" / "d.img", stdin=stream).failed()
    assert finished_looking(tmp_path / "out") == []


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_flipped_bit_in_a_grain__is_refused(vmferry, tmp_path, raw, place):
    data = stream_optimized(raw.read_bytes())
    (tmp_path / "s.vmdk").write_bytes(data)
    flip_bit(tmp_path / "s.vmdk", int(len(data) * place))
    refused(vmferry, tmp_path, tmp_path / "s.vmdk")


def test_grain_beyond_the_capacity__is_refused(vmferry, tmp_path, raw):
    def far(lba, record):
        return struct.pack("<Q", 1 << 40) + record[8:] if lba >= 1280 else record

    (tmp_path / "s.vmdk").write_bytes(stream_optimized(raw.read_bytes(), grain_hook=far))
    with open(tmp_path / "s.vmdk", "rb") as stream:
        (tmp_path / "out").mkdir()
        vmferry("convert", "-", tmp_path / "out" / "d.img", stdin=stream).failed("grain")
    assert list((tmp_path / "out").iterdir()) == []


def test_grain_twice__is_refused(vmferry, tmp_path, raw):
    def again(lba, record):
        return struct.pack("<Q", 0) + record[8:] if lba >= 1280 else record

    (tmp_path / "s.vmdk").write_bytes(stream_optimized(raw.read_bytes(), grain_hook=again))
    with open(tmp_path / "s.vmdk", "rb") as stream:
        vmferry("convert", "-", tmp_path / "d.img", stdin=stream).failed("grain")


def test_grain_that_inflates_too_far__is_refused(vmferry, tmp_path, raw):
    import zlib

    bomb = zlib.compress(bytes(64 * MIB), 9)

    def burst(lba, record):
        return struct.pack("<QI", lba, len(bomb)) + bomb if lba >= 1280 else record

    (tmp_path / "s.vmdk").write_bytes(stream_optimized(raw.read_bytes(), grain_hook=burst))
    with open(tmp_path / "s.vmdk", "rb") as stream:
        vmferry("convert", "-", tmp_path / "d.img", stdin=stream).failed("grain")


@pytest.mark.parametrize(
    "lines",
    [
        ['RW 99999999999999999999 FLAT "s-flat.vmdk" 0'],
        ['RW 18446744073709551615 FLAT "s-flat.vmdk" 0'],
        ['RW -5 FLAT "s-flat.vmdk" 0'],
        ['RW 2048 FLAT "s-flat.vmdk" 18446744073709551615'],
        ['RW 999999 FLAT "s-flat.vmdk" 0'],
        ['RW 2048 FLAT "../../../etc/passwd" 0'],
        ['RW 2048 FLAT "/etc/passwd" 0'],
        ['RW 2048 BOGUS "s-flat.vmdk" 0'],
        ["RW 2048 FLAT"],
        [],
        ['RW 9223372036854775807 FLAT "s-flat.vmdk" 0'] * 3,
    ],
    ids=lambda lines: (lines or ["none"])[0][:30],
)
def test_absurd_descriptor__is_refused(vmferry, tmp_path, lines):
    (tmp_path / "s-flat.vmdk").write_bytes(bytes(MIB))
    (tmp_path / "s.vmdk").write_text(descriptor("monolithicFlat", lines))
    refused(vmferry, tmp_path, tmp_path / "s.vmdk")


@pytest.mark.parametrize(
    "field, value",
    [(12, 0), (12, 1 << 63), (20, 0), (20, 3), (20, 1 << 62), (44, 0), (44, 0xFFFFFFFF), (64, 1 << 60)],
)
def test_absurd_header__is_refused(vmferry, tmp_path, raw, field, value):
    data = bytearray(stream_optimized(raw.read_bytes()))
    data[field : field + 8] = struct.pack("<Q", value)[: 4 if field == 44 else 8].ljust(
        4 if field == 44 else 8, b"\0"
    )
    (tmp_path / "s.vmdk").write_bytes(data)
    with open(tmp_path / "s.vmdk", "rb") as stream:
        vmferry("convert", "-", tmp_path / "d.img", stdin=stream).failed()
    assert not (tmp_path / "d.img").exists()


def test_encrypted_vmdk__is_refused_as_such(vmferry, tmp_path):
    (tmp_path / "s-flat.vmdk").write_bytes(bytes(MIB))
    more = 'encryption.keySafe = "vmware:key/list/(pair/(phrase/x))"'
    text = descriptor("monolithicFlat", ['RW 2048 FLAT "s-flat.vmdk" 0'], more)
    (tmp_path / "s.vmdk").write_text(text)
    refused(vmferry, tmp_path, tmp_path / "s.vmdk", "encrypt")


def test_encrypted_stream__is_refused_as_such(vmferry, tmp_path, raw):
    more = 'ddb.iofilters = "vmwarevmcrypt"\n'
    data = stream_optimized(raw.read_bytes(), extra=more)
    assert more.encode() in data and stream_descriptor(1, more)
    (tmp_path / "s.vmdk").write_bytes(data)
    refused(vmferry, tmp_path, tmp_path / "s.vmdk", "encrypt")


def test_delta_without_its_parent__is_refused(vmferry, tmp_path):
    (tmp_path / "s-delta.vmdk").write_bytes(cowd(bytes(MIB)))
    text = descriptor("vmfsSparse", ['RW 2048 VMFSSPARSE "s-delta.vmdk"'])
    text = text.replace("parentCID=ffffffff", "parentCID=12345678")
    (tmp_path / "s.vmdk").write_text(text)
    refused(vmferry, tmp_path, tmp_path / "s.vmdk", "parent")


def test_sesparse_with_a_journal_to_replay__is_refused(vmferry, tmp_path, raw):
    write = beside("seSparse", "sesparse", "SESPARSE", lambda data: sesparse(data, True))
    refused(vmferry, tmp_path, write(tmp_path, raw), "journal")


def test_qcow2_with_a_backing_file__is_refused(vmferry, tmp_path, raw):
    base = as_qcow2(tmp_path, raw)
    top = tmp_path / "top.qcow2"
    made = qemu_img("create", "-f", "qcow2", "-b", base, "-F", "qcow2", top)
    assert made.returncode == 0, made.stderr
    refused(vmferry, tmp_path, top, "backing")


@pytest.mark.parametrize(
    "data", [b"", b"<html>404 not found</html>\n", b"<html>".ljust(4096)], ids=["empty", "short", "long"]
)
def test_vmdk_by_name_that_is_none__is_refused(vmferry, tmp_path, data):
    """An error page that was saved as a disk must not become one."""
    (tmp_path / "s.vmdk").write_bytes(data)
    refused(vmferry, tmp_path, tmp_path / "s.vmdk", "s.vmdk")


def test_bytes_without_a_magic__are_a_raw_disk(vmferry, tmp_path):
    (tmp_path / "s.img").write_bytes(bytes(4096))
    vmferry("convert", tmp_path / "s.img", tmp_path / "d.qcow2").good()
    assert_same_disk(tmp_path / "d.qcow2", "qcow2", tmp_path / "s.img")


def test_missing_source__is_named(vmferry, tmp_path):
    refused(vmferry, tmp_path, tmp_path / "none.vmdk", "none.vmdk")


def test_source_as_target__is_replaced_only_by_a_whole_result(vmferry, tmp_path, raw):
    source = KINDS["stream-esxi"](tmp_path, raw)
    before = source.read_bytes()
    vmferry("convert", source, source).failed("--overwrite")
    assert source.read_bytes() == before
    if vmferry("convert", source, source, "--overwrite").status == 0:
        assert_same_disk(source, "raw", raw)
    else:
        assert source.read_bytes() == before
