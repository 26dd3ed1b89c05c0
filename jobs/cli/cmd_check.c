#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/cli/check_args.h"
#include "jobs/cli/cluster_args.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/connect.h"
#include "jobs/cli/findings_view.h"
#include "jobs/cli/mapping_args.h"
#include "jobs/cli/near.h"
#include "jobs/cli/output.h"
#include "jobs/cli/progress.h"
#include "jobs/cli/select_args.h"
#include "jobs/cli/target_args.h"
#include "jobs/cli/transport_args.h"
#include "jobs/cli/upload_args.h"
#include "jobs/preflight/preflight.h"

/* What the status tells; VF_EXIT_MISUSE is a command line that makes no sense, with nothing on
 * standard output. */
enum { STATUS_WARNINGS = 1, STATUS_CRITICAL = 2, STATUS_NOT_CHECKED = 3 };

#define MAX_OPERANDS 1000

enum check_output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML };

struct check_args {
    struct vf_common_args common;
    struct vf_login_args login;
    struct vf_trust_args trust;
    struct vf_select_args select;
    struct vf_transport_args transport;
    struct vf_mapping_args mapping;
    struct vf_cluster_args cluster;
    struct vf_landing_args landing;
    struct vf_upload_args upload;
    const char *to, *target_name;
    bool warm, allow_stun, hard_power_off;
    int probe, least, output;
    bool strict, list_rules;
    const char **skip;
};

/* The first of each is the default. */
static const char *const probe_names[] = {"light", "none", "full", NULL};
static const enum vf_probe probes[] = {VF_PROBE_LIGHT, VF_PROBE_NONE, VF_PROBE_FULL};
static const char *const least_names[] = {"auto", "information", "warning", "critical", NULL};
static const char *const outputs[] = {"table", "json", "yaml", NULL};

static bool selects(const struct vf_select_args *s)
{
    return s->names || s->globs || s->folders || s->tags || s->powers;
}

static int check_fits(struct vf_cli *cli, const struct check_args *args,
                      const struct vf_import_options *import, struct vf_error **err)
{
    bool cluster = import->target != VF_TO_DIR;
    static const char where[] = "--to upload or --to pvc";
    const struct vf_option_fit fits[] = {
        {args->cluster.kubeconfig != NULL, cluster, "kubeconfig", where},
        {args->cluster.context != NULL, cluster, "context", where},
        {args->cluster.timeout_s != 0, cluster, "cluster-timeout", where},
        {args->allow_stun, args->warm, "allow-stun", "--warm"},
        {args->hard_power_off, args->warm, "hard-power-off", "--warm"},
        {args->least > 0, args->output == OUTPUT_TABLE, "least", "-o table"},
    };
    if (args->common.n_operands > 0 && selects(&args->select)) {
        return vf_cli_misuse(cli, err, "VMs are either named or selected by options, not both");
    }
    if (args->target_name && args->common.n_operands != 1) {
        return vf_cli_misuse(cli, err,
                             "\"--target-name\" goes with one VM, which is named as operand");
    }
    if (args->warm && import->target == VF_TO_UPLOAD) {
        return vf_cli_misuse(cli, err,
                             "\"--warm\" goes with --to pvc or --to dir:PATH, since an "
                             "upload is written once");
    }
    return vf_option_fits(cli, fits, VF_COUNT(fits), err);
}

/* Without --to the source alone is judged, as for a directory. */
static int fill(struct vf_cli *cli, const struct check_args *args, struct vf_mapping *mapping,
                struct vf_import_options *import, struct vf_check_options *check,
                struct vf_error **err)
{
    static const struct vf_disk_args no_disk = {0};
    *import = (struct vf_import_options){
        .kind = VF_IMPORT_VSPHERE,
        .target = VF_TO_DIR,
        .name = args->target_name,
        .namespace_name = args->cluster.namespace_name,
        .cluster = {.where = vf_cluster_options_of(&args->cluster)},
    };
    *check = (struct vf_check_options){.import = import,
                                       .warm = args->warm,
                                       .allow_stun = args->allow_stun,
                                       .hard_power_off = args->hard_power_off,
                                       .probe = probes[args->probe]};
    int rc = args->to ? vf_target_pick(cli, args->to, "dir:PATH, upload or pvc", import, err) : 0;
    rc = rc ? rc : check_fits(cli, args, import, err);
    rc = rc ? rc : vf_target_apply(cli, &no_disk, &args->landing, import, err);
    rc = rc ? rc : vf_upload_apply(cli, &args->upload, import, err);
    rc = rc ? rc : vf_transport_resolve(cli, &args->transport, import, &check->transport, err);
    rc = rc ? rc : vf_check_ids(cli, (const char *const *)args->skip, err);
    return rc ? rc : vf_mapping_apply(cli, &args->mapping, mapping, import, err);
}

