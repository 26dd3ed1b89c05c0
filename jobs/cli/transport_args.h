/* Options that choose how the disks of a VM are read. */
#ifndef JOBS_CLI_TRANSPORT_ARGS_H
#define JOBS_CLI_TRANSPORT_ARGS_H

#include "jobs/cli/command.h"
#include "jobs/import.h"
#include "jobs/migration/transport.h"

struct vf_transport_args {
    int transport; /* enum vf_transport_kind */
    const char *vddk_libdir, *vddk_thumbprint, *vddk_image, *nbdkit;
    unsigned connections;
};
#define VF_N_TRANSPORT_OPTIONS 6
extern const struct vf_option vf_transport_option_table[VF_N_TRANSPORT_OPTIONS];

/* For a command's table of groups; `type` is its argument struct with the member named. */
#define VF_TRANSPORT_GROUP(type, member)                                                           \
    {                                                                                              \
        .title = "Transport", .options = vf_transport_option_table,                                \
        .n_options = VF_N_TRANSPORT_OPTIONS, .offset = offsetof(type, member)                      \
    }

/* Misuse for what does not go together, or not with the target of `import`. Borrows from args; the
 * password is the caller's to add. */
int vf_transport_resolve(struct vf_cli *cli, const struct vf_transport_args *args,
                         const struct vf_import_options *import,
                         struct vf_transport_options *ret_transport, struct vf_error **err);

#endif
