"""vmferry check: what it finds, and how it says so by text, data and status."""

import itertools
import json
import re

import pytest
import yaml
from harness.disks import MIB

FINDING = {"id", "severity", "area", "message", "action"}
VM = {"name", "reference", "folder", "target_name", "severity", "findings", "estimate"}
ESTIMATE = {"bytes", "bytes_per_s", "measured", "copy_s", "downtime_s"}


number = itertools.count()


def machine(name, *disks, **more):
    """Off, with a guest that boots from anything: nothing stands against it by itself."""
    return {
        "name": name,
        "folder": "/fleet",
        "guestId": "debian12_64Guest",
        "disks": [{"size": 4 * MIB, **disk} for disk in disks or [{}]],
        "nics": [{"mac": f"00:50:56:11:22:{next(number):02x}"}],
        "cdroms": [],
        **more,
    }


VMS = [
    machine("clean"),
    machine("rdm", {}, {"rdm": "virtual", "rdmDevice": "naa.600"}),
    machine("iso!", cdroms=[{"iso": "[LocalDS_0] iso/x.iso"}], folder="/fleet/old"),
    machine("running1", power="on", toolsRunning=False, tags=["wave:one"]),
    machine("Twin/slash", cpuHotAdd=True),
    machine("twins", folder="/a"),
    machine("twins", folder="/b", devices=["pci"], datastore="nfs tier 2"),
]


@pytest.fixture(scope="module")
def fleet(start_simulator):
    return start_simulator("fleet", vms=VMS)


@pytest.fixture
def check(vmferry, fleet):
    """check(ARGUMENT...); afterwards nothing is left at the source."""

    def run(*arguments, **more):
        return vmferry("check", *fleet.arguments(), *arguments, **more)

    yield run
    state = fleet.control("GET", "/state")
    assert state["sessions"] == 0
    assert not [lease for lease in state["leases"] if lease["held"]]
    assert not [m["name"] for m in state["vms"] if m["snapshots"] or m["consolidationNeeded"]]


# Hosts of the simulator are names that nobody can look up, which is a finding by itself.
ALONE = ("--probe", "none")


@pytest.fixture
def found(check):
    """found(ARGUMENT...): as data, and the status."""

    def run(*arguments):
        result = check(*ALONE, "-o", "json", *arguments)
        assert result.status in (0, 1, 2), result
        return json.loads(result.out), result.status

    return run


def ids(vm):
    return {finding["id"] for finding in vm["findings"]}


def by_name(tree):
    return {vm["name"]: vm for vm in tree["vms"]}


def test_clean_vm__status_0_and_one_line(check):
    result = check("clean", *ALONE, "--least", "warning").good()
    assert result.out.splitlines()[0] == 'clean: "clean"'
    assert "1 VM: 1 clean, 0 with warnings, 0 critical" in result.out
    check("clean", *ALONE, "--strict").good()


def test_warnings__status_1_with_strict_only(check, found):
    tree, status = found("iso!")
    assert tree["vms"][0]["severity"] == "warning" and status == 0
    _, status = found("iso!", "--strict")
    assert status == 1
    assert "do: " in check("iso!", *ALONE).good().out


def test_critical__status_2_and_what_to_do(check, found):
    result = check("rdm", *ALONE)
    assert result.status == 2 and result.err == "", result
    assert re.search(r"^  critical +.*\[disk\.rdm.*\]$", result.out, re.M), result
    assert re.search(r"^ +do: .*--rdm", result.out, re.M), result
    assert "1 critical" in result.out.splitlines()[-2] + result.out.splitlines()[-1]
    for answer in ("copy", "ignore"):
        tree, status = found("rdm", "--rdm", answer)
        assert status == 0 and tree["summary"]["critical"] == 0, tree
    _, status = found("rdm", "--disk", "1:skip")
    assert status == 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nosuch"], ["nosuch"]),
        (["--name", "nosuch"], ["nosuch"]),
        (["--folder", "/DC0/vm/empty"], ["no VM matches"]),
        (["twins"], ["twins", "/DC0/vm/a", "/DC0/vm/b"]),
    ],
)
def test_nothing_to_check__status_3(check, arguments, words):
    assert check(*arguments).failed(*words, status=3).out == ""


def test_no_login__status_3(vmferry, fleet, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-password")
    wrong.chmod(0o600)
    arguments = [str(wrong) if a == str(fleet.password_file) else a for a in fleet.arguments()]
    assert vmferry("check", *arguments).failed(status=3).out == ""


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--skip-check", "disk.rmd"], ["disk.rmd", "did you mean"]),
        (["clean", "--folder", "/DC0/vm/fleet"], ["either named or selected"]),
        (["--to", "upload", "--warm"], ["--warm"]),
        (["--kubeconfig", "x"], ["--kubeconfig", "--to upload"]),
        (["--allow-stun"], ["--allow-stun", "--warm"]),
        (["-o", "json", "--least", "warning"], ["--least"]),
        (["--cpu-model", "a/b"], ["--cpu-model"]),
        (["--target-name", "other"], ["--target-name", "one VM"]),
    ],
)
def test_misuse__status_2_and_no_word_on_stdout(check, arguments, words):
    assert check(*arguments).failed(*words, status=2).out == ""


