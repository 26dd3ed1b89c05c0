#include "importer/kube/storage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/kube_script.h"

#define CLASSES  "/apis/storage.k8s.io/v1/storageclasses"
#define PROFILES "/apis/cdi.kubevirt.io/v1beta1/storageprofiles"
#define CONFIG   "/apis/cdi.kubevirt.io/v1beta1/cdiconfigs/config"

#define CLASS(name, created, annotations, more)                                                    \
    "{\"metadata\":{\"name\":\"" name "\",\"creationTimestamp\":\"" created                        \
    "\",\"annotations\":{" annotations "}},\"provisioner\":\"p.example.com\"" more "}"
#define FAST CLASS("fast", "2026-01-01T00:00:00Z", "", ",\"volumeBindingMode\":\"Immediate\"")
#define SLOW                                                                                       \
    CLASS("slow", "2026-01-01T00:00:00Z", "", ",\"volumeBindingMode\":\"WaitForFirstConsumer\"")
#define FOR_ALL "\"storageclass.kubernetes.io/is-default-class\":\"true\""
#define FOR_VMS "\"storageclass.kubevirt.io/is-default-virt-class\":\"true\""
#define PROFILE(annotations, sets, more)                                                           \
    "{\"metadata\":{\"name\":\"fast\",\"annotations\":{" annotations "}},\"status\":{"             \
    "\"claimPropertySets\":[" sets "]" more "}}"
#define BLOCK "{\"accessModes\":[\"ReadWriteMany\",\"ReadWriteOnce\"],\"volumeMode\":\"Block\"}"
#define FILES "{\"accessModes\":[\"ReadWriteOnce\"],\"volumeMode\":\"Filesystem\"}"
#define OVERHEAD                                                                                   \
    "{\"status\":{\"filesystemOverhead\":{\"global\":\"0.1\",\"storageClass\":{\"fast\":"          \
    "\"0.055\"}}}}"

static const struct vf_kube_storage_wish fast = {.class_name = "fast"};

/* With a class, a profile and a configuration as given; NULL: none. */
static int fetch(const char *class, const char *profile, const char *config,
                 const struct vf_kube_storage_wish *wish, struct vf_test_script *s,
                 struct vf_kube_storage **ret)
{
    static struct vf_test_route routes[4];
    routes[0] =
        (struct vf_test_route){.path = CLASSES "/fast", .status = class ? 200 : 404, .body = class};
    routes[1] = (struct vf_test_route){
        .path = PROFILES "/fast", .status = profile ? 200 : 404, .body = profile};
    routes[2] =
        (struct vf_test_route){.path = CONFIG, .status = config ? 200 : 404, .body = config};
    *ret = NULL;
    vf_test_script_start(s, routes);
    return vf_kube_storage_fetch(s->kube.client, wish, NULL, ret, &s->kube.err);
}

static void test_storage__profile_is_followed(void **state)
{
    struct vf_test_script s;
    struct vf_kube_storage *st;
    (void)state;
    assert_int_equal(fetch(FAST,
                           PROFILE("\"cdi.kubevirt.io/minimumSupportedPvcSize\":\"4Gi\"",
                                   BLOCK "," FILES, ",\"snapshotClass\":\"snap\""),
                           OVERHEAD, &fast, &s, &st),
                     0);
    assert_string_equal(st->class_name, "fast");
    assert_string_equal(st->provisioner, "p.example.com");
    assert_false(st->waits_for_consumer);
    assert_string_equal(st->volume_mode, "Block");
    assert_string_equal(st->access_mode, "ReadWriteMany");
    assert_true(st->has_profile);
    assert_false(st->tell_volume_mode);
    assert_false(st->tell_access_mode);
    assert_int_equal(st->min_bytes, UINT64_C(4) << 30);
    assert_string_equal(st->snapshot_class, "snap");
    assert_true(st->overhead == 0.055);
    vf_kube_storage_free(st);
    vf_test_script_stop(&s);
}

