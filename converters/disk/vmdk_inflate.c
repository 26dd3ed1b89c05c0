#include "converters/disk/vmdk_inflate.h"

#include <inttypes.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#define IN_CAPACITY (VF_REGION_BYTES + VF_REGION_BYTES / 16 + 64 * VF_REGION_MAX_GRAINS)

static int batch_init(void *slot, void *owner, struct vf_error **err)
{
    struct vf_inflate_batch *b = slot;
    b->target = owner;
    b->inflater = libdeflate_alloc_decompressor();
    b->in = malloc(IN_CAPACITY);
    b->out = aligned_alloc(4096, VF_REGION_BYTES);
    if (!b->inflater || !b->in || !b->out) {
        libdeflate_free_decompressor(b->inflater);
        free(b->in);
        free(b->out);
        return vf_error_set(err, VF_SPACE, "no memory for inflating");
    }
    return 0;
}

static void batch_release(void *slot)
{
    struct vf_inflate_batch *b = slot;
    libdeflate_free_decompressor(b->inflater);
    free(b->in);
    free(b->out);
}

void vf_inflate_batch_reset(struct vf_inflate_batch *b, uint64_t region_start)
{
    b->region_start = region_start;
    b->in_len = 0;
    b->n_grains = 0;
    b->zero_from = b->zero_to = 0;
    memset(b->present, 0, sizeof b->present);
}

static int inflate_grain(struct vf_inflate_batch *b, const struct vf_inflate_grain *g,
                         struct vf_error **err)
{
    const struct vf_inflate_target *t = b->target;
    uint64_t start = b->region_start + (uint64_t)g->index * t->grain_bytes;
    uint64_t left = t->capacity_bytes - start;
    size_t wanted = left < t->grain_bytes ? (size_t)left : t->grain_bytes;
    size_t got = 0;

    /* zlib, not raw deflate as the format note says: its Adler-32 is the only checksum there is. */
    enum libdeflate_result r = libdeflate_zlib_decompress(
        b->inflater, b->in + g->in_offset, g->in_bytes, b->out + (size_t)g->index * t->grain_bytes,
        t->grain_bytes, &got);
    if (r != LIBDEFLATE_SUCCESS && r != LIBDEFLATE_SHORT_OUTPUT) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK stream is damaged: the grain at disk offset %" PRIu64
                            " (stream offset %" PRIu64 ") does not inflate%s",
                            start, g->stream_offset,
                            r == LIBDEFLATE_INSUFFICIENT_SPACE ? " into one grain" : "");
    }
    if (got < wanted) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK stream is damaged: the grain at disk offset %" PRIu64
                            " (stream offset %" PRIu64 ") inflates to %zu bytes, not %zu",
                            start, g->stream_offset, got, wanted);
    }
    return 0;
}

/* Data runs and the gaps between them, ascending. */
static int emit(const struct vf_inflate_batch *b, struct vf_error **err)
{
    const struct vf_inflate_target *t = b->target;
    const uint32_t grain = t->grain_bytes;
    const unsigned n = VF_REGION_BYTES / grain;
    uint64_t at = b->zero_from;
    int rc = 0;

    for (unsigned i = 0; i < n && rc == 0;) {
        if (!b->present[i]) {
            i++;
            continue;
        }
        unsigned end = i + 1;
        while (end < n && b->present[end]) {
            end++;
        }
        uint64_t start_bytes = b->region_start + (uint64_t)i * grain;
        uint64_t end_bytes = b->region_start + (uint64_t)end * grain;
        if (end_bytes > t->capacity_bytes) {
            end_bytes = t->capacity_bytes;
        }
        if (b->zero_to > at && start_bytes > at) {
            rc = vf_sink_zero(t->sink, at, start_bytes - at, err);
        }
        if (rc == 0) {
            rc = vf_sink_write(t->sink, b->out + (size_t)i * grain,
                               (size_t)(end_bytes - start_bytes), start_bytes, err);
        }
        at = end_bytes;
        i = end;
    }
    if (rc == 0 && b->zero_to > at) {
        rc = vf_sink_zero(t->sink, at, b->zero_to - at, err);
    }
    return rc;
}

static int batch_run(void *slot, struct vf_lane *lane, struct vf_error **err)
{
    struct vf_inflate_batch *b = slot;
    for (unsigned i = 0; i < b->n_grains; i++) {
        int rc = inflate_grain(b, &b->grains[i], err);
        if (rc) {
            return rc;
        }
    }
    if (b->target->ordered) {
        int rc = vf_lane_wait_turn(lane, slot, err);
        if (rc) {
            return rc;
        }
    }
    return emit(b, err);
}

const struct vf_lane_ops vf_inflate_lane_ops = {
    .slot_size = sizeof(struct vf_inflate_batch),
    .init = batch_init,
    .release = batch_release,
    .run = batch_run,
};
