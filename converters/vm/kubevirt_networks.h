/* NICs of a VirtualMachine, and the networks behind them. */
#ifndef CONVERTERS_VM_KUBEVIRT_NETWORKS_H
#define CONVERTERS_VM_KUBEVIRT_NETWORKS_H

#include <stdbool.h>
#include <stdint.h>

#include "converters/vm/kubevirt_vm.h"

/* As told, else what the guest's row of the OS table has drivers for, else "virtio". */
const char *vf_kubevirt_nic_model(const struct vf_manifest_plan *plan);

/* Whether any NIC that is left in is an emulated one of model virtio. */
bool vf_kubevirt_has_virtio_nics(const struct vf_manifest_plan *plan);

/* domain.devices.interfaces; `boot` is one a NIC of the VM, 0: not booted from. `concerns` is added
 * to. */
void vf_kubevirt_interfaces(const struct vf_manifest_plan *plan, const uint32_t *boot,
                            cJSON *devices, struct vf_concerns *concerns);

/* Adds what becomes of the addresses that the NICs have. */
void vf_address_concerns(const struct vf_manifest_plan *plan, struct vf_concerns *concerns);

/* spec.networks */
void vf_kubevirt_networks(const struct vf_manifest_plan *plan, cJSON *spec);

#endif
