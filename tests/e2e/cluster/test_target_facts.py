"""importer/kube/target_facts.h against the real API server: what preflight knows of a cluster."""

import json
import pathlib
import subprocess

import pytest

from harness import cli, rbac

PROGRAM = pathlib.Path(cli.VMFERRY or "/nowhere").parents[1] / (
    "tests/real/real.importer.kube.target_facts"
)
GIB = 2**30


def mac_of(namespace):
    """One that no other test has: "t-" and eight digits."""
    digits = namespace[2:]
    return "02:4e:" + ":".join(digits[i : i + 2] for i in range(0, 8, 2))


@pytest.fixture
def look(cluster, namespace, tmp_path):
    """look(kubeconfig): what is found of the namespace, and of the cluster."""

    def look_by(kubeconfig):
        assert PROGRAM.exists(), f"{PROGRAM} is not built"
        done = subprocess.run(
            [PROGRAM],
            capture_output=True,
            text=True,
            timeout=300,
            env=cli.environment(
                tmp_path,
                VMFERRY_TEST_KUBECONFIG=kubeconfig,
                VMFERRY_TEST_NAMESPACE=namespace,
                VMFERRY_TEST_CLASSES=f"rig-fs,{namespace},gone",
                VMFERRY_TEST_ATTACHMENTS=f"{namespace}/lan,{namespace}/gone",
                VMFERRY_TEST_ACCOUNT="vmferry-worker",
            ),
        )
        told = done.stdout + done.stderr
        assert done.returncode == 0 and not cli.SANITIZER.search(told), told
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("FACTS ")]
        return json.loads(line[len("FACTS ") :])

    return look_by


def make_objects(namespace):
    """One of each kind; the storage class is the namespace's own, since its room is a fiction."""
    nic = {"name": "net-0", "macAddress": mac_of(namespace), "masquerade": {}}
    domain = {"memory": {"guest": "64Mi"}, "devices": {"interfaces": [nic]}}
    template = {"spec": {"domain": domain, "networks": [{"name": "net-0", "pod": {}}]}}
    marks = {"app.kubernetes.io/managed-by": "vmferry", "vmferry.io/import": "web"}
    limit = {"type": "PersistentVolumeClaim", "max": {"storage": "2Ti"}}
    kinds = "instancetype.kubevirt.io/v1beta1"

    def item(api, kind, name, **more):
        metadata = {"name": name, **more.pop("metadata", {})}
        return {"apiVersion": api, "kind": kind, "metadata": metadata, **more}

    return [
        item("v1", "ServiceAccount", "vmferry-worker"),
        item("v1", "ResourceQuota", "team", spec={"hard": {"requests.storage": "10Gi"}}),
        item("v1", "LimitRange", "claims", spec={"limits": [limit]}),
        item("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", "lan", spec={"config": "{}"}),
        item(kinds, "VirtualMachinePreference", "own", spec={}),
        item(
            kinds,
            "VirtualMachineInstancetype",
            "small",
            spec={"cpu": {"guest": 1}, "memory": {"guest": "1Gi"}},
        ),
        item(
            "kubevirt.io/v1",
            "VirtualMachine",
            "web",
            metadata={"labels": marks},
            spec={"runStrategy": "Halted", "template": template},
        ),
        item(
            "storage.k8s.io/v1",
            "CSIStorageCapacity",
            "room",
            storageClassName=namespace,
            capacity="3Gi",
            maximumVolumeSize="2Gi",
        ),
    ]


@pytest.fixture
def furnished(cluster, namespace):
    cluster.patch(
        "v1/namespaces",
        namespace,
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}},
    )
    source = cluster.get("storage.k8s.io/v1/storageclasses", "rig-fs")
    own = {key: source[key] for key in ("apiVersion", "kind", "provisioner", "volumeBindingMode")}
    cluster.create({**own, "metadata": {"name": namespace}})
    for item in make_objects(namespace):
        cluster.apply(item, namespace)
    yield namespace
    cluster.delete("storage.k8s.io/v1/storageclasses", namespace)


def check_namespace(facts, namespace):
    assert facts["quotas"] == {"requests.storage": 10 * GIB}
    assert facts["max_claim"] == 2048 * GIB
    assert facts["pod_security"] == "baseline"
    assert facts["account"] == "yes"
    assert facts["attachments"] == [f"{namespace}/lan"]
    assert facts["missing_attachments"] == [f"{namespace}/gone"]
    assert facts["names"]["VirtualMachine/web"] == "web"
    assert facts["macs"][mac_of(namespace)] == {"owner": f"{namespace}/web", "running": False}
    assert facts["preferences"].count("VirtualMachinePreference/own") == 1
    assert facts["instancetypes"].count("VirtualMachineInstancetype/small") == 1


def check_cluster(facts, namespace):
    own = facts["classes"][namespace]
    assert (own["has_capacity"], own["free"], own["max_volume"]) == (True, 3 * GIB, 2 * GIB)
    assert not facts["classes"]["rig-fs"]["has_capacity"]
    assert own["snapshot_class"] == facts["classes"]["rig-fs"]["snapshot_class"] == "rig-snap"
    assert facts["wishes"]["rig-fs"] == "Filesystem"
    assert "no storage class" in facts["wishes"]["gone"]
    assert facts["nodes"]["rig"] is True
    assert facts["version"].startswith("v1.") and facts["kubevirt"].startswith("v1.")
    assert facts["phase"] == "Deployed"
    assert facts["cdi"]
    assert facts["clock_is_ours"] is True


def test_all_is_found(cluster, furnished, look):
    facts = look(cluster.kubeconfig(namespace=furnished))
    assert facts["unknown"] == [] and all(facts["known"].values()), facts
    assert facts["refused"] == []
    check_namespace(facts, furnished)
    check_cluster(facts, furnished)


def test_rights_that_are_shipped_are_enough(cluster, furnished, look):
    rbac.install(cluster, furnished)
    try:
        account = (furnished, "importer")
        facts = look(cluster.kubeconfig(service_account=account, namespace=furnished))
        assert facts["unknown"] == [] and all(facts["known"].values()), facts
        assert facts["refused"] == ["nodes"]  # it makes claims, and removes no node
        check_namespace(facts, furnished)
        check_cluster(facts, furnished)
    finally:
        rbac.remove(cluster, furnished)


def test_without_rights_little_is_known(cluster, furnished, look):
    account = (furnished, "default")
    facts = look(cluster.kubeconfig(service_account=account, namespace=furnished))
    known = facts["known"]
    assert known["rights"] and known["clock"] and known["cdi"]
    for part in ("macs", "names", "quotas", "classes", "nodes", "limits", "namespace"):
        assert not known[part], part
    assert facts["refused"] == ["nodes", "persistentvolumeclaims"]
    assert facts["account"] == "unknown"
    assert any("nodes" in line for line in facts["unknown"])
