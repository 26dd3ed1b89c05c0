#include "converters/disk/raw_disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "converters/disk/mapped_disk.h"
#include "importer/base/file_io.h"
#include "importer/base/mem.h"

struct raw_disk {
    struct vf_disk disk;
    int fd;
    char *name;
    uint64_t start_bytes; /* of the disk, in the file */
};

static int raw_pread(struct vf_disk *disk, void *buf, size_t len_bytes, uint64_t offset_bytes,
                     struct vf_error **err)
{
    struct raw_disk *d = (struct raw_disk *)disk;
    int rc = vf_disk_check_window(disk, offset_bytes, len_bytes, err);
    return rc ? rc
              : vf_file_pread(d->fd, d->name, buf, len_bytes, d->start_bytes + offset_bytes, err);
}

/* Where, from `at` on, the next data starts, or the next hole for SEEK_HOLE; at most `end`.
 *
 * lseek moves the descriptor's offset, which other threads move too; nothing here reads by it. */
static int seek(const struct raw_disk *d, uint64_t at, uint64_t end, int whence, uint64_t *ret_at,
                struct vf_error **err)
{
    off_t found = lseek(d->fd, (off_t)at, whence);
    if (found >= 0) {
        *ret_at = (uint64_t)found < end ? (uint64_t)found : end;
        return 0;
    }
    if (errno == ENXIO) { /* no data up to the end of the file */
        *ret_at = end;
        return 0;
    }
    if (errno == EINVAL || errno == EOPNOTSUPP) { /* block devices, some filesystems */
        *ret_at = whence == SEEK_DATA ? at : end;
        return 0;
    }
    return vf_error_set_errno(err, errno, "cannot look for holes in \"%s\" at offset %" PRIu64,
                              d->name, at);
}

static int tell(const struct raw_disk *d, uint64_t from, uint64_t to, enum vf_extent_kind kind,
                vf_extent_fn *fn, void *opaque, struct vf_error **err)
{
    if (from == to) {
        return 0;
    }
    struct vf_extent e = {
        .offset_bytes = from - d->start_bytes, .length_bytes = to - from, .kind = kind};
    return fn(opaque, &e, err);
}

static int raw_extents(struct vf_disk *disk, uint64_t offset_bytes, uint64_t length_bytes,
                       vf_extent_fn *fn, void *opaque, struct vf_error **err)
{
    struct raw_disk *d = (struct raw_disk *)disk;
    int rc = vf_disk_check_window(disk, offset_bytes, length_bytes, err);
    uint64_t at = d->start_bytes + offset_bytes, end = at + length_bytes;
    while (rc == 0 && at < end) {
        uint64_t data = end, hole = end;
        rc = seek(d, at, end, SEEK_DATA, &data, err);
        if (rc == 0) {
            rc = tell(d, at, data, VF_EXTENT_HOLE, fn, opaque, err);
        }
        if (rc == 0 && data < end) {
            rc = seek(d, data, end, SEEK_HOLE, &hole, err);
        }
        if (rc == 0) {
            rc = tell(d, data, hole, VF_EXTENT_DATA, fn, opaque, err);
        }
        at = hole;
    }
    return rc;
}

static void raw_free(struct vf_disk *disk)
{
    struct raw_disk *d = (struct raw_disk *)disk;
    close(d->fd);
    free(d->name);
    free(d);
}

static const struct vf_disk_ops raw_ops = {
    .extents = raw_extents,
    .pread = raw_pread,
    .free = raw_free,
};

int vf_raw_disk_open(int fd, const char *name, uint64_t offset_bytes, uint64_t length_bytes,
                     struct vf_disk **ret_disk, struct vf_error **err)
{
    uint64_t file_bytes;
    int rc = vf_file_size(fd, name, &file_bytes, err);
    if (rc) {
        return rc;
    }
    uint64_t left = offset_bytes < file_bytes ? file_bytes - offset_bytes : 0;
    if (length_bytes == UINT64_MAX) {
        length_bytes = left;
    }
    if (offset_bytes > file_bytes || length_bytes > left) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" has %" PRIu64 " bytes, too few for %" PRIu64
                            " at offset %" PRIu64,
                            name, file_bytes, length_bytes, offset_bytes);
    }
    struct raw_disk *d = vf_xcalloc(1, sizeof *d);
    d->disk.ops = &raw_ops;
    d->disk.size_bytes = length_bytes;
    d->fd = fd;
    d->name = vf_xstrdup(name);
    d->start_bytes = offset_bytes;
    *ret_disk = &d->disk;
    return 0;
}
