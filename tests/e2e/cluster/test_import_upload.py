"""vmferry import --to upload: from anywhere, through CDI's upload proxy."""

import json
import signal

import pytest
import yaml

from harness import ova
from harness.cli import wait_until
from harness.disks import MIB, make_disk, qemu_img
from harness.fault_proxy import Fault, Gate
from harness.proxy import file_server
from harness.vmdk import stream_optimized

CLAIMS = "v1/persistentvolumeclaims"
INSTANCES = "kubevirt.io/v1/virtualmachineinstances"
MACHINES = "kubevirt.io/v1/virtualmachines"
OWNED = "app.kubernetes.io/managed-by=vmferry"
VOLUMES = "cdi.kubevirt.io/v1beta1/datavolumes"


def names(cluster, resource, namespace):
    return sorted(item["metadata"]["name"] for item in cluster.list(resource, namespace))


def ours(cluster, namespace):
    """Names of the DataVolumes and VirtualMachines."""
    return names(cluster, VOLUMES, namespace), names(cluster, MACHINES, namespace)


def expect_content(cluster, namespace, claim, disk):
    """The disk, and behind it, where the volume is larger, zeros."""
    with open(cluster.volume(namespace, claim), "rb") as got, open(disk, "rb") as want:
        while expected := want.read(MIB):
            assert got.read(len(expected)) == expected, f"{claim} differs before {want.tell()}"
        assert not any(got.read(MIB)), f"{claim} does not end in zeros"


def events_of(result, *kinds):
    lines = [json.loads(line) for line in result.out.splitlines()]
    return [line for line in lines if line["event"] in kinds]


def snapshots(simulator, name):
    state = simulator.control("GET", "/state")
    return next(vm for vm in state["vms"] if vm["name"] == name)["snapshots"]


def package(folder, name, sizes):
    """Members of an OVA, and the files of its disks."""
    disks = [make_disk(folder / f"{name}-{n}.raw", size, n) for n, size in enumerate(sizes)]
    images = [(stream_optimized(disk.read_bytes()), disk.stat().st_size) for disk in disks]
    return ova.package(name, images), disks


# Good ends


@pytest.mark.parametrize("storage_class", ["rig-fs", "rig-block", "rig-populated"])
def test_running_vm_arrives(cluster, prod, to_upload, proxy, small, start, tmp_path, storage_class):
    gate = Gate()
    proxy.faults = [Fault(at=MIB, do=gate)]
    process = start(
        *("import", *small.arguments(), "--vm", "web", *to_upload, *proxy.arguments),
        *("--storage-class", storage_class, "--progress=json"),
    )
    gate.wait()
    assert len(snapshots(small, "web")) == 1
    for disk in (0, 1):
        small.guest_write("web", disk, MIB, 70_000, 100 + disk)
    token = proxy.requests[0].authorization.split()[1]
    gate.open()
    process.secrets += [token, token[60:90]]
    result = process.wait().good()

    claims = ["web-disk-0", "web-disk-1"]
    for disk, claim in enumerate(claims):
        frozen = small.save_frozen("web", disk, tmp_path / f"frozen-{disk}.raw")
        expect_content(cluster, prod, claim, frozen)
    assert ours(cluster, prod) == (claims, ["web"])
    machine = cluster.get(MACHINES, "web", prod)
    assert machine["spec"]["runStrategy"] == "Halted"
    templates = machine["spec"]["dataVolumeTemplates"]
    assert [template["metadata"]["name"] for template in templates] == claims
    for volume in cluster.list(VOLUMES, prod):
        assert volume["status"]["phase"] == "Succeeded"
        assert volume["metadata"]["labels"]["vmferry.io/state"] == "complete"

    ends = events_of(result, "disk_end")
    assert sorted(end["disk"] for end in ends) == [0, 1]
    for end in ends:
        assert end["done_bytes"] == end["total_bytes"] and end["code"] == "ok", end
    (end,) = events_of(result, "result")
    assert end["code"] == "ok" and f'VirtualMachine "web" in namespace "{prod}"' in end["message"]
    assert events_of(result, "warning") == []

    # The VM has adopted its disks: they go with it.
    cluster.delete(MACHINES, "web", prod)
    wait_until(lambda: names(cluster, VOLUMES, prod) == [], 30, "the end of the DataVolumes")


