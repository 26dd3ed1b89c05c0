#include "jobs/cluster/cdi_transport.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/inject.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/cdi_explain.h"
#include "importer/kube/cdi_names.h"
#include "importer/kube/cdi_stage.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"
#include "importer/vsphere/cbt.h"
#include "jobs/cluster/cdi_private.h"

/* CDI looks every 2 s. */
#define POLL_MS 2000

/* What holds a stage up is looked for when nothing was seen of it for so long; and given up on when
 * no pod ran for the longer time. A pod that runs copies, however slowly: one read after the other.
 */
#define EXPLAIN_MS (15 * 1000)
#define STALL_MS   (30 * 60 * 1000)

/* Importers that failed in one stage, one after the other. CDI would try for ever. */
#define MAX_RESTARTS 10

struct cdi_transport {
    struct vf_transport base;
    struct vf_cdi_target *target;
    const struct vf_transport_env *env;
};

/* One disk's stage. */
struct stage {
    const struct vf_transport_disk *disk;
    struct vf_cluster_disk *d;
    const char *snapshot;
    bool done;
    int64_t seen_ms;      /* something new was seen of it, on vf_clock_ms() */
    int64_t explained_ms; /* it was looked for what holds it up */
    char *state;          /* phase, progress and pod, as last seen */
    char *told;           /* what holds it up, as last told */
    int restarts_before;  /* of the importer, when the stage began; negative: not seen yet */
};

/* --- beginning a stage ------------------------------------------------------------------- */

static int make_volume(struct cdi_transport *x, struct stage *s, const struct vf_cancel *cancel,
                       struct vf_error **err)
{
    cJSON *object = NULL;
    int rc = vf_cdi_target_build(x->target, s->disk->index, s->disk->disk, s->snapshot,
                                 x->base.last, &object, err);
    rc = rc ? rc : vf_inject("cdi.create", err);
    if (rc) {
        cJSON_Delete(object);
        return rc;
    }
    free(vf_take(s->d->uid));
    rc = vf_cluster_make(s->d, &vf_kube_data_volumes, object, false, cancel, err);
    return rc ? rc : vf_inject("cdi.created_volume", err);
}

/* It can take no further stage, or not this one. */
static int make_anew(struct cdi_transport *x, struct stage *s, const cJSON *volume, const char *why,
                     const struct vf_cancel *cancel, struct vf_error **err)
{
    vf_report_warning(x->env->reporter, x->env->vm,
                      "DataVolume \"%s\" %s: it is removed, and the disk copied in full once more",
                      s->d->claim, why);
    char *vf_autofree api_version = vf_kube_api_version(&vf_kube_data_volumes);
    cJSON *object = cJSON_Duplicate(volume, true);
    cJSON_DeleteItemFromObjectCaseSensitive(object, "apiVersion");
    cJSON_DeleteItemFromObjectCaseSensitive(object, "kind");
    vf_json_add_string(object, "apiVersion", api_version);
    vf_json_add_string(object, "kind", vf_kube_kind(&vf_kube_data_volumes));
    int rc =
        vf_owned_delete(x->target->l.client, object, VF_CLUSTER_DELETE_TIMEOUT_MS, cancel, err);
    cJSON_Delete(object);
    if (rc == 0) {
        /* Its claim goes with it, but the name is free only when both are gone. */
        rc = vf_cdi_target_wait_claim_gone(x->target, s->d->claim, cancel, err);
    }
    rc = rc ? rc : vf_inject("cdi.removed", err);
    return rc ? rc : make_volume(x, s, cancel, err);
}

static int add_stage(struct cdi_transport *x, struct stage *s, const cJSON *volume,
                     const struct vf_cancel *cancel, struct vf_error **err)
{
    const struct vf_kube_ref ref = {
        .resource = &vf_kube_data_volumes, .ns = x->target->l.ns, .name = s->d->claim};
    const struct vf_kube_options options = {.cancel = cancel};
    const struct vf_cdi_stage stage = {.previous = s->disk->base_change_id,
                                       .snapshot = s->snapshot,
                                       .change_id = s->disk->disk->change_id,
                                       .last = x->base.last};
    cJSON *patch = vf_cdi_build_stage_patch(volume, &stage);
    int rc = vf_inject("cdi.stage", err);
    rc = rc ? rc : vf_kube_merge_patch(x->target->l.client, &ref, patch, &options, NULL, err);
    cJSON_Delete(patch);
    vf_replace_string(&s->d->uid, vf_kube_uid(volume));
    return rc ? rc : vf_inject("cdi.staged", err);
}

static bool is_snapshot(const struct vf_vm *frozen, const char *moref)
{
    for (size_t i = 0; i < frozen->n_snapshots; i++) {
        if (frozen->snapshots[i].moref && strcmp(frozen->snapshots[i].moref, moref) == 0) {
            return true;
        }
    }
    return false;
}

