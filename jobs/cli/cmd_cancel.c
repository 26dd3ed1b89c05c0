#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/cli/ask.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/connect.h"
#include "jobs/migration/migration.h"

struct cancel_args {
    struct vf_common_args common;
    struct vf_cluster_args cluster;
    struct vf_login_args login;
    struct vf_trust_args trust;
    struct vf_progress_args progress;
    const char *vm;
    bool discard;
};

static bool is_set(const char *given, const char *variable)
{
    const char *value = given ? given : getenv(variable);
    return value && *value;
}

/* What it takes to clean up at the source; `vm` may come from the status. */
static int check_login(struct vf_cli *cli, const struct cancel_args *args, const char *vm,
                       struct vf_error **err)
{
    bool source = is_set(args->login.source, "VMFERRY_SOURCE");
    bool user = is_set(args->login.user, "VMFERRY_USER");
    if (source && user && vm) {
        return 0;
    }
    return vf_cli_misuse(cli, err,
                         "no vmferry works on the migration, so that this one has to clean up at "
                         "the source; missing:%s%s%s",
                         source ? "" : " --source", user ? "" : " --user", vm ? "" : " --vm");
}

/* What CDI fills is another kind of target. */
static enum vf_transport_kind transport_of(const struct vf_migration_status *s)
{
    const char *cdi = vf_transport_name(VF_TRANSPORT_CDI);
    return s->transport && strcmp(s->transport, cdi) == 0 ? VF_TRANSPORT_CDI : VF_TRANSPORT_AUTO;
}

static int cancel_here(struct vf_cli *cli, const struct cancel_args *args,
                       const struct vf_picked_board *p, const struct vf_migration_status *status,
                       struct vf_error **err)
{
    struct vf_migration_options options = {
        .import = {.kind = VF_IMPORT_VSPHERE,
                   .vm = args->vm ? args->vm : status->source_vm,
                   .name = p->name,
                   .target = p->path ? VF_TO_DIR : VF_TO_CLAIM,
                   .to_path = p->path,
                   .namespace_name = args->cluster.namespace_name,
                   .cluster = {.where = vf_cluster_options_of(&args->cluster)}},
        .transport.kind = transport_of(status),
    };
    struct vf_secret *password = NULL;
    struct vf_reporter *reporter = NULL;
    int rc = check_login(cli, args, options.import.vm, err);
    rc = rc ? rc
            : vf_connect_resolve(cli, &args->login, &args->trust, &options.import.vsphere,
                                 &password, err);
    rc = rc ? rc : vf_progress_open(cli, &args->progress, args->common.debug, &reporter, err);
    if (rc == 0) {
        rc = vf_migration_cancel(&options, args->discard, reporter, cli->cancel, err);
        vf_progress_close(reporter, rc, err);
    }
    vf_secret_free(password);
    return rc;
}

static int refuse_done(const struct vf_migration_status *s, struct vf_error **err)
{
    vf_error_set(err, VF_CONFLICT, "the migration \"%s\" is finished: there is nothing to cancel",
                 s->name ? s->name : "?");
    vf_error_hint(err, "to go back, stop the new VM for good before the old one is started");
    return VF_CONFLICT;
}

static int run_cancel(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct cancel_args *args = opaque;
    const struct vf_migration_request request = {.kind = VF_REQUEST_CANCEL,
                                                 .discard = args->discard};
    struct vf_migration_status status = {0};
    struct vf_picked_board picked = {0};
    struct vf_error *e = NULL;
    bool alive = false;

    int rc = vf_board_pick(cli, args->common.operands[0], &args->cluster, &picked, err);
    if (rc == 0) {
        rc = vf_board_fetch_status(&picked, &status, &alive, &e);
        /* Without a status there may be copies and a checkpoint all the same. */
        rc = rc == VF_MISSING && args->vm ? 0 : rc;
        rc ? vf_error_move(err, &e) : vf_error_clear(&e);
    }
    if (rc == 0 && status.phase == VF_PHASE_DONE && !alive) {
        rc = refuse_done(&status, err);
    } else if (rc == 0 && alive) {
        rc = vf_ask(cli, &picked, &request, &args->progress, args->common.debug, true,
                    VF_PHASE_CANCELLED, &status, err);
    } else if (rc == 0) {
        rc = cancel_here(cli, args, &picked, &status, err);
    }
    vf_migration_status_release(&status);
    vf_board_unpick(&picked);
    return rc;
}

static const struct vf_option options[] = {
    {.name = "discard",
     .kind = VF_OPTION_FLAG,
     .help = "remove what was copied, too; else the same \"vmferry migrate --warm\" can go on with "
             "it later",
     .offset = offsetof(struct cancel_args, discard)},
    {.name = "vm",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "of --source, when no vmferry works on the migration; else as its status has it",
     .offset = offsetof(struct cancel_args, vm)},
};

static const struct vf_option_group groups[] = {
    {.options = options, .n_options = VF_COUNT(options)},
    VF_CLUSTER_GROUP(struct cancel_args, cluster),
    VF_LOGIN_GROUP(struct cancel_args, login),
    VF_TRUST_GROUP(struct cancel_args, trust),
    VF_PROGRESS_GROUP(struct cancel_args, progress),
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_cancel = {
    .name = "cancel",
    .summary = "end a warm migration and leave its VM as it was",
    .operands = "dir:PATH|NAME",
    .min_operands = 1,
    .max_operands = 1,
    .complete = VF_COMPLETE_TARGET,
    .details =
        "vmferry's snapshots are removed, and a source that a cutover had shut down is powered on "
        "again. The vmferry that works on the migration is asked to do it, and waited for. Where "
        "none does (it was killed, or its machine is gone), this command does it itself, for "
        "which it has to log in at the source.\n\n"
        "A migration whose new VM is there is not cancelled: two of the same would run.",
    .examples = "  vmferry cancel dir:/srv/web01\n"
                "  vmferry cancel web01 --namespace prod --discard\n"
                "  vmferry cancel dir:/srv/web01 --vm web01 --source https://vcenter.example \\\n"
                "      --user administrator@vsphere.local\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct cancel_args),
    .left_behind = "what was not undone yet is there; \"vmferry cancel\" again goes on",
    .run = run_cancel,
};
