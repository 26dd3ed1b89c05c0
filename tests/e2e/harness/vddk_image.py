"""The image with "VMware's library" that CDI's importer pods begin with: a script that puts the
stand-in plugin of tests/peers/nbdkit where CDI looks for one in its own tests."""

import base64
import pathlib

from . import cli

IMAGE = "registry.example.com/vddk:8"
SCRIPT = """#!/bin/sh
set -e
mkdir -p /opt/testing /opt/vmware-vix-disklib-distrib/lib64
base64 -d >/opt/testing/libvddk-test-plugin.so <<END
{plugin}
END
"""


def write_program(path):
    """The image's program, for the test cluster."""
    plugin = pathlib.Path(cli.VMFERRY).parents[1] / "tests/unit/nbdkit-vddk-folder-plugin.so"
    text = base64.encodebytes(plugin.read_bytes()).decode() if plugin.exists() else ""
    path.write_text(SCRIPT.format(plugin=text.strip()))
    path.chmod(0o755)
    return path
