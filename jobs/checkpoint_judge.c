#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "importer/base/mem.h"
#include "importer/vsphere/change_id.h"
#include "jobs/checkpoint.h"

/* UUIDs are written in either case. */
static bool same_uuid(const char *a, const char *b)
{
    return a && b && strcasecmp(a, b) == 0;
}

static bool has_snapshot(const struct vf_vm *vm, const char *moref)
{
    for (size_t i = 0; i < vm->n_snapshots; i++) {
        if (vm->snapshots[i].moref && strcmp(vm->snapshots[i].moref, moref) == 0) {
            return true;
        }
    }
    return false;
}

/* Why the disk is not the one that was copied; NULL: it is. */
static char *why_another_disk(const struct vf_checkpoint_disk *d, const struct vf_vm_disk *now)
{
    if (d->size_bytes != now->capacity_bytes) {
        return vf_xasprintf("the disk was resized from %" PRIu64 " to %" PRIu64 " bytes",
                            d->size_bytes, now->capacity_bytes);
    }
    if ((d->backing_uuid || now->uuid) && !same_uuid(d->backing_uuid, now->uuid)) {
        return vf_xasprintf("the disk has UUID \"%s\", and the copied one had \"%s\"",
                            now->uuid ? now->uuid : "none",
                            d->backing_uuid ? d->backing_uuid : "none");
    }
    return NULL;
}

/* Why what changed since the checkpoint cannot be asked for; NULL: it can. */
static const char *why_not_tracked(const struct vf_checkpoint_disk *d, const struct vf_vm_disk *now,
                                   bool enabled)
{
    struct vf_change_id then_id, now_id;
    if (vf_change_id_parse(d->change_id, &then_id, NULL)) {
        return "the disk's changes were not tracked when it was copied";
    }
    if (!enabled || vf_change_id_parse(now->change_id, &now_id, NULL)) {
        return "the disk's changes are not tracked any more";
    }
    switch (vf_change_id_compare(&then_id, &now_id)) {
    case VF_CHANGE_SAME:
    case VF_CHANGE_LATER:
        return NULL;
    case VF_CHANGE_EARLIER:
        return "the disk was taken back to an earlier state: a snapshot was reverted to";
    case VF_CHANGE_FOREIGN:
        break;
    }
    return "change tracking was reset since the checkpoint";
}

/* `not_tracked` as of why_not_tracked. */
static void judge_running(const struct vf_checkpoint_disk *d, bool snapshot_there,
                          const char *not_tracked, struct vf_checkpoint_verdict *v)
{
    /* A full copy of a frozen snapshot needs no tracking, when it began without. */
    bool needs_tracking = d->phase == VF_CHECKPOINT_DELTA || d->change_id;
    if (snapshot_there && !(not_tracked && needs_tracking)) {
        v->use = VF_USE_GO_ON;
        v->reason = vf_xasprintf("snapshot \"%s\" is still there, %" PRIu64 " MiB are done",
                                 d->snapshot, d->done.total_bytes >> 20);
    } else if (snapshot_there) {
        v->reason = vf_xstrdup(not_tracked);
    } else if (not_tracked) {
        v->reason = vf_xasprintf("snapshot \"%s\" is gone, and %s", d->snapshot, not_tracked);
    } else if (d->phase == VF_CHECKPOINT_FULL && d->done.count == 0) {
        v->reason =
            vf_xasprintf("snapshot \"%s\" is gone, and nothing of it was copied", d->snapshot);
    } else {
        v->use = VF_USE_REBASE;
        v->reason = vf_xasprintf("snapshot \"%s\" is gone: what changed since is copied again",
                                 d->snapshot);
    }
}

static void judge_disk(const struct vf_checkpoint *c, const struct vf_vm *now,
                       const struct vf_vm_disk *disk, struct vf_checkpoint_verdict *v)
{
    const struct vf_checkpoint_disk *d = vf_checkpoint_find_disk(c, disk->key);
    if (!d) {
        v->reason = vf_xstrdup("the checkpoint does not know this disk");
        return;
    }
    v->disk = d;
    v->reason = why_another_disk(d, disk);
    if (v->reason) {
        return;
    }
    const char *not_tracked = why_not_tracked(d, disk, now->cbt_enabled);
    if (d->phase != VF_CHECKPOINT_COMPLETE) {
        judge_running(d, has_snapshot(now, d->snapshot), not_tracked, v);
    } else if (not_tracked) {
        v->reason = vf_xstrdup(not_tracked);
    } else {
        v->use = VF_USE_DELTA;
        v->reason = vf_xasprintf(
            "complete as of snapshot \"%s\": only what changed since is copied", d->snapshot);
    }
}

static bool vm_has_disk(const struct vf_vm *vm, int32_t key)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (vm->disks[i].key == key) {
            return true;
        }
    }
    return false;
}

void vf_checkpoint_judge(const struct vf_checkpoint *c, const struct vf_vm *now,
                         struct vf_checkpoint_judgement *ret)
{
    struct vf_checkpoint_judgement j = {
        .other_vm = !same_uuid(c->instance_uuid, now->instance_uuid),
        .n_disks = now->n_disks,
    };
    j.disks = vf_xcalloc(now->n_disks, sizeof *j.disks);
    for (size_t i = 0; i < now->n_disks; i++) {
        if (j.other_vm) {
            j.disks[i].reason = vf_xasprintf(
                "the checkpoint is of vm \"%s\" with instance UUID \"%s\"",
                c->vm_name ? c->vm_name : "", c->instance_uuid ? c->instance_uuid : "");
        } else {
            judge_disk(c, now, &now->disks[i], &j.disks[i]);
        }
    }
    j.gone = vf_xcalloc(c->n_disks, sizeof(void *));
    for (size_t i = 0; i < c->n_disks; i++) {
        if (!j.other_vm && !vm_has_disk(now, c->disks[i].key)) {
            j.gone[j.n_gone++] = &c->disks[i];
        }
    }
    *ret = j;
}

void vf_checkpoint_judgement_release(struct vf_checkpoint_judgement *j)
{
    for (size_t i = 0; i < j->n_disks; i++) {
        free(j->disks[i].reason);
    }
    free(j->disks);
    free(j->gone);
    *j = (struct vf_checkpoint_judgement){0};
}
