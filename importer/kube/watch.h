/* Following objects as they change, and waiting for one to become what it should.
 *
 * Source: kubernetes.io/docs/reference/using-api/api-concepts, "Efficient detection of changes":
 * list, then watch from the list's resourceVersion; bookmarks move that on; 410 means to list
 * again.
 */
#ifndef IMPORTER_KUBE_WATCH_H
#define IMPORTER_KUBE_WATCH_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"

enum vf_kube_event {
    VF_KUBE_CHANGED, /* the object is there, new or changed, or the same as before */
    VF_KUBE_DELETED, /* it is gone; after a gap only its name, namespace and uid are told */
    VF_KUBE_SYNCED,  /* object NULL: all that is there now has been told */
    VF_KUBE_TICK,    /* object NULL: tick_s have passed; only when asked for */
};

/* On the thread that watches; `object` is borrowed. 0 goes on, 1 ends the watch well, a negative
 * code (with *err set) ends it with that. */
typedef int vf_kube_event_fn(void *opaque, enum vf_kube_event event, const cJSON *object,
                             struct vf_error **err);

struct vf_kube_watch_options {
    struct vf_kube_select select;
    int64_t timeout_ms;             /* 0: none */
    const struct vf_cancel *cancel; /* as in struct vf_kube_options */
    unsigned tick_s; /* tell VF_KUBE_TICK about this often, for what no change of these objects
                        shows (events of others), whether there was a change or not; 0: never */
};

/* Calls fn for everything that `ref` names, a collection or with a name one object, and for every
 * change, until it says that it is enough. Lost connections are resumed where they broke, with
 * growing pauses; VF_RETRY once the client's retry policy is used up without any progress. Needs
 * the verbs list and watch. VF_RETRY with reason VF_KUBE_REASON_TIMEOUT past the timeout,
 * VF_CANCELLED, both within a second. */
int vf_kube_watch(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                  const struct vf_kube_watch_options *options, vf_kube_event_fn *fn, void *opaque,
                  struct vf_error **err);

/* 0: not yet; 1: so it should be; a negative code (with *err set): it will never be. `object` is
 * NULL while there is none. */
typedef int vf_kube_predicate_fn(void *opaque, const cJSON *object, struct vf_error **err);

/* Waits until the predicate holds for the object that `ref` names. *ret_object (may be NULL) is a
 * copy of it as it was then, NULL when it held for no object. Errors as vf_kube_watch. */
int vf_kube_wait(struct vf_kube_client *client, const struct vf_kube_ref *ref,
                 vf_kube_predicate_fn *predicate, void *opaque, int64_t timeout_ms,
                 const struct vf_cancel *cancel, cJSON **ret_object, struct vf_error **err);

#endif
