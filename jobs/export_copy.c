#include "jobs/export_copy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "importer/base/retry.h"

#define DEFAULT_PARALLEL 4u
#define MAX_PARALLEL     64u

/* Threads: `parallel` workers that take disk after disk, and the keeper. The first error wins. */
struct run {
    const struct vf_export_copy *x;
    const struct vf_lease_device *devices;
    size_t n_devices;
    int *disk_of; /* of each device; -1: no disk */
    struct vf_cancel *cancel;

    pthread_mutex_t lock; /* guards all below */
    size_t next;          /* device */
    int code;
    struct vf_error *error;
};

static void fail(struct run *r, int rc, struct vf_error **err)
{
    pthread_mutex_lock(&r->lock);
    if (!r->code) {
        r->code = rc;
        r->error = vf_take(*err);
    }
    pthread_mutex_unlock(&r->lock);
    vf_error_clear(err);
    vf_cancel_trigger(r->cancel);
}

/* --- one disk ---------------------------------------------------------------------------- */

/* The device URL leads to an ESXi host with a certificate of its own, whose thumbprint vCenter
 * vouches for; where it gives none, the host is trusted as vCenter is. */
static int open_http(const struct run *r, const struct vf_lease_device *device,
                     struct vf_cancel *cancel, struct vf_http **ret_http, struct vf_error **err)
{
    struct vf_http_options o = *r->x->http;
    if (device->thumbprint && device->thumbprint[0] && !o.insecure) {
        o.thumbprint = device->thumbprint;
        o.ca_file = NULL;
    }
    return vf_http_new(&o, cancel, ret_http, err);
}

static int copy_once(struct run *r, const struct vf_lease_device *device, struct vf_disk_copy *c,
                     struct vf_error **err)
{
    struct vf_cancel *cancel = vf_cancel_new(r->cancel);
    struct vf_http *http = NULL;
    struct vf_stream *in = NULL;
    if (!cancel) {
        return vf_error_set(err, VF_INTERNAL, "no descriptor left");
    }
    int rc = open_http(r, device, cancel, &http, err);
    if (rc == 0) {
        struct vf_http_request req = {.url = device->url};
        rc = vf_http_open(http, &req, &in, err);
    }
    if (rc == 0) {
        rc = vf_disk_copy_stream(c, r->x->env, in, cancel, err);
    }
    vf_stream_free(in);
    vf_http_free(http);
    vf_cancel_free(cancel);
    return rc;
}

/* A broken stream starts over: an export has no ranges. Not when the lease is gone: then no try can
 * help. */
static bool try_again(const struct run *r, const struct vf_disk_copy *c, struct vf_retry *retry,
                      int *rc, struct vf_error **err)
{
    char *vf_autofree text = *rc == VF_RETRY ? vf_error_format(*err) : NULL;
    if (!vf_retry_again(retry, rc, err)) {
        return false;
    }
    vf_report_warning(r->x->env->reporter, r->x->vm->name, "%s: the copy broke and starts over: %s",
                      c->name, text);
    return true;
}

static int copy_disk(struct run *r, const struct vf_lease_device *device, struct vf_disk_copy *c,
                     struct vf_error **err)
{
    static const struct vf_retry_policy policy = {.max_tries = 3, .first_wait_ms = 1000};
    struct vf_retry retry;
    vf_retry_init(&retry, &policy, r->cancel);
    int rc;
    do {
        rc = copy_once(r, device, c, err);
        if (rc && rc != VF_CANCELLED) {
            rc = vf_lease_explain(r->x->lease, rc, err);
        }
    } while (try_again(r, c, &retry, &rc, err));
    return rc;
}

static void *worker(void *opaque)
{
    struct run *r = opaque;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        while (r->next < r->n_devices && r->disk_of[r->next] < 0) {
            r->next++;
        }
        size_t i = r->next++;
        bool stop = r->code != 0 || i >= r->n_devices;
        pthread_mutex_unlock(&r->lock);
        if (stop) {
            return NULL;
        }
        struct vf_disk_copy *c = &r->x->copies[r->disk_of[i]];
        struct vf_error *e = NULL;
        int rc = copy_disk(r, &r->devices[i], c, &e);
        if (rc) {
            vf_error_wrap(&e, rc, "disk %u (%s)", c->index, c->name);
        }
        vf_disk_copy_report_end(c, r->x->env, e);
        if (rc) {
            fail(r, rc, &e);
            return NULL;
        }
    }
}

