#include "tests/support/datastore_server.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"

#define SIZE ((3u << 20) + 1536)

static bool has_session(const struct vf_test_exchange *x, struct datastore_fixture *f)
{
    char want[64];
    pthread_mutex_lock(&f->lock);
    snprintf(want, sizeof want, "vmware_soap_session=\"%u\"", f->session);
    pthread_mutex_unlock(&f->lock);
    char *vf_autofree cookie = vf_test_header(x, "Cookie");
    return cookie && strcmp(cookie, want) == 0;
}

static enum mischief take_mischief(struct datastore_fixture *f)
{
    enum mischief m = NO_MISCHIEF;
    pthread_mutex_lock(&f->lock);
    f->n_gets++;
    if (f->after) {
        f->after--;
    } else if (f->times) {
        f->times -= f->times != UINT_MAX;
        m = f->mischief;
    }
    if (m == EXPIRES) {
        f->session++;
    }
    pthread_mutex_unlock(&f->lock);
    return m;
}

static void send_part(struct vf_test_exchange *x, struct datastore_fixture *f, uint64_t first,
                      uint64_t last, enum mischief m)
{
    size_t len = (size_t)(last - first) + 1, sent = len;
    uint64_t from = first, shift = m == OTHER_RANGE ? 512 : 0;
    if (m == SHORT_RANGE) {
        last = first + len / 2 - 1;
        sent = len = len / 2;
    } else if (m == RESET_MIDDLE || m == CUT_SHORT || m == STALLS) {
        sent = len / 2;
    } else if (m == RESET_EARLY || m == EMPTY_BODY) {
        sent = m == RESET_EARLY ? 100 : 0;
    }
    vf_test_printf(x,
                   "HTTP/1.1 206 Part\r\nContent-Range: bytes %" PRIu64 "-%" PRIu64
                   "/%zu\r\nContent-Length: %zu\r\n\r\n",
                   first + shift, last + shift, f->size + (m == OTHER_TOTAL ? 512 : 0),
                   m == EMPTY_BODY ? 0 : len + (m == LONGER));
    vf_test_send(x, f->content + from, sent);
    if (m == LONGER) {
        vf_test_send(x, "!", 1);
    } else if (m == RESET_MIDDLE || m == RESET_EARLY) {
        vf_test_reset(x);
    } else if (m == STALLS) {
        vf_test_hang(x);
    }
    x->close |= m == CUT_SHORT;
}

static void serve_get(struct vf_test_exchange *x, struct datastore_fixture *f)
{
    uint64_t first, last;
    char text[32];
    char *vf_autofree range = vf_test_header(x, "Range");
    enum mischief m = take_mischief(f);
    vf_test_check(range && sscanf(range, "bytes=%" SCNu64 "-%" SCNu64, &first, &last) == 2);
    last = last < f->size ? last : f->size - 1;
    if (m == HANGS) {
        vf_test_hang(x);
    } else if (m == BUSY || m == BUSY_A_SECOND) {
        snprintf(text, sizeof text, "Retry-After: %d\r\n", m == BUSY_A_SECOND);
        vf_test_answer(x, 503, text, "Out of HTTP sessions");
    } else if (m == EXPIRES) {
        vf_test_answer(x, 401, NULL, "who?");
    } else if (m == STATUS) {
        vf_test_answer(x, f->status, NULL, "<html>The file is locked</html>");
    } else if (first >= f->size) {
        vf_test_answer(x, 416, NULL, "");
    } else if (m == WHOLE_FILE) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", f->size);
        vf_test_send(x, f->content, f->size);
    } else {
        send_part(x, f, first, last, m);
    }
}

static void serve_head(struct vf_test_exchange *x, const struct datastore_fixture *f)
{
    if (f->head_status) {
        vf_test_answer(x, f->head_status, NULL, "");
    } else if (f->says_no_length) {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\n\r\n");
    } else {
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", f->size + f->head_more);
    }
}

