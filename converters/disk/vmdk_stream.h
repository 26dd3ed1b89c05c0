/* streamOptimized VMDK, read forward once: an NFC export, a member of an OVA, a file, a pipe.
 *
 * Both styles are read: ESXi's (tables and directory behind the grains, footer, end-of-stream
 * marker) and qemu-img's (tables in front, no markers). The end is proved, never assumed: by the
 * marker, or by every grain that the tables name having been met.
 * Source of the format: see vmdk_format.h.
 */
#ifndef CONVERTERS_DISK_VMDK_STREAM_H
#define CONVERTERS_DISK_VMDK_STREAM_H

#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/sink.h>
#include <vmferry/stream.h>

#include "importer/base/pool.h"

struct vf_vmdk_stream;

/* Read header and descriptor from `in` (borrowed until free). VF_INVALID when this is no
 * streamOptimized VMDK or its numbers are absurd; VF_UNSUPPORTED for an encrypted disk or a delta
 * that needs its parent. */
int vf_vmdk_stream_open(struct vf_stream *in, struct vf_vmdk_stream **ret_stream,
                        struct vf_error **err);
void vf_vmdk_stream_free(struct vf_vmdk_stream *s);

/* What the header says; the sink must be at least this large. */
uint64_t vf_vmdk_stream_capacity_bytes(const struct vf_vmdk_stream *s);

/* Decode everything into `sink`: each byte of the capacity comes once, as data or zero; in
 * ascending order if the sink is not VF_SINK_RANDOM and VF_SINK_PARALLEL. Grains inflate on `pool`,
 * in memory bounded by the number of its threads. `cancel` (may be NULL) is triggered when a task
 * of the pool fails. VF_INVALID: damage, with the stream's offset; VF_UNSUPPORTED: grains out of
 * order onto a sink that takes ordered data only. Does not finish the sink. */
int vf_vmdk_stream_decode(struct vf_vmdk_stream *s, struct vf_sink *sink, struct vf_pool *pool,
                          struct vf_cancel *cancel, struct vf_error **err);

#endif
