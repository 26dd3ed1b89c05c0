#include "jobs/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <pthread.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/owned.h"
#include "jobs/cluster/claim_store.h"
#include "jobs/cluster/warm_board.h"
#include "tests/support/check.h"
#include "tests/support/event_log.h"
#include "tests/support/kube_rig.h"

/* --- objects ----------------------------------------------------------------------------- */

static const char *api_version_of(const char *kind)
{
    return strcmp(kind, "Job") == 0           ? "batch/v1"
           : strcmp(kind, "DataVolume") == 0  ? "cdi.kubevirt.io/v1beta1"
           : strncmp(kind, "Virtual", 7) == 0 ? "kubevirt.io/v1"
                                              : "v1";
}

/* Of the import "web01"; its uid is "KIND/NAME". */
static cJSON *object(const char *kind, const char *name, const char *state)
{
    const struct vf_owner owner = {.import = "web01", .source_uuid = "u-1"};
    cJSON *o = vf_json_new_object();
    vf_json_add_string(o, "apiVersion", api_version_of(kind));
    vf_json_add_string(o, "kind", kind);
    cJSON *metadata = vf_json_add_object(o, "metadata");
    char *vf_autofree uid = vf_xasprintf("%s/%s", kind, name);
    vf_json_add_string(metadata, "name", name);
    vf_json_add_string(metadata, "namespace", "prod");
    vf_json_add_string(metadata, "uid", uid);
    vf_owned_mark(o, &owner, state);
    return o;
}

static cJSON *owned(cJSON *o, const char *kind, const char *name)
{
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(o, "metadata");
    cJSON *owner = vf_json_append_object(vf_json_add_array(metadata, "ownerReferences"));
    char *vf_autofree uid = vf_xasprintf("%s/%s", kind, name);
    vf_json_add_string(owner, "kind", kind);
    vf_json_add_string(owner, "name", name);
    vf_json_add_string(owner, "uid", uid);
    return o;
}

static cJSON *of_import(cJSON *o, const char *import)
{
    cJSON *labels =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(o, "metadata"), "labels");
    cJSON_ReplaceItemInObjectCaseSensitive(labels, VF_OWNED_IMPORT, cJSON_CreateString(import));
    return o;
}

static cJSON *ended(cJSON *job)
{
    cJSON *status = vf_json_add_object(job, "status");
    cJSON *condition = vf_json_append_object(vf_json_add_array(status, "conditions"));
    vf_json_add_string(condition, "type", "Complete");
    vf_json_add_string(condition, "status", "True");
    return job;
}

/* A VirtualMachine (of nobody) with one volume, as JSON. */
static cJSON *machine(const char *name, const char *volume)
{
    char *vf_autofree text =
        vf_xasprintf("{\"metadata\":{\"name\":\"%s\"},\"spec\":{\"template\":{\"spec\":{"
                     "\"volumes\":[{\"name\":\"x\",\"containerDisk\":{}},%s]}}}}",
                     name, volume);
    cJSON *o = cJSON_Parse(text);
    assert_non_null(o);
    return o;
}

/* --- judging ----------------------------------------------------------------------------- */

struct fixture {
    struct vf_cleanup_options options;
    cJSON *items, *machines, *instances;
    struct vf_cleanup c;
};

static int setup(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->items = vf_json_new_array();
    f->machines = vf_json_new_array();
    f->instances = vf_json_new_array();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cJSON_Delete(f->items);
    cJSON_Delete(f->machines);
    cJSON_Delete(f->instances);
    vf_cleanup_release(&f->c);
    free(f);
    return 0;
}

static void add(struct fixture *f, cJSON *o)
{
    cJSON_AddItemToArray(f->items, o);
}

static void judge(struct fixture *f)
{
    vf_cleanup_release(&f->c);
    vf_cleanup_judge(&f->options, f->items, f->machines, f->instances, &f->c);
}

static const struct vf_cleanup_item *item(const struct vf_cleanup *c, const char *kind,
                                          const char *name)
{
    for (size_t i = 0; i < c->n_items; i++) {
        if (strcmp(c->items[i].kind, kind) == 0 && strcmp(c->items[i].name, name) == 0) {
            return &c->items[i];
        }
    }
    fail_msg("%s %s is not there", kind, name);
    return NULL;
}

