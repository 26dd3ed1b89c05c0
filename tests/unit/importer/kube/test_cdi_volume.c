#include "importer/kube/cdi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/kube_script.h"

static const struct vf_owner owner = {.import = "web", .source_vm = "Web", .source_uuid = "5"};

#define MARKS                                                                                      \
    "\"labels\":{\"app.kubernetes.io/managed-by\":\"vmferry\",\"vmferry.io/import\":\"web\","      \
    "\"vmferry.io/state\":\"filling\"}"
#define SOURCE "\"vmferry.io/source-vm\":\"Web\",\"vmferry.io/source-uuid\":\"5\""

/* The strings of a struct vf_kube_storage are the heap's. */
static char class_name[] = "fast", block[] = "Block", files[] = "Filesystem",
            many[] = "ReadWriteMany";

static const struct vf_kube_storage profiled = {.class_name = class_name,
                                                .volume_mode = files,
                                                .access_mode = many,
                                                .has_profile = true,
                                                .overhead = 0.06};

static struct vf_claim_plan plan_on(const struct vf_kube_storage *storage)
{
    return (struct vf_claim_plan){.ns = "prod",
                                  .name = "web-disk-1",
                                  .owner = &owner,
                                  .disk = 1,
                                  .disk_label = "Hard disk 2",
                                  .storage = storage,
                                  .size_bytes = UINT64_C(20) << 30};
}

static void expect_volume(const struct vf_claim_plan *plan, const char *expected)
{
    cJSON *o = NULL;
    assert_int_equal(vf_cdi_build_upload_volume(plan, &o, NULL), 0);
    char *vf_autofree text = vf_json_print(o, false);
    assert_string_equal(text, expected);
    cJSON_Delete(o);
}

static void test_cdi_volume__leaves_the_modes_to_the_profile(void **state)
{
    const struct vf_claim_plan plan = plan_on(&profiled);
    (void)state;
    expect_volume(
        &plan, "{\"apiVersion\":\"cdi.kubevirt.io/v1beta1\",\"kind\":\"DataVolume\",\"metadata\":{"
               "\"name\":\"web-disk-1\",\"namespace\":\"prod\"," MARKS ",\"annotations\":{"
               "\"vmferry.io/disk\":\"1 Hard disk 2\"," SOURCE ","
               "\"cdi.kubevirt.io/storage.usePopulator\":\"false\","
               "\"cdi.kubevirt.io/storage.deleteAfterCompletion\":\"false\"}},\"spec\":{\"source\":"
               "{\"upload\":{}},\"contentType\":\"kubevirt\",\"storage\":{\"storageClassName\":"
               "\"fast\",\"resources\":{\"requests\":{\"storage\":\"21474836480\"}}}}}");
}

static void test_cdi_volume__names_what_was_wished_for(void **state)
{
    struct vf_kube_storage storage = profiled;
    struct vf_claim_plan plan = plan_on(&storage);
    (void)state;
    storage.volume_mode = block;
    storage.tell_volume_mode = storage.tell_access_mode = true;
    plan.disk_label = NULL;
    plan.bind_immediately = true;
    plan.size_bytes += 1;
    expect_volume(
        &plan, "{\"apiVersion\":\"cdi.kubevirt.io/v1beta1\",\"kind\":\"DataVolume\",\"metadata\":{"
               "\"name\":\"web-disk-1\",\"namespace\":\"prod\"," MARKS ",\"annotations\":{"
               "\"vmferry.io/disk\":\"1\"," SOURCE ","
               "\"cdi.kubevirt.io/storage.usePopulator\":\"false\","
               "\"cdi.kubevirt.io/storage.deleteAfterCompletion\":\"false\","
               "\"cdi.kubevirt.io/storage.bind.immediate.requested\":\"true\"}},\"spec\":{"
               "\"source\":{\"upload\":{}},\"contentType\":\"kubevirt\",\"storage\":{"
               "\"storageClassName\":\"fast\",\"volumeMode\":\"Block\",\"accessModes\":["
               "\"ReadWriteMany\"],\"resources\":{\"requests\":{\"storage\":\"21475885056\"}}}}}");
}

static void test_cdi_claim__has_modes_and_overhead(void **state)
{
    const struct vf_claim_plan plan = plan_on(&profiled);
    cJSON *o = NULL;
    (void)state;
    assert_int_equal(vf_cdi_build_claim(&plan, &o, NULL), 0);
    char *vf_autofree text = vf_json_print(o, false);
    assert_string_equal(
        text, "{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\",\"metadata\":{"
              "\"name\":\"web-disk-1\",\"namespace\":\"prod\"," MARKS ",\"annotations\":{"
              "\"vmferry.io/disk\":\"1 Hard disk 2\"," SOURCE "}},\"spec\":{\"storageClassName\":"
              "\"fast\",\"volumeMode\":\"Filesystem\",\"accessModes\":[\"ReadWriteMany\"],"
              "\"resources\":{\"requests\":{\"storage\":\"22763326669\"}}}}");
    cJSON_Delete(o);
}

