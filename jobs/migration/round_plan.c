#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/migration/round_private.h"

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static const char *get_target(const struct vf_round_disk *rd)
{
    struct vf_warm_target *t = rd->disks->env.target;
    return t->ops->get_name(t, rd->index);
}

static bool is_full(const struct vf_round_disk *rd)
{
    return rd->noted->phase == VF_CHECKPOINT_FULL;
}

/* What is left of the round, for a checkpoint that has begun it. */
static int find_todo(struct vf_round_disk *rd, struct vf_error **err)
{
    vf_areas_release(&rd->todo);
    vf_areas_init(&rd->todo, VF_AREAS_MAX_DEFAULT, VF_AREAS_WIDEN);
    rd->whole_bytes = is_full(rd) ? rd->size_bytes : rd->changed.total_bytes;
    rd->fresh = is_full(rd) && rd->noted->done.count == 0;
    return vf_checkpoint_disk_remaining(rd->noted, is_full(rd) ? NULL : &rd->changed, &rd->todo,
                                        err);
}

static void tell_full(struct vf_round_disk *rd, const char *why)
{
    const struct vf_disks *d = rd->disks;
    if (rd->frozen->change_id) {
        if (why) {
            vf_report_warning(d->env.reporter, d->env.vm, "disk \"%s\" is copied in full: %s",
                              rd->name, why);
        }
    } else if (!rd->untracked_told) {
        rd->untracked_told = true;
        vf_report_warning(d->env.reporter, d->env.vm,
                          "changes of disk \"%s\" are not tracked: it is copied in full in every "
                          "round, and at the cutover while the VM is off",
                          rd->name);
    }
}

int vf_round_plan_full(struct vf_round_disk *rd, const char *snapshot, const char *why,
                       struct vf_error **err)
{
    struct vf_checkpoint_disk *cd = rd->noted;
    tell_full(rd, why);
    cd->size_bytes = rd->size_bytes;
    vf_replace_string(&cd->backing_uuid, rd->frozen->uuid);
    vf_replace_string(&cd->target, get_target(rd));
    vf_checkpoint_disk_begin_full(cd, snapshot, rd->frozen->change_id);
    vf_areas_release(&rd->changed);
    return find_todo(rd, err);
}

/* What changed from `since` to the snapshot. *ret_why (heap): it cannot be told, copy in full. */
static int ask(struct vf_round_disk *rd, const char *snapshot, const struct vf_vm *frozen,
               const char *since, struct vf_areas *ret_areas, char **ret_why, struct vf_error **err)
{
    const struct vf_disks_env *env = &rd->disks->env;
    struct vf_cbt_query q = {
        .vm_moref = frozen->moref,
        .snapshot_moref = snapshot,
        .disk = rd->frozen,
        .since = {.change_id = since, .capacity_bytes = rd->noted->size_bytes}};
    struct vf_cbt_answer a = {0};
    int rc = env->changes(env->changes_opaque, &q, &a, err);
    if (rc) {
        return vf_error_wrap(err, rc, "disk \"%s\"", rd->name);
    }
    if (a.why) {
        *ret_why = a.detail ? vf_xasprintf("%s (%s)", vf_full_copy_text(a.why), a.detail)
                            : vf_xstrdup(vf_full_copy_text(a.why));
    } else {
        *ret_areas = a.areas;
        a.areas = (struct vf_areas){0};
    }
    vf_cbt_answer_release(&a);
    return 0;
}

/* What the round copies is counted from base_change_id; without one it is all. */
static int ask_changed(struct vf_round_disk *rd, const char *snapshot, const struct vf_vm *frozen,
                       char **ret_why, struct vf_error **err)
{
    vf_areas_release(&rd->changed);
    return is_full(rd)
               ? 0
               : ask(rd, snapshot, frozen, rd->noted->base_change_id, &rd->changed, ret_why, err);
}

/* The round's own snapshot was lost: this one takes its place. */
static int rebase(struct vf_round_disk *rd, const char *snapshot, const struct vf_vm *frozen,
                  char **ret_why, struct vf_error **err)
{
    struct vf_areas since = {0};
    int rc = ask(rd, snapshot, frozen, rd->noted->change_id, &since, ret_why, err);
    struct vf_error *conflict = NULL;
    if (rc == 0 && !*ret_why &&
        vf_checkpoint_disk_rebase(rd->noted, snapshot, rd->frozen->change_id, &since, &conflict)) {
        *ret_why = vf_xstrdup(vf_error_message(conflict));
    }
    vf_error_free(conflict);
    vf_areas_release(&since);
    return rc || *ret_why ? rc : ask_changed(rd, snapshot, frozen, ret_why, err);
}

static int begin_delta(struct vf_round_disk *rd, const char *snapshot, const struct vf_vm *frozen,
                       char **ret_why, struct vf_error **err)
{
    struct vf_areas changed = {0};
    int rc = ask(rd, snapshot, frozen, rd->noted->change_id, &changed, ret_why, err);
    struct vf_error *conflict = NULL;
    if (rc == 0 && !*ret_why &&
        vf_checkpoint_disk_begin_delta(rd->noted, snapshot, rd->frozen->change_id, &conflict)) {
        *ret_why = vf_xstrdup(vf_error_message(conflict));
    }
    vf_error_free(conflict);
    vf_areas_release(&rd->changed);
    rd->changed = changed;
    return rc;
}

