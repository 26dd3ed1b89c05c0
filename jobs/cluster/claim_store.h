/* Checkpoint store over the claims of a migration: each has, as an annotation, the checkpoint of
 * its own disk together with what is said of the migration as a whole (VM, stage, rounds).
 *
 * One annotation is written at once; several are not. What a stop between two of them leaves is a
 * checkpoint all the same:
 *
 * - The disks do not depend on each other. Whoever saves does it before the first write that makes
 *   an older entry of a disk untrue, and after the flush that makes a newer one true (round.h), so
 *   that while a save is under way both entries of every disk are true.
 * - The whole is read where it was written last: every text begins with a number that grows with
 *   each save. It is a step the migration takes after the save, or one that it has taken before,
 *   so that either may be found while it is being saved.
 * - Stage, power state and VM are written into every claim, so that none that is lost, with its
 *   disk removed from the VM, takes the newest with it. Else only claims are written whose disk has
 *   changed.
 *
 * A claim is written only as it was last seen (resourceVersion). Others write into claims, too:
 * after a conflict it is looked at again, and gone on when the checkpoint is what this store wrote;
 * when it is not, another vmferry is at work: VF_CONFLICT.
 *
 * The text: a decimal number, a blank, and what vf_checkpoint_encode gives for one disk. In all at
 * most VF_CHECKPOINT_ANNOTATION_MAX_BYTES.
 */
#ifndef JOBS_CLUSTER_CLAIM_STORE_H
#define JOBS_CLUSTER_CLAIM_STORE_H

#include <vmferry/cancel.h>
#include <vmferry/event.h>

#include "importer/kube/client.h"
#include "importer/kube/owned.h"
#include "jobs/checkpoint_store.h"

#define VF_CLAIM_CHECKPOINT "vmferry.io/checkpoint"

/* All borrowed; must outlive the store. */
struct vf_claim_store_env {
    struct vf_kube_client *client;
    const char *ns;
    const struct vf_owner *owner; /* only claims of this very one are looked at (vf_warm_judge) */
    struct vf_reporter *reporter; /* may be NULL */
    const char *vm;               /* for events; may be NULL */
    int64_t timeout_ms;           /* that the server may be away in a save; 0: 5 min */
    /* Once it is set a save has a minute. A save is not ended by it, since what is undone after a
     * cancellation has to be noted too. May be NULL. */
    const struct vf_cancel *cancel;
};

/* load: VF_INVALID only when no claim has a text that can be read; one that has a bad one is told,
 * and its disk left out. save: VF_MISSING when the claim of a disk is gone; VF_RETRY when the
 * server is away for too long. */
struct vf_checkpoint_store *vf_claim_store_new(const struct vf_claim_store_env *env);

/* The VM was found to be accepted: whatever the texts say, load says VF_STAGE_DELIVERED. A stop
 * between the VM's creation and the save that notes it leaves it to be found. Without any text it
 * is a checkpoint without disks. */
void vf_claim_store_set_delivered(struct vf_checkpoint_store *s);

#endif
