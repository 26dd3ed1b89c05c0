/* Contract: where a warm migration's disks are kept between rounds, and what is made of them at the
 * cutover. A folder (target_dir.c), or claims that are mounted here (jobs/cluster/warm_target.c).
 *
 * Other than an import's landing it keeps what was copied, however the program ends: only discard
 * removes it. Implementations embed `struct vf_warm_target` as their first member. One thread, but
 * for the sinks.
 */
#ifndef JOBS_MIGRATION_WARM_TARGET_H
#define JOBS_MIGRATION_WARM_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/sink.h>
#include <vmferry/vm.h>

#include "jobs/checkpoint_store.h"
#include "jobs/import_plan.h"
#include "jobs/migration/board.h"

struct vf_warm_target;

struct vf_warm_target_ops {
    /* Make, or take over from an earlier run, what the disks of `vm` go into. Nothing of the source
     * was touched yet: what can be refused is refused here (names, space, rights, somebody else's
     * objects). Sets im->name and `place`, and from then on there are `store` and `board`. Called
     * again when disks were added, removed or grown: what belongs to a disk that is gone stays
     * until deliver or discard. */
    int (*prepare)(struct vf_warm_target *t, const struct vf_vm *vm, struct vf_error **err);

    /* The name of a disk's image or claim, for the checkpoint; borrowed. By the index in the VM
     * that prepare was given. */
    const char *(*get_name)(const struct vf_warm_target *t, size_t index);

    /* A disk's sink of size_bytes: random, parallel, rewritable, readable. `fresh`: from nothing,
     * whatever there was (VF_SINK_STARTS_ZERO where that is true). Else as the last flush left it,
     * with some of what was written later; VF_MISSING or VF_INVALID: there is nothing of use, copy
     * in full. Freeing it keeps the content; finish() ends the format. A disk that was finished is
     * opened again like any other: the cutover may have failed after that. */
    int (*open_disk)(struct vf_warm_target *t, size_t index, uint64_t size_bytes, bool fresh,
                     const struct vf_cancel *cancel, struct vf_sink **ret_sink,
                     struct vf_error **err);

    /* Before a delta is written into disks that are all as `c` says (every disk complete): keep
     * that state, so that it can be gone back to (VolumeSnapshots). 0 also where nothing of the
     * kind can be had, said once. Every sink is flushed, and open. */
    int (*guard)(struct vf_warm_target *t, const struct vf_checkpoint *c, struct vf_error **err);

    /* Every sink is finished and freed, im->copies[i] has size_bytes and digest: make the VM of it
     * (or the manifests and final names), and wait until it is accepted. It does not run before
     * start. Called again after a crash it finds what it had made, and is good. */
    int (*deliver)(struct vf_warm_target *t, const struct vf_vm *vm, struct vf_error **err);

    /* Whether what deliver makes is there, whole, and made by this migration (an earlier import
     * that lies in the same place is none): asked when deliver failed or its answer was lost. An
     * error means that it cannot be told. Clean-up: goes on after cancellation. Works after
     * prepare, and, by im->name, without. */
    int (*fetch_accepted)(struct vf_warm_target *t, bool *ret_accepted, struct vf_error **err);

    /* After deliver, if asked for: start the VM and wait until it runs. A folder: nothing. */
    int (*start)(struct vf_warm_target *t, struct vf_error **err);

    /* The migration is over: nothing but the result stays (checkpoint, guards, notes). The board's
     * status stays, for `vmferry status`. Clean-up: goes on after cancellation. */
    int (*settle)(struct vf_warm_target *t, struct vf_error **err);

    /* Remove all that was copied or made, and the checkpoint; never what is not ours, and nothing
     * that was delivered. Clean-up. Works without prepare, by im->name. */
    int (*discard)(struct vf_warm_target *t, struct vf_error **err);

    void (*free)(struct vf_warm_target *t);
};

struct vf_warm_target {
    const struct vf_warm_target_ops *ops;
    struct vf_import *im;              /* borrowed: options, names, copies, listeners */
    struct vf_checkpoint_store *store; /* ops->free frees both */
    struct vf_board *board;
    char *place;                   /* for people */
    struct vf_kube_client *client; /* of a cluster; borrowed; NULL: none is asked */
};

void vf_warm_target_free(struct vf_warm_target *t); /* NULL is fine */

/* VF_CONFLICT when another vmferry works on it, or when it holds a finished import and overwriting
 * was not asked for. */
int vf_warm_target_dir_open(struct vf_import *im, const char *path,
                            struct vf_warm_target **ret_target, struct vf_error **err);
/* im->options->target is VF_TO_CLAIM, to_path where the claims are mounted. NULL: for whoever
 * cancels what an earlier run left, found by im->options->name; then prepare is VF_UNSUPPORTED.
 * With a name there are store and board from the beginning, of whatever VM; after prepare those of
 * this one. */
int vf_warm_target_cluster_open(struct vf_import *im, struct vf_warm_target **ret_target,
                                struct vf_error **err);

#endif