def test_off_vm_by_claim_and_started(cluster, prod, to_upload, small, vmferry):
    """Nobody owns the disk of a VM by claim. The cluster's node runs no guests: that the VM is to run,
    and what is told of it, is all that can be seen."""
    result = vmferry(
        *("import", *small.arguments(), "--vm", "off", *to_upload, "--name", "box-7"),
        *("--handover=claim", "--start"),
    )
    result.failed(
        f'VirtualMachine "box-7" in namespace "{prod}" is there and whole, but does not run',
        "ErrorUnschedulable: 0/1 nodes",
        "hint: look at what the nodes have left",
    )
    assert "start: Starting" in result.err and "Stopped: \n" not in result.err
    assert cluster.find(INSTANCES, "box-7", prod)
    expect_content(cluster, prod, "box-7-disk-0", small.live_disk("off", 0))
    machine = cluster.get(MACHINES, "box-7", prod)
    assert machine["spec"]["runStrategy"] == "Always"
    assert "dataVolumeTemplates" not in machine["spec"]
    (claim,) = [c for c in cluster.list(CLAIMS, prod) if c["metadata"]["name"] == "box-7-disk-0"]
    owners = [owner["kind"] for owner in claim["metadata"].get("ownerReferences", [])]
    assert "VirtualMachine" not in owners


def test_first_consumer__go_on_immediately(cluster, prod, to_upload, small, start, vmferry):
    arguments = ["import", *small.arguments(), "--vm", "off", *to_upload]
    arguments += ["--storage-class", "rig-wffc"]
    vmferry(*arguments).failed('"rig-wffc" makes a volume only once', "(storage.waits)", "--to pvc")
    assert ours(cluster, prod) == ([], [])
    unchecked = ["--skip-check", "storage.waits", "--cluster-timeout", "8"]
    result = vmferry(*arguments, *unchecked)
    result.failed("off-disk-0", "first consumer", "--bind-immediately")
    assert "warning" in result.err and result.err.count("--bind-immediately") == 2, result
    assert ours(cluster, prod) == ([], [])
    vmferry(*arguments, "--bind-immediately").good()
    expect_content(cluster, prod, "off-disk-0", small.live_disk("off", 0))


def test_ova_as_file_stream_and_url(cluster, prod, to_upload, vmferry, tmp_path):
    members, disks = package(tmp_path, "Box-1", [6 * MIB + 512, 2 * MIB])
    ova.write_ova(tmp_path / "box.ova", members)
    vmferry("import", "--ova", tmp_path / "box.ova", *to_upload).good()
    with open(tmp_path / "box.ova", "rb") as stdin:
        vmferry("import", "--ova", "-", *to_upload, "--name", "piped", stdin=stdin).good()
    with file_server(tmp_path) as server:
        url = f"{server.url}/box.ova"
        vmferry("import", "--ova", url, *to_upload, "--name", "fetched").good()
    for name in ("box-1", "piped", "fetched"):
        for disk, raw in enumerate(disks):
            expect_content(cluster, prod, f"{name}-disk-{disk}", raw)
    assert ours(cluster, prod)[1] == ["box-1", "fetched", "piped"]


def test_vmdk_and_ovf_beside_a_qcow2(cluster, prod, to_upload, vmferry, tmp_path):
    """The size of a VMDK's disk is known only once its stream is open."""
    raw = make_disk(tmp_path / "disk.raw", 4 * MIB, 5)
    (tmp_path / "alone.vmdk").write_bytes(stream_optimized(raw.read_bytes()))
    vmferry("import", "--vmdk", tmp_path / "alone.vmdk", *to_upload).good()
    expect_content(cluster, prod, "alone-disk-0", raw)

    image = tmp_path / "disk.qcow2"
    done = qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, image)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "package"
    descriptor = ova.write_folder(folder, ova.package("backed", [(b"", raw.stat().st_size)], None))
    (folder / "backed-disk1.vmdk").write_bytes(image.read_bytes())
    text = descriptor.read_text().replace('ovf:size="0"', f'ovf:size="{image.stat().st_size}"')
    descriptor.write_text(text)
    vmferry("import", "--ovf", descriptor, *to_upload).good()
    expect_content(cluster, prod, "backed-disk-0", raw)


