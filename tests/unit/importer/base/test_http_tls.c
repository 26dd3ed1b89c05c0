#include "importer/base/http.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/http_server.h"

static void handle(struct vf_test_exchange *x, void *opaque)
{
    (void)opaque;
    vf_test_answer(x, 200, "Connection: close\r\n", "ok");
    x->close = true;
}

struct fixture {
    struct vf_test_server *server;
    struct vf_error *err;
};

static void start(struct fixture *f, enum vf_test_server_kind kind)
{
    *f = (struct fixture){.server = vf_test_server_start(kind, handle, NULL)};
}

static void stop(struct fixture *f)
{
    vf_test_server_stop(f->server);
    vf_error_free(f->err);
}

static int get(struct fixture *f, struct vf_http_options o)
{
    vf_error_clear(&f->err);
    o.proxy = "";
    struct vf_http *h = NULL;
    struct vf_http_response r = {0};
    struct vf_http_request req = {.url = vf_test_server_url(f->server)};
    int rc = vf_http_new(&o, NULL, &h, &f->err);
    if (!rc) {
        rc = vf_http_fetch(h, &req, &r, &f->err);
    }
    if (!rc) {
        assert_string_equal(r.body, "ok");
    }
    vf_http_response_release(&r);
    vf_http_free(h);
    return rc;
}

/* Refused before a byte of the request was sent, with both thumbprints and a way out. */
static void expect_refusal(struct fixture *f, struct vf_http_options o, const char *reason)
{
    assert_int_equal(get(f, o), VF_AUTH);
    const char *message = vf_error_message(f->err);
    assert_non_null(strstr(message, "\"127.0.0.1\""));
    assert_non_null(strstr(message, reason));
    assert_non_null(strstr(message, vf_test_server_sha1(f->server)));
    assert_non_null(strstr(message, vf_test_server_sha256(f->server)));
    char *vf_autofree way = vf_xasprintf("--thumbprint %s", vf_test_server_sha256(f->server));
    assert_non_null(strstr(vf_error_get_hint(f->err), way));
}

static void test_http_ca_file__good_chain_is_trusted(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS);
    struct vf_http_options o = {.ca_file = vf_test_server_ca_file(f.server)};
    assert_int_equal(get(&f, o), 0);
    stop(&f);
}

static void test_http_tls__unknown_issuer_is_auth(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS);
    expect_refusal(&f, (struct vf_http_options){0}, "issuer certificate");
    stop(&f);
    start(&f, VF_TEST_TLS_SELF_SIGNED);
    expect_refusal(&f, (struct vf_http_options){0}, "self-signed certificate");
    assert_non_null(strstr(vf_error_get_hint(f.err), "--ca-file"));
    stop(&f);
}

static void test_http_ca_file__other_issuer_is_auth(void **state)
{
    (void)state;
    struct fixture f, other;
    start(&f, VF_TEST_TLS);
    start(&other, VF_TEST_TLS);
    struct vf_http_options o = {.ca_file = vf_test_server_ca_file(other.server)};
    expect_refusal(&f, o, "not trusted");
    stop(&other);
    stop(&f);
}

static void test_http_ca_file__expired_is_auth(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS_EXPIRED);
    struct vf_http_options o = {.ca_file = vf_test_server_ca_file(f.server)};
    expect_refusal(&f, o, "expired");
    stop(&f);
}

static void test_http_ca_file__wrong_name_is_auth(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS_WRONG_NAME);
    struct vf_http_options o = {.ca_file = vf_test_server_ca_file(f.server)};
    expect_refusal(&f, o, "not for this host name");
    assert_false(vf_test_server_requests(f.server));
    stop(&f);
}

