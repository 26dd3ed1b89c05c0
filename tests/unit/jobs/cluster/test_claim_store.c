#include "jobs/cluster/claim_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/event_log.h"
#include "tests/support/kube_rig.h"

#define CLAIMS   "/api/v1/namespaces/prod/persistentvolumeclaims"
#define N_CLAIMS 3

/* The server takes some hundred connections, and no more. */
#define MAX_RESETS    24
#define RUNS_A_SERVER 25

/* --- an API server with claims ----------------------------------------------------------- */

struct claim {
    unsigned version;
    char *text;
    bool gone;
    bool foreign; /* of another VM */
};

struct fixture {
    struct vf_test_kube kube;
    struct vf_test_events events;
    struct vf_owner owner;
    struct vf_claim_store_env env;
    struct vf_error *err;

    pthread_mutex_t lock; /* guards what follows */
    struct claim claims[N_CLAIMS];
    uint64_t rng;
    unsigned fault_percent; /* of the patches */
    int patches_left;       /* after so many nothing is done any more; negative: no end */
    unsigned n_patches, n_resets;
};

static uint64_t draw(uint64_t *rng, uint64_t n)
{
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % n;
}

static cJSON *object_of(struct fixture *f, unsigned i)
{
    struct claim *c = &f->claims[i];
    char *vf_autofree name = vf_xasprintf("web01-disk-%u", i);
    char *vf_autofree uid = vf_xasprintf("uid-%u", i);
    char *vf_autofree version = vf_xasprintf("%u", c->version);
    struct vf_owner other = f->owner;
    other.source_uuid = c->foreign ? "another" : "u-1";
    cJSON *object = vf_json_new_object();
    cJSON *metadata = vf_json_add_object(object, "metadata");
    vf_json_add_string(metadata, "name", name);
    vf_json_add_string(metadata, "namespace", "prod");
    vf_json_add_string(metadata, "uid", uid);
    vf_json_add_string(metadata, "resourceVersion", version);
    vf_owned_mark(object, &other, VF_OWNED_FILLING);
    cJSON *annotations = cJSON_GetObjectItemCaseSensitive(metadata, "annotations");
    vf_json_add_string(annotations, VF_CLAIM_CHECKPOINT, c->text);
    return object;
}

static void answer(struct vf_test_exchange *x, cJSON *object)
{
    char *vf_autofree text = vf_json_print(object, false);
    vf_test_answer(x, 200, NULL, text);
    cJSON_Delete(object);
}

static void apply(struct fixture *f, struct vf_test_exchange *x, unsigned i, bool lose)
{
    struct claim *c = &f->claims[i];
    cJSON *patch = NULL;
    vf_test_check(vf_json_parse(x->body, x->body_len, "patch", &patch, NULL) == 0);
    const cJSON *metadata = vf_json_object(patch, "metadata");
    char *vf_autofree version = vf_xasprintf("%u", c->version);
    if (strcmp(vf_json_string(metadata, "resourceVersion"), version) != 0) {
        vf_test_kube_status(x, 409, "Conflict", "the object has been modified", NULL, NULL);
    } else {
        const char *text =
            vf_json_string(vf_json_object(metadata, "annotations"), VF_CLAIM_CHECKPOINT);
        vf_test_check(!text || strlen(text) <= VF_CHECKPOINT_ANNOTATION_MAX_BYTES);
        vf_replace_string(&c->text, text);
        c->version++;
        f->n_patches++;
        f->patches_left -= f->patches_left > 0;
        if (lose) {
            vf_test_reset(x);
        } else {
            answer(x, object_of(f, i));
        }
    }
    cJSON_Delete(patch);
}

static void patch(struct fixture *f, struct vf_test_exchange *x, unsigned i)
{
    if (f->patches_left == 0) {
        vf_test_kube_status(x, 403, "Forbidden", "the program is dead", NULL, NULL);
        return;
    }
    bool fault = draw(&f->rng, 100) < f->fault_percent;
    bool reset_left = f->n_resets < MAX_RESETS;
    switch (fault ? draw(&f->rng, reset_left ? 5 : 3) : 5) {
    case 0:
        f->claims[i].version++; /* a controller wrote something else */
        apply(f, x, i, false);
        break;
    case 1:
        vf_test_kube_status(x, 429, "TooManyRequests", "later", NULL, "Retry-After: 0\r\n");
        break;
    case 2:
        vf_test_kube_status(x, 500, "InternalError", "no", NULL, NULL);
        break;
    case 3:
        f->n_resets++;
        vf_test_reset(x);
        break;
    case 4:
        f->n_resets++;
        apply(f, x, i, true);
        break;
    default:
        apply(f, x, i, false);
    }
}

