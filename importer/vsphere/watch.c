#include "importer/vsphere/watch.h"

#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/requests.h"
#include "importer/vsphere/vim_names.h"

/* One WaitForUpdatesEx: well under the time after which a silent connection counts as dead, and in
 * clean-up short, since nothing but its end lets us look at the cancellation. */
#define MAX_WAIT_S         20
#define CLEANUP_WAIT_S     3
#define DEFAULT_STALL_MS   60000
#define DESTROY_TIMEOUT_MS 5000

struct watching {
    struct vf_vsphere *vs;
    const struct vf_watch *w;
    char *collector; /* moref; NULL: none */
    char *version;
    int64_t deadline_ms;
    bool cancel_seen;
    bool done;
    bool settled; /* the failure is the object's own: watching anew would only find it again */
};

/* Clean-up goes on after a cancellation, but not for as long. */
static int64_t left_ms(struct watching *g)
{
    int64_t now_ms = vf_clock_ms();
    if (g->w->cleanup && !g->cancel_seen && vf_cancel_is_set(g->vs->cancel)) {
        g->cancel_seen = true;
        if (now_ms + g->w->grace_ms < g->deadline_ms) {
            g->deadline_ms = now_ms + g->w->grace_ms;
        }
    }
    return g->deadline_ms - now_ms;
}

static unsigned call_flags(const struct watching *g)
{
    return VF_CALL_REPEATABLE | VF_CALL_SESSION_BOUND | (g->w->cleanup ? VF_CALL_CLEANUP : 0);
}

static int create_collector(struct watching *g, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, "CreatePropertyCollector", VF_MO_COLLECTOR,
                         g->vs->services.property_collector);
    struct vf_call call = {.method = "CreatePropertyCollector",
                           .what = g->w->what,
                           .body = &body,
                           .flags = call_flags(g)};
    struct vf_answer answer = {0};
    int rc = vf_session_call(g->vs, &call, &answer, err);
    vf_buf_release(&body);
    if (rc) {
        return rc;
    }
    g->collector = vf_answer_returnval(&answer);
    vf_answer_release(&answer);
    if (!g->collector) {
        return vf_error_set(err, VF_INVALID, "cannot %s: no collector came", g->w->what);
    }
    return 0;
}

static int create_filter(struct watching *g, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_encode_create_filter(&body, g->collector, g->w->type, g->w->moref, g->w->paths);
    struct vf_call call = {
        .method = "CreateFilter", .what = g->w->what, .body = &body, .flags = call_flags(g)};
    int rc = vf_session_call_void(g->vs, &call, err);
    vf_buf_release(&body);
    return rc;
}

static void destroy_collector(struct watching *g)
{
    if (!g->collector) {
        return;
    }
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, "DestroyPropertyCollector", VF_MO_COLLECTOR, g->collector);
    struct vf_call call = {.method = "DestroyPropertyCollector",
                           .what = "drop a collector",
                           .body = &body,
                           .flags = VF_CALL_CLEANUP | VF_CALL_NO_RELOGIN,
                           .timeout_ms = DESTROY_TIMEOUT_MS};
    struct vf_error *e = NULL;
    if (vf_session_call_void(g->vs, &call, &e)) {
        vf_debug("vsphere: %s", vf_error_message(e));
    }
    vf_error_free(e);
    vf_buf_release(&body);
    vf_replace_string(&g->collector, NULL);
}

static int fail_missing(struct watching *g, const xmlNode *missing, struct vf_error **err)
{
    struct vf_fault f = {0};
    g->settled = true;
    vf_fault_parse_localized(vf_xml_child(missing, VF_VIM_NS, "fault"), &f);
    int rc = vf_fault_set_error(err, &f, g->w->what);
    vf_fault_release(&f);
    return rc;
}

static int read_object(struct watching *g, const xmlNode *object, struct vf_error **err)
{
    char *vf_autofree kind = vf_xml_child_text(object, VF_VIM_NS, "kind");
    if (kind && strcmp(kind, "leave") == 0) {
        g->settled = true;
        vf_error_set(err, VF_MISSING, "cannot %s: %s \"%s\" is gone", g->w->what, g->w->type,
                     g->w->moref);
        vf_error_set_reason(err, "ManagedObjectNotFound");
        return VF_MISSING;
    }
    const xmlNode *change = vf_xml_child(object, VF_VIM_NS, "changeSet");
    for (; change && !g->done; change = vf_xml_next(change, VF_VIM_NS, "changeSet")) {
        char *vf_autofree path = vf_xml_child_text(change, VF_VIM_NS, "name");
        const xmlNode *value = vf_xml_child(change, VF_VIM_NS, "val");
        if (!path || !value) {
            continue; /* a property that was unset */
        }
        int rc = g->w->change(g->w->opaque, path, value, &g->done, err);
        if (rc) {
            g->settled = true;
            return rc;
        }
    }
    const xmlNode *missing = vf_xml_child(object, VF_VIM_NS, "missingSet");
    return missing && !g->done ? fail_missing(g, missing, err) : 0;
}

