#include "importer/target/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "importer/target/claim_private.h"

/* Nothing interrupts one call to the kernel. */
#define ZERO_PART_BYTES (UINT64_C(256) << 20)

static const char *hint_for(int errnum)
{
    switch (errnum) {
    case ENOSPC:
        return "the volume is full: expand the claim, or take a larger one";
    case EDQUOT:
        return "a quota of the storage stands against it: have it raised";
    case EIO:
    case ENXIO:
    case ENODEV:
        return "the storage behind the claim failed: look at the node's kernel log";
    case ESTALE:
        return "the node lost the claim's network filesystem: start again in a new pod, which "
               "mounts it anew";
    case EROFS:
        return "the claim is mounted read-only: look at the pod's volume, and at the node's kernel "
               "log for errors of the filesystem";
    default:
        return NULL;
    }
}

int vf_claim_fail(struct vf_error **err, int errnum, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *vf_autofree what = vf_xvasprintf(fmt, ap);
    va_end(ap);
    int rc = vf_error_set_errno(err, errnum, "%s", what);
    const char *hint = hint_for(errnum);
    if (hint) {
        vf_error_hint(err, "%s", hint);
    }
    return rc;
}

/* Give on a failure of file_io, whose own hint is for a target that a person chose by path. */
static int give(struct vf_error **from, int rc, const struct vf_claim_sink *c,
                struct vf_error **err)
{
    if (rc == 0) {
        return 0;
    }
    int errnum = vf_error_errno(*from);
    if (rc == VF_SPACE) {
        rc = vf_claim_fail(err, errnum, "cannot write into the claim at \"%s\"", c->path);
        vf_error_clear(from);
        return rc;
    }
    vf_error_move(err, from);
    if (hint_for(errnum)) {
        vf_error_hint(err, "%s", hint_for(errnum));
    }
    return rc;
}

static int claim_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                       struct vf_error **err)
{
    struct vf_claim_sink *c = (struct vf_claim_sink *)s;
    struct vf_error *e = NULL;
    int rc = vf_bulk_pwrite(&c->bulk, c->fd, c->path, buf, len_bytes, offset_bytes, &e);
    return give(&e, rc, c, err);
}

static int zero(struct vf_claim_sink *c, uint64_t offset_bytes, uint64_t length_bytes,
                struct vf_error **err)
{
    uint64_t end = offset_bytes + length_bytes;
    struct vf_error *e = NULL;
    int rc = 0;
    while (offset_bytes < end && rc == 0) {
        uint64_t stop = offset_bytes - offset_bytes % ZERO_PART_BYTES + ZERO_PART_BYTES;
        uint64_t n = (stop < end ? stop : end) - offset_bytes;
        rc = vf_cancel_check(c->cancel, &e);
        if (rc == 0) {
            rc = c->folder_fd < 0 ? vf_claim_device_zero(c, offset_bytes, n, &e)
                                  : vf_file_zero(c->fd, c->path, offset_bytes, n, &e);
        }
        offset_bytes += n;
    }
    return give(&e, rc, c, err);
}

static int claim_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                      struct vf_error **err)
{
    return zero((struct vf_claim_sink *)s, offset_bytes, length_bytes, err);
}

static int claim_read(struct vf_sink *s, void *buf, size_t len_bytes, uint64_t offset_bytes,
                      struct vf_error **err)
{
    struct vf_claim_sink *c = (struct vf_claim_sink *)s;
    struct vf_error *e = NULL;
    return give(&e, vf_file_pread(c->fd, c->path, buf, len_bytes, offset_bytes, &e), c, err);
}

static int claim_flush(struct vf_sink *s, struct vf_error **err)
{
    struct vf_claim_sink *c = (struct vf_claim_sink *)s;
    struct vf_error *e = NULL;
    int rc = vf_inject("image.sync", &e);
    if (rc) {
        return give(&e, rc, c, err);
    }
    if (fsync(c->fd) != 0) {
        return vf_claim_fail(err, errno, "cannot make the claim at \"%s\" durable", c->path);
    }
    return 0;
}

/* Behind the disk's end a larger device shows the guest what an earlier user left there: a second
 * partition table, or the label of a volume group. */
static int zero_rest(struct vf_claim_sink *c, struct vf_error **err)
{
    return zero(c, c->base.size_bytes, c->device_bytes - c->base.size_bytes, err);
}

static int claim_finish(struct vf_sink *s, struct vf_error **err)
{
    struct vf_claim_sink *c = (struct vf_claim_sink *)s;
    bool device = c->folder_fd < 0;
    int rc = device ? zero_rest(c, err) : 0;
    if (rc == 0) {
        rc = claim_flush(s, err);
    }
    return rc || device ? rc : vf_claim_folder_commit(c, err);
}

static void claim_free(struct vf_sink *s)
{
    struct vf_claim_sink *c = (struct vf_claim_sink *)s;
    vf_bulk_close(&c->bulk);
    if (c->fd >= 0) {
        close(c->fd);
    }
    if (c->folder_fd >= 0) {
        close(c->folder_fd);
    }
    free(c->path);
    free(c);
}

