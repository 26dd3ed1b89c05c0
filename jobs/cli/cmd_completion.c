#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/completion.h"
#include "jobs/cli/output.h"
#include "jobs/report/text.h"

struct completion_args {
    struct vf_common_args common;
};

static int run_completion(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct completion_args *args = opaque;
    const char *shell = args->common.operands[0];
    bool bash = strcmp(shell, "bash") == 0;
    if (!bash && strcmp(shell, "zsh") != 0) {
        char *vf_autofree shown = vf_text_safe(shell);
        return vf_cli_misuse(cli, err, "there is completion for bash and zsh, not for \"%s\"",
                             shown);
    }
    char *vf_autofree text = bash ? vf_completion_bash() : vf_completion_zsh();
    return vf_cli_put(cli, text, err);
}

static const struct vf_option_group groups[] = {VF_COMMON_GROUP};

const struct vf_command vf_cmd_completion = {
    .name = "completion",
    .summary = "write the script by which a shell completes commands",
    .operands = "bash|zsh",
    .min_operands = 1,
    .max_operands = 1,
    .complete = VF_COMPLETE_SHELL,
    .examples = "  vmferry completion bash >/etc/bash_completion.d/vmferry\n"
                "  vmferry completion zsh >/usr/local/share/zsh/site-functions/_vmferry\n"
                "  source <(vmferry completion bash)\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct completion_args),
    .run = run_completion,
};
