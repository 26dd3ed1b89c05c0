#include "importer/kube/kubeconfig.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/kubeconfig_private.h"

/* Where a cluster's settings for credential plugins stand among its extensions
 * (client.authentication.k8s.io, Cluster.config). */
#define EXEC_EXTENSION "client.authentication.k8s.io/exec"

struct parsed {
    const struct vf_kubeconfig_file *file;
    struct vf_yaml *yaml;
};

struct kubeconfigs {
    struct parsed *files;
    size_t n;
};

static struct vf_kubeconfig_entry whole_file(const struct kubeconfigs *k, size_t i)
{
    return (struct vf_kubeconfig_entry){.yaml = k->files[i].yaml,
                                        .path = k->files[i].file->path,
                                        .object = vf_yaml_tree(k->files[i].yaml)};
}

static int check_kind(const struct vf_kubeconfig_entry *e, struct vf_error **err)
{
    if (!cJSON_IsObject(e->object) && !cJSON_IsNull(e->object)) {
        return vf_yaml_error(e->yaml, e->object, VF_INVALID, err, "this is no kubeconfig");
    }
    const char *version, *kind;
    int rc = vf_kubeconfig_string(e, e->object, "apiVersion", &version, err);
    rc = rc ? rc : vf_kubeconfig_string(e, e->object, "kind", &kind, err);
    if (rc ||
        ((!version || strcmp(version, "v1") == 0) && (!kind || strcmp(kind, "Config") == 0))) {
        return rc;
    }
    return vf_yaml_error(e->yaml, e->object, VF_INVALID, err,
                         "this is a \"%s\" of \"%s\", not a Config of v1", kind ? kind : "",
                         version ? version : "");
}

static int parse_files(struct kubeconfigs *k, struct vf_error **err)
{
    int rc = 0;
    for (size_t i = 0; i < k->n && !rc; i++) {
        const struct vf_kubeconfig_file *f = k->files[i].file;
        char *vf_autofree what = vf_xasprintf("kubeconfig \"%s\"", f->path);
        rc = vf_yaml_parse(f->data, f->len, what, &k->files[i].yaml, err);
        if (!rc) {
            struct vf_kubeconfig_entry e = whole_file(k, i);
            rc = check_kind(&e, err);
        }
    }
    return rc;
}

/* Looks through one list ("clusters": a list of {name, cluster}) of one file; e->name is what to
 * find, e->object is set when it is there. */
static int find_in_list(struct vf_kubeconfig_entry *e, const cJSON *list, const char *kind,
                        const cJSON **ret_item, struct vf_error **err)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        const char *name;
        if (!cJSON_IsObject(item)) {
            return vf_yaml_error(e->yaml, item, VF_INVALID, err, "a %s must be a mapping", kind);
        }
        int rc = vf_kubeconfig_string(e, item, "name", &name, err);
        if (rc) {
            return rc;
        }
        if (!name || strcmp(name, e->name) != 0) {
            continue;
        }
        if (*ret_item) {
            return vf_yaml_error(e->yaml, item, VF_INVALID, err, "%s \"%s\" stands here again",
                                 kind, name);
        }
        *ret_item = item;
        rc = vf_kubeconfig_object(e, item, kind, &e->object, err);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* The first file that has it. ret_entry->yaml is NULL when none does. */
static int find_entry(const struct kubeconfigs *k, const char *kind, const char *name,
                      struct vf_kubeconfig_entry *ret_entry, struct vf_error **err)
{
    char *vf_autofree plural = vf_xasprintf("%ss", kind);
    for (size_t i = 0; i < k->n; i++) {
        struct vf_kubeconfig_entry e = whole_file(k, i);
        const cJSON *list, *item = NULL;
        int rc = vf_kubeconfig_array(&e, e.object, plural, &list, err);
        e.name = name;
        rc = rc ? rc : find_in_list(&e, list, kind, &item, err);
        if (rc) {
            return rc;
        }
        if (item) {
            *ret_entry = e;
            return 0;
        }
    }
    *ret_entry = (struct vf_kubeconfig_entry){.name = name};
    return 0;
}

static const char *first_path(const struct kubeconfigs *k)
{
    return k->n ? k->files[0].file->path : "";
}

