#include "importer/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "importer/base/secret_private.h"

struct vf_secret {
    size_t len;
    char text[]; /* NUL-terminated */
};

struct vf_secret *vf_secret_new(const char *text, size_t len)
{
    struct vf_secret *s = vf_xcalloc(1, sizeof *s + len + 1);
    s->len = len;
    memcpy(s->text, text, len);
    return s;
}

void vf_secret_free(struct vf_secret *s)
{
    if (s) {
        OPENSSL_cleanse(s->text, s->len);
        free(s);
    }
}

const char *vf_secret_reveal(const struct vf_secret *s)
{
    return s->text;
}

int vf_secret_from_line(const char *text, size_t len, const char *what,
                        struct vf_secret **ret_secret, struct vf_error **err)
{
    const char *end = memchr(text, '\n', len);
    size_t n = end ? (size_t)(end - text) : len;
    if (n && text[n - 1] == '\r') {
        n--;
    }
    if (memchr(text, '\0', n)) {
        return vf_error_set(err, VF_INVALID, "%s holds a NUL byte", what);
    }
    if (n == 0) {
        return vf_error_set(err, VF_INVALID, "%s is empty", what);
    }
    if (n > VF_SECRET_MAX_BYTES) {
        return vf_error_set(err, VF_INVALID, "%s is longer than %d bytes", what,
                            VF_SECRET_MAX_BYTES);
    }
    *ret_secret = vf_secret_new(text, n);
    return 0;
}

/* Without stdio, whose buffer nobody wipes. */
static ssize_t read_up_to(int fd, char *buf, size_t cap)
{
    size_t have = 0;
    while (have < cap) {
        ssize_t n = read(fd, buf + have, cap - have);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        have += (size_t)n;
        if (memchr(buf + have - n, '\n', (size_t)n)) {
            break;
        }
    }
    return (ssize_t)have;
}

int vf_secret_fetch_file(const char *path, struct vf_secret **ret_secret, int *ret_loose,
                         struct vf_error **err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot open password file \"%s\"", path);
    }
    const size_t cap = VF_SECRET_MAX_BYTES + 3; /* with CR LF, and one byte more to tell */
    char *buf = vf_xcalloc(1, cap);
    char *vf_autofree what = vf_xasprintf("the first line of \"%s\"", path);
    struct stat st;
    int rc;
    ssize_t n = fstat(fd, &st) ? -1 : read_up_to(fd, buf, cap);
    if (n < 0) {
        rc = vf_error_set_errno(err, errno, "cannot read password file \"%s\"", path);
    } else {
        rc = vf_secret_from_line(buf, (size_t)n, what, ret_secret, err);
    }
    if (!rc && ret_loose) {
        /* A pipe (<(...) of a shell) has a mode that says nothing. */
        *ret_loose = S_ISREG(st.st_mode) && (st.st_mode & S_IROTH);
    }
    OPENSSL_cleanse(buf, cap);
    free(buf);
    close(fd);
    return rc;
}

int vf_secret_fetch_env(const char *name, struct vf_secret **ret_secret, struct vf_error **err)
{
    char *value = getenv(name);
    if (!value || !*value) {
        return vf_error_set(err, VF_MISSING, "environment variable %s is not set", name);
    }
    size_t len = strlen(value);
    if (len > VF_SECRET_MAX_BYTES) {
        return vf_error_set(err, VF_INVALID, "environment variable %s is longer than %d bytes",
                            name, VF_SECRET_MAX_BYTES);
    }
    *ret_secret = vf_secret_new(value, len);
    /* The kernel shows the environment a process began with, in the very bytes wiped here, and
     * children would inherit it. */
    OPENSSL_cleanse(value, len);
    unsetenv(name);
    return 0;
}
