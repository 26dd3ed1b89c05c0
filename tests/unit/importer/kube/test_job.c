#include "importer/kube/job.h"

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

#define JOBS   "/apis/batch/v1/namespaces/prod/jobs"
#define PODS   "/api/v1/namespaces/prod/pods"
#define EVENTS "/api/v1/namespaces/prod/events"

#define JOB(uid, version, meta, conditions)                                                        \
    "{\"metadata\":{\"name\":\"w\",\"namespace\":\"prod\",\"uid\":\"" uid                          \
    "\",\"resourceVersion\":\"" version "\"" meta "},\"spec\":{\"template\":{\"spec\":{"           \
    "\"containers\":[{\"name\":\"main\"},{\"name\":\"side\"}]}}},\"status\":{\"conditions\":"      \
    "[" conditions "]}}"
#define COMPLETE JOB("j1", "9", "", "{\"type\":\"Complete\",\"status\":\"True\"}")
#define FAILED                                                                                     \
    JOB("j1", "9", "",                                                                             \
        "{\"type\":\"FailureTarget\",\"status\":\"True\"},{\"type\":\"Failed\",\"status\":"        \
        "\"True\",\"message\":\"Job has reached the specified backoff limit\"}")
#define BEGUN JOB("j1", "1", "", "")
#define POD(name, created, phase, state)                                                           \
    "{\"metadata\":{\"name\":\"" name "\",\"uid\":\"u-" name "\",\"creationTimestamp\":\"" created \
    "\",\"ownerReferences\":[{\"uid\":\"j1\"}]},\"status\":{\"phase\":\"" phase                    \
    "\",\"containerStatuses\":[{\"name\":\"side\",\"state\":{\"terminated\":{\"exitCode\":99}}},"  \
    "{\"name\":\"main\"" state "}]}}"
#define ENDED(code, message)                                                                       \
    ",\"state\":{\"terminated\":{\"exitCode\":" code ",\"message\":\"" message "\"}}"
#define RUNNING        ",\"state\":{\"running\":{}}"
#define CHANGE(object) VF_TEST_EVENT("MODIFIED", object)
#define WATCH(events)                                                                              \
    {                                                                                              \
        .path = JOBS, .query = VF_TEST_WATCH, .body = (events)                                     \
    }
#define PODS_ARE(list)                                                                             \
    {                                                                                              \
        .path = PODS, .query = "labelSelector=job-name%3Dw", .body = VF_TEST_LIST(list)            \
    }
#define FIRST(list)                                                                                \
    {                                                                                              \
        .path = PODS, .body = VF_TEST_LIST(list), .times = 1                                       \
    }
#define JOB_IS(job)                                                                                \
    {                                                                                              \
        .path = JOBS, .body = VF_TEST_LIST(job)                                                    \
    }

struct seen {
    struct vf_buf told;
    struct vf_buf lines;
};

static void tell(void *opaque, const char *message, const char *hint)
{
    struct seen *s = opaque;
    vf_buf_printf(&s->told, "[%s|%s]", message, hint ? "hint" : "");
}

static void on_line(void *opaque, const char *line, size_t len)
{
    struct seen *s = opaque;
    (void)len;
    vf_buf_printf(&s->lines, "%s|", line);
}

static int follow(struct vf_test_script *s, const struct vf_test_route *routes, struct seen *seen,
                  struct vf_job_follow f, struct vf_job_end *end)
{
    vf_buf_init(&seen->told, SIZE_MAX);
    vf_buf_init(&seen->lines, SIZE_MAX);
    vf_test_script_start(s, routes);
    *end = (struct vf_job_end){.exit_code = -77};
    f.name = "w";
    f.tell = tell;
    f.opaque = seen;
    f.timeout_ms = f.timeout_ms ? f.timeout_ms : 20000;
    return vf_job_follow(s->kube.client, &f, end, &s->kube.err);
}

static void release(struct vf_test_script *s, struct seen *seen, struct vf_job_end *end)
{
    vf_buf_release(&seen->told);
    vf_buf_release(&seen->lines);
    vf_job_end_release(end);
    vf_test_script_stop(s);
}

