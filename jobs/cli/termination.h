/* The last word of a process that runs as a pod. */
#ifndef JOBS_CLI_TERMINATION_H
#define JOBS_CLI_TERMINATION_H

#include <vmferry/error.h>

/* What a kubelet takes of it (Kubernetes, tasks/debug/debug-application/
 * determine-reason-pod-failure). */
#define VF_TERMINATION_MAX 4096

/* Writes the error and its hint, cut to VF_TERMINATION_MAX bytes, over the file that the
 * environment variable VMFERRY_TERMINATION_LOG names; nothing when it is not set. A file that
 * cannot be written is passed over: the error is told elsewhere too. */
void vf_termination_write(const struct vf_error *e);

#endif