static void expect(struct fixture *f, const char *kind, const char *name,
                   enum vf_cleanup_verdict verdict, const char *reason)
{
    const struct vf_cleanup_item *i = item(&f->c, kind, name);
    assert_string_equal(vf_cleanup_verdict_name(i->verdict), vf_cleanup_verdict_name(verdict));
    if (reason) {
        assert_non_null(i->reason);
        assert_non_null(strstr(i->reason, reason));
    } else {
        assert_null(i->reason);
    }
}

static void test_cleanup__what_is_unfinished_goes_in_order(void **state)
{
    struct fixture *f = *state;
    add(f, object("PersistentVolumeClaim", "web01-disk-0", "filling"));
    add(f, object("DataVolume", "b-disk-0", "filling"));
    add(f, object("Secret", "web01-import-1", NULL));
    add(f, object("PersistentVolumeClaim", "a-disk-0", "filling"));
    add(f, ended(object("Job", "web01-import", NULL)));
    judge(f);
    static const char *const order[] = {"web01-import", "web01-import-1", "b-disk-0", "a-disk-0",
                                        "web01-disk-0"};
    assert_int_equal(f->c.n_items, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(f->c.items[i].name, order[i]);
        assert_int_equal(f->c.items[i].verdict, VF_CLEANUP_REMOVE);
        assert_null(f->c.items[i].reason);
    }
    assert_string_equal(f->c.items[4].state, "filling");
    assert_string_equal(f->c.items[4].import, "web01");
}

static void test_cleanup__machines_and_what_is_not_ours_are_not_even_looked_at(void **state)
{
    struct fixture *f = *state;
    add(f, object("VirtualMachine", "web01", "complete"));
    cJSON *foreign = object("PersistentVolumeClaim", "web01-disk-0", "filling");
    cJSON *labels = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(foreign, "metadata"), "labels");
    cJSON_DeleteItemFromObjectCaseSensitive(labels, VF_OWNED_MANAGED_BY);
    add(f, foreign);
    f->options.complete = f->options.force = true;
    judge(f);
    assert_int_equal(f->c.n_items, 0);
}

static cJSON *warm(cJSON *o)
{
    const struct vf_owner owner = {.import = "web01", .source_uuid = "u-1", .warm = true};
    vf_owned_mark(o, &owner, NULL);
    return o;
}

static cJSON *with_checkpoint(cJSON *o)
{
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(o, "metadata");
    vf_json_add_string(cJSON_GetObjectItemCaseSensitive(metadata, "annotations"),
                       VF_CLAIM_CHECKPOINT, "1 {}");
    return o;
}

