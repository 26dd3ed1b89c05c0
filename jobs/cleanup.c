#include "jobs/cleanup.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/owned.h"
#include "importer/kube/resources.h"
#include "importer/kube/virtual_machine.h"
#include "jobs/cluster/claim_store.h"
#include "jobs/cluster/launch_job.h"
#include "jobs/cluster/warm_board.h"

#define JOB            "Job"
#define SECRET         "Secret"
#define DATA_VOLUME    "DataVolume"
#define CLAIM          "PersistentVolumeClaim"
#define SNAPSHOT       "VolumeSnapshot"
#define CONFIG_MAP     "ConfigMap"
#define VIRTUALMACHINE "VirtualMachine"

/* In the order in which they are removed: a writer before what it writes to. */
static const char *const kinds[] = {JOB, SECRET, DATA_VOLUME, CLAIM, SNAPSHOT, CONFIG_MAP};

const char *vf_cleanup_verdict_name(enum vf_cleanup_verdict verdict)
{
    static const char *const names[] = {[VF_CLEANUP_REMOVE] = "remove",
                                        [VF_CLEANUP_REMOVED] = "removed",
                                        [VF_CLEANUP_KEPT] = "kept",
                                        [VF_CLEANUP_REFUSED] = "refused",
                                        [VF_CLEANUP_FAILED] = "failed"};
    return names[verdict];
}

/* --- judging ----------------------------------------------------------------------------- */

struct judge {
    const struct vf_cleanup_options *options;
    struct vf_cleanup *c;
    const cJSON *machines, *instances;
};

static bool is_kind(const struct vf_cleanup_item *item, const char *kind)
{
    return strcmp(item->kind, kind) == 0;
}

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* Also when neither is there. */
static bool is_same(const char *a, const char *b)
{
    return a == b || same(a, b);
}

static void decide(struct vf_cleanup_item *item, enum vf_cleanup_verdict verdict, char *reason)
{
    item->verdict = verdict;
    free(item->reason);
    item->reason = reason;
}

static void keep(struct vf_cleanup_item *item, char *reason)
{
    decide(item, VF_CLEANUP_KEPT, reason);
}

/* For a person: who uses it; NULL when nobody does. Caller frees. */
static char *find_user(const struct judge *j, const char *name)
{
    const cJSON *object;
    cJSON_ArrayForEach(object, j->machines)
    {
        if (vf_virtual_machine_uses(object, name)) {
            return vf_xasprintf("used by VirtualMachine \"%s\"", vf_kube_name(object));
        }
    }
    cJSON_ArrayForEach(object, j->instances)
    {
        if (vf_virtual_machine_uses(object, name)) {
            return vf_xasprintf("used by VirtualMachineInstance \"%s\"", vf_kube_name(object));
        }
    }
    return NULL;
}

/* The item that owns it, whatever becomes of that one. */
static struct vf_cleanup_item *find_owner(const struct judge *j, const struct vf_cleanup_item *item)
{
    for (size_t i = 0; i < j->c->n_items; i++) {
        const char *uid = vf_kube_uid(j->c->items[i].object);
        if (uid && vf_kube_is_owned_by(item->object, uid)) {
            return &j->c->items[i];
        }
    }
    return NULL;
}

static const cJSON *first_owner(const struct vf_cleanup_item *item)
{
    const cJSON *metadata = vf_json_object(item->object, "metadata");
    return cJSON_GetArrayItem(vf_json_array(metadata, "ownerReferences"), 0);
}

static void keep_owned(struct vf_cleanup_item *item, const cJSON *owner)
{
    const char *kind = vf_json_string(owner, "kind");
    const char *name = vf_json_string(owner, "name");
    keep(item,
         vf_xasprintf("owned by %s \"%s\"", kind ? kind : "another object", name ? name : "?"));
}

static void judge_job(const struct judge *j, struct vf_cleanup_item *item)
{
    if (first_owner(item)) {
        keep_owned(item, first_owner(item));
    } else if (!vf_worker_job_runs(item->object) || j->options->force) {
        return;
    } else if (vf_owned_is_warm(item->object)) {
        decide(
            item, VF_CLEANUP_REFUSED,
            vf_xasprintf("still migrates its VM; \"vmferry cancel %s\" ends that, --force too: its "
                         "pod has %d s to leave the source as it was",
                         item->import, VF_WORKER_MIGRATION_GRACE_S));
    } else {
        decide(item, VF_CLEANUP_REFUSED,
               vf_xasprintf("still runs; --force stops it: its pod has %d s to remove its snapshot "
                            "and end its export at the source",
                            VF_WORKER_GRACE_S));
    }
}

