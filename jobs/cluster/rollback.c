#include "jobs/cluster/rollback.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/clock.h"
#include "importer/base/inject.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/cdi.h"
#include "importer/kube/hold.h"
#include "importer/kube/metadata.h"
#include "importer/kube/owned.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"
#include "importer/kube/virtual_machine.h"
#include "importer/kube/volume_snapshot.h"
#include "jobs/cluster/guard_set.h"
#include "jobs/cluster/launch_job.h"

#define DELETE_TIMEOUT_MS  (2 * 60 * 1000)
#define RESTORE_TIMEOUT_MS (30 * 60 * 1000)
#define MAX_TEXT_BYTES     80

struct rollback {
    const struct vf_rollback_options *options;
    struct vf_reporter *reporter;
    const struct vf_cancel *cancel;
    struct vf_kube_client *client;
    const char *ns;
    char *import;
    cJSON *snapshots; /* of all sets */
    struct vf_guard_sets sets;
    const struct vf_guard_set *set; /* to go back to */
    cJSON **claims;                 /* as they are, in the set's order; NULL: not there */
    char *token;                    /* this rollback, or the one that is finished */
};

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static const char *claim_name(const struct rollback *r, size_t i)
{
    return vf_volume_snapshot_claim(r->set->snapshots[i]);
}

