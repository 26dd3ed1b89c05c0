#include "jobs/migration/round.h"

#include <inttypes.h>
#include <stdlib.h>

#include "importer/base/inject.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "jobs/migration/round_private.h"
#include "jobs/stages/journal.h"

/* What is in flight comes on top of what is written between two flushes. */
#define FLUSH_INTERVAL_MS 30000

static bool has_todo(const struct vf_round_disk *rd)
{
    return rd->todo.count > 0;
}

static int save(struct vf_disks *d, struct vf_error **err)
{
    pthread_mutex_lock(&d->lock);
    int rc = vf_checkpoint_save(d->env.target->store, d->env.checkpoint, err);
    pthread_mutex_unlock(&d->lock);
    return rc ? vf_error_wrap(err, rc, "cannot save the checkpoint") : 0;
}

/* What is there is opened before the checkpoint is saved, since it may turn out to be of no use,
 * also where nothing changed; what is to begin from nothing after that, since from then on nothing
 * of it is left. */
static int open_sinks(struct vf_disks *d, const char *snapshot, bool fresh, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < d->n && rc == 0; i++) {
        struct vf_round_disk *rd = d->list[i];
        if (rd->fresh != fresh) {
            continue;
        }
        struct vf_error *error = NULL;
        rc = vf_round_open(rd, fresh, &error);
        if (!fresh && (rc == VF_MISSING || rc == VF_INVALID)) {
            char *vf_autofree why = vf_error_format(error);
            vf_error_clear(&error);
            rc = vf_round_plan_full(rd, snapshot, why, &error);
        }
        vf_error_move(err, &error);
    }
    return rc;
}

static int begin(struct vf_disks *d, const char *snapshot, struct vf_error **err)
{
    int rc = d->copies_itself ? 0 : open_sinks(d, snapshot, false, err);
    rc = rc ? rc : save(d, err);
    rc = rc ? rc : vf_inject("round.begun", err);
    if (rc == 0 && !d->copies_itself) {
        rc = open_sinks(d, snapshot, true, err);
    }
    return rc ? rc : vf_inject("round.open", err);
}

/* Progress and journal begin anew; the listeners hear of the disks. */
static void start_disks(struct vf_disks *d)
{
    for (size_t i = 0; i < d->n; i++) {
        struct vf_round_disk *rd = d->list[i];
        rd->started = has_todo(rd);
        if (!rd->started) {
            continue;
        }
        if (rd->chain) {
            uint64_t bytes = d->env.flush_bytes ? d->env.flush_bytes
                                                : vf_journal_interval_bytes(rd->todo.total_bytes);
            vf_journal_begin(rd->journal, bytes, FLUSH_INTERVAL_MS);
        }
        vf_report(d->env.reporter, &(struct vf_event){.type = VF_EVENT_DISK_START,
                                                      .vm = d->env.vm,
                                                      .disk = (unsigned)rd->index,
                                                      .name = rd->name,
                                                      .progress = &rd->progress});
    }
}

static void end_disks(struct vf_disks *d, const struct vf_error *error)
{
    for (size_t i = 0; i < d->n; i++) {
        struct vf_round_disk *rd = d->list[i];
        if (rd->started) {
            rd->started = false;
            vf_report(d->env.reporter, &(struct vf_event){.type = VF_EVENT_DISK_END,
                                                          .vm = d->env.vm,
                                                          .disk = (unsigned)rd->index,
                                                          .name = rd->name,
                                                          .progress = &rd->progress,
                                                          .error = error});
        }
    }
}

static int run_transport(struct vf_disks *d, struct vf_transport *transport, const char *snapshot,
                         const struct vf_vm *frozen, const struct vf_cancel *cancel,
                         struct vf_error **err)
{
    struct vf_transport_disk *vf_autofree disks = vf_xcalloc(d->n + 1, sizeof *disks);
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        struct vf_round_disk *rd = d->list[i];
        if (has_todo(rd) || (d->copies_itself && transport->last)) {
            disks[n++] = (struct vf_transport_disk){.index = i,
                                                    .disk = rd->frozen,
                                                    .todo = &rd->todo,
                                                    .sink = rd->chain,
                                                    .progress = &rd->progress,
                                                    .base_change_id = rd->noted->base_change_id};
        }
    }
    if (n == 0) {
        return 0;
    }
    /* A round that failed may be tried again: it ends nothing but itself. */
    struct vf_cancel *own = vf_cancel_new(cancel);
    if (!own) {
        return vf_error_set(err, VF_INTERNAL, "no memory for a cancellation");
    }
    struct vf_transport_round round = {
        .snapshot = snapshot, .frozen = frozen, .disks = disks, .n_disks = n};
    int rc = vf_transport_copy(transport, &round, own, err);
    vf_cancel_free(own);
    return rc ? rc : vf_cancel_check(cancel, err);
}

/* A transport that came to its end and left something out made a mistake, and its copy is none. */
static int check_whole(const struct vf_round_disk *rd, struct vf_error **err)
{
    struct vf_areas rest;
    bool full = rd->noted->phase == VF_CHECKPOINT_FULL;
    uint64_t left = 0;
    int rc = 0;
    if (rd->noted->done.inexact) {
        uint64_t done = atomic_load(&rd->progress.done_bytes);
        left = done < rd->todo.total_bytes ? rd->todo.total_bytes - done : 0;
    } else {
        vf_areas_init(&rest, VF_AREAS_MAX_DEFAULT, VF_AREAS_WIDEN);
        rc = vf_checkpoint_disk_remaining(rd->noted, full ? NULL : &rd->changed, &rest, err);
        left = rest.total_bytes;
        vf_areas_release(&rest);
    }
    if (rc == 0 && left > 0) {
        rc = vf_error_set(err, VF_INTERNAL,
                          "%" PRIu64 " of %" PRIu64 " bytes of disk \"%s\" were left out", left,
                          rd->todo.total_bytes, rd->name);
    }
    return rc;
}

