#include "importer/kube/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/kube_rig.h"

static const struct vf_kube_ref all = {.resource = &vf_test_datavolumes};
static const struct vf_kube_ref disk = {.resource = &vf_test_datavolumes, .name = "d1"};

#define OBJECT(name, uid, version, phase)                                                          \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"prod\",\"uid\":\"" uid                   \
    "\",\"resourceVersion\":\"" version "\"},\"status\":{\"phase\":\"" phase "\"}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"
#define BOOKMARK(version)   EVENT("BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"" version "\"}}")
#define GONE                                                                                       \
    EVENT("ERROR", "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":"         \
                   "\"old\"}")

static bool is_watch(const struct vf_test_exchange *x)
{
    return vf_test_target_has(x, "watch=true");
}

static void answer_list(struct vf_test_exchange *x, const char *version, const char *items)
{
    vf_test_check(!is_watch(x));
    char *vf_autofree body =
        vf_xasprintf("{\"metadata\":{\"resourceVersion\":\"%s\"},\"items\":[%s]}", version, items);
    vf_test_answer(x, 200, NULL, body);
}

static void begin_from(struct vf_test_exchange *x, const char *version)
{
    char *vf_autofree text = vf_xasprintf("watch=true&allowWatchBookmarks=true"
                                          "&resourceVersion=%s&timeoutSeconds=",
                                          version);
    if (!vf_test_target_has(x, text)) {
        fprintf(stderr, "%s\n", x->target);
        vf_test_check(!"watched from there");
    }
    vf_test_kube_begin_watch(x);
}

/* What was told, as one line: "+d1:Pending =sync -d1". */
struct record {
    struct vf_buf text;
    const char *until; /* ends the watch when the line ends so */
    int code;          /* with this */
};

static int on_event(void *opaque, enum vf_kube_event event, const cJSON *object,
                    struct vf_error **err)
{
    struct record *r = opaque;
    const char *name = vf_json_string(vf_json_object(object, "metadata"), "name");
    const char *phase = vf_json_string(vf_json_object(object, "status"), "phase");
    if (event == VF_KUBE_SYNCED || event == VF_KUBE_TICK) {
        assert_null(object);
        vf_buf_puts(&r->text, event == VF_KUBE_SYNCED ? " =" : " !");
    } else {
        vf_buf_printf(&r->text, " %s%s%s%s", event == VF_KUBE_DELETED ? "-" : "+", name,
                      phase ? ":" : "", phase ? phase : "");
    }
    size_t len = strlen(r->until);
    if (r->text.len >= len && strcmp(r->text.data + r->text.len - len, r->until) == 0) {
        return r->code == 1 ? 1 : vf_error_set(err, (enum vf_code)r->code, "as told");
    }
    return 0;
}

static int watch(struct vf_test_kube *k, const struct vf_kube_ref *ref, const char *until,
                 int64_t timeout_ms, char **ret_text)
{
    struct record r = {.until = until, .code = 1};
    const struct vf_kube_watch_options o = {.timeout_ms = timeout_ms};
    vf_buf_init(&r.text, SIZE_MAX);
    int rc = vf_kube_watch(k->client, ref, &o, on_event, &r, &k->err);
    *ret_text = vf_buf_take_string(&r.text);
    return rc;
}

static void expect(vf_test_kube_handler *handler, const char *until, const char *text,
                   unsigned requests)
{
    struct vf_test_kube k;
    char *got;
    vf_test_kube_start(&k, handler);
    int rc = watch(&k, &all, until, 20000, &got);
    if (rc) {
        fail_msg("%s after%s", vf_error_message(k.err), got);
    }
    assert_string_equal(got, text);
    assert_int_equal(k.n, requests);
    free(got);
    vf_test_kube_stop(&k);
}