static void test_http_thumbprint__trusts_whatever_name_date_issuer(void **state)
{
    (void)state;
    static const enum vf_test_server_kind kinds[] = {VF_TEST_TLS, VF_TEST_TLS_SELF_SIGNED,
                                                     VF_TEST_TLS_WRONG_NAME, VF_TEST_TLS_EXPIRED};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct fixture f;
        start(&f, kinds[i]);
        assert_int_equal(
            get(&f, (struct vf_http_options){.thumbprint = vf_test_server_sha256(f.server)}), 0);
        assert_int_equal(
            get(&f, (struct vf_http_options){.thumbprint = vf_test_server_sha1(f.server)}), 0);
        stop(&f);
    }
}

static void test_http_thumbprint__bare_lower_case_is_the_same(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS);
    char bare[65] = "";
    size_t n = 0;
    for (const char *s = vf_test_server_sha256(f.server); *s; s++) {
        if (*s != ':') {
            bare[n++] = (char)tolower(*s);
        }
    }
    assert_int_equal(n, 64);
    assert_int_equal(get(&f, (struct vf_http_options){.thumbprint = bare}), 0);
    stop(&f);
}

static void test_http_thumbprint__mismatch_is_auth_and_sends_nothing(void **state)
{
    (void)state;
    struct fixture f, other;
    start(&f, VF_TEST_TLS);
    start(&other, VF_TEST_TLS);
    /* Neither a CA that would do nor "insecure" opens what a thumbprint closes. */
    struct vf_http_options o = {.thumbprint = vf_test_server_sha256(other.server),
                                .ca_file = vf_test_server_ca_file(f.server),
                                .insecure = true};
    expect_refusal(&f, o, "does not match");
    o.thumbprint = vf_test_server_sha1(other.server);
    expect_refusal(&f, o, "does not match");
    assert_int_equal(vf_test_server_requests(f.server), 0);
    stop(&other);
    stop(&f);
}

static void test_http_insecure__trusts_all(void **state)
{
    (void)state;
    static const enum vf_test_server_kind kinds[] = {VF_TEST_TLS_SELF_SIGNED,
                                                     VF_TEST_TLS_WRONG_NAME, VF_TEST_TLS_EXPIRED};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct fixture f;
        start(&f, kinds[i]);
        assert_int_equal(get(&f, (struct vf_http_options){.insecure = true}), 0);
        stop(&f);
    }
}

static int new_with(struct vf_http_options o, struct vf_error **err)
{
    struct vf_http *h = NULL;
    int rc = vf_http_new(&o, NULL, &h, err);
    vf_http_free(h);
    return rc;
}

static void test_http_new__malformed_thumbprint_is_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "A",
        "AA:BB",
        "zz",
        "AA::BB",
        "00112233445566778899AABBCCDDEEFF0011223",
        "00112233445566778899AABBCCDDEEFF001122334",
        "00112233445566778899AABBCCDDEEFF00112233:",
        "00112233445566778899AABBCCDDEEFF0011223344556677",
        "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF00"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_error *err = NULL;
        assert_int_equal(new_with((struct vf_http_options){.thumbprint = bad[i]}, &err),
                         VF_INVALID);
        assert_non_null(vf_error_get_hint(err));
        vf_error_free(err);
    }
    assert_int_equal(
        new_with((struct vf_http_options){.thumbprint = "00112233445566778899aabbccddeeff00112233"},
                 NULL),
        0);
}

static void test_http_new__bad_ca_file_is_told(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    struct vf_http_options o = {.ca_file = "/nonexistent/ca.pem"};
    assert_int_equal(new_with(o, &err), VF_MISSING);
    assert_non_null(strstr(vf_error_message(err), "/nonexistent/ca.pem"));
    vf_error_clear(&err);
    char path[] = "/tmp/vmferry-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "hello\n", 6) == 6);
    close(fd);
    o.ca_file = path;
    assert_int_equal(new_with(o, &err), VF_INVALID);
    vf_error_free(err);
    unlink(path);
}

