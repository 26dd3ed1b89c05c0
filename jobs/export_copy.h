/* All disks of an export lease into prepared images, in parallel, while the lease is kept alive by
 * the true progress of the copy.
 */
#ifndef JOBS_EXPORT_COPY_H
#define JOBS_EXPORT_COPY_H

#include <vmferry/cancel.h>
#include <vmferry/vm.h>

#include "importer/base/http.h"
#include "importer/vsphere/lease.h"
#include "jobs/disk_copy.h"

struct vf_export_copy {
    struct vf_vsphere *vs;
    struct vf_lease *lease;             /* ready */
    const struct vf_vm *vm;             /* what is exported: the frozen one for a snapshot */
    const struct vf_http_options *http; /* how vCenter is trusted: for a host without thumbprint */
    const struct vf_copy_env *env;
    struct vf_disk_copy *copies; /* one for each of vm->disks */
    unsigned parallel;           /* disks at once; 0: 4 */
    struct vf_cancel *cancel;    /* triggered on failure */
};

/* 0: every disk was read wholly and is durable. The lease stays open: complete or abort it. The
 * error names the disk; a lease that was lost is told as the cause. */
int vf_export_copy_run(const struct vf_export_copy *x, struct vf_error **err);

#endif
