/* The disks of an OVF package (an OVA read forward, or a folder) into images. */
#ifndef JOBS_PACKAGE_COPY_H
#define JOBS_PACKAGE_COPY_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/stream.h>

#include "converters/vm/ovf.h"
#include "jobs/disk_copy.h"

/* Called once the descriptor is known: may set disks aside, which are not read then, and gives an
 * array of ovf->vm.n_disks prepared copies (borrowed), in the order of ovf->vm.disks. Those that
 * are complete, by an earlier try, are not copied again, but compared: VF_CONFLICT when the package
 * is another one by now. */
typedef int vf_package_prepare_fn(void *opaque, struct vf_ovf *ovf,
                                  struct vf_disk_copy **ret_copies, struct vf_error **err);

struct vf_package_summary {
    bool has_manifest;
    bool has_certificate;
    unsigned n_checked; /* files whose digest agreed with the manifest */
};

/* Tell the listeners what was checked, and a package without manifest as a warning. */
void vf_package_report(const struct vf_package_summary *summary, const char *vm,
                       struct vf_reporter *reporter);

/* `in` is taken. Every disk is copied when this returns 0, and every digest of the manifest
 * compared; nothing is committed. *ret_ovf (owned by the caller) is set on success alone. */
int vf_package_copy_ova(struct vf_stream *in, const char *name, const struct vf_copy_env *env,
                        vf_package_prepare_fn *prepare, void *opaque, struct vf_cancel *cancel,
                        struct vf_ovf *ret_ovf, struct vf_package_summary *ret_summary,
                        struct vf_error **err);

/* The same for an .ovf file with its files beside it. */
int vf_package_copy_ovf(const char *path, const struct vf_copy_env *env,
                        vf_package_prepare_fn *prepare, void *opaque, struct vf_cancel *cancel,
                        struct vf_ovf *ret_ovf, struct vf_package_summary *ret_summary,
                        struct vf_error **err);

#endif
