/* One VM by what a person calls it. */
#ifndef JOBS_FIND_VM_H
#define JOBS_FIND_VM_H

#include <vmferry/event.h>
#include <vmferry/vm.h>

#include "converters/vm/mapping.h"
#include "importer/vsphere/vsphere.h"

/* `name`: the VM's name, its inventory path "/DC0/vm/prod/web01", or its reference "vm-42" (on ESXi
 * a number). The result is init-ed here and the caller's on success. VF_MISSING tells names that
 * are near, VF_CONFLICT lists all that match. Its tags come along; where they cannot be had,
 * `reporter` (may be NULL) is warned, and that is all. */
int vf_find_vm(struct vf_vsphere *vs, const char *name, struct vf_reporter *reporter,
               struct vf_vm *ret_vm, struct vf_error **err);

/* The same among VMs that were fetched, brief or not: *ret_moref is borrowed of the one. Pure. */
int vf_find_among(const char *name, const struct vf_vm *vms, size_t n, const char **ret_moref,
                  struct vf_error **err);

/* Whether its disks can be exported now, without a change by its owner: else the error says what
 * stands against it and what helps. `mapping` (may be NULL) decides on raw device mappings. */
int vf_vm_check_exportable(const struct vf_vm *vm, const struct vf_mapping *mapping,
                           struct vf_error **err);

#endif
