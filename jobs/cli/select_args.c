#include "jobs/cli/select_args.h"

static const char *const powers[] = {"on", "off", "suspended", NULL};

const struct vf_option vf_select_options[VF_N_SELECT_OPTIONS] = {
    {.name = "name",
     .kind = VF_OPTION_LIST,
     .value = "NAME",
     .help = "VMs of exactly this name",
     .offset = offsetof(struct vf_select_args, names)},
    {.name = "glob",
     .kind = VF_OPTION_LIST,
     .value = "PATTERN",
     .help = "VMs whose name matches, 'web*'",
     .offset = offsetof(struct vf_select_args, globs)},
    {.name = "folder",
     .kind = VF_OPTION_LIST,
     .value = "PATH",
     .help = "VMs in this folder or below it, /DC0/vm/prod",
     .offset = offsetof(struct vf_select_args, folders)},
    {.name = "tag",
     .kind = VF_OPTION_LIST,
     .value = "TAG",
     .help = "VMs with this tag: its name, or category/name",
     .offset = offsetof(struct vf_select_args, tags)},
    {.name = "power",
     .kind = VF_OPTION_LIST,
     .value = "STATE",
     .help = "VMs in this state",
     .choices = powers,
     .offset = offsetof(struct vf_select_args, powers)},
};

struct vf_vm_query vf_select_query_of(const struct vf_select_args *args)
{
    return (struct vf_vm_query){.names = (const char *const *)args->names,
                                .globs = (const char *const *)args->globs,
                                .folders = (const char *const *)args->folders,
                                .tags = (const char *const *)args->tags,
                                .powers = (const char *const *)args->powers};
}
