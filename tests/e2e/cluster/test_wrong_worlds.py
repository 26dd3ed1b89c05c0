"""What can be wrong with a cluster: each import says what happened, on what, and what to do next; the
source is as it was (the fixtures see to that), and what is left behind is removed or named."""

import time
import uuid

import pytest

from harness import ova
from harness.cli import wait_until
from harness.cluster import ApiError, Cluster, Rig
from harness.disks import MIB
from harness.fault_proxy import END, Fault, FaultProxy, Gate, make_certificate
from harness.tcp_proxy import TcpProxy
from test_import_upload import (
    CLAIMS,
    MACHINES,
    VOLUMES,
    expect_content,
    names,
    ours,
    package,
    snapshots,
)

CRDS = "apiextensions.k8s.io/v1/customresourcedefinitions"
QUOTAS = "v1/resourcequotas"


@pytest.fixture
def import_vm(start, small, to_upload):
    """import_vm(NAME, ARGUMENT...): into the test's namespace."""

    def run(name, *more, arguments=to_upload):
        return start("import", *small.arguments(), "--vm", name, *arguments, *more)

    return run


def nothing_made(cluster, namespace):
    assert ours(cluster, namespace) == ([], [])
    wait_until(lambda: names(cluster, CLAIMS, namespace) == [], 60, "the end of the claims")


# What is not there


