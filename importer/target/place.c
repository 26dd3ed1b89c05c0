#include "importer/target/place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "importer/base/inject.h"
#include "importer/base/mem.h"

static char *folder_of(const char *path)
{
    char *vf_autofree copy = vf_xstrdup(path);
    return vf_xstrdup(dirname(copy));
}

static int check_folder(const char *path, struct vf_error **err)
{
    char *vf_autofree folder = folder_of(path);
    struct stat st;
    if (stat(folder, &st) != 0) {
        return vf_error_set_errno(err, errno, "cannot use folder \"%s\"", folder);
    }
    if (!S_ISDIR(st.st_mode)) {
        return vf_error_set(err, VF_INVALID, "\"%s\" is not a folder", folder);
    }
    if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0) {
        return vf_error_set_errno(err, errno, "cannot write into folder \"%s\"", folder);
    }
    return 0;
}

static int check_free(const char *path, bool overwrite, struct vf_error **err)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ? 0 : vf_error_set_errno(err, errno, "cannot look at \"%s\"", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return vf_error_set(err, VF_CONFLICT, "\"%s\" exists and is not a regular file", path);
    }
    if (!overwrite) {
        vf_error_set(err, VF_CONFLICT, "\"%s\" exists", path);
        vf_error_hint(err, "give another target, or --overwrite to replace it");
        return VF_CONFLICT;
    }
    return 0;
}

/* A partial that nobody holds the lock of. Where locks cannot be had, nobody does. */
static int remove_stale(const char *partial, struct vf_error **err)
{
    int fd = open(partial, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT) {
            return 0;
        }
        return vf_error_set_errno(err, errno, "cannot look at \"%s\"", partial);
    }
    int rc = 0;
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        rc = vf_error_set(err, VF_CONFLICT, "\"%s\" exists and is not a regular file", partial);
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        vf_error_set(err, VF_CONFLICT, "\"%s\" is being written by another vmferry", partial);
        vf_error_hint(err, "wait for it to end, or give another target");
        rc = VF_CONFLICT;
    } else if (unlink(partial) != 0) {
        rc = vf_error_set_errno(err, errno, "cannot remove \"%s\" of an earlier run", partial);
    }
    close(fd);
    return rc;
}

int vf_place_adopt(struct vf_place *p, const char *path, bool overwrite, struct vf_error **err)
{
    *p = (struct vf_place){.overwrite = overwrite};
    int rc = check_folder(path, err);
    if (rc == 0) {
        rc = check_free(path, overwrite, err);
    }
    if (rc == 0) {
        p->path = vf_xstrdup(path);
        p->partial = vf_xasprintf("%s.partial", path);
    }
    return rc;
}

int vf_place_discard(struct vf_place *p, struct vf_error **err)
{
    return remove_stale(p->partial, err);
}

int vf_place_reserve(struct vf_place *p, const char *path, bool overwrite, struct vf_error **err)
{
    int rc = vf_place_adopt(p, path, overwrite, err);
    if (rc == 0) {
        rc = vf_place_discard(p, err);
        p->reserved = rc == 0;
    }
    return rc;
}

int vf_place_check_space(const char *path, uint64_t need_bytes, struct vf_error **err)
{
    char *vf_autofree folder = folder_of(path);
    struct statvfs v;
    if (statvfs(folder, &v) != 0) {
        return vf_error_set_errno(err, errno, "cannot ask for the free space of \"%s\"", folder);
    }
    uint64_t have = (uint64_t)v.f_bavail * v.f_frsize;
    if (have >= need_bytes) {
        return 0;
    }
    vf_error_set(err, VF_SPACE,
                 "\"%s\" has %" PRIu64 " MiB free, and the copy may need %" PRIu64 " MiB", folder,
                 have >> 20, (need_bytes >> 20) + (need_bytes % (1u << 20) != 0));
    vf_error_hint(err, "free space there or give a target on a larger filesystem");
    return VF_SPACE;
}

static int sync_folder(const char *path, struct vf_error **err)
{
    char *vf_autofree folder = folder_of(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Some filesystems (FUSE, SMB) have no fsync of a directory; there is nothing to do then. */
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) {
        int rc = vf_error_set_errno(err, errno, "cannot make folder \"%s\" durable", folder);
        if (fd >= 0) {
            close(fd);
        }
        return rc;
    }
    close(fd);
    return 0;
}

static int move(const char *from, const char *to, bool replace)
{
    unsigned flags = replace ? 0 : RENAME_NOREPLACE;
    int failed = renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
    if (failed && errno == EINVAL && flags) {
        /* A filesystem without RENAME_NOREPLACE: link(2) refuses an existing name as well. */
        failed = link(from, to);
    }
    if (!failed) {
        unlink(from); /* after a link, or a rename between two names of one file, both are there */
    }
    return failed;
}

int vf_place_commit(struct vf_place *p, struct vf_error **err)
{
    int rc = vf_inject("place.commit", err);
    if (rc) {
        return rc;
    }
    if (move(p->partial, p->path, p->overwrite)) {
        return vf_error_set_errno(err, errno, "cannot rename \"%s\" to its final name", p->partial);
    }
    p->reserved = false;
    rc = vf_inject("place.committed", err);
    return rc ? rc : sync_folder(p->path, err);
}

int vf_place_revoke(const struct vf_place *p, struct vf_error **err)
{
    if (move(p->path, p->partial, false)) {
        return vf_error_set_errno(err, errno, "cannot rename \"%s\" to \"%s\"", p->path,
                                  p->partial);
    }
    int rc = vf_inject("place.revoked", err);
    return rc ? rc : sync_folder(p->path, err);
}

void vf_place_release(struct vf_place *p)
{
    if (p->reserved) {
        /* Another may have reserved the same name and be writing: then it is not ours to remove. */
        remove_stale(p->partial, NULL);
    }
    free(p->path);
    free(p->partial);
    *p = (struct vf_place){0};
}

static int write_text(const char *path, const char *text, struct vf_error **err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot create \"%s\"", path);
    }
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t n = write(fd, text, left);
        if (n < 0 && errno != EINTR) {
            break;
        }
        if (n > 0) {
            text += n;
            left -= (size_t)n;
        }
    }
    int rc = 0;
    if (left > 0 || fsync(fd) != 0) {
        rc = vf_error_set_errno(err, errno, "cannot write \"%s\"", path);
    }
    close(fd);
    return rc;
}

int vf_place_write_file(const char *path, const char *text, bool overwrite, struct vf_error **err)
{
    struct vf_place place = {0};
    int rc = vf_place_reserve(&place, path, overwrite, err);
    if (rc == 0) {
        rc = write_text(place.partial, text, err);
    }
    if (rc == 0) {
        rc = vf_place_commit(&place, err);
    }
    vf_place_release(&place);
    return rc;
}