static int list(struct rollback *r, const struct vf_kube_resource *resource, bool of_import,
                cJSON **ret_items, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = resource, .ns = r->ns};
    char *vf_autofree labels = vf_xasprintf(VF_OWNED_IMPORT "=%s", r->import);
    const struct vf_kube_select select = {.labels = of_import ? labels : NULL};
    const struct vf_kube_options options = {.cancel = r->cancel};
    struct vf_error *e = NULL;
    int rc = vf_kube_list(r->client, &ref, &select, &options, ret_items, NULL, &e);
    if (rc == VF_UNSUPPORTED && same(vf_error_reason(e), VF_KUBE_REASON_NOT_SERVED)) {
        vf_error_clear(&e);
        *ret_items = vf_json_new_array();
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

/* --- which state ------------------------------------------------------------------------- */

static int refuse_broken(const struct rollback *r, struct vf_error **err)
{
    const struct vf_guard_set *set = r->set ? r->set : &r->sets.sets[0];
    size_t ready = 0;
    for (size_t i = 0; i < set->n; i++) {
        ready += vf_volume_snapshot_is_ready(set->snapshots[i]);
    }
    vf_error_set(err, VF_CONFLICT, "%s: of %zu claims %zu have a VolumeSnapshot that is ready",
                 r->set ? "the rollback that was begun cannot be finished"
                        : "no state is kept whole",
                 set->count ? set->count : set->n, ready);
    vf_error_hint(err,
                  "nothing was changed; look at: kubectl get volumesnapshots -n %s "
                  "-l " VF_OWNED_IMPORT "=%s%s",
                  r->ns, r->import,
                  r->set ? "; once they are removed, the next migration copies anew what is missing"
                         : "");
    return VF_CONFLICT;
}

static int choose_set(struct rollback *r, struct vf_error **err)
{
    int rc = list(r, &vf_kube_volume_snapshots, true, &r->snapshots, err);
    if (rc) {
        return rc;
    }
    vf_guard_sets_read(r->snapshots, &r->sets);
    if (r->sets.n == 0) {
        vf_error_set(err, VF_MISSING,
                     "no state of \"%s\" is kept in namespace \"%s\": there are no VolumeSnapshots "
                     "of its claims",
                     r->import, r->ns);
        vf_error_hint(err, "the same \"vmferry migrate\" goes on from what the claims hold, or "
                           "copies anew what is of no use");
        return VF_MISSING;
    }
    const struct vf_guard_set *under_way = vf_guard_sets_under_way(&r->sets);
    r->set = under_way ? under_way : vf_guard_sets_best(&r->sets);
    if (!r->set || !r->set->whole) {
        return refuse_broken(r, err);
    }
    return 0;
}

/* Two rollbacks to one set differ: the claims that the first made are others than those before. */
static void choose_token(struct rollback *r)
{
    char now[VF_CLOCK_RFC3339_SIZE];
    const char *uid = NULL;
    vf_clock_rfc3339(now);
    for (size_t i = 0; i < r->set->n && !uid; i++) {
        uid = vf_kube_uid(r->claims[i]);
    }
    r->token = r->set->rollback ? vf_xstrdup(r->set->rollback)
                                : vf_xasprintf("%s %s", now, uid ? uid : "no claim");
}

/* --- may it be --------------------------------------------------------------------------- */

/* What another object has made, or adopted, that one would make again, or miss. */
static int check_claim(const struct rollback *r, size_t i, struct vf_error **err)
{
    const cJSON *claim = r->claims[i];
    const cJSON *metadata = vf_json_object(claim, "metadata");
    const cJSON *owner = cJSON_GetArrayItem(vf_json_array(metadata, "ownerReferences"), 0);
    const char *uuid = vf_kube_annotation(claim, VF_OWNED_SOURCE_UUID);
    const char *uuid_then = vf_kube_annotation(r->set->snapshots[i], VF_OWNED_SOURCE_UUID);
    if (!vf_owned_is_ours(claim) || !same(vf_kube_label(claim, VF_OWNED_IMPORT), r->import) ||
        ((uuid || uuid_then) && !same(uuid, uuid_then))) {
        vf_error_set(err, VF_CONFLICT,
                     "claim \"%s\" is not the one that the VolumeSnapshot was taken of: it is not "
                     "of this migration",
                     claim_name(r, i));
        vf_error_hint(err, "nothing was changed; rename or remove that claim");
        return VF_CONFLICT;
    }
    if (owner) {
        char *vf_autofree kind = vf_kube_clean_text(vf_json_string(owner, "kind"), MAX_TEXT_BYTES);
        char *vf_autofree name = vf_kube_clean_text(vf_json_string(owner, "name"), MAX_TEXT_BYTES);
        vf_error_set(err, VF_CONFLICT, "claim \"%s\" is owned by %s \"%s\" by now",
                     claim_name(r, i), kind, name);
        vf_error_hint(err,
                      "nothing was changed; the VolumeSnapshot \"%s\" can be restored into "
                      "another claim by hand",
                      vf_kube_name(r->set->snapshots[i]));
        return VF_CONFLICT;
    }
    return 0;
}

static int fetch_claims(struct rollback *r, struct vf_error **err)
{
    int rc = 0;
    r->claims = vf_xcalloc(r->set->n, sizeof(cJSON *));
    for (size_t i = 0; i < r->set->n && rc == 0; i++) {
        const struct vf_kube_ref ref = {
            .resource = &vf_kube_claims, .ns = r->ns, .name = claim_name(r, i)};
        const struct vf_kube_options options = {.cancel = r->cancel};
        struct vf_error *e = NULL;
        rc = vf_kube_get(r->client, &ref, &options, &r->claims[i], &e);
        if (rc == VF_MISSING) {
            vf_error_clear(&e);
            rc = 0;
        } else if (rc == 0) {
            rc = check_claim(r, i, &e);
        }
        vf_error_move(err, &e);
    }
    return rc;
}

static int check_jobs(struct rollback *r, struct vf_error **err)
{
    cJSON *jobs = NULL;
    const cJSON *job;
    int rc = list(r, &vf_kube_jobs, true, &jobs, err);
    cJSON_ArrayForEach(job, jobs)
    {
        if (rc == 0 && vf_owned_is_ours(job) && vf_worker_job_runs(job)) {
            rc = vf_error_set(err, VF_CONFLICT, "Job \"%s\" works on the disks of \"%s\"",
                              vf_kube_name(job), r->import);
            vf_error_hint(err, "nothing was changed; end it first: vmferry cancel %s -n %s",
                          r->import, r->ns);
        }
    }
    cJSON_Delete(jobs);
    return rc;
}

/* One that has ended mounts nothing. */
static bool pod_uses(const cJSON *pod, const char *claim)
{
    const char *phase = vf_kube_phase(pod);
    const cJSON *volume;
    if (same(phase, "Succeeded") || same(phase, "Failed")) {
        return false;
    }
    cJSON_ArrayForEach(volume, vf_json_array(vf_json_object(pod, "spec"), "volumes"))
    {
        const cJSON *source = vf_json_object(volume, "persistentVolumeClaim");
        if (same(vf_json_string(source, "claimName"), claim)) {
            return true;
        }
    }
    return false;
}

/* A VM that does not run, and will not be started by KubeVirt itself. */
static bool is_halted(const cJSON *machine)
{
    const cJSON *spec = vf_json_object(machine, "spec");
    const char *strategy = vf_json_string(spec, "runStrategy");
    return strategy ? same(strategy, "Halted") || same(strategy, "Manual")
                    : !vf_json_bool(spec, "running", false);
}

static bool is_over(const cJSON *instance)
{
    const char *phase = vf_kube_phase(instance);
    return same(phase, "Succeeded") || same(phase, "Failed");
}

enum user { USER_POD, USER_MACHINE, USER_INSTANCE };

static bool uses(enum user user, const cJSON *object, const char *claim)
{
    switch (user) {
    case USER_POD:
        return pod_uses(object, claim);
    case USER_MACHINE:
        return !is_halted(object) && vf_virtual_machine_uses(object, claim);
    case USER_INSTANCE:
        return !is_over(object) && vf_virtual_machine_uses(object, claim);
    }
    return false;
}

static int check_users(struct rollback *r, enum user user, struct vf_error **err)
{
    static const struct {
        const struct vf_kube_resource *resource;
        const char *what, *hint;
    } kinds[] = {
        [USER_POD] = {&vf_kube_pods, "pod", "wait for its end, or remove it"},
        [USER_MACHINE] = {&vf_kube_virtual_machines, "VirtualMachine",
                          "stop it, with runStrategy Halted"},
        [USER_INSTANCE] = {&vf_kube_virtual_machine_instances, "VirtualMachineInstance", "stop it"},
    };
    cJSON *objects = NULL;
    const cJSON *object;
    int rc = list(r, kinds[user].resource, false, &objects, err);
    cJSON_ArrayForEach(object, objects)
    {
        for (size_t i = 0; i < r->set->n && rc == 0; i++) {
            if (uses(user, object, claim_name(r, i))) {
                char *vf_autofree name = vf_kube_clean_text(vf_kube_name(object), 253);
                rc = vf_error_set(err, VF_CONFLICT, "%s \"%s\" uses claim \"%s\"", kinds[user].what,
                                  name, claim_name(r, i));
                vf_error_hint(err, "nothing was changed; %s", kinds[user].hint);
            }
        }
    }
    cJSON_Delete(objects);
    return rc;
}

/* All claims can be built, before the first one is touched. */
static int check_records(struct rollback *r, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < r->set->n && rc == 0; i++) {
        cJSON *claim = NULL;
        rc = vf_guard_build_claim(r->set->snapshots[i], r->claims[i], r->token, &claim, err);
        if (rc) {
            vf_error_wrap(err, rc, "VolumeSnapshot \"%s\"", vf_kube_name(r->set->snapshots[i]));
        }
        cJSON_Delete(claim);
    }
    return rc;
}

