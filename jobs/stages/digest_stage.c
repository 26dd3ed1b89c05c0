#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "converters/disk/bitmap.h"
#include "importer/base/mem.h"
#include "importer/base/zero.h"
#include "jobs/stages/stage.h"

/* Leaves that came in part so far. A source gives a leaf's pieces one after the other from one
 * thread, so a few suffice; a leaf that does not fit that pattern is read back at the end. */
#define MAX_OPEN 128u

struct open_leaf {
    bool used; /* slot taken */
    bool busy; /* a thread is hashing into it */
    bool has_data;
    uint64_t leaf;
    uint64_t next;   /* bytes of the leaf that went by */
    EVP_MD_CTX *ctx; /* hash of [0, next), once has_data */
};

struct digest_stage {
    struct vf_stage stage;
    struct vf_digest *digest;

    pthread_mutex_t lock; /* guards all below; not held while hashing */
    struct open_leaf open[MAX_OPEN];
    struct vf_bitmap touched; /* leaves of which anything went by as data, or in part */
    struct vf_bitmap stale;   /* to be read back */
    uint64_t n_stale;
};

static bool hash_zeros(EVP_MD_CTX *ctx, uint64_t n)
{
    static const uint8_t zeros[64 << 10];
    for (; n > 0;) {
        size_t part = n < sizeof zeros ? (size_t)n : sizeof zeros;
        if (!EVP_DigestUpdate(ctx, zeros, part)) {
            return false;
        }
        n -= part;
    }
    return true;
}

/* Lock held. */
static void mark_stale(struct digest_stage *d, uint64_t leaf)
{
    if (!vf_bitmap_test_and_set(&d->stale, leaf)) {
        d->n_stale++;
    }
}

/* The open leaf to hash a piece at `in_leaf` into, marked busy; NULL when it must be read back
 * later. */
static struct open_leaf *take_leaf(struct digest_stage *d, uint64_t leaf, uint64_t in_leaf)
{
    struct open_leaf *found = NULL, *unused = NULL;
    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < MAX_OPEN && !found; i++) {
        struct open_leaf *o = &d->open[i];
        if (o->used && o->leaf == leaf) {
            found = o;
        } else if (!o->used && !unused) {
            unused = o;
        }
    }
    bool seen = vf_bitmap_test_and_set(&d->touched, leaf);
    if (!found && unused && in_leaf == 0 && !seen) {
        EVP_MD_CTX *ctx = unused->ctx;
        *unused = (struct open_leaf){.used = true, .leaf = leaf, .ctx = ctx};
        found = unused;
    }
    if (found && (found->busy || found->next != in_leaf)) {
        found = NULL;
    }
    if (found) {
        found->busy = true;
    } else {
        mark_stale(d, leaf);
    }
    pthread_mutex_unlock(&d->lock);
    return found;
}

static void give_back(struct digest_stage *d, struct open_leaf *o)
{
    pthread_mutex_lock(&d->lock);
    o->busy = false;
    if (o->next == vf_digest_leaf_bytes(d->digest, o->leaf)) {
        o->used = false;
    }
    pthread_mutex_unlock(&d->lock);
}

static bool hash_piece(struct digest_stage *d, struct open_leaf *o, const void *buf, uint64_t len)
{
    /* A leaf of zeros has the value of zeros, in whatever pieces it came: the stage in front lets
     * short runs of zeros through as data. */
    if (buf && !o->has_data && vf_is_zero(buf, (size_t)len)) {
        buf = NULL;
    }
    if (buf && !o->has_data) {
        if (!o->ctx) {
            o->ctx = EVP_MD_CTX_new();
        }
        if (!o->ctx || !EVP_DigestInit_ex(o->ctx, EVP_sha256(), NULL) ||
            !hash_zeros(o->ctx, o->next)) {
            return false;
        }
        o->has_data = true;
    }
    if (o->has_data &&
        !(buf ? EVP_DigestUpdate(o->ctx, buf, (size_t)len) != 0 : hash_zeros(o->ctx, len))) {
        return false;
    }
    o->next += len;
    if (o->has_data && o->next == vf_digest_leaf_bytes(d->digest, o->leaf)) {
        uint8_t value[EVP_MAX_MD_SIZE];
        if (!EVP_DigestFinal_ex(o->ctx, value, NULL)) {
            return false;
        }
        vf_digest_set_value(d->digest, o->leaf, value);
    }
    return true;
}

/* One piece within one leaf; buf NULL: zeros. */
static int add_piece(struct digest_stage *d, const void *buf, uint64_t leaf, uint64_t in_leaf,
                     uint64_t len, struct vf_error **err)
{
    struct open_leaf *o = take_leaf(d, leaf, in_leaf);
    if (!o) {
        return 0;
    }
    bool ok = hash_piece(d, o, buf, len);
    give_back(d, o);
    return ok ? 0 : vf_error_set(err, VF_INTERNAL, "SHA-256 failed");
}

