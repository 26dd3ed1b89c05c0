#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/yaml.h"
#include "jobs/cli/check_args.h"
#include "jobs/cli/cluster_args.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/connect.h"
#include "jobs/cli/mapping_args.h"
#include "jobs/cli/output.h"
#include "jobs/cli/progress.h"
#include "jobs/cli/target_args.h"
#include "jobs/cli/upload_args.h"
#include "jobs/import.h"

struct import_args {
    struct vf_common_args common;
    struct vf_login_args login;
    struct vf_trust_args trust;
    struct vf_progress_args progress;
    struct vf_cluster_args cluster;
    struct vf_disk_args disk;
    struct vf_landing_args landing;
    struct vf_upload_args upload;
    struct vf_mapping_args mapping;
    struct vf_check_args check;
    const char *vm, *ova, *ovf, *vmdk, *name;
    const char *to;
    bool no_quiesce;
    int dry_run;
};

/* The first stands for "not given"; in the order of the enum. */
static const char *const dry_runs[] = {"none", "client", "server", NULL};
enum { DRY_RUN_NONE, DRY_RUN_CLIENT, DRY_RUN_SERVER };

/* What is imported: exactly one of --vm, --ova, --ovf, --vmdk. */
static int pick_kind(struct vf_cli *cli, const struct import_args *args,
                     struct vf_import_options *options, struct vf_error **err)
{
    const struct {
        const char *value;
        enum vf_import_kind kind;
    } kinds[] = {{args->vm, VF_IMPORT_VSPHERE},
                 {args->ova, VF_IMPORT_OVA},
                 {args->ovf, VF_IMPORT_OVF},
                 {args->vmdk, VF_IMPORT_VMDK}};
    size_t given = 0;
    for (size_t i = 0; i < VF_COUNT(kinds); i++) {
        if (kinds[i].value) {
            given++;
            options->kind = kinds[i].kind;
            options->path = kinds[i].value;
        }
    }
    if (given != 1) {
        return vf_cli_misuse(
            cli, err, "%s of \"--vm\", \"--ova\", \"--ovf\" and \"--vmdk\" says what to import",
            given ? "only one" : "one");
    }
    if (options->kind == VF_IMPORT_VSPHERE) {
        options->vm = options->path;
        options->path = NULL;
    } else if (args->login.source || args->login.user || args->login.password_file) {
        return vf_cli_misuse(cli, err,
                             "\"--source\", \"--user\" and \"--password-file\" go with "
                             "\"--vm\" only");
    }
    if (args->no_quiesce && options->kind != VF_IMPORT_VSPHERE) {
        return vf_cli_misuse(cli, err, "option \"--no-quiesce\" goes with \"--vm\" only");
    }
    if (options->path && strcmp(options->path, "-") == 0 && options->kind != VF_IMPORT_OVA) {
        return vf_cli_misuse(cli, err, "only an OVA can come from standard input");
    }
    return 0;
}

/* Options that one kind of target has and the others have not. */
static int check_target(struct vf_cli *cli, const struct import_args *args,
                        const struct vf_import_options *options, struct vf_error **err)
{
    static const char cluster[] = "a target in a cluster";
    const struct vf_import_cluster *c = &options->cluster;
    bool dir = options->target == VF_TO_DIR;
    const struct vf_option_fit fits[] = {
        {args->cluster.kubeconfig != NULL, !dir, "kubeconfig", cluster},
        {args->cluster.context != NULL, !dir, "context", cluster},
        {args->cluster.timeout_s != 0, !dir, "cluster-timeout", cluster},
        {c->dry_run, !dir, "dry-run server", cluster},
    };
    int rc = vf_option_fits(cli, fits, VF_COUNT(fits), err);
    if (rc == 0 && args->dry_run != DRY_RUN_NONE && args->progress.mode == VF_PROGRESS_JSON) {
        rc = vf_cli_misuse(cli, err,
                           "options \"--dry-run\" and \"--progress\" json contradict each other: "
                           "both write to standard output");
    }
    return rc;
}

