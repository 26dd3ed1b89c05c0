#include "importer/base/http.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "tests/support/http_server.h"

static void answer_range(struct vf_test_exchange *x, const char *kind)
{
    if (strcmp(kind, "right") == 0) {
        vf_test_printf(x, "HTTP/1.1 206 Part\r\nContent-Range: bytes 2-4/10\r\n"
                          "Content-Length: 3\r\n\r\ncde");
    } else if (strcmp(kind, "other") == 0) {
        vf_test_printf(x, "HTTP/1.1 206 Part\r\nContent-Range: bytes 0-2/10\r\n"
                          "Content-Length: 3\r\n\r\nabc");
    } else if (strcmp(kind, "longer") == 0) {
        vf_test_printf(x, "HTTP/1.1 206 Part\r\nContent-Range: bytes 2-9/10\r\n"
                          "Content-Length: 8\r\n\r\ncdefghij");
    } else if (strcmp(kind, "echo") == 0) {
        char *vf_autofree range = vf_test_header(x, "Range");
        char *vf_autofree text = vf_xasprintf("%-9s", range ? range : "");
        vf_test_answer(x, 206, "Content-Range: bytes 2-10/11\r\n", text);
    } else if (strcmp(kind, "untold") == 0) {
        vf_test_answer(x, 206, NULL, "cde");
    } else if (strcmp(kind, "of-unknown") == 0) {
        vf_test_answer(x, 206, "Content-Range: bytes 2-4/*\r\n", "cde");
    } else if (strcmp(kind, "of-nonsense") == 0) {
        vf_test_answer(x, 206, "Content-Range: bytes 2-4/many\r\n", "cde");
    } else if (strcmp(kind, "encoded") == 0) {
        vf_test_answer(x, 206, "Content-Range: bytes 2-4/10\r\nContent-Encoding: gzip\r\n", "cde");
    } else if (strcmp(kind, "beyond") == 0) {
        vf_test_answer(x, 416, "Content-Range: bytes */10\r\n", "no");
    } else {
        vf_test_answer(x, 200, NULL, "abcdefghij");
    }
}

static void answer_broken(struct vf_test_exchange *x, const char *kind)
{
    static const char chunk[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n";
    if (strcmp(kind, "chunked") == 0) {
        vf_test_send(x, chunk, sizeof chunk - 1);
    } else if (strcmp(kind, "length") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabcd");
    } else if (strcmp(kind, "reset") == 0) {
        vf_test_send(x, chunk, sizeof chunk - 1);
        vf_test_reset(x);
    } else if (strcmp(kind, "headers") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Len");
    }
    x->close = true;
}

static void answer_headers(struct vf_test_exchange *x, unsigned n)
{
    vf_test_printf(x, "HTTP/1.1 200 OK\r\n");
    for (unsigned i = 0; i < n; i++) {
        vf_test_printf(x, "X-Filler-%u: %0*d\r\n", i, 1000, 0);
    }
    vf_test_printf(x, "Content-Length: 0\r\n\r\n");
}

static void answer_slow(struct vf_test_exchange *x, bool stall)
{
    vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    for (int i = 0; i < 10; i++) {
        vf_test_send(x, "s", 1);
        if (stall && i == 3) {
            vf_test_hang(x);
            return;
        }
        vf_test_pause(x, 80);
    }
}

/* The path says how to answer. */
static void handle(struct vf_test_exchange *x, void *opaque)
{
    (void)opaque;
    if (strncmp(x->target, "/status/", 8) == 0) {
        vf_test_answer(x, (int)strtol(x->target + 8, NULL, 10), "Location: /elsewhere\r\n",
                       "a body");
    } else if (strncmp(x->target, "/headers/", 9) == 0) {
        answer_headers(x, (unsigned)strtoul(x->target + 9, NULL, 10));
    } else if (strncmp(x->target, "/range/", 7) == 0) {
        answer_range(x, x->target + 7);
    } else if (strncmp(x->target, "/broken/", 8) == 0) {
        answer_broken(x, x->target + 8);
    } else if (strcmp(x->target, "/chunked") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "4\r\nabcd\r\n3\r\nefg\r\n0\r\nX-Trailer: 1\r\n\r\n");
    } else if (strcmp(x->target, "/interim") == 0) {
        vf_test_printf(x, "HTTP/1.1 103 Early\r\nX-Early: 1\r\n\r\n"
                          "HTTP/1.1 200 OK\r\nX-Late: 1\r\nContent-Length: 2\r\n\r\nok");
    } else if (strcmp(x->target, "/slow") == 0 || strcmp(x->target, "/stall") == 0) {
        answer_slow(x, x->target[2] == 't');
    } else if (strcmp(x->target, "/hang") == 0) {
        vf_test_hang(x);
    } else if (strcmp(x->target, "/gibberish") == 0) {
        vf_test_printf(x, "220 mail.test ESMTP\r\n");
        x->close = true;
    } else if (strcmp(x->target, "/close-after") == 0) {
        vf_test_answer(x, 200, NULL, "bye");
        x->close = true; /* without having said so: the client believes in keep-alive */
    } else if (strcmp(x->target, "/refuse-body") == 0) {
        vf_test_reset(x);
    } else {
        /* What came, as the body. */
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nX-Padded:  \t value \r\nContent-Length: %zu\r\n\r\n",
                       strlen(x->head) + x->body_len);
        vf_test_send(x, x->head, strlen(x->head));
        vf_test_send(x, x->body, x->body_len);
    }
}

