#include "importer/target/upload.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/http_server.h"

#define MIB        (1u << 20)
#define DISK_BYTES (64u * MIB)
#define TOKEN                                                                                      \
    "eyJhbGciOiJQUzI1NiJ9.eyJvcGVyYXRpb24iOiJVcGxvYWQiLCJuYW1lIjoiZGlzay0wIn0.c2VjcmV0LXNpZ25hdHV" \
    "yZS10aGF0LW5vYm9keS1zaG91bGQtc2Vl"

struct fixture {
    struct vf_test_server *server;
    struct vf_http *http;
    struct vf_upload_options options;
    struct vf_sink *sink;
    struct vf_error *err;
    char url[128];
    unsigned char *disk;
    unsigned n_tokens;
    int token_rc;

    /* How the server is to answer, set before the first write. */
    const char *answer; /* after the body: status line and headers; NULL: none, it closes */
    const char *text;
    size_t early_bytes; /* answers after so much of the body instead; SIZE_MAX: after all */
    bool stalls;

    /* What came, of the last request. The server's thread writes, the test's reads after finish. */
    pthread_mutex_t lock;
    unsigned char *got;
    size_t got_len;
    bool got_all, decoded;
    char head[2048];
};

struct decoder {
    ZSTD_DCtx *zstd;
    z_stream gzip;
    bool is_gzip, ended;
    unsigned char *plain;
    size_t len;
};

static void decode(struct decoder *d, void *buf, size_t n)
{
    if (d->is_gzip) {
        d->gzip.next_in = buf;
        d->gzip.avail_in = (uInt)n;
        d->gzip.next_out = d->plain + d->len;
        d->gzip.avail_out = (uInt)(DISK_BYTES + 1 - d->len);
        int rc = inflate(&d->gzip, Z_NO_FLUSH);
        vf_test_check(rc == Z_OK || rc == Z_STREAM_END);
        d->ended = rc == Z_STREAM_END;
        d->len = DISK_BYTES + 1 - d->gzip.avail_out;
        return;
    }
    ZSTD_inBuffer in = {buf, n, 0};
    while (in.pos < in.size) {
        ZSTD_outBuffer out = {d->plain, DISK_BYTES + 1, d->len};
        size_t left = ZSTD_decompressStream(d->zstd, &out, &in);
        vf_test_check(!ZSTD_isError(left));
        d->len = out.pos;
        d->ended = left == 0;
    }
}

static void take_body(struct vf_test_exchange *x, struct fixture *f, size_t max)
{
    struct decoder d = {.is_gzip = f->options.coding == VF_UPLOAD_GZIP};
    d.plain = vf_xcalloc(1, DISK_BYTES + 1);
    d.zstd = ZSTD_createDCtx();
    vf_test_check(inflateInit2(&d.gzip, 15 + 16) == Z_OK);
    unsigned char bytes[16384];
    ptrdiff_t n = 1;
    size_t taken = 0;
    while (taken < max && (n = vf_test_read_chunked(x, bytes, sizeof bytes)) > 0) {
        decode(&d, bytes, (size_t)n);
        taken += (size_t)n;
    }
    ZSTD_freeDCtx(d.zstd);
    inflateEnd(&d.gzip);
    pthread_mutex_lock(&f->lock);
    free(f->got);
    f->got = d.plain;
    f->got_len = d.len;
    f->got_all = n == 0;
    f->decoded = d.ended;
    pthread_mutex_unlock(&f->lock);
}

static void handle(struct vf_test_exchange *x, void *opaque)
{
    struct fixture *f = opaque;
    pthread_mutex_lock(&f->lock);
    snprintf(f->head, sizeof f->head, "%s", x->head);
    pthread_mutex_unlock(&f->lock);
    x->close = true;
    if (f->early_bytes) {
        vf_test_printf(x, "HTTP/1.1 100 Continue\r\n\r\n");
        take_body(x, f, f->early_bytes);
    }
    if (f->stalls) {
        vf_test_stall(x);
        return;
    }
    if (f->answer) {
        vf_test_printf(x, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", f->answer,
                       strlen(f->text), f->text);
    }
    if (f->early_bytes != SIZE_MAX) {
        vf_test_drop(x);
    }
}