static void serve(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    struct fixture *f = k->opaque;
    (void)n;
    pthread_mutex_lock(&f->lock);
    const char *at = strstr(x->target, CLAIMS "/web01-disk-");
    unsigned i = at ? (unsigned)strtoul(at + strlen(CLAIMS "/web01-disk-"), NULL, 10) : 0;
    if (at && (i >= N_CLAIMS || f->claims[i].gone)) {
        vf_test_kube_status(x, 404, "NotFound", "not found", NULL, NULL);
    } else if (strcmp(x->method, "PATCH") == 0) {
        patch(f, x, i);
    } else if (at) {
        answer(x, object_of(f, i));
    } else {
        vf_test_check(vf_test_target_has(x, "web01"));
        cJSON *list = vf_json_new_object();
        vf_json_add_string(vf_json_add_object(list, "metadata"), "resourceVersion", "1");
        cJSON *items = vf_json_add_array(list, "items");
        for (unsigned j = 0; j < N_CLAIMS; j++) {
            if (!f->claims[j].gone) {
                cJSON_AddItemToArray(items, object_of(f, j));
            }
        }
        answer(x, list);
    }
    pthread_mutex_unlock(&f->lock);
}

static int setup(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    vf_test_events_init(&f->events);
    f->owner = (struct vf_owner){
        .import = "web01", .source_vm = "Web 01", .source_uuid = "u-1", .warm = true};
    f->patches_left = -1;
    vf_test_kube_start(&f->kube, serve);
    f->kube.opaque = f;
    f->env = (struct vf_claim_store_env){.client = f->kube.client,
                                         .ns = "prod",
                                         .owner = &f->owner,
                                         .reporter = &f->events.reporter,
                                         .vm = "Web 01",
                                         .timeout_ms = 20000};
    *state = f;
    return 0;
}

