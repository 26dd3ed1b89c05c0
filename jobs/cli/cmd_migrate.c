#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "importer/base/mem.h"
#include "jobs/cli/check_args.h"
#include "jobs/cli/cluster_args.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/connect.h"
#include "jobs/cli/mapping_args.h"
#include "jobs/cli/progress.h"
#include "jobs/cli/target_args.h"
#include "jobs/cli/transport_args.h"
#include "jobs/cli/when.h"
#include "jobs/migration/migration.h"

/* At most so long a guest is looked after that did not shut down in time, and may yet. */
#define MAX_WATCH_MS (INT64_C(2) * 60 * 1000)
/* A time that is further back is a wrong one; one that is not is that of the same command, run
 * again after it was interrupted. */
#define MAX_PAST_S (INT64_C(24) * 3600)

struct migrate_args {
    struct vf_common_args common;
    struct vf_login_args login;
    struct vf_trust_args trust;
    struct vf_progress_args progress;
    struct vf_cluster_args cluster;
    struct vf_disk_args disk;
    struct vf_landing_args landing;
    struct vf_transport_args transport;
    struct vf_mapping_args mapping;
    struct vf_check_args check;
    bool warm;
    const char *vm, *name, *to;
    /* Rounds. */
    bool no_quiesce, allow_stun;
    const char *min_interval, *max_interval;
    /* Cutover. */
    const char *cutover, *max_downtime, *shutdown_timeout;
    bool hard_power_off, no_digest;
};

static int parse_duration(struct vf_cli *cli, const char *option, const char *text, int64_t *ret_ms,
                          struct vf_error **err)
{
    if (!text || vf_when_parse_duration(text, ret_ms, err) == 0) {
        return 0;
    }
    cli->misuse = true;
    return vf_error_wrap(err, VF_INVALID, "option \"--%s\"", option);
}

/* "command", "asap", TIME or FROM/TO. */
static int parse_cutover(struct vf_cli *cli, const char *text, struct vf_machine_policy *policy,
                         struct vf_error **err)
{
    int rc = 0;
    if (!text || strcmp(text, "command") == 0) {
        policy->when = VF_CUTOVER_ON_REQUEST;
    } else if (strcmp(text, "asap") == 0) {
        policy->when = VF_CUTOVER_ASAP;
    } else if (strchr(text, '/')) {
        policy->when = VF_CUTOVER_WINDOW;
        rc = vf_when_parse_window(text, &policy->from_s, &policy->until_s, err);
    } else if (text[0] >= '0' && text[0] <= '9') {
        policy->when = VF_CUTOVER_AT;
        rc = vf_when_parse_time(text, &policy->from_s, err);
        if (rc == 0 && policy->from_s < (int64_t)time(NULL) - MAX_PAST_S) {
            char when[VF_WHEN_SIZE];
            rc = vf_error_set(err, VF_INVALID, "%s is more than a day ago",
                              vf_when_print(when, policy->from_s));
        }
    } else {
        return vf_cli_misuse(cli, err,
                             "option \"--cutover\" wants command, asap, a time, or FROM/TO");
    }
    if (rc) {
        cli->misuse = true;
        return vf_error_wrap(err, rc, "option \"--cutover\"");
    }
    return 0;
}

static int fill_policy(struct vf_cli *cli, const struct migrate_args *args,
                       struct vf_migration_options *o, struct vf_error **err)
{
    struct vf_machine_policy *p = &o->policy;
    p->may_stun = args->allow_stun;
    int rc = parse_cutover(cli, args->cutover, p, err);
    rc =
        rc ? rc : parse_duration(cli, "max-downtime", args->max_downtime, &p->max_downtime_ms, err);
    rc =
        rc ? rc : parse_duration(cli, "min-interval", args->min_interval, &p->min_interval_ms, err);
    rc =
        rc ? rc : parse_duration(cli, "max-interval", args->max_interval, &p->max_interval_ms, err);
    rc = rc ? rc
            : parse_duration(cli, "shutdown-timeout", args->shutdown_timeout,
                             &o->shutdown_timeout_ms, err);
    p->watch_ms = o->shutdown_timeout_ms < MAX_WATCH_MS ? o->shutdown_timeout_ms : MAX_WATCH_MS;
    if (rc == 0 && p->max_interval_ms > 0 && p->min_interval_ms > p->max_interval_ms) {
        rc = vf_cli_misuse(cli, err, "\"--min-interval\" is longer than \"--max-interval\"");
    }
    return rc;
}

static int check_what(struct vf_cli *cli, const struct migrate_args *args, struct vf_error **err)
{
    if (!args->warm) {
        return vf_cli_misuse(cli, err,
                             "only \"--warm\" migrations are made here; \"vmferry import\" copies "
                             "a VM once");
    }
    if (!args->vm) {
        return vf_cli_misuse(cli, err, "option \"--vm\" is missing: the VM to migrate");
    }
    return 0;
}

