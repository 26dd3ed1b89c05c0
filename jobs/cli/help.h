/* Help, made from the command table. */
#ifndef JOBS_CLI_HELP_H
#define JOBS_CLI_HELP_H

#include "jobs/cli/command.h"

int vf_help_put_overview(struct vf_cli *cli, struct vf_error **err);
int vf_help_put_command(struct vf_cli *cli, const struct vf_command *command,
                        struct vf_error **err);

#endif