def definition(group, kind, plural, *versions):
    """A CRD that takes anything."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    namespaced = kind != "CDIConfig"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == versions[0],
                    "schema": {"openAPIV3Schema": schema},
                }
                for version in versions
            ],
        },
    }


VIRTUAL_MACHINE = "kubevirt.io", "VirtualMachine", "virtualmachines"
DATA_VOLUME = "cdi.kubevirt.io", "DataVolume", "datavolumes"
CDI_CONFIG = "cdi.kubevirt.io", "CDIConfig", "cdiconfigs"
TOKEN = "upload.cdi.kubevirt.io", "UploadTokenRequest", "uploadtokenrequests"


@pytest.fixture(scope="module")
def bare(rig_bin, tmp_path_factory):
    """A Kubernetes of nobody else, without KubeVirt, CDI and storage."""
    folder = tmp_path_factory.mktemp("bare")
    rig = Rig(rig_bin, folder, "--bare")
    yield Cluster(rig.ready, folder)
    rig.stop()


@pytest.fixture
def world(bare):
    """world(DEFINITION...): adds them to the bare cluster, for this test."""
    made = []

    def add(*definitions):
        for item in definitions:
            bare.create(item)
            made.append(item)
        for item in definitions:
            spec = item["spec"]
            version = spec["versions"][0]["name"]

            def served():
                try:
                    found = bare.request("GET", f"/apis/{spec['group']}/{version}")  # noqa: B023
                except ApiError:
                    return False
                plurals = [resource["name"] for resource in found["resources"]]
                return spec["names"]["plural"] in plurals  # noqa: B023

            wait_until(served, 30, f"{item['metadata']['name']} to be served")

    yield add
    for item in made:
        bare.delete(CRDS, item["metadata"]["name"])
    for item in made:
        name = item["metadata"]["name"]
        wait_until(lambda: not bare.find(CRDS, name), 30, f"the end of {name}")  # noqa: B023


@pytest.fixture
def bare_import(bare, import_vm):
    def run(*more):
        arguments = ["--to", "upload", "--kubeconfig", bare.kubeconfig(), "-n", "default", *more]
        return import_vm("off", arguments=arguments).wait(60)

    return run


def test_no_kubevirt(bare_import):
    bare_import().failed(
        'the cluster has no virtualmachines of "kubevirt.io/v1"', "hint: install KubeVirt"
    )


def test_other_version_of_kubevirt(world, bare_import):
    world(definition(*VIRTUAL_MACHINE, "v1alpha3"))
    bare_import().failed(
        'no virtualmachines of "kubevirt.io/v1": of the API group it has only v1alpha3',
        'hint: install KubeVirt in the cluster, in a version that has "kubevirt.io/v1"',
    )


def test_no_cdi(world, bare_import):
    world(definition(*VIRTUAL_MACHINE, "v1"))
    bare_import().failed(
        'the cluster has no datavolumes of "cdi.kubevirt.io/v1beta1"', "hint: install CDI"
    )


def test_cdi_that_is_not_deployed(world, bare_import):
    world(definition(*VIRTUAL_MACHINE, "v1"), definition(*DATA_VOLUME, "v1beta1"))
    bare_import().failed("uploadtokenrequests", "hint: install CDI")


def test_no_storage_class(cluster, bare, world, bare_import):
    there = ["--upload-proxy", cluster.ready["upload_proxy"]]
    there += ["--upload-ca-file", cluster.ready["upload_proxy_ca"]]
    world(
        definition(*VIRTUAL_MACHINE, "v1"),
        definition(*DATA_VOLUME, "v1beta1"),
        definition(*CDI_CONFIG, "v1beta1"),
        definition(*TOKEN, "v1beta1"),
    )
    config = {"apiVersion": "cdi.kubevirt.io/v1beta1", "kind": "CDIConfig"}
    bare.create({**config, "metadata": {"name": "config"}})
    none = ("no default storage class", "the cluster has no storage class at all")
    bare_import(*there).failed(*none)
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "slow"},
        "provisioner": "example.com/none",
    }
    bare.create(storage_class)
    try:
        bare_import(*there).failed("no default storage class", '--storage-class; there are "slow"')
        wrong = ('no storage class "fast"', "name one with --storage-class", '"slow"')
        bare_import(*there, "--storage-class", "fast").failed(*wrong)
    finally:
        bare.delete("storage.k8s.io/v1/storageclasses", "slow")


def test_namespace_that_is_missing(cluster, import_vm):
    arguments = ["--to", "upload", "--kubeconfig", cluster.kubeconfig(), "-n", "absent"]
    import_vm("off", arguments=arguments).wait().failed(
        'namespace "absent" does not exist', "hint: kubectl create namespace absent"
    )


def test_no_right_is_named(cluster, namespace, import_vm):
    """An account gets one right after the other, and asks for the next one by its name."""

    def refused(*words):
        kubeconfig = cluster.kubeconfig(service_account=(namespace, "poor"))
        arguments = ["--to", "upload", "--kubeconfig", kubeconfig, "-n", namespace]
        arguments += ["--storage-class", "rig-fs", *trust]
        import_vm("off", arguments=arguments).wait().failed(*words)

    trust = []

    # The bundle that the proxy is trusted by is in another namespace.
    refused("is not trusted", "cdi-uploadproxy-signer-bundle", "--upload-ca-file FILE")
    trust.append("--upload-ca-file")
    trust.append(cluster.ready["upload_proxy_ca"])
    rules = []

    def grant(verbs, group, resource):
        rules.append({"apiGroups": [group], "resources": [resource], "verbs": verbs})
        cluster.grant(namespace, "poor", rules)

    where = f'in namespace "{namespace}"'
    verbs = 'may not "get", "list", "create", "patch" datavolumes.cdi.kubevirt.io'
    refused(verbs, where, "rbac.yaml")
    trust.append("--check=none")
    refused('hint: allow this account the verb "get" on "virtualmachines"', "kubevirt.io", where)
    grant(["get"], "kubevirt.io", "virtualmachines")
    refused('the verb "get" on "datavolumes" (API group "cdi.kubevirt.io")', where)
    grant(["get", "list", "watch"], "cdi.kubevirt.io", "datavolumes")
    refused('the verb "get" on "persistentvolumeclaims" (API group "")', where)
    grant(["get", "patch"], "", "persistentvolumeclaims")
    grant(["get"], "batch", "jobs")
    refused('the verb "create" on "datavolumes"', where, "disk 0 (Hard disk 1)")
    nothing_made(cluster, namespace)


# Storage that does not come


def test_quota_of_storage(cluster, prod, import_vm):
    """Refused while nothing is made: the disk, or only the scratch space beside it."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"requests.storage": "2Mi"}},
    }
    cluster.create(quota, prod)
    used = lambda found: found and "used" in found.get("status", {})  # noqa: E731
    cluster.watch_until(QUOTAS, "small", used, prod)
    import_vm("off").wait().failed('quota "small"', "leaves 2.0 MiB of requests.storage")
    result = import_vm("off", "--cluster-timeout", 30, "--skip-check", "quota.storage").wait()
    result.failed('"off-disk-0"', "exceeded quota: small", "ResourceQuota", "twice")
    assert result.seconds < 25, result
    nothing_made(cluster, prod)


