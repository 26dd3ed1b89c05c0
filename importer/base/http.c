#include "importer/base/http.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "importer/base/http_private.h"
#include "importer/base/mem.h"

#define DEFAULT_CONNECT_TIMEOUT_MS 15000
#define DEFAULT_STALL_TIMEOUT_MS   60000
#define DEFAULT_TIMEOUT_MS         120000
#define DEFAULT_MAX_ANSWER_BYTES   (64u << 20)
#define MAX_QUOTE_BYTES            200
#define MAX_RETRY_AFTER_S          86400

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
    vf_http_tls_init();
}

int vf_http_new(const struct vf_http_options *options, const struct vf_cancel *cancel,
                struct vf_http **ret_http, struct vf_error **err)
{
    static const struct vf_http_options defaults;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct vf_http_options *o = options ? options : &defaults;

    pthread_once(&once, init_curl);
    struct vf_http *h = vf_xcalloc(1, sizeof *h);
    pthread_mutex_init(&h->lock, NULL);
    h->cancel = cancel;
    h->connect_timeout_ms =
        o->connect_timeout_ms ? o->connect_timeout_ms : DEFAULT_CONNECT_TIMEOUT_MS;
    h->stall_timeout_ms = o->stall_timeout_ms ? o->stall_timeout_ms : DEFAULT_STALL_TIMEOUT_MS;
    h->proxy = vf_xstrdup(o->proxy);
    h->user_agent = vf_xstrdup(o->user_agent ? o->user_agent : "vmferry/" VF_VERSION);
    int rc = vf_http_trust_init(&h->trust, o, err);
    if (rc) {
        vf_http_free(h);
        return rc;
    }
    *ret_http = h;
    return 0;
}

void vf_http_free(struct vf_http *h)
{
    if (!h) {
        return;
    }
    while (h->idle) {
        struct vf_http_lane *lane = h->idle;
        h->idle = lane->next;
        vf_http_lane_free(lane);
    }
    vf_http_trust_release(&h->trust);
    pthread_mutex_destroy(&h->lock);
    free(h->proxy);
    free(h->user_agent);
    free(h);
}

struct fetch {
    struct vf_http_lane *lane;
    struct vf_buf body;
    bool no_range; /* the whole comes where a part was asked for */
};

static size_t on_body(char *data, size_t size, size_t n, void *opaque)
{
    struct fetch *f = opaque;
    f->no_range = f->lane->use_range && f->lane->status == 200;
    return !f->no_range && vf_buf_append(&f->body, data, size * n) ? size * n : 0;
}

static int run(struct fetch *f, int64_t timeout_ms, struct vf_error **err)
{
    struct vf_http_lane *lane = f->lane;
    struct vf_http_timer timer;
    vf_http_timer_start(&timer, lane, timeout_ms);
    for (;;) {
        int rc = vf_http_lane_perform(lane, err);
        if (rc || lane->done) {
            return rc;
        }
        rc = vf_http_lane_wait(lane, &timer, err);
        if (rc) {
            return rc;
        }
    }
}

static int conclude(struct fetch *f, struct vf_error **err)
{
    struct vf_http_lane *lane = f->lane;
    if (f->no_range || (lane->use_range && lane->status / 100 == 2 && lane->status != 206)) {
        vf_error_set(err, VF_UNSUPPORTED, "\"%s\" does not serve byte ranges", lane->host);
        vf_error_set_http_status(err, lane->status);
        return VF_UNSUPPORTED;
    }
    if (f->body.overflow) {
        return vf_error_set(err, VF_SPACE, "the answer of \"%s\" is larger than %zu bytes",
                            lane->host, f->body.max);
    }
    int rc = vf_http_lane_result(lane, err);
    return rc ? rc : vf_http_lane_check_range(lane, err);
}

int vf_http_fetch(struct vf_http *h, const struct vf_http_request *req,
                  struct vf_http_response *ret_response, struct vf_error **err)
{
    struct fetch f = {.lane = vf_http_lane_take(h, err)};
    if (!f.lane) {
        return VF_INTERNAL;
    }
    vf_buf_init(&f.body, req->max_answer_bytes ? req->max_answer_bytes : DEFAULT_MAX_ANSWER_BYTES);
    int rc = vf_http_lane_start(f.lane, req, on_body, &f, err);
    if (!rc) {
        rc = run(&f, req->timeout_ms ? req->timeout_ms : DEFAULT_TIMEOUT_MS, err);
    }
    if (!rc) {
        rc = conclude(&f, err);
    }
    if (!rc) {
        ret_response->status = f.lane->status;
        ret_response->body_len = f.body.len;
        ret_response->body = vf_buf_take_string(&f.body);
        ret_response->headers = vf_buf_take_string(&f.lane->answer_headers);
    }
    vf_buf_release(&f.body);
    vf_http_lane_give(f.lane);
    return rc;
}

