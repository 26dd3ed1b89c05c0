#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/inject.h"
#include "importer/target/claim.h"
#include "importer/target/claim_private.h"

/* What KubeVirt gives a disk.img that it makes itself; owner and group come from the pod. */
#define DISK_MODE 0660

static int refuse(const struct vf_claim_sink *c, const char *name, const char *what,
                  struct vf_error **err)
{
    return vf_error_set(err, VF_CONFLICT, "\"%s\" in the claim at \"%s\" %s", name, c->path, what);
}

static bool is_named(const struct vf_claim_sink *c, const char *name, const struct stat *file)
{
    struct stat st;
    return fstatat(c->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

/* Has the file names that are not ours? Both of ours are left by a commit that was killed, where it
 * takes two calls. */
static bool has_other_names(const struct vf_claim_sink *c, const struct stat *file)
{
    return file->st_nlink > 1 &&
           !(file->st_nlink == 2 && is_named(c, VF_CLAIM_PARTIAL_NAME, file) &&
             is_named(c, VF_CLAIM_DISK_NAME, file));
}

/* A regular file of that name that nobody else is at: *ret_fd is open and locked, -1 when there is
 * none. Where locks cannot be had (some network filesystems), nobody is. */
static int hold(const struct vf_claim_sink *c, const char *name, int *ret_fd, struct vf_error **err)
{
    struct stat st;
    *ret_fd = -1;
    int fd = openat(c->folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        switch (errno) {
        case ENOENT:
            return 0;
        case ELOOP:
        case EISDIR:
        case ENXIO: /* a socket */
            return refuse(c, name, "is not a regular file", err);
        default:
            return vf_claim_fail(err, errno, "cannot look at \"%s\" in the claim at \"%s\"", name,
                                 c->path);
        }
    }
    /* QEMU locks byte ranges of the images it runs from, bound to its open file. Asked before our
     * own lock: NFS makes a lock of ranges of that too, and tells of it as another's. */
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int rc = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        rc = refuse(c, name, "is not a regular file", err);
    } else if (has_other_names(c, &st)) {
        rc = refuse(c, name, "has other names too", err);
    } else if ((fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK) ||
               (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)) {
        rc = refuse(c, name, "is in use by another process", err);
        vf_error_hint(err, "wait for it to end; a VM that runs from it must be stopped");
    }
    if (rc) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

static int remove_name(const struct vf_claim_sink *c, const char *name, struct vf_error **err)
{
    int fd;
    int rc = hold(c, name, &fd, err);
    if (rc || fd < 0) {
        return rc;
    }
    if (unlinkat(c->folder_fd, name, 0) != 0) {
        rc = vf_claim_fail(err, errno, "cannot remove \"%s\" from the claim at \"%s\"", name,
                           c->path);
    }
    close(fd);
    return rc;
}

/* A claim has room for one disk: the old one goes before the new one is written. */
static int make_way(const struct vf_claim_sink *c, bool replace, struct vf_error **err)
{
    struct stat st;
    if (!replace && fstatat(c->folder_fd, VF_CLAIM_DISK_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        vf_error_set(err, VF_CONFLICT, "the claim at \"%s\" already holds a disk", c->path);
        vf_error_hint(err, "give another claim, or have this one replaced");
        return VF_CONFLICT;
    }
    return remove_name(c, VF_CLAIM_DISK_NAME, err);
}

/* Some filesystems (FUSE, SMB) have no fsync of a directory; there is nothing to do then. */
static int sync_folder(const struct vf_claim_sink *c, struct vf_error **err)
{
    if (fsync(c->folder_fd) != 0 && errno != EINVAL) {
        return vf_claim_fail(err, errno, "cannot make the claim at \"%s\" durable", c->path);
    }
    return 0;
}

/* The umask has no say, and a filesystem without modes none in whether it is done. */
static bool set_mode(int fd)
{
    struct stat st;
    return fchmod(fd, DISK_MODE) == 0 ||
           (fstat(fd, &st) == 0 && (st.st_mode & DISK_MODE) == DISK_MODE);
}

static bool still_named(const struct vf_claim_sink *c)
{
    struct stat file;
    return fstat(c->fd, &file) == 0 && is_named(c, VF_CLAIM_PARTIAL_NAME, &file);
}

static int create_partial(struct vf_claim_sink *c, struct vf_error **err)
{
    c->fd = openat(c->folder_fd, VF_CLAIM_PARTIAL_NAME, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                   DISK_MODE);
    if (c->fd < 0 && errno != EEXIST) {
        return vf_claim_fail(err, errno, "cannot create \"%s\" in the claim at \"%s\"",
                             VF_CLAIM_PARTIAL_NAME, c->path);
    }
    /* Between open and lock another may take the file for a dead writer's and remove it. */
    if (c->fd < 0 || (flock(c->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) ||
        !still_named(c)) {
        return vf_error_set(err, VF_CONFLICT,
                            "another vmferry is about to write into the claim at \"%s\"", c->path);
    }
    if (!set_mode(c->fd) || ftruncate(c->fd, (off_t)c->base.size_bytes) != 0) {
        int rc = vf_claim_fail(err, errno, "cannot give the disk in the claim at \"%s\" its size",
                               c->path);
        unlinkat(c->folder_fd, VF_CLAIM_PARTIAL_NAME, 0);
        return rc;
    }
    return sync_folder(c, err);
}

/* The folder, for fd of the disk. */
static int open_folder(struct vf_claim_sink *c, struct vf_error **err)
{
    c->folder_fd = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return c->folder_fd < 0 ? vf_claim_fail(err, errno, "cannot open the claim at \"%s\"", c->path)
                            : 0;
}

int vf_claim_folder_begin(struct vf_claim_sink *c, bool replace, struct vf_error **err)
{
    int rc = open_folder(c, err);
    if (rc == 0) {
        rc = remove_name(c, VF_CLAIM_PARTIAL_NAME, err);
    }
    if (rc == 0) {
        rc = make_way(c, replace, err);
    }
    return rc ? rc : create_partial(c, err);
}

/* Never over what is there. */
static int give_name(const struct vf_claim_sink *c, const char *from, const char *to)
{
    int failed = renameat2(c->folder_fd, from, c->folder_fd, to, RENAME_NOREPLACE);
    if (failed && errno == EINVAL) {
        /* A filesystem without RENAME_NOREPLACE: link(2) refuses an existing name as well. */
        failed = linkat(c->folder_fd, from, c->folder_fd, to, 0);
        if (!failed) {
            unlinkat(c->folder_fd, from, 0);
        }
    }
    return failed;
}

/* A commit that was killed half-way left the partial under disk.img too; any other disk.img is none
 * of ours. */
static int drop_second_name(const struct vf_claim_sink *c, struct vf_error **err)
{
    struct stat st, disk;
    if (fstatat(c->folder_fd, VF_CLAIM_DISK_NAME, &disk, AT_SYMLINK_NOFOLLOW) != 0) {
        return 0;
    }
    if (fstat(c->fd, &st) != 0 || !is_named(c, VF_CLAIM_DISK_NAME, &st)) {
        int rc = refuse(c, VF_CLAIM_DISK_NAME, "was put beside the unfinished disk", err);
        vf_error_hint(err, "find out what made it: KubeVirt makes an empty one for a VM that is "
                           "started from this claim; then remove it");
        return rc;
    }
    if (unlinkat(c->folder_fd, VF_CLAIM_DISK_NAME, 0) != 0) {
        return vf_claim_fail(err, errno,
                             "cannot take its name from the disk in the claim at \"%s\"", c->path);
    }
    return sync_folder(c, err);
}

/* The disk was finished, and the VM was not made then. */
static int take_back(struct vf_claim_sink *c, struct vf_error **err)
{
    int rc = hold(c, VF_CLAIM_DISK_NAME, &c->fd, err);
    if (rc == 0 && c->fd < 0) {
        return vf_error_set(err, VF_MISSING, "the claim at \"%s\" holds no disk", c->path);
    }
    if (rc == 0) {
        rc = vf_inject("claim.take_back", err);
    }
    if (rc == 0 && give_name(c, VF_CLAIM_DISK_NAME, VF_CLAIM_PARTIAL_NAME) != 0) {
        rc = vf_claim_fail(err, errno,
                           "cannot give the disk in the claim at \"%s\" its unfinished name back",
                           c->path);
    }
    return rc ? rc : sync_folder(c, err);
}

static int check_size(const struct vf_claim_sink *c, struct vf_error **err)
{
    struct stat st;
    if (fstat(c->fd, &st) != 0) {
        return vf_claim_fail(err, errno, "cannot look at the disk in the claim at \"%s\"", c->path);
    }
    if ((uint64_t)st.st_size != c->base.size_bytes) {
        return vf_error_set(err, VF_INVALID,
                            "the claim at \"%s\" holds a disk of %" PRIu64 " bytes, not %" PRIu64,
                            c->path, (uint64_t)st.st_size, c->base.size_bytes);
    }
    return 0;
}

int vf_claim_folder_resume(struct vf_claim_sink *c, struct vf_error **err)
{
    int rc = open_folder(c, err);
    if (rc == 0) {
        rc = hold(c, VF_CLAIM_PARTIAL_NAME, &c->fd, err);
    }
    if (rc == 0) {
        rc = c->fd < 0 ? take_back(c, err) : drop_second_name(c, err);
    }
    if (rc == 0 && !still_named(c)) { /* possible only where there are no locks */
        rc = vf_error_set(err, VF_CONFLICT,
                          "another vmferry is about to write into the claim at \"%s\"", c->path);
    }
    return rc ? rc : check_size(c, err);
}

int vf_claim_folder_commit(const struct vf_claim_sink *c, struct vf_error **err)
{
    int rc = vf_inject("place.commit", err);
    if (rc) {
        return rc;
    }
    if (!still_named(c)) { /* possible only where there are no locks */
        return vf_error_set(err, VF_CONFLICT,
                            "another process removed the unfinished disk from the claim at \"%s\"",
                            c->path);
    }
    if (give_name(c, VF_CLAIM_PARTIAL_NAME, VF_CLAIM_DISK_NAME) != 0) {
        return vf_claim_fail(err, errno, "cannot give the disk in the claim at \"%s\" its name",
                             c->path);
    }
    rc = vf_inject("claim.named", err);
    return rc ? rc : sync_folder(c, err);
}

void vf_claim_folder_look(int folder_fd, uint64_t *ret_partial_bytes, bool *ret_has_disk)
{
    struct stat st;
    *ret_has_disk = fstatat(folder_fd, VF_CLAIM_DISK_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
    bool partial = fstatat(folder_fd, VF_CLAIM_PARTIAL_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0;
    *ret_partial_bytes = partial && S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : 0;
}
