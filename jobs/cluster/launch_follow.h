/* The worker of an import, from its Job's start to its end. Private to jobs/cluster. */
#ifndef JOBS_CLUSTER_LAUNCH_FOLLOW_H
#define JOBS_CLUSTER_LAUNCH_FOLLOW_H

#include <stdatomic.h>

#include "importer/kube/job.h"
#include "jobs/cluster/worker_events.h"
#include "jobs/import_plan.h"

struct vf_worker_run {
    struct vf_kube_client *client;
    struct vf_import *im;           /* its reporter, its cancellation */
    const cJSON *job;               /* as the server made it */
    struct vf_worker_events events; /* by the caller */
    struct vf_job_end end;          /* of a Job that ended; the caller releases it */
    bool leave;          /* a cancellation ends the looking on, and nothing else: VF_CANCELLED */
    atomic_bool stopped; /* cancelled, and the Job is deleted or to be deleted */
};

/* 0 when the Job ended, whichever way. The import's cancellation deletes the Job, which lets its
 * pod clean up at the source, and is followed to the end of that; it is then r->stopped, whatever
 * is returned. Else the errors of vf_job_follow. */
int vf_worker_follow(struct vf_worker_run *r, struct vf_error **err);

#endif
