#include "jobs/stages/readback.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "jobs/stages/stage.h"

#define MAX_READS 8u /* of a leaf each: what a refresh takes in memory */

struct readback {
    struct vf_stage stage;
    struct vf_digest digest; /* of the leaves that are known */
    /* A bit a leaf, set: not known. Set by writers, cleared by the thread whose leaf it is. */
    _Atomic uint64_t *unknown;
};

static size_t n_words(const struct readback *r)
{
    return (size_t)(r->digest.n_leaves / 64 + 1);
}

static void set_unknown(struct readback *r, uint64_t leaf)
{
    atomic_fetch_or_explicit(&r->unknown[leaf / 64], UINT64_C(1) << leaf % 64,
                             memory_order_relaxed);
}

static void set_known(struct readback *r, uint64_t leaf)
{
    atomic_fetch_and_explicit(&r->unknown[leaf / 64], ~(UINT64_C(1) << leaf % 64),
                              memory_order_relaxed);
}

/* Before the write: one that fails has changed something too. */
static void forget(struct readback *r, uint64_t offset_bytes, uint64_t length_bytes)
{
    if (length_bytes == 0) {
        return;
    }
    uint64_t last = (offset_bytes + length_bytes - 1) / VF_LEAF_BYTES;
    for (uint64_t leaf = offset_bytes / VF_LEAF_BYTES; leaf <= last; leaf++) {
        set_unknown(r, leaf);
    }
}

/* The leaves that the range holds whole. buf NULL: zeros. */
static int learn(struct readback *r, const uint8_t *buf, uint64_t offset_bytes,
                 uint64_t length_bytes, struct vf_error **err)
{
    uint64_t leaf = (offset_bytes + VF_LEAF_BYTES - 1) / VF_LEAF_BYTES;
    int rc = 0;
    for (; rc == 0 && leaf < r->digest.n_leaves; leaf++) {
        uint64_t start = leaf * VF_LEAF_BYTES;
        if (start + vf_digest_leaf_bytes(&r->digest, leaf) > offset_bytes + length_bytes) {
            break;
        }
        rc = vf_digest_set_leaf(&r->digest, leaf, buf ? buf + (start - offset_bytes) : NULL, err);
        if (rc == 0) {
            set_known(r, leaf);
        }
    }
    return rc;
}

static int readback_write(struct vf_sink *s, const void *buf, size_t len_bytes,
                          uint64_t offset_bytes, struct vf_error **err)
{
    struct readback *r = (struct readback *)s;
    forget(r, offset_bytes, len_bytes);
    int rc = vf_sink_write(r->stage.next, buf, len_bytes, offset_bytes, err);
    return rc ? rc : learn(r, buf, offset_bytes, len_bytes, err);
}

static int readback_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                         struct vf_error **err)
{
    struct readback *r = (struct readback *)s;
    forget(r, offset_bytes, length_bytes);
    int rc = vf_sink_zero(r->stage.next, offset_bytes, length_bytes, err);
    return rc ? rc : learn(r, NULL, offset_bytes, length_bytes, err);
}

static void readback_free(struct vf_sink *s)
{
    struct readback *r = (struct readback *)s;
    vf_sink_free(r->stage.next);
    vf_digest_release(&r->digest);
    free(r->unknown);
    free(r);
}

static const struct vf_sink_ops readback_ops = {
    .write = readback_write,
    .zero = readback_zero,
    .read = vf_stage_read,
    .flush = vf_stage_flush,
    .finish = vf_stage_finish,
    .free = readback_free,
};

int vf_readback_stage_new(struct vf_sink *next, bool is_zero, struct vf_sink **ret_sink,
                          struct vf_error **err)
{
    struct readback *r = vf_xcalloc(1, sizeof *r);
    vf_stage_init(&r->stage, &readback_ops, next);
    int rc = vf_digest_init(&r->digest, next->size_bytes, err);
    if (rc) {
        free(r);
        return rc;
    }
    r->unknown = vf_xcalloc(n_words(r), sizeof *r->unknown);
    if (!is_zero) {
        forget(r, 0, next->size_bytes);
    }
    *ret_sink = &r->stage.base;
    return 0;
}

struct leaf_read {
    struct readback *readback;
    uint64_t leaf;
    uint8_t *buf;
};

