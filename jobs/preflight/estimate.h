/* How long a copy takes, from what is used and how fast it was read. Pure. */
#ifndef JOBS_PREFLIGHT_ESTIMATE_H
#define JOBS_PREFLIGHT_ESTIMATE_H

#include <vmferry/vm.h>

#include "jobs/preflight/facts.h"
#include "jobs/preflight/preflight.h"

/* Which transport the estimate is of: the one asked for, else the first of vddk and https that was
 * seen to work where the VM is, else nfc. `path` may be NULL. */
enum vf_transport_kind vf_estimate_transport(const struct vf_check_options *options,
                                             const struct vf_vm *vm,
                                             const struct vf_path_facts *path);

/* With a measured rate of that transport (of the VM's host or datastore, else of others), or the
 * usual one. How much a guest writes is assumed. */
void vf_estimate_copy(const struct vf_check_options *options, const struct vf_vm *vm,
                      const struct vf_path_facts *path, struct vf_estimate *ret);

#endif
