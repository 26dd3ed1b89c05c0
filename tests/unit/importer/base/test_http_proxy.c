#include "importer/base/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/http_server.h"

static void handle_end(struct vf_test_exchange *x, void *opaque)
{
    (void)opaque;
    vf_test_answer(x, 200, NULL, x->head);
}

struct proxy {
    int connect_status; /* the answer to CONNECT; 0: none, ever */
};

static void handle_proxy(struct vf_test_exchange *x, void *opaque)
{
    const struct proxy *p = opaque;
    unsigned port = 0;
    if (strcmp(x->method, "CONNECT") != 0) {
        vf_test_answer(x, 200, NULL, x->head);
        return;
    }
    vf_test_check(strncmp(x->target, "127.0.0.1:", 10) == 0);
    port = (unsigned)strtoul(x->target + 10, NULL, 10);
    if (p->connect_status == 200) {
        vf_test_printf(x, "HTTP/1.1 200 Connected\r\nX-From-Proxy: 1\r\n\r\n");
        vf_test_tunnel(x, port);
    } else if (p->connect_status) {
        vf_test_answer(x, p->connect_status, NULL, "");
    } else {
        vf_test_hang(x);
    }
}

struct fixture {
    struct vf_test_server *end, *proxy;
    struct proxy setting;
    struct vf_http_response response;
    struct vf_error *err;
};

static void forget_environment(void)
{
    static const char *const all[] = {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",
                                      "no_proxy",   "NO_PROXY",   "all_proxy",   "ALL_PROXY"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        unsetenv(all[i]);
    }
}

static int set_up(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    forget_environment();
    f->setting.connect_status = 200;
    f->end = vf_test_server_start(VF_TEST_TLS, handle_end, NULL);
    f->proxy = vf_test_server_start(VF_TEST_PLAIN, handle_proxy, &f->setting);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    forget_environment();
    vf_test_server_stop(f->proxy);
    vf_test_server_stop(f->end);
    vf_http_response_release(&f->response);
    vf_error_free(f->err);
    free(f);
    return 0;
}

static int get_url(struct fixture *f, struct vf_http_options o, const char *url)
{
    vf_http_response_release(&f->response);
    vf_error_clear(&f->err);
    struct vf_http *h = NULL;
    const char *const headers[] = {"Authorization: Bearer ENDPOINT-ONLY", NULL};
    struct vf_http_request req = {.url = url, .headers = headers, .cookie = "ENDPOINT-ONLY"};
    int rc = vf_http_new(&o, NULL, &h, &f->err);
    if (!rc) {
        rc = vf_http_fetch(h, &req, &f->response, &f->err);
    }
    vf_http_free(h);
    return rc;
}

static int get(struct fixture *f, const char *proxy)
{
    struct vf_http_options o = {.proxy = proxy, .thumbprint = vf_test_server_sha256(f->end)};
    return get_url(f, o, vf_test_server_url(f->end));
}

static void test_http_proxy__tunnels_https(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, vf_test_server_url(f->proxy)), 0);
    assert_int_equal(f->response.status, 200);
    assert_int_equal(vf_test_server_requests(f->proxy), 1);
    assert_null(strstr(f->response.headers, "X-From-Proxy"));
    assert_non_null(strstr(f->response.body, "Cookie: ENDPOINT-ONLY"));
}

static void test_http_proxy__certificate_is_the_endpoints(void **state)
{
    struct fixture *f = *state;
    struct vf_http_options o = {.proxy = vf_test_server_url(f->proxy)};
    assert_int_equal(get_url(f, o, vf_test_server_url(f->end)), VF_AUTH);
    assert_non_null(strstr(vf_error_message(f->err), vf_test_server_sha256(f->end)));
    assert_int_equal(vf_test_server_requests(f->end), 0);
}

static void test_http_proxy__forwards_http(void **state)
{
    struct fixture *f = *state;
    struct vf_http_options o = {.proxy = vf_test_server_url(f->proxy)};
    assert_int_equal(get_url(f, o, "http://nowhere.test/x"), 0);
    assert_non_null(strstr(f->response.body, "GET http://nowhere.test/x HTTP/1.1\r\n"));
}

static void test_http_proxy__comes_from_environment(void **state)
{
    struct fixture *f = *state;
    setenv("HTTPS_PROXY", vf_test_server_url(f->proxy), 1);
    assert_int_equal(get(f, NULL), 0);
    assert_int_equal(vf_test_server_requests(f->proxy), 1);
    setenv("HTTP_PROXY", vf_test_server_url(f->proxy), 1);
    assert_int_equal(get_url(f, (struct vf_http_options){0}, "http://nowhere.test/x"), 0);
    assert_int_equal(vf_test_server_requests(f->proxy), 2);
}

