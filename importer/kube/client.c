#include "importer/kube/client.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/client_private.h"
#include "importer/kube/material.h"

#define DEFAULT_TIMEOUT_MS 60000
#define DEFAULT_WATCH_S    120
#define MAX_NAME_BYTES     512

/* How long a refusal of what was allowed before is not believed. */
#define REFUSALS_MS 20000

/* An API server that restarts is away for half a minute. */
static const struct vf_retry_policy default_retry = {
    .max_tries = 40, .first_wait_ms = 250, .max_wait_ms = 5000, .timeout_ms = 60000};

int vf_kube_client_new(struct vf_kube_config *config, const struct vf_kube_client_options *options,
                       const struct vf_cancel *cancel, struct vf_kube_client **ret_client,
                       struct vf_error **err)
{
    static const struct vf_kube_client_options defaults;
    const struct vf_kube_client_options *o = options ? options : &defaults;
    struct vf_kube_client *client = vf_xcalloc(1, sizeof *client);
    client->config = config;
    client->retry = o->retry ? *o->retry : default_retry;
    client->timeout_ms = o->timeout_ms ? o->timeout_ms : DEFAULT_TIMEOUT_MS;
    client->watch_s = o->watch_s ? o->watch_s : DEFAULT_WATCH_S;
    client->cancel = cancel;
    vf_kube_allowed_init(&client->allowed);
    int rc = vf_kube_keeper_new(config, cancel, &client->keeper, err);
    if (rc) {
        vf_kube_client_free(client);
        return rc;
    }
    *ret_client = client;
    return 0;
}

void vf_kube_client_free(struct vf_kube_client *client)
{
    if (client) {
        vf_kube_keeper_free(client->keeper);
        vf_kube_config_free(client->config);
        vf_kube_allowed_release(&client->allowed);
        free(client);
    }
}

const char *vf_kube_client_namespace(const struct vf_kube_client *client)
{
    return client->config->ns;
}

const char *vf_kube_client_origin(const struct vf_kube_client *client)
{
    return client->config->origin;
}

/* k8s.io/apimachinery, pkg/api/validation/path: what would change the path's meaning. */
static int add_segment(struct vf_buf *url, const char *name, const char *what,
                       struct vf_error **err)
{
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strpbrk(name, "/%") ||
        strlen(name) > MAX_NAME_BYTES) {
        return vf_error_set(err, VF_INVALID, "\"%.80s\" cannot be the name of a %s", name, what);
    }
    char *vf_autofree escaped = vf_http_escape(name);
    vf_buf_printf(url, "/%s", escaped);
    return 0;
}

static int add_path(struct vf_buf *url, const struct vf_kube_action *a, struct vf_error **err)
{
    const struct vf_kube_resource *r = a->resource;
    int rc = 0;
    if (r->group[0]) {
        vf_buf_printf(url, "/apis/%s/%s", r->group, r->version);
    } else {
        vf_buf_printf(url, "/api/%s", r->version);
    }
    if (a->ns) {
        vf_buf_puts(url, "/namespaces");
        rc = add_segment(url, a->ns, "namespace", err);
    }
    vf_buf_printf(url, "/%s", r->plural);
    if (!rc && a->name) {
        rc = add_segment(url, a->name, "resource", err);
    }
    if (a->subresource) {
        vf_buf_printf(url, "/%s", a->subresource);
    }
    return rc;
}

int vf_kube_call_init(struct vf_kube_call *call, const struct vf_kube_client *client,
                      const struct vf_kube_ref *ref, const char *verb, const char *query,
                      const struct vf_cancel *cancel, struct vf_error **err)
{
    bool in_namespace = ref->resource->namespaced && !ref->all_namespaces;
    struct vf_buf url;
    vf_buf_init(&url, SIZE_MAX);
    *call = (struct vf_kube_call){
        .action = {.verb = verb,
                   .resource = ref->resource,
                   .subresource = ref->subresource,
                   .ns = !in_namespace ? NULL
                         : ref->ns     ? ref->ns
                                       : client->config->ns,
                   .name = ref->name},
        .method = "GET",
        .max_answer_bytes = VF_KUBE_MAX_OBJECT_BYTES,
        .cancel = cancel ? cancel : client->cancel,
    };
    vf_buf_puts(&url, client->config->server);
    int rc = add_path(&url, &call->action, err);
    vf_buf_puts(&url, query);
    call->url = vf_buf_take_string(&url);
    if (rc) {
        vf_kube_call_release(call);
    }
    return rc;
}

void vf_kube_call_release(struct vf_kube_call *call)
{
    free(call->url);
    vf_kube_wipe(call->body); /* may be a Secret */
    call->url = call->body = NULL;
}

