/* `vmferry cleanup`: removes from a namespace what imports left there, and nothing else.
 *
 * What is looked at carries vmferry's labels. Of that are removed Jobs that ended, the Secrets of
 * Jobs, DataVolumes and claims that are not complete; with `complete` also complete ones; the
 * status of a warm migration whose disks are not kept. What a warm migration can go on with, and
 * the snapshots of it, only when forced. Left alone in any case: VirtualMachines; what has an owner
 * (but for the Secret of a Job, and the claim of a DataVolume, which go with them); disks that a
 * VirtualMachine or an instance of one names; and, unless forced, everything of an import whose Job
 * still runs.
 *
 * An upload that is under way cannot be told from one that was broken off.
 */
#ifndef JOBS_CLEANUP_H
#define JOBS_CLEANUP_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>

#include "jobs/cluster/cluster.h"

struct vf_cleanup_options {
    struct vf_cluster_options where;
    const char *import; /* name of the VM, here or at its source; NULL: of all imports */
    bool complete;      /* complete disks that no VM uses, too */
    bool force;   /* Jobs that run, with what their pods write to; unfinished warm migrations */
    bool dry_run; /* only say what would be done */
};

enum vf_cleanup_verdict {
    VF_CLEANUP_REMOVE,  /* with dry_run: would be */
    VF_CLEANUP_REMOVED, /* it is gone */
    VF_CLEANUP_KEPT,    /* not what was asked for, or in use */
    VF_CLEANUP_REFUSED, /* asked for, but its Job runs */
    VF_CLEANUP_FAILED,
};

/* "remove", "removed", "kept", "refused", "failed" */
const char *vf_cleanup_verdict_name(enum vf_cleanup_verdict verdict);

struct vf_cleanup_item {
    char *kind, *name;
    char *import; /* NULL: not said */
    char *state;  /* "filling", "complete"; NULL: not said */
    enum vf_cleanup_verdict verdict;
    char *reason; /* why it was kept, refused or failed; NULL otherwise */
    size_t order; /* Jobs before what their pods use */
    cJSON *object;
};

struct vf_cleanup {
    char *ns;
    struct vf_cleanup_item *items; /* in the order in which they are removed */
    size_t n_items;
};

/* *c holds what was done as far as it went, on failure too; release it in any case.
 * VF_CONFLICT when something was refused and nothing failed; the code of the first failure when
 * something could not be removed. `reporter` may be NULL. */
int vf_cleanup_run(const struct vf_cleanup_options *options, struct vf_reporter *reporter,
                   const struct vf_cancel *cancel, struct vf_cleanup *c, struct vf_error **err);
void vf_cleanup_release(struct vf_cleanup *c);

/* What is to become of the items, from what the cluster holds. Pure; `items` are objects as
 * vf_owned_list gives them, `machines` and `instances` all of the namespace. */
void vf_cleanup_judge(const struct vf_cleanup_options *options, const cJSON *items,
                      const cJSON *machines, const cJSON *instances, struct vf_cleanup *c);

#endif