static int fetch_token(void *opaque, struct vf_secret **ret_token, struct vf_error **err)
{
    struct fixture *f = opaque;
    f->n_tokens++;
    if (f->token_rc) {
        return vf_error_set(err, f->token_rc, "no token for you");
    }
    *ret_token = vf_secret_new(TOKEN, strlen(TOKEN));
    return 0;
}

/* A quarter of it data that does not compress, in two parts, then short and long runs of zeros. */
static unsigned char *make_disk(void)
{
    unsigned char *disk = vf_xcalloc(1, DISK_BYTES);
    uint64_t v = 88172645463325252u;
    for (size_t i = 0; i < 16 * MIB; i += 8) {
        v ^= v << 13;
        v ^= v >> 7;
        v ^= v << 17;
        memcpy(disk + (i < 8 * MIB ? i : i + 20 * MIB), &v, 8);
    }
    memset(disk, 'b', 512);
    return disk;
}

static int set_up_kind(void **state, enum vf_test_server_kind kind)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    f->server = vf_test_server_start(kind, handle, f);
    struct vf_http_options o = {.proxy = "", .ca_file = vf_test_server_ca_file(f->server)};
    assert_int_equal(vf_http_new(&o, NULL, &f->http, NULL), 0);
    f->disk = make_disk();
    f->answer = "200 OK";
    f->text = "";
    f->early_bytes = SIZE_MAX;
    snprintf(f->url, sizeof f->url, "%s", vf_test_server_url(f->server));
    f->options = (struct vf_upload_options){.http = f->http,
                                            .url = f->url,
                                            .fetch_token = fetch_token,
                                            .opaque = f,
                                            .size_bytes = DISK_BYTES,
                                            .threads = 2,
                                            .answer_timeout_ms = 60000};
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
    vf_sink_free(f->sink);
    vf_error_free(f->err);
    vf_http_free(f->http);
    vf_test_server_stop(f->server);
    pthread_mutex_destroy(&f->lock);
    free(f->disk);
    free(f->got);
    free(f);
    return 0;
}

static void open_sink(struct fixture *f)
{
    assert_int_equal(vf_upload_sink_open(&f->options, &f->sink, &f->err), 0);
    assert_int_equal(f->sink->size_bytes, f->options.size_bytes);
    assert_int_equal(f->sink->caps, 0);
}

static int give_all(struct fixture *f)
{
    static const struct {
        bool zero;
        unsigned length;
    } extents[] = {{false, 512},     {false, 8 * MIB - 512}, {true, 8 * MIB},
                   {true, 12 * MIB}, {false, 5 * MIB},       {false, 3 * MIB},
                   {true, MIB},      {false, 1024},          {true, 27 * MIB - 1024}};
    uint64_t at = 0;
    int rc = 0;
    for (size_t i = 0; i < sizeof extents / sizeof *extents && !rc; i++) {
        unsigned n = extents[i].length;
        rc = extents[i].zero ? vf_sink_zero(f->sink, at, n, &f->err)
                             : vf_sink_write(f->sink, f->disk + at, n, at, &f->err);
        at += n;
    }
    return rc;
}

static int upload(struct fixture *f)
{
    open_sink(f);
    int rc = give_all(f);
    return rc ? rc : vf_sink_finish(f->sink, &f->err);
}

static void assert_arrived(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    assert_true(f->got_all);
    assert_true(f->decoded);
    assert_int_equal(f->got_len, DISK_BYTES);
    assert_memory_equal(f->got, f->disk, DISK_BYTES);
    pthread_mutex_unlock(&f->lock);
}

