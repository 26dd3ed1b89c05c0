/* A disk put together from parts that follow each other: the extents of a VMDK. */
#ifndef CONVERTERS_DISK_VMDK_EXTENTS_H
#define CONVERTERS_DISK_VMDK_EXTENTS_H

#include <stddef.h>
#include <stdint.h>

#include <vmferry/disk.h>
#include <vmferry/error.h>

struct vf_vmdk_part {
    struct vf_disk *disk; /* NULL: reads as zero */
    uint64_t length_bytes;
};

/* Owns the disks of the parts and `parent` (may be NULL; the parts refer to it) from now on; each
 * disk is at least as long as its part. The array is copied. */
struct vf_disk *vf_vmdk_extents_new(const struct vf_vmdk_part *parts, size_t n,
                                    struct vf_disk *parent);

#endif
