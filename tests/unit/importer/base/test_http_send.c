#include "importer/base/http_send.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/base/secret.h"
#include "tests/support/http_server.h"

#define PART_BYTES (100u << 10)
/* More than the buffers of two sockets, a relay and libcurl hold. */
#define MANY_PARTS 1000u

/* How the body of "/record" ended, as vf_test_read_chunked says it; 1: not yet. */
static atomic_int body_end;

static void record_end(struct vf_test_exchange *x)
{
    char bytes[65536];
    ptrdiff_t n;
    while ((n = vf_test_read_chunked(x, bytes, sizeof bytes)) > 0) {
    }
    atomic_store(&body_end, (int)n);
    x->close = true;
}

static void go_on(struct vf_test_exchange *x)
{
    vf_test_printf(x, "HTTP/1.1 100 Continue\r\n\r\n");
}

/* Sum and length of the body, as the answer. */
static void answer_sum(struct vf_test_exchange *x, unsigned pause_ms)
{
    unsigned char bytes[65536];
    unsigned long long sum = 0, len = 0;
    ptrdiff_t n;
    while ((n = vf_test_read_chunked(x, bytes, sizeof bytes)) > 0) {
        for (ptrdiff_t i = 0; i < n; i++) {
            sum = sum * 31 + bytes[i];
        }
        len += (unsigned long long)n;
        if (pause_ms) {
            vf_test_pause(x, (int)pause_ms);
        }
    }
    char text[64];
    snprintf(text, sizeof text, "%lld %llu %llu", (long long)n, len, sum);
    vf_test_answer(x, 200, NULL, text);
}

static void take_some(struct vf_test_exchange *x, size_t len)
{
    char bytes[4096];
    for (size_t have = 0; have < len;) {
        ptrdiff_t n = vf_test_read_chunked(x, bytes, sizeof bytes);
        if (n <= 0) {
            return;
        }
        have += (size_t)n;
    }
}

static void answer_and_reset(struct vf_test_exchange *x)
{
    go_on(x);
    take_some(x, 2 * PART_BYTES);
    vf_test_pause(x, 300);
    vf_test_answer(x, 400, "X-Said: yes\r\n", "because");
    x->close = true; /* with bytes that nobody read: a reset follows the answer */
}

static void take_all(struct vf_test_exchange *x)
{
    char bytes[65536];
    while (vf_test_read_chunked(x, bytes, sizeof bytes) > 0) {
    }
}

/* "/WHEN/STATUS/THEN": answers before, in the middle of or after the body; then closes, takes on
 * what comes, or lingers without taking it, as Go's server does for half a second. */
static void handle_answer(struct vf_test_exchange *x, const char *when, int status,
                          const char *then)
{
    if (strcmp(when, "middle") == 0) {
        go_on(x);
        take_some(x, 3 * PART_BYTES);
    } else if (strcmp(when, "after") == 0) {
        go_on(x);
        take_all(x);
    }
    vf_test_answer(x, status, "X-Said: yes\r\n", "because");
    x->close = true;
    if (strcmp(then, "take") == 0) {
        vf_test_drop(x);
    } else if (strcmp(then, "linger") == 0) {
        vf_test_pause(x, 2000);
    }
}

static void handle(struct vf_test_exchange *x, void *opaque)
{
    (void)opaque;
    char when[16], then[16];
    int status;
    if (sscanf(x->target, "/%15[a-z]/%d/%15[a-z]", when, &status, then) == 3) {
        handle_answer(x, when, status, then);
    } else if (strcmp(x->target, "/sum") == 0) {
        go_on(x);
        answer_sum(x, 0);
    } else if (strcmp(x->target, "/silent-sum") == 0) {
        answer_sum(x, 0); /* a server of HTTP/1.0's time knows no 100 */
    } else if (strcmp(x->target, "/slow-sum") == 0) {
        go_on(x);
        answer_sum(x, 10);
    } else if (strcmp(x->target, "/stall") == 0) {
        go_on(x);
        take_some(x, PART_BYTES);
        vf_test_stall(x);
    } else if (strcmp(x->target, "/answer-and-reset") == 0) {
        answer_and_reset(x);
    } else if (strcmp(x->target, "/record") == 0) {
        go_on(x);
        record_end(x);
    } else if (strcmp(x->target, "/lost") == 0) {
        go_on(x);
        take_all(x);
        x->close = true;
    } else if (strcmp(x->target, "/mute") == 0) {
        go_on(x);
        take_all(x);
        vf_test_hang(x);
    } else if (strcmp(x->target, "/gone") == 0) {
        go_on(x);
        take_some(x, PART_BYTES);
        vf_test_reset(x);
    } else if (strcmp(x->target, "/short-text") == 0) {
        vf_test_printf(x, "HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nnot all");
        x->close = true;
    } else if (strcmp(x->target, "/flood") == 0) {
        vf_test_printf(x, "HTTP/1.1 500 No\r\nContent-Length: 100000\r\n\r\n%0*d", 100000, 0);
        vf_test_drop(x);
    } else if (strcmp(x->target, "/expectation") == 0) {
        char *vf_autofree expect = vf_test_header(x, "Expect");
        if (expect) {
            vf_test_answer(x, 417, NULL, "");
        } else {
            answer_sum(x, 0);
        }
    } else {
        go_on(x);
        take_all(x);
        vf_test_answer(x, 200, NULL, x->head);
    }
}

