/* Devices of a VirtualMachine. */
#ifndef CONVERTERS_VM_KUBEVIRT_DEVICES_H
#define CONVERTERS_VM_KUBEVIRT_DEVICES_H

#include "converters/vm/kubevirt_drives.h"
#include "converters/vm/kubevirt_vm.h"

/* domain.devices; `concerns` is added to. */
void vf_kubevirt_devices(const struct vf_manifest_plan *plan, cJSON *domain,
                         struct vf_concerns *concerns);

/* Adds what the guest's devices lose, and what its drivers may lack. */
void vf_device_concerns(const struct vf_manifest_plan *plan, const struct vf_drives *drives,
                        struct vf_concerns *concerns);

#endif