static void renew_server(struct fixture *f)
{
    vf_test_kube_stop(&f->kube);
    vf_test_kube_start(&f->kube, serve);
    f->kube.opaque = f;
    f->env.client = f->kube.client;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vf_test_kube_stop(&f->kube);
    for (unsigned i = 0; i < N_CLAIMS; i++) {
        free(f->claims[i].text);
    }
    vf_test_events_release(&f->events);
    vf_error_free(f->err);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

/* --- checkpoints ------------------------------------------------------------------------- */

static char id_a[] = "52 aa/1";
static char label[] = "Hard disk";

static struct vf_checkpoint sample(size_t n)
{
    struct vf_checkpoint c = {.instance_uuid = vf_xstrdup("50-uuid"),
                              .moref = vf_xstrdup("vm-42"),
                              .vm_name = vf_xstrdup("Web 01")};
    for (size_t i = 0; i < n; i++) {
        struct vf_vm_disk disk = {
            .key = 2000 + (int32_t)i, .label = label, .capacity_bytes = 1 << 30};
        char *vf_autofree claim = vf_xasprintf("web01-disk-%zu", i);
        vf_checkpoint_disk_begin_full(vf_checkpoint_add_disk(&c, &disk, claim), "snapshot-1", id_a);
    }
    return c;
}

/* A disk by itself, as text. */
static char *text_of(const struct vf_checkpoint *c, size_t disk)
{
    struct vf_checkpoint part = {
        .instance_uuid = c->instance_uuid, .disks = &c->disks[disk], .n_disks = 1};
    char *text = NULL;
    assert_int_equal(vf_checkpoint_encode(&part, VF_CHECKPOINT_MAX_BYTES, &text, NULL), 0);
    return text;
}

static char *head_of(const struct vf_checkpoint *c)
{
    return vf_xasprintf("%s %s %d %d", c->instance_uuid, c->vm_name, c->stage, c->was_on);
}

static struct vf_checkpoint_store *open_store(struct fixture *f)
{
    return vf_claim_store_new(&f->env);
}

static void load_with(struct fixture *f, struct vf_checkpoint_store *s, struct vf_checkpoint *ret)
{
    if (vf_checkpoint_load(s, ret, &f->err) != 0) {
        fail_msg("%s", vf_error_message(f->err));
    }
}

static void save_with(struct fixture *f, struct vf_checkpoint_store *s, struct vf_checkpoint *c)
{
    if (vf_checkpoint_save(s, c, &f->err) != 0) {
        char *text = vf_error_format(f->err);
        fail_msg("%s", text);
    }
}

static bool same_text(char *a, char *b)
{
    bool equal = strcmp(a, b) == 0;
    free(a);
    free(b);
    return equal;
}

static const struct vf_checkpoint_disk *find(const struct vf_checkpoint *c, int32_t key)
{
    const struct vf_checkpoint_disk *d = vf_checkpoint_find_disk(c, key);
    assert_non_null(d);
    return d;
}

/* --- the life of a migration, with stops at any patch ------------------------------------ */

/* One step of what a migration does between two saves. */
static void step(struct vf_checkpoint *c, uint64_t *rng, unsigned *id)
{
    for (size_t i = 0; i < c->n_disks; i++) {
        struct vf_checkpoint_disk *d = &c->disks[i];
        char *vf_autofree next = vf_xasprintf("52 aa/%u", ++*id);
        char *vf_autofree snapshot = vf_xasprintf("snapshot-%u", *id);
        switch (draw(rng, 4)) {
        case 0:
            if (d->phase == VF_CHECKPOINT_COMPLETE) {
                assert_int_equal(vf_checkpoint_disk_begin_delta(d, snapshot, next, NULL), 0);
            }
            break;
        case 1:
            if (d->phase != VF_CHECKPOINT_COMPLETE) {
                struct vf_areas a;
                vf_areas_init(&a, 16, VF_AREAS_WIDEN);
                vf_areas_add(&a, draw(rng, 1000) << 20, 1 << 20, NULL);
                assert_int_equal(vf_checkpoint_disk_flushed(d, &a, NULL, NULL), 0);
                vf_areas_release(&a);
            }
            break;
        case 2:
            vf_checkpoint_disk_complete(d);
            break;
        default:
            break;
        }
    }
    if (draw(rng, 4) == 0) {
        c->stage = (enum vf_checkpoint_stage)draw(rng, 3);
        c->was_on = draw(rng, 2);
    }
    if (draw(rng, 4) == 0) {
        vf_checkpoint_add_round(c, &(struct vf_round){.bytes = *id}, false);
    }
}

/* What a stop left: of each disk the entry before or the one being saved, and of the whole as well;
 * all of the latter when the save came back good. */
static void check_loaded(const struct vf_checkpoint *got, const struct vf_checkpoint *before,
                         const struct vf_checkpoint *now, bool whole)
{
    assert_int_equal(got->n_disks, N_CLAIMS);
    for (size_t i = 0; i < N_CLAIMS; i++) {
        size_t at = (size_t)(find(got, now->disks[i].key) - got->disks);
        bool is_new = same_text(text_of(got, at), text_of(now, i));
        assert_true(is_new || (!whole && same_text(text_of(got, at), text_of(before, i))));
    }
    bool is_new = same_text(head_of(got), head_of(now));
    assert_true(is_new || (!whole && same_text(head_of(got), head_of(before))));
    if (whole) {
        assert_int_equal(got->n_rounds, now->n_rounds);
        assert_int_equal(now->n_rounds ? got->rounds[got->n_rounds - 1].bytes : 0,
                         now->n_rounds ? now->rounds[now->n_rounds - 1].bytes : 0);
    }
}

static void test_claim_store__a_stop_between_patches_leaves_a_checkpoint(void **state)
{
    struct fixture *f = *state;
    uint64_t rng = 11;
    unsigned id = 1, stops = 0;
    struct vf_checkpoint_store *s = open_store(f);
    struct vf_checkpoint c = sample(N_CLAIMS), before = {0};
    save_with(f, s, &c);
    load_with(f, s, &before);
    for (unsigned run = 0; run < 125; run++) {
        step(&c, &rng, &id);
        f->patches_left = draw(&rng, 3) ? -1 : (int)draw(&rng, N_CLAIMS);
        f->fault_percent = f->patches_left < 0 && run % 4 == 0 ? 30 : 0;
        int rc = vf_checkpoint_save(s, &c, NULL);
        f->patches_left = -1;
        f->fault_percent = 0;
        /* The next process. */
        struct vf_checkpoint got = {0};
        if (rc || run % 5 == 0) {
            vf_checkpoint_store_free(s);
            if (run % RUNS_A_SERVER == 0) {
                renew_server(f);
            }
            s = open_store(f);
        }
        stops += rc != 0;
        load_with(f, s, &got);
        check_loaded(&got, &before, &c, rc == 0);
        vf_checkpoint_release(&before);
        before = got;
        if (rc) {
            vf_checkpoint_release(&c);
            load_with(f, s, &c);
        }
    }
    assert_true(stops > 10);
    vf_checkpoint_release(&before);
    vf_checkpoint_release(&c);
    vf_checkpoint_store_free(s);
}

static void test_claim_store__only_what_changed_is_written(void **state)
{
    struct fixture *f = *state;
    struct vf_checkpoint_store *s = open_store(f);
    struct vf_checkpoint c = sample(N_CLAIMS);
    save_with(f, s, &c);
    assert_int_equal(f->n_patches, N_CLAIMS);
    save_with(f, s, &c);
    assert_int_equal(f->n_patches, N_CLAIMS);
    vf_checkpoint_disk_complete(&c.disks[1]);
    save_with(f, s, &c);
    assert_int_equal(f->n_patches, N_CLAIMS + 1);
    vf_checkpoint_add_round(&c, &(struct vf_round){.bytes = 7}, true);
    save_with(f, s, &c);
    assert_int_equal(f->n_patches, N_CLAIMS + 2);
    c.stage = VF_STAGE_CUTOVER; /* in all of them: none that goes takes it along */
    save_with(f, s, &c);
    assert_int_equal(f->n_patches, 2 * N_CLAIMS + 2);
    vf_checkpoint_release(&c);
    vf_checkpoint_store_free(s);
}

static void test_claim_store__stage_survives_the_loss_of_any_claim(void **state)
{
    struct fixture *f = *state;
    struct vf_checkpoint_store *s = open_store(f);
    struct vf_checkpoint c = sample(N_CLAIMS);
    save_with(f, s, &c);
    c.stage = VF_STAGE_DELIVERED;
    c.was_on = true;
    save_with(f, s, &c);
    for (unsigned i = 0; i < N_CLAIMS; i++) {
        struct vf_checkpoint got = {0};
        f->claims[i].gone = true;
        load_with(f, s, &got);
        assert_int_equal(got.stage, VF_STAGE_DELIVERED);
        assert_true(got.was_on);
        assert_int_equal(got.n_disks, N_CLAIMS - 1);
        f->claims[i].gone = false;
        vf_checkpoint_release(&got);
    }
    vf_checkpoint_release(&c);
    vf_checkpoint_store_free(s);
}

static void test_claim_store__another_writer_is_a_conflict(void **state)
{
    struct fixture *f = *state;
    struct vf_checkpoint_store *mine = open_store(f), *other = open_store(f);
    struct vf_checkpoint c = sample(N_CLAIMS), d = {0};
    save_with(f, mine, &c);
    load_with(f, other, &d);
    vf_checkpoint_disk_complete(&d.disks[0]);
    save_with(f, other, &d);
    vf_checkpoint_disk_complete(&c.disks[0]);
    c.disks[0].copied_bytes = 7;
    assert_int_equal(vf_checkpoint_save(mine, &c, &f->err), VF_CONFLICT);
    vf_test_expect_error(f->err, "another vmferry works on this migration");
    vf_test_expect_error(f->err, "kubectl get pods -n prod");
    vf_checkpoint_release(&c);
    vf_checkpoint_release(&d);
    vf_checkpoint_store_free(mine);
    vf_checkpoint_store_free(other);
}

static void test_claim_store__another_vms_claims_are_not_touched(void **state)
{
    struct fixture *f = *state;
    struct vf_checkpoint_store *s = open_store(f);
    struct vf_checkpoint c = sample(N_CLAIMS), got = {0};
    f->claims[2].foreign = true;
    assert_int_equal(vf_checkpoint_load(s, &got, &f->err), VF_MISSING);
    vf_error_clear(&f->err);
    assert_int_equal(vf_checkpoint_save(s, &c, &f->err), VF_MISSING);
    vf_test_expect_error(f->err, "\"web01-disk-2\" of disk \"Hard disk\" is gone");
    assert_null(f->claims[2].text);
    vf_checkpoint_release(&c);
    vf_checkpoint_store_free(s);
}

static void test_claim_store__bad_text_costs_its_disk_alone(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"",
                                      "x",
                                      "5",
                                      "5 ",
                                      "5 {}",
                                      "-1 {}",
                                      "99999999999999999999999999 {}",
                                      "18446744073709551615 {}",
                                      " 5 {}"};
    struct vf_checkpoint_store *s = open_store(f);
    struct vf_checkpoint c = sample(N_CLAIMS);
    save_with(f, s, &c);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vf_checkpoint got = {0};
        vf_replace_string(&f->claims[1].text, bad[i]);
        load_with(f, s, &got);
        assert_int_equal(got.n_disks, 2);
        assert_null(vf_checkpoint_find_disk(&got, 2001));
        vf_checkpoint_release(&got);
    }
    vf_test_events_expect(&f->events, "its disk is copied in full");
    /* One that was copied over from another claim. */
    struct vf_checkpoint got = {0};
    vf_replace_string(&f->claims[1].text, f->claims[0].text);
    load_with(f, s, &got);
    assert_int_equal(got.n_disks, 2);
    vf_checkpoint_release(&got);
    for (unsigned i = 0; i < N_CLAIMS; i++) {
        vf_replace_string(&f->claims[i].text, "5 {}");
    }
    assert_int_equal(vf_checkpoint_load(s, &got, &f->err), VF_INVALID);
    /* And is written over. */
    save_with(f, s, &c);
    vf_error_clear(&f->err);
    load_with(f, s, &got);
    assert_int_equal(got.n_disks, N_CLAIMS);
    vf_checkpoint_release(&got);
    vf_checkpoint_release(&c);
    vf_checkpoint_store_free(s);
}