static void test_http_proxy__no_proxy_exempts_host(void **state)
{
    struct fixture *f = *state;
    setenv("HTTPS_PROXY", vf_test_server_url(f->proxy), 1);
    setenv("NO_PROXY", "other.test,127.0.0.1", 1);
    assert_int_equal(get(f, NULL), 0);
    assert_int_equal(vf_test_server_requests(f->proxy), 0);
    /* A proxy given for this endpoint by name goes before the environment. */
    assert_int_equal(get(f, vf_test_server_url(f->proxy)), 0);
    assert_int_equal(vf_test_server_requests(f->proxy), 1);
}

static void test_http_proxy__empty_means_none(void **state)
{
    struct fixture *f = *state;
    setenv("HTTPS_PROXY", vf_test_server_url(f->proxy), 1);
    assert_int_equal(get(f, ""), 0);
    assert_int_equal(vf_test_server_requests(f->proxy), 0);
}

static void test_http_proxy__refusal_is_told_as_the_proxys(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int status;
        int code;
    } table[] = {{407, VF_AUTH}, {403, VF_AUTH}, {502, VF_RETRY}, {504, VF_RETRY}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        f->setting.connect_status = table[i].status;
        assert_int_equal(get(f, vf_test_server_url(f->proxy)), table[i].code);
        assert_non_null(strstr(vf_error_message(f->err), "the proxy refused"));
        assert_int_equal(vf_error_http_status(f->err), table[i].status);
        assert_non_null(vf_error_get_hint(f->err));
    }
    assert_int_equal(vf_test_server_connections(f->end), 0);
}

static void test_http_proxy__silent_one_is_bounded(void **state)
{
    struct fixture *f = *state;
    f->setting.connect_status = 0;
    struct vf_http_options o = {.proxy = vf_test_server_url(f->proxy),
                                .thumbprint = vf_test_server_sha256(f->end),
                                .connect_timeout_ms = 300};
    int64_t begin_ms = vf_clock_ms();
    assert_int_equal(get_url(f, o, vf_test_server_url(f->end)), VF_RETRY);
    assert_in_range(vf_clock_ms() - begin_ms, 250, 20000);
}

static void test_http_proxy__unreachable_one_is_named(void **state)
{
    struct fixture *f = *state;
    struct vf_test_server *gone = vf_test_server_start(VF_TEST_PLAIN, handle_proxy, &f->setting);
    unsigned port = vf_test_server_port(gone);
    vf_test_server_stop(gone);
    char *vf_autofree proxy = vf_xasprintf("http://127.0.0.1:%u", port);
    struct vf_http_options o = {.proxy = proxy};
    assert_int_equal(get_url(f, o, "https://vcenter.test/"), VF_RETRY);
    assert_non_null(strstr(vf_error_message(f->err), "the proxy on the way to \"vcenter.test\""));
}

static void test_http_proxy__tls_of_the_proxy_is_judged_by_the_system(void **state)
{
    struct fixture *f = *state;
    struct vf_test_server *proxy = vf_test_server_start(VF_TEST_TLS, handle_proxy, &f->setting);
    /* "insecure" and the thumbprint are for the endpoint alone. */
    struct vf_http_options o = {.proxy = vf_test_server_url(proxy), .insecure = true};
    assert_int_equal(get_url(f, o, vf_test_server_url(f->end)), VF_AUTH);
    assert_non_null(strstr(vf_error_message(f->err), "certificate of the proxy"));
    o = (struct vf_http_options){.proxy = vf_test_server_url(proxy),
                                 .thumbprint = vf_test_server_sha256(proxy)};
    assert_int_equal(get_url(f, o, vf_test_server_url(f->end)), VF_AUTH);
    assert_non_null(strstr(vf_error_message(f->err), "certificate of the proxy"));
    o.thumbprint = NULL;
    assert_int_equal(get_url(f, o, vf_test_server_url(f->end)), VF_AUTH);
    assert_non_null(strstr(vf_error_message(f->err), "certificate of the proxy"));
    assert_int_equal(vf_test_server_requests(proxy), 0);
    vf_test_server_stop(proxy);
}

#define with_servers(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_servers(test_http_proxy__tunnels_https),
        with_servers(test_http_proxy__certificate_is_the_endpoints),
        with_servers(test_http_proxy__forwards_http),
        with_servers(test_http_proxy__comes_from_environment),
        with_servers(test_http_proxy__no_proxy_exempts_host),
        with_servers(test_http_proxy__empty_means_none),
        with_servers(test_http_proxy__refusal_is_told_as_the_proxys),
        with_servers(test_http_proxy__silent_one_is_bounded),
        with_servers(test_http_proxy__unreachable_one_is_named),
        with_servers(test_http_proxy__tls_of_the_proxy_is_judged_by_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