static const struct vf_cleanup_item *running_job(const struct judge *j, const char *import)
{
    for (size_t i = 0; i < j->c->n_items; i++) {
        const struct vf_cleanup_item *job = &j->c->items[i];
        if (is_kind(job, JOB) && same(job->import, import) && job->verdict != VF_CLEANUP_REMOVE) {
            return job;
        }
    }
    return NULL;
}

/* Run by a person, or in another's pod; what a Job of ours runs is stopped with it. */
static bool gives_signs_of_life(const struct judge *j, const char *import)
{
    for (size_t i = 0; i < j->c->n_items; i++) {
        const struct vf_cleanup_item *job = &j->c->items[i];
        if (is_kind(job, JOB) && same(job->import, import) && vf_owned_is_warm(job->object) &&
            vf_worker_job_runs(job->object)) {
            return false;
        }
    }
    for (size_t i = 0; i < j->c->n_items; i++) {
        const struct vf_cleanup_item *map = &j->c->items[i];
        if (is_kind(map, CONFIG_MAP) && same(map->import, import) &&
            vf_owned_is_warm(map->object) && vf_board_cluster_is_alive(map->object)) {
            return true;
        }
    }
    return false;
}

/* Its own Job's, or that of none: then CDI's importers may read it. */
static void judge_secret(const struct judge *j, struct vf_cleanup_item *item)
{
    const struct vf_cleanup_item *owner = find_owner(j, item);
    const cJSON *reference = first_owner(item);
    if (owner && owner->verdict != VF_CLEANUP_REMOVE) {
        decide(item, owner->verdict, vf_xasprintf("Job \"%s\" reads it", owner->name));
    } else if (reference && !owner && !same(vf_json_string(reference, "kind"), JOB)) {
        keep_owned(item, reference);
    } else if (!reference && vf_owned_is_warm(item->object) &&
               gives_signs_of_life(j, item->import)) {
        decide(item, VF_CLEANUP_REFUSED,
               vf_xasprintf(
                   "CDI's importers read it, for a migration; \"vmferry cancel %s\" ends that",
                   item->import));
    }
}

/* What a warm migration copied is worth hours, and gone on with by the command it was begun with.
 * One that was delivered has no checkpoint any more. */
static bool is_gone_on_with(const struct vf_cleanup_item *item)
{
    return vf_owned_is_warm(item->object) &&
           (same(item->state, VF_OWNED_FILLING) ||
            vf_kube_annotation(item->object, VF_CLAIM_CHECKPOINT));
}

static void judge_warm(const struct judge *j, struct vf_cleanup_item *item)
{
    if (gives_signs_of_life(j, item->import)) {
        decide(item, VF_CLEANUP_REFUSED,
               vf_xasprintf("a migration writes to it; \"vmferry cancel %s\" ends that",
                            item->import));
    } else if (!j->options->force) {
        keep(item, vf_xasprintf("of a warm migration that can be gone on with; \"vmferry cancel %s "
                                "--discard\" removes it, --force too",
                                item->import));
    }
}

/* What rollback goes back to. */
static void judge_snapshot(const struct judge *j, struct vf_cleanup_item *item)
{
    const struct vf_cleanup_item *job = running_job(j, item->import);
    if (first_owner(item)) {
        keep_owned(item, first_owner(item));
    } else if (job) {
        decide(item, job->verdict, vf_xasprintf("Job \"%s\" works on its disks", job->name));
    } else {
        judge_warm(j, item);
    }
}

/* The status goes with what it is about. */
static void judge_map(const struct judge *j, struct vf_cleanup_item *item)
{
    const struct vf_cleanup_item *job = running_job(j, item->import);
    if (!vf_owned_is_warm(item->object)) {
        keep(item, vf_xstrdup("not a migration's status"));
    } else if (job) {
        decide(item, job->verdict, vf_xasprintf("Job \"%s\" writes to it", job->name));
    } else if (gives_signs_of_life(j, item->import)) {
        decide(item, VF_CLEANUP_REFUSED, vf_xstrdup("a migration writes to it"));
    }
    for (size_t i = 0; i < j->c->n_items && item->verdict == VF_CLEANUP_REMOVE; i++) {
        const struct vf_cleanup_item *claim = &j->c->items[i];
        if (is_kind(claim, CLAIM) && same(claim->import, item->import) && is_gone_on_with(claim) &&
            claim->verdict != VF_CLEANUP_REMOVE) {
            keep(item, vf_xasprintf("it tells how far \"%s\" is filled", claim->name));
        }
    }
}