static void simple(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    if (n == 1) {
        answer_list(x, "5", OBJECT("d1", "u1", "4", "Pending"));
        return;
    }
    begin_from(x, "5");
    vf_test_kube_chunk(x, EVENT("ADDED", OBJECT("d2", "u2", "6", "Pending")));
    vf_test_kube_chunk(x, EVENT("MODIFIED", OBJECT("d1", "u1", "7", "Bound")) "\n" EVENT(
                              "DELETED", OBJECT("d2", "u2", "8", "Pending")));
    vf_test_hang(x);
}

static void test_kube_watch__lists_then_follows(void **state)
{
    (void)state;
    expect(simple, "-d2:Pending", " +d1:Pending = +d2:Pending +d1:Bound -d2:Pending", 2);
}

static void in_pieces(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    static const char events[] = EVENT("ADDED", OBJECT("d1", "u1", "6", "A"))
        EVENT("MODIFIED", OBJECT("d1", "u1", "7", "B"));
    if (n == 1) {
        answer_list(x, "5", "");
        return;
    }
    begin_from(x, "5");
    for (size_t i = 0; i < sizeof events - 1; i++) {
        const char byte[] = {events[i], '\0'};
        vf_test_kube_chunk(x, byte);
    }
    vf_test_hang(x);
}

static void test_kube_watch__events_may_come_in_pieces(void **state)
{
    (void)state;
    expect(in_pieces, "+d1:B", " = +d1:A +d1:B", 2);
}

/* Cut, reset, a proper end, 503, refused: each time it goes on from the last version told. */
static void cut(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    switch (n) {
    case 1:
        answer_list(x, "5", "");
        break;
    case 2:
        begin_from(x, "5");
        vf_test_kube_chunk(x, EVENT("ADDED", OBJECT("d1", "u1", "6", "A")));
        vf_test_kube_chunk(x, "{\"type\":\"MODIFIED\",\"obj");
        vf_test_cut(x);
        break;
    case 3:
        begin_from(x, "6");
        vf_test_kube_chunk(x, BOOKMARK("9"));
        vf_test_pause(x, 300); /* a reset takes with it what was not read */
        vf_test_reset(x);
        break;
    case 4:
        begin_from(x, "9");
        vf_test_kube_chunk(x, BOOKMARK("10"));
        vf_test_kube_end_watch(x);
        break;
    case 5:
        vf_test_kube_status(x, 503, "ServiceUnavailable", "later", NULL, NULL);
        break;
    case 6:
        begin_from(x, "10");
        vf_test_kube_chunk(x, "{\"type\":\"MODIFIED\"");
        vf_test_kube_end_watch(x);
        break;
    case 7:
        vf_test_kube_status(x, 429, "TooManyRequests", "slow", NULL, "Retry-After: 0\r\n");
        break;
    default:
        begin_from(x, "10");
        vf_test_kube_chunk(x, EVENT("MODIFIED", OBJECT("d1", "u1", "11", "B")));
        vf_test_hang(x);
    }
}

static void test_kube_watch__resumes_where_it_broke(void **state)
{
    (void)state;
    expect(cut, "+d1:B", " = +d1:A +d1:B", 8);
}

static void expired(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    switch (n) {
    case 1:
        answer_list(x, "5",
                    OBJECT("d1", "u1", "1", "A") "," OBJECT("d2", "u2", "2",
                                                            "A") "," OBJECT("d3", "u3", "3", "A"));
        break;
    case 2:
        begin_from(x, "5");
        vf_test_kube_chunk(x, GONE);
        vf_test_hang(x);
        break;
    case 3: /* d1 is as before, d2 is gone, d3 is another one, d4 is new */
        answer_list(x, "50",
                    OBJECT("d1", "u1", "1", "A") "," OBJECT("d3", "u9", "49",
                                                            "B") "," OBJECT("d4", "u4", "48", "A"));
        break;
    case 4:
        vf_test_kube_status(x, 410, "Gone", "too old", NULL, NULL);
        break;
    case 5:
        answer_list(x, "60", "");
        break;
    default:
        begin_from(x, "60");
        vf_test_kube_chunk(x, EVENT("ADDED", OBJECT("end", "e", "61", "")));
        vf_test_hang(x);
    }
}

