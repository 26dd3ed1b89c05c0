#include "converters/disk/vmdk_cowd.h"

#include <inttypes.h>

#include "converters/disk/vmdk_format.h"
#include "converters/disk/vmdk_grain_map.h"
#include "importer/base/bytes.h"
#include "importer/base/file_io.h"

#define HEAD_BYTES 32u /* of the 2048, what is used here */

static int describe(const uint8_t head[HEAD_BYTES], struct vf_grain_map *ret_map,
                    struct vf_error **err)
{
    if (le32_load(head) != VMDK_COWD_MAGIC) {
        return vf_error_set(err, VF_INVALID, "not a COWD file: it does not begin with \"COWD\"");
    }
    uint32_t version = le32_load(head + VMDK_COWD_VERSION);
    uint32_t capacity = le32_load(head + VMDK_COWD_CAPACITY);
    uint32_t grain = le32_load(head + VMDK_COWD_GRAIN_SIZE);
    uint32_t n_gdes = le32_load(head + VMDK_COWD_GD_ENTRIES);
    if (version != 1) {
        return vf_error_set(err, VF_UNSUPPORTED, "COWD version %" PRIu32 " is not known", version);
    }
    if (capacity == 0) {
        return vf_error_set(err, VF_INVALID, "the COWD header claims a capacity of 0");
    }
    if (grain == 0 || grain > VMDK_MAX_GRAIN_BYTES / VMDK_SECTOR_BYTES ||
        (grain & (grain - 1)) != 0) {
        return vf_error_set(err, VF_INVALID,
                            "the COWD header claims grains of %" PRIu32
                            " sectors; a power of two up to %u is possible",
                            grain, VMDK_MAX_GRAIN_BYTES / VMDK_SECTOR_BYTES);
    }
    uint64_t coverage = (uint64_t)grain * VMDK_COWD_GTES_PER_GT;
    if (n_gdes < (capacity + coverage - 1) / coverage) {
        return vf_error_set(err, VF_INVALID,
                            "the COWD header claims %" PRIu32
                            " grain directory entries, too few for %" PRIu32 " sectors",
                            n_gdes, capacity);
    }
    *ret_map = (struct vf_grain_map){
        .capacity_sectors = capacity,
        .grain_sectors = grain,
        .gtes_per_gt = VMDK_COWD_GTES_PER_GT,
        .gd_sector = le32_load(head + VMDK_COWD_GD_OFFSET),
        .fixed = {{0, VMDK_COWD_HEADER_BYTES}},
    };
    return 0;
}

int vf_vmdk_cowd_open(const struct vf_layer *layer, struct vf_disk **ret_disk,
                      struct vf_error **err)
{
    uint8_t head[HEAD_BYTES];
    struct vf_grain_map map;
    uint64_t file_bytes;
    int rc = vf_file_size(layer->fd, layer->name, &file_bytes, err);
    if (rc == 0) {
        rc = vf_file_pread(layer->fd, layer->name, head, sizeof head, 0, err);
    }
    if (rc == 0) {
        rc = describe(head, &map, err);
    }
    if (rc == 0) {
        rc = vf_grain_map_open(layer, &map, file_bytes, ret_disk, err);
    }
    return rc;
}
