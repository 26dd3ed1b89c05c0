#include "importer/kube/virtual_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/kube_script.h"

#define VMS   "/apis/kubevirt.io/v1/namespaces/prod/virtualmachines"
#define START "/apis/subresources.kubevirt.io/v1/namespaces/prod/virtualmachines/web/start"
#define VM(import, uuid, more)                                                                     \
    "{\"metadata\":{\"name\":\"web\",\"labels\":{\"app.kubernetes.io/managed-by\":\"vmferry\","    \
    "\"vmferry.io/import\":\"" import "\"},\"annotations\":{\"vmferry.io/source-uuid\":\"" uuid    \
    "\"}" more "}}"
#define OURS VM("web", "5", "")
#define EXISTS                                                                                     \
    {                                                                                              \
        .method = "POST", .path = VMS, .status = 409,                                              \
        .body =                                                                                    \
            "{\"kind\":\"Status\",\"reason\":\"AlreadyExists\",\"message\":\"exists\",\"code\":"   \
            "409}"                                                                                 \
    }
#define LOST                                                                                       \
    {                                                                                              \
        .method = "POST", .path = VMS, .status = -1, .times = 1                                    \
    }

static int create(struct vf_test_script *s, const struct vf_test_route *routes, bool dry_run,
                  cJSON **ret)
{
    cJSON *object = NULL;
    assert_int_equal(vf_json_parse(OURS, strlen(OURS), "it", &object, NULL), 0);
    *ret = NULL;
    vf_test_script_start(s, routes);
    int rc =
        vf_virtual_machine_create(s->kube.client, NULL, object, dry_run, NULL, ret, &s->kube.err);
    cJSON_Delete(object);
    return rc;
}

static void expect_create(const struct vf_test_route *routes, bool dry_run, int code,
                          const char *text)
{
    struct vf_test_script s;
    cJSON *created;
    int rc = create(&s, routes, dry_run, &created);
    if (rc != code) {
        fail_msg("%d: %s", rc, vf_error_message(s.kube.err));
    }
    assert_int_equal(created != NULL, code == 0);
    if (text) {
        vf_test_expect_error(s.kube.err, text);
    }
    cJSON_Delete(created);
    vf_test_script_stop(&s);
}

static void test_vm_check__names_kubevirt(void **state)
{
    static const struct vf_test_route here[] = {
        {.path = "/apis/kubevirt.io/v1",
         .body = "{\"resources\":[{\"name\":\"virtualmachines\"}]}"},
        {0}};
    static const struct vf_test_route absent[] = {{.path = "/apis/kubevirt.io/v1", .status = 404},
                                                  {.path = "/apis/kubevirt.io", .status = 404},
                                                  {0}};
    struct vf_test_script s;
    (void)state;
    vf_test_script_start(&s, here);
    assert_int_equal(vf_virtual_machine_check(s.kube.client, NULL, &s.kube.err), 0);
    vf_test_script_stop(&s);
    vf_test_script_start(&s, absent);
    assert_int_equal(vf_virtual_machine_check(s.kube.client, NULL, &s.kube.err), VF_UNSUPPORTED);
    vf_test_expect_error(s.kube.err, "install KubeVirt");
    vf_test_script_stop(&s);
}

static void test_vm_create__answer_is_returned(void **state)
{
    static const struct vf_test_route routes[] = {
        {.method = "POST", .path = VMS, .query = "fieldValidation=Strict", .body = OURS}, {0}};
    static const struct vf_test_route dry[] = {
        {.method = "POST", .path = VMS, .query = "dryRun=All", .body = OURS}, {0}};
    (void)state;
    expect_create(routes, false, 0, NULL);
    expect_create(dry, true, 0, NULL);
}

static void test_vm_create__refusals_name_the_fields(void **state)
{
    static const struct vf_test_route invalid[] = {
        {.method = "POST",
         .path = VMS,
         .status = 422,
         .body =
             "{\"kind\":\"Status\",\"reason\":\"Invalid\",\"message\":\"admission webhook \\\"x\\\""
             " denied the request\",\"details\":{\"causes\":[{\"field\":\"spec.template\","
             "\"message\":\"is bad\"}]},\"code\":422}"},
        {0}};
    static const struct vf_test_route denied[] = {
        {.method = "POST",
         .path = VMS,
         .status = 403,
         .body = "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"admission webhook "
                 "\\\"x\\\" denied the request: no such network\",\"code\":403}"},
        {0}};
    static const struct vf_test_route rights[] = {
        {.method = "POST",
         .path = VMS,
         .status = 403,
         .body = "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"message\":\"x cannot create\","
                 "\"code\":403}"},
        {0}};
    static const struct vf_test_route taken[] = {EXISTS, {0}};
    (void)state;
    expect_create(invalid, false, VF_INVALID, "spec.template: is bad");
    expect_create(invalid, true, VF_INVALID, "spec.template: is bad");
    expect_create(denied, false, VF_INVALID, "denied the request: no such network");
    expect_create(rights, false, VF_AUTH, "verb \"create\"");
    expect_create(taken, false, VF_CONFLICT, "exists");
}