static void test_kube_watch__410_lists_again_and_tells_what_is_gone(void **state)
{
    (void)state;
    expect(expired, "+end:",
           " +d1:A +d2:A +d3:A ="
           " +d1:A -d3 +d3:B +d4:A -d2 ="
           " -d1 -d3 -d4 ="
           " +end:",
           6);
}

static void always_expired(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    if (!is_watch(x)) {
        answer_list(x, "5", "");
        return;
    }
    vf_test_kube_begin_watch(x);
    vf_test_kube_chunk(x, GONE);
    vf_test_kube_end_watch(x);
}

static void always_ended(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    if (!is_watch(x)) {
        answer_list(x, "5", "");
        return;
    }
    vf_test_kube_begin_watch(x);
    vf_test_kube_end_watch(x);
}

static void bad_event(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)n;
    if (!is_watch(x)) {
        answer_list(x, "5", "");
        return;
    }
    vf_test_kube_begin_watch(x);
    vf_test_kube_chunk(x, k->text);
    vf_test_hang(x);
}

static void huge_event(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    if (!is_watch(x)) {
        answer_list(x, "5", "");
        return;
    }
    char block[4097];
    memset(block, ' ', sizeof block - 1);
    block[4096] = '\0';
    vf_test_kube_begin_watch(x);
    for (int i = 0; i < 4096; i++) {
        vf_test_kube_chunk(x, block);
    }
}

static void forbidden(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    if (!is_watch(x)) {
        answer_list(x, "5", "");
    } else {
        vf_test_kube_status(x, 403, "Forbidden", "cannot watch", NULL, NULL);
    }
}

static void expect_failure(vf_test_kube_handler *handler, const char *event, int code,
                           const char *message)
{
    struct vf_test_kube k;
    char *got;
    vf_test_kube_start(&k, handler);
    k.text = event;
    assert_int_equal(watch(&k, &all, "never", 20000, &got), code);
    assert_int_equal(vf_error_code(k.err), code);
    vf_test_expect_error(k.err, message);
    assert_int_equal(strncmp(got, " =", 2), 0);
    free(got);
    vf_test_kube_stop(&k);
}

static void test_kube_watch__a_server_without_progress_is_given_up(void **state)
{
    (void)state;
    expect_failure(always_expired, NULL, VF_RETRY, "expire at once");
    expect_failure(always_ended, NULL, VF_RETRY, "ends every watch");
}

static void test_kube_watch__nonsense_is_an_error(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{\"type\":\"ADDED\"}\n",
        "{\"object\":{}}\n",
        "[]\n",
        "{\"type\":\"ADDED\",\"object\":{}}\n",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"6\"}}}\n",
        EVENT("SURPRISE", OBJECT("d1", "u1", "6", "A")),
        "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":6}}}\n",
    };
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        expect_failure(bad_event, events[i], VF_INVALID, "no object");
    }
    expect_failure(bad_event, "{\"type\":\n", VF_INVALID, "is not JSON");
    expect_failure(huge_event, NULL, VF_SPACE, "larger than 8388608 bytes");
    expect_failure(bad_event,
                   EVENT("ERROR", "{\"kind\":\"Status\",\"code\":403,\"message\":\"no more\"}"),
                   VF_AUTH, "cannot watch datavolumes.cdi.kubevirt.io in namespace \"prod\": no");
}

static void test_kube_watch__forbidden_names_the_verb(void **state)
{
    (void)state;
    expect_failure(forbidden, NULL, VF_AUTH,
                   "cannot watch datavolumes.cdi.kubevirt.io in namespace \"prod\"");
}