static void test_http_tls__peer_without_tls_is_unsupported(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_GIBBERISH);
    assert_int_equal(get(&f, (struct vf_http_options){0}), VF_UNSUPPORTED);
    assert_non_null(strstr(vf_error_message(f.err), "no TLS connection"));
    stop(&f);
}

static void test_http_tls__trust_holds_for_later_connections(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS);
    struct vf_http_options o = {.thumbprint = vf_test_server_sha256(f.server), .proxy = ""};
    struct vf_http *h = NULL;
    assert_int_equal(vf_http_new(&o, NULL, &h, NULL), 0);
    struct vf_http_request req = {.url = vf_test_server_url(f.server)};
    for (int i = 0; i < 3; i++) { /* the later ones may resume the session, without certificate */
        struct vf_http_response r = {0};
        assert_int_equal(vf_http_fetch(h, &req, &r, NULL), 0);
        vf_http_response_release(&r);
    }
    assert_int_equal(vf_test_server_connections(f.server), 3);
    vf_http_free(h);
    stop(&f);
}

static int get_thumbprint(struct fixture *f, struct vf_http_options o, char **ret_sha1)
{
    vf_error_clear(&f->err);
    o.proxy = "";
    return vf_http_fetch_thumbprint(&o, vf_test_server_url(f->server), NULL, ret_sha1, &f->err);
}

static void test_http_thumbprint__is_that_of_the_trusted_server(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, VF_TEST_TLS);
    const struct vf_http_options ways[] = {
        {.ca_file = vf_test_server_ca_file(f.server)},
        {.thumbprint = vf_test_server_sha256(f.server)},
        {.thumbprint = vf_test_server_sha1(f.server)},
        {.insecure = true},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        char *vf_autofree sha1 = NULL;
        assert_int_equal(get_thumbprint(&f, ways[i], &sha1), 0);
        assert_string_equal(sha1, vf_test_server_sha1(f.server));
    }
    stop(&f);
}

static void test_http_thumbprint__of_a_server_that_is_not_trusted_is_auth(void **state)
{
    (void)state;
    struct fixture f;
    char *sha1 = NULL;
    start(&f, VF_TEST_TLS_SELF_SIGNED);
    assert_int_equal(get_thumbprint(&f, (struct vf_http_options){0}, &sha1), VF_AUTH);
    assert_null(sha1);
    stop(&f);
}

static void test_http_thumbprint__without_tls_is_unsupported(void **state)
{
    (void)state;
    struct fixture f;
    char *sha1 = NULL;
    start(&f, VF_TEST_PLAIN);
    assert_int_equal(get_thumbprint(&f, (struct vf_http_options){0}, &sha1), VF_UNSUPPORTED);
    assert_null(sha1);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_ca_file__good_chain_is_trusted),
        cmocka_unit_test(test_http_tls__unknown_issuer_is_auth),
        cmocka_unit_test(test_http_ca_file__other_issuer_is_auth),
        cmocka_unit_test(test_http_ca_file__expired_is_auth),
        cmocka_unit_test(test_http_ca_file__wrong_name_is_auth),
        cmocka_unit_test(test_http_thumbprint__trusts_whatever_name_date_issuer),
        cmocka_unit_test(test_http_thumbprint__bare_lower_case_is_the_same),
        cmocka_unit_test(test_http_thumbprint__mismatch_is_auth_and_sends_nothing),
        cmocka_unit_test(test_http_insecure__trusts_all),
        cmocka_unit_test(test_http_new__malformed_thumbprint_is_invalid),
        cmocka_unit_test(test_http_new__bad_ca_file_is_told),
        cmocka_unit_test(test_http_tls__peer_without_tls_is_unsupported),
        cmocka_unit_test(test_http_tls__trust_holds_for_later_connections),
        cmocka_unit_test(test_http_thumbprint__is_that_of_the_trusted_server),
        cmocka_unit_test(test_http_thumbprint__of_a_server_that_is_not_trusted_is_auth),
        cmocka_unit_test(test_http_thumbprint__without_tls_is_unsupported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
