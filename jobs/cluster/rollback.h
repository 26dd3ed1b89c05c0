/* `vmferry rollback`: the claims of a warm migration back to the last state that guard.h kept
 * whole.
 *
 * Every claim is replaced by one that is made from its snapshot: same name, class, modes and
 * labels, with the checkpoint of that state, so that the next `vmferry migrate` goes on from there.
 * Of each disk there is at every moment the claim or a ready snapshot. A rollback that was
 * interrupted is finished by the same command; until then a migration refuses these claims.
 */
#ifndef JOBS_CLUSTER_ROLLBACK_H
#define JOBS_CLUSTER_ROLLBACK_H

#include <stdbool.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>

#include "jobs/cluster/cluster.h"

struct vf_rollback_options {
    struct vf_cluster_options where;
    const char *name; /* of the migration: of the VirtualMachine that is to be */
    bool dry_run;     /* look, judge, say what would be done, and stop */
};

/* VF_MISSING: nothing is kept to go back to. VF_CONFLICT: no set is whole; a migration works on the
 * claims; a pod or a VM that runs uses them; one of them is owned by another object, or not ours.
 * Nothing was changed then. `reporter` and `cancel` may be NULL; cancelled between two claims, and
 * in a claim only while its data is in the snapshot. */
int vf_rollback_run(const struct vf_rollback_options *options, struct vf_reporter *reporter,
                    const struct vf_cancel *cancel, struct vf_error **err);

#endif
