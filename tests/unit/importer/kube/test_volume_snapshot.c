#include "importer/kube/volume_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/kube_script.h"

#define SNAPSHOTS "/apis/snapshot.storage.k8s.io/v1/namespaces/prod/volumesnapshots"
#define CLASSES   "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses"
#define EVENTS    "/api/v1/namespaces/prod/events"
#define DEFAULT   "snapshot.storage.kubernetes.io/is-default-class"

#define SNAPSHOT(version, more)                                                                    \
    "{\"metadata\":{\"name\":\"s1\",\"namespace\":\"prod\",\"uid\":\"u1\",\"resourceVersion\":"    \
    "\"" version "\"},\"status\":{" more "}}"
#define READY   "\"readyToUse\":true,\"restoreSize\":\"16Mi\""
#define UNREADY "\"readyToUse\":false"
#define BROKEN  UNREADY ",\"error\":{\"message\":\"no room \\u001b[31m on the array\"}"
#define CLASS(name, driver, annotations)                                                           \
    "{\"metadata\":{\"name\":\"" name "\",\"annotations\":{" annotations "}},\"driver\":\"" driver \
    "\"}"
#define IS_DEFAULT "\"" DEFAULT "\":\"true\""

static cJSON *parse(const char *text)
{
    cJSON *tree = NULL;
    assert_int_equal(vf_json_parse(text, strlen(text), "it", &tree, NULL), 0);
    return tree;
}

static void expect_class(const char *classes, const char *driver, const char *want,
                         const char *message)
{
    cJSON *list = parse(classes);
    struct vf_error *err = NULL;
    char *vf_autofree name = NULL;
    int rc = vf_volume_snapshot_choose_class(list, driver, &name, &err);
    if (want) {
        assert_int_equal(rc, 0);
        assert_string_equal(name, want);
    } else {
        assert_int_equal(rc, VF_MISSING);
        assert_null(name);
        vf_test_expect_error(err, message);
    }
    vf_error_free(err);
    cJSON_Delete(list);
}

static void test_snapshot_class__is_the_drivers_default_or_only_one(void **state)
{
    (void)state;
    expect_class("[" CLASS("a", "d1", "") "," CLASS("b", "d1", IS_DEFAULT) "]", "d1", "b", NULL);
    expect_class("[" CLASS("a", "d1", "") "," CLASS("b", "d2", IS_DEFAULT) "]", "d1", "a", NULL);
    expect_class("[]", "d1", NULL, "there is no VolumeSnapshotClass of driver \"d1\"");
    expect_class("[" CLASS("a", "d1", "") "," CLASS("b", "d1", "") "]", "d1", NULL,
                 "none of the VolumeSnapshotClasses of driver \"d1\" is the default");
    expect_class("[" CLASS("a", "d1", IS_DEFAULT) "," CLASS("b", "d1", IS_DEFAULT) "]", "d1", NULL,
                 "annotate one of \"a\", \"b\"");
    expect_class("[1,{},{\"driver\":\"d1\"},{\"driver\":1,\"metadata\":{\"name\":\"x\"}}]", "d1",
                 NULL, "there is no VolumeSnapshotClass");
}

static void test_snapshot_class__of_the_profile_goes_first(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = CLASSES, .body = VF_TEST_LIST(CLASS("b", "d1", IS_DEFAULT))}, {0}};
    struct vf_kube_storage storage = {.class_name = (char *)(uintptr_t) "fast"};
    struct vf_test_script s;
    char *name = NULL;
    (void)state;
    vf_test_script_start(&s, routes);
    storage.snapshot_class = vf_xstrdup("profiled");
    assert_int_equal(vf_volume_snapshot_fetch_class(s.kube.client, &storage, NULL, &name, NULL), 0);
    assert_string_equal(name, "profiled");
    free(vf_take(name));
    vf_test_script_expect_no(&s, CLASSES);
    free(vf_take(storage.snapshot_class));

    assert_int_equal(
        vf_volume_snapshot_fetch_class(s.kube.client, &storage, NULL, &name, &s.kube.err),
        VF_MISSING);
    vf_test_expect_error(s.kube.err, "which driver storage class \"fast\" is of");
    vf_error_clear(&s.kube.err);

    storage.provisioner = vf_xstrdup("d1");
    assert_int_equal(vf_volume_snapshot_fetch_class(s.kube.client, &storage, NULL, &name, NULL), 0);
    assert_string_equal(name, "b");
    free(name);
    free(storage.provisioner);
    vf_test_script_stop(&s);
}