static int check(struct rollback *r, struct vf_error **err)
{
    int rc = fetch_claims(r, err);
    if (rc) {
        return rc;
    }
    choose_token(r);
    rc = check_records(r, err);
    rc = rc ? rc : check_jobs(r, err);
    for (enum user u = USER_POD; u <= USER_INSTANCE && rc == 0; u++) {
        rc = check_users(r, u, err);
    }
    return rc;
}

/* --- doing ------------------------------------------------------------------------------- */

/* `token` NULL: no rollback is under way any more. */
static int mark_set(struct rollback *r, const char *token, struct vf_error **err)
{
    const struct vf_kube_options options = {.cancel = r->cancel};
    int rc = 0;
    for (size_t i = 0; i < r->set->n && rc == 0; i++) {
        const cJSON *snapshot = r->set->snapshots[i];
        const struct vf_kube_ref ref = {
            .resource = &vf_kube_volume_snapshots, .ns = r->ns, .name = vf_kube_name(snapshot)};
        cJSON *patch = vf_json_new_object();
        cJSON *metadata = vf_json_add_object(patch, "metadata");
        vf_json_add_string(metadata, "uid", vf_kube_uid(snapshot));
        cJSON *annotations = vf_json_add_object(metadata, "annotations");
        if (token) {
            vf_json_add_string(annotations, VF_GUARD_ROLLBACK, token);
        } else {
            cJSON_AddNullToObject(annotations, VF_GUARD_ROLLBACK);
        }
        rc = vf_inject(token ? "rollback.mark" : "rollback.unmark", err);
        rc = rc ? rc : vf_kube_merge_patch(r->client, &ref, patch, &options, NULL, err);
        cJSON_Delete(patch);
    }
    return rc;
}

