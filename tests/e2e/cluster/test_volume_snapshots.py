"""jobs/cluster guard and rollback (tests/real/jobs/cluster/test_guard.c) with a real control plane and
the rig's storage driver: the state of claims is kept, and had back, whatever breaks on the way."""

import json
import pathlib
import subprocess

import pytest

from harness import cli
from harness.cli import wait_until
from harness.disks import MIB
from harness.pods import PODS, claim_volume, is_running, make_claim, make_pod
from harness.warm import QUICK, Source, warm_vm

PROGRAM = (
    pathlib.Path(cli.VMFERRY or "/nowhere").parents[1] / "tests/real/real.jobs.cluster.guard"
)
CLAIMS = "v1/persistentvolumeclaims"
JOBS = "batch/v1/jobs"
SNAPSHOTS = "snapshot.storage.k8s.io/v1/volumesnapshots"
CLASSES = "snapshot.storage.k8s.io/v1/volumesnapshotclasses"
STORAGE_CLASSES = "storage.k8s.io/v1/storageclasses"
LABELS = {
    "app.kubernetes.io/managed-by": "vmferry",
    "vmferry.io/import": "web",
    "vmferry.io/state": "filling",
}
SOURCE = {"vmferry.io/source-vm": "Web", "vmferry.io/source-uuid": "502a-5"}
CHECKPOINT = "vmferry.io/checkpoint"
RESTORED = "vmferry.io/rolled-back"
UNDER_WAY = "vmferry.io/rollback"
KILLED = -9


class Claims:
    """Two claims of a migration, what is in them, and the steps of the program."""

    names = ("web-disk-0", "web-disk-1")

    def __init__(self, cluster, namespace, home, storage_class="rig-fs", mode="Filesystem"):
        self.cluster = cluster
        self.namespace = namespace
        self.home = home
        self.storage_class = storage_class
        self.mode = mode
        self.kubeconfig = cluster.kubeconfig(namespace=namespace)
        for index, name in enumerate(self.names):
            claim = make_claim(name, str((16 + index) << 20), storage_class, mode)
            claim["metadata"]["labels"] = {**LABELS, "team": "blue"}
            claim["metadata"]["annotations"] = {**SOURCE, "vmferry.io/disk": str(index)}
            cluster.create(claim, namespace)
        for name in self.names:
            self.wait_bound(name)

    def wait_bound(self, name):
        def is_bound(claim):
            return claim and claim["status"]["phase"] == "Bound"

        return self.cluster.watch_until(CLAIMS, name, is_bound, self.namespace)

    def write(self, text):
        """As the content of each, and as its checkpoint."""
        for name in self.names:
            with open(self.cluster.volume(self.namespace, name), "r+b" if self.is_block else "wb") as f:
                f.write(f"{name} {text}\n".encode())
            patch = {"metadata": {"annotations": {CHECKPOINT: text}}}
            self.cluster.patch(CLAIMS, name, patch, self.namespace)

    @property
    def is_block(self):
        return self.mode == "Block"

    def expect(self, text):
        for name in self.names:
            claim = self.wait_bound(name)
            with open(self.cluster.volume(self.namespace, name), "rb") as f:
                assert f.readline() == f"{name} {text}\n".encode()
            metadata = claim["metadata"]
            assert metadata["annotations"][CHECKPOINT] == text
            assert {**metadata["labels"], **LABELS, "team": "blue"} == metadata["labels"]
            assert {**metadata["annotations"], **SOURCE} == metadata["annotations"]
            spec = claim["spec"]
            assert spec["volumeMode"] == self.mode
            assert spec["storageClassName"] == self.storage_class
            assert int(spec["resources"]["requests"]["storage"]) >= 16 << 20

    def run(self, step, want="ok", status=0, fault=None, round=1, kubeconfig=None, **env):
        if fault:
            env["VMFERRY_FAULTS"] = fault
        done = subprocess.run(
            [PROGRAM],
            capture_output=True,
            text=True,
            timeout=120,
            env=cli.environment(
                self.home,
                VMFERRY_TEST_KUBECONFIG=kubeconfig or self.kubeconfig,
                VMFERRY_TEST_NAMESPACE=self.namespace,
                VMFERRY_TEST_CLAIMS=",".join(self.names),
                VMFERRY_TEST_CLASS=self.storage_class,
                VMFERRY_TEST_ROUND=round,
                VMFERRY_TEST_FILTER=f"step_{step}",
                VMFERRY_TEST_WANT=want,
                **env,
            ),
        )
        told = done.stdout + done.stderr
        assert not cli.SANITIZER.search(told), told
        assert done.returncode == status, told
        return told

    def snapshots(self):
        """(number of the set, claim) of each that is not being deleted."""
        return sorted(
            (
                int(item["metadata"]["labels"]["vmferry.io/guard"]),
                item["spec"]["source"]["persistentVolumeClaimName"],
            )
            for item in self.cluster.list(SNAPSHOTS, self.namespace)
            if "deletionTimestamp" not in item["metadata"]
        )

    def whole(self):
        """Numbers of the sets that are whole and ready."""
        ready = {}
        for item in self.cluster.list(SNAPSHOTS, self.namespace):
            number = int(item["metadata"]["labels"]["vmferry.io/guard"])
            ok = item.get("status", {}).get("readyToUse") and (
                "deletionTimestamp" not in item["metadata"]
            )
            ready[number] = ready.get(number, 0) + bool(ok)
        return sorted(number for number, n in ready.items() if n == len(self.names))

    def set_of(self, number):
        return [(number, name) for name in self.names]


