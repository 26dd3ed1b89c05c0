/* An answer's body as a stream. Nobody moves bytes but the reader: while it does not read, the
 * peer is held back by TCP, and no more than a carry of CARRY_BYTES is held here.
 */
#include <stdlib.h>
#include <string.h>

#include "importer/base/http_private.h"
#include "importer/base/mem.h"

/* What came beyond the reader's buffer. A callback brings at most CURL_MAX_WRITE_SIZE, and one
 * round seldom more than one receive buffer; beyond this the transfer is paused. */
#define CARRY_BYTES     (256u << 10)
#define MAX_ERROR_BYTES 512

struct http_stream {
    struct vf_stream stream;
    struct vf_http_lane *lane;
    char *target; /* of the read under way */
    size_t target_len, filled;
    char *carry; /* allocated when first needed */
    size_t carry_at, carry_end;
    bool paused;
};

static size_t on_body(char *data, size_t size, size_t count, void *opaque)
{
    struct http_stream *s = opaque;
    size_t n = size * count;
    size_t room = s->target_len - s->filled;
    size_t direct = n < room ? n : room;
    if (n - direct > CARRY_BYTES - s->carry_end) {
        s->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (direct) {
        memcpy(s->target + s->filled, data, direct);
        s->filled += direct;
    }
    if (n > direct) {
        if (!s->carry) {
            s->carry = vf_xcalloc(1, CARRY_BYTES);
        }
        memcpy(s->carry + s->carry_end, data + direct, n - direct);
        s->carry_end += n - direct;
    }
    return n;
}

static void drain_carry(struct http_stream *s)
{
    size_t have = s->carry_end - s->carry_at;
    size_t n = have < s->target_len ? have : s->target_len;
    if (n) {
        memcpy(s->target, s->carry + s->carry_at, n);
        s->filled = n;
        s->carry_at += n;
    }
    if (s->carry_at == s->carry_end) {
        s->carry_at = s->carry_end = 0;
    }
}

/* libcurl hands over at once what it held back, so the target must be in place. */
static int resume(struct http_stream *s, struct vf_error **err)
{
    s->paused = false;
    CURLcode code = curl_easy_pause(s->lane->easy, CURLPAUSE_CONT);
    if (code != CURLE_OK) {
        s->lane->done = true;
        s->lane->result = code;
        return vf_http_lane_error(s->lane, err);
    }
    return 0;
}

/* Fills the target with what is there, waiting only while it is empty. */
static int fill(struct http_stream *s, struct vf_error **err)
{
    struct vf_http_lane *lane = s->lane;
    struct vf_http_timer timer;
    vf_http_timer_start(&timer, lane, 0);
    while (s->filled < s->target_len && !lane->done) {
        int rc = s->paused ? resume(s, err) : 0;
        if (!rc) {
            rc = vf_http_lane_perform(lane, err);
        }
        if (rc) {
            return rc;
        }
        if (lane->done || s->filled == s->target_len) {
            break;
        }
        if (s->filled) {
            if (!vf_http_lane_is_ready(lane)) {
                break;
            }
        } else if ((rc = vf_http_lane_wait(lane, &timer, err))) {
            return rc;
        }
    }
    return 0;
}

static int stream_read(struct vf_stream *stream, void *buf, size_t len_bytes, size_t *ret_n,
                       struct vf_error **err)
{
    struct http_stream *s = (struct http_stream *)stream;
    s->target = buf;
    s->target_len = len_bytes;
    s->filled = 0;
    drain_carry(s);
    int rc = 0;
    if (s->carry_end == 0) {
        rc = fill(s, err);
    }
    size_t n = s->filled;
    s->target = NULL;
    s->target_len = s->filled = 0;
    if (rc) {
        return rc;
    }
    /* What came before a break is handed over first; the break is told at the next read. */
    if (n == 0 && len_bytes && (rc = vf_http_lane_result(s->lane, err))) {
        return rc;
    }
    *ret_n = n;
    return 0;
}

static void stream_free(struct vf_stream *stream)
{
    struct http_stream *s = (struct http_stream *)stream;
    vf_http_lane_give(s->lane);
    free(s->carry);
    free(s);
}

static const struct vf_stream_ops ops = {.read = stream_read, .free = stream_free};

static int await_headers(struct http_stream *s, struct vf_error **err)
{
    struct vf_http_lane *lane = s->lane;
    struct vf_http_timer timer;
    vf_http_timer_start(&timer, lane, 0);
    for (;;) {
        int rc = vf_http_lane_perform(lane, err);
        if (rc) {
            return rc;
        }
        if (lane->headers_done) {
            return 0;
        }
        if (lane->done) {
            return vf_http_lane_result(lane, err);
        }
        rc = vf_http_lane_wait(lane, &timer, err);
        if (rc) {
            return rc;
        }
    }
}

static int refuse_status(struct http_stream *s, struct vf_error **err)
{
    struct vf_http_lane *lane = s->lane;
    if (lane->use_range && lane->status / 100 == 2) {
        vf_error_set(err, VF_UNSUPPORTED, "\"%s\" does not serve byte ranges", lane->host);
        vf_error_set_http_status(err, lane->status);
        return VF_UNSUPPORTED;
    }
    char text[MAX_ERROR_BYTES + 1];
    size_t n = 0;
    if (stream_read(&s->stream, text, MAX_ERROR_BYTES, &n, NULL)) {
        n = 0;
    }
    text[n] = '\0';
    return vf_http_set_status_error(lane->host, lane->status, lane->answer_headers.data, text, err);
}

static int begin(struct http_stream *s, const struct vf_http_request *req, struct vf_error **err)
{
    struct vf_http_lane *lane = s->lane;
    int rc = vf_http_lane_start(lane, req, on_body, s, err);
    if (rc || (rc = await_headers(s, err))) {
        return rc;
    }
    if (lane->status != (lane->use_range ? 206 : 200)) {
        return refuse_status(s, err);
    }
    curl_off_t length = -1;
    curl_easy_getinfo(lane->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    s->stream.size_bytes = length;
    return vf_http_lane_check_range(lane, err);
}

int vf_http_open(struct vf_http *h, const struct vf_http_request *req,
                 struct vf_stream **ret_stream, struct vf_error **err)
{
    struct vf_http_lane *lane = vf_http_lane_take(h, err);
    if (!lane) {
        return VF_INTERNAL;
    }
    struct http_stream *s = vf_xcalloc(1, sizeof *s);
    s->stream.ops = &ops;
    s->lane = lane;
    int rc = begin(s, req, err);
    if (rc) {
        vf_stream_free(&s->stream);
        return rc;
    }
    *ret_stream = &s->stream;
    return 0;
}
