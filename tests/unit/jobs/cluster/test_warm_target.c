#include "jobs/migration/warm_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/inject.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/owned.h"
#include "importer/target/claim.h"
#include "jobs/cluster/claim_store.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/event_log.h"
#include "tests/support/kube_world.h"

#define CLAIMS    "/api/v1/namespaces/prod/persistentvolumeclaims"
#define MACHINES  "/apis/kubevirt.io/v1/namespaces/prod/virtualmachines"
#define CLASSES   "/apis/storage.k8s.io/v1/storageclasses"
#define MAX_DISKS 3
#define SIZE      (64u << 10)

/* The server takes some hundred connections, and no more. */
#define STOPS_A_SERVER 16

/* The program stops at the Nth of all points, wherever that is; 0: it does not. */
static unsigned stop_at, n_points;

/* What is durable is not asked here, and takes long. */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

#ifdef VF_FAULTS
int vf_inject(const char *point, struct vf_error **err)
{
    if (stop_at && ++n_points == stop_at) {
        return vf_error_set(err, VF_INTERNAL, "stopped at %s", point);
    }
    return 0;
}
#endif

struct fixture {
    struct vf_test_world w;
    struct vf_test_events events;
    char *dir; /* where the claims are mounted */
    struct vf_import_options options;
    struct vf_mapping mapping;
    struct vf_vm vm;
    struct vf_vm_disk disks[MAX_DISKS];
    struct vf_error *err;
};

/* One process. */
struct run {
    struct vf_import im;
    struct vf_warm_target *t;
    struct vf_disk_copy copies[MAX_DISKS];
    struct vf_cancel *cancel;
};

/* --- the cluster ------------------------------------------------------------------------- */

static bool serve_discovery(struct vf_test_world *w, struct vf_test_exchange *x)
{
    (void)w;
    if (strcmp(x->method, "GET") == 0 && strcmp(x->target, "/apis/kubevirt.io/v1") == 0) {
        vf_test_answer(x, 200, NULL, "{\"resources\":[{\"name\":\"virtualmachines\"}]}");
        return true;
    }
    return false;
}

static void put_claim_of(struct fixture *f, const char *uuid, unsigned number, bool warm)
{
    const struct vf_owner owner = {.import = "web01", .source_uuid = uuid, .warm = warm};
    char *vf_autofree name = vf_xasprintf("web01-disk-%u", number);
    char *vf_autofree disk = vf_xasprintf("%u Hard disk %u", number, number + 1);
    char *vf_autofree folder = vf_xasprintf("disk-%u", number);
    cJSON *claim = vf_json_new_object();
    vf_json_add_string(claim, "apiVersion", "v1");
    vf_json_add_string(claim, "kind", "PersistentVolumeClaim");
    cJSON *metadata = vf_json_add_object(claim, "metadata");
    vf_json_add_string(metadata, "name", name);
    vf_owned_mark(claim, &owner, VF_OWNED_FILLING);
    vf_json_add_string(cJSON_GetObjectItemCaseSensitive(metadata, "annotations"), VF_OWNED_DISK,
                       disk);
    vf_json_add_object(claim, "spec");
    vf_test_world_put(&f->w, CLAIMS, claim);
    mkdir(scratch_path(f->dir, folder), 0700);
}

static void put_claim(struct fixture *f, unsigned number)
{
    put_claim_of(f, "u-1", number, true);
}

static char *mark_of(struct fixture *f, unsigned number, const char *key, bool label)
{
    char *vf_autofree name = vf_xasprintf("web01-disk-%u", number);
    cJSON *claim = vf_test_world_get(&f->w, CLAIMS, name);
    char *text = vf_xstrdup(label ? vf_kube_label(claim, key) : vf_kube_annotation(claim, key));
    cJSON_Delete(claim);
    return text;
}

static void expect_mark(struct fixture *f, unsigned number, const char *key, bool label,
                        const char *value)
{
    char *vf_autofree text = mark_of(f, number, key, label);
    if (value) {
        assert_non_null(text);
        assert_string_equal(text, value);
    } else {
        assert_null(text);
    }
}

static bool is_there(struct fixture *f, const char *collection, const char *name)
{
    cJSON *object = vf_test_world_get(&f->w, collection, name);
    cJSON_Delete(object);
    return object != NULL;
}

