"""vmferry import --to pvc: a Job of the cluster copies into claims that it mounts."""

import json
import signal

import pytest
import yaml

from harness import ova, rbac
from harness.cli import wait_until
from harness.cluster import SAME_VMS
from harness.disks import MIB, make_disk
from harness.proxy import file_server
from harness.vmdk import stream_optimized

JOBS = "batch/v1/jobs"
CLAIMS = "v1/persistentvolumeclaims"
MACHINES = "kubevirt.io/v1/virtualmachines"
PODS = "v1/pods"
SECRETS = "v1/secrets"
JOB = "run01-import"
PASSWORD = "simulated-Pa55"


@pytest.fixture
def prod(cluster, namespace):
    """A namespace that takes no pod with more rights than it needs, and where vmferry may import."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.patch("v1/namespaces", namespace, {"metadata": {"labels": labels}})
    rbac.install(cluster, namespace)
    yield namespace
    rbac.remove(cluster, namespace)


@pytest.fixture
def to_pvc(cluster, prod):
    """Arguments for the account "importer" of that namespace."""
    kubeconfig = cluster.kubeconfig(service_account=(prod, "importer"), namespace=prod)
    return [
        *("--to", "pvc", "--kubeconfig", kubeconfig, *SAME_VMS),
        *("--worker-image", "registry.example/vmferry:1"),
    ]


def names(cluster, resource, namespace):
    selector = "app.kubernetes.io/managed-by=vmferry"
    found = cluster.list(resource, namespace, labelSelector=selector)
    return sorted(item["metadata"]["name"] for item in found)


def expect_left(cluster, namespace, claims=(), machines=()):
    """What is there of vmferry's, besides nothing of a worker."""
    assert names(cluster, JOBS, namespace) == []
    assert names(cluster, SECRETS, namespace) == []
    assert names(cluster, CLAIMS, namespace) == list(claims)
    assert names(cluster, MACHINES, namespace) == list(machines)


def expect_content(cluster, namespace, claim, disk):
    """A device may be larger than the disk; an image may not."""
    with open(cluster.volume(namespace, claim), "rb") as got, open(disk, "rb") as want:
        while expected := want.read(MIB):
            assert got.read(len(expected)) == expected, f"{claim} differs before {want.tell()}"
        if got.name.endswith("disk.img"):
            assert not got.read(1)


def snapshots(sim, name):
    state = sim.control("GET", "/state")
    return next(vm for vm in state["vms"] if vm["name"] == name)["snapshots"]


def start_copy(sim, start, to_pvc, *more):
    """An import of run01 whose worker is in the middle of its disks."""
    process = start("import", *sim.arguments(), "--vm", "run01", *to_pvc, *more, "--progress=json")
    wait_until(lambda: '"event":"progress"' in process.out_so_far(), 120, "the copy")
    return process


def events_of(result, *kinds):
    lines = [json.loads(line) for line in result.out.splitlines()]
    return [line for line in lines if line["event"] in kinds]


# Good ends


@pytest.mark.parametrize("storage_class", ["rig-fs", "rig-wffc", "rig-block"])
def test_running_vm_arrives_in_claims(cluster, prod, to_pvc, slow, start, tmp_path, storage_class):
    process = start_copy(slow, start, to_pvc, "--storage-class", storage_class)
    assert len(snapshots(slow, "run01")) == 1
    for disk in (0, 1):
        slow.guest_write("run01", disk, MIB, 70_000, 100 + disk)
    job = cluster.get(JOBS, JOB, prod)
    assert PASSWORD not in json.dumps(job)
    assert all(PASSWORD not in json.dumps(pod) for pod in cluster.list(PODS, prod))
    result = process.wait(240).good()

    claims = ["run01-disk-0", "run01-disk-1"]
    for disk, claim in enumerate(claims):
        frozen = slow.save_frozen("run01", disk, tmp_path / f"frozen-{disk}.raw")
        expect_content(cluster, prod, claim, frozen)
    machine = cluster.get(MACHINES, "run01", prod)
    assert machine["spec"]["runStrategy"] == "Halted"
    templates = machine["spec"]["dataVolumeTemplates"]
    assert [template["metadata"]["name"] for template in templates] == claims
    expect_left(cluster, prod, claims, ["run01"])

    ends = events_of(result, "disk_end")
    assert sorted(end["disk"] for end in ends) == [0, 1]
    for end in ends:
        assert end["done_bytes"] == end["total_bytes"] and end["code"] == "ok", end
    (end,) = events_of(result, "result")
    assert end["code"] == "ok" and f'VirtualMachine "run01" in namespace "{prod}"' in end["message"]


