#include "importer/vsphere/vsphere.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/url.h"
#include "importer/vsphere/version.h"
#include "importer/vsphere/vim_names.h"

#define RETRY_DEADLINE_MS 60000
/* At the first contact nothing is under way that waiting could save, and a person looks on. */
#define FIRST_CONTACT_MS  8000
#define LOGOUT_TIMEOUT_MS 5000
#define KEEP_ALIVE_MS     (5 * 60 * 1000)
#define MAX_VERSIONS_XML  (1u << 20)

static void copy_http_options(struct vf_http_options *to, const struct vf_http_options *from)
{
    *to = *from;
    to->ca_file = vf_xstrdup(from->ca_file);
    to->thumbprint = vf_xstrdup(from->thumbprint);
    to->proxy = vf_xstrdup(from->proxy);
    to->user_agent = vf_xstrdup(from->user_agent);
}

static void free_string(const char *s)
{
    free((void *)(uintptr_t)s);
}

static void release_http_options(struct vf_http_options *o)
{
    free_string(o->ca_file);
    free_string(o->thumbprint);
    free_string(o->proxy);
    free_string(o->user_agent);
}

static void logout(struct vf_vsphere *vs)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, "Logout", VF_MO_SESSIONS, vs->services.session_manager);
    /* A session that is gone already is not renewed just to end it. */
    struct vf_call call = {.method = "Logout",
                           .what = "log out",
                           .body = &body,
                           .flags = VF_CALL_CLEANUP | VF_CALL_NO_RELOGIN,
                           .timeout_ms = LOGOUT_TIMEOUT_MS};
    struct vf_error *e = NULL;
    if (vf_session_call_void(vs, &call, &e)) {
        vf_debug("vsphere: %s", vf_error_message(e));
    }
    vf_error_free(e);
    vf_buf_release(&body);
}

void vf_vsphere_free(struct vf_vsphere *vs)
{
    if (!vs) {
        return;
    }
    if (vs->logged_in) {
        logout(vs);
    }
    vf_http_free(vs->http);
    vf_http_free(vs->cleanup_http);
    release_http_options(&vs->http_options);
    vf_secret_free(vs->password);
    if (vs->cookie) {
        explicit_bzero(vs->cookie, strlen(vs->cookie));
    }
    char *owned[] = {vs->cookie,
                     vs->host,
                     vs->authority,
                     vs->user,
                     vs->api_version,
                     vs->soap_action,
                     vs->about_name,
                     vs->about_version,
                     vs->about_uuid,
                     vs->services.session_manager,
                     vs->services.property_collector,
                     vs->services.view_manager,
                     vs->services.root_folder,
                     vs->services.ovf_manager,
                     vs->services.authorization_manager,
                     vs->services.license_manager,
                     vs->services.custom_fields_manager};
    for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) {
        free(owned[i]);
    }
    pthread_mutex_destroy(&vs->login_lock);
    pthread_mutex_destroy(&vs->lock);
    free(vs);
}

static int refuse_endpoint(const struct vf_vsphere *vs, long status, struct vf_error **err)
{
    vf_error_set(err, VF_INVALID,
                 "%s does not look like a vCenter or ESXi host: HTTP %ld for its list of API "
                 "versions",
                 vs->authority, status);
    vf_error_set_http_status(err, status);
    vf_error_hint(err, "check host and port; the address is https://HOST[:PORT]");
    return VF_INVALID;
}

static int fetch_versions(struct vf_vsphere *vs, struct vf_http_response *resp,
                          struct vf_error **err)
{
    char *vf_autofree url = vf_xasprintf("https://%s/sdk/vimServiceVersions.xml", vs->authority);
    struct vf_http_request req = {
        .url = url, .timeout_ms = 30000, .max_answer_bytes = MAX_VERSIONS_XML};
    struct vf_retry retry;
    int64_t patience_ms = vs->retry_deadline_ms;
    patience_ms = patience_ms < FIRST_CONTACT_MS ? patience_ms : FIRST_CONTACT_MS;
    vf_session_retry_init(vs, patience_ms, false, &retry);
    for (;;) {
        struct vf_error *e = NULL;
        int rc = vf_http_fetch(vs->http, &req, resp, &e);
        if (rc == 0 && vf_http_status_code(resp->status) != VF_RETRY) {
            return 0;
        }
        if (rc == 0) {
            rc = vf_http_response_error(resp, vs->authority, &e);
            vf_http_response_release(resp);
        }
        if (!vf_retry_again(&retry, &rc, &e)) {
            vf_error_move(err, &e);
            return rc;
        }
    }
}

