/* Private to jobs/cluster: see landing.h for vf_cluster_launch. */
#ifndef JOBS_CLUSTER_LAUNCH_H
#define JOBS_CLUSTER_LAUNCH_H

#include <stdbool.h>

#include "jobs/cluster/landing.h"

/* Does a worker of an earlier start fill the claims of l->owner? VF_CONFLICT while it runs, and
 * when its name is somebody else's; what is left of one that ended is removed, unless only
 * `look`ing. */
int vf_cluster_check_worker(struct vf_landing_cluster *l, bool look_only, struct vf_error **err);

/* What cannot work is refused, and the server looks at the Secret and the Job without keeping them;
 * before vf_cluster_launch. Appends both to `documents`, the Secret without its values.
 * VF_UNSUPPORTED for a source that no pod can read, or disks of unknown size; VF_INVALID without an
 * image. */
int vf_cluster_check_launch(struct vf_landing_cluster *l, const struct vf_vm *vm, cJSON *documents,
                            struct vf_error **err);

#endif