@pytest.fixture
def make(cluster, namespace, tmp_path):
    def make_claims(*args):
        assert PROGRAM.exists(), f"{PROGRAM} is not built"
        return Claims(cluster, namespace, tmp_path, *args)

    return make_claims


@pytest.fixture
def claims(make):
    return make()


@pytest.mark.parametrize(
    ("storage_class", "mode"), [("rig-fs", "Filesystem"), ("rig-block", "Block")]
)
def test_state_is_kept_and_had_back(make, storage_class, mode):
    claims = make(storage_class, mode)
    claims.write("one")
    told = claims.run("take", round=0)
    assert 'keeping round 0 of 2026-11-21T20:00:00Z: a VolumeSnapshot of 2 claims, class "rig-snap"' in told
    assert claims.whole() == [1]
    claims.write("two")
    before = [claims.wait_bound(name)["metadata"]["uid"] for name in claims.names]
    told = claims.run("rollback_dry")
    assert "nothing was changed" in told
    claims.expect("two")
    told = claims.run("rollback")
    assert 'claim "web-disk-0": removing it; its data is in VolumeSnapshot' in told
    assert 'the claims are as of round 0 of 2026-11-21T20:00:00Z again' in told
    claims.expect("one")
    after = [claims.wait_bound(name)["metadata"]["uid"] for name in claims.names]
    assert not set(before) & set(after)
    assert claims.whole() == [1]
    claims.run("check")
    # This very state is kept already; the next one replaces it.
    assert "keeping" not in claims.run("take")
    assert claims.snapshots() == claims.set_of(1)
    claims.write("three")
    claims.run("take")
    wait_until(lambda: claims.snapshots() == claims.set_of(2), 30, "the older set to go")
    # Back again and again: each time the claims are made anew.
    for text in ("four", "five"):
        claims.write(text)
        claims.run("rollback")
        claims.expect("three")
    claims.run("remove")
    assert claims.snapshots() == []
    assert "nothing is kept" not in claims.run("rollback", "missing")
    claims.expect("three")


POINTS = ["guard.create", "guard.created:2", "guard.ready", "guard.before_remove", "guard.remove:2"]


@pytest.mark.parametrize("point", POINTS)
def test_guard_that_is_killed_leaves_a_whole_set(claims, point):
    name, _, n = point.partition(":")
    claims.write("one")
    claims.run("take")
    claims.write("two")
    claims.run("take", status=KILLED, fault=f"{name}:{n or 1}:kill")
    assert claims.whole()
    claims.run("check")
    # Nothing was written: what is had back is the state before or this one, of both claims.
    claims.write("half a delta")
    claims.run("take", round=2)
    wait_until(lambda: len(claims.snapshots()) == 2, 30, "one set alone")
    claims.write("damaged")
    claims.run("rollback")
    claims.expect("half a delta")


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize(
    "point",
    ["rollback.mark", "rollback.delete", "rollback.deleted", "rollback.created", "rollback.unmark"],
)
def test_rollback_that_is_killed_is_finished_by_the_next(claims, point, n):
    claims.write("one")
    claims.run("take")
    claims.write("two")
    claims.run("rollback", status=KILLED, fault=f"{point}:{n}:kill")
    assert claims.whole() == [1]
    begun = (point, n) != ("rollback.mark", 1)
    told = claims.run("check", "conflict" if begun else "ok")
    assert ("vmferry rollback web -n " in told) == begun
    if begun:
        assert "a rollback of the disks" in claims.run("take", "conflict")
    told = claims.run("rollback")
    claims.expect("one")
    claims.run("check")
    assert claims.snapshots() == claims.set_of(1)


