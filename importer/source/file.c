#include "importer/source/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/mem.h"

struct file_stream {
    struct vf_stream base;
    int fd;
    char *name;
    const struct vf_cancel *cancel;
    bool regular;
    uint64_t left_bytes; /* of a regular file */
    off_t at, ahead;     /* of a regular file: where we read, and up to where the kernel was told */
};

/* The kernel's own read-ahead is smaller than what inflating threads take in one disk latency. */
#define AHEAD_BYTES (16 << 20)

static void read_ahead(struct file_stream *f, size_t n)
{
    f->at += (off_t)n;
    if (f->at + AHEAD_BYTES / 2 > f->ahead) {
        f->ahead = f->ahead > f->at ? f->ahead : f->at;
        posix_fadvise(f->fd, f->ahead, AHEAD_BYTES / 2, POSIX_FADV_WILLNEED);
        f->ahead += AHEAD_BYTES / 2;
    }
}

/* Wait until a pipe has bytes; a regular file always has. */
static int wait_readable(struct file_stream *f, struct vf_error **err)
{
    struct pollfd fds[1 + VF_CANCEL_MAX_FDS] = {{.fd = f->fd, .events = POLLIN}};
    nfds_t n = 1 + vf_cancel_poll_fds(f->cancel, fds + 1, VF_CANCEL_MAX_FDS);
    int rc = vf_cancel_check(f->cancel, err);
    while (rc == 0 && fds[0].revents == 0) {
        if (poll(fds, n, -1) < 0 && errno != EINTR) {
            return vf_error_set_errno(err, errno, "cannot wait for \"%s\"", f->name);
        }
        rc = vf_cancel_check(f->cancel, err);
    }
    return rc;
}

static int file_read(struct vf_stream *s, void *buf, size_t len_bytes, size_t *ret_n,
                     struct vf_error **err)
{
    struct file_stream *f = (struct file_stream *)s;
    ssize_t n;
    do {
        int rc = f->regular ? vf_cancel_check(f->cancel, err) : wait_readable(f, err);
        if (rc) {
            return rc;
        }
        n = read(f->fd, buf, len_bytes);
    } while (n < 0 && (errno == EINTR || errno == EAGAIN));
    if (n < 0) {
        return vf_error_set_errno(err, errno, "cannot read \"%s\"", f->name);
    }
    if (f->regular) {
        if (n == 0 && f->left_bytes > 0) {
            return vf_error_set(err, VF_INVALID, "\"%s\" became shorter while it was read",
                                f->name);
        }
        f->left_bytes -= (uint64_t)n < f->left_bytes ? (uint64_t)n : f->left_bytes;
        read_ahead(f, (size_t)n);
    }
    *ret_n = (size_t)n;
    return 0;
}

static void file_free(struct vf_stream *s)
{
    struct file_stream *f = (struct file_stream *)s;
    close(f->fd);
    free(f->name);
    free(f);
}

static const struct vf_stream_ops file_ops = {.read = file_read, .free = file_free};

static int set_regular(struct file_stream *f, off_t size, struct vf_error **err)
{
    off_t at = lseek(f->fd, 0, SEEK_CUR);
    if (at < 0) {
        return vf_error_set_errno(err, errno, "cannot tell the position in \"%s\"", f->name);
    }
    f->regular = true;
    f->left_bytes = size > at ? (uint64_t)(size - at) : 0;
    f->base.size_bytes = (int64_t)f->left_bytes;
    f->at = f->ahead = at;
    posix_fadvise(f->fd, at, 0, POSIX_FADV_SEQUENTIAL); /* advice: its failure costs speed alone */
    return 0;
}

int vf_file_stream_from_fd(int fd, const char *name, const struct vf_cancel *cancel,
                           struct vf_stream **ret_stream, struct vf_error **err)
{
    struct file_stream *f = vf_xcalloc(1, sizeof *f);
    *f = (struct file_stream){.base = {.ops = &file_ops, .size_bytes = -1},
                              .fd = fd,
                              .name = vf_xstrdup(name),
                              .cancel = cancel};
    struct stat st;
    int rc = 0;
    if (fstat(fd, &st) < 0) {
        rc = vf_error_set_errno(err, errno, "cannot look at \"%s\"", name);
    } else if (S_ISDIR(st.st_mode)) {
        rc = vf_error_set(err, VF_CONFLICT, "\"%s\" is a directory", name);
    } else if (S_ISREG(st.st_mode)) {
        rc = set_regular(f, st.st_size, err);
    }
    if (rc) {
        file_free(&f->base);
        return rc;
    }
    *ret_stream = &f->base;
    return 0;
}

int vf_file_stream_open(const char *path, const struct vf_cancel *cancel,
                        struct vf_stream **ret_stream, struct vf_error **err)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot open \"%s\"",
                                  standard ? "standard input" : path);
    }
    return vf_file_stream_from_fd(fd, standard ? "standard input" : path, cancel, ret_stream, err);
}