struct fixture {
    struct vf_test_server *server;
    struct vf_http *http;
    struct vf_http_response response;
    struct vf_error *err;
    char url[256];
};

/* Long enough for a loaded machine under a sanitizer; tests of a silent peer choose a short one. */
enum { PATIENT_MS = 60000, STALL_MS = 400 };

static int set_up_with(void **state, int64_t stall_timeout_ms)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->server = vf_test_server_start(VF_TEST_PLAIN, handle, NULL);
    struct vf_http_options o = {.proxy = "", .stall_timeout_ms = stall_timeout_ms};
    assert_int_equal(vf_http_new(&o, NULL, &f->http, NULL), 0);
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, PATIENT_MS);
}

static int set_up_stalling(void **state)
{
    return set_up_with(state, STALL_MS);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vf_http_free(f->http);
    vf_test_server_stop(f->server);
    vf_http_response_release(&f->response);
    vf_error_free(f->err);
    free(f);
    return 0;
}

static const char *url_of(struct fixture *f, const char *path)
{
    snprintf(f->url, sizeof f->url, "%s%s", vf_test_server_url(f->server), path);
    return f->url;
}

static int fetch(struct fixture *f, struct vf_http_request req, const char *path)
{
    vf_http_response_release(&f->response);
    vf_error_clear(&f->err);
    req.url = url_of(f, path);
    return vf_http_fetch(f->http, &req, &f->response, &f->err);
}

static int get(struct fixture *f, const char *path)
{
    return fetch(f, (struct vf_http_request){0}, path);
}

static int get_range(struct fixture *f, const char *path, uint64_t first, uint64_t last)
{
    struct vf_http_request req = {.use_range = true, .range_first = first, .range_last = last};
    return fetch(f, req, path);
}

static void test_http_fetch__gives_status_headers_body(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/a?b=c"), 0);
    assert_int_equal(f->response.status, 200);
    assert_ptr_equal(strstr(f->response.body, "GET /a?b=c HTTP/1.1\r\n"), f->response.body);
    assert_int_equal(strlen(f->response.body), f->response.body_len);
    assert_non_null(strstr(f->response.body, "User-Agent: vmferry/" VF_VERSION "\r\n"));
    char *vf_autofree value = vf_http_response_header(&f->response, "x-padded");
    assert_string_equal(value, "value");
    assert_null(vf_http_response_header(&f->response, "x-pad"));
}

static void test_http_fetch__any_status_is_success(void **state)
{
    struct fixture *f = *state;
    static const int statuses[] = {201, 302, 400, 401, 404, 416, 500, 503};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        char path[32];
        snprintf(path, sizeof path, "/status/%d", statuses[i]);
        assert_int_equal(get(f, path), 0);
        assert_int_equal(f->response.status, statuses[i]); /* 302: not followed */
        assert_string_equal(f->response.body, "a body");
    }
}

static void test_http_fetch__sends_body_headers_cookie(void **state)
{
    struct fixture *f = *state;
    const char *const headers[] = {"Content-Type: text/xml", "SOAPAction: \"urn:vim25/8.0\"", NULL};
    struct vf_http_request req = {
        .body = "<x/>", .body_len = 4, .headers = headers, .cookie = "session=\"quoted value\""};
    assert_int_equal(fetch(f, req, "/sdk"), 0);
    assert_ptr_equal(strstr(f->response.body, "POST /sdk HTTP/1.1\r\n"), f->response.body);
    assert_non_null(strstr(f->response.body, "\r\nContent-Type: text/xml\r\n"));
    assert_non_null(strstr(f->response.body, "\r\nSOAPAction: \"urn:vim25/8.0\"\r\n"));
    assert_non_null(strstr(f->response.body, "\r\nCookie: session=\"quoted value\"\r\n"));
    assert_non_null(strstr(f->response.body, "\r\nContent-Length: 4\r\n"));
    assert_non_null(strstr(f->response.body, "\r\n\r\n<x/>"));
}