def test_json__has_the_documented_keys(found):
    tree, status = found()
    assert status == 2
    assert set(tree) == {"vms", "findings", "summary"}
    assert set(tree["summary"]) == {
        *("vms", "clean", "with_warnings", "critical", "findings", "bytes", "copy_s")
    }
    assert len(tree["vms"]) == tree["summary"]["vms"] == len(VMS)
    for vm in tree["vms"]:
        assert set(vm) == VM and set(vm["estimate"]) == ESTIMATE
        grades = ["none", "information", "warning", "critical"]
        worst = max([f["severity"] for f in vm["findings"]] + ["none"], key=grades.index)
        assert vm["severity"] == worst
    every = [f for vm in tree["vms"] for f in vm["findings"]] + tree["findings"]
    assert all(FINDING <= set(f) <= FINDING | {"object"} for f in every)
    for severity, count in tree["summary"]["findings"].items():
        assert count == len([f for f in every if f["severity"] == severity])


def test_yaml__says_the_same_as_json(check):
    arguments = ("--folder", "/DC0/vm/fleet", *ALONE)
    as_json = json.loads(check(*arguments, "-o", "json").out)
    assert yaml.safe_load(check(*arguments, "-o", "yaml").out) == as_json


def test_target_name__is_what_the_import_makes_of_it(check):
    def named(name):
        result = check("clean", *ALONE, "--target-name", name, "-o", "json").good()
        return [vm["target_name"] for vm in json.loads(result.out)["vms"]]

    assert named("other") == ["other"]
    (label,) = named("New Name")
    assert label.startswith("new-name-")


def test_vms_of_one_name__have_their_own_findings(found):
    tree, _ = found("--name", "twins")
    first, second = tree["vms"]
    assert (first["folder"], second["folder"]) == ("/DC0/vm/a", "/DC0/vm/b")
    assert "device.pci-passthrough" not in ids(first)
    assert "device.pci-passthrough" in ids(second)
    assert first["target_name"] != second["target_name"]


def test_operands__are_names_paths_and_references(found):
    tree, _ = found("/DC0/vm/b/twins", "clean")
    assert [vm["folder"] for vm in tree["vms"]] == ["/DC0/vm/b", "/DC0/vm/fleet"]
    references = [vm["reference"] for vm in tree["vms"]]
    tree, _ = found(*references)
    assert [vm["reference"] for vm in tree["vms"]] == references


@pytest.mark.parametrize(
    "selection, expected",
    [
        (["--folder", "/DC0/vm/fleet/old"], ["iso!"]),
        (["--glob", "r*"], ["rdm", "running1"]),
        (["--power", "on"], ["running1"]),
        (["--tag", "wave/one"], ["running1"]),
        (["--name", "clean", "--name", "rdm"], ["clean", "rdm"]),
    ],
)
def test_selection__checks_just_these(found, selection, expected):
    tree, _ = found(*selection)
    assert sorted(by_name(tree)) == expected


def test_skipped_rule__is_not_judged(found):
    tree, status = found("rdm", "--skip-check", "disk.rdm-undecided", "--skip-check", "disk.rdm")
    assert status == 0 and not {"disk.rdm", "disk.rdm-undecided"} & ids(tree["vms"][0])


def test_warm__asks_for_more(found):
    cold, _ = found("running1")
    warm, status = found("running1", "--warm")
    assert status == 2
    assert {f["id"] for f in warm["vms"][0]["findings"]} - ids(cold["vms"][0])
    _, status = found("running1", "--warm", "--allow-stun", "--hard-power-off")
    assert status == 0


def test_many__show_warnings_and_count_the_rest(check):
    out = check("--folder", "/DC0/vm", *ALONE).out
    assert "  information " not in out
    assert re.search(r"^\d+ milder findings? (is|are) not shown", out, re.M)
    assert re.search(r'^clean: .*"clean"', out, re.M)
    assert "  information " in check("--folder", "/DC0/vm", *ALONE, "--least", "information").out


def test_rules__are_listed_without_a_source(vmferry):
    table = vmferry("check", "--list-rules").good().out.splitlines()[1:]
    rules = json.loads(vmferry("check", "--list-rules", "-o", "json").good().out)["rules"]
    assert [line.split()[0] for line in table] == [rule["id"] for rule in rules]
    assert len(rules) == len({rule["id"] for rule in rules}) > 100
    for rule in rules:
        assert rule["message"] and rule["looks_at"] and rule["action"], rule


@pytest.mark.parametrize("probe", ["light", "full"])
def test_probes__leave_nothing_behind(check, probe):
    result = check("clean", "running1", "--probe", probe, "-o", "json")
    assert result.status == 0, result


def test_1000_vms__a_handful_of_calls(vmferry, start_simulator):
    crowd = start_simulator("crowd", "--fillers", 1000)
    crowd.control("DELETE", "/calls")
    result = vmferry("check", *crowd.arguments(), "--probe", "none", "-o", "json")
    assert result.status in (0, 2), result
    assert len(json.loads(result.out)["vms"]) == 1000
    calls = crowd.control("GET", "/calls")["soap"]
    assert sum(calls.values()) < 60, calls
    crowd.stop()
