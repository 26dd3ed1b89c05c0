/* Options by which a person decides how a VM is mapped: a mapping file, and over it single ones.
 * They are called as the fields of the file are, with dashes (converters/vm/mapping_fields.c).
 */
#ifndef JOBS_CLI_MAPPING_ARGS_H
#define JOBS_CLI_MAPPING_ARGS_H

#include <stdbool.h>

#include "converters/vm/mapping.h"
#include "jobs/cli/command.h"
#include "jobs/import.h"

struct vf_mapping_args {
    const char *mapping, *template_file, *os_table; /* files */
    const char *storage_class, *volume_mode, *access_mode, *disk_bus, *rdm, *cdrom;
    const char **storage, **disks, **isos;
    const char *nic_model, *addresses;
    const char **networks;
    const char *cpu_model, *nested, *hugepages, *resources, *hot_plug;
    bool dedicated_cpus, numa;
    const char *os, *preference, *instancetype, *timezone, *tpm, *persistent_efi, *secure_boot;
    const char **labels, **annotations;
    bool no_tags;
};
#define VF_N_MAPPING_OPTIONS 32
extern const struct vf_option vf_mapping_options[VF_N_MAPPING_OPTIONS];

/* For a command's table of groups; `type` is its argument struct with the member named. */
#define VF_MAPPING_GROUP(type, member)                                                             \
    {                                                                                              \
        .title = "Mapping", .options = vf_mapping_options, .n_options = VF_N_MAPPING_OPTIONS,      \
        .offset = offsetof(type, member)                                                           \
    }

/* The mapping file, if there is one, then what the other options tell: a value takes the place of
 * the file's, rules of disks, datastores, networks and drives go before the file's. Reads files.
 * Misuse, with the option's name or with file, line and column. `mapping` (all-zero, or to be laid
 * over) is the caller's to release in any case; options->mapping borrows it. */
int vf_mapping_apply(struct vf_cli *cli, const struct vf_mapping_args *args,
                     struct vf_mapping *mapping, struct vf_import_options *options,
                     struct vf_error **err);

#endif
