/* A request whose body is pushed. The bytes of a write are lent to libcurl until it has copied all
 * of them: nothing is held here, and one buffer (SEND_BYTES) in libcurl.
 */
#include "importer/base/http_send.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/http_private.h"
#include "importer/base/mem.h"

#define DEFAULT_MAX_ANSWER_BYTES (64u << 20)

struct vf_http_send {
    struct vf_http_lane *lane;
    const char *from; /* of the write under way */
    size_t from_len;
    bool asked;  /* libcurl wanted bytes: the peer said to go on, or kept silent */
    bool paused; /* there were none */
    bool ending; /* there will be none */
    bool ended;  /* libcurl knows, and has sent all before */
    struct vf_buf answer;
};

static size_t on_send(char *buf, size_t size, size_t count, void *opaque)
{
    struct vf_http_send *s = opaque;
    size_t room = size * count;
    s->asked = true;
    if (s->from_len) {
        size_t n = s->from_len < room ? s->from_len : room;
        memcpy(buf, s->from, n);
        s->from += n;
        s->from_len -= n;
        return n;
    }
    if (s->ending) {
        s->ended = true;
        return 0;
    }
    s->paused = true;
    return CURL_READFUNC_PAUSE;
}

static size_t on_body(char *data, size_t size, size_t count, void *opaque)
{
    struct vf_http_send *s = opaque;
    return vf_buf_append(&s->answer, data, size * count) ? size * count : 0;
}

static int perform(struct vf_http_send *s, struct vf_error **err)
{
    struct vf_http_lane *lane = s->lane;
    if (s->paused && (s->from_len || s->ending) && !lane->done) {
        s->paused = false;
        CURLcode code = curl_easy_pause(lane->easy, CURLPAUSE_CONT);
        if (code != CURLE_OK) {
            lane->done = true;
            lane->result = code;
            return 0;
        }
    }
    return vf_http_lane_perform(lane, err);
}

/* As vf_http_lane_wait; a time that is over is told as "HOST `what` for TIME". */
static int await(struct vf_http_send *s, struct vf_http_timer *t, const char *what,
                 int64_t since_ms, struct vf_error **err)
{
    struct vf_error *failure = NULL;
    int rc = vf_http_lane_wait(s->lane, t, &failure);
    if (rc == VF_RETRY) {
        vf_error_clear(&failure);
        vf_error_set(&failure, VF_RETRY, "\"%s\" %s for %lld s", s->lane->host, what,
                     (long long)(vf_clock_ms() - since_ms + 500) / 1000);
    }
    if (rc) {
        vf_error_move(err, &failure);
    }
    return rc;
}

/* To a 417 (Expectation Failed) libcurl asks again without "Expect", if it can. */
static bool has_answer(const struct vf_http_send *s)
{
    return s->lane->headers_done && (s->lane->status != 417 || s->lane->done);
}

static int await_go(struct vf_http_send *s, struct vf_error **err)
{
    struct vf_http_timer timer;
    vf_http_timer_start(&timer, s->lane, 0);
    for (;;) {
        int rc = perform(s, err);
        if (rc || s->asked || has_answer(s)) {
            return rc;
        }
        if (s->lane->done) {
            return vf_http_lane_result(s->lane, err);
        }
        rc = await(s, &timer, "said nothing", timer.moved_at_ms, err);
        if (rc) {
            return rc;
        }
    }
}

int vf_http_send_open(struct vf_http *h, const struct vf_http_request *req,
                      struct vf_http_send **ret_send, struct vf_error **err)
{
    struct vf_http_lane *lane = vf_http_lane_take(h, err);
    if (!lane) {
        return VF_INTERNAL;
    }
    struct vf_http_send *s = vf_xcalloc(1, sizeof *s);
    s->lane = lane;
    vf_buf_init(&s->answer,
                req->max_answer_bytes ? req->max_answer_bytes : DEFAULT_MAX_ANSWER_BYTES);
    struct vf_http_request own = *req;
    own.method = req->method ? req->method : "POST";
    own.body = NULL;
    own.body_len = 0;
    own.use_range = false;
    own.once = true;
    lane->on_send = on_send;
    lane->send_opaque = s;
    int rc = vf_http_lane_start(lane, &own, on_body, s, err);
    rc = rc ? rc : await_go(s, err);
    if (rc) {
        vf_http_send_free(s);
        return rc;
    }
    *ret_send = s;
    return 0;
}

