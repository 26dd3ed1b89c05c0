"""What a run says while it works: bars, JSON lines, plain lines, nothing."""

import json
import os
import pty
import select
import subprocess
import time

import pytest
from harness import cli
from harness.disks import MIB
from test_import_vsphere import import_vm


def test_json__every_line_parses_and_tells_the_whole_story(slow, vmferry, tmp_path):
    result = import_vm(vmferry, slow, "run01", tmp_path / "out", "--progress", "json").good()
    events = [json.loads(line) for line in result.out.splitlines()]
    assert result.err == ""
    kinds = [event["event"] for event in events]
    assert kinds.count("disk_start") == kinds.count("disk_end") == 2
    assert kinds[-1] == "result" and events[-1]["code"] == "ok"
    assert "phase" in kinds
    progress = [event for event in events if event["event"] == "progress"]
    assert len(progress) >= 4
    for disk, total in ((0, 96 * MIB), (1, 48 * MIB + 1536)):
        done = [event["done_bytes"] for event in progress if event["disk"] == disk]
        assert done == sorted(done)
        assert all(e["total_bytes"] == total for e in progress if e["disk"] == disk)
        assert max(done) <= total
        (end,) = [e for e in events if e["event"] == "disk_end" and e["disk"] == disk]
        assert end["done_bytes"] == total


def test_json__a_failure_is_an_event_and_an_error(sim, vmferry, tmp_path):
    sim.fault("nfc", "truncate", count=-1, after_bytes=MIB)
    result = import_vm(vmferry, sim, "run01", tmp_path / "out", "--progress", "json")
    result.failed("disk")
    last = json.loads(result.out.splitlines()[-1])
    assert last["event"] == "result" and last["code"] != "ok"


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet__is_quiet(sim, vmferry, tmp_path, option):
    result = import_vm(vmferry, sim, "run01", tmp_path / "out", option).good()
    assert (result.out, result.err) == ("", "")


def test_quiet__still_tells_errors(sim, vmferry, tmp_path):
    import_vm(vmferry, sim, "nosuch", tmp_path / "out", "-q").failed("nosuch")


def test_none__tells_warnings_only(sim, vmferry, tmp_path):
    result = import_vm(vmferry, sim, "empty01", tmp_path / "out", "--progress", "none").good()
    assert result.out == ""
    assert all(line.startswith("vmferry: warning") for line in result.err.splitlines()), result


def test_without_a_terminal__there_are_no_escape_sequences(sim, vmferry, tmp_path):
    result = import_vm(vmferry, sim, "run01", tmp_path / "out").good()
    assert "\x1b" not in result.err and "\r" not in result.err
    assert result.out == ""


def on_terminal(arguments, home, columns=80, **env):
    """Run on a terminal of its own; everything that was shown, and the exit status."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        ["sh", "-c", f'stty cols {columns} rows 24; exec "$@"', "sh", cli.VMFERRY]
        + [str(argument) for argument in arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        env=cli.environment(home, **env),
    )
    os.close(follower)
    shown = b""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if not select.select([leader], [], [], 1)[0]:
            continue
        try:
            data = os.read(leader, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(leader)
    return shown.decode(errors="replace"), process.wait(30)


def test_terminal__shows_bars_with_rate_and_percent(slow, tmp_path):
    arguments = ["import", *slow.arguments(), "--vm", "run01", "--to", f"dir:{tmp_path / 'out'}"]
    shown, status = on_terminal(arguments, tmp_path)
    assert status == 0, shown
    assert "\x1b[" in shown
    assert "%" in shown and "/s" in shown
    assert "100%" in shown.replace(" %", "%")


def test_terminal_that_is_narrow__never_wraps(slow, tmp_path):
    import re

    arguments = ["import", *slow.arguments(), "--vm", "snapped", "--to", f"dir:{tmp_path / 'out'}"]
    shown, status = on_terminal(arguments, tmp_path, columns=40)
    assert status == 0, shown
    for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)):
        if "%" in line:
            assert len(line) <= 40, repr(line)
