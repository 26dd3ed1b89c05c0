"""vmferry migrate --warm --to pvc --transport cdi: CDI's own controller and importer copy, stage by
stage. Its importer reads through nbdkit with a stand-in for VMware's plugin, which serves what the
simulated datastore browser shows (tests/peers/nbdkit/vddk_folder.c)."""

import json
import signal

import pytest
from harness import vddk_image
from harness.cli import wait_until
from harness.disks import MIB
from harness.warm import QUICK, Source, warm_vm

VOLUMES = "cdi.kubevirt.io/v1beta1/datavolumes"
CLAIMS = "v1/persistentvolumeclaims"
MACHINES = "kubevirt.io/v1/virtualmachines"
MAPS = "v1/configmaps"
SECRETS = "v1/secrets"
OURS = "app.kubernetes.io/managed-by in (vmferry,cdi-controller),vmferry.io/import=warm"
NAMES = ["warm-disk-0", "warm-disk-1"]


class CdiMigration:
    """Of the VM "warm" into one namespace; the program runs here, the copies are CDI's."""

    def __init__(self, cluster, namespace, sim, start):
        self.cluster = cluster
        self.namespace = namespace
        self.sim = sim
        self.source = Source(sim)
        self._start = start
        account = (namespace, "importer")
        kubeconfig = cluster.kubeconfig(service_account=account, namespace=namespace)
        self.where = ["--kubeconfig", kubeconfig]
        self.process = None

    def begin(self, *more, env=None, image=vddk_image.IMAGE):
        library = ["--vddk-image", image] if image else []
        self.process = self._start(
            *("migrate", "--warm", *self.sim.arguments(), "--vm", "warm", "--to", "pvc"),
            *("--transport", "cdi", *library, *self.where, *QUICK, *more),
            env=env,
        )
        return self

    def command(self, name, *more):
        return self._start(name, "warm", *self.where, *more).wait(120)

    def status(self):
        found = self.cluster.find(MAPS, "vmferry-warm", self.namespace)
        text = (found or {}).get("data", {}).get("status")
        return json.loads(text) if text else None

    def wait_round(self, number):
        def look():
            status = self.status()
            if status and (status["round"], status["phase"] == "waiting") >= (number, True):
                return status
            assert self.process.running(), self.process.wait()
            return None

        return wait_until(look, 180, f"the end of round {number}; it is {self.status()}")

    def volume(self, name=NAMES[0]):
        return self.cluster.find(VOLUMES, name, self.namespace)

    def stages(self, name=NAMES[0]):
        volume = self.volume(name)
        return volume["spec"]["checkpoints"] if volume else []

    def names(self, resource):
        found = self.cluster.list(resource, self.namespace, labelSelector=OURS)
        return sorted(item["metadata"]["name"] for item in found)

    def expect_content(self):
        for number, disk in enumerate(self.source.disks()):
            path = self.cluster.volume(self.namespace, NAMES[number])
            with open(path, "rb") as got, open(disk, "rb") as want:
                while expected := want.read(MIB):
                    assert got.read(len(expected)) == expected, f"disk {number} before {want.tell()}"
                # CDI makes the image as large as the claim has room for.
                while rest := got.read(MIB):
                    assert not rest.strip(b"\0")

    def expect_delivered(self):
        self.source.assert_clean("off", note=True)
        self.source.assert_never_started_after_delivery()
        self.expect_content()
        for name in NAMES:
            volume = self.volume(name)
            assert volume["status"]["phase"] == "Succeeded"
            assert volume["spec"]["finalCheckpoint"] is True
            assert volume["metadata"]["labels"]["vmferry.io/state"] == "complete"
        machine = self.cluster.get(MACHINES, "warm", self.namespace)
        templates = machine["spec"]["dataVolumeTemplates"]
        assert [template["metadata"]["name"] for template in templates] == NAMES
        assert self.names(SECRETS) == []
        assert [name for name in self.names(MAPS) if "checkpoint" in name] == []
        assert self.status()["phase"] == "done"


@pytest.fixture
def migration(cluster, prod, start_simulator, tmp_path_factory, start):
    folder = tmp_path_factory.mktemp("warm-cdi")
    sim = start_simulator(folder.name, "--folder-locked=false", vms=[warm_vm(folder)])
    return CdiMigration(cluster, prod, sim, start)