static int check_target(struct vf_cli *cli, const struct migrate_args *args,
                        const struct vf_import_options *o, struct vf_error **err)
{
    if (o->target == VF_TO_UPLOAD) {
        return vf_cli_misuse(cli, err,
                             "an upload is written once, and a warm migration writes in rounds: "
                             "\"--to pvc\" has a Job do it in the cluster, \"--to dir:PATH\" "
                             "copies into a folder");
    }
    bool pvc = o->target == VF_TO_CLAIM;
    static const char cluster[] = "a target in a cluster";
    const struct vf_option_fit fits[] = {
        {args->cluster.kubeconfig != NULL, pvc, "kubeconfig", cluster},
        {args->cluster.context != NULL, pvc, "context", cluster},
        {args->cluster.timeout_s != 0, pvc, "cluster-timeout", cluster},
    };
    return vf_option_fits(cli, fits, VF_COUNT(fits), err);
}

static struct vf_migration_options options_of(const struct migrate_args *args)
{
    return (struct vf_migration_options){
        .import = {.kind = VF_IMPORT_VSPHERE,
                   .vm = args->vm,
                   .name = args->name,
                   .no_quiesce = args->no_quiesce,
                   .namespace_name = args->cluster.namespace_name,
                   .cluster = {.where = vf_cluster_options_of(&args->cluster)}},
        .hard_power_off = args->hard_power_off,
        .no_digest = args->no_digest,
    };
}

static int run_migrate(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct migrate_args *args = opaque;
    struct vf_migration_options o = options_of(args);
    struct vf_secret *password = NULL;
    struct vf_reporter *reporter = NULL;
    struct vf_mapping mapping = {0};

    int rc = check_what(cli, args, err);
    rc = rc ? rc : vf_target_pick(cli, args->to, "dir:PATH or pvc", &o.import, err);
    rc = rc ? rc : check_target(cli, args, &o.import, err);
    rc = rc ? rc : vf_target_apply(cli, &args->disk, &args->landing, &o.import, err);
    rc = rc ? rc : vf_transport_resolve(cli, &args->transport, &o.import, &o.transport, err);
    rc = rc ? rc : vf_check_apply(cli, &args->check, &o.import, err);
    rc = rc ? rc : fill_policy(cli, args, &o, err);
    rc = rc ? rc : vf_mapping_apply(cli, &args->mapping, &mapping, &o.import, err);
    rc =
        rc ? rc
           : vf_connect_resolve(cli, &args->login, &args->trust, &o.import.vsphere, &password, err);
    rc = rc ? rc : vf_progress_open(cli, &args->progress, args->common.debug, &reporter, err);
    if (rc == 0) {
        bool launch = o.import.target == VF_TO_CLAIM && !o.import.to_path &&
                      o.transport.kind != VF_TRANSPORT_CDI;
        o.transport.password = password;
        rc = (launch ? vf_migration_launch : vf_migration_run)(&o, reporter, cli->cancel, err);
        vf_progress_close(reporter, rc, err);
    }
    vf_mapping_release(&mapping);
    vf_secret_free(password);
    return rc;
}

static const struct vf_option what_options[] = {
    {.name = "warm",
     .kind = VF_OPTION_FLAG,
     .help = "copy while the VM runs, in rounds; the only kind there is, said so that nobody takes "
             "it for a copy at one moment",
     .offset = offsetof(struct migrate_args, warm)},
    {.name = "vm",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "a VM of --source, by its name or reference (vm-42)",
     .offset = offsetof(struct migrate_args, vm)},
    {.name = "name",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "what to call the VM, instead of the name it has",
     .offset = offsetof(struct migrate_args, name)},
    {.name = "to",
     .kind = VF_OPTION_STRING,
     .value = "TARGET",
     .help = "dir:PATH, a directory for disks, manifests.yaml and vmferry.json; pvc, into the "
             "cluster by a Job that mounts the claims (pvc:PATH: the claims are mounted here, as "
             "PATH/disk-0 and so on)",
     .offset = offsetof(struct migrate_args, to),
     .complete = VF_COMPLETE_TARGET},
};

static const struct vf_option round_options[] = {
    {.name = "allow-stun",
     .kind = VF_OPTION_FLAG,
     .help = "where changed-block tracking is off: switch it on, for which the VM stands still for "
             "a moment",
     .offset = offsetof(struct migrate_args, allow_stun)},
    {.name = "no-quiesce",
     .kind = VF_OPTION_FLAG,
     .help = "do not ask the guest to freeze its file systems for the snapshots; the last one is "
             "of a guest that is shut down",
     .offset = offsetof(struct migrate_args, no_quiesce)},
    {.name = "min-interval",
     .kind = VF_OPTION_STRING,
     .value = "TIME",
     .help = "between rounds that only hold what was reached: 90s, 5m, 2h; 1m unless said "
             "otherwise",
     .offset = offsetof(struct migrate_args, min_interval)},
    {.name = "max-interval",
     .kind = VF_OPTION_STRING,
     .value = "TIME",
     .help = "between rounds at most; 1h unless said otherwise",
     .offset = offsetof(struct migrate_args, max_interval)},
};

