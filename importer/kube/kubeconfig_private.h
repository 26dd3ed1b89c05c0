/* What kubeconfig.c, kubeconfig_user.c and kubeconfig_value.c share. */
#ifndef IMPORTER_KUBE_KUBECONFIG_PRIVATE_H
#define IMPORTER_KUBE_KUBECONFIG_PRIVATE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include <vmferry/error.h>

#include "importer/base/yaml_read.h"
#include "importer/kube/config.h"

/* The entry of one cluster, user or context, in the file it stands in. */
struct vf_kubeconfig_entry {
    const struct vf_yaml *yaml;
    const char *path;    /* of the file */
    const char *name;    /* of the entry */
    const cJSON *object; /* the mapping under "cluster", "user" or "context"; may be NULL */
};

/* kubeconfig_value.c: members of the entry's object, or of a mapping in it. Absent, null and empty
 * are the same: *ret is NULL or false. Another type is VF_INVALID. */

int vf_kubeconfig_string(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                         const char **ret, struct vf_error **err);
int vf_kubeconfig_bool(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                       bool *ret, struct vf_error **err);
int vf_kubeconfig_object(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                         const cJSON **ret, struct vf_error **err);
int vf_kubeconfig_array(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                        const cJSON **ret, struct vf_error **err);
/* A copy; NULL when absent. */
int vf_kubeconfig_text(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                       char **ret, struct vf_error **err);
/* A path, made absolute against the file's folder. */
int vf_kubeconfig_path(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                       char **ret, struct vf_error **err);
/* Base64 of a text; *ret is NULL when absent. The caller wipes it if it is secret. */
int vf_kubeconfig_data(const struct vf_kubeconfig_entry *e, const cJSON *object, const char *key,
                       char **ret, struct vf_error **err);

/* kubeconfig_user.c */

int vf_kubeconfig_user(const struct vf_kubeconfig_entry *e, struct vf_kube_config *c,
                       struct vf_error **err);

/* kubeconfig_exec.c */

int vf_kubeconfig_exec(const struct vf_kubeconfig_entry *e, const cJSON *object,
                       struct vf_kube_exec **ret_exec, struct vf_error **err);

#endif