static void test_http_fetch__adds_no_expect_and_no_form_type(void **state)
{
    struct fixture *f = *state;
    size_t len = 3 << 20;
    char *vf_autofree body = vf_xcalloc(len + 1, 1);
    memset(body, 'b', len);
    struct vf_http_request req = {.method = "PUT", .body = body, .body_len = len};
    assert_int_equal(fetch(f, req, "/put"), 0);
    assert_ptr_equal(strstr(f->response.body, "PUT /put HTTP/1.1\r\n"), f->response.body);
    assert_null(strstr(f->response.body, "Expect"));
    assert_null(strstr(f->response.body, "Content-Type"));
    assert_non_null(strstr(f->response.body, body));
}

static void test_http_fetch__head_has_no_body(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fetch(f, (struct vf_http_request){.method = "HEAD"}, "/status/200"), 0);
    assert_int_equal(f->response.body_len, 0);
    char *vf_autofree length = vf_http_response_header(&f->response, "content-length");
    assert_string_equal(length, "6");
}

static void test_http_fetch__post_without_body_has_length_zero(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fetch(f, (struct vf_http_request){.method = "POST"}, "/p"), 0);
    assert_non_null(strstr(f->response.body, "\r\nContent-Length: 0\r\n"));
}

static void test_http_fetch__line_break_in_header_is_invalid(void **state)
{
    struct fixture *f = *state;
    const char *const headers[] = {"X: a\r\nY: b", NULL};
    assert_int_equal(fetch(f, (struct vf_http_request){.headers = headers}, "/"), VF_INVALID);
    assert_int_equal(fetch(f, (struct vf_http_request){.cookie = "a\nb"}, "/"), VF_INVALID);
    assert_null(strstr(vf_error_message(f->err), "a\nb"));
    assert_int_equal(get(f, "/"), 0);
    assert_null(strstr(f->response.body, "\r\nX:"));
}

static void test_http_fetch__bad_url_is_invalid(void **state)
{
    struct fixture *f = *state;
    static const char *const urls[] = {"",
                                       "http://",
                                       "ftp://x/y",
                                       "file:///etc/passwd",
                                       "http://x:99999/",
                                       "http://a b/",
                                       "https://[::1/"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        vf_error_clear(&f->err);
        struct vf_http_request req = {.url = urls[i]};
        assert_int_equal(vf_http_fetch(f->http, &req, &f->response, &f->err), VF_INVALID);
    }
}

static void test_http_fetch__decodes_chunks(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/chunked"), 0);
    assert_string_equal(f->response.body, "abcdefg");
    assert_null(strstr(f->response.headers, "X-Trailer"));
}

static void test_http_fetch__interim_answer_is_dropped(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/interim"), 0);
    assert_int_equal(f->response.status, 200);
    assert_null(strstr(f->response.headers, "X-Early"));
    assert_non_null(strstr(f->response.headers, "X-Late: 1\r\n"));
}

static void test_http_fetch__broken_answer_is_retry(void **state)
{
    struct fixture *f = *state;
    static const char *const kinds[] = {"chunked", "length", "reset", "headers", "nothing"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char path[32];
        snprintf(path, sizeof path, "/broken/%s", kinds[i]);
        assert_int_equal(get(f, path), VF_RETRY);
        assert_non_null(strstr(vf_error_message(f->err), "\"127.0.0.1\""));
        assert_null(f->response.body);
    }
    assert_int_equal(get(f, "/after"), 0);
}

static void test_http_fetch__refused_connection_is_retry(void **state)
{
    struct fixture *f = *state;
    struct vf_test_server *gone = vf_test_server_start(VF_TEST_PLAIN, handle, NULL);
    char *vf_autofree url = vf_xasprintf("%s/", vf_test_server_url(gone));
    vf_test_server_stop(gone);
    struct vf_http_request req = {.url = url};
    assert_int_equal(vf_http_fetch(f->http, &req, &f->response, &f->err), VF_RETRY);
    assert_non_null(strstr(vf_error_message(f->err), "refused"));
    assert_non_null(vf_error_get_hint(f->err));
}