def test_ova_by_url_arrives(cluster, prod, to_pvc, vmferry, tmp_path):
    raw = make_disk(tmp_path / "disk.raw", 12 * MIB + 512, 1)
    members = ova.package("Box 1", [(stream_optimized(raw.read_bytes()), raw.stat().st_size)])
    ova.write_ova(tmp_path / "box.ova", members)
    with file_server(tmp_path) as server:
        url = f"{server.url}/box.ova"
        vmferry("import", "--ova", url, *to_pvc, "--name", "box", "--handover=claim").good()
    expect_content(cluster, prod, "box-disk-0", raw)
    machine = cluster.get(MACHINES, "box", prod)
    assert "dataVolumeTemplates" not in machine["spec"]
    expect_left(cluster, prod, ["box-disk-0"], ["box"])


def test_the_same_vm_twice_is_refused(cluster, prod, to_pvc, sim, vmferry):
    arguments = ["import", *sim.arguments(), "--vm", "empty01", *to_pvc]
    vmferry(*arguments).good()
    vmferry(*arguments).failed("empty01", "complete", "--name")
    expect_left(cluster, prod, ["empty01-disk-0"], ["empty01"])


def test_dry_run_shows_all_and_makes_nothing(cluster, prod, to_pvc, sim, vmferry):
    result = vmferry("import", *sim.arguments(), "--vm", "run01", *to_pvc, "--dry-run=server")
    documents = list(yaml.safe_load_all(result.good().out))
    kinds = sorted(document["kind"] for document in documents)
    assert kinds == ["Job", *["PersistentVolumeClaim"] * 2, "Secret", "VirtualMachine"]
    (secret,) = [document for document in documents if document["kind"] == "Secret"]
    assert set(secret["stringData"]) == {"password", "ca.pem"}
    expect_left(cluster, prod)
    assert snapshots(sim, "run01") == []


# What cannot work


def test_what_a_pod_cannot_read_is_refused(cluster, prod, to_pvc, sim, vmferry, tmp_path):
    raw = make_disk(tmp_path / "disk.raw", 4 * MIB, 1)
    stream = stream_optimized(raw.read_bytes())
    ova.write_ova(tmp_path / "box.ova", ova.package("box", [(stream, raw.stat().st_size)]))
    (tmp_path / "box.vmdk").write_bytes(stream)
    vmferry("import", "--ova", tmp_path / "box.ova", *to_pvc).failed("--to upload")
    vmferry("import", "--vmdk", tmp_path / "box.vmdk", *to_pvc).failed("--to upload")
    without = to_pvc[: to_pvc.index("--worker-image")]
    vm = ["import", *sim.arguments(), "--vm", "empty01"]
    vmferry(*vm, *without).failed("--worker-image", "VMFERRY_WORKER_IMAGE")
    vmferry(*vm, *to_pvc, env={"VMFERRY_WORKER_IMAGE": "unused"}).good()


def stuck(cluster, namespace, start, sim, arguments, words):
    """The launcher tells what its worker waits for, and lets itself be stopped."""
    process = start("import", *sim.arguments(), "--vm", "empty01", *arguments)
    wait_until(lambda: words in process.err_so_far(), 60, words)
    process.signal(signal.SIGINT)
    assert process.wait(60).status == 130
    expect_left(cluster, namespace)


