"""Raw disks with every kind of content, and what qemu-img says of images."""

import json
import os
import random
import subprocess

MIB = 1 << 20
GRAIN = 64 << 10


def make_disk(path, size, seed, dense=0.4):
    """A sparse raw disk: random data, text, written zeroes, holes, lone sectors, and a last sector
    that is not zero. `dense` of its mebibytes are random."""
    chance = random.Random(seed)
    with open(path, "wb") as disk:
        disk.truncate(size)
        for offset in range(0, size, MIB):
            length = min(MIB, size - offset)
            kind = chance.random()
            disk.seek(offset)
            if kind < dense:
                disk.write(chance.randbytes(length))
            elif kind < dense + 0.15:
                line = f"line {offset} of a log that deflates well\n".encode()
                disk.write((line * (length // len(line) + 1))[:length])
            elif kind < dense + 0.25:
                disk.write(bytes(length))
            elif kind < dense + 0.4 and length == MIB:
                for _ in range(3):
                    disk.seek(offset + 512 * chance.randrange(MIB // 512))
                    disk.write(chance.randbytes(512))
        disk.seek(size - 512)
        disk.write(chance.randbytes(512))
    return path


def cached_disk(path, size, seed, dense=0.4):
    """make_disk, or a copy of what an earlier run made: the same arguments give the same bytes."""
    cache = os.environ.get("VMFERRY_TEST_CACHE")
    if not cache:
        return make_disk(path, size, seed, dense)
    os.makedirs(cache, exist_ok=True)
    kept = os.path.join(cache, f"disk-1-{size}-{seed}-{dense}.raw")
    if not os.path.exists(kept):
        partial = f"{kept}.{os.getpid()}"
        make_disk(partial, size, seed, dense)
        os.rename(partial, kept)
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", kept, path], check=True)
    return path


def qemu_img(*arguments):
    done = subprocess.run(
        ["qemu-img", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    return done


def assert_same_disk(got, got_format, want, want_format="raw"):
    """Byte for byte the same disk, and of the same size, as qemu-img reads both."""
    assert virtual_size(got, got_format) == virtual_size(want, want_format)
    done = qemu_img("compare", "-f", got_format, "-F", want_format, got, want)
    assert done.returncode == 0, f"{got} is not {want}: {done.stdout}{done.stderr}"


def differ(one, other):
    return qemu_img("compare", "-f", "raw", "-F", "raw", one, other).returncode == 1


def virtual_size(path, image_format):
    done = qemu_img("info", "-f", image_format, "--output=json", path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["virtual-size"]


def assert_clean_image(path, image_format):
    """qcow2: qemu-img check finds neither leak nor error. raw has nothing to check."""
    if image_format == "qcow2":
        done = qemu_img("check", "-f", "qcow2", path)
        assert done.returncode == 0, done.stdout + done.stderr


def allocated_bytes(path):
    return path.stat().st_blocks * 512


def flip_bit(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))