def test_interrupted_rollback_does_not_restore_twice(claims):
    claims.write("one")
    claims.run("take")
    claims.run("rollback", status=KILLED, fault="rollback.delete:2:kill")
    first = claims.wait_bound(claims.names[0])["metadata"]["uid"]
    claims.run("rollback")
    assert claims.wait_bound(claims.names[0])["metadata"]["uid"] == first


def test_nothing_is_kept_of_a_round_in_the_middle(claims, cluster, namespace):
    told = claims.run("rollback", "missing")
    assert "no state of" in told and "VolumeSnapshots" in told
    assert claims.snapshots() == []


def test_set_that_lost_a_snapshot_is_refused(claims, cluster, namespace):
    claims.write("one")
    claims.run("take")
    claims.write("two")
    cluster.delete(SNAPSHOTS, "web-disk-1-guard-1", namespace)
    wait_until(lambda: not claims.whole(), 20, "the snapshot to go")
    told = claims.run("rollback", "conflict")
    assert "no state is kept whole: of 2 claims 1 have a VolumeSnapshot that is ready" in told
    claims.expect("two")


def test_claims_in_use_are_refused(claims, cluster, namespace):
    claims.write("one")
    claims.run("take")
    pod = make_pod(
        "reader",
        "sleep 600",
        container={"volumeMounts": [{"name": "web-disk-1", "mountPath": "/d"}]},
        volumes=[claim_volume("web-disk-1")],
    )
    cluster.create(pod, namespace)
    cluster.watch_until(PODS, "reader", is_running, namespace)
    told = claims.run("rollback", "conflict")
    assert 'pod "reader" uses claim "web-disk-1"' in told and "nothing was changed" in told
    cluster.delete(PODS, "reader", namespace, gracePeriodSeconds=0)
    wait_until(lambda: not cluster.find(PODS, "reader", namespace), 30, "the pod's end")
    claims.run("rollback")


def test_claims_of_a_running_job_are_refused(claims, cluster, namespace):
    claims.write("one")
    claims.run("take")
    pod = make_pod("x", "sleep 600")["spec"]
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "web-migrate", "labels": LABELS},
        "spec": {"template": {"spec": pod}},
    }
    cluster.create(job, namespace)
    told = claims.run("rollback", "conflict")
    assert 'Job "web-migrate" works on the disks' in told and "vmferry cancel web" in told
    cluster.delete(JOBS, "web-migrate", namespace, propagationPolicy="Background")


def make_machine(strategy):
    disk = {"name": "d", "disk": {"bus": "virtio"}}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "web"},
        "spec": {
            "runStrategy": strategy,
            "template": {
                "spec": {
                    "domain": {"memory": {"guest": "64Mi"}, "devices": {"disks": [disk]}},
                    "volumes": [
                        {"name": "d", "persistentVolumeClaim": {"claimName": "web-disk-0"}}
                    ],
                }
            },
        },
    }


def test_claims_of_a_vm_that_runs_are_refused(claims, cluster, namespace):
    claims.write("one")
    claims.run("take")
    cluster.create(make_machine("Always"), namespace)
    told = claims.run("rollback", "conflict")
    assert 'VirtualMachine "web" uses claim "web-disk-0"' in told or "pod " in told
    claims.expect("one")


def test_halted_vm_is_no_obstacle(claims, cluster, namespace):
    claims.write("one")
    claims.run("take")
    claims.write("two")
    cluster.create(make_machine("Halted"), namespace)
    claims.run("rollback")
    claims.expect("one")


def test_claim_that_has_an_owner_is_refused(claims, cluster, namespace):
    claims.write("one")
    claims.run("take")
    owner = cluster.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner"}}, namespace
    )
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": owner["metadata"]["uid"],
    }
    patch = {"metadata": {"ownerReferences": [reference]}}
    cluster.patch(CLAIMS, "web-disk-1", patch, namespace)
    told = claims.run("rollback", "conflict")
    assert 'claim "web-disk-1" is owned by ConfigMap "owner"' in told


def test_claim_of_another_vm_is_refused(claims, cluster, namespace):
    claims.write("one")
    claims.run("take")
    patch = {"metadata": {"annotations": {"vmferry.io/source-uuid": "other"}}}
    cluster.patch(CLAIMS, "web-disk-0", patch, namespace)
    assert "not of this migration" in claims.run("rollback", "conflict")
    assert "not of this migration" in claims.run("take")  # warned, and nothing half-made
    assert claims.snapshots() == claims.set_of(1)


def test_missing_claim_is_had_back(claims, cluster, namespace):
    claims.write("one")
    claims.run("take")
    cluster.delete(CLAIMS, "web-disk-0", namespace)
    wait_until(lambda: not cluster.find(CLAIMS, "web-disk-0", namespace), 30, "the claim to go")
    claims.run("rollback")
    claims.expect("one")