static void test_http_fetch__not_http_is_invalid(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/gibberish"), VF_INVALID);
}

static void test_http_fetch__answer_over_ceiling_is_space(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fetch(f, (struct vf_http_request){.max_answer_bytes = 6}, "/status/200"), 0);
    assert_int_equal(fetch(f, (struct vf_http_request){.max_answer_bytes = 5}, "/status/200"),
                     VF_SPACE);
    assert_int_equal(fetch(f, (struct vf_http_request){.max_answer_bytes = 6}, "/chunked"),
                     VF_SPACE);
}

static void test_http_fetch__headers_over_ceiling_is_space(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/headers/100"), 0);
    assert_int_equal(get(f, "/headers/1000"), VF_SPACE);
}

static void test_http_fetch__range_is_checked(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get_range(f, "/range/right", 2, 4), 0);
    assert_string_equal(f->response.body, "cde");
    assert_int_equal(get_range(f, "/range/whole", 2, 4), VF_UNSUPPORTED);
    assert_int_equal(get_range(f, "/range/other", 2, 4), VF_INVALID);
    assert_int_equal(get_range(f, "/range/longer", 2, 4), VF_INVALID);
    assert_int_equal(get_range(f, "/range/longer", 2, UINT64_MAX), 0);
    assert_int_equal(get_range(f, "/range/untold", 2, 4), VF_INVALID);
    assert_int_equal(get_range(f, "/range/of-nonsense", 2, 4), VF_INVALID);
    assert_int_equal(get_range(f, "/range/right", 4, 2), VF_RANGE);
    assert_int_equal(get_range(f, "/range/beyond", 20, 24), 0);
    assert_int_equal(f->response.status, 416);
}

static void test_http_fetch__range_of_another_size_is_conflict(void **state)
{
    struct fixture *f = *state;
    struct vf_http_request req = {
        .use_range = true, .range_first = 2, .range_last = 4, .range_total_bytes = 10};
    assert_int_equal(fetch(f, req, "/range/right"), 0);
    assert_int_equal(fetch(f, req, "/range/of-unknown"), 0);
    req.range_total_bytes = 11;
    assert_int_equal(fetch(f, req, "/range/right"), VF_CONFLICT);
    assert_non_null(strstr(vf_error_message(f->err), "10 bytes in all where 11"));
    assert_int_equal(fetch(f, req, "/range/of-unknown"), 0);
    assert_int_equal(fetch(f, req, "/range/other"), VF_INVALID);
}

static void test_http_fetch__range_of_encoded_content_is_unsupported(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get_range(f, "/range/encoded", 2, 4), VF_UNSUPPORTED);
}

static void test_http_fetch__range_is_sent(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get_range(f, "/status/404", 5, 9), 0); /* no 2xx: the caller's to judge */
    assert_int_equal(f->response.status, 404);
    assert_int_equal(get_range(f, "/range/echo", 2, 10), 0);
    assert_string_equal(f->response.body, "bytes=2-10");
    assert_int_equal(get_range(f, "/range/echo", 2, UINT64_MAX), 0);
    assert_string_equal(f->response.body, "bytes=2- ");
}

static void test_http_fetch__connection_is_kept(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(get(f, "/"), 0);
    }
    assert_int_equal(vf_test_server_connections(f->server), 1);
}

static void test_http_fetch__closed_idle_connection_is_replaced(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(get(f, "/close-after"), 0);
        assert_string_equal(f->response.body, "bye");
    }
}

/* On a kept connection that dies libcurl repeats a request by itself, whatever it asked for. */
static void test_http_fetch__once_is_never_sent_twice(void **state)
{
    struct fixture *f = *state;
    struct vf_http_request req = {.body = "x", .body_len = 1};
    assert_int_equal(get(f, "/"), 0);
    assert_int_equal(fetch(f, req, "/broken/nothing"), VF_RETRY);
    assert_int_equal(vf_test_server_requests(f->server), 3); /* the repetition is real */
    assert_int_equal(get(f, "/"), 0);
    req.once = true;
    assert_int_equal(fetch(f, req, "/broken/nothing"), VF_RETRY);
    assert_int_equal(vf_test_server_requests(f->server), 5);
}

static void *fetch_many(void *opaque)
{
    struct fixture *f = opaque;
    char *vf_autofree url = vf_xasprintf("%s/", vf_test_server_url(f->server));
    intptr_t good = 0;
    for (int i = 0; i < 20; i++) {
        struct vf_http_response r = {0};
        struct vf_http_request req = {.url = url};
        good += vf_http_fetch(f->http, &req, &r, NULL) == 0 && r.status == 200;
        vf_http_response_release(&r);
    }
    return (void *)good;
}

