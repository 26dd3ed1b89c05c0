/* One gzip member (RFC 1952): pieces of the disk are deflated on several threads, each into blocks
 * that end at a byte (Z_SYNC_FLUSH), and put in order behind one another; their CRCs are combined.
 * A run of zeros is one piece, made once, said again and again: deflate cannot do better than 1 to
 * 1032, and its CRC is had without looking at the zeros.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "importer/base/bytes.h"
#include "importer/base/mem.h"
#include "importer/base/pool.h"
#include "importer/target/upload_coder.h"

#define LEVEL       1
#define ZEROS_LEVEL 9 /* level 1 makes four times as much of them */
#define PIECE_BYTES (1u << 20)
/* Z_SYNC_FLUSH adds 5 bytes to what deflateBound says, and a few bits. */
#define SLACK_BYTES 64u
/* zlib: negative window bits are deflate without a wrapper. */
#define RAW_WINDOW (-15)
#define MEM_LEVEL  8

/* A run of zeros shorter than this goes into the piece under way. */
#define LONG_RUN_BYTES (256u << 10)
#define ZERO_PIECES    64u /* in one emit */

struct gzip_coder {
    struct vf_upload_coder base;
    struct vf_pool *pool;
    struct vf_lane *lane;
    struct slot *filling; /* NULL: none */
    unsigned char *zeros; /* ZERO_PIECES times PIECE_BYTES of zeros, deflated */
    size_t zero_piece_len;

    /* Of what was emitted, or is about to; whose turn it is may touch them. */
    uLong crc;
    uint64_t total_bytes;
};

struct slot {
    struct gzip_coder *coder;
    z_stream z;
    unsigned char *in, *out;
    size_t in_len, out_cap;
    uint64_t n_zeros; /* instead of in_len */
};

static size_t out_capacity(z_stream *z)
{
    return deflateBound(z, PIECE_BYTES) + SLACK_BYTES;
}

