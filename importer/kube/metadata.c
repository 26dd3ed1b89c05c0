#include "importer/kube/metadata.h"

#include <string.h>

#include "importer/base/json.h"

static const char *get_metadata(const cJSON *object, const char *key)
{
    return vf_json_string(vf_json_object(object, "metadata"), key);
}

const char *vf_kube_name(const cJSON *object)
{
    return get_metadata(object, "name");
}

const char *vf_kube_namespace(const cJSON *object)
{
    return get_metadata(object, "namespace");
}

const char *vf_kube_uid(const cJSON *object)
{
    return get_metadata(object, "uid");
}

static const char *get_mark(const cJSON *object, const char *map, const char *key)
{
    return vf_json_string(vf_json_object(vf_json_object(object, "metadata"), map), key);
}

const char *vf_kube_label(const cJSON *object, const char *key)
{
    return get_mark(object, "labels", key);
}

const char *vf_kube_annotation(const cJSON *object, const char *key)
{
    return get_mark(object, "annotations", key);
}

bool vf_kube_is_being_deleted(const cJSON *object)
{
    return get_metadata(object, "deletionTimestamp") != NULL;
}

static bool is_equal(const char *have, const char *value)
{
    return have && strcmp(have, value) == 0;
}

bool vf_kube_has_label(const cJSON *object, const char *key, const char *value)
{
    return is_equal(vf_kube_label(object, key), value);
}

bool vf_kube_has_annotation(const cJSON *object, const char *key, const char *value)
{
    return is_equal(vf_kube_annotation(object, key), value);
}

const char *vf_kube_phase(const cJSON *object)
{
    return vf_json_string(vf_json_object(object, "status"), "phase");
}

const cJSON *vf_kube_condition(const cJSON *object, const char *type)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, vf_json_array(vf_json_object(object, "status"), "conditions"))
    {
        if (is_equal(vf_json_string(item, "type"), type)) {
            return item;
        }
    }
    return NULL;
}

bool vf_kube_condition_is(const cJSON *object, const char *type, const char *status)
{
    return is_equal(vf_json_string(vf_kube_condition(object, type), "status"), status);
}

bool vf_kube_is_owned_by(const cJSON *object, const char *uid)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, vf_json_array(vf_json_object(object, "metadata"), "ownerReferences"))
    {
        if (is_equal(vf_json_string(item, "uid"), uid)) {
            return true;
        }
    }
    return false;
}
