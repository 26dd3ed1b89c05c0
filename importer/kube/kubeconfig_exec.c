/* The "exec" of a kubeconfig's user: which plugin gives the credentials, and how it is called. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/exec.h"
#include "importer/kube/kubeconfig_private.h"

#define MAX_ARGUMENTS 1000

static int check_version(const struct vf_kubeconfig_entry *e, const cJSON *object,
                         const struct vf_kube_exec *x, struct vf_error **err)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "apiVersion");
    if (!x->api_version) {
        return vf_yaml_error(e->yaml, object, VF_INVALID, err,
                             "user \"%s\": the plugin needs an \"apiVersion\"", e->name);
    }
    if (strcmp(x->api_version, VF_KUBE_EXEC_V1) == 0 ||
        strcmp(x->api_version, VF_KUBE_EXEC_V1BETA1) == 0) {
        return 0;
    }
    int rc = vf_yaml_error(e->yaml, item, VF_UNSUPPORTED, err,
                           "user \"%s\": plugins of \"%s\" are not known", e->name, x->api_version);
    vf_error_hint(err, "have the cluster's own tool write the kubeconfig anew; it must say \"%s\"",
                  VF_KUBE_EXEC_V1);
    return rc;
}

/* A plugin that asks on the terminal would find none: it runs in the background of transfers. */
static int check_mode(const struct vf_kubeconfig_entry *e, const cJSON *object,
                      const struct vf_kube_exec *x, struct vf_error **err)
{
    const char *mode;
    int rc = vf_kubeconfig_string(e, object, "interactiveMode", &mode, err);
    if (rc) {
        return rc;
    }
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, "interactiveMode");
    if (!mode && strcmp(x->api_version, VF_KUBE_EXEC_V1BETA1) == 0) {
        return 0; /* IfAvailable */
    }
    if (mode && (strcmp(mode, "Never") == 0 || strcmp(mode, "IfAvailable") == 0)) {
        return 0;
    }
    if (mode && strcmp(mode, "Always") == 0) {
        rc = vf_yaml_error(e->yaml, item, VF_UNSUPPORTED, err,
                           "user \"%s\": the plugin wants to ask on the terminal", e->name);
        vf_error_hint(err, "log in with the cluster's own tool first, and use a kubeconfig with a "
                           "token, for example from \"kubectl create token\"");
        return rc;
    }
    return vf_yaml_error(e->yaml, item ? item : object, VF_INVALID, err,
                         "\"interactiveMode\" must be Never, IfAvailable or Always");
}

static int read_args(const struct vf_kubeconfig_entry *e, const cJSON *object,
                     struct vf_kube_exec *x, struct vf_error **err)
{
    const cJSON *list, *item;
    int rc = vf_kubeconfig_array(e, object, "args", &list, err);
    if (rc) {
        return rc;
    }
    x->args = vf_xcalloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *x->args);
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item)) {
            rc = vf_yaml_error(e->yaml, item, VF_INVALID, err, "an argument must be a text");
            vf_error_hint(err, "put its value in quotes");
            return rc;
        }
        if (x->n_args == MAX_ARGUMENTS) {
            return vf_yaml_error(e->yaml, item, VF_SPACE, err, "more than %d arguments",
                                 MAX_ARGUMENTS);
        }
        x->args[x->n_args++] = vf_xstrdup(item->valuestring);
    }
    return 0;
}

static int read_env(const struct vf_kubeconfig_entry *e, const cJSON *object,
                    struct vf_kube_exec *x, struct vf_error **err)
{
    const cJSON *list, *item;
    int rc = vf_kubeconfig_array(e, object, "env", &list, err);
    if (rc) {
        return rc;
    }
    x->env = vf_xcalloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *x->env);
    cJSON_ArrayForEach(item, list)
    {
        const char *name, *value;
        if (!cJSON_IsObject(item)) {
            return vf_yaml_error(e->yaml, item, VF_INVALID, err,
                                 "a variable must be a mapping of name and value");
        }
        rc = vf_kubeconfig_string(e, item, "name", &name, err);
        rc = rc ? rc : vf_kubeconfig_string(e, item, "value", &value, err);
        if (rc) {
            return rc;
        }
        if (!name || strchr(name, '=')) {
            return vf_yaml_error(e->yaml, item, VF_INVALID, err, "a variable needs a name");
        }
        if (x->n_env == MAX_ARGUMENTS) {
            return vf_yaml_error(e->yaml, item, VF_SPACE, err, "more than %d variables",
                                 MAX_ARGUMENTS);
        }
        x->env[x->n_env++] = vf_xasprintf("%s=%s", name, value ? value : "");
    }
    return 0;
}

int vf_kubeconfig_exec(const struct vf_kubeconfig_entry *e, const cJSON *object,
                       struct vf_kube_exec **ret_exec, struct vf_error **err)
{
    const char *command;
    struct vf_kube_exec *x = vf_xcalloc(1, sizeof *x);
    *ret_exec = x; /* half-built or whole, the configuration frees it */
    int rc = vf_kubeconfig_text(e, object, "apiVersion", &x->api_version, err);
    rc = rc ? rc : check_version(e, object, x, err);
    rc = rc ? rc : check_mode(e, object, x, err);
    rc = rc ? rc : vf_kubeconfig_string(e, object, "command", &command, err);
    if (rc) {
        return rc;
    }
    if (!command) {
        return vf_yaml_error(e->yaml, object, VF_INVALID, err,
                             "user \"%s\": the plugin needs a \"command\"", e->name);
    }
    /* A name alone is looked up in PATH. */
    rc = strchr(command, '/') ? vf_kubeconfig_path(e, object, "command", &x->command, err)
                              : vf_kubeconfig_text(e, object, "command", &x->command, err);
    rc = rc ? rc : read_args(e, object, x, err);
    rc = rc ? rc : read_env(e, object, x, err);
    rc = rc ? rc : vf_kubeconfig_text(e, object, "installHint", &x->install_hint, err);
    return rc ? rc
              : vf_kubeconfig_bool(e, object, "provideClusterInfo", &x->provide_cluster_info, err);
}
