/* What preflight knows of the target: a few queries, however many VMs there are. */
#ifndef JOBS_PREFLIGHT_TARGET_FACTS_H
#define JOBS_PREFLIGHT_TARGET_FACTS_H

#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/kube/client.h"
#include "jobs/preflight/facts.h"
#include "jobs/preflight/rule.h"

/* Fills into->kubevirt, into->target and into->has_target, and settles into->names against what is
 * in the namespace, as an import does: a name that vmferry's import of another VM has is replaced
 * by the VM's distinct one, unless it was told by --name. Adds findings of what was tried: the
 * upload proxy and a token, for target UPLOAD, unless the probe is NONE. Where claims are mounted
 * here nothing is asked, and into->has_target is false: whoever made them has looked, as a worker's
 * launcher does, and a worker's account may not. An error only where the cluster cannot be reached,
 * or on cancellation. */
int vf_target_facts_gather(struct vf_kube_client *client, const struct vf_check_options *options,
                           const struct vf_vm *vms, size_t n, const struct vf_cancel *cancel,
                           struct vf_facts *into, struct vf_findings *findings,
                           struct vf_error **err);

/* What stays the same for a VM, whatever it is called: by this its imports know their own. NULL:
 * nothing does. Borrowed. */
const char *vf_target_identity(const struct vf_vm *vm);

#endif
