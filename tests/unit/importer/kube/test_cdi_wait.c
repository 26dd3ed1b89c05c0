#include "importer/kube/cdi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "tests/support/kube_script.h"

#define VOLUMES "/apis/cdi.kubevirt.io/v1beta1/namespaces/prod/datavolumes"
#define CLAIMS  "/api/v1/namespaces/prod/persistentvolumeclaims"
#define PODS    "/api/v1/namespaces/prod/pods"
#define EVENTS  "/api/v1/namespaces/prod/events"

#define META(uid, version, more)                                                                   \
    "\"metadata\":{\"name\":\"d1\",\"namespace\":\"prod\",\"uid\":\"" uid                          \
    "\",\"resourceVersion\":\"" version "\"" more "}"
#define VOLUME(version, phase, more)                                                               \
    "{" META("v1", version, "") ",\"status\":{\"phase\":\"" phase "\"" more "}}"
#define IMMEDIATE ",\"annotations\":{\"cdi.kubevirt.io/storage.bind.immediate.requested\":\"true\"}"
#define CLAIM(phase, annotations)                                                                  \
    "{" META("c1", "1", ",\"annotations\":{" annotations "}") ",\"status\":{\"phase\":\"" phase    \
                                                              "\"}}"
#define ANNOTATION(key, value) "\"cdi.kubevirt.io/storage." key "\":\"" value "\""
#define READY                  ANNOTATION("pod.ready", "true")
#define UNREADY                ANNOTATION("pod.ready", "false")
#define POD_OF                 ANNOTATION("uploadPodName", "cdi-upload-d1")
#define CHANGE(object)         VF_TEST_EVENT("MODIFIED", object)
#define LIST_OF(object)                                                                            \
    {                                                                                              \
        .path = VOLUMES, .body = VF_TEST_LIST(object)                                              \
    }
#define NO_EVENTS                                                                                  \
    {                                                                                              \
        .path = EVENTS, .body = VF_TEST_LIST("")                                                   \
    }
#define WARNING(reason, message)                                                                   \
    "{\"type\":\"Warning\",\"reason\":\"" reason "\",\"message\":\"" message "\"}"

typedef int wait_fn(struct vf_kube_client *client, const struct vf_cdi_wait *wait,
                    struct vf_error **err);

struct told {
    struct vf_buf text;
};

static void tell(void *opaque, const char *phase, const char *message, const char *hint)
{
    struct told *t = opaque;
    vf_buf_printf(&t->text, "[%s|%s|%s]", phase, message, hint ? "hint" : "");
}

static int run(struct vf_test_script *s, const struct vf_test_route *routes, wait_fn *wait,
               int64_t timeout_ms, char **ret_told)
{
    struct told t;
    vf_buf_init(&t.text, SIZE_MAX);
    vf_test_script_start(s, routes);
    const struct vf_cdi_wait w = {
        .name = "d1",
        .uid = wait == vf_cdi_wait_bound ? "c1" : "v1",
        .timeout_ms = timeout_ms,
        .tell = tell,
        .opaque = &t,
    };
    int rc = wait(s->kube.client, &w, &s->kube.err);
    *ret_told = vf_buf_take_string(&t.text);
    return rc;
}

static void expect_end(const struct vf_test_route *routes, wait_fn *wait, int code,
                       const char *text)
{
    struct vf_test_script s;
    char *told;
    int rc = run(&s, routes, wait, 20000, &told);
    if (rc != code) {
        fail_msg("%d: %s after %s", rc, vf_error_message(s.kube.err), told);
    }
    if (text) {
        vf_test_expect_error(s.kube.err, text);
    }
    free(told);
    vf_test_script_stop(&s);
}

/* Waits in vain, and looks at what was said at the end. */
static void expect_hold(const struct vf_test_route *routes, wait_fn *wait, const char *text,
                        const char *hint)
{
    struct vf_test_script s;
    char *told;
    assert_int_equal(run(&s, routes, wait, 500, &told), VF_RETRY);
    assert_string_equal(vf_error_reason(s.kube.err), VF_KUBE_REASON_TIMEOUT);
    vf_test_expect_error(s.kube.err, text);
    if (hint) {
        vf_test_expect_error(s.kube.err, hint);
    } else {
        assert_null(vf_error_get_hint(s.kube.err));
    }
    free(told);
    vf_test_script_stop(&s);
}

