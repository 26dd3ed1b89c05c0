#include "importer/kube/hold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/kube/resources.h"
#include "tests/support/kube_script.h"

static cJSON *parse(const char *text)
{
    cJSON *tree = NULL;
    assert_int_equal(vf_json_parse(text, strlen(text), "it", &tree, NULL), 0);
    return tree;
}

static void expect(const struct vf_kube_hold *h, const char *message, const char *hint)
{
    assert_string_equal(h->message ? h->message : "nothing", message ? message : "nothing");
    assert_int_equal(h->hint != NULL, hint != NULL);
    if (hint && !(h->hint && strstr(h->hint, hint))) {
        fail_msg("hint: %s", h->hint ? h->hint : "none");
    }
}

#define POD(phase, more)                                                                           \
    "{\"metadata\":{\"name\":\"p\"},\"status\":{\"phase\":\"" phase "\"" more "}}"
#define WAITING(reason, message)                                                                   \
    ",\"containerStatuses\":[{\"name\":\"c\",\"state\":{\"waiting\":{\"reason\":\"" reason         \
    "\",\"message\":\"" message "\"}}}]"

static void test_hold_pod__names_what_keeps_it(void **state)
{
    static const struct {
        const char *pod, *message, *hint;
    } cases[] = {
        {POD("Pending", ",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"False\","
                        "\"reason\":\"Unschedulable\",\"message\":\"0/3 nodes\\nare free\"}]"),
         "pod \"p\": Unschedulable: 0/3 nodes are free", "the nodes have left"},
        {POD("Pending", WAITING("ImagePullBackOff", "Back-off pulling image \\\"x\\\"")),
         "pod \"p\": ImagePullBackOff: Back-off pulling image \"x\"", "may pull this image"},
        {POD("Pending", WAITING("CreateContainerConfigError", "")),
         "pod \"p\": CreateContainerConfigError", NULL},
        {POD("Running",
             ",\"containerStatuses\":[{\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\","
             "\"message\":\"back-off "
             "10s\"}},\"lastState\":{\"terminated\":{\"message\":\"boom\"}}}]"),
         "pod \"p\": CrashLoopBackOff: boom", NULL},
        {POD("Pending", ",\"initContainerStatuses\":[{\"state\":{\"waiting\":{\"reason\":"
                        "\"ErrImagePull\",\"message\":\"no\"}}}]"),
         "pod \"p\": ErrImagePull: no", "may pull"},
        {POD("Pending", WAITING("ContainerCreating", "")), NULL, NULL},
        {POD("Running", ",\"containerStatuses\":[{\"state\":{\"running\":{}}}]"), NULL, NULL},
        {POD("Failed", WAITING("ImagePullBackOff", "old")), NULL, NULL},
        {POD("Succeeded", ""), NULL, NULL},
        {POD("Pending", ",\"conditions\":[{\"type\":\"PodScheduled\",\"status\":\"True\"}]"), NULL,
         NULL},
        {"{\"status\":{\"containerStatuses\":[7,{\"state\":[]}],\"initContainerStatuses\":{}}}",
         NULL, NULL},
        {"{}", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_kube_hold h = {0};
        cJSON *pod = parse(cases[i].pod);
        vf_kube_hold_pod(&h, pod);
        expect(&h, cases[i].message, cases[i].hint);
        vf_kube_hold_release(&h);
        cJSON_Delete(pod);
    }
}

#define EVENT(type, reason, message, time)                                                         \
    "{\"type\":\"" type "\",\"reason\":\"" reason "\",\"message\":\"" message                      \
    "\",\"lastTimestamp\":\"" time "\"}"

static void test_hold_events__newest_warning_goes_first(void **state)
{
    static const struct {
        const char *events, *message, *hint;
        enum vf_kube_hold_scope scope;
    } cases[] = {
        {"[" EVENT("Warning", "ProvisioningFailed", "old", "2026-01-01T00:00:01Z") "," EVENT(
             "Warning", "ProvisioningFailed", "new",
             "2026-01-01T00:00:03Z") "," EVENT("Normal", "ExternalProvisioning", "wait",
                                               "2026-01-01T00:00:09Z") "]",
         "the claim: ProvisioningFailed: new", "provisioner", VF_KUBE_HOLD_ALL},
        {"[" EVENT("Normal", "Provisioning", "x", "2026-01-01T00:00:09Z") "," EVENT(
             "Normal", "WaitForFirstConsumer", "waiting", "2026-01-01T00:00:01Z") "]",
         "the claim: WaitForFirstConsumer: waiting", "--bind-immediately", VF_KUBE_HOLD_ALL},
        {"[" EVENT("Normal", "WaitForFirstConsumer", "waiting", "2026-01-01T00:00:01Z") "]", NULL,
         NULL, VF_KUBE_HOLD_WARNINGS},
        {"[" EVENT("Warning", "ProvisioningFailed", "before", "2026-01-01T00:00:01Z") "]", NULL,
         NULL, VF_KUBE_HOLD_BOUND},
        {"[" EVENT("Warning", "ProvisioningFailed", "before", "2026-01-01T00:00:05Z") "," EVENT(
             "Warning", "ErrExceededQuota", "scratch", "2026-01-01T00:00:01Z") "]",
         "the claim: ErrExceededQuota: scratch", "ResourceQuota", VF_KUBE_HOLD_BOUND},
        {"[" EVENT("Warning", "FailedCreate", "pods x is forbidden: exceeded quota: q", "") "]",
         "the claim: FailedCreate: pods x is forbidden: exceeded quota: q", "ResourceQuota",
         VF_KUBE_HOLD_WARNINGS},
        {"[{\"type\":\"Warning\",\"reason\":\"A\",\"eventTime\":\"2026-01-02T00:00:00Z\"},"
         "{\"type\":\"Warning\",\"reason\":\"B\",\"series\":{\"lastObservedTime\":"
         "\"2026-01-03T00:00:00Z\"}},{\"type\":\"Warning\",\"reason\":\"C\",\"metadata\":{"
         "\"creationTimestamp\":\"2026-01-01T00:00:00Z\"}}]",
         "the claim: B", NULL, VF_KUBE_HOLD_ALL},
        {"[7,{},[],{\"type\":7},{\"type\":\"Normal\"}]", NULL, NULL, VF_KUBE_HOLD_ALL},
        {"[]", NULL, NULL, VF_KUBE_HOLD_ALL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_kube_hold h = {0};
        cJSON *events = parse(cases[i].events);
        vf_kube_hold_events(&h, "the claim", events, cases[i].scope);
        expect(&h, cases[i].message, cases[i].hint);
        vf_kube_hold_release(&h);
        cJSON_Delete(events);
    }
}

static void test_hold__first_one_stands_and_texts_are_clean(void **state)
{
    struct vf_kube_hold h = {0};
    cJSON *events =
        parse("[{\"type\":\"Warning\",\"reason\":\"\\u001b[2J\",\"message\":\"a\\nb\"}]");
    (void)state;
    vf_kube_hold_events(&h, "it", events, VF_KUBE_HOLD_ALL);
    vf_kube_hold_set(&h, VF_SPACE, "no", "other");
    assert_int_equal(h.code, 0);
    assert_string_equal(h.message, "it: [2J: a b");
    vf_kube_hold_release(&h);
    assert_null(h.message);
    cJSON_Delete(events);
}

#define EVENTS "/api/v1/namespaces/prod/events"

static void test_hold_fetch__asks_by_uid(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = EVENTS,
         .query = "fieldSelector=involvedObject.uid%3Du1",
         .body = VF_TEST_LIST(EVENT("Warning", "R", "m", ""))},
        {0}};
    struct vf_test_script s;
    struct vf_kube_hold h = {0};
    (void)state;
    vf_test_script_start(&s, routes);
    assert_int_equal(vf_kube_fetch_hold_events(s.kube.client, "prod", "u1", "it",
                                               VF_KUBE_HOLD_WARNINGS, NULL, &h, &s.kube.err),
                     0);
    expect(&h, "it: R: m", NULL);
    vf_kube_hold_release(&h);
    vf_test_script_stop(&s);
}

