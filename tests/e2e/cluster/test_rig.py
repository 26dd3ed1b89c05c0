"""What the other tests rest on: the test cluster is real where it says so, and ends without a trace."""

import os
import signal
import subprocess
import time
import urllib.error

import pytest

from harness.cli import wait_until
from harness.cluster import ApiError, Cluster, Rig

VMS = "kubevirt.io/v1/virtualmachines"
CLAIMS = "v1/persistentvolumeclaims"
VOLUMES = "cdi.kubevirt.io/v1beta1/datavolumes"


def virtual_machine(name, **spec):
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": name},
        "spec": {
            "runStrategy": "Halted",
            "template": {
                "spec": {
                    "domain": {"memory": {"guest": "64Mi"}, "devices": {}},
                }
            },
            **spec,
        },
    }


def processes_of(folder):
    """The processes whose command line names the folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if any(str(folder).encode() in word for word in words):
            found.append((int(pid), b" ".join(words[:3]).decode(errors="replace")))
    return found


def test_rights_are_checked(cluster, namespace):
    token = cluster.token(namespace, "reader")
    pods = cluster.path("v1/pods", namespace)
    with pytest.raises(ApiError) as caught:
        cluster.request("GET", pods, token=token)
    assert caught.value.code == 403
    cluster.grant(
        namespace, "reader", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    )

    def allowed():
        try:
            return cluster.request("GET", pods, token=token)["items"] == []
        except ApiError as error:
            assert error.code == 403, error
            return False

    wait_until(allowed, 10, "the role to count")
    with pytest.raises(ApiError) as caught:
        cluster.request("GET", pods, token="none")
    assert caught.value.code == 401


def test_audit_log_has_the_verbs_of_a_service_account(cluster, namespace):
    user = f"system:serviceaccount:{namespace}:default"
    token = cluster.token(namespace, "default")
    with pytest.raises(ApiError):
        cluster.request("GET", cluster.path("v1/secrets", namespace, "x"), token=token)

    def noted():
        return [
            (entry["verb"], entry["objectRef"]["resource"], entry["responseStatus"]["code"])
            for entry in cluster.audit(user)
        ]

    wait_until(lambda: noted() == [("get", "secrets", 403)], 10, f"the audit log, has {noted()}")


def test_unknown_field_is_refused(cluster, namespace):
    with pytest.raises(ApiError) as caught:
        cluster.create(virtual_machine("vm", runStrategie="Halted"), namespace)
    assert caught.value.code == 400
    assert 'unknown field "spec.runStrategie"' in caught.value.message


def test_kubevirt_webhooks_default_and_refuse(cluster, namespace):
    made = cluster.create(virtual_machine("vm"), namespace, dry_run=True)
    assert made["spec"]["template"]["spec"]["domain"]["machine"]["type"] == "q35"
    broken = virtual_machine("vm")
    broken["spec"]["template"]["spec"]["domain"]["devices"]["disks"] = [{"name": "d", "disk": {}}]
    with pytest.raises(ApiError) as caught:
        cluster.create(broken, namespace, dry_run=True)
    assert caught.value.code == 422
    assert "virtualmachine-validator.kubevirt.io" in caught.value.message


def test_virt_controller_makes_the_instance_of_a_started_vm(cluster, namespace):
    cluster.create(virtual_machine("vm"), namespace)
    cluster.watch_until(
        VMS,
        "vm",
        lambda vm: vm.get("status", {}).get("printableStatus") == "Stopped",
        namespace,
    )
    start = "/apis/subresources.kubevirt.io/v1/namespaces/{}/virtualmachines/vm/start"
    with pytest.raises(ApiError) as caught:
        token = cluster.token(namespace, "default")
        cluster.request("PUT", start.format(namespace), {}, token=token)
    assert caught.value.code == 403
    cluster.request("PUT", start.format(namespace), {})
    vm = cluster.watch_until(
        VMS, "vm", lambda vm: vm.get("status", {}).get("created"), namespace
    )
    assert vm["spec"]["runStrategy"] == "Always"
    instance = cluster.get("kubevirt.io/v1/virtualmachineinstances", "vm", namespace)
    assert instance["metadata"]["ownerReferences"][0]["uid"] == vm["metadata"]["uid"]


def test_vm_adopts_a_claim_by_its_data_volume_template(cluster, namespace):
    """virt-controller makes the DataVolume, CDI's controller gives it the claim that is there."""
    storage = {"resources": {"requests": {"storage": "9Mi"}}, "storageClassName": "rig-fs"}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "disk"},
        "spec": {**storage, "accessModes": ["ReadWriteOnce"]},
    }
    uid = cluster.create(claim, namespace)["metadata"]["uid"]
    cluster.watch_until(
        CLAIMS, "disk", lambda claim: claim["status"].get("phase") == "Bound", namespace
    )
    template = {
        "metadata": {"name": "disk", "annotations": {"cdi.kubevirt.io/allowClaimAdoption": "true"}},
        "spec": {"source": {"blank": {}}, "storage": storage},
    }
    vm = virtual_machine("vm", dataVolumeTemplates=[template])
    domain = vm["spec"]["template"]["spec"]["domain"]
    domain["devices"]["disks"] = [{"name": "disk", "disk": {"bus": "virtio"}}]
    vm["spec"]["template"]["spec"]["volumes"] = [{"name": "disk", "dataVolume": {"name": "disk"}}]
    vm = cluster.create(vm, namespace)
    volume = cluster.watch_until(
        VOLUMES,
        "disk",
        lambda volume: volume and volume.get("status", {}).get("phase") == "Succeeded",
        namespace,
    )
    claim = cluster.get(CLAIMS, "disk", namespace)
    assert claim["metadata"]["uid"] == uid
    assert claim["metadata"]["ownerReferences"][0]["uid"] == volume["metadata"]["uid"]
    assert volume["metadata"]["ownerReferences"][0]["uid"] == vm["metadata"]["uid"]
    cluster.delete(VMS, "vm", namespace)
    cluster.watch_until(CLAIMS, "disk", lambda claim: claim is None, namespace)


