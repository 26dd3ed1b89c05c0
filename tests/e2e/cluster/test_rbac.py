"""deploy/rbac.yaml is what vmferry uses: no right is missing, and none is there in vain."""

import signal

import pytest

from harness import rbac
from harness.cli import wait_until
from harness.cluster import SAME_VMS
from harness.disks import MIB
from harness.warm import QUICK, Source, warm_vm

CLAIMS = "v1/persistentvolumeclaims"
VERBS = {"get", "list", "watch", "create", "update", "patch", "delete"}


@pytest.fixture
def prod(cluster, namespace):
    rbac.install(cluster, namespace)
    yield namespace
    rbac.remove(cluster, namespace)


def granted(namespace, *roles):
    """(verb, group, resource) of their rules, one by one."""
    found = set()
    for role in roles:
        for rule in rbac.rules(namespace, role):
            assert set(rule["verbs"]) <= VERBS, "no wildcards"
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    found |= {(verb, group, resource) for verb in rule["verbs"]}
    return found


@pytest.fixture
def warm_sim(start_simulator, tmp_path_factory):
    vms = [warm_vm(tmp_path_factory.mktemp("warm-rbac"), sizes=(4 * MIB,))]
    return start_simulator("warm-rbac", vms=vms)


def migrate_warm(cluster, prod, start, vmferry, warm_sim, where):
    """Looked at, gone back with, cleaned up, cancelled with what was copied, and cut over."""
    begin = [
        *("migrate", "--warm", *warm_sim.arguments(), "--vm", "warm", "--to", "pvc", *SAME_VMS),
        *("--worker-image", "vmferry", *where, *QUICK, "--progress=json"),
    ]

    def until_round(number, *more):
        process = start(*begin, *more)
        copying = '"phase":"copying"'
        wait_until(lambda: process.out_so_far().count(copying) > number, 120, f"round {number}")
        return process

    Source(warm_sim).load(MIB)
    process = until_round(3)  # the snapshots of the first delta were replaced by then
    vmferry("status", *where).good()
    vmferry("cancel", "warm", *where).good()
    process.wait(60)
    vmferry("rollback", "warm", *where).good()
    vmferry("cleanup", *where, "--force").good()
    process = until_round(1)
    vmferry("cancel", "warm", "--discard", *where).good()
    process.wait(60)
    labels = {"labelSelector": "vmferry.io/migration=warm"}
    wait_until(lambda: not cluster.list(CLAIMS, prod, **labels), 60, "the end of what was copied")
    # Storage of which CDI does not know which snapshots it has.
    process = until_round(1, "--storage-class", "rig-populated")
    vmferry("cutover", "warm", *where).good()
    process.wait(60).good()


def test_exactly_what_is_granted_is_used(cluster, prod, sim, slow, warm_sim, start, vmferry):
    kubeconfig = cluster.kubeconfig(service_account=(prod, "importer"), namespace=prod)
    where = ["--kubeconfig", kubeconfig]
    worker = ["--to", "pvc", "--worker-image", "vmferry", *where]

    cluster.create(
        {
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": "lan"},
            "spec": {"config": '{"cniVersion": "0.3.1", "name": "lan", "type": "bridge"}'},
        },
        prod,
    )
    network = ["--network", "VM Network=lan"]

    def import_vm(name, *arguments):
        return vmferry("import", *sim.arguments(), "--vm", "empty01", "--name", name, *arguments)

    def cancel_when(words, *arguments):
        process = start("import", *arguments, *SAME_VMS, "--progress=json")
        wait_until(lambda: words in process.out_so_far(), 120, words)
        process.signal(signal.SIGINT)
        assert process.wait(150).status == 130

    import_vm("sent", "--to", "upload", *where, *network).good()
    import_vm("mounted", *worker, *network, "--storage-class", "rig-fs").good()
    # Each is stopped when its VM is made and started: nothing runs one here.
    for name, target in (("sent-on", ["--to", "upload", *where]), ("mounted-on", worker)):
        arguments = [*sim.arguments(), "--vm", "empty01", "--name", name, *target, "--start"]
        cancel_when('"phase":"start"', *arguments)
    # What is taken back when it is broken off.
    for target in (["--to", "upload", *where], worker):
        cancel_when('"event":"progress"', *slow.arguments(), "--vm", "run01", *target)
    migrate_warm(cluster, prod, start, vmferry, warm_sim, where)
    vmferry("cleanup", *where, "--all").good()

    for account, roles in (
        (
            "importer",
            [
                *("vmferry-importer", "vmferry-proxy-reader", "vmferry-cluster-reader"),
                "vmferry-checker",
            ],
        ),
        ("vmferry-worker", ["vmferry-worker"]),
    ):
        asked = rbac.requests(cluster, prod, account)
        denied = {request for request in asked if not request[0]}
        used = {(verb, group, resource) for _, verb, group, resource, _ in asked}
        assert denied == set(), f"{account} was denied"
        assert granted(prod, *roles) - used == set(), f"{account} never used"
