#include "importer/base/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "tests/support/http_server.h"

#define BIG_BYTES ((8u << 20) + 12345)

struct fixture {
    struct vf_test_server *server;
    struct vf_http *http;
    struct vf_stream *stream;
    struct vf_error *err;
    char *pattern;
    _Atomic uint64_t sent_bytes;
};

static void send_chunked(struct vf_test_exchange *x, const char *data, size_t len, size_t chunk)
{
    while (len) {
        size_t n = len < chunk ? len : chunk;
        vf_test_printf(x, "%zx\r\n", n);
        vf_test_send(x, data, n);
        vf_test_printf(x, "\r\n");
        data += n;
        len -= n;
    }
}

static void send_without_end(struct vf_test_exchange *x, struct fixture *f)
{
    vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", 1u << 30);
    for (unsigned i = 0; i < 1u << 14; i++) {
        vf_test_send(x, f->pattern, 1 << 16);
        f->sent_bytes += 1 << 16;
    }
}

static void handle(struct vf_test_exchange *x, void *opaque)
{
    struct fixture *f = opaque;
    const char *path = x->target;
    if (strcmp(path, "/length") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", BIG_BYTES);
        vf_test_send(x, f->pattern, BIG_BYTES);
    } else if (strcmp(path, "/chunked") == 0 || strcmp(path, "/chunked-cut") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        send_chunked(x, f->pattern, BIG_BYTES, 70001);
        if (path[8]) {
            x->close = true; /* at the boundary of a chunk: only the last one is missing */
        } else {
            vf_test_printf(x, "0\r\n\r\n");
        }
    } else if (strcmp(path, "/short") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", BIG_BYTES);
        vf_test_send(x, f->pattern, BIG_BYTES - 1);
        x->close = true;
    } else if (strcmp(path, "/until-close") == 0 || strcmp(path, "/until-cut") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        vf_test_send(x, f->pattern, BIG_BYTES);
        x->close = true;
        if (path[8] == 'u') {
            vf_test_cut(x);
        }
    } else if (strcmp(path, "/reset") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabcd");
        vf_test_reset(x);
    } else if (strcmp(path, "/stall") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabcd");
        vf_test_hang(x);
    } else if (strcmp(path, "/hang") == 0) {
        vf_test_hang(x);
    } else if (strcmp(path, "/endless") == 0) {
        send_without_end(x, f);
    } else if (strcmp(path, "/empty") == 0) {
        vf_test_answer(x, 200, NULL, "");
    } else if (strcmp(path, "/range") == 0) {
        vf_test_answer(x, 206, "Content-Range: bytes 10-14/100\r\n", "klmno");
    } else if (strcmp(path, "/range-other") == 0) {
        vf_test_answer(x, 206, "Content-Range: bytes 0-4/100\r\n", "abcde");
    } else if (strcmp(path, "/then-close") == 0 || strcmp(path, "/then-cut") == 0) {
        vf_test_answer(x, 200, NULL, "bye");
        x->close = true; /* without having said so: the client believes in keep-alive */
        if (path[7] == 'u') {
            vf_test_cut(x);
        }
    } else if (strcmp(path, "/busy") == 0) {
        vf_test_answer(x, 503, "Retry-After: 3\r\n", "Out of HTTP sessions,\n try later");
    } else {
        vf_test_answer(x, 404, NULL, "no such disk");
    }
}

/* Long enough for a loaded machine under a sanitizer; tests of a silent peer choose a short one. */
enum { PATIENT_MS = 60000, STALL_MS = 400 };

static int set_up(void **state, enum vf_test_server_kind kind, int64_t stall_timeout_ms)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->pattern = vf_xcalloc(BIG_BYTES, 1);
    for (unsigned i = 0; i < BIG_BYTES; i++) {
        f->pattern[i] = (char)((i * 2654435761u) >> 24);
    }
    f->server = vf_test_server_start(kind, handle, f);
    struct vf_http_options o = {.proxy = "",
                                .stall_timeout_ms = stall_timeout_ms,
                                .thumbprint = vf_test_server_sha256(f->server)};
    assert_int_equal(vf_http_new(&o, NULL, &f->http, NULL), 0);
    *state = f;
    return 0;
}

static int set_up_plain(void **state)
{
    return set_up(state, VF_TEST_PLAIN, PATIENT_MS);
}

static int set_up_tls(void **state)
{
    return set_up(state, VF_TEST_TLS, PATIENT_MS);
}

static int set_up_plain_stalling(void **state)
{
    return set_up(state, VF_TEST_PLAIN, STALL_MS);
}

static int set_up_tls_stalling(void **state)
{
    return set_up(state, VF_TEST_TLS, STALL_MS);
}

static void drop_stream(struct fixture *f)
{
    vf_stream_free(f->stream);
    f->stream = NULL;
    vf_error_clear(&f->err);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    drop_stream(f);
    vf_http_free(f->http);
    vf_test_server_stop(f->server);
    free(f->pattern);
    free(f);
    return 0;
}

