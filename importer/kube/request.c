/* The verbs: what each sends, and what it makes of the answer. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/client_private.h"

static const struct vf_kube_options no_options;

/* The answer to a write or a get is an object, unless a subresource has none to give. */
static int fetch_object(struct vf_kube_client *client, struct vf_kube_call *call, bool may_be_empty,
                        cJSON **ret_object, struct vf_error **err)
{
    cJSON *tree = NULL;
    int rc = vf_kube_call_fetch(client, call, &tree, err);
    if (!rc && !tree && !may_be_empty) {
        char *vf_autofree what = vf_kube_describe(&call->action);
        rc = vf_error_set(err, VF_INVALID, "the API server's answer to %s %s is empty",
                          call->action.verb, what);
    }
    if (!rc && ret_object) {
        *ret_object = tree;
    } else {
        cJSON_Delete(tree);
    }
    return rc;
}

int vf_kube_get(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                const struct vf_kube_options *options, cJSON **ret_object, struct vf_error **err)
{
    const struct vf_kube_options *o = options ? options : &no_options;
    struct vf_kube_call call;
    int rc = vf_kube_call_init(&call, client, ref, "get", "", o->cancel, err);
    if (rc) {
        return rc;
    }
    call.repeatable = true;
    call.deadline_ms = o->timeout_ms ? vf_clock_ms() + o->timeout_ms : 0;
    rc = fetch_object(client, &call, false, ret_object, err);
    vf_kube_call_release(&call);
    return rc;
}

static char *make_query(const struct vf_kube_options *o, bool apply)
{
    return vf_xasprintf("?fieldManager=" VF_KUBE_FIELD_MANAGER "&fieldValidation=Strict%s%s",
                        apply && o->force ? "&force=true" : "", o->dry_run ? "&dryRun=All" : "");
}

struct write {
    const char *verb, *method, *content_type;
    bool repeatable, may_be_empty;
};

static int send_write(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                      const struct write *w, const cJSON *object,
                      const struct vf_kube_options *options, cJSON **ret_object,
                      struct vf_error **err)
{
    const struct vf_kube_options *o = options ? options : &no_options;
    char *vf_autofree query = make_query(o, strstr(w->content_type, "apply"));
    struct vf_kube_call call;
    int rc = vf_kube_call_init(&call, client, ref, w->verb, query, o->cancel, err);
    if (rc) {
        return rc;
    }
    call.method = w->method;
    call.content_type = w->content_type;
    call.repeatable = w->repeatable || o->dry_run;
    call.body = object ? vf_json_print(object, false) : vf_xstrdup("{}");
    rc = fetch_object(client, &call, w->may_be_empty, ret_object, err);
    vf_kube_call_release(&call);
    return rc;
}

int vf_kube_create(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                   const cJSON *object, const struct vf_kube_options *options, cJSON **ret_object,
                   struct vf_error **err)
{
    static const struct write w = {
        .verb = "create", .method = "POST", .content_type = "application/json"};
    struct vf_kube_ref to = *ref;
    if (!to.subresource) {
        to.name = NULL;
    }
    return send_write(client, &to, &w, object, options, ret_object, err);
}

int vf_kube_apply(struct vf_kube_client *client, const struct vf_kube_ref *ref, const cJSON *object,
                  const struct vf_kube_options *options, cJSON **ret_object, struct vf_error **err)
{
    /* JSON is YAML; the type is what asks for server-side apply. */
    static const struct write w = {.verb = "patch",
                                   .method = "PATCH",
                                   .content_type = "application/apply-patch+yaml",
                                   .repeatable = true};
    return send_write(client, ref, &w, object, options, ret_object, err);
}

int vf_kube_merge_patch(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                        const cJSON *patch, const struct vf_kube_options *options,
                        cJSON **ret_object, struct vf_error **err)
{
    /* With a resourceVersion the second of two equal patches is a conflict with the first. */
    const cJSON *metadata = vf_json_object(patch, "metadata");
    struct write w = {.verb = "patch",
                      .method = "PATCH",
                      .content_type = "application/merge-patch+json",
                      .repeatable = !vf_json_string(metadata, "resourceVersion")};
    return send_write(client, ref, &w, patch, options, ret_object, err);
}

int vf_kube_update(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                   const cJSON *object, const struct vf_kube_options *options, cJSON **ret_object,
                   struct vf_error **err)
{
    struct write w = {.verb = "update",
                      .method = "PUT",
                      .content_type = "application/json",
                      .may_be_empty = ref->subresource != NULL};
    return send_write(client, ref, &w, object, options, ret_object, err);
}

static char *make_delete_options(const struct vf_kube_options *o)
{
    cJSON *body = vf_json_new_object();
    vf_json_add_string(body, "kind", "DeleteOptions");
    vf_json_add_string(body, "apiVersion", "v1");
    vf_json_add_string(body, "propagationPolicy", o->propagation);
    if (o->uid) {
        vf_json_add_string(vf_json_add_object(body, "preconditions"), "uid", o->uid);
    }
    if (o->dry_run) {
        vf_json_append_string(vf_json_add_array(body, "dryRun"), "All");
    }
    char *text = vf_json_print(body, false);
    cJSON_Delete(body);
    return text;
}

int vf_kube_delete(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                   const struct vf_kube_options *options, struct vf_error **err)
{
    const struct vf_kube_options *o = options ? options : &no_options;
    struct vf_kube_call call;
    /* DELETE of a collection would be one slip away. */
    if (!ref->name) {
        return vf_error_set(err, VF_INTERNAL, "a delete needs a name");
    }
    int rc = vf_kube_call_init(&call, client, ref, "delete", "", o->cancel, err);
    if (rc) {
        return rc;
    }
    struct vf_error *e = NULL;
    call.method = "DELETE";
    call.content_type = "application/json";
    call.body = make_delete_options(o);
    call.repeatable = true;
    rc = vf_kube_call_fetch(client, &call, NULL, &e);
    if (rc == VF_MISSING && call.in_doubt && vf_error_http_status(e) == 404) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    vf_kube_call_release(&call);
    return rc;
}
