/* Storage, DataVolumes and claims as the real CDI and the real binder have them; the cluster's
 * storage classes are those of tests/peers/kube/rig. */
#include "importer/kube/cdi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/resources.h"
#include "tests/support/kube_real.h"
#include "tests/support/kube_rig.h"

#define SIZE_BYTES    (UINT64_C(20) << 20)
#define LONG_WAIT_MS  120000
#define SHORT_WAIT_MS 5000

static struct vf_test_real real;
static const struct vf_owner owner = {
    .import = "web", .source_vm = "Web \xc3\xbc", .source_uuid = "502a-5"};

static struct vf_kube_storage *fetch_storage(const char *class_name, const char *volume_mode)
{
    const struct vf_kube_storage_wish wish = {.class_name = class_name, .volume_mode = volume_mode};
    struct vf_kube_storage *storage = NULL;
    int rc = vf_kube_storage_fetch(real.client, &wish, NULL, &storage, &real.err);
    vf_test_real_expect(&real, rc, 0);
    return storage;
}

/* Creates the DataVolume, or the claim, on that class; its uid. */
static char *create(const char *name, const char *class_name, bool claim, bool immediately)
{
    struct vf_kube_storage *storage = fetch_storage(class_name, NULL);
    const struct vf_claim_plan plan = {.ns = real.ns,
                                       .name = name,
                                       .owner = &owner,
                                       .disk_label = "Hard disk 1",
                                       .storage = storage,
                                       .size_bytes = SIZE_BYTES,
                                       .bind_immediately = immediately};
    const struct vf_kube_ref ref = {.resource = claim ? &vf_kube_claims : &vf_kube_data_volumes,
                                    .ns = real.ns};
    cJSON *object = NULL, *made = NULL;
    int rc = claim ? vf_cdi_build_claim(&plan, &object, &real.err)
                   : vf_cdi_build_upload_volume(&plan, &object, &real.err);
    rc = rc ? rc : vf_kube_create(real.client, &ref, object, NULL, &made, &real.err);
    vf_test_real_expect(&real, rc, 0);
    char *uid = vf_xstrdup(vf_kube_uid(made));
    cJSON_Delete(object);
    cJSON_Delete(made);
    vf_kube_storage_free(storage);
    return uid;
}

static void tell(void *opaque, const char *phase, const char *message, const char *hint)
{
    vf_buf_printf(opaque, "[%s|%s|%s]", phase, message, hint ? hint : "");
}

typedef int wait_fn(struct vf_kube_client *client, const struct vf_cdi_wait *wait,
                    struct vf_error **err);

static int wait_for(wait_fn *wait, const char *name, const char *uid, int64_t timeout_ms)
{
    struct vf_buf told;
    vf_buf_init(&told, SIZE_MAX);
    const struct vf_cdi_wait w = {.ns = real.ns,
                                  .name = name,
                                  .uid = uid,
                                  .timeout_ms = timeout_ms,
                                  .tell = tell,
                                  .opaque = &told};
    int rc = wait(real.client, &w, &real.err);
    fprintf(stderr, "%s: %s\n", name, told.data ? told.data : "nothing told");
    vf_buf_release(&told);
    return rc;
}

/* Waits until that is told, with that hint. */
struct hoping {
    const char *text, *hint;
    struct vf_cancel *cancel;
};

static void hear(void *opaque, const char *phase, const char *message, const char *hint)
{
    struct hoping *h = opaque;
    fprintf(stderr, "%s: %s (%s)\n", phase, message, hint ? hint : "no hint");
    if (strstr(message, h->text) && hint && strstr(hint, h->hint)) {
        vf_cancel_trigger(h->cancel);
    }
}

static void expect_hold(wait_fn *wait, const char *name, const char *uid, const char *text,
                        const char *hint)
{
    struct hoping h = {.text = text, .hint = hint, .cancel = vf_cancel_new(NULL)};
    const struct vf_cdi_wait w = {.ns = real.ns,
                                  .name = name,
                                  .uid = uid,
                                  .timeout_ms = LONG_WAIT_MS,
                                  .tell = hear,
                                  .opaque = &h,
                                  .cancel = h.cancel};
    vf_test_real_expect(&real, wait(real.client, &w, &real.err), VF_CANCELLED);
    vf_cancel_free(h.cancel);
}

