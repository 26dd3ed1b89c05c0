"""CDI in the test cluster does what vmferry counts on: these tests are about the cluster, and about
CDI, before any vmferry is involved."""

import gzip
import http.client
import json
import os
import random
import ssl
import subprocess
import urllib.parse

import pytest

from harness.cli import wait_until
from harness.cluster import ApiError
from harness.disks import MIB

DATA_VOLUMES = "cdi.kubevirt.io/v1beta1/datavolumes"
CLAIMS = "v1/persistentvolumeclaims"
POD_PHASE = "cdi.kubevirt.io/storage.pod.phase"
SECONDS = 180  # for one phase, on a machine that does other things too


def data_volume(name, source, storage_class, size=64 * MIB, annotations=None, **storage):
    return {
        "apiVersion": "cdi.kubevirt.io/v1beta1",
        "kind": "DataVolume",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {
            "source": {source: {}},
            "storage": {
                "storageClassName": storage_class,
                "resources": {"requests": {"storage": str(size)}},
                **storage,
            },
        },
    }


def claim(name, storage_class, size=64 * MIB, mode="Filesystem", **metadata):
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, **metadata},
        "spec": {
            "storageClassName": storage_class,
            "volumeMode": mode,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": str(size)}},
        },
    }


def consumer(name, claim_name):
    """A pod that is scheduled, and then finds no image."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "containers": [
                {
                    "name": "main",
                    "image": "nowhere.example/nothing:1",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim_name}}],
        },
    }


def phase(volume):
    return (volume or {}).get("status", {}).get("phase")


def wait_phase(cluster, namespace, name, *wanted):
    return cluster.watch_until(
        DATA_VOLUMES, name, lambda volume: phase(volume) in wanted, namespace, SECONDS
    )


def disk_bytes(size=24 * MIB + 512):
    """Random and zero mebibytes; the last sector is not zero."""
    chance = random.Random(size)
    parts = [chance.randbytes(MIB) if i % 3 else bytes(MIB) for i in range(size // MIB)]
    return b"".join([*parts, chance.randbytes(size % MIB)])


def zstd(data):
    command = ["zstd", "-q", "-1", "--check", "-c"]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


class Proxy:
    """The upload proxy, as a client of CDI finds it."""

    def __init__(self, cluster, namespace):
        self.cluster = cluster
        self.namespace = namespace
        config = cluster.get("cdi.kubevirt.io/v1beta1/cdiconfigs", "config")
        self.url = config["status"]["uploadProxyURL"]
        bundle = cluster.get("v1/configmaps", "cdi-uploadproxy-signer-bundle", "cdi")
        self.context = ssl.create_default_context(cadata=bundle["data"]["ca-bundle.crt"])

    def token(self, name, token=None):
        request = {
            "apiVersion": "upload.cdi.kubevirt.io/v1beta1",
            "kind": "UploadTokenRequest",
            "metadata": {"name": name},
            "spec": {"pvcName": name},
        }
        path = self.cluster.path(
            "upload.cdi.kubevirt.io/v1beta1/uploadtokenrequests", self.namespace
        )
        return self.cluster.request("POST", path, request, token=token)["status"]["token"]

    def connect(self):
        where = urllib.parse.urlsplit(self.url)
        return http.client.HTTPSConnection(
            where.hostname, where.port, timeout=120, context=self.context
        )

    def post(self, body, bearer):
        """The answer's code and text."""
        connection = self.connect()
        try:
            headers = {"Authorization": "Bearer " + bearer} if bearer else {}
            connection.request("POST", "/v1beta1/upload", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def begin(self, length, body, bearer):
        """A request whose body is not all there yet."""
        connection = self.connect()
        connection.putrequest("POST", "/v1beta1/upload")
        connection.putheader("Authorization", "Bearer " + bearer)
        connection.putheader("Content-Length", str(length))
        connection.endheaders(body)
        return connection

    def end(self, connection, rest):
        """Sends the rest; the answer's code, or None where the connection broke."""
        try:
            connection.send(rest)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


@pytest.fixture
def proxy(cluster, namespace):
    return Proxy(cluster, namespace)


def assert_disk(path, data, size):
    """The image begins with the data, is zero after it, and has that size."""
    with open(path, "rb") as disk:
        assert disk.read(len(data)) == data
        rest = 0
        while block := disk.read(MIB):
            rest += len(block)
            assert not any(block)
    assert len(data) + rest == size


# For gzip it begins with zeros, as disks nearly do. With zstd most such uploads fail: while CDI looks
# at the first 512 bytes that come out of its reader it overwrites what that has not read of the
# first 512 that went in (github.com/kubevirt/containerized-data-importer/pull/4278).
@pytest.mark.parametrize(
    ("pack", "skipped"), [(gzip.compress, 0), (zstd, MIB)], ids=["gzip", "zstd"]
)
def test_uploaded_bytes_are_in_the_image(cluster, namespace, proxy, pack, skipped):
    cluster.create(data_volume("disk", "upload", "rig-fs"), namespace)
    wait_phase(cluster, namespace, "disk", "UploadReady")
    data = disk_bytes()[skipped:]
    assert proxy.post(pack(data), proxy.token("disk")) == (200, "")
    volume = wait_phase(cluster, namespace, "disk", "Succeeded")
    assert volume["status"].get("restartCount", 0) == 0
    annotations = cluster.get(CLAIMS, "disk", namespace)["metadata"]["annotations"]
    assert annotations[POD_PHASE] == "Succeeded"
    assert_disk(cluster.volume(namespace, "disk"), data, 64 * MIB)


def test_uploaded_bytes_are_on_the_block_device(cluster, namespace, proxy):
    cluster.create(data_volume("disk", "upload", "rig-block"), namespace)
    wait_phase(cluster, namespace, "disk", "UploadReady")
    assert cluster.get(CLAIMS, "disk", namespace)["spec"]["volumeMode"] == "Block"
    data = disk_bytes()
    assert proxy.post(gzip.compress(data, 1), proxy.token("disk")) == (200, "")
    wait_phase(cluster, namespace, "disk", "Succeeded")
    assert_disk(cluster.volume(namespace, "disk"), data, 64 * MIB)


def test_upload_is_refused_without_its_token(cluster, namespace, proxy):
    for name in ("disk", "other"):
        cluster.create(data_volume(name, "upload", "rig-fs", MIB), namespace)
    wait_phase(cluster, namespace, "disk", "UploadReady")
    assert proxy.post(b"x" * 512, None) == (400, "")
    assert proxy.post(b"x" * 512, "bm90IGEgdG9rZW4") == (401, "")
    with pytest.raises(ApiError) as caught:
        proxy.token("disk", cluster.tester_token)
    assert caught.value.code == 403
    code, text = proxy.post(b"x" * 512, proxy.token("missing"))
    assert code == 503 and "missing" in text
    assert phase(cluster.get(DATA_VOLUMES, "disk", namespace)) == "UploadReady"


def test_upload_larger_than_the_claim_is_refused(cluster, namespace, proxy):
    cluster.create(data_volume("disk", "upload", "rig-fs", MIB), namespace)
    wait_phase(cluster, namespace, "disk", "UploadReady")
    code, text = proxy.post(gzip.compress(random.Random(1).randbytes(4 * MIB)), proxy.token("disk"))
    assert code == 400 and "effective image size" in text


def test_cut_upload_counts_for_nothing_and_may_be_repeated(cluster, namespace, proxy):
    cluster.create(data_volume("disk", "upload", "rig-fs"), namespace)
    wait_phase(cluster, namespace, "disk", "UploadReady")
    data = disk_bytes()
    body = gzip.compress(data, 1)
    connection = proxy.begin(len(body), body[: len(body) // 2], proxy.token("disk"))
    connection.close()
    assert proxy.post(body[: len(body) // 2], proxy.token("disk"))[0] in (500, 503)
    answer = proxy.post(body, proxy.token("disk"))
    while answer == (503, ""):  # the server is not done with the one before
        answer = proxy.post(body, proxy.token("disk"))
    assert answer == (200, "")
    volume = wait_phase(cluster, namespace, "disk", "Succeeded")
    assert volume["status"].get("restartCount", 0) == 0
    assert_disk(cluster.volume(namespace, "disk"), data, 64 * MIB)


def test_killed_upload_server_starts_again(cluster, namespace, proxy):
    cluster.create(data_volume("disk", "upload", "rig-fs"), namespace)
    wait_phase(cluster, namespace, "disk", "UploadReady")
    data = disk_bytes()
    body = gzip.compress(data, 1)
    connection = proxy.begin(len(body), body[: len(body) // 2], proxy.token("disk"))
    cluster.control("POST", f"/pods/{namespace}/cdi-upload-disk/kill?signal=9")
    assert proxy.end(connection, body[len(body) // 2 :]) in (None, 502)
    cluster.watch_until(
        DATA_VOLUMES,
        "disk",
        lambda volume: volume["status"].get("restartCount") == 1,
        namespace,
        SECONDS,
    )
    wait_phase(cluster, namespace, "disk", "UploadReady")
    assert proxy.post(body, proxy.token("disk")) == (200, "")
    wait_phase(cluster, namespace, "disk", "Succeeded")
    assert_disk(cluster.volume(namespace, "disk"), data, 64 * MIB)


def test_upload_waits_for_the_first_consumer(cluster, namespace):
    cluster.create(data_volume("disk", "upload", "rig-wffc"), namespace)
    wait_phase(cluster, namespace, "disk", "WaitForFirstConsumer")
    cluster.create(consumer("first", "disk"), namespace)
    cluster.watch_until(CLAIMS, "disk", lambda c: c["status"]["phase"] == "Bound", namespace)
    # CDI starts no upload server beside another pod that uses the claim.
    wait_until(
        lambda: "UploadTargetInUse" in cluster.events(namespace), SECONDS, "UploadTargetInUse"
    )
    cluster.delete("v1/pods", "first", namespace)
    wait_phase(cluster, namespace, "disk", "UploadReady")


def test_upload_waits_for_nobody_when_told(cluster, namespace):
    immediate = {"cdi.kubevirt.io/storage.bind.immediate.requested": "true"}
    cluster.create(data_volume("disk", "upload", "rig-wffc", annotations=immediate), namespace)
    wait_phase(cluster, namespace, "disk", "UploadReady")


@pytest.mark.parametrize("storage_class", ["rig-fs", "rig-block"])
def test_blank_disk_is_made_by_the_importer(cluster, namespace, storage_class):
    cluster.create(data_volume("disk", "blank", storage_class), namespace)
    wait_phase(cluster, namespace, "disk", "Succeeded")
    path = cluster.volume(namespace, "disk")
    assert_disk(path, b"", 64 * MIB)
    assert os.stat(path).st_blocks * 512 < MIB


def test_filled_claim_is_adopted(cluster, namespace):
    data = disk_bytes(MIB)
    cluster.create(claim("disk", "rig-fs"), namespace)
    cluster.watch_until(CLAIMS, "disk", lambda c: c["status"]["phase"] == "Bound", namespace)
    with open(cluster.volume(namespace, "disk"), "wb") as disk:
        disk.write(data)
    unasked = data_volume("disk", "blank", "rig-fs")
    with pytest.raises(ApiError) as caught:
        cluster.create(unasked, namespace)
    assert caught.value.code == 422 and "already exists" in caught.value.message
    unasked["metadata"]["annotations"]["cdi.kubevirt.io/allowClaimAdoption"] = "true"
    made = cluster.create(unasked, namespace)
    wait_phase(cluster, namespace, "disk", "Succeeded")
    (owner,) = cluster.get(CLAIMS, "disk", namespace)["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (made["metadata"]["uid"], True)
    assert_disk(cluster.volume(namespace, "disk"), data, MIB)
    cluster.delete(DATA_VOLUMES, "disk", namespace)
    cluster.watch_until(CLAIMS, "disk", lambda c: c is None, namespace)


def test_claim_of_another_controller_stays_its_own_though_the_data_volume_succeeds(
    cluster, namespace
):
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    other = cluster.create({**kind, "metadata": {"name": "other"}}, namespace)
    owner = {**kind, "name": "other", "uid": other["metadata"]["uid"], "controller": True}
    cluster.create(claim("disk", "rig-fs", ownerReferences=[owner]), namespace)
    adopt = {"cdi.kubevirt.io/allowClaimAdoption": "true"}
    cluster.create(data_volume("disk", "blank", "rig-fs", annotations=adopt), namespace)
    wait_phase(cluster, namespace, "disk", "Succeeded")
    owners = cluster.get(CLAIMS, "disk", namespace)["metadata"]["ownerReferences"]
    assert [found["uid"] for found in owners] == [other["metadata"]["uid"]]


def test_populated_claim_is_filled_through_its_prime(cluster, namespace, proxy):
    cluster.create(data_volume("disk", "upload", "rig-populated"), namespace)
    wait_phase(cluster, namespace, "disk", "UploadReady")
    target = cluster.get(CLAIMS, "disk", namespace)
    assert target["status"]["phase"] == "Pending"
    prime = target["metadata"]["annotations"]["cdi.kubevirt.io/storage.populator.pvcPrime"]
    assert prime == "prime-" + target["metadata"]["uid"]
    data = disk_bytes()
    assert proxy.post(gzip.compress(data, 1), proxy.token("disk")) == (200, "")
    wait_phase(cluster, namespace, "disk", "Succeeded")
    # Succeeded goes by the claim's annotation pod.phase; the binder may come later.
    cluster.watch_until(CLAIMS, "disk", lambda c: c["status"]["phase"] == "Bound", namespace)
    assert_disk(cluster.volume(namespace, "disk"), data, 64 * MIB)
    cluster.watch_until(CLAIMS, prime, lambda c: c is None, namespace)


@pytest.mark.parametrize(
    ("storage_class", "storage", "reason"),
    [
        ("nowhere", {}, "ErrClaimNotValid"),
        ("rig-fs", {"volumeMode": "Block"}, "ErrClaimNotValid"),
        ("rig-never", {}, "Pending"),
        ("rig-fail", {}, "Pending"),
    ],
)
def test_claim_that_cannot_be_is_explained(cluster, namespace, storage_class, storage, reason):
    cluster.create(data_volume("disk", "upload", storage_class, **storage), namespace)

    def explained(volume):
        conditions = (volume or {}).get("status", {}).get("conditions", [])
        return any(c["type"] == "Bound" and c.get("reason") == reason for c in conditions)

    volume = cluster.watch_until(DATA_VOLUMES, "disk", explained, namespace, SECONDS)
    assert phase(volume) in (None, "", "Pending"), json.dumps(volume["status"])


def test_data_volumes_are_checked_by_the_webhook(cluster, namespace):
    both = data_volume("disk", "upload", "rig-fs")
    both["spec"]["source"]["blank"] = {}
    with pytest.raises(ApiError) as caught:
        cluster.create(both, namespace, dry_run=True)
    assert caught.value.code == 422 and "Multiple Data volume sources" in caught.value.message


def test_every_user_may_read_the_configuration(cluster):
    for resource in ("cdiconfigs", "storageprofiles"):
        path = cluster.path("cdi.kubevirt.io/v1beta1/" + resource)
        assert cluster.request("GET", path, token=cluster.tester_token)["items"]
    with pytest.raises(ApiError) as caught:
        path = cluster.path("cdi.kubevirt.io/v1beta1/datavolumes", "default")
        cluster.request("GET", path, token=cluster.tester_token)
    assert caught.value.code == 403
