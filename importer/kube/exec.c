#include "importer/kube/exec.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/proc.h"
#include "importer/kube/material.h"
#include "importer/kube/text.h"

#define TIMEOUT_MS       60000
#define MAX_OUTPUT_BYTES (1u << 20)

void vf_kube_exec_result_release(struct vf_kube_exec_result *r)
{
    vf_secret_free(r->token);
    vf_secret_free(r->key_pem);
    free(r->cert_pem);
    *r = (struct vf_kube_exec_result){0};
}

static bool read_digits(const char **at, int n, int *ret)
{
    *ret = 0;
    for (int i = 0; i < n; i++, ++*at) {
        if (**at < '0' || **at > '9') {
            return false;
        }
        *ret = *ret * 10 + (**at - '0');
    }
    return true;
}

static bool read_sign(const char **at, const char *of)
{
    if (!**at || !strchr(of, **at)) {
        return false;
    }
    ++*at;
    return true;
}

/* "Z" or "+02:00", and the end; as seconds east. */
static bool read_zone(const char *at, int *ret)
{
    int hours = 0, minutes = 0;
    bool utc = read_sign(&at, "Zz");
    int sign = *at == '-' ? -1 : 1;
    if (!utc && !(read_sign(&at, "+-") && read_digits(&at, 2, &hours) && read_sign(&at, ":") &&
                  read_digits(&at, 2, &minutes))) {
        return false;
    }
    *ret = sign * (hours * 3600 + minutes * 60);
    return *at == '\0';
}

int64_t vf_kube_parse_time(const char *text)
{
    const char *at = text;
    struct tm tm = {0};
    int zone;
    if (!read_digits(&at, 4, &tm.tm_year) || !read_sign(&at, "-") ||
        !read_digits(&at, 2, &tm.tm_mon) || !read_sign(&at, "-") ||
        !read_digits(&at, 2, &tm.tm_mday) || !read_sign(&at, "Tt ") ||
        !read_digits(&at, 2, &tm.tm_hour) || !read_sign(&at, ":") ||
        !read_digits(&at, 2, &tm.tm_min) || !read_sign(&at, ":") ||
        !read_digits(&at, 2, &tm.tm_sec)) {
        return -1;
    }
    if (read_sign(&at, ".")) {
        size_t n = strspn(at, "0123456789");
        if (!n) {
            return -1;
        }
        at += n;
    }
    if (!read_zone(at, &zone) || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 ||
        tm.tm_mday > 31 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) {
        return -1;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) - zone;
}

static int bad_output(const char *what, struct vf_error **err)
{
    return vf_error_set(err, VF_AUTH, "its output %s", what);
}

static int check_output(const cJSON *tree, const char *api_version, struct vf_error **err)
{
    const char *kind = vf_json_string(tree, "kind");
    const char *version = vf_json_string(tree, "apiVersion");
    if (!kind || strcmp(kind, "ExecCredential") != 0) {
        return bad_output("is no ExecCredential", err);
    }
    if (!version || strcmp(version, api_version) != 0) {
        char *vf_autofree shown = vf_kube_clean_text(version, 80);
        return vf_error_set(err, VF_AUTH,
                            "its output is of version \"%s\" where the kubeconfig asks for \"%s\"",
                            shown, api_version);
    }
    return vf_json_object(tree, "status") ? 0 : bad_output("holds no credentials", err);
}

static struct vf_secret *take_secret(const cJSON *status, const char *key)
{
    const char *text = vf_json_string(status, key);
    return text && *text ? vf_secret_new(text, strlen(text)) : NULL;
}

static int read_status(const cJSON *status, struct vf_kube_exec_result *r, struct vf_error **err)
{
    const char *cert = vf_json_string(status, "clientCertificateData");
    const char *expires = vf_json_string(status, "expirationTimestamp");
    r->token = take_secret(status, "token");
    r->key_pem = take_secret(status, "clientKeyData");
    r->cert_pem = cert && *cert ? vf_xstrdup(cert) : NULL;
    if (!r->token && !r->cert_pem) {
        return bad_output("holds neither a token nor a certificate", err);
    }
    if (!r->cert_pem != !r->key_pem) {
        return bad_output("holds a certificate without its key, or a key alone", err);
    }
    if (r->token && strpbrk(vf_secret_reveal(r->token), "\r\n")) {
        return bad_output("holds a token of several lines", err);
    }
    r->expires_at_s = expires && *expires ? vf_kube_parse_time(expires) : 0;
    return r->expires_at_s < 0 ? bad_output("holds an expirationTimestamp that is no time", err)
                               : 0;
}

int vf_kube_exec_parse(const char *text, size_t len, const char *api_version,
                       struct vf_kube_exec_result *ret_result, struct vf_error **err)
{
    struct vf_kube_exec_result r = {0};
    cJSON *tree = NULL;
    if (vf_json_parse(text, len, "it", &tree, NULL)) {
        return bad_output("is not JSON", err);
    }
    int rc = check_output(tree, api_version, err);
    rc = rc ? rc : read_status(vf_json_object(tree, "status"), &r, err);
    vf_json_delete_wiped(tree);
    if (rc) {
        vf_kube_exec_result_release(&r);
        return rc;
    }
    *ret_result = r;
    return 0;
}

