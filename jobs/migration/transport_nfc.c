/* By NFC export: the export of the snapshot is read whole, and of each disk only what is to be
 * copied is written. Needs nothing but vSphere itself.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "converters/disk/vmdk_stream.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/base/retry.h"
#include "importer/vsphere/fault.h"
#include "importer/vsphere/lease.h"
#include "jobs/export_streams.h"
#include "jobs/migration/transport_private.h"
#include "jobs/stages/only.h"
#include "jobs/stages/stage.h"
#include "jobs/transfer.h"

struct nfc {
    struct vf_transport base;
    const struct vf_transport_env *env;
};

/* A disk of the snapshot; `d` NULL: nothing of it is to be copied. */
struct part {
    const struct vf_transport_disk *d;
    struct vf_areas left;      /* of todo, what was not written yet */
    struct vf_progress passed; /* how much of the disk the stream has brought */
    bool whole;                /* a stream was read to its proved end */
};

struct nfc_round {
    const struct vf_transport_env *env;
    const struct vf_transport_round *round;
    struct part *parts; /* one for each of frozen->disks */
};

/* --- one stream -------------------------------------------------------------------------- */

static int check_size(const struct vf_transport_disk *d, uint64_t capacity_bytes,
                      struct vf_error **err)
{
    if (capacity_bytes != d->disk->capacity_bytes || capacity_bytes != d->sink->size_bytes) {
        return vf_error_set(
            err, VF_INVALID, "the stream is of a disk of %llu bytes, but the hardware says %llu",
            (unsigned long long)capacity_bytes, (unsigned long long)d->disk->capacity_bytes);
    }
    return 0;
}

static int decode(struct nfc_round *r, struct part *p, struct vf_vmdk_stream *stream,
                  struct vf_cancel *cancel, struct vf_error **err)
{
    uint64_t capacity_bytes = vf_vmdk_stream_capacity_bytes(stream);
    struct vf_sink *only = vf_only_stage_new(p->d->sink, &p->left);
    atomic_store(&p->passed.done_bytes, 0);
    struct vf_sink *sink = vf_progress_stage_new(only, &p->passed);
    int rc = vf_vmdk_stream_decode(stream, sink, r->env->pool, cancel, err);
    rc = rc ? rc : vf_cancel_check(cancel, err);
    if (rc == 0 && atomic_load(&p->passed.done_bytes) != capacity_bytes) {
        rc = vf_error_set(err, VF_INTERNAL, "%llu of %llu bytes were accounted for",
                          (unsigned long long)atomic_load(&p->passed.done_bytes),
                          (unsigned long long)capacity_bytes);
    }
    rc = rc ? rc : vf_sink_finish(only, err);
    struct vf_error *e = NULL;
    int rc_left = vf_only_stage_subtract(only, &p->left, &e);
    vf_error_move(err, &e);
    vf_sink_free(sink);
    return rc ? rc : rc_left;
}

static int take(void *opaque, size_t disk, struct vf_stream *in, struct vf_cancel *cancel,
                struct vf_error **err)
{
    struct nfc_round *r = opaque;
    struct part *p = &r->parts[disk];
    struct vf_vmdk_stream *stream = NULL;
    struct vf_stream *counted = vf_counting_stream_new(in, p->d->progress);
    int rc = vf_vmdk_stream_open(counted, &stream, err);
    rc = rc ? rc : check_size(p->d, vf_vmdk_stream_capacity_bytes(stream), err);
    rc = rc ? rc : decode(r, p, stream, cancel, err);
    vf_vmdk_stream_free(stream);
    vf_stream_free(counted);
    p->whole = rc == 0;
    return rc;
}

static bool wants(void *opaque, size_t disk)
{
    const struct nfc_round *r = opaque;
    return r->parts[disk].d && !r->parts[disk].whole;
}

static void ended(void *opaque, size_t disk, const struct vf_error *error)
{
    (void)opaque;
    (void)disk;
    (void)error;
}

static uint64_t get_done_bytes(void *opaque, size_t disk)
{
    const struct nfc_round *r = opaque;
    return atomic_load(&r->parts[disk].passed.done_bytes);
}

static const struct vf_export_taker taker = {
    .wants = wants, .take = take, .ended = ended, .get_done_bytes = get_done_bytes};

/* --- a lease ----------------------------------------------------------------------------- */

/* The same in other words, for which a new try may help. */
static int make_retry(struct vf_error **err)
{
    struct vf_error *lost = vf_take(*err), *again = NULL;
    char *vf_autofree text = vf_error_format(lost);
    vf_error_set(&again, VF_RETRY, "%s", text);
    if (vf_error_reason(lost)) {
        vf_error_set_reason(&again, vf_error_reason(lost));
    }
    if (vf_error_get_hint(lost)) {
        vf_error_hint(&again, "%s", vf_error_get_hint(lost));
    }
    vf_error_free(lost);
    *err = again;
    return VF_RETRY;
}

/* It timed out, or went with its session or with a vCenter that was started again. `lease` NULL: it
 * did not become ready. */
static bool is_lost(struct vf_lease *lease, int rc, const struct vf_error *e)
{
    enum vf_lease_state state = VF_LEASE_READY;
    if (rc != VF_CONFLICT && rc != VF_MISSING) {
        return false;
    }
    return lease ? vf_lease_fetch_state(lease, &state, NULL, NULL) == 0 && state != VF_LEASE_READY
                 : rc == VF_MISSING || vf_fault_is(e, "Timedout");
}

