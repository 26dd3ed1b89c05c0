#include <stdlib.h>
#include <string.h>

#include "converters/vm/network_map.h"
#include "importer/base/mem.h"
#include "importer/base/yaml.h"
#include "jobs/cli/cluster_args.h"
#include "jobs/cli/commands.h"
#include "jobs/cli/connect.h"
#include "jobs/cli/output.h"
#include "jobs/cli/progress.h"
#include "jobs/import.h"

struct import_args {
    struct vf_common_args common;
    struct vf_login_args login;
    struct vf_trust_args trust;
    struct vf_progress_args progress;
    struct vf_cluster_args cluster;
    const char *vm, *ova, *ovf, *vmdk, *name;
    const char *to;
    int format; /* enum vf_format */
    bool overwrite, no_quiesce;
    unsigned parallel_disks, threads;
    const char *storage_class;
    int disk_bus;
    const char **networks;
    /* Of a target in a cluster. */
    int dry_run, volume_mode, access_mode, handover, upload_coding;
    bool start, bind_immediately;
    const char *upload_proxy, *upload_ca_file, *upload_thumbprint;
    bool upload_insecure;
    const char *worker_image, *worker_account;
};

/* The first of each stands for "not given"; the order of formats is that of enum vf_format, that of
 * handovers that of enum vf_import_handover. */
static const char *const formats[] = {"auto", "raw", "qcow2", NULL};
static const char *const disk_buses[] = {"virtio", "sata", "scsi", NULL};
static const char *const volume_modes[] = {"auto", "Block", "Filesystem", NULL};
static const char *const access_modes[] = {"auto", "ReadWriteOnce", "ReadWriteMany",
                                           "ReadWriteOncePod", NULL};
static const char *const handovers[] = {"adopt", "claim", NULL};
static const char *const codings[] = {"auto", "gzip", "zstd", NULL}; /* enum vf_import_coding */
static const char *const dry_runs[] = {"none", "server", NULL};

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

/* "dir:PATH", "upload", "pvc" or "pvc:PATH". */
static int pick_target(struct vf_cli *cli, const char *to, struct vf_import_options *options,
                       struct vf_error **err)
{
    if (!to) {
        return vf_cli_misuse(cli, err, "option \"--to\" is missing: dir:PATH, upload or pvc");
    }
    if (strncmp(to, "dir:", 4) == 0 && to[4]) {
        options->target = VF_TO_DIR;
        options->to_path = to + 4;
    } else if (strcmp(to, "upload") == 0) {
        options->target = VF_TO_UPLOAD;
    } else if (strcmp(to, "pvc") == 0 || (strncmp(to, "pvc:", 4) == 0 && to[4])) {
        options->target = VF_TO_CLAIM;
        options->to_path = to[3] ? to + 4 : NULL;
    } else {
        return vf_cli_misuse(cli, err, "option \"--to\" wants dir:PATH, upload or pvc");
    }
    return 0;
}

/* Options that one kind of target has and the others have not. */
static int check_target(struct vf_cli *cli, const struct import_args *args,
                        const struct vf_import_options *options, struct vf_error **err)
{
    const struct vf_import_cluster *c = &options->cluster;
    bool dir = options->target == VF_TO_DIR, upload = options->target == VF_TO_UPLOAD;
    bool launch = options->target == VF_TO_CLAIM && !options->to_path;
    const struct {
        bool given, fits;
        const char *name, *where;
    } options_of[] = {
        {args->format != VF_FORMAT_AUTO, dir, "format", "--to dir:PATH"},
        {args->overwrite, dir, "overwrite", "--to dir:PATH"},
        {args->cluster.kubeconfig != NULL, !dir, "kubeconfig", "--to upload or --to pvc"},
        {args->cluster.context != NULL, !dir, "context", "--to upload or --to pvc"},
        {args->cluster.timeout_s != 0, !dir, "cluster-timeout", "--to upload or --to pvc"},
        {c->start, !dir, "start", "--to upload or --to pvc"},
        {c->dry_run, !dir, "dry-run", "--to upload or --to pvc"},
        {c->volume_mode != NULL, !dir, "volume-mode", "--to upload or --to pvc"},
        {c->access_mode != NULL, !dir, "access-mode", "--to upload or --to pvc"},
        {args->handover != VF_IMPORT_ADOPT, !dir, "handover", "--to upload or --to pvc"},
        {c->bind_immediately, upload, "bind-immediately", "--to upload"},
        {c->proxy_url != NULL, upload, "upload-proxy", "--to upload"},
        {args->upload_coding != VF_IMPORT_CODING_AUTO, upload, "upload-coding", "--to upload"},
        {args->upload_ca_file != NULL, upload, "upload-ca-file", "--to upload"},
        {args->upload_thumbprint != NULL, upload, "upload-thumbprint", "--to upload"},
        {args->upload_insecure, upload, "upload-insecure-skip-verify", "--to upload"},
        {args->worker_image != NULL, launch, "worker-image", "--to pvc"},
        {args->worker_account != NULL, launch, "worker-account", "--to pvc"},
    };
    for (size_t i = 0; i < VF_COUNT(options_of); i++) {
        if (options_of[i].given && !options_of[i].fits) {
            return vf_cli_misuse(cli, err, "option \"--%s\" goes with %s only", options_of[i].name,
                                 options_of[i].where);
        }
    }
    if (c->dry_run && args->progress.mode == VF_PROGRESS_JSON) {
        return vf_cli_misuse(cli, err,
                             "options \"--dry-run\" and \"--progress\" json contradict each other: "
                             "both write to standard output");
    }
    return 0;
}