static void test_hold_fetch__what_may_not_be_read_is_passed_over(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = EVENTS,
         .status = 403,
         .body = "{\"kind\":\"Status\",\"message\":\"x cannot list\",\"code\":403}"},
        {.path = EVENTS "/e", .status = 404},
        {0}};
    static const struct vf_kube_ref ref = {.resource = &vf_kube_events, .name = "e"};
    struct vf_test_script s;
    struct vf_kube_hold h = {0};
    cJSON *object = NULL;
    (void)state;
    vf_test_script_start(&s, routes);
    assert_int_equal(vf_kube_fetch_hold_events(s.kube.client, "prod", "u1", "it", VF_KUBE_HOLD_ALL,
                                               NULL, &h, &s.kube.err),
                     0);
    assert_null(h.message);
    assert_int_equal(vf_kube_get_if_may(s.kube.client, &ref, NULL, &object, &s.kube.err), 0);
    assert_null(object);
    vf_test_script_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hold_pod__names_what_keeps_it),
        cmocka_unit_test(test_hold_events__newest_warning_goes_first),
        cmocka_unit_test(test_hold__first_one_stands_and_texts_are_clean),
        cmocka_unit_test(test_hold_fetch__asks_by_uid),
        cmocka_unit_test(test_hold_fetch__what_may_not_be_read_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
