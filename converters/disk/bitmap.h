/* One bit a block over a whole disk, in memory that costs only where bits are set: 2 MiB for each
 * TiB touched in 64 KiB blocks. Not thread-safe.
 */
#ifndef CONVERTERS_DISK_BITMAP_H
#define CONVERTERS_DISK_BITMAP_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>

struct vf_bitmap {
    uint64_t *words; /* an anonymous mapping */
    uint64_t n_bits;
};

int vf_bitmap_init(struct vf_bitmap *b, uint64_t n_bits, struct vf_error **err);
void vf_bitmap_release(struct vf_bitmap *b); /* of a zeroed struct too */

/* The bit must be below n_bits. Setting gives back what it was. */
bool vf_bitmap_test_and_set(struct vf_bitmap *b, uint64_t bit);

bool vf_bitmap_test(const struct vf_bitmap *b, uint64_t bit);

/* First bit in which the two (of equal size) differ; UINT64_MAX when they are the same. */
uint64_t vf_bitmap_first_difference(const struct vf_bitmap *a, const struct vf_bitmap *b);

#endif
