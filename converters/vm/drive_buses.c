#include "converters/vm/kubevirt_drives.h"

#include <string.h>

static bool is_disk(const struct vf_drive *d)
{
    return d->kind == VF_DRIVE_COPIED || d->kind == VF_DRIVE_CLAIM;
}

static void choose(const struct vf_manifest_plan *plan, struct vf_drive *d)
{
    if (d->kind == VF_DRIVE_LUN) { /* SCSI commands reach the LUN on this bus only */
        d->bus = "scsi";
        d->bus_note = (struct vf_drive_note){VF_ORIGIN_OPTION, "a LUN is passed through by SCSI"};
    } else if (!is_disk(d)) {
        d->bus = "sata";
        d->bus_note = (struct vf_drive_note){VF_ORIGIN_DEFAULT, "a drive that any guest knows"};
    } else if (d->rule && d->rule->bus) {
        d->bus = d->rule->bus;
        d->bus_note = (struct vf_drive_note){VF_ORIGIN_OPTION, "bus of the disk"};
    } else if (plan->mapping->disk_bus) {
        d->bus = plan->mapping->disk_bus;
        d->bus_note = (struct vf_drive_note){VF_ORIGIN_OPTION, "bus of all disks"};
    } else if (plan->os && plan->os->disk_bus) {
        d->bus = plan->os->disk_bus;
        d->bus_note = (struct vf_drive_note){VF_ORIGIN_OS, "what such a guest boots from"};
    } else {
        d->bus = "virtio";
        d->bus_note = (struct vf_drive_note){VF_ORIGIN_DEFAULT, "the fastest"};
    }
}

static size_t count_virtio(const struct vf_drives *drives)
{
    size_t n = 0;
    for (size_t i = 0; i < drives->n_items; i++) {
        n += strcmp(drives->items[i].bus, "virtio") == 0;
    }
    return n;
}

/* NICs that are left out count as well: ports are cheaper than a guess. */
static size_t ports_for_disks(const struct vf_vm *vm)
{
    size_t nics = vm->n_nics > 4 ? vm->n_nics : 4;
    return nics < VF_VIRTIO_PORTS ? VF_VIRTIO_PORTS - nics : 0;
}

void vf_drives_choose_buses(const struct vf_manifest_plan *plan, struct vf_drives *drives,
                            struct vf_concerns *concerns)
{
    for (size_t i = 0; i < drives->n_items; i++) {
        choose(plan, &drives->items[i]);
    }
    size_t n = count_virtio(drives), ports = ports_for_disks(plan->vm);
    if (n <= ports) {
        return;
    }
    for (size_t i = 0; i < drives->n_items; i++) {
        struct vf_drive *d = &drives->items[i];
        if (strcmp(d->bus, "virtio") == 0 && d->bus_note.kind != VF_ORIGIN_OPTION) {
            d->bus = "scsi";
            d->bus_note = (struct vf_drive_note){
                VF_ORIGIN_DEFAULT, "more disks than PCI Express ports: all on virtio-scsi"};
        }
    }
    if (concerns && count_virtio(drives) > ports) {
        vf_concerns_add(concerns, "disk.many-virtio",
                        "%zu disks are on virtio as told, and about %zu PCI Express ports are left "
                        "for them in a q35 machine: the VM may not start",
                        count_virtio(drives), ports);
    } else if (concerns) {
        vf_concerns_add(concerns, "disk.many",
                        "%zu disks are more than the PCI Express ports of a q35 machine: they are "
                        "on virtio-scsi, which needs a driver in the guest (Linux from 3.4 on)",
                        n);
    }
}