static void test_cdi_volume__of_no_possible_size_is_range(void **state)
{
    struct vf_claim_plan plan = plan_on(&profiled);
    cJSON *o = NULL;
    (void)state;
    plan.size_bytes = UINT64_MAX;
    assert_int_equal(vf_cdi_build_upload_volume(&plan, &o, NULL), VF_RANGE);
    assert_int_equal(vf_cdi_build_claim(&plan, &o, NULL), VF_RANGE);
    plan.size_bytes = (UINT64_C(1) << 62) - (2 << 20); /* fits, but not with its overhead */
    assert_int_equal(vf_cdi_build_upload_volume(&plan, &o, NULL), VF_RANGE);
    assert_null(o);
}

#define CLAIM  "/api/v1/namespaces/prod/persistentvolumeclaims/d1"
#define VOLUME "/apis/cdi.kubevirt.io/v1beta1/namespaces/prod/datavolumes/d1"
#define OBJECT(managed_by, uid)                                                                    \
    "{\"metadata\":{\"name\":\"d1\",\"uid\":\"" uid "\",\"labels\":{\"vmferry.io/import\":"        \
    "\"web\",\"app.kubernetes.io/managed-by\":\"" managed_by "\"}}}"
#define PATCH(uid)                                                                                 \
    "{\"metadata\":{\"uid\":\"" uid "\",\"labels\":{\"vmferry.io/state\":\"complete\"},"           \
    "\"annotations\":{\"vmferry.io/digest\":\"sha256:1\"}}}"

static int mark_uid(struct vf_test_script *s, const struct vf_test_route *routes, const char *uid)
{
    vf_test_script_start(s, routes);
    return vf_cdi_mark_complete(s->kube.client, NULL, "d1", uid, "sha256:1", NULL, &s->kube.err);
}

static int mark(struct vf_test_script *s, const struct vf_test_route *routes)
{
    return mark_uid(s, routes, NULL);
}

static void test_cdi_mark__claim_and_volume(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = CLAIM, .body = OBJECT("cdi-controller", "c")},
        {.method = "PATCH", .path = CLAIM, .body = "{}"},
        {.path = VOLUME, .body = OBJECT("vmferry", "v")},
        {.method = "PATCH", .path = VOLUME, .body = "{}"},
        {0}};
    struct vf_test_script s;
    (void)state;
    assert_int_equal(mark(&s, routes), 0);
    vf_test_script_expect(&s, "PATCH " CLAIM
                              "?fieldManager=vmferry&fieldValidation=Strict " PATCH("c"));
    vf_test_script_expect(&s, "PATCH " VOLUME
                              "?fieldManager=vmferry&fieldValidation=Strict " PATCH("v"));
    vf_test_script_stop(&s);
}

static void test_cdi_mark__without_a_volume_the_claim_alone(void **state)
{
    static const struct vf_test_route no_volume[] = {
        {.path = CLAIM, .body = OBJECT("vmferry", "c")},
        {.method = "PATCH", .path = CLAIM, .body = "{}"},
        {.path = VOLUME, .status = 404},
        {0}};
    static const struct vf_test_route no_cdi[] = {
        {.path = CLAIM, .body = OBJECT("vmferry", "c")},
        {.method = "PATCH", .path = CLAIM, .body = "{}"},
        {.path = VOLUME, .status = 404, .body = "404 page not found"},
        {0}};
    struct vf_test_script s;
    (void)state;
    assert_int_equal(mark(&s, no_volume), 0);
    vf_test_script_stop(&s);
    assert_int_equal(mark(&s, no_cdi), 0);
    vf_test_script_stop(&s);
}

static void test_cdi_mark__without_a_claim_is_missing(void **state)
{
    static const struct vf_test_route routes[] = {{.path = CLAIM, .status = 404}, {0}};
    struct vf_test_script s;
    (void)state;
    assert_int_equal(mark(&s, routes), VF_MISSING);
    vf_test_expect_error(s.kube.err, "mark \"d1\" as complete");
    vf_test_script_stop(&s);
}

