#include "jobs/cli/commands.h"
#include "jobs/cli/progress.h"
#include "jobs/verify.h"

struct verify_args {
    struct vf_common_args common;
    struct vf_progress_args progress;
    unsigned threads;
};

static int run_verify(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct verify_args *args = opaque;
    struct vf_reporter *reporter;
    int rc = vf_progress_open(cli, &args->progress, args->common.debug, &reporter, err);
    if (rc) {
        return rc;
    }
    rc = vf_verify_run(args->common.operands[0], args->threads, reporter, cli->cancel, err);
    vf_progress_close(reporter, rc, err);
    return rc;
}

static const struct vf_option options[] = {
    {.name = "threads",
     .kind = VF_OPTION_NUMBER,
     .value = "N",
     .help = "threads that compute digests; one a core and two more unless said otherwise",
     .min = 1,
     .max = 256,
     .offset = offsetof(struct verify_args, threads)},
};

static const struct vf_option_group groups[] = {
    {.options = options, .n_options = VF_COUNT(options)},
    VF_PROGRESS_GROUP(struct verify_args, progress),
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_verify = {
    .name = "verify",
    .summary = "compare imported disks with what was read from the source",
    .operands = "DIR",
    .min_operands = 1,
    .max_operands = 1,
    .complete = VF_COMPLETE_DIR,
    .details = "Reads every disk image in DIR again and compares it with the digest that "
               "DIR/vmferry.json has of the source's content. Exit status 0 means that each is "
               "the same.",
    .examples = "  vmferry verify /var/tmp/web01\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct verify_args),
    .run = run_verify,
};
