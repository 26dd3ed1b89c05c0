/* Private to the stream decoder: one region's grains, inflated and emitted on a pool thread. */
#ifndef CONVERTERS_DISK_VMDK_INFLATE_H
#define CONVERTERS_DISK_VMDK_INFLATE_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/sink.h>

#include "converters/disk/vmdk_format.h"
#include "importer/base/pool.h"

/* Grains are gathered by region: large writes, a working set that stays in the core's cache, and
 * whole leaves for the digest stage. */
#define VF_REGION_BYTES      (1u << 20)
#define VF_REGION_MAX_GRAINS (VF_REGION_BYTES / (8 * VMDK_SECTOR_BYTES))

/* What a deflated grain may take at most: stored blocks and headers, with room. */
#define VF_GRAIN_MAX_DEFLATED(grain_bytes) ((grain_bytes) + (grain_bytes) / 16 + 64)

/* What all batches of one decode share. */
struct vf_inflate_target {
    struct vf_sink *sink;
    uint64_t capacity_bytes;
    uint32_t grain_bytes;
    bool ordered; /* emit in submission order */
};

struct vf_inflate_grain {
    uint64_t stream_offset; /* of its record, for errors */
    uint32_t in_offset, in_bytes;
    uint32_t index; /* within the region */
};

struct vf_inflate_batch {
    const struct vf_inflate_target *target;
    struct libdeflate_decompressor *inflater;
    uint8_t *in, *out;
    uint32_t in_len;
    uint64_t region_start;
    /* [zero_from, zero_to) is this batch's to settle: what no grain covers there is zero. */
    uint64_t zero_from, zero_to;
    unsigned n_grains;
    struct vf_inflate_grain grains[VF_REGION_MAX_GRAINS];
    bool present[VF_REGION_MAX_GRAINS];
};

extern const struct vf_lane_ops vf_inflate_lane_ops; /* owner: struct vf_inflate_target */

void vf_inflate_batch_reset(struct vf_inflate_batch *b, uint64_t region_start);

#endif
