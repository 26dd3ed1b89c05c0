/* Which resources a cluster has (kubernetes.io/docs/concepts/overview/kubernetes-api, "Unaggregated
 * discovery"): /apis/GROUP/VERSION is an APIResourceList, /apis/GROUP an APIGroup.
 */
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/client_private.h"
#include "importer/kube/text.h"

#define MAX_NAMED_VERSIONS 10

/* *ret_tree is NULL when there is nothing at that path. */
static int fetch_path(struct vf_kube_client *client, const struct vf_kube_resource *resource,
                      const char *path, cJSON **ret_tree, struct vf_error **err)
{
    const struct vf_kube_ref ref = {.resource = resource, .all_namespaces = true};
    struct vf_kube_call call;
    struct vf_error *e = NULL;
    int rc = vf_kube_call_init(&call, client, &ref, "discover", "", NULL, err);
    if (rc) {
        return rc;
    }
    free(call.url);
    call.url = vf_xasprintf("%s%s", client->config->server, path);
    call.repeatable = true;
    *ret_tree = NULL;
    rc = vf_kube_call_fetch(client, &call, ret_tree, &e);
    if (rc && vf_error_http_status(e) == 404) {
        vf_error_clear(&e);
        rc = 0;
    }
    vf_error_move(err, &e);
    vf_kube_call_release(&call);
    return rc;
}

static bool lists_resource(const cJSON *tree, const char *plural)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, vf_json_array(tree, "resources"))
    {
        const char *name = vf_json_string(item, "name");
        if (name && strcmp(name, plural) == 0) {
            return true;
        }
    }
    return false;
}

/* "v1beta1, v1" */
static char *name_versions(const cJSON *group)
{
    struct vf_buf b;
    unsigned n = 0;
    const cJSON *item;
    vf_buf_init(&b, SIZE_MAX);
    cJSON_ArrayForEach(item, vf_json_array(group, "versions"))
    {
        char *vf_autofree version = vf_kube_clean_text(vf_json_string(item, "version"), 40);
        if (*version && n++ < MAX_NAMED_VERSIONS) {
            vf_buf_printf(&b, "%s%s", n > 1 ? ", " : "", version);
        }
    }
    return vf_buf_take_string(&b);
}

static int not_served(const struct vf_kube_resource *r, const char *product, const char *why,
                      struct vf_error **err)
{
    vf_error_set(err, VF_UNSUPPORTED, "the cluster has no %s of \"%s/%s\": %s", r->plural, r->group,
                 r->version, why);
    vf_error_set_reason(err, VF_KUBE_REASON_NOT_SERVED);
    vf_error_hint(err, "install %s in the cluster, in a version that has \"%s/%s\"", product,
                  r->group, r->version);
    return VF_UNSUPPORTED;
}

static int explain_absence(struct vf_kube_client *client, const struct vf_kube_resource *r,
                           const char *product, struct vf_error **err)
{
    char *vf_autofree path = vf_xasprintf("/apis/%s", r->group);
    cJSON *group = NULL;
    int rc = fetch_path(client, r, path, &group, err);
    if (rc) {
        return rc;
    }
    if (!group) {
        return not_served(r, product, "it does not know the API group", err);
    }
    char *vf_autofree versions = name_versions(group);
    cJSON_Delete(group);
    char *vf_autofree why = vf_xasprintf("of the API group it has only %s", versions);
    return not_served(r, product, why, err);
}

int vf_kube_check_resource(struct vf_kube_client *client, const struct vf_kube_resource *resource,
                           const char *product, struct vf_error **err)
{
    bool core = !resource->group[0];
    char *vf_autofree path =
        vf_xasprintf("%s%s/%s", core ? "/api" : "/apis/", resource->group, resource->version);
    cJSON *tree = NULL;
    int rc = fetch_path(client, resource, path, &tree, err);
    if (rc) {
        return rc;
    }
    if (!tree) {
        return core ? not_served(resource, product, "it does not know the API version", err)
                    : explain_absence(client, resource, product, err);
    }
    if (!lists_resource(tree, resource->plural)) {
        rc = not_served(resource, product, "it is not among the group's resources", err);
    }
    cJSON_Delete(tree);
    return rc;
}
