/* What the transports share. */
#ifndef JOBS_MIGRATION_TRANSPORT_PRIVATE_H
#define JOBS_MIGRATION_TRANSPORT_PRIVATE_H

#include "jobs/migration/transport.h"

/* The copy of one disk of a round, on a thread of its own. `cancel` is the disk's. */
typedef int vf_transport_disk_fn(void *opaque, const struct vf_transport_round *round,
                                 const struct vf_transport_disk *disk, struct vf_cancel *cancel,
                                 struct vf_error **err);

/* fn for each disk of the round, as many at once as the environment says. Errors get the disk's
 * name; the first one triggers `cancel`. */
int vf_transport_each_disk(const struct vf_transport_env *env,
                           const struct vf_transport_round *round, vf_transport_disk_fn *fn,
                           void *opaque, struct vf_cancel *cancel, struct vf_error **err);

/* Whether the round's snapshot is still there, with the disks in the files that it froze. Whoever
 * reads files by their names asks this after the last read: a file stands still only as long as a
 * snapshot stands on it. VF_RETRY when somebody else removed it, or moved the disks. */
int vf_transport_check_frozen(const struct vf_transport_env *env,
                              const struct vf_transport_round *round, struct vf_error **err);
bool vf_transport_is_snapshot_lost(const struct vf_error *e); /* one that this answer gave */

/* What a copy ended with (*err is set unless `rc` is 0): replaced by the answer above when that is
 * why. Returns the code that it is then. */
int vf_transport_explain(const struct vf_transport_env *env, const struct vf_transport_round *round,
                         int rc, struct vf_error **err);

#endif
