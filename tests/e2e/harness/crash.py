"""Crashes of a warm migration: killed at a moment or at a named fault point, then the same command
again; in the end the target has the source's bytes, whatever the moment was."""

import concurrent.futures
import dataclasses
import pathlib
import random
import re
import signal
import subprocess
import tempfile
import threading
import time

from .disks import MIB
from .vddk import vddk_options
from .warm import QUICK, SUFFIX, WarmRun, warm_vm

TOP = pathlib.Path(__file__).parents[3]
POINT = re.compile(r'vf_inject\("([^"]+)"')
# Passed in clusters and by imports alone: tests/e2e/cluster kills there.
ELSEWHERE = ("jobs/cluster/", "importer/target/upload.c", "importer/target/claim")
RATE = 3 * MIB

# What it takes to come to a point, by its name's beginning; the first that fits.
WAYS = [
    ("transport.nfc", {"transport": "nfc"}),
    ("transport.https", {"transport": "https"}),
    ("datastore.", {"transport": "https"}),
    ("transport.vddk", {"transport": "vddk"}),
    ("qcow2.reopen", {"format": "qcow2", "before": ("round.copied:2:kill",)}),
    ("qcow2.", {"format": "qcow2"}),
    ("source.stun", {"tracked": False}),
    ("source.tracked", {"tracked": False}),
    ("machine.tracking", {"tracked": False}),
    ("source.power_off", {"hangs": True}),
    ("source.powered_off", {"hangs": True}),
    ("source.power_on", {"during": "round.finish:1:eio"}),
    ("source.powered_on", {"during": "round.finish:1:eio"}),
    ("machine.brought_back", {"during": "round.finish:1:eio"}),
    ("machine.undone", {"during": "round.finish:1:eio"}),
    ("place.revoked", {"before": ("dir.named:1:kill",)}),
    ("dir.retracted", {"before": ("dir.named:1:kill",)}),
    ("dir.removed", {"cancels": True}),
]


def fault_points():
    """Every one that a migration into a folder can come to: {name: where it stands}."""
    found = {}
    for folder in ("converters", "importer", "jobs"):
        for path in sorted((TOP / folder).rglob("*.c")):
            where = str(path.relative_to(TOP))
            if not where.startswith(ELSEWHERE):
                for name in POINT.findall(path.read_text()):
                    found[name] = where
    return found


@dataclasses.dataclass
class Case:
    seed: int
    point: str = ""  # empty: at a moment
    nth: int = 1
    moment: float = 0.0  # as a share of how long a migration takes
    again: bool = False  # the second run is killed at a moment, too
    transport: str = "nfc"
    format: str = "raw"
    tracked: bool = True
    hangs: bool = False  # the guest does not shut down, and is powered off
    cancels: bool = False  # what is killed is a cancel with --discard
    before: tuple = ()  # faults of runs before
    during: str = ""  # a fault of the run that is killed

    @property
    def has_users_snapshot(self):
        """Not with https, to which a disk below a snapshot is a delta's base."""
        return self.seed % 8 == 0 and self.tracked and self.transport != "https"

    @property
    def name(self):
        at = f"{self.point}:{self.nth}" if self.point else f"{self.moment:.0%}"
        return f"{at} {self.transport} {self.format} seed {self.seed}"


def plan(points, seed, named=None):
    """At least that many cases: each named point at its first passage, then points and moments by
    chance."""
    chance = random.Random(seed)
    names = sorted(fault_points()) if named is None else named
    cases = [make_case(chance, point) for point in names]
    while len(cases) < points:
        point = chance.choice(names) if chance.random() < 0.4 else ""
        cases.append(make_case(chance, point, nth=chance.choice((1, 2, 3, 5, 9))))
    return cases


def make_case(chance, point, nth=1):
    case = Case(
        seed=chance.randrange(1 << 31),
        point=point,
        nth=nth,
        moment=chance.random(),
        again=chance.random() < 0.3,
        transport=chance.choice(("nfc", "https", "https")),
        format=chance.choice(("raw", "qcow2")),
    )
    way = next((way for start, way in WAYS if point.startswith(start)), {}) if point else {}
    return dataclasses.replace(case, **way)


class Stand:
    """One simulator with a VM for each case. `start` makes a process, as in WarmRun; `make`
    makes the simulator of its arguments and VMs."""

    ARGUMENTS = ["--task-delay", "20ms", "--shutdown-delay", "200ms", "--lease-timeout", "3s"]

    def __init__(self, cases, folder, make, start):
        self.cases = cases
        self.folder = folder
        self._start = start
        disks = folder / "disks"
        disks.mkdir(parents=True)
        self.names = [f"case-{number:04}-x" for number in range(len(cases))]
        self.sim = make(
            *self.ARGUMENTS,
            vms=[
                warm_vm(
                    disks,
                    name,
                    sizes=(6 * MIB, 2 * MIB + 512 * 3),
                    seed=70,
                    cbt=case.tracked,
                    snapshots=["by hand"] if case.has_users_snapshot else [],
                )
                for name, case in zip(self.names, cases)
            ],
        )
        self.sim.control("POST", "/options", {"folder_locked": False})
        self.lock = threading.Lock()
        self.seconds = 1.5  # that a migration takes here, as far as is known

    def run(self, jobs):
        """Every case; {name of the case: what happened}, in their order."""
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(self._run_case, range(len(self.cases))))

    def _run_case(self, number):
        case = self.cases[number]
        try:
            return case, Crash(self, case, self.names[number]).run(), None
        except Exception as problem:  # noqa: BLE001 (told with its case, after all others)
            return case, "failed", problem

    def took(self, seconds):
        with self.lock:
            self.seconds += (seconds - self.seconds) / 3


