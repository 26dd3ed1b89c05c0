/* Volumes of a VirtualMachine, and the DataVolumes that they name or adopt. */
#ifndef CONVERTERS_VM_KUBEVIRT_VOLUMES_H
#define CONVERTERS_VM_KUBEVIRT_VOLUMES_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "converters/vm/kubevirt_vm.h"

/* What the options tell of a disk; nothing at all unless they do. */
const struct vf_manifest_disk *vf_kubevirt_disk_options(const struct vf_manifest_plan *plan,
                                                        size_t i);

/* A document of its own: the place that waits for the disk. */
cJSON *vf_kubevirt_data_volume(const struct vf_manifest_plan *plan, size_t i);

/* spec.dataVolumeTemplates of the VirtualMachine, for claims that are there and filled. */
void vf_kubevirt_adopt(const struct vf_manifest_plan *plan, cJSON *spec);

/* volumes of the template's spec */
void vf_kubevirt_volumes(const struct vf_manifest_plan *plan, cJSON *spec);

#endif