static int resolve_source(struct vf_cli *cli, const struct import_args *args,
                          struct vf_import_options *options, struct vf_secret **ret_password,
                          struct vf_error **err)
{
    if (options->kind == VF_IMPORT_VSPHERE) {
        return vf_connect_resolve(cli, &args->login, &args->trust, &options->vsphere, ret_password,
                                  err);
    }
    int rc = vf_connect_check_url(cli, "the URL to import from", options->path, err);
    return rc ? rc : vf_trust_resolve(cli, &args->trust, &options->http, err);
}

static struct vf_import_options options_of(const struct import_args *args)
{
    return (struct vf_import_options){
        .name = args->name,
        .no_quiesce = args->no_quiesce,
        .dry_run = args->dry_run == DRY_RUN_CLIENT,
        .namespace_name = args->cluster.namespace_name,
        .cluster = {.where = vf_cluster_options_of(&args->cluster),
                    .dry_run = args->dry_run == DRY_RUN_SERVER},
    };
}

/* What the server checked, as it would be made. */
static int put_documents(struct vf_cli *cli, const cJSON *documents, struct vf_error **err)
{
    size_t n = (size_t)cJSON_GetArraySize(documents);
    const cJSON **list = vf_xcalloc(n, sizeof(const cJSON *));
    char *vf_autofree text = NULL;
    const cJSON *document;
    size_t i = 0;
    cJSON_ArrayForEach(document, documents)
    {
        list[i++] = document;
    }
    int rc = vf_yaml_print(list, n, &text, err);
    free(list);
    return rc ? rc : vf_cli_put(cli, text, err);
}

static int run_import(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct import_args *args = opaque;
    struct vf_import_options options = options_of(args);
    struct vf_secret *password = NULL;
    struct vf_reporter *reporter = NULL;
    cJSON *documents = NULL;
    struct vf_mapping mapping = {0};

    int rc = pick_kind(cli, args, &options, err);
    if (rc == 0 && !args->to && options.dry_run) {
        options.target = VF_TO_DIR; /* into which nothing is written */
    } else if (rc == 0) {
        rc = vf_target_pick(cli, args->to, "dir:PATH, upload or pvc", &options, err);
    }
    rc = rc ? rc : vf_target_apply(cli, &args->disk, &args->landing, &options, err);
    rc = rc ? rc : check_target(cli, args, &options, err);
    rc = rc ? rc : vf_upload_apply(cli, &args->upload, &options, err);
    rc = rc ? rc : vf_check_apply(cli, &args->check, &options, err);
    rc = rc ? rc : vf_mapping_apply(cli, &args->mapping, &mapping, &options, err);
    rc = rc ? rc : resolve_source(cli, args, &options, &password, err);
    rc = rc ? rc : vf_progress_open(cli, &args->progress, args->common.debug, &reporter, err);
    if (rc == 0) {
        rc = vf_import_run(&options, reporter, cli->cancel, &documents, err);
        vf_progress_close(reporter, rc, err);
    }
    if (rc == 0 && documents) {
        rc = put_documents(cli, documents, err);
    }
    cJSON_Delete(documents);
    vf_mapping_release(&mapping);
    vf_secret_free(password);
    return rc;
}

static const struct vf_option what_options[] = {
    {.name = "vm",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "a VM of --source, by its name or reference (vm-42); it may be running",
     .offset = offsetof(struct import_args, vm)},
    {.name = "ova",
     .kind = VF_OPTION_STRING,
     .value = "FILE",
     .help = "an OVA: file, http or https URL, or - for standard input",
     .offset = offsetof(struct import_args, ova),
     .complete = VF_COMPLETE_FILE},
    {.name = "ovf",
     .kind = VF_OPTION_STRING,
     .value = "FILE",
     .help = "an OVF descriptor with its files beside it",
     .offset = offsetof(struct import_args, ovf),
     .complete = VF_COMPLETE_FILE},
    {.name = "vmdk",
     .kind = VF_OPTION_STRING,
     .value = "FILE",
     .help = "one disk, without anything known about its VM",
     .offset = offsetof(struct import_args, vmdk),
     .complete = VF_COMPLETE_FILE},
    {.name = "name",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "what to call the VM, instead of the name it has",
     .offset = offsetof(struct import_args, name)},
    {.name = "no-quiesce",
     .kind = VF_OPTION_FLAG,
     .help = "do not ask the guest of a running VM to freeze its file systems",
     .offset = offsetof(struct import_args, no_quiesce)},
};

