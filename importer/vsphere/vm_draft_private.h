/* The parts that fill a VM's draft, each from the value of one property. Values that break the
 * schema are VF_INVALID where a disk or the size of the VM hangs on them; elsewhere they count as
 * not told. */
#ifndef IMPORTER_VSPHERE_VM_DRAFT_PRIVATE_H
#define IMPORTER_VSPHERE_VM_DRAFT_PRIVATE_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "importer/vsphere/vm_draft.h"

/* Ends lists that only nonsense makes longer. */
#define VF_VM_MAX_DEVICES     4096
#define VF_VM_MAX_ADDRESSES   1024 /* of a NIC */
#define VF_VM_MAX_GUEST_DISKS 1024

/* A number of that child, false when there is none that fits. */
bool vf_vm_child_i32(const xmlNode *n, const char *name, int32_t *ret);

/* vm_devices.c: a controller that disks and drives hang on. */
struct vf_vm_controller {
    int32_t key, bus_number;
    enum vf_bus bus;
    char *type;
    bool shared;
};
struct vf_vm_controllers {
    struct vf_vm_controller *list;
    size_t n;
};
/* NULL: none of that key. */
const struct vf_vm_controller *vf_vm_find_controller(const struct vf_vm_controllers *c,
                                                     int32_t key);
char *vf_vm_device_label(const xmlNode *device);

/* vm_peripherals.c: a VirtualCdrom; any other device that is no disk, NIC or controller of disks,
 * of which only those are kept that a person must know of. */
void vf_vm_draft_add_cdrom(struct vf_vm_draft *d, const xmlNode *device,
                           const struct vf_vm_controllers *c);
void vf_vm_draft_add_peripheral(struct vf_vm_draft *d, const xmlNode *device, const char *type);

/* vm_storage.c: VirtualMachineStorageSummary, VirtualMachineSnapshotInfo,
 * VirtualMachineFileLayoutEx (the disks must be there by then). */
void vf_vm_draft_parse_storage(struct vf_vm_draft *d, const xmlNode *val);
int vf_vm_draft_parse_snapshots(struct vf_vm_draft *d, const xmlNode *val, struct vf_error **err);
void vf_vm_draft_parse_layout(struct vf_vm_draft *d, const xmlNode *layout);

/* vm_config.c: what the configuration and the runtime say of the whole VM. */
void vf_vm_draft_parse_power(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_connection(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_question(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_fault_tolerance(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_firmware(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_boot_order(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_cpu_allocation(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_memory_allocation(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_cpu_affinity(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_latency(struct vf_vm_draft *d, const xmlNode *val);

/* The option with which a VM is bound to NUMA nodes. extraConfig has hundreds of entries: one is
 * asked for by its key. */
#define VF_VM_NUMA_PATH "config.extraConfig[\"numa.nodeAffinity\"]"
void vf_vm_draft_parse_numa_affinity(struct vf_vm_draft *d, const xmlNode *val);

/* vm_guest.c: what the guest's tools tell. The NICs must be there before GuestNicInfo, and that
 * before GuestStackInfo, whose routes name NICs by their place in it. */
void vf_vm_draft_parse_tools_running(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_tools_version(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_guest_disks(struct vf_vm_draft *d, const xmlNode *val);
void vf_vm_draft_parse_guest_net(struct vf_vm_draft *d, const xmlNode *net);
void vf_vm_draft_parse_ip_stack(struct vf_vm_draft *d, const xmlNode *val);

/* attributes.c: ArrayOfCustomFieldValue. */
void vf_vm_draft_parse_custom_values(struct vf_vm_draft *d, const xmlNode *val);

#endif
