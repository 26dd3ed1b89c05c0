#include "importer/kube/cdi_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/cdi.h"
#include "tests/support/kube_rig.h"

#define COPIED(snapshot)   "\"cdi.kubevirt.io/storage.checkpoint.copied." snapshot "\":\"pod\""
#define CLAIM(annotations) "{\"metadata\":{\"name\":\"d\",\"annotations\":{" annotations "}}}"
#define VOLUME(phase, last)                                                                        \
    "{\"metadata\":{\"name\":\"d\",\"uid\":\"u1\"},\"spec\":{\"checkpoints\":[{\"previous\":\"\"," \
    "\"current\":\"snapshot-1\"},{\"previous\":\"52/1\",\"current\":\"snapshot-2\"}],"             \
    "\"finalCheckpoint\":" last "},\"status\":{\"phase\":\"" phase "\"}}"

static cJSON *parse(const char *text)
{
    cJSON *tree = NULL;
    assert_int_equal(vf_json_parse(text, strlen(text), "it", &tree, NULL), 0);
    return tree;
}

static void test_stage_name__has_to_be_part_of_an_annotations_name(void **state)
{
    static const char *const good[] = {"snapshot-1041", "s",
                                       "1234567890123456789012345678901234567"};
    static const char *const bad[] = {"",
                                      "snapshot 1",
                                      "snapshot/1",
                                      "snapshot-",
                                      "é",
                                      "a\n",
                                      "12345678901234567890123456789012345678"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(vf_cdi_check_stage(good[i], NULL), 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(vf_cdi_check_stage(bad[i], NULL), VF_UNSUPPORTED);
    }
}

static void test_stages__are_told_by_volume_and_claim(void **state)
{
    cJSON *volume = parse(VOLUME("Paused", "false"));
    cJSON *first = parse(CLAIM(COPIED("snapshot-1")));
    cJSON *both = parse(CLAIM(COPIED("snapshot-1") "," COPIED("snapshot-2")));
    (void)state;
    assert_true(vf_cdi_stage_is_listed(volume, "snapshot-2"));
    assert_false(vf_cdi_stage_is_listed(volume, "snapshot-3"));
    assert_false(vf_cdi_stage_is_listed(NULL, "snapshot-3"));
    assert_string_equal(vf_cdi_stage_open(volume, NULL), "snapshot-1");
    assert_string_equal(vf_cdi_stage_open(volume, first), "snapshot-2");
    assert_null(vf_cdi_stage_open(volume, both));
    assert_true(vf_cdi_stage_is_copied(first, "snapshot-1"));
    assert_false(vf_cdi_stage_is_copied(first, "snapshot-2"));
    assert_false(vf_cdi_stage_is_last(volume, "snapshot-2"));
    assert_false(vf_cdi_stages_are_over(volume, both));
    cJSON_Delete(volume);
    cJSON_Delete(first);
    cJSON_Delete(both);
}

static void test_stages__are_over_after_the_last_one(void **state)
{
    cJSON *under_way = parse(VOLUME("ImportInProgress", "true"));
    cJSON *over = parse(VOLUME("Succeeded", "true"));
    cJSON *done = parse(CLAIM("\"cdi.kubevirt.io/storage.checkpoint.done\":\"true\""));
    (void)state;
    assert_true(vf_cdi_stage_is_last(under_way, "snapshot-2"));
    assert_false(vf_cdi_stage_is_last(under_way, "snapshot-1"));
    assert_false(vf_cdi_stages_are_over(under_way, NULL));
    assert_true(vf_cdi_stages_are_over(over, NULL));
    assert_true(vf_cdi_stages_are_over(under_way, done));
    assert_null(vf_cdi_stage_open(over, NULL));
    cJSON_Delete(under_way);
    cJSON_Delete(over);
    cJSON_Delete(done);
}

static void expect_patch(const struct vf_cdi_stage *stage, const char *volume, const char *want)
{
    cJSON *object = parse(volume);
    cJSON *patch = vf_cdi_build_stage_patch(object, stage);
    char *vf_autofree text = vf_json_print(patch, false);
    assert_string_equal(text, want);
    cJSON_Delete(object);
    cJSON_Delete(patch);
}

static void test_stage_patch__adds_one_to_the_list(void **state)
{
    static const struct vf_cdi_stage delta = {
        .previous = "52 de/7", .snapshot = "snapshot-3", .change_id = "52 de/8", .last = true};
    static const struct vf_cdi_stage full = {.snapshot = "snapshot-9"};
    (void)state;
    expect_patch(
        &delta, VOLUME("Paused", "false"),
        "{\"metadata\":{\"uid\":\"u1\",\"annotations\":{\"vmferry.io/change-id\":"
        "\"52 de/8\"}},\"spec\":{\"checkpoints\":[{\"previous\":\"\",\"current\":"
        "\"snapshot-1\"},{\"previous\":\"52/1\",\"current\":\"snapshot-2\"},{"
        "\"previous\":\"52 de/7\",\"current\":\"snapshot-3\"}],\"finalCheckpoint\":true}}");
    expect_patch(&full, "{\"metadata\":{\"uid\":\"u2\"}}",
                 "{\"metadata\":{\"uid\":\"u2\",\"annotations\":{\"vmferry.io/change-id\":null}},"
                 "\"spec\":{\"checkpoints\":[{\"previous\":\"\",\"current\":\"snapshot-9\"}],"
                 "\"finalCheckpoint\":false}}");
}

static void expect_progress(const char *text, double want)
{
    cJSON *volume = vf_json_new_object();
    vf_json_add_string(vf_json_add_object(volume, "status"), "progress", text);
    double got = vf_cdi_stage_progress(volume);
    assert_true(got > want - 1e-9 && got < want + 1e-9);
    cJSON_Delete(volume);
}

static void test_stage_progress__is_a_percentage_or_none(void **state)
{
    (void)state;
    expect_progress("12.50%", 0.125);
    expect_progress("100.0%", 1);
    expect_progress("0%", 0);
    expect_progress("N/A", -1);
    expect_progress("101%", -1);
    expect_progress("12", -1);
    expect_progress("-1%", -1);
    expect_progress("inf%", -1);
    expect_progress(NULL, -1);
}

static void test_vddk_volume__begins_with_a_copy_in_full(void **state)
{
    struct vf_kube_storage storage = {.class_name = (char *)(uintptr_t) "fast",
                                      .volume_mode = (char *)(uintptr_t) "Block",
                                      .access_mode = (char *)(uintptr_t) "ReadWriteMany"};
    const struct vf_owner owner = {.import = "web", .source_uuid = "5", .warm = true};
    const struct vf_claim_plan plan = {.ns = "prod",
                                       .name = "web-disk-0",
                                       .owner = &owner,
                                       .disk_label = "Hard disk 1",
                                       .storage = &storage,
                                       .size_bytes = 3 << 20};
    const struct vf_cdi_vddk vddk = {.url = "https://vc/sdk",
                                     .uuid = "42",
                                     .backing_file = "[ds] web/web.vmdk",
                                     .thumbprint = "A1:B2",
                                     .secret = "login",
                                     .disk_key = 2000,
                                     .set = "map-1",
                                     .change_id = "52/1"};
    cJSON *volume = NULL;
    (void)state;
    assert_int_equal(vf_cdi_build_vddk_volume(&plan, &vddk, "snapshot-1", false, &volume, NULL), 0);
    char *vf_autofree text = vf_json_print(vf_json_object(volume, "spec"), false);
    assert_string_equal(
        text,
        "{\"source\":{\"vddk\":{\"url\":\"https://vc/sdk\",\"uuid\":\"42\",\"backingFile\":\"[ds] "
        "web/web.vmdk\",\"thumbprint\":\"A1:B2\",\"secretRef\":\"login\"}},\"contentType\":"
        "\"kubevirt\",\"storage\":{\"storageClassName\":\"fast\",\"resources\":{\"requests\":{"
        "\"storage\":\"3145728\"}}},\"checkpoints\":[{\"previous\":\"\",\"current\":"
        "\"snapshot-1\"}],\"finalCheckpoint\":false}");
    char *vf_autofree metadata = vf_json_print(vf_json_object(volume, "metadata"), false);
    assert_non_null(strstr(metadata, "\"cdi.kubevirt.io/storage.usePopulator\":\"false\""));
    assert_non_null(strstr(metadata, "\"cdi.kubevirt.io/storage.bind.immediate.requested\""));
    assert_non_null(strstr(metadata, "\"vmferry.io/disk-key\":\"2000\""));
    assert_non_null(strstr(metadata, "\"vmferry.io/checkpoint-set\":\"map-1\""));
    assert_non_null(strstr(metadata, "\"vmferry.io/change-id\":\"52/1\""));
    cJSON_Delete(volume);
    assert_int_equal(vf_cdi_build_vddk_volume(&plan, &vddk, "a b", false, &volume, NULL),
                     VF_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stage_name__has_to_be_part_of_an_annotations_name),
        cmocka_unit_test(test_stages__are_told_by_volume_and_claim),
        cmocka_unit_test(test_stages__are_over_after_the_last_one),
        cmocka_unit_test(test_stage_patch__adds_one_to_the_list),
        cmocka_unit_test(test_stage_progress__is_a_percentage_or_none),
        cmocka_unit_test(test_vddk_volume__begins_with_a_copy_in_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