/* Why nothing of the checkpoint is of use for the disk; NULL (heap): something may be. */
static char *why_nothing(const struct vf_round_disk *rd, const struct vf_checkpoint_verdict *v)
{
    if (v->use == VF_USE_NOTHING) {
        return vf_xstrdup(v->reason);
    }
    return same_text(rd->noted->target, get_target(rd))
               ? NULL
               : vf_xasprintf("its copy is \"%s\", and is to go to \"%s\" now", rd->noted->target,
                              get_target(rd));
}

/* The disk is at the target as this very snapshot has it. */
static bool is_settled(const struct vf_round_disk *rd, const char *snapshot)
{
    const struct vf_checkpoint_disk *cd = rd->noted;
    return cd->phase == VF_CHECKPOINT_COMPLETE && same_text(cd->snapshot, snapshot) &&
           same_text(cd->change_id, rd->frozen->change_id) && cd->size_bytes == rd->size_bytes &&
           same_text(cd->backing_uuid, rd->frozen->uuid) && same_text(cd->target, get_target(rd));
}

static int refuse_shrunk(const struct vf_round_disk *rd, struct vf_error **err)
{
    vf_error_set(err, VF_CONFLICT,
                 "disk \"%s\" has %" PRIu64 " bytes now, and %" PRIu64 " bytes of it were copied",
                 rd->name, rd->size_bytes, rd->noted->size_bytes);
    vf_error_hint(err, "vSphere shrinks no disk: look what was done to it. To copy it anew, end "
                       "this migration with \"vmferry cancel --discard\" and begin another");
    return VF_CONFLICT;
}

/* A disk that the checkpoint does not know. `first`: it knows none. */
static int plan_new(struct vf_round_disk *rd, const char *snapshot, bool first,
                    struct vf_error **err)
{
    const struct vf_disks_env *env = &rd->disks->env;
    if (!first) {
        vf_report_info(env->reporter, env->vm,
                       "disk \"%s\" was added to the VM: it is copied in full", rd->name);
    }
    rd->noted = vf_checkpoint_add_disk(env->checkpoint, rd->frozen, get_target(rd));
    return vf_round_plan_full(rd, snapshot, NULL, err);
}

static int plan_known(struct vf_round_disk *rd, const char *snapshot, const struct vf_vm *frozen,
                      const struct vf_checkpoint_verdict *v, struct vf_error **err)
{
    struct vf_checkpoint_disk *cd = rd->noted;
    vf_replace_string(&cd->label, rd->frozen->label);
    if (is_settled(rd, snapshot)) {
        return find_todo(rd, err);
    }
    if (rd->size_bytes < cd->size_bytes && same_text(cd->backing_uuid, rd->frozen->uuid)) {
        return refuse_shrunk(rd, err);
    }
    bool lost = cd->phase != VF_CHECKPOINT_FULL || cd->done.count > 0;
    char *vf_autofree why = why_nothing(rd, v);
    int rc = 0;
    if (!why && v->use == VF_USE_DELTA) {
        rc = begin_delta(rd, snapshot, frozen, &why, err);
    } else if (!why && v->use == VF_USE_GO_ON && same_text(cd->change_id, rd->frozen->change_id)) {
        rc = ask_changed(rd, snapshot, frozen, &why, err);
    } else if (!why) {
        rc = rebase(rd, snapshot, frozen, &why, err);
    }
    if (rc) {
        return rc;
    }
    return why ? vf_round_plan_full(rd, snapshot, lost ? why : NULL, err) : find_todo(rd, err);
}

int vf_round_plan(struct vf_disks *d, const char *snapshot, const struct vf_vm *frozen,
                  struct vf_error **err)
{
    /* Of all the VM's snapshots only this one can be copied from, and what is tracked is proved by
     * the change IDs of its disks alone. */
    struct vf_vm_snapshot only = {.moref = vf_xstrdup(snapshot)};
    struct vf_vm now = *frozen;
    now.snapshots = &only;
    now.n_snapshots = 1;
    now.cbt_enabled = true;
    struct vf_checkpoint *c = d->env.checkpoint;
    now.instance_uuid = c->instance_uuid; /* vf_round_adopt has seen to that */
    bool first = c->n_disks == 0;
    struct vf_checkpoint_judgement j;
    vf_checkpoint_judge(c, &now, &j);
    int rc = 0;
    for (size_t i = 0; i < d->n && rc == 0; i++) {
        struct vf_round_disk *rd = d->list[i];
        vf_areas_release(&rd->changed);
        rd->noted = vf_checkpoint_find_disk(c, rd->key);
        rc = rd->noted ? plan_known(rd, snapshot, frozen, &j.disks[i], err)
                       : plan_new(rd, snapshot, first, err);
    }
    /* One that was added may have moved the others. */
    for (size_t i = 0; i < d->n && rc == 0; i++) {
        d->list[i]->noted = vf_checkpoint_find_disk(c, d->list[i]->key);
    }
    vf_checkpoint_judgement_release(&j);
    free(only.moref);
    return rc;
}
