#include "converters/vm/template.h"

#include <stdbool.h>
#include <string.h>

#include "converters/vm/mapping_checks.h"
#include "converters/vm/names.h"
#include "converters/vm/template_private.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/suggest.h"
#include "importer/base/yaml_read.h"

/* Lists whose entries have names. */
static const char *const named_lists[] = {"disks",    "interfaces",  "volumes",
                                          "networks", "inputs",      "filesystems",
                                          "gpus",     "hostDevices", NULL};

bool vf_template_is_among(const char *word, const char *const *words)
{
    for (; word && *words; words++) {
        if (strcmp(word, *words) == 0) {
            return true;
        }
    }
    return false;
}

static cJSON *member(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

cJSON *vf_template_at(cJSON *tree, const char *path)
{
    for (size_t n; *path && tree; path += n + (path[n] == '.')) {
        n = strcspn(path, ".");
        char *vf_autofree key = vf_xstrndup(path, n);
        tree = member(tree, key);
    }
    return tree;
}

void vf_template_drop(cJSON *object, const char *key)
{
    if (cJSON_IsObject(object)) {
        cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    }
}

static int check_keys(const struct vf_yaml *y, const cJSON *object, const char *what,
                      const char *const *known, struct vf_error **err)
{
    size_t n = 0;
    while (known[n]) {
        n++;
    }
    if (!cJSON_IsObject(object)) {
        return vf_yaml_error(y, object, VF_INVALID, err, "%s is to be a mapping", what);
    }
    for (const cJSON *m = object->child; m; m = m->next) {
        if (!vf_template_is_among(m->string, known)) {
            const char *near = vf_suggest(m->string, known, n);
            int rc =
                vf_yaml_error(y, m, VF_INVALID, err, "%s has no field \"%s\"", what, m->string);
            if (near) {
                vf_error_hint(err, "did you mean \"%s\"?", near);
            }
            return rc;
        }
    }
    return 0;
}

/* Keys that vmferry or kubectl writes by itself are as good as others, and dropped later. */
static bool is_key(const char *key)
{
    const char *slash = strchr(key, '/');
    char *vf_autofree prefix = slash ? vf_xstrndup(key, (size_t)(slash - key)) : NULL;
    const char *name = slash ? slash + 1 : key;
    return *name && vf_name_is_label_value(name) && (!prefix || vf_name_is_subdomain(prefix));
}

static int check_pairs(const struct vf_yaml *y, const cJSON *pairs, bool labels,
                       struct vf_error **err)
{
    if (pairs && !cJSON_IsObject(pairs) && !cJSON_IsNull(pairs)) {
        return vf_yaml_error(y, pairs, VF_INVALID, err, "%s are to be a mapping",
                             labels ? "labels" : "annotations");
    }
    for (const cJSON *p = pairs ? pairs->child : NULL; p; p = p->next) {
        if (!is_key(p->string)) {
            return vf_yaml_error(y, p, VF_INVALID, err, "\"%s\" is no key of a label or annotation",
                                 p->string);
        }
        if (!cJSON_IsString(p) && !cJSON_IsNull(p)) {
            return vf_yaml_error(y, p, VF_INVALID, err, "\"%s\" is to be text: put it in quotes",
                                 p->string);
        }
        if (labels && cJSON_IsString(p) && !vf_name_is_label_value(p->valuestring)) {
            return vf_yaml_error(y, p, VF_INVALID, err, "\"%s\" is no value of a label",
                                 p->valuestring);
        }
    }
    return 0;
}

static int check_metadata(const struct vf_yaml *y, const cJSON *metadata, struct vf_error **err)
{
    if (metadata && !cJSON_IsObject(metadata) && !cJSON_IsNull(metadata)) {
        return vf_yaml_error(y, metadata, VF_INVALID, err, "metadata is to be a mapping");
    }
    int rc = check_pairs(y, member(metadata, "labels"), true, err);
    return rc ? rc : check_pairs(y, member(metadata, "annotations"), false, err);
}

static int check_entries(const struct vf_yaml *y, const cJSON *list, struct vf_error **err)
{
    for (const cJSON *e = list->child; e; e = e->next) {
        const char *name = vf_json_string(e, "name");
        if (!name || !*name) {
            return vf_yaml_error(y, e, VF_INVALID, err, "an entry of %s needs a name",
                                 list->string);
        }
        for (const cJSON *other = list->child; other != e; other = other->next) {
            if (strcmp(vf_json_string(other, "name"), name) == 0) {
                return vf_yaml_error(y, e, VF_INVALID, err, "%s has two entries \"%s\"",
                                     list->string, name);
            }
        }
    }
    return 0;
}

/* As deep as YAML is read (VF_YAML_MAX_DEPTH). */
static int check_lists(const struct vf_yaml *y, const cJSON *node, struct vf_error **err)
{
    int rc = 0;
    for (const cJSON *c = node->child; c && rc == 0; c = c->next) {
        if (c->string && vf_template_is_among(c->string, named_lists) && !cJSON_IsNull(c)) {
            rc = cJSON_IsArray(c)
                     ? check_entries(y, c, err)
                     : vf_yaml_error(y, c, VF_INVALID, err, "%s is to be a list", c->string);
        }
        rc = rc ? rc : check_lists(y, c, err);
    }
    return rc;
}

/* Both are the mapping's to decide, by name. */
static int check_type(const struct vf_yaml *y, const cJSON *spec, const char *key,
                      struct vf_error **err)
{
    const cJSON *type = member(spec, key);
    const char *name = vf_json_string(type, "name");
    if (!type || cJSON_IsNull(type) || (name && *name && !member(type, "inferFromVolume"))) {
        return 0;
    }
    return vf_yaml_error(y, type, VF_INVALID, err,
                         "%s needs a name: there is nothing to infer it from while disks are "
                         "copied",
                         key);
}

static bool is_shared_folder(const cJSON *inner, const char *volume)
{
    const cJSON *devices = member(member(inner, "domain"), "devices"), *f;
    cJSON_ArrayForEach(f, member(devices, "filesystems"))
    {
        if (strcmp(vf_json_string(f, "name"), volume) == 0) {
            return true;
        }
    }
    return false;
}

/* Of a VM that was written down with its disks, which two would have then. */
static int check_volumes(const struct vf_yaml *y, const cJSON *inner, struct vf_error **err)
{
    static const char *const kinds[] = {"persistentVolumeClaim", "dataVolume", "cloudInitNoCloud",
                                        "cloudInitConfigDrive", NULL};
    const cJSON *v;
    cJSON_ArrayForEach(v, member(inner, "volumes"))
    {
        const char *name = vf_json_string(v, "name");
        for (size_t i = 0; kinds[i]; i++) {
            const cJSON *source = member(v, kinds[i]);
            if (source && !cJSON_IsNull(source) && !is_shared_folder(inner, name)) {
                int rc = vf_yaml_error(y, v, VF_INVALID, err,
                                       "a template holds no disks of its own, and volume \"%s\" "
                                       "is a %s",
                                       name, kinds[i]);
                vf_error_hint(err, "remove the volume \"%s\" and its disk", name);
                return rc;
            }
        }
    }
    return 0;
}

static int check_spec(const struct vf_yaml *y, const cJSON *spec, struct vf_error **err)
{
    static const char *const known[] = {"dataVolumeTemplates",
                                        "instancetype",
                                        "preference",
                                        "runStrategy",
                                        "running",
                                        "template",
                                        "updateVolumesStrategy",
                                        NULL};
    static const char *const of_template[] = {"metadata", "spec", NULL};
    int rc = check_keys(y, spec, "spec", known, err);
    const cJSON *volumes = member(spec, "dataVolumeTemplates"),
                *template = member(spec, "template");
    if (rc == 0 && volumes && !cJSON_IsNull(volumes)) {
        rc = vf_yaml_error(y, volumes, VF_INVALID, err,
                           "a template brings no dataVolumeTemplates: disks are the source's");
        vf_error_hint(err, "take them out, and the disks and volumes that name them");
    }
    rc = rc ? rc : check_type(y, spec, "instancetype", err);
    rc = rc ? rc : check_type(y, spec, "preference", err);
    if (rc == 0 && template) {
        rc = check_keys(y, template, "spec.template", of_template, err);
        rc = rc ? rc : check_metadata(y, member(template, "metadata"), err);
        const cJSON *inner = member(template, "spec");
        if (rc == 0 && inner && !cJSON_IsObject(inner)) {
            rc = vf_yaml_error(y, inner, VF_INVALID, err, "spec.template.spec is to be a mapping");
        }
    }
    rc = rc ? rc : check_lists(y, spec, err);
    return rc ? rc : check_volumes(y, member(template, "spec"), err);
}

static int check_document(const struct vf_yaml *y, struct vf_error **err)
{
    static const char *const known[] = {"apiVersion", "kind", "metadata", "spec", "status", NULL};
    const cJSON *tree = vf_yaml_tree(y);
    int rc = check_keys(y, tree, "a VirtualMachine", known, err);
    if (rc) {
        return rc;
    }
    const char *version = vf_json_string(tree, "apiVersion"), *kind = vf_json_string(tree, "kind");
    if (!version || strcmp(version, "kubevirt.io/v1") != 0 || !kind ||
        strcmp(kind, "VirtualMachine") != 0) {
        const cJSON *wrong = version && strcmp(version, "kubevirt.io/v1") == 0
                                 ? member(tree, "kind")
                                 : member(tree, "apiVersion");
        return vf_yaml_error(y, wrong ? wrong : tree, VF_INVALID, err,
                             "a VirtualMachine of kubevirt.io/v1 is expected");
    }
    rc = check_metadata(y, member(tree, "metadata"), err);
    const cJSON *spec = member(tree, "spec");
    return rc     ? rc
           : spec ? check_spec(y, spec, err)
                  : vf_yaml_error(y, tree, VF_INVALID, err, "there is no spec to take from");
}

static void drop_nulls(cJSON *node)
{
    for (cJSON *c = node->child, *next; c; c = next) {
        next = c->next;
        if (cJSON_IsNull(c)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(node, c));
        } else {
            drop_nulls(c);
        }
    }
}