static int push(struct vf_http_send *s, struct vf_error **err)
{
    struct vf_http_timer timer;
    vf_http_timer_start(&timer, s->lane, 0);
    for (;;) {
        int rc = perform(s, err);
        if (rc) {
            return rc;
        }
        if (has_answer(s)) {
            return 1;
        }
        if (s->lane->done) {
            return vf_http_lane_result(s->lane, err);
        }
        if (s->from_len == 0) {
            return 0;
        }
        rc = await(s, &timer, "took nothing", timer.moved_at_ms, err);
        if (rc) {
            return rc;
        }
    }
}

int vf_http_send_write(struct vf_http_send *s, const void *buf, size_t len_bytes,
                       struct vf_error **err)
{
    s->from = buf;
    s->from_len = len_bytes;
    int rc = push(s, err);
    s->from = NULL;
    s->from_len = 0;
    return rc;
}

/* Until the status is known. */
static int await_answer(struct vf_http_send *s, unsigned timeout_ms, struct vf_http_timer *t,
                        struct vf_error **err)
{
    int64_t all_sent_ms = -1;
    vf_http_timer_start(t, s->lane, 0);
    s->ending = true;
    for (;;) {
        int rc = perform(s, err);
        if (rc || has_answer(s)) {
            return rc;
        }
        if (s->lane->done) {
            return vf_http_lane_result(s->lane, err);
        }
        if (s->ended && all_sent_ms < 0) {
            all_sent_ms = vf_clock_ms();
            vf_http_timer_start(t, s->lane, timeout_ms);
        }
        rc = s->ended ? await(s, t, "did not answer", all_sent_ms, err)
                      : await(s, t, "took nothing", t->moved_at_ms, err);
        if (rc) {
            return rc;
        }
    }
}

/* The status is what counts; of its text, a peer that gives up on a body may send us less than it
 * announced. */
static int await_text(struct vf_http_send *s, struct vf_http_timer *t, struct vf_error **err)
{
    int rc = 0;
    while (!rc && !s->lane->done) {
        rc = perform(s, NULL);
        if (!rc && !s->lane->done) {
            rc = vf_http_lane_wait(s->lane, t, NULL);
        }
    }
    if (rc == VF_CANCELLED) {
        return vf_cancel_check(s->lane->cancel, err);
    }
    if (s->answer.overflow) {
        return vf_error_set(err, VF_SPACE, "the answer of \"%s\" is larger than %zu bytes",
                            s->lane->host, s->answer.max);
    }
    return 0;
}

int vf_http_send_finish(struct vf_http_send *s, unsigned answer_timeout_ms,
                        struct vf_http_response *ret_response, struct vf_error **err)
{
    struct vf_http_lane *lane = s->lane;
    unsigned timeout_ms = answer_timeout_ms ? answer_timeout_ms : lane->stall_timeout_ms;
    struct vf_http_timer timer;
    struct vf_error *failure = NULL;
    int rc = 0;
    bool early = has_answer(s);
    if (early) {
        vf_http_timer_start(&timer, lane, timeout_ms);
    } else {
        rc = await_answer(s, timeout_ms, &timer, &failure);
        early = !s->ended;
    }
    /* After an early 2xx libcurl still waits for the rest of a body that nobody wants. */
    if (!rc && !(early && lane->status < 300)) {
        rc = await_text(s, &timer, &failure);
    }
    if (rc) {
        if (s->ended && rc == VF_RETRY) {
            vf_error_set_reason(&failure, VF_HTTP_REASON_ANSWER_LOST);
        }
        vf_error_move(err, &failure);
        return rc;
    }
    ret_response->status = lane->status;
    ret_response->body_len = s->answer.len;
    ret_response->body = vf_buf_take_string(&s->answer);
    ret_response->headers = vf_buf_take_string(&lane->answer_headers);
    return 0;
}

bool vf_http_send_is_whole(const struct vf_http_send *s)
{
    return s->ended;
}

void vf_http_send_free(struct vf_http_send *s)
{
    if (!s) {
        return;
    }
    vf_http_lane_give(s->lane);
    vf_buf_release(&s->answer);
    free(s);
}
