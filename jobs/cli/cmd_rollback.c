#include "jobs/cli/cluster_args.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/progress.h"
#include "jobs/cluster/rollback.h"

struct rollback_args {
    struct vf_common_args common;
    struct vf_cluster_args cluster;
    struct vf_progress_args progress;
    bool dry_run;
};

static int run_rollback(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct rollback_args *args = opaque;
    const struct vf_rollback_options options = {.where = vf_cluster_options_of(&args->cluster),
                                                .name = args->common.operands[0],
                                                .dry_run = args->dry_run};
    struct vf_reporter *reporter = NULL;
    int rc = vf_progress_open(cli, &args->progress, args->common.debug, &reporter, err);
    if (rc == 0) {
        rc = vf_rollback_run(&options, reporter, cli->cancel, err);
        vf_progress_close(reporter, rc, err);
    }
    return rc;
}

static const struct vf_option options[] = {
    {.name = "dry-run",
     .kind = VF_OPTION_FLAG,
     .help = "look and judge, tell what would be done, and do nothing",
     .offset = offsetof(struct rollback_args, dry_run)},
};

static const struct vf_option_group groups[] = {
    {.options = options, .n_options = VF_COUNT(options)},
    VF_CLUSTER_GROUP(struct rollback_args, cluster),
    VF_PROGRESS_GROUP(struct rollback_args, progress),
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_rollback = {
    .name = "rollback",
    .summary = "put a migration's claims back to their last good state",
    .operands = "NAME",
    .min_operands = 1,
    .max_operands = 1,
    .details =
        "On storage with snapshots, a migration into a cluster keeps the last state in which all "
        "its disks were of one moment, before it writes a round into them. Each claim is replaced "
        "by one of the same name that is made from its snapshot; the next \"vmferry migrate "
        "--warm\" goes on from there.\n\n"
        "Refused, with nothing changed, while a migration works on the claims, while a pod or a "
        "running VM uses them, and when a disk has no snapshot that is ready. A rollback that was "
        "interrupted is finished by the same command. The source is not touched.",
    .examples = "  vmferry rollback web01 --namespace prod --dry-run\n"
                "  vmferry rollback web01 --namespace prod\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct rollback_args),
    .left_behind = "of each disk there is the claim or a snapshot that is ready; the same command "
                   "again finishes it",
    .run = run_rollback,
};
