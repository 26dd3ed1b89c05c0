#include "jobs/preflight/rule.h"

const struct vf_rule vf_rules_disk[] = {
    {.id = NULL},
};