static void test_job__that_completes_has_its_log_told(void **state)
{
    static const struct vf_test_route routes[] = {
        JOB_IS(BEGUN),
        WATCH(CHANGE(JOB("j1", "2", "", "")) CHANGE(COMPLETE)),
        FIRST(""),
        FIRST(POD("p1", "1", "Running", RUNNING)),
        PODS_ARE(POD("p1", "1", "Succeeded", ENDED("0", "{\\\"ok\\\":true}"))),
        {.path = EVENTS, .body = VF_TEST_LIST("")},
        {.path = PODS "/p1/log",
         .query = "container=main",
         .body = "2026-11-21T17:27:17.1Z hello\n2026-11-21T17:27:17.2Z bye\n"},
        {0}};
    struct vf_test_script s;
    struct seen seen;
    struct vf_job_end end;
    (void)state;
    const struct vf_job_follow f = {.uid = "j1", .line = on_line};
    assert_int_equal(follow(&s, routes, &seen, f, &end), 0);
    assert_true(end.succeeded);
    assert_int_equal(end.exit_code, 0);
    assert_string_equal(end.message, "{\"ok\":true}");
    assert_string_equal(end.pod_name, "p1");
    assert_string_equal(seen.lines.data, "hello|bye|");
    assert_null(seen.told.data);
    release(&s, &seen, &end);
}