static int setup(void **state)
{
    static char name[] = "Web01", uuid[] = "u-1", label[] = "Hard disk", class_name[] = "fast",
                mode[] = "Filesystem";
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    vf_test_events_init(&f->events);
    vf_test_world_start(&f->w);
    f->w.hook = serve_discovery;
    f->dir = scratch_new();
    f->options = (struct vf_import_options){
        .kind = VF_IMPORT_VSPHERE,
        .name = "web01",
        .target = VF_TO_CLAIM,
        .to_path = f->dir,
        .cluster = {.where = {.kubeconfig = f->w.kubeconfig, .timeout_s = 1},
                    .handover = VF_IMPORT_CLAIM},
        .mapping = &f->mapping};
    f->mapping = (struct vf_mapping){.storage_class = class_name, .volume_mode = mode};
    cJSON *class = vf_json_new_object();
    vf_json_add_string(vf_json_add_object(class, "metadata"), "name", "fast");
    vf_json_add_string(class, "provisioner", "driver");
    vf_test_world_put(&f->w, CLASSES, class);
    for (size_t i = 0; i < MAX_DISKS; i++) {
        f->disks[i] =
            (struct vf_vm_disk){.key = 2000 + (int32_t)i, .label = label, .capacity_bytes = SIZE};
    }
    f->vm = (struct vf_vm){.name = name,
                           .instance_uuid = uuid,
                           .cpus = 1,
                           .memory_bytes = 1 << 30,
                           .disks = f->disks,
                           .n_disks = 2};
    put_claim(f, 0);
    put_claim(f, 1);
    stop_at = 0;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vf_test_world_stop(&f->w);
    vf_test_events_release(&f->events);
    scratch_release(f->dir);
    vf_error_free(f->err);
    free(f);
    return 0;
}

/* --- one process ------------------------------------------------------------------------- */

static int begin(struct fixture *f, struct run *r)
{
    static char label[] = "Hard disk", digest[] = "d";
    *r = (struct run){.im = {.options = &f->options, .reporter = &f->events.reporter}};
    r->cancel = vf_cancel_new(NULL);
    r->im.cancel = r->cancel;
    r->im.copies = r->copies;
    r->im.n_copies = f->vm.n_disks;
    for (size_t i = 0; i < f->vm.n_disks; i++) {
        r->copies[i].name = label;
        r->copies[i].digest = digest;
        r->copies[i].size_bytes = f->disks[i].capacity_bytes;
    }
    return vf_warm_target_cluster_open(&r->im, &r->t, &f->err);
}

static int prepare(struct fixture *f, struct run *r)
{
    int rc = begin(f, r);
    return rc ? rc : r->t->ops->prepare(r->t, &f->vm, &f->err);
}

static void end(struct run *r)
{
    vf_warm_target_free(r->t);
    free(r->im.name);
    free(r->im.vm_name);
    vf_cancel_free(r->cancel);
}

static void expect(struct fixture *f, int rc, int code, const char *text)
{
    if (rc != code) {
        char *message = vf_error_format(f->err);
        fail_msg("%d: %s", rc, message);
    }
    if (text) {
        vf_test_expect_error(f->err, text);
    }
    vf_error_clear(&f->err);
}

static void fill(uint8_t *content, size_t disk, unsigned round)
{
    for (size_t i = 0; i < SIZE; i++) {
        content[i] = (uint8_t)(i / 512 * 7 + disk * 31 + round);
    }
}

/* What a write that was stopped left is the content before it, or the one after. */
static void find_round(struct vf_sink *sink, size_t disk, unsigned *round)
{
    uint8_t *want = malloc(SIZE), *got = malloc(SIZE);
    assert_int_equal(vf_sink_read(sink, got, SIZE, 0, NULL), 0);
    fill(want, disk, *round);
    if (memcmp(got, want, SIZE) != 0) {
        fill(want, disk, ++*round);
        assert_memory_equal(got, want, SIZE);
    }
    free(want);
    free(got);
}

/* All of one disk, with what *round says; when it is not fresh that has to be there, and the next
 * comes. */