static int init_slot(struct slot *s, int level, struct vf_error **err)
{
    if (deflateInit2(&s->z, level, Z_DEFLATED, RAW_WINDOW, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
        return vf_error_set(err, VF_INTERNAL, "zlib cannot be set up");
    }
    s->out_cap = out_capacity(&s->z);
    s->in = vf_xcalloc(1, PIECE_BYTES);
    s->out = vf_xcalloc(1, s->out_cap);
    return 0;
}

static int slot_init(void *opaque, void *owner, struct vf_error **err)
{
    struct slot *s = opaque;
    *s = (struct slot){.coder = owner};
    return init_slot(s, LEVEL, err);
}

static void slot_release(void *opaque)
{
    struct slot *s = opaque;
    deflateEnd(&s->z);
    free(s->in);
    free(s->out);
}

/* The first `len` bytes of the slot's input, into its output. */
static int deflate_piece(struct slot *s, size_t len, size_t *ret_len, struct vf_error **err)
{
    deflateReset(&s->z);
    s->z.next_in = s->in;
    s->z.avail_in = (uInt)len;
    s->z.next_out = s->out;
    s->z.avail_out = (uInt)s->out_cap;
    if (deflate(&s->z, Z_SYNC_FLUSH) != Z_OK || s->z.avail_in || !s->z.avail_out) {
        return vf_error_set(err, VF_INTERNAL, "zlib did not compress a piece whole");
    }
    *ret_len = s->out_cap - s->z.avail_out;
    return 0;
}

/* CRC-32 of that many zeros: twice a run is two of it. */
static uLong crc_of_zeros(uint64_t length)
{
    static const unsigned char zero[1];
    uLong crc = crc32(0, NULL, 0);
    uLong run_crc = crc32(crc, zero, 1);
    for (uint64_t run = 1; length; run *= 2, length /= 2) {
        if (length & 1) {
            crc = crc32_combine(crc, run_crc, (z_off_t)run);
        }
        run_crc = crc32_combine(run_crc, run_crc, (z_off_t)run);
    }
    return crc;
}

static int emit(struct gzip_coder *c, const void *buf, size_t len, struct vf_error **err)
{
    return c->base.emit(c->base.opaque, buf, len, c->total_bytes, err);
}

static int run_zeros(struct slot *s, struct vf_lane *lane, struct vf_error **err)
{
    struct gzip_coder *c = s->coder;
    size_t rest_len = 0, rest = (size_t)(s->n_zeros % PIECE_BYTES);
    memset(s->in, 0, rest);
    uLong crc = crc_of_zeros(s->n_zeros);
    int rc = rest ? deflate_piece(s, rest, &rest_len, err) : 0;
    rc = rc ? rc : vf_lane_wait_turn(lane, s, err);
    if (rc) {
        return rc;
    }
    c->crc = crc32_combine(c->crc, crc, (z_off_t)s->n_zeros);
    for (uint64_t left = s->n_zeros / PIECE_BYTES; left && !rc;) {
        unsigned n = left < ZERO_PIECES ? (unsigned)left : ZERO_PIECES;
        c->total_bytes += (uint64_t)n * PIECE_BYTES;
        rc = emit(c, c->zeros, n * c->zero_piece_len, err);
        left -= n;
    }
    c->total_bytes += rest;
    return rc || !rest ? rc : emit(c, s->out, rest_len, err);
}

static int run_data(struct slot *s, struct vf_lane *lane, struct vf_error **err)
{
    size_t len = 0;
    uLong crc = crc32(crc32(0, NULL, 0), s->in, (uInt)s->in_len);
    int rc = deflate_piece(s, s->in_len, &len, err);
    rc = rc ? rc : vf_lane_wait_turn(lane, s, err);
    if (rc) {
        return rc;
    }
    s->coder->crc = crc32_combine(s->coder->crc, crc, (z_off_t)s->in_len);
    s->coder->total_bytes += s->in_len;
    return emit(s->coder, s->out, len, err);
}

static int slot_run(void *opaque, struct vf_lane *lane, struct vf_error **err)
{
    struct slot *s = opaque;
    return s->n_zeros ? run_zeros(s, lane, err) : run_data(s, lane, err);
}

static const struct vf_lane_ops lane_ops = {
    .slot_size = sizeof(struct slot), .init = slot_init, .release = slot_release, .run = slot_run};

/* The slot that is being filled; NULL: *ret_rc tells why there is none. */
static struct slot *acquire(struct gzip_coder *c, int *ret_rc, struct vf_error **err)
{
    void *slot = NULL;
    *ret_rc = c->filling ? 0 : vf_lane_acquire(c->lane, &slot, err);
    if (slot) {
        c->filling = slot;
        c->filling->in_len = 0;
        c->filling->n_zeros = 0;
    }
    return c->filling;
}

static void submit(struct gzip_coder *c)
{
    if (c->filling) {
        vf_lane_submit(c->lane, vf_take(c->filling));
    }
}

/* buf NULL: zeros. */
static int fill(struct gzip_coder *c, const unsigned char *buf, size_t len, struct vf_error **err)
{
    while (len) {
        int rc = 0;
        struct slot *s = acquire(c, &rc, err);
        if (!s) {
            return rc;
        }
        size_t n = len < PIECE_BYTES - s->in_len ? len : PIECE_BYTES - s->in_len;
        if (buf) {
            memcpy(s->in + s->in_len, buf, n);
            buf += n;
        } else {
            memset(s->in + s->in_len, 0, n);
        }
        s->in_len += n;
        len -= n;
        if (s->in_len == PIECE_BYTES) {
            submit(c);
        }
    }
    return 0;
}

static int gzip_write(struct vf_upload_coder *coder, const void *buf, size_t len_bytes,
                      struct vf_error **err)
{
    return fill((struct gzip_coder *)coder, buf, len_bytes, err);
}

static int gzip_zero(struct vf_upload_coder *coder, uint64_t length_bytes, struct vf_error **err)
{
    struct gzip_coder *c = (struct gzip_coder *)coder;
    if (length_bytes < LONG_RUN_BYTES) {
        return fill(c, NULL, (size_t)length_bytes, err);
    }
    submit(c);
    int rc = 0;
    struct slot *s = acquire(c, &rc, err);
    if (s) {
        s->n_zeros = length_bytes;
        submit(c);
    }
    return rc;
}

/* The last block, empty, with fixed codes (RFC 1951, section 3.2.6); CRC-32 and size modulo 2^32.
 */
static int gzip_finish(struct vf_upload_coder *coder, struct vf_error **err)
{
    struct gzip_coder *c = (struct gzip_coder *)coder;
    submit(c);
    int rc = vf_lane_drain(c->lane, err);
    if (rc) {
        return rc;
    }
    unsigned char end[10] = {0x03, 0x00};
    le32_store(end + 2, (uint32_t)c->crc);
    le32_store(end + 6, (uint32_t)c->total_bytes);
    return emit(c, end, sizeof end, err);
}

static void gzip_free(struct vf_upload_coder *coder)
{
    struct gzip_coder *c = (struct gzip_coder *)coder;
    if (c->filling) {
        vf_lane_abandon(c->lane, c->filling);
    }
    vf_lane_free(c->lane);
    vf_pool_free(c->pool);
    free(c->zeros);
    free(c);
}

static const struct vf_upload_coder_ops ops = {
    .write = gzip_write, .zero = gzip_zero, .finish = gzip_finish, .free = gzip_free};

static int make_zeros(struct gzip_coder *c, struct vf_error **err)
{
    struct slot s = {.coder = c};
    int rc = init_slot(&s, ZEROS_LEVEL, err);
    if (rc) {
        return rc;
    }
    rc = deflate_piece(&s, PIECE_BYTES, &c->zero_piece_len, err);
    c->zeros = vf_xcalloc(ZERO_PIECES, c->zero_piece_len ? c->zero_piece_len : 1);
    for (unsigned i = 0; i < ZERO_PIECES && !rc; i++) {
        memcpy(c->zeros + i * c->zero_piece_len, s.out, c->zero_piece_len);
    }
    slot_release(&s);
    return rc;
}

/* The header: no time, no name (a file's are nobody's business), fastest method, unknown system. */
static int begin(struct gzip_coder *c, struct vf_error **err)
{
    static const unsigned char header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255};
    return emit(c, header, sizeof header, err);
}

int vf_upload_gzip_new(unsigned threads, vf_upload_emit_fn *emit_bytes, void *opaque,
                       struct vf_upload_coder **ret_coder, struct vf_error **err)
{
    struct gzip_coder *c = vf_xcalloc(1, sizeof *c);
    c->base = (struct vf_upload_coder){.ops = &ops, .emit = emit_bytes, .opaque = opaque};
    c->crc = crc32(0, NULL, 0);
    c->pool = vf_pool_new(threads);
    int rc = c->pool ? make_zeros(c, err) : vf_error_set(err, VF_INTERNAL, "no thread can be had");
    rc = rc ? rc : vf_lane_new(c->pool, threads + 2, &lane_ops, c, NULL, &c->lane, err);
    rc = rc ? rc : begin(c, err);
    if (rc) {
        gzip_free(&c->base);
        return rc;
    }
    *ret_coder = &c->base;
    return 0;
}
