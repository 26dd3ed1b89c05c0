/* Devices of a VirtualMachine, and the networks and volumes behind them. */
#ifndef CONVERTERS_VM_KUBEVIRT_DEVICES_H
#define CONVERTERS_VM_KUBEVIRT_DEVICES_H

#include "converters/vm/kubevirt_vm.h"

/* domain.devices; `concerns` is added to. */
void vf_kubevirt_devices(const struct vf_manifest_plan *plan, cJSON *domain,
                         struct vf_concerns *concerns);

/* spec.networks, spec.volumes */
void vf_kubevirt_networks_and_volumes(const struct vf_manifest_plan *plan, cJSON *spec);

#endif
