/* Devices of a VirtualMachine. */
#ifndef CONVERTERS_VM_KUBEVIRT_DEVICES_H
#define CONVERTERS_VM_KUBEVIRT_DEVICES_H

#include "converters/vm/kubevirt_vm.h"

/* "virtio" unless told otherwise. */
const char *vf_kubevirt_disk_bus(const struct vf_manifest_plan *plan);

/* domain.devices; `concerns` is added to. */
void vf_kubevirt_devices(const struct vf_manifest_plan *plan, cJSON *domain,
                         struct vf_concerns *concerns);

#endif
