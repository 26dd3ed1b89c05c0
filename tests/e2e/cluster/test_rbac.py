"""deploy/rbac.yaml is what vmferry uses: no right is missing, and none is there in vain."""

import signal

import pytest

from harness import rbac
from harness.cli import wait_until

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


def test_exactly_what_is_granted_is_used(cluster, prod, sim, slow, start, vmferry):
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
        process = start("import", *arguments, "--progress=json")
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
    vmferry("cleanup", *where, "--all").good()

    for account, roles in (
        ("importer", ["vmferry-importer", "vmferry-proxy-reader", "vmferry-cluster-reader"]),
        ("vmferry-worker", ["vmferry-worker"]),
    ):
        asked = rbac.requests(cluster, prod, account)
        denied = {request for request in asked if not request[0]}
        used = {(verb, group, resource) for _, verb, group, resource, _ in asked}
        assert denied == set(), f"{account} was denied"
        assert granted(prod, *roles) - used == set(), f"{account} never used"
