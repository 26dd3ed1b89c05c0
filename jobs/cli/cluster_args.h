/* Options by which commands reach a cluster. */
#ifndef JOBS_CLI_CLUSTER_ARGS_H
#define JOBS_CLI_CLUSTER_ARGS_H

#include "jobs/cli/command.h"
#include "jobs/cluster/cluster.h"

struct vf_cluster_args {
    const char *kubeconfig, *context, *namespace_name;
    unsigned timeout_s;
};
#define VF_N_CLUSTER_OPTIONS 4
extern const struct vf_option vf_cluster_option_table[VF_N_CLUSTER_OPTIONS];

#define VF_CLUSTER_GROUP(type, member)                                                             \
    {                                                                                              \
        .title = "Cluster", .options = vf_cluster_option_table, .n_options = VF_N_CLUSTER_OPTIONS, \
        .offset = offsetof(type, member)                                                           \
    }

/* Borrows from args. */
struct vf_cluster_options vf_cluster_options_of(const struct vf_cluster_args *args);

#endif
