"""vmferry import --to pvc: a Job of the cluster copies into claims that it mounts."""

import json
import signal

import pytest

from harness import rbac
from harness.cli import wait_until
from harness.cluster import ApiError
from harness.disks import MIB

JOBS = "batch/v1/jobs"
CLAIMS = "v1/persistentvolumeclaims"
SECRETS = "v1/secrets"
MACHINES = "kubevirt.io/v1/virtualmachines"
LABELS = "app.kubernetes.io/managed-by=vmferry"


@pytest.fixture
def prod(cluster, namespace):
    """A namespace where vmferry may import."""
    rbac.install(cluster, namespace)
    yield namespace
    rbac.remove(cluster, namespace)


@pytest.fixture
def arguments(cluster, prod):
    kubeconfig = cluster.kubeconfig(service_account=(prod, "importer"), namespace=prod)
    return ["--to", "pvc", "--kubeconfig", kubeconfig, "--worker-image", "vmferry"]


def ours(cluster, resource, namespace):
    return cluster.list(resource, namespace, labelSelector=LABELS)


def nothing_of_a_worker_is_left(cluster, namespace):
    assert ours(cluster, JOBS, namespace) == []
    assert ours(cluster, SECRETS, namespace) == []


def same_content(cluster, namespace, claim, disk):
    """A device may be larger than the disk; an image may not."""
    with open(cluster.volume(namespace, claim), "rb") as got, open(disk, "rb") as want:
        while expected := want.read(MIB):
            assert got.read(len(expected)) == expected, f"{claim} differs before {want.tell()}"
        if got.name.endswith("disk.img"):
            assert not got.read(1)


def snapshots(sim, name):
    state = sim.control("GET", "/state")
    return next(vm for vm in state["vms"] if vm["name"] == name)["snapshots"]


@pytest.mark.parametrize("storage_class", ["rig-fs", "rig-wffc", "rig-block"])
def test_running_vm_arrives_in_claims(
    cluster, prod, arguments, slow, start, tmp_path, storage_class
):
    process = start(
        "import", *slow.arguments(), "--vm", "run01", *arguments, "--storage-class", storage_class
    )
    wait_until(lambda: snapshots(slow, "run01"), 120, "the snapshot")
    for disk in (0, 1):
        slow.guest_write("run01", disk, MIB, 70_000, 100 + disk)
    process.wait(240).good()
    for disk in (0, 1):
        frozen = slow.save_frozen("run01", disk, tmp_path / f"frozen-{disk}.raw")
        same_content(cluster, prod, f"run01-disk-{disk}", frozen)
    machine = cluster.get(MACHINES, "run01", prod)
    assert machine["spec"]["runStrategy"] == "Halted"
    assert {t["metadata"]["name"] for t in machine["spec"]["dataVolumeTemplates"]} == {
        "run01-disk-0",
        "run01-disk-1",
    }
    nothing_of_a_worker_is_left(cluster, prod)
