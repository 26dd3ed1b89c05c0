/* A disk's content, in order, as one compressed member. Part of upload.c.
 *
 * Threads: a coder belongs to one thread; `emit` may be called by another, but never by two at
 * once, and never after free.
 */
#ifndef IMPORTER_TARGET_UPLOAD_CODER_H
#define IMPORTER_TARGET_UPLOAD_CODER_H

#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

/* Takes the next bytes of the member, which stands for disk_bytes of the disk then, at most. Its
 * error ends the coding and comes out of the call under way
 * or the next one. */
typedef int vf_upload_emit_fn(void *opaque, const void *buf, size_t len_bytes, uint64_t disk_bytes,
                              struct vf_error **err);

struct vf_upload_coder;

struct vf_upload_coder_ops {
    int (*write)(struct vf_upload_coder *c, const void *buf, size_t len_bytes,
                 struct vf_error **err);
    int (*zero)(struct vf_upload_coder *c, uint64_t length_bytes, struct vf_error **err);
    /* All was given: what is still held is emitted, and the end. Once, last. */
    int (*finish)(struct vf_upload_coder *c, struct vf_error **err);
    void (*free)(struct vf_upload_coder *c);
};

struct vf_upload_coder {
    const struct vf_upload_coder_ops *ops;
    vf_upload_emit_fn *emit;
    void *opaque;
};

/* threads: that compress, at least 1. */

/* One zstd frame. Memory: 1 MiB, and what libzstd takes for level 1, about 8 MiB and 4 more a
 * thread. */
int vf_upload_zstd_new(uint64_t size_bytes, unsigned threads, vf_upload_emit_fn *emit, void *opaque,
                       struct vf_upload_coder **ret_coder, struct vf_error **err);

/* One gzip member. Memory: about 2.5 MiB a thread, and 5 more. */
int vf_upload_gzip_new(unsigned threads, vf_upload_emit_fn *emit, void *opaque,
                       struct vf_upload_coder **ret_coder, struct vf_error **err);

#endif
