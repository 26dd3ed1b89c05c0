/* The 512-byte header of a sparse VMDK ("KDMV"), checked; shared by the stream decoder and the
 * random-access reader. Pure. Source: see vmdk_format.h.
 */
#ifndef CONVERTERS_DISK_VMDK_HEADER_H
#define CONVERTERS_DISK_VMDK_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "converters/disk/vmdk_format.h"

struct vf_vmdk_header {
    uint32_t version;
    uint32_t flags;
    uint64_t capacity_sectors;
    uint64_t grain_sectors; /* power of two, 8..2048 */
    uint64_t descriptor_sector, descriptor_sectors;
    uint32_t gtes_per_gt;
    uint64_t rgd_sector, gd_sector; /* gd_sector may be VMDK_GD_AT_END */
    uint64_t overhead_sectors;
    bool unclean;
    bool compressed;
};

/* VF_INVALID for a wrong magic, a file mangled by a text-mode transfer, or absurd numbers. */
int vf_vmdk_header_parse(const uint8_t bytes[VMDK_SPARSE_HEADER_BYTES],
                         struct vf_vmdk_header *ret_header, struct vf_error **err);

#endif
