#include <string.h>

#include "converters/vm/kubevirt_devices.h"
#include "converters/vm/kubevirt_networks.h"

static const struct {
    const char *id, *what;
} lost[] = {
    [VF_DEVICE_PCI_PASSTHROUGH] = {"device.pci-passthrough", "a PCI device of the host"},
    [VF_DEVICE_VGPU] = {"device.vgpu", "a share of a GPU of the host"},
    [VF_DEVICE_USB] = {"device.usb", "a USB device of the host or of a client"},
    [VF_DEVICE_SERIAL] = {"device.serial", "a serial port"},
    [VF_DEVICE_PARALLEL] = {"device.parallel", "a parallel port"},
    [VF_DEVICE_FLOPPY] = {"device.floppy", "a floppy drive with an image"},
    [VF_DEVICE_SOUND] = {"device.sound", "a sound card"},
    [VF_DEVICE_NVDIMM] = {"device.nvdimm", "persistent memory, with what is in it"},
    [VF_DEVICE_WATCHDOG] = {"device.watchdog", "a watchdog"},
    [VF_DEVICE_3D] = {"device.3d", "a video card with 3D acceleration"},
    [VF_DEVICE_OTHER] = {"device.left-out", "a device that KubeVirt has no counterpart for"},
};

/* A USB controller by itself holds nothing: the guest gets another one where it needs one. */
static void tell_devices(const struct vf_vm *vm, struct vf_concerns *c)
{
    for (size_t i = 0; i < vm->n_devices; i++) {
        const struct vf_vm_device *d = &vm->devices[i];
        if (d->kind == VF_DEVICE_USB_CONTROLLER || d->kind >= sizeof lost / sizeof *lost) {
            continue;
        }
        vf_concerns_add(c, lost[d->kind].id, "\"%s\" is not carried: %s",
                        d->label  ? d->label
                        : d->type ? d->type
                                  : "a device",
                        lost[d->kind].what);
    }
}

static void tell_unused_rules(const struct vf_manifest_plan *plan, struct vf_concerns *c)
{
    for (size_t i = 0; i < plan->mapping->n_disks; i++) {
        const struct vf_disk_rule *rule = &plan->mapping->disks[i];
        if (!vf_disk_rule_matches(rule, plan->vm)) {
            vf_concerns_add(c, "mapping.disk-unused",
                            "the VM does not have a disk \"%s\", of which something is told",
                            rule->disk);
        }
    }
}

static void tell_windows(const struct vf_manifest_plan *plan, const struct vf_drive *first,
                         struct vf_concerns *c)
{
    bool disks = first && (strcmp(first->bus, "virtio") == 0 || strcmp(first->bus, "scsi") == 0);
    bool nics = vf_kubevirt_has_virtio_nics(plan);
    if (disks) {
        vf_concerns_add(c, "guest.windows-drivers",
                        "Windows boots from %s disks only with the virtio-win drivers in the "
                        "guest: install them before, or set the disks' bus to sata",
                        first->bus);
    } else if (nics) {
        vf_concerns_add(c, "guest.windows-drivers",
                        "Windows has a network with virtio NICs only with the virtio-win drivers "
                        "in the guest: install them before, or set the NICs' model to e1000e");
    } else if (first && first->bus_note.kind != VF_ORIGIN_OPTION) {
        vf_concerns_add(c, "guest.windows-slow",
                        "Windows is on %s disks, for which it has drivers: virtio is faster, once "
                        "virtio-win is installed in the guest",
                        first->bus);
    }
}

static void tell_linux(const struct vf_manifest_plan *plan, const struct vf_drive *first,
                       struct vf_concerns *c)
{
    if (plan->os && plan->os->host_only_boot_image && first && strcmp(first->bus, "usb") != 0) {
        vf_concerns_add(c, "guest.boot-image",
                        "the guest may not find its %s disk when it boots: its initramfs has the "
                        "drivers of a VM in vSphere, unless it was made for any machine",
                        first->bus);
    }
}

void vf_device_concerns(const struct vf_manifest_plan *plan, const struct vf_drives *drives,
                        struct vf_concerns *concerns)
{
    const struct vf_drive *first = vf_drives_first(drives);
    if (vf_kubevirt_family(plan) == VF_GUEST_WINDOWS) {
        tell_windows(plan, first, concerns);
    } else {
        tell_linux(plan, first, concerns);
    }
    tell_devices(plan->vm, concerns);
    tell_unused_rules(plan, concerns);
}
