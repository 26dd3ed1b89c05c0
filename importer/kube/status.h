/* What the API server says of a failure (metav1.Status), as an error.
 *
 * Source: github.com/kubernetes/community, contributors/devel/sig-architecture/api-conventions.md,
 * "Response Status Kind"; k8s.io/apimachinery, pkg/apis/meta/v1/types.go (reasons, causes).
 */
#ifndef IMPORTER_KUBE_STATUS_H
#define IMPORTER_KUBE_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "importer/kube/client.h"

/* What was attempted: for the message, and for the hint on rights. */
struct vf_kube_action {
    const char *verb; /* of RBAC: "get", "create", "patch", ... */
    const struct vf_kube_resource *resource;
    const char *subresource; /* NULL: none */
    const char *ns;          /* NULL: cluster-wide */
    const char *name;        /* NULL: of all */
};

/* "datavolumes.cdi.kubevirt.io \"app\" in namespace \"prod\""; caller frees. */
char *vf_kube_describe(const struct vf_kube_action *a);

/* From an answer that is no success; `body` need not be a Status. Returns the code. */
int vf_kube_status_error(const struct vf_kube_action *a, long http_status, const char *body,
                         size_t body_len, int64_t retry_after_ms, struct vf_error **err);

/* From a Status that came as an object, in a watch. */
int vf_kube_status_object_error(const struct vf_kube_action *a, const cJSON *status,
                                struct vf_error **err);

#endif