static void test_vm_create__lost_answer_is_found_by_name(void **state)
{
    static const struct vf_test_route done[] = {LOST, {.path = VMS "/web", .body = OURS}, {0}};
    static const struct vf_test_route not_done[] = {LOST,
                                                    {.path = VMS "/web", .status = 404},
                                                    {.method = "POST", .path = VMS, .body = OURS},
                                                    {0}};
    /* It was carried out after all, while nobody found it. */
    static const struct vf_test_route late[] = {LOST,
                                                {.path = VMS "/web", .status = 404, .times = 1},
                                                EXISTS,
                                                {.path = VMS "/web", .body = OURS},
                                                {0}};
    (void)state;
    expect_create(done, false, 0, NULL);
    expect_create(not_done, false, 0, NULL);
    expect_create(late, false, 0, NULL);
}

static void test_vm_create__another_under_the_name_is_conflict(void **state)
{
    static const char *const others[] = {
        VM("web", "6", ""), VM("db", "5", ""),
        VM("web", "5", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\""),
        "{\"metadata\":{\"name\":\"web\"}}"};
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const struct vf_test_route routes[] = {LOST, {.path = VMS "/web", .body = others[i]}, {0}};
        expect_create(routes, false, VF_CONFLICT, "made by another");
    }
}

#define NO_WEBHOOK                                                                                 \
    "{\"kind\":\"Status\",\"reason\":\"InternalError\",\"message\":\"failed calling webhook "      \
    "\\\"x\\\": connection refused\",\"code\":500}"

static void test_vm_create__webhook_that_is_away_is_waited_for(void **state)
{
    static const struct vf_test_route back[] = {
        {.method = "POST", .path = VMS, .status = 500, .body = NO_WEBHOOK, .times = 2},
        {.method = "POST", .path = VMS, .body = OURS},
        {.path = VMS "/web", .status = 404},
        {0}};
    static const struct vf_test_route away[] = {
        {.method = "POST", .path = VMS, .status = 500, .body = NO_WEBHOOK},
        {.path = VMS "/web", .status = 404},
        {0}};
    (void)state;
    expect_create(back, false, 0, NULL);
    expect_create(away, false, VF_RETRY, "failed calling webhook");
}

static void expect_start(const struct vf_test_route *routes, int code)
{
    struct vf_test_script s;
    vf_test_script_start(&s, routes);
    int rc = vf_virtual_machine_start(s.kube.client, NULL, "web", NULL, &s.kube.err);
    if (rc != code) {
        fail_msg("%d: %s", rc, vf_error_message(s.kube.err));
    }
    vf_test_script_stop(&s);
}

#define REFUSED                                                                                    \
    {                                                                                              \
        .method = "PUT", .path = START, .status = 409,                                             \
        .body =                                                                                    \
            "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"VM is already running\","  \
            "\"code\":409}"                                                                        \
    }

static void test_vm_start__is_asked_once_or_found_done(void **state)
{
    static const struct vf_test_route accepted[] = {{.method = "PUT", .path = START, .status = 202},
                                                    {0}};
    static const struct vf_test_route always[] = {
        REFUSED, {.path = VMS "/web", .body = "{\"spec\":{\"runStrategy\":\"Always\"}}"}, {0}};
    static const struct vf_test_route running[] = {
        REFUSED,
        {.path = VMS "/web",
         .body = "{\"spec\":{\"runStrategy\":\"RerunOnFailure\"},\"status\":{\"printableStatus\":"
                 "\"Running\"}}"},
        {0}};
    static const struct vf_test_route lost[] = {
        {.method = "PUT", .path = START, .status = -1, .times = 1},
        REFUSED,
        {.path = VMS "/web", .body = "{\"spec\":{\"runStrategy\":\"Always\"}}"},
        {0}};
    static const struct vf_test_route stopped[] = {
        REFUSED,
        {.path = VMS "/web",
         .body = "{\"spec\":{\"runStrategy\":\"Manual\"},\"status\":{\"printableStatus\":"
                 "\"Stopped\"}}"},
        {0}};
    static const struct vf_test_route absent[] = {{.method = "PUT", .path = START, .status = 404},
                                                  {0}};
    (void)state;
    expect_start(accepted, 0);
    expect_start(always, 0);
    expect_start(running, 0);
    expect_start(lost, 0);
    expect_start(stopped, VF_CONFLICT);
    expect_start(absent, VF_MISSING);
}

