/* A VM while its properties come in: names of other objects are still references. */
#ifndef IMPORTER_VSPHERE_VM_DRAFT_H
#define IMPORTER_VSPHERE_VM_DRAFT_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

/* Where a NIC is plugged in; what applies is set. */
struct vf_nic_backing {
    char *network;     /* moref of a Network or port group, or a port group's key */
    char *opaque_id;   /* of an OpaqueNetwork */
    char *device_name; /* as the VM's configuration holds it */
};

/* A custom attribute that is set, by the key of its definition. */
struct vf_custom_value {
    int32_t key;
    char *value;
};

struct vf_vm_draft {
    struct vf_vm vm;
    char *parent, *parent_vapp, *host; /* morefs */
    struct vf_nic_backing *backings;   /* one for each of vm.nics */
    struct vf_custom_value *custom;
    size_t n_custom;
    int32_t *guest_net_keys; /* of the NICs in the guest's own order; -1: none of the VM's */
    size_t n_guest_net;
    bool unreadable; /* some property may not be read */
};

void vf_vm_draft_init(struct vf_vm_draft *d);
void vf_vm_draft_release(struct vf_vm_draft *d);

/* The VM, now the caller's; the draft is as after release. */
struct vf_vm vf_vm_draft_take(struct vf_vm_draft *d);

/* Each holds what stands before it; the last two may be combined. */
enum vf_vm_detail {
    VF_VM_BRIEF = 1,
    VF_VM_FULL = 2 | VF_VM_BRIEF,
    VF_VM_WITH_USAGE = 4 | VF_VM_FULL,
    VF_VM_WITH_ATTRIBUTES = 8 | VF_VM_FULL,
};

/* Property paths of a VirtualMachine to ask for at that detail (enum vf_vm_detail) with that API
 * version (a path that a server does not know fails the query): NULL-terminated, to be freed, the
 * strings are static. */
const char **vf_vm_draft_paths(unsigned detail, const char *api_version);

/* Leave out the paths that name one element of an array by its key, config.extraConfig["..."], for
 * a server that knows no such. False: there are none. */
bool vf_vm_draft_drop_keyed_paths(const char **paths);

/* As above for a VirtualMachineSnapshot, whose `config` is that of a VM: without keyed paths. */
const char **vf_vm_draft_config_paths(const char *api_version);

/* Take what an ObjectContent holds. VF_INVALID for values that break the schema. */
int vf_vm_draft_parse(struct vf_vm_draft *d, const xmlNode *content, struct vf_error **err);

/* vm_devices.c: `devices` is an ArrayOfVirtualDevice. Disks are sorted on return. */
int vf_vm_draft_parse_devices(struct vf_vm_draft *d, const xmlNode *devices, struct vf_error **err);

/* VirtualMachinePowerState; UNKNOWN for what is none, NULL too. */
enum vf_power vf_power_parse(const xmlNode *val);

/* The bus of a controller by its type ("ParaVirtualSCSIController"), UNKNOWN for no disk
 * controller. `len` is that of the name. */
enum vf_bus vf_controller_bus(const char *type, size_t len);

#endif
