#include "importer/vsphere/property.h"

#include <string.h>

#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/requests.h"
#include "importer/vsphere/vim_names.h"

#define PAGE_OBJECTS 100
#define MAX_RESTARTS 3
/* vCenter's own limits are far below; a peer that never stops sending pages is stopped. */
#define MAX_OBJECTS 2000000

void vf_property_put_set(struct vf_buf *b, const char *type, const char *const *paths)
{
    vf_buf_puts(b, "<propSet>");
    vf_soap_put_text(b, "type", type);
    for (; *paths; paths++) {
        vf_soap_put_text(b, "pathSet", *paths);
    }
    vf_buf_puts(b, "</propSet>");
}

void vf_property_open_object(struct vf_buf *b, const char *type, const char *moref, bool skip)
{
    vf_buf_puts(b, "<objectSet>");
    vf_soap_put_ref(b, "obj", type, moref);
    if (skip) {
        vf_soap_put_bool(b, "skip", true);
    }
}

void vf_property_close_object(struct vf_buf *b)
{
    vf_buf_puts(b, "</objectSet>");
}

void vf_property_put_traversal(struct vf_buf *b, const struct vf_traversal *t)
{
    vf_buf_puts(b, "<selectSet xsi:type=\"TraversalSpec\">");
    vf_soap_put_text(b, "name", t->name);
    vf_soap_put_text(b, "type", t->type);
    vf_soap_put_text(b, "path", t->path);
    vf_soap_put_bool(b, "skip", false);
    for (const char *const *next = t->next; next && *next; next++) {
        vf_buf_puts(b, "<selectSet>");
        vf_soap_put_text(b, "name", *next);
        vf_buf_puts(b, "</selectSet>");
    }
    vf_buf_puts(b, "</selectSet>");
}

static const xmlNode *find_by_path(const xmlNode *content, const char *set, const char *path)
{
    const xmlNode *n = vf_xml_child(content, VF_VIM_NS, set);
    const char *key = strcmp(set, "propSet") == 0 ? "name" : "path";
    for (; n; n = vf_xml_next(n, VF_VIM_NS, set)) {
        char *vf_autofree name = vf_xml_child_text(n, VF_VIM_NS, key);
        if (name && strcmp(name, path) == 0) {
            return n;
        }
    }
    return NULL;
}

const xmlNode *vf_property_value(const xmlNode *content, const char *path)
{
    return vf_xml_child(find_by_path(content, "propSet", path), VF_VIM_NS, "val");
}

bool vf_property_fault(const xmlNode *content, const char *path, struct vf_fault *ret)
{
    const xmlNode *missing = find_by_path(content, "missingSet", path);
    if (!missing) {
        return false;
    }
    vf_fault_parse_localized(vf_xml_child(missing, VF_VIM_NS, "fault"), ret);
    return true;
}

/* Some servers answer a call without session by leaving every property out. */
static bool is_unauthenticated(const xmlNode *content)
{
    const xmlNode *missing = vf_xml_child(content, VF_VIM_NS, "missingSet");
    struct vf_fault f = {0};
    bool yes = false;
    if (missing) {
        vf_fault_parse_localized(vf_xml_child(missing, VF_VIM_NS, "fault"), &f);
        yes = strcmp(f.type, "NotAuthenticated") == 0;
        vf_fault_release(&f);
    }
    return yes;
}

static int lost_session(const struct vf_property_query *q, struct vf_error **err)
{
    vf_error_set(err, VF_RETRY, "cannot %s: the session was lost meanwhile", q->what);
    vf_error_set_reason(err, "NotAuthenticated");
    return VF_RETRY;
}

static int read_page(struct vf_vsphere *vs, const struct vf_property_query *q,
                     const struct vf_answer *answer, unsigned generation, char **ret_token,
                     size_t *n_objects, struct vf_error **err)
{
    const xmlNode *result = vf_xml_child(answer->response, VF_VIM_NS, "returnval");
    const xmlNode *content = vf_xml_child(result, VF_VIM_NS, "objects");
    *ret_token = vf_xml_child_text(result, VF_VIM_NS, "token");
    if (*ret_token && !content) {
        return vf_error_set(err, VF_INVALID, "cannot %s: the server sent a page without objects",
                            q->what);
    }
    for (; content; content = vf_xml_next(content, VF_VIM_NS, "objects")) {
        if (is_unauthenticated(content)) {
            int rc = vf_session_relogin(vs, generation, q->cleanup ? VF_CALL_CLEANUP : 0, err);
            return rc ? rc : lost_session(q, err);
        }
        struct vf_ref ref = {0};
        if (!vf_soap_get_ref(vf_xml_child(content, VF_VIM_NS, "obj"), &ref)) {
            return vf_error_set(err, VF_INVALID, "cannot %s: an object came without reference",
                                q->what);
        }
        int rc = q->object(q->opaque, &ref, content, err);
        vf_ref_release(&ref);
        if (rc) {
            return rc;
        }
        if (++*n_objects > MAX_OBJECTS) {
            return vf_error_set(err, VF_RANGE, "cannot %s: more than %d objects came", q->what,
                                MAX_OBJECTS);
        }
    }
    return 0;
}

/* A token is good for one call on the session that gave it: only the first page may be repeated. */
static int fetch_pages(struct vf_vsphere *vs, const struct vf_property_query *q,
                       const struct vf_buf *specs, bool *ret_paging, struct vf_error **err)
{
    char *vf_autofree token = NULL;
    size_t n_objects = 0;
    unsigned flags = q->cleanup ? VF_CALL_CLEANUP : 0;
    do {
        struct vf_buf body;
        vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
        struct vf_call call = {.what = q->what, .body = &body, .flags = flags};
        if (token) {
            *ret_paging = true;
            vf_encode_continue(&body, vs->services.property_collector, token);
            call.method = "ContinueRetrievePropertiesEx";
            call.flags |= VF_CALL_SESSION_BOUND;
        } else {
            vf_encode_retrieve(&body, vs->services.property_collector, specs,
                               q->max_objects ? q->max_objects : PAGE_OBJECTS);
            call.method = "RetrievePropertiesEx";
            call.flags |= VF_CALL_REPEATABLE | (q->session_bound ? VF_CALL_SESSION_BOUND : 0);
        }
        unsigned generation = vf_session_generation(vs);
        struct vf_answer answer = {0};
        int rc = vf_session_call(vs, &call, &answer, err);
        vf_buf_release(&body);
        if (rc) {
            return rc;
        }
        vf_replace_string(&token, NULL);
        rc = read_page(vs, q, &answer, generation, &token, &n_objects, err);
        vf_answer_release(&answer);
        if (rc) {
            return rc;
        }
    } while (token);
    return 0;
}

static bool may_restart(const struct vf_property_query *q, bool paging, int rc,
                        const struct vf_error *e)
{
    if (rc == VF_RETRY && (paging || vf_fault_is(e, "NotAuthenticated"))) {
        return true;
    }
    /* Another thread logged in again: what we named went with the old session. */
    return (q->session_bound && vf_fault_is(e, "ManagedObjectNotFound")) ||
           (paging && vf_fault_is(e, "InvalidProperty"));
}

int vf_property_fetch(struct vf_vsphere *vs, const struct vf_property_query *q,
                      struct vf_error **err)
{
    struct vf_retry retry;
    vf_session_retry_init(vs, vs->retry_deadline_ms, q->cleanup, &retry);
    for (unsigned attempt = 1;; attempt++) {
        struct vf_error *e = NULL;
        bool paging = false;
        struct vf_buf specs;
        vf_buf_init(&specs, VF_SOAP_MAX_REQUEST);
        int rc = q->encode(vs, &specs, q->opaque, &e);
        if (rc == 0) {
            rc = fetch_pages(vs, q, &specs, &paging, &e);
        }
        vf_buf_release(&specs);
        if (rc == 0) {
            return 0;
        }
        int again = VF_RETRY;
        if (attempt > MAX_RESTARTS || !may_restart(q, paging, rc, e) ||
            !vf_retry_again(&retry, &again, &e)) {
            rc = (int)vf_error_code(e);
            vf_error_move(err, &e);
            return rc;
        }
        vf_debug("vsphere: starting over to %s", q->what);
        if (q->reset) {
            q->reset(q->opaque);
        }
    }
}

struct one_object {
    const char *type, *moref;
    const char *const *paths;
    vf_property_object_fn *object;
    void *opaque;
    bool seen;
};

static int encode_one(struct vf_vsphere *vs, struct vf_buf *specs, void *opaque,
                      struct vf_error **err)
{
    struct one_object *o = opaque;
    (void)vs;
    (void)err;
    o->seen = false;
    vf_property_put_set(specs, o->type, o->paths);
    vf_property_open_object(specs, o->type, o->moref, false);
    vf_property_close_object(specs);
    return 0;
}

static int take_one(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                    struct vf_error **err)
{
    struct one_object *o = opaque;
    if (o->seen || strcmp(ref->value, o->moref) != 0) {
        return 0;
    }
    o->seen = true;
    return o->object(o->opaque, ref, content, err);
}

int vf_property_fetch_object(struct vf_vsphere *vs, const char *type, const char *moref,
                             const char *const *paths, bool cleanup, const char *what,
                             vf_property_object_fn *object, void *opaque, struct vf_error **err)
{
    struct one_object o = {type, moref, paths, object, opaque, false};
    struct vf_property_query q = {
        .what = what, .encode = encode_one, .object = take_one, .opaque = &o, .cleanup = cleanup};
    int rc = vf_property_fetch(vs, &q, err);
    if (rc == 0 && !o.seen) {
        rc = vf_error_set(err, VF_MISSING, "cannot %s: there is no %s \"%s\"", what, type, moref);
        vf_error_set_reason(err, "ManagedObjectNotFound");
    }
    return rc;
}
