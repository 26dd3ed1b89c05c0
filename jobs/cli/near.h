/* VM names that were not found, and those that may have been meant. Pure. */
#ifndef JOBS_CLI_NEAR_H
#define JOBS_CLI_NEAR_H

#include <stddef.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

/* The first of `names` (NULL-terminated, may be NULL) that no VM has; NULL when all are there. */
const char *vf_near_first_missing(const char *const *names, const struct vf_vm *vms, size_t n);

/* VF_MISSING; the hint names up to three VMs with a name like it. */
int vf_near_set_error(struct vf_error **err, const char *name, const struct vf_vm *vms, size_t n);

#endif