/* A whole leaf of zeros: nothing to remember unless something else was there before. */
static void add_zero_leaf(struct digest_stage *d, uint64_t leaf)
{
    pthread_mutex_lock(&d->lock);
    if (vf_bitmap_test(&d->touched, leaf)) {
        mark_stale(d, leaf);
    }
    pthread_mutex_unlock(&d->lock);
}

static int add_range(struct digest_stage *d, const void *buf, uint64_t offset_bytes,
                     uint64_t length_bytes, struct vf_error **err)
{
    const uint8_t *p = buf;
    while (length_bytes > 0) {
        uint64_t leaf = offset_bytes / VF_LEAF_BYTES;
        uint64_t in_leaf = offset_bytes % VF_LEAF_BYTES;
        uint64_t whole = vf_digest_leaf_bytes(d->digest, leaf);
        uint64_t n = whole - in_leaf < length_bytes ? whole - in_leaf : length_bytes;
        if (!p && n == whole) {
            add_zero_leaf(d, leaf);
        } else {
            int rc = add_piece(d, p, leaf, in_leaf, n, err);
            if (rc) {
                return rc;
            }
        }
        p = p ? p + n : NULL;
        offset_bytes += n;
        length_bytes -= n;
    }
    return 0;
}

static int digest_write(struct vf_sink *s, const void *buf, size_t len_bytes, uint64_t offset_bytes,
                        struct vf_error **err)
{
    struct digest_stage *d = (struct digest_stage *)s;
    int rc = vf_sink_write(d->stage.next, buf, len_bytes, offset_bytes, err);
    return rc ? rc : add_range(d, buf, offset_bytes, len_bytes, err);
}

static int digest_zero(struct vf_sink *s, uint64_t offset_bytes, uint64_t length_bytes,
                       struct vf_error **err)
{
    struct digest_stage *d = (struct digest_stage *)s;
    int rc = vf_sink_zero(d->stage.next, offset_bytes, length_bytes, err);
    return rc ? rc : add_range(d, NULL, offset_bytes, length_bytes, err);
}

static int read_back(struct digest_stage *d, struct vf_error **err)
{
    if (!(d->stage.next->caps & VF_SINK_READABLE)) {
        return vf_error_set(err, VF_UNSUPPORTED,
                            "the disk came out of order and the target cannot be read back for "
                            "its digest");
    }
    uint8_t *vf_autofree buf = vf_xcalloc(1, VF_LEAF_BYTES);
    int rc = 0;
    for (uint64_t leaf = 0; leaf < d->digest->n_leaves && d->n_stale > 0 && rc == 0; leaf++) {
        if (!vf_bitmap_test(&d->stale, leaf)) {
            continue;
        }
        rc = vf_sink_read(d->stage.next, buf, (size_t)vf_digest_leaf_bytes(d->digest, leaf),
                          leaf * VF_LEAF_BYTES, err);
        if (rc == 0) {
            rc = vf_digest_set_leaf(d->digest, leaf, buf, err);
        }
        d->n_stale--;
    }
    return rc;
}

static int digest_finish(struct vf_sink *s, struct vf_error **err)
{
    struct digest_stage *d = (struct digest_stage *)s;
    for (unsigned i = 0; i < MAX_OPEN; i++) {
        if (d->open[i].used) {
            mark_stale(d, d->open[i].leaf);
        }
    }
    int rc = d->n_stale > 0 ? read_back(d, err) : 0;
    return rc ? rc : vf_sink_finish(d->stage.next, err);
}

static void digest_free(struct vf_sink *s)
{
    struct digest_stage *d = (struct digest_stage *)s;
    for (unsigned i = 0; i < MAX_OPEN; i++) {
        EVP_MD_CTX_free(d->open[i].ctx);
    }
    vf_bitmap_release(&d->touched);
    vf_bitmap_release(&d->stale);
    pthread_mutex_destroy(&d->lock);
    vf_sink_free(d->stage.next);
    free(d);
}

static const struct vf_sink_ops digest_ops = {
    .write = digest_write,
    .zero = digest_zero,
    .read = vf_stage_read,
    .flush = vf_stage_flush,
    .finish = digest_finish,
    .free = digest_free,
};

int vf_digest_stage_new(struct vf_sink *next, struct vf_digest *digest, struct vf_sink **ret_sink,
                        struct vf_error **err)
{
    struct digest_stage *d = vf_xcalloc(1, sizeof *d);
    int rc = vf_bitmap_init(&d->touched, digest->n_leaves, err);
    if (rc == 0) {
        rc = vf_bitmap_init(&d->stale, digest->n_leaves, err);
    }
    if (rc) {
        vf_bitmap_release(&d->touched);
        free(d);
        return rc;
    }
    vf_stage_init(&d->stage, &digest_ops, next);
    d->digest = digest;
    pthread_mutex_init(&d->lock, NULL);
    *ret_sink = &d->stage.base;
    return 0;
}
