/* The state of a warm migration's claims, kept before it changes: a VolumeSnapshot of each, all of
 * them at one state, so that a delta that broke half-way, or a guest that was converted wrongly,
 * can be gone back from (rollback.h). Where storage has no snapshots a migration is not worse for
 * it.
 *
 * A set is whole when every claim's snapshot is ready to use. It keeps what a claim was: size,
 * class, modes, labels, and the annotations of vmferry's, its checkpoint among them. The sets
 * before are removed once a new one is whole, so that at every moment after the first there is a
 * whole one.
 *
 * Threads: one.
 */
#ifndef JOBS_CLUSTER_GUARD_H
#define JOBS_CLUSTER_GUARD_H

#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>

#include "importer/kube/client.h"
#include "importer/kube/owned.h"
#include "importer/kube/storage.h"
#include "jobs/checkpoint.h"

/* All borrowed; must outlive the guard. */
struct vf_guard_env {
    struct vf_kube_client *client;
    const char *ns;                 /* NULL: the client's */
    const struct vf_owner *owner;   /* `import` is set */
    struct vf_reporter *reporter;   /* may be NULL */
    const char *vm;                 /* for events; may be NULL */
    const struct vf_cancel *cancel; /* of vf_guard_take; may be NULL */
    int64_t timeout_ms; /* for all snapshots of a set to be ready; 0: 10 min; in a cutover 1 min at
                           most */
};

struct vf_guard_claim {
    const char *name;
    const struct vf_kube_storage *storage;
};

struct vf_guard;

struct vf_guard *vf_guard_new(const struct vf_guard_env *env);
void vf_guard_free(struct vf_guard *g); /* what was taken stays; NULL is fine */

/* Before anything is written into `claims`, which are all as `c` says, flushed, and marked with it
 * by their annotations: keep that state, then remove the sets before. With a disk that is not
 * complete, or with none, nothing happens: the newest set is the state to go back to.
 *
 * 0 also where there are no snapshots (told once, with the reason), and where they should work and
 * did not (told each time: what rollback goes back to then). VF_CANCELLED; VF_CONFLICT, to be
 * stopped by, when a rollback of these claims was begun and is not finished. */
int vf_guard_take(struct vf_guard *g, const struct vf_guard_claim *claims, size_t n_claims,
                  const struct vf_checkpoint *c, struct vf_error **err);

/* VF_CONFLICT, with what to do, when a rollback was begun and is not finished: a claim may be
 * missing. For prepare, before a missing claim is made anew. Not being able to look is 0. */
int vf_guard_check(struct vf_guard *g, struct vf_error **err);

/* Remove every set of this migration: it was delivered, or discarded. Clean-up: `cancel` is not
 * looked at. 0 when there is nothing, also for want of the API or of the right to look. */
int vf_guard_remove(struct vf_guard *g, struct vf_error **err);

#endif
