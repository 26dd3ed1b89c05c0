#include "importer/kube/status.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/http.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/text.h"

#define MAX_MESSAGE_BYTES 2000
#define MAX_CAUSES        20
#define MAX_CAUSE_BYTES   300
#define MAX_REASON_BYTES  80
/* A Retry-After in details; a server that asks for more than a day is not believed. */
#define MAX_RETRY_AFTER_S 86400

struct failure {
    const struct vf_kube_action *action;
    long code;
    const cJSON *status; /* NULL: the body was none */
    char *reason, *message;
    int64_t retry_after_ms;
};

char *vf_kube_describe(const struct vf_kube_action *a)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_buf_printf(&b, "%s%s%s", a->resource->plural, a->resource->group[0] ? "." : "",
                  a->resource->group);
    if (a->subresource) {
        vf_buf_printf(&b, "/%s", a->subresource);
    }
    if (a->name) {
        vf_buf_printf(&b, " \"%s\"", a->name);
    }
    if (a->ns) {
        vf_buf_printf(&b, " in namespace \"%s\"", a->ns);
    }
    return vf_buf_take_string(&b);
}

static bool has_reason(const struct failure *f, const char *reason)
{
    return strcmp(f->reason, reason) == 0;
}

/* The API server spells "too much asked for" as Forbidden too
 * (k8s.io/apiserver, plugin/pkg/admission/resourcequota). */
static bool is_quota(const struct failure *f)
{
    return f->code == 403 && strstr(f->message, "exceeded quota");
}

/* An admission webhook that chooses 403, as policy engines do, says no to what is asked, not to who
 * asks (k8s.io/apiserver, pkg/admission/plugin/webhook/errors, for the words). */
static bool is_denied(const struct failure *f)
{
    return f->code == 403 && strstr(f->message, "denied the request");
}

/* An unknown field in an apply of a built-in kind is an internal error to the API server, strict
 * validation or not; asking again does not help (k8s.io/apimachinery, pkg/util/managedfields). */
static bool is_bad_apply(const struct failure *f)
{
    return f->code == 500 && strstr(f->message, "failed to create typed patch object");
}

/* A 404 that names no object: the path itself is not known. A group or version that is not served
 * gives a plain text, a resource that is not a Status without details.name. */
static bool is_not_served(const struct failure *f)
{
    if (f->code != 404) {
        return false;
    }
    const cJSON *details = vf_json_object(f->status, "details");
    return !f->status || (!vf_json_string(details, "name") &&
                          strstr(f->message, "could not find the requested resource"));
}

static int classify(const struct failure *f)
{
    if (is_quota(f)) {
        return VF_SPACE;
    }
    if (is_not_served(f)) {
        return VF_UNSUPPORTED;
    }
    if (is_denied(f) || is_bad_apply(f)) {
        return VF_INVALID;
    }
    switch (f->code) {
    case 405:
    case 406:
    case 415:
        return VF_UNSUPPORTED;
    case 413:
        return VF_SPACE;
    default: {
        int code = vf_http_status_code(f->code);
        return code ? code : VF_INVALID;
    }
    }
}

/* "spec.storage.resources: Required value", for each, where the message does not say it yet. */
static void add_causes(struct vf_buf *b, const struct failure *f)
{
    unsigned n = 0;
    const cJSON *cause;
    cJSON_ArrayForEach(cause, vf_json_array(vf_json_object(f->status, "details"), "causes"))
    {
        const char *field = vf_json_string(cause, "field");
        const char *message = vf_json_string(cause, "message");
        if (!field && !message) {
            continue;
        }
        if (n++ == MAX_CAUSES) {
            vf_buf_puts(b, "; ...");
            return;
        }
        char *vf_autofree where = vf_kube_clean_text(field, MAX_CAUSE_BYTES);
        char *vf_autofree what = vf_kube_clean_text(message, MAX_CAUSE_BYTES);
        if (strstr(f->message, where) && strstr(f->message, what)) {
            continue;
        }
        vf_buf_printf(b, "; %s%s%s", where, *where && *what ? ": " : "", what);
    }
}

static void add_rights_hint(const struct failure *f, struct vf_error **err)
{
    const struct vf_kube_action *a = f->action;
    char *vf_autofree where = a->ns ? vf_xasprintf(" in namespace \"%s\"", a->ns) : NULL;
    vf_error_hint(err, "allow this account the verb \"%s\" on \"%s%s%s\" (API group \"%s\")%s",
                  a->verb, a->resource->plural, a->subresource ? "/" : "",
                  a->subresource ? a->subresource : "", a->resource->group,
                  where ? where : " in the whole cluster");
}

