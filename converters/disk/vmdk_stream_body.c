/* The records of a stream: grains, gathered by region and handed to the pool, and markers. */
#include <inttypes.h>
#include <string.h>

#include "converters/disk/vmdk_stream.h"
#include "converters/disk/vmdk_stream_private.h"
#include "importer/base/bytes.h"
#include "importer/base/mem.h"
#include "importer/base/zero.h"

#define MAX_TRAILING_BYTES (1u << 20)
/* Regions under way at once: beyond this many threads a stream's one reader is the limit. */
#define MAX_BATCHES 18u

static int submit_batch(struct vf_vmdk_stream *s, struct vf_error **err)
{
    struct vf_inflate_batch *b = vf_take(s->batch);
    if (!b) {
        return 0;
    }
    if (b->region_start >= s->settled_bytes) {
        uint64_t end = b->region_start + VF_REGION_BYTES;
        b->zero_from = s->settled_bytes;
        b->zero_to = end < s->capacity_bytes ? end : s->capacity_bytes;
        s->settled_bytes = b->zero_to;
        vf_lane_submit(s->lane, b);
        return 0;
    }
    /* Out of order: its place was given as zero before. That must have happened by now, lest the
     * zero land on the data; and the sink must take a second write. */
    const unsigned needed = VF_SINK_RANDOM | VF_SINK_REWRITABLE;
    if ((s->target.sink->caps & needed) != needed) {
        vf_lane_abandon(s->lane, b);
        return vf_error_set(err, VF_UNSUPPORTED,
                            "the VMDK stream has its grains out of order (disk offset %" PRIu64
                            " after %" PRIu64 "), and this target takes ordered data only",
                            b->region_start, s->settled_bytes);
    }
    vf_lane_submit(s->lane, b);
    return 0;
}

static int batch_for(struct vf_vmdk_stream *s, uint64_t region_start, struct vf_error **err)
{
    if (s->batch && s->batch->region_start == region_start) {
        return 0;
    }
    int rc = submit_batch(s, err);
    if (rc == 0 && region_start < s->settled_bytes) {
        rc = vf_lane_drain(s->lane, err);
    }
    void *slot = NULL;
    if (rc == 0) {
        rc = vf_lane_acquire(s->lane, &slot, err);
    }
    if (rc == 0) {
        s->batch = slot;
        vf_inflate_batch_reset(s->batch, region_start);
    }
    return rc;
}

static int check_grain(struct vf_vmdk_stream *s, uint64_t lba, uint32_t size, struct vf_error **err)
{
    if (lba >= s->header.capacity_sectors) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK stream is damaged: at offset %" PRIu64
                            " stands a grain for sector %" PRIu64
                            ", beyond the capacity of %" PRIu64 " sectors",
                            s->offset_bytes, lba, s->header.capacity_sectors);
    }
    if (lba % s->header.grain_sectors != 0) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK stream is damaged: at offset %" PRIu64
                            " stands a grain for sector %" PRIu64
                            ", which is not a multiple of %" PRIu64,
                            s->offset_bytes, lba, s->header.grain_sectors);
    }
    if (size > VF_GRAIN_MAX_DEFLATED(s->grain_bytes)) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK stream is damaged: at offset %" PRIu64
                            " stands a deflated grain of %" PRIu32 " bytes",
                            s->offset_bytes, size);
    }
    if (vf_bitmap_test_and_set(&s->seen, lba / s->header.grain_sectors)) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK stream is damaged: at offset %" PRIu64
                            " stands a second grain for sector %" PRIu64,
                            s->offset_bytes, lba);
    }
    return 0;
}

static int take_grain(struct vf_vmdk_stream *s, uint64_t lba, uint32_t size, struct vf_error **err)
{
    int rc = check_grain(s, lba, size, err);
    uint64_t start = lba * SECTOR;
    if (rc == 0 && !s->tables_in_front) {
        rc = vf_stream_tables_add_grain(&s->tables, lba / s->header.grain_sectors,
                                        s->offset_bytes / SECTOR, err);
    }
    if (rc == 0) {
        rc = batch_for(s, start & ~(uint64_t)(VF_REGION_BYTES - 1), err);
    }
    if (rc) {
        return rc;
    }
    struct vf_inflate_batch *b = s->batch;
    unsigned index = (unsigned)((start - b->region_start) / s->grain_bytes);
    b->grains[b->n_grains++] = (struct vf_inflate_grain){
        .stream_offset = s->offset_bytes, .in_offset = b->in_len, .in_bytes = size, .index = index};
    b->present[index] = true;
    uint8_t *to = b->in + b->in_len;
    b->in_len += size;

    vf_vmdk_consume(s, VMDK_GRAIN_HEADER_BYTES);
    rc = vf_vmdk_take(s, to, size, "within a grain", err);
    uint32_t used = (VMDK_GRAIN_HEADER_BYTES + size) % SECTOR;
    if (rc == 0 && used) {
        /* qemu-img does not pad the last record of a file. */
        rc = vf_vmdk_fill(s, SECTOR - used, err);
        if (rc == 0) {
            size_t have = vf_vmdk_available(s);
            vf_vmdk_consume(s, have < SECTOR - used ? have : SECTOR - used);
        }
    }
    return rc;
}

