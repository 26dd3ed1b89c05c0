/* Every wait of an HTTP request: how it ends by cancellation, by a deadline, by an unknown name. */
#include "importer/base/http.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/http_server.h"

#define MAX_LATENCY_MS 1500

/* The name service of these tests: this program's getaddrinfo() is found before libc's.
 * "slow.test" hangs until released; other names in .test do not exist. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool released;
    unsigned asked, answered;
} names = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int resolve_slowly(void)
{
    pthread_mutex_lock(&names.lock);
    names.asked++;
    pthread_cond_broadcast(&names.changed);
    while (!names.released) {
        pthread_cond_wait(&names.changed, &names.lock);
    }
    names.answered++;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
    return EAI_NONAME;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): libc's are reserved */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    if (name && strcmp(name, "slow.test") == 0) {
        return resolve_slowly();
    }
    size_t len = name ? strlen(name) : 0;
    if (len > 5 && strcmp(name + len - 5, ".test") == 0) {
        return EAI_NONAME;
    }
    union {
        void *object;
        int (*function)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    } real = {.object = dlsym(RTLD_NEXT, "getaddrinfo")};
    return real.function(name, service, hints, ret);
}

static void await_names(const unsigned *counter)
{
    pthread_mutex_lock(&names.lock);
    while (*counter == 0) {
        pthread_cond_wait(&names.changed, &names.lock);
    }
    pthread_mutex_unlock(&names.lock);
}

static void handle(struct vf_test_exchange *x, void *opaque)
{
    (void)opaque;
    if (strcmp(x->target, "/body") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabcd");
    } else if (strcmp(x->target, "/headers") == 0) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\n");
    }
    vf_test_hang(x);
}

/* A port where connect() neither succeeds nor fails: the queue of a listener that takes nobody is
 * kept full, so that Linux drops every further SYN. */
struct full_queue {
    int fds[8];
    unsigned port;
};

static void full_queue_init(struct full_queue *q)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof at;
    q->fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    vf_test_check(q->fds[0] >= 0 && bind(q->fds[0], (struct sockaddr *)&at, sizeof at) == 0);
    vf_test_check(listen(q->fds[0], 0) == 0);
    vf_test_check(getsockname(q->fds[0], (struct sockaddr *)&at, &len) == 0);
    q->port = ntohs(at.sin_port);
    for (unsigned i = 1; i < 8; i++) {
        q->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        vf_test_check(q->fds[i] >= 0);
        (void)connect(q->fds[i], (struct sockaddr *)&at, sizeof at);
    }
}

static void full_queue_release(struct full_queue *q)
{
    for (unsigned i = 0; i < 8; i++) {
        close(q->fds[i]);
    }
}

/* Cancels when the wait to be tested has begun. */
struct canceller {
    struct vf_cancel *cancel;
    struct vf_test_server *server;
    enum { AFTER_CONNECT, AFTER_REQUEST, AFTER_NAME, AFTER_WHILE } when;
    _Atomic int64_t at_ms;
    pthread_t thread;
};

static void *run_canceller(void *opaque)
{
    struct canceller *c = opaque;
    if (c->when == AFTER_CONNECT) {
        vf_test_check(vf_test_server_await_connections(c->server, 1));
    } else if (c->when == AFTER_REQUEST) {
        vf_test_check(vf_test_server_await_requests(c->server, 1));
    } else if (c->when == AFTER_NAME) {
        await_names(&names.asked);
    }
    /* What was seen was the peer's side; let the client come to its wait. */
    vf_cancel_wait(NULL, 100, NULL);
    c->at_ms = vf_clock_ms();
    vf_cancel_trigger(c->cancel);
    return NULL;
}

static void expect_cancelled(struct canceller *c, const char *url, bool as_stream)
{
    struct vf_cancel *root = vf_cancel_new(NULL);
    struct vf_cancel *child = vf_cancel_new(root);
    c->cancel = root; /* the parent's cancellation reaches the child's waits */
    const char *proxy = "";
    struct vf_http_options o = {.proxy = proxy, .insecure = true};
    struct vf_http_request req = {.url = url};
    struct vf_http_response r = {0};
    struct vf_stream *s = NULL;
    struct vf_http *h = NULL;
    struct vf_error *err = NULL;
    char buf[100];
    size_t n;
    assert_int_equal(vf_http_new(&o, child, &h, NULL), 0);
    vf_test_check(pthread_create(&c->thread, NULL, run_canceller, c) == 0);
    int rc = as_stream ? vf_http_open(h, &req, &s, &err) : vf_http_fetch(h, &req, &r, &err);
    if (s) {
        rc = vf_stream_read_full(s, buf, sizeof buf, &n, &err);
        vf_stream_free(s);
    }
    vf_http_free(h);
    int64_t end_ms = vf_clock_ms();
    pthread_join(c->thread, NULL);
    assert_int_equal(rc, VF_CANCELLED);
    assert_in_range(end_ms - c->at_ms, 0, MAX_LATENCY_MS);
    vf_error_free(err);
    vf_cancel_free(child);
    vf_cancel_free(root);
}

static void test_http_cancel__ends_name_lookup(void **state)
{
    (void)state;
    struct canceller c = {.when = AFTER_NAME};
    names.asked = names.answered = 0;
    names.released = false;
    expect_cancelled(&c, "https://slow.test/", false);
    pthread_mutex_lock(&names.lock);
    names.released = true;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
    await_names(&names.answered);
}

