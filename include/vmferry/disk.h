/* Contract: random access to the logical content of one disk, read-only.
 *
 * Implementations embed `struct vf_disk` as their first member. pread and
 * extents may be called by any number of threads at once, pread from within an extents callback
 * too.
 */
#ifndef VMFERRY_DISK_H
#define VMFERRY_DISK_H

#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

enum vf_extent_kind {
    VF_EXTENT_DATA, /* must be read */
    VF_EXTENT_ZERO, /* reads as zero, known without reading */
    VF_EXTENT_HOLE, /* not allocated here; reads as zero unless the disk has a parent */
};

struct vf_extent {
    uint64_t offset_bytes;
    uint64_t length_bytes;
    enum vf_extent_kind kind;
};

/* Returns 0 to go on, or a negative code (with *err set) that extents() then returns. */
typedef int vf_extent_fn(void *opaque, const struct vf_extent *e, struct vf_error **err);

struct vf_disk;

struct vf_disk_ops {
    /* Call fn for every extent of [offset, offset + length), ascending, without gap or overlap.
     * The window must lie inside the disk. Neighbours of one kind may come apart. */
    int (*extents)(struct vf_disk *d, uint64_t offset_bytes, uint64_t length_bytes,
                   vf_extent_fn *fn, void *opaque, struct vf_error **err);
    /* Read exactly len_bytes at offset_bytes (any alignment); the range must lie inside. */
    int (*pread)(struct vf_disk *d, void *buf, size_t len_bytes, uint64_t offset_bytes,
                 struct vf_error **err);
    void (*free)(struct vf_disk *d);
};

struct vf_disk {
    const struct vf_disk_ops *ops;
    uint64_t size_bytes;
};

void vf_disk_free(struct vf_disk *d); /* NULL is fine */

#endif
