/* The commands there are. */
#ifndef JOBS_CLI_COMMANDS_H
#define JOBS_CLI_COMMANDS_H

#include "jobs/cli/command.h"

extern const struct vf_command vf_cmd_inventory, vf_cmd_check, vf_cmd_explain, vf_cmd_import,
    vf_cmd_migrate, vf_cmd_status, vf_cmd_cutover, vf_cmd_cancel, vf_cmd_rollback, vf_cmd_convert,
    vf_cmd_verify, vf_cmd_cleanup, vf_cmd_completion, vf_cmd_help, vf_cmd_version;

/* Misuse, with the command that was probably meant. */
int vf_cli_unknown_command(struct vf_cli *cli, const char *name, struct vf_error **err);

#endif
