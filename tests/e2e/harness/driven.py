"""A program of tests/real that does one call a line: words in, a line of JSON out."""

import json
import pathlib
import subprocess

from . import cli

REAL = pathlib.Path(cli.VMFERRY or "/nowhere").parents[1] / "tests" / "real"


class Driven:
    """One running, logged in at the simulator. `name` as in tests/real, without "real."."""

    def __init__(self, name, sim, home, *arguments):
        self.morefs = {machine["name"]: machine["moref"] for machine in sim.ready["vms"]}
        self.errors = open(home / f"stderr.{id(self)}", "w+")
        self.process = subprocess.Popen(
            [REAL / f"real.{name}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=cli.environment(
                home,
                VMFERRY_TEST_URL=sim.url,
                VMFERRY_TEST_USER=sim.user,
                VMFERRY_TEST_PASSWORD=sim.password,
                VMFERRY_TEST_CA=sim.ca_file,
            ),
        )
        self.password = sim.password

    def told(self):
        return pathlib.Path(self.errors.name).read_text()

    def send(self, *words):
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        assert line and self.password not in line, self.told()
        return json.loads(line)

    def __call__(self, *words):
        self.send(*words)
        return self.answer()

    def good(self, *words):
        """A call that must go well."""
        answer = self(*words)
        assert "code" not in answer, answer
        return answer

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(30)
        told = self.told()
        assert status == 0 and not cli.SANITIZER.search(told) and self.password not in told, told

    def kill(self):
        self.process.kill()
        self.process.wait(30)
