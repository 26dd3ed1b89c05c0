/* Open a VMDK as a whole: descriptor, extents, and the parents of a delta. */
#ifndef CONVERTERS_DISK_VMDK_IMAGE_H
#define CONVERTERS_DISK_VMDK_IMAGE_H

#include <vmferry/disk.h>
#include <vmferry/error.h>

#include "converters/disk/image.h"

/* `path` is a descriptor or a hosted sparse file with one inside; see vf_image_open. ret_info->kind
 * is left alone. */
int vf_vmdk_image_open(const char *path, struct vf_disk **ret_disk, struct vf_image_info *ret_info,
                       struct vf_error **err);

#endif
