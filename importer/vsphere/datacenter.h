/* Which datacenter a VM is in: names of datastores are unique only within one. */
#ifndef IMPORTER_VSPHERE_DATACENTER_H
#define IMPORTER_VSPHERE_DATACENTER_H

#include <vmferry/error.h>

#include "importer/vsphere/vsphere.h"

/* The datacenter's path through the folders that it is in, as vSphere's other doors take it
 * (dcPath): "DC0", "folder/DC0", "ha-datacenter" of an ESXi host; with a slash, backslash or
 * percent sign inside a name in vSphere's %xx form. *ret_path is the caller's. VF_AUTH where the
 * user may not see what the VM is in; else as of vf_vsphere_fetch_vm. */
int vf_vsphere_fetch_datacenter_path(struct vf_vsphere *vs, const char *vm_moref, char **ret_path,
                                     struct vf_error **err);

#endif