def test_driver_without_snapshots_is_told_once(cluster, make, namespace):
    """A class of another driver: nothing knows how to take snapshots of it."""
    claims = make()
    name = f"foreign-{namespace}"
    cluster.create(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": name},
            "provisioner": "example.com/none",
        }
    )
    try:
        claims.storage_class = name
        told = claims.run("take_twice")
    finally:
        cluster.delete(STORAGE_CLASSES, name)
    assert told.count("no VolumeSnapshots are taken") == 1
    assert 'no VolumeSnapshotClass of driver "example.com/none"' in told
    assert claims.snapshots() == []


def test_account_without_the_right_is_told(claims, cluster, namespace):
    """Who may not look at VolumeSnapshots migrates all the same."""
    cluster.grant(
        namespace,
        "reader",
        [{"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["get"]}],
    )
    reader = cluster.kubeconfig(service_account=(namespace, "reader"), namespace=namespace)
    told = claims.run("take_twice", kubeconfig=reader)
    assert told.count("no VolumeSnapshots are taken") == 1 and "volumesnapshots" in told
    claims.run("check", kubeconfig=reader)
    claims.run("remove", kubeconfig=reader)


def test_failing_driver_is_a_warning(claims, cluster, namespace):
    claims.write("one")
    claims.run("take", round=1)
    name = f"broken-{namespace}"
    default = cluster.get(CLASSES, "rig-snap")
    broken = {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotClass",
        "metadata": {"name": name},
        "driver": default["driver"],
        "deletionPolicy": "Delete",
        "parameters": {"fault": "fail", "message": "the array is on fire"},
    }
    cluster.create(broken)
    profile = cluster.get("cdi.kubevirt.io/v1beta1/storageprofiles", "rig-fs")
    assert profile["status"].get("snapshotClass") in (None, "rig-snap")
    try:
        claims.write("two")
        told = claims.run(
            "take", round=2, VMFERRY_TEST_TIMEOUT=4, VMFERRY_TEST_SNAPSHOT_CLASS=name
        )
    finally:
        cluster.delete(CLASSES, name)
    assert "the state before this round is not kept" in told and "the array is on fire" in told
    assert "would go back further: to round 1" in told
    wait_until(lambda: claims.snapshots() == claims.set_of(1), 30, "what was half-made to go")


# Through the program


@pytest.fixture
def warm_sim(start_simulator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rollback")
    return start_simulator(folder.name, vms=[warm_vm(folder)])


def test_migration_is_rolled_back_and_goes_on(cluster, prod, warm_sim, start):
    """After rounds under load the claims go back to a state before; the next run brings them up."""
    kubeconfig = cluster.kubeconfig(service_account=(prod, "importer"), namespace=prod)
    where = ["--kubeconfig", kubeconfig]
    begin = [
        *("migrate", "--warm", *warm_sim.arguments(), "--vm", "warm", "--to", "pvc"),
        *("--worker-image", "registry.example/vmferry:1", *where, *QUICK),
    ]
    source = Source(warm_sim)

    def checkpoints():
        labels = {"labelSelector": "vmferry.io/import=warm"}
        return {
            claim["metadata"]["name"]: claim["metadata"]["annotations"].get(CHECKPOINT)
            for claim in cluster.list(CLAIMS, prod, **labels)
        }

    def kept():
        return {
            item["spec"]["source"]["persistentVolumeClaimName"]: json.loads(
                item["metadata"]["annotations"]["vmferry.io/guard-claim"]
            )["annotations"][CHECKPOINT]
            for item in cluster.list(SNAPSHOTS, prod)
            if item.get("status", {}).get("readyToUse")
        }

    source.load(MIB)
    process = start(*begin)
    wait_until(lambda: len(kept()) == 2 and process.running(), 120, "a state that is kept")
    assert start("cancel", "warm", *where).wait(120).status == 0
    process.wait(120)
    source.assert_clean("on", note=False)
    before, state = checkpoints(), kept()
    assert start("rollback", "warm", *where).wait(120).good()
    assert checkpoints() == state != before
    result = start(*begin, "--cutover", "asap").wait(240).good()
    assert "in full" not in result.err
    source.assert_clean("off", note=True)
    for number, disk in enumerate(source.disks()):
        with open(cluster.volume(prod, f"warm-disk-{number}"), "rb") as got, open(disk, "rb") as want:
            while expected := want.read(MIB):
                assert got.read(len(expected)) == expected
    wait_until(lambda: not cluster.list(SNAPSHOTS, prod), 60, "the snapshots to go")
