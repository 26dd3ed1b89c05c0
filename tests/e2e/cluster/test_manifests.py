"""The manifests of VMs of every kind, before the real API server (strict about fields) and the real
webhooks of KubeVirt and CDI: each DataVolume, the VirtualMachine, and the VirtualMachineInstance
that its template would make, which KubeVirt looks at only when the VM is started."""

import copy
import pathlib
import re

import pytest
import yaml
from harness import ova
from harness.cluster import ApiError
from harness.disks import MIB
from harness.vmdk import stream_optimized

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
# As long as a name can be: in the simulator it is one of a file too, of up to 255 bytes.
LONG = ("ÄÖÜ" + " GROSSE NAMEN" * 16)[:200]
# (name, number of disks, number of NICs, more for the simulator)
SHAPES = {
    "bios": ("bios01", 1, 1, {"firmware": "bios"}),
    "efi": ("efi01", 2, 1, {"firmware": "efi", "hardware": "vmx-11"}),
    "secure-boot": ("Secure Boot 1", 1, 1, {"firmware": "efi", "secureBoot": True}),
    "windows": ("win01", 2, 2, {"firmware": "efi", "guestId": "windows2019srv_64Guest", "cpus": 8}),
    "old-linux": ("el6", 1, 1, {"guestId": "rhel6_64Guest", "coresPerSocket": 2}),
    "no-nic": ("alone", 1, 0, {}),
    "many-nics": ("router", 1, 5, {}),
    "26-disks": ("dozens", 26, 1, {}),
    "60-disks": ("database", 60, 1, {"power": "on"}),
    "long-name": (LONG, 3, 2, {"notes": "Ü" * 3000, "tags": [f"{LONG}:{LONG}", "env:prod"]}),
    "yaml-name": ("12:30:00", 1, 1, {"notes": "a: b\n---\n# c\n- null", "tags": ["on:off"]}),
    "odd-memory": ("tiny", 1, 1, {"memoryMB": 1028, "cpus": 3}),
    "web01": ("web01", 1, 1, {}),
    "WEB01": ("WEB01", 1, 1, {}),
}


def mac(shape, nic):
    return f"00:50:56:01:{list(SHAPES).index(shape):02x}:{nic:02x}"


def simulated(shape):
    name, n_disks, n_nics, more = SHAPES[shape]
    networks = ["VM Network", "DMZ äußeres Netz", "vlan 120", "a/b=c", "VM Network"]
    controllers = ["sata", "pvscsi", "lsilogic", "nvme"]
    return {
        "name": name,
        "guestId": "debian12_64Guest",
        "disks": [
            {"size": MIB + 512 * n, "controller": controllers[n % 4]} for n in range(n_disks)
        ],
        "nics": [
            {"mac": mac(shape, n), "network": networks[n], "connected": n != 1}
            for n in range(n_nics)
        ],
        **more,
    }


@pytest.fixture(scope="module")
def source(start_simulator):
    return start_simulator("shapes", vms=[simulated(shape) for shape in SHAPES])


@pytest.fixture
def dry_run(vmferry, cluster, namespace, source):
    """dry_run(SHAPE, ARGUMENT...): an upload that ends where something would be made."""

    def run(shape, *arguments):
        name = SHAPES[shape][0]
        return vmferry(
            *("import", *source.arguments(), "--vm", name, "--to", "upload", "--dry-run", "server"),
            *("--kubeconfig", cluster.kubeconfig(), "--namespace", namespace, *arguments),
        )

    return run


@pytest.fixture
def look(dry_run):
    """look(SHAPE, ARGUMENT...): what would be made."""

    def run(shape, *arguments):
        return list(yaml.safe_load_all(dry_run(shape, *arguments).good().out))

    return run


def virtual_machine(documents):
    (machine,) = [d for d in documents if d["kind"] == "VirtualMachine"]
    return machine


def instance_of(machine):
    """What virt-controller makes of a VirtualMachine that was defaulted by the webhooks."""
    template = machine["spec"]["template"]
    return {
        "apiVersion": machine["apiVersion"],
        "kind": "VirtualMachineInstance",
        "metadata": {"name": machine["metadata"]["name"], **template.get("metadata", {})},
        "spec": template["spec"],
    }


def accepted(cluster, namespace, documents):
    """The VirtualMachine as the server completed it; raises ApiError for what is refused."""
    for document in documents:
        made = cluster.create(document, namespace, dry_run=True)
        if document["kind"] == "VirtualMachine":
            machine = made
            cluster.create(instance_of(made), namespace, dry_run=True)
    return machine