/* A DataVolume that had its last stage takes no other, and needs none when nothing was written
 * since: the cutover was interrupted, and the source stayed off. */
static bool is_unchanged(const struct cdi_transport *x, const struct stage *s,
                         const struct vf_vm *frozen, const cJSON *volume)
{
    struct vf_cbt_answer answer = {0};
    const struct vf_cbt_query q = {
        .vm_moref = frozen->moref,
        .snapshot_moref = s->snapshot,
        .disk = s->disk->disk,
        .since = {.change_id = vf_kube_annotation(volume, VF_CDI_CHANGE_ID),
                  .capacity_bytes = s->disk->disk->capacity_bytes}};
    if (!q.since.change_id || vf_cbt_fetch_areas(x->env->vs, &q, &answer, NULL) != 0) {
        return false;
    }
    bool unchanged = answer.why == VF_FULL_COPY_NOT_NEEDED && answer.areas.count == 0;
    vf_cbt_answer_release(&answer);
    return unchanged;
}

static bool is_of_file(const cJSON *volume, const char *file)
{
    const cJSON *source = vf_json_object(vf_json_object(volume, "spec"), "source");
    const char *have = vf_json_string(vf_json_object(source, "vddk"), "backingFile");
    return have && file && strcmp(have, file) == 0;
}

static int check_owner(const struct cdi_transport *x, const struct stage *s, const cJSON *volume,
                       struct vf_error **err)
{
    if (vf_owned_judge(volume, &x->target->l.owner) != VF_OWNED_UNFINISHED &&
        vf_owned_judge(volume, &x->target->l.owner) != VF_OWNED_FINISHED) {
        return vf_error_set(err, VF_CONFLICT, "DataVolume \"%s\" is not of this migration",
                            s->d->claim);
    }
    if (vf_kube_is_being_deleted(volume)) {
        return vf_error_set(err, VF_CONFLICT, "DataVolume \"%s\" is being deleted", s->d->claim);
    }
    return 0;
}

static int begin_stage(struct cdi_transport *x, struct stage *s, const struct vf_vm *frozen,
                       const cJSON *volume, const cJSON *claim, const struct vf_cancel *cancel,
                       struct vf_error **err)
{
    if (!volume) {
        return make_volume(x, s, cancel, err);
    }
    int rc = check_owner(x, s, volume, err);
    if (rc) {
        return rc;
    }
    const char *open = vf_cdi_stage_open(volume, claim);
    if (!is_of_file(volume, s->disk->disk->file)) {
        return make_anew(x, s, volume, "reads another file than the disk has now", cancel, err);
    }
    if (vf_cdi_stage_is_listed(volume, s->snapshot) &&
        (!x->base.last || vf_cdi_stage_is_last(volume, s->snapshot))) {
        vf_replace_string(&s->d->uid, vf_kube_uid(volume));
        return 0; /* a run before this one began it */
    }
    if (vf_cdi_stages_are_over(volume, claim) && x->base.last &&
        is_unchanged(x, s, frozen, volume)) {
        vf_replace_string(&s->d->uid, vf_kube_uid(volume));
        return 0;
    }
    if (vf_cdi_stages_are_over(volume, claim)) {
        return make_anew(x, s, volume, "has had its last copy", cancel, err);
    }
    if (open && !is_snapshot(frozen, open)) {
        return make_anew(x, s, volume, "waits for a snapshot that is gone", cancel, err);
    }
    return add_stage(x, s, volume, cancel, err);
}

/* --- waiting for it ---------------------------------------------------------------------- */

static int to_number(const char *text)
{
    char *end = NULL;
    long v = text ? strtol(text, &end, 10) : 0;
    return text && *end == 0 && v >= 0 && v < 1000000 ? (int)v : 0;
}

static void count_progress(const struct cdi_transport *x, struct stage *s, const cJSON *volume)
{
    struct vf_progress *p = s->disk->progress;
    double part = vf_cdi_stage_progress(volume);
    /* CDI counts what it wrote against the whole disk, in a delta, too. */
    double bytes = part * (double)s->disk->disk->capacity_bytes;
    (void)x;
    if (part > 0 && bytes > (double)atomic_load(&p->done_bytes)) {
        uint64_t done = bytes < (double)p->total_bytes ? (uint64_t)bytes : p->total_bytes;
        atomic_store(&p->done_bytes, done);
        atomic_store(&p->source_bytes, done);
    }
}

static bool pod_runs(const cJSON *claim)
{
    return vf_kube_has_annotation(claim, VF_CDI_RUNNING, "true");
}