static int open_with(struct fixture *f, struct vf_http_request req, const char *path)
{
    drop_stream(f);
    char *vf_autofree url = vf_xasprintf("%s%s", vf_test_server_url(f->server), path);
    req.url = url;
    return vf_http_open(f->http, &req, &f->stream, &f->err);
}

static int open_path(struct fixture *f, const char *path)
{
    return open_with(f, (struct vf_http_request){0}, path);
}

/* Reads to the end in pieces, compares with the pattern; what read returned last. */
static int read_all(struct fixture *f, size_t piece, size_t *ret_total)
{
    char *vf_autofree buf = vf_xcalloc(piece, 1);
    *ret_total = 0;
    for (;;) {
        size_t n = 99;
        int rc = f->stream->ops->read(f->stream, buf, piece, &n, &f->err);
        if (rc || n == 0) {
            return rc;
        }
        assert_in_range(n, 1, piece);
        assert_true(*ret_total + n <= BIG_BYTES);
        assert_memory_equal(buf, f->pattern + *ret_total, n);
        *ret_total += n;
    }
}

static void test_http_open__gives_all_bytes_in_order(void **state)
{
    struct fixture *f = *state;
    static const size_t pieces[] = {7 << 20, 1 << 20, 65536, 10007, 4096, 511};
    static const char *const paths[] = {"/length", "/chunked", "/until-close"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        for (size_t j = 0; j < sizeof paths / sizeof paths[0]; j++) {
            size_t total;
            assert_int_equal(open_path(f, paths[j]), 0);
            assert_int_equal(f->stream->size_bytes, j == 0 ? (int64_t)BIG_BYTES : -1);
            assert_int_equal(read_all(f, pieces[i], &total), 0);
            assert_int_equal(total, BIG_BYTES);
        }
    }
}

static void test_http_open__end_stays_the_end(void **state)
{
    struct fixture *f = *state;
    char byte;
    size_t n = 1;
    assert_int_equal(open_path(f, "/empty"), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(f->stream->ops->read(f->stream, &byte, 1, &n, &f->err), 0);
        assert_int_equal(n, 0);
    }
}

static void expect_cut(struct fixture *f, const char *path, size_t expected)
{
    size_t total, n;
    char byte;
    assert_int_equal(open_path(f, path), 0);
    assert_int_equal(read_all(f, 1 << 20, &total), VF_RETRY);
    assert_int_equal(total, expected); /* what came is not lost */
    assert_non_null(strstr(vf_error_message(f->err), "broke in the body"));
    vf_error_clear(&f->err);
    assert_int_equal(f->stream->ops->read(f->stream, &byte, 1, &n, &f->err), VF_RETRY);
}

static void test_http_read__cut_short_is_retry(void **state)
{
    struct fixture *f = *state;
    expect_cut(f, "/chunked-cut", BIG_BYTES);
    expect_cut(f, "/short", BIG_BYTES - 1);
}

static void test_http_read__tls_end_without_notice_is_retry(void **state)
{
    struct fixture *f = *state;
    expect_cut(f, "/until-cut", BIG_BYTES);
}

static void test_http_read__reset_is_retry(void **state)
{
    struct fixture *f = *state;
    size_t total;
    int rc = open_path(f, "/reset"); /* the reset may overtake the headers */
    if (rc == 0) {
        char buf[100];
        rc = vf_stream_read_full(f->stream, buf, sizeof buf, &total, &f->err);
    }
    assert_int_equal(rc, VF_RETRY);
}

static void test_http_read__stall_is_retry(void **state)
{
    struct fixture *f = *state;
    char buf[100];
    size_t n;
    assert_int_equal(open_path(f, "/stall"), 0);
    int64_t begin_ms = vf_clock_ms();
    assert_int_equal(vf_stream_read_full(f->stream, buf, sizeof buf, &n, &f->err), VF_RETRY);
    assert_in_range(vf_clock_ms() - begin_ms, STALL_MS - 10, PATIENT_MS / 2);
    assert_non_null(strstr(vf_error_message(f->err), "sent nothing"));
}

static void test_http_open__no_answer_is_retry(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_path(f, "/hang"), VF_RETRY);
    assert_null(f->stream);
}

static void test_http_open__status_is_error_with_quote(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_path(f, "/nowhere"), VF_MISSING);
    assert_null(f->stream);
    assert_int_equal(vf_error_http_status(f->err), 404);
    assert_non_null(strstr(vf_error_message(f->err), "404: no such disk"));
    assert_int_equal(open_path(f, "/busy"), VF_RETRY);
    assert_int_equal(vf_error_retry_after_ms(f->err), 3000);
    assert_non_null(strstr(vf_error_message(f->err), "503: Out of HTTP sessions, try later"));
}

