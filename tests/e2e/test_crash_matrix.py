"""The crash matrix in its short form: most of the fault points that a migration into a folder passes,
and some random moments. In full: tests/e2e/crash_matrix.py. Another choice: CRASH_SEED=N."""

import os
import random

import pytest
from harness import crash
from harness.warm import program_has_faults

PARTS = 6
POINTS = 44
MOMENTS = 4  # besides the points
SEED = int(os.environ.get("CRASH_SEED", "1"))


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_anywhere__the_same_command_ends_with_the_same_bytes(
    start_simulator, start, tmp_path, part
):
    assert program_has_faults()
    names = random.Random(SEED).sample(sorted(crash.fault_points()), POINTS)
    cases = crash.plan(POINTS + MOMENTS, SEED, names)[part::PARTS]
    stand = crash.Stand(
        cases, tmp_path / "stand", lambda *a, vms: start_simulator("crash", *a, vms=vms), start
    )
    results = stand.run(jobs=2)
    stand.sim.stop()
    summary, lines, problems = crash.report(results)
    told = "\n".join([f"seed {SEED}, part {part}: {summary}", *lines])
    print(told)
    assert not problems, told