def assert_carried(shape, documents):
    """Nothing was left out so that the rest be accepted."""
    name, n_disks, n_nics, more = SHAPES[shape]
    machine = virtual_machine(documents)
    assert LABEL.match(machine["metadata"]["name"])
    assert machine["metadata"]["annotations"]["vmferry.io/original-name"] == name
    spec = machine["spec"]["template"]["spec"]
    devices = spec["domain"]["devices"]
    disks = devices["disks"]
    assert len(disks) == len(spec["volumes"]) == n_disks
    assert [disk.get("bootOrder") for disk in disks] == [1] + [None] * (n_disks - 1)
    # All that a guest sees of the serial of a disk on its bus.
    digits = {"virtio": 20, "sata": 20, "scsi": 32}
    for disk in disks:
        assert re.match(rf"[0-9a-f]{{{digits[disk['disk']['bus']]}}}$", disk["serial"])
    assert len({disk["serial"] for disk in disks}) == n_disks
    interfaces = devices.get("interfaces", [])
    assert [nic["macAddress"] for nic in interfaces] == [mac(shape, n) for n in range(n_nics)]
    assert [nic.get("state") for nic in interfaces] == [None, "down", None, None, None][:n_nics]
    bootloader = spec["domain"]["firmware"]["bootloader"]
    if more.get("firmware", "bios") == "bios":
        assert bootloader == {"bios": {}}
    else:
        assert bootloader["efi"]["secureBoot"] is more.get("secureBoot", False)
    secure = spec["domain"].get("features", {}).get("smm")
    assert secure == ({"enabled": True} if more.get("secureBoot") else None)


@pytest.mark.parametrize("shape", SHAPES)
def test_dir__manifests_are_accepted(vmferry, cluster, namespace, source, tmp_path, shape):
    vmferry(
        *("import", *source.arguments(), "--vm", SHAPES[shape][0]),
        *("--to", f"dir:{tmp_path / 'out'}", "--namespace", namespace),
    ).good()
    documents = list(yaml.safe_load_all((tmp_path / "out" / "manifests.yaml").read_text()))
    volumes = [d for d in documents if d["kind"] == "DataVolume"]
    assert len(volumes) == SHAPES[shape][1]
    assert_carried(shape, documents)
    accepted(cluster, namespace, documents)


@pytest.mark.parametrize("shape", SHAPES)
def test_adoption__is_accepted(look, cluster, namespace, shape):
    documents = look(shape)
    assert_carried(shape, documents)
    machine = accepted(cluster, namespace, documents)
    volumes = [d for d in documents if d["kind"] == "DataVolume"]
    names = [volume["metadata"]["name"] for volume in volumes]
    assert len(set(names)) == SHAPES[shape][1]
    templates = machine["spec"]["dataVolumeTemplates"]
    assert [template["metadata"]["name"] for template in templates] == names
    spec = machine["spec"]["template"]["spec"]
    assert [volume["dataVolume"]["name"] for volume in spec["volumes"]] == names


@pytest.mark.parametrize("storage_class", ["rig-block", "rig-fs", "rig-wffc"])
@pytest.mark.parametrize("bus", ["sata", "scsi", "virtio"])
def test_bus_and_storage__are_accepted(look, cluster, namespace, bus, storage_class):
    more = ["--disk-bus", bus, "--storage-class", storage_class]
    machine = accepted(cluster, namespace, look("windows", *more))
    disks = machine["spec"]["template"]["spec"]["domain"]["devices"]["disks"]
    assert [disk["disk"]["bus"] for disk in disks] == [bus, bus]
    storage = machine["spec"]["dataVolumeTemplates"][0]["spec"]["storage"]
    mode = "Block" if storage_class == "rig-block" else "Filesystem"
    assert (storage["storageClassName"], storage["volumeMode"]) == (storage_class, mode)


def phase_is(phase):
    return lambda item: bool(item) and item.get("status", {}).get("phase") == phase


def test_adoption__filled_claims_live_and_die_with_the_vm(look, cluster, namespace):
    machine = virtual_machine(look("efi", "--storage-class", "rig-fs"))
    claims, volumes = "v1/persistentvolumeclaims", "cdi.kubevirt.io/v1beta1/datavolumes"
    templates = machine["spec"]["dataVolumeTemplates"]
    contents = {}
    for number, template in enumerate(templates):
        name = template["metadata"]["name"]
        cluster.create(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name},
                "spec": template["spec"]["storage"],
            },
            namespace,
        )
        cluster.watch_until(claims, name, phase_is("Bound"), namespace)
        contents[name] = bytes([number + 1]) * MIB
        pathlib.Path(cluster.volume(namespace, name)).write_bytes(contents[name])
    cluster.create(machine, namespace)
    for name, content in contents.items():
        volume = cluster.watch_until(volumes, name, phase_is("Succeeded"), namespace)
        (owner,) = cluster.get(claims, name, namespace)["metadata"]["ownerReferences"]
        assert owner["uid"] == volume["metadata"]["uid"] and owner["controller"]
        assert pathlib.Path(cluster.volume(namespace, name)).read_bytes() == content
    cluster.delete("kubevirt.io/v1/virtualmachines", machine["metadata"]["name"], namespace)
    for name in contents:
        cluster.watch_until(claims, name, lambda c: c is None, namespace)