struct fixture {
    struct vf_test_server *server;
    struct vf_http *http;
    struct vf_http_send *send;
    struct vf_http_request req;
    struct vf_http_response response;
    struct vf_error *err;
    char url[256];
    char part[PART_BYTES];
    unsigned long long sum, len;
};

static int set_up_kind(void **state, enum vf_test_server_kind kind)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->server = vf_test_server_start(kind, handle, NULL);
    struct vf_http_options o = {
        .proxy = "", .stall_timeout_ms = 30000, .ca_file = vf_test_server_ca_file(f->server)};
    assert_int_equal(vf_http_new(&o, NULL, &f->http, NULL), 0);
    unsigned seed = 7;
    for (size_t i = 0; i < PART_BYTES; i++) {
        seed = seed * 1103515245 + 12345;
        f->part[i] = (char)(seed >> 16);
    }
    atomic_store(&body_end, 1);
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_kind(state, VF_TEST_PLAIN);
}

static int set_up_tls(void **state)
{
    return set_up_kind(state, VF_TEST_TLS);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vf_http_send_free(f->send);
    vf_http_response_release(&f->response);
    vf_error_free(f->err);
    vf_http_free(f->http);
    vf_test_server_stop(f->server);
    free(f);
    return 0;
}

static int begin(struct fixture *f, const char *path)
{
    snprintf(f->url, sizeof f->url, "%s%s", vf_test_server_url(f->server), path);
    f->req.url = f->url;
    return vf_http_send_open(f->http, &f->req, &f->send, &f->err);
}

/* What the last write gave, or 0 after all of them. */
static int write_parts(struct fixture *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int rc = vf_http_send_write(f->send, f->part, sizeof f->part, &f->err);
        if (rc) {
            return rc;
        }
        for (size_t k = 0; k < sizeof f->part; k++) {
            f->sum = f->sum * 31 + (unsigned char)f->part[k];
        }
        f->len += sizeof f->part;
    }
    return 0;
}

static int finish(struct fixture *f)
{
    return vf_http_send_finish(f->send, 30000, &f->response, &f->err);
}

static void assert_sum(struct fixture *f)
{
    char text[64];
    snprintf(text, sizeof text, "0 %llu %llu", f->len, f->sum);
    assert_int_equal(f->response.status, 200);
    assert_string_equal(f->response.body, text);
}

static void test_send__whole_body_arrives(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/sum"), 0);
    assert_int_equal(write_parts(f, 40), 0);
    assert_int_equal(vf_http_send_write(f->send, "", 0, &f->err), 0);
    assert_int_equal(finish(f), 0);
    assert_sum(f);
}

static void test_send__empty_body_is_fine(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/sum"), 0);
    assert_int_equal(finish(f), 0);
    assert_string_equal(f->response.body, "0 0 0");
}

static void test_send__no_100_continue_is_fine(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/silent-sum"), 0);
    assert_int_equal(write_parts(f, 3), 0);
    assert_int_equal(finish(f), 0);
    assert_sum(f);
}

static void test_send__417_is_asked_again_without_expect(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/expectation"), 0);
    assert_int_equal(write_parts(f, 3), 0);
    assert_int_equal(finish(f), 0);
    assert_sum(f);
    assert_int_equal(vf_test_server_requests(f->server), 2);
}

static void test_send__slow_reader_is_waited_for(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/slow-sum"), 0);
    assert_int_equal(write_parts(f, 60), 0);
    assert_int_equal(finish(f), 0);
    assert_sum(f);
}

