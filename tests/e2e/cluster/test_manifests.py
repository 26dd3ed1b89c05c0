"""What VMs of every kind become, before the real API server (strict about fields) and the real
webhooks of KubeVirt and CDI: each DataVolume, the VirtualMachine, and the VirtualMachineInstance
that its template would make, which KubeVirt looks at only when the VM is started. The VMs, and what
they become in a folder, are those of tests/golden."""

import copy
import pathlib
import re
import uuid

import pytest
import yaml
from harness import golden
from harness.cluster import ApiError
from harness.disks import MIB

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
CASES, VMS = golden.load()
SHAPES = {case.name: case for case in CASES if "@" not in case.name}
# Of KubeVirt, closed in the test cluster.
NEEDS_GATE = {
    "cdroms@empty": "DeclarativeHotplugVolumes",
    "cdroms@keep": "DeclarativeHotplugVolumes",
}
# An import differs from a folder's manifests in claims and names: of those a few of each.
ADOPTED = [
    *("debian12", "ubuntu", "rhel9-secure-boot", "windows2022", "rhel6", "windows-xp", "dos"),
    *("name-emoji", "name-long", "name-null", "name-time", "name-upper", "60-disks", "10-nics"),
    *("no-nic", "mixed-controllers", "tags"),
]


@pytest.fixture(scope="module")
def source(start_simulator):
    return start_simulator("shapes", vms=VMS)


