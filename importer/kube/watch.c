#include "importer/kube/watch.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/json.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/kube/client_private.h"
#include "importer/kube/known.h"

#define READ_BYTES (64u << 10)
/* Silence for this much longer than the server was told to watch is a broken connection. */
#define STALL_MARGIN_S 20
/* A watch that ends sooner without a word is a failure, not a renewal. */
#define SHORT_WATCH_MS 1000

#define STOP 1 /* what a callback says to end well */

struct watcher {
    struct vf_kube_client *client;
    const struct vf_kube_ref *ref;
    const struct vf_kube_select *select;
    const struct vf_cancel *cancel;
    int64_t begun_ms, deadline_ms; /* 0: none */
    unsigned tick_s;               /* 0: none */
    int64_t tick_ms;               /* when the next one is due */
    vf_kube_event_fn *fn;
    void *opaque;
    char *version; /* to go on from; NULL: list first */
    struct vf_kube_known known;
    bool progressed; /* since the last failure */
    bool ended;      /* by the callback */
    bool expired;    /* the server no longer knows the version */
};

static struct vf_kube_action action_of(const struct watcher *w)
{
    const struct vf_kube_ref *r = w->ref;
    bool in_namespace = r->resource->namespaced && !r->all_namespaces;
    return (struct vf_kube_action){.verb = "watch",
                                   .resource = r->resource,
                                   .ns = !in_namespace ? NULL
                                         : r->ns       ? r->ns
                                                       : w->client->config->ns,
                                   .name = r->name};
}

static int bad_object(const struct watcher *w, struct vf_error **err)
{
    return vf_error_set(err, VF_INVALID,
                        "the API server's watch of %s brings something that is no object",
                        w->ref->resource->plural);
}

static int call(struct watcher *w, enum vf_kube_event event, const cJSON *object,
                struct vf_error **err)
{
    int rc = w->fn(w->opaque, event, object, err);
    w->ended = rc != 0;
    return rc;
}

/* A stub for what is gone without having been seen to go. */
static int tell_lost(struct watcher *w, const struct vf_kube_known_object *o, struct vf_error **err)
{
    cJSON *stub = vf_json_new_object();
    cJSON *metadata = vf_json_add_object(stub, "metadata");
    vf_json_add_string(metadata, "name", o->name);
    if (*o->ns) {
        vf_json_add_string(metadata, "namespace", o->ns);
    }
    vf_json_add_string(metadata, "uid", o->uid);
    int rc = call(w, VF_KUBE_DELETED, stub, err);
    cJSON_Delete(stub);
    return rc;
}

/* An object as a list or a watch has it. */
static int tell(struct watcher *w, enum vf_kube_event event, const cJSON *object,
                struct vf_error **err)
{
    const cJSON *metadata = vf_json_object(object, "metadata");
    const char *name = vf_json_string(metadata, "name");
    const char *ns = vf_json_string(metadata, "namespace");
    const char *uid = vf_json_string(metadata, "uid");
    if (!name) {
        return bad_object(w, err);
    }
    if (w->ref->name && strcmp(name, w->ref->name) != 0) {
        return 0; /* a server that does not know the field selector */
    }
    ns = ns ? ns : "";
    uid = uid ? uid : "";
    if (event == VF_KUBE_DELETED) {
        vf_kube_known_remove(&w->known, ns, name);
        return call(w, event, object, err);
    }
    /* Deleted and made again while nobody looked: another object of the same name. */
    const struct vf_kube_known_object *o = vf_kube_known_find(&w->known, ns, name);
    int rc = o && strcmp(o->uid, uid) != 0 ? tell_lost(w, o, err) : 0;
    vf_kube_known_add(&w->known, ns, name, uid);
    return rc ? rc : call(w, event, object, err);
}

