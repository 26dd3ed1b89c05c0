/* The sink that uploads: order and head are checked, zeros are gathered into runs, a coder
 * compresses, and http_send sends.
 */
#include "importer/target/upload.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/http_send.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/target/upload_coder.h"
#include "importer/target/upload_private.h"

#define PATH "/v1beta1/upload"

#define MIN_DISK_BYTES 512 /* what CDI reads before it knows what it gets */
#define MAX_THREADS    16u
#define MAX_TEXT_BYTES 65536u

/* A peer that takes nothing may be busy: what lies in its socket's buffer, and in those on the way,
 * may be zeros by the hundred GiB, which it expands and may write. So a stall is long, and the
 * answer is given the time for what the last bytes of the frame stand for, at the speed of a slow
 * disk. */
#define DEFAULT_STALL_MS    300000u
#define DEFAULT_ANSWER_MS   1800000u
#define IN_FLIGHT_BYTES     (32u << 20)
#define EXPAND_BYTES_PER_MS (64u << 10)
#define MAX_ANSWER_TIMEOUT  (7u * 86400u * 1000u)

struct upload_sink {
    struct vf_sink base;
    struct vf_http *http;
    char *url, *host;
    vf_upload_token_fn *fetch_token;
    void *opaque;
    enum vf_upload_coding coding;
    unsigned threads, stall_timeout_ms, answer_timeout_ms;
    struct vf_cancel *cancel; /* child of the caller's; triggered at free */

    struct vf_secret *token;       /* kept to know it if an answer repeats it */
    struct vf_upload_coder *coder; /* NULL: not begun */
    struct vf_http_send *send;
    uint64_t at_bytes;   /* what must come next */
    uint64_t zero_bytes; /* of them, given as zero and not yet to the coder */
    bool failed;

    /* How far the disk was when IN_FLIGHT_BYTES less were sent, or twice as many; the emitting
     * thread's. */
    uint64_t sent_bytes;
    uint64_t mark_sent[2], mark_disk[2];
};

static int take_answer(struct upload_sink *u, unsigned timeout_ms, struct vf_error **err)
{
    struct vf_http_response response = {0};
    struct vf_error *failure = NULL;
    int rc = vf_http_send_finish(u->send, timeout_ms, &response, &failure);
    if (!rc) {
        rc = vf_inject("upload.answer", &failure);
        if (rc) {
            vf_error_set_reason(&failure, VF_HTTP_REASON_ANSWER_LOST);
        }
    }
    if (rc) {
        rc = vf_upload_lost(rc, &failure, err);
    } else {
        struct vf_upload_answer a = {
            .host = u->host, .token = u->token, .all_sent = vf_http_send_is_whole(u->send)};
        rc = vf_upload_judge(&a, &response, err);
    }
    vf_http_response_release(&response);
    return rc;
}

static int emit(void *opaque, const void *buf, size_t len_bytes, uint64_t disk_bytes,
                struct vf_error **err)
{
    struct upload_sink *u = opaque;
    int rc = vf_http_send_write(u->send, buf, len_bytes, err);
    if (rc == 1) {
        return take_answer(u, 0, err);
    }
    u->sent_bytes += len_bytes;
    if (u->sent_bytes - u->mark_sent[1] >= IN_FLIGHT_BYTES) {
        u->mark_sent[0] = u->mark_sent[1];
        u->mark_disk[0] = u->mark_disk[1];
        u->mark_sent[1] = u->sent_bytes;
        u->mark_disk[1] = disk_bytes;
    }
    return rc;
}

static int open_request(struct upload_sink *u, struct vf_error **err)
{
    static const char *const headers[] = {"Content-Type: application/octet-stream", NULL};
    int rc = u->fetch_token(u->opaque, &u->token, err);
    if (rc) {
        return rc;
    }
    char *bearer = vf_xasprintf("Bearer %s", vf_secret_reveal(u->token));
    struct vf_secret *authorization = vf_secret_new(bearer, strlen(bearer));
    explicit_bzero(bearer, strlen(bearer));
    free(bearer);
    struct vf_http_request req = {
        .url = u->url,
        .headers = headers,
        .authorization = authorization,
        .stall_timeout_ms = u->stall_timeout_ms,
        .cancel = u->cancel,
        .max_answer_bytes = MAX_TEXT_BYTES,
    };
    rc = vf_http_send_open(u->http, &req, &u->send, err);
    vf_secret_free(authorization);
    return rc;
}