static void judge_disk(const struct judge *j, struct vf_cleanup_item *item)
{
    const struct vf_cleanup_item *owner = find_owner(j, item);
    const struct vf_cleanup_item *job = running_job(j, item->import);
    char *user = find_user(j, item->name);
    if (user) {
        keep(item, user);
    } else if (owner && is_kind(owner, DATA_VOLUME)) {
        decide(item, owner->verdict, vf_xstrdup(owner->reason)); /* one goes with the other */
    } else if (first_owner(item)) {
        keep_owned(item, first_owner(item));
    } else if (is_gone_on_with(item) && !job) {
        judge_warm(j, item);
    } else if (same(item->state, VF_OWNED_COMPLETE) && !j->options->complete) {
        keep(item, vf_xstrdup("complete; --all removes it"));
    } else if (!same(item->state, VF_OWNED_COMPLETE) && !same(item->state, VF_OWNED_FILLING)) {
        keep(item, vf_xstrdup("neither complete nor being filled"));
    } else if (job) {
        decide(item, job->verdict, vf_xasprintf("Job \"%s\" writes to it", job->name));
    }
}

/* A DataVolume whose claim a VM names, or the other way round: both stay. */
static void keep_pairs(const struct judge *j)
{
    for (size_t i = 0; i < j->c->n_items; i++) {
        struct vf_cleanup_item *claim = &j->c->items[i];
        struct vf_cleanup_item *owner = is_kind(claim, CLAIM) ? find_owner(j, claim) : NULL;
        if (owner && is_kind(owner, DATA_VOLUME) && owner->verdict == VF_CLEANUP_REMOVE &&
            claim->verdict != VF_CLEANUP_REMOVE) {
            decide(owner, claim->verdict, vf_xstrdup(claim->reason));
        }
    }
}

static size_t order_of(const char *kind)
{
    size_t n = sizeof kinds / sizeof *kinds;
    for (size_t i = 0; kind && i < n; i++) {
        if (strcmp(kinds[i], kind) == 0) {
            return i;
        }
    }
    return n;
}

static void add_item(struct vf_cleanup *c, const cJSON *object)
{
    const char *kind = vf_json_string(object, "kind");
    const char *name = vf_kube_name(object);
    size_t order = order_of(kind);
    if (order == sizeof kinds / sizeof *kinds || !name) {
        return; /* a VirtualMachine, which is what it was all for */
    }
    c->items[c->n_items++] = (struct vf_cleanup_item){
        .kind = vf_xstrdup(kind),
        .name = vf_xstrdup(name),
        .import = vf_xstrdup(vf_kube_label(object, VF_OWNED_IMPORT)),
        .state = vf_xstrdup(vf_kube_label(object, VF_OWNED_STATE)),
        .verdict = VF_CLEANUP_REMOVE,
        .order = order,
        .object = cJSON_Duplicate(object, true),
    };
}

static int compare(const void *a, const void *b)
{
    const struct vf_cleanup_item *x = a, *y = b;
    if (x->order != y->order) {
        return x->order < y->order ? -1 : 1;
    }
    return strcmp(x->name, y->name);
}

void vf_cleanup_judge(const struct vf_cleanup_options *options, const cJSON *items,
                      const cJSON *machines, const cJSON *instances, struct vf_cleanup *c)
{
    struct judge j = {.options = options, .c = c, .machines = machines, .instances = instances};
    const cJSON *object;
    c->items = vf_xcalloc((size_t)cJSON_GetArraySize(items) + 1, sizeof *c->items);
    cJSON_ArrayForEach(object, items)
    {
        if (vf_owned_is_ours(object)) {
            add_item(c, object);
        }
    }
    qsort(c->items, c->n_items, sizeof *c->items, compare);
    for (size_t i = 0; i < c->n_items; i++) {
        struct vf_cleanup_item *item = &c->items[i];
        if (is_kind(item, JOB)) {
            judge_job(&j, item);
        } else if (is_kind(item, SECRET)) {
            judge_secret(&j, item);
        } else if (is_kind(item, SNAPSHOT)) {
            judge_snapshot(&j, item);
        } else if (is_kind(item, CONFIG_MAP)) {
            judge_map(&j, item);
        } else {
            judge_disk(&j, item);
        }
    }
    keep_pairs(&j);
}

