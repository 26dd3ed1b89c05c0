"""vmferry migrate --warm --to pvc: a Job of the cluster migrates into claims that it mounts."""

import json
import signal

import pytest
from harness.cli import wait_until
from harness.disks import MIB
from harness.warm import QUICK, Source, warm_vm

JOBS = "batch/v1/jobs"
CLAIMS = "v1/persistentvolumeclaims"
MACHINES = "kubevirt.io/v1/virtualmachines"
MAPS = "v1/configmaps"
PODS = "v1/pods"
SECRETS = "v1/secrets"
CHECKPOINT = "vmferry.io/checkpoint"
OURS = "app.kubernetes.io/managed-by=vmferry"
LOAD = MIB


class Migration:
    """Of the VM "warm" into one namespace."""

    job = "warm-migrate"

    def __init__(self, cluster, namespace, sim, start):
        self.cluster = cluster
        self.namespace = namespace
        self.source = Source(sim)
        self.sim = sim
        self._start = start
        kubeconfig = cluster.kubeconfig(
            service_account=(namespace, "importer"), namespace=namespace
        )
        self.where = ["--kubeconfig", kubeconfig]
        self.process = None

    def begin(self, *more):
        self.process = self._start(
            *("migrate", "--warm", *self.sim.arguments(), "--vm", "warm", "--to", "pvc"),
            *("--worker-image", "registry.example/vmferry:1", *self.where, *QUICK),
            *("--progress=json", *more),
        )
        return self

    def command(self, name, *more, timeout=120):
        return self._start(name, "warm", *self.where, *more).wait(timeout)

    def status(self):
        found = self.cluster.find(MAPS, "vmferry-warm", self.namespace)
        text = (found or {}).get("data", {}).get("status")
        return json.loads(text) if text else None

    def wait(self, condition, what, timeout=120):
        def look():
            status = self.status()
            if status and condition(status):
                return status
            if not self.process.running():
                raise AssertionError(f"it ended before {what}: {self.process.wait()}")
            return None

        return wait_until(look, timeout, f"{what}; it is {self.status()}")

    def wait_round(self, number):
        return self.wait(
            lambda s: s["phase"] == "waiting" and s["round"] >= number, f"the end of round {number}"
        )

    def pods(self):
        return self.cluster.list(PODS, self.namespace, labelSelector=f"job-name={self.job}")

    def pod(self):
        """The one that runs."""
        running = [p for p in self.pods() if p.get("status", {}).get("phase") == "Running"]
        return running[0]["metadata"]["name"] if running else None

    def kill_pod(self, number=9):
        pod = wait_until(self.pod, 60, "a pod that runs")
        self.cluster.control("POST", f"/pods/{self.namespace}/{pod}/kill?signal={number}")
        return pod

    def names(self, resource):
        found = self.cluster.list(resource, self.namespace, labelSelector=OURS)
        return sorted(item["metadata"]["name"] for item in found)

    def checkpoints(self):
        found = self.cluster.list(CLAIMS, self.namespace, labelSelector=OURS)
        return [claim["metadata"]["annotations"].get(CHECKPOINT) for claim in found]

    def expect_content(self):
        for number, disk in enumerate(self.source.disks()):
            claim = f"warm-disk-{number}"
            with open(self.cluster.volume(self.namespace, claim), "rb") as got:
                with open(disk, "rb") as want:
                    while expected := want.read(MIB):
                        at = want.tell()
                        assert got.read(len(expected)) == expected, f"{claim} before {at}"
                if got.name.endswith("disk.img"):
                    assert not got.read(1)

    def expect_delivered(self):
        self.source.assert_clean("off", note=True)
        self.source.assert_never_started_after_delivery()
        self.expect_content()
        assert self.names(JOBS) == [] and self.names(SECRETS) == []
        assert self.names(CLAIMS) == ["warm-disk-0", "warm-disk-1"]
        assert self.names(MACHINES) == ["warm"]
        assert self.checkpoints() == [None, None]
        assert self.status()["phase"] == "done"


@pytest.fixture
def warm_sim(start_simulator, tmp_path_factory):
    """A source of one VM; its disks are read at a pace at which a test can act."""
    folder = tmp_path_factory.mktemp("warm-pvc")
    vms = [warm_vm(folder, sizes=(12 * MIB, 4 * MIB + 512 * 3))]
    return start_simulator(
        "warm-pvc", "--nfc-rate", 4 * MIB, "--lease-timeout", "5s", vms=vms
    )


