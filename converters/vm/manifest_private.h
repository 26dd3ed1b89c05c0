/* What the parts of building manifests share. */
#ifndef CONVERTERS_VM_MANIFEST_PRIVATE_H
#define CONVERTERS_VM_MANIFEST_PRIVATE_H

#include <stdbool.h>

#include <vmferry/error.h>

#include "converters/vm/kubevirt_vm.h"

/* VF_INVALID for what Kubernetes or KubeVirt would not take, before anything is built. */
int vf_manifest_check(const struct vf_manifest_plan *plan, struct vf_error **err);

/* Whether the VirtualMachine is the only document. */
bool vf_manifest_is_alone(const struct vf_manifest_plan *plan);

/* What stands above the documents, for people; caller frees. */
char *vf_manifest_comment(const struct vf_manifest_plan *plan, const struct vf_concerns *concerns);

#endif