/* --- doing ------------------------------------------------------------------------------- */

static int list_all(struct vf_kube_client *client, const struct vf_kube_resource *resource,
                    const struct vf_cancel *cancel, cJSON **ret_items, struct vf_error **err)
{
    struct vf_kube_ref ref = {.resource = resource, .ns = vf_kube_client_namespace(client)};
    struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    int rc = vf_kube_list(client, &ref, NULL, &options, ret_items, NULL, &e);
    const char *reason = vf_error_reason(e);
    if (rc == VF_UNSUPPORTED && same(reason, VF_KUBE_REASON_NOT_SERVED)) { /* no KubeVirt, no VM */
        vf_error_clear(&e);
        *ret_items = vf_json_new_array();
        rc = 0;
    }
    vf_error_move(err, &e);
    return rc;
}

static int look(struct vf_kube_client *client, const struct vf_cleanup_options *options,
                const struct vf_cancel *cancel, struct vf_cleanup *c, struct vf_error **err)
{
    cJSON *items = NULL, *machines = NULL, *instances = NULL;
    char *vf_autofree import =
        options->import ? vf_name_to_label(options->import, VF_NAME_VM_MAX) : NULL;
    c->ns = vf_xstrdup(vf_kube_client_namespace(client));
    int rc = vf_owned_list(client, c->ns, import, cancel, &items, err);
    rc = rc ? rc : list_all(client, &vf_kube_virtual_machines, cancel, &machines, err);
    rc = rc ? rc : list_all(client, &vf_kube_virtual_machine_instances, cancel, &instances, err);
    if (rc == 0) {
        vf_cleanup_judge(options, items, machines, instances, c);
    }
    cJSON_Delete(items);
    cJSON_Delete(machines);
    cJSON_Delete(instances);
    return rc;
}

static bool same_owners(const cJSON *a, const cJSON *b)
{
    const cJSON *of_a = vf_json_array(vf_json_object(a, "metadata"), "ownerReferences");
    const cJSON *of_b = vf_json_array(vf_json_object(b, "metadata"), "ownerReferences");
    int n_a = cJSON_GetArraySize(of_a), n_b = cJSON_GetArraySize(of_b);
    return n_a == n_b && (n_a == 0 || cJSON_Compare(of_a, of_b, true));
}

/* Keeps it when it is not any more what it was judged by. */
static int compare_with_now(struct vf_kube_client *client, struct vf_cleanup_item *item,
                            const struct vf_cancel *cancel, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = is_kind(item, CLAIM) ? &vf_kube_claims
                                                                     : &vf_kube_data_volumes,
                                    .ns = vf_kube_client_namespace(client),
                                    .name = item->name};
    const struct vf_kube_options options = {.cancel = cancel};
    struct vf_error *e = NULL;
    cJSON *now = NULL;
    int rc = vf_kube_get(client, &ref, &options, &now, &e);
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        rc = 0;
    } else if (rc == 0 && (!vf_owned_is_ours(now) ||
                           !is_same(vf_kube_label(now, VF_OWNED_STATE), item->state) ||
                           !same_owners(now, item->object))) {
        keep(item, vf_xstrdup("it changed since it was looked at"));
    }
    cJSON_Delete(now);
    vf_error_move(err, &e);
    return rc;
}

/* Jobs take minutes to end. Meanwhile an import may have come to its end: its disks are complete
 * then, and those that were complete a VM's. */
static int look_again(struct vf_kube_client *client, struct vf_cleanup_item *item,
                      const struct vf_cancel *cancel, struct vf_error **err)
{
    cJSON *machines = NULL, *instances = NULL;
    int rc = compare_with_now(client, item, cancel, err);
    if (rc == 0 && item->verdict == VF_CLEANUP_REMOVE && same(item->state, VF_OWNED_COMPLETE)) {
        rc = list_all(client, &vf_kube_virtual_machines, cancel, &machines, err);
        rc =
            rc ? rc : list_all(client, &vf_kube_virtual_machine_instances, cancel, &instances, err);
        const struct judge j = {.machines = machines, .instances = instances};
        char *user = rc ? NULL : find_user(&j, item->name);
        if (user) {
            keep(item, user);
        }
    }
    cJSON_Delete(machines);
    cJSON_Delete(instances);
    return rc;
}

