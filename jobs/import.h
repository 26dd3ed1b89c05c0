/* `vmferry import`: one VM, cold or as of a snapshot, into a directory. One pass, nothing staged.
 *
 * Order of things: look (login, find, check), reserve the target, snapshot (running VM only),
 * export lease, copy of all disks in parallel, finish of every image, lease completed, snapshot
 * removed, record and manifests written, images renamed to their final names. Whatever fails or
 * cancels on the way: the lease is aborted, the snapshot removed, and no file keeps a final name.
 */
#ifndef JOBS_IMPORT_H
#define JOBS_IMPORT_H

#include <stdbool.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>

#include "converters/disk/image_format.h"
#include "importer/vsphere/vsphere.h"

enum vf_import_kind { VF_IMPORT_VSPHERE, VF_IMPORT_OVA, VF_IMPORT_OVF, VF_IMPORT_VMDK };

struct vf_import_options {
    enum vf_import_kind kind;
    struct vf_vsphere_options vsphere; /* kind VSPHERE */
    const char *vm;                    /* name, or moref "vm-42"; kind VSPHERE */
    const char *path;                  /* file, http(s) URL or "-" (OVA only); the other kinds */
    const char *name;            /* name of the VM for VMDK, or to override; NULL: the source's */
    struct vf_http_options http; /* for a URL */

    const char *to; /* "dir:PATH" */
    enum vf_format format;
    bool overwrite;          /* replace an earlier import of this directory */
    bool no_quiesce;         /* do not even ask the guest to freeze */
    unsigned parallel_disks; /* 0: 4 */
    unsigned threads;        /* inflating threads for all disks together; 0: vf_pool_new decides */

    const char *namespace_name; /* for the manifests; NULL: none written in */
    const char *storage_class;  /* NULL: the cluster's default */
};

/* *ret_dir (may be NULL): where the result is, owned by the caller. `reporter` and `cancel` may be
 * NULL. Errors: any code; the text names VM and disk. */
int vf_import_run(const struct vf_import_options *options, struct vf_reporter *reporter,
                  struct vf_cancel *cancel, char **ret_dir, struct vf_error **err);

#endif
