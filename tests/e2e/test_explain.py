"""vmferry explain: every field of what a VM would become, and who says so."""

import json

import pytest
import yaml
from harness import golden, ova
from harness.disks import MIB
from harness.vmdk import stream_optimized

CASES, VMS = golden.load()
SHAPES = {case.name: case for case in CASES}
KINDS = {"default", "template", "guest OS", "source", "target", "option"}


@pytest.fixture(scope="module")
def source(start_simulator):
    return start_simulator("explained", vms=VMS)


@pytest.fixture
def explain(vmferry, source):
    """explain(CASE, ARGUMENT...): the command; afterwards nothing is left at the source."""

    def run(name, *arguments):
        _, vm, *more = SHAPES[name].arguments()
        return vmferry("explain", *source.arguments(), vm, *more, *arguments).good()

    yield run
    state = source.control("GET", "/state")
    assert state["sessions"] == 0 and not [lease for lease in state["leases"] if lease["held"]]


@pytest.fixture
def fields(explain):
    """fields(CASE, ARGUMENT...): {path: field}"""

    def run(name, *arguments):
        tree = json.loads(explain(name, *arguments, "-o", "json").out)
        assert set(tree) == {"vm", "name", "fields", "concerns"}
        assert all(set(f) == {"path", "value", "from", "detail"} for f in tree["fields"])
        assert {f["from"] for f in tree["fields"]} <= KINDS
        return {f["path"]: f for f in tree["fields"]}

    return run


def leaves(node, path=""):
    """(path, value) of a manifest, by the same rule as vmferry's."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            plain = key.replace("-", "").replace("_", "").isalnum()
            step = f".{key}" if plain and path else key if plain else f'["{key}"]'
            yield from leaves(value, path + step)
    elif isinstance(node, list) and node:
        for i, entry in enumerate(node):
            named = entry if isinstance(entry, dict) else {}
            name = named.get("name") or named.get("metadata", {}).get("name") or i
            yield from leaves(entry, f"{path}[{name}]")
    else:
        yield path, node


SOME = ["debian12", "debian12@mapping", "windows2022", "only-cdrom", "10-nics@ignore", "name-time"]


@pytest.mark.parametrize("name", SOME)
def test_fields__are_those_of_the_manifest(fields, name):
    documents = yaml.safe_load_all(SHAPES[name].file.read_text())
    (machine,) = [d for d in documents if d["kind"] == "VirtualMachine"]
    wanted = dict(leaves(machine))
    found = {path: field["value"] for path, field in fields(name).items()}
    assert found.keys() == wanted.keys()
    for path in found:
        if path != 'metadata.annotations["vmferry.io/source-moref"]':
            assert found[path] == wanted[path] or "vcenter.example" in str(wanted[path]), path


DOMAIN = "spec.template.spec.domain"


def test_origins__are_named(fields):
    plain = fields("debian12")
    sockets = plain[f"{DOMAIN}.cpu.sockets"]
    assert (sockets["value"], sockets["from"]) == (2, "source") and "numCPU" in sockets["detail"]
    assert plain[f"{DOMAIN}.devices.disks[disk-0].disk.bus"]["from"] == "guest OS"
    assert plain["spec.template.spec.evictionStrategy"]["from"] == "default"
    mapped = fields("debian12@mapping")
    assert mapped[f"{DOMAIN}.cpu.model"]["from"] == "option"
    assert mapped["spec.template.spec.evictionStrategy"]["from"] == "template"
    assert mapped[f"{DOMAIN}.devices.watchdog.i6300esb.action"]["from"] == "template"
    # A template does not take a fact's place.
    assert mapped[f"{DOMAIN}.cpu.sockets"]["value"] == 2


def test_table__has_parts_values_and_concerns(explain):
    lines = explain("windows2022").out.splitlines()
    assert lines[0] == 'VirtualMachine "windows2022" of VM "windows2022"'
    part = lines.index(f"{DOMAIN}.cpu")
    assert lines[part - 1] == "" and lines[part + 1].split()[:3] == ["sockets", "2", "source"]
    lost = lines.index("lost, or to be decided")
    assert any("[vm.tpm]" in line for line in lines[lost:])


def test_yaml__says_the_same_as_json(explain):
    as_json = json.loads(explain("debian12", "-o", "json").out)
    assert yaml.safe_load(explain("debian12", "-o", "yaml").out) == as_json


def test_package__is_explained_without_a_source(vmferry, tmp_path):
    raw = b"\0" * MIB
    members = ova.package("boxed", [(stream_optimized(raw), len(raw))])
    folder = ova.write_folder(tmp_path / "package", members)
    tree = json.loads(vmferry("explain", "--ovf", folder, "-o", "json").good().out)
    assert tree["vm"] == "boxed"
    assert 'VirtualMachine "boxed"' in vmferry("explain", "--ovf", folder).good().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], ["one of a VM"]),
        (["web", "--vm", "web"], ["only one of"]),
        (["--ova", "x.ova", "--user", "x"], ["--user"]),
        (["web", "--nic-model", "vmxnet3"], ["--nic-model"]),
    ],
)
def test_misuse__status_2(vmferry, arguments, words):
    assert vmferry("explain", *arguments).failed(*words, status=2).out == ""


def test_no_such_vm__status_1(vmferry, source):
    vmferry("explain", *source.arguments(), "nosuch").failed("nosuch")
