/* Rules of the target: the cluster, its KubeVirt and CDI, the namespace, storage and nodes. */
#include "jobs/preflight/rule.h"

const struct vf_rule vf_rules_target[] = {
    {.id = NULL},
};