static void test_upload__disk_arrives_as_zstd(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(upload(f), 0);
    assert_arrived(f);
    assert_int_equal(f->n_tokens, 1);
    assert_int_equal(strncmp(f->head, "POST /v1beta1/upload HTTP/1.1\r\n", 31), 0);
    assert_non_null(strstr(f->head, "\r\nAuthorization: Bearer " TOKEN "\r\n"));
    assert_null(strstr(f->head, "x-cdi-content-type"));
}

static void test_upload__disk_arrives_as_gzip(void **state)
{
    struct fixture *f = *state;
    f->options.coding = VF_UPLOAD_GZIP;
    assert_int_equal(upload(f), 0);
    assert_arrived(f);
}

static void test_upload__url_may_have_a_path(void **state)
{
    static const char *const tails[][2] = {{"/", "/v1beta1/upload"},
                                           {"/cdi", "/cdi/v1beta1/upload"},
                                           {"/cdi/", "/cdi/v1beta1/upload"},
                                           {"/cdi/v1beta1/upload", "/cdi/v1beta1/upload"}};
    struct fixture *f = *state;
    f->answer = "401 Unauthorized";
    f->early_bytes = 0;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char line[64];
        snprintf(line, sizeof line, "POST %s HTTP/1.1\r\n", tails[i][1]);
        snprintf(f->url, sizeof f->url, "%s%s", vf_test_server_url(f->server), tails[i][0]);
        assert_int_equal(upload(f), VF_RETRY);
        pthread_mutex_lock(&f->lock);
        assert_int_equal(strncmp(f->head, line, strlen(line)), 0);
        pthread_mutex_unlock(&f->lock);
        vf_sink_free(f->sink);
        f->sink = NULL;
        vf_error_clear(&f->err);
    }
}

static void test_upload__bad_options_are_refused(void **state)
{
    struct fixture *f = *state;
    struct vf_sink *sink = NULL;
    static const char *const urls[] = {"proxy.example", "https://a/?b", "https://u:p@host/", ""};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        f->options.url = urls[i];
        assert_int_equal(vf_upload_sink_open(&f->options, &sink, NULL), VF_INVALID);
    }
    f->options.url = f->url;
    f->options.size_bytes = 511;
    assert_int_equal(vf_upload_sink_open(&f->options, &sink, NULL), VF_UNSUPPORTED);
    assert_null(sink);
}

static void test_upload__out_of_order_is_refused(void **state)
{
    struct fixture *f = *state;
    open_sink(f);
    assert_int_equal(vf_sink_write(f->sink, f->disk, 512, 512, &f->err), VF_INTERNAL);
    vf_error_clear(&f->err);
    vf_sink_free(f->sink);
    open_sink(f);
    assert_int_equal(vf_sink_zero(f->sink, 0, DISK_BYTES + 512, &f->err), VF_RANGE);
    vf_error_clear(&f->err);
    assert_int_equal(vf_sink_read(f->sink, f->got, 0, 0, NULL), VF_UNSUPPORTED);
    assert_int_equal(vf_sink_finish(f->sink, &f->err), VF_INTERNAL);
    assert_int_equal(vf_test_server_connections(f->server), 0);
    assert_int_equal(f->n_tokens, 0);
}

static void test_upload__half_a_disk_never_ends_cleanly(void **state)
{
    struct fixture *f = *state;
    open_sink(f);
    assert_int_equal(vf_sink_write(f->sink, f->disk, 2 * MIB, 0, &f->err), 0);
    assert_int_equal(vf_sink_finish(f->sink, &f->err), VF_INTERNAL);
    vf_sink_free(f->sink);
    f->sink = NULL;
    vf_test_server_stop(f->server); /* has taken all that came */
    assert_false(f->got_all);
    assert_false(f->decoded);
    f->server = vf_test_server_start(VF_TEST_PLAIN, handle, f);
}

