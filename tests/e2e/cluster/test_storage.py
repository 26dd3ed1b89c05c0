"""What the other tests rest on: volumes and snapshots come and go as with a real driver."""

import os

import pytest

from harness.cli import wait_until
from harness.pods import claim_volume, is_over, is_running, make_claim, make_pod, run_pod

CLAIMS = "v1/persistentvolumeclaims"
SNAPSHOTS = "snapshot.storage.k8s.io/v1/volumesnapshots"
CONTENTS = "snapshot.storage.k8s.io/v1/volumesnapshotcontents"
SIZE = 33 * 2**20


def is_bound(claim):
    return claim["status"]["phase"] == "Bound"


def bind(cluster, namespace, claim):
    cluster.create(claim, namespace)
    return cluster.watch_until(CLAIMS, claim["metadata"]["name"], is_bound, namespace)


def make_snapshot(name, claim):
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name},
        "spec": {
            "volumeSnapshotClassName": "rig-snap",
            "source": {"persistentVolumeClaimName": claim},
        },
    }


@pytest.mark.parametrize(
    ("storage_class", "mode"),
    [("rig-fs", "Filesystem"), ("rig-ext4", "Filesystem"), ("rig-block", "Block")],
)
def test_claim_gets_a_volume_of_its_size(cluster, namespace, storage_class, mode):
    claim = bind(cluster, namespace, make_claim("a", str(SIZE), storage_class, mode))
    volume = cluster.get("v1/persistentvolumes", claim["spec"]["volumeName"])
    assert volume["spec"]["capacity"]["storage"] == str(SIZE)
    assert volume["spec"]["volumeMode"] == mode
    found = cluster.control("GET", f"/volumes/{namespace}/a")
    assert (found["mode"], found["size"]) == (mode, SIZE)
    assert found["exists"] == (mode == "Block")


def test_first_consumer_has_the_volume_made(cluster, namespace):
    cluster.create(make_claim("a", storage_class="rig-wffc"), namespace)
    wait_until(
        lambda: "WaitForFirstConsumer" in cluster.events(namespace), 20, "the binder's event"
    )
    assert cluster.get(CLAIMS, "a", namespace)["status"]["phase"] == "Pending"
    pod, _ = run_pod(cluster, namespace, make_pod("app", "true", volumes=[claim_volume("a")]))
    assert pod["status"]["phase"] == "Succeeded"
    claim = cluster.get(CLAIMS, "a", namespace)
    assert claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] == "rig"
    assert is_bound(claim)


def test_class_that_fails_says_so(cluster, namespace):
    cluster.create(make_claim("a", storage_class="rig-fail"), namespace)
    text = "ProvisioningFailed: failed to provision volume with StorageClass"
    wait_until(lambda: text in cluster.events(namespace), 20, "the driver's event")
    assert cluster.get(CLAIMS, "a", namespace)["status"]["phase"] == "Pending"


def test_device_has_the_size_and_ends_there(cluster, namespace):
    cluster.create(make_claim("a", str(SIZE), "rig-block", "Block"), namespace)
    pod = make_pod(
        "app",
        "blockdev --getsize64 /dev/d; "
        f"head -c 4096 /dev/zero | dd of=/dev/d bs=4096 seek={SIZE // 4096} 2>&1 | "
        "grep -c 'No space left'",
        container={"volumeDevices": [{"name": "a", "devicePath": "/dev/d"}]},
        volumes=[claim_volume("a")],
    )
    _, log = run_pod(cluster, namespace, pod)
    assert log == [str(SIZE), "1"]


def test_limited_volume_is_full_at_its_size(cluster, namespace):
    cluster.create(make_claim("a", str(SIZE), "rig-ext4"), namespace)
    pod = make_pod(
        "app",
        f"head -c {SIZE} /dev/zero >/d/disk.img",
        container={"volumeMounts": [{"name": "a", "mountPath": "/d"}]},
        volumes=[claim_volume("a")],
    )
    pod, log = run_pod(cluster, namespace, pod)
    assert pod["status"]["phase"] == "Failed"
    assert "No space left on device" in log[-1]
    assert 0 < os.path.getsize(cluster.volume(namespace, "a")) < SIZE