static const struct vf_sink_ops claim_ops = {
    .write = claim_write,
    .zero = claim_zero,
    .read = claim_read,
    .flush = claim_flush,
    .finish = claim_finish,
    .free = claim_free,
};

static int look_up(const char *path, enum vf_claim_mode *ret_mode, struct vf_error **err)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return vf_claim_fail(err, errno, "cannot use the claim at \"%s\"", path);
    }
    if (!S_ISDIR(st.st_mode) && !S_ISBLK(st.st_mode)) {
        return vf_error_set(err, VF_INVALID,
                            "\"%s\" is neither a folder nor a block device, and so no claim", path);
    }
    *ret_mode = S_ISDIR(st.st_mode) ? VF_CLAIM_FILESYSTEM : VF_CLAIM_BLOCK;
    return 0;
}

static int probe_folder(const char *path, struct vf_claim_info *info, struct vf_error **err)
{
    struct statvfs v;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    if (fd < 0 || faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) != 0) {
        rc = vf_claim_fail(err, errno, "cannot write into the claim at \"%s\"", path);
        vf_error_hint(err, "the pod needs securityContext.fsGroup 107, by which the volume becomes "
                           "writable for KubeVirt's user");
    } else if (fstatvfs(fd, &v) != 0) {
        rc =
            vf_claim_fail(err, errno, "cannot ask for the free space of the claim at \"%s\"", path);
    } else {
        uint64_t partial;
        vf_claim_folder_look(fd, &partial, &info->has_disk);
        info->room_bytes = (uint64_t)v.f_bavail * v.f_frsize + partial;
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

static int probe_device(const char *path, struct vf_claim_info *info, struct vf_error **err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC); /* the devices cgroup answers nothing less */
    if (fd < 0) {
        int rc = vf_claim_fail(err, errno, "cannot write to the claim's device \"%s\"", path);
        vf_error_hint(err, "without root the container runtime must hand over devices: "
                           "device_ownership_from_security_context of containerd or CRI-O");
        return rc;
    }
    int rc = vf_claim_device_size(fd, path, &info->room_bytes, err);
    close(fd);
    return rc;
}

int vf_claim_probe(const char *path, struct vf_claim_info *ret_info, struct vf_error **err)
{
    struct vf_claim_info info = {0};
    int rc = look_up(path, &info.mode, err);
    if (rc == 0) {
        rc = info.mode == VF_CLAIM_BLOCK ? probe_device(path, &info, err)
                                         : probe_folder(path, &info, err);
    }
    if (rc == 0) {
        *ret_info = info;
    }
    return rc;
}

/* How a claim is opened. */
enum begin { BEGIN_FRESH, BEGIN_OVER, BEGIN_AGAIN };

static int begin_in(struct vf_claim_sink *c, enum vf_claim_mode mode, enum begin how,
                    struct vf_error **err)
{
    if (mode == VF_CLAIM_BLOCK) {
        return vf_claim_device_begin(c, err);
    }
    if (how == BEGIN_AGAIN) {
        return vf_claim_folder_resume(c, err);
    }
    c->base.caps |= VF_SINK_STARTS_ZERO;
    return vf_claim_folder_begin(c, how == BEGIN_OVER, err);
}

static int open_sink(const char *path, uint64_t size_bytes, enum begin how,
                     struct vf_sink **ret_sink, struct vf_error **err)
{
    enum vf_claim_mode mode = VF_CLAIM_FILESYSTEM;
    int rc = look_up(path, &mode, err);
    if (rc) {
        return rc;
    }
    if (size_bytes > INT64_MAX) {
        return vf_error_set(err, VF_RANGE, "a disk of %" PRIu64 " bytes is too large", size_bytes);
    }
    struct vf_claim_sink *c = vf_xcalloc(1, sizeof *c);
    unsigned caps = VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE | VF_SINK_READABLE;
    c->base = (struct vf_sink){.ops = &claim_ops, .size_bytes = size_bytes, .caps = caps};
    c->path = vf_xstrdup(path);
    c->fd = -1;
    c->folder_fd = -1;
    atomic_init(&c->bulk.fd, -1);
    rc = begin_in(c, mode, how, err);
    if (rc) {
        claim_free(&c->base);
        return rc;
    }
    vf_bulk_open(&c->bulk, c->fd);
    *ret_sink = &c->base;
    return 0;
}

int vf_claim_sink_open(const char *path, uint64_t size_bytes, bool replace,
                       struct vf_sink **ret_sink, struct vf_error **err)
{
    return open_sink(path, size_bytes, replace ? BEGIN_OVER : BEGIN_FRESH, ret_sink, err);
}

int vf_claim_sink_reopen(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                         struct vf_error **err)
{
    return open_sink(path, size_bytes, BEGIN_AGAIN, ret_sink, err);
}

void vf_claim_sink_set_cancel(struct vf_sink *sink, const struct vf_cancel *cancel)
{
    ((struct vf_claim_sink *)sink)->cancel = cancel;
}
