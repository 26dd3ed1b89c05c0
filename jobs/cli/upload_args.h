/* Options of a target that is reached through CDI's upload proxy. */
#ifndef JOBS_CLI_UPLOAD_ARGS_H
#define JOBS_CLI_UPLOAD_ARGS_H

#include <stdbool.h>

#include "jobs/cli/command.h"
#include "jobs/import.h"

struct vf_upload_args {
    bool bind_immediately, insecure;
    int coding; /* enum vf_import_coding */
    const char *proxy, *ca_file, *thumbprint;
};
#define VF_N_UPLOAD_OPTIONS 6
extern const struct vf_option vf_upload_options[VF_N_UPLOAD_OPTIONS];

/* For a command's table of groups; `type` is its argument struct with the member named. */
#define VF_UPLOAD_GROUP(type, member)                                                              \
    {                                                                                              \
        .title = "Upload", .options = vf_upload_options, .n_options = VF_N_UPLOAD_OPTIONS,         \
        .offset = offsetof(type, member)                                                           \
    }

/* The members of options->cluster that the group fills; options->target is known. Misuse with
 * another target than UPLOAD. Borrows from args. */
int vf_upload_apply(struct vf_cli *cli, const struct vf_upload_args *args,
                    struct vf_import_options *options, struct vf_error **err);

#endif
