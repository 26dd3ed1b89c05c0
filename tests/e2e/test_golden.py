"""What VMs of every kind become, byte for byte; harness/golden.py writes them anew."""

import difflib

import pytest
from harness import golden

CASES, VMS = golden.load()


@pytest.fixture(scope="module")
def source(start_simulator):
    return start_simulator("golden", vms=VMS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_manifests__are_as_they_were(vmferry, source, case):
    made = golden.dry_run(vmferry, source, case)
    kept = case.file.read_text()
    names = (str(case.file), "made now")
    difference = difflib.unified_diff(kept.splitlines(), made.splitlines(), *names, lineterm="")
    assert made == kept, "\n".join(difference)


def test_golden_folder__has_a_case_for_each_manifest():
    assert {case.file for case in CASES} == set(golden.MANIFESTS.glob("*.yaml"))
    assert len(VMS) >= 40
