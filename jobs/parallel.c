#include "jobs/parallel.h"

#include <pthread.h>

struct run {
    size_t n;
    vf_parallel_fn *fn;
    void *opaque;
    struct vf_cancel *cancel;

    pthread_mutex_t lock; /* guards all below */
    size_t next;
    int code;
    struct vf_error *error;
};

static void fail(struct run *r, int rc, struct vf_error **err)
{
    pthread_mutex_lock(&r->lock);
    if (!r->code) {
        r->code = rc;
        vf_error_move(&r->error, err);
    }
    pthread_mutex_unlock(&r->lock);
    vf_error_clear(err);
    if (r->cancel) {
        vf_cancel_trigger(r->cancel);
    }
}

static void *work(void *opaque)
{
    struct run *r = opaque;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        bool over = r->code || r->next >= r->n;
        size_t index = r->next;
        r->next += !over;
        pthread_mutex_unlock(&r->lock);
        if (over) {
            return NULL;
        }
        struct vf_error *e = NULL;
        int rc = r->fn(r->opaque, index, &e);
        if (rc) {
            fail(r, rc, &e);
        }
    }
}

int vf_parallel_run(size_t n, unsigned threads, vf_parallel_fn *fn, void *opaque,
                    struct vf_cancel *cancel, struct vf_error **err)
{
    struct run r = {.n = n, .fn = fn, .opaque = opaque, .cancel = cancel};
    pthread_t workers[VF_PARALLEL_MAX];
    unsigned want = threads ? threads : 1, have = 0;
    want = want > VF_PARALLEL_MAX ? VF_PARALLEL_MAX : want;
    want = want > n ? (unsigned)n : want;
    pthread_mutex_init(&r.lock, NULL);
    while (have < want && pthread_create(&workers[have], NULL, work, &r) == 0) {
        have++;
    }
    for (unsigned i = 0; i < have; i++) {
        pthread_join(workers[i], NULL);
    }
    pthread_mutex_destroy(&r.lock);
    if (want && !have) {
        return vf_error_set(err, VF_INTERNAL, "cannot start a thread");
    }
    vf_error_move(err, &r.error);
    return r.code;
}