/* The status of a migration, with a sign of life of so many seconds ago. */
static cJSON *status_map(int64_t age_s)
{
    char text[32];
    time_t then = time(NULL) - (time_t)age_s;
    struct tm tm;
    gmtime_r(&then, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    cJSON *o = warm(object("ConfigMap", "vmferry-web01", NULL));
    vf_json_add_string(vf_json_add_object(o, "data"), VF_BOARD_HEARTBEAT_KEY, text);
    return o;
}

#define PVC "PersistentVolumeClaim"

static void test_cleanup__what_a_warm_migration_goes_on_with_is_kept(void **state)
{
    struct fixture *f = *state;
    add(f, warm(object(PVC, "web01-disk-0", "filling")));
    add(f, with_checkpoint(warm(object(PVC, "web01-disk-1", "complete")))); /* a failed cutover */
    add(f, warm(object("VolumeSnapshot", "s", NULL)));
    add(f, status_map(600));
    add(f, ended(warm(object("Job", "web01-migrate", NULL))));
    f->options.complete = true;
    judge(f);
    expect(f, PVC, "web01-disk-0", VF_CLEANUP_KEPT, "vmferry cancel web01 --discard");
    expect(f, PVC, "web01-disk-1", VF_CLEANUP_KEPT, "vmferry cancel web01 --discard");
    expect(f, "VolumeSnapshot", "s", VF_CLEANUP_KEPT, "vmferry cancel web01 --discard");
    expect(f, "ConfigMap", "vmferry-web01", VF_CLEANUP_KEPT, "how far");
    expect(f, "Job", "web01-migrate", VF_CLEANUP_REMOVE, NULL);
    f->options.force = true;
    judge(f);
    for (size_t i = 0; i < f->c.n_items; i++) {
        assert_int_equal(f->c.items[i].verdict, VF_CLEANUP_REMOVE);
    }
    assert_string_equal(f->c.items[0].kind, "Job");
    assert_string_equal(f->c.items[f->c.n_items - 1].kind, "ConfigMap");
}

static void test_cleanup__a_warm_migration_that_runs_is_refused(void **state)
{
    struct fixture *f = *state;
    add(f, warm(object(PVC, "web01-disk-0", "filling")));
    add(f, warm(object("VolumeSnapshot", "s", NULL)));
    add(f, status_map(5));
    add(f, warm(object("Job", "web01-migrate", NULL)));
    judge(f);
    expect(f, "Job", "web01-migrate", VF_CLEANUP_REFUSED, "vmferry cancel web01");
    expect(f, PVC, "web01-disk-0", VF_CLEANUP_REFUSED, "writes to it");
    expect(f, "VolumeSnapshot", "s", VF_CLEANUP_REFUSED, "works on its disks");
    expect(f, "ConfigMap", "vmferry-web01", VF_CLEANUP_REFUSED, "writes to it");
    f->options.force = true; /* its Job is stopped first */
    judge(f);
    for (size_t i = 0; i < f->c.n_items; i++) {
        assert_int_equal(f->c.items[i].verdict, VF_CLEANUP_REMOVE);
    }
}

/* Nothing here could stop it. */
static void test_cleanup__one_that_runs_elsewhere_is_refused_even_by_force(void **state)
{
    struct fixture *f = *state;
    add(f, warm(object(PVC, "web01-disk-0", "filling")));
    add(f, warm(object("Secret", "s", NULL))); /* of a migration that CDI copies for */
    add(f, status_map(5));
    f->options.force = true;
    judge(f);
    expect(f, "Secret", "s", VF_CLEANUP_REFUSED, "vmferry cancel web01");
    expect(f, PVC, "web01-disk-0", VF_CLEANUP_REFUSED, "vmferry cancel web01");
    expect(f, "ConfigMap", "vmferry-web01", VF_CLEANUP_REFUSED, "writes to it");
}

static void test_cleanup__of_one_that_was_delivered_the_status_goes(void **state)
{
    struct fixture *f = *state;
    add(f, warm(object(PVC, "web01-disk-0", "complete")));
    add(f, status_map(600));
    judge(f);
    expect(f, PVC, "web01-disk-0", VF_CLEANUP_KEPT, "--all");
    expect(f, "ConfigMap", "vmferry-web01", VF_CLEANUP_REMOVE, NULL);
    add(f, of_import(object("ConfigMap", "other", NULL), "web01")); /* made by no migration */
    judge(f);
    expect(f, "ConfigMap", "other", VF_CLEANUP_KEPT, "not a migration's status");
}

static void test_cleanup__complete_disks_go_when_asked_for(void **state)
{
    struct fixture *f = *state;
    add(f, object("PersistentVolumeClaim", "a", "complete"));
    add(f, object("PersistentVolumeClaim", "b", NULL));
    add(f, object("PersistentVolumeClaim", "c", "unheard"));
    judge(f);
    expect(f, "PersistentVolumeClaim", "a", VF_CLEANUP_KEPT, "--all");
    f->options.complete = true;
    judge(f);
    expect(f, "PersistentVolumeClaim", "a", VF_CLEANUP_REMOVE, NULL);
    expect(f, "PersistentVolumeClaim", "b", VF_CLEANUP_KEPT, "neither");
    expect(f, "PersistentVolumeClaim", "c", VF_CLEANUP_KEPT, "neither");
}

static void test_cleanup__a_disk_that_a_vm_names_stays(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"claim",     "dv",      "dump",    "template", "vmi",
                                        "ephemeral", "utility", "plugged", "free"};
    f->options.complete = f->options.force = true;
    for (size_t i = 0; i < 9; i++) {
        add(f, object("PersistentVolumeClaim", names[i], i % 2 ? "complete" : "filling"));
    }
    cJSON_AddItemToArray(f->machines,
                         machine("one", "{\"persistentVolumeClaim\":{\"claimName\":\"claim\"}}"));
    cJSON_AddItemToArray(f->machines, machine("two", "{\"dataVolume\":{\"name\":\"dv\"}}"));
    cJSON_AddItemToArray(f->machines,
                         machine("three", "{\"memoryDump\":{\"claimName\":\"dump\"}}"));
    cJSON_AddItemToArray(f->machines,
                         cJSON_Parse("{\"metadata\":{\"name\":\"four\"},\"spec\":{"
                                     "\"dataVolumeTemplates\":[{\"metadata\":{\"name\":"
                                     "\"template\"}}]}}"));
    cJSON_AddItemToArray(f->instances,
                         cJSON_Parse("{\"metadata\":{\"name\":\"five\"},\"spec\":{\"volumes\":[{"
                                     "\"persistentVolumeClaim\":{\"claimName\":\"vmi\"}}]}}"));
    cJSON_AddItemToArray(f->machines,
                         machine("six", "{\"ephemeral\":{\"persistentVolumeClaim\":{\"claimName\":"
                                        "\"ephemeral\"}}}"));
    cJSON_AddItemToArray(f->instances,
                         cJSON_Parse("{\"metadata\":{\"name\":\"seven\"},\"spec\":{"
                                     "\"utilityVolumes\":[{\"claimName\":\"utility\"}]}}"));
    cJSON_AddItemToArray(f->machines,
                         cJSON_Parse("{\"metadata\":{\"name\":\"eight\"},\"spec\":{},\"status\":{"
                                     "\"volumeRequests\":[{\"addVolumeOptions\":{\"volumeSource\":{"
                                     "\"dataVolume\":{\"name\":\"plugged\"}}}}]}}"));
    judge(f);
    expect(f, "PersistentVolumeClaim", "claim", VF_CLEANUP_KEPT, "VirtualMachine \"one\"");
    expect(f, "PersistentVolumeClaim", "ephemeral", VF_CLEANUP_KEPT, "VirtualMachine \"six\"");
    expect(f, "PersistentVolumeClaim", "utility", VF_CLEANUP_KEPT,
           "VirtualMachineInstance \"seven\"");
    expect(f, "PersistentVolumeClaim", "plugged", VF_CLEANUP_KEPT, "VirtualMachine \"eight\"");
    expect(f, "PersistentVolumeClaim", "dv", VF_CLEANUP_KEPT, "VirtualMachine \"two\"");
    expect(f, "PersistentVolumeClaim", "dump", VF_CLEANUP_KEPT, "VirtualMachine \"three\"");
    expect(f, "PersistentVolumeClaim", "template", VF_CLEANUP_KEPT, "VirtualMachine \"four\"");
    expect(f, "PersistentVolumeClaim", "vmi", VF_CLEANUP_KEPT, "VirtualMachineInstance \"five\"");
    expect(f, "PersistentVolumeClaim", "free", VF_CLEANUP_REMOVE, NULL);
}

