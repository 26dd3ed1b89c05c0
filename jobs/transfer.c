#include "jobs/transfer.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/stages/stage.h"

#define REGION_BYTES VF_LEAF_BYTES
#define WINDOW_BYTES (256u << 20) /* extents are asked for in windows of this */
#define MAX_REGIONS  34u          /* under way at once */
#define MAX_EXTENTS  64u          /* data extents kept apart within one region */

/* Shared by the slots of one transfer. */
struct transfer {
    struct vf_disk *disk;
    struct vf_sink *sink;
    struct vf_progress *progress;
    bool ordered;

    /* The producer's: the region being gathered, and up to where all is handed out. */
    struct vf_lane *lane;
    struct region *region;
    uint64_t settled_bytes;
};

struct range {
    uint64_t start, end;
};

struct region {
    struct transfer *transfer;
    uint8_t *buf;
    uint64_t zero_from; /* from here to `end`, what no range covers is zero */
    uint64_t start, end;
    unsigned n_data;
    struct range data[MAX_EXTENTS];
};

static int region_init(void *slot, void *owner, struct vf_error **err)
{
    struct region *r = slot;
    r->transfer = owner;
    r->buf = aligned_alloc(4096, REGION_BYTES);
    return r->buf ? 0 : vf_error_set(err, VF_SPACE, "no memory for copying");
}

static void region_release(void *slot)
{
    free(((struct region *)slot)->buf);
}

static int region_run(void *slot, struct vf_lane *lane, struct vf_error **err)
{
    struct region *r = slot;
    struct transfer *t = r->transfer;
    int rc = 0;
    for (unsigned i = 0; i < r->n_data && rc == 0; i++) {
        size_t len = (size_t)(r->data[i].end - r->data[i].start);
        rc = t->disk->ops->pread(t->disk, r->buf + (r->data[i].start - r->start), len,
                                 r->data[i].start, err);
        if (rc == 0 && t->progress) {
            atomic_fetch_add_explicit(&t->progress->source_bytes, len, memory_order_relaxed);
        }
    }
    if (rc == 0 && t->ordered) {
        rc = vf_lane_wait_turn(lane, slot, err);
    }
    uint64_t at = r->zero_from;
    for (unsigned i = 0; i < r->n_data && rc == 0; i++) {
        const struct range *d = &r->data[i];
        if (d->start > at) {
            rc = vf_sink_zero(t->sink, at, d->start - at, err);
        }
        if (rc == 0) {
            rc = vf_sink_write(t->sink, r->buf + (d->start - r->start), (size_t)(d->end - d->start),
                               d->start, err);
        }
        at = d->end;
    }
    if (rc == 0 && r->end > at) {
        rc = vf_sink_zero(t->sink, at, r->end - at, err);
    }
    return rc;
}

static const struct vf_lane_ops region_ops = {
    .slot_size = sizeof(struct region),
    .init = region_init,
    .release = region_release,
    .run = region_run,
};

static void submit_region(struct transfer *t)
{
    if (t->region) {
        t->settled_bytes = t->region->end;
        vf_lane_submit(t->lane, t->region);
        t->region = NULL;
    }
}

static void add_range(struct region *r, uint64_t start, uint64_t end)
{
    struct range *last = r->n_data ? &r->data[r->n_data - 1] : NULL;
    if (last && (last->end == start || r->n_data == MAX_EXTENTS)) {
        last->end = end; /* a hole in between is read as what it is, zero */
        return;
    }
    r->data[r->n_data++] = (struct range){start, end};
}