static void test_storage__without_profile_is_plain(void **state)
{
    static const struct {
        const char *profile, *config;
        double overhead;
    } cases[] = {
        {NULL, NULL, 0.06},
        {PROFILE("", "", ""), "{\"status\":{}}", 0.06},
        {PROFILE("", "{\"volumeMode\":\"Block\"}," BLOCK, ""), NULL, 0.06},
        {PROFILE("", "{\"accessModes\":[]}", ""),
         "{\"status\":{\"filesystemOverhead\":{\"global\":\"0.1\"}}}", 0.1},
        {PROFILE("\"cdi.kubevirt.io/minimumSupportedPvcSize\":\"much\"",
                 "{\"accessModes\":[7,\"\"],\"volumeMode\":\"Tape\"}", ""),
         "{\"status\":{\"filesystemOverhead\":{\"global\":\"-1\",\"storageClass\":{\"fast\":"
         "\"1.5\"}}}}",
         0.06},
        {"{\"status\":{\"claimPropertySets\":{}}}",
         "{\"status\":{\"filesystemOverhead\":{\"global\":\"0.1x\",\"storageClass\":\"fast\"}}}",
         0.06},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_test_script s;
        struct vf_kube_storage *st;
        assert_int_equal(fetch(FAST, cases[i].profile, cases[i].config, &fast, &s, &st), 0);
        assert_string_equal(st->volume_mode, "Filesystem");
        assert_string_equal(st->access_mode, "ReadWriteOnce");
        assert_false(st->has_profile);
        assert_true(st->tell_volume_mode && st->tell_access_mode);
        assert_int_equal(st->min_bytes, 0);
        assert_null(st->snapshot_class);
        assert_true(st->overhead == cases[i].overhead);
        vf_kube_storage_free(st);
        vf_test_script_stop(&s);
    }
}

static void test_storage__wishes_are_met(void **state)
{
    static const struct {
        struct vf_kube_storage_wish wish;
        const char *volume_mode, *access_mode;
    } cases[] = {
        {{.class_name = "fast", .volume_mode = "Filesystem"}, "Filesystem", "ReadWriteOnce"},
        {{.class_name = "fast", .access_mode = "ReadWriteOnce"}, "Block", "ReadWriteOnce"},
        {{.class_name = "fast", .volume_mode = "Block", .access_mode = "ReadWriteOnce"},
         "Block",
         "ReadWriteOnce"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_test_script s;
        struct vf_kube_storage *st;
        assert_int_equal(
            fetch(FAST, PROFILE("", BLOCK "," FILES, ""), NULL, &cases[i].wish, &s, &st), 0);
        assert_string_equal(st->volume_mode, cases[i].volume_mode);
        assert_string_equal(st->access_mode, cases[i].access_mode);
        assert_int_equal(st->tell_volume_mode, cases[i].wish.volume_mode != NULL);
        assert_int_equal(st->tell_access_mode, cases[i].wish.access_mode != NULL);
        vf_kube_storage_free(st);
        vf_test_script_stop(&s);
    }
}

static void test_storage__wishes_are_taken_where_there_is_no_profile(void **state)
{
    const struct vf_kube_storage_wish wish = {
        .class_name = "fast", .volume_mode = "Block", .access_mode = "ReadWriteMany"};
    struct vf_test_script s;
    struct vf_kube_storage *st;
    (void)state;
    assert_int_equal(fetch(FAST, NULL, NULL, &wish, &s, &st), 0);
    assert_string_equal(st->volume_mode, "Block");
    assert_string_equal(st->access_mode, "ReadWriteMany");
    vf_kube_storage_free(st);
    vf_test_script_stop(&s);
}

static void test_storage__wish_that_the_profile_lacks_is_invalid(void **state)
{
    static const struct vf_kube_storage_wish wishes[] = {
        {.class_name = "fast", .volume_mode = "Block"},
        {.class_name = "fast", .access_mode = "ReadWriteMany"},
        {.class_name = "fast", .volume_mode = "Block", .access_mode = "ReadWriteOnce"},
    };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct vf_test_script s;
        struct vf_kube_storage *st;
        assert_int_equal(fetch(FAST, PROFILE("", FILES, ""), NULL, &wishes[i], &s, &st),
                         VF_INVALID);
        assert_null(st);
        vf_test_expect_error(s.kube.err, "storage class \"fast\" has no volumes of ");
        vf_test_expect_error(s.kube.err, "knows Filesystem (ReadWriteOnce)");
        vf_test_script_stop(&s);
    }
}

