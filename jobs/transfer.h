/* The pump: everything of a disk into a sink. Names no concrete source or sink. */
#ifndef JOBS_TRANSFER_H
#define JOBS_TRANSFER_H

#include <vmferry/cancel.h>
#include <vmferry/disk.h>
#include <vmferry/error.h>
#include <vmferry/event.h>
#include <vmferry/sink.h>
#include <vmferry/stream.h>

#include "importer/base/pool.h"
#include "jobs/digest.h"

/* Copy [0, disk->size_bytes) of `disk` into `sink`, each byte once, holes as zero; in ascending
 * order if the sink needs it. Reads go out in parallel on `pool`.
 * `progress` (may be NULL) gets source_bytes. `cancel` (may be NULL) is triggered when a task of
 * the pool fails. Does not finish the sink. */
int vf_transfer_disk(struct vf_disk *disk, struct vf_sink *sink, struct vf_pool *pool,
                     struct vf_progress *progress, struct vf_cancel *cancel, struct vf_error **err);

/* The chain in front of a target: zero detection, digest (if `digest` is not NULL), progress. Owns
 * `target` from the call on, also on failure. */
int vf_transfer_chain(struct vf_sink *target, struct vf_digest *digest,
                      struct vf_progress *progress, struct vf_sink **ret_sink,
                      struct vf_error **err);

/* A stream that counts what was read from `in` (borrowed) in progress->source_bytes. */
struct vf_stream *vf_counting_stream_new(struct vf_stream *in, struct vf_progress *progress);

#endif
