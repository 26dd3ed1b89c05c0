"""Writers of VMDK kinds that qemu-img cannot write, after VMware's "Virtual Disk Format 5.0" and,
for COWD and SESparse, the layout that qemu's block/vmdk.c reads. For tests: whole disks in memory."""

import struct
import zlib

SECTOR = 512


def sectors(n_bytes):
    return (n_bytes + SECTOR - 1) // SECTOR


def pad(data):
    return data + bytes(-len(data) % SECTOR)


def header(capacity, grain, flags, version, descriptor=(0, 0), gd=0, overhead=128, compress=1):
    packed = struct.pack(
        "<4sIIQQQQIQQQB4sH",
        *(b"KDMV", version, flags, capacity, grain, *descriptor, 512, 0, gd, overhead),
        *(0, b"\n \r\n", compress),
    )
    return packed.ljust(SECTOR, b"\0")


def stream_descriptor(capacity, extra=""):
    return (
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
        f'createType="streamOptimized"\n{extra}'
        f'# Extent description\nRDONLY {capacity} SPARSE "generated-stream.vmdk" \n'
        '# The Disk Data Base\nddb.adapterType = "lsilogic"\n'
    ).encode()


GD_AT_END = 0xFFFFFFFFFFFFFFFF


def stream_optimized(raw, grain=128, level=1, extra="", capacity=None, grain_hook=None):
    """As ESXi writes it: markers, a table after 512 grains, directory, footer, end of stream.
    grain_hook(lba, record) may return other bytes for a grain's record."""
    capacity = capacity or sectors(len(raw))
    descriptor = pad(stream_descriptor(capacity, extra))
    out = bytearray(
        header(capacity, grain, 0x30001, 3, (1, sectors(len(descriptor))), GD_AT_END)
        + descriptor
    )
    out += bytes(128 * SECTOR - len(out))
    size = grain * SECTOR
    directory, table = [], []

    def end_table():
        if any(table):
            out.extend(struct.pack("<QII", 4, 0, 1).ljust(SECTOR, b"\0"))
            directory.append(len(out) // SECTOR)
            out.extend(struct.pack("<512I", *table, *[0] * (512 - len(table))))
        else:
            directory.append(0)
        table.clear()

    for lba in range(0, sectors(len(raw)), grain):
        data = raw[lba * SECTOR : lba * SECTOR + size]
        if any(data):
            table.append(len(out) // SECTOR)
            body = zlib.compress(data.ljust(size, b"\0"), level)
            record = struct.pack("<QI", lba, len(body)) + body
            out += pad(grain_hook(lba, record) if grain_hook else record)
        else:
            table.append(0)
        if len(table) == 512:
            end_table()
    if table:
        end_table()
    packed = pad(struct.pack(f"<{len(directory)}I", *directory))
    out += struct.pack("<QII", len(packed) // SECTOR, 0, 2).ljust(SECTOR, b"\0")
    gd = len(out) // SECTOR
    out += packed
    out += struct.pack("<QII", 1, 0, 3).ljust(SECTOR, b"\0")
    out += header(capacity, grain, 0x30001, 3, (1, sectors(len(descriptor))), gd)
    out += bytes(SECTOR)
    return bytes(out)


def cowd(raw):
    """vmfsSparse: COWD, grain of one sector, 4096 entries a table."""
    capacity = sectors(len(raw))
    tables = (capacity + 4095) // 4096
    gd_sectors = sectors(tables * 4)
    next_free = 4 + gd_sectors
    directory, body = [], bytearray()
    for number in range(tables):
        start = number * 4096
        used = [n for n in range(start, min(start + 4096, capacity)) if any(_sector(raw, n))]
        if not used:
            directory.append(0)
            continue
        at = next_free + len(body) // SECTOR
        directory.append(at)
        entries = [0] * 4096
        for place, n in enumerate(used):
            entries[n - start] = at + 32 + place
        body += struct.pack("<4096I", *entries)
        for n in used:
            body += _sector(raw, n)
    head = struct.pack(
        "<4sIIIIIII", b"COWD", 1, 3, capacity, 1, 4, tables, next_free + len(body) // SECTOR
    )
    out = head.ljust(4 * SECTOR, b"\0") + pad(struct.pack(f"<{tables}I", *directory)) + body
    return bytes(out)


def _sector(raw, n):
    return raw[n * SECTOR : (n + 1) * SECTOR]


def sesparse(raw, replay_journal=False):
    """seSparse: 4 KiB grains, 64-sector tables of 64-bit entries."""
    grain_bytes, per_table = 8 * SECTOR, 4096
    capacity = sectors(len(raw))
    grains = (capacity + 7) // 8
    tables = (grains + per_table - 1) // per_table
    directory_at, directory_size = 2048, sectors(tables * 8)
    tables_at = directory_at + directory_size + (-directory_size % 8)
    grains_at = tables_at + 64 * tables + (-(tables_at + 64 * tables) % 8)
    directory, table_bytes, body = [], bytearray(), bytearray()
    for number in range(tables):
        entries = []
        for n in range(number * per_table, min((number + 1) * per_table, grains)):
            data = raw[n * grain_bytes : (n + 1) * grain_bytes]
            if not any(data):
                # 0: nothing there, 1: unmapped, 2: zero; all read as zero in a base image.
                entries.append([0, 1 << 60, 2 << 60][n % 3])
                continue
            index = len(body) // grain_bytes
            entries.append(3 << 60 | (index & 0xFFF) << 48 | index >> 12)
            body += data.ljust(grain_bytes, b"\0")
        table_bytes += struct.pack("<4096Q", *entries, *[0] * (per_table - len(entries)))
        directory.append(0x10000000 << 32 | number)
    fields = (0xCAFEBABE, 0x200000001, capacity, 8, 64, 0, 0, 0, 0, 0)
    places = (1, 1, 2, 2, 4, 4, directory_at, directory_size, tables_at, 64 * tables)
    places += (grains_at, 0, grains_at, 0, grains_at, sectors(len(body)))
    out = struct.pack("<26Q", *fields, *places).ljust(SECTOR, b"\0")
    out += struct.pack("<QQQB", 0xCAFECAFE, 0, 0, replay_journal).ljust(SECTOR, b"\0")
    out = out.ljust(directory_at * SECTOR, b"\0") + struct.pack(f"<{tables}Q", *directory)
    out = out.ljust(tables_at * SECTOR, b"\0") + table_bytes
    return out.ljust(grains_at * SECTOR, b"\0") + bytes(body)


def descriptor(create_type, extents, extra=""):
    """The text file of a disk whose extents are files beside it."""
    return (
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
        f'createType="{create_type}"\n{extra}\n# Extent description\n'
        + "".join(line + "\n" for line in extents)
        + '\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = "13"\n'
    )