def test_deleted_claim_takes_its_volume_along_once_nobody_uses_it(cluster, namespace):
    claim = bind(cluster, namespace, make_claim("a", storage_class="rig-block", mode="Block"))
    path = cluster.volume(namespace, "a")
    pod = make_pod(
        "app",
        "sleep 600",
        container={"volumeDevices": [{"name": "a", "devicePath": "/dev/d"}]},
        volumes=[claim_volume("a")],
    )
    cluster.create(pod, namespace)
    cluster.watch_until("v1/pods", "app", is_running, namespace)
    cluster.delete(CLAIMS, "a", namespace)
    claim = cluster.get(CLAIMS, "a", namespace)
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert os.path.exists(path)
    cluster.delete("v1/pods", "app", namespace, gracePeriodSeconds=0)
    volume = claim["spec"]["volumeName"]
    cluster.watch_until("v1/persistentvolumes", volume, lambda volume: volume is None)
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("storage_class", "mode"), [("rig-fs", "Filesystem"), ("rig-block", "Block")]
)
def test_snapshot_keeps_the_content(cluster, namespace, storage_class, mode):
    def write(name, claim, text):
        target = f"/d-{claim}/disk.img" if mode == "Filesystem" else f"/dev/{claim}"
        used = (
            {"volumeMounts": [{"name": claim, "mountPath": f"/d-{claim}"}]}
            if mode == "Filesystem"
            else {"volumeDevices": [{"name": claim, "devicePath": target}]}
        )
        script = f"printf {text} | dd of={target} conv=notrunc,fsync status=none"
        pod = make_pod(name, script, container=used, volumes=[claim_volume(claim)])
        cluster.create(pod, namespace)
        pod = cluster.watch_until("v1/pods", name, is_over, namespace)
        assert pod["status"]["phase"] == "Succeeded"

    bind(cluster, namespace, make_claim("a", str(SIZE), storage_class, mode))
    write("one", "a", "before")
    cluster.create(make_snapshot("snap", "a"), namespace)
    snapshot = cluster.watch_until(
        SNAPSHOTS, "snap", lambda snapshot: snapshot.get("status", {}).get("readyToUse"), namespace
    )
    assert snapshot["status"]["restoreSize"] == str(SIZE)
    write("two", "a", "after!")
    restored = make_claim("b", str(2 * SIZE), storage_class, mode)
    restored["spec"]["dataSource"] = {
        "apiGroup": "snapshot.storage.k8s.io",
        "kind": "VolumeSnapshot",
        "name": "snap",
    }
    bind(cluster, namespace, restored)
    for claim, text in (("a", b"after!"), ("b", b"before")):
        with open(cluster.volume(namespace, claim), "rb") as file:
            assert file.read(6) == text
    assert cluster.control("GET", f"/volumes/{namespace}/b")["size"] == 2 * SIZE
    content = snapshot["status"]["boundVolumeSnapshotContentName"]
    cluster.delete(SNAPSHOTS, "snap", namespace)
    cluster.watch_until(CONTENTS, content, lambda content: content is None)


def test_snapshot_of_a_claim_that_is_not_bound_says_why(cluster, namespace):
    cluster.create(make_claim("a", storage_class="rig-never"), namespace)
    cluster.create(make_snapshot("snap", "a"), namespace)
    snapshot = cluster.watch_until(
        SNAPSHOTS, "snap", lambda snapshot: snapshot.get("status", {}).get("error"), namespace
    )
    assert not snapshot["status"]["readyToUse"]
    assert "claim 'a' is Pending" in snapshot["status"]["error"]["message"]


def test_claim_whose_source_is_a_populators_is_left_to_it(cluster, namespace):
    claim = make_claim("a")
    claim["spec"]["dataSourceRef"] = {
        "apiGroup": "cdi.kubevirt.io",
        "kind": "VolumeUploadSource",
        "name": "none",
    }
    cluster.create(claim, namespace)
    bind(cluster, namespace, make_claim("b"))  # so much time it had
    assert cluster.get(CLAIMS, "a", namespace)["status"]["phase"] == "Pending"


@pytest.mark.parametrize(
    ("storage_class", "first"),
    [
        ("rig-fs", {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem"}),
        ("rig-block", {"accessModes": ["ReadWriteMany"], "volumeMode": "Block"}),
    ],
)
def test_storage_profile_prefers_what_the_class_says(cluster, storage_class, first):
    profile = cluster.watch_until(
        "cdi.kubevirt.io/v1beta1/storageprofiles",
        storage_class,
        lambda profile: profile and profile.get("status", {}).get("claimPropertySets"),
    )
    assert profile["status"]["claimPropertySets"][0] == first
