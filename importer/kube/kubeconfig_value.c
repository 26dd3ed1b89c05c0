/* Values of a kubeconfig, checked, with their place in errors. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/kubeconfig_private.h"
#include "importer/kube/material.h"

static const cJSON *member(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNull(item) ? NULL : item;
}

static int wrong_type(const struct vf_kubeconfig_entry *e, const cJSON *item, const char *type,
                      struct vf_error **err)
{
    int rc = vf_yaml_error(e->yaml, item, VF_INVALID, err, "\"%s\" must be %s", item->string, type);
    if (strcmp(type, "a text") == 0 && (cJSON_IsNumber(item) || cJSON_IsBool(item))) {
        vf_error_hint(err, "put its value in quotes");
    }
    return rc;
}

int vf_kubeconfig_string(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                         const char **ret, struct vf_error **err)
{
    const cJSON *item = member(object, key);
    *ret = NULL;
    if (item && !cJSON_IsString(item)) {
        return wrong_type(e, item, "a text", err);
    }
    if (item && item->valuestring[0]) {
        *ret = item->valuestring;
    }
    return 0;
}

int vf_kubeconfig_bool(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                       bool *ret, struct vf_error **err)
{
    const cJSON *item = member(object, key);
    if (item && !cJSON_IsBool(item)) {
        return wrong_type(e, item, "true or false", err);
    }
    *ret = cJSON_IsTrue(item);
    return 0;
}

int vf_kubeconfig_object(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                         const cJSON **ret, struct vf_error **err)
{
    *ret = member(object, key);
    return *ret && !cJSON_IsObject(*ret) ? wrong_type(e, *ret, "a mapping", err) : 0;
}

int vf_kubeconfig_array(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                        const cJSON **ret, struct vf_error **err)
{
    *ret = member(object, key);
    return *ret && !cJSON_IsArray(*ret) ? wrong_type(e, *ret, "a list", err) : 0;
}

int vf_kubeconfig_text(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                       char **ret, struct vf_error **err)
{
    const char *value;
    int rc = vf_kubeconfig_string(e, object, key, &value, err);
    if (!rc) {
        *ret = vf_xstrdup(value);
    }
    return rc;
}

int vf_kubeconfig_path(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                       char **ret, struct vf_error **err)
{
    const char *value;
    int rc = vf_kubeconfig_string(e, object, key, &value, err);
    if (rc || !value) {
        return rc;
    }
    const char *slash = strrchr(e->path, '/');
    *ret = *value == '/' || !slash
               ? vf_xstrdup(value)
               : vf_xasprintf("%.*s/%s", (int)(slash - e->path), e->path, value);
    return 0;
}

int vf_kubeconfig_data(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                       char **ret, struct vf_error **err)
{
    const char *value;
    int rc = vf_kubeconfig_string(e, object, key, &value, err);
    if (rc || !value) {
        return rc;
    }
    *ret = vf_kube_decode_base64(value);
    return *ret ? 0
                : vf_yaml_error(e->yaml, member(object, key), VF_INVALID, err,
                                "\"%s\" is not a text in base64", key);
}