static void test_http_fetch__threads_share_a_client(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, fetch_many, f), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *good;
        pthread_join(threads[i], &good);
        assert_int_equal((intptr_t)good, 20);
    }
    assert_in_range(vf_test_server_connections(f->server), 1, 4);
}

static void test_http_fetch__deadline_is_retry(void **state)
{
    struct fixture *f = *state;
    int64_t begin_ms = vf_clock_ms();
    assert_int_equal(fetch(f, (struct vf_http_request){.timeout_ms = 300}, "/hang"), VF_RETRY);
    assert_in_range(vf_clock_ms() - begin_ms, 300, 20000);
    assert_non_null(strstr(vf_error_message(f->err), "did not answer"));
}

static void test_http_fetch__wait_for_first_byte_is_no_stall(void **state)
{
    struct fixture *f = *state;
    int64_t begin_ms = vf_clock_ms();
    assert_int_equal(fetch(f, (struct vf_http_request){.timeout_ms = 900}, "/hang"), VF_RETRY);
    assert_true(vf_clock_ms() - begin_ms >= 900); /* the stall time is 400 */
}

static void test_http_fetch__stall_in_body_is_retry(void **state)
{
    struct fixture *f = *state;
    int64_t begin_ms = vf_clock_ms();
    assert_int_equal(get(f, "/stall"), VF_RETRY);
    assert_in_range(vf_clock_ms() - begin_ms, STALL_MS, 20000);
    assert_non_null(strstr(vf_error_message(f->err), "sent nothing"));
}

static void test_http_fetch__slow_body_is_no_stall(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, "/slow"), 0); /* 800 ms, with a stall time of 400 */
    assert_string_equal(f->response.body, "ssssssssss");
}

static void test_http_fetch__peer_gone_while_sending_is_retry(void **state)
{
    struct fixture *f = *state;
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR); /* would end the program */
    size_t len = 64 << 20;
    char *vf_autofree body = vf_xcalloc(len, 1);
    const char *const headers[] = {"X-Body: late", NULL};
    struct vf_http_request req = {.body = body, .body_len = len, .headers = headers};
    assert_int_equal(fetch(f, req, "/refuse-body"), VF_RETRY);
}

static void test_http_debug__shows_no_secret(void **state)
{
    struct fixture *f = *state;
    const char *const headers[] = {"Authorization: Bearer TOKEN-SECRET", NULL};
    struct vf_http_request req = {.headers = headers, .cookie = "COOKIE-SECRET"};
    FILE *log = tmpfile();
    int saved = dup(STDERR_FILENO);
    assert_true(log && saved >= 0);
    fflush(stderr);
    dup2(fileno(log), STDERR_FILENO);
    vf_log_set_debug(true);
    int rc = fetch(f, req, "/nfc/TICKET-SECRET/disk-0.vmdk?QUERY-SECRET");
    vf_log_set_debug(false);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(rc, 0);
    char text[4096];
    rewind(log);
    text[fread(text, 1, sizeof text - 1, log)] = '\0';
    fclose(log);
    assert_non_null(strstr(text, "GET http://127.0.0.1:"));
    assert_non_null(strstr(text, "/nfc/..."));
    assert_null(strstr(text, "SECRET"));
}

static void test_http_status_code__follows_table(void **state)
{
    (void)state;
    static const struct {
        long status;
        int code;
    } table[] = {{200, VF_OK},          {206, VF_OK},       {299, VF_OK},     {100, VF_INVALID},
                 {302, VF_INVALID},     {400, VF_INVALID},  {401, VF_AUTH},   {403, VF_AUTH},
                 {404, VF_MISSING},     {410, VF_MISSING},  {408, VF_RETRY},  {429, VF_RETRY},
                 {409, VF_CONFLICT},    {412, VF_CONFLICT}, {416, VF_RANGE},  {500, VF_RETRY},
                 {501, VF_UNSUPPORTED}, {503, VF_RETRY},    {599, VF_RETRY},  {600, VF_INVALID},
                 {0, VF_INVALID},       {-1, VF_INVALID},   {418, VF_INVALID}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(vf_http_status_code(table[i].status), table[i].code);
    }
}