static void renew_token(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    if (n == 1) {
        answer_list(x, "5", "");
        free(vf_test_make_file(k->opaque, "token", "two", 0600));
        return;
    }
    char *vf_autofree authorization = vf_test_header(x, "Authorization");
    if (strcmp(authorization, "Bearer two") != 0) {
        vf_test_kube_status(x, 401, "Unauthorized", "Unauthorized", NULL, NULL);
        return;
    }
    begin_from(x, "5");
    vf_test_kube_chunk(x, EVENT("ADDED", OBJECT("d1", "u1", "6", "A")));
    vf_test_hang(x);
}

static void test_kube_watch__401_renews_the_token(void **state)
{
    (void)state;
    struct vf_test_kube k;
    char *got;
    struct vf_kube_config *c = vf_xcalloc(1, sizeof *c);
    char *dir = vf_test_make_dir();
    c->token_file = vf_test_make_file(dir, "token", "one", 0600);
    vf_test_kube_start_with(&k, renew_token, c);
    k.opaque = dir;
    assert_int_equal(watch(&k, &all, "+d1:A", 20000, &got), 0);
    assert_int_equal(k.n, 3);
    free(got);
    vf_test_kube_stop(&k);
    vf_test_remove_dir(dir);
}

static void quiet(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    if (!is_watch(x)) {
        answer_list(x, "5", "");
        return;
    }
    vf_test_kube_begin_watch(x);
    vf_test_hang(x);
}

static void test_kube_watch__callback_error_ends_it(void **state)
{
    (void)state;
    struct vf_test_kube k;
    struct record r = {.until = "=", .code = VF_RETRY}; /* even this is not tried again */
    vf_test_kube_start(&k, quiet);
    vf_buf_init(&r.text, SIZE_MAX);
    assert_int_equal(vf_kube_watch(k.client, &all, NULL, on_event, &r, &k.err), VF_RETRY);
    assert_string_equal(vf_error_message(k.err), "as told");
    assert_int_equal(k.n, 1);
    vf_buf_release(&r.text);
    vf_test_kube_stop(&k);
}

static void hang_list(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    vf_test_hang(x);
}

static void refuse(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    vf_test_kube_status(x, 503, "ServiceUnavailable", "down", NULL, "Retry-After: 5\r\n");
}

static void test_kube_watch__deadline_ends_every_wait(void **state)
{
    (void)state;
    static vf_test_kube_handler *const handlers[] = {quiet, hang_list, refuse};
    for (size_t i = 0; i < 3; i++) {
        struct vf_test_kube k;
        char *got;
        vf_test_kube_start(&k, handlers[i]);
        int64_t begun_ms = vf_clock_ms();
        assert_int_equal(watch(&k, &all, "never", 700, &got), VF_RETRY);
        int64_t took_ms = vf_clock_ms() - begun_ms;
        assert_in_range(took_ms, 0, 1700);
        if (i < 2) {
            assert_in_range(took_ms, 690, 1700);
            assert_string_equal(vf_error_reason(k.err), VF_KUBE_REASON_TIMEOUT);
            vf_test_expect_error(k.err, "within 1 s");
        } else {
            vf_test_expect_error(k.err, "down");
        }
        free(got);
        vf_test_kube_stop(&k);
    }
}

static void *cancel_soon(void *opaque)
{
    vf_cancel_wait(NULL, 300, NULL);
    vf_cancel_trigger(opaque);
    return NULL;
}

static void test_kube_watch__cancellation_ends_every_wait(void **state)
{
    (void)state;
    static vf_test_kube_handler *const handlers[] = {quiet, hang_list, refuse};
    for (size_t i = 0; i < 3; i++) {
        struct vf_test_kube k;
        pthread_t thread;
        vf_test_kube_start(&k, handlers[i]);
        struct vf_cancel *one = vf_cancel_new(k.cancel);
        struct record r = {.until = "never"};
        const struct vf_kube_watch_options o = {.cancel = one};
        vf_buf_init(&r.text, SIZE_MAX);
        vf_test_check(pthread_create(&thread, NULL, cancel_soon, one) == 0);
        int64_t begun_ms = vf_clock_ms();
        assert_int_equal(vf_kube_watch(k.client, &all, &o, on_event, &r, &k.err), VF_CANCELLED);
        int64_t took_ms = vf_clock_ms() - begun_ms;
        assert_in_range(took_ms, 250, 1300);
        pthread_join(thread, NULL);
        vf_buf_release(&r.text);
        vf_cancel_free(one);
        vf_test_kube_stop(&k);
    }
}

