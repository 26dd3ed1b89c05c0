/* What an API server has allowed a client, so that a refusal after that can be told from one that
 * stands: a server that has just been started knows no roles for some seconds, and answers 403.
 *
 * Source: k8s.io/kubernetes, plugin/pkg/auth/authorizer/rbac (rules are read from informers'
 * caches).
 */
#ifndef IMPORTER_KUBE_ALLOWED_H
#define IMPORTER_KUBE_ALLOWED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "importer/kube/status.h"

#define VF_KUBE_MAX_ALLOWED 64u

/* Any thread. What does not fit is forgotten: then a refusal stands at once. */
struct vf_kube_allowed {
    pthread_mutex_t lock; /* guards the rest */
    uint64_t keys[VF_KUBE_MAX_ALLOWED];
    size_t n;
};

void vf_kube_allowed_init(struct vf_kube_allowed *a);
void vf_kube_allowed_release(struct vf_kube_allowed *a);

/* By verb, resource and namespace, as rights are given. */
void vf_kube_allowed_note(struct vf_kube_allowed *a, const struct vf_kube_action *action);
bool vf_kube_allowed_has(struct vf_kube_allowed *a, const struct vf_kube_action *action);

#endif
