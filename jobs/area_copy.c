#include "jobs/area_copy.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"

#define DEFAULT_REQUESTS      64u
#define MAX_REQUESTS          256u
#define DEFAULT_REQUEST_BYTES (256u << 10)
#define DEFAULT_BUDGET_BYTES  ((uint64_t)32 << 20)
#define SECTOR_BYTES          512u
/* What lies between two areas is read along with them up to this: less than a request costs. */
#define GAP_BYTES (16u << 10)
/* Areas that one read serves. */
#define MAX_PARTS 16u
/* An area of so many pieces is cut at multiples of their length, so that whoever goes by blocks
 * behind (digests, clusters) meets whole ones; a shorter one into as few as can be. */
#define ALIGNED_PIECES 4
/* Extents are asked for in windows of this, ahead of the reads. */
#define WINDOW_BYTES ((uint64_t)64 << 20)
/* Of address space: what is not touched costs nothing. TLS libraries take some. */
#define STACK_BYTES ((size_t)512 << 10)

/* One read, and what of it is written. */
struct piece {
    uint64_t offset_bytes;
    size_t length_bytes;
    unsigned n_parts;
    struct vf_area parts[MAX_PARTS]; /* ascending, inside */
};

/* The caller's thread cuts pieces into a ring; each worker takes one, reads it into the buffer it
 * owns, and writes its parts. */
struct copy {
    const struct vf_area_copy *c;
    uint32_t request_bytes;

    pthread_mutex_t lock; /* guards all below; held over no call */
    pthread_cond_t filled, freed;
    struct piece *ring;
    unsigned size, n, first;
    bool ended; /* no more pieces will come */
    bool failed;
    int rc; /* of the first failure */
    struct vf_error *error;
};

struct worker {
    struct copy *copy;
    uint8_t *buf;
    pthread_t thread;
};

/* The first failure is the one to report; all others end by it. */
static void fail(struct copy *p, int rc, struct vf_error *error)
{
    pthread_mutex_lock(&p->lock);
    bool first = !p->failed;
    if (first) {
        p->failed = true;
        p->rc = rc;
        p->error = error;
    }
    pthread_cond_broadcast(&p->filled);
    pthread_cond_broadcast(&p->freed);
    pthread_mutex_unlock(&p->lock);
    if (!first) {
        vf_error_free(error);
    } else if (p->c->cancel) {
        vf_cancel_trigger(p->c->cancel);
    }
}

/* False: it failed meanwhile. */
static bool put(struct copy *p, const struct piece *piece)
{
    pthread_mutex_lock(&p->lock);
    while (p->n == p->size && !p->failed) {
        pthread_cond_wait(&p->freed, &p->lock);
    }
    bool good = !p->failed;
    if (good) {
        p->ring[(p->first + p->n++) % p->size] = *piece;
        pthread_cond_signal(&p->filled);
    }
    pthread_mutex_unlock(&p->lock);
    return good;
}

static bool take(struct copy *p, struct piece *ret)
{
    pthread_mutex_lock(&p->lock);
    while (p->n == 0 && !p->ended && !p->failed) {
        pthread_cond_wait(&p->filled, &p->lock);
    }
    bool good = p->n > 0 && !p->failed;
    if (good) {
        *ret = p->ring[p->first];
        p->first = (p->first + 1) % p->size;
        p->n--;
        pthread_cond_signal(&p->freed);
    }
    pthread_mutex_unlock(&p->lock);
    return good;
}

static int copy_piece(struct worker *w, const struct piece *piece, struct vf_error **err)
{
    const struct vf_area_copy *c = w->copy->c;
    int rc = vf_cancel_check(c->cancel, err);
    if (rc == 0) {
        rc = c->disk->ops->pread(c->disk, w->buf, piece->length_bytes, piece->offset_bytes, err);
    }
    if (rc == 0 && c->progress) {
        atomic_fetch_add_explicit(&c->progress->source_bytes, piece->length_bytes,
                                  memory_order_relaxed);
    }
    for (unsigned i = 0; i < piece->n_parts && rc == 0; i++) {
        const struct vf_area *a = &piece->parts[i];
        rc = vf_sink_write(c->sink, w->buf + (a->offset_bytes - piece->offset_bytes),
                           (size_t)a->length_bytes, a->offset_bytes, err);
    }
    return rc;
}

static void *work(void *opaque)
{
    struct worker *w = opaque;
    /* Signals are for the main thread. */
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    struct piece piece;
    while (take(w->copy, &piece)) {
        struct vf_error *error = NULL;
        int rc = copy_piece(w, &piece, &error);
        if (rc) {
            fail(w->copy, rc, error);
        }
    }
    return NULL;
}