static void handle(struct vf_test_exchange *x, void *opaque)
{
    struct datastore_fixture *f = opaque;
    pthread_mutex_lock(&f->lock);
    if (f->n_requests < sizeof f->targets / sizeof f->targets[0]) {
        snprintf(f->targets[f->n_requests], sizeof f->targets[0], "%.200s", x->target);
    }
    f->n_requests++;
    f->under_way++;
    f->most_under_way = f->under_way > f->most_under_way ? f->under_way : f->most_under_way;
    pthread_mutex_unlock(&f->lock);
    if (!has_session(x, f)) {
        vf_test_answer(x, 401, "WWW-Authenticate: Basic\r\n", "401 Unauthorized");
    } else if (f->want_target && strcmp(x->target, f->want_target) != 0) {
        vf_test_answer(x, 404, NULL, "no such file");
    } else if (strcmp(x->method, "HEAD") == 0) {
        serve_head(x, f);
    } else {
        serve_get(x, f);
    }
    pthread_mutex_lock(&f->lock);
    f->under_way--;
    pthread_mutex_unlock(&f->lock);
}

/* As a vSphere session: renews only when what was refused is still what it has. */
static int give_cookie(void *opaque, const struct vf_secret *refused, struct vf_secret **ret_cookie,
                       struct vf_error **err)
{
    struct datastore_fixture *f = opaque;
    char text[64];
    if (f->cookie_times) {
        f->cookie_times--;
        vf_error_set(err, f->cookie_code, "no login");
        vf_error_set_http_status(err, 500);
        return f->cookie_code;
    }
    pthread_mutex_lock(&f->lock);
    int n = snprintf(text, sizeof text, "vmware_soap_session=\"%u\"", f->known);
    if (refused && strcmp(vf_secret_reveal(refused), text) == 0) {
        f->renewals++;
        f->known = f->session;
        n = snprintf(text, sizeof text, "vmware_soap_session=\"%u\"", f->known);
    }
    f->cookies_taken++;
    pthread_mutex_unlock(&f->lock);
    *ret_cookie = vf_secret_new(text, (size_t)n);
    return 0;
}

int datastore_set_up(void **state)
{
    struct datastore_fixture *f = vf_xcalloc(1, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    f->size = SIZE;
    f->content = vf_xcalloc(f->size, 1);
    for (size_t i = 0; i < f->size; i++) {
        f->content[i] = (uint8_t)((i * 2654435761u) >> 24);
    }
    f->server = vf_test_server_start(VF_TEST_PLAIN, handle, f);
    struct vf_http_options o = {.proxy = ""};
    vf_test_check(vf_http_new(&o, NULL, &f->http, NULL) == 0);
    o.stall_timeout_ms = 500;
    vf_test_check(vf_http_new(&o, NULL, &f->hasty, NULL) == 0);
    *state = f;
    return 0;
}

int datastore_tear_down(void **state)
{
    struct datastore_fixture *f = *state;
    vf_disk_free(f->disk);
    vf_http_free(f->http);
    vf_http_free(f->hasty);
    vf_test_server_stop(f->server);
    vf_error_free(f->err);
    pthread_mutex_destroy(&f->lock);
    free(f->content);
    free(f);
    return 0;
}

void datastore_order(struct datastore_fixture *f, enum mischief m, unsigned after, unsigned times)
{
    pthread_mutex_lock(&f->lock);
    f->mischief = m;
    f->after = after;
    f->times = times;
    pthread_mutex_unlock(&f->lock);
}

struct vf_datastore_options datastore_options(struct datastore_fixture *f,
                                              struct vf_retry_policy *retry)
{
    *retry = (struct vf_retry_policy){.max_tries = 4, .first_wait_ms = 2, .max_wait_ms = 10};
    return (struct vf_datastore_options){
        .http = f->http,
        .scheme = "http",
        .authority = strstr(vf_test_server_url(f->server), "//") + 2,
        .dc_path = "DC0",
        .file = "[ds1] vm a/vm.vmdk",
        .cookie = give_cookie,
        .cookie_opaque = f,
        .retry = retry,
    };
}

int datastore_open(struct datastore_fixture *f, const struct vf_datastore_options *o)
{
    vf_disk_free(f->disk);
    f->disk = NULL;
    vf_error_clear(&f->err);
    return vf_datastore_open(o, &f->disk, &f->err);
}

int datastore_open_plainly(struct datastore_fixture *f)
{
    struct vf_retry_policy retry;
    struct vf_datastore_options o = datastore_options(f, &retry);
    return datastore_open(f, &o);
}
