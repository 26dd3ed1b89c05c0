#include "importer/base/http.h"

#include <setjmp.h>
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
#include "importer/base/secret.h"
#include "tests/support/http_server.h"

/* Tells who asked, and for whom. */
static void handle(struct vf_test_exchange *x, void *opaque)
{
    (void)opaque;
    if (strcmp(x->target, "/drip") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        for (int i = 0; i < 100; i++) {
            vf_test_send(x, "d", 1);
            vf_test_pause(x, 50);
        }
        return;
    }
    if (strcmp(x->target, "/hang") == 0) {
        vf_test_hang(x);
        return;
    }
    char *vf_autofree authorization = vf_test_header(x, "Authorization");
    char *vf_autofree text =
        vf_xasprintf("client %s, server %s, %s", x->client_name ? x->client_name : "-",
                     x->server_name ? x->server_name : "-", authorization ? authorization : "-");
    vf_test_answer(x, 200, NULL, text);
}

struct fixture {
    struct vf_test_server *server;
    char *ca, *cert, *key_text;
    struct vf_secret *key;
    struct vf_error *err;
};

static void start(struct fixture *f, enum vf_test_server_kind kind)
{
    *f = (struct fixture){.server = vf_test_server_start(kind, handle, NULL)};
    if (kind == VF_TEST_PLAIN) {
        return;
    }
    f->ca = vf_test_server_ca_pem(f->server);
    vf_test_server_issue(f->server, "someone", &f->cert, &f->key_text);
    f->key = vf_secret_new(f->key_text, strlen(f->key_text));
}

static void stop(struct fixture *f)
{
    vf_test_server_stop(f->server);
    vf_secret_free(f->key);
    free(f->key_text);
    free(f->ca);
    free(f->cert);
    vf_error_free(f->err);
}

/* The body of GET /, NULL on failure. */
static char *get(struct fixture *f, struct vf_http_options o, const struct vf_secret *authorization)
{
    struct vf_http *h = NULL;
    struct vf_http_response r = {0};
    struct vf_http_request req = {.url = vf_test_server_url(f->server),
                                  .authorization = authorization};
    vf_error_clear(&f->err);
    o.proxy = "";
    if (vf_http_new(&o, NULL, &h, &f->err) == 0 && vf_http_fetch(h, &req, &r, &f->err) == 0) {
        assert_int_equal(r.status, 200);
    }
    vf_http_free(h);
    free(r.headers);
    return r.body;
}

static void expect(struct fixture *f, struct vf_http_options o, const char *body)
{
    char *vf_autofree got = get(f, o, NULL);
    if (!got) {
        fail_msg("%s", vf_error_message(f->err));
    }
    assert_string_equal(got, body);
}

static void expect_failure(struct fixture *f, struct vf_http_options o, int code, const char *text)
{
    assert_null(get(f, o, NULL));
    assert_int_equal(vf_error_code(f->err), code);
    if (!strstr(vf_error_message(f->err), text)) {
        fail_msg("%s", vf_error_message(f->err));
    }
}

static void test_http_ca_pem__chain_and_name_are_verified(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS);
    expect(&f, (struct vf_http_options){.ca_pem = f.ca}, "client -, server -, -");
    stop(&f);

    struct fixture other;
    start(&f, VF_TEST_TLS);
    start(&other, VF_TEST_TLS);
    expect_failure(&f, (struct vf_http_options){.ca_pem = other.ca}, VF_AUTH, "is not trusted");
    assert_string_equal(vf_error_reason(f.err), VF_HTTP_REASON_NOT_SENT);
    stop(&other);
    stop(&f);

    start(&f, VF_TEST_TLS_WRONG_NAME);
    struct vf_http_options o = {.ca_pem = f.ca, .trust_hint = "look elsewhere"};
    expect_failure(&f, o, VF_AUTH, "it is not for this host name");
    assert_string_equal(vf_error_get_hint(f.err), "look elsewhere");
    stop(&f);

    start(&f, VF_TEST_TLS_EXPIRED);
    expect_failure(&f, (struct vf_http_options){.ca_pem = f.ca}, VF_AUTH, "expired");
    stop(&f);
}