/* The piece that is being put together. */
struct cutter {
    struct copy *copy;
    struct piece piece;
};

static int hand_over(struct cutter *t, struct vf_error **err)
{
    int rc = vf_cancel_check(t->copy->c->cancel, err);
    if (rc == 0 && t->piece.n_parts > 0 && !put(t->copy, &t->piece)) {
        rc = VF_CANCELLED; /* a worker failed, and that is what is reported */
    }
    t->piece.n_parts = 0;
    return rc;
}

static void add_part(struct piece *p, const struct vf_area *part)
{
    if (p->n_parts == 0) {
        p->offset_bytes = part->offset_bytes;
    }
    p->parts[p->n_parts++] = *part;
    p->length_bytes = (size_t)(part->offset_bytes + part->length_bytes - p->offset_bytes);
}

/* One area, cut into pieces; the last of them may be joined by the next area. */
static int cut_area(struct cutter *t, struct vf_area a, struct vf_error **err)
{
    struct piece *p = &t->piece;
    uint32_t most = t->copy->request_bytes;
    int rc = 0;
    if (p->n_parts > 0) {
        uint64_t gap = a.offset_bytes - (p->offset_bytes + p->length_bytes);
        uint64_t whole = a.offset_bytes + a.length_bytes - p->offset_bytes;
        if (gap > GAP_BYTES || whole > most || p->n_parts == MAX_PARTS) {
            rc = hand_over(t, err);
        }
    }
    uint64_t skew = a.length_bytes >= ALIGNED_PIECES * (uint64_t)most ? a.offset_bytes % most : 0;
    while (rc == 0 && a.length_bytes > most) {
        struct vf_area part = {a.offset_bytes, most - skew};
        skew = 0;
        add_part(p, &part);
        rc = hand_over(t, err);
        a.offset_bytes += part.length_bytes;
        a.length_bytes -= part.length_bytes;
    }
    if (rc == 0) {
        add_part(p, &a);
    }
    return rc;
}

static int cut_set(struct cutter *t, const struct vf_areas *s, struct vf_error **err)
{
    struct vf_area a;
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && vf_areas_next(s, at, &a);
         at = a.offset_bytes + a.length_bytes) {
        rc = cut_area(t, a, err);
    }
    return rc;
}

static int note_zero(void *opaque, const struct vf_extent *e, struct vf_error **err)
{
    return e->kind == VF_EXTENT_DATA ? 0
                                     : vf_areas_add(opaque, e->offset_bytes, e->length_bytes, err);
}

static int zero_set(struct copy *p, const struct vf_areas *s, struct vf_error **err)
{
    struct vf_area a;
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && vf_areas_next(s, at, &a);
         at = a.offset_bytes + a.length_bytes) {
        rc = vf_cancel_check(p->c->cancel, err);
        rc = rc ? rc : vf_sink_zero(p->c->sink, a.offset_bytes, a.length_bytes, err);
    }
    return rc;
}

/* What is to be copied of one window: zeros are written here, data goes to the workers. Of zeros
 * too many to remember some are read instead. */
static int cut_window(struct cutter *t, uint64_t offset_bytes, uint64_t length_bytes,
                      struct vf_error **err)
{
    const struct vf_area_copy *c = t->copy->c;
    struct vf_areas data, zero;
    vf_areas_init(&data, SIZE_MAX, VF_AREAS_REFUSE);
    vf_areas_init(&zero, VF_AREAS_MAX_DEFAULT, VF_AREAS_DROP);
    uint64_t end = offset_bytes + length_bytes;
    struct vf_area a;
    int rc = 0;
    for (uint64_t at = offset_bytes; rc == 0 && at < end && vf_areas_next(c->areas, at, &a);
         at = a.offset_bytes + a.length_bytes) {
        if (a.offset_bytes < end) {
            uint64_t left = end - a.offset_bytes;
            rc = vf_areas_add(&data, a.offset_bytes, a.length_bytes < left ? a.length_bytes : left,
                              err);
        }
    }
    if (rc == 0) {
        rc = c->disk->ops->extents(c->disk, offset_bytes, length_bytes, note_zero, &zero, err);
    }
    vf_areas_shrink(&zero, SECTOR_BYTES, c->disk->size_bytes);
    rc = rc ? rc : vf_areas_intersect(&zero, &data, err);
    rc = rc ? rc : vf_areas_subtract_all(&data, &zero, err);
    rc = rc ? rc : zero_set(t->copy, &zero, err);
    rc = rc ? rc : cut_set(t, &data, err);
    vf_areas_release(&data);
    vf_areas_release(&zero);
    return rc;
}

