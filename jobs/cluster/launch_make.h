/* Private to jobs/cluster: the Job of a worker and its Secret, for an import (launch.c) and a warm
 * migration (warm_launch.c).
 */
#ifndef JOBS_CLUSTER_LAUNCH_MAKE_H
#define JOBS_CLUSTER_LAUNCH_MAKE_H

#include "jobs/cluster/landing.h"
#include "jobs/cluster/launch_follow.h"
#include "jobs/cluster/launch_job.h"
#include "jobs/migration/migration.h"

struct vf_launch {
    struct vf_landing_cluster *l; /* by the caller; so the next two */
    struct vf_import *im;
    const struct vf_migration_options *migration; /* NULL: an import */
    struct vf_worker_plan plan;
    const char **claims;
    unsigned *numbers;
    bool *blocks;
    char *secret_name, *ca_pem, *mapping;
    cJSON *job;       /* as the server made it; NULL: not made */
    char *secret_uid; /* NULL: not made */
    struct vf_worker_run run;
};

/* What cannot work is refused: VF_UNSUPPORTED for a source that no pod can read, or disks of
 * unknown size; VF_INVALID without an image. l->disks are set. */
int vf_launch_plan(struct vf_launch *la, const struct vf_vm *vm, struct vf_error **err);
/* The server looks at both without keeping them. Appends them to `documents`, the Secret without
 * its values. */
int vf_launch_check(struct vf_launch *la, cJSON *documents, struct vf_error **err);
/* Job, Secret, and the Job let run. */
int vf_launch_make(struct vf_launch *la, struct vf_error **err);
/* Both, and what still runs of it; warns of what may be left. */
void vf_launch_remove(struct vf_launch *la);
void vf_launch_release(struct vf_launch *la);

/* Of a worker that did not succeed: its own error, else what the kubelet and the log have. Returns
 * the code. */
int vf_launch_worker_error(const struct vf_launch *la, struct vf_error **err);
/* The message without the VM, which is said again. */
const char *vf_launch_without_vm(const struct vf_launch *la, const char *message);

#endif
