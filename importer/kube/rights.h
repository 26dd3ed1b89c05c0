/* What this account may do in a cluster, asked before it is done.
 *
 * Source: Kubernetes, reference/access-authn-authz/authorization ("Checking API access");
 * k8s.io/api, authorization/v1 (SelfSubjectRulesReview, SelfSubjectAccessReview).
 */
#ifndef IMPORTER_KUBE_RIGHTS_H
#define IMPORTER_KUBE_RIGHTS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"

/* Something to be allowed. Static. */
struct vf_kube_need {
    const struct vf_kube_resource *resource;
    const char *subresource; /* NULL: none */
    const char *verb;
    const char *purpose; /* "makes the disks' claims" */
    bool needed;         /* else something is done without */
};

/* Of `needs` (NULL-terminated) those that are refused in the namespace, those of a resource without
 * namespace in the cluster: *ret_refused is NULL-terminated, the caller frees the array. One
 * request tells all rules; what these do not show is asked for by itself, since other authorizers
 * than RBAC need not tell theirs. */
int vf_kube_rights_fetch_refused(struct vf_kube_client *client, const char *ns,
                                 const struct vf_kube_need *const *needs,
                                 const struct vf_cancel *cancel,
                                 const struct vf_kube_need ***ret_refused, struct vf_error **err);

/* Does one of the rules of a SelfSubjectRulesReview's status allow it, for objects of any name?
 * Pure. */
bool vf_kube_rights_allow(const cJSON *status, const struct vf_kube_need *need);

#endif