static bool lacks_namespace(const struct failure *f)
{
    const char *kind = vf_json_string(vf_json_object(f->status, "details"), "kind");
    return f->code == 404 && kind && strcmp(kind, "namespaces") == 0;
}

static void add_hint(const struct failure *f, struct vf_error **err)
{
    const struct vf_kube_action *a = f->action;
    if (f->code == 401) {
        vf_error_hint(err, "log in again; the token, certificate or plugin of the kubeconfig is "
                           "not accepted any more");
    } else if (is_quota(f)) {
        vf_error_hint(err, "have the namespace's ResourceQuota raised, or free what is not needed");
    } else if (f->code == 403 && !is_denied(f) && strstr(f->message, "cannot ")) {
        add_rights_hint(f, err); /* RBAC's words; other 403s come from admission */
    } else if (is_not_served(f)) {
        vf_error_hint(err, "check that what brings \"%s\" is installed, in a version that has %s",
                      a->resource->plural, a->resource->version);
    } else if (lacks_namespace(f) && a->ns) {
        vf_error_hint(err, "create it: kubectl create namespace %s", a->ns);
    }
}

static int set_error(const struct failure *f, struct vf_error **err)
{
    int code = classify(f);
    char *vf_autofree what = vf_kube_describe(f->action);
    struct vf_buf causes;
    vf_buf_init(&causes, SIZE_MAX);
    add_causes(&causes, f);
    char *vf_autofree more = vf_buf_take_string(&causes);
    vf_error_set(err, code, "cannot %s %s: %s%s", f->action->verb, what, f->message, more);
    vf_error_set_http_status(err, f->code);
    vf_error_set_retry_after_ms(err, f->retry_after_ms);
    if (is_not_served(f)) {
        vf_error_set_reason(err, VF_KUBE_REASON_NOT_SERVED);
    } else if (!has_reason(f, "")) {
        vf_error_set_reason(err, f->reason);
    }
    add_hint(f, err);
    return code;
}

static void read_status(struct failure *f, const cJSON *tree)
{
    const char *kind = vf_json_string(tree, "kind");
    if (!kind || strcmp(kind, "Status") != 0) {
        return;
    }
    f->status = tree;
    f->reason = vf_kube_clean_text(vf_json_string(tree, "reason"), MAX_REASON_BYTES);
    f->message = vf_kube_clean_text(vf_json_string(tree, "message"), MAX_MESSAGE_BYTES);
    uint64_t seconds;
    if (f->retry_after_ms < 0 &&
        vf_json_u64(vf_json_object(tree, "details"), "retryAfterSeconds", &seconds) && seconds) {
        f->retry_after_ms =
            (int64_t)(seconds < MAX_RETRY_AFTER_S ? seconds : MAX_RETRY_AFTER_S) * 1000;
    }
}

/* Fills in what the body did not say. */
static int conclude(struct failure *f, const char *text, struct vf_error **err)
{
    if (!f->reason) {
        f->reason = vf_xstrdup("");
    }
    if (!f->message || !*f->message) {
        char *vf_autofree clean = vf_kube_clean_text(text, 200);
        free(f->message);
        f->message = vf_xasprintf("status %ld%s%s", f->code, *clean ? ": " : "", clean);
    }
    int rc = set_error(f, err);
    free(f->reason);
    free(f->message);
    return rc;
}

int vf_kube_status_error(const struct vf_kube_action *a, long http_status, const char *body,
                         size_t body_len, int64_t retry_after_ms, struct vf_error **err)
{
    struct failure f = {.action = a, .code = http_status, .retry_after_ms = retry_after_ms};
    cJSON *tree = NULL;
    if (body && vf_json_parse(body, body_len, "the answer", &tree, NULL) == 0) {
        read_status(&f, tree);
    }
    int rc = conclude(&f, f.status ? NULL : body, err);
    cJSON_Delete(tree);
    return rc;
}

int vf_kube_status_object_error(const struct vf_kube_action *a, const cJSON *status,
                                struct vf_error **err)
{
    struct failure f = {.action = a, .code = 500, .retry_after_ms = -1};
    uint64_t code;
    if (vf_json_u64(status, "code", &code) && code >= 400 && code < 600) {
        f.code = (long)code;
    }
    read_status(&f, status);
    return conclude(&f, NULL, err);
}