static void expect_default(const char *classes, const char *name)
{
    char path[200];
    struct vf_test_script s;
    struct vf_kube_storage *st = NULL;
    snprintf(path, sizeof path, PROFILES "/%s", name);
    const struct vf_test_route routes[] = {
        {.path = CLASSES, .body = classes},
        {.path = path, .status = 404},
        {.path = CONFIG, .status = 404, .body = "404 page not found"},
        {0},
    };
    vf_test_script_start(&s, routes);
    int rc = vf_kube_storage_fetch(s.kube.client, NULL, NULL, &st, &s.kube.err);
    if (rc) {
        fail_msg("%s", vf_error_message(s.kube.err));
    }
    assert_string_equal(st->class_name, name);
    vf_kube_storage_free(st);
    vf_test_script_stop(&s);
}

static void test_storage__default_for_vms_goes_before_default_for_all(void **state)
{
    (void)state;
    expect_default(VF_TEST_LIST(CLASS("a", "2026-01-01T00:00:00Z", FOR_ALL, "") "," CLASS(
                       "b", "2025-01-01T00:00:00Z", FOR_VMS, "") "," FAST),
                   "b");
    expect_default(VF_TEST_LIST(FAST "," CLASS("a", "2026-01-01T00:00:00Z", FOR_ALL, "")), "a");
}

static void test_storage__of_several_defaults_the_newest_then_the_first_by_name(void **state)
{
    (void)state;
    expect_default(VF_TEST_LIST(CLASS("a", "2025-01-01T00:00:00Z", FOR_ALL, "") "," CLASS(
                       "c", "2026-01-01T00:00:00Z", FOR_ALL,
                       "") "," CLASS("b", "2026-01-01T00:00:00Z", FOR_ALL, "")),
                   "b");
}

static void test_storage__no_default_class_is_missing(void **state)
{
    static const struct vf_test_route some[] = {
        {.path = CLASSES,
         .body = VF_TEST_LIST(FAST "," CLASS(
             "old", "x", "\"storageclass.kubernetes.io/is-default-class\":\"false\"", "") ",{}")},
        {0}};
    static const struct vf_test_route none[] = {{.path = CLASSES, .body = VF_TEST_LIST("")}, {0}};
    struct vf_test_script s;
    struct vf_kube_storage *st = NULL;
    (void)state;
    vf_test_script_start(&s, some);
    assert_int_equal(vf_kube_storage_fetch(s.kube.client, NULL, NULL, &st, &s.kube.err),
                     VF_MISSING);
    vf_test_expect_error(s.kube.err, "no default storage class");
    vf_test_expect_error(s.kube.err, "--storage-class; there are \"fast\", \"old\"");
    vf_test_script_stop(&s);
    vf_test_script_start(&s, none);
    assert_int_equal(vf_kube_storage_fetch(s.kube.client, NULL, NULL, &st, &s.kube.err),
                     VF_MISSING);
    vf_test_expect_error(s.kube.err, "install one");
    vf_test_script_stop(&s);
}

static void test_storage__unknown_class_is_missing(void **state)
{
    static const struct vf_test_route routes[] = {{.path = CLASSES "/fast", .status = 404},
                                                  {.path = CLASSES, .body = VF_TEST_LIST(SLOW)},
                                                  {0}};
    struct vf_test_script s;
    struct vf_kube_storage *st = NULL;
    (void)state;
    vf_test_script_start(&s, routes);
    assert_int_equal(vf_kube_storage_fetch(s.kube.client, &fast, NULL, &st, &s.kube.err),
                     VF_MISSING);
    vf_test_expect_error(s.kube.err, "no storage class \"fast\"");
    vf_test_expect_error(s.kube.err, "there are \"slow\"");
    vf_test_script_stop(&s);
}

#define FORBIDDEN                                                                                  \
    "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"User x cannot get resource\","    \
    "\"code\":403}"

static void test_storage__who_may_not_read_classes_has_the_profile(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = CLASSES "/fast", .status = 403, .body = FORBIDDEN},
        {.path = PROFILES "/fast", .body = PROFILE("", BLOCK, ",\"provisioner\":\"q\"")},
        {.path = CONFIG, .body = OVERHEAD},
        {0}};
    static const struct vf_test_route nothing[] = {
        {.path = CLASSES "/fast", .status = 403, .body = FORBIDDEN},
        {.path = PROFILES "/fast", .status = 404},
        {0}};
    struct vf_test_script s;
    struct vf_kube_storage *st = NULL;
    (void)state;
    vf_test_script_start(&s, routes);
    assert_int_equal(vf_kube_storage_fetch(s.kube.client, &fast, NULL, &st, &s.kube.err), 0);
    assert_string_equal(st->class_name, "fast");
    assert_string_equal(st->provisioner, "q");
    vf_kube_storage_free(st);
    vf_test_script_stop(&s);
    st = NULL;
    vf_test_script_start(&s, nothing);
    assert_int_equal(vf_kube_storage_fetch(s.kube.client, &fast, NULL, &st, &s.kube.err), VF_AUTH);
    assert_null(st);
    vf_test_expect_error(s.kube.err, "\"get\" on \"storageclasses\"");
    vf_test_script_stop(&s);
}

