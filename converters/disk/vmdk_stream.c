#include "converters/disk/vmdk_stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "converters/disk/bitmap.h"
#include "converters/disk/vmdk_descriptor.h"
#include "converters/disk/vmdk_header.h"
#include "converters/disk/vmdk_inflate.h"
#include "converters/disk/vmdk_stream_tables.h"
#include "importer/base/bytes.h"
#include "importer/base/mem.h"
#include "importer/base/zero.h"

#define BUFFER_BYTES       (256u << 10)
#define MAX_TRAILING_BYTES (1u << 20)
#define SECTOR             VMDK_SECTOR_BYTES

struct vf_vmdk_stream {
    struct vf_stream *in;
    uint8_t *buf;
    size_t pos, len;
    uint64_t offset_bytes; /* in the stream, of buf[pos] */
    bool in_ended;

    struct vf_vmdk_header header;
    uint64_t capacity_bytes;
    uint32_t grain_bytes;
    bool tables_in_front; /* qemu-img style: the tables tell what must come */
    bool marker_seen;     /* the end-of-stream marker */
    struct vf_bitmap expected, seen;
    struct vf_stream_tables tables; /* ESXi style: they tell what must have come */

    /* During decode. */
    struct vf_inflate_target target;
    struct vf_lane *lane;
    struct vf_inflate_batch *batch; /* being filled; NULL: none */
    uint64_t settled_bytes;         /* all below is some submitted batch's to settle */
};

/* --- buffered reading -------------------------------------------------------------------- */

/* Have up to `want` (at most BUFFER_BYTES) contiguous bytes; fewer only at the end. */
static int fill(struct vf_vmdk_stream *s, size_t want, struct vf_error **err)
{
    if (s->len - s->pos >= want || s->in_ended) {
        return 0;
    }
    memmove(s->buf, s->buf + s->pos, s->len - s->pos);
    s->len -= s->pos;
    s->pos = 0;
    while (s->len < want && !s->in_ended) {
        size_t n = 0;
        int rc = s->in->ops->read(s->in, s->buf + s->len, BUFFER_BYTES - s->len, &n, err);
        if (rc) {
            return rc;
        }
        s->len += n;
        s->in_ended = n == 0;
    }
    return 0;
}

static size_t available(const struct vf_vmdk_stream *s)
{
    return s->len - s->pos;
}

static void consume(struct vf_vmdk_stream *s, size_t n)
{
    s->pos += n;
    s->offset_bytes += n;
}

static int truncated(const struct vf_vmdk_stream *s, const char *where, struct vf_error **err)
{
    vf_error_set(err, VF_INVALID, "the VMDK stream is cut short at offset %" PRIu64 ", %s",
                 s->offset_bytes + available(s), where);
    vf_error_hint(err, "what was copied is incomplete and was discarded; start the copy again");
    return VF_INVALID;
}

/* Copy n bytes to dst, or drop them when dst is NULL. */
static int take(struct vf_vmdk_stream *s, void *dst, uint64_t n, const char *where,
                struct vf_error **err)
{
    uint8_t *to = dst;
    while (n > 0) {
        int rc = fill(s, 1, err);
        if (rc) {
            return rc;
        }
        size_t have = available(s);
        if (have == 0) {
            return truncated(s, where, err);
        }
        size_t part = have < n ? have : (size_t)n;
        if (to) {
            memcpy(to, s->buf + s->pos, part);
            to += part;
        }
        consume(s, part);
        n -= part;
    }
    return 0;
}

static int skip_to_sector(struct vf_vmdk_stream *s, uint64_t sector, const char *what,
                          struct vf_error **err)
{
    if (sector > UINT64_MAX / SECTOR || sector * SECTOR < s->offset_bytes) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK's %s is said to be at sector %" PRIu64
                            ", which lies outside the part before the grains",
                            what, sector);
    }
    return take(s, NULL, sector * SECTOR - s->offset_bytes, "before the grains", err);
}

/* --- head: header, descriptor, tables ---------------------------------------------------- */

static int check_descriptor(const char *text, size_t len, uint64_t capacity_sectors,
                            struct vf_error **err)
{
    struct vf_vmdk_descriptor d;
    int rc = vf_vmdk_descriptor_parse(text, len, &d, err);
    if (rc) {
        return rc;
    }
    if (d.encrypted) {
        rc = vf_error_set(err, VF_UNSUPPORTED, "the VMDK is encrypted");
        vf_error_hint(err, "decrypt the VM's disks on the source (edit its storage policy) first");
    } else if (d.parent_cid != VMDK_CID_NONE) {
        rc = vf_error_set(err, VF_UNSUPPORTED,
                          "the VMDK holds only what changed since its parent (parentCID %08" PRIx32
                          "); it is no full disk",
                          d.parent_cid);
    } else if (d.n_extents == 1 && d.capacity_sectors != capacity_sectors) {
        rc = vf_error_set(err, VF_INVALID,
                          "the VMDK's header claims a capacity of %" PRIu64
                          " sectors, and its descriptor %" PRIu64,
                          capacity_sectors, d.capacity_sectors);
    }
    vf_vmdk_descriptor_release(&d);
    return rc;
}