static int negotiate_version(struct vf_vsphere *vs, struct vf_error **err)
{
    struct vf_http_response resp = {0};
    int rc = fetch_versions(vs, &resp, err);
    if (rc) {
        return rc;
    }
    if (resp.status != 200) {
        rc = refuse_endpoint(vs, resp.status, err);
    } else {
        rc = vf_vim_parse_versions(resp.body, resp.body_len, &vs->api_version, err);
    }
    vf_http_response_release(&resp);
    if (rc == 0) {
        vs->soap_action = vf_xasprintf("SOAPAction: \"" VF_VIM_NS "/%s\"", vs->api_version);
        vf_debug("vsphere: speaking API version %s with %s", vs->api_version, vs->authority);
    }
    return vf_error_wrap(err, rc, "connecting to %s", vs->authority);
}

static int connect_and_login(struct vf_vsphere *vs, struct vf_error **err)
{
    int rc = vf_http_new(&vs->http_options, vs->cancel, &vs->http, err);
    if (rc == 0) {
        rc = vf_http_new(&vs->http_options, NULL, &vs->cleanup_http, err);
    }
    if (rc == 0) {
        rc = negotiate_version(vs, err);
    }
    if (rc == 0) {
        rc = vf_session_fetch_content(vs, err);
    }
    if (rc == 0) {
        rc = vf_session_login(vs, 0, err);
    }
    return rc;
}

int vf_vsphere_login(const struct vf_vsphere_options *options, const struct vf_cancel *cancel,
                     struct vf_vsphere **ret_vsphere, struct vf_error **err)
{
    char *vf_autofree authority = NULL, *vf_autofree host = NULL;
    int rc = vf_vsphere_parse_url(options->url, &authority, &host, err);
    if (rc) {
        return rc;
    }
    vf_xml_init();
    const char *password = vf_secret_reveal(options->password);
    struct vf_vsphere *vs = vf_xcalloc(1, sizeof *vs);
    pthread_mutex_init(&vs->login_lock, NULL);
    pthread_mutex_init(&vs->lock, NULL);
    vs->authority = vf_take(authority);
    vs->host = vf_take(host);
    vs->user = vf_xstrdup(options->user);
    vs->password = vf_secret_new(password, strlen(password));
    vs->cancel = cancel;
    vs->retry_deadline_ms =
        options->retry_deadline_ms ? options->retry_deadline_ms : RETRY_DEADLINE_MS;
    copy_http_options(&vs->http_options, &options->http);
    rc = connect_and_login(vs, err);
    if (rc) {
        vf_vsphere_free(vs);
        return rc;
    }
    *ret_vsphere = vs;
    return 0;
}

int vf_vsphere_login_again(const struct vf_vsphere *vs, unsigned retry_deadline_ms,
                           const struct vf_cancel *cancel, struct vf_vsphere **ret_vsphere,
                           struct vf_error **err)
{
    char *vf_autofree url = vf_xasprintf("https://%s", vs->authority);
    const struct vf_vsphere_options options = {.url = url,
                                               .user = vs->user,
                                               .password = vs->password,
                                               .http = vs->http_options,
                                               .retry_deadline_ms = retry_deadline_ms};
    return vf_vsphere_login(&options, cancel, ret_vsphere, err);
}

int vf_vsphere_keep_alive(struct vf_vsphere *vs, struct vf_error **err)
{
    pthread_mutex_lock(&vs->lock);
    bool due = vf_clock_ms() - vs->last_call_ms >= KEEP_ALIVE_MS;
    pthread_mutex_unlock(&vs->lock);
    if (!due) {
        return 0;
    }
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, "CurrentTime", "ServiceInstance", "ServiceInstance");
    struct vf_call call = {.method = "CurrentTime",
                           .what = "keep the session alive",
                           .body = &body,
                           .flags = VF_CALL_REPEATABLE};
    int rc = vf_session_call_void(vs, &call, err);
    vf_buf_release(&body);
    return rc;
}

bool vf_vsphere_is_esxi(const struct vf_vsphere *vs)
{
    return vs->esxi;
}

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

const char *vf_vsphere_about_name(const struct vf_vsphere *vs)
{
    return or_empty(vs->about_name);
}

const char *vf_vsphere_about_version(const struct vf_vsphere *vs)
{
    return or_empty(vs->about_version);
}

const char *vf_vsphere_about_uuid(const struct vf_vsphere *vs)
{
    return or_empty(vs->about_uuid);
}

const char *vf_vsphere_api_version(const struct vf_vsphere *vs)
{
    return vs->api_version;
}

const char *vf_vsphere_host(const struct vf_vsphere *vs)
{
    return vs->host;
}

const char *vf_vsphere_authority(const struct vf_vsphere *vs)
{
    return vs->authority;
}

const char *vf_vsphere_user(const struct vf_vsphere *vs)
{
    return vs->user;
}

const struct vf_http_options *vf_vsphere_http_options(const struct vf_vsphere *vs)
{
    return &vs->http_options;
}
