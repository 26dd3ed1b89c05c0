#include "importer/vsphere/session.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "importer/base/clock.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/requests.h"
#include "importer/vsphere/vim_names.h"

#define CALL_TIMEOUT_MS    120000
#define CLEANUP_TIMEOUT_MS 15000
#define RETRY_FIRST_MS     250
#define RETRY_LAST_MS      5000

/* One answer may hold a page of a large inventory. */
#define MAX_ANSWER_BYTES (128u << 20)

#define COOKIE_NAME "vmware_soap_session="

char *vf_session_parse_cookie(const char *headers)
{
    static const char name[] = "set-cookie:";
    for (const char *line = headers; line && *line;) {
        const char *end = strchr(line, '\n');
        if (strncasecmp(line, name, sizeof name - 1) == 0) {
            const char *value = line + sizeof name - 1;
            value += strspn(value, " \t");
            if (strncmp(value, COOKIE_NAME, sizeof COOKIE_NAME - 1) == 0) {
                /* The quotes that vCenter puts around the value belong to it. */
                return vf_xstrndup(value, strcspn(value, ";\r\n"));
            }
        }
        line = end ? end + 1 : NULL;
    }
    return NULL;
}

static void drop_secret(char *s)
{
    if (s) {
        explicit_bzero(s, strlen(s));
        free(s);
    }
}

unsigned vf_session_generation(struct vf_vsphere *vs)
{
    pthread_mutex_lock(&vs->lock);
    unsigned generation = vs->generation;
    pthread_mutex_unlock(&vs->lock);
    return generation;
}

static void set_cookie(struct vf_vsphere *vs, char *cookie)
{
    pthread_mutex_lock(&vs->lock);
    drop_secret(vs->cookie);
    vs->cookie = cookie;
    pthread_mutex_unlock(&vs->lock);
}

void vf_session_retry_init(const struct vf_vsphere *vs, int64_t timeout_ms, bool cleanup,
                           struct vf_retry *ret)
{
    const struct vf_retry_policy policy = {.max_tries = UINT_MAX,
                                           .first_wait_ms = RETRY_FIRST_MS,
                                           .max_wait_ms = RETRY_LAST_MS,
                                           .timeout_ms = timeout_ms};
    vf_retry_init(ret, &policy, cleanup ? NULL : vs->cancel);
}

/* The body decides about a fault, which comes with HTTP 500; any other status is the server's or a
 * proxy's own. */
static int read_answer(const struct vf_vsphere *vs, const struct vf_call *call,
                       const struct vf_http_response *resp, struct vf_answer *ret,
                       struct vf_error **err)
{
    if (resp->status == 200 || resp->status == 500) {
        struct vf_error *e = NULL;
        int rc = vf_soap_parse(resp->body, resp->body_len, call->method, ret, &e);
        if (rc == 0 || resp->status == 200) {
            vf_error_move(err, &e);
            return rc;
        }
        vf_error_free(e);
    }
    int rc = vf_http_response_error(resp, vs->authority, err);
    return vf_error_wrap(err, rc, "%s", call->what);
}

/* One attempt. A fault comes as an error with a reason; *ret_generation is the login it went with.
 */
static int attempt_call(struct vf_vsphere *vs, const struct vf_call *call, unsigned timeout_ms,
                        struct vf_answer *ret, unsigned *ret_generation, struct vf_error **err)
{
    /* A login goes without cookie: on top of a live session, which an earlier attempt whose answer
     * was lost may have left, it would be refused like a wrong password. */
    pthread_mutex_lock(&vs->lock);
    char *cookie = call->flags & VF_CALL_LOGIN ? NULL : vf_xstrdup(vs->cookie);
    *ret_generation = vs->generation;
    pthread_mutex_unlock(&vs->lock);