static void test_cdi_ready__tells_the_way_there(void **state)
{
    static const struct vf_test_route routes[] = {
        LIST_OF("{" META("v1", "1", "") "}"),
        {.path = CLAIMS "/d1", .status = 404, .times = 1},
        {.path = CLAIMS "/d1", .body = CLAIM("Pending", ""), .times = 1},
        {.path = CLAIMS "/d1", .body = CLAIM("Bound", UNREADY), .times = 3},
        {.path = CLAIMS "/d1", .body = CLAIM("Bound", READY)},
        NO_EVENTS,
        {.path = VOLUMES,
         .query = VF_TEST_WATCH,
         .body = CHANGE(VOLUME("2", "Pending", "")) CHANGE(VOLUME("3", "UploadScheduled", ""))
             CHANGE(VOLUME("4", "UploadReady", "")) CHANGE(VOLUME("5", "UploadReady", ""))},
        {0},
    };
    struct vf_test_script s;
    char *told;
    (void)state;
    int rc = run(&s, routes, vf_cdi_wait_upload_ready, 20000, &told);
    assert_int_equal(rc, 0);
    /* The claim says that its pod is ready after the DataVolume does. */
    assert_string_equal(told, "[|CDI has not begun with it|hint][Pending||][UploadScheduled||]"
                              "[UploadReady||]");
    free(told);
    vf_test_script_stop(&s);
}

