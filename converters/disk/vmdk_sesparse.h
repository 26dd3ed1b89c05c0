/* Random access to a SESparse file: the data of a snapshot on VMFS6. What it lacks is in its
 * parent. The format is not documented by VMware; source: qemu block/vmdk.c, see vmdk_format.h.
 */
#ifndef CONVERTERS_DISK_VMDK_SESPARSE_H
#define CONVERTERS_DISK_VMDK_SESPARSE_H

#include <vmferry/disk.h>
#include <vmferry/error.h>

#include "converters/disk/mapped_disk.h"

/* layer->fd is taken over on success; layer->parent NULL only when the descriptor says that this is
 * a base. VF_INVALID: damage; VF_UNSUPPORTED: unknown version or features, or a journal that was
 * not replayed (the host died while it wrote). */
int vf_vmdk_sesparse_open(const struct vf_layer *layer, struct vf_disk **ret_disk,
                          struct vf_error **err);

#endif