static int find_current(const struct kubeconfigs *k, const char **ret_name, struct vf_error **err)
{
    *ret_name = NULL;
    for (size_t i = 0; i < k->n && !*ret_name; i++) {
        struct vf_kubeconfig_entry e = whole_file(k, i);
        int rc = vf_kubeconfig_string(&e, e.object, "current-context", ret_name, err);
        if (rc) {
            return rc;
        }
    }
    if (!*ret_name) {
        vf_error_set(err, VF_MISSING, "kubeconfig \"%s\" has no current context", first_path(k));
        vf_error_hint(err, "name a context, or choose one with \"kubectl config use-context\"");
        return VF_MISSING;
    }
    return 0;
}

static int no_context(const struct kubeconfigs *k, const char *name, struct vf_error **err)
{
    vf_error_set(err, VF_MISSING, "kubeconfig \"%s\"%s has no context \"%s\"", first_path(k),
                 k->n > 1 ? ", with the files after it," : "", name);
    vf_error_hint(err, "\"kubectl config get-contexts\" lists those that there are");
    return VF_MISSING;
}

/* What a context names, which must be there. */
static int find_named(const struct kubeconfigs *k, const struct vf_kubeconfig_entry *context,
                      const char *kind, struct vf_kubeconfig_entry *ret_entry,
                      struct vf_error **err)
{
    const char *name;
    int rc = vf_kubeconfig_string(context, context->object, kind, &name, err);
    if (rc || !name) {
        *ret_entry = (struct vf_kubeconfig_entry){0};
        return rc;
    }
    rc = find_entry(k, kind, name, ret_entry, err);
    if (!rc && !ret_entry->yaml) {
        rc = vf_yaml_error(context->yaml, cJSON_GetObjectItemCaseSensitive(context->object, kind),
                           VF_MISSING, err, "context \"%s\" names %s \"%s\", which is not there",
                           context->name, kind, name);
    }
    return rc;
}

/* "host:6443" is meant as HTTPS; a slash at the end would stand twice in every URL. */
static int read_server(const struct vf_kubeconfig_entry *e, struct vf_kube_config *c,
                       struct vf_error **err)
{
    const char *server;
    int rc = vf_kubeconfig_string(e, e->object, "server", &server, err);
    if (rc) {
        return rc;
    }
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(e->object, "server");
    if (!server) {
        return vf_yaml_error(e->yaml, item, VF_INVALID, err, "cluster \"%s\" has no server",
                             e->name);
    }
    const char *scheme_end = strstr(server, "://");
    if (scheme_end && strncmp(server, "https://", 8) != 0 && strncmp(server, "http://", 7) != 0) {
        return vf_yaml_error(e->yaml, item, VF_INVALID, err,
                             "the server must be an https or http URL");
    }
    size_t len = strlen(server);
    while (len && server[len - 1] == '/') {
        len--;
    }
    if (strcspn(server, "?#") < len) {
        return vf_yaml_error(e->yaml, item, VF_INVALID, err,
                             "the server's URL must not have a query or fragment");
    }
    c->server = vf_xasprintf("%s%.*s", scheme_end ? "" : "https://", (int)len, server);
    return 0;
}

/* Names go to the proxy to be resolved, as Go does: libcurl spells that "socks5h". */
static int read_proxy(const struct vf_kubeconfig_entry *e, struct vf_kube_config *c,
                      struct vf_error **err)
{
    const char *proxy;
    int rc = vf_kubeconfig_string(e, e->object, "proxy-url", &proxy, err);
    if (rc || !proxy) {
        return rc;
    }
    if (strncmp(proxy, "socks5://", 9) == 0) {
        c->proxy = vf_xasprintf("socks5h://%s", proxy + 9);
    } else if (strncmp(proxy, "http://", 7) == 0 || strncmp(proxy, "https://", 8) == 0 ||
               strncmp(proxy, "socks5h://", 10) == 0) {
        c->proxy = vf_xstrdup(proxy);
    } else {
        return vf_yaml_error(e->yaml, cJSON_GetObjectItemCaseSensitive(e->object, "proxy-url"),
                             VF_INVALID, err, "the proxy must be an http, https or socks5 URL");
    }
    return 0;
}

static int refuse_both(const struct vf_kubeconfig_entry *e, const char *a, const char *b,
                       struct vf_error **err)
{
    return vf_yaml_error(e->yaml, cJSON_GetObjectItemCaseSensitive(e->object, a), VF_INVALID, err,
                         "\"%s\" and \"%s\" of cluster \"%s\" exclude each other", a, b, e->name);
}