static int resolve_proxy(struct vf_cli *cli, const struct import_args *args,
                         struct vf_import_cluster *cluster, struct vf_error **err)
{
    struct vf_trust_args trust = {.ca_file = args->upload_ca_file,
                                  .thumbprint = args->upload_thumbprint,
                                  .insecure = args->upload_insecure,
                                  .prefix = "upload-"};
    int rc = args->upload_proxy
                 ? vf_connect_check_url(cli, "option \"--upload-proxy\"", args->upload_proxy, err)
                 : 0;
    return rc ? rc : vf_trust_resolve(cli, &trust, &cluster->proxy_http, err);
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

static const char *choice(const char *const *choices, int index)
{
    return index > 0 ? choices[index] : NULL;
}

static struct vf_import_options options_of(const struct import_args *args)
{
    return (struct vf_import_options){
        .name = args->name,
        .format = (enum vf_format)args->format,
        .overwrite = args->overwrite,
        .no_quiesce = args->no_quiesce,
        .parallel_disks = args->parallel_disks,
        .threads = args->threads,
        .namespace_name = args->cluster.namespace_name,
        .storage_class = args->storage_class,
        .disk_bus = choice(disk_buses, args->disk_bus),
        .networks = (const char *const *)args->networks,
        .cluster = {.where = vf_cluster_options_of(&args->cluster),
                    .volume_mode = choice(volume_modes, args->volume_mode),
                    .access_mode = choice(access_modes, args->access_mode),
                    .bind_immediately = args->bind_immediately,
                    .handover = (enum vf_import_handover)args->handover,
                    .start = args->start,
                    .dry_run = args->dry_run > 0,
                    .proxy_url = args->upload_proxy,
                    .coding = (enum vf_import_coding)args->upload_coding,
                    .worker_image = args->worker_image,
                    .worker_account = args->worker_account},
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

static int check_networks(struct vf_cli *cli, const struct import_args *args, struct vf_error **err)
{
    struct vf_network_map map = {0};
    int rc = 0;
    for (const char **rule = args->networks; rule && *rule && rc == 0; rule++) {
        rc = vf_network_map_add(&map, *rule, err);
    }
    vf_network_map_release(&map);
    cli->misuse |= rc != 0;
    return rc;
}

static int run_import(struct vf_cli *cli, const void *opaque, struct vf_error **err)
{
    const struct import_args *args = opaque;
    struct vf_import_options options = options_of(args);
    struct vf_secret *password = NULL;
    struct vf_reporter *reporter = NULL;
    cJSON *documents = NULL;

    int rc = pick_kind(cli, args, &options, err);
    rc = rc ? rc : pick_target(cli, args->to, &options, err);
    rc = rc ? rc : check_target(cli, args, &options, err);
    rc = rc ? rc : check_networks(cli, args, err);
    rc = rc ? rc : resolve_proxy(cli, args, &options.cluster, err);
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
             "otherwise, with pvc 4",
     .min = 1,
     .max = 256,
     .offset = offsetof(struct import_args, threads)},
    {.name = "storage-class",
     .kind = VF_OPTION_STRING,
     .value = "CLASS",
     .help = "of the claims; the cluster's default otherwise",
     .offset = offsetof(struct import_args, storage_class)},
    {.name = "disk-bus",
     .kind = VF_OPTION_CHOICE,
     .value = "BUS",
     .help = "that the guest finds its disks on; virtio unless said otherwise",
     .choices = disk_buses,
     .offset = offsetof(struct import_args, disk_bus)},
    {.name = "network",
     .kind = VF_OPTION_LIST,
     .value = "SOURCE=WHERE",
     .help = "NICs on the source's network SOURCE (or the NIC with that MAC address) go to: pod, "
             "the pod network; [NAMESPACE/]NAME, a NetworkAttachmentDefinition; or ignore. Else "
             "the first NIC goes to the pod network, others to an attachment named as their "
             "network is",
     .offset = offsetof(struct import_args, networks)},
};

static const struct vf_option cluster_options[] = {
    {.name = "start",
     .kind = VF_OPTION_FLAG,
     .help = "start the VM when it is there, and wait until it runs; else it stays halted",
     .offset = offsetof(struct import_args, start)},
    {.name = "dry-run",
     .kind = VF_OPTION_CHOICE,
     .value = "WHERE",
     .help = "server: have the API server and its webhooks check what would be made, print it, "
             "and make nothing",
     .choices = dry_runs,
     .offset = offsetof(struct import_args, dry_run)},
    {.name = "handover",
     .kind = VF_OPTION_CHOICE,
     .value = "HOW",
     .help = "adopt: the VM owns its disks, which are deleted with it; claim: nobody owns them",
     .choices = handovers,
     .offset = offsetof(struct import_args, handover)},
    {.name = "volume-mode",
     .kind = VF_OPTION_CHOICE,
     .value = "MODE",
     .help = "of the claims; auto is what the storage prefers",
     .choices = volume_modes,
     .offset = offsetof(struct import_args, volume_mode)},
    {.name = "access-mode",
     .kind = VF_OPTION_CHOICE,
     .value = "MODE",
     .help = "of the claims; auto is what the storage prefers",
     .choices = access_modes,
     .offset = offsetof(struct import_args, access_mode)},
    {.name = "bind-immediately",
     .kind = VF_OPTION_FLAG,
     .help = "upload: where the storage waits for the first consumer of a claim, have the volume "
             "made at once; it may be on a node where the VM cannot run",
     .offset = offsetof(struct import_args, bind_immediately)},
    {.name = "upload-proxy",
     .kind = VF_OPTION_STRING,
     .value = "URL",
     .help = "upload: of CDI's upload proxy; else as CDI publishes it",
     .offset = offsetof(struct import_args, upload_proxy)},
    {.name = "upload-ca-file",
     .kind = VF_OPTION_STRING,
     .value = "FILE",
     .help = "upload: PEM certificates to trust the proxy by; else CDI's own, else the system's",
     .offset = offsetof(struct import_args, upload_ca_file),
     .complete = VF_COMPLETE_FILE},
    {.name = "upload-thumbprint",
     .kind = VF_OPTION_STRING,
     .value = "HEX",
     .help = "upload: trust exactly the proxy's certificate with this SHA-1 or SHA-256",
     .offset = offsetof(struct import_args, upload_thumbprint)},
    {.name = "upload-insecure-skip-verify",
     .kind = VF_OPTION_FLAG,
     .help = "upload: trust any certificate of the proxy: whoever sits on the path can change the "
             "disk",
     .offset = offsetof(struct import_args, upload_insecure)},
    {.name = "upload-coding",
     .kind = VF_OPTION_CHOICE,
     .value = "CODING",
     .help = "upload: how a disk is compressed on its way; auto is zstd where the version of CDI "
             "can be read and is known to take it, else gzip, which costs thrice the CPU",
     .choices = codings,
     .offset = offsetof(struct import_args, upload_coding)},
    {.name = "worker-image",
     .kind = VF_OPTION_STRING,
     .value = "IMAGE",
     .help = "pvc: container image with vmferry for the Job; else from VMFERRY_WORKER_IMAGE",
     .offset = offsetof(struct import_args, worker_image)},
    {.name = "worker-account",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "pvc: service account of the Job; unless said otherwise vmferry-worker, which "
             "deploy/rbac.yaml makes",
     .offset = offsetof(struct import_args, worker_account)},
};

static const struct vf_option_group groups[] = {
    {.title = "What to import", .options = what_options, .n_options = VF_COUNT(what_options)},
    VF_LOGIN_GROUP(struct import_args, login),
    VF_TRUST_GROUP(struct import_args, trust),
    {.title = "Target", .options = target_options, .n_options = VF_COUNT(target_options)},
    VF_CLUSTER_GROUP(struct import_args, cluster),
    {.title = "Target in a cluster",
     .options = cluster_options,
     .n_options = VF_COUNT(cluster_options)},
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
