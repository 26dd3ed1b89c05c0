#include "importer/kube/job_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/kube_script.h"

#define LOG         "/api/v1/namespaces/prod/pods/p1/log"
#define T(s, nanos) "2026-11-21T17:27:" s "." nanos "Z "

static void test_job_log_parse__knows_times(void **state)
{
    static const struct {
        const char *line;
        int64_t seconds;
        uint32_t nanos;
        const char *text;
    } cases[] = {
        {"1970-01-01T00:00:01Z a b", 1, 0, "a b"},
        {"1970-01-01T00:00:01.5Z ", 1, 500000000, ""},
        {"1970-01-01T00:00:01.000000001Z", 1, 1, ""},
        {"1970-01-01T02:00:01.123456789999+02:00  x", 1, 123456789, " x"},
    };
    static const char *const bad[] = {"",
                                      " ",
                                      "x",
                                      "unable to retrieve container logs",
                                      "2026-99-21T17:27:17Z a",
                                      "2026-11-21T17:27:17.0000000000000000000000000000000Z a"};
    struct vf_job_log_time time;
    const char *text;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(vf_job_log_parse_line(cases[i].line, &time, &text));
        assert_int_equal(time.seconds, cases[i].seconds);
        assert_int_equal(time.nanos, cases[i].nanos);
        assert_string_equal(text, cases[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (vf_job_log_parse_line(bad[i], &time, &text)) {
            fail_msg("\"%s\" has a time", bad[i]);
        }
    }
}

/* Lines are told on the log's thread, and read after its end. */
static void on_line(void *opaque, const char *line, size_t len)
{
    struct vf_buf *b = opaque;
    assert_int_equal(strlen(line), len);
    vf_buf_printf(b, "%s|", len > 100 ? "long" : line);
}

static void read_log(struct vf_test_script *s, const struct vf_test_route *routes, char **ret_text)
{
    struct vf_job_log *log;
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_test_script_start(s, routes);
    assert_int_equal(vf_job_log_new(s->kube.client, "prod", on_line, &b, &log, &s->kube.err), 0);
    vf_job_log_tell_pod(log, "p1", "main", true);
    vf_job_log_finish(log, 20000);
    vf_job_log_free(log);
    *ret_text = vf_buf_take_string(&b);
}

static void expect(const struct vf_test_route *routes, const char *text, unsigned requests)
{
    struct vf_test_script s;
    char *vf_autofree got = NULL;
    read_log(&s, routes, &got);
    assert_string_equal(got, text);
    assert_int_equal(s.kube.n, requests);
    vf_test_script_stop(&s);
}

static void test_job_log__of_an_ended_pod_is_read_once(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = LOG,
         .query = "?follow=true&timestamps=true&container=main",
         .body = T("17", "1") "one\n" T("17", "2") "\n" T("18", "3") "three {\"a\":1}\n" T(
             "18", "4") "last"},
        {0}};
    static const struct vf_test_route empty[] = {{.path = LOG, .query = "follow", .body = ""}, {0}};
    (void)state;
    expect(routes, "one||three {\"a\":1}|last|", 1);
    expect(empty, "", 1);
}

static void test_job_log__lines_without_time_are_the_kubelets(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = LOG,
         .query = "follow",
         .body = "rpc error\n" T("17", "1") "one\n\nfailed to watch file\n"},
        {0}};
    (void)state;
    expect(routes, "one|", 1);
}

static void test_job_log__without_rights_or_pod_is_passed_over(void **state)
{
    static const struct vf_test_route forbidden[] = {
        {.path = LOG,
         .query = "follow",
         .status = 403,
         .body = "{\"kind\":\"Status\",\"message\":\"x cannot get\",\"code\":403}"},
        {0}};
    static const struct vf_test_route gone[] = {{.path = LOG, .query = "follow", .status = 404},
                                                {0}};
    (void)state;
    expect(forbidden, "", 1);
    expect(gone, "", 1);
}

static void test_job_log__that_never_comes_is_given_up(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = LOG, .query = "follow", .status = 500, .body = "kubelet is away"}, {0}};
    (void)state;
    expect(routes, "", 5);
}