/* The moment before the claim goes. Whoever removes snapshots meanwhile is asked here, too. */
static int check_snapshot(struct rollback *r, const cJSON *snapshot, struct vf_error **err)
{
    cJSON *items = NULL;
    const cJSON *now;
    bool ready = false;
    int rc = list(r, &vf_kube_volume_snapshots, true, &items, err);
    cJSON_ArrayForEach(now, items)
    {
        ready = ready ||
                (same(vf_kube_uid(now), vf_kube_uid(snapshot)) && vf_volume_snapshot_is_ready(now));
    }
    cJSON_Delete(items);
    if (rc == 0 && !ready) {
        rc = vf_error_set(err, VF_CONFLICT, "VolumeSnapshot \"%s\" is not ready any more",
                          vf_kube_name(snapshot));
        vf_error_hint(err, "claim \"%s\" was left as it is; see the VolumeSnapshot's events",
                      vf_volume_snapshot_claim(snapshot));
    }
    return rc;
}

static int remove_claim(struct rollback *r, size_t i, struct vf_error **err)
{
    cJSON *claim = r->claims[i];
    if (!claim) {
        return 0;
    }
    int rc = check_snapshot(r, r->set->snapshots[i], err);
    rc = rc ? rc : vf_inject("rollback.delete", err);
    if (rc == 0) {
        vf_report_phase(r->reporter, r->import, "rollback",
                        "claim \"%s\": removing it; its data is in VolumeSnapshot \"%s\"",
                        claim_name(r, i), vf_kube_name(r->set->snapshots[i]));
        rc = vf_owned_delete(r->client, claim, DELETE_TIMEOUT_MS, r->cancel, err);
    }
    return rc ? rc : vf_inject("rollback.deleted", err);
}

/* After a create without an answer, or in place of it. */
static int was_made(struct rollback *r, const char *name, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = r->ns, .name = name};
    const struct vf_kube_options options = {.cancel = r->cancel};
    cJSON *found = NULL;
    int rc = vf_kube_get(r->client, &ref, &options, &found, err);
    if (rc == 0 && !vf_kube_has_annotation(found, VF_GUARD_ROLLED_BACK, r->token)) {
        rc = vf_error_set(err, VF_CONFLICT, "somebody made another claim \"%s\" meanwhile", name);
    }
    cJSON_Delete(found);
    return rc;
}

static int make_claim(struct rollback *r, size_t i, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = r->ns};
    const struct vf_kube_options options = {.cancel = r->cancel};
    const cJSON *snapshot = r->set->snapshots[i];
    struct vf_error *e = NULL;
    cJSON *claim = NULL;
    int rc = vf_guard_build_claim(snapshot, r->claims[i], r->token, &claim, err);
    if (rc) {
        return rc;
    }
    vf_report_phase(r->reporter, r->import, "rollback",
                    "claim \"%s\": making it from VolumeSnapshot \"%s\"", claim_name(r, i),
                    vf_kube_name(snapshot));
    rc = vf_kube_create(r->client, &ref, claim, &options, NULL, &e);
    if (rc == VF_RETRY || same(vf_error_reason(e), VF_KUBE_REASON_ALREADY_EXISTS)) {
        struct vf_error *why = NULL;
        int found = was_made(r, claim_name(r, i), &why);
        if (found == 0 || found == VF_CONFLICT) {
            vf_error_clear(&e);
            rc = found;
            vf_error_move(&e, &why);
        }
        vf_error_free(why);
    }
    cJSON_Delete(claim);
    if (rc) {
        vf_error_hint(&e,
                      "the data of \"%s\" is in VolumeSnapshot \"%s\", which must not be "
                      "removed; the same command goes on",
                      claim_name(r, i), vf_kube_name(snapshot));
    }
    vf_error_move(err, &e);
    return rc ? rc : vf_inject("rollback.created", err);
}

/* Does the class bind a claim only when a pod uses it? Not being able to look is no. */
static bool waits_for_consumer(struct rollback *r, const cJSON *claim)
{
    const char *name = vf_json_string(vf_json_object(claim, "spec"), "storageClassName");
    const struct vf_kube_ref ref = {.resource = &vf_kube_storage_classes, .name = name};
    cJSON *class = NULL;
    int rc = name ? vf_kube_get_if_may(r->client, &ref, r->cancel, &class, NULL) : VF_MISSING;
    bool waits =
        rc == 0 && same(vf_json_string(class, "volumeBindingMode"), "WaitForFirstConsumer");
    cJSON_Delete(class);
    return waits;
}

