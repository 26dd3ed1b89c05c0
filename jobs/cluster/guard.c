#include "jobs/cluster/guard.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/inject.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "importer/kube/text.h"
#include "importer/kube/volume_snapshot.h"
#include "jobs/cluster/guard_set.h"

#define READY_TIMEOUT_MS (10 * 60 * 1000)
/* Of a cutover: the source is off, and what is at stake is less than the time. */
#define CUTOVER_TIMEOUT_MS (60 * 1000)
#define DELETE_TIMEOUT_MS  (2 * 60 * 1000)
#define MAX_STATE_BYTES    80

/* Of the claims of one storage class. */
struct snapshot_class {
    char *storage, *name;
};

struct vf_guard {
    struct vf_guard_env env;
    const char *ns;
    struct snapshot_class *classes; /* that were looked for */
    size_t n_classes;
    bool unavailable; /* and told */
};

struct vf_guard *vf_guard_new(const struct vf_guard_env *env)
{
    struct vf_guard *g = vf_xcalloc(1, sizeof *g);
    g->env = *env;
    g->ns = env->ns ? env->ns : vf_kube_client_namespace(env->client);
    return g;
}

void vf_guard_free(struct vf_guard *g)
{
    if (g) {
        for (size_t i = 0; i < g->n_classes; i++) {
            free(g->classes[i].storage);
            free(g->classes[i].name);
        }
        free(g->classes);
        free(g);
    }
}

/* All sets of this migration; both are the caller's. */
static int fetch_sets(struct vf_guard *g, const struct vf_cancel *cancel, cJSON **ret_items,
                      struct vf_guard_sets *ret_sets, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_volume_snapshots, .ns = g->ns};
    char *vf_autofree labels =
        vf_xasprintf(VF_OWNED_MANAGED_BY "=" VF_OWNED_MANAGER "," VF_OWNED_IMPORT "=%s," //
                     VF_GUARD_SET,
                     g->env.owner->import);
    const struct vf_kube_select select = {.labels = labels};
    const struct vf_kube_options options = {.cancel = cancel};
    int rc = vf_kube_list(g->env.client, &ref, &select, &options, ret_items, NULL, err);
    if (rc == 0) {
        vf_guard_sets_read(*ret_items, ret_sets);
    }
    return rc;
}

static int refuse_half_rolled_back(const struct vf_guard *g, const struct vf_guard_sets *sets,
                                   struct vf_error **err)
{
    if (!vf_guard_sets_under_way(sets)) {
        return 0;
    }
    vf_error_set(err, VF_CONFLICT,
                 "a rollback of the disks of \"%s\" was begun and did not come to its end",
                 g->env.owner->import);
    vf_error_hint(err, "finish it: vmferry rollback %s -n %s", g->env.owner->import, g->ns);
    return VF_CONFLICT;
}

static bool is_not_served(const struct vf_error *e)
{
    const char *reason = vf_error_reason(e);
    return reason && strcmp(reason, VF_KUBE_REASON_NOT_SERVED) == 0;
}

int vf_guard_check(struct vf_guard *g, struct vf_error **err)
{
    struct vf_guard_sets sets = {0};
    struct vf_error *e = NULL;
    cJSON *items = NULL;
    int rc = fetch_sets(g, g->env.cancel, &items, &sets, &e);
    if (rc == 0) {
        rc = refuse_half_rolled_back(g, &sets, &e);
    } else if (rc == VF_AUTH || is_not_served(e)) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_guard_sets_release(&sets);
    cJSON_Delete(items);
    vf_error_move(err, &e);
    return rc;
}

/* --- removing ---------------------------------------------------------------------------- */

/* Lists leave out what all their items have in common. */
static cJSON *complete(const cJSON *snapshot)
{
    char *vf_autofree api_version = vf_kube_api_version(&vf_kube_volume_snapshots);
    cJSON *copy = cJSON_Duplicate(snapshot, true);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "apiVersion");
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "kind");
    vf_json_add_string(copy, "apiVersion", api_version);
    vf_json_add_string(copy, "kind", vf_kube_kind(&vf_kube_volume_snapshots));
    return copy;
}

