#include "converters/vm/kubevirt_devices.h"

#include <string.h>
#include <strings.h>

#include "converters/vm/firmware.h"
#include "converters/vm/kubevirt_networks.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

/* QEMU's limit on the queues of a device; KubeVirt makes one a vCPU. */
#define MAX_QUEUES 256

const char *vf_kubevirt_disk_bus(const struct vf_manifest_plan *plan)
{
    return plan->options->disk_bus ? plan->options->disk_bus : "virtio";
}

/* Linux before virtio 1.0: RHEL and its kin up to 6, SLES up to 11, Debian up to 8. */
static bool needs_transitional(const struct vf_vm *vm)
{
    static const char *const prefixes[] = {"rhel2",
                                           "rhel3",
                                           "rhel4",
                                           "rhel5",
                                           "rhel6",
                                           "centos5",
                                           "centos6",
                                           "centosGuest",
                                           "centos64Guest",
                                           "oracleLinux6",
                                           "oracleLinuxGuest",
                                           "oracleLinux64Guest",
                                           "slesGuest",
                                           "sles64Guest",
                                           "sles10",
                                           "sles11",
                                           "debian4",
                                           "debian5",
                                           "debian6",
                                           "debian7",
                                           "debian8"};
    for (size_t i = 0; vm->guest_id && i < sizeof prefixes / sizeof *prefixes; i++) {
        if (strncasecmp(vm->guest_id, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void add_disk(const struct vf_manifest_plan *plan, size_t i, cJSON *disks)
{
    const struct vf_vm_disk *d = &plan->vm->disks[i];
    char *vf_autofree name = vf_xasprintf("disk-%zu", i);
    char *vf_autofree serial = vf_firmware_disk_serial(d->uuid);
    cJSON *disk = vf_json_append_object(disks);
    vf_json_add_string(disk, "name", name);
    if (i == 0) {
        vf_json_add_u64(disk, "bootOrder", 1);
    }
    vf_json_add_string(disk, "serial", serial);
    vf_json_add_string(vf_json_add_object(disk, "disk"), "bus", vf_kubevirt_disk_bus(plan));
    if (d->shared) { /* with a cache it fails at launch */
        vf_json_add_string(disk, "cache", "none");
        vf_json_add_bool(disk, "shareable", true);
    }
}

static void add_queues(const struct vf_manifest_plan *plan, cJSON *devices)
{
    const struct vf_vm *vm = plan->vm;
    if (vm->cpus < 2 || vm->cpus > MAX_QUEUES) {
        return;
    }
    if (vf_kubevirt_has_nics(plan) && strcmp(vf_kubevirt_nic_model(plan), "virtio") == 0) {
        vf_json_add_bool(devices, "networkInterfaceMultiqueue", true);
    }
    if (vm->n_disks && strcmp(vf_kubevirt_disk_bus(plan), "virtio") == 0) {
        vf_json_add_bool(devices, "blockMultiQueue", true);
    }
}

void vf_kubevirt_devices(const struct vf_manifest_plan *plan, cJSON *domain,
                         struct vf_concerns *concerns)
{
    const struct vf_vm *vm = plan->vm;
    cJSON *devices = vf_json_add_object(domain, "devices");
    if (vm->has_vtpm) {
        vf_json_add_bool(vf_json_add_object(devices, "tpm"), "persistent", true);
    }
    if (vm->family == VF_GUEST_WINDOWS) { /* a mouse that follows the console's pointer */
        cJSON *tablet = vf_json_append_object(vf_json_add_array(devices, "inputs"));
        vf_json_add_string(tablet, "name", "tablet");
        vf_json_add_string(tablet, "type", "tablet");
        vf_json_add_string(tablet, "bus", "usb");
    }
    if (vm->family == VF_GUEST_LINUX) {
        vf_json_add_object(devices, "rng");
    }
    if (needs_transitional(vm)) {
        vf_json_add_bool(devices, "useVirtioTransitional", true);
    }
    add_queues(plan, devices);
    if (vm->n_disks) {
        cJSON *disks = vf_json_add_array(devices, "disks");
        for (size_t i = 0; i < vm->n_disks; i++) {
            add_disk(plan, i, disks);
        }
    }
    vf_kubevirt_interfaces(plan, devices, concerns);
}
