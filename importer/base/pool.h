/* A fixed number of threads that run tasks, shared by all disks of a job; and the lane: one disk's
 * bounded window of tasks on such a pool.
 *
 * A lane bounds memory (its slots are the only buffers), keeps the first error, stops the rest, and
 * can put the slots' output in order although they are worked on out of order.
 */
#ifndef IMPORTER_BASE_POOL_H
#define IMPORTER_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

struct vf_pool;

/* threads 0: one a core and two more, as some wait for storage; at most 64. NULL when no thread can
 * be had. */
struct vf_pool *vf_pool_new(unsigned threads);
void vf_pool_free(struct vf_pool *p); /* no lane may be left; joins */
unsigned vf_pool_threads(const struct vf_pool *p);

struct vf_lane;

struct vf_lane_ops {
    size_t slot_size;
    int (*init)(void *slot, void *owner, struct vf_error **err); /* once a slot, at vf_lane_new */
    void (*release)(void *slot);                                 /* once a slot, at vf_lane_free */
    /* On a pool thread. To emit in submission order, call vf_lane_wait_turn first. */
    int (*run)(void *slot, struct vf_lane *lane, struct vf_error **err);
};

/* `slots` tasks at most are under way. `cancel` may be NULL; on the first error of a task it is
 * triggered, so that the producer's reads end too. */
int vf_lane_new(struct vf_pool *pool, unsigned slots, const struct vf_lane_ops *ops, void *owner,
                struct vf_cancel *cancel, struct vf_lane **ret_lane, struct vf_error **err);
void vf_lane_free(struct vf_lane *lane); /* waits for what is under way; NULL is fine */

/* Producer (one thread): wait for a free slot and take it. A task's failure or a cancellation comes
 * out here. Then fill it and submit it, exactly once. */
int vf_lane_acquire(struct vf_lane *lane, void **ret_slot, struct vf_error **err);
void vf_lane_submit(struct vf_lane *lane, void *slot);
void vf_lane_abandon(struct vf_lane *lane, void *slot); /* give back unsubmitted */

/* Producer: wait for all; the first error, if any. */
int vf_lane_drain(struct vf_lane *lane, struct vf_error **err);

/* Producer, once it has ended with `rc` (and *err): wait for all and give the failure to report. A
 * task's own failure comes before the cancellation with which it ended the producer. */
int vf_lane_settle(struct vf_lane *lane, int rc, struct vf_error **err);

/* Inside run: wait until every slot submitted earlier has returned. VF_CANCELLED once the lane
 * failed. */
int vf_lane_wait_turn(struct vf_lane *lane, void *slot, struct vf_error **err);

#endif