static void test_http_cancel__ends_connect(void **state)
{
    (void)state;
    struct full_queue q;
    full_queue_init(&q);
    struct canceller c = {.when = AFTER_WHILE};
    char *vf_autofree url = vf_xasprintf("https://127.0.0.1:%u/", q.port);
    expect_cancelled(&c, url, false);
    full_queue_release(&q);
}

static void test_http_cancel__ends_tls_handshake(void **state)
{
    (void)state;
    struct vf_test_server *server = vf_test_server_start(VF_TEST_SILENT, NULL, NULL);
    struct canceller c = {.when = AFTER_CONNECT, .server = server};
    expect_cancelled(&c, vf_test_server_url(server), false);
    vf_test_server_stop(server);
}

static void expect_cancelled_at(const char *path, bool as_stream)
{
    static const enum vf_test_server_kind kinds[] = {VF_TEST_PLAIN, VF_TEST_TLS};
    for (int i = 0; i < 2; i++) {
        struct vf_test_server *server = vf_test_server_start(kinds[i], handle, NULL);
        struct canceller c = {.when = AFTER_REQUEST, .server = server};
        char *vf_autofree url = vf_xasprintf("%s%s", vf_test_server_url(server), path);
        expect_cancelled(&c, url, as_stream);
        vf_test_server_stop(server);
    }
}

static void test_http_cancel__ends_wait_for_status(void **state)
{
    (void)state;
    expect_cancelled_at("/nothing", false);
    expect_cancelled_at("/nothing", true);
}

static void test_http_cancel__ends_wait_within_headers(void **state)
{
    (void)state;
    expect_cancelled_at("/headers", true);
}

static void test_http_cancel__ends_wait_for_body(void **state)
{
    (void)state;
    expect_cancelled_at("/body", false);
    expect_cancelled_at("/body", true);
}

static void test_http_cancel__beforehand_sends_nothing(void **state)
{
    (void)state;
    struct vf_test_server *server = vf_test_server_start(VF_TEST_PLAIN, handle, NULL);
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    vf_cancel_trigger(cancel);
    struct vf_http_options o = {.proxy = ""};
    struct vf_http_request req = {.url = vf_test_server_url(server)};
    struct vf_http_response r = {0};
    struct vf_http *h = NULL;
    assert_int_equal(vf_http_new(&o, cancel, &h, NULL), 0);
    assert_int_equal(vf_http_fetch(h, &req, &r, NULL), VF_CANCELLED);
    assert_int_equal(vf_test_server_connections(server), 0);
    vf_http_free(h);
    vf_cancel_free(cancel);
    vf_test_server_stop(server);
}

static int fetch(struct vf_http_options o, const char *url, struct vf_error **err)
{
    struct vf_http_request req = {.url = url};
    struct vf_http_response r = {0};
    struct vf_http *h = NULL;
    int rc = vf_http_new(&o, NULL, &h, err);
    if (!rc) {
        rc = vf_http_fetch(h, &req, &r, err);
    }
    vf_http_response_release(&r);
    vf_http_free(h);
    return rc;
}

static void test_http_connect_timeout__is_retry(void **state)
{
    (void)state;
    struct full_queue q;
    full_queue_init(&q);
    char *vf_autofree url = vf_xasprintf("https://127.0.0.1:%u/", q.port);
    struct vf_http_options o = {.proxy = "", .connect_timeout_ms = 300};
    struct vf_error *err = NULL;
    int64_t begin_ms = vf_clock_ms();
    assert_int_equal(fetch(o, url, &err), VF_RETRY);
    assert_in_range(vf_clock_ms() - begin_ms, 250, 20000);
    assert_non_null(strstr(vf_error_message(err), "no connection to \"127.0.0.1\""));
    vf_error_free(err);
    full_queue_release(&q);
}

static void test_http_connect_timeout__covers_tls_handshake(void **state)
{
    (void)state;
    struct vf_test_server *server = vf_test_server_start(VF_TEST_SILENT, NULL, NULL);
    struct vf_http_options o = {.proxy = "", .connect_timeout_ms = 300};
    struct vf_error *err = NULL;
    assert_int_equal(fetch(o, vf_test_server_url(server), &err), VF_RETRY);
    vf_error_free(err);
    vf_test_server_stop(server);
}

static void test_http_unknown_host__is_missing_and_named(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    struct vf_http_options o = {.proxy = ""};
    assert_int_equal(fetch(o, "https://vcenter.test/sdk", &err), VF_MISSING);
    assert_non_null(strstr(vf_error_message(err), "\"vcenter.test\""));
    assert_non_null(vf_error_get_hint(err));
    vf_error_clear(&err);
    o.proxy = "http://user:PROXY-SECRET@proxy.test:3128";
    assert_int_equal(fetch(o, "https://127.0.0.1/sdk", &err), VF_MISSING);
    assert_non_null(strstr(vf_error_message(err), "proxy"));
    assert_null(strstr(vf_error_message(err), "SECRET"));
    vf_error_free(err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_cancel__ends_name_lookup),
        cmocka_unit_test(test_http_cancel__ends_connect),
        cmocka_unit_test(test_http_cancel__ends_tls_handshake),
        cmocka_unit_test(test_http_cancel__ends_wait_for_status),
        cmocka_unit_test(test_http_cancel__ends_wait_within_headers),
        cmocka_unit_test(test_http_cancel__ends_wait_for_body),
        cmocka_unit_test(test_http_cancel__beforehand_sends_nothing),
        cmocka_unit_test(test_http_connect_timeout__is_retry),
        cmocka_unit_test(test_http_connect_timeout__covers_tls_handshake),
        cmocka_unit_test(test_http_unknown_host__is_missing_and_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