/* A selection that nothing matches is no clean one. */
static int check_selection(const struct check_args *args, const struct vf_preflight *p,
                           struct vf_error **err)
{
    const char *missing =
        vf_near_first_missing((const char *const *)args->select.names, p->vms, p->n_vms);
    if (missing && !args->select.folders && !args->select.tags && !args->select.powers) {
        return vf_near_set_error(err, missing, p->vms, p->n_vms);
    }
    if (p->n_vms == 0) {
        vf_error_set(err, VF_MISSING, "no VM matches, so that nothing was checked");
        vf_error_hint(err, "\"vmferry inventory\" lists the VMs that this account sees");
        return VF_MISSING;
    }
    return 0;
}

static int put(struct vf_cli *cli, const struct check_args *args, const struct vf_preflight *p,
               struct vf_error **err)
{
    if (args->output == OUTPUT_TABLE) {
        enum vf_severity least = args->least > 0 ? (enum vf_severity)(args->least - 1)
                                 : p->n_vms == 1 ? VF_INFORMATION
                                                 : VF_WARNING;
        char *vf_autofree text = vf_findings_print(p, least);
        return vf_cli_put(cli, text, err);
    }
    cJSON *tree = vf_findings_to_json(p);
    int rc = vf_cli_put_tree(cli, tree, args->output == OUTPUT_YAML, err);
    cJSON_Delete(tree);
    return rc;
}

static int put_rules(struct vf_cli *cli, const struct check_args *args, struct vf_error **err)
{
    if (args->output == OUTPUT_TABLE) {
        char *vf_autofree text = vf_rules_print_table();
        return vf_cli_put(cli, text, err);
    }
    cJSON *tree = vf_rules_to_json();
    int rc = vf_cli_put_tree(cli, tree, args->output == OUTPUT_YAML, err);
    cJSON_Delete(tree);
    return rc;
}

static int judge(struct vf_cli *cli, const struct check_args *args,
                 const struct vf_check_options *check, struct vf_error **err)
{
    struct vf_vm_query query = vf_select_query_of(&args->select);
    const struct vf_preflight_options options = {
        .check = *check,
        .query = &query,
        .vms = args->common.n_operands > 0 ? args->common.operands : NULL,
        .skip = (const char *const *)args->skip,
    };
    const struct vf_progress_args quiet = {.mode = VF_PROGRESS_NONE};
    struct vf_reporter *reporter = NULL;
    struct vf_preflight p = {0};
    int rc = vf_progress_open(cli, &quiet, args->common.debug, &reporter, err);
    rc = rc ? rc : vf_preflight_run(&options, reporter, cli->cancel, &p, err);
    vf_reporter_free(reporter);
    rc = rc ? rc : check_selection(args, &p, err);
    rc = rc ? rc : put(cli, args, &p, err);
    if (rc == 0) {
        cli->verdict = p.counts[VF_CRITICAL]                  ? STATUS_CRITICAL
                       : p.counts[VF_WARNING] && args->strict ? STATUS_WARNINGS
                                                              : VF_EXIT_GOOD;
    }
    vf_preflight_release(&p);
    return rc;
}

static int run_check(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct check_args *args = opaque;
    struct vf_import_options import;
    struct vf_check_options check;
    struct vf_mapping mapping = {0};
    struct vf_secret *password = NULL;
    cli->failure = STATUS_NOT_CHECKED;
    if (args->list_rules) {
        return put_rules(cli, args, err);
    }
    int rc = fill(cli, args, &mapping, &import, &check, err);
    rc = rc ? rc
            : vf_connect_resolve(cli, &args->login, &args->trust, &import.vsphere, &password, err);
    if (rc == 0) {
        check.transport.password = password;
        rc = judge(cli, args, &check, err);
    }
    vf_mapping_release(&mapping);
    vf_secret_free(password);
    return rc;
}

