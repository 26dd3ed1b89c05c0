/* A Job of one pod, followed until it ends: what its pod waits for, and what it says.
 *
 * Source: Kubernetes, concepts/workloads/controllers/job.md, concepts/workloads/pods/pod-lifecycle,
 * API reference of pods/log.
 */
#ifndef IMPORTER_KUBE_JOB_H
#define IMPORTER_KUBE_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"

struct vf_job_follow {
    const char *ns, *name;
    const char *uid; /* of the Job that was made; another under the name is VF_CONFLICT */
    /* A pod cannot start: unschedulable, image cannot be pulled, volume cannot be mounted, quota
     * ... Told when it changes; `hint` may be NULL. May be NULL itself. */
    void (*tell)(void *opaque, const char *message, const char *hint);
    /* A line of the pod's log, without its end, NUL-terminated; longer ones than 64 KiB come cut.
     * NULL: the log is not read. Without the right to pods/log it is passed over. On a thread of
     * its own, at the same time as `tell`, which is on the caller's; no more of them after the end.
     */
    void (*line)(void *opaque, const char *line, size_t len);
    void *opaque;
    int64_t start_timeout_ms; /* for the pod to start; 0: none */
    int64_t timeout_ms;       /* in all; 0: none */
    bool through_deletion;    /* a Job that is being deleted is followed, and its log told, until it
                                 is gone; else it is VF_MISSING at once */
    const struct vf_cancel *cancel;
};

struct vf_job_end {
    bool succeeded;
    int exit_code;  /* of the last pod; -1: not known */
    char *reason;   /* "OOMKilled", "Evicted" ...; NULL: none that tells more than the exit code */
    char *message;  /* termination message of the last pod, what its node says of its end, or the
                       Job's own; heap, may be NULL */
    char *pod_name; /* heap, may be NULL */
};

/* 0 when the Job ended, well or not. A watch of the Job, a look at its pods whenever it changes and
 * every few seconds, a stream of the log; a broken log is resumed without telling a line twice
 * (sinceTime and timestamps). Needs the verbs list and watch on jobs, list on pods and events, get
 * on pods/log. VF_MISSING when the Job is deleted; timeouts VF_RETRY with reason
 * VF_KUBE_REASON_TIMEOUT and what the pod waited for. */
int vf_job_follow(struct vf_kube_client *client, const struct vf_job_follow *follow,
                  struct vf_job_end *ret_end, struct vf_error **err);
void vf_job_end_release(struct vf_job_end *end);

#endif