/* Whatever is told of it, in one text: when that changes, something goes on. */
static void look_for_news(struct stage *s, const cJSON *volume, const cJSON *claim)
{
    const char *phase = vf_kube_phase(volume);
    const char *progress = vf_json_string(vf_json_object(volume, "status"), "progress");
    const char *pod = vf_kube_annotation(claim, VF_CDI_POD_PHASE);
    char *vf_autofree state =
        vf_xasprintf("%s %s %s %d", phase ? phase : "", progress ? progress : "", pod ? pod : "",
                     pod_runs(claim));
    if (!s->state || strcmp(s->state, state) != 0 || pod_runs(claim)) {
        s->seen_ms = vf_clock_ms();
    }
    vf_replace_string(&s->state, state);
}

/* Warns once of each thing; what is sure never to pass ends the wait. */
static int explain(struct cdi_transport *x, struct stage *s, const cJSON *volume,
                   const struct vf_cancel *cancel, struct vf_error **err)
{
    struct vf_kube_hold h = {0};
    struct vf_error *e = NULL;
    int rc =
        vf_cdi_explain(x->target->l.client, x->target->l.ns, s->d->claim, volume, cancel, &h, &e);
    s->explained_ms = vf_clock_ms();
    if (rc == 0 && h.code) {
        rc = vf_error_set(&e, (enum vf_code)h.code, "%s", h.message);
        if (h.hint) {
            vf_error_hint(&e, "%s", h.hint);
        }
    } else if (rc == 0 && h.message && !(s->told && strcmp(s->told, h.message) == 0)) {
        vf_replace_string(&s->told, h.message);
        vf_report_warning(x->env->reporter, x->env->vm, "\"%s\": %s%s%s%s", s->d->claim, h.message,
                          h.hint ? " (" : "", h.hint ? h.hint : "", h.hint ? ")" : "");
    } else if (rc && rc != VF_CANCELLED) {
        vf_error_clear(&e); /* an explanation that cannot be had is no failure */
        rc = 0;
    }
    vf_kube_hold_release(&h);
    vf_error_move(err, &e);
    return rc;
}

static int give_up(const struct stage *s, const cJSON *claim, const char *what,
                   struct vf_error **err)
{
    const char *text = vf_kube_annotation(claim, VF_CDI_RUNNING_MESSAGE);
    char *vf_autofree message = vf_kube_clean_text(text, 600);
    vf_error_set(err, VF_RETRY, "%s%s%s", what, *message ? ": " : "", message);
    vf_error_hint(err,
                  "see the log of the importer pod: kubectl logs -l cdi.kubevirt.io=importer, and "
                  "\"%s\" with kubectl describe",
                  s->d->claim);
    return VF_RETRY;
}

static int check_restarts(struct stage *s, const cJSON *claim, struct vf_error **err)
{
    int restarts = to_number(vf_kube_annotation(claim, VF_CDI_POD_RESTARTS));
    if (s->restarts_before < 0 || restarts < s->restarts_before) { /* another pod */
        s->restarts_before = restarts;
    }
    return restarts - s->restarts_before >= MAX_RESTARTS
               ? give_up(s, claim, "CDI's importer fails again and again", err)
               : 0;
}

static bool is_copied(const struct cdi_transport *x, const struct stage *s, const cJSON *volume,
                      const cJSON *claim)
{
    const char *phase = vf_kube_phase(volume);
    return x->base.last ? phase && strcmp(phase, VF_CDI_SUCCEEDED) == 0
                        : vf_cdi_stage_is_copied(claim, s->snapshot);
}

static int look(struct cdi_transport *x, struct stage *s, const cJSON *volume, const cJSON *claim,
                const struct vf_cancel *cancel, struct vf_error **err)
{
    const char *uid = vf_kube_uid(volume);
    if (!uid || !s->d->uid || strcmp(uid, s->d->uid) != 0 || vf_kube_is_being_deleted(volume)) {
        return vf_error_set(err, VF_CONFLICT, "somebody removed DataVolume \"%s\"", s->d->claim);
    }
    if (is_copied(x, s, volume, claim)) {
        atomic_store(&s->disk->progress->done_bytes, s->disk->progress->total_bytes);
        s->done = true;
        return 0;
    }
    count_progress(x, s, volume);
    look_for_news(s, volume, claim);
    int rc = check_restarts(s, claim, err);
    int64_t now_ms = vf_clock_ms();
    if (rc == 0 && now_ms - s->explained_ms >= EXPLAIN_MS) {
        rc = explain(x, s, volume, cancel, err);
    }
    int64_t stall_ms = vf_cluster_timeout_ms(&x->target->base.im->options->cluster.where, STALL_MS);
    if (rc == 0 && now_ms - s->seen_ms >= stall_ms) {
        rc = give_up(s, claim, s->told ? s->told : "CDI does not get on with it", err);
    }
    return rc;
}