static void test_job__that_fails_has_the_last_pods_word(void **state)
{
    static const struct vf_test_route two_pods[] = {
        JOB_IS(FAILED),
        PODS_ARE(POD("p2", "2026-01-02T00:00:00Z", "Failed", ENDED("3", "second\\nend")) "," POD(
            "p1", "2026-01-01T00:00:00Z", "Failed",
            ENDED("2",
                  "first")) ",{\"metadata\":{\"name\":\"other\",\"creationTimestamp\":\"2027\"}}"),
        {0}};
    static const struct vf_test_route no_word[] = {
        JOB_IS(FAILED), PODS_ARE(POD("p1", "1", "Failed", ENDED("137", ""))), {0}};
    static const struct vf_test_route no_pod[] = {JOB_IS(FAILED), PODS_ARE(""), {0}};
    static const struct vf_test_route restarted[] = {
        JOB_IS(FAILED),
        PODS_ARE(POD("p1", "1", "Running",
                     ",\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}},\"lastState\":{"
                     "\"terminated\":{\"exitCode\":5,\"message\":\"boom\"}}")),
        {0}};
    static const struct vf_test_route out_of_memory[] = {
        JOB_IS(FAILED),
        PODS_ARE(POD("p1", "1", "Failed",
                     ",\"state\":{\"terminated\":{\"exitCode\":137,\"reason\":\"OOMKilled\"}}")),
        {0}};
    static const struct vf_test_route evicted[] = {
        JOB_IS(FAILED),
        PODS_ARE("{\"metadata\":{\"name\":\"p1\",\"ownerReferences\":[{\"uid\":\"j1\"}]},"
                 "\"status\":{\"phase\":\"Failed\",\"reason\":\"Evicted\",\"message\":\"The "
                 "node was low on resource: memory\"}}"),
        {0}};
    static const struct {
        const struct vf_test_route *routes;
        int exit_code;
        const char *reason, *message, *pod;
    } cases[] = {
        {two_pods, 3, NULL, "second end", "p2"},
        {no_word, 137, NULL, "Job has reached the specified backoff limit", "p1"},
        {no_pod, -1, NULL, "Job has reached the specified backoff limit", NULL},
        {restarted, 5, NULL, "boom", "p1"},
        {out_of_memory, 137, "OOMKilled", "Job has reached the specified backoff limit", "p1"},
        {evicted, -1, "Evicted", "The node was low on resource: memory", "p1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_test_script s;
        struct seen seen;
        struct vf_job_end end;
        assert_int_equal(follow(&s, cases[i].routes, &seen, (struct vf_job_follow){0}, &end), 0);
        assert_false(end.succeeded);
        assert_int_equal(end.exit_code, cases[i].exit_code);
        assert_string_equal(end.message, cases[i].message);
        assert_string_equal(end.reason ? end.reason : "-", cases[i].reason ? cases[i].reason : "-");
        assert_int_equal(end.pod_name != NULL, cases[i].pod != NULL);
        if (end.pod_name) {
            assert_string_equal(end.pod_name, cases[i].pod);
        }
        release(&s, &seen, &end);
    }
}

static void test_job__tells_what_holds_its_pod_up(void **state)
{
    static const struct vf_test_route routes[] = {
        JOB_IS(BEGUN),
        WATCH(CHANGE(JOB("j1", "2", "", "")) CHANGE(JOB("j1", "3", "", ""))
                  CHANGE(JOB("j1", "4", "", "")) CHANGE(COMPLETE)),
        FIRST(""),
        FIRST(POD("p1", "1", "Pending", ",\"state\":{\"waiting\":{\"reason\":\"ErrImagePull\"}}")),
        FIRST(POD("p1", "1", "Pending", ",\"state\":{\"waiting\":{\"reason\":\"ErrImagePull\"}}")),
        FIRST(POD("p1", "1", "Pending",
                  ",\"state\":{\"waiting\":{\"reason\":\"ContainerCreating\"}}")),
        PODS_ARE(POD("p1", "1", "Succeeded", ENDED("0", ""))),
        {.path = EVENTS,
         .query = "involvedObject.uid%3Dj1",
         .body = VF_TEST_LIST("{\"type\":\"Warning\",\"reason\":\"FailedCreate\",\"message\":"
                              "\"exceeded quota: q\"}")},
        {.path = EVENTS,
         .query = "involvedObject.uid%3Du-p1",
         .body =
             VF_TEST_LIST("{\"type\":\"Warning\",\"reason\":\"FailedMount\",\"message\":\"no\"}")},
        {0}};
    struct vf_test_script s;
    struct seen seen;
    struct vf_job_end end;
    (void)state;
    assert_int_equal(follow(&s, routes, &seen, (struct vf_job_follow){0}, &end), 0);
    assert_string_equal(seen.told.data,
                        "[the Job has no pod: FailedCreate: exceeded quota: q|hint]"
                        "[pod \"p1\": ErrImagePull|hint][pod \"p1\": FailedMount: no|hint]");
    release(&s, &seen, &end);
}

static void expect_failure(const struct vf_test_route *routes, struct vf_job_follow f, int code,
                           const char *text)
{
    struct vf_test_script s;
    struct seen seen;
    struct vf_job_end end;
    int rc = follow(&s, routes, &seen, f, &end);
    if (rc != code) {
        fail_msg("%d: %s", rc, vf_error_message(s.kube.err));
    }
    vf_test_expect_error(s.kube.err, text);
    vf_test_expect_error(s.kube.err, "Job \"w\"");
    assert_int_equal(end.exit_code, -77);
    release(&s, &seen, &end);
}

static void test_job__that_is_gone_or_another_ends_it(void **state)
{
    static const struct vf_test_route absent[] = {JOB_IS(""), {0}};
    static const struct vf_test_route another[] = {JOB_IS(JOB("j2", "1", "", "")), {0}};
    static const struct vf_test_route dying[] = {
        JOB_IS(JOB("j1", "1", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"", "")), {0}};
    static const struct vf_test_route deleted[] = {
        JOB_IS(BEGUN),
        WATCH(VF_TEST_EVENT("DELETED", JOB("j1", "2", "", ""))),
        PODS_ARE(POD("p1", "1", "Running", RUNNING)),
        {0}};
    static const struct vf_test_route none[] = {
        JOB_IS("{\"metadata\":{\"name\":\"w\",\"uid\":\"j1\"},\"spec\":[]}"), {0}};
    static const struct vf_test_route no_pods[] = {
        JOB_IS(BEGUN),
        {.path = PODS,
         .status = 403,
         .body = "{\"kind\":\"Status\",\"message\":\"x cannot list\",\"code\":403}"},
        {0}};
    const struct vf_job_follow f = {.uid = "j1"};
    (void)state;
    expect_failure(absent, f, VF_MISSING, "is not there");
    expect_failure(another, f, VF_CONFLICT, "another one than the one that was made");
    expect_failure(dying, f, VF_MISSING, "is being deleted");
    expect_failure(deleted, f, VF_MISSING, "was deleted");
    expect_failure(none, f, VF_INVALID, "is none");
    expect_failure(no_pods, f, VF_AUTH, "verb \"list\" on \"pods\"");
}

/* What the worker says while it cleans up is told before it is gone. */
static void test_job__may_be_followed_through_its_deletion(void **state)
{
    static const struct vf_test_route routes[] = {
        JOB_IS(JOB("j1", "1", ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"", "")),
        WATCH(VF_TEST_EVENT("DELETED", JOB("j1", "2", "", ""))),
        PODS_ARE(POD("p1", "1", "Running", RUNNING)),
        {.path = PODS "/p1/log",
         .query = "container=main",
         .body = "2026-11-21T17:27:17.1Z cleaning\n",
         .ends = true},
        {0}};
    struct vf_test_script s;
    struct seen seen;
    struct vf_job_end end;
    const struct vf_job_follow f = {.uid = "j1", .line = on_line, .through_deletion = true};
    (void)state;
    assert_int_equal(follow(&s, routes, &seen, f, &end), VF_MISSING);
    assert_string_equal(seen.lines.data, "cleaning|");
    release(&s, &seen, &end);
}

static void test_job__timeouts_say_what_was_waited_for(void **state)
{
    static const struct vf_test_route waiting[] = {
        JOB_IS(BEGUN),
        WATCH(""),
        PODS_ARE(
            POD("p1", "1", "Pending", ",\"state\":{\"waiting\":{\"reason\":\"ErrImagePull\"}}")),
        {.path = EVENTS, .body = VF_TEST_LIST("")},
        {0}};
    static const struct vf_test_route late[] = {
        JOB_IS(BEGUN),
        WATCH(CHANGE(JOB("j1", "2", "", ""))),
        PODS_ARE(
            POD("p1", "1", "Pending", ",\"state\":{\"waiting\":{\"reason\":\"ErrImagePull\"}}")),
        {.path = EVENTS, .body = VF_TEST_LIST("")},
        {0}};
    struct vf_test_script s;
    struct seen seen;
    struct vf_job_end end;
    const struct vf_job_follow f = {.uid = "j1", .timeout_ms = 500};
    (void)state;
    assert_int_equal(follow(&s, waiting, &seen, f, &end), VF_RETRY);
    assert_string_equal(vf_error_reason(s.kube.err), VF_KUBE_REASON_TIMEOUT);
    vf_test_expect_error(s.kube.err, "its pod did not end within 1 s: pod \"p1\": ErrImagePull");
    vf_test_expect_error(s.kube.err, "may pull");
    release(&s, &seen, &end);
    expect_failure(late, (struct vf_job_follow){.uid = "j1", .start_timeout_ms = 1}, VF_RETRY,
                   "its pod did not start within 0 s: pod \"p1\": ErrImagePull");
}

static void test_job__is_cancelled(void **state)
{
    static const struct vf_test_route routes[] = {
        JOB_IS(BEGUN),
        WATCH(""),
        PODS_ARE(POD("p1", "1", "Running", RUNNING)),
        {.path = PODS "/p1/log", .query = "follow", .body = ""},
        {0}};
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    struct vf_test_script s;
    struct seen seen;
    struct vf_job_end end;
    (void)state;
    vf_cancel_trigger(cancel);
    const struct vf_job_follow f = {.uid = "j1", .line = on_line, .cancel = cancel};
    assert_int_equal(follow(&s, routes, &seen, f, &end), VF_CANCELLED);
    release(&s, &seen, &end);
    vf_cancel_free(cancel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job__that_completes_has_its_log_told),
        cmocka_unit_test(test_job__that_fails_has_the_last_pods_word),
        cmocka_unit_test(test_job__tells_what_holds_its_pod_up),
        cmocka_unit_test(test_job__that_is_gone_or_another_ends_it),
        cmocka_unit_test(test_job__may_be_followed_through_its_deletion),
        cmocka_unit_test(test_job__timeouts_say_what_was_waited_for),
        cmocka_unit_test(test_job__is_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
