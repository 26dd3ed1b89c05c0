#include "jobs/cluster/guard_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "tests/support/kube_rig.h"

#define OURS "\"app.kubernetes.io/managed-by\":\"vmferry\",\"vmferry.io/import\":\"web\""
#define SNAPSHOT(number, claim, count, ready, more)                                                \
    "{\"metadata\":{\"name\":\"" claim "-guard-" number                                            \
    "\",\"namespace\":\"prod\",\"labels\":{" OURS ",\"vmferry.io/guard\":\"" number                \
    "\"},\"annotations\":{\"vmferry.io/guard-count\":\"" count "\"" more                           \
    "}},\"spec\":{\"source\":{\"persistentVolumeClaimName\":\"" claim "\"}},"                      \
    "\"status\":{\"readyToUse\":" ready ",\"restoreSize\":\"32Mi\"}}"
#define UNDER_WAY ",\"vmferry.io/rollback\":\"now\""

static cJSON *parse(const char *text)
{
    cJSON *tree = NULL;
    assert_int_equal(vf_json_parse(text, strlen(text), "it", &tree, NULL), 0);
    return tree;
}

struct seen {
    uint32_t next, best, under_way; /* 0: none */
    size_t n;
};

static struct seen look(const char *text)
{
    cJSON *items = parse(text);
    struct vf_guard_sets sets;
    vf_guard_sets_read(items, &sets);
    const struct vf_guard_set *best = vf_guard_sets_best(&sets);
    const struct vf_guard_set *under_way = vf_guard_sets_under_way(&sets);
    struct seen seen = {.next = vf_guard_sets_next_number(&sets),
                        .best = best ? best->number : 0,
                        .under_way = under_way ? under_way->number : 0,
                        .n = sets.n};
    vf_guard_sets_release(&sets);
    cJSON_Delete(items);
    return seen;
}

static void test_guard_sets__the_newest_whole_one_is_best(void **state)
{
    (void)state;
    struct seen s = look("[" SNAPSHOT("9", "a", "2", "true", "") ","     //
                         SNAPSHOT("9", "b", "2", "true", "") ","         //
                         SNAPSHOT("10", "a", "2", "true", UNDER_WAY) "," //
                         SNAPSHOT("10", "b", "2", "true", "") ","        //
                         SNAPSHOT("11", "a", "2", "true", "") ","        //
                         SNAPSHOT("11", "b", "2", "false", "") "]");
    assert_int_equal(s.n, 3);
    assert_int_equal(s.best, 10);
    assert_int_equal(s.next, 12);
    assert_int_equal(s.under_way, 10);
}

static void test_guard_sets__that_lack_something_are_not_whole(void **state)
{
    static const char *const cases[] = {
        "[" SNAPSHOT("1", "a", "2", "true", "") "]",
        "[" SNAPSHOT("1", "a", "2", "true", "") "," SNAPSHOT("1", "a", "2", "true", "") "]",
        "[" SNAPSHOT("1", "a", "2", "true", "") "," SNAPSHOT("1", "b", "3", "true", "") "]",
        "[" SNAPSHOT("1", "a", "1", "true", "") "," SNAPSHOT("1", "b", "1", "true", "") "]",
        "[" SNAPSHOT("1", "a", "x", "true", "") "]",
        "[" SNAPSHOT("1", "a", "0", "true", "") "]",
        "[" SNAPSHOT("1", "a", "1", "\"true\"", "") "]",
        "[{\"metadata\":{\"labels\":{" OURS ",\"vmferry.io/guard\":\"1\"}}}]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen s = look(cases[i]);
        assert_int_equal(s.n, 1);
        assert_int_equal(s.best, 0);
        assert_int_equal(s.next, 2);
    }
}

