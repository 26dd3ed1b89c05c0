#include "converters/disk/raw.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "importer/base/file_io.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"

struct raw_sink {
    struct vf_sink base;
    int fd;
    struct vf_bulk bulk;
    char *path;
};

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

static int raw_flush(struct vf_sink *s, struct vf_error **err)
{
    struct raw_sink *r = (struct raw_sink *)s;
    int rc = vf_inject("image.sync", err);
    if (rc) {
        return rc;
    }
    if (fsync(r->fd) != 0) {
        return vf_error_set_errno(err, errno, "cannot make \"%s\" durable", r->path);
    }
    return 0;
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

int vf_raw_sink_create(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                       struct vf_error **err)
{
    int fd;
    int rc = vf_file_create(path, &fd, err);
    if (rc) {
        return rc;
    }
    if (ftruncate(fd, (off_t)size_bytes) != 0) {
        rc = vf_error_set_errno(err, errno, "cannot give \"%s\" its size", path);
        close(fd);
        unlink(path);
        return rc;
    }
    struct raw_sink *r = vf_xcalloc(1, sizeof *r);
    r->base = (struct vf_sink){.ops = &raw_ops,
                               .size_bytes = size_bytes,
                               .caps = VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE |
                                       VF_SINK_READABLE | VF_SINK_STARTS_ZERO};
    r->fd = fd;
    r->path = vf_xstrdup(path);
    vf_bulk_open(&r->bulk, fd);
    *ret_sink = &r->base;
    return 0;
}