static int tell_all(struct watcher *w, const cJSON *items, struct vf_error **err)
{
    int rc = 0;
    const cJSON *item;
    for (size_t i = 0; i < w->known.n; i++) {
        w->known.objects[i].seen = false;
    }
    cJSON_ArrayForEach(item, items)
    {
        rc = rc ? rc : tell(w, VF_KUBE_CHANGED, item, err);
    }
    for (size_t i = 0; i < w->known.n && !rc;) {
        struct vf_kube_known_object *o = &w->known.objects[i];
        if (o->seen) {
            i++;
            continue;
        }
        rc = tell_lost(w, o, err);
        vf_kube_known_remove(&w->known, o->ns, o->name);
    }
    return rc ? rc : call(w, VF_KUBE_SYNCED, NULL, err);
}

static int list_first(struct watcher *w, struct vf_error **err)
{
    cJSON *items = NULL;
    int rc = vf_kube_list_until(w->client, w->ref, w->select, w->cancel, w->deadline_ms, &items,
                                &w->version, err);
    rc = rc ? rc : tell_all(w, items, err);
    cJSON_Delete(items);
    return rc;
}

static int on_error_event(struct watcher *w, const cJSON *status, struct vf_error **err)
{
    struct vf_kube_action action = action_of(w);
    struct vf_error *e = NULL;
    int rc = vf_kube_status_object_error(&action, status, &e);
    w->expired = vf_error_http_status(e) == 410;
    vf_error_move(err, &e);
    return rc;
}

static int on_event(struct watcher *w, const cJSON *event, struct vf_error **err)
{
    const char *type = vf_json_string(event, "type");
    const cJSON *object = vf_json_object(event, "object");
    if (!type || !object) {
        return bad_object(w, err);
    }
    if (strcmp(type, "ERROR") == 0) {
        return on_error_event(w, object, err);
    }
    const char *version = vf_json_string(vf_json_object(object, "metadata"), "resourceVersion");
    if (!version || !*version) {
        return bad_object(w, err);
    }
    int rc = 0;
    if (strcmp(type, "DELETED") == 0) {
        rc = tell(w, VF_KUBE_DELETED, object, err);
    } else if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
        rc = tell(w, VF_KUBE_CHANGED, object, err);
    } else if (strcmp(type, "BOOKMARK") != 0) {
        return bad_object(w, err);
    }
    if (!rc) {
        vf_replace_string(&w->version, version);
        w->progressed = true;
    }
    return rc;
}

static int on_line(struct watcher *w, const char *line, size_t len, struct vf_error **err)
{
    cJSON *event = NULL;
    if (len == 0 || strspn(line, " \t\r") >= len) {
        return 0;
    }
    int rc = vf_json_parse(line, len, "an event of the API server's watch", &event, err);
    rc = rc ? rc : on_event(w, event, err);
    cJSON_Delete(event);
    return rc;
}

/* Takes the whole lines out of the buffer. */
static int on_data(struct watcher *w, struct vf_buf *b, size_t searched, struct vf_error **err)
{
    size_t at = 0;
    int rc = 0;
    while (!rc) {
        size_t from = at > searched ? at : searched;
        const char *end = memchr(b->data + from, '\n', b->len - from);
        if (!end) {
            break;
        }
        rc = on_line(w, b->data + at, (size_t)(end - b->data) - at, err);
        at = (size_t)(end - b->data) + 1;
    }
    memmove(b->data, b->data + at, b->len - at);
    b->len -= at;
    b->data[b->len] = '\0';
    return rc;
}

static int read_events(struct watcher *w, struct vf_stream *stream, struct vf_error **err)
{
    char *vf_autofree chunk = vf_xcalloc(1, READ_BYTES);
    struct vf_buf b;
    vf_buf_init(&b, VF_KUBE_MAX_OBJECT_BYTES);
    int rc = 0;
    for (size_t n = 1; !rc && n;) {
        rc = stream->ops->read(stream, chunk, READ_BYTES, &n, err);
        size_t searched = b.len;
        if (rc || !n) {
            break;
        }
        if (!vf_buf_append(&b, chunk, n)) {
            rc = vf_error_set(err, VF_SPACE,
                              "an event of the API server's watch of %s is larger than %zu bytes",
                              w->ref->resource->plural, b.max);
        } else {
            rc = on_data(w, &b, searched, err);
        }
    }
    if (!rc && b.len) {
        rc = vf_error_set(err, VF_RETRY, "the API server's watch of %s ends in the middle",
                          w->ref->resource->plural);
    }
    vf_buf_release(&b);
    return rc;
}