static int remove_set(struct vf_guard *g, const struct vf_guard_set *set, int64_t timeout_ms,
                      const struct vf_cancel *cancel, struct vf_error **err)
{
    int first = 0;
    for (size_t i = 0; i < set->n; i++) {
        int rc = vf_inject("guard.remove", first ? NULL : err);
        if (rc == 0 && vf_owned_is_ours(set->snapshots[i])) {
            cJSON *object = complete(set->snapshots[i]);
            rc = vf_owned_delete(g->env.client, object, timeout_ms, cancel, first ? NULL : err);
            cJSON_Delete(object);
        }
        first = first ? first : rc;
    }
    return first;
}

int vf_guard_remove(struct vf_guard *g, struct vf_error **err)
{
    struct vf_guard_sets sets = {0};
    struct vf_error *e = NULL;
    cJSON *items = NULL;
    int rc = fetch_sets(g, NULL, &items, &sets, &e);
    if (rc == VF_AUTH || is_not_served(e)) {
        vf_error_clear(&e);
        rc = 0;
    }
    /* The newest last: what is left of an interrupted removal can still be gone back to. */
    for (size_t i = sets.n; i > 0; i--) {
        int one = remove_set(g, &sets.sets[i - 1], DELETE_TIMEOUT_MS, NULL, &e);
        rc = rc ? rc : one;
    }
    vf_guard_sets_release(&sets);
    cJSON_Delete(items);
    vf_error_move(err, &e);
    return rc ? vf_error_wrap(err, rc, "remove the VolumeSnapshots of \"%s\"", g->env.owner->import)
              : 0;
}

/* --- taking ------------------------------------------------------------------------------ */

struct taking {
    struct vf_guard *g;
    const struct vf_guard_claim *claims;
    size_t n;
    char **records; /* what each claim is */
    cJSON *items;   /* as they were listed */
    struct vf_guard_sets sets;
    bool cutover;    /* the source is being shut down, or off */
    uint32_t number; /* of the new set */
    char *state;     /* of it, for people */
};

/* Borrowed; NULL: not looked for yet. */
static const char *class_of(const struct vf_guard *g, const struct vf_kube_storage *storage)
{
    for (size_t i = 0; i < g->n_classes; i++) {
        if (strcmp(g->classes[i].storage, storage->class_name) == 0) {
            return g->classes[i].name;
        }
    }
    return NULL;
}

/* "fast" or "fast", "slow", in quotes. */
static char *describe_classes(const struct vf_guard *g)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (size_t i = 0; i < g->n_classes; i++) {
        vf_buf_printf(&b, "%s\"%s\"", i ? ", " : "", g->classes[i].name);
    }
    return vf_buf_take_string(&b);
}

static void release_taking(struct taking *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->records[i]);
    }
    free(t->records);
    free(t->state);
    vf_guard_sets_release(&t->sets);
    cJSON_Delete(t->items);
}

static bool all_complete(const struct vf_checkpoint *c)
{
    for (size_t i = 0; i < c->n_disks; i++) {
        if (c->disks[i].phase != VF_CHECKPOINT_COMPLETE) {
            return false;
        }
    }
    return c->n_disks > 0;
}

/* "round 2 of 2026-11-21T20:53:01Z" */
static char *describe_state(const struct vf_checkpoint *c)
{
    uint32_t round = 0;
    for (size_t i = 0; i < c->n_disks; i++) {
        round = c->disks[i].round > round ? c->disks[i].round : round;
    }
    return vf_xasprintf("round %" PRIu32 "%s%s", round, c->updated ? " of " : "",
                        c->updated ? c->updated : "");
}

