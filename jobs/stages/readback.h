/* A stage that keeps the digest of the disk behind it over any number of rounds. A leaf that is
 * written or zeroed as a whole is known as it goes by; one that is touched in part, as changed
 * areas do, is unknown until it is read back from the target.
 */
#ifndef JOBS_STAGES_READBACK_H
#define JOBS_STAGES_READBACK_H

#include <stdbool.h>

#include <vmferry/cancel.h>
#include <vmferry/sink.h>

#include "importer/base/pool.h"

/* As every stage, it owns `next`, which is readable and parallel. `is_zero`: all of it reads as
 * zero, so that every leaf is known. VF_INTERNAL without memory, and then `next` is the caller's
 * still. */
int vf_readback_stage_new(struct vf_sink *next, bool is_zero, struct vf_sink **ret_sink,
                          struct vf_error **err);

/* Read back every leaf that is not known, several at once. No write may be under way. `cancel` (may
 * be NULL) is triggered on failure; what was read before stays known. */
int vf_readback_refresh(struct vf_sink *readback, struct vf_pool *pool, struct vf_cancel *cancel,
                        struct vf_error **err);

/* Bytes that a refresh has to read. */
uint64_t vf_readback_unknown_bytes(const struct vf_sink *readback);

/* The digest (heap, jobs/digest.h); VF_CONFLICT while a leaf is not known. */
int vf_readback_format(const struct vf_sink *readback, char **ret_digest, struct vf_error **err);

#endif
