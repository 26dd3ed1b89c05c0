/* Tasks: what runs in vSphere after the call that started it has returned. */
#ifndef IMPORTER_VSPHERE_TASK_H
#define IMPORTER_VSPHERE_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "importer/vsphere/fault.h"
#include "importer/vsphere/vsphere.h"

/* vf_error_reason of a VF_RETRY: the task is not known any more (vCenter was restarted, or it ended
 * long ago), and what became of what it did has to be looked at. */
#define VF_TASK_REASON_LOST "vmferry.TaskLost"

/* Called by the waiting thread; percent is 0..100, or -1 while the task is queued or says none. */
typedef void vf_task_progress_fn(void *opaque, int percent);

struct vf_task_wait {
    int64_t timeout_ms;            /* 0: 1 hour */
    bool cleanup;                  /* go on after cancellation, but then for `grace_ms` at most */
    int64_t grace_ms;              /* 0: 30 s */
    vf_task_progress_fn *progress; /* may be NULL */
    void *opaque;
};

/* Wait for the end of a task ("task-7"). `what` completes "cannot ..." in errors. *ret_result (may
 * be NULL) is the reference it gave, NULL if none. A task that fails gives its fault as error;
 * VF_RETRY past the deadline, the task runs on then; and when it is lost. */
int vf_task_wait(struct vf_vsphere *vs, const char *task_moref, const char *what,
                 const struct vf_task_wait *wait, char **ret_result, struct vf_error **err);

struct vf_call;

/* Send a call that returns a task (`call` is private, see session.h), wait for its end. While the
 * VM is busy with another task, and when the task was lost, it is sent again, for `busy_ms` at
 * most: for what does no harm when it is done twice. */
int vf_task_run(struct vf_vsphere *vs, const struct vf_call *call, const struct vf_task_wait *wait,
                int64_t busy_ms, char **ret_result, struct vf_error **err);

/* Send such a call; *ret_task is the task's reference. A busy VM is an error (VF_RETRY) at once. */
int vf_task_start(struct vf_vsphere *vs, const struct vf_call *call, char **ret_task,
                  struct vf_error **err);

#endif