static void test_claim_store__cleared_is_missing(void **state)
{
    struct fixture *f = *state;
    struct vf_checkpoint_store *s = open_store(f);
    struct vf_checkpoint c = sample(N_CLAIMS), got = {0};
    save_with(f, s, &c);
    f->fault_percent = 30;
    assert_int_equal(vf_checkpoint_clear(s, NULL), 0);
    f->fault_percent = 0;
    assert_int_equal(vf_checkpoint_load(s, &got, &f->err), VF_MISSING);
    assert_int_equal(vf_checkpoint_clear(s, NULL), 0);
    /* What was said before is no reason not to say it again. */
    save_with(f, s, &c);
    vf_error_clear(&f->err);
    load_with(f, s, &got);
    assert_int_equal(got.n_disks, N_CLAIMS);
    vf_checkpoint_release(&got);
    vf_checkpoint_release(&c);
    vf_checkpoint_store_free(s);
}

static void test_claim_store__vm_that_is_there_was_delivered(void **state)
{
    struct fixture *f = *state;
    struct vf_checkpoint_store *s = open_store(f);
    struct vf_checkpoint c = sample(N_CLAIMS), got = {0};
    c.stage = VF_STAGE_CUTOVER;
    c.was_on = true;
    save_with(f, s, &c);
    vf_claim_store_set_delivered(s);
    load_with(f, s, &got);
    assert_int_equal(got.stage, VF_STAGE_DELIVERED);
    assert_int_equal(got.n_disks, N_CLAIMS);
    vf_checkpoint_release(&got);
    assert_int_equal(vf_checkpoint_clear(s, NULL), 0);
    load_with(f, s, &got);
    assert_int_equal(got.stage, VF_STAGE_DELIVERED);
    assert_int_equal(got.n_disks, 0);
    vf_checkpoint_release(&got);
    vf_checkpoint_release(&c);
    vf_checkpoint_store_free(s);
}

