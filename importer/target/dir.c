#include "importer/target/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/mem.h"

struct vf_dir {
    char *path;
    int fd;
    bool made;
};

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
    if (flock(d->fd, LOCK_EX | LOCK_NB) != 0) {
        vf_error_set(err, VF_CONFLICT, "another vmferry is writing into \"%s\"", d->path);
        vf_error_hint(err, "wait for it to end, or give another target");
        return VF_CONFLICT;
    }
    return 0;
}

int vf_dir_open(const char *path, bool overwrite, struct vf_dir **ret_dir, struct vf_error **err)
{
    struct vf_dir *d = vf_xcalloc(1, sizeof *d);
    d->fd = -1;
    d->path = vf_xstrdup(path);
    for (size_t n = strlen(d->path); n > 1 && d->path[n - 1] == '/'; n--) {
        d->path[n - 1] = '\0';
    }
    int rc = open_folder(d, err);
    if (rc == 0 && !overwrite && faccessat(d->fd, VF_RECORD_NAME, F_OK, 0) == 0) {
        rc = vf_error_set(err, VF_CONFLICT, "\"%s\" already holds a finished import", d->path);
        vf_error_hint(err, "give another target, or --overwrite to replace it");
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
    if (d->fd >= 0) {
        close(d->fd);
    }
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
    if (fsync(d->fd) != 0) {
        return vf_error_set_errno(err, errno, "cannot make folder \"%s\" durable", d->path);
    }
    return 0;
}