/* Make durable and note what was written, of a round that broke too. */
static int flush_all(struct vf_disks *d, bool whole, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < d->n; i++) {
        struct vf_round_disk *rd = d->list[i];
        if (!has_todo(rd) || !rd->chain) {
            continue;
        }
        struct vf_error *error = NULL;
        int own = 0;
        if (vf_journal_health(rd->journal) != VF_JOURNAL_FLUSH_FAILED) {
            own = vf_sink_flush(rd->chain, &error);
            own = own ? vf_error_wrap(&error, own, "disk \"%s\"", rd->name) : 0;
        }
        own = own == 0 && whole ? check_whole(rd, &error) : own;
        if (own && rc == 0) {
            rc = own;
            vf_error_move(err, &error);
        }
        vf_error_free(error);
    }
    return rc;
}

/* What came was damaged, and how long ago that began nobody knows: a grain with a wrong address has
 * overwritten what was right before. It is all inside of what the round copies, so the round from
 * its beginning makes it good. */
static void forget_done(struct vf_disks *d)
{
    for (size_t i = 0; i < d->n; i++) {
        if (has_todo(d->list[i])) {
            vf_areas_clear(&d->list[i]->noted->done);
        }
    }
}

/* The end of the copy, whatever it is. */
static int settle(struct vf_disks *d, int rc, struct vf_error **err)
{
    struct vf_error *error = NULL;
    bool good = rc == 0;
    d->save_each = false;
    int own = good ? vf_inject("round.copied", &error) : 0;
    own = own ? own : flush_all(d, good, &error);
    own = own || !good ? own : vf_inject("round.flushed", &error);
    for (size_t i = 0; i < d->n && good && own == 0; i++) {
        vf_checkpoint_disk_complete(d->list[i]->noted);
    }
    if (rc == VF_INVALID) {
        forget_done(d);
    }
    struct vf_error *unsaved = NULL;
    int saved = save(d, &unsaved);
    own = own || !good ? own : vf_inject("round.complete", &error);
    for (size_t i = 0; i < d->n; i++) {
        struct vf_round_disk *rd = d->list[i];
        if (rd->chain && vf_journal_health(rd->journal) != VF_JOURNAL_WELL) {
            vf_round_close(rd); /* to find out anew what the target holds */
        }
    }
    own = own ? own : saved;
    vf_error_move(&error, &unsaved);
    if (!good && own) {
        vf_debug("round: after a failure: %s", vf_error_message(error));
        vf_error_clear(&error);
    }
    vf_error_move(err, &error);
    return rc ? rc : own;
}

static void sum_up(const struct vf_disks *d, struct vf_round_report *ret)
{
    *ret = (struct vf_round_report){0};
    for (size_t i = 0; i < d->n; i++) {
        const struct vf_round_disk *rd = d->list[i];
        ret->todo_bytes += rd->whole_bytes;
        ret->before_bytes +=
            rd->whole_bytes > rd->todo.total_bytes ? rd->whole_bytes - rd->todo.total_bytes : 0;
        ret->full = ret->full || (has_todo(rd) && rd->noted->phase == VF_CHECKPOINT_FULL);
    }
    ret->nothing = ret->todo_bytes == 0;
}

static void reset_progress(struct vf_disks *d)
{
    for (size_t i = 0; i < d->n; i++) {
        struct vf_progress *p = &d->list[i]->progress;
        atomic_store(&p->done_bytes, 0);
        atomic_store(&p->data_bytes, 0);
        atomic_store(&p->source_bytes, 0);
        p->total_bytes = d->list[i]->todo.total_bytes;
    }
}

static uint64_t copied_bytes(const struct vf_disks *d)
{
    uint64_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        n += atomic_load(&d->list[i]->progress.done_bytes);
    }
    return n;
}

int vf_disks_copy_round(struct vf_disks *d, struct vf_transport *transport, const char *snapshot,
                        const struct vf_vm *frozen, struct vf_cancel *cancel,
                        struct vf_round_report *ret, struct vf_error **err)
{
    *ret = (struct vf_round_report){0};
    d->copies_itself = transport->copies_itself;
    for (size_t i = 0; i < d->n && d->copies_itself; i++) {
        vf_round_close(d->list[i]);
    }
    int rc = vf_round_adopt(d, frozen, err);
    rc = rc ? rc : vf_round_plan(d, snapshot, frozen, err);
    rc = rc ? rc : begin(d, snapshot, err);
    if (rc) {
        return rc;
    }
    sum_up(d, ret);
    reset_progress(d);
    start_disks(d);
    d->save_each = true;
    struct vf_error *error = NULL;
    rc = run_transport(d, transport, snapshot, frozen, cancel, &error);
    rc = settle(d, rc, &error);
    ret->bytes = copied_bytes(d);
    end_disks(d, error);
    vf_error_move(err, &error);
    return rc;
}