/* Two of one device key: a disk was removed, and the next one added got its key. */
static void test_claim_store__of_two_with_one_key_the_newer_counts(void **state)
{
    struct fixture *f = *state;
    struct vf_checkpoint_store *s = open_store(f);
    struct vf_checkpoint c = sample(2), got = {0};
    save_with(f, s, &c);
    c.disks[0].key = 2001; /* written later */
    c.disks[0].copied_bytes = 4096;
    struct vf_checkpoint one = c;
    one.n_disks = 1;
    save_with(f, s, &one);
    load_with(f, s, &got);
    assert_int_equal(got.n_disks, 1);
    assert_string_equal(got.disks[0].target, "web01-disk-0");
    c.updated = one.updated; /* the save replaced it */
    vf_checkpoint_release(&got);
    vf_checkpoint_release(&c);
    vf_checkpoint_store_free(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_claim_store__a_stop_between_patches_leaves_a_checkpoint),
        TEST(test_claim_store__only_what_changed_is_written),
        TEST(test_claim_store__stage_survives_the_loss_of_any_claim),
        TEST(test_claim_store__another_writer_is_a_conflict),
        TEST(test_claim_store__another_vms_claims_are_not_touched),
        TEST(test_claim_store__bad_text_costs_its_disk_alone),
        TEST(test_claim_store__cleared_is_missing),
        TEST(test_claim_store__vm_that_is_there_was_delivered),
        TEST(test_claim_store__of_two_with_one_key_the_newer_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
