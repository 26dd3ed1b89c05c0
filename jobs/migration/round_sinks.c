#include <inttypes.h>
#include <stdlib.h>

#include "importer/base/inject.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "jobs/migration/round_private.h"
#include "jobs/stages/journal.h"
#include "jobs/stages/readback.h"
#include "jobs/stages/stage.h"

#define NEEDED_CAPS                                                                                \
    (VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE | (unsigned)VF_SINK_READABLE)

/* The journal's: the target holds these for good. */
static int note_durable(void *opaque, const struct vf_areas *areas, struct vf_error **err)
{
    struct vf_round_disk *rd = opaque;
    struct vf_disks *d = rd->disks;
    bool full = rd->noted->phase == VF_CHECKPOINT_FULL;
    pthread_mutex_lock(&d->lock);
    int rc = vf_checkpoint_disk_flushed(rd->noted, areas, full ? NULL : &rd->changed, err);
    if (rc == 0 && d->save_each) {
        rc = vf_checkpoint_save(d->env.target->store, d->env.checkpoint, err);
    }
    pthread_mutex_unlock(&d->lock);
    return rc ? vf_error_wrap(err, rc, "checkpoint of disk \"%s\"", rd->name) : 0;
}

static int check_target(const struct vf_round_disk *rd, const struct vf_sink *sink,
                        struct vf_error **err)
{
    if ((sink->caps & NEEDED_CAPS) != NEEDED_CAPS || sink->size_bytes != rd->size_bytes) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "the target of %" PRIu64 " bytes cannot take changes of a disk of "
                            "%" PRIu64 " bytes",
                            sink->size_bytes, rd->size_bytes);
    }
    return 0;
}

static int make_chain(struct vf_round_disk *rd, struct vf_sink *sink, bool fresh,
                      struct vf_error **err)
{
    struct vf_sink *readback;
    bool is_zero = fresh && (sink->caps & VF_SINK_STARTS_ZERO);
    int rc = check_target(rd, sink, err);
    rc = rc ? rc : vf_readback_stage_new(sink, is_zero, &readback, err);
    if (rc) {
        vf_sink_free(sink);
        return rc;
    }
    rd->readback = readback;
    rd->journal = vf_journal_stage_new(readback, note_durable, rd);
    rd->chain = vf_zero_stage_new(vf_progress_stage_new(rd->journal, &rd->progress));
    return 0;
}

int vf_round_open(struct vf_round_disk *rd, bool fresh, struct vf_error **err)
{
    const struct vf_disks_env *env = &rd->disks->env;
    struct vf_warm_target *t = env->target;
    if (rd->chain && !fresh) {
        return 0;
    }
    vf_round_close(rd);
    struct vf_sink *sink = NULL;
    int rc = t->ops->open_disk(t, rd->index, rd->size_bytes, fresh, env->cancel, &sink, err);
    rc = rc ? rc : make_chain(rd, sink, fresh, err);
    return rc ? vf_error_wrap(err, rc, "disk \"%s\"", rd->name) : 0;
}

void vf_round_close(struct vf_round_disk *rd)
{
    vf_sink_free(rd->chain);
    rd->chain = rd->journal = rd->readback = NULL;
}

static int refresh(struct vf_round_disk *rd, struct vf_cancel *cancel, struct vf_error **err)
{
    uint64_t bytes = vf_readback_unknown_bytes(rd->readback);
    if (bytes == 0) {
        return 0;
    }
    vf_debug("round: reading back %" PRIu64 " bytes of disk \"%s\" for its digest", bytes,
             rd->name);
    int rc = vf_inject("round.digest", err);
    rc = rc ? rc : vf_readback_refresh(rd->readback, rd->disks->env.pool, cancel, err);
    return rc ? vf_error_wrap(err, rc, "reading back disk \"%s\"", rd->name) : 0;
}

int vf_disks_refresh_digests(struct vf_disks *d, struct vf_cancel *cancel, struct vf_error **err)
{
    /* A failure here ends nothing else. */
    struct vf_cancel *own = vf_cancel_new(cancel);
    if (!own) {
        return vf_error_set(err, VF_INTERNAL, "no memory for a cancellation");
    }
    int rc = 0;
    for (size_t i = 0; i < d->n && rc == 0; i++) {
        if (d->list[i]->chain) {
            rc = refresh(d->list[i], own, err);
        }
    }
    vf_cancel_free(own);
    return rc;
}

static int finish_disk(struct vf_round_disk *rd, bool with_digest, char **ret_digest,
                       struct vf_error **err)
{
    int rc = with_digest ? vf_readback_format(rd->readback, ret_digest, err) : 0;
    rc = rc ? rc : vf_inject("round.finish", err);
    rc = rc ? rc : vf_sink_finish(rd->chain, err);
    rc = rc ? rc : vf_inject("round.finished", err);
    vf_round_close(rd);
    return rc ? vf_error_wrap(err, rc, "disk \"%s\"", rd->name) : 0;
}

static int open_all(struct vf_disks *d, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < d->n && rc == 0; i++) {
        struct vf_round_disk *rd = d->list[i];
        const struct vf_checkpoint_disk *cd = vf_checkpoint_find_disk(d->env.checkpoint, rd->key);
        if (!cd || cd->phase != VF_CHECKPOINT_COMPLETE) {
            return vf_error_set(err, VF_CONFLICT, "disk \"%s\" is not copied to its end", rd->name);
        }
        rc = vf_round_open(rd, false, err);
    }
    return rc;
}

int vf_disks_finish(struct vf_disks *d, bool with_digest, struct vf_cancel *cancel,
                    struct vf_error **err)
{
    struct vf_import *im = d->env.target->im;
    if (d->n == 0 || d->n != im->n_copies) {
        return vf_error_set(err, VF_INTERNAL, "%zu disks were copied, and the target has %zu", d->n,
                            im->n_copies);
    }
    with_digest = with_digest && !d->copies_itself;
    int rc = d->copies_itself ? 0 : open_all(d, err);
    if (rc == 0 && with_digest) {
        rc = vf_disks_refresh_digests(d, cancel, err);
    }
    for (size_t i = 0; i < d->n && rc == 0; i++) {
        struct vf_disk_copy *copy = &im->copies[i];
        char *digest = NULL;
        rc = d->copies_itself ? 0 : finish_disk(d->list[i], with_digest, &digest, err);
        if (rc == 0) {
            free(copy->digest);
            copy->digest = vf_take(digest);
            copy->size_bytes = d->list[i]->size_bytes;
            copy->complete = true;
        }
        free(digest);
    }
    return rc;
}
