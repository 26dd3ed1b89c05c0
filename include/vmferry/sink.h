/* Contract: where the content of one disk goes. Real targets (raw file, qcow2, block device,
 * upload) and the single-task stages in front of them (zero detection, digest, progress, rate,
 * faults) are all sinks; a stage owns the sink behind it.
 *
 * A complete copy gives every byte of [0, size_bytes) exactly once, as data or as zero. Alignment:
 * offsets and lengths are multiples of 512, but for the end of a disk whose size is not.
 * Implementations embed `struct vf_sink` as their first member.
 */
#ifndef VMFERRY_SINK_H
#define VMFERRY_SINK_H

#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

enum vf_sink_cap {
    VF_SINK_RANDOM = 1 << 0,      /* takes writes in any order; else ascending only */
    VF_SINK_PARALLEL = 1 << 1,    /* write and zero may be called by several threads at once */
    VF_SINK_REWRITABLE = 1 << 2,  /* a byte may be written again */
    VF_SINK_READABLE = 1 << 3,    /* read gives back what was written */
    VF_SINK_STARTS_ZERO = 1 << 4, /* fresh: what is never written reads as zero */
};

struct vf_sink;

struct vf_sink_ops {
    /* Store len_bytes at offset_bytes. buf is the caller's again on return. */
    int (*write)(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                 struct vf_error **err);
    /* Make the range read as zero, without allocating where that can be had. */
    int (*zero)(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                struct vf_error **err);
    /* Read back; VF_UNSUPPORTED unless VF_SINK_READABLE. */
    int (*read)(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                struct vf_error **err);
    /* What was written before is durable on return. No write may be under way. */
    int (*flush)(struct vf_sink *s, struct vf_error **err);
    /* The copy is complete: write what ends the format, make it durable. Called once, last. */
    int (*finish)(struct vf_sink *s, struct vf_error **err);
    void (*free)(struct vf_sink *s); /* frees the sinks behind it too; never completes a copy */
};

struct vf_sink {
    const struct vf_sink_ops *ops;
    uint64_t size_bytes;
    unsigned caps; /* enum vf_sink_cap */
};

int vf_sink_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                  struct vf_error **err);
int vf_sink_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                 struct vf_error **err);
int vf_sink_read(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                 struct vf_error **err);
int vf_sink_flush(struct vf_sink *s, struct vf_error **err);
int vf_sink_finish(struct vf_sink *s, struct vf_error **err);
void vf_sink_free(struct vf_sink *s); /* NULL is fine */

#endif
