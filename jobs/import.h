/* `vmferry import`: one VM, cold or as of a snapshot, into a directory or a cluster. One pass,
 * nothing staged.
 *
 * Order of things: look (login, find, check), prepare the target, snapshot (running VM only),
 * export lease, copy of all disks in parallel, finish of every disk, lease completed, snapshot
 * removed; then, in a directory, record and manifests written and images renamed to their final
 * names, or, in a cluster, the VirtualMachine made. Whatever fails or cancels on the way: the lease
 * is aborted, the snapshot removed, no file keeps a final name, and no VirtualMachine is made.
 */
#ifndef JOBS_IMPORT_H
#define JOBS_IMPORT_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>

#include "converters/disk/image_format.h"
#include "converters/vm/mapping.h"
#include "importer/vsphere/vsphere.h"
#include "jobs/cluster/cluster.h"

enum vf_import_kind { VF_IMPORT_VSPHERE, VF_IMPORT_OVA, VF_IMPORT_OVF, VF_IMPORT_VMDK };

enum vf_import_target {
    VF_TO_DIR,    /* a folder; needs no cluster */
    VF_TO_UPLOAD, /* through CDI's upload proxy */
    VF_TO_CLAIM,  /* claims that are mounted here, or by a Job that is made for it */
};

/* Who owns the disks in the end. */
enum vf_import_handover {
    VF_IMPORT_ADOPT, /* the VM: deleted with it */
    VF_IMPORT_CLAIM, /* nobody */
};

/* How a disk is compressed for an upload. */
enum vf_import_coding {
    VF_IMPORT_CODING_AUTO, /* zstd where CDI is known to take it, else gzip */
    VF_IMPORT_GZIP,
    VF_IMPORT_ZSTD,
};

/* Of an import into a cluster. */
struct vf_import_cluster {
    struct vf_cluster_options where;
    bool bind_immediately; /* on WaitForFirstConsumer */
    enum vf_import_handover handover;
    bool start;   /* else the VM stays halted */
    bool dry_run; /* have the server check what would be made, put it out, and stop */
    /* Target UPLOAD. */
    enum vf_import_coding coding;
    const char *proxy_url;             /* NULL: as CDI publishes it */
    struct vf_http_options proxy_http; /* how it is trusted; nothing set: by CDI's own bundle */
    /* Target CLAIM without a path: the Job that copies. */
    const char *worker_image;
    const char *worker_account; /* service account; NULL: "vmferry-worker" */
};

struct vf_import_options {
    enum vf_import_kind kind;
    struct vf_vsphere_options vsphere; /* kind VSPHERE */
    const char *vm;                    /* name, or moref "vm-42"; kind VSPHERE */
    const char *path;                  /* file, http(s) URL or "-" (OVA only); the other kinds */
    const char *name;            /* name of the VM for VMDK, or to override; NULL: the source's */
    struct vf_http_options http; /* for a URL */

    enum vf_import_target target;
    const char *to_path; /* DIR: the folder; CLAIM: where the claims are mounted, NULL: make a Job
                            that mounts them; else not looked at */
    enum vf_format format;
    bool overwrite;          /* replace an earlier import of this directory */
    bool no_quiesce;         /* do not even ask the guest to freeze */
    unsigned parallel_disks; /* 0: 4 */
    unsigned threads;        /* inflating threads for all disks together; 0: vf_pool_new decides */

    const struct vf_mapping *mapping; /* what a person decided about the VM to be; NULL: nothing */
    bool no_check;                    /* do not judge by preflight's rules before the copy */
    const char *const *skip_checks; /* IDs of rules not to judge by, NULL-terminated; may be NULL */
    bool dry_run;                   /* put out what would be made, ask no cluster, and stop */
    const char *namespace_name;     /* for the manifests; NULL: none written in */
    struct vf_import_cluster cluster;
};

/* The reporter's result event says where the VM landed. `reporter` and `cancel` may be NULL; so may
 * `ret_documents`, which a dry run sets to an array of what would be made. Errors: any code; the
 * text names VM and disk. */
int vf_import_run(const struct vf_import_options *options, struct vf_reporter *reporter,
                  struct vf_cancel *cancel, cJSON **ret_documents, struct vf_error **err);

#endif
