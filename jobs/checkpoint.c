#include "jobs/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "importer/vsphere/change_id.h"
#include "jobs/checkpoint_private.h"

static void release_disk(struct vf_checkpoint_disk *d)
{
    free(d->label);
    free(d->target);
    free(d->backing_uuid);
    free(d->snapshot);
    free(d->change_id);
    free(d->base_change_id);
    free(d->round_started);
    vf_areas_release(&d->done);
}

void vf_checkpoint_release(struct vf_checkpoint *c)
{
    for (size_t i = 0; i < c->n_disks; i++) {
        release_disk(&c->disks[i]);
    }
    free(c->disks);
    free(c->instance_uuid);
    free(c->moref);
    free(c->vm_name);
    free(c->updated);
    *c = (struct vf_checkpoint){0};
}

struct vf_checkpoint_disk *vf_checkpoint_add_disk(struct vf_checkpoint *c,
                                                  const struct vf_vm_disk *disk, const char *target)
{
    c->disks = vf_xrealloc_array(c->disks, c->n_disks + 1, sizeof *c->disks);
    struct vf_checkpoint_disk *d = &c->disks[c->n_disks++];
    *d = (struct vf_checkpoint_disk){
        .key = disk->key,
        .label = vf_xstrdup(disk->label),
        .target = vf_xstrdup(target),
        .backing_uuid = vf_xstrdup(disk->uuid),
        .size_bytes = disk->capacity_bytes,
    };
    vf_areas_init(&d->done, VF_AREAS_MAX_DEFAULT, VF_AREAS_DROP);
    return d;
}

void vf_checkpoint_remove_disk(struct vf_checkpoint *c, struct vf_checkpoint_disk *disk)
{
    release_disk(disk);
    size_t behind = (size_t)(c->disks + c->n_disks - (disk + 1));
    memmove(disk, disk + 1, behind * sizeof *disk);
    c->n_disks--;
}

void vf_checkpoint_add_round(struct vf_checkpoint *c, const struct vf_round *round, bool full)
{
    if (full) {
        c->n_rounds = 0;
    }
    if (c->n_rounds == VF_CHECKPOINT_MAX_ROUNDS) {
        memmove(c->rounds + 1, c->rounds + 2, (c->n_rounds - 2) * sizeof *c->rounds);
        c->n_rounds--;
    }
    c->rounds[c->n_rounds++] = *round;
}

struct vf_checkpoint_disk *vf_checkpoint_find_disk(const struct vf_checkpoint *c, int32_t key)
{
    for (size_t i = 0; i < c->n_disks; i++) {
        if (c->disks[i].key == key) {
            return &c->disks[i];
        }
    }
    return NULL;
}

static void begin(struct vf_checkpoint_disk *d, const char *snapshot, const char *change_id)
{
    char now[VF_CLOCK_RFC3339_SIZE];
    vf_clock_rfc3339(now);
    vf_replace_string(&d->round_started, now);
    vf_replace_string(&d->snapshot, snapshot);
    vf_replace_string(&d->change_id, change_id);
    vf_areas_clear(&d->done);
    d->round_bytes = 0;
}

void vf_checkpoint_disk_begin_full(struct vf_checkpoint_disk *d, const char *snapshot,
                                   const char *change_id)
{
    begin(d, snapshot, change_id);
    vf_replace_string(&d->base_change_id, NULL);
    d->phase = VF_CHECKPOINT_FULL;
    d->round = 0;
}

static int check_follows(const struct vf_checkpoint_disk *d, const char *change_id,
                         struct vf_error **err)
{
    struct vf_change_id then, now;
    if (vf_change_id_parse(d->change_id, &then, NULL) ||
        vf_change_id_parse(change_id, &now, NULL)) {
        return vf_error_set(err, VF_CONFLICT, "the disk's changes are not tracked");
    }
    enum vf_change_order order = vf_change_id_compare(&then, &now);
    if (order != VF_CHANGE_SAME && order != VF_CHANGE_LATER) {
        return vf_error_set(err, VF_CONFLICT,
                            "change ID \"%s\" does not follow on \"%s\" of the checkpoint",
                            change_id, d->change_id);
    }
    return 0;
}

