/* Options that select VMs of a vCenter or ESXi host. */
#ifndef JOBS_CLI_SELECT_ARGS_H
#define JOBS_CLI_SELECT_ARGS_H

#include "importer/vsphere/inventory.h"
#include "jobs/cli/command.h"

struct vf_select_args {
    const char **names, **globs, **folders, **tags, **powers;
};
#define VF_N_SELECT_OPTIONS 5
extern const struct vf_option vf_select_options[VF_N_SELECT_OPTIONS];

/* For a command's table of groups; `type` is its argument struct with the member named. */
#define VF_SELECT_GROUP(type, member)                                                              \
    {                                                                                              \
        .title = "Selection", .options = vf_select_options, .n_options = VF_N_SELECT_OPTIONS,      \
        .offset = offsetof(type, member)                                                           \
    }

/* Borrows from args. */
struct vf_vm_query vf_select_query_of(const struct vf_select_args *args);

#endif
