#include <string.h>

#include "importer/base/mem.h"
#include "jobs/cli/ask.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/when.h"

struct cutover_args {
    struct vf_common_args common;
    struct vf_cluster_args cluster;
    struct vf_progress_args progress;
    const char *at;
    bool no_wait;
};

static int check_alive(const struct vf_migration_status *s, bool alive, struct vf_error **err)
{
    if (alive) {
        return 0;
    }
    vf_error_set(err, VF_CONFLICT,
                 "no vmferry works on the migration \"%s\", so that nobody can cut it over; it was "
                 "last seen %s",
                 s->name ? s->name : "?", vf_migration_phase_name(s->phase));
    vf_error_hint(err, "run the same \"vmferry migrate --warm\" command again with --cutover asap: "
                       "it goes on from its last checkpoint, and cuts over");
    return VF_CONFLICT;
}

static int run_cutover(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct cutover_args *args = opaque;
    struct vf_migration_request request = {.kind = VF_REQUEST_CUTOVER};
    struct vf_migration_status status = {0};
    struct vf_picked_board picked = {0};
    bool alive = false;

    int rc = args->at ? vf_when_parse_time(args->at, &request.at_s, err) : 0;
    cli->misuse |= rc != 0;
    rc = rc ? rc : vf_board_pick(cli, args->common.operands[0], &args->cluster, &picked, err);
    rc = rc ? rc : vf_board_fetch_status(&picked, &status, &alive, err);
    if (rc == 0 && status.phase == VF_PHASE_DONE && !alive) {
        fprintf(cli->err, "vmferry: it was cut over already\n");
    } else {
        rc = rc ? rc : check_alive(&status, alive, err);
        rc = rc ? rc
                : vf_ask(cli, &picked, &request, &args->progress, args->common.debug,
                         !args->no_wait, VF_PHASE_DONE, &status, err);
    }
    vf_migration_status_release(&status);
    vf_board_unpick(&picked);
    return rc;
}

static const struct vf_option options[] = {
    {.name = "at",
     .kind = VF_OPTION_STRING,
     .value = "TIME",
     .help = "then, instead of now: 2026-11-22T02:00:00Z, or local \"2026-11-22 02:00\"; a round "
             "ends shortly before. In the place of a time that was fixed before",
     .offset = offsetof(struct cutover_args, at)},
    {.name = "no-wait",
     .kind = VF_OPTION_FLAG,
     .help = "leave the request, and do not wait for what comes of it",
     .offset = offsetof(struct cutover_args, no_wait)},
};

static const struct vf_option_group groups[] = {
    {.options = options, .n_options = VF_COUNT(options)},
    VF_CLUSTER_GROUP(struct cutover_args, cluster),
    VF_PROGRESS_GROUP(struct cutover_args, progress),
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_cutover = {
    .name = "cutover",
    .summary = "let a warm migration shut its VM down and finish",
    .operands = "dir:PATH|NAME",
    .min_operands = 1,
    .max_operands = 1,
    .complete = VF_COMPLETE_TARGET,
    .details =
        "For the \"vmferry migrate --warm\" that works on it, elsewhere or as a Job: the round "
        "under way ends, the guest is shut down, what changed since is copied, the new VM is made, "
        "and started if that was asked for. This command shows how that goes and ends with it: "
        "status 0 when the new VM is there. When it fails before that, the source is powered on "
        "again. To interrupt this command interrupts nothing else.",
    .examples = "  vmferry cutover dir:/srv/web01\n"
                "  vmferry cutover web01 --namespace prod --at '2026-11-22 02:00' --no-wait\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct cutover_args),
    .left_behind = "the migration goes on; \"vmferry status\" shows it",
    .run = run_cutover,
};