static int read_descriptor(struct vf_vmdk_stream *s, struct vf_error **err)
{
    const struct vf_vmdk_header *h = &s->header;
    if (h->descriptor_sector == 0 || h->descriptor_sectors == 0) {
        return 0;
    }
    uint64_t end;
    if (__builtin_add_overflow(h->descriptor_sector, h->descriptor_sectors, &end) ||
        end > h->overhead_sectors) {
        return vf_error_set(err, VF_INVALID, "the VMDK's descriptor lies outside its head");
    }
    int rc = skip_to_sector(s, h->descriptor_sector, "descriptor", err);
    if (rc) {
        return rc;
    }
    size_t len = (size_t)h->descriptor_sectors * SECTOR;
    char *vf_autofree text = vf_xcalloc(len + 1, 1);
    rc = take(s, text, len, "within the descriptor", err);
    return rc ? rc : check_descriptor(text, len, h->capacity_sectors, err);
}

static uint64_t grains_of(const struct vf_vmdk_stream *s)
{
    return (s->capacity_bytes + s->grain_bytes - 1) / s->grain_bytes;
}

static int read_table(struct vf_vmdk_stream *s, uint64_t first_grain, uint8_t *bytes,
                      struct vf_error **err)
{
    const struct vf_vmdk_header *h = &s->header;
    int rc = take(s, bytes, (uint64_t)h->gtes_per_gt * 4, "within a grain table", err);
    for (uint32_t i = 0; rc == 0 && i < h->gtes_per_gt; i++) {
        uint32_t entry = le32_load(bytes + (size_t)i * 4);
        if (entry == 0 || (entry == 1 && (h->flags & VMDK_FLAG_ZERO_GRAIN))) {
            continue;
        }
        if (first_grain + i >= grains_of(s)) {
            return vf_error_set(err, VF_INVALID,
                                "a grain table of the VMDK names a grain beyond its capacity");
        }
        vf_bitmap_test_and_set(&s->expected, first_grain + i);
    }
    return rc;
}

/* qemu-img style: directory and tables stand between descriptor and grains. They are all that
 * proves such a stream complete. */
static int read_tables(struct vf_vmdk_stream *s, struct vf_error **err)
{
    const struct vf_vmdk_header *h = &s->header;
    uint64_t n_tables = (grains_of(s) + h->gtes_per_gt - 1) / h->gtes_per_gt;
    if (n_tables * 4 > VMDK_MAX_DIRECTORY_BYTES) {
        return vf_error_set(err, VF_INVALID, "the VMDK's grain directory is absurdly large");
    }
    int rc = vf_bitmap_init(&s->expected, grains_of(s), err);
    if (rc == 0) {
        rc = skip_to_sector(s, h->gd_sector, "grain directory", err);
    }
    if (rc) {
        return rc;
    }
    uint8_t *vf_autofree directory = vf_xcalloc(n_tables, 4);
    uint8_t *vf_autofree table = vf_xcalloc(h->gtes_per_gt, 4);
    rc = take(s, directory, n_tables * 4, "within the grain directory", err);
    for (uint64_t i = 0; rc == 0 && i < n_tables; i++) {
        uint32_t sector = le32_load(directory + i * 4);
        if (sector == 0) {
            continue;
        }
        if (sector >= h->overhead_sectors) {
            return vf_error_set(err, VF_INVALID,
                                "grain table %" PRIu64 " of the VMDK lies outside its head", i);
        }
        rc = skip_to_sector(s, sector, "grain table", err);
        if (rc == 0) {
            rc = read_table(s, i * h->gtes_per_gt, table, err);
        }
    }
    return rc;
}

static int read_head(struct vf_vmdk_stream *s, struct vf_error **err)
{
    uint8_t bytes[VMDK_SPARSE_HEADER_BYTES];
    int rc = take(s, bytes, sizeof bytes, "within the header", err);
    if (rc == 0) {
        rc = vf_vmdk_header_parse(bytes, &s->header, err);
    }
    if (rc) {
        return rc;
    }
    const struct vf_vmdk_header *h = &s->header;
    if (!h->compressed) {
        vf_error_set(err, VF_UNSUPPORTED,
                     "this VMDK is not streamOptimized: it cannot be read "
                     "from a stream");
        vf_error_hint(err, "give it as a file");
        return VF_UNSUPPORTED;
    }
    s->capacity_bytes = h->capacity_sectors * SECTOR;
    s->grain_bytes = (uint32_t)h->grain_sectors * SECTOR;
    s->tables_in_front = h->gd_sector != VMDK_GD_AT_END && h->gd_sector < h->overhead_sectors;

    rc = vf_bitmap_init(&s->seen, grains_of(s), err);
    if (rc == 0) {
        rc = read_descriptor(s, err);
    }
    if (rc == 0) {
        rc = s->tables_in_front ? read_tables(s, err) : vf_stream_tables_init(&s->tables, h, err);
    }
    return rc ? rc : skip_to_sector(s, h->overhead_sectors, "first grain", err);
}