static void test_cdi_ready__what_can_never_be_ends_it(void **state)
{
    static const struct vf_test_route ended[] = {LIST_OF(VOLUME("1", "Succeeded", "")), {0}};
    static const struct vf_test_route absent[] = {{.path = VOLUMES, .body = VF_TEST_LIST("")}, {0}};
    static const struct vf_test_route another[] = {
        LIST_OF("{" META("v2", "1", "") ",\"status\":{\"phase\":\"UploadReady\"}}"), {0}};
    static const struct vf_test_route dying[] = {
        LIST_OF("{" META("v1", "1", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"") "}"), {0}};
    static const struct vf_test_route deleted[] = {
        LIST_OF(VOLUME("1", "Pending", "")),
        {.path = CLAIMS "/d1", .status = 404},
        NO_EVENTS,
        {.path = VOLUMES,
         .query = VF_TEST_WATCH,
         .body = VF_TEST_EVENT("DELETED", VOLUME("2", "Pending", ""))},
        {0}};
    static const struct vf_test_route lost[] = {LIST_OF(VOLUME("1", "Failed", "")), {0}};
    static const struct vf_test_route not_valid[] = {
        LIST_OF(VOLUME("1", "",
                       ",\"conditions\":[{\"type\":\"Bound\",\"status\":\"False\","
                       "\"reason\":\"ErrClaimNotValid\",\"message\":\"no accessMode\"}]")),
        {0}};
    static const struct vf_test_route quota[] = {
        LIST_OF(VOLUME("1", "Pending",
                       ",\"conditions\":[{\"type\":\"Bound\",\"reason\":"
                       "\"ErrExceededQuota\",\"message\":\"exceeded quota: q\"}]")),
        {0}};
    static const struct vf_test_route forbidden[] = {
        {.path = VOLUMES,
         .status = 403,
         .body = "{\"kind\":\"Status\",\"message\":\"x cannot list\",\"code\":403}"},
        {0}};
    static const struct {
        const struct vf_test_route *routes;
        int code;
        const char *text;
    } cases[] = {
        {ended, VF_CONFLICT, "DataVolume \"d1\": an upload into it has ended"},
        {absent, VF_MISSING, "is not there"},
        {another, VF_CONFLICT, "another one than the one that was made"},
        {dying, VF_MISSING, "is being deleted"},
        {deleted, VF_MISSING, "was deleted"},
        {lost, VF_MISSING, "lost its volume"},
        {not_valid, VF_INVALID, "CDI cannot make the claim: no accessMode"},
        {not_valid, VF_INVALID, "--storage-class"},
        {quota, VF_SPACE, "quota: exceeded quota: q"},
        {quota, VF_SPACE, "ResourceQuota"},
        {forbidden, VF_AUTH, "verb \"list\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect_end(cases[i].routes, vf_cdi_wait_upload_ready, cases[i].code, cases[i].text);
    }
}

#define QUIET                                                                                      \
    {                                                                                              \
        .path = VOLUMES, .query = VF_TEST_WATCH                                                    \
    }

static void test_cdi_ready__first_consumer_comes_with_how_to_go_on(void **state)
{
    static const struct vf_test_route waits[] = {
        LIST_OF(VOLUME("1", "WaitForFirstConsumer", "")), QUIET, {0}};
    /* CDI names the phase so even then; its pod is on its way to be the consumer. */
    static const struct vf_test_route immediate[] = {
        LIST_OF("{" META("v1", "1", IMMEDIATE) ",\"status\":{\"phase\":\"WaitForFirstConsumer\"}}"),
        {.path = CLAIMS "/d1", .body = CLAIM("Pending", "")},
        {.path = EVENTS,
         .body = VF_TEST_LIST("{\"type\":\"Normal\",\"reason\":\"WaitForFirstConsumer\"}")},
        QUIET,
        {0}};
    (void)state;
    expect_hold(waits, vf_cdi_wait_upload_ready, "the claim waits for its first consumer",
                "--bind-immediately, or with a storage class whose volumeBindingMode is Immediate");
    expect_hold(immediate, vf_cdi_wait_upload_ready, "its phase is WaitForFirstConsumer", NULL);
}

static void test_cdi_ready__claim_without_a_volume_says_why(void **state)
{
    static const struct vf_test_route failed[] = {
        LIST_OF(VOLUME("1", "Pending", "")),
        {.path = CLAIMS "/d1", .body = CLAIM("Pending", "")},
        {.path = EVENTS,
         .query = "involvedObject.uid%3Dc1",
         .body = VF_TEST_LIST(WARNING("ProvisioningFailed", "the array is on fire"))},
        QUIET,
        {0}};
    static const struct vf_test_route never[] = {
        LIST_OF(VOLUME("1", "Pending", "")),
        {.path = CLAIMS "/d1", .body = CLAIM("Pending", "")},
        {.path = EVENTS,
         .body = VF_TEST_LIST("{\"type\":\"Normal\",\"reason\":\"ExternalProvisioning\","
                              "\"message\":\"Waiting for a volume\"}")},
        QUIET,
        {0}};
    static const struct vf_test_route prime[] = {
        LIST_OF(VOLUME("1", "Pending", "")),
        {.path = CLAIMS "/d1",
         .body = CLAIM("Pending", ANNOTATION("populator.pvcPrime", "prime-1"))},
        {.path = CLAIMS "/prime-1",
         .body = "{\"metadata\":{\"name\":\"prime-1\",\"uid\":\"p1\"},\"status\":{\"phase\":"
                 "\"Pending\"}}"},
        {.path = EVENTS, .query = "involvedObject.uid%3Dc1", .body = VF_TEST_LIST("")},
        {.path = EVENTS,
         .query = "involvedObject.uid%3Dp1",
         .body = VF_TEST_LIST(WARNING("ProvisioningFailed", "no"))},
        QUIET,
        {0}};
    static const struct vf_test_route no_claim[] = {
        LIST_OF(VOLUME("1", "Pending", "")),
        {.path = CLAIMS "/d1", .status = 404},
        {.path = EVENTS,
         .query = "involvedObject.uid%3Dv1",
         .body = VF_TEST_LIST(WARNING("ErrResourceExists", "taken"))},
        QUIET,
        {0}};
    (void)state;
    expect_hold(failed, vf_cdi_wait_upload_ready,
                "its phase is Pending, the claim: ProvisioningFailed: the array is on fire",
                "look at the provisioner");
    expect_hold(never, vf_cdi_wait_upload_ready, "ExternalProvisioning: Waiting for a volume",
                "look at the provisioner");
    expect_hold(prime, vf_cdi_wait_upload_ready, "claim \"prime-1\": ProvisioningFailed: no",
                "look at the provisioner");
    expect_hold(no_claim, vf_cdi_wait_upload_ready, "the DataVolume: ErrResourceExists: taken",
                NULL);
}

#define SCHEDULED(claim)                                                                           \
    LIST_OF(VOLUME("1", "UploadScheduled", "")), {.path = CLAIMS "/d1", .body = (claim)},          \
        {.path = EVENTS, .query = "involvedObject.uid%3Dc1", .body = VF_TEST_LIST("")}, QUIET

static void test_cdi_ready__pod_that_does_not_start_says_why(void **state)
{
    static const struct vf_test_route image[] = {
        SCHEDULED(CLAIM("Bound", POD_OF)),
        {.path = PODS "/cdi-upload-d1",
         .body = "{\"metadata\":{\"name\":\"cdi-upload-d1\",\"uid\":\"q1\"},\"status\":{\"phase\":"
                 "\"Pending\",\"containerStatuses\":[{\"state\":{\"waiting\":{\"reason\":"
                 "\"ErrImagePull\",\"message\":\"not found\"}}}]}}"},
        {0}};
    static const struct vf_test_route mount[] = {
        SCHEDULED(CLAIM("Bound", POD_OF)),
        {.path = PODS "/cdi-upload-d1",
         .body = "{\"metadata\":{\"name\":\"cdi-upload-d1\",\"uid\":\"q1\"},\"status\":{\"phase\":"
                 "\"Pending\"}}"},
        {.path = EVENTS,
         .query = "involvedObject.uid%3Dq1",
         .body = VF_TEST_LIST(WARNING("FailedAttachVolume", "Multi-Attach error"))},
        {0}};
    static const struct vf_test_route scratch[] = {
        SCHEDULED(CLAIM("Bound", POD_OF)),
        {.path = PODS "/cdi-upload-d1",
         .body = "{\"metadata\":{\"name\":\"cdi-upload-d1\",\"uid\":\"q1\"},\"spec\":{\"volumes\":["
                 "{\"persistentVolumeClaim\":{\"claimName\":\"d1\"}},{\"secret\":{}},"
                 "{\"persistentVolumeClaim\":{\"claimName\":\"d1-scratch\"}}]},\"status\":{"
                 "\"phase\":\"Pending\",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":"
                 "\"False\",\"reason\":\"Unschedulable\",\"message\":\"unbound claims\"}]}}"},
        {.path = CLAIMS "/d1-scratch",
         .body = "{\"metadata\":{\"name\":\"d1-scratch\",\"uid\":\"s1\"},\"status\":{\"phase\":"
                 "\"Pending\"}}"},
        {.path = EVENTS,
         .query = "involvedObject.uid%3Ds1",
         .body = VF_TEST_LIST(WARNING("ProvisioningFailed", "full"))},
        {.path = EVENTS, .query = "involvedObject.uid%3Dq1", .body = VF_TEST_LIST("")},
        {0}};
    static const struct vf_test_route quota[] = {
        SCHEDULED(
            CLAIM("Bound", POD_OF
                  "," ANNOTATION("condition.running.reason", "ErrExceededQuota") "," ANNOTATION(
                      "condition.running.message", "too many pods"))),
        {.path = PODS "/cdi-upload-d1", .status = 404},
        {0}};
    (void)state;
    expect_hold(image, vf_cdi_wait_upload_ready,
                "UploadScheduled, pod \"cdi-upload-d1\": ErrImagePull: not found", "may pull");
    expect_hold(mount, vf_cdi_wait_upload_ready, "FailedAttachVolume: Multi-Attach error",
                "the volume's driver");
    expect_hold(scratch, vf_cdi_wait_upload_ready, "claim \"d1-scratch\": ProvisioningFailed: full",
                "the provisioner");
    expect_hold(quota, vf_cdi_wait_upload_ready, "quota: too many pods", "fewer disks");
}

/* Within the patience nothing with a hint is told; at the end it is in the error all the same. */
static void test_cdi_ready__what_may_pass_is_told_when_it_lasts(void **state)
{
    static const struct vf_test_route routes[] = {
        LIST_OF(VOLUME("1", "WaitForFirstConsumer", "")), QUIET, {0}};
    struct told t;
    struct vf_test_script s;
    (void)state;
    vf_buf_init(&t.text, SIZE_MAX);
    vf_test_script_start(&s, routes);
    const struct vf_cdi_wait w = {
        .name = "d1", .timeout_ms = 300, .patience_ms = 60000, .tell = tell, .opaque = &t};
    assert_int_equal(vf_cdi_wait_upload_ready(s.kube.client, &w, &s.kube.err), VF_RETRY);
    assert_string_equal(t.text.data, "[WaitForFirstConsumer||]");
    vf_test_expect_error(s.kube.err, "waits for its first consumer");
    vf_test_expect_error(s.kube.err, "--bind-immediately");
    vf_buf_release(&t.text);
    vf_test_script_stop(&s);
}

/* Who may not look at claims, pods and events waits all the same. */
static void test_cdi_ready__without_rights_for_reasons_there_are_none(void **state)
{
#define NO "{\"kind\":\"Status\",\"message\":\"x cannot get\",\"code\":403}"
    static const struct vf_test_route routes[] = {LIST_OF(VOLUME("1", "Pending", "")),
                                                  {.path = CLAIMS "/d1", .status = 403, .body = NO},
                                                  {.path = EVENTS, .status = 403, .body = NO},
                                                  QUIET,
                                                  {0}};
    (void)state;
    expect_hold(routes, vf_cdi_wait_upload_ready, "its phase is Pending", NULL);
}

static int wait_succeeded(struct vf_kube_client *client, const struct vf_cdi_wait *wait,
                          struct vf_error **err)
{
    return vf_cdi_wait_succeeded(client, wait, 1, err);
}

static void test_cdi_succeeded__comes(void **state)
{
    static const struct vf_test_route routes[] = {
        LIST_OF(VOLUME("1", "UploadReady", "")),
        {.path = CLAIMS "/d1",
         .body = CLAIM("Bound",
                       ANNOTATION("pod.restarts", "1") "," ANNOTATION("pod.phase", "Running"))},
        NO_EVENTS,
        {.path = VOLUMES,
         .query = VF_TEST_WATCH,
         .body = CHANGE(VOLUME("2", "UploadScheduled", "")) CHANGE(VOLUME("3", "Succeeded", ""))},
        {0}};
    (void)state;
    expect_end(routes, wait_succeeded, 0, NULL);
}

static void test_cdi_succeeded__restarted_or_replaced_pod_is_noticed(void **state)
{
    static const char *const claims[] = {
        CLAIM("Bound", ANNOTATION("pod.restarts", "2") "," ANNOTATION("pod.phase", "Running")),
        CLAIM("Bound", ANNOTATION("pod.restarts", "0") "," ANNOTATION("pod.phase", "Pending")),
        CLAIM("Bound", ANNOTATION("pod.restarts", "0") "," ANNOTATION("pod.phase", "")),
        CLAIM("Bound", ANNOTATION("pod.restarts", "0") "," ANNOTATION("pod.phase", "Failed")),
    };
    (void)state;
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        const struct vf_test_route routes[] = {LIST_OF(VOLUME("1", "UploadReady", "")),
                                               {.path = CLAIMS "/d1", .body = claims[i]},
                                               {0}};
        struct vf_test_script s;
        char *told;
        assert_int_equal(run(&s, routes, wait_succeeded, 20000, &told), VF_RETRY);
        assert_string_equal(vf_error_reason(s.kube.err), VF_CDI_REASON_RESTARTED);
        free(told);
        vf_test_script_stop(&s);
    }
}

