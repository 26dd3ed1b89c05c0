/* One HTTP transfer: set up, driven, watched. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "importer/base/clock.h"
#include "importer/base/http_private.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/secret.h"
#include "importer/base/sigpipe.h"

/* libcurl bounds one header line (100 KiB), not their number. */
#define MAX_HEADERS_BYTES (256u << 10)
/* With TLS a read brings one record; without, as much as fits. Pages never touched cost nothing. */
#define RECEIVE_BYTES (512L << 10)
#define MAX_IDLE      16
/* What libcurl holds of a pushed body, and what a write to the socket is at most. */
#define SEND_BYTES (64L << 10)
/* How long a peer may take for its "100 Continue" (RFC 9110, section 10.1.1: not indefinitely). */
#define EXPECT_WAIT_MS 1000L
/* A chain of tokens longer than VF_CANCEL_MAX_FDS is still noticed in time. */
#define MAX_WAIT_MS 500

static void wipe_headers(struct vf_http_lane *lane)
{
    for (struct curl_slist *l = lane->headers; l; l = l->next) {
        OPENSSL_cleanse(l->data, strlen(l->data));
    }
    curl_slist_free_all(lane->headers);
    lane->headers = NULL;
}

static void detach(struct vf_http_lane *lane)
{
    if (lane->attached) {
        struct vf_sigpipe guard;
        vf_sigpipe_block(&guard);
        curl_multi_remove_handle(lane->multi, lane->easy);
        vf_sigpipe_restore(&guard);
        lane->attached = false;
    }
    wipe_headers(lane);
    free(lane->label);
    free(lane->host);
    lane->label = lane->host = NULL;
    lane->on_send = NULL;
    lane->send_opaque = NULL;
    vf_buf_release(&lane->answer_headers);
}

void vf_http_lane_free(struct vf_http_lane *lane)
{
    if (!lane) {
        return;
    }
    detach(lane);
    struct vf_sigpipe guard;
    vf_sigpipe_block(&guard);
    curl_easy_cleanup(lane->easy);
    curl_multi_cleanup(lane->multi);
    vf_sigpipe_restore(&guard);
    free(lane);
}

static struct vf_http_lane *take_idle(struct vf_http *h)
{
    pthread_mutex_lock(&h->lock);
    struct vf_http_lane *lane = h->idle;
    if (lane) {
        h->idle = lane->next;
        h->n_idle--;
    }
    pthread_mutex_unlock(&h->lock);
    return lane;
}

struct vf_http_lane *vf_http_lane_take(struct vf_http *h, struct vf_error **err)
{
    struct vf_http_lane *lane = take_idle(h);
    if (lane) {
        return lane;
    }
    lane = vf_xcalloc(1, sizeof *lane);
    lane->client = h;
    lane->multi = curl_multi_init();
    lane->easy = curl_easy_init();
    vf_buf_init(&lane->answer_headers, MAX_HEADERS_BYTES);
    if (!lane->multi || !lane->easy) {
        vf_http_lane_free(lane);
        vf_error_set(err, VF_INTERNAL, "cannot create an HTTP handle");
        return NULL;
    }
    curl_multi_setopt(lane->multi, CURLMOPT_MAXCONNECTS, 2L);
    return lane;
}

/* Last in, first out: the connection used last is the one least likely to be closed by now. */
void vf_http_lane_give(struct vf_http_lane *lane)
{
    struct vf_http *h = lane->client;
    detach(lane);
    curl_easy_reset(lane->easy);
    pthread_mutex_lock(&h->lock);
    bool keep = h->n_idle < MAX_IDLE;
    if (keep) {
        lane->next = h->idle;
        h->idle = lane;
        h->n_idle++;
    }
    pthread_mutex_unlock(&h->lock);
    if (!keep) {
        vf_http_lane_free(lane);
    }
}