static void test_guard_sets__of_no_proper_number_or_owner_are_passed_over(void **state)
{
    static const char *const cases[] = {
        "[]",
        "[1,null,{},[]]",
        "[" SNAPSHOT("", "a", "1", "true", "") "]",
        "[" SNAPSHOT("01", "a", "1", "true", "") "]",
        "[" SNAPSHOT("1x", "a", "1", "true", "") "]",
        "[" SNAPSHOT("4294967295", "a", "1", "true", "") "]",
        "[" SNAPSHOT("99999999999", "a", "1", "true", "") "]",
        "[{\"metadata\":{\"labels\":{\"vmferry.io/guard\":\"1\"}}}]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen s = look(cases[i]);
        assert_int_equal(s.n, 0);
        assert_int_equal(s.next, 1);
    }
}

#define CLAIM_SPEC(size)                                                                           \
    "\"spec\":{\"storageClassName\":\"fast\",\"volumeMode\":\"Block\",\"accessModes\":["           \
    "\"ReadWriteMany\",\"ReadWriteOnce\"],\"volumeName\":\"pv1\",\"resources\":{\"requests\":{"    \
    "\"storage\":\"" size "\"}}}"
#define CLAIM                                                                                      \
    "{\"metadata\":{\"name\":\"a\",\"uid\":\"u1\",\"resourceVersion\":\"7\",\"labels\":{" OURS     \
    ",\"team\":\"blue\"},\"annotations\":{\"vmferry.io/checkpoint\":\"3 {\\\"x\\\":1}\","          \
    "\"note\":\"kept\",\"pv.kubernetes.io/bind-completed\":\"yes\","                               \
    "\"volume.kubernetes.io/selected-node\":\"n1\",\"cdi.kubevirt.io/x\":\"y\","                   \
    "\"vmferry.io/rolled-back\":\"before\"}}," CLAIM_SPEC("16Mi") "}"

static cJSON *snapshot_with(const char *record)
{
    cJSON *snapshot = parse(SNAPSHOT("1", "a", "1", "true", ""));
    cJSON *annotations = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(snapshot, "metadata"), "annotations");
    vf_json_add_string(annotations, VF_GUARD_CLAIM, record);
    return snapshot;
}

static void test_guard_claim__is_had_back_as_it_was(void **state)
{
    cJSON *claim = parse(CLAIM), *built = NULL;
    char *vf_autofree record = NULL;
    (void)state;
    assert_int_equal(vf_guard_describe_claim(claim, &record, NULL), 0);
    cJSON *snapshot = snapshot_with(record);
    assert_int_equal(vf_guard_build_claim(snapshot, NULL, "now", &built, NULL), 0);
    char *vf_autofree text = vf_json_print(built, false);
    assert_string_equal(
        text,
        "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{\"name\":\"a\","
        "\"namespace\":\"prod\",\"labels\":{" OURS ",\"team\":\"blue\"},\"annotations\":{"
        "\"vmferry.io/checkpoint\":\"3 {\\\"x\\\":1}\",\"note\":\"kept\","
        "\"vmferry.io/rolled-back\":\"now\"}},\"spec\":{\"storageClassName\":\"fast\","
        "\"volumeMode\":\"Block\",\"accessModes\":[\"ReadWriteMany\",\"ReadWriteOnce\"],"
        "\"resources\":{\"requests\":{\"storage\":\"33554432\"}},\"dataSource\":{\"apiGroup\":"
        "\"snapshot.storage.k8s.io\",\"kind\":\"VolumeSnapshot\",\"name\":\"a-guard-1\"}}}");
    cJSON_Delete(built);
    cJSON_Delete(snapshot);
    cJSON_Delete(claim);
}

static void expect_size(const char *then, const char *now, const char *want)
{
    char *vf_autofree text = vf_xasprintf("{"
                                          "\"metadata\":{\"name\":\"a\",\"labels\":{" OURS "}},"
                                          "\"spec\":{\"storageClassName\":\"fast\",\"accessModes\":"
                                          "[\"ReadWriteOnce\"],\"resources\":{\"requests\":{"
                                          "\"storage\":\"%s\"}}}}",
                                          then);
    char *vf_autofree larger =
        vf_xasprintf("{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"%s\"}}}}", now);
    cJSON *claim = parse(text), *is = parse(larger), *built = NULL;
    char *vf_autofree record = NULL;
    assert_int_equal(vf_guard_describe_claim(claim, &record, NULL), 0);
    cJSON *snapshot = snapshot_with(record);
    assert_int_equal(vf_guard_build_claim(snapshot, is, "now", &built, NULL), 0);
    const cJSON *spec = vf_json_object(built, "spec");
    const cJSON *requests = vf_json_object(vf_json_object(spec, "resources"), "requests");
    assert_string_equal(vf_json_string(requests, "storage"), want);
    assert_string_equal(vf_json_string(spec, "volumeMode"), "Filesystem");
    cJSON_Delete(built);
    cJSON_Delete(snapshot);
    cJSON_Delete(is);
    cJSON_Delete(claim);
}