static void test_cdi_succeeded__deleted_claim_is_missing(void **state)
{
    static const struct vf_test_route routes[] = {
        LIST_OF(VOLUME("1", "UploadReady", "")), {.path = CLAIMS "/d1", .status = 404}, {0}};
    (void)state;
    expect_end(routes, wait_succeeded, VF_MISSING, "not found");
}

static void test_cdi_bound__comes_or_says_why_not(void **state)
{
    static const struct vf_test_route comes[] = {
        {.path = CLAIMS, .body = VF_TEST_LIST(CLAIM("Pending", ""))},
        {.path = CLAIMS "/d1", .body = CLAIM("Pending", "")},
        NO_EVENTS,
        {.path = CLAIMS,
         .query = VF_TEST_WATCH,
         .body = CHANGE("{" META("c1", "2", "") ",\"status\":{\"phase\":\"Bound\"}}")},
        {0}};
    static const struct vf_test_route lost[] = {
        {.path = CLAIMS, .body = VF_TEST_LIST(CLAIM("Lost", ""))},
        {.path = CLAIMS "/d1", .body = CLAIM("Lost", "")},
        NO_EVENTS,
        {0}};
    static const struct vf_test_route waits[] = {
        {.path = CLAIMS, .body = VF_TEST_LIST(CLAIM("Pending", ""))},
        {.path = CLAIMS "/d1", .body = CLAIM("Pending", "")},
        {.path = EVENTS,
         .body = VF_TEST_LIST("{\"type\":\"Normal\",\"reason\":\"WaitForFirstConsumer\","
                              "\"message\":\"waiting\"}")},
        {.path = CLAIMS, .query = VF_TEST_WATCH},
        {0}};
    (void)state;
    expect_end(comes, vf_cdi_wait_bound, 0, NULL);
    expect_end(lost, vf_cdi_wait_bound, VF_MISSING, "lost its volume");
    expect_hold(waits, vf_cdi_wait_bound, "the claim: WaitForFirstConsumer: waiting", "Immediate");
}

