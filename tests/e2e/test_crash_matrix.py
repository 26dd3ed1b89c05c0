"""The crash matrix in its short form: every fault point that a migration into a folder passes, and
some random moments. In full: tests/e2e/crash_matrix.py. Another seed: CRASH_SEED."""

import os

import pytest
from harness import crash
from harness.warm import program_has_faults

PARTS = 6
MOMENTS = 6  # besides the points
SEED = int(os.environ.get("CRASH_SEED", "1"))


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_anywhere__the_same_command_ends_with_the_same_bytes(
    start_simulator, start, tmp_path, part
):
    assert program_has_faults()
    points = len(crash.fault_points())
    cases = crash.plan(points + MOMENTS, SEED)[part::PARTS]
    stand = crash.Stand(
        cases, tmp_path / "stand", lambda *a, vms: start_simulator("crash", *a, vms=vms), start
    )
    results = stand.run(jobs=2)
    stand.sim.stop()
    summary, lines, problems = crash.report(results)
    told = "\n".join([f"seed {SEED}, part {part}: {summary}", *lines])
    print(told)
    assert not problems, told


def test_points__are_enough():
    """The short form has at least 40 of them."""
    assert len(crash.fault_points()) >= 40
