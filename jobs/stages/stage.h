/* Stages: sinks that do one thing and hand on to the sink behind them, which they own.
 *
 * Order from the source's side: zero detection, digest, progress, target. Zero detection comes
 * before the digest because the digest of an all-zero leaf must not depend on how it was told.
 */
#ifndef JOBS_STAGES_STAGE_H
#define JOBS_STAGES_STAGE_H

#include <vmferry/event.h>
#include <vmferry/sink.h>

#include "jobs/digest.h"

/* Pass-through helpers for implementations, which embed this as their first member. */
struct vf_stage {
    struct vf_sink base;
    struct vf_sink *next; /* owned */
};

void vf_stage_init(struct vf_stage *st, const struct vf_sink_ops *ops, struct vf_sink *next);
int vf_stage_read(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                  struct vf_error **err);
int vf_stage_flush(struct vf_sink *s, struct vf_error **err);
int vf_stage_finish(struct vf_sink *s, struct vf_error **err);

/* Data that is zero becomes zero: runs of VF_ZERO_RUN_BYTES and more, and writes that are zero as a
 * whole. */
#define VF_ZERO_BLOCK_BYTES 4096u
#define VF_ZERO_RUN_BYTES   (16u << 10)
struct vf_sink *vf_zero_stage_new(struct vf_sink *next);

/* Counts settled and written bytes in *progress (borrowed). */
struct vf_sink *vf_progress_stage_new(struct vf_sink *next, struct vf_progress *progress);

/* Fills *digest (borrowed, initialised for the disk's size) with what goes by, in any order and
 * from any number of threads. finish() reads back from the sink behind it the leaves that did not
 * go by in one piece, so out-of-order sources need a readable one. */
int vf_digest_stage_new(struct vf_sink *next, struct vf_digest *digest, struct vf_sink **ret_sink,
                        struct vf_error **err);

/* Takes everything, keeps nothing. */
struct vf_sink *vf_null_sink_new(uint64_t size_bytes);

#endif
