/* The disks of one warm migration, and the copy of one round of them.
 *
 * Of each disk the sink stays open from round to round, and so does what is known of its digest.
 * A round: for each disk the verdict of its checkpoint (all, what is left of a broken round, or
 * what changed since), the areas asked for, the transport's copy into
 *
 *   zero detection -> progress -> journal -> readback -> target
 *
 * where the journal flushes every so many bytes and has the checkpoint saved, so that at most 2 %
 * of a disk is copied twice after a kill. At the end: flush, disks complete, checkpoint saved. What
 * is not known of the digest is read back from the target, whenever it is asked for.
 *
 * The order that a crash may not find broken: the checkpoint that a round begins with is saved
 * before the first write of it, and before a target is begun from nothing; what a flush made
 * durable is named only after it; base_change_id stands until all of the round is durable.
 *
 * Threads: one; the copy uses the pool and threads of its own.
 */
#ifndef JOBS_MIGRATION_ROUND_H
#define JOBS_MIGRATION_ROUND_H

#include <stdbool.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>
#include <vmferry/vm.h>

#include "importer/base/pool.h"
#include "importer/vsphere/cbt.h"
#include "jobs/checkpoint.h"
#include "jobs/checkpoint_store.h"
#include "jobs/migration/transport.h"
#include "jobs/migration/warm_target.h"

/* What changed of a disk between a state and a snapshot: vf_cbt_fetch_areas, or a test's own. */
typedef int vf_changes_fn(void *opaque, const struct vf_cbt_query *q, struct vf_cbt_answer *ret,
                          struct vf_error **err);

struct vf_disks;

/* All borrowed; must outlive the disks. */
struct vf_disks_env {
    struct vf_warm_target *target; /* prepared; its store is where the checkpoint goes */
    struct vf_checkpoint *checkpoint;
    struct vf_pool *pool;
    struct vf_reporter *reporter; /* may be NULL */
    const char *vm;
    vf_changes_fn *changes;
    void *changes_opaque;
    const struct vf_cancel *cancel; /* of the sinks, which stay from round to round; may be NULL */
    uint64_t flush_bytes; /* between two flushes of a disk; 0: vf_journal_interval_bytes */
};

struct vf_disks *vf_disks_new(const struct vf_disks_env *env);
/* Frees the sinks; their content stays. NULL is fine. */
void vf_disks_free(struct vf_disks *d);

/* For whoever shows progress, at any time, from the thread that made it. Borrowed. */
struct vf_disk_view {
    const char *name;
    const struct vf_progress *progress; /* of the round: done_bytes of total_bytes to be copied */
    uint64_t size_bytes;
};
size_t vf_disks_count(const struct vf_disks *d);
struct vf_disk_view vf_disks_get(const struct vf_disks *d, size_t index);

struct vf_round_report {
    uint64_t bytes;        /* copied now */
    uint64_t todo_bytes;   /* that were to be copied, whatever was flushed before */
    uint64_t before_bytes; /* of those, flushed by an earlier try */
    bool full;             /* of some disk all is being copied */
    bool nothing;          /* nothing had changed */
};

/* One round: from `frozen`, as the snapshot `snapshot` of the VM froze it, by `transport`. The
 * reporter gets DISK_START (with the progress of the round, its total fixed) and DISK_END of every
 * disk that has something to be copied. Disks that came, went, grew or lost their tracking since
 * are told to the reporter, with what is done about it; a disk that is gone is left out of the
 * checkpoint, one that shrank is VF_CONFLICT. A target that does not know the disks as they are now
 * is asked to prepare again. Whatever the end, the checkpoint is as the targets are; on success
 * every disk is complete. Errors of the transport come through; VF_RETRY: try again, maybe with a
 * new snapshot. `cancel` may be NULL, is not triggered by a failure, and is of this round alone. */
int vf_disks_copy_round(struct vf_disks *d, struct vf_transport *transport, const char *snapshot,
                        const struct vf_vm *frozen, struct vf_cancel *cancel,
                        struct vf_round_report *ret, struct vf_error **err);

/* After the last round: read back what is missing of the digests, finish and free the sinks, and
 * give im->copies[i] its size_bytes and digest. `with_digest` false: no digest. */
int vf_disks_finish(struct vf_disks *d, bool with_digest, struct vf_cancel *cancel,
                    struct vf_error **err);

/* Read back what is missing of the digests: between rounds, so that the cutover need not. */
int vf_disks_refresh_digests(struct vf_disks *d, struct vf_cancel *cancel, struct vf_error **err);

#endif
