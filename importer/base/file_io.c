#include "importer/base/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/inject.h"

int vf_file_create(const char *path, int *ret_fd, struct vf_error **err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot create \"%s\"", path);
    }
    /* Where locks cannot be had (some network filesystems) the copy goes on without. Between open
     * and lock another may have taken the file for a dead writer's and removed it. */
    struct stat st;
    if ((flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) || fstat(fd, &st) != 0 ||
        st.st_nlink == 0) {
        close(fd);
        return vf_error_set(err, VF_CONFLICT, "another vmferry is about to write \"%s\"", path);
    }
    *ret_fd = fd;
    return 0;
}

int vf_file_reopen(const char *path, int *ret_fd, uint64_t *ret_size_bytes, struct vf_error **err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno != ELOOP && errno != ENXIO) {
        return vf_error_set_errno(err, errno, "cannot open \"%s\"", path);
    }
    struct stat st = {0};
    int rc = 0;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        rc = vf_error_set(err, VF_CONFLICT, "\"%s\" is not a regular file", path);
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        vf_error_set(err, VF_CONFLICT, "\"%s\" is being written by another vmferry", path);
        vf_error_hint(err, "wait for it to end, or give another target");
        rc = VF_CONFLICT;
    }
    if (rc) {
        if (fd >= 0) {
            close(fd);
        }
        return rc;
    }
    *ret_fd = fd;
    *ret_size_bytes = (uint64_t)st.st_size;
    return 0;
}

int vf_file_sync(int fd, const char *path, int *failed, struct vf_error **err)
{
    int rc = vf_inject("image.sync", err);
    if (rc) {
        return rc;
    }
    if (*failed == 0 && fsync(fd) != 0) {
        *failed = errno;
    }
    if (*failed) {
        return vf_error_set_errno(err, *failed, "cannot make \"%s\" durable", path);
    }
    return vf_inject("image.synced", err);
}

int vf_file_pwrite(int fd, const char *path, const void *buf, size_t len_bytes,
                   uint64_t offset_bytes, struct vf_error **err)
{
    const char *p = buf;
    int rc = vf_inject("image.write", err);
    if (rc) {
        return rc;
    }
    while (len_bytes > 0) {
        ssize_t n = pwrite(fd, p, len_bytes, (off_t)offset_bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            rc = vf_error_set_errno(err, n < 0 ? errno : EIO,
                                    "cannot write \"%s\" at offset %" PRIu64, path, offset_bytes);
            if (rc == VF_SPACE) {
                vf_error_hint(err, "free space there or give a target on a larger filesystem");
            }
            return rc;
        }
        p += n;
        len_bytes -= (size_t)n;
        offset_bytes += (uint64_t)n;
    }
    return 0;
}

void vf_bulk_open(struct vf_bulk *b, int fd)
{
    char name[sizeof "/proc/self/fd/" + 3 * sizeof fd];
    long page = sysconf(_SC_PAGESIZE);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    b->granule_bytes = page > (long)VF_BULK_ALIGN ? (size_t)page : VF_BULK_ALIGN;
    atomic_init(&b->fd, open(name, O_WRONLY | O_DIRECT | O_CLOEXEC));
}

void vf_bulk_close(struct vf_bulk *b)
{
    if (atomic_load(&b->fd) >= 0) {
        close(atomic_load(&b->fd));
    }
}

int vf_bulk_pwrite(struct vf_bulk *b, int fd, const char *path, const void *buf, size_t len_bytes,
                   uint64_t offset_bytes, struct vf_error **err)
{
    int bulk_fd = atomic_load(&b->fd);
    size_t direct = len_bytes - len_bytes % b->granule_bytes;
    bool aligned = (uintptr_t)buf % VF_BULK_ALIGN == 0 && offset_bytes % b->granule_bytes == 0;
    ssize_t n = 0;
    if (bulk_fd >= 0 && aligned && direct >= VF_BULK_MIN_BYTES) {
        /* Whatever is short or refused here, the buffered write below does or explains. */
        n = pwrite(bulk_fd, buf, direct, (off_t)offset_bytes);
        n = n < 0 ? 0 : n;
        if (n == (ssize_t)len_bytes) {
            return vf_inject("image.write", err);
        }
    }
    return vf_file_pwrite(fd, path, (const char *)buf + n, len_bytes - (size_t)n,
                          offset_bytes + (uint64_t)n, err);
}

int vf_file_pread_upto(int fd, const char *path, void *buf, size_t len_bytes, uint64_t offset_bytes,
                       size_t *ret_n, struct vf_error **err)
{
    char *p = buf;
    *ret_n = 0;
    while (len_bytes > 0) {
        ssize_t n = pread(fd, p, len_bytes, (off_t)offset_bytes);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return vf_error_set_errno(err, errno, "cannot read \"%s\" at offset %" PRIu64, path,
                                      offset_bytes);
        }
        if (n == 0) {
            break;
        }
        p += n;
        *ret_n += (size_t)n;
        len_bytes -= (size_t)n;
        offset_bytes += (uint64_t)n;
    }
    return 0;
}

int vf_file_pread(int fd, const char *path, void *buf, size_t len_bytes, uint64_t offset_bytes,
                  struct vf_error **err)
{
    size_t n;
    int rc = vf_file_pread_upto(fd, path, buf, len_bytes, offset_bytes, &n, err);
    if (rc == 0 && n < len_bytes) {
        rc = vf_error_set(err, VF_INVALID, "\"%s\" ends at offset %" PRIu64 ", too early", path,
                          offset_bytes + n);
    }
    return rc;
}

int vf_file_write_zeros(int fd, const char *path, uint64_t offset_bytes, uint64_t length_bytes,
                        struct vf_error **err)
{
    static const char zeros[64 << 10];
    int rc = 0;
    while (length_bytes > 0 && rc == 0) {
        size_t part = length_bytes < sizeof zeros ? (size_t)length_bytes : sizeof zeros;
        rc = vf_file_pwrite(fd, path, zeros, part, offset_bytes, err);
        offset_bytes += part;
        length_bytes -= part;
    }
    return rc;
}

static int punch(int fd, const char *path, uint64_t offset_bytes, uint64_t length_bytes,
                 struct vf_error **err)
{
    int failed;
    do {
        failed = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset_bytes,
                           (off_t)length_bytes);
    } while (failed && errno == EINTR);
    if (!failed) {
        return 0;
    }
    if (errno == EOPNOTSUPP || errno == ENOSYS) {
        return vf_file_write_zeros(fd, path, offset_bytes, length_bytes, err);
    }
    return vf_error_set_errno(err, errno, "cannot zero \"%s\" at offset %" PRIu64, path,
                              offset_bytes);
}

int vf_file_zero(int fd, const char *path, uint64_t offset_bytes, uint64_t length_bytes,
                 struct vf_error **err)
{
    uint64_t end = offset_bytes + length_bytes;
    while (offset_bytes < end) {
        /* The file position is nobody's: all reading and writing is by offset. */
        off_t data = lseek(fd, (off_t)offset_bytes, SEEK_DATA);
        if (data < 0) {
            if (errno == ENXIO) {
                return 0; /* hole up to the end of the file */
            }
            data = (off_t)offset_bytes;
        }
        if ((uint64_t)data >= end) {
            return 0;
        }
        off_t hole = lseek(fd, data, SEEK_HOLE);
        uint64_t stop = hole < 0 || (uint64_t)hole > end ? end : (uint64_t)hole;
        int rc = punch(fd, path, (uint64_t)data, stop - (uint64_t)data, err);
        if (rc) {
            return rc;
        }
        offset_bytes = stop;
    }
    return 0;
}
