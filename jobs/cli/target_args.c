#include "jobs/cli/target_args.h"

#include <string.h>

/* The first of each stands for "not given"; the order of formats is that of enum vf_format, that of
 * handovers that of enum vf_import_handover. */
static const char *const formats[] = {"auto", "raw", "qcow2", NULL};
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
    c->start = landing->start;
    c->handover = (enum vf_import_handover)landing->handover;
    c->worker_image = landing->worker_image;
    c->worker_account = landing->worker_account;

    const struct vf_option_fit fits[] = {
        {disk->format != VF_FORMAT_AUTO, dir, "format", "--to dir:PATH"},
        {disk->overwrite, dir, "overwrite", "--to dir:PATH"},
        {c->start, !dir, "start", cluster},
        {c->handover != VF_IMPORT_ADOPT, !dir, "handover", cluster},
        {c->worker_image != NULL, launch, "worker-image", "--to pvc"},
        {c->worker_account != NULL, launch, "worker-account", "--to pvc"},
    };
    return vf_option_fits(cli, fits, VF_COUNT(fits), err);
}