static void test_storage__waits_for_its_consumer(void **state)
{
    struct vf_test_script s;
    struct vf_kube_storage *st;
    (void)state;
    assert_int_equal(fetch(SLOW, NULL, NULL, &fast, &s, &st), 0);
    assert_true(st->waits_for_consumer);
    vf_kube_storage_free(st);
    vf_test_script_stop(&s);
}

static void expect_request(const char *mode, double overhead, uint64_t min, uint64_t size,
                           uint64_t bytes)
{
    char volume_mode[20];
    snprintf(volume_mode, sizeof volume_mode, "%s", mode);
    const struct vf_kube_storage s = {
        .volume_mode = volume_mode, .overhead = overhead, .min_bytes = min};
    uint64_t got = 0;
    assert_int_equal(vf_kube_storage_request_bytes(&s, size, &got, NULL), 0);
    assert_int_equal(got, bytes);
}

static void test_storage_request__is_what_cdi_asks_for(void **state)
{
    (void)state;
    expect_request("Filesystem", 0.06, 0, 64 << 20, 71135396); /* as CDI 1.65 was seen to ask */
    expect_request("Filesystem", 0.055, 0, 64 << 20, 70799852);
    expect_request("Filesystem", 0, 0, 64 << 20, 64 << 20);
    expect_request("Filesystem", 1, 0, 1, 2 << 20);
    expect_request("Filesystem", 0.06, UINT64_C(1) << 30, 64 << 20, UINT64_C(1) << 30);
    expect_request("Block", 0.06, 0, 64 << 20, 64 << 20);
    expect_request("Block", 0.06, 0, (64 << 20) + 1, 65 << 20);
    expect_request("Block", 0.06, 0, 0, 1 << 20);
    expect_request("Block", 0.06, 3 << 20, 1, 3 << 20);
}

static void test_storage_request__beyond_all_sizes_is_range(void **state)
{
    char block[] = "Block", files[] = "Filesystem";
    const struct vf_kube_storage b = {.volume_mode = block};
    const struct vf_kube_storage f = {.volume_mode = files, .overhead = 1};
    struct vf_error *err = NULL;
    uint64_t got;
    (void)state;
    assert_int_equal(vf_kube_storage_request_bytes(&b, UINT64_MAX, &got, &err), VF_RANGE);
    vf_test_expect_error(err, "18446744073709551615 bytes is larger than any volume");
    vf_error_clear(&err);
    assert_int_equal(vf_kube_storage_request_bytes(&b, UINT64_C(1) << 62, &got, NULL), VF_RANGE);
    assert_int_equal(vf_kube_storage_request_bytes(&f, (UINT64_C(1) << 61) + 1, &got, NULL),
                     VF_RANGE);
    assert_int_equal(vf_kube_storage_request_bytes(&b, UINT64_C(1) << 61, &got, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storage__profile_is_followed),
        cmocka_unit_test(test_storage__without_profile_is_plain),
        cmocka_unit_test(test_storage__wishes_are_met),
        cmocka_unit_test(test_storage__wishes_are_taken_where_there_is_no_profile),
        cmocka_unit_test(test_storage__wish_that_the_profile_lacks_is_invalid),
        cmocka_unit_test(test_storage__default_for_vms_goes_before_default_for_all),
        cmocka_unit_test(test_storage__of_several_defaults_the_newest_then_the_first_by_name),
        cmocka_unit_test(test_storage__no_default_class_is_missing),
        cmocka_unit_test(test_storage__unknown_class_is_missing),
        cmocka_unit_test(test_storage__who_may_not_read_classes_has_the_profile),
        cmocka_unit_test(test_storage__waits_for_its_consumer),
        cmocka_unit_test(test_storage_request__is_what_cdi_asks_for),
        cmocka_unit_test(test_storage_request__beyond_all_sizes_is_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