static void expect_timeout(wait_fn *wait, const char *name, const char *uid, const char *text,
                           const char *hint)
{
    int rc = wait_for(wait, name, uid, SHORT_WAIT_MS);
    vf_test_expect_error(real.err, text);
    vf_test_expect_error(real.err, hint);
    assert_string_equal(vf_error_reason(real.err), VF_KUBE_REASON_TIMEOUT);
    vf_test_real_expect(&real, rc, VF_RETRY);
}

static void remove_all(void)
{
    cJSON *items = NULL;
    const cJSON *item;
    vf_test_real_expect(&real, vf_owned_list(real.client, real.ns, "web", NULL, &items, &real.err),
                        0);
    cJSON_ArrayForEach(item, items)
    {
        int rc = vf_owned_delete(real.client, item, LONG_WAIT_MS, NULL, &real.err);
        vf_test_real_expect(&real, rc, 0);
    }
    cJSON_Delete(items);
}

static void test_storage_is_read(void **state)
{
    struct vf_kube_storage *fs = fetch_storage(NULL, NULL);
    struct vf_kube_storage *block = fetch_storage("rig-block", NULL);
    struct vf_kube_storage *wffc = fetch_storage("rig-wffc", NULL);
    (void)state;
    assert_string_equal(fs->class_name, "rig-fs");
    assert_string_equal(fs->volume_mode, "Filesystem");
    assert_true(fs->has_profile);
    assert_false(fs->waits_for_consumer);
    assert_true(fs->overhead > 0 && fs->overhead < 0.2);
    assert_string_equal(block->volume_mode, "Block");
    assert_true(wffc->waits_for_consumer);
    vf_kube_storage_free(fs);
    vf_kube_storage_free(block);
    vf_kube_storage_free(wffc);
    const struct vf_kube_storage_wish wish = {.class_name = "no-such-class"};
    int rc = vf_kube_storage_fetch(real.client, &wish, NULL, &fs, &real.err);
    vf_test_expect_error(real.err, "\"rig-fs\"");
    vf_test_real_expect(&real, rc, VF_MISSING);
}

static void test_facts_are_read(void **state)
{
    struct vf_cdi_facts f;
    (void)state;
    vf_test_real_expect(&real, vf_cdi_fetch_facts(real.client, NULL, &f, &real.err), 0);
    assert_non_null(f.upload_proxy_url);
    assert_non_null(f.upload_proxy_ca);
    assert_non_null(strstr(f.upload_proxy_ca, "BEGIN CERTIFICATE"));
    vf_cdi_facts_release(&f);
}

/* The claim asks for what this client computes, and is ours although CDI made it. */
static void expect_claim(const char *name, const struct vf_kube_storage *storage)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = real.ns, .name = name};
    cJSON *claim = NULL;
    uint64_t bytes;
    char text[40];
    vf_test_real_expect(&real, vf_kube_get(real.client, &ref, NULL, &claim, &real.err), 0);
    assert_int_equal(vf_owned_judge(claim, &owner), VF_OWNED_UNFINISHED);
    assert_int_equal(vf_kube_storage_request_bytes(storage, SIZE_BYTES, &bytes, NULL), 0);
    snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
    const cJSON *spec = vf_json_object(claim, "spec");
    const cJSON *requests = vf_json_object(vf_json_object(spec, "resources"), "requests");
    const char *asked = vf_json_string(requests, "storage");
    /* The API server may have written it another way: 20Mi. */
    assert_true(strcmp(asked, text) == 0 || strcmp(asked, "20Mi") == 0);
    assert_string_equal(vf_json_string(spec, "volumeMode"), storage->volume_mode);
    cJSON_Delete(claim);
}