static const struct vf_option cutover_options[] = {
    {.name = "cutover",
     .kind = VF_OPTION_STRING,
     .value = "WHEN",
     .help = "command: when \"vmferry cutover\" says so, the default; asap: as soon as one round "
             "more would gain nothing; a time, 2026-11-22T02:00:00Z or local \"2026-11-22 02:00\"; "
             "FROM/TO, two of them: in that window, after it on command",
     .offset = offsetof(struct migrate_args, cutover)},
    {.name = "max-downtime",
     .kind = VF_OPTION_STRING,
     .value = "TIME",
     .help = "cut over as soon as the VM would be down for no longer, but not before a window; 60s",
     .offset = offsetof(struct migrate_args, max_downtime)},
    {.name = "shutdown-timeout",
     .kind = VF_OPTION_STRING,
     .value = "TIME",
     .help = "how long the guest may take to shut down; 5m unless said otherwise. After that the "
             "cutover fails and is undone; should the guest go down all the same, it is powered on "
             "again",
     .offset = offsetof(struct migrate_args, shutdown_timeout)},
    {.name = "hard-power-off",
     .kind = VF_OPTION_FLAG,
     .help = "power a guest off that has not shut down in time, or cannot",
     .offset = offsetof(struct migrate_args, hard_power_off)},
    {.name = "no-digest",
     .kind = VF_OPTION_FLAG,
     .help = "do not read back what was written for the digest that \"vmferry verify\" compares",
     .offset = offsetof(struct migrate_args, no_digest)},
};

#define GROUP(title_, options_)                                                                    \
    {                                                                                              \
        .title = (title_), .options = (options_), .n_options = VF_COUNT(options_)                  \
    }

static const struct vf_option_group groups[] = {
    GROUP("What to migrate", what_options),
    VF_LOGIN_GROUP(struct migrate_args, login),
    VF_TRUST_GROUP(struct migrate_args, trust),
    VF_TRANSPORT_GROUP(struct migrate_args, transport),
    GROUP("Rounds", round_options),
    GROUP("Cutover", cutover_options),
    VF_DISK_GROUP(struct migrate_args, disk),
    VF_MAPPING_GROUP(struct migrate_args, mapping),
    VF_CLUSTER_GROUP(struct migrate_args, cluster),
    VF_LANDING_GROUP(struct migrate_args, landing),
    VF_CHECK_GROUP(struct migrate_args, check),
    VF_PROGRESS_GROUP(struct migrate_args, progress),
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_migrate = {
    .name = "migrate",
    .summary = "copy a VM while it runs, keep the copy in step, and cut over",
    .operands = "",
    .details =
        "The VM is copied in full from a snapshot while it runs, then in rounds: what changed "
        "since the last snapshot, by vSphere's changed-block tracking. Between rounds there is no "
        "snapshot. A round says how long the VM would be down in a cutover now; \"vmferry "
        "status\" shows it from elsewhere.\n\n"
        "In the cutover the guest is shut down, what changed since is copied, and the new VM is "
        "made. If anything fails before that the source is powered on again; after it the source "
        "stays off, with a note on it. Interrupted in whatever way, the same command goes on from "
        "the last checkpoint; \"vmferry cancel\" undoes instead.\n\n"
        "--to pvc has a Job in the cluster do all of this, which goes on when this command is "
        "interrupted; running it again looks on. It needs a container image with vmferry, and the "
        "service account and roles of deploy/rbac.yaml.",
    .examples = "  vmferry migrate --warm --vm web01 --to dir:/srv/web01 --cutover asap\n"
                "  vmferry migrate --warm --vm web01 --to dir:/srv/web01 --max-downtime 60s \\\n"
                "      --cutover '2026-11-22 02:00/2026-11-22 05:00'\n"
                "  vmferry migrate --warm --vm web01 --to pvc --namespace prod --start \\\n"
                "      --worker-image registry.example/vmferry\n"
                "  vmferry cutover web01 --namespace prod\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct migrate_args),
    .left_behind =
        "what may be left behind: a snapshot of the VM whose name begins with \"vmferry-warm-\"; "
        "in a cutover, a VM that is shut down. The same command goes on from its last checkpoint; "
        "\"vmferry cancel\" undoes",
    .run = run_migrate,
};
