/* Options of commands that put a VM somewhere: where to, how its disks are written, and what is
 * made of it in a cluster. How it is mapped is told by others (mapping_args.h).
 */
#ifndef JOBS_CLI_TARGET_ARGS_H
#define JOBS_CLI_TARGET_ARGS_H

#include <stdbool.h>

#include "jobs/cli/command.h"
#include "jobs/import.h"

struct vf_disk_args {
    int format; /* enum vf_format */
    bool overwrite;
    unsigned parallel_disks, threads;
};
#define VF_N_DISK_OPTIONS 4
extern const struct vf_option vf_disk_options[VF_N_DISK_OPTIONS];

/* Of a target in a cluster. */
struct vf_landing_args {
    bool start;
    int handover; /* enum vf_import_handover */
    const char *worker_image, *worker_account;
};
#define VF_N_LANDING_OPTIONS 4
extern const struct vf_option vf_landing_options[VF_N_LANDING_OPTIONS];

/* For a command's table of groups; `type` is its argument struct with the members named. */
#define VF_DISK_GROUP(type, member)                                                                \
    {                                                                                              \
        .title = "Disks", .options = vf_disk_options, .n_options = VF_N_DISK_OPTIONS,              \
        .offset = offsetof(type, member)                                                           \
    }
#define VF_LANDING_GROUP(type, member)                                                             \
    {                                                                                              \
        .title = "Target in a cluster", .options = vf_landing_options,                             \
        .n_options = VF_N_LANDING_OPTIONS, .offset = offsetof(type, member)                        \
    }

/* "dir:PATH", "upload", "pvc" or "pvc:PATH", into options->target and to_path (borrowed). `words`
 * says in a misuse which of them there are. */
int vf_target_pick(struct vf_cli *cli, const char *to, const char *words,
                   struct vf_import_options *options, struct vf_error **err);

/* An option that goes with one kind of thing only. */
struct vf_option_fit {
    bool given, fits;
    const char *name, *where; /* "--to dir:PATH" */
};
/* Misuse for the first that was given where it does not fit. */
int vf_option_fits(struct vf_cli *cli, const struct vf_option_fit *fits, size_t n,
                   struct vf_error **err);

/* The members that the groups fill; options->target is known. Misuse for what does not go with that
 * target. Borrows from the args. */
int vf_target_apply(struct vf_cli *cli, const struct vf_disk_args *disk,
                    const struct vf_landing_args *landing, struct vf_import_options *options,
                    struct vf_error **err);

#endif
