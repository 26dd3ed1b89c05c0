#include "converters/disk/open_beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "importer/base/mem.h"

/* A FIFO must not stall us before fstat tells what it is. */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

bool vf_name_is_beneath(const char *name)
{
    if (name[0] == '\0' || name[0] == '/') {
        return false;
    }
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) {
            return false;
        }
    }
    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f || *c == '\\') {
            return false;
        }
    }
    return true;
}

/* Without openat2 (before Linux 5.6, or forbidden by a container's filter) no symbolic link at all
 * is followed. */
static int walk(int dir_fd, const char *name)
{
    char *vf_autofree copy = vf_xstrdup(name);
    int at = dir_fd;
    char *part = copy;
    for (;;) {
        char *slash = strchr(part, '/');
        int flags = slash ? O_PATH | O_DIRECTORY | O_CLOEXEC : OPEN_FLAGS;
        if (slash) {
            *slash = '\0';
        }
        int fd = openat(at, *part ? part : ".", flags | O_NOFOLLOW);
        int saved = errno;
        if (at != dir_fd) {
            close(at);
        }
        errno = saved;
        if (fd < 0 || !slash) {
            return fd;
        }
        at = fd;
        part = slash + 1;
    }
}

static int open_inside(int dir_fd, const char *name)
{
    struct open_how how = {
        .flags = OPEN_FLAGS,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof how);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        return walk(dir_fd, name);
    }
    return (int)fd;
}

int vf_open_beneath(int dir_fd, const char *name, int *ret_fd, struct vf_error **err)
{
    if (!vf_name_is_beneath(name)) {
        /* The name is not repeated: it may hold anything. */
        return vf_error_set(err, VF_INVALID,
                            "a file is named that does not lie in the folder of its descriptor");
    }
    int fd = open_inside(dir_fd, name);
    if (fd < 0 && (errno == EXDEV || errno == ELOOP)) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" is a symbolic link out of the folder of its descriptor", name);
    }
    if (fd < 0) {
        bool full = errno == EMFILE;
        int rc = vf_error_set_errno(err, errno, "cannot open \"%s\"", name);
        if (full) {
            vf_error_hint(err, "a disk of many extents needs as many open files: raise the limit "
                               "with ulimit -n");
        }
        return rc;
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return vf_error_set(err, VF_INVALID, "\"%s\" is not a regular file", name);
    }
    *ret_fd = fd;
    return 0;
}
