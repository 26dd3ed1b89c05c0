#include "jobs/stages/journal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "importer/base/clock.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "jobs/stages/stage.h"

#define MIN_INTERVAL_BYTES ((uint64_t)8 << 20)
#define MAX_INTERVAL_BYTES ((uint64_t)1 << 30)

struct journal {
    struct vf_stage stage;
    vf_journal_fn *durable;
    void *opaque;
    atomic_int health; /* enum vf_journal_health */

    pthread_mutex_t lock;    /* guards all below; held over no call */
    pthread_cond_t changed;  /* inside fell, or the gate opened */
    unsigned inside;         /* writes under way */
    bool closed;             /* a thread flushes, or waits for the writers to end for that */
    struct vf_areas pending; /* written, not flushed */
    uint64_t written_bytes;  /* since the last flush */
    int64_t flushed_ms;      /* when that was */
    uint64_t interval_bytes; /* 0: vf_journal_begin was not called */
    int64_t interval_ms;
};

static void get_worse(struct journal *j, enum vf_journal_health health)
{
    int was = atomic_load(&j->health);
    while (was < (int)health && !atomic_compare_exchange_weak(&j->health, &was, (int)health)) {
    }
}

static void enter(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    while (j->closed) {
        pthread_cond_wait(&j->changed, &j->lock);
    }
    j->inside++;
    pthread_mutex_unlock(&j->lock);
}

/* Lock held. */
static bool is_due(const struct journal *j)
{
    return j->interval_bytes && j->written_bytes &&
           (j->written_bytes >= j->interval_bytes ||
            (j->interval_ms && vf_clock_ms() - j->flushed_ms >= j->interval_ms));
}

/* The write has ended. True: a flush is due, and the gate is closed for the caller to do it. */
static bool leave(struct journal *j, bool good, uint64_t offset_bytes, uint64_t length_bytes)
{
    pthread_mutex_lock(&j->lock);
    j->inside--;
    /* Neither can fail: areas that are too many are dropped, and the range is the sink's. */
    if (!good) {
        vf_areas_subtract(&j->pending, offset_bytes, length_bytes, NULL);
    } else if (j->interval_bytes) {
        vf_areas_add(&j->pending, offset_bytes, length_bytes, NULL);
        j->written_bytes += length_bytes;
    }
    bool flush = good && !j->closed && is_due(j);
    if (flush) {
        j->closed = true;
    } else if (j->inside == 0 && j->closed) {
        pthread_cond_broadcast(&j->changed);
    }
    pthread_mutex_unlock(&j->lock);
    return flush;
}

/* The gate is closed, by us: wait for the writers, take what they wrote, flush, open the gate. */
static int flush_closed(struct journal *j, struct vf_areas *ret_areas, struct vf_error **err)
{
    pthread_mutex_lock(&j->lock);
    while (j->inside > 0) {
        pthread_cond_wait(&j->changed, &j->lock);
    }
    *ret_areas = j->pending;
    vf_areas_init(&j->pending, VF_AREAS_MAX_DEFAULT, VF_AREAS_DROP);
    j->written_bytes = 0;
    pthread_mutex_unlock(&j->lock);

    int rc = 0;
    if (atomic_load(&j->health) == VF_JOURNAL_FLUSH_FAILED) {
        rc = vf_error_set(err, VF_INTERNAL, "an earlier flush of the target failed");
    }
    rc = rc ? rc : vf_inject("journal.flush", err);
    rc = rc ? rc : vf_sink_flush(j->stage.next, err);
    if (rc) {
        /* A cancelled one too: it tells nothing about what was to be made safe. */
        get_worse(j, VF_JOURNAL_FLUSH_FAILED);
    }
    pthread_mutex_lock(&j->lock);
    j->closed = false;
    j->flushed_ms = vf_clock_ms();
    pthread_cond_broadcast(&j->changed);
    pthread_mutex_unlock(&j->lock);
    return rc;
}

static int flush_and_tell(struct journal *j, struct vf_error **err)
{
    struct vf_areas areas;
    int rc = flush_closed(j, &areas, err);
    rc = rc ? rc : vf_inject("journal.flushed", err);
    if (rc == 0 && areas.count > 0) {
        rc = j->durable(j->opaque, &areas, err);
    }
    vf_areas_release(&areas);
    return rc;
}

static int after(struct journal *j, int rc, uint64_t offset_bytes, uint64_t length_bytes,
                 struct vf_error **err)
{
    if (rc && rc != VF_CANCELLED) {
        get_worse(j, VF_JOURNAL_WRITE_FAILED);
    }
    return leave(j, rc == 0, offset_bytes, length_bytes) ? flush_and_tell(j, err) : rc;
}

static int journal_write(struct vf_sink *s, const void *buf, size_t len_bytes,
                         uint64_t offset_bytes, struct vf_error **err)
{
    struct journal *j = (struct journal *)s;
    enter(j);
    int rc = vf_sink_write(j->stage.next, buf, len_bytes, offset_bytes, err);
    return after(j, rc, offset_bytes, len_bytes, err);
}

static int journal_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                        struct vf_error **err)
{
    struct journal *j = (struct journal *)s;
    enter(j);
    int rc = vf_sink_zero(j->stage.next, offset_bytes, length_bytes, err);
    return after(j, rc, offset_bytes, length_bytes, err);
}

static int journal_flush(struct vf_sink *s, struct vf_error **err)
{
    struct journal *j = (struct journal *)s;
    pthread_mutex_lock(&j->lock);
    while (j->closed) {
        pthread_cond_wait(&j->changed, &j->lock);
    }
    j->closed = true;
    pthread_mutex_unlock(&j->lock);
    return flush_and_tell(j, err);
}

static void journal_free(struct vf_sink *s)
{
    struct journal *j = (struct journal *)s;
    vf_sink_free(j->stage.next);
    vf_areas_release(&j->pending);
    pthread_cond_destroy(&j->changed);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

static const struct vf_sink_ops journal_ops = {
    .write = journal_write,
    .zero = journal_zero,
    .read = vf_stage_read,
    .flush = journal_flush,
    .finish = vf_stage_finish,
    .free = journal_free,
};

struct vf_sink *vf_journal_stage_new(struct vf_sink *next, vf_journal_fn *durable, void *opaque)
{
    struct journal *j = vf_xcalloc(1, sizeof *j);
    vf_stage_init(&j->stage, &journal_ops, next);
    j->durable = durable;
    j->opaque = opaque;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    vf_areas_init(&j->pending, VF_AREAS_MAX_DEFAULT, VF_AREAS_DROP);
    return &j->stage.base;
}

void vf_journal_begin(struct vf_sink *journal, uint64_t interval_bytes, int64_t interval_ms)
{
    struct journal *j = (struct journal *)journal;
    pthread_mutex_lock(&j->lock);
    vf_areas_clear(&j->pending);
    j->written_bytes = 0;
    j->flushed_ms = vf_clock_ms();
    j->interval_bytes = interval_bytes ? interval_bytes : 1;
    j->interval_ms = interval_ms;
    pthread_mutex_unlock(&j->lock);
}

uint64_t vf_journal_interval_bytes(uint64_t total_bytes)
{
    uint64_t n = total_bytes / 100;
    n = n < MIN_INTERVAL_BYTES ? MIN_INTERVAL_BYTES : n;
    return n < MAX_INTERVAL_BYTES ? n : MAX_INTERVAL_BYTES;
}

enum vf_journal_health vf_journal_health(const struct vf_sink *journal)
{
    return (enum vf_journal_health)atomic_load(&((const struct journal *)journal)->health);
}