/* The object comes, is not ready, vanishes, and comes back ready. */
static void become_ready(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    vf_test_check(vf_test_target_has(x, "&fieldSelector=metadata.name%3Dd1"));
    if (n == 1) {
        answer_list(x, "5", "");
        return;
    }
    begin_from(x, "5");
    vf_test_kube_chunk(x, EVENT("ADDED", OBJECT("d1", "u1", "6", "Pending")));
    vf_test_kube_chunk(x, EVENT("ADDED", OBJECT("other", "u7", "7", "Ready")));
    vf_test_kube_chunk(x, EVENT("DELETED", OBJECT("d1", "u1", "8", "Pending")));
    vf_test_kube_chunk(x, EVENT("ADDED", OBJECT("d1", "u2", "9", "Ready")));
    vf_test_hang(x);
}

struct seen {
    char text[16];
    size_t n;
};

static int is_ready(void *opaque, const cJSON *object, struct vf_error **err)
{
    struct seen *s = opaque;
    const char *phase = vf_json_string(vf_json_object(object, "status"), "phase");
    vf_test_check(s->n < sizeof s->text - 1);
    s->text[s->n++] = phase ? phase[0] : '-';
    if (phase && strcmp(phase, "Failed") == 0) {
        return vf_error_set(err, VF_CONFLICT, "it failed");
    }
    return phase && strcmp(phase, "Ready") == 0;
}

static void test_kube_wait__holds_when_the_predicate_does(void **state)
{
    (void)state;
    struct vf_test_kube k;
    struct seen seen = {.n = 0};
    cJSON *o = NULL;
    vf_test_kube_start(&k, become_ready);
    assert_int_equal(vf_kube_wait(k.client, &disk, is_ready, &seen, 20000, NULL, &o, &k.err), 0);
    assert_string_equal(seen.text, "-P-R");
    assert_string_equal(vf_json_string(vf_json_object(o, "metadata"), "uid"), "u2");
    cJSON_Delete(o);
    vf_test_kube_stop(&k);
}

static void is_there(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)n;
    answer_list(x, "5", k->text);
}

static void test_kube_wait__looks_before_it_watches(void **state)
{
    (void)state;
    struct vf_test_kube k;
    struct seen seen = {.n = 0};
    cJSON *o = NULL;
    vf_test_kube_start(&k, is_there);
    k.text = OBJECT("d1", "u1", "4", "Ready");
    assert_int_equal(vf_kube_wait(k.client, &disk, is_ready, &seen, 20000, NULL, &o, &k.err), 0);
    assert_non_null(o);
    cJSON_Delete(o);
    k.text = OBJECT("d1", "u1", "4", "Failed");
    o = NULL;
    assert_int_equal(vf_kube_wait(k.client, &disk, is_ready, &seen, 20000, NULL, &o, &k.err),
                     VF_CONFLICT);
    assert_null(o);
    assert_string_equal(seen.text, "RF");
    assert_int_equal(k.n, 2);
    vf_test_kube_stop(&k);
}

/* Ends watches when it is told to, as the API server does. */
static void punctual(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    if (n == 1) {
        answer_list(x, "5", OBJECT("d1", "u1", "4", "Pending"));
        return;
    }
    begin_from(x, n == 2 ? "5" : "6");
    vf_test_check(vf_test_target_has(x, "timeoutSeconds=1"));
    vf_test_kube_chunk(x, n < 4 ? BOOKMARK("6") : EVENT("MODIFIED", OBJECT("d1", "u1", "7", "B")));
    vf_test_pause(x, 1050);
    vf_test_kube_end_watch(x);
}

