/* A raw image, block device, or flat extent as a disk: its bytes are the content. */
#ifndef CONVERTERS_DISK_RAW_DISK_H
#define CONVERTERS_DISK_RAW_DISK_H

#include <stdint.h>

#include <vmferry/disk.h>
#include <vmferry/error.h>

/* The bytes [offset, offset + length) of fd; length UINT64_MAX means all that follow. `name` is for
 * errors, copied. fd is taken over on success. Extents come from SEEK_HOLE where the filesystem
 * tells, else everything is data. VF_INVALID when the file is too short. */
int vf_raw_disk_open(int fd, const char *name, uint64_t offset_bytes, uint64_t length_bytes,
                     struct vf_disk **ret_disk, struct vf_error **err);

#endif
