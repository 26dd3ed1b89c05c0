/* Private to jobs/migration: the real world of a migration, under the state machine of machine.h.
 * The source is a VM at its vSphere (world_source.c), the target what warm_target.h says
 * (world_target.c), and what others see of it and ask of it goes over a board (watch.c).
 */
#ifndef JOBS_MIGRATION_WORLD_H
#define JOBS_MIGRATION_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "jobs/checkpoint.h"
#include "jobs/import_plan.h"
#include "jobs/migration/machine.h"
#include "jobs/migration/migration.h"
#include "jobs/migration/round.h"
#include "jobs/migration/source_vm.h"
#include "jobs/migration/transport.h"
#include "jobs/migration/warm_target.h"
#include "jobs/migration/watch.h"

struct vf_real_world {
    struct vf_world world;
    const struct vf_migration_options *options;
    struct vf_import im; /* what targets share with those of an import */
    struct vf_watch *watch;
    struct vf_source_vm *source;
    struct vf_warm_target *target;
    struct vf_disks *disks; /* NULL: not prepared yet */
    struct vf_checkpoint checkpoint;
    struct vf_transport_env transport_env;
    struct vf_transport *transport; /* NULL: none chosen yet */
    bool digests_due;
    const char *snapshot; /* the source's; NULL: none is held */
    bool delivered;       /* the sinks are finished */
};

/* world.c */
extern const struct vf_world_ops vf_real_world_ops;

/* world_source.c */
int vf_world_look(struct vf_world *w, struct vf_world_view *ret, struct vf_error **err);
int vf_world_enable_tracking(struct vf_world *w, bool may_stun, struct vf_error **err);
int vf_world_take_snapshot(struct vf_world *w, enum vf_round_kind kind, struct vf_error **err);
int vf_world_shut_down(struct vf_world *w, struct vf_error **err);
int vf_world_remove_snapshots(struct vf_world *w, struct vf_error **err);
int vf_world_power_on(struct vf_world *w, struct vf_error **err);
int vf_world_note(struct vf_world *w, struct vf_error **err);

/* world_target.c */
int vf_world_prepare(struct vf_world *w, struct vf_error **err);
int vf_world_guard(struct vf_world *w, struct vf_error **err);
int vf_world_copy(struct vf_world *w, enum vf_round_kind kind, struct vf_round *ret,
                  struct vf_error **err);
int vf_world_deliver(struct vf_world *w, struct vf_error **err);
int vf_world_fetch_accepted(struct vf_world *w, bool *ret_accepted, struct vf_error **err);
int vf_world_start(struct vf_world *w, struct vf_error **err);
int vf_world_settle(struct vf_world *w, struct vf_error **err);
int vf_world_discard(struct vf_world *w, struct vf_error **err);
struct vf_checkpoint *vf_world_checkpoint(struct vf_world *w);
int vf_world_save(struct vf_world *w, struct vf_error **err);

/* The checkpoint that an earlier run left, if the target has one; an empty one without. One that
 * cannot be read is VF_INVALID. */
int vf_world_load_checkpoint(struct vf_real_world *r, struct vf_error **err);

/* What is not known of the digests after a round is read back from the target: when no snapshot is
 * held any more, so that it grows no longer than for the copy. */
void vf_world_refresh_digests(struct vf_real_world *r);

/* What transports borrow, as it is now. */
const struct vf_transport_env *vf_world_transport_env(struct vf_real_world *r);

/* Make im->copies, and the target, fit for `vm`, whose disks may be others than before. */
int vf_world_fit_target(struct vf_real_world *r, const struct vf_vm *vm, struct vf_error **err);

#endif
