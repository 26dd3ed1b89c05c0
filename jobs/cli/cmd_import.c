#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/connect.h"
#include "jobs/cli/progress.h"
#include "jobs/import.h"

struct import_args {
    struct vf_common_args common;
    struct vf_login_args login;
    struct vf_trust_args trust;
    struct vf_progress_args progress;
    const char *vm, *ova, *ovf, *vmdk, *name;
    const char *to;
    int format; /* enum vf_format */
    bool overwrite, no_quiesce;
    unsigned parallel_disks, threads;
    const char *namespace_name, *storage_class;
};

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

static int check_target(struct vf_cli *cli, const char *to, struct vf_error **err)
{
    if (!to) {
        return vf_cli_misuse(cli, err, "option \"--to\" is missing: dir:PATH");
    }
    if (strncmp(to, "dir:", 4) != 0 || !to[4]) {
        return vf_cli_misuse(cli, err, "option \"--to\" wants dir:PATH");
    }
    return 0;
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

static int run_import(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct import_args *args = opaque;
    struct vf_import_options options = {
        .name = args->name,
        .to = args->to,
        .format = (enum vf_format)args->format,
        .overwrite = args->overwrite,
        .no_quiesce = args->no_quiesce,
        .parallel_disks = args->parallel_disks,
        .threads = args->threads,
        .namespace_name = args->namespace_name,
        .storage_class = args->storage_class,
    };
    struct vf_secret *password = NULL;
    struct vf_reporter *reporter = NULL;
    char *vf_autofree dir = NULL;

    int rc = pick_kind(cli, args, &options, err);
    rc = rc ? rc : check_target(cli, args->to, err);
    rc = rc ? rc : resolve_source(cli, args, &options, &password, err);
    rc = rc ? rc : vf_progress_open(cli, &args->progress, args->common.debug, &reporter, err);
    if (rc == 0) {
        rc = vf_import_run(&options, reporter, cli->cancel, &dir, err);
        vf_progress_close(reporter, rc, err);
    }
    vf_secret_free(password);
    return rc;
}

/* The order is that of enum vf_format. */
static const char *const formats[] = {"auto", "raw", "qcow2", NULL};

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
     .value = "dir:PATH",
     .help = "directory for disks, manifests.yaml and vmferry.json; made when it is not there",
     .offset = offsetof(struct import_args, to),
     .complete = VF_COMPLETE_TARGET},
    {.name = "format",
     .kind = VF_OPTION_CHOICE,
     .value = "FORMAT",
     .help = "of the disks; auto is raw",
     .choices = formats,
     .offset = offsetof(struct import_args, format)},
    {.name = "overwrite",
     .kind = VF_OPTION_FLAG,
     .help = "replace an earlier import in that directory",
     .offset = offsetof(struct import_args, overwrite)},
    {.name = "parallel-disks",
     .kind = VF_OPTION_NUMBER,
     .value = "N",
     .help = "disks that are copied at the same time; 4 unless said otherwise",
     .min = 1,
     .max = 64,
     .offset = offsetof(struct import_args, parallel_disks)},
    {.name = "threads",
     .kind = VF_OPTION_NUMBER,
     .value = "N",
     .help = "threads that inflate, for all disks together; one a core and two more unless said "
             "otherwise",
     .min = 1,
     .max = 256,
     .offset = offsetof(struct import_args, threads)},
    {.name = "namespace",
     .kind = VF_OPTION_STRING,
     .value = "NAMESPACE",
     .help = "for the manifests; none is written otherwise",
     .offset = offsetof(struct import_args, namespace_name)},
    {.name = "storage-class",
     .kind = VF_OPTION_STRING,
     .value = "CLASS",
     .help = "for the manifests; the cluster's default otherwise",
     .offset = offsetof(struct import_args, storage_class)},
};

static const struct vf_option_group groups[] = {
    {.title = "What to import", .options = what_options, .n_options = VF_COUNT(what_options)},
    VF_LOGIN_GROUP(struct import_args, login),
    VF_TRUST_GROUP(struct import_args, trust),
    {.title = "Target", .options = target_options, .n_options = VF_COUNT(target_options)},
    VF_PROGRESS_GROUP(struct import_args, progress),
    VF_COMMON_GROUP,
};

const struct vf_command vf_cmd_import = {
    .name = "import",
    .summary = "copy a VM's disks, and write its KubeVirt manifests beside them",
    .operands = "",
    .details =
        "A running VM is copied as it is at one moment: a snapshot is taken, exported and removed "
        "again. The VM itself is not changed. All disks are copied at the same time, in one pass, "
        "and get their final names only when all of them are complete.\n\n"
        "With --progress json there is one JSON object a line on standard output. Its \"event\" is "
        "phase, warning, info, disk_start, progress, disk_end or result; with \"time\" (RFC 3339), "
        "\"vm\", \"message\" and, where they apply, \"phase\", \"disk\" (from 0), \"name\", "
        "\"done_bytes\", \"total_bytes\" (what the guest sees), \"data_bytes\" (written), "
        "\"source_bytes\" (read), \"rate\" (bytes a second), \"eta_s\", and \"code\" (ok, or the "
        "kind of the error) and \"hint\".",
    .examples =
        "  vmferry import --source https://vcenter.example --user administrator@vsphere.local \\\n"
        "      --vm web01 --to dir:/var/tmp/web01\n"
        "  vmferry import --ova https://images.example/web01.ova --to dir:web01 --format qcow2\n",
    .groups = groups,
    .n_groups = VF_COUNT(groups),
    .args_size = sizeof(struct import_args),
    .left_behind =
        "what may be left behind: images with the suffix .partial in the target directory; a "
        "snapshot of the VM whose name begins with \"vmferry\"; an export that keeps the VM "
        "locked until the host ends it, some minutes from now",
    .run = run_import,
};