static int tell(void *opaque, const char *status, const char *message)
{
    struct vf_buf *b = opaque;
    vf_buf_printf(b, "[%s|%s]", status, message);
    return strcmp(status, "Enough") == 0;
}

#define STATUS(version, status, more)                                                              \
    "{\"metadata\":{\"name\":\"web\",\"namespace\":\"prod\",\"uid\":\"u\",\"resourceVersion\":"    \
    "\"" version "\"},\"status\":{\"printableStatus\":\"" status "\"" more "}}"
#define CONDITION(type, status, message)                                                           \
    ",\"conditions\":[{\"type\":\"" type "\",\"status\":\"" status "\",\"message\":\"" message     \
    "\"}]"
#define CHANGE(object) VF_TEST_EVENT("MODIFIED", object)

static void expect_wait(const char *first, const char *events, int64_t timeout_ms, int code,
                        const char *told, const char *text)
{
    const struct vf_test_route routes[] = {
        {.path = VMS, .body = first}, {.path = VMS, .query = VF_TEST_WATCH, .body = events}, {0}};
    struct vf_test_script s;
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_test_script_start(&s, routes);
    int rc = vf_virtual_machine_wait_running(s.kube.client, NULL, "web", timeout_ms, tell, &b, NULL,
                                             &s.kube.err);
    if (rc != code) {
        fail_msg("%d: %s", rc, vf_error_message(s.kube.err));
    }
    char *vf_autofree got = vf_buf_take_string(&b);
    assert_string_equal(got, told);
    if (text) {
        vf_test_expect_error(s.kube.err, text);
    }
    vf_test_script_stop(&s);
}

static void test_vm_wait__follows_until_it_runs(void **state)
{
    (void)state;
    expect_wait(VF_TEST_LIST(STATUS("1", "Stopped", "")),
                CHANGE(STATUS("2", "Starting", CONDITION("Ready", "False", "no guest")))
                    CHANGE(STATUS("3", "Starting", CONDITION("Ready", "False", "no guest")))
                        CHANGE(STATUS("4", "Running", CONDITION("Ready", "True", "x"))),
                20000, 0, "[Stopped|][Starting|no guest][Running|]", NULL);
    expect_wait(VF_TEST_LIST(STATUS("1", "Enough", "")), "", 20000, 0, "[Enough|]", NULL);
}

static void test_vm_wait__ends_where_it_gets_stuck(void **state)
{
    (void)state;
    expect_wait(VF_TEST_LIST(STATUS("1", "ErrorUnschedulable",
                                    CONDITION("PodScheduled", "False", "0/1 nodes"))),
                "", 20000, VF_CONFLICT, "[ErrorUnschedulable|0/1 nodes]",
                "virtual machine \"web\": it does not start: its status is ErrorUnschedulable: "
                "0/1 nodes");
    expect_wait(VF_TEST_LIST(STATUS("1", "DataVolumeError", "")), "", 20000, VF_CONFLICT,
                "[DataVolumeError|]", "look at the DataVolumes");
    expect_wait(VF_TEST_LIST(STATUS(
                    "1", "Stopped",
                    CONDITION("Failure", "True", "admission webhook denied the request: bad"))),
                "", 20000, VF_CONFLICT, "[Stopped|admission webhook denied the request: bad]",
                "denied the request: bad");
    expect_wait(VF_TEST_LIST(STATUS("1", "Starting", "")),
                VF_TEST_EVENT("DELETED", STATUS("2", "Starting", "")), 20000, VF_MISSING,
                "[Starting|]", "it is not there");
    expect_wait(VF_TEST_LIST(""), "", 20000, VF_MISSING, "", "it is not there");
}

static void test_vm_wait__timeout_tells_the_last_status(void **state)
{
    (void)state;
    expect_wait(VF_TEST_LIST(STATUS("1", "Starting", CONDITION("Ready", "False", "slow"))), "", 300,
                VF_RETRY, "[Starting|slow]", "its status is Starting: slow");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_check__names_kubevirt),
        cmocka_unit_test(test_vm_create__answer_is_returned),
        cmocka_unit_test(test_vm_create__refusals_name_the_fields),
        cmocka_unit_test(test_vm_create__lost_answer_is_found_by_name),
        cmocka_unit_test(test_vm_create__another_under_the_name_is_conflict),
        cmocka_unit_test(test_vm_create__webhook_that_is_away_is_waited_for),
        cmocka_unit_test(test_vm_start__is_asked_once_or_found_done),
        cmocka_unit_test(test_vm_wait__follows_until_it_runs),
        cmocka_unit_test(test_vm_wait__ends_where_it_gets_stuck),
        cmocka_unit_test(test_vm_wait__timeout_tells_the_last_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