static int copy_disk(struct fixture *f, struct run *r, size_t disk, bool fresh, unsigned *round)
{
    uint8_t *content = malloc(SIZE);
    struct vf_sink *sink = NULL;
    int rc = r->t->ops->open_disk(r->t, disk, SIZE, fresh, NULL, &sink, &f->err);
    if (rc == 0 && !fresh) {
        find_round(sink, disk, round);
    }
    fill(content, disk, *round + !fresh);
    rc = rc ? rc : vf_sink_write(sink, content, SIZE, 0, &f->err);
    if (rc == 0) {
        *round += !fresh;
        rc = vf_sink_finish(sink, &f->err);
    }
    vf_sink_free(sink);
    free(content);
    return rc;
}

static void expect_disk(struct fixture *f, size_t disk, unsigned round)
{
    char *vf_autofree name = vf_xasprintf("disk-%zu/" VF_CLAIM_DISK_NAME, disk);
    uint8_t *want = malloc(SIZE);
    size_t len;
    uint8_t *got = scratch_read(f->dir, name, &len);
    fill(want, disk, round);
    assert_int_equal(len, SIZE);
    assert_memory_equal(got, want, SIZE);
    free(got);
    free(want);
}

/* What the machine and the rounds do with a target, in short. *delivered: it came so far. */
static int live(struct fixture *f, struct run *r, unsigned *round, bool *delivered)
{
    struct vf_checkpoint c = {0};
    int rc = prepare(f, r);
    if (rc) {
        return rc;
    }
    struct vf_error *missing = NULL;
    bool found = vf_checkpoint_load(r->t->store, &c, &missing) == 0;
    vf_error_free(missing);
    for (size_t i = 0; i < f->vm.n_disks && rc == 0 && c.stage != VF_STAGE_DELIVERED; i++) {
        struct vf_checkpoint_disk *d = found ? vf_checkpoint_find_disk(&c, f->disks[i].key) : NULL;
        bool fresh = !d || d->phase != VF_CHECKPOINT_COMPLETE;
        if (!d) {
            d = vf_checkpoint_add_disk(&c, &f->disks[i], r->t->ops->get_name(r->t, i));
        }
        vf_replace_string(&c.instance_uuid, "u-1");
        if (fresh) {
            vf_checkpoint_disk_begin_full(d, "snapshot-1", NULL);
            rc = vf_checkpoint_save(r->t->store, &c, &f->err);
        }
        rc = rc ? rc : copy_disk(f, r, i, fresh, &round[i]);
        if (rc == 0) {
            vf_checkpoint_disk_complete(d);
            rc = vf_checkpoint_save(r->t->store, &c, &f->err);
        }
    }
    if (rc == 0 && c.stage != VF_STAGE_DELIVERED) {
        c.stage = VF_STAGE_CUTOVER;
        rc = vf_checkpoint_save(r->t->store, &c, &f->err);
        rc = rc ? rc : r->t->ops->deliver(r->t, &f->vm, &f->err);
        if (rc == 0) {
            c.stage = VF_STAGE_DELIVERED;
            *delivered = true;
            rc = vf_checkpoint_save(r->t->store, &c, &f->err);
        }
    }
    rc = rc ? rc : r->t->ops->settle(r->t, &f->err);
    vf_checkpoint_release(&c);
    return rc;
}

static void expect_settled(struct fixture *f)
{
    assert_true(is_there(f, MACHINES, "web01"));
    for (unsigned i = 0; i < f->vm.n_disks; i++) {
        expect_mark(f, i, VF_OWNED_STATE, true, VF_OWNED_COMPLETE);
        expect_mark(f, i, VF_OWNED_DIGEST, false, "d");
        expect_mark(f, i, VF_CLAIM_CHECKPOINT, false, NULL);
    }
}

static void test_warm_target__life_of_one_run(void **state)
{
    struct fixture *f = *state;
    struct run r;
    unsigned round[MAX_DISKS] = {0};
    bool delivered = false, accepted = false;
    expect(f, live(f, &r, round, &delivered), 0, NULL);
    assert_string_equal(r.t->place, "VirtualMachine \"web01\" in namespace \"prod\"");
    expect(f, r.t->ops->fetch_accepted(r.t, &accepted, &f->err), 0, NULL);
    assert_true(accepted);
    expect(f, r.t->ops->discard(r.t, &f->err), VF_CONFLICT, "uses the disks");
    expect_settled(f);
    expect_disk(f, 0, 0);
    expect_disk(f, 1, 0);
    end(&r);
    /* The same once more: it is over, and says so. */
    struct vf_checkpoint c = {0};
    expect(f, prepare(f, &r), 0, NULL);
    expect(f, vf_checkpoint_load(r.t->store, &c, &f->err), 0, NULL);
    assert_int_equal(c.stage, VF_STAGE_DELIVERED);
    struct vf_sink *sink = NULL;
    expect(f, r.t->ops->open_disk(r.t, 0, SIZE, false, NULL, &sink, &f->err), VF_INTERNAL, NULL);
    vf_checkpoint_release(&c);
    end(&r);
}