static int read_updates(struct watching *g, const struct vf_answer *answer, struct vf_error **err)
{
    const xmlNode *set = vf_xml_child(answer->response, VF_VIM_NS, "returnval");
    char *version = vf_xml_child_text(set, VF_VIM_NS, "version");
    if (version) {
        vf_replace_string(&g->version, NULL);
        g->version = version;
    }
    const xmlNode *filter = vf_xml_child(set, VF_VIM_NS, "filterSet");
    for (; filter; filter = vf_xml_next(filter, VF_VIM_NS, "filterSet")) {
        const xmlNode *gone = vf_xml_child(filter, VF_VIM_NS, "missingSet");
        if (gone) {
            return fail_missing(g, gone, err);
        }
        const xmlNode *object = vf_xml_child(filter, VF_VIM_NS, "objectSet");
        for (; object && !g->done; object = vf_xml_next(object, VF_VIM_NS, "objectSet")) {
            int rc = read_object(g, object, err);
            if (rc) {
                return rc;
            }
        }
    }
    return 0;
}

static unsigned wait_seconds(struct watching *g)
{
    unsigned stall_ms = g->vs->http_options.stall_timeout_ms;
    int64_t s = (stall_ms ? stall_ms : DEFAULT_STALL_MS) / 2000;
    int64_t most = g->w->cleanup ? CLEANUP_WAIT_S : MAX_WAIT_S;
    int64_t left_s = left_ms(g) / 1000 + 1;
    s = s > most ? most : s;
    s = s > left_s ? left_s : s;
    return s < 1 ? 1 : (unsigned)s;
}

/* The version that was sent is used up once the server has seen it: nothing is repeated here. */
static int wait_once(struct watching *g, struct vf_error **err)
{
    unsigned wait_s = wait_seconds(g);
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_encode_wait(&body, g->collector, g->version, wait_s);
    struct vf_call call = {.method = "WaitForUpdatesEx",
                           .what = g->w->what,
                           .body = &body,
                           .flags = call_flags(g) & ~(unsigned)VF_CALL_REPEATABLE,
                           .timeout_ms = wait_s * 1000 + 15000};
    struct vf_answer answer = {0};
    int rc = vf_session_call(g->vs, &call, &answer, err);
    vf_buf_release(&body);
    if (rc == 0) {
        rc = read_updates(g, &answer, err);
        vf_answer_release(&answer);
    }
    return rc;
}

/* Failures in a row after which a collector that is not found is taken for the object. */
#define MAX_COLLECTORS_LOST 3

static bool may_reopen(const struct watching *g, int rc, const struct vf_error *e, bool opened,
                       unsigned failures)
{
    if (g->settled) {
        return false;
    }
    return rc == VF_RETRY ||
           (opened && failures < MAX_COLLECTORS_LOST &&
            (vf_fault_is(e, "InvalidCollectorVersion") || vf_fault_is(e, "ManagedObjectNotFound")));
}

static int open_watch(struct watching *g, struct vf_error **err)
{
    vf_replace_string(&g->version, NULL);
    int rc = create_collector(g, err);
    return rc ? rc : create_filter(g, err);
}

static int out_of_time(const struct watching *g, struct vf_error **err)
{
    return vf_error_set(err, VF_RETRY, "cannot %s: it did not end in the time allowed", g->w->what);
}

static int watch_until_done(struct watching *g, struct vf_error **err)
{
    unsigned failures = 0;
    struct vf_retry retry;
    vf_session_retry_init(g->vs, g->w->timeout_ms, g->w->cleanup, &retry);
    while (!g->done) {
        struct vf_error *e = NULL;
        bool opened = g->collector != NULL;
        int rc = opened ? wait_once(g, &e) : open_watch(g, &e);
        if (rc == 0) {
            if (opened) {
                failures = 0;
                vf_retry_progressed(&retry);
            }
            if (!g->done && left_ms(g) <= 0) {
                return out_of_time(g, err);
            }
            continue;
        }
        int again = VF_RETRY;
        destroy_collector(g);
        if (!may_reopen(g, rc, e, opened, failures++) || left_ms(g) <= 0 ||
            !vf_retry_again(&retry, &again, &e)) {
            rc = (int)vf_error_code(e);
            vf_error_move(err, &e);
            return rc;
        }
    }
    return 0;
}

int vf_watch_run(struct vf_vsphere *vs, const struct vf_watch *w, struct vf_error **err)
{
    struct watching g = {.vs = vs, .w = w, .deadline_ms = vf_clock_ms() + w->timeout_ms};
    int rc = watch_until_done(&g, err);
    destroy_collector(&g);
    vf_replace_string(&g.version, NULL);
    return rc;
}