static int cut_windows(struct cutter *t, struct vf_error **err)
{
    const struct vf_area_copy *c = t->copy->c;
    struct vf_area a;
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && vf_areas_next(c->areas, at, &a);) {
        uint64_t left = c->disk->size_bytes - a.offset_bytes;
        uint64_t n = left < WINDOW_BYTES ? left : WINDOW_BYTES;
        rc = cut_window(t, a.offset_bytes, n, err);
        at = a.offset_bytes + n;
    }
    return rc;
}

/* Start at most n; how many, or a negative code when not even one can be had. */
static int start_workers(struct copy *p, struct worker *workers, unsigned n, struct vf_error **err)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    unsigned started = 0;
    int rc = 0;
    while (started < n && rc == 0) {
        struct worker *w = &workers[started];
        w->copy = p;
        w->buf = aligned_alloc(4096, p->request_bytes);
        int errnum = w->buf ? pthread_create(&w->thread, &attr, work, w) : ENOMEM;
        if (errnum == 0) {
            started++;
            continue;
        }
        free(w->buf);
        rc = started ? VF_SPACE
                     : vf_error_set_errno(err, errnum, "cannot start a thread for copying");
    }
    pthread_attr_destroy(&attr);
    return started ? (int)started : rc;
}

static void end_workers(struct copy *p, struct worker *workers, int n)
{
    pthread_mutex_lock(&p->lock);
    p->ended = true;
    pthread_cond_broadcast(&p->filled);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < n; i++) {
        pthread_join(workers[i].thread, NULL);
        free(workers[i].buf);
    }
}

static int check(const struct vf_area_copy *c, struct vf_error **err)
{
    const unsigned parallel = VF_SINK_RANDOM | VF_SINK_PARALLEL;
    if ((c->sink->caps & parallel) != parallel) {
        return vf_error_set(err, VF_UNSUPPORTED, "the target takes no areas in any order");
    }
    uint64_t size_bytes =
        c->disk->size_bytes < c->sink->size_bytes ? c->disk->size_bytes : c->sink->size_bytes;
    if (vf_areas_overlaps(c->areas, size_bytes, UINT64_MAX - size_bytes)) {
        return vf_error_set(err, VF_RANGE,
                            "areas beyond the %" PRIu64 " bytes that source and target have",
                            size_bytes);
    }
    return 0;
}

static uint32_t request_bytes(const struct vf_area_copy *c)
{
    uint32_t n = c->request_bytes ? c->request_bytes : DEFAULT_REQUEST_BYTES;
    n = n < (1u << 30) ? n : 1u << 30;
    n -= n % SECTOR_BYTES;
    return n ? n : SECTOR_BYTES;
}

static unsigned n_requests(const struct vf_area_copy *c, uint32_t bytes)
{
    uint64_t budget = c->budget_bytes ? c->budget_bytes : DEFAULT_BUDGET_BYTES;
    uint64_t most = budget / bytes ? budget / bytes : 1;
    unsigned n = c->requests ? c->requests : DEFAULT_REQUESTS;
    n = n < MAX_REQUESTS ? n : MAX_REQUESTS;
    return n < most ? n : (unsigned)most;
}

static int run(struct copy *p, unsigned n, struct vf_error **err)
{
    struct worker *vf_autofree workers = vf_xcalloc(n, sizeof *workers);
    int started = start_workers(p, workers, n, err);
    if (started < 0) {
        return started;
    }
    struct cutter t = {.copy = p};
    struct vf_error *error = NULL;
    int rc = p->c->skip_holes ? cut_windows(&t, &error) : cut_set(&t, p->c->areas, &error);
    rc = rc ? rc : hand_over(&t, &error);
    if (rc) {
        fail(p, rc, error);
    }
    end_workers(p, workers, started);
    vf_error_move(err, &p->error);
    return p->rc;
}

int vf_area_copy_run(const struct vf_area_copy *c, struct vf_error **err)
{
    int rc = check(c, err);
    if (rc) {
        return rc;
    }
    struct copy p = {.c = c, .request_bytes = request_bytes(c)};
    unsigned n = n_requests(c, p.request_bytes);
    p.size = 2 * n;
    p.ring = vf_xcalloc(p.size, sizeof *p.ring);
    pthread_mutex_init(&p.lock, NULL);
    pthread_cond_init(&p.filled, NULL);
    pthread_cond_init(&p.freed, NULL);
    rc = run(&p, n, err);
    pthread_cond_destroy(&p.freed);
    pthread_cond_destroy(&p.filled);
    pthread_mutex_destroy(&p.lock);
    free(p.ring);
    return rc;
}