@pytest.fixture
def dry_run(vmferry, cluster, namespace, source):
    """dry_run(SHAPE, ARGUMENT...): an upload that ends where something would be made. There are no
    such networks, and no room for these disks."""

    def run(shape, *arguments):
        return vmferry(
            *("import", *source.arguments(), *SHAPES[shape].arguments(), "--to", "upload"),
            *("--dry-run", "server", "--check", "none"),
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
    template = copy.deepcopy(machine["spec"]["template"])
    if "instancetype" in machine["spec"]:
        template["spec"]["domain"] |= {"cpu": {"sockets": 2}, "memory": {"guest": "4Gi"}}
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


def parts_of(machine):
    spec = machine["spec"]["template"]["spec"]
    devices = spec["domain"]["devices"]
    return spec, devices.get("disks", []), devices.get("interfaces", [])


def assert_carried(vm, machine):
    """Nothing was left out so that the rest be accepted."""
    assert LABEL.match(machine["metadata"]["name"])
    assert machine["metadata"]["annotations"]["vmferry.io/original-name"] == vm["name"]
    spec, disks, nics = parts_of(machine)
    assert len(disks) == len(spec["volumes"]) == len(vm["disks"])
    # All that a guest sees of the serial of a disk on its bus.
    digits = {"virtio": 20, "sata": 20, "scsi": 32}
    for disk in disks:
        assert re.match(rf"[0-9a-f]{{{digits[disk['disk']['bus']]}}}$", disk["serial"])
    assert len({disk["serial"] for disk in disks}) == len(disks)
    assert [nic["macAddress"] for nic in nics] == [nic["mac"] for nic in vm["nics"]]
    bootloader = spec["domain"]["firmware"]["bootloader"]
    if vm.get("firmware", "bios") == "bios":
        assert bootloader == {"bios": {}}
    else:
        assert bootloader["efi"]["secureBoot"] is vm.get("secureBoot", False)
    secure = spec["domain"].get("features", {}).get("smm")
    assert secure == ({"enabled": True} if vm.get("secureBoot") else None)


TYPES = {"instancetype": "VirtualMachineInstancetype", "preference": "VirtualMachinePreference"}


def types_of(machine):
    """(kind, name) of the instance type and the preference that a VM asks for."""
    for field, kind in TYPES.items():
        asked = machine["spec"].get(field)
        if asked:
            default = kind.replace("Machine", "MachineCluster")
            yield asked.get("kind", default), asked["name"]


@pytest.fixture(scope="module")
def shelf(cluster):
    """A namespace in which nothing is made but the instance types and preferences of the VMs."""
    name = "shelf-" + uuid.uuid4().hex[:8]
    cluster.make_namespace(name)
    machines = [virtual_machine(list(yaml.safe_load_all(c.file.read_text()))) for c in CASES]
    for kind, asked in sorted({t for machine in machines for t in types_of(machine)}):
        # As instance_of() has it.
        spec = {"cpu": {"guest": 2}, "memory": {"guest": "4Gi"}} if "Instancetype" in kind else {}
        item = {
            "apiVersion": "instancetype.kubevirt.io/v1beta1",
            "kind": kind,
            "metadata": {"name": asked},
            "spec": spec,
        }
        try:
            cluster.create(item, name)
        except ApiError as error:
            assert error.code == 409, error  # another worker's
    yield name
    cluster.delete("v1/namespaces", name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden_manifest__is_accepted(cluster, shelf, case):
    documents = list(yaml.safe_load_all(case.file.read_text()))
    if case.name in SHAPES and not case.extra:
        assert_carried(case.vm, virtual_machine(documents))
    gate = NEEDS_GATE.get(case.name)
    if gate:
        with pytest.raises(ApiError) as caught:
            accepted(cluster, shelf, documents)
        assert gate in caught.value.message
    else:
        accepted(cluster, shelf, documents)


@pytest.mark.parametrize("shape", ADOPTED)
def test_adoption__is_accepted(look, cluster, namespace, shape):
    documents = look(shape)
    vm = SHAPES[shape].vm
    machine = accepted(cluster, namespace, documents)
    assert_carried(vm, virtual_machine(documents))
    names = [d["metadata"]["name"] for d in documents if d["kind"] == "DataVolume"]
    assert len(set(names)) == len(vm["disks"])
    templates = machine["spec"]["dataVolumeTemplates"]
    assert [template["metadata"]["name"] for template in templates] == names
    spec, _, _ = parts_of(machine)
    assert [volume["dataVolume"]["name"] for volume in spec["volumes"]] == names


@pytest.mark.parametrize("storage_class", ["rig-block", "rig-fs", "rig-wffc"])
@pytest.mark.parametrize("bus", ["sata", "scsi", "virtio"])
def test_bus_and_storage__are_accepted(look, cluster, namespace, bus, storage_class):
    more = ["--disk-bus", bus, "--storage-class", storage_class]
    machine = accepted(cluster, namespace, look("windows2022", *more))
    _, disks, _ = parts_of(machine)
    assert [disk["disk"]["bus"] for disk in disks] == [bus, bus]
    storage = machine["spec"]["dataVolumeTemplates"][0]["spec"]["storage"]
    mode = "Block" if storage_class == "rig-block" else "Filesystem"
    assert (storage["storageClassName"], storage["volumeMode"]) == (storage_class, mode)


def phase_is(phase):
    return lambda item: bool(item) and item.get("status", {}).get("phase") == phase


def test_adoption__filled_claims_live_and_die_with_the_vm(look, cluster, namespace):
    machine = virtual_machine(look("ubuntu", "--storage-class", "rig-fs"))
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
    machine = accepted(cluster, namespace, look("rhel9-secure-boot", "--handover", "claim"))
    assert "dataVolumeTemplates" not in machine["spec"]
    (volume,) = machine["spec"]["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"].startswith("rhel9-secure-boot-")


def test_names_that_collide__give_two_vms(dry_run, look, cluster, namespace):
    first = look("name-lower")
    assert virtual_machine(first)["metadata"]["name"] == "web01"
    # As an import leaves it.
    cluster.create(virtual_machine(first), namespace)
    second = look("name-upper")
    name = virtual_machine(second)["metadata"]["name"]
    assert re.match(r"web01-[b-z2-9]{10}$", name)
    accepted(cluster, namespace, second)
    taken = {document["metadata"]["name"] for document in first}
    assert taken.isdisjoint(document["metadata"]["name"] for document in second)
    cluster.create(virtual_machine(second), namespace)
    # Whose name is whose stays known: each is found again, under its own.
    for shape, name in (("name-lower", '"web01"'), ("name-upper", f'"{name}"')):
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
    documents = look("rhel9-secure-boot")
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