static void keep_only(cJSON *object, const char *const *keys)
{
    for (cJSON *c = object ? object->child : NULL, *next; c; c = next) {
        next = c->next;
        if (!vf_template_is_among(c->string, keys)) {
            cJSON_Delete(cJSON_DetachItemViaPointer(object, c));
        }
    }
}

static void drop_own_keys(cJSON *pairs)
{
    static const char kubectl[] = "kubectl.kubernetes.io/";
    for (cJSON *c = pairs ? pairs->child : NULL, *next; c; c = next) {
        next = c->next;
        if (!vf_mapping_is_own_key(c->string) ||
            strncmp(c->string, kubectl, sizeof kubectl - 1) == 0) {
            cJSON_Delete(cJSON_DetachItemViaPointer(pairs, c));
        }
    }
}

static void clean_metadata(cJSON *metadata)
{
    static const char *const kept[] = {"labels", "annotations", NULL};
    keep_only(metadata, kept);
    drop_own_keys(member(metadata, "labels"));
    drop_own_keys(member(metadata, "annotations"));
}

static void clean(cJSON *t)
{
    drop_nulls(t);
    vf_template_drop(t, "status");
    clean_metadata(member(t, "metadata"));
    clean_metadata(vf_template_at(t, "spec.template.metadata"));
    vf_template_drop(vf_template_at(t, "spec"), "runStrategy");
    vf_template_drop(vf_template_at(t, "spec"), "running");
    vf_template_drop(vf_template_at(t, "spec.template.spec"), "architecture");
    vf_template_drop(vf_template_at(t, "spec.template.spec.domain.firmware"), "uuid");
    vf_template_drop(vf_template_at(t, "spec.template.spec.domain.firmware"), "serial");
    vf_template_drop(vf_template_at(t, "spec.template.spec.domain.chassis"), "serial");
    cJSON *interface;
    cJSON_ArrayForEach(interface, vf_template_at(t, "spec.template.spec.domain.devices.interfaces"))
    {
        vf_template_drop(interface, "macAddress");
    }
}

int vf_template_parse(const char *text, const char *what, cJSON **ret_template,
                      struct vf_error **err)
{
    struct vf_yaml *y = NULL;
    int rc = vf_yaml_parse(text, strlen(text), what, &y, err);
    rc = rc ? rc : check_document(y, err);
    if (rc == 0) {
        cJSON *t = cJSON_Duplicate(vf_yaml_tree(y), true);
        if (t) {
            clean(t);
            *ret_template = t;
        } else {
            rc = vf_error_set(err, VF_INTERNAL, "%s is nested too deep", what);
        }
    }
    vf_yaml_free(y);
    return rc;
}
