/* Text of kubeconfig files to one configuration. Nothing here touches a file. */
#ifndef IMPORTER_KUBE_KUBECONFIG_H
#define IMPORTER_KUBE_KUBECONFIG_H

#include <stddef.h>

#include <vmferry/error.h>

#include "importer/kube/config.h"

struct vf_kubeconfig_file {
    const char *path; /* absolute: relative paths inside are taken against its folder */
    const char *data;
    size_t len;
};

/* Merged as kubectl does: the first file that has a value, or an entry of a name, wins. `context`
 * may be NULL: the current one. */
int vf_kubeconfig_parse(const struct vf_kubeconfig_file *files, size_t n_files, const char *context,
                        struct vf_kube_config **ret_config, struct vf_error **err);

#endif