    char *vf_autofree url = vf_xasprintf("https://%s/sdk", vs->authority);
    const char *headers[] = {"Content-Type: text/xml; charset=utf-8", vs->soap_action, NULL};
    struct vf_http_request req = {.method = "POST",
                                  .url = url,
                                  .headers = headers,
                                  .cookie = cookie,
                                  .body = call->body->data,
                                  .body_len = call->body->len,
                                  .timeout_ms = timeout_ms,
                                  .once = call->flags & VF_CALL_ONCE,
                                  .max_answer_bytes = MAX_ANSWER_BYTES};
    struct vf_http_response resp = {0};
    bool cleanup = call->flags & VF_CALL_CLEANUP;
    int64_t start_ms = vf_clock_ms();
    int rc = vf_http_fetch(cleanup ? vs->cleanup_http : vs->http, &req, &resp, err);
    drop_secret(cookie);
    if (rc) {
        return vf_error_wrap(err, rc, "%s", call->what);
    }
    vf_debug("vsphere: %s: HTTP %ld, %zu bytes, %lld ms", call->method, resp.status, resp.body_len,
             (long long)(vf_clock_ms() - start_ms));
    if (call->flags & VF_CALL_LOGIN) {
        char *fresh = vf_session_parse_cookie(resp.headers);
        if (fresh) {
            set_cookie(vs, fresh);
        }
    }
    *ret = (struct vf_answer){0};
    rc = read_answer(vs, call, &resp, ret, err);
    vf_http_response_release(&resp);
    if (rc == 0 && ret->fault.type) {
        rc = vf_fault_set_error(err, &ret->fault, call->what);
        vf_answer_release(ret);
    }
    if (rc == 0) {
        pthread_mutex_lock(&vs->lock);
        vs->last_call_ms = vf_clock_ms();
        pthread_mutex_unlock(&vs->lock);
    }
    return rc;
}

/* A fault says that nothing was done; a broken transport leaves that open. */
static bool may_repeat(const struct vf_call *call, int rc, const struct vf_error *e)
{
    const char *reason = vf_error_reason(e);
    bool fault = reason && strcmp(reason, VF_HTTP_REASON_NOT_SENT) != 0;
    if (rc != VF_RETRY || (fault && (call->flags & VF_CALL_FAULT_ENDS))) {
        return false;
    }
    return reason || (call->flags & VF_CALL_REPEATABLE);
}

static int lost_session(const struct vf_call *call, struct vf_error **err)
{
    vf_error_set(err, VF_RETRY, "cannot %s: the session was lost meanwhile", call->what);
    vf_error_set_reason(err, "NotAuthenticated");
    return VF_RETRY;
}

static unsigned attempt_timeout(const struct vf_call *call, int64_t deadline_ms)
{
    if (!(call->flags & VF_CALL_CLEANUP)) {
        return call->timeout_ms ? call->timeout_ms : CALL_TIMEOUT_MS;
    }
    int64_t left_ms = deadline_ms - vf_clock_ms();
    return left_ms < 1000 ? 1000 : (unsigned)left_ms;
}

int vf_session_call(struct vf_vsphere *vs, const struct vf_call *call, struct vf_answer *ret,
                    struct vf_error **err)
{
    bool cleanup = call->flags & VF_CALL_CLEANUP;
    int64_t patience_ms = vs->retry_deadline_ms;
    if (cleanup) {
        patience_ms = call->timeout_ms ? call->timeout_ms : CLEANUP_TIMEOUT_MS;
    }
    int64_t deadline_ms = vf_clock_ms() + patience_ms;
    struct vf_retry retry;
    vf_session_retry_init(vs, patience_ms, cleanup, &retry);
    bool logged_in_again = false;

    if (call->body->overflow) {
        return vf_error_set(err, VF_RANGE, "cannot %s: the request is too large", call->what);
    }
    for (;;) {
        struct vf_error *e = NULL;
        unsigned generation;
        int rc = attempt_call(vs, call, attempt_timeout(call, deadline_ms), ret, &generation, &e);
        if (rc == 0) {
            return 0;
        }
        if (vf_fault_is(e, "NotAuthenticated") && !logged_in_again &&
            !(call->flags & (VF_CALL_LOGIN | VF_CALL_NO_RELOGIN))) {
            vf_error_free(e);
            rc = vf_session_relogin(vs, generation, call->flags, err);
            if (rc || (call->flags & VF_CALL_SESSION_BOUND)) {
                return rc ? rc : lost_session(call, err);
            }
            logged_in_again = true;
            continue;
        }
        if (!may_repeat(call, rc, e) || !vf_retry_again(&retry, &rc, &e)) {
            vf_error_move(err, &e);
            return rc;
        }
    }
}

int vf_session_call_void(struct vf_vsphere *vs, const struct vf_call *call, struct vf_error **err)
{
    struct vf_answer answer = {0};
    int rc = vf_session_call(vs, call, &answer, err);
    vf_answer_release(&answer);
    return rc;
}

int vf_session_relogin(struct vf_vsphere *vs, unsigned generation, unsigned flags,
                       struct vf_error **err)
{
    int rc = 0;
    pthread_mutex_lock(&vs->login_lock);
    if (vf_session_generation(vs) == generation) {
        vf_debug("vsphere: the session was lost, logging in again");
        rc = vf_session_login(vs, flags & VF_CALL_CLEANUP, err);
    }
    pthread_mutex_unlock(&vs->login_lock);
    return rc;
}

