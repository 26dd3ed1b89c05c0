"""VMs of every kind (tests/golden/vms.json) and what they become (tests/golden/manifests).

An entry has the VM as the simulator takes it, options (where it cannot do without), and variants:
other options in their place, each with a manifest of its own.

    VMFERRY=path/of/vmferry /usr/bin/python3 tests/e2e/harness/golden.py

writes all manifests anew, for a look at the difference.
"""

import json
import pathlib
import re

FOLDER = pathlib.Path(__file__).parents[2] / "golden"
MANIFESTS = FOLDER / "manifests"
FILES = ("--template", "--os-table", "--mapping")


class Case:
    """One VM by one set of options."""

    def __init__(self, entry, variant=None):
        self.vm = entry["vm"]
        self.name = entry["shape"] + (f"@{variant}" if variant else "")
        # Files by the names that they have in the golden folder.
        self.extra = entry["variants"][variant] if variant else entry.get("arguments", [])

    def arguments(self):
        """For vmferry; files are those of the golden folder."""
        taken = [*self.extra]
        for i, argument in enumerate(self.extra):
            if argument in FILES:
                taken[i + 1] = str(FOLDER / taken[i + 1])
        return ["--vm", self.vm["name"], *taken]

    @property
    def file(self):
        return MANIFESTS / f"{self.name}.yaml"


def load():
    """All cases, and all VMs for the simulator."""
    entries = json.loads((FOLDER / "vms.json").read_text())
    cases = []
    for entry in entries:
        cases.append(Case(entry))
        cases += [Case(entry, variant) for variant in entry.get("variants", {})]
    assert len({case.name for case in cases}) == len(cases)
    return cases, [entry["vm"] for entry in entries]


def as_golden(text, url):
    """Without what differs from one simulator to the next."""
    host = re.sub(r"^https://", "", url)
    text = text.replace(host, "vcenter.example").replace(str(FOLDER), "GOLDEN")
    return re.sub(r"\bvm-\d+\b", "vm-0", text)


def dry_run(run, simulator, case):
    """The manifests, by a function that runs vmferry to its end."""
    command = ["import", *simulator.arguments(), *case.arguments()]
    result = run(*command, "--dry-run", "--quiet").good()
    return as_golden(result.out, simulator.url)


def write_all():
    import os
    import subprocess
    import sys
    import tempfile

    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
    from conftest import BUILD_SIMULATOR, TOP
    from harness import cli
    from harness.simulator import Simulator

    program = os.environ.get("VSPHERE_SIM") or subprocess.check_output(
        ["sh", "-c", BUILD_SIMULATOR, "sh", TOP], text=True
    )
    cases, vms = load()
    with tempfile.TemporaryDirectory() as folder:
        simulator = Simulator(program, pathlib.Path(folder) / "sim", vms=vms)
        cli.VMFERRY = os.path.abspath(cli.VMFERRY)
        run = lambda *arguments: cli.Process(arguments, folder).wait()  # noqa: E731
        wanted = {case.file for case in cases}
        MANIFESTS.mkdir(exist_ok=True)
        for old in set(MANIFESTS.glob("*.yaml")) - wanted:
            old.unlink()
        for case in cases:
            case.file.write_text(dry_run(run, simulator, case))
        simulator.stop()
    print(f"{len(cases)} manifests in {MANIFESTS}")


if __name__ == "__main__":
    write_all()