static void test_send__request_is_chunked_http_1_1(void **state)
{
    struct fixture *f = *state;
    const char *headers[] = {"Content-Type: application/octet-stream", NULL};
    struct vf_secret *token = vf_secret_new("Bearer abc", 10);
    f->req.headers = headers;
    f->req.authorization = token;
    assert_int_equal(begin(f, "/echo"), 0);
    vf_secret_free(token);
    assert_int_equal(finish(f), 0);
    const char *head = f->response.body;
    assert_int_equal(strncmp(head, "POST /echo HTTP/1.1\r\n", 21), 0);
    assert_non_null(strstr(head, "\r\nTransfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(head, "\r\nExpect: 100-continue\r\n"));
    assert_non_null(strstr(head, "\r\nAuthorization: Bearer abc\r\n"));
    assert_non_null(strstr(head, "\r\nContent-Type: application/octet-stream\r\n"));
    assert_null(strstr(head, "Content-Length"));
}

static void test_send__each_has_a_connection_of_its_own(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(begin(f, "/sum"), 0);
        assert_int_equal(finish(f), 0);
        vf_http_response_release(&f->response);
        vf_http_send_free(f->send);
        f->send = NULL;
    }
    assert_int_equal(vf_test_server_connections(f->server), 2);
}

static void assert_refused(struct fixture *f, const char *path, int status, unsigned parts)
{
    assert_int_equal(begin(f, path), 0);
    assert_int_equal(write_parts(f, parts), 1);
    assert_int_equal(write_parts(f, 1), 1);
    assert_int_equal(finish(f), 0);
    assert_int_equal(f->response.status, status);
    char *vf_autofree said = vf_http_response_header(&f->response, "X-Said");
    assert_string_equal(said, "yes");
}

static void test_send__refusal_before_the_body_is_told(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, "/before/401/close", 401, 1);
    assert_string_equal(f->response.body, "because");
}

static void test_send__refusal_before_the_body_by_a_server_that_stays(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, "/before/503/take", 503, 1);
    assert_string_equal(f->response.body, "because");
}

static void test_send__refusal_in_the_middle_is_told(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, "/middle/500/take", 500, MANY_PARTS);
    assert_string_equal(f->response.body, "because");
}

static void test_send__refusal_in_the_middle_and_close_is_told(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, "/middle/400/linger", 400, MANY_PARTS);
}

static void test_send__refusal_is_read_after_a_reset(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/answer-and-reset"), 0);
    if (write_parts(f, 3) == 0) {
        assert_int_equal(vf_cancel_wait(NULL, 1000, NULL), 0);
        assert_int_equal(write_parts(f, 1), 1);
    }
    assert_int_equal(finish(f), 0);
    assert_int_equal(f->response.status, 400);
    assert_string_equal(f->response.body, "because");
}

static void test_send__early_success_is_told(void **state)
{
    struct fixture *f = *state;
    assert_refused(f, "/middle/200/take", 200, MANY_PARTS);
}

static void test_send__refusal_after_the_body_is_told(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/after/500/close"), 0);
    assert_int_equal(write_parts(f, 3), 0);
    assert_int_equal(finish(f), 0);
    assert_int_equal(f->response.status, 500);
    assert_string_equal(f->response.body, "because");
}

static void test_send__text_cut_short_is_taken_as_it_came(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/short-text"), 0);
    assert_int_equal(write_parts(f, 1), 1);
    assert_int_equal(finish(f), 0);
    assert_int_equal(f->response.status, 500);
    assert_string_equal(f->response.body, "not all");
}

static void test_send__text_over_the_ceiling_is_refused(void **state)
{
    struct fixture *f = *state;
    f->req.max_answer_bytes = 1000;
    assert_int_equal(begin(f, "/flood"), 0);
    assert_int_equal(write_parts(f, 1), 1);
    assert_int_equal(finish(f), VF_SPACE);
}

static void test_send__lost_answer_has_its_reason(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/lost"), 0);
    assert_int_equal(write_parts(f, 3), 0);
    assert_int_equal(finish(f), VF_RETRY);
    assert_string_equal(vf_error_reason(f->err), VF_HTTP_REASON_ANSWER_LOST);
}

static void test_send__no_answer_ends_after_its_time(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/mute"), 0);
    assert_int_equal(write_parts(f, 3), 0);
    assert_int_equal(vf_http_send_finish(f->send, 300, &f->response, &f->err), VF_RETRY);
    assert_string_equal(vf_error_reason(f->err), VF_HTTP_REASON_ANSWER_LOST);
    assert_non_null(strstr(vf_error_message(f->err), "did not answer"));
}

static void test_send__answer_time_may_be_longer_than_a_stall(void **state)
{
    struct fixture *f = *state;
    f->req.stall_timeout_ms = 100;
    assert_int_equal(begin(f, "/mute"), 0);
    assert_int_equal(vf_http_send_finish(f->send, 700, &f->response, &f->err), VF_RETRY);
    assert_non_null(strstr(vf_error_message(f->err), "did not answer for 1 s"));
}

