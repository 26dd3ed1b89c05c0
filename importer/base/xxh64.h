/* XXH64, the hash behind a zstd frame's checksum: RFC 8878, section 3.1.1; its definition is
 * doc/xxhash_spec.md of the xxHash project. Seed 0. Not for secrets.
 *
 * Threads: a struct vf_xxh64 belongs to one thread at a time.
 */
#ifndef IMPORTER_BASE_XXH64_H
#define IMPORTER_BASE_XXH64_H

#include <stddef.h>
#include <stdint.h>

#define VF_XXH64_STRIPE_BYTES 32

struct vf_xxh64 {
    uint64_t lanes[4];
    uint64_t total_bytes;
    unsigned char tail[VF_XXH64_STRIPE_BYTES]; /* total_bytes modulo its size of it are filled */
};

void vf_xxh64_init(struct vf_xxh64 *x);
void vf_xxh64_update(struct vf_xxh64 *x, const void *buf, size_t len_bytes);
/* As update with that many zero bytes, without reading any: 8 bytes a cycle. No shorter way is
 * known, as the state of each step depends on the one before. */
void vf_xxh64_update_zeros(struct vf_xxh64 *x, uint64_t len_bytes);
uint64_t vf_xxh64_get(const struct vf_xxh64 *x);

#endif