/* What stood in the way of one does not stand in the way of the others. */
static int remove_item(struct vf_kube_client *client, struct vf_cleanup_item *item,
                       struct vf_reporter *reporter, const struct vf_cancel *cancel,
                       struct vf_error **err)
{
    struct vf_error *e = NULL;
    bool disk = is_kind(item, CLAIM) || is_kind(item, DATA_VOLUME);
    int rc = disk ? look_again(client, item, cancel, &e) : 0;
    if (rc == 0 && item->verdict == VF_CLEANUP_KEPT) {
        return 0;
    }
    if (rc == 0) {
        vf_report_phase(reporter, NULL, "remove", "%s \"%s\"", item->kind, item->name);
        rc = vf_owned_delete(client, item->object,
                             vf_owned_is_warm(item->object) ? VF_WORKER_MIGRATION_DELETE_TIMEOUT_MS
                                                            : VF_WORKER_DELETE_TIMEOUT_MS,
                             cancel, &e);
    }
    if (rc) {
        decide(item, VF_CLEANUP_FAILED, vf_error_format(e));
    } else {
        item->verdict = VF_CLEANUP_REMOVED;
    }
    vf_error_move(err, &e);
    return rc;
}

/* A Job that could not be removed may still write. */
static bool writer_stays(const struct vf_cleanup *c, const struct vf_cleanup_item *item)
{
    for (size_t i = 0; i < c->n_items; i++) {
        const struct vf_cleanup_item *job = &c->items[i];
        if (is_kind(job, JOB) && same(job->import, item->import) &&
            job->verdict == VF_CLEANUP_FAILED) {
            return true;
        }
    }
    return false;
}

static int remove_all(struct vf_kube_client *client, struct vf_cleanup *c,
                      struct vf_reporter *reporter, const struct vf_cancel *cancel,
                      struct vf_error **err)
{
    int first = 0;
    bool refused = false;
    for (size_t i = 0; i < c->n_items; i++) {
        struct vf_cleanup_item *item = &c->items[i];
        int rc = 0;
        refused = refused || item->verdict == VF_CLEANUP_REFUSED;
        if (item->verdict != VF_CLEANUP_REMOVE) {
            continue;
        }
        rc = vf_cancel_check(cancel, first ? NULL : err);
        if (rc == 0 && !is_kind(item, JOB) && writer_stays(c, item)) {
            decide(item, VF_CLEANUP_FAILED, vf_xstrdup("its Job could not be removed"));
            continue;
        }
        rc = rc ? rc : remove_item(client, item, reporter, cancel, first ? NULL : err);
        if (rc == VF_CANCELLED) {
            return first ? first : rc;
        }
        first = first ? first : rc;
    }
    if (first == 0 && refused) {
        first = vf_error_set(err, VF_CONFLICT, "a Job still runs, and was left alone");
        vf_error_hint(err, "wait for its end, or give --force");
    }
    return first;
}

int vf_cleanup_run(const struct vf_cleanup_options *options, struct vf_reporter *reporter,
                   const struct vf_cancel *cancel, struct vf_cleanup *c, struct vf_error **err)
{
    struct vf_kube_client *client = NULL;
    *c = (struct vf_cleanup){0};
    int rc = vf_cluster_open(&options->where, cancel, &client, err);
    rc = rc ? rc : look(client, options, cancel, c, err);
    if (rc == 0 && !options->dry_run) {
        rc = remove_all(client, c, reporter, cancel, err);
    }
    vf_kube_client_free(client);
    return rc;
}

void vf_cleanup_release(struct vf_cleanup *c)
{
    for (size_t i = 0; i < c->n_items; i++) {
        struct vf_cleanup_item *item = &c->items[i];
        free(item->kind);
        free(item->name);
        free(item->import);
        free(item->state);
        free(item->reason);
        cJSON_Delete(item->object);
    }
    free(c->items);
    free(c->ns);
    *c = (struct vf_cleanup){0};
}