int vf_vmdk_stream_open(struct vf_stream *in, struct vf_vmdk_stream **ret_stream,
                        struct vf_error **err)
{
    struct vf_vmdk_stream *s = vf_xcalloc(1, sizeof *s);
    s->in = in;
    s->buf = vf_xcalloc(1, BUFFER_BYTES);
    int rc = read_head(s, err);
    if (rc) {
        vf_vmdk_stream_free(s);
        return rc;
    }
    *ret_stream = s;
    return 0;
}

void vf_vmdk_stream_free(struct vf_vmdk_stream *s)
{
    if (!s) {
        return;
    }
    vf_bitmap_release(&s->expected);
    vf_bitmap_release(&s->seen);
    vf_stream_tables_release(&s->tables);
    free(s->buf);
    free(s);
}

uint64_t vf_vmdk_stream_capacity_bytes(const struct vf_vmdk_stream *s)
{
    return s->capacity_bytes;
}

/* --- body: grains and markers ------------------------------------------------------------ */

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

    consume(s, VMDK_GRAIN_HEADER_BYTES);
    rc = take(s, to, size, "within a grain", err);
    uint32_t used = (VMDK_GRAIN_HEADER_BYTES + size) % SECTOR;
    if (rc == 0 && used) {
        /* qemu-img does not pad the last record of a file. */
        rc = fill(s, SECTOR - used, err);
        if (rc == 0) {
            size_t have = available(s);
            consume(s, have < SECTOR - used ? have : SECTOR - used);
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
        int rc = fill(s, SECTOR, &e);
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
        size_t have = available(s);
        if (have == 0) {
            return 0;
        }
        if (!vf_is_zero(s->buf + s->pos, have) || s->offset_bytes > limit) {
            return vf_error_set(err, VF_INVALID,
                                "the VMDK stream goes on after its end, at offset %" PRIu64,
                                s->offset_bytes);
        }
        consume(s, have);
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
    int rc =
        take(s, s->tables.table, (uint64_t)s->header.gtes_per_gt * 4, "within a grain table", err);
    return rc ? rc : vf_stream_tables_add_table(&s->tables, sector, err);
}

static int take_directory(struct vf_vmdk_stream *s, struct vf_error **err)
{
    uint8_t *vf_autofree directory = vf_xcalloc(s->tables.n_tables, 4);
    int rc = take(s, directory, s->tables.n_tables * 4, "within the grain directory", err);
    return rc ? rc : vf_stream_tables_check(&s->tables, directory, err);
}

/* The header once more: its numbers stand unguarded but for this copy. */
static int take_footer(struct vf_vmdk_stream *s, struct vf_error **err)
{
    uint8_t bytes[VMDK_SPARSE_HEADER_BYTES];
    struct vf_vmdk_header footer;
    int rc = take(s, bytes, sizeof bytes, "within the footer", err);
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
    consume(s, SECTOR);
    if (type == VMDK_MARKER_EOS) {
        s->marker_seen = true;
        return take_trailer(s, err);
    }
    uint64_t end = s->offset_bytes + value * SECTOR;
    /* With the tables in front there is nothing to learn from a second set. */
    int rc = s->tables_in_front ? 0 : take_metadata(s, type, err);
    return rc ? rc : take(s, NULL, end - s->offset_bytes, "within its tables", err);
}

/* One record. *ret_end at the end of the stream, whatever kind of end it is. */
static int take_record(struct vf_vmdk_stream *s, bool *ret_end, struct vf_error **err)
{
    int rc = fill(s, SECTOR, err);
    if (rc) {
        return rc;
    }
    size_t have = available(s);
    const uint8_t *p = s->buf + s->pos;
    if (s->tables_in_front && vf_is_zero(p, have < SECTOR ? have : SECTOR)) {
        /* No markers in this style: padding, or the end of the file. */
        consume(s, have < SECTOR ? have : SECTOR);
        *ret_end = have < SECTOR;
        return 0;
    }
    if (have < VMDK_GRAIN_HEADER_BYTES) {
        return truncated(s, "without an end-of-stream marker", err);
    }
    uint64_t lba = le64_load(p);
    uint32_t size = le32_load(p + 8);
    if (size > 0) {
        return take_grain(s, lba, size, err);
    }
    if (have < SECTOR) {
        return truncated(s, "without an end-of-stream marker", err);
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
    int rc = vf_lane_new(pool, vf_pool_threads(pool) + 2, &vf_inflate_lane_ops, &s->target, cancel,
                         &s->lane, err);
    if (rc) {
        return rc;
    }
    rc = vf_lane_settle(s->lane, decode_body(s, err), err);
    vf_lane_free(vf_take(s->lane));
    return rc;
}