def test_deleted_owner_takes_its_objects_along(cluster, namespace):
    """The garbage collector knows the resources of CRDs."""
    owner = cluster.create(virtual_machine("owner"), namespace)
    cluster.create(
        {
            "apiVersion": "cdi.kubevirt.io/v1beta1",
            "kind": "DataVolume",
            "metadata": {
                "name": "owned",
                "ownerReferences": [
                    {
                        "apiVersion": owner["apiVersion"],
                        "kind": owner["kind"],
                        "name": "owner",
                        "uid": owner["metadata"]["uid"],
                    }
                ],
            },
            "spec": {
                "source": {"upload": {}},
                "storage": {
                    "storageClassName": "rig-never",
                    "resources": {"requests": {"storage": "1Mi"}},
                },
            },
        },
        namespace,
    )
    cluster.delete(VMS, "owner", namespace)
    cluster.watch_until(VOLUMES, "owned", lambda volume: volume is None, namespace)


def test_other_definitions_are_served(cluster, namespace):
    for resource in (
        "snapshot.storage.k8s.io/v1/volumesnapshots",
        "k8s.cni.cncf.io/v1/network-attachment-definitions",
    ):
        assert cluster.list(resource, namespace) == []


def bare(rig_bin, folder, die_with=None):
    folder.mkdir()
    return Rig(rig_bin, folder, "--bare", die_with=die_with)


def test_two_at_once_do_not_meet_and_leave_nothing(rig_bin, tmp_path):
    rigs = [bare(rig_bin, tmp_path / name) for name in ("one", "two")]
    try:
        for rig in rigs:
            client = Cluster(rig.ready, tmp_path)
            kind = {"apiVersion": "v1", "kind": "Namespace"}
            client.create({**kind, "metadata": {"name": "only-" + rig.folder.name}})
        for rig, other in (rigs, rigs[::-1]):
            client = Cluster(rig.ready, tmp_path)
            assert not client.find("v1/namespaces", "only-" + other.folder.name)
        assert len(processes_of(tmp_path)) > 6
        with open("/proc/mounts", encoding="utf-8") as mounts:
            assert str(tmp_path) not in mounts.read()
    finally:
        for rig in rigs:
            rig.stop()
    assert rigs[0].process.returncode == 0, rigs[0].log.read_text()
    assert processes_of(tmp_path) == []


def test_api_server_goes_away_and_comes_back(rig_bin, tmp_path):
    rig = bare(rig_bin, tmp_path / "rig")
    try:
        client = Cluster(rig.ready, tmp_path)
        client.make_namespace("kept")
        client.restart("apiserver", 1)

        def refused():
            try:
                return client.request("GET", "/readyz") != "ok"
            except urllib.error.URLError as error:
                return isinstance(error.reason, ConnectionRefusedError)

        def back():
            try:
                return client.find("v1/namespaces", "kept")
            except (urllib.error.URLError, ConnectionError, ApiError):
                return False

        wait_until(refused, 10, "the API server to be gone")
        wait_until(back, 60, "the API server")
        assert rig.process.poll() is None
        assert [p["name"] for p in client.control("GET", "/processes") if p["starts"] == 2] == [
            "kube-apiserver"
        ]
        with pytest.raises(ApiError) as caught:
            client.pause("nothing", 1)
        assert caught.value.code == 404
    finally:
        rig.stop()


def test_killed_rig_leaves_no_process(rig_bin, tmp_path):
    rig = bare(rig_bin, tmp_path / "rig")
    assert len(processes_of(tmp_path)) > 3
    rig.process.send_signal(signal.SIGKILL)
    rig.process.wait()
    wait_until(lambda: not processes_of(tmp_path), 10, "the end of all processes")


def test_rig_ends_with_the_process_that_it_was_told(rig_bin, tmp_path):
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        rig = bare(rig_bin, tmp_path / "rig", die_with=sleeper.pid)
        time.sleep(0.2)
        assert rig.process.poll() is None
        sleeper.kill()
    assert rig.process.wait(30) == 0
    assert processes_of(tmp_path) == []
