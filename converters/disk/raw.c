#include "converters/disk/raw.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "importer/base/file_io.h"
#include "importer/base/mem.h"

struct raw_sink {
    struct vf_sink base;
    int fd;
    struct vf_bulk bulk;
    char *path;
    int sync_failed;
    bool unflushed; /* since it was made: the file is longer than the disk by UNFLUSHED_BYTES */
};

/* By its size an image tells whether it was flushed ever: one that was just made in the place of
 * another is not to be taken for the other. */
#define UNFLUSHED_BYTES 1

static int raw_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                     struct vf_error **err)
{
    struct raw_sink *r = (struct raw_sink *)s;
    return vf_bulk_pwrite(&r->bulk, r->fd, r->path, buf, len_bytes, offset_bytes, err);
}

static int raw_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                    struct vf_error **err)
{
    struct raw_sink *r = (struct raw_sink *)s;
    return vf_file_zero(r->fd, r->path, offset_bytes, length_bytes, err);
}

static int raw_read(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                    struct vf_error **err)
{
    struct raw_sink *r = (struct raw_sink *)s;
    return vf_file_pread(r->fd, r->path, buf, len_bytes, offset_bytes, err);
}

static int set_size(int fd, const char *path, uint64_t size_bytes, uint64_t more_bytes,
                    struct vf_error **err)
{
    uint64_t bytes;
    bool fits = !__builtin_add_overflow(size_bytes, more_bytes, &bytes) && bytes <= INT64_MAX;
    if (!fits || ftruncate(fd, (off_t)bytes) != 0) {
        return vf_error_set_errno(err, fits ? errno : EFBIG, "cannot give \"%s\" its size", path);
    }
    return 0;
}

static int raw_flush(struct vf_sink *s, struct vf_error **err)
{
    struct raw_sink *r = (struct raw_sink *)s;
    if (r->unflushed) {
        int rc = set_size(r->fd, r->path, s->size_bytes, 0, err);
        if (rc) {
            return rc;
        }
        r->unflushed = false;
    }
    return vf_file_sync(r->fd, r->path, &r->sync_failed, err);
}

static void raw_free(struct vf_sink *s)
{
    struct raw_sink *r = (struct raw_sink *)s;
    vf_bulk_close(&r->bulk);
    close(r->fd);
    free(r->path);
    free(r);
}

static const struct vf_sink_ops raw_ops = {
    .write = raw_write,
    .zero = raw_zero,
    .read = raw_read,
    .flush = raw_flush,
    .finish = raw_flush,
    .free = raw_free,
};

static struct vf_sink *new_sink(int fd, const char *path, uint64_t size_bytes, bool fresh)
{
    unsigned more_caps = fresh ? VF_SINK_STARTS_ZERO : 0;
    struct raw_sink *r = vf_xcalloc(1, sizeof *r);
    r->base = (struct vf_sink){.ops = &raw_ops,
                               .size_bytes = size_bytes,
                               .caps = VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE |
                                       VF_SINK_READABLE | more_caps};
    r->fd = fd;
    r->unflushed = fresh;
    r->path = vf_xstrdup(path);
    vf_bulk_open(&r->bulk, fd);
    return &r->base;
}

int vf_raw_sink_create(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                       struct vf_error **err)
{
    int fd;
    int rc = vf_file_create(path, &fd, err);
    if (rc) {
        return rc;
    }
    rc = set_size(fd, path, size_bytes, UNFLUSHED_BYTES, err);
    if (rc) {
        close(fd);
        unlink(path);
        return rc;
    }
    *ret_sink = new_sink(fd, path, size_bytes, true);
    return 0;
}

int vf_raw_sink_open(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                     struct vf_error **err)
{
    int fd;
    uint64_t have_bytes;
    int rc = vf_file_reopen(path, &fd, &have_bytes, err);
    if (rc) {
        return rc;
    }
    if (have_bytes != size_bytes) {
        close(fd);
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" has %" PRIu64 " bytes, and the disk has %" PRIu64, path,
                            have_bytes, size_bytes);
    }
    *ret_sink = new_sink(fd, path, size_bytes, false);
    return 0;
}