@pytest.fixture
def migration(cluster, restricted, warm_sim, start):
    return Migration(cluster, restricted, warm_sim, start)


def copying(migration):
    """An export of the snapshot is open. A copy may be too short for a line of progress."""
    wait_until(
        lambda: migration.source.state()["held"] or not migration.process.running(), 120, "the copy"
    )
    assert migration.process.running(), migration.process.wait()


def test_pod_that_is_killed_goes_on__cut_over_by_command(migration):
    migration.source.load(LOAD)
    migration.begin("--storage-class", "rig-block", "--transport", "nfc")
    copying(migration)
    first = migration.kill_pod()
    wait_until(lambda: migration.pod() not in (None, first), 120, "another pod")
    migration.wait(lambda s: s["round"] >= 2, "round 2")
    job = migration.cluster.get(JOBS, migration.job, migration.namespace)
    assert migration.sim.password not in json.dumps(job)
    migration.command("cutover").good()
    result = migration.process.wait(120).good()
    migration.expect_delivered()
    assert 'VirtualMachine \\"warm\\"' in result.out
    machine = migration.cluster.get(MACHINES, "warm", migration.namespace)
    templates = machine["spec"]["dataVolumeTemplates"]
    assert [t["metadata"]["name"] for t in templates] == ["warm-disk-0", "warm-disk-1"]


def test_launcher_that_stops_looking__pod_that_is_evicted(migration):
    migration.begin()
    copying(migration)
    migration.process.signal(signal.SIGINT)
    left = migration.process.wait(60)
    assert left.status == 130, left
    assert "goes on" in left.err and "vmferry cutover warm" in left.err
    first = migration.kill_pod(signal.SIGTERM)
    migration.begin()
    wait_until(
        lambda: "of an earlier start migrates this VM" in migration.process.out_so_far(),
        60,
        "the second look",
    )
    wait_until(lambda: migration.pod() not in (None, first), 120, "another pod")
    assert migration.source.events().count("snapshot_removed") >= 1
    migration.wait_round(0)
    migration.command("cancel").good()
    migration.process.wait(60)
    migration.source.assert_clean("on", note=False)
    assert migration.names(CLAIMS) == ["warm-disk-0", "warm-disk-1"]
    assert all(migration.checkpoints())
    # Days later: what was copied is gone on with, the first disk from its checkpoint.
    migration.begin("--cutover", "asap").process.wait(180).good()
    migration.expect_delivered()


def test_nobody_works_on_it__cancel_cleans_up_by_itself(migration):
    migration.begin("--transport", "nfc")
    copying(migration)
    migration.kill_pod()
    migration.cluster.delete(
        JOBS, migration.job, migration.namespace, propagationPolicy="Background"
    )
    migration.process.wait(60).failed("somebody stopped the migration")
    wait_until(lambda: migration.pods() == [], 60, "the pods' end")
    assert len(migration.source.own_snapshots()) == 1
    # Its last sign of life is not old enough yet.
    data = {"data": {"heartbeat": "2020-01-01T00:00:00Z"}}
    migration.cluster.patch(MAPS, "vmferry-warm", data, migration.namespace)
    migration.command("cancel", "--discard", *migration.sim.arguments()).good()
    migration.source.assert_clean("on", note=False)
    wait_until(lambda: migration.names(CLAIMS) == [], 60, "the claims' end")
    assert migration.names(MACHINES) == []
    assert migration.status()["phase"] == "cancelled"


def test_what_others_do_meanwhile_is_refused(migration, vmferry):
    migration.begin()
    migration.wait_round(0)
    again = [*migration.sim.arguments(), "--vm", "warm", "--to", "pvc"]
    vmferry(
        "import", *again, "--worker-image", "registry.example/vmferry:1", *migration.where
    ).failed("warm migration", "vmferry cancel warm")
    vmferry("cleanup", *migration.where).failed("still runs", "--force")
    assert migration.names(CLAIMS) == ["warm-disk-0", "warm-disk-1"]
    migration.command("cancel").good()
    migration.process.wait(60)
    # What it can go on with stays.
    vmferry("cleanup", *migration.where, "--all").good()
    assert migration.names(CLAIMS) == ["warm-disk-0", "warm-disk-1"]
    vmferry("cleanup", *migration.where, "--force").good()
    assert migration.names(CLAIMS) == [] and migration.names(MAPS) == []
