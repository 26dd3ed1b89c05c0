"""vmferry migrate --warm into a folder: what arrives is what was there when the source went off."""

import json
import os
import pathlib

import pytest
from harness import cli
from harness.cli import wait_until
from harness.disks import MIB
from harness.warm import WarmRun, warm_vm

# A guest that changes less than is copied, but something in each round.
LOAD = 2 * MIB


@pytest.fixture
def source(start_simulator, tmp_path):
    """source(ARGUMENT..., vms=[...]): a simulator of the test's own."""

    def begin(*arguments, vms=None, **more):
        folder = tmp_path / "source"
        folder.mkdir()
        return start_simulator(
            "warm", "--task-delay", "20ms", *arguments, vms=vms or [warm_vm(folder, **more)]
        )

    return begin


def transport_options(transport):
    """How each transport is asked for; vddk is nbdkit's ABI with a library that reads the
    simulator's files."""
    if transport != "vddk":
        return ["--transport", transport]
    plugin = pathlib.Path(cli.VMFERRY).parents[1] / "tests" / "unit" / "nbdkit-vddk-plugin.so"
    return ["--transport", "vddk", "--nbdkit", str(plugin)]


@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
@pytest.mark.parametrize("transport", ["nfc", "https"])
def test_guest_that_writes_all_the_time__arrives_as_it_was_shut_down(
    source, start, tmp_path, transport, image_format
):
    sim = source()
    if transport == "https":
        sim.control("POST", "/options", {"folder_locked": False})
    run = WarmRun(sim, start, tmp_path / "out", image_format=image_format)
    run.source.load(LOAD)
    run.begin(*transport_options(transport))
    before = run.source.written()
    status = run.wait_round(4)
    assert status["transport"] == transport
    assert run.source.written() > before + 20, "the guest wrote too little to prove anything"
    assert run.source.state()["power"] == "on"
    run.cut_over()
    run.assert_delivered()
    events = run.source.events("snapshot_created", "snapshot_removed")
    assert events.count("snapshot_created") == events.count("snapshot_removed") >= 6
