#include "importer/base/mem.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/help.h"

struct help_args {
    struct vf_common_args common;
};

static int run_help(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct help_args *args = opaque;
    if (args->common.n_operands == 0) {
        return vf_help_put_overview(cli, err);
    }
    const struct vf_command *command = vf_command_find(args->common.operands[0]);
    return command ? vf_help_put_command(cli, command, err)
                   : vf_cli_unknown_command(cli, args->common.operands[0], err);
}

static const struct vf_option_group groups[] = {VF_COMMON_GROUP};

const struct vf_command vf_cmd_help = {
    .name = "help",
    .summary = "show what there is, or the options of one command",
    .operands = "[COMMAND]",
    .max_operands = 1,
    .complete = VF_COMPLETE_COMMAND,
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct help_args),
    .run = run_help,
};
