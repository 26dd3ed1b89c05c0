#include "converters/disk/vmdk_extents.h"

#include <stdlib.h>
#include <string.h>

#include "converters/disk/mapped_disk.h"
#include "importer/base/mem.h"

struct part {
    struct vf_disk *disk;
    uint64_t start_bytes, end_bytes;
};

struct extents_disk {
    struct vf_disk disk;
    struct vf_disk *parent;
    size_t n;
    struct part *parts;
};

/* The part that holds offset_bytes, which is inside the disk. */
static size_t find(const struct extents_disk *d, uint64_t offset_bytes)
{
    size_t low = 0, high = d->n;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (d->parts[middle].start_bytes <= offset_bytes) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static int extents_pread(struct vf_disk *disk, void *buf, size_t len_bytes, uint64_t offset_bytes,
                         struct vf_error **err)
{
    struct extents_disk *d = (struct extents_disk *)disk;
    uint8_t *out = buf;
    int rc = vf_disk_check_window(disk, offset_bytes, len_bytes, err);
    for (size_t i = find(d, offset_bytes); rc == 0 && len_bytes > 0; i++) {
        const struct part *p = &d->parts[i];
        uint64_t left = p->end_bytes - offset_bytes;
        size_t n = left < len_bytes ? (size_t)left : len_bytes;
        if (p->disk) {
            rc = p->disk->ops->pread(p->disk, out, n, offset_bytes - p->start_bytes, err);
        } else {
            memset(out, 0, n);
        }
        out += n;
        offset_bytes += n;
        len_bytes -= n;
    }
    return rc;
}

struct shifted {
    uint64_t start_bytes;
    vf_extent_fn *fn;
    void *opaque;
};

static int shift(void *opaque, const struct vf_extent *e, struct vf_error **err)
{
    const struct shifted *s = opaque;
    struct vf_extent here = *e;
    here.offset_bytes += s->start_bytes;
    return s->fn(s->opaque, &here, err);
}

static int extents_extents(struct vf_disk *disk, uint64_t offset_bytes, uint64_t length_bytes,
                           vf_extent_fn *fn, void *opaque, struct vf_error **err)
{
    struct extents_disk *d = (struct extents_disk *)disk;
    int rc = vf_disk_check_window(disk, offset_bytes, length_bytes, err);
    for (size_t i = find(d, offset_bytes); rc == 0 && length_bytes > 0; i++) {
        const struct part *p = &d->parts[i];
        uint64_t left = p->end_bytes - offset_bytes;
        uint64_t n = left < length_bytes ? left : length_bytes;
        struct shifted s = {.start_bytes = p->start_bytes, .fn = fn, .opaque = opaque};
        struct vf_extent zero = {.offset_bytes = offset_bytes - p->start_bytes,
                                 .length_bytes = n,
                                 .kind = VF_EXTENT_ZERO};
        rc = p->disk ? p->disk->ops->extents(p->disk, zero.offset_bytes, n, shift, &s, err)
                     : shift(&s, &zero, err);
        offset_bytes += n;
        length_bytes -= n;
    }
    return rc;
}

static void extents_free(struct vf_disk *disk)
{
    struct extents_disk *d = (struct extents_disk *)disk;
    for (size_t i = 0; i < d->n; i++) {
        vf_disk_free(d->parts[i].disk);
    }
    vf_disk_free(d->parent);
    free(d->parts);
    free(d);
}

static const struct vf_disk_ops extents_ops = {
    .extents = extents_extents,
    .pread = extents_pread,
    .free = extents_free,
};

struct vf_disk *vf_vmdk_extents_new(const struct vf_vmdk_part *parts, size_t n,
                                    struct vf_disk *parent)
{
    struct extents_disk *d = vf_xcalloc(1, sizeof *d);
    d->disk.ops = &extents_ops;
    d->parent = parent;
    d->n = n;
    d->parts = vf_xcalloc(n ? n : 1, sizeof *d->parts);
    for (size_t i = 0; i < n; i++) {
        uint64_t start = d->disk.size_bytes;
        d->disk.size_bytes = start + parts[i].length_bytes;
        d->parts[i] = (struct part){parts[i].disk, start, d->disk.size_bytes};
    }
    return &d->disk;
}