void vf_http_response_release(struct vf_http_response *r)
{
    free(r->body);
    free(r->headers);
    *r = (struct vf_http_response){0};
}

char *vf_http_find_header(const char *block, const char *name)
{
    size_t name_len = strlen(name);
    for (const char *line = block; line && *line;) {
        size_t len = strcspn(line, "\r\n");
        if (len > name_len && line[name_len] == ':' && strncasecmp(line, name, name_len) == 0) {
            const char *value = line + name_len + 1;
            size_t value_len = len - name_len - 1;
            while (value_len && (*value == ' ' || *value == '\t')) {
                value++;
                value_len--;
            }
            while (value_len && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t')) {
                value_len--;
            }
            return vf_xstrndup(value, value_len);
        }
        line += len;
        line += strspn(line, "\r\n");
    }
    return NULL;
}

char *vf_http_response_header(const struct vf_http_response *r, const char *name)
{
    return vf_http_find_header(r->headers, name);
}

int64_t vf_http_retry_after_ms(const char *block)
{
    char *vf_autofree value = vf_http_find_header(block, "Retry-After");
    if (!value || !*value) {
        return -1;
    }
    char *end;
    long seconds = strtol(value, &end, 10);
    if (*end) {
        time_t when = curl_getdate(value, NULL);
        if (when == (time_t)-1) {
            return -1;
        }
        seconds = (long)(when - time(NULL));
    }
    if (seconds < 0) {
        return 0;
    }
    return (int64_t)(seconds < MAX_RETRY_AFTER_S ? seconds : MAX_RETRY_AFTER_S) * 1000;
}

/* One line of what the body says, with nothing a terminal would obey. */
static char *quote_body(const char *body)
{
    struct vf_buf b;
    vf_buf_init(&b, MAX_QUOTE_BYTES);
    for (bool gap = false; body && *body && !b.overflow; body++) {
        unsigned char c = (unsigned char)*body;
        if (c <= ' ' || c == 0x7f) {
            gap = b.len > 0;
            continue;
        }
        if (gap) {
            vf_buf_puts(&b, " ");
        }
        gap = false;
        vf_buf_append(&b, body, 1);
    }
    return vf_buf_take_string(&b);
}

int vf_http_set_status_error(const char *host, long status, const char *header_block,
                             const char *body, struct vf_error **err)
{
    enum vf_code code = vf_http_status_code(status);
    char *vf_autofree quote = quote_body(body);
    code = code == VF_OK ? VF_INVALID : code;
    vf_error_set(err, code, "\"%s\" answered with status %ld%s%s", host, status, *quote ? ": " : "",
                 quote);
    vf_error_set_http_status(err, status);
    vf_error_set_retry_after_ms(err, vf_http_retry_after_ms(header_block));
    return code;
}

int vf_http_response_error(const struct vf_http_response *r, const char *host,
                           struct vf_error **err)
{
    return vf_http_set_status_error(host, r->status, r->headers, r->body, err);
}

enum vf_code vf_http_status_code(long status)
{
    switch (status) {
    case 401:
    case 403:
        return VF_AUTH;
    case 404:
    case 410:
        return VF_MISSING;
    case 409:
    case 412:
        return VF_CONFLICT;
    case 408:
    case 429:
        return VF_RETRY;
    case 416:
        return VF_RANGE;
    case 501:
        return VF_UNSUPPORTED;
    default:
        if (status >= 500 && status <= 599) {
            return VF_RETRY;
        }
        return status >= 200 && status <= 299 ? VF_OK : VF_INVALID;
    }
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

char *vf_http_escape(const char *s)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (; *s; s++) {
        if (is_unreserved(*s)) {
            vf_buf_append(&b, s, 1);
        } else {
            vf_buf_printf(&b, "%%%02X", (unsigned char)*s);
        }
    }
    return vf_buf_take_string(&b);
}