static void test_send__stall_is_an_error(void **state)
{
    struct fixture *f = *state;
    f->req.stall_timeout_ms = 400;
    assert_int_equal(begin(f, "/stall"), 0);
    assert_int_equal(write_parts(f, MANY_PARTS), VF_RETRY);
    assert_non_null(strstr(vf_error_message(f->err), "took nothing"));
    assert_null(vf_error_reason(f->err));
}

static void test_send__slow_caller_is_no_stall(void **state)
{
    struct fixture *f = *state;
    f->req.stall_timeout_ms = 300;
    assert_int_equal(begin(f, "/sum"), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(write_parts(f, 1), 0);
        assert_int_equal(vf_cancel_wait(NULL, 700, NULL), 0);
    }
    assert_int_equal(finish(f), 0);
    assert_sum(f);
}

static void test_send__broken_connection_is_retry(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/gone"), 0);
    assert_int_equal(write_parts(f, MANY_PARTS), VF_RETRY);
    assert_null(vf_error_reason(f->err));
}

static void test_send__given_up_body_never_ends_cleanly(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(begin(f, "/record"), 0);
    assert_int_equal(write_parts(f, 2), 0);
    vf_http_send_free(f->send);
    f->send = NULL;
    for (int i = 0; i < 300 && atomic_load(&body_end) == 1; i++) {
        vf_cancel_wait(NULL, 100, NULL);
    }
    assert_int_equal(atomic_load(&body_end), -1);
}

static void test_send__refused_connection_is_told_as_not_sent(void **state)
{
    struct fixture *f = *state;
    f->req.url = "http://127.0.0.1:1/";
    assert_int_equal(vf_http_send_open(f->http, &f->req, &f->send, &f->err), VF_RETRY);
    assert_string_equal(vf_error_reason(f->err), VF_HTTP_REASON_NOT_SENT);
}

static void *trigger_soon(void *opaque)
{
    vf_cancel_wait(NULL, 300, NULL);
    vf_cancel_trigger(opaque);
    return NULL;
}

static void test_send__cancellation_ends_a_stall(void **state)
{
    struct fixture *f = *state;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    f->req.cancel = cancel;
    assert_int_equal(begin(f, "/stall"), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, trigger_soon, cancel), 0);
    assert_int_equal(write_parts(f, MANY_PARTS), VF_CANCELLED);
    pthread_join(thread, NULL);
    vf_http_send_free(f->send);
    f->send = NULL;
    vf_cancel_free(cancel);
}

static void test_send__cancellation_ends_the_wait_for_the_answer(void **state)
{
    struct fixture *f = *state;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    f->req.cancel = cancel;
    assert_int_equal(begin(f, "/mute"), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, trigger_soon, cancel), 0);
    assert_int_equal(finish(f), VF_CANCELLED);
    pthread_join(thread, NULL);
    vf_http_send_free(f->send);
    f->send = NULL;
    vf_cancel_free(cancel);
}

#define BOTH(test)                                                                                 \
    {#test, test, set_up, tear_down, NULL},                                                        \
    {                                                                                              \
#test " over TLS", test, set_up_tls, tear_down, NULL                                       \
    }
#define ONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_send__whole_body_arrives),
        ONE(test_send__empty_body_is_fine),
        ONE(test_send__no_100_continue_is_fine),
        ONE(test_send__417_is_asked_again_without_expect),
        BOTH(test_send__slow_reader_is_waited_for),
        ONE(test_send__request_is_chunked_http_1_1),
        ONE(test_send__each_has_a_connection_of_its_own),
        BOTH(test_send__refusal_before_the_body_is_told),
        BOTH(test_send__refusal_before_the_body_by_a_server_that_stays),
        BOTH(test_send__refusal_in_the_middle_is_told),
        BOTH(test_send__refusal_in_the_middle_and_close_is_told),
        BOTH(test_send__refusal_is_read_after_a_reset),
        ONE(test_send__early_success_is_told),
        BOTH(test_send__refusal_after_the_body_is_told),
        ONE(test_send__text_cut_short_is_taken_as_it_came),
        ONE(test_send__text_over_the_ceiling_is_refused),
        BOTH(test_send__lost_answer_has_its_reason),
        ONE(test_send__no_answer_ends_after_its_time),
        ONE(test_send__answer_time_may_be_longer_than_a_stall),
        BOTH(test_send__stall_is_an_error),
        ONE(test_send__slow_caller_is_no_stall),
        BOTH(test_send__broken_connection_is_retry),
        BOTH(test_send__given_up_body_never_ends_cleanly),
        ONE(test_send__refused_connection_is_told_as_not_sent),
        BOTH(test_send__cancellation_ends_a_stall),
        ONE(test_send__cancellation_ends_the_wait_for_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
