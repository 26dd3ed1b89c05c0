/* How a job reaches a cluster. */
#ifndef JOBS_CLUSTER_CLUSTER_H
#define JOBS_CLUSTER_CLUSTER_H

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/client.h"

struct vf_cluster_options {
    const char *kubeconfig;     /* file; NULL: KUBECONFIG, ~/.kube/config, else the pod's account */
    const char *context;        /* NULL: the current one */
    const char *namespace_name; /* NULL: the context's */
    unsigned timeout_s; /* of one step in the cluster, and, up to a minute, of being out of reach;
                           0: as is usual for each */
};

/* VF_MISSING when the namespace does not exist; without the right to look it is taken to exist.
 * `cancel` is of this call alone: requests of the client name their own. */
int vf_cluster_open(const struct vf_cluster_options *options, const struct vf_cancel *cancel,
                    struct vf_kube_client **ret_client, struct vf_error **err);

/* Of one step: what was told, else what is usual for it. */
int64_t vf_cluster_timeout_ms(const struct vf_cluster_options *options, int64_t usual_ms);

#endif
