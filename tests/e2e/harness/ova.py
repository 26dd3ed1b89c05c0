"""OVF packages: descriptor, manifest, archive, each honest or not."""

import gzip
import hashlib
import io
import tarfile

NAMESPACES = (
    'xmlns="http://schemas.dmtf.org/ovf/envelope/1" '
    'xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" '
    'xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" '
    'xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" '
    'xmlns:vmw="http://www.vmware.com/schema/ovf"'
)
STREAM = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"


def item(instance, kind, **fields):
    fields = {"InstanceID": instance, "ResourceType": kind, "ElementName": f"item {instance}"} | fields
    body = "".join(f"<rasd:{name}>{fields[name]}</rasd:{name}>" for name in sorted(fields))
    return f"<Item>{body}</Item>"


def virtual_system(name, n_disks, first_disk=0):
    drives = "".join(
        item(10 + n, 17, AddressOnParent=n, HostResource=f"ovf:/disk/vmdisk{n + 1}", Parent=3)
        for n in range(first_disk, first_disk + n_disks)
    )
    return (
        f'<VirtualSystem ovf:id="{name}"><Info>a machine</Info><Name>{name}</Name>'
        '<OperatingSystemSection ovf:id="96" vmw:osType="debian10_64Guest"><Info>os</Info>'
        "</OperatingSystemSection><VirtualHardwareSection><Info>hardware</Info><System>"
        "<vssd:ElementName>Virtual Hardware Family</vssd:ElementName>"
        "<vssd:InstanceID>0</vssd:InstanceID>"
        "<vssd:VirtualSystemType>vmx-14</vssd:VirtualSystemType></System>"
        + item(1, 3, VirtualQuantity=2)
        + item(2, 4, VirtualQuantity=2048, AllocationUnits="byte * 2^20")
        + item(3, 6, ResourceSubType="VirtualSCSI", Address=0)
        + drives
        + item(30, 10, ResourceSubType="VmxNet3", Connection="VM Network", AddressOnParent=7)
        + '<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>'
        + "</VirtualHardwareSection></VirtualSystem>"
    )


def envelope(name, disks, compressed=False, systems=None):
    """disks: list of (file name, size of the file, capacity of the disk)."""
    how = ' ovf:compression="gzip"' if compressed else ""
    files = "".join(
        f'<File ovf:href="{file}" ovf:id="file{n + 1}" ovf:size="{size}"{how}/>'
        for n, (file, size, _) in enumerate(disks)
    )
    entries = "".join(
        f'<Disk ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" '
        f'ovf:diskId="vmdisk{n + 1}" ovf:fileRef="file{n + 1}" ovf:format="{STREAM}"/>'
        for n, (_, _, capacity) in enumerate(disks)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Envelope {NAMESPACES}>'
        f"<References>{files}</References>"
        f"<DiskSection><Info>disks</Info>{entries}</DiskSection>"
        '<NetworkSection><Info>nets</Info><Network ovf:name="VM Network"/></NetworkSection>'
        f"{systems or virtual_system(name, len(disks))}</Envelope>\n"
    ).encode()


def manifest(members, algorithm="SHA256"):
    lines = []
    for name, data in members:
        digest = hashlib.new(algorithm.lower(), data).hexdigest()
        lines.append(f"{algorithm}({name})= {digest}\n")
    return "".join(lines).encode()


def package(name, images, algorithm="SHA256", compressed=False, systems=None):
    """Members of an OVA in order: descriptor, manifest, disks. images: list of (vmdk bytes,
    capacity)."""
    disks = []
    for number, (data, capacity) in enumerate(images):
        data = gzip.compress(data, 1) if compressed else data
        file = f"{name}-disk{number + 1}.vmdk" + (".gz" if compressed else "")
        disks.append((file, data, capacity))
    ovf = envelope(name, [(f, len(d), c) for f, d, c in disks], compressed, systems)
    members = [(f"{name}.ovf", ovf)] + [(f, d) for f, d, _ in disks]
    if algorithm:
        members.insert(1, (f"{name}.mf", manifest(members, algorithm)))
    return members


def write_ova(path, members):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def write_folder(folder, members):
    folder.mkdir(exist_ok=True)
    for name, data in members:
        (folder / name).write_bytes(data)
    return folder / members[0][0]
