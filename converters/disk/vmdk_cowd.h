/* Random access to a COWD file ("vmfsSparse"): the data of a snapshot on VMFS5 and NFS. What it
 * lacks is in its parent. Source of the format: vmdk_format.h.
 */
#ifndef CONVERTERS_DISK_VMDK_COWD_H
#define CONVERTERS_DISK_VMDK_COWD_H

#include <vmferry/disk.h>
#include <vmferry/error.h>

#include "converters/disk/mapped_disk.h"

/* layer->fd is taken over on success; layer->parent NULL only when the descriptor says that this is
 * a base. VF_INVALID: damage; VF_UNSUPPORTED: an unknown version. */
int vf_vmdk_cowd_open(const struct vf_layer *layer, struct vf_disk **ret_disk,
                      struct vf_error **err);

#endif
