#include "converters/vm/kubevirt_devices.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "converters/vm/firmware.h"
#include "converters/vm/names.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"

/* QEMU's limit on the queues of a device; KubeVirt makes one a vCPU. */
#define MAX_QUEUES 256

static const char *disk_bus(const struct vf_manifest_plan *plan)
{
    return plan->options->disk_bus ? plan->options->disk_bus : "virtio";
}

static const char *nic_model(const struct vf_manifest_plan *plan)
{
    return plan->options->nic_model ? plan->options->nic_model : "virtio";
}

/* Only one NIC may be on the pod network: the first. The others go to Multus, to an attachment
 * definition that bears the name of their old network. */
static bool on_pod_network(size_t nic)
{
    return nic == 0;
}

static char *attachment_name(const struct vf_vm_nic *nic, size_t i)
{
    if (nic->network && *nic->network) {
        return vf_name_to_label(nic->network, VF_NAME_LABEL_MAX);
    }
    return vf_xasprintf("net-%zu", i);
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

static bool is_mac(const char *s)
{
    size_t n = s ? strlen(s) : 0;
    for (size_t i = 0; i < n; i++) {
        if (i % 3 == 2 ? s[i] != ':' : !strchr("0123456789abcdefABCDEF", s[i])) {
            return false;
        }
    }
    return n == 17 && strcmp(s, "00:00:00:00:00:00") != 0;
}

static void add_mac(const struct vf_vm_nic *nic, size_t i, cJSON *interface,
                    struct vf_concerns *concerns)
{
    /* Admission keeps this one for itself with masquerade. */
    if (is_mac(nic->mac) && strcmp(nic->mac, "02:00:00:00:00:00") != 0) {
        vf_json_add_string(interface, "macAddress", nic->mac);
    } else {
        vf_concerns_add(concerns, "NIC net-%zu gets a new MAC address: the source gives %s", i,
                        nic->mac ? "one that cannot be kept" : "none");
    }
}

static void add_interface(const struct vf_manifest_plan *plan, size_t i, cJSON *interfaces,
                          struct vf_concerns *concerns)
{
    const struct vf_vm_nic *nic = &plan->vm->nics[i];
    char *vf_autofree name = vf_xasprintf("net-%zu", i);
    cJSON *interface = vf_json_append_object(interfaces);
    vf_json_add_string(interface, "name", name);
    vf_json_add_string(interface, "model", nic_model(plan));
    add_mac(nic, i, interface, concerns);
    vf_json_add_object(interface, on_pod_network(i) ? "masquerade" : "bridge");
    if (!nic->start_connected) {
        vf_json_add_string(interface, "state", "down");
    }
    if (!on_pod_network(i)) {
        char *vf_autofree attachment = attachment_name(nic, i);
        vf_concerns_add(concerns,
                        "NIC %s was on network \"%s\": it needs the "
                        "NetworkAttachmentDefinition \"%s\"",
                        name, nic->network ? nic->network : "", attachment);
    }
    for (size_t j = 0; j < i; j++) {
        if (nic->mac && plan->vm->nics[j].mac && strcasecmp(nic->mac, plan->vm->nics[j].mac) == 0) {
            vf_concerns_add(concerns, "NICs net-%zu and net-%zu have the same MAC address", j, i);
        }
    }
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
    vf_json_add_string(vf_json_add_object(disk, "disk"), "bus", disk_bus(plan));
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
    if (vm->n_nics && strcmp(nic_model(plan), "virtio") == 0) {
        vf_json_add_bool(devices, "networkInterfaceMultiqueue", true);
    }
    if (vm->n_disks && strcmp(disk_bus(plan), "virtio") == 0) {
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
    if (vm->n_nics == 0) { /* or KubeVirt adds one */
        vf_json_add_bool(devices, "autoattachPodInterface", false);
        return;
    }
    cJSON *interfaces = vf_json_add_array(devices, "interfaces");
    for (size_t i = 0; i < vm->n_nics; i++) {
        add_interface(plan, i, interfaces, concerns);
    }
}

static void add_networks(const struct vf_vm *vm, cJSON *spec)
{
    cJSON *networks = vf_json_add_array(spec, "networks");
    for (size_t i = 0; i < vm->n_nics; i++) {
        char *vf_autofree name = vf_xasprintf("net-%zu", i);
        cJSON *network = vf_json_append_object(networks);
        vf_json_add_string(network, "name", name);
        if (on_pod_network(i)) {
            vf_json_add_object(network, "pod");
        } else {
            char *vf_autofree attachment = attachment_name(&vm->nics[i], i);
            vf_json_add_string(vf_json_add_object(network, "multus"), "networkName", attachment);
        }
    }
}

void vf_kubevirt_networks_and_volumes(const struct vf_manifest_plan *plan, cJSON *spec)
{
    const struct vf_vm *vm = plan->vm;
    if (vm->n_nics) {
        add_networks(vm, spec);
    }
    if (vm->n_disks == 0) {
        return;
    }
    cJSON *volumes = vf_json_add_array(spec, "volumes");
    bool claim = plan->options->handover == VF_HANDOVER_CLAIM;
    for (size_t i = 0; i < vm->n_disks; i++) {
        char *vf_autofree name = vf_xasprintf("disk-%zu", i);
        cJSON *volume = vf_json_append_object(volumes);
        vf_json_add_string(volume, "name", name);
        cJSON *source = vf_json_add_object(volume, claim ? "persistentVolumeClaim" : "dataVolume");
        vf_json_add_string(source, claim ? "claimName" : "name", plan->claims[i]);
    }
}
