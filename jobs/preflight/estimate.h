/* How long a copy takes, from what is used and how fast it was read. Pure. */
#ifndef JOBS_PREFLIGHT_ESTIMATE_H
#define JOBS_PREFLIGHT_ESTIMATE_H

#include <vmferry/vm.h>

#include "jobs/preflight/facts.h"
#include "jobs/preflight/preflight.h"

/* Of the transport that would be taken: as asked for, else the first of vddk, https and nfc that
 * was seen to work. `path` may be NULL. */
void vf_estimate_copy(const struct vf_check_options *options, const struct vf_vm *vm,
                      const struct vf_path_facts *path, struct vf_estimate *ret);

#endif
