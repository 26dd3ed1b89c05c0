#include "importer/target/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"

#define MAX_NOTE_BYTES (1u << 20)

/* In the note: the folder itself was made for what is in it. No file has such a name. */
#define MADE_LINE "/"

struct vf_dir {
    char *path;
    int fd;
    bool made;
    int note_fd;          /* -1: there is no note yet */
    char *earlier;        /* names that a killed import had noted, each on a line; may be NULL */
    struct vf_buf claims; /* the same of this one */
};

/* Some filesystems (FUSE, SMB) have no fsync of a directory; there is nothing to do then. */
static int sync_directory(int fd, const char *path, struct vf_error **err)
{
    if (fsync(fd) != 0 && errno != EINVAL) {
        return vf_error_set_errno(err, errno, "cannot make folder \"%s\" durable", path);
    }
    return 0;
}

/* What is durable inside a folder is lost when the folder's own name is. */
static int sync_parent(const struct vf_dir *d, struct vf_error **err)
{
    char *vf_autofree copy = vf_xstrdup(d->path);
    const char *parent = dirname(copy);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return 0; /* may be entered but not read: no way to sync it, and no reason to refuse */
    }
    int rc = sync_directory(fd, parent, err);
    close(fd);
    return rc;
}

static bool has_line(const char *lines, const char *name)
{
    char *vf_autofree line = vf_xasprintf("\n%s\n", name);
    return lines && strstr(lines, line) != NULL;
}

static int refuse_second(const char *path, struct vf_error **err)
{
    vf_error_set(err, VF_CONFLICT, "another vmferry is writing into \"%s\"", path);
    vf_error_hint(err, "wait for it to end, or give another target");
    return VF_CONFLICT;
}

static int open_folder(struct vf_dir *d, struct vf_error **err)
{
    if (mkdir(d->path, 0755) == 0) {
        d->made = true;
    } else if (errno == ENOENT) {
        vf_error_set(err, VF_MISSING, "cannot make folder \"%s\": its parent does not exist",
                     d->path);
        return VF_MISSING;
    } else if (errno != EEXIST) {
        return vf_error_set_errno(err, errno, "cannot make folder \"%s\"", d->path);
    }
    d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0) {
        return vf_error_set_errno(err, errno, "cannot open folder \"%s\"", d->path);
    }
    if (faccessat(AT_FDCWD, d->path, W_OK | X_OK, AT_EACCESS) != 0) {
        return vf_error_set_errno(err, errno, "cannot write into folder \"%s\"", d->path);
    }
    /* Where a directory cannot be locked (NFS wants it open for writing) the partials' locks are
     * what there is. */
    if (flock(d->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return refuse_second(d->path, err);
    }
    return d->made ? sync_parent(d, err) : 0;
}

/* VF_CONFLICT when another holds it. Where such locks cannot be had there is the folder's. */
static int lock_note(int fd, const char *path, struct vf_error **err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES)
               ? refuse_second(path, err)
               : 0;
}

static char *read_lines(int fd)
{
    struct vf_buf b;
    vf_buf_init(&b, MAX_NOTE_BYTES);
    vf_buf_puts(&b, "\n");
    char part[4096], *lines = NULL;
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) > 0 && vf_buf_append(&b, part, (size_t)n)) {
    }
    if (n == 0) {
        lines = vf_buf_take_string(&b);
        strrchr(lines, '\n')[1] = '\0'; /* a line that a kill cut off names no file */
    }
    vf_buf_release(&b);
    return lines;
}

/* What a killed import had begun. A note that is not ours to understand means nothing of it is. */
static int read_note(struct vf_dir *d, struct vf_error **err)
{
    int fd = openat(d->fd, VF_UNFINISHED_NAME, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return 0;
    }
    struct stat st;
    int rc = lock_note(fd, d->path, err);
    if (rc || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink == 0) {
        close(fd);
        return rc;
    }
    d->earlier = read_lines(fd);
    d->note_fd = fd;
    d->made = d->made || has_line(d->earlier, MADE_LINE);
    return 0;
}

static int open_note(struct vf_dir *d, struct vf_error **err)
{
    if (d->note_fd >= 0) {
        return 0;
    }
    int fd = openat(d->fd, VF_UNFINISHED_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot write \"%s/%s\"", d->path,
                                  VF_UNFINISHED_NAME);
    }
    int rc = lock_note(fd, d->path, err);
    if (rc) {
        close(fd);
        return rc;
    }
    d->note_fd = fd;
    return 0;
}

static int write_note(struct vf_dir *d, struct vf_error **err)
{
    int rc = open_note(d, err);
    if (rc) {
        return rc;
    }
    /* Names are only ever added in one run, so writing from the start loses none. */
    bool ok = pwrite(d->note_fd, d->claims.data, d->claims.len, 0) == (ssize_t)d->claims.len &&
              ftruncate(d->note_fd, (off_t)d->claims.len) == 0 && fsync(d->note_fd) == 0 &&
              (fsync(d->fd) == 0 || errno == EINVAL);
    return ok ? 0
              : vf_error_set_errno(err, errno, "cannot write \"%s/%s\"", d->path,
                                   VF_UNFINISHED_NAME);
}