static int begin(struct upload_sink *u, struct vf_error **err)
{
    if (u->coder) {
        return 0;
    }
    int rc = open_request(u, err);
    if (rc) {
        return rc;
    }
    if (u->coding == VF_UPLOAD_GZIP) {
        return vf_upload_gzip_new(u->threads, emit, u, &u->coder, err);
    }
    return vf_upload_zstd_new(u->base.size_bytes, u->threads, emit, u, &u->coder, err);
}

/* The range must be what comes next. */
static int check_range(const struct upload_sink *u, uint64_t offset, uint64_t length,
                       struct vf_error **err)
{
    if (u->failed) {
        return vf_error_set(err, VF_INTERNAL, "a failed upload cannot go on");
    }
    if (offset > u->base.size_bytes || length > u->base.size_bytes - offset) {
        return vf_error_set(err, VF_RANGE, "a write goes beyond the disk's end");
    }
    if (offset != u->at_bytes) {
        return vf_error_set(err, VF_INTERNAL, "an upload takes a disk in order only");
    }
    return 0;
}

static int refuse_head(const char *what, struct vf_error **err)
{
    vf_error_set(err, VF_UNSUPPORTED,
                 "the disk begins like %s, and CDI would take it for one and unpack it", what);
    vf_error_hint(err, "write it from inside the cluster, with --to pvc");
    return VF_UNSUPPORTED;
}

static int give_zeros(struct upload_sink *u, struct vf_error **err)
{
    uint64_t n = u->zero_bytes;
    u->zero_bytes = 0;
    return n ? u->coder->ops->zero(u->coder, n, err) : 0;
}

static int fail(struct upload_sink *u, int rc)
{
    u->failed = u->failed || rc;
    return rc;
}

static int upload_write(struct vf_sink *sink, const void *buf, size_t len_bytes,
                        uint64_t offset_bytes, struct vf_error **err)
{
    struct upload_sink *u = (struct upload_sink *)sink;
    int rc = check_range(u, offset_bytes, len_bytes, err);
    const char *what = offset_bytes == 0 && !rc ? vf_upload_sniff(buf, len_bytes) : NULL;
    if (what) {
        rc = refuse_head(what, err);
    }
    rc = rc ? rc : vf_inject("upload.write", err);
    rc = rc ? rc : begin(u, err);
    rc = rc ? rc : give_zeros(u, err);
    if (!rc) {
        u->at_bytes += len_bytes;
        rc = u->coder->ops->write(u->coder, buf, len_bytes, err);
    }
    return fail(u, rc);
}

static int upload_zero(struct vf_sink *sink, uint64_t offset_bytes, uint64_t length_bytes,
                       struct vf_error **err)
{
    struct upload_sink *u = (struct upload_sink *)sink;
    int rc = check_range(u, offset_bytes, length_bytes, err);
    rc = rc ? rc : vf_inject("upload.write", err);
    rc = rc ? rc : begin(u, err);
    if (!rc) {
        u->at_bytes += length_bytes;
        u->zero_bytes += length_bytes;
    }
    return fail(u, rc);
}

static int upload_read(struct vf_sink *sink, void *buf, size_t len_bytes, uint64_t offset_bytes,
                       struct vf_error **err)
{
    (void)sink;
    (void)buf;
    (void)len_bytes;
    (void)offset_bytes;
    return vf_error_set(err, VF_UNSUPPORTED, "an upload cannot be read back");
}

/* Nothing is durable before the answer. */
static int upload_flush(struct vf_sink *sink, struct vf_error **err)
{
    (void)sink;
    (void)err;
    return 0;
}

