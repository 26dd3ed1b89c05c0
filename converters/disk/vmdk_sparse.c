#include "converters/disk/vmdk_sparse.h"

#include <inttypes.h>

#include "converters/disk/vmdk_grain_map.h"
#include "converters/disk/vmdk_header.h"
#include "importer/base/file_io.h"

static int describe(const struct vf_vmdk_header *h, struct vf_grain_map *ret_map,
                    struct vf_error **err)
{
    if (h->compressed || h->gd_sector == VMDK_GD_AT_END ||
        (h->flags & (VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS))) {
        return vf_error_set(err, VF_UNSUPPORTED, "a streamOptimized VMDK cannot be read at random");
    }
    uint64_t end;
    if (__builtin_add_overflow(h->descriptor_sector, h->descriptor_sectors, &end) ||
        end > INT64_MAX / VMDK_SECTOR_BYTES) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK header puts its descriptor at sector %" PRIu64,
                            h->descriptor_sector);
    }
    *ret_map = (struct vf_grain_map){
        .capacity_sectors = h->capacity_sectors,
        .grain_sectors = (uint32_t)h->grain_sectors,
        .gtes_per_gt = h->gtes_per_gt,
        .gd_sector = h->gd_sector,
        .zero_grains = (h->flags & VMDK_FLAG_ZERO_GRAIN) != 0,
        .fixed = {{0, VMDK_SPARSE_HEADER_BYTES},
                  {h->descriptor_sector * VMDK_SECTOR_BYTES,
                   h->descriptor_sectors * VMDK_SECTOR_BYTES}},
    };
    return 0;
}

int vf_vmdk_sparse_open(const struct vf_layer *layer, struct vf_disk **ret_disk, bool *ret_unclean,
                        struct vf_error **err)
{
    uint8_t bytes[VMDK_SPARSE_HEADER_BYTES];
    struct vf_vmdk_header header;
    struct vf_grain_map map;
    uint64_t file_bytes;
    int rc = vf_file_size(layer->fd, layer->name, &file_bytes, err);
    if (rc == 0) {
        rc = vf_file_pread(layer->fd, layer->name, bytes, sizeof bytes, 0, err);
    }
    if (rc == 0) {
        rc = vf_vmdk_header_parse(bytes, &header, err);
    }
    if (rc == 0) {
        rc = describe(&header, &map, err);
    }
    if (rc == 0) {
        rc = vf_grain_map_open(layer, &map, file_bytes, ret_disk, err);
    }
    if (rc == 0 && ret_unclean) {
        *ret_unclean = header.unclean;
    }
    return rc;
}
