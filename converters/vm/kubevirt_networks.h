/* NICs of a VirtualMachine, and the networks behind them. */
#ifndef CONVERTERS_VM_KUBEVIRT_NETWORKS_H
#define CONVERTERS_VM_KUBEVIRT_NETWORKS_H

#include <stdbool.h>

#include "converters/vm/kubevirt_vm.h"

/* "virtio" unless told otherwise. */
const char *vf_kubevirt_nic_model(const struct vf_manifest_plan *plan);

/* Whether any NIC is left in. */
bool vf_kubevirt_has_nics(const struct vf_manifest_plan *plan);

/* domain.devices.interfaces; `concerns` is added to. */
void vf_kubevirt_interfaces(const struct vf_manifest_plan *plan, cJSON *devices,
                            struct vf_concerns *concerns);

/* spec.networks */
void vf_kubevirt_networks(const struct vf_manifest_plan *plan, cJSON *spec);

#endif