def test_quota_of_claims(cluster, prod, import_vm):
    """The disk fits, its scratch space does not."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "one"},
        "spec": {"hard": {"persistentvolumeclaims": "1"}},
    }
    cluster.create(quota, prod)
    used = lambda found: found and "used" in found.get("status", {})  # noqa: E731
    cluster.watch_until(QUOTAS, "one", used, prod)
    import_vm("off").wait().failed("leaves 1 of persistentvolumeclaims, and 1 VM needs 2")
    result = import_vm("off", "--cluster-timeout", 16, "--skip-check", "quota.storage").wait()
    result.failed('"off-disk-0"', "exceeded quota: one", "hint: ", "ResourceQuota")
    nothing_made(cluster, prod)


@pytest.mark.parametrize(
    "storage_class, words",
    [
        ("rig-never", ["ExternalProvisioning", "rig.vmferry.io"]),
        ("rig-fail", ["ProvisioningFailed"]),
    ],
)
def test_claim_that_is_never_bound(cluster, prod, import_vm, storage_class, words):
    result = import_vm("off", "--storage-class", storage_class, "--cluster-timeout", 12).wait()
    result.failed(
        *('disk 0 (Hard disk 1): DataVolume "off-disk-0"', "within 12 s", *words),
        "hint: look at the provisioner of the storage class",
    )
    assert result.err.count("warning: off: \"off-disk-0\": ") == 1, "told before it is over"
    nothing_made(cluster, prod)


# Names that are taken


def foreign(resource, name):
    if resource == MACHINES:
        spec = {
            "runStrategy": "Halted",
            "template": {"spec": {"domain": {"memory": {"guest": "64Mi"}, "devices": {}}}},
        }
        return {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachine",
            "metadata": {"name": name},
            "spec": spec,
        }
    storage = {
        "storageClassName": "rig-never",
        "resources": {"requests": {"storage": "1Mi"}},
    }
    if resource == VOLUMES:
        return {
            "apiVersion": "cdi.kubevirt.io/v1beta1",
            "kind": "DataVolume",
            "metadata": {"name": name},
            "spec": {"source": {"blank": {}}, "storage": storage},
        }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {**storage, "accessModes": ["ReadWriteOnce"]},
    }


@pytest.mark.parametrize(
    "resource, name", [(MACHINES, "web"), (VOLUMES, "web-disk-1"), (CLAIMS, "web-disk-1")]
)
def test_name_that_is_taken(cluster, prod, import_vm, resource, name):
    made = cluster.create(foreign(resource, name), prod)
    import_vm("web").wait().failed(
        f'{made["kind"]}/{name} is in namespace "{prod}" already, and is not vmferry\'s',
        "import it with another --name",
    )
    import_vm("web", "--skip-check", "target.name-taken").wait().failed(
        f'there is a {made["kind"]} "{name}" in namespace "{prod}" already',
        "not vmferry's",
        "left alone; choose another name with --name",
    )
    now = cluster.get(resource, name, prod)
    assert now["metadata"]["uid"] == made["metadata"]["uid"]
    assert "deletionTimestamp" not in now["metadata"]
    found = sorted(sum(ours(cluster, prod), []) + names(cluster, CLAIMS, prod))
    assert set(found) == {name}


# The upload proxy


def test_proxy_that_is_not_there(cluster, prod, import_vm):
    with TcpProxy(cluster.ready["upload_proxy"]) as gone:
        gone.leave()
        result = import_vm("off", "--upload-proxy", gone.url).wait(60)
        result.failed(f"upload proxy {gone.url}", "refused", "hint: check the URL given with")
    assert result.seconds < 20
    nothing_made(cluster, prod)


def test_proxy_with_another_certificate(cluster, prod, proxy, import_vm, tmp_path):
    words = [f"upload proxy {proxy.url}", "certificate", "--upload-ca-file FILE"]
    import_vm("off", "--upload-proxy", proxy.url).wait().failed(*words)
    other = make_certificate(tmp_path, "other")
    import_vm("off", "--upload-proxy", proxy.url, "--upload-ca-file", other).wait().failed(*words)
    nothing_made(cluster, prod)


@pytest.mark.parametrize("status, text", [(401, ""), (502, "no upload pod"), (503, "not ready")])
@pytest.mark.parametrize("at", [0, MIB])
def test_refused_once__tried_again(cluster, prod, small, proxy, import_vm, status, text, at):
    proxy.faults = [Fault(at=at, then=status, text=text)]
    result = import_vm("one", *proxy.arguments).wait().good()
    assert f"status {status}" in result.err and "warning" in result.err
    tokens = [request.authorization for request in proxy.requests]
    assert len(tokens) == 2 and tokens[0] != tokens[1], "a token is good for one try"
    expect_content(cluster, prod, "one-disk-0", small.live_disk("one", 0))


@pytest.mark.parametrize(
    "status, text, hint",
    [
        (401, "", "the logs of cdi-uploadproxy and cdi-apiserver"),
        (503, "upload pod is not ready", "cdi-upload-off-disk-0"),
    ],
)
def test_refused_for_good(cluster, prod, proxy, import_vm, status, text, hint):
    proxy.faults = [Fault(then=status, text=text) for _ in range(20)]
    result = import_vm("off", *proxy.arguments).wait()
    words = ["disk 0 (Hard disk 1)", "after 3 tries", 'upload into "off-disk-0"', f"status {status}"]
    result.failed(*words, text, hint)
    assert result.err.count("starts over") == 2
    assert len(proxy.requests) == 3
    nothing_made(cluster, prod)


def test_cut_in_the_middle__starts_over(cluster, prod, small, proxy, import_vm):
    proxy.faults = [Fault(at=MIB, then="cut"), Fault(at=3 * MIB, then="cut")]
    result = import_vm("one", *proxy.arguments).wait().good()
    assert result.err.count("warning") == 2, result
    assert len({request.authorization for request in proxy.requests}) == 3
    expect_content(cluster, prod, "one-disk-0", small.live_disk("one", 0))


def test_cut_again_and_again__gives_up(cluster, prod, proxy, import_vm):
    proxy.faults = [Fault(at=MIB, then="cut") for _ in range(20)]
    result = import_vm("one", *proxy.arguments).wait()
    result.failed("disk 0 (Hard disk 1)", "after 3 tries", "broke with", "hint: ", "load balancer")
    nothing_made(cluster, prod)


def test_package_is_read_again_where_it_can_be(
    cluster, prod, proxy, to_upload, vmferry, tmp_path
):
    # The second disk is larger than what sockets hold: the cut is in its middle.
    members, disks = package(tmp_path, "box", [3 * MIB, 48 * MIB])
    ova.write_ova(tmp_path / "box.ova", members)
    arguments = ["import", *to_upload, *proxy.arguments]
    proxy.faults = [Fault(), Fault(at=MIB, then="cut")]
    result = vmferry(*arguments, "--ova", tmp_path / "box.ova")
    assert result.status == 0 and result.err.count("starts over") == 1, result
    assert len(proxy.requests) == 3, "a disk that has arrived is not sent again"
    for disk, raw in enumerate(disks):
        expect_content(cluster, prod, f"box-disk-{disk}", raw)

    proxy.faults = [Fault(), Fault(at=MIB, then="cut")]
    with open(tmp_path / "box.ova", "rb") as stdin:
        result = vmferry(*arguments, "--ova", "-", "--name", "piped", stdin=stdin)
    result.failed("standard input", 'upload into "piped-disk-1"', "broke", "hint: ")
    assert ours(cluster, prod)[1] == ["box"]
    assert names(cluster, VOLUMES, prod) == ["box-disk-0", "box-disk-1"]


def test_answer_lost__the_claim_is_asked(cluster, prod, small, proxy, import_vm):
    proxy.faults = [Fault(lose=True)]
    result = import_vm("one", *proxy.arguments).wait().good()
    assert "the answer to the upload was lost; asking the claim" in result.err
    assert len(proxy.requests) == 1, "what has arrived is not sent again"
    expect_content(cluster, prod, "one-disk-0", small.live_disk("one", 0))


def kill_upload(cluster, namespace, claim):
    """The upload server ends without a word, and is started again."""
    cluster.control("POST", f"/pods/{namespace}/cdi-upload-{claim}/kill?signal=9")
    restarts = "cdi.kubevirt.io/storage.pod.restarts"
    claim = cluster.watch_until(
        CLAIMS, claim, lambda c: int(c["metadata"]["annotations"].get(restarts) or 0) > 0, namespace
    )


@pytest.mark.parametrize("at", [MIB, END], ids=["middle", "end"])
def test_upload_server_killed__starts_over(cluster, prod, small, proxy, import_vm, at):
    proxy.faults = [Fault(at=at, do=lambda: kill_upload(cluster, prod, "one-disk-0"))]
    result = import_vm("one", *proxy.arguments).wait()
    assert result.status == 0, result  # CDI's words in a warning may be "error: "
    assert len(proxy.requests) >= 2
    expect_content(cluster, prod, "one-disk-0", small.live_disk("one", 0))


def test_proxy_that_lies__the_claim_is_believed(cluster, prod, small, proxy, import_vm):
    """200, but the server has lost what it got."""
    kill = lambda: kill_upload(cluster, prod, "one-disk-0")  # noqa: E731
    proxy.faults = [Fault(at=END, do=kill, then=200)]
    result = import_vm("one", *proxy.arguments).wait().good()
    assert "restarted" in result.err
    assert len(proxy.requests) >= 2
    expect_content(cluster, prod, "one-disk-0", small.live_disk("one", 0))


def test_volume_deleted_in_the_middle(cluster, prod, proxy, import_vm):
    proxy.faults = [Fault(at=MIB, do=lambda: cluster.delete(VOLUMES, "one-disk-0", prod))]
    result = import_vm("one", *proxy.arguments).wait()
    result.failed('disk 0 (Hard disk 1): DataVolume "one-disk-0": it is not there any more')
    nothing_made(cluster, prod)


def test_name_of_the_vm_taken_meanwhile(cluster, prod, proxy, to_upload, import_vm, vmferry):
    """The disks have cost hours: they stay, and are named."""
    made = []
    take = lambda: made.append(cluster.create(foreign(MACHINES, "one"), prod))  # noqa: E731
    proxy.faults = [Fault(at=MIB, do=take)]
    result = import_vm("one", *proxy.arguments).wait()
    begin = f"vmferry cleanup --namespace {prod} --name one --all"
    result.failed('"one" already exists', f'complete and stay in namespace "{prod}"', begin)
    assert ours(cluster, prod) == (["one-disk-0"], ["one"])
    kubeconfig = to_upload[to_upload.index("--kubeconfig") + 1]
    vmferry(*begin.split()[1:], "--kubeconfig", kubeconfig).good()
    assert cluster.get(MACHINES, "one", prod)["metadata"]["uid"] == made[0]["metadata"]["uid"]
    wait_until(lambda: ours(cluster, prod)[0] == [], 30, "the end of the disk")


# The API server


@pytest.fixture
def away(cluster, prod):
    """An API server that can go away, and arguments for it."""
    with TcpProxy(cluster.server) as server:
        kubeconfig = cluster.kubeconfig(
            service_account=(prod, "importer"), namespace=prod, server=server.url
        )
        server.arguments = ["--to", "upload", "--kubeconfig", kubeconfig]
        yield server


def test_api_server_that_is_not_there(away, import_vm):
    away.leave()
    result = import_vm("off", arguments=away.arguments).wait(60)
    port = away.url.rsplit(":", 1)[1]
    result.failed("the API server of context", f"port {port}: Connection refused", "hint: check")
    assert result.seconds < 20


def test_api_server_that_knows_us_not(cluster, prod, import_vm, tmp_path):
    def refused(kubeconfig, *words):
        arguments = ["--to", "upload", "--kubeconfig", kubeconfig]
        result = import_vm("off", arguments=arguments).wait(30)
        result.failed("the API server of context", *words)
        assert result.seconds < 10

    config = cluster.kubeconfig(token="expired-and-secret", namespace=prod)
    refused(config, "Unauthorized", "hint: log in again")
    config = cluster.kubeconfig(namespace=prod, ca=make_certificate(tmp_path, "other"))
    refused(config, "certificate", "not trusted", "hint: ")


def test_api_server_away_in_the_middle_of_the_copy(
    cluster, prod, small, proxy, away, import_vm
):
    gate = Gate()
    proxy.faults = [Fault(at=MIB, do=gate, then="cut")]
    process = import_vm("one", *proxy.arguments, arguments=away.arguments)
    gate.wait()
    away.leave()
    gate.open()
    wait_until(lambda: "broke" in process.err_so_far(), 30, "the cut")
    time.sleep(30)
    assert process.running(), process.wait()
    away.come_back()
    process.wait(60).good()
    expect_content(cluster, prod, "one-disk-0", small.live_disk("one", 0))


@pytest.fixture
def slow_class(cluster):
    """Its volumes take their time."""
    name = "slow-" + uuid.uuid4().hex[:8]
    cluster.create(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": "rig.vmferry.io",
            "parameters": {"mode": "Filesystem", "delayMs": "6000"},
        }
    )
    yield name
    cluster.delete("storage.k8s.io/v1/storageclasses", name)


def test_api_server_away_while_it_is_waited_for(
    cluster, prod, small, away, import_vm, slow_class
):
    process = import_vm("off", "--storage-class", slow_class, arguments=away.arguments)
    wait_until(lambda: names(cluster, VOLUMES, prod), 30, "the DataVolume")
    away.leave()
    time.sleep(10)
    assert process.running(), process.wait()
    away.come_back()
    process.wait(90).good()
    expect_content(cluster, prod, "off-disk-0", small.live_disk("off", 0))


def test_api_server_gone_for_good(cluster, prod, small, proxy, away, import_vm, vmferry):
    gate = Gate()
    proxy.faults = [Fault(at=MIB, do=gate, then="cut")]
    process = import_vm("web", *proxy.arguments, "--cluster-timeout", 12, arguments=away.arguments)
    gate.wait()
    away.leave()
    gate.open()
    result = process.wait(90)
    left = f'DataVolumes "web-disk-0", "web-disk-1" in namespace "{prod}" may still be there'
    later = f"vmferry cleanup --namespace {prod} --name web"
    # The disk whose upload is waited for, or the one whose token is fetched, is the first to say so.
    result.failed("disk ", "refused", left, later, "hint: ")
    assert result.seconds < 60, result
    assert result.err.count("may still be there") == 1
    assert snapshots(small, "web") == []
    assert ours(cluster, prod)[1] == []
    away.come_back()
    kubeconfig = away.arguments[-1]
    command = later.split()[1:]
    vmferry(*command, "--kubeconfig", kubeconfig).good()
    nothing_made(cluster, prod)


@pytest.mark.parametrize("made", [True, False], ids=["made", "not made"])
def test_answer_to_a_create_lost(cluster, prod, small, import_vm, tmp_path, made):
    """Whether the server has acted or not: one DataVolume, and it is known."""
    with FaultProxy(cluster.server, cluster.ca_file, tmp_path, path="/datavolumes?") as server:
        dry_run, real = Fault(), Fault(lose=True) if made else Fault(then="cut")
        server.faults = [dry_run, real]
        kubeconfig = cluster.kubeconfig(
            service_account=(prod, "importer"),
            namespace=prod,
            server=server.url,
            ca=server.ca_file,
        )
        arguments = ["--to", "upload", "--kubeconfig", kubeconfig]
        import_vm("off", arguments=arguments).wait().good()
        assert len(server.requests) == (2 if made else 3)
    expect_content(cluster, prod, "off-disk-0", small.live_disk("off", 0))