#define MAX_HEADERS 128

/* The headers of a request; NULL-terminated, lines borrowed but for `type`. */
struct headers {
    const char *lines[MAX_HEADERS];
    char *type;
};

static void set_headers(struct headers *h, const struct vf_kube_config *c,
                        const struct vf_kube_call *call)
{
    size_t n = 0;
    *h = (struct headers){.type = NULL};
    /* KubeVirt's subresources answer nothing, and do not want to be asked for JSON. */
    h->lines[n++] = call->accept ? call->accept : "Accept: application/json, */*;q=0.5";
    if (call->body) {
        h->type = vf_xasprintf("Content-Type: %s", call->content_type);
        h->lines[n++] = h->type;
    }
    for (size_t i = 0; i < c->n_impersonate && n < MAX_HEADERS - 1; i++) {
        h->lines[n++] = c->impersonate[i];
    }
}

/* Of `most_ms` (0: any), what the call's deadline leaves. */
static unsigned time_left(const struct vf_kube_call *call, int64_t most_ms)
{
    if (!call->deadline_ms) {
        return (unsigned)most_ms;
    }
    int64_t left_ms = call->deadline_ms - vf_clock_ms();
    left_ms = left_ms < 1 ? 1 : left_ms;
    return (unsigned)(most_ms && most_ms < left_ms ? most_ms : left_ms);
}

static struct vf_http_request make_request(const struct vf_kube_client *client,
                                           const struct vf_kube_call *call,
                                           const struct vf_kube_credential *credential,
                                           const struct headers *headers)
{
    return (struct vf_http_request){
        .method = call->method,
        .url = call->url,
        .headers = headers->lines,
        .authorization = credential->authorization,
        .body = call->body,
        .body_len = call->body ? strlen(call->body) : 0,
        .timeout_ms = time_left(call, client->timeout_ms),
        .max_answer_bytes = call->max_answer_bytes,
        .cancel = call->cancel,
        .once = !call->repeatable,
    };
}

/* One request with the credentials of now; 401 is left to the caller, in *ret_status. */
static int request_once(struct vf_kube_client *client, const struct vf_kube_call *call,
                        const struct vf_kube_credential *credential, struct vf_http_response *r,
                        struct vf_error **err)
{
    struct headers headers;
    set_headers(&headers, client->config, call);
    struct vf_http_request req = make_request(client, call, credential, &headers);
    int rc = vf_http_fetch(credential->http, &req, r, err);
    free(headers.type);
    return rc;
}

static int to_error(const struct vf_kube_call *call, struct vf_http_response *r,
                    struct vf_error **err)
{
    struct vf_error *plain = NULL;
    vf_http_response_error(r, "the API server", &plain);
    int rc = vf_kube_status_error(&call->action, r->status, r->body, r->body_len,
                                  vf_error_retry_after_ms(plain), err);
    vf_error_free(plain);
    vf_http_response_release(r);
    return rc;
}

/* A refusal of who we are is no refusal of what we ask: with new credentials it is asked again,
 * once, whatever it is. */
static int attempt(struct vf_kube_client *client, const struct vf_kube_call *call,
                   struct vf_http_response *ret_response, struct vf_error **err)
{
    bool again = true, first = true;
    int rc = 0;
    while (!rc && again) {
        struct vf_kube_credential *credential;
        struct vf_http_response r = {0};
        again = false;
        rc = vf_kube_keeper_take(client->keeper, call->cancel, &credential, err);
        if (rc) {
            return rc;
        }
        rc = request_once(client, call, credential, &r, err);
        if (!rc && r.status == 401 && first) {
            rc = vf_kube_keeper_renew(client->keeper, credential, call->cancel, &again, err);
            first = false;
        }
        vf_kube_keeper_give(client->keeper, credential);
        if (rc || again) {
            vf_http_response_release(&r);
        } else if (r.status / 100 != 2) {
            rc = to_error(call, &r, err);
        } else {
            *ret_response = r;
        }
    }
    return rc;
}

/* What was allowed before is, as a rule, allowed soon again (allowed.h). Nothing was done. */
static bool may_pass(struct vf_kube_client *client, const struct vf_kube_call *call, int rc,
                     const struct vf_error *e)
{
    return rc == VF_AUTH && vf_error_http_status(e) == 403 &&
           vf_kube_allowed_has(&client->allowed, &call->action);
}

/* See client.h on trying again. */
static bool may_repeat(const struct vf_kube_call *call, const struct vf_error *e)
{
    const char *reason = vf_error_reason(e);
    bool not_sent = reason && strcmp(reason, VF_HTTP_REASON_NOT_SENT) == 0;
    return call->repeatable || not_sent || vf_error_http_status(e) == 429 ||
           vf_error_retry_after_ms(e) >= 0;
}