static void test_cleanup__what_is_owned_stays_with_its_owner(void **state)
{
    struct fixture *f = *state;
    f->options.complete = f->options.force = true;
    add(f, owned(object("DataVolume", "vms", "complete"), "VirtualMachine", "vm"));
    add(f, owned(object("PersistentVolumeClaim", "vms", "complete"), "DataVolume", "vms"));
    add(f, owned(object("PersistentVolumeClaim", "adopted", "filling"), "DataVolume", "elsewhere"));
    add(f, owned(object("Secret", "s", NULL), "Deployment", "d"));
    add(f, owned(ended(object("Job", "j", NULL)), "CronJob", "c"));
    add(f, owned(object("Secret", "js", NULL), "Job", "j"));
    judge(f);
    expect(f, "DataVolume", "vms", VF_CLEANUP_KEPT, "owned by VirtualMachine \"vm\"");
    expect(f, "PersistentVolumeClaim", "vms", VF_CLEANUP_KEPT, "owned by VirtualMachine \"vm\"");
    expect(f, "PersistentVolumeClaim", "adopted", VF_CLEANUP_KEPT, "DataVolume \"elsewhere\"");
    expect(f, "Secret", "s", VF_CLEANUP_KEPT, "Deployment \"d\"");
    expect(f, "Job", "j", VF_CLEANUP_KEPT, "CronJob \"c\"");
    expect(f, "Secret", "js", VF_CLEANUP_KEPT, "Job \"j\"");
}

