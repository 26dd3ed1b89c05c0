/* Who we are: the "user" of a kubeconfig. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "importer/base/http.h"
#include "importer/base/mem.h"
#include "importer/kube/kubeconfig_private.h"
#include "importer/kube/material.h"

/* As many as anyone impersonates; the list comes from a file. */
#define MAX_IMPERSONATE 100

static int error_at(const struct vf_kubeconfig_entry *e, const char *key, enum vf_code code,
                    struct vf_error **err, const char *text)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(e->object, key);
    return vf_yaml_error(e->yaml, item ? item : e->object, code, err, "user \"%s\": %s", e->name,
                         text);
}

static int read_certificate(const struct vf_kubeconfig_entry *e, struct vf_kube_config *c,
                            struct vf_error **err)
{
    char *key = NULL;
    int rc = vf_kubeconfig_path(e, e->object, "client-certificate", &c->client_cert_file, err);
    rc = rc ? rc
            : vf_kubeconfig_data(e, e->object, "client-certificate-data", &c->client_cert_pem, err);
    rc = rc ? rc : vf_kubeconfig_path(e, e->object, "client-key", &c->client_key_file, err);
    rc = rc ? rc : vf_kubeconfig_data(e, e->object, "client-key-data", &key, err);
    if (rc) {
        return rc;
    }
    if (key) {
        c->client_key_pem = vf_secret_new(key, strlen(key));
        vf_kube_wipe(key);
    }
    if (c->client_cert_file && c->client_cert_pem) {
        return error_at(
            e, "client-certificate", VF_INVALID, err,
            "\"client-certificate\" and \"client-certificate-data\" exclude each other");
    }
    if (c->client_key_file && c->client_key_pem) {
        return error_at(e, "client-key", VF_INVALID, err,
                        "\"client-key\" and \"client-key-data\" exclude each other");
    }
    bool has_cert = c->client_cert_file || c->client_cert_pem;
    bool has_key = c->client_key_file || c->client_key_pem;
    if (has_cert != has_key) {
        return error_at(e, "client-certificate", VF_INVALID, err,
                        "a client certificate and its key must be given together");
    }
    return 0;
}

static int read_token(const struct vf_kubeconfig_entry *e, struct vf_kube_config *c,
                      struct vf_error **err)
{
    const char *token, *password;
    int rc = vf_kubeconfig_string(e, e->object, "token", &token, err);
    rc = rc ? rc : vf_kubeconfig_path(e, e->object, "tokenFile", &c->token_file, err);
    rc = rc ? rc : vf_kubeconfig_text(e, e->object, "username", &c->username, err);
    rc = rc ? rc : vf_kubeconfig_string(e, e->object, "password", &password, err);
    if (rc) {
        return rc;
    }
    if (token && (c->username || password)) {
        return error_at(e, "token", VF_INVALID, err,
                        "a token and a user name with password exclude each other");
    }
    c->token = token ? vf_secret_new(token, strlen(token)) : NULL;
    c->password = password ? vf_secret_new(password, strlen(password)) : NULL;
    return 0;
}

static int refuse_auth_provider(const struct vf_kubeconfig_entry *e, struct vf_error **err)
{
    const cJSON *provider;
    int rc = vf_kubeconfig_object(e, e->object, "auth-provider", &provider, err);
    if (rc || !provider) {
        return rc;
    }
    rc = error_at(e, "auth-provider", VF_UNSUPPORTED, err,
                  "\"auth-provider\" is no longer a way to log in to Kubernetes");
    vf_error_hint(err, "have the cluster's own tool write the kubeconfig anew with an \"exec\" "
                       "plugin (for example gke-gcloud-auth-plugin or kubelogin), or use a token "
                       "from \"kubectl create token\"");
    return rc;
}

static void add_header(struct vf_kube_config *c, char *line)
{
    c->impersonate =
        vf_xrealloc_array(c->impersonate, c->n_impersonate + 1, sizeof *c->impersonate);
    c->impersonate[c->n_impersonate++] = line;
}

static int add_list(const struct vf_kubeconfig_entry *e, const cJSON *list, const char *header,
                    struct vf_kube_config *c, struct vf_error **err)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) || strpbrk(item->valuestring, "\r\n")) {
            return vf_yaml_error(e->yaml, item, VF_INVALID, err,
                                 "what is impersonated must be a text of one line");
        }
        if (c->n_impersonate == MAX_IMPERSONATE) {
            return vf_yaml_error(e->yaml, item, VF_SPACE, err, "more than %d values to impersonate",
                                 MAX_IMPERSONATE);
        }
        add_header(c, vf_xasprintf("%s: %s", header, item->valuestring));
    }
    return 0;
}

static int add_extra(const struct vf_kubeconfig_entry *e, const cJSON *extra,
                     struct vf_kube_config *c, struct vf_error **err)
{
    const cJSON *list;
    cJSON_ArrayForEach(list, extra)
    {
        if (!cJSON_IsArray(list)) {
            return vf_yaml_error(e->yaml, list, VF_INVALID, err, "\"%s\" must be a list",
                                 list->string);
        }
        char *vf_autofree key = vf_http_escape(list->string);
        char *vf_autofree header = vf_xasprintf("Impersonate-Extra-%s", key);
        int rc = add_list(e, list, header, c, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* To leave these out would be to act with other rights than asked for
 * (kubernetes.io/docs/reference/access-authn-authz/authentication, user impersonation). */
static int read_impersonation(const struct vf_kubeconfig_entry *e, struct vf_kube_config *c,
                              struct vf_error **err)
{
    const char *user, *uid;
    const cJSON *groups, *extra;
    int rc = vf_kubeconfig_string(e, e->object, "as", &user, err);
    rc = rc ? rc : vf_kubeconfig_string(e, e->object, "as-uid", &uid, err);
    rc = rc ? rc : vf_kubeconfig_array(e, e->object, "as-groups", &groups, err);
    rc = rc ? rc : vf_kubeconfig_object(e, e->object, "as-user-extra", &extra, err);
    if (rc) {
        return rc;
    }
    if (!user && (uid || groups || extra)) {
        return error_at(e,
                        groups ? "as-groups"
                        : uid  ? "as-uid"
                               : "as-user-extra",
                        VF_INVALID, err, "impersonation needs \"as\"");
    }
    if ((user && strpbrk(user, "\r\n")) || (uid && strpbrk(uid, "\r\n"))) {
        return error_at(e, "as", VF_INVALID, err, "\"as\" holds a line break");
    }
    if (user) {
        add_header(c, vf_xasprintf("Impersonate-User: %s", user));
    }
    if (uid) {
        add_header(c, vf_xasprintf("Impersonate-Uid: %s", uid));
    }
    rc = add_list(e, groups, "Impersonate-Group", c, err);
    return rc ? rc : add_extra(e, extra, c, err);
}

int vf_kubeconfig_user(const struct vf_kubeconfig_entry *e, struct vf_kube_config *c,
                       struct vf_error **err)
{
    const cJSON *exec;
    int rc = refuse_auth_provider(e, err);
    rc = rc ? rc : read_certificate(e, c, err);
    rc = rc ? rc : read_token(e, c, err);
    rc = rc ? rc : read_impersonation(e, c, err);
    rc = rc ? rc : vf_kubeconfig_object(e, e->object, "exec", &exec, err);
    if (!rc && exec) {
        rc = vf_kubeconfig_exec(e, exec, &c->exec, err);
    }
    return rc;
}