int vf_kube_call_send(struct vf_kube_client *client, struct vf_kube_call *call,
                      struct vf_http_response *ret_response, struct vf_error **err)
{
    struct vf_retry retry;
    struct vf_error *e = NULL;
    int rc;
    bool more;
    struct vf_retry_policy policy = client->retry;
    policy.timeout_ms = time_left(call, policy.timeout_ms);
    vf_retry_init(&retry, &policy, call->cancel);
    int64_t refusals_end_ms = vf_clock_ms() + REFUSALS_MS;
    do {
        rc = attempt(client, call, ret_response, &e);
        if (may_pass(client, call, rc, e) && vf_clock_ms() < refusals_end_ms) {
            rc = VF_RETRY;
            more = true;
            continue;
        }
        more = rc == VF_RETRY && may_repeat(call, e);
        if (more && vf_error_http_status(e) != 429) {
            const char *reason = vf_error_reason(e);
            call->in_doubt |= !reason || strcmp(reason, VF_HTTP_REASON_NOT_SENT) != 0;
        }
    } while (more && vf_retry_again(&retry, &rc, &e));
    if (rc == 0) {
        vf_kube_allowed_note(&client->allowed, &call->action);
    } else if (rc == VF_RETRY && vf_error_code(e) == VF_AUTH) {
        rc = VF_AUTH; /* the time was up */
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_kube_call_fetch(struct vf_kube_client *client, struct vf_kube_call *call, cJSON **ret_tree,
                       struct vf_error **err)
{
    struct vf_http_response r = {0};
    cJSON *tree = NULL;
    int rc = vf_kube_call_send(client, call, &r, err);
    if (!rc && r.body_len) {
        rc = vf_json_parse(r.body, r.body_len, "the API server's answer", &tree, err);
        if (!rc && !cJSON_IsObject(tree)) {
            rc = vf_error_set(err, VF_INVALID, "the API server's answer is no object");
        }
        if (rc) {
            char *vf_autofree what = vf_kube_describe(&call->action);
            vf_error_wrap(err, rc, "%s %s", call->action.verb, what);
        }
    }
    vf_http_response_release(&r);
    if (rc || !ret_tree) {
        cJSON_Delete(tree);
    } else {
        *ret_tree = tree;
    }
    return rc;
}

static int open_once(struct vf_kube_client *client, struct vf_kube_call *call,
                     unsigned stall_timeout_ms, const struct vf_kube_credential *credential,
                     struct vf_stream **ret_stream, struct vf_error **err)
{
    struct headers headers;
    set_headers(&headers, client->config, call);
    struct vf_http_request req = make_request(client, call, credential, &headers);
    req.deadline_ms = call->deadline_ms;
    req.stall_timeout_ms = stall_timeout_ms;
    struct vf_error *e = NULL;
    int rc = vf_http_open(credential->http, &req, ret_stream, &e);
    free(headers.type);
    long status = vf_error_http_status(e);
    if (rc && status) {
        rc = vf_kube_status_error(&call->action, status, NULL, 0, vf_error_retry_after_ms(e), err);
        vf_error_free(e);
        return rc;
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_kube_call_open(struct vf_kube_client *client, struct vf_kube_call *call,
                      unsigned stall_timeout_ms, struct vf_kube_credential **ret_credential,
                      struct vf_stream **ret_stream, struct vf_error **err)
{
    for (bool first = true, again = true; again; first = false) {
        struct vf_kube_credential *credential;
        struct vf_error *e = NULL;
        again = false;
        int rc = vf_kube_keeper_take(client->keeper, call->cancel, &credential, err);
        if (rc) {
            return rc;
        }
        rc = open_once(client, call, stall_timeout_ms, credential, ret_stream, &e);
        if (!rc) {
            vf_kube_allowed_note(&client->allowed, &call->action);
            *ret_credential = credential;
            return 0;
        }
        if (may_pass(client, call, rc, e)) {
            char *vf_autofree text = vf_error_format(e);
            vf_error_clear(&e);
            rc = vf_error_set(&e, VF_RETRY, "%s", text);
        }
        if (first && vf_error_http_status(e) == 401 &&
            vf_kube_keeper_renew(client->keeper, credential, call->cancel, &again, NULL)) {
            again = false;
        }
        vf_kube_keeper_give(client->keeper, credential);
        if (!again) {
            vf_error_move(err, &e);
            return rc;
        }
        vf_error_free(e);
    }
    return VF_INTERNAL; /* not reached: the second round ends in one of the ways above */
}
