/* The log of a Job's pods, line by line, on a thread of its own.
 *
 * A broken stream is taken up again with sinceTime and timestamps, so that no line is told twice.
 * Source: Kubernetes, API reference of pods/log (PodLogOptions); k8s.io/kubernetes,
 * pkg/kubelet/kuberuntime/logs (RFC 3339 with nanoseconds before every line).
 */
#ifndef IMPORTER_KUBE_JOB_LOG_H
#define IMPORTER_KUBE_JOB_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "importer/kube/client.h"

#define VF_JOB_LOG_MAX_LINE (64u << 10)

struct vf_job_log;

typedef void vf_job_log_line_fn(void *opaque, const char *line, size_t len);

/* Borrows `ns`; starts the thread, which waits for a pod to read. */
int vf_job_log_new(struct vf_kube_client *client, const char *ns, vf_job_log_line_fn *line,
                   void *opaque, struct vf_job_log **ret_log, struct vf_error **err);

/* What is known of a pod, of any thread. Logs are read in the order in which pods are first told of
 * as started, each to its end; `ended`: nothing more will be written to it. */
void vf_job_log_tell_pod(struct vf_job_log *log, const char *pod, const char *container,
                         bool ended);

/* Waits until all logs of ended pods are read, at most that long, then stops what is left. */
void vf_job_log_finish(struct vf_job_log *log, int64_t timeout_ms);
void vf_job_log_free(struct vf_job_log *log); /* stops at once; NULL is fine */

/* For tests: "2026-11-21T17:27:17.5Z text" into its time and where the text begins. False when the
 * line has no time. */
struct vf_job_log_time {
    int64_t seconds;
    uint32_t nanos;
};
bool vf_job_log_parse_line(const char *line, struct vf_job_log_time *ret_time,
                           const char **ret_text);

#endif