static void test_http_ca_pem__junk_is_invalid(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS);
    expect_failure(&f, (struct vf_http_options){.ca_pem = "nothing"}, VF_INVALID, "PEM");
    expect_failure(&f, (struct vf_http_options){.ca_pem = ""}, VF_INVALID, "PEM");
    char *vf_autofree cut = vf_xasprintf("%s%.200s", f.ca, f.ca);
    expect_failure(&f, (struct vf_http_options){.ca_pem = cut}, VF_INVALID, "PEM");
    stop(&f);
}

static void test_http_tls_server_name__is_told_and_looked_for(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS_WRONG_NAME);
    struct vf_http_options o = {.ca_pem = f.ca, .tls_server_name = "elsewhere.test"};
    expect(&f, o, "client -, server elsewhere.test, -");
    o = (struct vf_http_options){.ca_file = vf_test_server_ca_file(f.server),
                                 .tls_server_name = "elsewhere.test"};
    expect(&f, o, "client -, server elsewhere.test, -");
    o.tls_server_name = "other.test";
    expect_failure(&f, o, VF_AUTH, "it is not for this host name");
    o.tls_server_name = "127.0.0.1";
    expect_failure(&f, o, VF_AUTH, "it is not for this host name");
    /* The system's roots do not hold the test's CA. */
    o = (struct vf_http_options){.tls_server_name = "elsewhere.test"};
    expect_failure(&f, o, VF_AUTH, "is not trusted");
    stop(&f);

    start(&f, VF_TEST_TLS);
    o = (struct vf_http_options){.ca_pem = f.ca, .tls_server_name = "127.0.0.1"};
    expect(&f, o, "client -, server -, -");
    stop(&f);
}

static void test_http_client_cert__is_shown(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS_MUTUAL);
    expect(&f, (struct vf_http_options){.ca_pem = f.ca}, "client -, server -, -");
    struct vf_http_options o = {.ca_pem = f.ca, .client_cert_pem = f.cert, .client_key_pem = f.key};
    expect(&f, o, "client someone, server -, -");
    o = (struct vf_http_options){.thumbprint = vf_test_server_sha256(f.server),
                                 .client_cert_pem = f.cert,
                                 .client_key_pem = f.key};
    expect(&f, o, "client someone, server -, -");
    o = (struct vf_http_options){
        .insecure = true, .client_cert_pem = f.cert, .client_key_pem = f.key};
    expect(&f, o, "client someone, server -, -");
    o.insecure = false; /* a certificate of the client's does not make the server's better */
    expect_failure(&f, o, VF_AUTH, "is not trusted");
    stop(&f);
}

static void test_http_client_cert__bad_pairs_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS_MUTUAL);
    struct vf_http_options o = {.ca_pem = f.ca, .client_cert_pem = f.cert};
    expect_failure(&f, o, VF_INVALID, "without its key");

    char *vf_autofree cert = NULL, *vf_autofree key = NULL;
    vf_test_server_issue(f.server, "other", &cert, &key);
    o = (struct vf_http_options){.ca_pem = f.ca, .client_cert_pem = cert, .client_key_pem = f.key};
    expect_failure(&f, o, VF_INVALID, "does not belong");

    static const char *const keys[] = {"no key", "",
                                       "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                       "MIIBHDBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQI\n"
                                       "-----END ENCRYPTED PRIVATE KEY-----\n"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct vf_secret *junk = vf_secret_new(keys[i], strlen(keys[i]));
        o.client_cert_pem = f.cert;
        o.client_key_pem = junk;
        expect_failure(&f, o, VF_INVALID, "private key");
        vf_secret_free(junk);
    }
    stop(&f);
}

static void test_http_client_cert__encrypted_key_never_asks(void **state)
{
    (void)state;
    static const char text[] = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
                               "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
                               "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
                               "-----END EC PRIVATE KEY-----\n";
    struct fixture f;
    start(&f, VF_TEST_TLS_MUTUAL);
    struct vf_secret *key = vf_secret_new(text, sizeof text - 1);
    struct vf_http_options o = {.ca_pem = f.ca, .client_cert_pem = f.cert, .client_key_pem = key};
    expect_failure(&f, o, VF_UNSUPPORTED, "encrypted");
    vf_secret_free(key);
    stop(&f);
}

