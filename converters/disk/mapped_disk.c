#include "converters/disk/mapped_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/file_io.h"
#include "importer/base/mem.h"

int vf_file_size(int fd, const char *path, uint64_t *ret_size_bytes, struct vf_error **err)
{
    /* Not fstat: st_size of a block device is 0. */
    off_t size = lseek(fd, 0, SEEK_END);
    if (size < 0) {
        return vf_error_set_errno(err, errno, "cannot tell the size of \"%s\"", path);
    }
    *ret_size_bytes = (uint64_t)size;
    return 0;
}

/* As vf_file_pread, but what lies past the end of the file reads as zero. */
static int read_data(struct vf_mapped_disk *d, uint8_t *buf, size_t len, uint64_t offset_bytes,
                     struct vf_error **err)
{
    size_t n = len;
    if (d->zero_past_end) {
        uint64_t left = offset_bytes < d->file_bytes ? d->file_bytes - offset_bytes : 0;
        n = left < len ? (size_t)left : len;
        memset(buf + n, 0, len - n);
    }
    return vf_file_pread(d->layer.fd, d->layer.name, buf, n, offset_bytes, err);
}

/* How much of [offset, offset + length) of this file the parent has. */
static uint64_t in_parent(const struct vf_mapped_disk *d, uint64_t offset_bytes,
                          uint64_t length_bytes)
{
    const struct vf_disk *p = d->layer.parent;
    uint64_t at = d->layer.parent_offset_bytes + offset_bytes;
    if (!p || at >= p->size_bytes) {
        return 0;
    }
    return p->size_bytes - at < length_bytes ? p->size_bytes - at : length_bytes;
}

static int read_absent(struct vf_mapped_disk *d, uint8_t *buf, size_t len, uint64_t offset_bytes,
                       struct vf_error **err)
{
    size_t n = (size_t)in_parent(d, offset_bytes, len);
    memset(buf + n, 0, len - n);
    if (n == 0) {
        return 0;
    }
    struct vf_disk *p = d->layer.parent;
    return p->ops->pread(p, buf, n, d->layer.parent_offset_bytes + offset_bytes, err);
}

int vf_disk_check_window(const struct vf_disk *disk, uint64_t offset_bytes, uint64_t length_bytes,
                         struct vf_error **err)
{
    if (offset_bytes > disk->size_bytes || length_bytes > disk->size_bytes - offset_bytes) {
        return vf_error_set(err, VF_RANGE,
                            "%" PRIu64 " bytes at %" PRIu64 " are not inside a disk of %" PRIu64,
                            length_bytes, offset_bytes, disk->size_bytes);
    }
    return 0;
}

static int map(struct vf_mapped_disk *d, uint64_t offset_bytes, uint64_t length_bytes,
               struct vf_run *ret_run, struct vf_error **err)
{
    int rc = d->map_ops->map(d, offset_bytes, length_bytes, ret_run, err);
    return rc ? vf_error_wrap(err, rc, "\"%s\"", d->layer.name) : 0;
}

static int mapped_pread(struct vf_disk *disk, void *buf, size_t len_bytes, uint64_t offset_bytes,
                        struct vf_error **err)
{
    struct vf_mapped_disk *d = (struct vf_mapped_disk *)disk;
    uint8_t *out = buf;
    int rc = vf_disk_check_window(disk, offset_bytes, len_bytes, err);
    while (rc == 0 && len_bytes > 0) {
        struct vf_run run;
        rc = map(d, offset_bytes, len_bytes, &run, err);
        if (rc) {
            break;
        }
        size_t n = (size_t)run.length_bytes;
        switch (run.kind) {
        case VF_EXTENT_DATA:
            rc = read_data(d, out, n, run.file_offset_bytes, err);
            break;
        case VF_EXTENT_ZERO:
            memset(out, 0, n);
            break;
        case VF_EXTENT_HOLE:
            rc = read_absent(d, out, n, offset_bytes, err);
            break;
        }
        out += n;
        offset_bytes += n;
        len_bytes -= n;
    }
    return rc;
}

