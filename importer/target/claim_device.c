#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/target/claim_private.h"

int vf_claim_device_size(int fd, const char *path, uint64_t *ret_bytes, struct vf_error **err)
{
    if (ioctl(fd, BLKGETSIZE64, ret_bytes) != 0) {
        return vf_claim_fail(err, errno, "cannot ask for the size of the claim's device \"%s\"",
                             path);
    }
    return 0;
}

/* Ranges that share a page with others are written by way of the page cache, as are the writes that
 * fill those pages; the kernel is asked for whole pages, and whole sectors of the device, alone. */
static uint64_t find_granule(int fd)
{
    int sector = 0;
    long page = sysconf(_SC_PAGESIZE);
    if (ioctl(fd, BLKSSZGET, &sector) != 0 || sector < 512) {
        sector = 512;
    }
    return page > sector ? (uint64_t)page : (uint64_t)sector;
}

int vf_claim_device_begin(struct vf_claim_sink *c, struct vf_error **err)
{
    c->fd = open(c->path, O_RDWR | O_EXCL | O_CLOEXEC);
    if (c->fd < 0) {
        int rc = vf_claim_fail(err, errno, "cannot open the claim's device \"%s\"", c->path);
        if (rc == VF_CONFLICT) {
            vf_error_hint(err, "another process, a mount, LVM or multipath on the node holds it");
        }
        return rc;
    }
    struct stat st;
    if (fstat(c->fd, &st) != 0 || !S_ISBLK(st.st_mode)) {
        return vf_error_set(err, VF_CONFLICT, "\"%s\" is no block device any more", c->path);
    }
    int rc = vf_claim_device_size(c->fd, c->path, &c->device_bytes, err);
    if (rc) {
        return rc;
    }
    if (c->device_bytes < c->base.size_bytes) {
        vf_error_set(err, VF_SPACE,
                     "the claim's device \"%s\" has %" PRIu64 " bytes, and the disk %" PRIu64,
                     c->path, c->device_bytes, c->base.size_bytes);
        vf_error_hint(err, "expand the claim, or take a larger one");
        return VF_SPACE;
    }
    c->granule_bytes = find_granule(c->fd);
    atomic_init(&c->zeroing, VF_CLAIM_PUNCH);
    return 0;
}

/* Both promise zeros, unlike a discard. The first deallocates, and is refused where the device has
 * no command for it; for the second the kernel writes zeros itself then, and never deallocates.
 * Source: Linux, block/fops.c (blkdev_fallocate), block/ioctl.c (BLKZEROOUT). */
static bool ask_kernel(const struct vf_claim_sink *c, unsigned zeroing, uint64_t offset_bytes,
                       uint64_t length_bytes)
{
    uint64_t range[2] = {offset_bytes, length_bytes};
    int failed;
    do {
        failed = zeroing == VF_CLAIM_PUNCH
                     ? fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 (off_t)offset_bytes, (off_t)length_bytes)
                     : ioctl(c->fd, BLKZEROOUT, range);
    } while (failed && errno == EINTR);
    return !failed;
}

static int zero_whole(struct vf_claim_sink *c, uint64_t offset_bytes, uint64_t length_bytes,
                      struct vf_error **err)
{
    unsigned zeroing = atomic_load(&c->zeroing);
    for (; zeroing < VF_CLAIM_WRITE; zeroing++) {
        if (ask_kernel(c, zeroing, offset_bytes, length_bytes)) {
            return 0;
        }
        /* Why does not matter: what really is wrong, the next way meets too. */
        atomic_store(&c->zeroing, zeroing + 1);
    }
    return vf_file_write_zeros(c->fd, c->path, offset_bytes, length_bytes, err);
}

int vf_claim_device_zero(struct vf_claim_sink *c, uint64_t offset_bytes, uint64_t length_bytes,
                         struct vf_error **err)
{
    uint64_t end = offset_bytes + length_bytes;
    uint64_t whole = (offset_bytes + c->granule_bytes - 1) / c->granule_bytes * c->granule_bytes;
    uint64_t whole_end = end / c->granule_bytes * c->granule_bytes;
    if (whole >= whole_end) {
        return vf_file_write_zeros(c->fd, c->path, offset_bytes, length_bytes, err);
    }
    int rc = vf_file_write_zeros(c->fd, c->path, offset_bytes, whole - offset_bytes, err);
    rc = rc ? rc : zero_whole(c, whole, whole_end - whole, err);
    return rc ? rc : vf_file_write_zeros(c->fd, c->path, whole_end, end - whole_end, err);
}
