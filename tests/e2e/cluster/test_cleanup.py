"""vmferry cleanup: removes what is vmferry's and unfinished, and nothing else."""

import json
import uuid

import pytest

from harness import rbac
from harness.cli import wait_until
from harness.cluster import SAME_VMS
from harness.pods import make_claim

CLAIMS = "v1/persistentvolumeclaims"
DATA_VOLUMES = "cdi.kubevirt.io/v1beta1/datavolumes"
JOBS = "batch/v1/jobs"
MACHINES = "kubevirt.io/v1/virtualmachines"
SECRETS = "v1/secrets"


@pytest.fixture
def prod(cluster, namespace):
    rbac.install(cluster, namespace)
    yield namespace
    rbac.remove(cluster, namespace)


@pytest.fixture
def kubeconfig(cluster, prod):
    return cluster.kubeconfig(service_account=(prod, "importer"), namespace=prod)


@pytest.fixture
def cleanup(vmferry, kubeconfig):
    """cleanup(ARGUMENT...): {(kind, name): (action, reason)} and the run's result."""

    def run(*arguments, kubeconfig=kubeconfig):
        result = vmferry("cleanup", "--kubeconfig", kubeconfig, "-o", "json", *arguments)
        objects = json.loads(result.out)["objects"] if result.out else []
        return {
            (item["kind"], item["name"]): (item["action"], item.get("reason")) for item in objects
        }, result

    return run


def marked(item, state=None, owner="web01"):
    """As vmferry marks what it makes."""
    labels = {"app.kubernetes.io/managed-by": "vmferry", "vmferry.io/import": owner}
    if state:
        labels["vmferry.io/state"] = state
    annotations = {"vmferry.io/source-uuid": str(uuid.uuid4())}
    item["metadata"].update(labels=labels, annotations=annotations)
    return item


def claim(name, state=None, owner="web01"):
    """Somebody else's without a state."""
    item = make_claim(name, "1Mi")
    return marked(item, state, owner) if state else item


def upload(name, state):
    return marked(
        {
            "apiVersion": "cdi.kubevirt.io/v1beta1",
            "kind": "DataVolume",
            "metadata": {"name": name},
            "spec": {
                "source": {"upload": {}},
                "storage": {
                    "storageClassName": "rig-fs",
                    "resources": {"requests": {"storage": "1Mi"}},
                },
            },
        },
        state,
    )


def machine(name, volume):
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name},
        "spec": {
            "runStrategy": "Halted",
            "template": {
                "spec": {
                    "domain": {
                        "memory": {"guest": "64Mi"},
                        "devices": {"disks": [{"name": "d", "disk": {"bus": "virtio"}}]},
                    },
                    "volumes": [{"name": "d", **volume}],
                }
            },
        },
    }


def left(cluster, namespace, resource):
    """Names of what is there and not on its way out; not of CDI's scratch claims."""
    names = [
        item["metadata"]["name"]
        for item in cluster.list(resource, namespace)
        if "deletionTimestamp" not in item["metadata"]
    ]
    return sorted(name for name in names if not name.endswith("-scratch"))