/* The server ends a watch by itself when a tick is due, so that a tick costs a short request and
 * no list. */
static unsigned seconds_to_watch(const struct watcher *w)
{
    int64_t now_ms = vf_clock_ms(), seconds = w->client->watch_s;
    if (w->deadline_ms && (w->deadline_ms - now_ms) / 1000 + 1 < seconds) {
        seconds = (w->deadline_ms - now_ms) / 1000 + 1;
    }
    if (w->tick_s && (w->tick_ms - now_ms + 999) / 1000 < seconds) {
        seconds = (w->tick_ms - now_ms + 999) / 1000;
    }
    return seconds < 1 ? 1 : (unsigned)seconds;
}

/* After a round that ended well: a server that cannot be reached answers nothing else either. */
static int tick(struct watcher *w, struct vf_error **err)
{
    int64_t now_ms = vf_clock_ms();
    if (!w->tick_s || now_ms < w->tick_ms) {
        return 0;
    }
    w->tick_ms = now_ms + (int64_t)w->tick_s * 1000;
    return call(w, VF_KUBE_TICK, NULL, err);
}

/* One connection: 0 when the server ended it as it should. */
static int follow(struct watcher *w, struct vf_error **err)
{
    unsigned seconds = seconds_to_watch(w);
    char *vf_autofree version = vf_http_escape(w->version);
    char *vf_autofree first =
        vf_xasprintf("watch=true&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%u",
                     version, seconds);
    char *vf_autofree query = vf_kube_select_query(first, w->ref, w->select);
    struct vf_kube_ref collection = *w->ref;
    struct vf_kube_credential *credential = NULL;
    struct vf_stream *stream = NULL;
    struct vf_kube_call call;
    collection.name = NULL;
    int rc = vf_kube_call_init(&call, w->client, &collection, "watch", query, w->cancel, err);
    if (rc) {
        return rc;
    }
    struct vf_error *e = NULL;
    int64_t begun_ms = vf_clock_ms();
    call.repeatable = true;
    call.deadline_ms = w->deadline_ms;
    rc = vf_kube_call_open(w->client, &call, (seconds + STALL_MARGIN_S) * 1000, &credential,
                           &stream, &e);
    w->expired = rc && vf_error_http_status(e) == 410;
    vf_error_move(err, &e);
    rc = rc ? rc : read_events(w, stream, err);
    vf_stream_free(stream);
    vf_kube_keeper_give(w->client->keeper, credential);
    vf_kube_call_release(&call);
    if (!rc && !w->progressed && vf_clock_ms() - begun_ms < SHORT_WATCH_MS) {
        return vf_error_set(err, VF_RETRY, "the API server ends every watch of %s at once",
                            w->ref->resource->plural);
    }
    w->progressed |= rc == 0;
    return rc;
}

static bool is_over(const struct watcher *w)
{
    return w->deadline_ms && vf_clock_ms() >= w->deadline_ms;
}

static int time_is_over(const struct watcher *w, const struct vf_error *last, struct vf_error **err)
{
    struct vf_kube_action action = action_of(w);
    char *vf_autofree what = vf_kube_describe(&action);
    /* The end of a read at the deadline is no news; a server that cannot be reached is. */
    const char *why =
        vf_error_http_status(last) || vf_error_reason(last) ? vf_error_message(last) : "";
    vf_error_set(err, VF_RETRY, "waiting for %s did not come to an end within %lld s%s%s", what,
                 (long long)(w->deadline_ms - w->begun_ms + 500) / 1000, *why ? ": " : "", why);
    vf_error_set_reason(err, VF_KUBE_REASON_TIMEOUT);
    return VF_RETRY;
}

static int round_once(struct watcher *w, struct vf_error **err)
{
    int rc = 0;
    w->expired = w->progressed = false;
    if (!w->version) {
        rc = list_first(w, err);
    }
    return rc ? rc : follow(w, err);
}

