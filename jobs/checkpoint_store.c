#include "jobs/checkpoint_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/buf.h"
#include "importer/base/clock.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/target/place.h"

int vf_checkpoint_load(struct vf_checkpoint_store *s, struct vf_checkpoint *ret_checkpoint,
                       struct vf_error **err)
{
    return s->ops->load(s, ret_checkpoint, err);
}

int vf_checkpoint_save(struct vf_checkpoint_store *s, struct vf_checkpoint *c,
                       struct vf_error **err)
{
    int rc = vf_inject("checkpoint.save", err);
    if (rc) {
        return rc;
    }
    char now[VF_CLOCK_RFC3339_SIZE];
    vf_clock_rfc3339(now);
    vf_replace_string(&c->updated, now);
    rc = s->ops->save(s, c, err);
    return rc ? rc : vf_inject("checkpoint.saved", err);
}

int vf_checkpoint_clear(struct vf_checkpoint_store *s, struct vf_error **err)
{
    return s->ops->clear(s, err);
}

void vf_checkpoint_store_free(struct vf_checkpoint_store *s)
{
    if (s) {
        s->ops->free(s);
    }
}

struct file_store {
    struct vf_checkpoint_store base;
    char *path;
};

static int read_all(int fd, const char *path, struct vf_buf *b, struct vf_error **err)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is not a regular file", path);
    }
    char part[16384];
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) != 0) {
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return vf_error_set_errno(err, errno, "cannot read \"%s\"", path);
        }
        if (!vf_buf_append(b, part, (size_t)n)) {
            return vf_error_set(err, VF_INVALID, "\"%s\" is too large for a checkpoint", path);
        }
    }
    return 0;
}

static int file_load(struct vf_checkpoint_store *s, struct vf_checkpoint *ret_checkpoint,
                     struct vf_error **err)
{
    const char *path = ((struct file_store *)s)->path;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ELOOP) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is not a regular file", path);
    }
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot open \"%s\"", path);
    }
    struct vf_buf b;
    vf_buf_init(&b, VF_CHECKPOINT_MAX_BYTES + 64); /* and the white space at its end */
    int rc = read_all(fd, path, &b, err);
    close(fd);
    if (rc == 0) {
        rc = vf_checkpoint_parse(b.data ? b.data : "", b.len, ret_checkpoint, err);
        rc = rc ? vf_error_wrap(err, rc, "\"%s\"", path) : 0;
    }
    vf_buf_release(&b);
    return rc;
}

static int file_save(struct vf_checkpoint_store *s, const struct vf_checkpoint *c,
                     struct vf_error **err)
{
    char *text = NULL;
    int rc = vf_checkpoint_encode(c, VF_CHECKPOINT_MAX_BYTES, &text, err);
    if (rc) {
        return rc;
    }
    char *vf_autofree line = vf_xasprintf("%s\n", text);
    free(text);
    return vf_place_write_file(((struct file_store *)s)->path, line, true, err);
}

static int file_clear(struct vf_checkpoint_store *s, struct vf_error **err)
{
    const char *path = ((struct file_store *)s)->path;
    /* Not synced: one that comes back after a power loss is judged like any other, and the next
     * file that gets its name in this folder makes this durable too. */
    if (unlink(path) != 0 && errno != ENOENT) {
        return vf_error_set_errno(err, errno, "cannot remove \"%s\"", path);
    }
    return 0;
}

static void file_free(struct vf_checkpoint_store *s)
{
    free(((struct file_store *)s)->path);
    free(s);
}

struct vf_checkpoint_store *vf_checkpoint_file_new(const char *path)
{
    static const struct vf_checkpoint_store_ops ops = {
        .load = file_load, .save = file_save, .clear = file_clear, .free = file_free};
    struct file_store *f = vf_xcalloc(1, sizeof *f);
    f->base.ops = &ops;
    f->path = vf_xstrdup(path);
    return &f->base;
}
