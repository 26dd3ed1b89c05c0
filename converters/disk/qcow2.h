/* Sink: a qcow2 version 3 image, 64 KiB clusters, written directly: no raw image in between.
 *
 * Clusters are appended as they are first written, and rewritten in place, so the file has no
 * unused space however often an area is written again; what is zeroed is punched out, and its
 * cluster kept. Tables go out through a small cache, so memory does not grow with the disk (8 bytes
 * for each 512 MiB, and 1 MiB). The header is written last: an image that was not finished is not
 * taken for a qcow2.
 *
 * An image that is not finished survives a power loss as of its last flush. What may be trusted of
 * it then follows from three rules. A table entry is written once: from 0 to a cluster that nothing
 * named before, which lies behind all others. A flush syncs data and tables first, and then, in a
 * second sync, a record (qcow2_journal.h) of how many clusters the file has; where none was added
 * there is nothing to record. And an entry for a cluster behind those that the record names was
 * written after the flush, whether it is there, or torn, or not: it is dropped, and the file cut to
 * where the record says that it ends. So a table that is rewritten in place needs neither checksum
 * nor second copy: a sector of it holds old entries, or new ones that only add what is dropped.
 * What is left must name every cluster of the file once, and nothing else: a table lost, mixed up
 * or made up does not pass for one of ours.
 */
#ifndef CONVERTERS_DISK_QCOW2_H
#define CONVERTERS_DISK_QCOW2_H

#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/sink.h>

/* Create `path` (VF_CONFLICT when it exists; VF_UNSUPPORTED beyond 2 PiB) for a disk of size_bytes
 * (rounded up to 512 in the header, as the format demands). Random, parallel, rewritable, readable,
 * starts zero. */
int vf_qcow2_sink_create(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                         struct vf_error **err);

/* Go on with `path`, as made above by a run that may have been killed, or that finished it: it
 * holds all that its flushes made durable, and some of what was written later. Until the next
 * finish it is no qcow2. VF_MISSING; VF_INVALID when it was never flushed, is damaged, or is not of
 * size_bytes; VF_CONFLICT when it is no regular file, or another writes it. As above, but that it
 * does not start zero. */
int vf_qcow2_sink_open(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                       struct vf_error **err);

#endif