static void test_cdi_wait__is_cancelled(void **state)
{
    static const struct vf_test_route routes[] = {
        LIST_OF(VOLUME("1", "WaitForFirstConsumer", "")), QUIET, {0}};
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    const struct vf_cdi_wait w = {.name = "d1", .cancel = cancel};
    struct vf_test_script s;
    (void)state;
    vf_test_script_start(&s, routes);
    vf_cancel_trigger(cancel);
    assert_int_equal(vf_cdi_wait_upload_ready(s.kube.client, &w, &s.kube.err), VF_CANCELLED);
    vf_test_script_stop(&s);
    vf_cancel_free(cancel);
}

static void test_cdi_upload_state__is_read_from_the_claim(void **state)
{
    static const struct {
        const char *claim;
        int restarts;
        const char *phase;
    } cases[] = {
        {CLAIM("Bound", ANNOTATION("pod.restarts", "3") "," ANNOTATION("pod.phase", "Succeeded")),
         3, "Succeeded"},
        {CLAIM("Bound", ANNOTATION("pod.restarts", "-3") "," ANNOTATION("pod.phase", "")), 0, NULL},
        {CLAIM("Bound", ANNOTATION("pod.restarts", "99999999999999999999")), 0, NULL},
        {CLAIM("Bound", ANNOTATION("pod.restarts", "2x")), 0, NULL},
        {"{}", 0, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct vf_test_route routes[] = {{.path = CLAIMS "/d1", .body = cases[i].claim}, {0}};
        struct vf_test_script s;
        int restarts = -1;
        char *phase = NULL;
        vf_test_script_start(&s, routes);
        assert_int_equal(vf_cdi_fetch_upload_state(s.kube.client, NULL, "d1", NULL, &restarts,
                                                   &phase, &s.kube.err),
                         0);
        assert_int_equal(restarts, cases[i].restarts);
        assert_int_equal(phase != NULL, cases[i].phase != NULL);
        if (phase) {
            assert_string_equal(phase, cases[i].phase);
        }
        free(phase);
        vf_test_script_stop(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cdi_ready__tells_the_way_there),
        cmocka_unit_test(test_cdi_ready__what_can_never_be_ends_it),
        cmocka_unit_test(test_cdi_ready__first_consumer_comes_with_how_to_go_on),
        cmocka_unit_test(test_cdi_ready__claim_without_a_volume_says_why),
        cmocka_unit_test(test_cdi_ready__pod_that_does_not_start_says_why),
        cmocka_unit_test(test_cdi_ready__what_may_pass_is_told_when_it_lasts),
        cmocka_unit_test(test_cdi_ready__without_rights_for_reasons_there_are_none),
        cmocka_unit_test(test_cdi_succeeded__comes),
        cmocka_unit_test(test_cdi_succeeded__restarted_or_replaced_pod_is_noticed),
        cmocka_unit_test(test_cdi_succeeded__deleted_claim_is_missing),
        cmocka_unit_test(test_cdi_bound__comes_or_says_why_not),
        cmocka_unit_test(test_cdi_wait__is_cancelled),
        cmocka_unit_test(test_cdi_upload_state__is_read_from_the_claim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