#ifdef VF_FAULTS
static void start_over(struct fixture *f)
{
    pthread_mutex_lock(&f->w.lock);
    cJSON_DeleteItemFromObjectCaseSensitive(f->w.objects, MACHINES "/web01");
    vf_buf_clear(&f->w.log);
    pthread_mutex_unlock(&f->w.lock);
    put_claim(f, 0);
    put_claim(f, 1);
    for (unsigned i = 0; i < 2; i++) {
        char *vf_autofree disk = vf_xasprintf("disk-%u/" VF_CLAIM_DISK_NAME, i);
        assert_int_equal(unlink(scratch_path(f->dir, disk)), 0);
    }
}

/* Stopped at every point there is, and at one more on the second try, it comes to its end; the VM
 * is made once, and nothing is written to its disks after that. */
static void test_warm_target__stopped_anywhere_it_comes_to_its_end(void **state)
{
    struct fixture *f = *state;
    for (unsigned at = 1;; at++) {
        struct run r;
        unsigned round[MAX_DISKS] = {0};
        bool delivered = false;
        stop_at = at;
        n_points = 0;
        int rc = live(f, &r, round, &delivered);
        bool all = rc == 0 && n_points < at;
        vf_error_clear(&f->err);
        end(&r);
        for (unsigned tries = 0; tries < 2 && rc; tries++) {
            stop_at = tries == 0 ? at / 2 + 1 : 0;
            n_points = 0;
            rc = live(f, &r, round, &delivered);
            vf_error_clear(&f->err);
            end(&r);
        }
        assert_int_equal(rc, 0);
        expect_settled(f);
        expect_disk(f, 0, round[0]);
        expect_disk(f, 1, round[1]);
        assert_int_equal(vf_test_world_count(&f->w, "POST " MACHINES "\n"), 1);
        if (all) {
            assert_true(at > 15); /* there are points at all */
            return;
        }
        if (at % STOPS_A_SERVER == 0) {
            teardown(state);
            setup(state);
            f = *state;
        } else {
            start_over(f);
        }
    }
}
#endif

static void test_warm_target__what_is_not_of_this_migration_is_not_written_to(void **state)
{
    struct fixture *f = *state;
    struct run r;
    put_claim_of(f, "u-2", 1, true);
    expect(f, prepare(f, &r), VF_CONFLICT, "taken");
    end(&r);
    put_claim_of(f, "u-1", 1, false); /* an import's */
    expect(f, prepare(f, &r), VF_CONFLICT, "no claim for disk");
    end(&r);
    assert_int_equal(vf_test_world_count(&f->w, "PATCH " CLAIMS), 0);
}

static void test_warm_target__disks_come_and_go(void **state)
{
    struct fixture *f = *state;
    struct run r;
    struct vf_checkpoint c = {.instance_uuid = vf_xstrdup("u-1")};
    expect(f, prepare(f, &r), 0, NULL);
    for (size_t i = 0; i < 2; i++) {
        vf_checkpoint_disk_begin_full(
            vf_checkpoint_add_disk(&c, &f->disks[i], r.t->ops->get_name(r.t, i)), "snapshot-1",
            NULL);
    }
    expect(f, vf_checkpoint_save(r.t->store, &c, &f->err), 0, NULL);
    vf_checkpoint_release(&c);
    f->vm.n_disks = r.im.n_copies = 3;
    expect(f, r.t->ops->prepare(r.t, &f->vm, &f->err), VF_CONFLICT, "did not have");
    put_claim(f, 2);
    expect(f, r.t->ops->prepare(r.t, &f->vm, &f->err), 0, NULL);
    assert_string_equal(r.t->ops->get_name(r.t, 2), "web01-disk-2");
    /* The first one goes: the others keep their claims. */
    f->vm.disks = f->disks + 1;
    f->vm.n_disks = r.im.n_copies = 1;
    expect(f, r.t->ops->prepare(r.t, &f->vm, &f->err), 0, NULL);
    assert_string_equal(r.t->ops->get_name(r.t, 0), "web01-disk-1");
    assert_true(is_there(f, CLAIMS, "web01-disk-0"));
    expect(f, r.t->ops->deliver(r.t, &f->vm, &f->err), 0, NULL);
    expect(f, r.t->ops->settle(r.t, &f->err), 0, NULL);
    assert_false(is_there(f, CLAIMS, "web01-disk-0") || is_there(f, CLAIMS, "web01-disk-2"));
    assert_true(is_there(f, CLAIMS, "web01-disk-1"));
    end(&r);
}

