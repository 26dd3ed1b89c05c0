#include "jobs/export_streams.h"

#include <pthread.h>
#include <stdlib.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "importer/base/retry.h"
#include "importer/vsphere/fault.h"
#include "jobs/parallel.h"

#define DEFAULT_PARALLEL 4u
#define BUSY_TIMEOUT_MS  (7 * 60 * 1000)

/* Of a disk of the VM. */
struct wanted {
    const struct vf_lease_device *device; /* NULL: not wanted */
};

struct run {
    const struct vf_export_streams *x;
    struct wanted *disks;
    struct vf_cancel *cancel;
};

static const char *label_of(const struct run *r, size_t disk)
{
    const char *label = r->x->vm->disks[disk].label;
    return label ? label : "without label";
}

/* --- one disk ---------------------------------------------------------------------------- */

int vf_export_connect(const struct vf_http_options *vcenter, const struct vf_lease_device *device,
                      const struct vf_cancel *cancel, struct vf_http **ret_http,
                      struct vf_error **err)
{
    struct vf_http_options o = *vcenter;
    if (device->thumbprint && device->thumbprint[0] && !o.insecure) {
        o.thumbprint = device->thumbprint;
        o.ca_file = NULL;
    }
    return vf_http_new(&o, cancel, ret_http, err);
}

static int take_once(struct run *r, size_t disk, struct vf_error **err)
{
    const struct vf_export_streams *x = r->x;
    const struct vf_lease_device *device = r->disks[disk].device;
    struct vf_cancel *cancel = vf_cancel_new(r->cancel);
    struct vf_http *http = NULL;
    struct vf_stream *in = NULL;
    if (!cancel) {
        return vf_error_set(err, VF_INTERNAL, "no descriptor left");
    }
    int rc = vf_export_connect(x->http, device, cancel, &http, err);
    if (rc == 0) {
        struct vf_http_request req = {.url = device->url};
        rc = vf_http_open(http, &req, &in, err);
    }
    if (rc == 0) {
        rc = x->taker->take(x->opaque, disk, in, cancel, err);
    }
    vf_stream_free(in);
    vf_http_free(http);
    vf_cancel_free(cancel);
    return rc;
}

/* A broken stream starts over: an export has no ranges. Not when the lease is gone: then no try can
 * help. */
static bool try_again(const struct run *r, size_t disk, struct vf_retry *retry, int *rc,
                      struct vf_error **err)
{
    char *vf_autofree text = *rc == VF_RETRY ? vf_error_format(*err) : NULL;
    if (!vf_retry_again(retry, rc, err)) {
        return false;
    }
    vf_report_warning(r->x->reporter, r->x->vm->name, "%s: the copy broke and starts over: %s",
                      label_of(r, disk), text);
    return true;
}

static int take_disk(void *opaque, size_t disk, struct vf_error **err)
{
    static const struct vf_retry_policy policy = {.max_tries = 3, .first_wait_ms = 1000};
    struct run *r = opaque;
    struct vf_retry retry;
    struct vf_error *e = NULL;
    int rc;
    if (!r->disks[disk].device) {
        return 0;
    }
    vf_retry_init(&retry, &policy, r->cancel);
    do {
        rc = take_once(r, disk, &e);
        if (rc && rc != VF_CANCELLED) {
            rc = vf_lease_explain(r->x->lease, rc, &e);
        }
    } while (try_again(r, disk, &retry, &rc, &e));
    if (rc) {
        vf_error_wrap(&e, rc, "disk %zu (%s)", disk, label_of(r, disk));
    }
    r->x->taker->ended(r->x->opaque, disk, e);
    vf_error_move(err, &e);
    return rc;
}

/* --- the lease --------------------------------------------------------------------------- */

static unsigned percent_done(const struct run *r)
{
    uint64_t done = 0, total = 0;
    for (size_t i = 0; i < r->x->vm->n_disks; i++) {
        if (r->disks[i].device) {
            done += r->x->taker->get_done_bytes(r->x->opaque, i);
            total += r->x->vm->disks[i].capacity_bytes;
        }
    }
    unsigned percent = total ? (unsigned)((double)done * 100.0 / (double)total) : 0;
    return percent > 99 ? 99 : percent;
}

struct keeper {
    struct run *run;
    struct vf_cancel *stop; /* triggered when the copy is over */
    int code;               /* the lease was lost */
    struct vf_error *error;
};

