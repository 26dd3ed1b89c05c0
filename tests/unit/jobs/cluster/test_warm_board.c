#include "jobs/cluster/warm_board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/kube_world.h"

#define MAPS "/api/v1/namespaces/prod/configmaps"
#define MAP  "vmferry-web01"
#define JOBS "/apis/batch/v1/namespaces/prod/jobs"

struct fixture {
    struct vf_test_world w;
    struct vf_owner owner;
    struct vf_cluster_options where;
    struct vf_board *own, *other; /* the two sides */
    struct vf_error *err;
};

static struct vf_board *open_board(struct fixture *f, const struct vf_owner *owner)
{
    const struct vf_board_cluster_options options = {
        .where = &f->where, .name = "Web01", .owner = owner};
    struct vf_board *b = NULL;
    if (vf_board_cluster_open(&options, &b, &f->err) != 0) {
        fail_msg("%s", vf_error_message(f->err));
    }
    return b;
}

static int setup(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    vf_test_world_start(&f->w);
    f->owner = (struct vf_owner){
        .import = "web01", .source_vm = "Web 01", .source_uuid = "u-1", .warm = true};
    f->where = (struct vf_cluster_options){.kubeconfig = f->w.kubeconfig, .timeout_s = 1};
    f->own = open_board(f, &f->owner);
    f->other = open_board(f, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vf_board_free(f->own);
    vf_board_free(f->other);
    vf_test_world_stop(&f->w);
    vf_error_free(f->err);
    free(f);
    return 0;
}

static void expect(struct fixture *f, int rc, int code, const char *text)
{
    if (rc != code) {
        fail_msg("%d: %s", rc, vf_error_message(f->err));
    }
    if (text) {
        vf_test_expect_error(f->err, text);
    }
    vf_error_clear(&f->err);
}

static int publish(struct fixture *f, enum vf_migration_phase phase, uint64_t bytes)
{
    char name[] = "web01";
    const struct vf_migration_status s = {.name = name, .phase = phase, .copied_bytes = bytes};
    return f->own->ops->publish(f->own, &s, &f->err);
}

static uint64_t shown(struct fixture *f)
{
    struct vf_migration_status s = {0};
    expect(f, f->other->ops->fetch_status(f->other, &s, &f->err), 0, NULL);
    uint64_t bytes = s.copied_bytes;
    vf_migration_status_release(&s);
    return bytes;
}

static void put_map(struct fixture *f, const struct vf_owner *owner, const char *request)
{
    cJSON *map = vf_json_new_object();
    vf_json_add_string(vf_json_add_object(map, "metadata"), "name", MAP);
    if (owner) {
        vf_owned_mark(map, owner, NULL);
    }
    vf_json_add_string(vf_json_add_object(map, "data"), VF_BOARD_REQUEST_KEY, request);
    vf_test_world_put(&f->w, MAPS, map);
}

static char *data_of(struct fixture *f, const char *key)
{
    cJSON *map = vf_test_world_get(&f->w, MAPS, MAP);
    char *text = vf_xstrdup(vf_json_string(vf_json_object(map, "data"), key));
    cJSON_Delete(map);
    return text;
}

static void test_warm_board__what_is_published_is_read(void **state)
{
    struct fixture *f = *state;
    struct vf_migration_status s = {0};
    expect(f, f->other->ops->fetch_status(f->other, &s, &f->err), VF_MISSING, "no migration");
    expect(f, publish(f, VF_PHASE_COPYING, 7), 0, NULL);
    assert_int_equal(shown(f), 7);
    /* Of the same phase the next one waits; another phase does not. */
    unsigned before = vf_test_world_count(&f->w, "PATCH " MAPS);
    expect(f, publish(f, VF_PHASE_COPYING, 8), 0, NULL);
    assert_int_equal(vf_test_world_count(&f->w, "PATCH " MAPS), before);
    expect(f, publish(f, VF_PHASE_SETTLING, 9), 0, NULL);
    assert_int_equal(shown(f), 9);
    /* Somebody removed it. */
    cJSON_DeleteItemFromObjectCaseSensitive(f->w.objects, MAPS "/" MAP);
    expect(f, publish(f, VF_PHASE_DONE, 10), 0, NULL);
    assert_int_equal(shown(f), 10);
}

static void test_warm_board__what_is_not_ours_is_left_alone(void **state)
{
    struct fixture *f = *state;
    const struct vf_migration_request cancel = {.kind = VF_REQUEST_CANCEL};
    struct vf_owner other = {.import = "web01", .source_uuid = "u-2", .warm = true};
    put_map(f, NULL, NULL);
    expect(f, publish(f, VF_PHASE_COPYING, 7), VF_CONFLICT, "not of a migration");
    expect(f, f->other->ops->leave_request(f->other, &cancel, &f->err), VF_CONFLICT, "left alone");
    put_map(f, &other, NULL);
    expect(f, publish(f, VF_PHASE_SETTLING, 7), VF_CONFLICT, "another VM");
    assert_int_equal(vf_test_world_count(&f->w, "P"), 0);
}

static bool is_cutover(const struct vf_migration_request *r, int64_t at_s)
{
    return r->kind == VF_REQUEST_CUTOVER && r->at_s == at_s;
}

/* A board of its own each time: one looks every few seconds alone. */
static struct vf_migration_request fetch(struct fixture *f, int code)
{
    struct vf_migration_request r = {.kind = VF_REQUEST_CANCEL};
    struct vf_board *b = open_board(f, &f->owner);
    expect(f, b->ops->fetch_request(b, &r, &f->err), code, NULL);
    vf_board_free(b);
    return r;
}

static void test_warm_board__requests_are_left_and_taken(void **state)
{
    struct fixture *f = *state;
    const struct vf_migration_request at = {.kind = VF_REQUEST_CUTOVER, .at_s = 1700000000},
                                      cancel = {.kind = VF_REQUEST_CANCEL, .discard = true};
    assert_int_equal(fetch(f, 0).kind, VF_REQUEST_NONE);
    expect(f, f->other->ops->leave_request(f->other, &at, &f->err), VF_MISSING, "no migration");
    expect(f, publish(f, VF_PHASE_COPYING, 7), 0, NULL);
    expect(f, f->other->ops->leave_request(f->other, &at, &f->err), 0, NULL);
    expect(f, f->other->ops->leave_request(f->other, &at, &f->err), 0, NULL); /* the same again */
    expect(f, f->other->ops->leave_request(f->other, &cancel, &f->err), VF_CONFLICT,
           "another request waits");
    struct vf_migration_request got = fetch(f, 0);
    assert_true(is_cutover(&got, 1700000000));
    /* A status leaves it where it is. */
    expect(f, publish(f, VF_PHASE_SETTLING, 8), 0, NULL);
    got = fetch(f, 0);
    assert_true(is_cutover(&got, 1700000000));
    expect(f, f->own->ops->clear_request(f->own, &f->err), 0, NULL);
    assert_int_equal(fetch(f, 0).kind, VF_REQUEST_NONE);
    assert_int_equal(shown(f), 8);
    expect(f, f->other->ops->leave_request(f->other, &cancel, &f->err), 0, NULL);
    got = fetch(f, 0);
    assert_true(got.kind == VF_REQUEST_CANCEL && got.discard);
}

static void test_warm_board__bad_request_is_dropped(void **state)
{
    struct fixture *f = *state;
    put_map(f, &f->owner, "{\"nonsense\":1}");
    struct vf_migration_request r;
    expect(f, f->own->ops->fetch_request(f->own, &r, &f->err), VF_INVALID, NULL);
    assert_int_equal(r.kind, VF_REQUEST_NONE);
    assert_null(data_of(f, VF_BOARD_REQUEST_KEY));
}

/* The migration writes between the look and the write, three times. */
static bool writes_between(struct vf_test_world *w, struct vf_test_exchange *x)
{
    unsigned *left = w->opaque;
    cJSON *map = cJSON_GetObjectItemCaseSensitive(w->objects, MAPS "/" MAP);
    if (map && *left && strcmp(x->method, "PATCH") == 0) {
        char *vf_autofree version = vf_xasprintf("%u", ++w->version);
        cJSON *metadata = cJSON_GetObjectItemCaseSensitive(map, "metadata");
        cJSON_ReplaceItemInObjectCaseSensitive(metadata, "resourceVersion",
                                               cJSON_CreateString(version));
        --*left;
    }
    return false;
}

static void test_warm_board__request_gets_in_between_statuses(void **state)
{
    struct fixture *f = *state;
    unsigned left = 3;
    const struct vf_migration_request now = {.kind = VF_REQUEST_CUTOVER};
    expect(f, publish(f, VF_PHASE_COPYING, 7), 0, NULL);
    f->w.opaque = &left;
    f->w.hook = writes_between;
    expect(f, f->other->ops->leave_request(f->other, &now, &f->err), 0, NULL);
    assert_int_equal(left, 0);
    struct vf_migration_request got = fetch(f, 0);
    assert_true(is_cutover(&got, 0));
}

/* Status and signs of life are lost without harm; the end is not. */
static bool is_away(struct vf_test_world *w, struct vf_test_exchange *x)
{
    unsigned *left = w->opaque;
    if (*left == 0) {
        return false;
    }
    --*left;
    vf_test_kube_status(x, 503, "ServiceUnavailable", "away", NULL, NULL);
    return true;
}

static void test_warm_board__the_end_is_told_when_the_server_is_back(void **state)
{
    struct fixture *f = *state;
    unsigned left = 1000000;
    expect(f, publish(f, VF_PHASE_COPYING, 7), 0, NULL);
    f->w.opaque = &left;
    f->w.hook = is_away;
    expect(f, publish(f, VF_PHASE_SETTLING, 8), VF_RETRY, NULL);
    expect(f, publish(f, VF_PHASE_SETTLING, 9), 0, NULL); /* not again at once */
    left = 6;
    expect(f, publish(f, VF_PHASE_DONE, 10), 0, NULL);
    assert_int_equal(shown(f), 10);
}

static void put_job(struct fixture *f, bool warm, const char *status)
{
    struct vf_owner owner = f->owner;
    owner.warm = warm;
    cJSON *job = cJSON_Parse(status);
    assert_non_null(job);
    vf_json_add_string(vf_json_add_object(job, "metadata"), "name", "web01-migrate");
    vf_owned_mark(job, &owner, NULL);
    vf_test_world_put(&f->w, JOBS, job);
}

static bool alive(struct fixture *f)
{
    bool is = false;
    expect(f, f->other->ops->fetch_alive(f->other, &is, &f->err), 0, NULL);
    return is;
}

static void test_warm_board__alive_is_a_job_or_a_sign_of_life(void **state)
{
    struct fixture *f = *state;
    assert_false(alive(f));
    expect(f, publish(f, VF_PHASE_COPYING, 7), 0, NULL);
    assert_true(alive(f)); /* it has just said so */
    cJSON *map = cJSON_GetObjectItemCaseSensitive(f->w.objects, MAPS "/" MAP);
    cJSON *data = cJSON_GetObjectItemCaseSensitive(map, "data");
    cJSON_ReplaceItemInObjectCaseSensitive(data, VF_BOARD_HEARTBEAT_KEY,
                                           cJSON_CreateString("2020-01-01T00:00:00Z"));
    assert_false(alive(f));
    cJSON_ReplaceItemInObjectCaseSensitive(data, VF_BOARD_HEARTBEAT_KEY,
                                           cJSON_CreateString("soon"));
    assert_false(alive(f));
    put_job(f, true, "{\"status\":{\"active\":1}}");
    assert_true(alive(f));
    put_job(f, true, "{\"status\":{\"conditions\":[{\"type\":\"Failed\",\"status\":\"True\"}]}}");
    assert_false(alive(f));
    put_job(f, false, "{\"status\":{\"active\":1}}"); /* another's */
    assert_false(alive(f));
    /* One that has ended is not alive, however short ago that was. */
    expect(f, publish(f, VF_PHASE_FAILED, 8), 0, NULL);
    assert_false(alive(f));
}

static void test_warm_board__all_of_a_namespace(void **state)
{
    struct fixture *f = *state;
    struct vf_cluster_migration *list = NULL;
    size_t n = 1;
    expect(f, vf_cluster_fetch_migrations(&f->where, NULL, &list, &n, &f->err), 0, NULL);
    assert_int_equal(n, 0);
    vf_cluster_migrations_free(list, n);
    expect(f, publish(f, VF_PHASE_COPYING, 7), 0, NULL);
    const struct vf_owner a = {.import = "a", .source_uuid = "u-3", .warm = true};
    cJSON *bad = vf_json_new_object();
    vf_json_add_string(vf_json_add_object(bad, "metadata"), "name", "vmferry-a");
    vf_owned_mark(bad, &a, NULL);
    vf_json_add_string(vf_json_add_object(bad, "data"), VF_BOARD_STATUS_KEY, "{");
    vf_test_world_put(&f->w, MAPS, bad);
    expect(f, vf_cluster_fetch_migrations(&f->where, NULL, &list, &n, &f->err), 0, NULL);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].name, "a");
    assert_non_null(list[0].status.error);
    assert_false(list[0].alive);
    assert_string_equal(list[1].name, "web01");
    assert_int_equal(list[1].status.copied_bytes, 7);
    assert_true(list[1].alive);
    vf_cluster_migrations_free(list, n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_warm_board__what_is_published_is_read),
        TEST(test_warm_board__what_is_not_ours_is_left_alone),
        TEST(test_warm_board__requests_are_left_and_taken),
        TEST(test_warm_board__bad_request_is_dropped),
        TEST(test_warm_board__request_gets_in_between_statuses),
        TEST(test_warm_board__the_end_is_told_when_the_server_is_back),
        TEST(test_warm_board__alive_is_a_job_or_a_sign_of_life),
        TEST(test_warm_board__all_of_a_namespace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