static int leaf_init(void *slot, void *owner, struct vf_error **err)
{
    struct leaf_read *l = slot;
    l->readback = owner;
    l->buf = aligned_alloc(4096, VF_LEAF_BYTES);
    return l->buf ? 0 : vf_error_set(err, VF_SPACE, "no memory for reading back");
}

static void leaf_release(void *slot)
{
    free(((struct leaf_read *)slot)->buf);
}

static int leaf_run(void *slot, struct vf_lane *lane, struct vf_error **err)
{
    (void)lane;
    struct leaf_read *l = slot;
    struct readback *r = l->readback;
    int rc = vf_inject("readback.read", err);
    if (rc == 0) {
        rc = vf_sink_read(r->stage.next, l->buf, (size_t)vf_digest_leaf_bytes(&r->digest, l->leaf),
                          l->leaf * VF_LEAF_BYTES, err);
    }
    if (rc == 0) {
        rc = vf_digest_set_leaf(&r->digest, l->leaf, l->buf, err);
    }
    if (rc == 0) {
        set_known(r, l->leaf);
    }
    return rc;
}

static const struct vf_lane_ops leaf_ops = {
    .slot_size = sizeof(struct leaf_read),
    .init = leaf_init,
    .release = leaf_release,
    .run = leaf_run,
};

/* The first leaf at `leaf` or behind that is not known; n_leaves: there is none. */
static uint64_t next_unknown(const struct readback *r, uint64_t leaf)
{
    while (leaf < r->digest.n_leaves) {
        uint64_t bits = atomic_load_explicit(&r->unknown[leaf / 64], memory_order_relaxed);
        bits >>= leaf % 64;
        if (bits) {
            return leaf + (unsigned)__builtin_ctzll(bits);
        }
        leaf = (leaf / 64 + 1) * 64;
    }
    return r->digest.n_leaves;
}

/* Up to a number. */
static unsigned count_unknown(const struct readback *r, unsigned most)
{
    unsigned n = 0;
    uint64_t leaf = next_unknown(r, 0);
    while (n < most && leaf < r->digest.n_leaves) {
        n++;
        leaf = next_unknown(r, leaf + 1);
    }
    return n;
}

static int read_unknown(struct readback *r, struct vf_lane *lane, const struct vf_cancel *cancel,
                        struct vf_error **err)
{
    int rc = 0;
    for (uint64_t leaf = next_unknown(r, 0); leaf < r->digest.n_leaves && rc == 0;
         leaf = next_unknown(r, leaf + 1)) {
        void *slot = NULL;
        rc = vf_cancel_check(cancel, err);
        rc = rc ? rc : vf_lane_acquire(lane, &slot, err);
        if (rc == 0) {
            ((struct leaf_read *)slot)->leaf = leaf;
            vf_lane_submit(lane, slot);
        }
    }
    return vf_lane_settle(lane, rc, err);
}

int vf_readback_refresh(struct vf_sink *readback, struct vf_pool *pool, struct vf_cancel *cancel,
                        struct vf_error **err)
{
    struct readback *r = (struct readback *)readback;
    unsigned slots = vf_pool_threads(pool) + 1;
    slots = count_unknown(r, slots < MAX_READS ? slots : MAX_READS);
    if (slots == 0) {
        return 0;
    }
    struct vf_lane *lane = NULL;
    int rc = vf_lane_new(pool, slots, &leaf_ops, r, cancel, &lane, err);
    rc = rc ? rc : read_unknown(r, lane, cancel, err);
    vf_lane_free(lane);
    return rc;
}

uint64_t vf_readback_unknown_bytes(const struct vf_sink *readback)
{
    const struct readback *r = (const struct readback *)readback;
    uint64_t n = 0;
    for (uint64_t leaf = next_unknown(r, 0); leaf < r->digest.n_leaves;
         leaf = next_unknown(r, leaf + 1)) {
        n += vf_digest_leaf_bytes(&r->digest, leaf);
    }
    return n;
}

int vf_readback_format(const struct vf_sink *readback, char **ret_digest, struct vf_error **err)
{
    const struct readback *r = (const struct readback *)readback;
    if (next_unknown(r, 0) < r->digest.n_leaves) {
        return vf_error_set(err, VF_CONFLICT, "a part of the disk was not read back yet");
    }
    return vf_digest_format(&r->digest, ret_digest, err);
}