def test_cdi_copies_in_stages_and_the_vm_arrives(migration):
    migration.source.load(MIB)
    migration.begin("--storage-class", "rig-block")
    migration.wait_round(1)
    stages = migration.stages()
    assert stages[0]["previous"] == "" and len(stages) >= 2
    assert all("/" in stage["previous"] for stage in stages[1:])
    assert len({stage["current"] for stage in stages}) == len(stages)
    assert migration.status()["transport"] == "cdi"
    assert "simulated-Pa55" not in json.dumps(migration.volume())
    assert migration.command("cutover").status == 0
    migration.process.wait(180).good()
    migration.expect_delivered()


def test_killed_between_rounds_it_goes_on_from_the_last_stage(migration):
    migration.source.load(MIB, disks=[0])  # a disk that nobody writes to has a last stage, too
    migration.begin()
    migration.wait_round(0)
    migration.process.process.send_signal(signal.SIGKILL)
    migration.process.wait(60)
    uid = migration.volume()["metadata"]["uid"]
    migration.begin("--cutover", "asap")
    migration.process.wait(240).good()
    assert migration.volume()["metadata"]["uid"] == uid
    migration.expect_delivered()


@pytest.mark.parametrize("point", ["cdi.prepared:1", "cdi.created_volume:2", "cdi.marked:1"])
def test_killed_in_the_middle_nothing_is_copied_twice(migration, point):
    """When no more than the Secret is there; in the first copy, which CDI goes on with by itself; and
    after the last one, of a source that is off since."""
    migration.source.load(MIB)
    migration.begin("--cutover", "asap", env={"VMFERRY_FAULTS": f"{point}:kill"})
    assert migration.process.wait(240).status == -signal.SIGKILL
    made = {name: migration.volume(name)["metadata"]["uid"] for name in migration.names(VOLUMES)}
    migration.begin("--cutover", "asap")
    migration.process.wait(240).good()
    for name, uid in made.items():
        assert migration.volume(name)["metadata"]["uid"] == uid
    migration.expect_delivered()


def test_stage_that_lost_its_snapshot_costs_a_copy_in_full(migration):
    """Broken off in its middle: CDI can neither finish it nor leave it out."""
    migration.source.load(MIB)
    migration.begin()
    migration.wait_round(0)
    migration.cluster.pause("cdi-controller", 8)
    before = len(migration.stages())
    wait_until(lambda: len(migration.stages()) > before, 60, "a stage that stands still")
    migration.process.process.send_signal(signal.SIGINT)
    assert migration.process.wait(120).status != 0
    migration.source.assert_clean("on", note=False)
    uid = migration.volume()["metadata"]["uid"]
    migration.begin("--cutover", "asap")
    result = migration.process.wait(300).good()
    assert "waits for a snapshot that is gone" in result.err
    assert migration.volume()["metadata"]["uid"] != uid
    migration.expect_delivered()


def test_cancelled_with_discard_nothing_stays(migration):
    migration.source.load(MIB)
    migration.begin()
    migration.wait_round(0)
    assert migration.command("cancel", "--discard").status == 0
    assert migration.process.wait(120).status != 0
    migration.source.assert_clean("on", note=False)
    wait_until(lambda: migration.names(CLAIMS) == [], 60, "the claims to go")
    assert migration.names(VOLUMES) == [] and migration.names(SECRETS) == []
    assert [name for name in migration.names(MAPS) if "checkpoint" in name] == []


def test_killed_and_given_up_nothing_stays(migration):
    migration.source.load(MIB)
    migration.begin(env={"VMFERRY_FAULTS": "cdi.created_volume:2:kill"})
    assert migration.process.wait(120).status == -signal.SIGKILL

    # As a minute later.
    stopped = {"data": {"heartbeat": "2026-01-01T00:00:00Z"}}
    migration.cluster.patch(MAPS, "vmferry-warm", stopped, migration.namespace)
    login = [*migration.sim.arguments(), "--vm", "warm"]
    migration.command("cancel", "--discard", *login).good()
    migration.source.assert_clean("on", note=False)
    wait_until(lambda: migration.names(CLAIMS) == [], 60, "the claims to go")
    assert migration.names(VOLUMES) == [] and migration.names(SECRETS) == []
    assert [name for name in migration.names(MAPS) if "checkpoint" in name] == []


def test_missing_library_is_told(migration):
    """Nobody told CDI of an image, neither by the command line nor by its ConfigMap."""
    migration.begin(image=None)
    words = "CDI has not been told which image has VMware's library"
    wait_until(lambda: words in migration.process.err_so_far(), 90, "the reason")
    migration.process.process.send_signal(signal.SIGINT)
    migration.process.wait(120)
    migration.source.assert_clean("on", note=False)