static const struct vf_option target_options[] = {
    {.name = "to",
     .kind = VF_OPTION_STRING,
     .value = "TARGET",
     .help = "dir:PATH, a directory for disks, manifests.yaml and vmferry.json; upload, into the "
             "cluster through CDI's upload proxy; pvc, into the cluster by a Job that mounts the "
             "claims (pvc:PATH: the claims are mounted here, as PATH/disk-0 and so on)",
     .offset = offsetof(struct import_args, to),
     .complete = VF_COMPLETE_TARGET},
    {.name = "dry-run",
     .kind = VF_OPTION_CHOICE,
     .value = "[WHERE]",
     .help =
         "print what would be made, and make nothing. client, which stands for --dry-run alone: "
         "nothing is asked but the source; server: the API server and its webhooks check it",
     .choices = dry_runs,
     .implied = "client",
     .offset = offsetof(struct import_args, dry_run)},
};

static const struct vf_option_group groups[] = {
    {.title = "What to import", .options = what_options, .n_options = VF_COUNT(what_options)},
    VF_LOGIN_GROUP(struct import_args, login),
    VF_TRUST_GROUP(struct import_args, trust),
    {.title = "Target", .options = target_options, .n_options = VF_COUNT(target_options)},
    VF_DISK_GROUP(struct import_args, disk),
    VF_MAPPING_GROUP(struct import_args, mapping),
    VF_CLUSTER_GROUP(struct import_args, cluster),
    VF_LANDING_GROUP(struct import_args, landing),
    VF_UPLOAD_GROUP(struct import_args, upload),
    VF_CHECK_GROUP(struct import_args, check),
    VF_PROGRESS_GROUP(struct import_args, progress),
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_import = {
    .name = "import",
    .summary = "copy a VM into a cluster, or into a directory with its manifests",
    .operands = "",
    .details =
        "A running VM is copied as it is at one moment: a snapshot is taken, exported and removed "
        "again. The VM itself is not changed. All disks are copied at the same time, in one pass. "
        "In a directory they get their final names, and in a cluster the VirtualMachine is made, "
        "only when all of them are complete.\n\n"
        "--to dir:PATH needs no cluster. --to upload works from wherever the cluster's API server "
        "and CDI's upload proxy can be reached. --to pvc has a Job in the cluster read the source, "
        "and gives it the password or the URL in a Secret that goes with the Job; it needs a "
        "container image with vmferry, and the service account and roles of deploy/rbac.yaml. When "
        "an import fails or is interrupted, what it made in the cluster is removed or named; the "
        "same command begins anew.\n\n"
        "With --progress json there is one JSON object a line on standard output. Its \"event\" is "
        "phase, warning, info, disk_start, progress, disk_end or result; with \"time\" (RFC 3339), "
        "\"vm\", \"message\" and, where they apply, \"phase\", \"disk\" (from 0), \"name\", "
        "\"done_bytes\", \"total_bytes\" (what the guest sees), \"data_bytes\" (written), "
        "\"source_bytes\" (read), \"rate\" (bytes a second), \"eta_s\", and \"code\" (ok, or the "
        "kind of the error) and \"hint\".",
    .examples =
        "  vmferry import --source https://vcenter.example --user administrator@vsphere.local \\\n"
        "      --vm web01 --to dir:/var/tmp/web01\n"
        "  vmferry import --ova https://images.example/web01.ova --to dir:web01 --format qcow2\n"
        "  vmferry import --vm web01 --to upload --namespace prod --dry-run server\n"
        "  vmferry import --vm web01 --to upload --namespace prod --start\n"
        "  vmferry import --vm web01 --to pvc --namespace prod \\\n"
        "      --worker-image registry.example/vmferry\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct import_args),
    .left_behind =
        "what may be left behind: images with the suffix .partial in the target directory; a "
        "snapshot of the VM whose name begins with \"vmferry\"; an export that keeps the VM "
        "locked until the host ends it, some minutes from now; in a cluster, DataVolumes, claims "
        "and a Job, which \"vmferry cleanup\" removes",

    .run = run_import,
};