static void take_service(const xmlNode *content, const char *name, char **ret)
{
    vf_replace_string(ret, NULL);
    *ret = vf_xml_child_text(content, VF_VIM_NS, name);
}

static int read_content(struct vf_vsphere *vs, const struct vf_answer *answer,
                        struct vf_error **err)
{
    const xmlNode *content = vf_xml_child(answer->response, VF_VIM_NS, "returnval");
    const xmlNode *about = vf_xml_child(content, VF_VIM_NS, "about");
    take_service(content, "sessionManager", &vs->services.session_manager);
    take_service(content, "propertyCollector", &vs->services.property_collector);
    take_service(content, "viewManager", &vs->services.view_manager);
    take_service(content, "rootFolder", &vs->services.root_folder);
    take_service(content, "ovfManager", &vs->services.ovf_manager);
    take_service(content, "authorizationManager", &vs->services.authorization_manager);
    take_service(content, "licenseManager", &vs->services.license_manager);
    take_service(content, "customFieldsManager", &vs->services.custom_fields_manager);
    take_service(about, "name", &vs->about_name);
    take_service(about, "version", &vs->about_version);
    take_service(about, "instanceUuid", &vs->about_uuid);
    char *vf_autofree api_type = vf_xml_child_text(about, VF_VIM_NS, "apiType");
    vs->esxi = api_type && strcmp(api_type, "HostAgent") == 0;
    if (!vs->services.session_manager || !vs->services.property_collector ||
        !vs->services.view_manager || !vs->services.root_folder) {
        return vf_error_set(err, VF_INVALID,
                            "%s answers like no vCenter or ESXi host: services are missing",
                            vs->authority);
    }
    return 0;
}

int vf_session_fetch_content(struct vf_vsphere *vs, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, "RetrieveServiceContent", "ServiceInstance", "ServiceInstance");
    struct vf_call call = {.method = "RetrieveServiceContent",
                           .what = "read the service content",
                           .body = &body,
                           .flags = VF_CALL_REPEATABLE | VF_CALL_LOGIN};
    struct vf_answer answer = {0};
    int rc = vf_session_call(vs, &call, &answer, err);
    if (rc == 0) {
        rc = read_content(vs, &answer, err);
        vf_answer_release(&answer);
    }
    vf_buf_release(&body);
    return rc;
}

/* The password passes through one block of memory, sized before it is filled, so that no
 * reallocation leaves a copy behind. Escaping makes at most six bytes of one. */
static void encode_login(const struct vf_vsphere *vs, struct vf_buf *b)
{
    const char *password = vf_secret_reveal(vs->password);
    vf_buf_init(b, VF_SOAP_MAX_REQUEST);
    b->cap =
        1024 + 6 * (strlen(vs->user) + strlen(password) + strlen(vs->services.session_manager));
    b->data = vf_xcalloc(b->cap, 1);
    vf_encode_login(b, vs->services.session_manager, vs->user, password);
}

static int refuse_login(const struct vf_vsphere *vs, struct vf_error **err)
{
    vf_error_set(err, VF_AUTH, "%s %s refused the login of user \"%s\"",
                 vs->esxi ? "ESXi host" : "vCenter at", vs->host, vs->user);
    vf_error_set_reason(err, "InvalidLogin");
    vf_error_hint(err, "check user name (with its domain: \"name@vsphere.local\") and password");
    return VF_AUTH;
}

int vf_session_login(struct vf_vsphere *vs, unsigned flags, struct vf_error **err)
{
    struct vf_buf body;
    encode_login(vs, &body);
    struct vf_call call = {.method = "Login",
                           .what = "log in",
                           .body = &body,
                           .flags = flags | VF_CALL_REPEATABLE | VF_CALL_LOGIN,
                           .timeout_ms = flags & VF_CALL_CLEANUP ? 0 : 60000};
    struct vf_error *e = NULL;
    int rc = vf_session_call_void(vs, &call, &e);
    explicit_bzero(body.data, body.cap);
    vf_buf_release(&body);
    if (vf_fault_is(e, "InvalidLogin")) {
        vf_error_clear(&e);
        return refuse_login(vs, err);
    }
    if (rc == 0) {
        pthread_mutex_lock(&vs->lock);
        vs->generation++;
        vs->logged_in = true;
        pthread_mutex_unlock(&vs->lock);
    }
    vf_error_move(err, &e);
    return rc;
}