def test_unowned_claims__are_accepted(look, cluster, namespace):
    machine = accepted(cluster, namespace, look("secure-boot", "--handover", "claim"))
    assert "dataVolumeTemplates" not in machine["spec"]
    (volume,) = machine["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"].startswith("secure-boot-1-")


def test_tpm__is_accepted(vmferry, cluster, namespace, tmp_path):
    """The simulated vCenter knows no TPM; a package does."""
    raw = b"\0" * MIB
    system = ova.virtual_system("tpm01", 1).replace(
        "</VirtualHardwareSection>",
        ova.item(40, 1, ResourceSubType="vmware.vtpm")
        + '<vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" '
        'vmw:value="true"/></VirtualHardwareSection>',
    )
    members = ova.package("tpm01", [(stream_optimized(raw), len(raw))], systems=system)
    source = ova.write_folder(tmp_path / "package", members)
    result = vmferry(
        *("import", "--ovf", source, "--to", "upload", "--dry-run", "server"),
        *("--kubeconfig", cluster.kubeconfig(), "--namespace", namespace),
    ).good()
    machine = accepted(cluster, namespace, list(yaml.safe_load_all(result.out)))
    domain = machine["spec"]["template"]["spec"]["domain"]
    assert domain["devices"]["tpm"] == {"persistent": True}
    assert domain["firmware"]["bootloader"]["efi"] == {"secureBoot": True, "persistent": True}


def test_names_that_collide__give_two_vms(dry_run, look, cluster, namespace):
    first = look("web01")
    assert virtual_machine(first)["metadata"]["name"] == "web01"
    # As an import leaves it.
    cluster.create(virtual_machine(first), namespace)
    second = look("WEB01")
    name = virtual_machine(second)["metadata"]["name"]
    assert re.match(r"web01-[b-z2-9]{10}$", name)
    accepted(cluster, namespace, second)
    taken = {document["metadata"]["name"] for document in first}
    assert taken.isdisjoint(document["metadata"]["name"] for document in second)
    cluster.create(virtual_machine(second), namespace)
    # Whose name is whose stays known: each is found again, under its own.
    for shape, name in (("web01", '"web01"'), ("WEB01", f'"{name}"')):
        dry_run(shape).failed(f"VirtualMachine {name}", "is of an import of this VM")


def without(machine, path):
    *parents, last = path.split(".")
    target = machine
    for key in parents:
        target = target[key]
    del target[last]


REFUSED_AS_MACHINE = {
    "no SMM": lambda vm: without(vm, "spec.template.spec.domain.features.smm"),
    "IDE": lambda vm: disk_of(vm)["disk"].update(bus="ide"),
    "serial": lambda vm: disk_of(vm).update(serial="x" * 257),
    "boot order": lambda vm: disk_of(vm).update(bootOrder=0),
    "NIC model": lambda vm: nic_of(vm).update(model="vmxnet3"),
    "host name": lambda vm: vm["spec"]["template"]["spec"].update(hostname="A.b"),
    "volume": lambda vm: vm["spec"]["template"]["spec"].update(volumes=[]),
    "unknown field": lambda vm: disk_of(vm).update(cach="none"),
}


def devices_of(vm):
    return vm["spec"]["template"]["spec"]["domain"]["devices"]


def disk_of(vm):
    return devices_of(vm)["disks"][0]


def nic_of(vm):
    return devices_of(vm)["interfaces"][0]


def test_what_breaks_the_rules__is_refused(look, cluster, namespace):
    """The judges of the other tests judge: at both levels, and about the same manifests."""
    documents = look("secure-boot")
    good = virtual_machine(documents)
    wrongly_accepted = []
    for what, spoil in REFUSED_AS_MACHINE.items():
        bad = copy.deepcopy(good)
        spoil(bad)
        try:
            cluster.create(bad, namespace, dry_run=True)
            wrongly_accepted.append(what)
        except ApiError as error:
            assert error.code in (400, 422), error
    assert not wrongly_accepted
    # Memory is looked at only in the instance.
    bad = copy.deepcopy(good)
    without(bad, "spec.template.spec.domain.memory")
    made = cluster.create(bad, namespace, dry_run=True)
    with pytest.raises(ApiError) as caught:
        cluster.create(instance_of(made), namespace, dry_run=True)
    assert "virtualmachineinstances-create-validator" in caught.value.message
    bad = copy.deepcopy(documents[0])
    bad["spec"]["source"] = {}
    with pytest.raises(ApiError):
        cluster.create(bad, namespace, dry_run=True)