class Crash:
    """One case on its VM."""

    def __init__(self, stand, case, name):
        self.stand = stand
        self.case = case
        self.folder = stand.folder / name
        self.folder.mkdir()
        options = [*QUICK, "--cutover", "asap"]
        options += [] if case.tracked else ["--allow-stun"]
        options += ["--hard-power-off", "--shutdown-timeout", "1s"] if case.hangs else []
        options += self._transport(name)
        self.migration = WarmRun(
            stand.sim, stand._start, self.folder / "out", name, case.format, options
        )
        self.source = self.migration.source

    def _transport(self, name):
        if self.case.transport != "vddk":
            return ["--transport", self.case.transport]
        helper = self.folder / "vddk"
        helper.mkdir()
        return vddk_options(self.stand.sim, name, helper, self.folder)

    def run(self):
        case = self.case
        if case.hangs:
            self.stand.sim.fault(
                "ShutdownGuest", "shutdown_hang", count=-1, match=self.source.name
            )
        self.source.load(RATE, seed=case.seed)
        for fault in case.before:
            self._migrate(fault)
            assert self._wait() == -signal.SIGKILL, f"{fault} was not passed"
            self._check()
        return self._cancel() if case.cancels else self._resume()

    def _resume(self):
        killed = self._kill_one()
        if killed and self.case.again and not self._is_over():
            self._migrate()
            self._kill_at(random.Random(self.case.seed).random())
        told = True
        if self._is_over():
            # Killed between its last deed and its last word: the status lacks that.
            told = not killed
        else:
            self._migrate()
            self.migration.end().good()
        self.migration.assert_delivered(told, verify=self.case.seed % 4 == 0)
        self._check_others()
        return "killed" if killed else "missed"

    def _is_over(self):
        """Nothing is left to be done: the record is there, and the checkpoint gone."""
        target = self.migration.target
        return (target / "vmferry.json").exists() and self.migration.checkpoint() is None

    def _cancel(self):
        """A migration that waits is killed, and so is the cancel; the next cancel ends it."""
        self._migrate("machine.removed:2:kill")
        assert self._wait() == -signal.SIGKILL
        arguments = [*self.stand.sim.arguments(), "--discard"]
        fault = f"{self.case.point}:{self.case.nth}:kill"
        done = self.migration.command("cancel", *arguments, env={"VMFERRY_FAULTS": fault})
        if done.status == -signal.SIGKILL and self.migration.target.exists():
            self.migration.command("cancel", *arguments, "--vm", self.source.name).good()
        assert not self.migration.target.exists(), list(self.migration.target.iterdir())
        self.source.assert_clean("on", note=False)
        self._check_others()
        return "killed" if done.status == -signal.SIGKILL else "missed"

    def _kill_one(self):
        case = self.case
        if not case.point:
            self._migrate()
            return self._kill_at(case.moment)
        faults = [case.during] if case.during else []
        self._migrate(",".join([*faults, f"{case.point}:{case.nth}:kill"]))
        status = self._wait()
        if status == -signal.SIGKILL:
            self._check()
        elif case.during:
            assert status == 1, f"it ended with {status}"
            self.migration.assert_undone()
        return status == -signal.SIGKILL

    def _kill_at(self, share):
        process = self.migration.process
        deadline = time.monotonic() + share * self.stand.seconds
        while process.running() and time.monotonic() < deadline:
            time.sleep(0.002)
        if not process.running():
            self.stand.took(time.monotonic() - process.started)
            self.migration.end().good()
            return False
        self.migration.kill()
        self._check()
        return True

    def _migrate(self, faults=""):
        self.migration.begin(env={"VMFERRY_FAULTS": faults} if faults else None)

    def _wait(self):
        return self.migration.end().status

    def _check(self):
        """What must be true at every moment: a VM that is off has a run that will see to it."""
        migration, state = self.migration, self.source.state()
        assert len(self.source.own_snapshots()) <= 2, state["snapshots"]
        finished = (migration.target / "vmferry.json").exists()
        checkpoint = migration.checkpoint()
        if state["power"] == "off":
            assert finished or checkpoint["stage"] in ("cutover", "delivered"), checkpoint
        named = list(migration.target.glob(f"*{SUFFIX[migration.format]}"))
        assert state["power"] == "off" or not finished or not named, "two of them could run"
        self.source.assert_never_started_after_delivery()

    def _check_others(self):
        kept = [s["name"] for s in self.source.state()["snapshots"]]
        assert kept == (["by hand"] if self.case.has_users_snapshot else [])


def report(results):
    """Lines for a person, and the problems."""
    lines, problems = [], []
    counts = {}
    for case, outcome, problem in results:
        counts[outcome] = counts.get(outcome, 0) + 1
        if problem:
            problems.append((case, problem))
            lines.append(f"{case.name}: {type(problem).__name__}: {problem}"[:3000])
        elif outcome == "missed" and case.point and case.nth == 1:
            problems.append((case, AssertionError("no migration passes this point")))
            lines.append(f"{case.name}: no migration passes this point")
    summary = ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items()))
    return summary, lines, problems


def scratch_folder():
    """Where the matrix works when it is not run by pytest."""
    return pathlib.Path(tempfile.mkdtemp(prefix="vmferry-crash-"))


def build_simulator():
    """The simulator's program, built when it is not there."""
    script = (
        "set -eu; ui_log_file=$(mktemp); "
        'for part in ui go simulator; do . "$1/deploy/lib/$part.sh"; done; '
        'simulator_build "$1/tests/peers/vsphere" "$(ui_cache_dir)" >&2; '
        'printf "%s" "$simulator_program"'
    )
    done = subprocess.run(
        ["sh", "-c", script, "sh", TOP], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout
