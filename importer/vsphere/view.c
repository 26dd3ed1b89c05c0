#include "importer/vsphere/view.h"

#include <stdlib.h>

#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/vsphere/requests.h"
#include "importer/vsphere/vim_names.h"

#define VIEW_TIMEOUT_MS 5000

struct fetch {
    const struct vf_view_query *q;
    char *view;
};

static int create_view(struct vf_vsphere *vs, struct fetch *f, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_encode_create_view(&body, vs->services.view_manager, vs->services.root_folder, f->q->types);
    struct vf_call call = {.method = "CreateContainerView",
                           .what = f->q->what,
                           .body = &body,
                           .flags = VF_CALL_REPEATABLE};
    struct vf_answer answer = {0};
    int rc = vf_session_call(vs, &call, &answer, err);
    vf_buf_release(&body);
    if (rc) {
        return rc;
    }
    /* One of before is gone with its session. */
    free(f->view);
    f->view = vf_answer_returnval(&answer);
    vf_answer_release(&answer);
    return f->view ? 0 : vf_error_set(err, VF_INVALID, "cannot %s: no view came", f->q->what);
}

static void destroy_view(struct vf_vsphere *vs, const char *view)
{
    if (!view) {
        return;
    }
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, "DestroyView", VF_MO_VIEW, view);
    struct vf_call call = {.method = "DestroyView",
                           .what = "drop a view",
                           .body = &body,
                           .flags = VF_CALL_CLEANUP | VF_CALL_NO_RELOGIN,
                           .timeout_ms = VIEW_TIMEOUT_MS};
    struct vf_error *e = NULL;
    if (vf_session_call_void(vs, &call, &e)) {
        vf_debug("vsphere: %s", vf_error_message(e));
    }
    vf_error_free(e);
    vf_buf_release(&body);
}

static int encode(struct vf_vsphere *vs, struct vf_buf *specs, void *opaque, struct vf_error **err)
{
    static const struct vf_traversal members = {"view", VF_MO_VIEW, "view", NULL};
    struct fetch *f = opaque;
    int rc = create_view(vs, f, err);
    if (rc) {
        return rc;
    }
    f->q->put_sets(specs, f->q->opaque);
    vf_property_open_object(specs, VF_MO_VIEW, f->view, true);
    vf_property_put_traversal(specs, &members);
    vf_property_close_object(specs);
    return 0;
}

static void reset(void *opaque)
{
    const struct fetch *f = opaque;
    f->q->reset(f->q->opaque);
}

static int on_object(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                     struct vf_error **err)
{
    const struct fetch *f = opaque;
    return f->q->object(f->q->opaque, ref, content, err);
}

int vf_view_fetch(struct vf_vsphere *vs, const struct vf_view_query *q, struct vf_error **err)
{
    struct fetch f = {.q = q};
    const struct vf_property_query query = {.what = q->what,
                                            .encode = encode,
                                            .reset = reset,
                                            .object = on_object,
                                            .opaque = &f,
                                            .max_objects = q->max_objects,
                                            .session_bound = true};
    int rc = vf_property_fetch(vs, &query, err);
    destroy_view(vs, f.view);
    free(f.view);
    return rc;
}