static void test_cleanup__volume_and_claim_go_together(void **state)
{
    struct fixture *f = *state;
    add(f, owned(object("PersistentVolumeClaim", "a", "filling"), "DataVolume", "a"));
    add(f, object("DataVolume", "a", "filling"));
    add(f, owned(object("PersistentVolumeClaim", "b", "filling"), "DataVolume", "b"));
    add(f, object("DataVolume", "b", "complete"));
    judge(f);
    expect(f, "DataVolume", "a", VF_CLEANUP_REMOVE, NULL);
    expect(f, "PersistentVolumeClaim", "a", VF_CLEANUP_REMOVE, NULL);
    expect(f, "DataVolume", "b", VF_CLEANUP_KEPT, "--all");
    expect(f, "PersistentVolumeClaim", "b", VF_CLEANUP_KEPT, "--all");
}

/* Names of claim and DataVolume may differ where somebody else made one of them. */
static void test_cleanup__the_volume_of_a_claim_in_use_stays(void **state)
{
    struct fixture *f = *state;
    add(f, owned(object("PersistentVolumeClaim", "claim", "filling"), "DataVolume", "volume"));
    add(f, object("DataVolume", "volume", "filling"));
    cJSON_AddItemToArray(f->machines,
                         machine("vm", "{\"persistentVolumeClaim\":{\"claimName\":\"claim\"}}"));
    judge(f);
    expect(f, "DataVolume", "volume", VF_CLEANUP_KEPT, "VirtualMachine \"vm\"");
    expect(f, "PersistentVolumeClaim", "claim", VF_CLEANUP_KEPT, "VirtualMachine \"vm\"");
}

static void test_cleanup__what_a_running_job_uses_is_refused(void **state)
{
    struct fixture *f = *state;
    add(f, object("Job", "web01-import", NULL));
    add(f, owned(object("Secret", "s", NULL), "Job", "web01-import"));
    add(f, object("PersistentVolumeClaim", "web01-disk-0", "filling"));
    add(f, of_import(object("PersistentVolumeClaim", "db-disk-0", "filling"), "db"));
    judge(f);
    expect(f, "Job", "web01-import", VF_CLEANUP_REFUSED, "--force");
    expect(f, "Secret", "s", VF_CLEANUP_REFUSED, "Job \"web01-import\" reads it");
    expect(f, "PersistentVolumeClaim", "web01-disk-0", VF_CLEANUP_REFUSED, "writes to it");
    expect(f, "PersistentVolumeClaim", "db-disk-0", VF_CLEANUP_REMOVE, NULL);
    f->options.force = true;
    judge(f);
    expect(f, "Job", "web01-import", VF_CLEANUP_REMOVE, NULL);
    expect(f, "Secret", "s", VF_CLEANUP_REMOVE, NULL);
    expect(f, "PersistentVolumeClaim", "web01-disk-0", VF_CLEANUP_REMOVE, NULL);
}

/* --- doing ------------------------------------------------------------------------------- */

/* Two ended Jobs with a claim each, and a machine. Deleting the first Job may be refused. */
struct world {
    struct vf_test_kube kube;
    struct vf_test_events events;
    char *dir, *kubeconfig;
    pthread_mutex_t lock; /* guards what follows */
    struct vf_buf deleted;
    bool refuse;
    bool hides_machines; /* a list of them is not acceptable to what stands before the server */
    bool ends_meanwhile; /* the import of a-disk-0, once it was listed */
    bool used_meanwhile; /* b-disk-0, once machines were listed */
    unsigned n_machine_lists;
    const char *selector; /* without it in the query nothing is listed */
    cJSON *jobs, *claims;
};

static void answer_list(struct vf_test_exchange *x, const cJSON *items)
{
    char *vf_autofree text = items ? vf_json_print(items, false) : vf_xstrdup("[]");
    char *vf_autofree body =
        vf_xasprintf("{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":%s}", text);
    vf_test_answer(x, 200, NULL, body);
}

static void set_state(cJSON *o, const char *state)
{
    cJSON *labels =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(o, "metadata"), "labels");
    cJSON_ReplaceItemInObjectCaseSensitive(labels, VF_OWNED_STATE, cJSON_CreateString(state));
}