/* --- the lease --------------------------------------------------------------------------- */

static unsigned percent_done(const struct run *r)
{
    uint64_t done = 0, total = 0;
    for (size_t i = 0; i < r->x->vm->n_disks; i++) {
        done += atomic_load(&r->x->copies[i].progress.done_bytes);
        total += r->x->vm->disks[i].capacity_bytes;
    }
    unsigned percent = total ? (unsigned)((double)done * 100.0 / (double)total) : 0;
    return percent > 99 ? 99 : percent;
}

struct keeper {
    struct run *run;
    struct vf_cancel *stop; /* triggered when the copy is over */
};

static void *keep_lease(void *opaque)
{
    struct keeper *k = opaque;
    int64_t interval_ms = (int64_t)vf_lease_timeout_s(k->run->x->lease) * 1000 / 4;
    interval_ms = interval_ms < 250 ? 250 : interval_ms > 15000 ? 15000 : interval_ms;

    while (vf_cancel_wait(k->stop, interval_ms, NULL) == 0) {
        struct vf_error *e = NULL;
        int rc = vf_lease_progress(k->run->x->lease, percent_done(k->run), &e);
        if (rc == VF_CONFLICT || rc == VF_MISSING) {
            vf_error_wrap(&e, rc, "keeping the export alive");
            fail(k->run, rc, &e);
        }
        /* Anything else may pass; the next call, or the streams, will tell. */
        vf_error_free(e);
    }
    return NULL;
}

static int start_threads(struct run *r, pthread_t *threads, unsigned *ret_n, struct vf_error **err)
{
    unsigned want = r->x->parallel ? r->x->parallel : DEFAULT_PARALLEL;
    want = want > MAX_PARALLEL ? MAX_PARALLEL : want;
    want = want > r->x->vm->n_disks ? (unsigned)r->x->vm->n_disks : want;
    for (*ret_n = 0; *ret_n < want; ++*ret_n) {
        if (pthread_create(&threads[*ret_n], NULL, worker, r) != 0) {
            break;
        }
    }
    return *ret_n ? 0 : vf_error_set(err, VF_INTERNAL, "cannot start a thread");
}

static int copy_all(struct run *r, struct vf_error **err)
{
    pthread_t threads[MAX_PARALLEL], keeper_thread;
    unsigned n = 0;
    struct keeper keeper = {.run = r, .stop = vf_cancel_new(r->cancel)};
    if (!keeper.stop) {
        return vf_error_set(err, VF_INTERNAL, "no descriptor left");
    }
    bool kept = pthread_create(&keeper_thread, NULL, keep_lease, &keeper) == 0;
    int rc = kept ? start_threads(r, threads, &n, err)
                  : vf_error_set(err, VF_INTERNAL, "cannot start a thread");
    for (unsigned i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
    vf_cancel_trigger(keeper.stop);
    if (kept) {
        pthread_join(keeper_thread, NULL);
    }
    vf_cancel_free(keeper.stop);
    if (r->code) {
        vf_error_move(err, &r->error);
        return r->code;
    }
    return rc;
}

int vf_export_copy_run(const struct vf_export_copy *x, struct vf_error **err)
{
    struct run r = {.x = x, .cancel = x->cancel};
    r.devices = vf_lease_devices(x->lease, &r.n_devices);
    r.disk_of = vf_xcalloc(r.n_devices, sizeof *r.disk_of);
    bool *met = vf_xcalloc(x->vm->n_disks, sizeof *met);
    int rc = vf_lease_match_disks(x->lease, x->vm, r.disk_of, err);
    for (size_t i = 0; rc == 0 && i < r.n_devices; i++) {
        if (r.disk_of[i] >= 0) {
            met[r.disk_of[i]] = true;
        }
    }
    for (size_t i = 0; rc == 0 && i < x->vm->n_disks; i++) {
        if (!met[i]) {
            rc = vf_error_set(err, VF_INVALID, "the export offers no stream for disk %zu (%s)", i,
                              x->copies[i].name);
        }
    }
    free(met);
    if (rc == 0) {
        pthread_mutex_init(&r.lock, NULL);
        rc = copy_all(&r, err);
        pthread_mutex_destroy(&r.lock);
    }
    free(r.disk_of);
    return rc;
}