static int read_claim(struct taking *t, size_t i, struct vf_error **err)
{
    struct vf_guard *g = t->g;
    const struct vf_kube_ref ref = {
        .resource = &vf_kube_claims, .ns = g->ns, .name = t->claims[i].name};
    const struct vf_kube_options options = {.cancel = g->env.cancel};
    cJSON *claim = NULL;
    int rc = vf_kube_get(g->env.client, &ref, &options, &claim, err);
    enum vf_owned owned = rc ? VF_OWNED_NOT : vf_owned_judge(claim, g->env.owner);
    if (rc == 0 && (owned == VF_OWNED_NOT || owned == VF_OWNED_OTHER)) {
        rc = vf_error_set(err, VF_CONFLICT, "claim \"%s\" is not of this migration",
                          t->claims[i].name);
    }
    rc = rc ? rc : vf_guard_describe_claim(claim, &t->records[i], err);
    cJSON_Delete(claim);
    return rc;
}

static const struct vf_guard_set *find_set(const struct vf_guard_sets *sets, uint32_t number)
{
    for (size_t i = 0; i < sets->n; i++) {
        if (sets->sets[i].number == number) {
            return &sets->sets[i];
        }
    }
    return NULL;
}

/* The newest set is of this very state: a run before this one took it, and went no further. */
static bool is_kept(const struct taking *t)
{
    const struct vf_guard_set *set = t->sets.n ? &t->sets.sets[0] : NULL;
    size_t n = 0;
    if (!set || !set->whole || set->n != t->n) {
        return false;
    }
    for (size_t i = 0; i < t->n; i++) {
        for (size_t k = 0; k < set->n; k++) {
            const char *claim = vf_volume_snapshot_claim(set->snapshots[k]);
            n += strcmp(claim, t->claims[i].name) == 0 &&
                 vf_kube_has_annotation(set->snapshots[k], VF_GUARD_CLAIM, t->records[i]);
        }
    }
    return n == t->n;
}

static cJSON *build_snapshot(const struct taking *t, size_t i, const char *name)
{
    struct vf_guard *g = t->g;
    char *vf_autofree number = vf_xasprintf("%" PRIu32, t->number);
    char *vf_autofree count = vf_xasprintf("%zu", t->n);
    cJSON *object = vf_volume_snapshot_build(g->ns, name, class_of(g, t->claims[i].storage),
                                             t->claims[i].name, g->env.owner);
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    cJSON *annotations = cJSON_GetObjectItemCaseSensitive(metadata, "annotations");
    vf_json_add_string(cJSON_GetObjectItemCaseSensitive(metadata, "labels"), VF_GUARD_SET, number);
    vf_json_add_string(annotations, VF_GUARD_COUNT, count);
    vf_json_add_string(annotations, VF_GUARD_STATE, t->state);
    vf_json_add_string(annotations, VF_GUARD_CLAIM, t->records[i]);
    return object;
}

/* Nothing had the number a moment ago: what has it after a create without an answer, and says the
 * same of its claim, is what was just made. */
static bool was_made(const struct taking *t, size_t i)
{
    struct vf_guard_sets sets = {0};
    cJSON *items = NULL;
    bool made = false;
    int rc = fetch_sets(t->g, t->g->env.cancel, &items, &sets, NULL);
    const struct vf_guard_set *set = rc ? NULL : find_set(&sets, t->number);
    for (size_t k = 0; set && k < set->n; k++) {
        const char *claim = vf_volume_snapshot_claim(set->snapshots[k]);
        made = made || (claim && strcmp(claim, t->claims[i].name) == 0 &&
                        !vf_kube_is_being_deleted(set->snapshots[k]) &&
                        vf_kube_has_annotation(set->snapshots[k], VF_GUARD_CLAIM, t->records[i]));
    }
    vf_guard_sets_release(&sets);
    cJSON_Delete(items);
    return made;
}