static void serve_claim(struct world *w, struct vf_test_exchange *x, const char *name)
{
    cJSON *claim;
    cJSON_ArrayForEach(claim, w->claims)
    {
        if (strcmp(vf_kube_name(claim), name) == 0) {
            if (w->ends_meanwhile && strcmp(name, "a-disk-0") == 0) {
                set_state(claim, VF_OWNED_COMPLETE);
            }
            char *vf_autofree text = vf_json_print(claim, false);
            vf_test_answer(x, 200, NULL, text);
            return;
        }
    }
    vf_test_kube_status(x, 404, "NotFound", "gone", NULL, NULL);
}

static void serve_machines(struct world *w, struct vf_test_exchange *x)
{
    cJSON *items = vf_json_new_array();
    if (w->hides_machines) {
        cJSON_Delete(items);
        vf_test_answer(x, 406, NULL, "not acceptable\n");
        return;
    }
    if (w->used_meanwhile && w->n_machine_lists++ > 0) {
        cJSON_AddItemToArray(
            items, machine("new", "{\"persistentVolumeClaim\":{\"claimName\":\"b-disk-0\"}}"));
    }
    answer_list(x, items);
    cJSON_Delete(items);
}

static void serve_get(struct world *w, struct vf_test_exchange *x)
{
    const cJSON *items = NULL; /* of instances, Secrets, and of what is gone */
    const char *claim = strstr(x->target, "/persistentvolumeclaims/");
    if (claim) {
        serve_claim(w, x, strrchr(claim, '/') + 1);
        return;
    }
    if (vf_test_target_has(x, "/virtualmachines") && !vf_test_target_has(x, "labelSelector")) {
        serve_machines(w, x);
        return;
    }
    if (vf_test_target_has(x, "/datavolumes")) {
        vf_test_answer(x, 404, NULL, "404 page not found\n"); /* CDI is not here */
        return;
    }
    if (vf_test_target_has(x, w->selector)) {
        items = vf_test_target_has(x, "/namespaces/prod/jobs")     ? w->jobs
                : vf_test_target_has(x, "/persistentvolumeclaims") ? w->claims
                                                                   : NULL;
    }
    answer_list(x, items);
}

static void serve(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    struct world *w = k->opaque;
    (void)n;
    pthread_mutex_lock(&w->lock);
    if (strcmp(x->method, "GET") == 0) {
        serve_get(w, x);
    } else if (w->refuse && vf_test_target_has(x, "/a-import")) {
        vf_test_kube_status(x, 403, "Forbidden", "not for you", NULL, NULL);
    } else {
        vf_test_check(strcmp(x->method, "DELETE") == 0);
        vf_buf_printf(&w->deleted, "%s\n", strrchr(x->target, '/') + 1);
        vf_test_answer(x, 200, NULL, "{}");
    }
    pthread_mutex_unlock(&w->lock);
}