/* No pause goes past the watch's deadline. */
static void begin_retry(const struct watcher *w, struct vf_retry *retry)
{
    vf_retry_init(retry, &w->client->retry, w->cancel);
    if (w->deadline_ms && w->deadline_ms < retry->deadline_ms) {
        retry->deadline_ms = w->deadline_ms;
    }
}

static int end_in_time(const struct watcher *w, struct vf_error **e)
{
    struct vf_error *last = vf_take(*e);
    int rc = time_is_over(w, last, e);
    vf_error_free(last);
    return rc;
}

static int expire(struct watcher *w, struct vf_error **e)
{
    vf_debug("kube: watch of %s: version expired, listing again", w->ref->resource->plural);
    free(vf_take(w->version));
    vf_error_clear(e);
    return vf_error_set(e, VF_RETRY, "the API server lets every watch of %s expire at once",
                        w->ref->resource->plural);
}

/* 0: the next round; else what the watch ends with. */
static int judge(struct watcher *w, int rc, struct vf_retry *retry, struct vf_error **e)
{
    if (w->ended || rc == VF_CANCELLED) {
        return rc;
    }
    if (w->progressed) {
        begin_retry(w, retry);
    }
    if (w->expired) {
        rc = expire(w, e);
    }
    if ((rc == 0 || rc == VF_RETRY) && is_over(w)) {
        return end_in_time(w, e);
    }
    if (rc == VF_RETRY && !vf_retry_again(retry, &rc, e)) {
        bool for_lack_of_time = rc == VF_RETRY && w->deadline_ms == retry->deadline_ms &&
                                retry->tries < retry->policy.max_tries;
        return for_lack_of_time ? end_in_time(w, e) : rc;
    }
    return rc;
}

int vf_kube_watch(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                  const struct vf_kube_watch_options *options, vf_kube_event_fn *fn, void *opaque,
                  struct vf_error **err)
{
    static const struct vf_kube_watch_options defaults;
    const struct vf_kube_watch_options *o = options ? options : &defaults;
    int64_t now_ms = vf_clock_ms();
    struct watcher w = {.client = client,
                        .ref = ref,
                        .select = &o->select,
                        .cancel = o->cancel ? o->cancel : client->cancel,
                        .begun_ms = now_ms,
                        .deadline_ms = o->timeout_ms ? now_ms + o->timeout_ms : 0,
                        .tick_s = o->tick_s,
                        .tick_ms = now_ms + (int64_t)o->tick_s * 1000,
                        .fn = fn,
                        .opaque = opaque};
    struct vf_retry retry;
    struct vf_error *e = NULL;
    int rc;
    begin_retry(&w, &retry);
    do {
        rc = round_once(&w, &e);
        rc = rc ? rc : tick(&w, &e);
        rc = judge(&w, rc, &retry, &e);
    } while (rc == 0);
    vf_kube_known_release(&w.known);
    free(w.version);
    vf_error_move(err, &e);
    return rc == STOP ? 0 : rc;
}

struct wait {
    vf_kube_predicate_fn *predicate;
    void *opaque;
    bool present;
    cJSON *object;
};

static int on_wait_event(void *opaque, enum vf_kube_event event, const cJSON *object,
                         struct vf_error **err)
{
    struct wait *wait = opaque;
    if (event == VF_KUBE_SYNCED && wait->present) {
        return 0; /* told already */
    }
    wait->present = event == VF_KUBE_CHANGED;
    const cJSON *now = wait->present ? object : NULL;
    int rc = wait->predicate(wait->opaque, now, err);
    if (rc == STOP && now) {
        wait->object = cJSON_Duplicate(now, 1);
    }
    return rc;
}

int vf_kube_wait(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                 vf_kube_predicate_fn *predicate, void *opaque, int64_t timeout_ms,
                 const struct vf_cancel *cancel, cJSON **ret_object, struct vf_error **err)
{
    struct vf_kube_watch_options o = {.timeout_ms = timeout_ms, .cancel = cancel};
    struct wait wait = {.predicate = predicate, .opaque = opaque};
    int rc = vf_kube_watch(client, ref, &o, on_wait_event, &wait, err);
    if (!rc && ret_object) {
        *ret_object = wait.object;
    } else {
        cJSON_Delete(wait.object);
    }
    return rc;
}