static void test_guard_claim__is_as_large_as_any_of_the_three(void **state)
{
    (void)state;
    expect_size("64Mi", "48Mi", "64Mi");
    expect_size("16Mi", "16Mi", "33554432");
    expect_size("16Mi", "1Gi", "1073741824");
    expect_size("16Mi", "junk", "33554432");
}

static void test_guard_claim__without_what_it_needs_is_not_kept(void **state)
{
    static const char *const claims[] = {
        "{}",
        "{\"spec\":{\"storageClassName\":\"fast\",\"accessModes\":[\"RWO\"]}}",
        "{\"spec\":{\"storageClassName\":\"fast\",\"accessModes\":[],\"resources\":{\"requests\":{"
        "\"storage\":\"1Gi\"}}}}",
        "{\"spec\":{\"accessModes\":[\"RWO\"],\"resources\":{\"requests\":{\"storage\":\"1Gi\"}}}}",
        "{\"spec\":{\"storageClassName\":\"fast\",\"accessModes\":[\"RWO\"],\"resources\":{"
        "\"requests\":{\"storage\":\"x\"}}}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        cJSON *claim = parse(claims[i]);
        char *record = NULL;
        assert_int_equal(vf_guard_describe_claim(claim, &record, NULL), VF_INVALID);
        assert_null(record);
        cJSON_Delete(claim);
    }
}

static void test_guard_claim__of_a_damaged_record_is_refused(void **state)
{
    static const struct {
        const char *record;
        int code;
    } cases[] = {
        {NULL, VF_INVALID},
        {"", VF_INVALID},
        {"{", VF_INVALID},
        {"[]", VF_UNSUPPORTED},
        {"{\"version\":2}", VF_UNSUPPORTED},
        {"{\"version\":1}", VF_INVALID},
        /* would not be ours */
        {"{\"version\":1,\"labels\":{\"vmferry.io/import\":\"web\"}," CLAIM_SPEC("1Gi") "}",
         VF_INVALID},
        /* would be another import's */
        {"{\"version\":1,\"labels\":{\"app.kubernetes.io/managed-by\":\"vmferry\","
         "\"vmferry.io/import\":\"db\"}," CLAIM_SPEC("1Gi") "}",
         VF_INVALID},
        {"{\"version\":1,\"labels\":{" OURS "},\"spec\":{}}", VF_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cJSON *snapshot = snapshot_with(cases[i].record), *built = NULL;
        assert_int_equal(vf_guard_build_claim(snapshot, NULL, "now", &built, NULL), cases[i].code);
        assert_null(built);
        cJSON_Delete(snapshot);
    }
}

static void test_guard_name__is_that_of_claim_and_set(void **state)
{
    (void)state;
    char *vf_autofree name = vf_guard_snapshot_name("web-disk-0", 7);
    assert_string_equal(name, "web-disk-0-guard-7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guard_sets__the_newest_whole_one_is_best),
        cmocka_unit_test(test_guard_sets__that_lack_something_are_not_whole),
        cmocka_unit_test(test_guard_sets__of_no_proper_number_or_owner_are_passed_over),
        cmocka_unit_test(test_guard_claim__is_had_back_as_it_was),
        cmocka_unit_test(test_guard_claim__is_as_large_as_any_of_the_three),
        cmocka_unit_test(test_guard_claim__without_what_it_needs_is_not_kept),
        cmocka_unit_test(test_guard_claim__of_a_damaged_record_is_refused),
        cmocka_unit_test(test_guard_name__is_that_of_claim_and_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
