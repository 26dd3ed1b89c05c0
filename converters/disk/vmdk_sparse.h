/* Random access to a hosted sparse VMDK: VMware Workstation's and Fusion's disks and snapshots,
 * and qemu-img's default. Source of the format: vmdk_format.h.
 */
#ifndef CONVERTERS_DISK_VMDK_SPARSE_H
#define CONVERTERS_DISK_VMDK_SPARSE_H

#include <stdbool.h>

#include <vmferry/disk.h>
#include <vmferry/error.h>

#include "converters/disk/mapped_disk.h"

/* layer->fd is taken over on success. *ret_unclean (may be NULL): the file was not closed properly.
 * VF_INVALID: damage; VF_UNSUPPORTED: compressed grains or a stream's footer (vmdk_stream.h). */
int vf_vmdk_sparse_open(const struct vf_layer *layer, struct vf_disk **ret_disk, bool *ret_unclean,
                        struct vf_error **err);

#endif
