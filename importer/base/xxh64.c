#include "importer/base/xxh64.h"

#include <string.h>

#include "importer/base/bytes.h"

#define PRIME_1 UINT64_C(0x9E3779B185EBCA87)
#define PRIME_2 UINT64_C(0xC2B2AE3D27D4EB4F)
#define PRIME_3 UINT64_C(0x165667B19E3779F9)
#define PRIME_4 UINT64_C(0x85EBCA77C2B2AE63)
#define PRIME_5 UINT64_C(0x27D4EB2F165667C5)

static uint64_t rotate_left(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64 - bits);
}

static uint64_t step(uint64_t lane, uint64_t input)
{
    return rotate_left(lane + input * PRIME_2, 31) * PRIME_1;
}

void vf_xxh64_init(struct vf_xxh64 *x)
{
    *x = (struct vf_xxh64){.lanes = {PRIME_1 + PRIME_2, PRIME_2, 0, -PRIME_1}};
}

/* The lanes in locals: nothing else keeps them in registers. */
static void take_stripes(struct vf_xxh64 *x, const unsigned char *p, size_t n_stripes)
{
    uint64_t a = x->lanes[0], b = x->lanes[1], c = x->lanes[2], d = x->lanes[3];
    for (; n_stripes; n_stripes--, p += VF_XXH64_STRIPE_BYTES) {
        a = step(a, le64_load(p));
        b = step(b, le64_load(p + 8));
        c = step(c, le64_load(p + 16));
        d = step(d, le64_load(p + 24));
    }
    x->lanes[0] = a;
    x->lanes[1] = b;
    x->lanes[2] = c;
    x->lanes[3] = d;
}

static void take_zero_stripes(struct vf_xxh64 *x, uint64_t n_stripes)
{
    uint64_t a = x->lanes[0], b = x->lanes[1], c = x->lanes[2], d = x->lanes[3];
    for (; n_stripes; n_stripes--) {
        a = step(a, 0);
        b = step(b, 0);
        c = step(c, 0);
        d = step(d, 0);
    }
    x->lanes[0] = a;
    x->lanes[1] = b;
    x->lanes[2] = c;
    x->lanes[3] = d;
}

void vf_xxh64_update(struct vf_xxh64 *x, const void *buf, size_t len_bytes)
{
    const unsigned char *p = buf;
    size_t have = x->total_bytes % VF_XXH64_STRIPE_BYTES;
    x->total_bytes += len_bytes;
    if (have) {
        size_t room = sizeof x->tail - have;
        size_t n = len_bytes < room ? len_bytes : room;
        memcpy(x->tail + have, p, n);
        p += n;
        len_bytes -= n;
        if (n < room) {
            return;
        }
        take_stripes(x, x->tail, 1);
    }
    take_stripes(x, p, len_bytes / VF_XXH64_STRIPE_BYTES);
    size_t rest = len_bytes % VF_XXH64_STRIPE_BYTES;
    if (rest) {
        memcpy(x->tail, p + (len_bytes - rest), rest);
    }
}

void vf_xxh64_update_zeros(struct vf_xxh64 *x, uint64_t len_bytes)
{
    static const unsigned char zeros[VF_XXH64_STRIPE_BYTES];
    size_t have = x->total_bytes % VF_XXH64_STRIPE_BYTES;
    uint64_t head = have ? VF_XXH64_STRIPE_BYTES - have : 0;
    if (len_bytes < head) {
        head = len_bytes;
    }
    vf_xxh64_update(x, zeros, (size_t)head);
    len_bytes -= head;
    take_zero_stripes(x, len_bytes / VF_XXH64_STRIPE_BYTES);
    x->total_bytes += len_bytes - len_bytes % VF_XXH64_STRIPE_BYTES;
    vf_xxh64_update(x, zeros, (size_t)(len_bytes % VF_XXH64_STRIPE_BYTES));
}

static uint64_t merge(uint64_t hash, uint64_t lane)
{
    return (hash ^ step(0, lane)) * PRIME_1 + PRIME_4;
}

static uint64_t take_tail(uint64_t hash, const unsigned char *p, size_t len)
{
    for (; len >= 8; len -= 8, p += 8) {
        hash = rotate_left(hash ^ step(0, le64_load(p)), 27) * PRIME_1 + PRIME_4;
    }
    if (len >= 4) {
        hash = rotate_left(hash ^ le32_load(p) * PRIME_1, 23) * PRIME_2 + PRIME_3;
        len -= 4;
        p += 4;
    }
    for (; len; len--, p++) {
        hash = rotate_left(hash ^ *p * PRIME_5, 11) * PRIME_1;
    }
    return hash;
}

uint64_t vf_xxh64_get(const struct vf_xxh64 *x)
{
    const uint64_t *l = x->lanes;
    uint64_t hash = PRIME_5;
    if (x->total_bytes >= VF_XXH64_STRIPE_BYTES) {
        hash = rotate_left(l[0], 1) + rotate_left(l[1], 7) + rotate_left(l[2], 12) +
               rotate_left(l[3], 18);
        for (unsigned i = 0; i < 4; i++) {
            hash = merge(hash, l[i]);
        }
    }
    hash = take_tail(hash + x->total_bytes, x->tail, x->total_bytes % VF_XXH64_STRIPE_BYTES);
    hash = (hash ^ hash >> 33) * PRIME_2;
    hash = (hash ^ hash >> 29) * PRIME_3;
    return hash ^ hash >> 32;
}
