#!/usr/bin/python3
"""Speed as a ratio: vmferry and a peer on the same machine, in the same run, turn about.

    tests/bench/bench.py [--vmferry PATH] [--areas PATH] [--rounds N] [--only NAME]... [--json FILE]

Names: raw4 qcow4 raw40 qcow40 inventory nbd-areas nbd-full nbd-full-sync. Fixtures are made once,
in the cache folder (${VMFERRY_CACHE:-~/.cache/vmferry}/bench, about 12 GiB). Wall clock, CPU and
peak memory are those of /usr/bin/time; each figure is the median of the rounds. vmferry syncs what
it writes before it ends, qemu-img by its default does not: no allowance is made for that.

The nbd ones read from nbdkit (file plugin, 64 threads, content in the page cache) over a Unix
socket, through its delay filter, and drop what they read: 2 GiB in areas of 4 KiB to 1 MiB, or a
disk of 4 GiB. "sync" is one synchronous libnbd reader of at most 2 MiB at once.
  nbd-areas      2 ms a read, against sync.
  nbd-full       2 ms a read, against nbdcopy with the best of its settings.
  nbd-full-sync  10 ms a read, against sync. At 2 ms a read this says nothing: 2 MiB take longer to
                 go through the socket than the delay is, and nbdkit and the socket are busy with
                 three or four such readers, whoever reads.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
GIB = 1 << 30


def say(text):
    print(text, file=sys.stderr, flush=True)


def run_timed(argv, env=None):
    """(wall s, CPU s, peak MiB) of one run; its output is dropped, a failure ends the bench."""
    with tempfile.NamedTemporaryFile("r") as report:
        full = ["/usr/bin/time", "-q", "-o", report.name, "-f", "%e %U %S %M", "--", *argv]
        start = time.monotonic()
        done = subprocess.run(full, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        wall = time.monotonic() - start
        if done.returncode != 0:
            sys.exit(f"bench: {argv[0]} failed ({done.returncode}): {done.stderr.decode()[-2000:]}")
        _, user, system, peak = report.read().split()
    return wall, float(user) + float(system), int(peak) / 1024


class Series:
    def __init__(self):
        self.wall, self.cpu, self.peak = [], [], []

    def add(self, sample):
        for values, value in zip((self.wall, self.cpu, self.peak), sample):
            values.append(value)

    def medians(self):
        return tuple(statistics.median(v) for v in (self.wall, self.cpu, self.peak))


# --- fixtures -------------------------------------------------------------------------------


def stage_tree(folder, want_bytes):
    """Real files of this machine, as they come, until there are enough."""
    have = 0
    for source in ("/usr/lib", "/usr/share", "/usr/bin", "/usr/include", "/opt", "/var/lib", "/usr/local"):
        for base, dirs, files in os.walk(source):
            dirs.sort()
            for name in sorted(files):
                path = Path(base, name)
                try:
                    size = path.lstat().st_size
                    if path.is_symlink() or not path.is_file() or size > 200 << 20:
                        continue
                    target = folder / str(path).lstrip("/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
                except OSError:
                    continue
                have += (size + 4095) & ~4095
                if have >= want_bytes:
                    return
    say(f"bench: only {have >> 20} MiB of files were found for a tree of {want_bytes >> 20} MiB")


def make_disk(cache, name, size_bytes, data_bytes):
    """NAME.raw with an ext4 tree, and NAME.vmdk, streamOptimized, of it."""
    raw, vmdk = cache / f"{name}.raw", cache / f"{name}.vmdk"
    if vmdk.exists():
        return vmdk
    say(f"bench: making {name}: {size_bytes >> 30} GiB with {data_bytes >> 20} MiB of files (minutes)")
    part = cache / f"{name}.part"
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        stage_tree(Path(folder), data_bytes)
        raw.unlink(missing_ok=True)
        subprocess.run(
            ["mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=1", "-m", "0", "-d", folder, raw, str(size_bytes >> 10)],
            check=True,
        )
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, part],
        check=True,
    )
    raw.unlink()
    part.rename(vmdk)
    return vmdk


# --- convert --------------------------------------------------------------------------------

QEMU_SETTINGS = ([], ["-m", "16", "-W"], ["-m", "16", "-W", "-T", "none"], ["-m", "16", "-W", "-t", "none"])


def qemu_argv(settings, vmdk, fmt, target):
    return ["qemu-img", "convert", *settings, "-f", "vmdk", "-O", fmt, str(vmdk), str(target)]


def fresh(run, target):
    target.unlink(missing_ok=True)
    os.sync()
    sample = run()
    return sample


def best_settings(vmdk, fmt, target):
    walls = []
    for settings in QEMU_SETTINGS:
        try:
            wall = fresh(lambda: run_timed(qemu_argv(settings, vmdk, fmt, target)), target)[0]
        except SystemExit as refused:  # no O_DIRECT on this filesystem
            say(f"  qemu-img {' '.join(settings)}: {refused}")
            continue
        say(f"  qemu-img {' '.join(settings) or '(defaults)'}: {wall:.2f} s")
        walls.append((wall, settings))
    return min(walls)[1]


def bench_convert(args, cache, name, fmt):
    size, data = ((4 * GIB, int(2.4 * GIB)) if name.endswith("4") else (40 * GIB, 1 * GIB))
    vmdk = make_disk(cache, f"disk{size >> 30}", size, data)
    target = cache / f"out.{fmt}"
    vmdk.read_bytes()  # both find it in the page cache
    settings = best_settings(vmdk, fmt, target)
    ours = [args.vmferry, "convert", "--quiet", "--format", fmt, str(vmdk), str(target)]
    a, b = Series(), Series()
    for i in range(args.rounds):
        b.add(fresh(lambda: run_timed(qemu_argv(settings, vmdk, fmt, target)), target))
        a.add(fresh(lambda: run_timed(ours), target))
        say(f"  round {i + 1}: vmferry {a.wall[-1]:.2f} s, qemu-img {b.wall[-1]:.2f} s")
    reference = cache / f"reference.{fmt}"
    reference.unlink(missing_ok=True)
    run_timed(qemu_argv(settings, vmdk, fmt, reference))
    same = subprocess.run(["qemu-img", "compare", "-f", fmt, "-F", fmt, target, reference], stdout=subprocess.DEVNULL)
    target.unlink()
    reference.unlink()
    if same.returncode != 0:
        sys.exit(f"bench: {name}: vmferry and qemu-img disagree about the content")
    return "qemu-img " + " ".join(settings), a, b


# --- inventory ------------------------------------------------------------------------------


def build_govc(cache):
    govc = cache / "govc"
    subprocess.run(["go", "build", "-o", govc, "."], cwd=HERE / "govc", check=True)
    return str(govc)


def start_simulator(cache, folder):
    binary = cache / "vsphere-sim"
    subprocess.run(["go", "build", "-o", binary, "."], cwd=TOP / "tests/peers/vsphere", check=True)
    ready = Path(folder, "ready.json")
    sim = subprocess.Popen(
        [binary, "--dir", Path(folder, "sim"), "--ready-file", ready, "--fillers", "2000", "--die-with-parent"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    for _ in range(600):
        if ready.exists():
            return sim, json.loads(ready.read_text())
        time.sleep(0.1)
    sys.exit("bench: the simulator did not come up")


def bench_inventory(args, cache, _name, _fmt):
    govc = build_govc(cache)
    with tempfile.TemporaryDirectory() as folder:
        sim, ready = start_simulator(cache, folder)
        try:
            secret = Path(folder, "password")
            secret.write_text(ready["password"] + "\n")
            secret.chmod(0o600)
            ours = [args.vmferry, "inventory", "--source", ready["url"], "--user", ready["user"],
                    "--password-file", str(secret), "--ca-file", ready["ca_file"], "-o", "json"]
            env = dict(os.environ, GOVC_URL=ready["url"], GOVC_USERNAME=ready["user"],
                       GOVC_PASSWORD=ready["password"], GOVC_INSECURE="1", GOVMOMI_HOME=folder,
                       GOVC_PERSIST_SESSION="false")
            # The same facts in one collector query: the fastest way govc has to them.
            theirs = [govc, "collect", "-json", "-type", "m", "/", "name", "parent", "runtime", "guest",
                      "config", "summary", "snapshot", "storage"]
            a, b = Series(), Series()
            for i in range(args.rounds):
                b.add(run_timed(theirs, env=env))
                a.add(run_timed(ours))
                say(f"  round {i + 1}: vmferry {a.wall[-1]:.2f} s, govc {b.wall[-1]:.2f} s")
            listed = json.loads(subprocess.run(ours, check=True, capture_output=True).stdout)
            if len(listed["vms"]) < 2000:
                sys.exit(f"bench: inventory listed {len(listed['vms'])} VMs")
        finally:
            sim.terminate()
            sim.wait()
    return "govc collect", a, b


# --- areas over NBD -------------------------------------------------------------------------

NBDCOPY_SETTINGS = ([], ["--connections=1"], ["--connections=2", "--requests=64"], ["--connections=4", "--requests=128"])
# Connections, reads under way, KiB a read: many small ones for areas, whole leaves of the digest for a disk.
OUR_TUNING = {"areas": "2,128,256", "full": "2,32,1024"}


def make_nbd_disk(cache):
    disk = cache / "nbd.raw"
    if not disk.exists():
        say("bench: making nbd.raw: 4 GiB")
        part = cache / "nbd.part"
        block = os.urandom(64 << 20)
        with part.open("wb") as f:
            for _ in range(64):
                f.write(block)
        part.rename(disk)
    with disk.open("rb") as f:
        while f.read(16 << 20):  # all find it in the page cache
            pass
    return disk


def start_nbdkit(disk, folder, delay):
    socket = Path(folder, "nbd.sock")
    server = subprocess.Popen(
        ["nbdkit", "--foreground", "--exit-with-parent", "--unix", socket, "--threads", "64", "--readonly",
         "--filter=delay", "file", disk, f"rdelay={delay}"])
    for _ in range(100):
        if socket.exists():
            return server, socket
        time.sleep(0.1)
    sys.exit("bench: nbdkit did not come up")


def best_nbdcopy(uri):
    walls = []
    for settings in NBDCOPY_SETTINGS:
        wall = run_timed(["nbdcopy", *settings, uri, "null:"])[0]
        say(f"  nbdcopy {' '.join(settings) or '(defaults)'}: {wall:.2f} s")
        walls.append((wall, settings))
    return min(walls)[1]


def bench_nbd(args, cache, name, _fmt):
    disk = make_nbd_disk(cache)
    what = "areas" if name == "nbd-areas" else "full"
    with tempfile.TemporaryDirectory() as folder:
        server, socket = start_nbdkit(disk, folder, "10ms" if name == "nbd-full-sync" else "2ms")
        try:
            ours = [args.areas, "ours", what, str(socket), "null", "2048", OUR_TUNING[what]]
            if name == "nbd-full":
                uri = f"nbd+unix:///?socket={socket}"
                settings = best_nbdcopy(uri)
                peer, theirs = "nbdcopy " + " ".join(settings), ["nbdcopy", *settings, uri, "null:"]
            else:
                peer, theirs = "sync 2 MiB", [args.areas, "sync", what, str(socket), "null", "2048"]
            a, b = Series(), Series()
            for i in range(args.rounds):
                b.add(run_timed(theirs))
                a.add(run_timed(ours))
                say(f"  round {i + 1}: vmferry {a.wall[-1]:.2f} s, {peer} {b.wall[-1]:.2f} s")
        finally:
            server.terminate()
            server.wait()
    return peer, a, b


BENCHES = {
    "raw4": (bench_convert, "raw"),
    "qcow4": (bench_convert, "qcow2"),
    "raw40": (bench_convert, "raw"),
    "qcow40": (bench_convert, "qcow2"),
    "inventory": (bench_inventory, None),
    "nbd-areas": (bench_nbd, None),
    "nbd-full": (bench_nbd, None),
    "nbd-full-sync": (bench_nbd, None),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vmferry", default=str(TOP / "build/release/jobs/vmferry"))
    parser.add_argument("--areas", default=str(TOP / "build/release/tests/bench/vf-bench-areas"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=BENCHES)
    parser.add_argument("--json")
    args = parser.parse_args()
    cache = Path(os.environ.get("VMFERRY_CACHE", Path.home() / ".cache/vmferry")) / "bench"
    cache.mkdir(parents=True, exist_ok=True)

    rows = []
    for name in args.only or BENCHES:
        say(f"bench: {name}")
        function, fmt = BENCHES[name]
        peer, a, b = function(args, cache, name, fmt)
        (aw, ac, ap), (bw, bc, bp) = a.medians(), b.medians()
        rows.append({"name": name, "peer": peer, "rounds": args.rounds,
                     "vmferry": {"wall_s": aw, "cpu_s": ac, "peak_mib": ap},
                     "peer_figures": {"wall_s": bw, "cpu_s": bc, "peak_mib": bp},
                     "times_faster": bw / aw, "cpu_share": ac / bc})
    print("| bench | vmferry s | CPU s | MiB | peer | peer s | CPU s | MiB | times faster | CPU share |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for r in rows:
        v, p = r["vmferry"], r["peer_figures"]
        print(f"| {r['name']} | {v['wall_s']:.2f} | {v['cpu_s']:.2f} | {v['peak_mib']:.0f} | {r['peer']} | "
              f"{p['wall_s']:.2f} | {p['cpu_s']:.2f} | {p['peak_mib']:.0f} | **{r['times_faster']:.1f}** | "
              f"{r['cpu_share']:.2f} |")
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