static void test_http_authorization__is_sent_and_not_logged(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS);
    fflush(stderr);
    FILE *log = tmpfile();
    int old = dup(2);
    assert_non_null(log);
    dup2(fileno(log), 2);
    vf_log_set_debug(true);
    struct vf_secret *s = vf_secret_new("Bearer s3cr3t", 13);
    char *vf_autofree got = get(&f, (struct vf_http_options){.ca_pem = f.ca}, s);
    vf_secret_free(s);
    vf_log_set_debug(false);
    fflush(stderr);
    dup2(old, 2);
    close(old);
    assert_string_equal(got, "client -, server -, Bearer s3cr3t");
    char text[4096] = "";
    rewind(log);
    size_t n = fread(text, 1, sizeof text - 1, log);
    fclose(log);
    text[n] = '\0';
    assert_non_null(strstr(text, "GET https://"));
    assert_null(strstr(text, "s3cr3t"));

    s = vf_secret_new("Bearer a\r\nX: y", 14);
    assert_null(get(&f, (struct vf_http_options){.ca_pem = f.ca}, s));
    assert_int_equal(vf_error_code(f.err), VF_INVALID);
    vf_secret_free(s);
    stop(&f);
}

static void test_http_open__deadline_ends_a_body_that_trickles(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_PLAIN);
    char *vf_autofree url = vf_xasprintf("%s/drip", vf_test_server_url(f.server));
    struct vf_http_options o = {.proxy = ""};
    struct vf_http *h = NULL;
    assert_int_equal(vf_http_new(&o, NULL, &h, NULL), 0);
    int64_t begun_ms = vf_clock_ms();
    struct vf_http_request req = {.url = url, .deadline_ms = begun_ms + 300};
    struct vf_stream *s = NULL;
    assert_int_equal(vf_http_open(h, &req, &s, NULL), 0);
    char buf[100];
    size_t n = 0;
    int rc = vf_stream_read_full(s, buf, sizeof buf, &n, &f.err);
    assert_int_equal(rc, VF_RETRY);
    int64_t took_ms = vf_clock_ms() - begun_ms;
    assert_in_range(took_ms, 290, 2000);
    vf_stream_free(s);
    vf_http_free(h);
    stop(&f);
}

static void test_http_request_cancel__is_looked_at_instead(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_PLAIN);
    struct vf_cancel *all = vf_cancel_new(NULL), *one = vf_cancel_new(all);
    struct vf_http_options o = {.proxy = ""};
    struct vf_http *h = NULL;
    assert_int_equal(vf_http_new(&o, all, &h, NULL), 0);
    vf_cancel_trigger(one);
    struct vf_http_response r = {0};
    struct vf_http_request req = {.url = vf_test_server_url(f.server), .cancel = one};
    assert_int_equal(vf_http_fetch(h, &req, &r, NULL), VF_CANCELLED);
    req.cancel = NULL;
    assert_int_equal(vf_http_fetch(h, &req, &r, NULL), 0);
    vf_http_response_release(&r);
    vf_http_free(h);
    vf_cancel_free(one);
    vf_cancel_free(all);
    stop(&f);
}

static void test_http_reason__tells_whether_a_request_was_sent(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_PLAIN);
    char *vf_autofree url = vf_xasprintf("%s/hang", vf_test_server_url(f.server));
    struct vf_http_options o = {.proxy = ""};
    struct vf_http *h = NULL;
    struct vf_http_response r = {0};
    assert_int_equal(vf_http_new(&o, NULL, &h, NULL), 0);
    struct vf_http_request req = {.url = url, .timeout_ms = 200};
    assert_int_equal(vf_http_fetch(h, &req, &r, &f.err), VF_RETRY);
    assert_null(vf_error_reason(f.err));
    stop(&f);
    f.err = NULL;
    assert_int_equal(vf_http_fetch(h, &req, &r, &f.err), VF_RETRY);
    assert_string_equal(vf_error_reason(f.err), VF_HTTP_REASON_NOT_SENT);
    vf_error_free(f.err);
    vf_http_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_ca_pem__chain_and_name_are_verified),
        cmocka_unit_test(test_http_ca_pem__junk_is_invalid),
        cmocka_unit_test(test_http_tls_server_name__is_told_and_looked_for),
        cmocka_unit_test(test_http_client_cert__is_shown),
        cmocka_unit_test(test_http_client_cert__bad_pairs_are_refused),
        cmocka_unit_test(test_http_client_cert__encrypted_key_never_asks),
        cmocka_unit_test(test_http_authorization__is_sent_and_not_logged),
        cmocka_unit_test(test_http_open__deadline_ends_a_body_that_trickles),
        cmocka_unit_test(test_http_request_cancel__is_looked_at_instead),
        cmocka_unit_test(test_http_reason__tells_whether_a_request_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