/* The next claim is not touched before it is seen that this one can be had back. */
static int wait_for_claim(struct rollback *r, size_t i, struct vf_error **err)
{
    const struct vf_kube_ref ref = {
        .resource = &vf_kube_claims, .ns = r->ns, .name = claim_name(r, i)};
    const struct vf_kube_options options = {.cancel = r->cancel};
    const struct vf_cdi_wait wait = {
        .ns = r->ns,
        .name = claim_name(r, i),
        .timeout_ms = vf_cluster_timeout_ms(&r->options->where, RESTORE_TIMEOUT_MS),
        .cancel = r->cancel};
    cJSON *claim = NULL;
    int rc = vf_kube_get(r->client, &ref, &options, &claim, err);
    if (rc == 0 && !same(vf_kube_phase(claim), "Bound")) {
        if (waits_for_consumer(r, claim)) {
            vf_report_info(r->reporter, r->import,
                           "claim \"%s\" is filled when the next migration or VM uses it; until "
                           "then its data is in VolumeSnapshot \"%s\", which must not be removed",
                           claim_name(r, i), vf_kube_name(r->set->snapshots[i]));
        } else {
            rc = vf_cdi_wait_bound(r->client, &wait, err);
        }
    }
    cJSON_Delete(claim);
    if (rc) {
        vf_error_hint(err,
                      "the data of \"%s\" is in VolumeSnapshot \"%s\", which must not be "
                      "removed; the same command goes on",
                      claim_name(r, i), vf_kube_name(r->set->snapshots[i]));
    }
    return rc;
}

static int restore(struct rollback *r, size_t i, struct vf_error **err)
{
    int rc = vf_cancel_check(r->cancel, err);
    bool made = vf_kube_has_annotation(r->claims[i], VF_GUARD_ROLLED_BACK, r->token) &&
                !vf_kube_is_being_deleted(r->claims[i]);
    if (rc == 0 && !made) {
        rc = remove_claim(r, i, err);
        rc = rc ? rc : make_claim(r, i, err);
    }
    rc = rc ? rc : wait_for_claim(r, i, err);
    return rc ? vf_error_wrap(err, rc, "claim \"%s\"", claim_name(r, i)) : 0;
}

static int restore_all(struct rollback *r, struct vf_error **err)
{
    int rc = mark_set(r, r->token, err);
    for (size_t i = 0; i < r->set->n && rc == 0; i++) {
        rc = restore(r, i, err);
    }
    rc = rc ? rc : mark_set(r, NULL, err);
    return rc;
}

static int run(struct rollback *r, struct vf_error **err)
{
    int rc = choose_set(r, err);
    rc = rc ? rc : check(r, err);
    if (rc) {
        return rc;
    }
    char *vf_autofree state = vf_kube_clean_text(r->set->state, MAX_TEXT_BYTES);
    vf_report_phase(r->reporter, r->import, "rollback", "%s \"%s\" to %s: %zu claim%s",
                    r->set->rollback ? "finishing the rollback of" : "taking", r->import,
                    *state ? state : "the state that is kept", r->set->n,
                    r->set->n == 1 ? "" : "s");
    if (r->options->dry_run) {
        vf_report_info(r->reporter, r->import, "nothing was changed");
        return 0;
    }
    rc = restore_all(r, err);
    if (rc == 0) {
        vf_report_info(r->reporter, r->import,
                       "the claims are as of %s again; the same \"vmferry migrate\" goes on from "
                       "there",
                       *state ? state : "then");
    }
    return rc;
}

int vf_rollback_run(const struct vf_rollback_options *options, struct vf_reporter *reporter,
                    const struct vf_cancel *cancel, struct vf_error **err)
{
    struct rollback r = {.options = options, .reporter = reporter, .cancel = cancel};
    int rc = vf_cluster_open(&options->where, cancel, &r.client, err);
    if (rc) {
        return rc;
    }
    r.ns = vf_kube_client_namespace(r.client);
    r.import = vf_name_to_label(options->name, VF_NAME_VM_MAX);
    rc = run(&r, err);
    for (size_t i = 0; r.claims && i < r.set->n; i++) {
        cJSON_Delete(r.claims[i]);
    }
    free(r.claims);
    vf_guard_sets_release(&r.sets);
    cJSON_Delete(r.snapshots);
    free(r.token);
    free(r.import);
    vf_kube_client_free(r.client);
    return rc ? vf_error_wrap(err, rc, "roll back \"%s\"", options->name) : 0;
}
