#include "converters/disk/vmdk_header.h"

#include <inttypes.h>
#include <string.h>

#include "importer/base/bytes.h"

static int check_numbers(const struct vf_vmdk_header *h, struct vf_error **err)
{
    if (h->version < 1 || h->version > 3) {
        return vf_error_set(err, VF_UNSUPPORTED, "VMDK version %" PRIu32 " is not known",
                            h->version);
    }
    if (h->capacity_sectors == 0 ||
        h->capacity_sectors > VMDK_MAX_CAPACITY_BYTES / VMDK_SECTOR_BYTES) {
        return vf_error_set(err, VF_INVALID, "VMDK header claims a capacity of %" PRIu64 " sectors",
                            h->capacity_sectors);
    }
    uint64_t g = h->grain_sectors;
    if (g < 8 || g > VMDK_MAX_GRAIN_BYTES / VMDK_SECTOR_BYTES || (g & (g - 1)) != 0) {
        return vf_error_set(err, VF_INVALID,
                            "VMDK header claims grains of %" PRIu64
                            " sectors; a power of two from 8 to %u is possible",
                            g, VMDK_MAX_GRAIN_BYTES / VMDK_SECTOR_BYTES);
    }
    if (h->gtes_per_gt == 0 || h->gtes_per_gt > 65536 ||
        (h->gtes_per_gt & (h->gtes_per_gt - 1)) != 0) {
        return vf_error_set(err, VF_INVALID,
                            "VMDK header claims %" PRIu32 " entries in a grain table",
                            h->gtes_per_gt);
    }
    if (h->descriptor_sectors > VMDK_MAX_DESCRIPTOR_BYTES / VMDK_SECTOR_BYTES) {
        return vf_error_set(err, VF_INVALID,
                            "VMDK header claims a descriptor of %" PRIu64 " sectors",
                            h->descriptor_sectors);
    }
    return 0;
}

int vf_vmdk_header_parse(const uint8_t bytes[VMDK_SPARSE_HEADER_BYTES],
                         struct vf_vmdk_header *ret_header, struct vf_error **err)
{
    if (le32_load(bytes) != VMDK_SPARSE_MAGIC) {
        return vf_error_set(err, VF_INVALID, "not a sparse VMDK: it does not begin with \"KDMV\"");
    }
    struct vf_vmdk_header h = {
        .version = le32_load(bytes + VMDK_SPARSE_VERSION),
        .flags = le32_load(bytes + VMDK_SPARSE_FLAGS),
        .capacity_sectors = le64_load(bytes + VMDK_SPARSE_CAPACITY),
        .grain_sectors = le64_load(bytes + VMDK_SPARSE_GRAIN_SIZE),
        .descriptor_sector = le64_load(bytes + VMDK_SPARSE_DESC_OFFSET),
        .descriptor_sectors = le64_load(bytes + VMDK_SPARSE_DESC_SIZE),
        .gtes_per_gt = le32_load(bytes + VMDK_SPARSE_GTES_PER_GT),
        .rgd_sector = le64_load(bytes + VMDK_SPARSE_RGD_OFFSET),
        .gd_sector = le64_load(bytes + VMDK_SPARSE_GD_OFFSET),
        .overhead_sectors = le64_load(bytes + VMDK_SPARSE_OVERHEAD),
        .unclean = bytes[VMDK_SPARSE_UNCLEAN] != 0,
    };
    if ((h.flags & VMDK_FLAG_NEWLINE_TEST) &&
        memcmp(bytes + VMDK_SPARSE_NEWLINES, VMDK_NEWLINES, 4) != 0) {
        vf_error_set(err, VF_INVALID, "the VMDK's newline test fails");
        vf_error_hint(err, "the file was changed by a transfer in text mode; copy it again in "
                           "binary mode");
        return VF_INVALID;
    }
    h.compressed = (h.flags & VMDK_FLAG_COMPRESSED) != 0;
    uint16_t algorithm = le16_load(bytes + VMDK_SPARSE_COMPRESSION);
    if (h.compressed && algorithm != VMDK_COMPRESSION_DEFLATE) {
        return vf_error_set(err, VF_UNSUPPORTED, "VMDK compression algorithm %u is not known",
                            algorithm);
    }
    int rc = check_numbers(&h, err);
    if (rc == 0) {
        *ret_header = h;
    }
    return rc;
}
