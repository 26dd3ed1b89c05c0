"""vmferry check --to: what stands against a VM in the cluster, and keeps an import from it."""

import json

import pytest
from harness.disks import MIB

ATTACHMENTS = "k8s.cni.cncf.io/v1/network-attachment-definitions"
MACHINES = "kubevirt.io/v1/virtualmachines"


@pytest.fixture(scope="module")
def source(start_simulator):
    machine = {
        "name": "plain",
        "guestId": "debian12_64Guest",
        "disks": [{"size": 8 * MIB}],
        "nics": [{"mac": "00:50:56:77:00:01"}],
        "cdroms": [],
    }
    other = {**machine, "name": "other", "nics": [{"mac": "00:50:56:77:00:02"}]}
    return start_simulator("checked", vms=[machine, other])


@pytest.fixture
def check(vmferry, cluster, namespace, source):
    """check(ARGUMENT...): the ids of what is found of "plain", by severity; and the status."""

    def run(*arguments, vm="plain"):
        result = vmferry(
            *("check", *source.arguments(), vm, "--to", "upload", "--probe", "none", "-o", "json"),
            *("--kubeconfig", cluster.kubeconfig(), "--namespace", namespace, *arguments),
        )
        assert result.status in (0, 2), result
        tree = json.loads(result.out)
        found = {"information": {}, "warning": {}, "critical": {}}
        for finding in [*tree["vms"][0]["findings"], *tree["findings"]]:
            found[finding["severity"]].setdefault(finding["id"], []).append(finding)
        assert (result.status == 2) == bool(found["critical"])
        return found

    return run


def test_healthy_cluster__nothing_critical_and_nothing_made(check, cluster, namespace):
    found = check("--storage-class", "rig-fs")
    assert not found["critical"], found
    assert not cluster.list(MACHINES, namespace)
    assert not cluster.list("v1/persistentvolumeclaims", namespace)


def test_name_that_is_taken__is_critical(check, cluster, namespace):
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "plain-disk-0"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "rig-wffc",
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    cluster.create(claim, namespace)
    found = check("--storage-class", "rig-fs")
    assert "plain-disk-0" in str(found["critical"])
    assert not check("--storage-class", "rig-fs", vm="other")["critical"]


def test_network__must_be_there(check, cluster, namespace):
    arguments = ("--storage-class", "rig-fs", "--network", "VM Network=lan")
    found = check(*arguments)
    assert "lan" in str(found["critical"])
    lan = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "lan"},
        "spec": {"config": '{"cniVersion":"0.3.1","type":"bridge"}'},
    }
    cluster.create(lan, namespace)
    assert not check(*arguments)["critical"]


@pytest.mark.parametrize(
    "quota, is_critical", [("4Mi", True), ("1Gi", False)], ids=["too small", "large enough"]
)
def test_quota__is_reckoned_with(check, cluster, namespace, quota, is_critical):
    item = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"requests.storage": quota}},
    }
    cluster.create(item, namespace)

    def is_counted(quota):
        return quota and "requests.storage" in quota.get("status", {}).get("hard", {})

    cluster.watch_until("v1/resourcequotas", "small", is_counted, namespace)
    found = check("--storage-class", "rig-fs")
    assert bool(found["critical"]) == is_critical, found
    if is_critical:
        assert "small" in str(found["critical"])


def test_storage_class__must_be_there(check):
    found = check("--storage-class", "nosuch")
    assert "nosuch" in str(found["critical"])


def test_cluster_that_is_away__is_a_finding(vmferry, cluster, source, tmp_path):
    config = cluster.kubeconfig(server="https://127.0.0.1:9")
    result = vmferry(
        *("check", *source.arguments(), "plain", "--to", "upload", "--probe", "none"),
        *("--kubeconfig", config, "--namespace", "x", "--cluster-timeout", "2"),
    )
    assert result.status == 2 and "[target.unreachable]" in result.out, result


def test_account_without_rights__is_told_what_it_lacks(vmferry, cluster, namespace, source):
    config = cluster.kubeconfig(token=cluster.tester_token)
    result = vmferry(
        *("check", *source.arguments(), "plain", "--to", "upload", "--probe", "none"),
        *("--kubeconfig", config, "--namespace", namespace, "-o", "json"),
    )
    assert result.status == 2, result
    tree = json.loads(result.out)
    found = [*tree["vms"][0]["findings"], *tree["findings"]]
    assert any(f["severity"] == "critical" and "create" in f["message"] for f in found), found


def test_import__does_not_begin_against_it(vmferry, cluster, namespace, source):
    command = (
        *("import", *source.arguments(), "--vm", "plain", "--to", "upload"),
        *("--kubeconfig", cluster.kubeconfig(), "--namespace", namespace),
        *("--storage-class", "rig-fs", "--network", "VM Network=lan"),
    )
    source.control("DELETE", "/calls")
    vmferry(*command).failed("target.network-missing", "lan")
    assert not cluster.list("v1/persistentvolumeclaims", namespace)
    calls = source.control("GET", "/calls")["soap"]
    assert not {"ExportVm", "ExportSnapshot", "CreateSnapshotEx_Task"} & calls.keys(), calls
