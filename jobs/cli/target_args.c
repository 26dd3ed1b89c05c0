#include "jobs/cli/target_args.h"

#include <string.h>

#include "converters/vm/network_map.h"

/* The first of each stands for "not given"; the order of formats is that of enum vf_format, that of
 * handovers that of enum vf_import_handover. */
static const char *const formats[] = {"auto", "raw", "qcow2", NULL};
static const char *const disk_buses[] = {"virtio", "sata", "scsi", NULL};
static const char *const volume_modes[] = {"auto", "Block", "Filesystem", NULL};
static const char *const access_modes[] = {"auto", "ReadWriteOnce", "ReadWriteMany",
                                           "ReadWriteOncePod", NULL};
static const char *const handovers[] = {"adopt", "claim", NULL};

const struct vf_option vf_disk_options[VF_N_DISK_OPTIONS] = {
    {.name = "format",
     .kind = VF_OPTION_CHOICE,
     .value = "FORMAT",
     .help = "of the disks; auto is raw",
     .choices = formats,
     .offset = offsetof(struct vf_disk_args, format)},
    {.name = "overwrite",
     .kind = VF_OPTION_FLAG,
     .help = "replace an earlier import in that directory",
     .offset = offsetof(struct vf_disk_args, overwrite)},
    {.name = "parallel-disks",
     .kind = VF_OPTION_NUMBER,
     .value = "N",
     .help = "disks that are copied at the same time; 4 unless said otherwise",
     .min = 1,
     .max = 64,
     .offset = offsetof(struct vf_disk_args, parallel_disks)},
    {.name = "threads",
     .kind = VF_OPTION_NUMBER,
     .value = "N",
     .help = "threads that inflate, for all disks together; one a core and two more unless said "
             "otherwise, with pvc 4",
     .min = 1,
     .max = 256,
     .offset = offsetof(struct vf_disk_args, threads)},
    {.name = "storage-class",
     .kind = VF_OPTION_STRING,
     .value = "CLASS",
     .help = "of the claims; the cluster's default otherwise",
     .offset = offsetof(struct vf_disk_args, storage_class)},
    {.name = "disk-bus",
     .kind = VF_OPTION_CHOICE,
     .value = "BUS",
     .help = "that the guest finds its disks on; virtio unless said otherwise",
     .choices = disk_buses,
     .offset = offsetof(struct vf_disk_args, disk_bus)},
    {.name = "network",
     .kind = VF_OPTION_LIST,
     .value = "SOURCE=WHERE",
     .help = "NICs on the source's network SOURCE (or the NIC with that MAC address) go to: pod, "
             "the pod network; [NAMESPACE/]NAME, a NetworkAttachmentDefinition; or ignore. Else "
             "the first NIC goes to the pod network, others to an attachment named as their "
             "network is",
     .offset = offsetof(struct vf_disk_args, networks)},
};

const struct vf_option vf_landing_options[VF_N_LANDING_OPTIONS] = {
    {.name = "start",
     .kind = VF_OPTION_FLAG,
     .help = "start the VM when it is there, and wait until it runs; else it stays halted",
     .offset = offsetof(struct vf_landing_args, start)},
    {.name = "handover",
     .kind = VF_OPTION_CHOICE,
     .value = "HOW",
     .help = "adopt: the VM owns its disks, which are deleted with it; claim: nobody owns them",
     .choices = handovers,
     .offset = offsetof(struct vf_landing_args, handover)},
    {.name = "volume-mode",
     .kind = VF_OPTION_CHOICE,
     .value = "MODE",
     .help = "of the claims; auto is what the storage prefers",
     .choices = volume_modes,
     .offset = offsetof(struct vf_landing_args, volume_mode)},
    {.name = "access-mode",
     .kind = VF_OPTION_CHOICE,
     .value = "MODE",
     .help = "of the claims; auto is what the storage prefers",
     .choices = access_modes,
     .offset = offsetof(struct vf_landing_args, access_mode)},
    {.name = "worker-image",
     .kind = VF_OPTION_STRING,
     .value = "IMAGE",
     .help = "pvc: container image with vmferry for the Job; else from VMFERRY_WORKER_IMAGE",
     .offset = offsetof(struct vf_landing_args, worker_image)},
    {.name = "worker-account",
     .kind = VF_OPTION_STRING,
     .value = "NAME",
     .help = "pvc: service account of the Job; unless said otherwise vmferry-worker, which "
             "deploy/rbac.yaml makes",
     .offset = offsetof(struct vf_landing_args, worker_account)},
};

int vf_target_pick(struct vf_cli *cli, const char *to, const char *words,
                   struct vf_import_options *options, struct vf_error **err)
{
    if (!to) {
        return vf_cli_misuse(cli, err, "option \"--to\" is missing: %s", words);
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
        return vf_cli_misuse(cli, err, "option \"--to\" wants %s", words);
    }
    return 0;
}

int vf_option_fits(struct vf_cli *cli, const struct vf_option_fit *fits, size_t n,
                   struct vf_error **err)
{
    for (size_t i = 0; i < n; i++) {
        if (fits[i].given && !fits[i].fits) {
            return vf_cli_misuse(cli, err, "option \"--%s\" goes with %s only", fits[i].name,
                                 fits[i].where);
        }
    }
    return 0;
}

static const char *choice(const char *const *choices, int index)
{
    return index > 0 ? choices[index] : NULL;
}

static int check_networks(struct vf_cli *cli, const char *const *rules, struct vf_error **err)
{
    struct vf_network_map map = {0};
    int rc = 0;
    for (; rules && *rules && rc == 0; rules++) {
        rc = vf_network_map_add(&map, *rules, err);
    }
    vf_network_map_release(&map);
    cli->misuse |= rc != 0;
    return rc;
}

int vf_target_apply(struct vf_cli *cli, const struct vf_disk_args *disk,
                    const struct vf_landing_args *landing, struct vf_import_options *options,
                    struct vf_error **err)
{
    static const char cluster[] = "a target in a cluster";
    bool dir = options->target == VF_TO_DIR;
    bool launch = options->target == VF_TO_CLAIM && !options->to_path;
    struct vf_import_cluster *c = &options->cluster;

    options->format = (enum vf_format)disk->format;
    options->overwrite = disk->overwrite;
    options->parallel_disks = disk->parallel_disks;
    options->threads = disk->threads;
    options->storage_class = disk->storage_class;
    options->disk_bus = choice(disk_buses, disk->disk_bus);
    options->networks = (const char *const *)disk->networks;
    c->start = landing->start;
    c->handover = (enum vf_import_handover)landing->handover;
    c->volume_mode = choice(volume_modes, landing->volume_mode);
    c->access_mode = choice(access_modes, landing->access_mode);
    c->worker_image = landing->worker_image;
    c->worker_account = landing->worker_account;

    const struct vf_option_fit fits[] = {
        {disk->format != VF_FORMAT_AUTO, dir, "format", "--to dir:PATH"},
        {disk->overwrite, dir, "overwrite", "--to dir:PATH"},
        {c->start, !dir, "start", cluster},
        {c->volume_mode != NULL, !dir, "volume-mode", cluster},
        {c->access_mode != NULL, !dir, "access-mode", cluster},
        {c->handover != VF_IMPORT_ADOPT, !dir, "handover", cluster},
        {c->worker_image != NULL, launch, "worker-image", "--to pvc"},
        {c->worker_account != NULL, launch, "worker-account", "--to pvc"},
    };
    int rc = vf_option_fits(cli, fits, VF_COUNT(fits), err);
    return rc ? rc : check_networks(cli, options->networks, err);
}
