/* The transport whose work CDI does. Each round lists the snapshot as the next stage of every
 * DataVolume, and waits until CDI says that it is copied: one importer pod a disk, one read at a
 * time. With `last` set the stage is the final one, after which a DataVolume takes no other.
 *
 * A stage that was begun cannot be taken back. One whose snapshot is gone, or that comes after the
 * final one, costs a copy in full: the DataVolume is made anew, and that is said. A round that ends
 * without success leaves CDI trying; so a stage whose snapshot is still there is waited for.
 */
#ifndef JOBS_CLUSTER_CDI_TRANSPORT_H
#define JOBS_CLUSTER_CDI_TRANSPORT_H

#include "jobs/migration/transport.h"
#include "jobs/migration/warm_target.h"

/* `target` is that of cdi_target.h, prepared before the first copy. Both are borrowed. */
struct vf_transport *vf_transport_cdi_new(struct vf_warm_target *target,
                                          const struct vf_transport_env *env);

#endif
