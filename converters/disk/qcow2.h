/* Sink: a qcow2 version 3 image, 64 KiB clusters, written directly: no raw image in between.
 *
 * Clusters are appended as they are first written, so the file has no unused space; tables go out
 * through a small cache, so memory does not grow with the disk (8 bytes for each 512 MiB, and
 * 1 MiB). The header is written last: an image that was not finished is not taken for a qcow2.
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

#endif