int vf_checkpoint_disk_begin_delta(struct vf_checkpoint_disk *d, const char *snapshot,
                                   const char *change_id, struct vf_error **err)
{
    if (d->phase != VF_CHECKPOINT_COMPLETE) {
        return vf_error_set(err, VF_CONFLICT, "the round before is not complete");
    }
    int rc = check_follows(d, change_id, err);
    if (rc) {
        return rc;
    }
    vf_replace_string(&d->base_change_id, d->change_id);
    begin(d, snapshot, change_id);
    d->phase = VF_CHECKPOINT_DELTA;
    d->round++;
    return 0;
}

static int check_running(const struct vf_checkpoint_disk *d, struct vf_error **err)
{
    if (d->phase == VF_CHECKPOINT_COMPLETE || !d->snapshot) {
        return vf_error_set(err, VF_CONFLICT, "no round is under way");
    }
    return 0;
}

int vf_checkpoint_disk_rebase(struct vf_checkpoint_disk *d, const char *snapshot,
                              const char *change_id, const struct vf_areas *changed,
                              struct vf_error **err)
{
    int rc = check_running(d, err);
    if (rc == 0) {
        rc = check_follows(d, change_id, err);
    }
    if (rc == 0) {
        rc = vf_areas_subtract_all(&d->done, changed, err);
    }
    if (rc == 0) {
        vf_replace_string(&d->snapshot, snapshot);
        vf_replace_string(&d->change_id, change_id);
    }
    return rc;
}

/* A sum of bytes is for people: it stays at its ceiling. */
static uint64_t add_bytes(uint64_t a, uint64_t b)
{
    uint64_t sum;
    bool over = __builtin_add_overflow(a, b, &sum) || sum > VF_CHECKPOINT_MAX_COUNT;
    return over ? VF_CHECKPOINT_MAX_COUNT : sum;
}

int vf_checkpoint_disk_flushed(struct vf_checkpoint_disk *d, const struct vf_areas *flushed,
                               const struct vf_areas *changed, struct vf_error **err)
{
    int rc = check_running(d, err);
    if (rc) {
        return rc;
    }
    if (vf_areas_overlaps(flushed, d->size_bytes, UINT64_MAX)) {
        return vf_error_set(err, VF_RANGE, "areas beyond the disk's %" PRIu64 " bytes",
                            d->size_bytes);
    }
    rc = vf_areas_add_all(&d->done, flushed, err);
    if (rc == 0) {
        if (changed) {
            vf_areas_bridge(&d->done, changed);
        }
        d->round_bytes = add_bytes(d->round_bytes, flushed->total_bytes);
        d->copied_bytes = add_bytes(d->copied_bytes, flushed->total_bytes);
    }
    return rc;
}

int vf_checkpoint_disk_remaining(const struct vf_checkpoint_disk *d, const struct vf_areas *changed,
                                 struct vf_areas *rest, struct vf_error **err)
{
    vf_areas_clear(rest);
    if (d->phase == VF_CHECKPOINT_COMPLETE) {
        return 0;
    }
    if ((d->phase == VF_CHECKPOINT_FULL) != (changed == NULL)) {
        return vf_error_set(err, VF_INVALID,
                            "changed areas are for a round after the full copy, and only for that");
    }
    int rc =
        changed ? vf_areas_add_all(rest, changed, err) : vf_areas_add(rest, 0, d->size_bytes, err);
    if (rc == 0) {
        /* What a query gave, or widening made of it, may reach beyond the disk. */
        rc = vf_areas_subtract(rest, d->size_bytes, UINT64_MAX - d->size_bytes, err);
    }
    return rc ? rc : vf_areas_subtract_all(rest, &d->done, err);
}

void vf_checkpoint_disk_complete(struct vf_checkpoint_disk *d)
{
    vf_areas_clear(&d->done);
    vf_replace_string(&d->base_change_id, NULL);
    d->phase = VF_CHECKPOINT_COMPLETE;
}
