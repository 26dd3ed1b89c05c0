/* The map that hosted sparse and COWD files share: a grain directory of u32 sectors of grain
 * tables, tables of u32 sectors of grains. Private to converters/disk.
 */
#ifndef CONVERTERS_DISK_VMDK_GRAIN_MAP_H
#define CONVERTERS_DISK_VMDK_GRAIN_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "converters/disk/mapped_disk.h"

struct vf_span {
    uint64_t offset_bytes, length_bytes;
};

struct vf_grain_map {
    uint64_t capacity_sectors;
    uint32_t grain_sectors;
    uint32_t gtes_per_gt;
    uint64_t gd_sector;
    bool zero_grains;        /* an entry of 1 means zero */
    struct vf_span fixed[2]; /* header and descriptor: nothing else may lie there */
};

/* Checks the directory: every table inside the file, none twice, none over another part. The
 * tables are checked as they are used. VF_INVALID says where and what. layer->fd is taken over on
 * success. */
int vf_grain_map_open(const struct vf_layer *layer, const struct vf_grain_map *map,
                      uint64_t file_bytes, struct vf_disk **ret_disk, struct vf_error **err);

#endif
