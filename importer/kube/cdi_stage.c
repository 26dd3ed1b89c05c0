#include "importer/kube/cdi_stage.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/cdi.h"
#include "importer/kube/cdi_names.h"
#include "importer/kube/metadata.h"

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

int vf_cdi_check_stage(const char *snapshot, struct vf_error **err)
{
    static const char known[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t len = strlen(snapshot);
    if (len == 0 || len > VF_CDI_STAGE_MAX || strspn(snapshot, known) != len ||
        strchr("-_.", snapshot[len - 1])) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "CDI cannot copy from a snapshot whose reference is \"%.80s\": it has "
                            "to be part of an annotation's name",
                            snapshot);
    }
    return 0;
}

static const cJSON *stages_of(const cJSON *volume)
{
    return vf_json_array(vf_json_object(volume, "spec"), "checkpoints");
}

bool vf_cdi_stage_is_listed(const cJSON *volume, const char *snapshot)
{
    const cJSON *stage;
    cJSON_ArrayForEach(stage, stages_of(volume))
    {
        if (same(vf_json_string(stage, "current"), snapshot)) {
            return true;
        }
    }
    return false;
}

bool vf_cdi_stage_is_last(const cJSON *volume, const char *snapshot)
{
    const cJSON *stages = stages_of(volume);
    int n = cJSON_GetArraySize(stages);
    return n > 0 && vf_json_bool(vf_json_object(volume, "spec"), "finalCheckpoint", false) &&
           same(vf_json_string(cJSON_GetArrayItem(stages, n - 1), "current"), snapshot);
}

bool vf_cdi_stage_is_copied(const cJSON *claim, const char *snapshot)
{
    char *vf_autofree key = vf_xasprintf(VF_CDI_STAGE_COPIED ".%s", snapshot);
    return vf_kube_annotation(claim, key) != NULL;
}

bool vf_cdi_stages_are_over(const cJSON *volume, const cJSON *claim)
{
    return same(vf_kube_phase(volume), VF_CDI_SUCCEEDED) ||
           vf_kube_has_annotation(claim, VF_CDI_STAGES_DONE, "true");
}

const char *vf_cdi_stage_open(const cJSON *volume, const cJSON *claim)
{
    const cJSON *stage;
    if (vf_cdi_stages_are_over(volume, claim)) {
        return NULL;
    }
    cJSON_ArrayForEach(stage, stages_of(volume))
    {
        const char *snapshot = vf_json_string(stage, "current");
        if (snapshot && !vf_cdi_stage_is_copied(claim, snapshot)) {
            return snapshot;
        }
    }
    return NULL;
}

cJSON *vf_cdi_build_stage_patch(const cJSON *volume, const struct vf_cdi_stage *stage)
{
    const cJSON *listed = stages_of(volume);
    cJSON *patch = vf_json_new_object();
    cJSON *metadata = vf_json_add_object(patch, "metadata");
    vf_json_add_string(metadata, "uid", vf_kube_uid(volume));
    cJSON *annotations = vf_json_add_object(metadata, "annotations");
    if (stage->change_id) {
        vf_json_add_string(annotations, VF_CDI_CHANGE_ID, stage->change_id);
    } else {
        cJSON_AddNullToObject(annotations, VF_CDI_CHANGE_ID);
    }
    cJSON *spec = vf_json_add_object(patch, "spec");
    /* A merge patch replaces lists whole. */
    cJSON *stages = listed ? cJSON_Duplicate(listed, true) : vf_json_new_array();
    cJSON_AddItemToObject(spec, "checkpoints", stages);
    cJSON *added = vf_json_append_object(stages);
    vf_json_add_string(added, "previous", stage->previous ? stage->previous : "");
    vf_json_add_string(added, "current", stage->snapshot);
    vf_json_add_bool(spec, "finalCheckpoint", stage->last);
    return patch;
}

double vf_cdi_stage_progress(const cJSON *volume)
{
    const char *text = vf_json_string(vf_json_object(volume, "status"), "progress");
    char *end = NULL;
    if (!text || text[0] < '0' || text[0] > '9') {
        return -1;
    }
    double v = strtod(text, &end);
    return strcmp(end, "%") == 0 && v >= 0 && v <= 100 ? v / 100 : -1;
}