static void test_http_response_error__quotes_and_tells_retry_after(void **state)
{
    (void)state;
    char body[] = "out of\r\n\tsessions \033[31m";
    char headers[] = "Server: x\r\nretry-after:  7 \r\n";
    struct vf_http_response r = {.status = 503, .body = body, .headers = headers};
    struct vf_error *err = NULL;
    assert_int_equal(vf_http_response_error(&r, "vc.test", &err), VF_RETRY);
    assert_string_equal(vf_error_message(err),
                        "\"vc.test\" answered with status 503: out of sessions [31m");
    assert_int_equal(vf_error_http_status(err), 503);
    assert_int_equal(vf_error_retry_after_ms(err), 7000);
    vf_error_free(err);
}

static int64_t retry_after(const char *value)
{
    char headers[128];
    snprintf(headers, sizeof headers, "Retry-After: %s\r\n", value);
    struct vf_http_response r = {.status = 503, .headers = headers};
    struct vf_error *err = NULL;
    vf_http_response_error(&r, "x", &err);
    int64_t ms = vf_error_retry_after_ms(err);
    vf_error_free(err);
    return ms;
}

static void test_http_response_error__retry_after_forms(void **state)
{
    (void)state;
    assert_int_equal(retry_after("0"), 0);
    assert_int_equal(retry_after("-5"), 0);
    assert_int_equal(retry_after("999999999999999999999"), 86400000);
    assert_int_equal(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), 0);
    assert_int_equal(retry_after("soon"), -1);
    assert_int_equal(retry_after(""), -1);
    struct vf_http_response none = {.status = 503};
    struct vf_error *err = NULL;
    vf_http_response_error(&none, "x", &err);
    assert_int_equal(vf_error_retry_after_ms(err), -1);
    vf_error_free(err);
}

static void test_http_escape__keeps_unreserved_alone(void **state)
{
    (void)state;
    char *vf_autofree a = vf_http_escape("AZaz09-._~");
    assert_string_equal(a, "AZaz09-._~");
    char *vf_autofree b = vf_http_escape("[ds] a/b%&+\xc3\xa4?#");
    assert_string_equal(b, "%5Bds%5D%20a%2Fb%25%26%2B%C3%A4%3F%23");
    char *vf_autofree c = vf_http_escape("");
    assert_string_equal(c, "");
}

#define with_server(test)      cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define with_short_stall(test) cmocka_unit_test_setup_teardown(test, set_up_stalling, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_server(test_http_fetch__gives_status_headers_body),
        with_server(test_http_fetch__any_status_is_success),
        with_server(test_http_fetch__sends_body_headers_cookie),
        with_server(test_http_fetch__adds_no_expect_and_no_form_type),
        with_server(test_http_fetch__head_has_no_body),
        with_server(test_http_fetch__post_without_body_has_length_zero),
        with_server(test_http_fetch__line_break_in_header_is_invalid),
        with_server(test_http_fetch__bad_url_is_invalid),
        with_server(test_http_fetch__decodes_chunks),
        with_server(test_http_fetch__interim_answer_is_dropped),
        with_server(test_http_fetch__broken_answer_is_retry),
        with_server(test_http_fetch__refused_connection_is_retry),
        with_server(test_http_fetch__not_http_is_invalid),
        with_server(test_http_fetch__answer_over_ceiling_is_space),
        with_server(test_http_fetch__headers_over_ceiling_is_space),
        with_server(test_http_fetch__range_is_checked),
        with_server(test_http_fetch__range_of_another_size_is_conflict),
        with_server(test_http_fetch__range_of_encoded_content_is_unsupported),
        with_server(test_http_fetch__range_is_sent),
        with_server(test_http_fetch__connection_is_kept),
        with_server(test_http_fetch__closed_idle_connection_is_replaced),
        with_server(test_http_fetch__once_is_never_sent_twice),
        with_server(test_http_fetch__threads_share_a_client),
        with_server(test_http_fetch__deadline_is_retry),
        with_short_stall(test_http_fetch__wait_for_first_byte_is_no_stall),
        with_short_stall(test_http_fetch__stall_in_body_is_retry),
        with_short_stall(test_http_fetch__slow_body_is_no_stall),
        with_server(test_http_fetch__peer_gone_while_sending_is_retry),
        with_server(test_http_debug__shows_no_secret),
        cmocka_unit_test(test_http_status_code__follows_table),
        cmocka_unit_test(test_http_response_error__quotes_and_tells_retry_after),
        cmocka_unit_test(test_http_response_error__retry_after_forms),
        cmocka_unit_test(test_http_escape__keeps_unreserved_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