static void test_upload__head_that_cdi_unpacks_is_refused(void **state)
{
    static const struct {
        unsigned offset, len;
        const char *bytes;
        bool refused;
    } heads[] = {
        {0, 2, "\x1f\x8b", true},
        {0, 4, "\x28\xb5\x2f\xfd", true},
        {0, 6,
         "\xfd"
         "7zXZ\0",
         true},
        {0, 4, "QFI\xfb", true},
        {0, 4, "KDMV", true},
        {0, 8, "conectix", true},
        {0, 8, "vhdxfile", true},
        {64, 4, "\x7f\x10\xda\xbe", true},
        {257, 5, "ustar", false}, /* known to CDI, not acted upon */
        {0, 4, "COWD", false},
        {1, 4, "QFI\xfb", false},
    };
    struct fixture *f = *state;
    unsigned char sector[512];
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        memset(sector, 0xeb, sizeof sector);
        memcpy(sector + heads[i].offset, heads[i].bytes, heads[i].len);
        open_sink(f);
        int rc = vf_sink_write(f->sink, sector, sizeof sector, 0, &f->err);
        assert_int_equal(rc, heads[i].refused ? VF_UNSUPPORTED : 0);
        vf_error_clear(&f->err);
        vf_sink_free(f->sink);
        f->sink = NULL;
    }
    assert_int_equal(f->n_tokens, 3);
}

static void test_upload__token_failure_comes_out(void **state)
{
    struct fixture *f = *state;
    f->token_rc = VF_AUTH;
    assert_int_equal(upload(f), VF_AUTH);
    assert_int_equal(vf_test_server_connections(f->server), 0);
    vf_error_clear(&f->err);
    assert_int_equal(vf_sink_finish(f->sink, NULL), VF_INTERNAL);
}

struct status_case {
    const char *answer, *text;
    int code;
    const char *reason;      /* NULL: none */
    const char *reason_late; /* after the whole body, where it differs */
};

static const struct status_case statuses[] = {
    {"400 Bad Request", "", VF_INVALID, NULL, NULL},
    {"400 Bad Request",
     "Saving stream failed: effective image size is larger than the reported available storage",
     VF_SPACE, NULL, NULL},
    {"401 Unauthorized", "", VF_RETRY, VF_UPLOAD_REASON_TOKEN, NULL},
    {"403 Forbidden", "", VF_AUTH, NULL, NULL},
    {"404 Not Found", "", VF_INVALID, NULL, NULL},
    {"407 Proxy Authentication Required", "", VF_AUTH, NULL, NULL},
    {"408 Request Timeout", "", VF_RETRY, NULL, NULL},
    {"409 Conflict", "", VF_CONFLICT, VF_UPLOAD_REASON_DONE, NULL},
    {"413 Content Too Large", "", VF_INVALID, NULL, NULL},
    {"418 Teapot", "", VF_INVALID, NULL, NULL},
    {"429 Too Many Requests", "", VF_RETRY, NULL, NULL},
    {"500 Internal Server Error", "Saving stream failed: unexpected EOF", VF_RETRY, NULL, NULL},
    {"501 Not Implemented", "", VF_INVALID, NULL, NULL},
    {"502 Bad Gateway", "", VF_RETRY, VF_UPLOAD_REASON_NOT_READY, VF_UPLOAD_REASON_DOUBT},
    {"503 Service Unavailable", "", VF_RETRY, VF_UPLOAD_REASON_NOT_READY, NULL},
    {"504 Gateway Timeout", "", VF_RETRY, VF_UPLOAD_REASON_NOT_READY, VF_UPLOAD_REASON_DOUBT},
    {"201 Created", "", VF_INVALID, NULL, NULL},
    {"302 Found", "", VF_INVALID, NULL, NULL},
};

