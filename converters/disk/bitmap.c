#include "converters/disk/bitmap.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

static size_t mapping_bytes(uint64_t n_bits)
{
    return (size_t)(n_bits / 64 + 1) * sizeof(uint64_t);
}

int vf_bitmap_init(struct vf_bitmap *b, uint64_t n_bits, struct vf_error **err)
{
    *b = (struct vf_bitmap){.n_bits = n_bits};
    void *p = mmap(NULL, mapping_bytes(n_bits), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return vf_error_set_errno(err, errno, "cannot map a block map");
    }
    b->words = p;
    return 0;
}

void vf_bitmap_release(struct vf_bitmap *b)
{
    if (b->words) {
        munmap(b->words, mapping_bytes(b->n_bits));
    }
    *b = (struct vf_bitmap){0};
}

bool vf_bitmap_test_and_set(struct vf_bitmap *b, uint64_t bit)
{
    uint64_t mask = 1ull << (bit & 63);
    uint64_t *word = &b->words[bit / 64];
    bool was = (*word & mask) != 0;
    *word |= mask;
    return was;
}

bool vf_bitmap_test(const struct vf_bitmap *b, uint64_t bit)
{
    return (b->words[bit / 64] & (1ull << (bit & 63))) != 0;
}

uint64_t vf_bitmap_first_difference(const struct vf_bitmap *a, const struct vf_bitmap *b)
{
    for (uint64_t i = 0; i < (a->n_bits + 63) / 64; i++) {
        uint64_t d = a->words[i] ^ b->words[i];
        if (d) {
            return i * 64 + (uint64_t)__builtin_ctzll(d);
        }
    }
    return UINT64_MAX;
}