static int make_one(struct taking *t, size_t i, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_volume_snapshots, .ns = t->g->ns};
    const struct vf_kube_options options = {.cancel = t->g->env.cancel};
    char *vf_autofree name = vf_guard_snapshot_name(t->claims[i].name, t->number);
    struct vf_error *e = NULL;
    int rc = vf_inject("guard.create", err);
    if (rc) {
        return rc;
    }
    cJSON *object = build_snapshot(t, i, name);
    rc = vf_kube_create(t->g->env.client, &ref, object, &options, NULL, &e);
    cJSON_Delete(object);
    if (rc == VF_RETRY && was_made(t, i)) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc ? rc : vf_inject("guard.created", err);
}

static int wait_all(struct taking *t, struct vf_error **err)
{
    int64_t timeout_ms = t->g->env.timeout_ms ? t->g->env.timeout_ms : READY_TIMEOUT_MS;
    if (t->cutover && timeout_ms > CUTOVER_TIMEOUT_MS) {
        timeout_ms = CUTOVER_TIMEOUT_MS;
    }
    int64_t deadline_ms = vf_clock_ms() + timeout_ms;
    int rc = 0;
    for (size_t i = 0; i < t->n && rc == 0; i++) {
        char *vf_autofree name = vf_guard_snapshot_name(t->claims[i].name, t->number);
        int64_t left_ms = deadline_ms - vf_clock_ms();
        rc = vf_volume_snapshot_wait_ready(t->g->env.client, t->g->ns, name,
                                           left_ms > 1000 ? left_ms : 1000, t->g->env.cancel, err);
    }
    return rc ? rc : vf_inject("guard.ready", err);
}

/* What a set that did not become whole left. Clean-up; what stays is removed before the next one is
 * begun. */
static void remove_made(struct taking *t)
{
    struct vf_guard_sets sets = {0};
    cJSON *items = NULL;
    int rc = fetch_sets(t->g, NULL, &items, &sets, NULL);
    const struct vf_guard_set *set = rc ? NULL : find_set(&sets, t->number);
    if (set) {
        (void)remove_set(t->g, set, 0, NULL, NULL);
    }
    vf_guard_sets_release(&sets);
    cJSON_Delete(items);
}

/* Sets that a killed run left half-made are of no use. */
static int remove_broken(struct taking *t, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < t->sets.n && rc == 0; i++) {
        if (!t->sets.sets[i].whole) {
            rc = remove_set(t->g, &t->sets.sets[i], 0, t->g->env.cancel, err);
        }
    }
    return rc;
}

/* The new set is whole: those before have had their day. One that cannot be removed now is
 * removed after the next. */