static void complete(const struct nfc_round *r, struct vf_lease *lease)
{
    struct vf_error *e = NULL;
    if (vf_lease_complete(lease, &e)) {
        /* All was read and checked; the lease ends by itself. */
        vf_report_warning(r->env->reporter, r->env->vm, "the export could not be closed: %s",
                          vf_error_message(e));
    }
    vf_error_free(e);
}

static int copy_once(struct nfc_round *r, struct vf_cancel *parent, struct vf_error **err)
{
    struct vf_lease *lease = NULL;
    struct vf_error *e = NULL;
    struct vf_cancel *cancel = vf_cancel_new(parent);
    if (!cancel) {
        return vf_error_set(err, VF_INTERNAL, "no descriptor left");
    }
    int rc = vf_export_open(r->env->vs, r->round->frozen, r->round->snapshot, r->env->reporter,
                            &lease, &e);
    rc = rc ? rc : vf_inject("transport.nfc.lease", &e);
    if (rc == 0) {
        struct vf_export_streams streams = {.lease = lease,
                                            .vm = r->round->frozen,
                                            .http = vf_vsphere_http_options(r->env->vs),
                                            .reporter = r->env->reporter,
                                            .parallel = r->env->parallel_disks,
                                            .cancel = cancel,
                                            .taker = &taker,
                                            .opaque = r};
        rc = vf_export_streams_run(&streams, &e);
        rc = rc ? rc : vf_inject("transport.nfc.complete", &e);
    }
    if (rc == 0) {
        complete(r, lease);
    } else {
        rc = vf_transport_explain(r->env, r->round, rc, &e);
        rc = is_lost(lease, rc, e) ? make_retry(&e) : rc;
    }
    vf_lease_free(lease);
    vf_cancel_free(cancel);
    vf_error_move(err, &e);
    return rc;
}

/* --- a round ----------------------------------------------------------------------------- */

static uint64_t left_bytes(const struct nfc_round *r)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->round->frozen->n_disks; i++) {
        n += r->parts[i].left.total_bytes;
    }
    return n;
}

/* A lease more, as long as each one brings the copy further. */
static int copy_all(struct nfc_round *r, struct vf_cancel *cancel, struct vf_error **err)
{
    static const struct vf_retry_policy policy = {
        .max_tries = 4, .first_wait_ms = 1000, .max_wait_ms = 15000};
    struct vf_retry retry;
    struct vf_error *e = NULL;
    int rc;
    vf_retry_init(&retry, &policy, cancel);
    for (;;) {
        uint64_t before = left_bytes(r);
        rc = copy_once(r, cancel, &e);
        if (left_bytes(r) < before) {
            vf_retry_progressed(&retry);
        }
        char *vf_autofree text = rc == VF_RETRY ? vf_error_format(e) : NULL;
        /* A VM that stays busy was waited for long enough. */
        bool hopeless = vf_transport_is_snapshot_lost(e) || vf_fault_is(e, "TaskInProgress");
        if (hopeless || !vf_retry_again(&retry, &rc, &e)) {
            break;
        }
        vf_report_warning(r->env->reporter, r->env->vm, "the export is opened again: %s", text);
    }
    vf_error_move(err, &e);
    return rc;
}

static int find_part(const struct nfc_round *r, const struct vf_transport_disk *d,
                     struct part **ret, struct vf_error **err)
{
    const struct vf_vm *frozen = r->round->frozen;
    for (size_t i = 0; i < frozen->n_disks; i++) {
        if (frozen->disks[i].key == d->disk->key) {
            *ret = &r->parts[i];
            return 0;
        }
    }
    return vf_error_set(err, VF_INTERNAL, "disk %zu is not in the snapshot", d->index);
}

static int nfc_copy(struct vf_transport *t, const struct vf_transport_round *round,
                    struct vf_cancel *cancel, struct vf_error **err)
{
    const struct vf_transport_env *env = ((struct nfc *)t)->env;
    struct nfc_round r = {.env = env, .round = round};
    int rc = 0;
    r.parts = vf_xcalloc(round->frozen->n_disks, sizeof *r.parts);
    for (size_t i = 0; i < round->n_disks && rc == 0; i++) {
        const struct vf_transport_disk *d = &round->disks[i];
        struct part *p = NULL;
        rc = find_part(&r, d, &p, err);
        if (rc == 0) {
            p->d = d;
            /* What is taken out may leave two areas of one; never may it leave more than todo. */
            vf_areas_init(&p->left, d->todo->count + VF_AREAS_MAX_DEFAULT, VF_AREAS_REFUSE);
            rc = vf_areas_copy(&p->left, d->todo, err);
        }
    }
    rc = rc ? rc : copy_all(&r, cancel, err);
    for (size_t i = 0; i < round->frozen->n_disks; i++) {
        vf_areas_release(&r.parts[i].left);
    }
    free(r.parts);
    if (rc && cancel) {
        vf_cancel_trigger(cancel);
    }
    return rc;
}

static void nfc_free(struct vf_transport *t)
{
    free(t);
}

struct vf_transport *vf_transport_nfc_new(const struct vf_transport_env *env)
{
    static const struct vf_transport_ops ops = {.copy = nfc_copy, .free = nfc_free};
    struct nfc *n = vf_xcalloc(1, sizeof *n);
    n->base = (struct vf_transport){.ops = &ops, .kind = VF_TRANSPORT_NFC};
    n->env = env;
    return &n->base;
}