/* What a log or an error may show of a URL: an NFC URL is a ticket, and so is some query. */
static int parse_url(struct vf_http_lane *lane, const char *method, const char *url,
                     struct vf_error **err)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL;
    bool good = u && !curl_url_set(u, CURLUPART_URL, url, 0) &&
                !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) &&
                !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
                !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
                !curl_url_get(u, CURLUPART_PATH, &path, 0) &&
                (!strcmp(scheme, "https") || !strcmp(scheme, "http"));
    int rc = 0;
    if (good) {
        size_t first = path[0] ? 1 + strcspn(path + 1, "/") : 0;
        lane->host = vf_xstrdup(host);
        lane->is_tls = strcmp(scheme, "https") == 0;
        lane->port = strtol(port, NULL, 10);
        lane->label = vf_xasprintf("%s %s://%s:%s%.*s%s", method, scheme, host, port, (int)first,
                                   path, path[first] ? "/..." : "");
    } else {
        rc = vf_error_set(err, VF_INVALID, "the URL is not a well-formed http or https URL");
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_url_cleanup(u);
    return rc;
}

static int add_header(struct vf_http_lane *lane, const char *line, struct vf_error **err)
{
    /* Values of a peer come back in headers; none may end the line and begin another. */
    if (strpbrk(line, "\r\n")) {
        return vf_error_set(err, VF_INVALID, "a request header holds a line break");
    }
    struct curl_slist *grown = curl_slist_append(lane->headers, line);
    if (!grown) {
        return vf_error_set(err, VF_INTERNAL, "cannot add a request header");
    }
    lane->headers = grown;
    return 0;
}

static bool has_header(const struct vf_http_request *req, const char *name)
{
    size_t len = strlen(name);
    for (const char *const *h = req->headers; h && *h; h++) {
        if (strncasecmp(*h, name, len) == 0 && (*h)[len] == ':') {
            return true;
        }
    }
    return false;
}

/* Not an option of libcurl's: of that it keeps a copy that nobody wipes. */
static int add_secret_header(struct vf_http_lane *lane, const char *name, const char *value,
                             struct vf_error **err)
{
    char *line = vf_xasprintf("%s: %s", name, value);
    int rc = add_header(lane, line, err);
    OPENSSL_cleanse(line, strlen(line));
    free(line);
    return rc;
}

static int add_headers(struct vf_http_lane *lane, const struct vf_http_request *req,
                       struct vf_error **err)
{
    int rc = 0;
    for (const char *const *h = req->headers; h && *h && !rc; h++) {
        rc = add_header(lane, *h, err);
    }
    if (!rc && req->cookie) {
        rc = add_secret_header(lane, "Cookie", req->cookie, err);
    }
    if (!rc && req->authorization) {
        rc = add_secret_header(lane, "Authorization", vf_secret_reveal(req->authorization), err);
    }
    /* libcurl would wait up to a second for a "100 Continue", which only a pushed body is worth,
     * and call any body a form. */
    if (!rc && !lane->on_send && !has_header(req, "Expect")) {
        rc = add_header(lane, "Expect:", err);
    }
    if (!rc && !has_header(req, "Content-Type")) {
        rc = add_header(lane, "Content-Type:", err);
    }
    curl_easy_setopt(lane->easy, CURLOPT_HTTPHEADER, lane->headers);
    return rc;
}

static size_t on_header(char *data, size_t size, size_t n, void *opaque)
{
    struct vf_http_lane *lane = opaque;
    size_t len = size * n;
    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        /* The next answer on this transfer, behind a "100 Continue". */
        vf_buf_clear(&lane->answer_headers);
        lane->headers_done = false;
        return len;
    }
    if (lane->headers_done) {
        return len; /* a trailer */
    }
    if (len > 0 && (data[0] == '\r' || data[0] == '\n')) {
        curl_easy_getinfo(lane->easy, CURLINFO_RESPONSE_CODE, &lane->status);
        lane->headers_done = lane->status >= 200;
        return len;
    }
    return vf_buf_append(&lane->answer_headers, data, len) ? len : 0;
}

static void set_pushed_body(struct vf_http_lane *lane)
{
    curl_easy_setopt(lane->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(lane->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)-1);
    curl_easy_setopt(lane->easy, CURLOPT_READFUNCTION, lane->on_send);
    curl_easy_setopt(lane->easy, CURLOPT_READDATA, lane->send_opaque);
    curl_easy_setopt(lane->easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BYTES);
    curl_easy_setopt(lane->easy, CURLOPT_EXPECT_100_TIMEOUT_MS, EXPECT_WAIT_MS);
}

