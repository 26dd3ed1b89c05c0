#include "jobs/migration/board_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/buf.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/target/dir.h"

#define REQUEST_MAX_BYTES ((size_t)4 << 10)

struct board_dir {
    struct vf_board base;
    char *path; /* of the folder */
    bool over;
};

static char *join(const struct board_dir *b, const char *name)
{
    return vf_xasprintf("%s/%s", b->path, name);
}

/* --- files ------------------------------------------------------------------------------- */

static int read_whole(int fd, const char *path, struct vf_buf *b, struct vf_error **err)
{
    char part[4096];
    ssize_t n;
    while ((n = read(fd, part, sizeof part)) != 0) {
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return vf_error_set_errno(err, errno, "cannot read \"%s\"", path);
        }
        if (!vf_buf_append(b, part, (size_t)n)) {
            return vf_error_set(err, VF_INVALID, "\"%s\" is too large", path);
        }
    }
    return 0;
}

/* What lies there is anybody's: no link is followed, nothing but a regular file is read. */
static int read_file(const char *path, struct vf_buf *b, struct vf_error **err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 && errno != ELOOP) {
        return vf_error_set_errno(err, errno, "cannot open \"%s\"", path);
    }
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0) {
            close(fd);
        }
        return vf_error_set(err, VF_INVALID, "\"%s\" is not a regular file", path);
    }
    int rc = read_whole(fd, path, b, err);
    close(fd);
    return rc;
}

/* A new file; whatever had the name before, of a run that was killed, is removed. */
static int write_new(const char *path, const char *text, bool durable, struct vf_error **err)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        return vf_error_set_errno(err, errno, "cannot create \"%s\"", path);
    }
    size_t len = strlen(text), done = 0;
    while (done < len) {
        ssize_t n = write(fd, text + done, len - done);
        if (n < 0 && errno != EINTR) {
            break;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    int rc = 0;
    if (done < len || (durable && fsync(fd) != 0)) {
        rc = vf_error_set_errno(err, errno, "cannot write \"%s\"", path);
    }
    close(fd);
    if (rc) {
        unlink(path);
    }
    return rc;
}

static int sync_folder(const struct board_dir *b, struct vf_error **err)
{
    int fd = open(b->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    /* Some filesystems have no fsync of a directory. */
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL)) {
        rc = vf_error_set_errno(err, errno, "cannot make folder \"%s\" durable", b->path);
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

static int remove_file(const struct board_dir *b, const char *name, struct vf_error **err)
{
    char *vf_autofree path = join(b, name);
    if (unlink(path) != 0 && errno != ENOENT) {
        return vf_error_set_errno(err, errno, "cannot remove \"%s\"", path);
    }
    return 0;
}

/* --- the migration's side ---------------------------------------------------------------- */

/* Not synced: a status that a power loss takes back is as good as one that was not published, and
 * there is one each second. The one who holds the folder's lock publishes, and nobody else. */
static int publish(struct vf_board *base, const struct vf_migration_status *s,
                   struct vf_error **err)
{
    struct board_dir *b = (struct board_dir *)base;
    if (b->over) {
        return 0;
    }
    char *vf_autofree path = join(b, VF_BOARD_STATUS_NAME);
    char *vf_autofree partial = vf_xasprintf("%s.partial", path);
    char *vf_autofree text = vf_migration_status_encode(s);
    int rc = write_new(partial, text, false, err);
    if (rc == 0) {
        rc = vf_inject("board.publish", err);
    }
    if (rc == 0 && rename(partial, path) != 0) {
        rc = vf_error_set_errno(err, errno, "cannot replace \"%s\"", path);
        unlink(partial);
    }
    return rc;
}

static int fetch_request(struct vf_board *base, struct vf_migration_request *ret,
                         struct vf_error **err)
{
    struct board_dir *b = (struct board_dir *)base;
    char *vf_autofree path = join(b, VF_BOARD_REQUEST_NAME);
    struct vf_buf text;
    struct vf_error *e = NULL;
    *ret = (struct vf_migration_request){.kind = VF_REQUEST_NONE};
    vf_buf_init(&text, REQUEST_MAX_BYTES);
    int rc = read_file(path, &text, &e);
    if (rc == 0) {
        rc = vf_migration_request_parse(text.data ? text.data : "", text.len, ret, &e);
        rc = rc ? vf_error_wrap(&e, rc, "request \"%s\"", path) : 0;
    }
    vf_buf_release(&text);
    if (rc == VF_INVALID || rc == VF_UNSUPPORTED) {
        *ret = (struct vf_migration_request){.kind = VF_REQUEST_NONE};
        (void)remove_file(b, VF_BOARD_REQUEST_NAME, NULL);
    }
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        return 0;
    }
    vf_error_move(err, &e);
    return rc;
}

static int clear_request(struct vf_board *base, struct vf_error **err)
{
    return remove_file((struct board_dir *)base, VF_BOARD_REQUEST_NAME, err);
}

/* --- the other side ---------------------------------------------------------------------- */

static int refuse_missing(const struct board_dir *b, struct vf_error **err)
{
    vf_error_set(err, VF_MISSING, "\"%s\" holds no migration", b->path);
    vf_error_hint(err, "look whether this is the folder that \"vmferry migrate --to\" was given");
    return VF_MISSING;
}

static int fetch_status(struct vf_board *base, struct vf_migration_status *ret,
                        struct vf_error **err)
{
    struct board_dir *b = (struct board_dir *)base;
    char *vf_autofree path = join(b, VF_BOARD_STATUS_NAME);
    struct vf_buf text;
    struct vf_error *e = NULL;
    vf_buf_init(&text, VF_STATUS_MAX_BYTES);
    int rc = read_file(path, &text, &e);
    if (rc == 0) {
        rc = vf_migration_status_parse(text.data ? text.data : "", text.len, ret, &e);
        rc = rc ? vf_error_wrap(&e, rc, "status \"%s\"", path) : 0;
    }
    vf_buf_release(&text);
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        return refuse_missing(b, err);
    }
    vf_error_move(err, &e);
    return rc;
}