static int setup_world(void **state)
{
    struct world *w = vf_xcalloc(1, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    vf_buf_init(&w->deleted, 1 << 16);
    vf_test_events_init(&w->events);
    vf_test_kube_start(&w->kube, serve);
    w->kube.opaque = w;
    w->dir = vf_test_make_dir();
    char *vf_autofree text =
        vf_xasprintf("{\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"%s\","
                     "\"certificate-authority\":\"%s\"}}],\"users\":[{\"name\":\"u\",\"user\":{"
                     "\"token\":\"t\"}}],\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":"
                     "\"c\",\"user\":\"u\",\"namespace\":\"prod\"}}],\"current-context\":\"x\"}",
                     vf_test_server_url(w->kube.server), vf_test_server_ca_file(w->kube.server));
    w->kubeconfig = vf_test_make_file(w->dir, "config", text, 0600);
    w->selector = "labelSelector=";
    w->jobs = vf_json_new_array();
    w->claims = vf_json_new_array();
    cJSON_AddItemToArray(w->jobs, of_import(ended(object("Job", "a-import", NULL)), "a"));
    cJSON_AddItemToArray(w->jobs, of_import(ended(object("Job", "b-import", NULL)), "b"));
    cJSON_AddItemToArray(w->claims,
                         of_import(object("PersistentVolumeClaim", "a-disk-0", "filling"), "a"));
    cJSON_AddItemToArray(w->claims,
                         of_import(object("PersistentVolumeClaim", "b-disk-0", "filling"), "b"));
    *state = w;
    return 0;
}

static int teardown_world(void **state)
{
    struct world *w = *state;
    vf_test_kube_stop(&w->kube);
    vf_test_events_release(&w->events);
    vf_test_remove_dir(w->dir);
    free(w->kubeconfig);
    vf_buf_release(&w->deleted);
    pthread_mutex_destroy(&w->lock);
    cJSON_Delete(w->jobs);
    cJSON_Delete(w->claims);
    free(w);
    return 0;
}

static int clean(struct world *w, struct vf_cleanup_options options, struct vf_cleanup *c,
                 struct vf_error **err)
{
    options.where.kubeconfig = w->kubeconfig;
    return vf_cleanup_run(&options, &w->events.reporter, NULL, c, err);
}

static void test_cleanup_run__removes_one_after_the_other(void **state)
{
    struct world *w = *state;
    struct vf_cleanup c;
    struct vf_error *err = NULL;
    int rc = clean(w, (struct vf_cleanup_options){0}, &c, &err);
    assert_string_equal(vf_error_message(err), "");
    assert_int_equal(rc, 0);
    assert_string_equal(w->deleted.data, "a-import\nb-import\na-disk-0\nb-disk-0\n");
    assert_string_equal(c.ns, "prod");
    for (size_t i = 0; i < c.n_items; i++) {
        assert_int_equal(c.items[i].verdict, VF_CLEANUP_REMOVED);
    }
    vf_cleanup_release(&c);
}

static void test_cleanup_run__dry_run_touches_nothing(void **state)
{
    struct world *w = *state;
    struct vf_cleanup c;
    assert_int_equal(clean(w, (struct vf_cleanup_options){.dry_run = true}, &c, NULL), 0);
    assert_int_equal(w->deleted.len, 0);
    assert_int_equal(c.n_items, 4);
    assert_int_equal(item(&c, "Job", "a-import")->verdict, VF_CLEANUP_REMOVE);
    vf_cleanup_release(&c);
}

/* By the name that the source has, or the one that came of it. */
static void test_cleanup_run__import_is_chosen_by_label(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"Web01", "web01"};
    w->selector = "vmferry.io%2Fimport%3Dweb01";
    for (size_t i = 0; i < 2; i++) {
        struct vf_cleanup c;
        const struct vf_cleanup_options options = {.import = names[i], .dry_run = true};
        assert_int_equal(clean(w, options, &c, NULL), 0);
        assert_int_equal(c.n_items, 4);
        vf_cleanup_release(&c);
    }
}

/* What a Job may still write to stays; the rest goes. */
static void test_cleanup_run__a_failure_does_not_stop_the_rest(void **state)
{
    struct world *w = *state;
    struct vf_cleanup c;
    struct vf_error *err = NULL;
    w->refuse = true;
    assert_int_equal(clean(w, (struct vf_cleanup_options){0}, &c, &err), VF_AUTH);
    vf_test_expect_error(err, "delete Job \"a-import\"");
    vf_error_free(err);
    assert_string_equal(w->deleted.data, "b-import\nb-disk-0\n");
    assert_int_equal(item(&c, "Job", "a-import")->verdict, VF_CLEANUP_FAILED);
    assert_non_null(strstr(item(&c, "Job", "a-import")->reason, "a-import"));
    assert_int_equal(item(&c, "PersistentVolumeClaim", "a-disk-0")->verdict, VF_CLEANUP_FAILED);
    assert_int_equal(item(&c, "Job", "b-import")->verdict, VF_CLEANUP_REMOVED);
    vf_cleanup_release(&c);
}

static void test_cleanup_run__a_running_job_makes_it_fail(void **state)
{
    struct world *w = *state;
    struct vf_cleanup c;
    struct vf_error *err = NULL;
    cJSON_DeleteItemFromObjectCaseSensitive(cJSON_GetArrayItem(w->jobs, 0), "status");
    assert_int_equal(clean(w, (struct vf_cleanup_options){0}, &c, &err), VF_CONFLICT);
    vf_test_expect_error(err, "--force");
    vf_error_free(err);
    assert_string_equal(w->deleted.data, "b-import\nb-disk-0\n");
    vf_cleanup_release(&c);
    vf_buf_clear(&w->deleted);
    assert_int_equal(clean(w, (struct vf_cleanup_options){.force = true}, &c, NULL), 0);
    assert_string_equal(w->deleted.data, "a-import\nb-import\na-disk-0\nb-disk-0\n");
    vf_cleanup_release(&c);
}