/* Behind the end nothing may stand but padding: anything else has no meaning that we know. */
static int take_trailer(struct vf_vmdk_stream *s, struct vf_error **err)
{
    uint64_t limit = s->offset_bytes + MAX_TRAILING_BYTES;
    for (;;) {
        struct vf_error *e = NULL;
        int rc = vf_vmdk_fill(s, SECTOR, &e);
        if (rc == VF_RETRY) {
            /* All is here: that the transport ended without the form that it should have is no
             * loss. */
            vf_error_free(e);
            return 0;
        }
        if (rc) {
            vf_error_move(err, &e);
            return rc;
        }
        size_t have = vf_vmdk_available(s);
        if (have == 0) {
            return 0;
        }
        if (!vf_is_zero(s->buf + s->pos, have) || s->offset_bytes > limit) {
            return vf_error_set(err, VF_INVALID,
                                "the VMDK stream goes on after its end, at offset %" PRIu64,
                                s->offset_bytes);
        }
        vf_vmdk_consume(s, have);
    }
}

/* How many sectors of metadata follow a marker of this type. */
static bool marker_fits(const struct vf_vmdk_stream *s, uint32_t type, uint64_t value)
{
    switch (type) {
    case VMDK_MARKER_GRAIN_TABLE:
        return value == ((uint64_t)s->header.gtes_per_gt * 4 + SECTOR - 1) / SECTOR;
    case VMDK_MARKER_GRAIN_DIR:
        return value >= (s->tables.n_tables * 4 + SECTOR - 1) / SECTOR &&
               value <= VMDK_MAX_DIRECTORY_BYTES / SECTOR;
    case VMDK_MARKER_FOOTER:
        return value == 1;
    case VMDK_MARKER_PROGRESS:
        return value <= 1;
    case VMDK_MARKER_EOS:
        return value == 0;
    default:
        return false;
    }
}

static int take_table(struct vf_vmdk_stream *s, struct vf_error **err)
{
    uint64_t sector = s->offset_bytes / SECTOR;
    int rc = vf_vmdk_take(s, s->tables.table, (uint64_t)s->header.gtes_per_gt * 4,
                          "within a grain table", err);
    return rc ? rc : vf_stream_tables_add_table(&s->tables, sector, err);
}

static int take_directory(struct vf_vmdk_stream *s, struct vf_error **err)
{
    uint8_t *vf_autofree directory = vf_xcalloc(s->tables.n_tables, 4);
    int rc = vf_vmdk_take(s, directory, s->tables.n_tables * 4, "within the grain directory", err);
    return rc ? rc : vf_stream_tables_check(&s->tables, directory, err);
}

/* The header once more: its numbers stand unguarded but for this copy. */
static int take_footer(struct vf_vmdk_stream *s, struct vf_error **err)
{
    uint8_t bytes[VMDK_SPARSE_HEADER_BYTES];
    struct vf_vmdk_header footer;
    int rc = vf_vmdk_take(s, bytes, sizeof bytes, "within the footer", err);
    if (rc == 0) {
        rc = vf_vmdk_header_parse(bytes, &footer, err);
    }
    if (rc) {
        return rc;
    }
    if (footer.capacity_sectors != s->header.capacity_sectors ||
        footer.grain_sectors != s->header.grain_sectors) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK stream is damaged: its header and its footer disagree");
    }
    return 0;
}

static int take_metadata(struct vf_vmdk_stream *s, uint32_t type, struct vf_error **err)
{
    switch (type) {
    case VMDK_MARKER_GRAIN_TABLE:
        return take_table(s, err);
    case VMDK_MARKER_GRAIN_DIR:
        return take_directory(s, err);
    case VMDK_MARKER_FOOTER:
        return take_footer(s, err);
    default:
        return 0;
    }
}

