/* The document around a mapping: in files that people write, and in those that a worker is given.
 */
#include <string.h>

#include "converters/vm/mapping_private.h"
#include "importer/base/json.h"
#include "importer/base/yaml.h"

#define API_VERSION "vmferry.io/v1alpha1"
#define KIND        "Mapping"

static int check_member(const struct vf_yaml *y, const cJSON *node, struct vf_error **err)
{
    static const char *const names[] = {"apiVersion", "kind", "metadata", "spec"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(node->string, names[i]) == 0) {
            return 0;
        }
    }
    vf_yaml_error(y, node, VF_INVALID, err, "%s: there is no such field", node->string);
    if (vf_mapping_field_find(&vf_mapping_fields, node->string)) {
        vf_error_hint(err, "\"%s\" goes below \"spec\"", node->string);
    } else {
        vf_error_hint(err, "fields that there are: apiVersion, kind, metadata, spec");
    }
    return VF_INVALID;
}

static int load_document(struct vf_mapping *m, const struct vf_yaml *y, struct vf_error **err)
{
    const cJSON *tree = vf_yaml_tree(y), *node;
    const char *version = vf_json_string(tree, "apiVersion");
    const char *kind = vf_json_string(tree, "kind");
    if (!version || !kind || strcmp(version, API_VERSION) != 0 || strcmp(kind, KIND) != 0) {
        vf_yaml_error(y, tree, VF_INVALID, err, "this is no mapping");
        vf_error_hint(err, "it begins with \"apiVersion: " API_VERSION "\" and \"kind: " KIND
                           "\", and has its fields below \"spec\"");
        return VF_INVALID;
    }
    cJSON_ArrayForEach(node, tree)
    {
        int rc = check_member(y, node, err);
        if (rc) {
            return rc;
        }
    }
    node = cJSON_GetObjectItemCaseSensitive(tree, "spec");
    return !node || cJSON_IsNull(node) ? 0 : vf_mapping_parse_below(m, y, node, "spec", err);
}

int vf_mapping_load(struct vf_mapping *m, const char *text, const char *what, struct vf_error **err)
{
    struct vf_yaml *y = NULL;
    int rc = vf_yaml_parse(text, strlen(text), what, &y, err);
    if (rc == 0) {
        rc = load_document(m, y, err);
    }
    vf_yaml_free(y);
    return rc;
}

int vf_mapping_print(const struct vf_mapping *m, char **ret_text, struct vf_error **err)
{
    cJSON *document = vf_json_new_object();
    vf_json_add_string(document, "apiVersion", API_VERSION);
    vf_json_add_string(document, "kind", KIND);
    cJSON_AddItemToObject(document, "spec", vf_mapping_encode(m));
    const cJSON *documents[] = {document};
    int rc = vf_yaml_print(documents, 1, ret_text, err);
    cJSON_Delete(document);
    return rc;
}
