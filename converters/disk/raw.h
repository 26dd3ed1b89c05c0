/* Sink: a raw image file, sparse, written in place by any number of threads. */
#ifndef CONVERTERS_DISK_RAW_H
#define CONVERTERS_DISK_RAW_H

#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/sink.h>

/* Create `path` (VF_CONFLICT when it exists) of size_bytes, all hole, mode 0600 less umask.
 * Random, parallel, rewritable, readable, starts zero. finish() makes content and size durable; the
 * name in its directory is the caller's to sync. */
int vf_raw_sink_create(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                       struct vf_error **err);

/* Go on with `path`, as made above by a run that may have been killed: it holds all that its
 * flushes made durable, and some of what was written later. VF_MISSING; VF_INVALID when it was
 * never flushed, or is not of size_bytes; VF_CONFLICT when it is no regular file, or another writes
 * it. As above, but that it does not start zero. */
int vf_raw_sink_open(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                     struct vf_error **err);

#endif
