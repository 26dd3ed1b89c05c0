#include "jobs/cli/cluster_args.h"

const struct vf_option vf_cluster_option_table[VF_N_CLUSTER_OPTIONS] = {
    {.name = "kubeconfig",
     .kind = VF_OPTION_STRING,
     .value = "FILE",
     .help = "how the cluster is reached; else KUBECONFIG, else ~/.kube/config, else the pod's own "
             "account",
     .offset = offsetof(struct vf_cluster_args, kubeconfig),
     .complete = VF_COMPLETE_FILE},
    {.name = "context",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "of the kubeconfig, instead of its current one",
     .offset = offsetof(struct vf_cluster_args, context)},
    {.name = "namespace",
     .letter = 'n',
     .kind = VF_OPTION_STRING,
     .value = "NAMESPACE",
     .help = "where to work, instead of in the context's; \"import --to dir:PATH\" writes it into "
             "the manifests",
     .offset = offsetof(struct vf_cluster_args, namespace_name)},
    {.name = "cluster-timeout",
     .kind = VF_OPTION_NUMBER,
     .value = "SECONDS",
     .help = "how long one step may take in the cluster: a claim made and ready, or a Job's pod "
             "started (10 minutes unless said otherwise), an upload taken over (30), a VM made "
             "(5), a VM started (5); and, up to a minute, how long its API server may be out of "
             "reach",
     .min = 1,
     .max = 86400,
     .offset = offsetof(struct vf_cluster_args, timeout_s)},
};

struct vf_cluster_options vf_cluster_options_of(const struct vf_cluster_args *args)
{
    return (struct vf_cluster_options){.kubeconfig = args->kubeconfig,
                                       .context = args->context,
                                       .namespace_name = args->namespace_name,
                                       .timeout_s = args->timeout_s};
}
