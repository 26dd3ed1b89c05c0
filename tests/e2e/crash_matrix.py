#!/usr/bin/python3
"""The crash matrix in full: kill -9 at every named fault point and at random moments of warm
migrations, resume, compare.

    VMFERRY=build/debug/jobs/vmferry /usr/bin/python3 tests/e2e/crash_matrix.py [--points 200]
        [--seed N] [--jobs 4] [--only POINT] [--keep]

The program must be built with VF_FAULTS (presets debug, asan, tsan). The same seed gives the same
cases; moments are as exact as the machine's load lets them be."""

import argparse
import itertools
import os
import shutil
import sys
import time

from harness import cli, crash, warm
from harness.simulator import Simulator

AT_ONCE = 24  # VMs of one simulator


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--points", type=int, default=200)
    options.add_argument("--seed", type=int, default=int(time.time()))
    options.add_argument("--jobs", type=int, default=4)
    options.add_argument("--only", default="", help="one fault point, at its first passages")
    options.add_argument("--keep", action="store_true", help="keep the folders")
    given = options.parse_args()
    cli.VMFERRY = os.path.abspath(cli.VMFERRY)
    if not os.access(cli.VMFERRY, os.X_OK) or not warm.program_has_faults():
        sys.exit("VMFERRY must name a vmferry that was built with VF_FAULTS")

    folder = crash.scratch_folder()
    home = folder / "home"
    home.mkdir()
    program = os.environ.get("VSPHERE_SIM") or crash.build_simulator()
    simulators = []

    def make(*arguments, vms):
        place = folder / f"sim-{len(simulators)}"
        simulators.append(Simulator(program, place, *arguments, vms=vms))
        return simulators[-1]

    def start(*arguments, **more):
        process = cli.Process(arguments, home, **more)
        process.secrets = ["simulated-Pa55"]
        return process

    print(f"{given.points} points, seed {given.seed}, in {folder}", flush=True)
    cases = crash.plan(given.points, given.seed, [given.only] if given.only else None)
    results, started = [], time.monotonic()
    for number in itertools.count():
        part = cases[number * AT_ONCE : (number + 1) * AT_ONCE]
        if not part:
            break
        stand = crash.Stand(part, folder / f"stand-{number}", make, start)
        results += stand.run(given.jobs)
        simulators[-1].stop()
        done, lines, _ = crash.report(results[-len(part) :])
        print(f"  {len(results)} of {len(cases)}: {done}", *lines, sep="\n    ", flush=True)
        if not given.keep and not lines:
            shutil.rmtree(stand.folder)
    summary, _, problems = crash.report(results)
    print(f"{summary} in {time.monotonic() - started:.0f} s, seed {given.seed}")
    if not given.keep and not problems:
        shutil.rmtree(folder)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