static void set_method(struct vf_http_lane *lane, const struct vf_http_request *req)
{
    CURL *easy = lane->easy;
    const char *method = req->method;
    if (lane->on_send) {
        set_pushed_body(lane);
    } else if (req->body || (method && strcmp(method, "POST") == 0)) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, req->body ? req->body : "");
    } else if (method && strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    if (method) {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
    }
}

static int set_range(struct vf_http_lane *lane, const struct vf_http_request *req,
                     struct vf_error **err)
{
    char text[48];
    lane->use_range = req->use_range;
    if (!req->use_range) {
        return 0;
    }
    if (req->range_last < req->range_first) {
        return vf_error_set(err, VF_RANGE, "a byte range ends before it begins");
    }
    lane->range_first = req->range_first;
    lane->range_last = req->range_last;
    lane->range_total_bytes = req->range_total_bytes;
    if (req->range_last == UINT64_MAX) {
        snprintf(text, sizeof text, "%llu-", (unsigned long long)req->range_first);
    } else {
        snprintf(text, sizeof text, "%llu-%llu", (unsigned long long)req->range_first,
                 (unsigned long long)req->range_last);
    }
    curl_easy_setopt(lane->easy, CURLOPT_RANGE, text);
    return 0;
}

/* libcurl reads http_proxy in lower case alone, because a CGI program gets HTTP_PROXY from its
 * client's "Proxy:" header. This is no CGI program, and people set either. */
static const char *proxy_of_environment(const char *label)
{
    if (!strstr(label, " http://") || getenv("http_proxy")) {
        return NULL;
    }
    return getenv("HTTP_PROXY");
}