static void *keep_lease(void *opaque)
{
    struct keeper *k = opaque;
    int64_t interval_ms = (int64_t)vf_lease_timeout_s(k->run->x->lease) * 1000 / 4;
    interval_ms = interval_ms < 250 ? 250 : interval_ms > 15000 ? 15000 : interval_ms;

    while (!k->code && vf_cancel_wait(k->stop, interval_ms, NULL) == 0) {
        struct vf_error *e = NULL;
        int rc = vf_lease_progress(k->run->x->lease, percent_done(k->run), &e);
        if (rc == VF_CONFLICT || rc == VF_MISSING) {
            k->code = vf_error_wrap(&e, rc, "keeping the export alive");
            k->error = vf_take(e);
            vf_cancel_trigger(k->run->cancel);
        }
        /* Anything else may pass; the next call, or the streams, will tell. */
        vf_error_free(e);
    }
    return NULL;
}

static int take_all(struct run *r, struct vf_error **err)
{
    unsigned parallel = r->x->parallel ? r->x->parallel : DEFAULT_PARALLEL;
    struct keeper keeper = {.run = r, .stop = vf_cancel_new(r->cancel)};
    pthread_t thread;
    if (!keeper.stop) {
        return vf_error_set(err, VF_INTERNAL, "no descriptor left");
    }
    int rc = 0;
    bool kept = pthread_create(&thread, NULL, keep_lease, &keeper) == 0;
    if (kept) {
        rc = vf_parallel_run(r->x->vm->n_disks, parallel, take_disk, r, r->cancel, err);
        vf_cancel_trigger(keeper.stop);
        pthread_join(thread, NULL);
    } else {
        rc = vf_error_set(err, VF_INTERNAL, "cannot start a thread");
    }
    vf_cancel_free(keeper.stop);
    if (rc == VF_CANCELLED && keeper.code) { /* by the keeper: it knows why */
        rc = keeper.code;
        if (err) {
            vf_error_clear(err);
        }
        vf_error_move(err, &keeper.error);
    }
    vf_error_free(keeper.error);
    return rc;
}

/* Which device is which disk. */
static int match(struct run *r, struct vf_error **err)
{
    const struct vf_export_streams *x = r->x;
    size_t n_devices;
    const struct vf_lease_device *devices = vf_lease_devices(x->lease, &n_devices);
    int *vf_autofree disk_of = vf_xcalloc(n_devices, sizeof *disk_of);
    int rc = vf_lease_match_disks(x->lease, x->vm, disk_of, err);
    for (size_t i = 0; rc == 0 && i < n_devices; i++) {
        if (disk_of[i] >= 0 && x->taker->wants(x->opaque, (size_t)disk_of[i])) {
            r->disks[disk_of[i]].device = &devices[i];
        }
    }
    for (size_t i = 0; rc == 0 && i < x->vm->n_disks; i++) {
        if (!r->disks[i].device && x->taker->wants(x->opaque, i)) {
            rc = vf_error_set(err, VF_INVALID, "the export offers no stream for disk %zu (%s)", i,
                              label_of(r, i));
        }
    }
    return rc;
}

int vf_export_streams_run(const struct vf_export_streams *x, struct vf_error **err)
{
    struct run r = {.x = x, .cancel = x->cancel};
    r.disks = vf_xcalloc(x->vm->n_disks, sizeof *r.disks);
    int rc = match(&r, err);
    rc = rc ? rc : take_all(&r, err);
    free(r.disks);
    return rc;
}

int vf_export_open(struct vf_vsphere *vs, const struct vf_vm *vm, const char *snapshot,
                   struct vf_reporter *reporter, struct vf_lease **ret_lease, struct vf_error **err)
{
    int64_t end_ms = vf_clock_ms() + BUSY_TIMEOUT_MS;
    bool told = false;
    for (;;) {
        struct vf_error *e = NULL;
        int rc = snapshot ? vf_lease_open_snapshot(vs, snapshot, ret_lease, &e)
                          : vf_lease_open_vm(vs, vm->moref, ret_lease, &e);
        if (rc != VF_RETRY || !vf_fault_is(e, "TaskInProgress") || vf_clock_ms() >= end_ms) {
            vf_error_move(err, &e);
            return rc ? vf_error_wrap(err, rc, "opening the export") : 0;
        }
        vf_error_free(e);
        if (!told) {
            told = true;
            vf_report_warning(reporter, vm->name,
                              "the VM is busy with another task; the export of a vmferry that was "
                              "killed ends by itself within minutes: waiting up to %d more",
                              BUSY_TIMEOUT_MS / 60000);
        }
    }
}