static void check_status(struct fixture *f, const struct status_case *c, bool late)
{
    const char *reason = late && c->reason_late ? c->reason_late : c->reason;
    f->answer = c->answer;
    f->text = c->text;
    assert_int_equal(upload(f), c->code);
    assert_int_equal(vf_error_http_status(f->err), strtol(c->answer, NULL, 10));
    assert_non_null(strstr(vf_error_message(f->err), c->text));
    assert_int_equal(strstr(vf_error_message(f->err), "before it had the whole disk") == NULL,
                     late);
    if (reason) {
        assert_string_equal(vf_error_reason(f->err), reason);
    } else {
        assert_null(vf_error_reason(f->err));
    }
    vf_sink_free(f->sink);
    f->sink = NULL;
    vf_error_clear(&f->err);
}

static void check_statuses(struct fixture *f, size_t early_bytes)
{
    f->early_bytes = early_bytes;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        check_status(f, &statuses[i], early_bytes == SIZE_MAX);
    }
}

static void test_upload__refusals_before_the_body(void **state)
{
    check_statuses(*state, 0);
}

static void test_upload__refusals_in_the_middle(void **state)
{
    check_statuses(*state, MIB);
}

static void test_upload__refusals_after_the_body(void **state)
{
    check_statuses(*state, SIZE_MAX);
}

static void test_upload__refusals_with_gzip(void **state)
{
    struct fixture *f = *state;
    f->options.coding = VF_UPLOAD_GZIP;
    check_statuses(f, MIB);
}

static void test_upload__early_200_is_no_success(void **state)
{
    static const struct status_case c = {"200 OK", "", VF_INVALID, NULL, NULL};
    struct fixture *f = *state;
    f->early_bytes = MIB;
    check_status(f, &c, false);
}

static void test_upload__retry_after_is_kept(void **state)
{
    struct fixture *f = *state;
    f->answer = "503 Busy\r\nRetry-After: 7";
    assert_int_equal(upload(f), VF_RETRY);
    assert_int_equal(vf_error_retry_after_ms(f->err), 7000);
}

static void test_upload__long_and_wild_text_is_bounded(void **state)
{
    struct fixture *f = *state;
    char *vf_autofree text = vf_xcalloc(1, 5001);
    memset(text, 'x', 5000);
    memcpy(text, "a\033[31m\r\nb", 8);
    f->answer = "500 No";
    f->text = text;
    assert_int_equal(upload(f), VF_RETRY);
    assert_in_range(strlen(vf_error_message(f->err)), 100, 400);
    assert_null(strpbrk(vf_error_message(f->err), "\033\r\n"));
}

static void test_upload__token_is_never_repeated(void **state)
{
    struct fixture *f = *state;
    static const unsigned parts[][2] = {{0, 200}, {60, 40}, {48, 32}, {79, 35}, {96, 200}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *vf_autofree text =
            vf_xasprintf("you said \"%.*s\"", (int)parts[i][1], &TOKEN[parts[i][0]]);
        f->answer = "400 Bad";
        f->text = text;
        assert_int_equal(upload(f), VF_INVALID);
        assert_null(strstr(vf_error_message(f->err), "you said"));
        vf_sink_free(f->sink);
        f->sink = NULL;
        vf_error_clear(&f->err);
    }
}

static void test_upload__lost_answer_is_in_doubt(void **state)
{
    struct fixture *f = *state;
    f->answer = NULL;
    assert_int_equal(upload(f), VF_RETRY);
    assert_string_equal(vf_error_reason(f->err), VF_UPLOAD_REASON_DOUBT);
    assert_arrived(f);
}

static void test_upload__late_answer_is_in_doubt(void **state)
{
    struct fixture *f = *state;
    f->stalls = true;
    f->options.answer_timeout_ms = 300;
    assert_int_equal(upload(f), VF_RETRY);
    assert_string_equal(vf_error_reason(f->err), VF_UPLOAD_REASON_DOUBT);
}

