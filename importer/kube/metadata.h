/* What every object has in common (k8s.io/apimachinery, pkg/apis/meta/v1, ObjectMeta). All borrowed
 * from the object, NULL when absent or of another type. */
#ifndef IMPORTER_KUBE_METADATA_H
#define IMPORTER_KUBE_METADATA_H

#include <cjson/cJSON.h>
#include <stdbool.h>

const char *vf_kube_name(const cJSON *object);
const char *vf_kube_namespace(const cJSON *object);
const char *vf_kube_uid(const cJSON *object);
const char *vf_kube_label(const cJSON *object, const char *key);
const char *vf_kube_annotation(const cJSON *object, const char *key);
bool vf_kube_is_being_deleted(const cJSON *object);

/* The value of a label or annotation is `value`. */
bool vf_kube_has_label(const cJSON *object, const char *key, const char *value);
bool vf_kube_has_annotation(const cJSON *object, const char *key, const char *value);

/* status.phase, as pods, claims and DataVolumes have it. */
const char *vf_kube_phase(const cJSON *object);

/* The entry of status.conditions of that type. */
const cJSON *vf_kube_condition(const cJSON *object, const char *type);
/* Its status is "True", "False" ...; false without such a condition. */
bool vf_kube_condition_is(const cJSON *object, const char *type, const char *status);

/* Is there an entry of metadata.ownerReferences with that uid? */
bool vf_kube_is_owned_by(const cJSON *object, const char *uid);

#endif