bool vf_dir_is_noted(const struct vf_dir *d, const char *name)
{
    char *vf_autofree claims = vf_xasprintf("\n%s", d->claims.data ? d->claims.data : "");
    return has_line(d->earlier, name) || has_line(claims, name);
}

int vf_dir_claim(struct vf_dir *d, const char *name, bool *ret_ours, struct vf_error **err)
{
    *ret_ours = vf_dir_is_noted(d, name);
    /* What the killed import had begun stays noted until all is settled. */
    if (d->claims.len == 0 && d->earlier) {
        vf_buf_puts(&d->claims, d->earlier + 1);
    } else if (d->claims.len == 0 && d->made) {
        vf_buf_puts(&d->claims, MADE_LINE "\n");
    }
    if (!*ret_ours) {
        struct stat st;
        if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            return 0; /* somebody's: never noted as ours, refused or replaced as the user says */
        }
        vf_buf_printf(&d->claims, "%s\n", name);
    }
    return write_note(d, err);
}

void vf_dir_settle(struct vf_dir *d, bool whole)
{
    if (whole || !d->earlier) {
        unlinkat(d->fd, VF_UNFINISHED_NAME, 0);
    }
}

char *vf_dir_get_noted(const struct vf_dir *d, size_t index)
{
    /* What the killed run had noted is taken over with the first claim. */
    const char *line = d->claims.len > 0 ? d->claims.data : d->earlier ? d->earlier + 1 : "";
    while (*line) {
        size_t len = strcspn(line, "\n");
        if (len > 0 && !memchr(line, '/', len) && index-- == 0) {
            return vf_xstrndup(line, len);
        }
        line += len + (line[len] == '\n');
    }
    return NULL;
}

int vf_dir_remove(struct vf_dir *d, const char *name, struct vf_error **err)
{
    if (unlinkat(d->fd, name, 0) != 0 && errno != ENOENT) {
        return vf_error_set_errno(err, errno, "cannot remove \"%s/%s\"", d->path, name);
    }
    return 0;
}

int vf_dir_sync(struct vf_dir *d, struct vf_error **err)
{
    return sync_directory(d->fd, d->path, err);
}

int vf_dir_fetch_held(const char *path, bool *ret_held, struct vf_error **err)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return vf_error_set_errno(err, errno, "cannot open folder \"%s\"", path);
    }
    int fd = openat(dir, VF_UNFINISHED_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int errnum = errno;
    close(dir);
    *ret_held = false;
    if (fd < 0) {
        return errnum == ENOENT ? 0
                                : vf_error_set_errno(err, errnum, "cannot open \"%s/%s\"", path,
                                                     VF_UNFINISHED_NAME);
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int failed = fcntl(fd, F_OFD_GETLK, &lock);
    errnum = errno;
    close(fd);
    if (failed) {
        return vf_error_set_errno(err, errnum, "cannot ask for the lock of \"%s/%s\"", path,
                                  VF_UNFINISHED_NAME);
    }
    *ret_held = lock.l_type != F_UNLCK;
    return 0;
}

int vf_dir_open(const char *path, bool overwrite, struct vf_dir **ret_dir, struct vf_error **err)
{
    struct vf_dir *d = vf_xcalloc(1, sizeof *d);
    d->fd = d->note_fd = -1;
    d->path = vf_xstrdup(path);
    vf_buf_init(&d->claims, MAX_NOTE_BYTES);
    for (size_t n = strlen(d->path); n > 1 && d->path[n - 1] == '/'; n--) {
        d->path[n - 1] = '\0';
    }
    int rc = open_folder(d, err);
    if (rc == 0 && !overwrite && faccessat(d->fd, VF_RECORD_NAME, F_OK, 0) == 0) {
        rc = vf_error_set(err, VF_CONFLICT, "\"%s\" already holds a finished import", d->path);
        vf_error_hint(err, "give another target, or --overwrite to replace it");
    }
    if (rc == 0) {
        rc = read_note(d, err);
    }
    if (rc) {
        vf_dir_free(d);
        return rc;
    }
    *ret_dir = d;
    return 0;
}

void vf_dir_free(struct vf_dir *d)
{
    if (!d) {
        return;
    }
    if (d->made) {
        rmdir(d->path); /* stays when anything is in it */
    }
    if (d->note_fd >= 0) {
        close(d->note_fd);
    }
    if (d->fd >= 0) {
        close(d->fd);
    }
    vf_buf_release(&d->claims);
    free(d->earlier);
    free(d->path);
    free(d);
}

const char *vf_dir_path(const struct vf_dir *d)
{
    return d->path;
}

char *vf_dir_join(const struct vf_dir *d, const char *name)
{
    return vf_xasprintf("%s/%s", d->path, name);
}

int vf_dir_retract(struct vf_dir *d, struct vf_error **err)
{
    if (unlinkat(d->fd, VF_RECORD_NAME, 0) != 0 && errno != ENOENT) {
        return vf_error_set_errno(err, errno,
                                  "cannot remove the record of the earlier import in "
                                  "\"%s\"",
                                  d->path);
    }
    return sync_directory(d->fd, d->path, err);
}
