"""The command line itself: help, version, misuse, completion, output that cannot be written."""

import subprocess

import pytest
from harness import cli

COMMANDS = ["inventory", "import", "convert", "verify", "cleanup", "version", "help", "completion"]


def test_help__lists_every_command(vmferry):
    result = vmferry("help").good()
    for command in COMMANDS:
        assert command in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command__goes_to_stdout(vmferry, command):
    result = vmferry("help", command).good()
    assert result.out.count("\n") > 3 and result.err == ""
    assert vmferry(command, "--help").good().out == result.out


def test_version__is_one_line(vmferry):
    assert vmferry("version").good().out.startswith("vmferry ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["inventry"],
        ["inventory", "--nosuch"],
        ["inventory", "-o", "xml"],
        ["import"],
        ["import", "--vm", "x", "--source", "https://x.invalid", "--user", "u"],
        ["import", "--vm", "x", "--ova", "y", "--to", "dir:z"],
        ["import", "--ova", "y", "--to", "s3:z"],
        ["import", "--ova", "y", "--to", "dir:"],
        ["import", "--ova", "y", "--to", "dir:z", "--format", "vdi"],
        ["import", "--ova", "y", "--to", "dir:z", "--threads", "0"],
        ["import", "--ova", "y", "--to", "dir:z", "--threads", "many"],
        ["convert", "one"],
        ["convert", "one", "two", "three"],
        ["verify"],
        ["inventory", "--source", "https://x.invalid", "--user", "u", "--power", "maybe"],
    ],
    ids=" ".join,
)
def test_misuse__is_one_line_and_status_2(vmferry, arguments):
    result = vmferry(*arguments)
    assert result.status == 2, result
    assert result.out == ""
    errors = [line for line in result.err.splitlines() if "vmferry: hint:" not in line]
    assert len(errors) == 1 and errors[0].startswith("vmferry: error: "), result


def test_completion__is_bash_that_parses_and_completes(vmferry, tmp_path):
    script = tmp_path / "completion.bash"
    script.write_text(vmferry("completion", "bash").good().out)
    subprocess.run(["bash", "-n", script], check=True)
    probe = (
        f'. "{script}"; COMP_WORDS=(vmferry inv); COMP_CWORD=1; COMP_LINE="vmferry inv"; '
        "COMP_POINT=11; f=$(complete -p vmferry | sed 's/.*-F \\([^ ]*\\).*/\\1/'); "
        '$f vmferry inv vmferry; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", probe], capture_output=True, text=True, timeout=20)
    assert done.stdout.split() == ["inventory"], done.stderr


@pytest.mark.parametrize("arguments", [["help"], ["version"], ["help", "import"]])
def test_output_that_cannot_be_written__is_a_failure(tmp_path, arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [cli.VMFERRY, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=cli.environment(tmp_path),
            timeout=30,
        )
    assert done.returncode == 1, done.stderr
    assert "vmferry: error: " in done.stderr


def test_reader_that_goes_away__ends_quietly(sim, tmp_path):
    command = [cli.VMFERRY, "inventory", *sim.arguments(), "-o", "json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.environment(tmp_path)
    ) as process:
        process.stdout.close()
        err = process.stderr.read().decode()
        assert process.wait(60) != 0
    assert "Sanitizer" not in err