static void test_cdi_mark__leaves_what_is_not_ours(void **state)
{
    static const struct vf_test_route claim[] = {{.path = CLAIM, .body = OBJECT("me", "c")}, {0}};
    static const struct vf_test_route volume[] = {{.path = CLAIM, .body = OBJECT("vmferry", "c")},
                                                  {.method = "PATCH", .path = CLAIM, .body = "{}"},
                                                  {.path = VOLUME, .body = OBJECT("me", "v")},
                                                  {0}};
    struct vf_test_script s;
    (void)state;
    assert_int_equal(mark(&s, claim), VF_CONFLICT);
    vf_test_expect_error(s.kube.err, "PersistentVolumeClaim \"d1\" was not made by vmferry");
    vf_test_script_stop(&s);
    assert_int_equal(mark(&s, volume), VF_CONFLICT);
    vf_test_expect_error(s.kube.err, "DataVolume \"d1\" was not made by vmferry");
    vf_test_script_stop(&s);
}

#define OBJECT_OF(uid, more)                                                                       \
    "{\"metadata\":{\"name\":\"d1\",\"uid\":\"" uid "\",\"labels\":{\"vmferry.io/import\":"        \
    "\"web\",\"app.kubernetes.io/managed-by\":\"vmferry\"}" more "}}"
#define OWNED_BY(uid) ",\"ownerReferences\":[{\"kind\":\"DataVolume\",\"uid\":\"" uid "\"}]"

static void test_cdi_mark__what_was_filled_by_its_uid(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = CLAIM, .body = OBJECT_OF("c", OWNED_BY("v"))},
        {.method = "PATCH", .path = CLAIM, .body = "{}"},
        {.path = VOLUME, .body = OBJECT_OF("v", "")},
        {.method = "PATCH", .path = VOLUME, .body = "{}"},
        {0}};
    struct vf_test_script s;
    (void)state;
    assert_int_equal(mark_uid(&s, routes, "v"), 0);
    vf_test_script_expect(&s, "PATCH " VOLUME
                              "?fieldManager=vmferry&fieldValidation=Strict " PATCH("v"));
    vf_test_script_stop(&s);
}

/* Removed, and made anew, by another import of the same VM: not filled yet. */
static void test_cdi_mark__another_of_that_name_is_conflict(void **state)
{
    static const struct vf_test_route claim[] = {
        {.path = CLAIM, .body = OBJECT_OF("c2", OWNED_BY("v2"))}, {0}};
    static const struct vf_test_route volume[] = {
        {.path = CLAIM, .body = OBJECT_OF("c", OWNED_BY("v"))},
        {.method = "PATCH", .path = CLAIM, .body = "{}"},
        {.path = VOLUME, .body = OBJECT_OF("v2", "")},
        {0}};
    struct vf_test_script s;
    (void)state;
    assert_int_equal(mark_uid(&s, claim, "v"), VF_CONFLICT);
    vf_test_expect_error(s.kube.err, "PersistentVolumeClaim \"d1\" is not the one");
    vf_test_script_stop(&s);
    assert_int_equal(mark_uid(&s, volume, "v"), VF_CONFLICT);
    vf_test_expect_error(s.kube.err, "DataVolume \"d1\" is not the one");
    vf_test_script_stop(&s);
}

/* Its claim goes with it, a moment later. */
static void test_cdi_mark__a_volume_that_is_gone_is_missing(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = CLAIM, .body = OBJECT_OF("c", OWNED_BY("v"))},
        {.method = "PATCH", .path = CLAIM, .body = "{}"},
        {.path = VOLUME, .status = 404},
        {0}};
    struct vf_test_script s;
    (void)state;
    assert_int_equal(mark_uid(&s, routes, "v"), VF_MISSING);
    vf_test_script_stop(&s);
}

static void test_cdi_mark__what_is_being_deleted_is_conflict(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = CLAIM, .body = OBJECT_OF("c", ",\"deletionTimestamp\":\"2026-11-21T17:27:17Z\"")},
        {0}};
    struct vf_test_script s;
    (void)state;
    assert_int_equal(mark(&s, routes), VF_CONFLICT);
    vf_test_expect_error(s.kube.err, "is being deleted");
    vf_test_script_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cdi_mark__what_was_filled_by_its_uid),
        cmocka_unit_test(test_cdi_mark__another_of_that_name_is_conflict),
        cmocka_unit_test(test_cdi_mark__a_volume_that_is_gone_is_missing),
        cmocka_unit_test(test_cdi_mark__what_is_being_deleted_is_conflict),
        cmocka_unit_test(test_cdi_volume__leaves_the_modes_to_the_profile),
        cmocka_unit_test(test_cdi_volume__names_what_was_wished_for),
        cmocka_unit_test(test_cdi_claim__has_modes_and_overhead),
        cmocka_unit_test(test_cdi_volume__of_no_possible_size_is_range),
        cmocka_unit_test(test_cdi_mark__claim_and_volume),
        cmocka_unit_test(test_cdi_mark__without_a_volume_the_claim_alone),
        cmocka_unit_test(test_cdi_mark__without_a_claim_is_missing),
        cmocka_unit_test(test_cdi_mark__leaves_what_is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
