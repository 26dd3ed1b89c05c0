#include "converters/vm/kubevirt_devices.h"

#include <string.h>

#include "converters/vm/kubevirt_networks.h"
#include "importer/base/json.h"

/* QEMU's limit on the queues of a device; KubeVirt makes one a vCPU. */
#define MAX_QUEUES 256

static void add_tpm(const struct vf_manifest_plan *plan, cJSON *devices)
{
    enum vf_tristate told = plan->mapping->tpm;
    bool wanted = told == VF_YES || (told == VF_UNSET && plan->vm->has_vtpm);
    enum vf_origin_kind kind = told == VF_UNSET ? VF_ORIGIN_SOURCE : VF_ORIGIN_OPTION;
    if (wanted) {
        cJSON *tpm = vf_json_add_object(devices, "tpm");
        vf_json_add_bool(tpm, "persistent", true);
        vf_origin_note(plan->origins, tpm, kind,
                       told == VF_UNSET ? "it has a VirtualTPM" : "tpm is told");
    } else if (plan->preference.name && vf_kubevirt_family(plan) == VF_GUEST_WINDOWS) {
        /* A preference for Windows may bring one. */
        cJSON *tpm = vf_json_add_object(devices, "tpm");
        vf_json_add_bool(tpm, "enabled", false);
        vf_origin_note(plan->origins, tpm, kind,
                       told == VF_UNSET ? "it has no VirtualTPM" : "tpm is told");
    }
}

/* A mouse that follows the console's pointer; entropy; the age of drivers. */
static void add_by_guest(const struct vf_manifest_plan *plan, cJSON *devices)
{
    enum vf_guest_family family = vf_kubevirt_family(plan);
    if (family == VF_GUEST_WINDOWS) {
        cJSON *inputs = vf_json_add_array(devices, "inputs");
        cJSON *tablet = vf_json_append_object(inputs);
        vf_json_add_string(tablet, "name", "tablet");
        vf_json_add_string(tablet, "type", "tablet");
        vf_json_add_string(tablet, "bus", "usb");
        vf_origin_note(plan->origins, inputs, VF_ORIGIN_DEFAULT,
                       "a pointer that follows the console's, for Windows");
    }
    if (family == VF_GUEST_LINUX) {
        vf_origin_note(plan->origins, vf_json_add_object(devices, "rng"), VF_ORIGIN_DEFAULT,
                       "entropy, for Linux");
    }
    if (plan->os && plan->os->virtio_transitional) {
        vf_json_add_bool(devices, "useVirtioTransitional", true);
        vf_origin_note_member(plan->origins, devices, "useVirtioTransitional", VF_ORIGIN_OS,
                              "row \"%s\": its drivers are older than virtio 1.0", plan->os->name);
    }
}

static bool has_virtio_disk(const struct vf_drives *drives)
{
    for (size_t i = 0; i < drives->n_items; i++) {
        if (strcmp(drives->items[i].bus, "virtio") == 0) {
            return true;
        }
    }
    return false;
}

static void add_queues(const struct vf_manifest_plan *plan, const struct vf_drives *drives,
                       cJSON *devices)
{
    uint32_t cpus = plan->vm->cpus;
    if (cpus < 2 || cpus > MAX_QUEUES) {
        return;
    }
    if (vf_kubevirt_has_virtio_nics(plan)) {
        vf_json_add_bool(devices, "networkInterfaceMultiqueue", true);
        vf_origin_note_member(plan->origins, devices, "networkInterfaceMultiqueue",
                              VF_ORIGIN_DEFAULT, "a queue for each of %u CPUs", cpus);
    }
    if (has_virtio_disk(drives)) {
        vf_json_add_bool(devices, "blockMultiQueue", true);
        vf_origin_note_member(plan->origins, devices, "blockMultiQueue", VF_ORIGIN_DEFAULT,
                              "a queue for each of %u CPUs", cpus);
    }
}

void vf_kubevirt_devices(const struct vf_manifest_plan *plan, cJSON *domain,
                         struct vf_concerns *concerns)
{
    struct vf_drives drives;
    cJSON *devices = vf_json_add_object(domain, "devices");
    vf_drives_plan(plan, concerns, &drives);
    vf_device_concerns(plan, &drives, concerns);
    add_tpm(plan, devices);
    add_by_guest(plan, devices);
    add_queues(plan, &drives, devices);
    vf_kubevirt_disks(plan, &drives, devices);
    vf_kubevirt_interfaces(plan, drives.nic_boot, devices, concerns);
    vf_drives_release(&drives);
}