static void test_snapshot_object__is_built_and_read(void **state)
{
    static const struct vf_owner owner = {.import = "web", .source_uuid = "5"};
    (void)state;
    cJSON *built = vf_volume_snapshot_build("prod", "s1", "fast", "web-disk-0", &owner);
    char *vf_autofree text = vf_json_print(built, false);
    assert_string_equal(
        text, "{\"apiVersion\":\"snapshot.storage.k8s.io/v1\",\"kind\":\"VolumeSnapshot\","
              "\"metadata\":{\"name\":\"s1\",\"namespace\":\"prod\",\"annotations\":{"
              "\"vmferry.io/source-uuid\":\"5\"},\"labels\":{\"app.kubernetes.io/managed-by\":"
              "\"vmferry\",\"vmferry.io/import\":\"web\"}},\"spec\":{\"volumeSnapshotClassName\":"
              "\"fast\",\"source\":{\"persistentVolumeClaimName\":\"web-disk-0\"}}}");
    assert_string_equal(vf_volume_snapshot_claim(built), "web-disk-0");
    assert_false(vf_volume_snapshot_is_ready(built));
    assert_int_equal(vf_volume_snapshot_restore_bytes(built), 0);
    cJSON_Delete(built);

    cJSON *ready = parse(SNAPSHOT("1", READY));
    assert_true(vf_volume_snapshot_is_ready(ready));
    assert_int_equal(vf_volume_snapshot_restore_bytes(ready), 16 << 20);
    cJSON_Delete(ready);
    cJSON *odd = parse("{\"metadata\":{\"deletionTimestamp\":\"now\"},\"status\":{"
                       "\"readyToUse\":true,\"restoreSize\":\"-1\"}}");
    assert_false(vf_volume_snapshot_is_ready(odd));
    assert_int_equal(vf_volume_snapshot_restore_bytes(odd), 0);
    cJSON_Delete(odd);
}

static int wait_ready(const struct vf_test_route *routes, int64_t timeout_ms, const char *message)
{
    struct vf_test_script s;
    vf_test_script_start(&s, routes);
    int rc =
        vf_volume_snapshot_wait_ready(s.kube.client, "prod", "s1", timeout_ms, NULL, &s.kube.err);
    if (message) {
        vf_test_expect_error(s.kube.err, message);
    }
    vf_test_script_stop(&s);
    return rc;
}

static void test_snapshot_wait__looks_until_it_is_ready(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = SNAPSHOTS,
         .query = "fieldSelector=metadata.name%3Ds1",
         .body = VF_TEST_LIST(SNAPSHOT("1", UNREADY)),
         .times = 1},
        {.path = SNAPSHOTS, .body = VF_TEST_LIST(SNAPSHOT("2", BROKEN)), .times = 1},
        {.path = SNAPSHOTS, .body = VF_TEST_LIST(SNAPSHOT("3", READY))},
        {0}};
    (void)state;
    assert_int_equal(wait_ready(routes, 60000, NULL), 0);
}

static void test_snapshot_wait__tells_the_drivers_words(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = SNAPSHOTS, .body = VF_TEST_LIST(SNAPSHOT("1", BROKEN))}, {0}};
    (void)state;
    assert_int_equal(wait_ready(routes, 300, "not ready to use within 0 s: no room"), VF_RETRY);
}

static void test_snapshot_wait__of_one_that_is_gone_ends(void **state)
{
    static const struct vf_test_route none[] = {{.path = SNAPSHOTS, .body = VF_TEST_LIST("")}, {0}};
    static const struct vf_test_route going[] = {
        {.path = SNAPSHOTS,
         .body = VF_TEST_LIST("{\"metadata\":{\"name\":\"s1\",\"deletionTimestamp\":\"now\"},"
                              "\"status\":{" READY "}}")},
        {0}};
    (void)state;
    assert_int_equal(wait_ready(none, 60000, "not there any more"), VF_MISSING);
    assert_int_equal(wait_ready(going, 60000, "somebody is deleting it"), VF_MISSING);
}

static void test_snapshot_wait__without_words_of_the_driver_asks_for_events(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = SNAPSHOTS, .body = VF_TEST_LIST(SNAPSHOT("1", UNREADY))},
        {.path = EVENTS,
         .body = VF_TEST_LIST("{\"type\":\"Warning\",\"reason\":\"SnapshotContentCreationFailed\","
                              "\"message\":\"no such class\"}")},
        {0}};
    (void)state;
    assert_int_equal(wait_ready(routes, 300, "no such class"), VF_RETRY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_class__is_the_drivers_default_or_only_one),
        cmocka_unit_test(test_snapshot_class__of_the_profile_goes_first),
        cmocka_unit_test(test_snapshot_object__is_built_and_read),
        cmocka_unit_test(test_snapshot_wait__looks_until_it_is_ready),
        cmocka_unit_test(test_snapshot_wait__tells_the_drivers_words),
        cmocka_unit_test(test_snapshot_wait__of_one_that_is_gone_ends),
        cmocka_unit_test(test_snapshot_wait__without_words_of_the_driver_asks_for_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