static void set_proxy(struct vf_http_lane *lane)
{
    const char *proxy = lane->client->proxy;
    if (proxy) {
        curl_easy_setopt(lane->easy, CURLOPT_PROXY, proxy);
        curl_easy_setopt(lane->easy, CURLOPT_NOPROXY, "");
    } else {
        curl_easy_setopt(lane->easy, CURLOPT_PROXY, proxy_of_environment(lane->label));
    }
    curl_easy_setopt(lane->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static void set_options(struct vf_http_lane *lane)
{
    CURL *easy = lane->easy;
    const struct vf_http *h = lane->client;
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
    /* A cancellation does not wait for getaddrinfo() to give up. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
#endif
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, h->user_agent);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)h->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BYTES);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, lane->curl_text);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, lane);
}

int vf_http_lane_start(struct vf_http_lane *lane, const struct vf_http_request *req,
                       curl_write_callback on_body, void *opaque, struct vf_error **err)
{
    const char *method = req->method ? req->method : req->body ? "POST" : "GET";
    lane->leaf = (struct vf_http_leaf){0};
    lane->headers_done = lane->done = lane->close_notified = false;
    lane->has_no_body = strcmp(method, "HEAD") == 0;
    lane->status = 0;
    lane->result = CURLE_OK;
    lane->curl_text[0] = '\0';
    lane->started_ms = vf_clock_ms();
    lane->cancel = req->cancel ? req->cancel : lane->client->cancel;
    lane->deadline_ms = req->deadline_ms ? req->deadline_ms : INT64_MAX;
    lane->stall_timeout_ms =
        req->stall_timeout_ms ? req->stall_timeout_ms : lane->client->stall_timeout_ms;
    vf_buf_clear(&lane->answer_headers);

    int rc = parse_url(lane, method, req->url, err);
    if (rc || (rc = vf_cancel_check(lane->cancel, err)) || (rc = set_range(lane, req, err)) ||
        (rc = add_headers(lane, req, err))) {
        return rc;
    }
    set_options(lane);
    set_proxy(lane);
    set_method(lane, req);
    if (req->once) {
        curl_easy_setopt(lane->easy, CURLOPT_FRESH_CONNECT, 1L);
    }
    vf_http_trust_apply(lane);
    curl_easy_setopt(lane->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(lane->easy, CURLOPT_WRITEDATA, opaque);
    if (curl_easy_setopt(lane->easy, CURLOPT_URL, req->url) ||
        curl_multi_add_handle(lane->multi, lane->easy)) {
        return vf_error_set(err, VF_INTERNAL, "cannot start an HTTP request");
    }
    lane->attached = true;
    return 0;
}

int vf_http_lane_perform(struct vf_http_lane *lane, struct vf_error **err)
{
    int rc = vf_cancel_check(lane->cancel, err);
    if (rc || lane->done) {
        return rc;
    }
    struct vf_sigpipe guard;
    int running;
    vf_sigpipe_block(&guard);
    CURLMcode code = curl_multi_perform(lane->multi, &running);
    vf_sigpipe_restore(&guard);
    if (code != CURLM_OK) {
        return vf_error_set(err, VF_INTERNAL, "the HTTP engine failed: %s",
                            curl_multi_strerror(code));
    }
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(lane->multi, &left));) {
        if (m->msg == CURLMSG_DONE) {
            lane->done = true;
            lane->result = m->data.result;
            vf_debug("http: %s: status %ld, %s, %lld ms", lane->label, lane->status,
                     curl_easy_strerror(lane->result),
                     (long long)(vf_clock_ms() - lane->started_ms));
        }
    }
    return 0;
}

static uint64_t moved_bytes(const struct vf_http_lane *lane)
{
    curl_off_t down = 0, up = 0;
    long headers = 0, request = 0;
    curl_easy_getinfo(lane->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    curl_easy_getinfo(lane->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    curl_easy_getinfo(lane->easy, CURLINFO_HEADER_SIZE, &headers);
    curl_easy_getinfo(lane->easy, CURLINFO_REQUEST_SIZE, &request);
    return (uint64_t)down + (uint64_t)up + (uint64_t)headers + (uint64_t)request;
}

void vf_http_timer_start(struct vf_http_timer *t, const struct vf_http_lane *lane,
                         int64_t timeout_ms)
{
    int64_t now_ms = vf_clock_ms();
    *t = (struct vf_http_timer){
        .deadline_ms = timeout_ms ? now_ms + timeout_ms : lane->deadline_ms,
        .stall_ms = lane->stall_timeout_ms,
        .stall_before_answer = timeout_ms == 0,
        .moved_at_ms = now_ms,
        .moved_bytes = moved_bytes(lane),
    };
}

/* Milliseconds until a deadline passes; <= 0: it has. */
static int64_t time_left(const struct vf_http_lane *lane, struct vf_http_timer *t)
{
    int64_t now_ms = vf_clock_ms();
    uint64_t moved = moved_bytes(lane);
    bool counts = t->stall_before_answer || lane->headers_done;
    if (moved != t->moved_bytes || !counts) {
        t->moved_bytes = moved;
        t->moved_at_ms = now_ms;
    }
    int64_t stall_left = t->moved_at_ms + t->stall_ms - now_ms;
    int64_t left = t->deadline_ms - now_ms;
    return stall_left < left ? stall_left : left;
}

static unsigned cancel_fds(const struct vf_cancel *c, struct curl_waitfd *ret)
{
    struct pollfd fds[VF_CANCEL_MAX_FDS];
    unsigned n = vf_cancel_poll_fds(c, fds, VF_CANCEL_MAX_FDS);
    for (unsigned i = 0; i < n; i++) {
        ret[i] = (struct curl_waitfd){.fd = fds[i].fd, .events = CURL_WAIT_POLLIN};
    }
    return n;
}

int vf_http_lane_wait(struct vf_http_lane *lane, struct vf_http_timer *t, struct vf_error **err)
{
    int64_t left_ms = time_left(lane, t);
    if (left_ms <= 0) {
        return vf_http_timeout_error(lane, t, err);
    }
    struct curl_waitfd fds[VF_CANCEL_MAX_FDS];
    unsigned n = cancel_fds(lane->cancel, fds);
    int wait_ms = left_ms < MAX_WAIT_MS ? (int)left_ms : MAX_WAIT_MS;
    CURLMcode code = curl_multi_poll(lane->multi, fds, n, wait_ms, NULL);
    if (code != CURLM_OK) {
        return vf_error_set(err, VF_INTERNAL, "the HTTP engine cannot wait: %s",
                            curl_multi_strerror(code));
    }
    return vf_cancel_check(lane->cancel, err);
}

bool vf_http_lane_is_ready(struct vf_http_lane *lane)
{
    int n = 0;
    return !curl_multi_poll(lane->multi, NULL, 0, 0, &n) && n > 0;
}