static int fetch_state(struct cdi_transport *x, const struct vf_cancel *cancel, cJSON **ret_volumes,
                       cJSON **ret_claims, struct vf_error **err)
{
    int rc = vf_cdi_target_list(x->target, &vf_kube_data_volumes, cancel, ret_volumes, err);
    return rc ? rc : vf_cdi_target_list(x->target, &vf_kube_claims, cancel, ret_claims, err);
}

/* All stages, once; *ret_done: how many are copied. */
static int look_at_all(struct cdi_transport *x, struct stage *stages, size_t n, size_t *ret_done,
                       const struct vf_cancel *cancel, struct vf_error **err)
{
    cJSON *volumes = NULL, *claims = NULL;
    int rc = fetch_state(x, cancel, &volumes, &claims, err);
    *ret_done = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct stage *s = &stages[i];
        if (!s->done) {
            rc = look(x, s, vf_cdi_find(volumes, s->d->claim), vf_cdi_find(claims, s->d->claim),
                      cancel, err);
            rc = vf_cluster_wrap_disk(s->d, rc, err);
        }
        *ret_done += s->done;
    }
    cJSON_Delete(volumes);
    cJSON_Delete(claims);
    return rc;
}

static int begin_all(struct cdi_transport *x, const struct vf_transport_round *round,
                     struct stage *stages, const struct vf_cancel *cancel, struct vf_error **err)
{
    cJSON *volumes = NULL, *claims = NULL;
    int rc = fetch_state(x, cancel, &volumes, &claims, err);
    for (size_t i = 0; i < round->n_disks && rc == 0; i++) {
        struct stage *s = &stages[i];
        rc = begin_stage(x, s, round->frozen, vf_cdi_find(volumes, s->d->claim),
                         vf_cdi_find(claims, s->d->claim), cancel, err);
        rc = vf_cluster_wrap_disk(s->d, rc, err);
    }
    cJSON_Delete(volumes);
    cJSON_Delete(claims);
    return rc;
}

static int run(struct cdi_transport *x, const struct vf_transport_round *round,
               struct stage *stages, const struct vf_cancel *cancel, struct vf_error **err)
{
    size_t done = 0;
    int rc = vf_cdi_check_stage(round->snapshot, err);
    rc = rc ? rc : begin_all(x, round, stages, cancel, err);
    while (rc == 0 && done < round->n_disks) {
        rc = look_at_all(x, stages, round->n_disks, &done, cancel, err);
        if (rc == 0 && done < round->n_disks) {
            rc = vf_cancel_wait(cancel, POLL_MS, err);
        }
        if (rc == 0) { /* minutes pass without a call */
            rc = vf_vsphere_keep_alive(x->env->vs, err);
        }
    }
    return rc ? rc : vf_inject("cdi.copied", err);
}

static int copy(struct vf_transport *base, const struct vf_transport_round *round,
                struct vf_cancel *cancel, struct vf_error **err)
{
    struct cdi_transport *x = (struct cdi_transport *)base;
    struct stage *stages = vf_xcalloc(round->n_disks + 1, sizeof *stages);
    int rc = 0;
    for (size_t i = 0; i < round->n_disks && rc == 0; i++) {
        const struct vf_transport_disk *disk = &round->disks[i];
        if (disk->index >= x->target->l.n_disks) {
            rc = vf_error_set(err, VF_INTERNAL, "there is no disk %zu", disk->index);
            break;
        }
        stages[i] = (struct stage){.disk = disk,
                                   .d = &x->target->l.disks[disk->index],
                                   .snapshot = round->snapshot,
                                   .seen_ms = vf_clock_ms(),
                                   .explained_ms = vf_clock_ms(),
                                   .restarts_before = -1};
    }
    rc = rc ? rc : run(x, round, stages, cancel, err);
    for (size_t i = 0; i < round->n_disks; i++) {
        free(stages[i].state);
        free(stages[i].told);
    }
    free(stages);
    if (rc && cancel) {
        vf_cancel_trigger(cancel);
    }
    return rc;
}

static void free_transport(struct vf_transport *base)
{
    free(base);
}

static const struct vf_transport_ops ops = {.copy = copy, .free = free_transport};

struct vf_transport *vf_transport_cdi_new(struct vf_warm_target *target,
                                          const struct vf_transport_env *env)
{
    struct cdi_transport *x = vf_xcalloc(1, sizeof *x);
    x->base = (struct vf_transport){.ops = &ops, .kind = VF_TRANSPORT_CDI, .copies_itself = true};
    x->target = (struct vf_cdi_target *)target;
    x->env = env;
    return &x->base;
}
