/* A VM while its properties come in: names of other objects are still references. */
#ifndef IMPORTER_VSPHERE_VM_DRAFT_H
#define IMPORTER_VSPHERE_VM_DRAFT_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

/* Where a NIC is plugged in; what applies is set. */
struct vf_nic_backing {
    char *network;     /* moref of a Network or port group, or a port group's key */
    char *opaque_id;   /* of an OpaqueNetwork */
    char *device_name; /* as the VM's configuration holds it */
};

struct vf_vm_draft {
    struct vf_vm vm;
    char *parent, *parent_vapp, *host; /* morefs */
    struct vf_nic_backing *backings;   /* one for each of vm.nics */
    bool unreadable;                   /* some property may not be read */
};

void vf_vm_draft_init(struct vf_vm_draft *d);
void vf_vm_draft_release(struct vf_vm_draft *d);

/* The VM, now the caller's; the draft is as after release. */
struct vf_vm vf_vm_draft_take(struct vf_vm_draft *d);

enum vf_vm_detail { VF_VM_BRIEF, VF_VM_FULL, VF_VM_WITH_USAGE };

/* Property paths of a VirtualMachine to ask for at that detail with that API version (a path that a
 * server does not know fails the query): NULL-terminated, to be freed, the strings are static. */
const char **vf_vm_draft_paths(enum vf_vm_detail detail, const char *api_version);

/* As above for a VirtualMachineSnapshot, whose `config` is that of a VM. */
const char **vf_vm_draft_config_paths(const char *api_version);

/* Take what an ObjectContent holds. VF_INVALID for values that break the schema. */
int vf_vm_draft_parse(struct vf_vm_draft *d, const xmlNode *content, struct vf_error **err);

/* vm_devices.c: `devices` is an ArrayOfVirtualDevice. Disks are sorted on return. */
int vf_vm_draft_parse_devices(struct vf_vm_draft *d, const xmlNode *devices, struct vf_error **err);

/* IP addresses of an ArrayOfGuestNicInfo to the NICs, which must be there by then. */
void vf_vm_draft_parse_guest_net(struct vf_vm_draft *d, const xmlNode *net);

/* VirtualMachinePowerState; UNKNOWN for what is none, NULL too. */
enum vf_power vf_power_parse(const xmlNode *val);

/* The bus of a controller by its type ("ParaVirtualSCSIController"), UNKNOWN for no disk
 * controller. `len` is that of the name. */
enum vf_bus vf_controller_bus(const char *type, size_t len);

#endif
