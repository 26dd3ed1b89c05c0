/* What the fuzz targets of disk readers share: the input as a file, and what must hold of any disk
 * that was opened, however damaged. */
#ifndef TESTS_SUPPORT_FUZZ_DISK_H
#define TESTS_SUPPORT_FUZZ_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmferry/disk.h>

#include "tests/support/check.h"

#define FUZZ_WINDOW (48u << 10)

/* A descriptor on a file that holds the input; the caller's, or the reader's, to close. */
static inline int fuzz_fd(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    }
    vf_test_check(fd >= 0 && ftruncate(fd, 0) == 0);
    vf_test_check(pwrite(fd, data, size, 0) == (ssize_t)size);
    int copy = dup(fd);
    vf_test_check(copy >= 0);
    return copy;
}

struct fuzz_cover {
    uint64_t start, at;
    const uint8_t *content;
};

/* No gap, no overlap, and zero where it is said to be. */
static inline int fuzz_cover(void *opaque, const struct vf_extent *e, struct vf_error **err)
{
    struct fuzz_cover *c = opaque;
    (void)err;
    vf_test_check(e->offset_bytes == c->at && e->length_bytes > 0);
    static const uint8_t zeros[FUZZ_WINDOW];
    vf_test_check(e->length_bytes <= FUZZ_WINDOW);
    vf_test_check(e->kind == VF_EXTENT_DATA ||
                  memcmp(c->content + (c->at - c->start), zeros, e->length_bytes) == 0);
    c->at += e->length_bytes;
    return 0;
}

/* Read a window in one piece and in odd ones, and compare with its extents. Errors are fine;
 * disagreement is not. */
static inline void fuzz_window(struct vf_disk *disk, uint64_t offset, size_t len)
{
    static uint8_t whole[FUZZ_WINDOW], pieces[FUZZ_WINDOW];
    struct vf_error *err = NULL;
    int rc = disk->ops->pread(disk, whole, len, offset, &err);
    vf_test_check((rc == 0) == (err == NULL));
    vf_error_clear(&err);
    int rc_pieces = 0;
    for (size_t at = 0, n; rc_pieces == 0 && at < len; at += n) {
        n = len - at < 777 ? len - at : 777 + at % 5000;
        n = n < len - at ? n : len - at;
        rc_pieces = disk->ops->pread(disk, pieces + at, n, offset + at, NULL);
    }
    vf_test_check((rc == 0) == (rc_pieces == 0));
    vf_test_check(rc != 0 || memcmp(whole, pieces, len) == 0);
    if (rc == 0) {
        struct fuzz_cover c = {.start = offset, .at = offset, .content = whole};
        vf_test_check(disk->ops->extents(disk, offset, len, fuzz_cover, &c, NULL) == 0);
        vf_test_check(c.at == offset + len);
    }
}

/* Takes the disk. */
static inline void fuzz_disk(struct vf_disk *disk)
{
    uint64_t size = disk->size_bytes;
    size_t len = size < FUZZ_WINDOW ? (size_t)size : FUZZ_WINDOW;
    fuzz_window(disk, 0, len);
    fuzz_window(disk, size - len, len);
    fuzz_window(disk, (size - len) / 2, len);
    uint8_t byte;
    vf_test_check(disk->ops->pread(disk, &byte, 1, size, NULL) == VF_RANGE);
    vf_disk_free(disk);
}

#endif