static unsigned answer_timeout(const struct upload_sink *u)
{
    if (u->answer_timeout_ms) {
        return u->answer_timeout_ms;
    }
    uint64_t ms = DEFAULT_ANSWER_MS + (u->base.size_bytes - u->mark_disk[0]) / EXPAND_BYTES_PER_MS;
    return ms < MAX_ANSWER_TIMEOUT ? (unsigned)ms : MAX_ANSWER_TIMEOUT;
}

static int upload_finish(struct vf_sink *sink, struct vf_error **err)
{
    struct upload_sink *u = (struct upload_sink *)sink;
    if (!u->failed && u->at_bytes != u->base.size_bytes) {
        return vf_error_set(err, VF_INTERNAL, "the upload of a disk ends before the disk");
    }
    int rc = check_range(u, u->base.size_bytes, 0, err);
    rc = rc ? rc : give_zeros(u, err);
    rc = rc ? rc : u->coder->ops->finish(u->coder, err);
    rc = rc ? rc : take_answer(u, answer_timeout(u), err);
    return fail(u, rc);
}

static void upload_free(struct vf_sink *sink)
{
    struct upload_sink *u = (struct upload_sink *)sink;
    if (u->cancel) {
        vf_cancel_trigger(u->cancel); /* an emit on a thread of the coder may be waiting */
    }
    if (u->coder) {
        u->coder->ops->free(u->coder);
    }
    vf_http_send_free(u->send);
    vf_secret_free(u->token);
    vf_cancel_free(u->cancel);
    free(u->url);
    free(u->host);
    free(u);
}

static const struct vf_sink_ops ops = {.write = upload_write,
                                       .zero = upload_zero,
                                       .read = upload_read,
                                       .flush = upload_flush,
                                       .finish = upload_finish,
                                       .free = upload_free};

/* "https://HOST[:PORT][/PATH]", to which the rest of the path is added. */
static int set_url(struct upload_sink *u, const char *url, struct vf_error **err)
{
    const char *authority = strstr(url, "://");
    if (!authority || strpbrk(url, "?#@ ")) {
        return vf_error_set(err, VF_INVALID, "the upload proxy's URL is not a plain https URL");
    }
    authority += 3;
    size_t len = strlen(url);
    while (len && url[len - 1] == '/') {
        len--;
    }
    bool has_path =
        len >= strlen(PATH) && strncmp(url + len - strlen(PATH), PATH, strlen(PATH)) == 0;
    u->url = vf_xasprintf("%.*s%s", (int)len, url, has_path ? "" : PATH);
    u->host = vf_xstrndup(authority, strcspn(authority, "/"));
    return 0;
}

static int init(struct upload_sink *u, const struct vf_upload_options *o, struct vf_error **err)
{
    if (o->size_bytes < MIN_DISK_BYTES) {
        return vf_error_set(err, VF_UNSUPPORTED, "CDI takes no upload of less than %d bytes",
                            MIN_DISK_BYTES);
    }
    u->cancel = vf_cancel_new(o->cancel);
    if (!u->cancel) {
        return vf_error_set(err, VF_INTERNAL, "no descriptor is left for an upload");
    }
    return set_url(u, o->url, err);
}

int vf_upload_sink_open(const struct vf_upload_options *o, struct vf_sink **ret_sink,
                        struct vf_error **err)
{
    struct upload_sink *u = vf_xcalloc(1, sizeof *u);
    unsigned threads = o->threads ? o->threads : 1;
    *u = (struct upload_sink){
        .base = {.ops = &ops, .size_bytes = o->size_bytes},
        .http = o->http,
        .fetch_token = o->fetch_token,
        .opaque = o->opaque,
        .coding = o->coding,
        .threads = threads < MAX_THREADS ? threads : MAX_THREADS,
        .stall_timeout_ms = o->stall_timeout_ms ? o->stall_timeout_ms : DEFAULT_STALL_MS,
        .answer_timeout_ms = o->answer_timeout_ms,
    };
    int rc = init(u, o, err);
    if (rc) {
        upload_free(&u->base);
        return rc;
    }
    *ret_sink = &u->base;
    return 0;
}
