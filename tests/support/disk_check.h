/* What tests of disk readers share: a folder that goes away, qemu-img, and a thorough comparison of
 * a disk with what it should hold. Failures are cmocka's. */
#ifndef TESTS_SUPPORT_DISK_CHECK_H
#define TESTS_SUPPORT_DISK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/disk.h>
#include <vmferry/error.h>

/* A fresh folder; heap. Release removes it with all that is in it, and frees. */
char *scratch_new(void);
void scratch_release(char *dir);
/* DIR/NAME in one of a few static buffers that take turns. */
const char *scratch_path(const char *dir, const char *name);
void scratch_write(const char *dir, const char *name, const void *data, size_t len);
void scratch_write_text(const char *dir, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Whole file, heap. */
uint8_t *scratch_read(const char *dir, const char *name, size_t *ret_len);

/* qemu-img with these arguments (up to 15, then NULL), in dir; its exit status. Output is dropped.
 */
int run_qemu_img(const char *dir, ...) __attribute__((sentinel));

/* The disk holds exactly `content`: read whole, in random pieces by seed, and by its extents, which
 * must cover it without gap and be zero where they say so. */
void check_disk(struct vf_disk *disk, const uint8_t *content, uint64_t size_bytes, uint64_t seed);

/* What [0, size) of every kind amounts to, in bytes. */
struct extent_sums {
    uint64_t data, zero, hole;
    unsigned n; /* extents reported */
};
struct extent_sums sum_extents(struct vf_disk *disk);

/* rc is `code`, *err says `part` somewhere in its formatted text; *err is freed. */
void check_error(int rc, struct vf_error **err, enum vf_code code, const char *part);

#endif