/* Neighbours of one kind are joined before the caller sees them: COWD has grains of a sector. */
struct joiner {
    struct vf_extent pending;
    vf_extent_fn *fn;
    void *opaque;
    uint64_t parent_offset_bytes; /* taken from what a parent reports */
};

static int join(struct joiner *j, const struct vf_extent *e, struct vf_error **err)
{
    struct vf_extent *p = &j->pending;
    if (e->length_bytes == 0) {
        return 0;
    }
    if (p->length_bytes && p->kind == e->kind) {
        p->length_bytes += e->length_bytes;
        return 0;
    }
    int rc = p->length_bytes ? j->fn(j->opaque, p, err) : 0;
    *p = *e;
    return rc;
}

static int join_from_parent(void *opaque, const struct vf_extent *e, struct vf_error **err)
{
    struct joiner *j = opaque;
    struct vf_extent here = *e;
    here.offset_bytes -= j->parent_offset_bytes;
    return join(j, &here, err);
}

static int extents_absent(struct vf_mapped_disk *d, struct joiner *j, const struct vf_extent *e,
                          struct vf_error **err)
{
    uint64_t n = in_parent(d, e->offset_bytes, e->length_bytes);
    int rc = 0;
    if (n) {
        struct vf_disk *p = d->layer.parent;
        rc = p->ops->extents(p, d->layer.parent_offset_bytes + e->offset_bytes, n, join_from_parent,
                             j, err);
    }
    struct vf_extent rest = {
        .offset_bytes = e->offset_bytes + n,
        .length_bytes = e->length_bytes - n,
        .kind = VF_EXTENT_HOLE,
    };
    return rc ? rc : join(j, &rest, err);
}

static int mapped_extents(struct vf_disk *disk, uint64_t offset_bytes, uint64_t length_bytes,
                          vf_extent_fn *fn, void *opaque, struct vf_error **err)
{
    struct vf_mapped_disk *d = (struct vf_mapped_disk *)disk;
    struct joiner j = {
        .fn = fn, .opaque = opaque, .parent_offset_bytes = d->layer.parent_offset_bytes};
    int rc = vf_disk_check_window(disk, offset_bytes, length_bytes, err);
    while (rc == 0 && length_bytes > 0) {
        struct vf_run run;
        rc = map(d, offset_bytes, length_bytes, &run, err);
        if (rc) {
            break;
        }
        struct vf_extent e = {
            .offset_bytes = offset_bytes, .length_bytes = run.length_bytes, .kind = run.kind};
        rc = run.kind == VF_EXTENT_HOLE ? extents_absent(d, &j, &e, err) : join(&j, &e, err);
        offset_bytes += run.length_bytes;
        length_bytes -= run.length_bytes;
    }
    if (rc == 0 && j.pending.length_bytes) {
        rc = fn(opaque, &j.pending, err);
    }
    return rc;
}

static void mapped_free(struct vf_disk *disk)
{
    struct vf_mapped_disk *d = (struct vf_mapped_disk *)disk;
    close(d->layer.fd);
    vf_mapped_disk_abandon(d);
}

static const struct vf_disk_ops mapped_ops = {
    .extents = mapped_extents,
    .pread = mapped_pread,
    .free = mapped_free,
};

void vf_mapped_disk_init(struct vf_mapped_disk *d, const struct vf_map_ops *ops,
                         const struct vf_layer *layer, uint64_t size_bytes, uint64_t file_bytes)
{
    d->disk.ops = &mapped_ops;
    d->disk.size_bytes = size_bytes;
    d->map_ops = ops;
    d->layer = *layer;
    d->name = vf_xstrdup(layer->name);
    d->layer.name = d->name;
    d->layer.cache = layer->cache ? vf_meta_cache_ref(layer->cache) : vf_meta_cache_new();
    d->file_bytes = file_bytes;
}

void vf_mapped_disk_abandon(struct vf_mapped_disk *d)
{
    if (d) {
        vf_meta_cache_unref(d->layer.cache);
        free(d->name);
        free(d);
    }
}