static int take_extent(void *opaque, const struct vf_extent *e, struct vf_error **err)
{
    struct transfer *t = opaque;
    if (e->kind != VF_EXTENT_DATA) {
        return 0;
    }
    uint64_t at = e->offset_bytes, end = e->offset_bytes + e->length_bytes;
    while (at < end) {
        uint64_t start = at - at % REGION_BYTES;
        if (t->region && t->region->start != start) {
            submit_region(t);
        }
        if (!t->region) {
            void *slot = NULL;
            int rc = vf_lane_acquire(t->lane, &slot, err);
            if (rc) {
                return rc;
            }
            struct region *r = slot;
            uint64_t left = t->disk->size_bytes - start;
            r->start = start;
            r->end = start + (left < REGION_BYTES ? left : REGION_BYTES);
            r->zero_from = t->settled_bytes;
            r->n_data = 0;
            t->region = r;
        }
        uint64_t stop = end < t->region->end ? end : t->region->end;
        add_range(t->region, at, stop);
        at = stop;
    }
    return 0;
}

static int produce(struct transfer *t, struct vf_cancel *cancel, struct vf_error **err)
{
    uint64_t size = t->disk->size_bytes;
    int rc = 0;
    for (uint64_t at = 0; at < size && rc == 0; at += WINDOW_BYTES) {
        uint64_t n = size - at < WINDOW_BYTES ? size - at : WINDOW_BYTES;
        rc = vf_cancel_check(cancel, err);
        if (rc == 0) {
            rc = t->disk->ops->extents(t->disk, at, n, take_extent, t, err);
        }
    }
    if (rc == 0) {
        submit_region(t);
    } else if (t->region) {
        vf_lane_abandon(t->lane, t->region);
    }
    rc = vf_lane_settle(t->lane, rc, err);
    if (rc == 0 && t->settled_bytes < size) {
        rc = vf_sink_zero(t->sink, t->settled_bytes, size - t->settled_bytes, err);
    }
    return rc;
}

int vf_transfer_disk(struct vf_disk *disk, struct vf_sink *sink, struct vf_pool *pool,
                     struct vf_progress *progress, struct vf_cancel *cancel, struct vf_error **err)
{
    const unsigned parallel = VF_SINK_RANDOM | VF_SINK_PARALLEL;
    struct transfer t = {.disk = disk,
                         .sink = sink,
                         .progress = progress,
                         .ordered = (sink->caps & parallel) != parallel};
    unsigned slots = vf_pool_threads(pool) + 1;
    slots = slots < MAX_REGIONS ? slots : MAX_REGIONS;
    int rc = vf_lane_new(pool, slots, &region_ops, &t, cancel, &t.lane, err);
    if (rc) {
        return rc;
    }
    rc = produce(&t, cancel, err);
    vf_lane_free(t.lane);
    return rc;
}

int vf_transfer_chain(struct vf_sink *target, struct vf_digest *digest,
                      struct vf_progress *progress, struct vf_sink **ret_sink,
                      struct vf_error **err)
{
    struct vf_sink *chain = target;
    if (progress) {
        chain = vf_progress_stage_new(chain, progress);
    }
    if (digest) {
        int rc = vf_digest_stage_new(chain, digest, &chain, err);
        if (rc) {
            vf_sink_free(chain);
            return rc;
        }
    }
    *ret_sink = vf_zero_stage_new(chain);
    return 0;
}

struct counting_stream {
    struct vf_stream base;
    struct vf_stream *in;
    struct vf_progress *progress;
};

static int counting_read(struct vf_stream *s, void *buf, size_t len_bytes, size_t *ret_n,
                         struct vf_error **err)
{
    struct counting_stream *c = (struct counting_stream *)s;
    int rc = c->in->ops->read(c->in, buf, len_bytes, ret_n, err);
    if (rc == 0) {
        atomic_fetch_add_explicit(&c->progress->source_bytes, *ret_n, memory_order_relaxed);
    }
    return rc;
}

static void counting_free(struct vf_stream *s)
{
    free(s);
}

static const struct vf_stream_ops counting_ops = {.read = counting_read, .free = counting_free};

struct vf_stream *vf_counting_stream_new(struct vf_stream *in, struct vf_progress *progress)
{
    struct counting_stream *c = vf_xcalloc(1, sizeof *c);
    c->base = (struct vf_stream){.ops = &counting_ops, .size_bytes = in->size_bytes};
    c->in = in;
    c->progress = progress;
    return &c->base;
}