static void upload_volume(const char *name, const char *class_name, bool immediately)
{
    char *vf_autofree uid = create(name, class_name, false, immediately);
    struct vf_kube_storage *storage = fetch_storage(class_name, NULL);
    struct vf_secret *token = NULL;
    char *phase = NULL;
    int restarts = -1;
    vf_test_real_expect(&real, wait_for(vf_cdi_wait_upload_ready, name, uid, LONG_WAIT_MS), 0);
    expect_claim(name, storage);
    int rc = vf_cdi_fetch_upload_token(real.client, real.ns, name, NULL, &token, &real.err);
    vf_test_real_expect(&real, rc, 0);
    assert_int_equal(strncmp(vf_secret_reveal(token), "eyJ", 3), 0);
    rc = vf_cdi_fetch_upload_state(real.client, real.ns, name, NULL, &restarts, &phase, &real.err);
    vf_test_real_expect(&real, rc, 0);
    assert_int_equal(restarts, 0);
    assert_string_equal(phase, "Running");
    rc = wait_for(vf_cdi_wait_upload_ready, name, "another", LONG_WAIT_MS);
    vf_test_real_expect(&real, rc, VF_CONFLICT);
    free(phase);
    vf_secret_free(token);
    vf_kube_storage_free(storage);
}

static void test_upload_becomes_ready(void **state)
{
    (void)state;
    upload_volume("on-fs", "rig-fs", false);
    upload_volume("on-block", "rig-block", false);
    upload_volume("on-wffc", "rig-wffc", true);
    remove_all();
}

static int wait_succeeded(struct vf_kube_client *client, const struct vf_cdi_wait *wait,
                          struct vf_error **err)
{
    return vf_cdi_wait_succeeded(client, wait, 0, err);
}

/* Its successor would take an upload, and knows nothing of what the first one got. */
static void test_upload_pod_that_is_replaced_is_noticed(void **state)
{
    const struct vf_kube_ref pod = {
        .resource = &vf_kube_pods, .ns = real.ns, .name = "cdi-upload-replaced"};
    char *vf_autofree uid = create("replaced", "rig-fs", false, false);
    (void)state;
    int rc = wait_for(vf_cdi_wait_upload_ready, "replaced", uid, LONG_WAIT_MS);
    vf_test_real_expect(&real, rc, 0);
    vf_test_real_expect(&real, vf_kube_delete(real.client, &pod, NULL, &real.err), 0);
    rc = wait_for(wait_succeeded, "replaced", uid, LONG_WAIT_MS);
    assert_string_equal(vf_error_reason(real.err), VF_CDI_REASON_RESTARTED);
    vf_test_real_expect(&real, rc, VF_RETRY);
    rc = wait_for(vf_cdi_wait_upload_ready, "replaced", uid, LONG_WAIT_MS);
    vf_test_real_expect(&real, rc, 0);
    remove_all();
}

static void test_what_hangs_says_why(void **state)
{
    (void)state;
    char *vf_autofree wffc = create("waits", "rig-wffc", false, false);
    char *vf_autofree fails = create("fails", "rig-fail", false, false);
    char *vf_autofree never = create("never", "rig-never", false, false);
    char *vf_autofree plain = create("plain", "rig-fail", true, false);
    expect_hold(vf_cdi_wait_upload_ready, "waits", wffc, "waits for its first consumer",
                "--bind-immediately");
    expect_hold(vf_cdi_wait_upload_ready, "fails", fails, "ProvisioningFailed", "provisioner");
    expect_hold(vf_cdi_wait_upload_ready, "never", never, "ExternalProvisioning", "provisioner");
    expect_hold(vf_cdi_wait_bound, "plain", plain, "ProvisioningFailed", "provisioner");
    expect_timeout(vf_cdi_wait_upload_ready, "waits", wffc, "waits for its first consumer",
                   "--bind-immediately");
    remove_all();
}