/* Between the look and the turn of a disk, which may be minutes, an import may end. */
static void test_cleanup_run__what_became_complete_meanwhile_stays(void **state)
{
    struct world *w = *state;
    struct vf_cleanup c;
    w->ends_meanwhile = true;
    assert_int_equal(clean(w, (struct vf_cleanup_options){0}, &c, NULL), 0);
    assert_string_equal(w->deleted.data, "a-import\nb-import\nb-disk-0\n");
    assert_int_equal(item(&c, "PersistentVolumeClaim", "a-disk-0")->verdict, VF_CLEANUP_KEPT);
    assert_non_null(strstr(item(&c, "PersistentVolumeClaim", "a-disk-0")->reason, "changed"));
    vf_cleanup_release(&c);
}

static void test_cleanup_run__what_a_vm_took_meanwhile_stays(void **state)
{
    struct world *w = *state;
    struct vf_cleanup c;
    set_state(cJSON_GetArrayItem(w->claims, 1), VF_OWNED_COMPLETE);
    w->used_meanwhile = true;
    assert_int_equal(clean(w, (struct vf_cleanup_options){.complete = true}, &c, NULL), 0);
    assert_string_equal(w->deleted.data, "a-import\nb-import\na-disk-0\n");
    assert_int_equal(item(&c, "PersistentVolumeClaim", "b-disk-0")->verdict, VF_CLEANUP_KEPT);
    vf_cleanup_release(&c);
}

/* Not to know of any VM is not to know that there is none. */
static void test_cleanup_run__without_a_list_of_vms_nothing_goes(void **state)
{
    struct world *w = *state;
    struct vf_cleanup c;
    w->hides_machines = true;
    assert_int_equal(clean(w, (struct vf_cleanup_options){0}, &c, NULL), VF_UNSUPPORTED);
    assert_int_equal(w->deleted.len, 0);
    vf_cleanup_release(&c);
}

static void test_cleanup_run__cancelled_is_told(void **state)
{
    struct world *w = *state;
    struct vf_cleanup c;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    const struct vf_cleanup_options options = {.where = {.kubeconfig = w->kubeconfig}};
    vf_cancel_trigger(cancel);
    assert_int_equal(vf_cleanup_run(&options, NULL, cancel, &c, NULL), VF_CANCELLED);
    assert_int_equal(w->deleted.len, 0);
    vf_cleanup_release(&c);
    vf_cancel_free(cancel);
}

int main(void)
{
#define TEST(name)  cmocka_unit_test_setup_teardown(name, setup, teardown)
#define WORLD(name) cmocka_unit_test_setup_teardown(name, setup_world, teardown_world)
    const struct CMUnitTest tests[] = {
        TEST(test_cleanup__what_is_unfinished_goes_in_order),
        TEST(test_cleanup__machines_and_what_is_not_ours_are_not_even_looked_at),
        TEST(test_cleanup__what_a_warm_migration_goes_on_with_is_kept),
        TEST(test_cleanup__a_warm_migration_that_runs_is_refused),
        TEST(test_cleanup__one_that_runs_elsewhere_is_refused_even_by_force),
        TEST(test_cleanup__of_one_that_was_delivered_the_status_goes),
        TEST(test_cleanup__complete_disks_go_when_asked_for),
        TEST(test_cleanup__a_disk_that_a_vm_names_stays),
        TEST(test_cleanup__what_is_owned_stays_with_its_owner),
        TEST(test_cleanup__volume_and_claim_go_together),
        TEST(test_cleanup__the_volume_of_a_claim_in_use_stays),
        TEST(test_cleanup__what_a_running_job_uses_is_refused),
        WORLD(test_cleanup_run__removes_one_after_the_other),
        WORLD(test_cleanup_run__dry_run_touches_nothing),
        WORLD(test_cleanup_run__import_is_chosen_by_label),
        WORLD(test_cleanup_run__a_failure_does_not_stop_the_rest),
        WORLD(test_cleanup_run__a_running_job_makes_it_fail),
        WORLD(test_cleanup_run__what_became_complete_meanwhile_stays),
        WORLD(test_cleanup_run__what_a_vm_took_meanwhile_stays),
        WORLD(test_cleanup_run__without_a_list_of_vms_nothing_goes),
        WORLD(test_cleanup_run__cancelled_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