def test_names_that_become_the_same(cluster, prod, to_upload, small, vmferry):
    source = ["import", *small.arguments(), *to_upload]
    vmferry(*source, "--vm", "Web01").good()
    result = vmferry(*source, "--vm", "web01").good()
    assert 'the name "web01" is another imported VM\'s: this one will be "web01-' in result.err
    volumes, machines = ours(cluster, prod)
    assert machines[0] == "web01" and machines[1].startswith("web01-") and len(machines) == 2
    assert len(volumes) == 2
    expect_content(cluster, prod, "web01-disk-0", small.live_disk("Web01", 0))
    expect_content(cluster, prod, f"{machines[1]}-disk-0", small.live_disk("web01", 0))
    # Each is known again by its name.
    for name in ("Web01", "web01"):
        vmferry(*source, "--vm", name).failed("an import of this VM that is complete", "--name")
    vmferry(*source, "--vm", "web01", "--name", "web01").failed("another VM", "--name")
    assert ours(cluster, prod) == (volumes, machines)


# What stops in the middle


@pytest.fixture
def halfway(proxy, small, start, to_upload):
    """halfway(ARGUMENT...): an import of "web" in the middle of both disks, and what holds it."""

    def begin(*more):
        gates = [Gate(), Gate()]
        proxy.faults = [Fault(at=MIB, do=gate) for gate in gates]
        process = start(
            "import", *small.arguments(), "--vm", "web", *to_upload, *proxy.arguments, *more
        )
        for gate in gates:
            gate.wait()
        return process, gates

    return begin


def test_interrupted__nothing_stays(cluster, prod, halfway, small):
    process, gates = halfway()
    process.signal(signal.SIGINT)
    result = process.wait(60)
    assert result.status == 130, result
    assert "removing the disks that were begun" in result.err and "warning" not in result.err
    assert ours(cluster, prod) == ([], [])
    wait_until(lambda: names(cluster, CLAIMS, prod) == [], 30, "the end of the claims")
    assert snapshots(small, "web") == []
    for gate in gates:
        gate.open()


def test_killed__the_same_command_begins_anew(
    cluster, prod, proxy, to_upload, start_simulator, start, vmferry, tmp_path
):
    disk = make_disk(tmp_path / "disk.raw", 8 * MIB, 1, 0.6)
    vms = [{"name": "web", "folder": "/prod", "disks": [{"path": str(disk)}]}]
    source = start_simulator("killed", "--lease-timeout", "3s", vms=vms)
    arguments = ["import", *source.arguments(), "--vm", "web", *to_upload]
    gate = Gate()
    proxy.faults = [Fault(at=MIB, do=gate)]
    process = start(*arguments, *proxy.arguments)
    gate.wait()
    process.signal(signal.SIGKILL)
    process.wait(10)
    gate.open()
    (before,) = cluster.list(VOLUMES, prod)
    vmferry(*arguments, "--dry-run=server").good()
    assert cluster.get(VOLUMES, "web-disk-0", prod)["metadata"]["uid"] == before["metadata"]["uid"]

    def again():
        """Until the source has noticed that nobody reads its export."""
        result = vmferry(*arguments)
        return result if "export" not in result.err or result.status == 0 else None

    result = wait_until(again, 30, "the end of the lost export").good()
    assert 'removing "web-disk-0", which an earlier import' in result.err
    assert ours(cluster, prod) == (["web-disk-0"], ["web"])
    expect_content(cluster, prod, "web-disk-0", disk)


def test_dry_run_prints_what_can_be_created(cluster, prod, to_upload, small, vmferry):
    result = vmferry(
        *("import", *small.arguments(), "--vm", "web", *to_upload, "--dry-run=server"),
    ).good()
    documents = list(yaml.safe_load_all(result.out))
    kinds = [document["kind"] for document in documents]
    assert kinds == ["DataVolume", "DataVolume", "VirtualMachine"]
    assert names(cluster, VOLUMES, prod) == names(cluster, MACHINES, prod) == []
    calls = small.control("GET", "/calls")["soap"]
    assert calls["Login"] == 1
    assert not {"CreateSnapshot_Task", "CreateSnapshotEx_Task", "ExportSnapshot"} & calls.keys()
    for document in documents:
        assert document["metadata"]["namespace"] == prod
        cluster.create(document)