static int read_cluster(const struct vf_kubeconfig_entry *e, struct vf_kube_config *c,
                        struct vf_error **err)
{
    int rc = read_server(e, c, err);
    rc = rc ? rc : read_proxy(e, c, err);
    rc = rc ? rc : vf_kubeconfig_bool(e, e->object, "insecure-skip-tls-verify", &c->insecure, err);
    rc = rc ? rc : vf_kubeconfig_text(e, e->object, "tls-server-name", &c->tls_server_name, err);
    rc = rc ? rc : vf_kubeconfig_path(e, e->object, "certificate-authority", &c->ca_file, err);
    rc = rc ? rc : vf_kubeconfig_data(e, e->object, "certificate-authority-data", &c->ca_pem, err);
    if (rc) {
        return rc;
    }
    if (c->ca_file && c->ca_pem) {
        return refuse_both(e, "certificate-authority", "certificate-authority-data", err);
    }
    /* To verify with a CA and not to verify: whoever wrote both meant one, and we do not guess. */
    if (c->insecure && (c->ca_file || c->ca_pem)) {
        return refuse_both(e, "insecure-skip-tls-verify",
                           c->ca_file ? "certificate-authority" : "certificate-authority-data",
                           err);
    }
    return 0;
}

/* Extensions are a list of {name, extension}. */
static int read_plugin_settings(const struct vf_kubeconfig_entry *e, struct vf_kube_config *c,
                                struct vf_error **err)
{
    const cJSON *list, *item;
    int rc = c->exec ? vf_kubeconfig_array(e, e->object, "extensions", &list, err) : 0;
    if (rc || !c->exec) {
        return rc;
    }
    cJSON_ArrayForEach(item, list)
    {
        const char *name = vf_json_string(item, "name");
        const cJSON *extension = cJSON_GetObjectItemCaseSensitive(item, "extension");
        if (name && strcmp(name, EXEC_EXTENSION) == 0 && extension && !c->exec->cluster_config) {
            c->exec->cluster_config = cJSON_Duplicate(extension, 1);
        }
    }
    return 0;
}

static int resolve(const struct kubeconfigs *k, const char *context_name, struct vf_kube_config *c,
                   struct vf_error **err)
{
    struct vf_kubeconfig_entry context, cluster, user;
    int rc = context_name ? 0 : find_current(k, &context_name, err);
    rc = rc ? rc : find_entry(k, "context", context_name, &context, err);
    if (rc) {
        return rc;
    }
    if (!context.yaml) {
        return no_context(k, context_name, err);
    }
    c->origin = vf_xasprintf("context \"%s\" of kubeconfig \"%s\"", context_name, context.path);
    rc = find_named(k, &context, "cluster", &cluster, err);
    if (!rc && !cluster.yaml) {
        rc = vf_yaml_error(context.yaml, context.object, VF_INVALID, err,
                           "context \"%s\" names no cluster", context_name);
    }
    rc = rc ? rc : find_named(k, &context, "user", &user, err);
    rc = rc ? rc : vf_kubeconfig_text(&context, context.object, "namespace", &c->ns, err);
    rc = rc ? rc : read_cluster(&cluster, c, err);
    /* As client-go: who we are is nothing for a connection that anyone can read. */
    if (!rc && user.yaml && strncmp(c->server, "https://", 8) == 0) {
        rc = vf_kubeconfig_user(&user, c, err);
        rc = rc ? rc : read_plugin_settings(&cluster, c, err);
    }
    if (!rc && !c->ns) {
        c->ns = vf_xstrdup("default");
    }
    return rc;
}

int vf_kubeconfig_parse(const struct vf_kubeconfig_file *files, size_t n_files, const char *context,
                        struct vf_kube_config **ret_config, struct vf_error **err)
{
    struct kubeconfigs k = {.n = n_files};
    k.files = vf_xcalloc(n_files + 1, sizeof *k.files);
    for (size_t i = 0; i < n_files; i++) {
        k.files[i].file = &files[i];
    }
    struct vf_kube_config *c = vf_xcalloc(1, sizeof *c);
    int rc = parse_files(&k, err);
    rc = rc ? rc : resolve(&k, context, c, err);
    for (size_t i = 0; i < n_files; i++) {
        vf_yaml_free(k.files[i].yaml);
    }
    free(k.files);
    if (rc) {
        vf_kube_config_free(c);
        return rc;
    }
    *ret_config = c;
    return 0;
}