def test_unknown_image_is_told(cluster, prod, to_pvc, sim, start):
    stuck(cluster, prod, start, sim, [*to_pvc[:-1], "registry.example/absent:1"], "absent:1")


def test_missing_account_is_told(cluster, prod, to_pvc, sim, start, vmferry):
    nobody = [*to_pvc, "--worker-account", "nobody"]
    result = vmferry("import", *sim.arguments(), "--vm", "empty01", *nobody)
    result.failed('no service account "nobody"', "(target.worker-account)", "--worker-account")
    expect_left(cluster, prod)
    stuck(cluster, prod, start, sim, [*nobody, "--skip-check", "target.worker-account"], "nobody")


def test_claims_that_are_never_bound_are_told(cluster, prod, to_pvc, sim, start):
    stuck(cluster, prod, start, sim, [*to_pvc, "--storage-class", "rig-never"], "unbound")


# Bad ends


def test_error_of_the_worker_is_the_launchers(cluster, prod, to_pvc, sim, vmferry):
    sim.fault("nfc", "truncate", count=-1, after_bytes=5 * MIB)
    result = vmferry("import", *sim.arguments(), "--vm", "run01", *to_pvc, timeout=240)
    result.failed(f'Job "{JOB}"', "disk", "run01")
    assert result.err.count('vm "run01"') == 1, result
    expect_left(cluster, prod)


def test_cancelled__worker_cleans_up_at_the_source(cluster, prod, to_pvc, slow, start):
    process = start_copy(slow, start, to_pvc)
    process.signal(signal.SIGINT)
    result = process.wait(150)
    assert result.status == 130, result
    assert "removing snapshot" in result.out
    assert snapshots(slow, "run01") == []
    expect_left(cluster, prod)


def worker_pod(cluster, namespace):
    (pod,) = cluster.list(PODS, namespace, labelSelector=f"job-name={JOB}")
    return pod["metadata"]["name"]


@pytest.fixture
def own_sim(start_simulator, tmp_path_factory):
    """A slow source that a test may leave in any state."""
    folder = tmp_path_factory.mktemp("own")
    disks = [{"path": str(make_disk(folder / f"{n}.raw", 48 * MIB, n))} for n in (0, 1)]
    vms = [{"name": "run01", "folder": "/prod", "disks": disks, "power": "on"}]
    return start_simulator("own", "--nfc-rate", 2 * MIB, "--lease-timeout", "5s", vms=vms)


def test_worker_that_is_killed(cluster, prod, to_pvc, own_sim, start):
    process = start_copy(own_sim, start, to_pvc)
    cluster.control("POST", f"/pods/{prod}/{worker_pod(cluster, prod)}/kill?signal=9")
    process.wait(60).failed(f'Job "{JOB}"', "137")
    expect_left(cluster, prod)


def test_launcher_that_is_killed__job_goes_on(
    cluster, prod, to_pvc, own_sim, start, vmferry, tmp_path
):
    process = start_copy(own_sim, start, to_pvc)
    process.signal(signal.SIGKILL)
    process.wait(10)
    again = ["import", *own_sim.arguments(), "--vm", "run01", *to_pvc]
    vmferry(*again).failed(f'Job "{JOB}"', "still imports this VM", "kubectl logs")
    cluster.watch_until(MACHINES, "run01", bool, prod, timeout=120)
    for disk in (0, 1):
        frozen = own_sim.save_frozen("run01", disk, tmp_path / f"frozen-{disk}.raw")
        expect_content(cluster, prod, f"run01-disk-{disk}", frozen)
    # Its Secret goes with it, at the latest when the Job's time to live has passed.
    cluster.watch_until(JOBS, JOB, lambda job: "completionTime" in job["status"], prod)
    cluster.delete(JOBS, JOB, prod, propagationPolicy="Background")
    wait_until(lambda: names(cluster, SECRETS, prod) == [], 30, "the Secret's end")
