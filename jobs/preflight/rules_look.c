/* Rows of what keeps preflight from looking: found by those who gather, not by looking at facts. */
#include "jobs/preflight/rule.h"

const struct vf_rule vf_rules_look[] = {
    {.id = "target.unreachable",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "the first requests to the cluster",
     .message = "the cluster cannot be asked, so that nothing of the target was judged",
     .action = "see that \"kubectl get namespaces\" works with the same kubeconfig and context",
     .once = true},
    {.id = "source.vm-unreadable",
     .severity = VF_WARNING,
     .area = VF_AREA_SOURCE,
     .looks_at = "properties of the VMs that the account may not read",
     .message = "the account sees some VMs, but not all of their properties: what is not seen is "
                "not judged",
     .action = "give the account System.Read on the VMs (the role \"Read-only\")",
     .once = true},
    {.id = "source.tags-unreadable",
     .severity = VF_INFORMATION,
     .area = VF_AREA_SOURCE,
     .looks_at = "the tagging service",
     .message = "tags cannot be read, and will be missing on the new VMs",
     .action = "see what the message says; an ESXi host has no tags",
     .once = true},
    {.id = NULL},
};
