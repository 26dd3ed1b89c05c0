/* Instance types and preferences: what a VirtualMachine takes its size and its guest's wishes from.
 *
 * A VM whose volumes are adopted cannot infer them (only a template's source is looked at, and that
 * is blank), so the VM names them itself, and its boot volume carries the labels for others.
 *
 * Source: KubeVirt user guide, "Instance types and preferences", inference from volumes.
 */
#ifndef CONVERTERS_VM_KUBEVIRT_INSTANCETYPE_H
#define CONVERTERS_VM_KUBEVIRT_INSTANCETYPE_H

#include <cjson/cJSON.h>

#include <vmferry/error.h>

#include "converters/vm/kubevirt_vm.h"

/* Decide plan->instancetype and plan->preference from the mapping; released by the one below.
 * "auto" that leads to none is a concern, and the VM has its own CPUs and memory then. VF_INVALID:
 * a kind that KubeVirt does not have. */
int vf_kubevirt_choose_types(struct vf_manifest_plan *plan, struct vf_concerns *concerns,
                             struct vf_error **err);
void vf_kubevirt_release_types(struct vf_manifest_plan *plan);

/* spec.instancetype, spec.preference */
void vf_kubevirt_types(const struct vf_manifest_plan *plan, cJSON *spec);

/* The labels from which another VM infers both: of the boot disk's DataVolume and claim alone,
 * since consoles list volumes that have them as such to boot from. By what the VM itself takes,
 * else by the row of its guest. */
void vf_kubevirt_infer_labels(const struct vf_manifest_plan *plan, cJSON *labels);

#endif
