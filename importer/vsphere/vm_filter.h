/* Which VMs a query wants. */
#ifndef IMPORTER_VSPHERE_VM_FILTER_H
#define IMPORTER_VSPHERE_VM_FILTER_H

#include <stdbool.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/vsphere/inventory.h"

/* VF_INVALID for a power state that there is none of. `q` may be NULL, here and below. */
int vf_vm_query_check(const struct vf_vm_query *q, struct vf_error **err);

bool vf_vm_query_wants_name(const struct vf_vm_query *q, const char *name);
/* Folder and power, by the filled VM. */
bool vf_vm_query_wants_place(const struct vf_vm_query *q, const struct vf_vm *vm);
bool vf_vm_query_wants_tags(const struct vf_vm_query *q, const struct vf_vm *vm);

#endif