def test_only_what_is_unfinished_and_ours_goes(cluster, prod, cleanup):
    for item in (
        claim("foreign"),
        claim("begun", "filling"),
        claim("whole", "complete"),
        claim("in-use", "filling"),
        claim("of-another", "filling", owner="db"),
        upload("sent", "filling"),
        machine("vm", {"persistentVolumeClaim": {"claimName": "in-use"}}),
        marked(machine("web01", {"dataVolume": {"name": "nowhere"}}), "complete"),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "foreign"}},
        marked({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web01-import-x"}}),
    ):
        cluster.create(item, prod)
    cluster.watch_until(CLAIMS, "sent", bool, prod)
    before = left(cluster, prod, CLAIMS)

    planned, result = cleanup("--dry-run", "--name", "web01")
    result.good()
    assert left(cluster, prod, CLAIMS) == before
    assert {key: action for key, (action, _) in planned.items()} == {
        ("Secret", "web01-import-x"): "remove",
        ("DataVolume", "sent"): "remove",
        ("PersistentVolumeClaim", "sent"): "remove",
        ("PersistentVolumeClaim", "begun"): "remove",
        ("PersistentVolumeClaim", "in-use"): "kept",
        ("PersistentVolumeClaim", "whole"): "kept",
    }
    done, result = cleanup("--name", "web01")
    result.good()
    assert {key for key, (action, _) in done.items() if action == "removed"} == {
        key for key, (action, _) in planned.items() if action == "remove"
    }
    assert 'VirtualMachine "vm"' in done["PersistentVolumeClaim", "in-use"][1]
    assert "--all" in done["PersistentVolumeClaim", "whole"][1]
    assert left(cluster, prod, CLAIMS) == ["foreign", "in-use", "of-another", "whole"]
    assert left(cluster, prod, DATA_VOLUMES) == []
    assert left(cluster, prod, MACHINES) == ["vm", "web01"]
    assert "foreign" in left(cluster, prod, SECRETS)
    assert "web01-import-x" not in left(cluster, prod, SECRETS)

    cleanup()[1].good()
    assert left(cluster, prod, CLAIMS) == ["foreign", "in-use", "whole"]
    cleanup("--all")[1].good()
    assert left(cluster, prod, CLAIMS) == ["foreign", "in-use"]


def test_disks_of_an_imported_vm_stay(cluster, prod, kubeconfig, cleanup, sim, vmferry):
    """Adopted by the VM, or owned by nobody: it names them. Once it is gone, so are the adopted."""
    for name, handover in (("one", "adopt"), ("two", "claim")):
        vmferry(
            *("import", *sim.arguments(), "--vm", "empty01", "--name", name, "--to", "pvc"),
            *("--kubeconfig", kubeconfig, "--worker-image", "vmferry", "--handover", handover),
        ).good()
    cluster.watch_until(DATA_VOLUMES, "one-disk-0", bool, prod)
    done, result = cleanup("--all", "--force")
    result.good()
    assert {action for action, _ in done.values()} == {"kept"}
    assert left(cluster, prod, CLAIMS) == ["one-disk-0", "two-disk-0"]

    for name in ("one", "two"):
        cluster.delete(MACHINES, name, prod, propagationPolicy="Foreground")
    cluster.watch_until(CLAIMS, "one-disk-0", lambda item: item is None, prod)
    done, result = cleanup()
    result.good()
    assert done["PersistentVolumeClaim", "two-disk-0"][0] == "kept"
    done, result = cleanup("--all")
    result.good()
    assert done["PersistentVolumeClaim", "two-disk-0"][0] == "removed"
    assert left(cluster, prod, CLAIMS) == []


def test_running_job_is_refused_unless_forced(
    cluster, prod, kubeconfig, cleanup, slow, start, tmp_path
):
    process = start(
        *("import", *slow.arguments(), "--vm", "run01", "--to", "pvc", "--progress=json"),
        *("--kubeconfig", kubeconfig, "--worker-image", "vmferry", *SAME_VMS),
    )
    copying = '"event":"progress"'
    wait_until(lambda: copying in process.out_so_far(), 120, "the copy")
    done, result = cleanup("--all")
    result.failed("--force")
    assert {action for action, _ in done.values()} == {"refused"}
    assert ("Job", "run01-import") in done and len(done) == 4
    assert process.running()

    done, result = cleanup("--force")
    result.good()
    assert {action for action, _ in done.values()} == {"removed"}
    process.wait(60).failed('Job "run01-import"')
    assert left(cluster, prod, CLAIMS) == [] and left(cluster, prod, JOBS) == []
    # The fixture of the source sees to it that its snapshot and its lease are gone.


def test_nothing_there_is_said(cluster, prod, vmferry, kubeconfig):
    result = vmferry("cleanup", "--kubeconfig", kubeconfig).good()
    assert result.out == "" and f'nothing of vmferry\'s is in namespace "{prod}"' in result.err


def test_without_the_right_to_delete_it_says_so(cluster, prod, cleanup):
    """Nothing is told as removed that is still there; what may be removed is."""
    cluster.create(claim("stuck", "filling"), prod)
    cluster.create(
        marked({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "loose"}}), prod
    )
    rules = rbac.rules(prod, "vmferry-importer")
    for rule in rules:
        if "persistentvolumeclaims" in rule["resources"]:
            rule["verbs"].remove("delete")
    cluster.grant(prod, "weak", rules)
    weak = cluster.kubeconfig(service_account=(prod, "weak"), namespace=prod)
    done, result = cleanup(kubeconfig=weak)
    result.failed("delete", "persistentvolumeclaims", "stuck")
    assert done["PersistentVolumeClaim", "stuck"][0] == "failed"
    assert done["Secret", "loose"][0] == "removed"
    assert left(cluster, prod, CLAIMS) == ["stuck"]
