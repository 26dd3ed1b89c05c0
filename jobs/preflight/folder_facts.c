#include "jobs/preflight/folder_facts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "importer/base/mem.h"

/* What an earlier run has written is gone on with, or removed first: room for the copy either way.
 */
static uint64_t partial_bytes(const char *path)
{
    static const char end[] = ".partial";
    const size_t end_len = sizeof end - 1;
    uint64_t sum = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        struct stat st;
        if (len > end_len && strcmp(e->d_name + len - end_len, end) == 0 &&
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            sum += (uint64_t)st.st_blocks * 512;
        }
    }
    if (d) {
        closedir(d);
    }
    return sum;
}

/* NULL: the folder that is there, or the one that it is made in, can be written into. */
static char *find_trouble(const char *path, bool is_there)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return errno == ENOENT
                   ? vf_xasprintf("folder \"%s\", in which it is to be made, is not there", path)
                   : vf_xasprintf("\"%s\" cannot be looked at: %s", path, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) {
        return vf_xasprintf("\"%s\" is not a folder", path);
    }
    if (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) != 0) {
        return vf_xasprintf("folder \"%s\"%s cannot be written into: %s", path,
                            is_there ? "" : ", in which it is to be made,", strerror(errno));
    }
    return NULL;
}

void vf_folder_facts_get(const char *path, struct vf_folder_facts *ret)
{
    *ret = (struct vf_folder_facts){0};
    if (!path || !*path) {
        return;
    }
    ret->known = true;
    char *vf_autofree copy = vf_xstrdup(path);
    struct stat st;
    struct statvfs v;
    bool is_there = lstat(path, &st) == 0 || errno != ENOENT;
    const char *nearest = is_there ? path : dirname(copy);
    ret->path = vf_xstrdup(path);
    ret->trouble = find_trouble(nearest, is_there);
    if (!ret->trouble && statvfs(nearest, &v) == 0) {
        ret->has_free = true;
        ret->free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
        ret->free_bytes += is_there ? partial_bytes(path) : 0;
    }
}

void vf_folder_facts_release(struct vf_folder_facts *f)
{
    free(f->path);
    free(f->trouble);
    *f = (struct vf_folder_facts){0};
}
