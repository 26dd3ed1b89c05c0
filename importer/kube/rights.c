#include "importer/kube/rights.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/resources.h"

static bool has(const cJSON *array, const char *value)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        const char *s = cJSON_GetStringValue(item);
        if (s && (strcmp(s, value) == 0 || strcmp(s, "*") == 0)) {
            return true;
        }
    }
    return false;
}

/* "jobs", or "pods/log", which "*" and "*" + "/log" stand for as well (k8s.io/kubernetes,
 * pkg/apis/rbac/v1/evaluation_helpers.go, ResourceMatches). */
static bool has_resource(const cJSON *resources, const struct vf_kube_need *need)
{
    if (!need->subresource) {
        return has(resources, need->resource->plural);
    }
    char *vf_autofree whole = vf_xasprintf("%s/%s", need->resource->plural, need->subresource);
    char *vf_autofree any = vf_xasprintf("*/%s", need->subresource);
    return has(resources, whole) || has(resources, any);
}

bool vf_kube_rights_allow(const cJSON *status, const struct vf_kube_need *need)
{
    const cJSON *rule;
    cJSON_ArrayForEach(rule, vf_json_array(status, "resourceRules"))
    {
        if (cJSON_GetArraySize(vf_json_array(rule, "resourceNames")) == 0 &&
            has(vf_json_array(rule, "verbs"), need->verb) &&
            has(vf_json_array(rule, "apiGroups"), need->resource->group) &&
            has_resource(vf_json_array(rule, "resources"), need)) {
            return true;
        }
    }
    return false;
}

static cJSON *begin_review(const struct vf_kube_resource *resource, cJSON **ret_spec)
{
    char *vf_autofree api_version = vf_kube_api_version(resource);
    cJSON *object = vf_json_new_object();
    vf_json_add_string(object, "apiVersion", api_version);
    vf_json_add_string(object, "kind", vf_kube_kind(resource));
    *ret_spec = vf_json_add_object(object, "spec");
    return object;
}

static int fetch_rules(struct vf_kube_client *client, const char *ns,
                       const struct vf_cancel *cancel, cJSON **ret_review, struct vf_error **err)
{
    static const struct vf_kube_ref ref = {.resource = &vf_kube_rules_reviews};
    const struct vf_kube_options options = {.cancel = cancel};
    cJSON *spec, *object = begin_review(&vf_kube_rules_reviews, &spec);
    vf_json_add_string(spec, "namespace", ns);
    int rc = vf_kube_create(client, &ref, object, &options, ret_review, err);
    cJSON_Delete(object);
    return rc;
}

static int fetch_allowed(struct vf_kube_client *client, const char *ns,
                         const struct vf_kube_need *need, const struct vf_cancel *cancel,
                         bool *ret_allowed, struct vf_error **err)
{
    static const struct vf_kube_ref ref = {.resource = &vf_kube_access_reviews};
    const struct vf_kube_options options = {.cancel = cancel};
    cJSON *spec, *object = begin_review(&vf_kube_access_reviews, &spec), *review = NULL;
    cJSON *attributes = vf_json_add_object(spec, "resourceAttributes");
    vf_json_add_string(attributes, "namespace", need->resource->namespaced ? ns : NULL);
    vf_json_add_string(attributes, "group", need->resource->group);
    vf_json_add_string(attributes, "resource", need->resource->plural);
    vf_json_add_string(attributes, "subresource", need->subresource);
    vf_json_add_string(attributes, "verb", need->verb);
    int rc = vf_kube_create(client, &ref, object, &options, &review, err);
    *ret_allowed = rc == 0 && vf_json_bool(vf_json_object(review, "status"), "allowed", false);
    cJSON_Delete(review);
    cJSON_Delete(object);
    return rc;
}

int vf_kube_rights_fetch_refused(struct vf_kube_client *client, const char *ns,
                                 const struct vf_kube_need *const *needs,
                                 const struct vf_cancel *cancel,
                                 const struct vf_kube_need ***ret_refused, struct vf_error **err)
{
    cJSON *review = NULL;
    size_t n = 0, n_refused = 0;
    while (needs[n]) {
        n++;
    }
    const struct vf_kube_need **refused = vf_xcalloc(n + 1, sizeof(void *));
    int rc = fetch_rules(client, ns, cancel, &review, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        bool allowed = vf_kube_rights_allow(vf_json_object(review, "status"), needs[i]);
        if (!allowed) {
            rc = fetch_allowed(client, ns, needs[i], cancel, &allowed, err);
        }
        if (rc == 0 && !allowed) {
            refused[n_refused++] = needs[i];
        }
    }
    cJSON_Delete(review);
    if (rc) {
        free(refused);
        return rc;
    }
    *ret_refused = refused;
    return 0;
}
