/* What holds an object up, in words for a person: read from its status and its events.
 *
 * Sources: Kubernetes, concepts/workloads/pods/pod-lifecycle.md, API reference of events (core/v1);
 * k8s.io/kubernetes, pkg/kubelet/images/types.go, pkg/kubelet/events/event.go,
 * pkg/controller/volume/events/event.go (reasons).
 */
#ifndef IMPORTER_KUBE_HOLD_H
#define IMPORTER_KUBE_HOLD_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"

/* Zero-initialised: nothing. The first thing that is set stands. */
struct vf_kube_hold {
    int code; /* 0: it may pass; else it will not, and this is its kind */
    char *message;
    const char *hint; /* static; NULL: none */
};

void vf_kube_hold_set(struct vf_kube_hold *h, int code, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void vf_kube_hold_release(struct vf_kube_hold *h);

/* A pod that does not run: not scheduled, image not pulled, volume not mounted, crashing. Pure;
 * sets nothing for one that runs, has ended, or is on its way. */
void vf_kube_hold_pod(struct vf_kube_hold *h, const cJSON *pod);

/* Which events count: events stay for an hour, and what they tell may be over. */
enum vf_kube_hold_scope {
    VF_KUBE_HOLD_ALL,      /* warnings; without one the newest that tells what is waited for */
    VF_KUBE_HOLD_WARNINGS, /* those of type Warning */
    VF_KUBE_HOLD_BOUND,    /* as that, but for those of a volume that was not there then */
};

/* The same from an object's events, the newest one. Pure. `what` names the object: "the claim". */
void vf_kube_hold_events(struct vf_kube_hold *h, const char *what, const cJSON *events,
                         enum vf_kube_hold_scope scope);

/* Reads the events of the object that has `uid`, and then as above. What this account may not read
 * is passed over: 0. */
int vf_kube_fetch_hold_events(struct vf_kube_client *client, const char *ns, const char *uid,
                              const char *what, enum vf_kube_hold_scope scope,
                              const struct vf_cancel *cancel, struct vf_kube_hold *h,
                              struct vf_error **err);

/* As vf_kube_get, but what is absent or may not be read is 0 with *ret_object NULL. */
int vf_kube_get_if_may(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                       const struct vf_cancel *cancel, cJSON **ret_object, struct vf_error **err);

#endif