static int take_marker(struct vf_vmdk_stream *s, uint64_t value, uint32_t type,
                       struct vf_error **err)
{
    if (!marker_fits(s, type, value)) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK stream is damaged: at offset %" PRIu64
                            " stands a marker of type %" PRIu32 " and size %" PRIu64,
                            s->offset_bytes, type, value);
    }
    vf_vmdk_consume(s, SECTOR);
    if (type == VMDK_MARKER_EOS) {
        s->marker_seen = true;
        return take_trailer(s, err);
    }
    uint64_t end = s->offset_bytes + value * SECTOR;
    /* With the tables in front there is nothing to learn from a second set. */
    int rc = s->tables_in_front ? 0 : take_metadata(s, type, err);
    return rc ? rc : vf_vmdk_take(s, NULL, end - s->offset_bytes, "within its tables", err);
}

/* One record. *ret_end at the end of the stream, whatever kind of end it is. */
static int take_record(struct vf_vmdk_stream *s, bool *ret_end, struct vf_error **err)
{
    int rc = vf_vmdk_fill(s, SECTOR, err);
    if (rc) {
        return rc;
    }
    size_t have = vf_vmdk_available(s);
    const uint8_t *p = s->buf + s->pos;
    if (s->tables_in_front && vf_is_zero(p, have < SECTOR ? have : SECTOR)) {
        /* No markers in this style: padding, or the end of the file. */
        vf_vmdk_consume(s, have < SECTOR ? have : SECTOR);
        *ret_end = have < SECTOR;
        return 0;
    }
    if (have < VMDK_GRAIN_HEADER_BYTES) {
        return vf_vmdk_truncated(s, "without an end-of-stream marker", err);
    }
    uint64_t lba = le64_load(p);
    uint32_t size = le32_load(p + 8);
    if (size > 0) {
        return take_grain(s, lba, size, err);
    }
    if (have < SECTOR) {
        return vf_vmdk_truncated(s, "without an end-of-stream marker", err);
    }
    rc = take_marker(s, lba, le32_load(p + VMDK_GRAIN_HEADER_BYTES), err);
    *ret_end = s->marker_seen;
    return rc;
}

static int check_complete(struct vf_vmdk_stream *s, struct vf_error **err)
{
    if (!s->tables_in_front) {
        /* The marker was met: take_record gives no other end. */
        return s->tables.complete ? 0
                                  : vf_error_set(err, VF_INVALID,
                                                 "the VMDK stream ended without the grain "
                                                 "directory that proves it complete");
    }
    uint64_t grain = vf_bitmap_first_difference(&s->expected, &s->seen);
    if (grain == UINT64_MAX) {
        return 0;
    }
    vf_error_set(err, VF_INVALID,
                 "the VMDK stream is incomplete: its tables and its grains disagree at disk "
                 "offset %" PRIu64,
                 grain * s->grain_bytes);
    vf_error_hint(err, "the file was cut short or damaged; get it again");
    return VF_INVALID;
}

static int decode_body(struct vf_vmdk_stream *s, struct vf_error **err)
{
    int rc = 0;
    for (bool end = false; rc == 0 && !end;) {
        rc = take_record(s, &end, err);
    }
    if (rc == 0) {
        rc = check_complete(s, err);
    }
    if (rc == 0) {
        rc = submit_batch(s, err);
    }
    if (s->batch) {
        vf_lane_abandon(s->lane, vf_take(s->batch));
    }
    if (rc == 0) {
        rc = vf_lane_drain(s->lane, err);
    }
    if (rc == 0 && s->settled_bytes < s->capacity_bytes) {
        rc = vf_sink_zero(s->target.sink, s->settled_bytes, s->capacity_bytes - s->settled_bytes,
                          err);
    }
    return rc;
}

int vf_vmdk_stream_decode(struct vf_vmdk_stream *s, struct vf_sink *sink, struct vf_pool *pool,
                          struct vf_cancel *cancel, struct vf_error **err)
{
    const unsigned parallel = VF_SINK_RANDOM | VF_SINK_PARALLEL;
    s->target = (struct vf_inflate_target){.sink = sink,
                                           .capacity_bytes = s->capacity_bytes,
                                           .grain_bytes = s->grain_bytes,
                                           .ordered = (sink->caps & parallel) != parallel};
    unsigned slots = vf_pool_threads(pool) + 1;
    slots = slots < MAX_BATCHES ? slots : MAX_BATCHES;
    int rc = vf_lane_new(pool, slots, &vf_inflate_lane_ops, &s->target, cancel, &s->lane, err);
    if (rc) {
        return rc;
    }
    rc = vf_lane_settle(s->lane, decode_body(s, err), err);
    vf_lane_free(vf_take(s->lane));
    return rc;
}