/* Two may ask at the same time: whoever links first is the one. */
static int leave_request(struct vf_board *base, const struct vf_migration_request *r,
                         struct vf_error **err)
{
    struct board_dir *b = (struct board_dir *)base;
    char *vf_autofree status = join(b, VF_BOARD_STATUS_NAME);
    char *vf_autofree path = join(b, VF_BOARD_REQUEST_NAME);
    char *vf_autofree own = vf_xasprintf("%s.%jd", path, (intmax_t)getpid());
    struct stat st;
    if (lstat(status, &st) != 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? refuse_missing(b, err)
                   : vf_error_set_errno(err, errno, "cannot look at \"%s\"", status);
    }
    char *vf_autofree text = vf_migration_request_encode(r);
    int rc = write_new(own, text, true, err);
    if (rc) {
        return rc;
    }
    int failed = link(own, path);
    if (failed && errno != EEXIST) { /* a filesystem without links */
        failed = renameat2(AT_FDCWD, own, AT_FDCWD, path, RENAME_NOREPLACE);
    }
    int errnum = errno;
    unlink(own);
    if (failed && errnum == EEXIST) {
        rc = vf_error_set(err, VF_CONFLICT,
                          "another request to the migration in \"%s\" waits still", b->path);
        vf_error_hint(err, "look at \"vmferry status dir:%s\", and try again", b->path);
        return rc;
    }
    return failed ? vf_error_set_errno(err, errnum, "cannot create \"%s\"", path)
                  : sync_folder(b, err);
}

static int fetch_alive(struct vf_board *base, bool *ret_alive, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = vf_dir_fetch_held(((struct board_dir *)base)->path, ret_alive, &e);
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        *ret_alive = false;
        return 0;
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_board_dir_clear(struct vf_board *base, bool all, struct vf_error **err)
{
    struct board_dir *b = (struct board_dir *)base;
    int rc = remove_file(b, VF_BOARD_REQUEST_NAME, err);
    if (rc == 0) {
        rc = remove_file(b, VF_BOARD_STATUS_NAME ".partial", err);
    }
    if (rc == 0 && all) {
        b->over = true;
        rc = remove_file(b, VF_BOARD_STATUS_NAME, err);
    }
    return rc;
}

static void free_board(struct vf_board *base)
{
    free(((struct board_dir *)base)->path);
    free(base);
}

struct vf_board *vf_board_dir_new(const char *path)
{
    static const struct vf_board_ops ops = {.publish = publish,
                                            .fetch_request = fetch_request,
                                            .clear_request = clear_request,
                                            .fetch_status = fetch_status,
                                            .leave_request = leave_request,
                                            .fetch_alive = fetch_alive,
                                            .free = free_board};
    struct board_dir *b = vf_xcalloc(1, sizeof *b);
    b->base.ops = &ops;
    b->path = vf_xstrdup(path);
    return &b->base;
}

void vf_board_free(struct vf_board *b)
{
    if (b) {
        b->ops->free(b);
    }
}