static void check_stall(struct fixture *f)
{
    f->stalls = true;
    f->early_bytes = MIB;
    f->options.stall_timeout_ms = 300;
    /* 16 MiB may vanish in the buffers of two sockets; what fills them up is sure to stall. */
    open_sink(f);
    int rc = 0;
    for (unsigned i = 0; i < 16 && !rc; i++) {
        rc = vf_sink_write(f->sink, f->disk + 28 * MIB, 4 * MIB, (uint64_t)i * 4 * MIB, &f->err);
    }
    assert_int_equal(rc, VF_RETRY);
    assert_non_null(strstr(vf_error_message(f->err), "took nothing"));
}

static void test_upload__stall_is_retry(void **state)
{
    check_stall(*state);
}

static void test_upload__stall_with_gzip_is_retry(void **state)
{
    struct fixture *f = *state;
    f->options.coding = VF_UPLOAD_GZIP;
    check_stall(f);
}

static void test_upload__wrong_certificate_is_auth(void **state)
{
    struct fixture *f = *state;
    struct vf_http_options o = {.proxy = ""};
    vf_http_free(f->http);
    assert_int_equal(vf_http_new(&o, NULL, &f->http, NULL), 0);
    f->options.http = f->http;
    assert_int_equal(upload(f), VF_AUTH);
}

/* Frees while a thread waits for a server that takes nothing. */
static void test_upload__free_ends_a_stall(void **state)
{
    struct fixture *f = *state;
    f->stalls = true;
    f->early_bytes = MIB;
    f->options.coding = VF_UPLOAD_GZIP;
    f->options.threads = 8;
    open_sink(f);
    assert_int_equal(vf_sink_write(f->sink, f->disk + 28 * MIB, 8 * MIB, 0, &f->err), 0);
    vf_sink_free(f->sink);
    f->sink = NULL;
}

static void *trigger_soon(void *opaque)
{
    vf_cancel_wait(NULL, 300, NULL);
    vf_cancel_trigger(opaque);
    return NULL;
}

static void check_cancel(struct fixture *f)
{
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    pthread_t thread;
    f->stalls = true;
    f->options.cancel = cancel;
    assert_int_equal(pthread_create(&thread, NULL, trigger_soon, cancel), 0);
    assert_int_equal(upload(f), VF_CANCELLED);
    pthread_join(thread, NULL);
    vf_sink_free(f->sink);
    f->sink = NULL;
    vf_cancel_free(cancel);
}

static void test_upload__cancellation_ends_it(void **state)
{
    check_cancel(*state);
}

static void test_upload__cancellation_ends_gzip(void **state)
{
    struct fixture *f = *state;
    f->options.coding = VF_UPLOAD_GZIP;
    check_cancel(f);
}

#define ONE(test)     cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define ONE_TLS(test) cmocka_unit_test_setup_teardown(test, set_up_tls, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE_TLS(test_upload__disk_arrives_as_zstd),
        ONE_TLS(test_upload__disk_arrives_as_gzip),
        ONE(test_upload__url_may_have_a_path),
        ONE(test_upload__bad_options_are_refused),
        ONE(test_upload__out_of_order_is_refused),
        ONE(test_upload__half_a_disk_never_ends_cleanly),
        ONE(test_upload__head_that_cdi_unpacks_is_refused),
        ONE(test_upload__token_failure_comes_out),
        ONE(test_upload__refusals_before_the_body),
        ONE(test_upload__refusals_in_the_middle),
        ONE_TLS(test_upload__refusals_after_the_body),
        ONE(test_upload__refusals_with_gzip),
        ONE(test_upload__early_200_is_no_success),
        ONE(test_upload__retry_after_is_kept),
        ONE(test_upload__long_and_wild_text_is_bounded),
        ONE(test_upload__token_is_never_repeated),
        ONE(test_upload__lost_answer_is_in_doubt),
        ONE(test_upload__late_answer_is_in_doubt),
        ONE(test_upload__stall_is_retry),
        ONE(test_upload__stall_with_gzip_is_retry),
        ONE_TLS(test_upload__wrong_certificate_is_auth),
        ONE(test_upload__free_ends_a_stall),
        ONE(test_upload__cancellation_ends_it),
        ONE(test_upload__cancellation_ends_gzip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