/* Breaks in the middle of a line, is taken up from that second on, and gives all that anew. */
static void broken(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    vf_test_check(vf_test_target_has(x, "sinceTime=2026-11-21T17%3A27%3A18Z") == (n > 1));
    vf_test_kube_begin_watch(x);
    switch (n) {
    case 1:
        vf_test_kube_chunk(x, T("17", "5") "a\n" T("18", "25") "b\n" T("18", "25") "c\n");
        vf_test_kube_chunk(x, T("18", "3") "d is cut");
        vf_test_cut(x);
        break;
    case 2:
        vf_test_kube_chunk(x, T("18", "1") "not of ours\n" T("18", "25") "b\n" T("18", "25") "c\n");
        vf_test_kube_chunk(x, T("18", "25") "same time\n" T("18", "3") "d is whole\n");
        vf_test_cut(x);
        break;
    default:
        vf_test_kube_chunk(x, T("18", "25") "b\n" T("18", "25") "c\n" T("18", "25") "same time\n");
        vf_test_kube_chunk(x, T("18", "3") "d is whole\n" T("18", "31") "e\n" T("18", "305") "f\n");
        vf_test_kube_end_watch(x);
    }
}

static void test_job_log__broken_one_is_resumed_without_telling_twice(void **state)
{
    struct vf_test_kube k;
    struct vf_job_log *log;
    struct vf_buf b;
    (void)state;
    vf_buf_init(&b, SIZE_MAX);
    vf_test_kube_start(&k, broken);
    assert_int_equal(vf_job_log_new(k.client, "prod", on_line, &b, &log, &k.err), 0);
    vf_job_log_tell_pod(log, "p1", "main", true);
    vf_job_log_finish(log, 20000);
    vf_job_log_free(log);
    /* What had begun to come is told when it is whole; two streams of a container may cross. */
    assert_string_equal(b.data, "a|b|c|same time|d is whole|e|f|");
    vf_buf_release(&b);
    vf_test_kube_stop(&k);
}

static void test_job_log__long_lines_are_cut(void **state)
{
    char *body = vf_xcalloc(1, 300000);
    struct vf_test_script s;
    char *vf_autofree got = NULL;
    (void)state;
    strcpy(body, T("17", "1"));
    memset(body + strlen(body), 'x', 200000);
    strcat(body, "\n" T("17", "2") "short\n");
    const struct vf_test_route routes[] = {{.path = LOG, .query = "follow", .body = body}, {0}};
    read_log(&s, routes, &got);
    assert_string_equal(got, "long|short|");
    vf_test_script_stop(&s);
    free(body);
}

static void two_pods(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    bool first = vf_test_target_has(x, "/pods/p1/log");
    vf_test_answer(x, 200, NULL, first ? T("17", "1") "one\n" : T("16", "2") "two\n");
}

static void test_job_log__pods_come_in_turn(void **state)
{
    struct vf_test_kube k;
    struct vf_job_log *log;
    struct vf_buf b;
    (void)state;
    vf_buf_init(&b, SIZE_MAX);
    vf_test_kube_start(&k, two_pods);
    assert_int_equal(vf_job_log_new(k.client, "prod", on_line, &b, &log, &k.err), 0);
    vf_job_log_tell_pod(log, "p1", "main", true);
    vf_job_log_tell_pod(log, "p2", "main", false);
    vf_job_log_tell_pod(log, "p1", "main", true);
    vf_job_log_finish(log, 20000);
    vf_job_log_free(log);
    assert_string_equal(b.data, "one|two|");
    vf_buf_release(&b);
    vf_test_kube_stop(&k);
}

static void hanging(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    vf_test_kube_begin_watch(x);
    vf_test_hang(x);
}

static void test_job_log__free_stops_at_once(void **state)
{
    struct vf_test_kube k;
    struct vf_job_log *log;
    (void)state;
    vf_test_kube_start(&k, hanging);
    assert_int_equal(vf_job_log_new(k.client, "prod", on_line, NULL, &log, &k.err), 0);
    vf_job_log_free(log); /* with no pod */
    assert_int_equal(vf_job_log_new(k.client, "prod", on_line, NULL, &log, &k.err), 0);
    vf_job_log_tell_pod(log, "p1", "main", false);
    assert_true(vf_test_server_await_requests(k.server, 1));
    vf_job_log_finish(log, 200); /* gives up */
    vf_job_log_free(log);
    vf_job_log_free(NULL);
    vf_test_kube_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_job_log_parse__knows_times),
        cmocka_unit_test(test_job_log__of_an_ended_pod_is_read_once),
        cmocka_unit_test(test_job_log__lines_without_time_are_the_kubelets),
        cmocka_unit_test(test_job_log__without_rights_or_pod_is_passed_over),
        cmocka_unit_test(test_job_log__that_never_comes_is_given_up),
        cmocka_unit_test(test_job_log__broken_one_is_resumed_without_telling_twice),
        cmocka_unit_test(test_job_log__long_lines_are_cut),
        cmocka_unit_test(test_job_log__pods_come_in_turn),
        cmocka_unit_test(test_job_log__free_stops_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