static void test_http_open__range_is_checked(void **state)
{
    struct fixture *f = *state;
    struct vf_http_request req = {.use_range = true, .range_first = 10, .range_last = 14};
    char buf[10];
    size_t n;
    assert_int_equal(open_with(f, req, "/range"), 0);
    assert_int_equal(f->stream->size_bytes, 5);
    assert_int_equal(vf_stream_read_full(f->stream, buf, sizeof buf, &n, &f->err), 0);
    assert_int_equal(n, 5);
    assert_memory_equal(buf, "klmno", 5);
    assert_int_equal(open_with(f, req, "/range-other"), VF_INVALID);
    assert_int_equal(open_with(f, req, "/length"), VF_UNSUPPORTED);
    assert_int_equal(open_with(f, req, "/nowhere"), VF_MISSING);
}

static void test_http_open__unasked_part_is_error(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(open_path(f, "/range"), VF_INVALID);
}

static void test_http_read__peer_is_held_back(void **state)
{
    struct fixture *f = *state;
    char buf[4096];
    size_t n;
    assert_int_equal(open_path(f, "/endless"), 0);
    for (unsigned i = 0; i < 256; i++) {
        assert_int_equal(vf_stream_read_full(f->stream, buf, sizeof buf, &n, &f->err), 0);
        assert_int_equal(n, sizeof buf);
    }
    /* 1 MiB was read of 1 GiB; the rest that was sent stands in the kernel's buffers. */
    assert_in_range(f->sent_bytes, 1 << 20, 48 << 20);
}

static void test_http_stream_free__in_the_middle_leaves_client_usable(void **state)
{
    struct fixture *f = *state;
    char byte;
    size_t n, total;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(open_path(f, "/endless"), 0);
        assert_int_equal(f->stream->ops->read(f->stream, &byte, 1, &n, &f->err), 0);
    }
    assert_int_equal(open_path(f, "/length"), 0);
    assert_int_equal(read_all(f, 100000, &total), 0);
    assert_int_equal(total, BIG_BYTES);
}

static void test_http_stream_free__at_the_end_keeps_connection(void **state)
{
    struct fixture *f = *state;
    size_t total;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(open_path(f, i == 1 ? "/length" : "/chunked"), 0);
        assert_int_equal(read_all(f, 1 << 20, &total), 0);
        assert_int_equal(total, BIG_BYTES);
    }
    assert_int_equal(vf_test_server_connections(f->server), 1);
}

static void test_http_open__closed_idle_connection_is_replaced(void **state)
{
    struct fixture *f = *state;
    char buf[10];
    size_t n;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(open_path(f, i % 2 ? "/then-cut" : "/then-close"), 0);
        assert_int_equal(vf_stream_read_full(f->stream, buf, sizeof buf, &n, &f->err), 0);
        assert_int_equal(n, 3);
    }
}

static void test_http_open__several_streams_at_once(void **state)
{
    struct fixture *f = *state;
    struct vf_stream *streams[3] = {0};
    char *vf_autofree url = vf_xasprintf("%s/length", vf_test_server_url(f->server));
    struct vf_http_request req = {.url = url};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(vf_http_open(f->http, &req, &streams[i], &f->err), 0);
    }
    char buf[10000];
    size_t n;
    for (size_t at = 0; at + sizeof buf < BIG_BYTES; at += sizeof buf) {
        for (int i = 0; i < 3; i++) {
            assert_int_equal(vf_stream_read_full(streams[i], buf, sizeof buf, &n, &f->err), 0);
            assert_memory_equal(buf, f->pattern + at, sizeof buf);
        }
    }
    for (int i = 0; i < 3; i++) {
        vf_stream_free(streams[i]);
    }
}

#define with_plain(test) cmocka_unit_test_setup_teardown(test, set_up_plain, tear_down)
#define with_tls(test)                                                                             \
    {                                                                                              \
#test " (TLS)", test, set_up_tls, tear_down, NULL                                          \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_plain(test_http_open__gives_all_bytes_in_order),
        with_tls(test_http_open__gives_all_bytes_in_order),
        with_plain(test_http_open__end_stays_the_end),
        with_plain(test_http_read__cut_short_is_retry),
        with_tls(test_http_read__cut_short_is_retry),
        with_tls(test_http_read__tls_end_without_notice_is_retry),
        with_plain(test_http_read__reset_is_retry),
        with_tls(test_http_read__reset_is_retry),
        cmocka_unit_test_setup_teardown(test_http_read__stall_is_retry, set_up_plain_stalling,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_http_read__stall_is_retry, set_up_tls_stalling,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_http_open__no_answer_is_retry, set_up_plain_stalling,
                                        tear_down),
        with_tls(test_http_open__status_is_error_with_quote),
        with_tls(test_http_open__range_is_checked),
        with_plain(test_http_open__unasked_part_is_error),
        with_plain(test_http_read__peer_is_held_back),
        with_tls(test_http_read__peer_is_held_back),
        with_plain(test_http_stream_free__in_the_middle_leaves_client_usable),
        with_tls(test_http_stream_free__in_the_middle_leaves_client_usable),
        with_tls(test_http_stream_free__at_the_end_keeps_connection),
        with_plain(test_http_open__closed_idle_connection_is_replaced),
        with_tls(test_http_open__closed_idle_connection_is_replaced),
        with_tls(test_http_open__several_streams_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