/* Refused: not of this world, and not to be had by trying again. */
static bool refuse_machine(struct vf_test_world *w, struct vf_test_exchange *x)
{
    if (strcmp(x->method, "POST") == 0 && vf_test_target_has(x, "/virtualmachines?") &&
        !vf_test_target_has(x, "dryRun")) {
        vf_test_kube_status(x, 422, "Invalid", "spec: no", NULL, NULL);
        return true;
    }
    return serve_discovery(w, x);
}

static void test_warm_target__a_cutover_that_failed_is_gone_on_with(void **state)
{
    struct fixture *f = *state;
    struct run r;
    unsigned round[MAX_DISKS] = {0};
    bool delivered = false, accepted = true;
    f->w.hook = refuse_machine;
    expect(f, live(f, &r, round, &delivered), VF_INVALID, NULL);
    expect(f, r.t->ops->fetch_accepted(r.t, &accepted, &f->err), 0, NULL);
    assert_false(accepted || delivered);
    end(&r);
    expect_mark(f, 0, VF_OWNED_STATE, true, VF_OWNED_COMPLETE);
    f->w.hook = serve_discovery;
    expect(f, prepare(f, &r), 0, NULL); /* being filled again */
    expect_mark(f, 0, VF_OWNED_STATE, true, VF_OWNED_FILLING);
    expect_mark(f, 0, VF_OWNED_DIGEST, false, NULL);
    end(&r);
    expect(f, live(f, &r, round, &delivered), 0, NULL);
    end(&r);
    expect_settled(f);
    expect_disk(f, 1, round[1]);
}

static void test_warm_target__what_an_earlier_run_left_is_found_by_name(void **state)
{
    struct fixture *f = *state;
    struct run r;
    struct vf_checkpoint c = {.instance_uuid = vf_xstrdup("u-1"), .stage = VF_STAGE_CUTOVER};
    expect(f, prepare(f, &r), 0, NULL);
    vf_checkpoint_disk_begin_full(vf_checkpoint_add_disk(&c, &f->disks[0], "web01-disk-0"), "s",
                                  NULL);
    expect(f, vf_checkpoint_save(r.t->store, &c, &f->err), 0, NULL);
    vf_checkpoint_release(&c);
    end(&r);

    f->options.to_path = NULL;
    bool accepted = true;
    expect(f, prepare(f, &r), VF_UNSUPPORTED, "not mounted");
    r.im.name = vf_xstrdup("web01");
    expect(f, vf_checkpoint_load(r.t->store, &c, &f->err), 0, NULL);
    assert_int_equal(c.stage, VF_STAGE_CUTOVER);
    vf_checkpoint_release(&c);
    expect(f, r.t->ops->fetch_accepted(r.t, &accepted, &f->err), 0, NULL);
    assert_false(accepted);
    put_claim_of(f, "u-1", 7, false); /* an import's, which stays */
    expect(f, r.t->ops->discard(r.t, &f->err), 0, NULL);
    assert_false(is_there(f, CLAIMS, "web01-disk-0") || is_there(f, CLAIMS, "web01-disk-1"));
    assert_true(is_there(f, CLAIMS, "web01-disk-7"));
    end(&r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_warm_target__life_of_one_run),
#ifdef VF_FAULTS
        TEST(test_warm_target__stopped_anywhere_it_comes_to_its_end),
#endif
        TEST(test_warm_target__what_is_not_of_this_migration_is_not_written_to),
        TEST(test_warm_target__disks_come_and_go),
        TEST(test_warm_target__a_cutover_that_failed_is_gone_on_with),
        TEST(test_warm_target__what_an_earlier_run_left_is_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