static void test_claim_is_bound_and_marked(void **state)
{
    char *vf_autofree uid = create("plain", "rig-fs", true, false);
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .ns = real.ns, .name = "plain"};
    cJSON *claim = NULL;
    (void)state;
    vf_test_real_expect(&real, wait_for(vf_cdi_wait_bound, "plain", uid, LONG_WAIT_MS), 0);
    int rc = vf_cdi_mark_complete(real.client, real.ns, "plain", NULL, "sha256:5", NULL, &real.err);
    vf_test_real_expect(&real, rc, 0);
    vf_test_real_expect(&real, vf_kube_get(real.client, &ref, NULL, &claim, &real.err), 0);
    assert_int_equal(vf_owned_judge(claim, &owner), VF_OWNED_FINISHED);
    assert_true(vf_kube_has_annotation(claim, VF_OWNED_DIGEST, "sha256:5"));
    assert_true(vf_kube_has_annotation(claim, VF_OWNED_SOURCE_VM, "Web \xc3\xbc"));
    cJSON_Delete(claim);
    remove_all();
}

static void test_deleted_volume_ends_the_wait(void **state)
{
    char *vf_autofree uid = create("gone", "rig-never", false, false);
    const struct vf_kube_ref ref = {
        .resource = &vf_kube_data_volumes, .ns = real.ns, .name = "gone"};
    (void)state;
    vf_test_real_expect(&real, vf_kube_delete(real.client, &ref, NULL, &real.err), 0);
    int rc = wait_for(vf_cdi_wait_upload_ready, "gone", uid, LONG_WAIT_MS);
    vf_test_real_expect(&real, rc, VF_MISSING);
    remove_all();
}

/* In a namespace that takes two claims of this size and no more. */
static void test_quota_is_space(void **state)
{
    static const struct vf_kube_resource quotas = {
        .group = "", .version = "v1", .plural = "resourcequotas", .namespaced = true};
    const struct vf_kube_ref ref = {.resource = &quotas, .ns = real.ns, .name = "q"};
    cJSON *quota =
        vf_test_tree("{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"metadata\":{"
                     "\"name\":\"q\"},\"spec\":{\"hard\":{\"requests.storage\":\"1Mi\"}}}");
    (void)state;
    vf_test_real_expect(&real, vf_kube_create(real.client, &ref, quota, NULL, NULL, &real.err), 0);
    cJSON_Delete(quota);
    /* Plain claims are refused once the quota is counted. */
    struct vf_kube_storage *storage = fetch_storage("rig-fs", NULL);
    const struct vf_claim_plan plan = {.ns = real.ns,
                                       .name = "much",
                                       .owner = &owner,
                                       .storage = storage,
                                       .size_bytes = SIZE_BYTES};
    const struct vf_kube_ref claims = {.resource = &vf_kube_claims, .ns = real.ns};
    cJSON *claim = NULL;
    assert_int_equal(vf_cdi_build_claim(&plan, &claim, NULL), 0);
    int rc = vf_kube_create(real.client, &claims, claim, NULL, NULL, &real.err);
    vf_test_expect_error(real.err, "exceeded quota");
    vf_test_real_expect(&real, rc, VF_SPACE);
    cJSON_Delete(claim);
    vf_kube_storage_free(storage);
    char *vf_autofree uid = create("much", "rig-fs", false, false);
    rc = wait_for(vf_cdi_wait_upload_ready, "much", uid, LONG_WAIT_MS);
    vf_test_expect_error(real.err, "quota: ");
    vf_test_real_expect(&real, rc, VF_SPACE);
    vf_test_real_expect(&real, vf_kube_delete(real.client, &ref, NULL, &real.err), 0);
    remove_all();
}

static int setup(void **state)
{
    (void)state;
    vf_test_real_start(&real);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vf_test_real_stop(&real);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storage_is_read),
        cmocka_unit_test(test_facts_are_read),
        cmocka_unit_test(test_upload_becomes_ready),
        cmocka_unit_test(test_upload_pod_that_is_replaced_is_noticed),
        cmocka_unit_test(test_what_hangs_says_why),
        cmocka_unit_test(test_claim_is_bound_and_marked),
        cmocka_unit_test(test_deleted_volume_ends_the_wait),
        cmocka_unit_test(test_quota_is_space),
    };
    cmocka_set_test_filter(getenv("VMFERRY_TEST_FILTER"));
    return cmocka_run_group_tests(tests, setup, teardown);
}