static void test_kube_watch__ticks_without_a_list(void **state)
{
    (void)state;
    struct record r = {.until = "+d1:B !", .code = 1};
    const struct vf_kube_watch_options o = {.timeout_ms = 20000, .tick_s = 1};
    struct vf_test_kube k;
    vf_test_kube_start(&k, punctual);
    vf_buf_init(&r.text, SIZE_MAX);
    assert_int_equal(vf_kube_watch(k.client, &all, &o, on_event, &r, &k.err), 0);
    char *vf_autofree got = vf_buf_take_string(&r.text);
    assert_string_equal(got, " +d1:Pending = ! ! +d1:B !");
    assert_int_equal(k.n, 4);
    vf_test_kube_stop(&k);
}

static void test_kube_watch__tick_may_end_it(void **state)
{
    (void)state;
    struct record r = {.until = "!", .code = VF_SPACE};
    const struct vf_kube_watch_options o = {.timeout_ms = 20000, .tick_s = 1};
    struct vf_test_kube k;
    vf_test_kube_start(&k, punctual);
    vf_buf_init(&r.text, SIZE_MAX);
    assert_int_equal(vf_kube_watch(k.client, &all, &o, on_event, &r, &k.err), VF_SPACE);
    vf_test_expect_error(k.err, "as told");
    vf_buf_release(&r.text);
    vf_test_kube_stop(&k);
}

static int is_gone(void *opaque, const cJSON *object, struct vf_error **err)
{
    (void)opaque;
    (void)err;
    return object == NULL;
}

static void test_kube_wait__for_an_object_to_be_gone(void **state)
{
    (void)state;
    struct vf_test_kube k;
    cJSON *o = NULL;
    vf_test_kube_start(&k, is_there);
    k.text = "";
    assert_int_equal(vf_kube_wait(k.client, &disk, is_gone, NULL, 20000, NULL, &o, &k.err), 0);
    assert_null(o);
    vf_test_kube_stop(&k);
}

static void test_kube_wait__timeout_names_the_object(void **state)
{
    (void)state;
    struct vf_test_kube k;
    struct seen seen = {.n = 0};
    vf_test_kube_start(&k, quiet);
    assert_int_equal(vf_kube_wait(k.client, &disk, is_ready, &seen, 600, NULL, NULL, &k.err),
                     VF_RETRY);
    vf_test_expect_error(k.err, "waiting for datavolumes.cdi.kubevirt.io \"d1\" in namespace "
                                "\"prod\" did not come to an end within 1 s");
    vf_test_kube_stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kube_watch__lists_then_follows),
        cmocka_unit_test(test_kube_watch__events_may_come_in_pieces),
        cmocka_unit_test(test_kube_watch__resumes_where_it_broke),
        cmocka_unit_test(test_kube_watch__410_lists_again_and_tells_what_is_gone),
        cmocka_unit_test(test_kube_watch__a_server_without_progress_is_given_up),
        cmocka_unit_test(test_kube_watch__nonsense_is_an_error),
        cmocka_unit_test(test_kube_watch__forbidden_names_the_verb),
        cmocka_unit_test(test_kube_watch__401_renews_the_token),
        cmocka_unit_test(test_kube_watch__callback_error_ends_it),
        cmocka_unit_test(test_kube_watch__deadline_ends_every_wait),
        cmocka_unit_test(test_kube_watch__cancellation_ends_every_wait),
        cmocka_unit_test(test_kube_watch__ticks_without_a_list),
        cmocka_unit_test(test_kube_watch__tick_may_end_it),
        cmocka_unit_test(test_kube_wait__holds_when_the_predicate_does),
        cmocka_unit_test(test_kube_wait__looks_before_it_watches),
        cmocka_unit_test(test_kube_wait__for_an_object_to_be_gone),
        cmocka_unit_test(test_kube_wait__timeout_names_the_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
