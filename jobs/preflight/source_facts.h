/* What preflight knows of the source: hosts, datastores, privileges, clock; a handful of calls,
 * however many VMs there are.
 */
#ifndef JOBS_PREFLIGHT_SOURCE_FACTS_H
#define JOBS_PREFLIGHT_SOURCE_FACTS_H

#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/vsphere/vsphere.h"
#include "jobs/preflight/facts.h"

/* Each part that cannot be had is not known, with a line in ret->unknown. An error only for a
 * cancellation, of `cancel` or of the session. */
int vf_source_facts_fetch(struct vf_vsphere *vs, const struct vf_check_options *options,
                          const struct vf_vm *vms, size_t n, const struct vf_cancel *cancel,
                          struct vf_source_facts *ret, struct vf_error **err);
void vf_source_facts_release(struct vf_source_facts *f); /* an all-zero struct is fine */

#endif
