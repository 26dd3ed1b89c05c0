#include "importer/kube/config.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "importer/kube/kubeconfig.h"
#include "importer/kube/material.h"

#define SERVICE_ACCOUNT_DIR "/var/run/secrets/kubernetes.io/serviceaccount"
/* KUBECONFIG names a handful. */
#define MAX_FILES 64

struct files {
    struct vf_kubeconfig_file list[MAX_FILES];
    size_t n;
};

static void release_files(struct files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        char *data = (char *)(uintptr_t)f->list[i].data;
        char *path = (char *)(uintptr_t)f->list[i].path;
        vf_kube_wipe(data);
        free(path);
    }
    f->n = 0;
}

static char *make_absolute(const char *path)
{
    char cwd[PATH_MAX];
    if (*path == '/' || !getcwd(cwd, sizeof cwd)) {
        return vf_xstrdup(path);
    }
    return vf_xasprintf("%s/%s", cwd, path);
}

static bool has_file(const struct files *f, const char *path)
{
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(f->list[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}

static int add_file(struct files *f, const char *path, struct vf_error **err)
{
    char *vf_autofree absolute = make_absolute(path);
    char *text;
    size_t len;
    if (has_file(f, absolute)) {
        return 0;
    }
    if (f->n == MAX_FILES) {
        return vf_error_set(err, VF_SPACE, "KUBECONFIG names more than %d files", MAX_FILES);
    }
    int rc = vf_kube_fetch_file(absolute, "kubeconfig", VF_KUBE_MAX_FILE_BYTES, &text, &len, err);
    if (!rc) {
        f->list[f->n++] =
            (struct vf_kubeconfig_file){.path = vf_take(absolute), .data = text, .len = len};
    }
    return rc;
}

/* As kubectl: of a list, files that do not exist are passed over. */
static int add_optional(struct files *f, const char *path, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = add_file(f, path, &e);
    if (rc == VF_MISSING) {
        rc = 0;
        vf_error_clear(&e);
    }
    vf_error_move(err, &e);
    return rc;
}

static int add_list(struct files *f, const char *list, struct vf_error **err)
{
    int rc = 0;
    while (*list && !rc) {
        size_t len = strcspn(list, ":");
        char *vf_autofree path = vf_xstrndup(list, len);
        if (len) {
            rc = add_optional(f, path, err);
        }
        list += len;
        list += *list == ':';
    }
    return rc;
}

static int gather(struct files *f, const char *path, struct vf_error **err)
{
    if (path) {
        return add_file(f, path, err);
    }
    const char *list = getenv("KUBECONFIG");
    if (list && *list) {
        return add_list(f, list, err);
    }
    const char *home = getenv("HOME");
    if (!home || !*home) {
        return 0;
    }
    char *vf_autofree usual = vf_xasprintf("%s/.kube/config", home);
    return add_optional(f, usual, err);
}

static bool is_in_pod(void)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    return host && *host && port && *port;
}

static int fetch_in_pod(const char *dir, struct vf_kube_config *c, struct vf_error **err)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST");
    const char *port = getenv("KUBERNETES_SERVICE_PORT");
    if (!host || !port) {
        return vf_error_set(err, VF_MISSING, "this is no pod: KUBERNETES_SERVICE_HOST is not set");
    }
    bool v6 = strchr(host, ':') && *host != '[';
    c->origin = vf_xstrdup("the pod's service account");
    c->server = vf_xasprintf("https://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
    /* Between pod and API server no proxy is meant to stand. */
    c->proxy = vf_xstrdup("");
    c->ca_file = vf_xasprintf("%s/ca.crt", dir);
    c->token_file = vf_xasprintf("%s/token", dir);
    char *vf_autofree path = vf_xasprintf("%s/namespace", dir);
    struct vf_secret *ns = NULL;
    int rc = vf_kube_fetch_secret_file(path, "the service account's namespace", &ns, err);
    if (rc) {
        vf_error_hint(err, "a pod needs automountServiceAccountToken, or a kubeconfig of its own");
        return rc;
    }
    c->ns = vf_xstrdup(vf_secret_reveal(ns));
    vf_secret_free(ns);
    return 0;
}

static int no_configuration(struct vf_error **err)
{
    const char *list = getenv("KUBECONFIG");
    bool named = list && *list;
    vf_error_set(err, VF_MISSING, "there is no kubeconfig %s%s%s",
                 named ? "where KUBECONFIG points to (\"" : "in ~/.kube/config", named ? list : "",
                 named ? "\")" : "");
    vf_error_hint(err, "name one with KUBECONFIG; inside a pod, its service account is used");
    return VF_MISSING;
}

static int fetch_base(const struct vf_kube_config_options *o, struct vf_kube_config **ret,
                      struct vf_error **err)
{
    struct files files = {.n = 0};
    int rc = gather(&files, o->path, err);
    if (!rc && files.n) {
        rc = vf_kubeconfig_parse(files.list, files.n, o->context, ret, err);
    } else if (!rc && is_in_pod() && !o->context) {
        *ret = vf_xcalloc(1, sizeof **ret);
        rc = fetch_in_pod(o->service_account_dir ? o->service_account_dir : SERVICE_ACCOUNT_DIR,
                          *ret, err);
        if (rc) {
            vf_kube_config_free(*ret);
        }
    } else if (!rc) {
        rc = no_configuration(err);
    }
    release_files(&files);
    return rc;
}

static int fetch_pem(const char *path, const char *what, char **ret, struct vf_error **err)
{
    size_t len;
    return path ? vf_kube_fetch_file(path, what, VF_KUBE_MAX_FILE_BYTES, ret, &len, err) : 0;
}

static int fetch_certificates(struct vf_kube_config *c, struct vf_error **err)
{
    int rc = fetch_pem(c->ca_file, "the certificate authority", &c->ca_pem, err);
    rc = rc ? rc
            : fetch_pem(c->client_cert_file, "the client certificate", &c->client_cert_pem, err);
    if (!rc && c->client_key_file) {
        rc = vf_kube_fetch_secret_file(c->client_key_file, "the client key", &c->client_key_pem,
                                       err);
    }
    return rc ? vf_error_wrap(err, rc, "%s", c->origin) : 0;
}

int vf_kube_config_fetch(const struct vf_kube_config_options *options,
                         struct vf_kube_config **ret_config, struct vf_error **err)
{
    static const struct vf_kube_config_options defaults;
    const struct vf_kube_config_options *o = options ? options : &defaults;
    struct vf_kube_config *c = NULL;
    int rc = fetch_base(o, &c, err);
    if (rc || !c) {
        return rc;
    }
    rc = fetch_certificates(c, err);
    if (rc) {
        vf_kube_config_free(c);
        return rc;
    }
    if (o->ns && *o->ns) {
        vf_replace_string(&c->ns, o->ns);
    }
    *ret_config = c;
    return 0;
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vf_kube_wipe(list[i]);
    }
    free(list);
}

static void free_exec(struct vf_kube_exec *x)
{
    if (x) {
        free(x->api_version);
        free(x->command);
        free(x->install_hint);
        free_list(x->args, x->n_args);
        free_list(x->env, x->n_env);
        cJSON_Delete(x->cluster_config);
        free(x);
    }
}

void vf_kube_config_free(struct vf_kube_config *c)
{
    if (!c) {
        return;
    }
    free(c->origin);
    free(c->server);
    free(c->ns);
    free(c->ca_file);
    free(c->ca_pem);
    free(c->tls_server_name);
    vf_kube_wipe(c->proxy); /* may hold a password */
    free(c->client_cert_file);
    free(c->client_cert_pem);
    free(c->client_key_file);
    vf_secret_free(c->client_key_pem);
    vf_secret_free(c->token);
    free(c->token_file);
    free(c->username);
    vf_secret_free(c->password);
    free_list(c->impersonate, c->n_impersonate);
    free_exec(c->exec);
    free(c);
}
