/* The options that choose how a command tells of its progress, and the reporter they lead to. */
#ifndef JOBS_CLI_PROGRESS_H
#define JOBS_CLI_PROGRESS_H

#include <stdbool.h>

#include <vmferry/event.h>

#include "jobs/cli/command.h"

enum vf_progress_mode {
    VF_PROGRESS_AUTO,
    VF_PROGRESS_BAR,
    VF_PROGRESS_JSON,
    VF_PROGRESS_NONE,
};

struct vf_progress_args {
    int mode; /* enum vf_progress_mode */
    bool quiet;
};
#define VF_N_PROGRESS_OPTIONS 2
extern const struct vf_option vf_progress_options[VF_N_PROGRESS_OPTIONS];

#define VF_PROGRESS_GROUP(type, member)                                                            \
    {                                                                                              \
        .title = "Progress", .options = vf_progress_options, .n_options = VF_N_PROGRESS_OPTIONS,   \
        .offset = offsetof(type, member)                                                           \
    }

/* Bars need a terminal at cli->err; without one, and with `debug`, whose lines would run through
 * them, there are plain lines. JSON lines go to cli->out. */
int vf_progress_open(struct vf_cli *cli, const struct vf_progress_args *args, bool debug,
                     struct vf_reporter **ret_reporter, struct vf_error **err);

/* Tell how it ended, and free it. */
void vf_progress_close(struct vf_reporter *reporter, int rc, struct vf_error *const *err);

#endif