static void add_cluster(cJSON *spec, const struct vf_kube_config *c)
{
    cJSON *cluster = vf_json_add_object(spec, "cluster");
    vf_json_add_string(cluster, "server", c->server);
    vf_json_add_string(cluster, "tls-server-name", c->tls_server_name);
    if (c->insecure) {
        vf_json_add_bool(cluster, "insecure-skip-tls-verify", true);
    }
    if (c->ca_pem) {
        char *vf_autofree text = vf_kube_encode_base64(c->ca_pem, strlen(c->ca_pem));
        vf_json_add_string(cluster, "certificate-authority-data", text);
    }
    vf_json_add_string(cluster, "proxy-url", c->proxy);
    if (c->exec->cluster_config) {
        cJSON_AddItemToObject(cluster, "config", cJSON_Duplicate(c->exec->cluster_config, 1));
    }
}

char *vf_kube_exec_info(const struct vf_kube_config *c)
{
    cJSON *info = vf_json_new_object();
    vf_json_add_string(info, "apiVersion", c->exec->api_version);
    vf_json_add_string(info, "kind", "ExecCredential");
    cJSON *spec = vf_json_add_object(info, "spec");
    if (c->exec->provide_cluster_info) {
        add_cluster(spec, c);
    }
    vf_json_add_bool(spec, "interactive", false);
    char *text = vf_json_print(info, false);
    cJSON_Delete(info);
    return text;
}

static bool is_named(const char *variable, const char *with_value)
{
    size_t n = strcspn(with_value, "=");
    return strncmp(variable, with_value, n) == 0 && variable[n] == '=';
}

static bool is_replaced(const char *variable, const struct vf_kube_exec *x)
{
    for (size_t i = 0; i < x->n_env; i++) {
        if (is_named(variable, x->env[i])) {
            return true;
        }
    }
    /* The password for vSphere is none of the plugin's business. */
    return is_named(variable, "VMFERRY_PASSWORD=") || is_named(variable, "KUBERNETES_EXEC_INFO=");
}

/* Plugins live on HOME, AWS_PROFILE, HTTPS_PROXY and the like: they get our environment, as
 * client-go gives it. */
static const char **make_env(const struct vf_kube_exec *x, const char *info)
{
    size_t n = 0;
    for (char **v = environ; *v; v++) {
        n++;
    }
    const char **env = vf_xcalloc(n + x->n_env + 2, sizeof *env);
    n = 0;
    for (char **v = environ; *v; v++) {
        if (!is_replaced(*v, x)) {
            env[n++] = *v;
        }
    }
    for (size_t i = 0; i < x->n_env; i++) {
        env[n++] = x->env[i];
    }
    env[n] = info;
    return env;
}

static int no_plugin(const struct vf_kube_exec *x, struct vf_error **err)
{
    vf_error_set(err, VF_MISSING, "it is not installed");
    if (x->install_hint) {
        char *vf_autofree hint = vf_kube_clean_text(x->install_hint, 500);
        vf_error_hint(err, "%s", hint);
    } else {
        vf_error_hint(err, "install \"%s\", or have PATH lead to it", x->command);
    }
    return VF_MISSING;
}

static int run(const struct vf_kube_config *c, const struct vf_cancel *cancel, char **ret_output,
               struct vf_error **err)
{
    const struct vf_kube_exec *x = c->exec;
    char *vf_autofree path = NULL;
    if (vf_proc_find(x->command, &path, NULL)) {
        return no_plugin(x, err);
    }
    const char **vf_autofree argv = vf_xcalloc(x->n_args + 2, sizeof *argv);
    argv[0] = path;
    for (size_t i = 0; i < x->n_args; i++) {
        argv[i + 1] = x->args[i];
    }
    char *vf_autofree document = vf_kube_exec_info(c);
    char *vf_autofree info = vf_xasprintf("KUBERNETES_EXEC_INFO=%s", document);
    const char **vf_autofree env = make_env(x, info);
    struct vf_proc_options o = {.argv = argv,
                                .env = env,
                                .timeout_ms = TIMEOUT_MS,
                                .max_output_bytes = MAX_OUTPUT_BYTES,
                                .cancel = cancel};
    struct vf_error *e = NULL;
    int rc = vf_proc_run(&o, ret_output, &e);
    if (rc && rc != VF_CANCELLED && rc != VF_RETRY) {
        /* Whatever stopped it, we are not logged in. */
        rc = vf_error_set(err, VF_AUTH, "%s", vf_error_message(e));
        vf_error_hint(err, "run it by hand; it may want you to log in first");
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_kube_exec_run(const struct vf_kube_config *config, const struct vf_cancel *cancel,
                     struct vf_kube_exec_result *ret_result, struct vf_error **err)
{
    char *output = NULL;
    int rc = run(config, cancel, &output, err);
    if (!rc) {
        rc = vf_kube_exec_parse(output, strlen(output), config->exec->api_version, ret_result, err);
    }
    vf_kube_wipe(output);
    return rc ? vf_error_wrap(err, rc, "credential plugin \"%s\"", config->exec->command) : 0;
}
