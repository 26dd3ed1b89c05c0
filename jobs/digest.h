/* The digest of a disk's logical content: independent of image format, of holes, and of the order
 * in which it was copied; computed in parallel; a changed area costs its leaves alone.
 *
 * Definition: the disk is cut into leaves of 1 MiB (the last may be shorter). A leaf's value is the
 * SHA-256 of its bytes, or 32 zero bytes when all its bytes are zero. The digest is the SHA-256 of
 * the 16 bytes "vmferry-leaf-1M\n", the size in bytes as u64 big-endian, and all leaf values in
 * order. Written "sha256-1m:" and 64 hex digits.
 *
 * Threads: different leaves may be set at once; the rest is for one thread.
 */
#ifndef JOBS_DIGEST_H
#define JOBS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include <vmferry/disk.h>
#include <vmferry/error.h>

#include "importer/base/pool.h"

#define VF_LEAF_BYTES       (1u << 20)
#define VF_LEAF_VALUE_BYTES 32u
#define VF_DIGEST_PREFIX    "sha256-1m:"

struct vf_digest {
    uint64_t size_bytes;
    uint64_t n_leaves;
    uint8_t *leaves; /* an anonymous mapping: zero leaves cost no memory */
};

int vf_digest_init(struct vf_digest *d, uint64_t size_bytes, struct vf_error **err);
void vf_digest_release(struct vf_digest *d); /* of a zeroed struct too */

uint64_t vf_digest_leaf_bytes(const struct vf_digest *d, uint64_t leaf); /* 1 MiB, but the last */
/* Set from the leaf's whole content; buf NULL: all zero. */
int vf_digest_set_leaf(struct vf_digest *d, uint64_t leaf, const void *buf, struct vf_error **err);
void vf_digest_set_value(struct vf_digest *d, uint64_t leaf,
                         const uint8_t value[VF_LEAF_VALUE_BYTES]);

/* Heap text "sha256-1m:...". */
int vf_digest_format(const struct vf_digest *d, char **ret_text, struct vf_error **err);

#endif