static const struct vf_option what_options[] = {
    {.name = "to",
     .kind = VF_OPTION_STRING,
     .value = "TARGET",
     .help = "as of the import that is planned: dir:PATH, upload or pvc; the target is looked at, "
             "too. Without it the source alone is",
     .offset = offsetof(struct check_args, to),
     .complete = VF_COMPLETE_TARGET},
    {.name = "target-name",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "what the VM is to be called, as by --name of the import; of one VM",
     .offset = offsetof(struct check_args, target_name)},
    {.name = "warm",
     .kind = VF_OPTION_FLAG,
     .help = "for \"vmferry migrate --warm\"",
     .offset = offsetof(struct check_args, warm)},
    {.name = "allow-stun",
     .kind = VF_OPTION_FLAG,
     .help = "warm: as of the migration that is planned",
     .offset = offsetof(struct check_args, allow_stun)},
    {.name = "hard-power-off",
     .kind = VF_OPTION_FLAG,
     .help = "warm: as of the migration that is planned",
     .offset = offsetof(struct check_args, hard_power_off)},
    {.name = "probe",
     .kind = VF_OPTION_CHOICE,
     .value = "HOW",
     .help = "what is tried out. light: names and ports of hosts, a read and a lease of a VM that "
             "is off, one for each host and datastore; full: of a running VM a snapshot is taken, "
             "read and removed",
     .choices = probe_names,
     .offset = offsetof(struct check_args, probe)},
    {.name = "skip-check",
     .kind = VF_OPTION_LIST,
     .value = "ID",
     .help = "do not judge by this rule",
     .offset = offsetof(struct check_args, skip)},
    {.name = "strict",
     .kind = VF_OPTION_FLAG,
     .help = "status 1 when there are warnings",
     .offset = offsetof(struct check_args, strict)},
    {.name = "list-rules",
     .kind = VF_OPTION_FLAG,
     .help = "show what is judged by, and nothing else",
     .offset = offsetof(struct check_args, list_rules)},
};

static const struct vf_option output_options[] = {
    {.name = "output",
     .letter = 'o',
     .kind = VF_OPTION_CHOICE,
     .value = "FORMAT",
     .help = "form of the result",
     .choices = outputs,
     .offset = offsetof(struct check_args, output)},
    {.name = "least",
     .kind = VF_OPTION_CHOICE,
     .value = "SEVERITY",
     .help = "table: show what is at least so grave; auto is information of one VM, warning of "
             "several",
     .choices = least_names,
     .offset = offsetof(struct check_args, least)},
};

static const struct vf_option_group groups[] = {
    {.title = "What to check", .options = what_options, .n_options = VF_COUNT(what_options)},
    VF_SELECT_GROUP(struct check_args, select),
    {.title = "Output", .options = output_options, .n_options = VF_COUNT(output_options)},
    VF_LOGIN_GROUP(struct check_args, login),
    VF_TRUST_GROUP(struct check_args, trust),
    VF_TRANSPORT_GROUP(struct check_args, transport),
    VF_MAPPING_GROUP(struct check_args, mapping),
    VF_CLUSTER_GROUP(struct check_args, cluster),
    VF_LANDING_GROUP(struct check_args, landing),
    VF_UPLOAD_GROUP(struct check_args, upload),
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_check = {
    .name = "check",
    .summary = "find every reason why a VM would not arrive, or not as it was",
    .operands = "[VM]...",
    .max_operands = MAX_OPERANDS,
    .details =
        "VMs go by name, path (/DC0/vm/prod/web01) or reference (vm-42); or they are selected; "
        "without either all are checked. Give the options of the import or the migration that is "
        "planned: what is found depends on them. Nothing is changed at the source or in the "
        "cluster, but for the snapshot of --probe full. The same rules are judged before every "
        "copy.\n\n"
        "Severity: critical, the copy would fail or lose something, and is not begun; warning, the "
        "VM will run but not as before, or something may go wrong; information.\n\n"
        "Exit status: 0, nothing critical; 1, warnings, with --strict only; 2, something critical, "
        "or (with nothing on standard output) a command line that makes no sense; 3, it could not "
        "be checked: no login, no such VM.\n\n"
        "JSON and YAML have \"vms\", a list of objects with \"name\", \"reference\", \"folder\", "
        "\"target_name\", \"severity\" (of the gravest finding; none), \"findings\" and "
        "\"estimate\" (\"bytes\", \"bytes_per_s\", \"measured\", \"copy_s\", \"downtime_s\"); "
        "\"findings\" that are of no single VM; and \"summary\". A finding has \"id\", "
        "\"severity\", \"area\" (VM, source, path, target, mapping), \"message\", \"action\" and, "
        "where it is of a part of the VM, \"object\".",
    .examples = "  vmferry check web01 --to upload --namespace prod\n"
                "  vmferry check --folder /DC0/vm/prod --to pvc --namespace prod --warm --strict\n"
                "  vmferry check --tag wave-1 -o json | jq -r '.vms[] | select(.severity == "
                "\"critical\") | "
                ".name'\n"
                "  vmferry check --list-rules\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct check_args),
    .left_behind = "what may be left behind of --probe full: a snapshot of a VM whose name begins "
                   "with \"vmferry\"",
    .run = run_check,
};
