/* Options that say what is checked before a copy. */
#ifndef JOBS_CLI_CHECK_ARGS_H
#define JOBS_CLI_CHECK_ARGS_H

#include "jobs/cli/command.h"
#include "jobs/import.h"

struct vf_check_args {
    int check; /* 0: by the rules; 1: not at all */
    const char **skip;
};
#define VF_N_CHECK_OPTIONS 2
extern const struct vf_option vf_check_options[VF_N_CHECK_OPTIONS];

/* For a command's table of groups; `type` is its argument struct with the member named. */
#define VF_CHECK_GROUP(type, member)                                                               \
    {                                                                                              \
        .title = "Check before", .options = vf_check_options, .n_options = VF_N_CHECK_OPTIONS,     \
        .offset = offsetof(type, member)                                                           \
    }

/* Misuse for an ID that no rule has, with the one that may be meant. `ids` may be NULL. */
int vf_check_ids(struct vf_cli *cli, const char *const *ids, struct vf_error **err);

/* The members of options that the group fills. Borrows from args. */
int vf_check_apply(struct vf_cli *cli, const struct vf_check_args *args,
                   struct vf_import_options *options, struct vf_error **err);

#endif