static int remove_older(struct taking *t, struct vf_error **err)
{
    struct vf_guard *g = t->g;
    struct vf_error *e = NULL;
    int rc = vf_inject("guard.before_remove", &e);
    for (size_t i = 0; i < t->sets.n && rc == 0; i++) {
        if (t->sets.sets[i].whole) {
            rc = remove_set(g, &t->sets.sets[i], 0, g->env.cancel, &e);
        }
    }
    if (rc && rc != VF_CANCELLED) {
        vf_report_warning(g->env.reporter, g->env.vm,
                          "VolumeSnapshots of an earlier round stay for now: %s",
                          vf_error_message(e));
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc ? rc : vf_inject("guard.done", err);
}

static int take_set(struct taking *t, struct vf_error **err)
{
    struct vf_guard *g = t->g;
    int rc = 0;
    for (size_t i = 0; i < t->n && rc == 0; i++) {
        rc = read_claim(t, i, err);
    }
    if (rc || is_kept(t)) {
        return rc;
    }
    rc = remove_broken(t, err);
    if (rc == 0) {
        char *vf_autofree classes = describe_classes(g);
        vf_report_phase(g->env.reporter, g->env.vm, "guard",
                        "keeping %s: a VolumeSnapshot of %zu claim%s, class %s", t->state, t->n,
                        t->n == 1 ? "" : "s", classes);
    }
    for (size_t i = 0; i < t->n && rc == 0; i++) {
        rc = make_one(t, i, err);
    }
    rc = rc ? rc : wait_all(t, err);
    if (rc) {
        remove_made(t);
        return rc;
    }
    return remove_older(t, err);
}

/* Once: there is nothing of the kind here. */
static int tell_unavailable(struct vf_guard *g, const struct vf_error *why)
{
    const char *hint = vf_error_get_hint(why);
    char *vf_autofree text = vf_error_format(why);
    g->unavailable = true;
    vf_report_info(g->env.reporter, g->env.vm,
                   "no VolumeSnapshots are taken, and vmferry rollback has nothing to go back to; "
                   "the migration does not need them (%s%s%s)",
                   text, hint ? "; " : "", hint ? hint : "");
    return 0;
}

/* They should have worked. */
static int tell_failed(const struct taking *t, const struct vf_error *why)
{
    struct vf_guard *g = t->g;
    const struct vf_guard_set *best = vf_guard_sets_best(&t->sets);
    const char *hint = vf_error_get_hint(why);
    char *vf_autofree text = vf_error_format(why);
    char *vf_autofree state = vf_kube_clean_text(best ? best->state : NULL, MAX_STATE_BYTES);
    vf_report_warning(g->env.reporter, g->env.vm,
                      "the state before this round is not kept, and the migration goes on without: "
                      "%s%s%s%s; vmferry rollback %s%s",
                      text, hint ? " (" : "", hint ? hint : "", hint ? ")" : "",
                      best ? "would go back further: to " : "is not possible", state);
    return 0;
}

static int find_class(struct vf_guard *g, const struct vf_kube_storage *storage,
                      struct vf_error **err)
{
    char *name = NULL;
    if (class_of(g, storage)) {
        return 0;
    }
    int rc = vf_volume_snapshot_fetch_class(g->env.client, storage, g->env.cancel, &name, err);
    if (rc == 0) {
        g->classes = vf_xrealloc_array(g->classes, g->n_classes + 1, sizeof *g->classes);
        g->classes[g->n_classes++] =
            (struct snapshot_class){.storage = vf_xstrdup(storage->class_name), .name = name};
    }
    return rc;
}

/* One claim without snapshots, and there is no state of all. */
static int find_classes(const struct taking *t, struct vf_error **err)
{
    int rc = t->g->n_classes ? 0 : vf_volume_snapshot_check(t->g->env.client, err);
    for (size_t i = 0; i < t->n && rc == 0; i++) {
        rc = find_class(t->g, t->claims[i].storage, err);
    }
    return rc;
}

int vf_guard_take(struct vf_guard *g, const struct vf_guard_claim *claims, size_t n_claims,
                  const struct vf_checkpoint *c, struct vf_error **err)
{
    struct taking t = {
        .g = g, .claims = claims, .n = n_claims, .cutover = c->stage == VF_STAGE_CUTOVER};
    struct vf_error *e = NULL;
    bool half = false;
    if (g->unavailable || n_claims == 0 || !all_complete(c)) {
        return 0;
    }
    t.records = vf_xcalloc(n_claims, sizeof *t.records);
    t.state = describe_state(c);
    int rc = find_classes(&t, &e);
    rc = rc ? rc : fetch_sets(g, g->env.cancel, &t.items, &t.sets, &e);
    if (rc == VF_AUTH || rc == VF_UNSUPPORTED || rc == VF_MISSING) {
        rc = tell_unavailable(g, e);
        vf_error_clear(&e);
    } else if (rc == 0) {
        half = refuse_half_rolled_back(g, &t.sets, &e) != 0;
        t.number = vf_guard_sets_next_number(&t.sets);
        rc = half ? VF_CONFLICT : take_set(&t, &e);
    }
    if (rc == VF_AUTH) { /* it may look, and not create */
        rc = tell_unavailable(g, e);
        vf_error_clear(&e);
    } else if (rc && rc != VF_CANCELLED && !half) {
        rc = tell_failed(&t, e);
        vf_error_clear(&e);
    }
    release_taking(&t);
    vf_error_move(err, &e);
    return rc;
}
