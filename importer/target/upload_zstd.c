/* One zstd frame: libzstd compresses the data, long runs of zeros become RLE blocks without passing
 * through it.
 *
 * libzstd hands out frames; a session of it is one, of which the header is dropped and no last
 * block is ever asked for, so that the blocks of all sessions and ours make one frame. What one
 * session may assume at its beginning has to hold there:
 * - no history to match, no entropy tables to repeat: a session uses none that it did not make;
 * - the repeated offsets are 1, 4 and 8 (RFC 8878, section 3.1.1.5). A decoder has those of the
 *   session before, so blocks that decode to zeros set them again: see repeated_offsets.
 *
 * The frame's first block is a raw one. CDI looks at the first 512 bytes of what it unpacks, and up
 * to v1.65 overwrites what its zstd decoder has not yet taken of the first 512 bytes of the frame
 * (mended by its pull request 4278): a decoder that has given 512 bytes of a raw block has taken
 * more than them.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "importer/base/bytes.h"
#include "importer/base/mem.h"
#include "importer/base/xxh64.h"
#include "importer/target/upload_coder.h"
#include "importer/target/zstd_format.h"

#define LEVEL      1
#define WINDOW_LOG 19u /* libzstd's own choice for level 1 */

#define OUTPUT_BYTES (512u << 10)

/* From here on a session is ended for a run of zeros. With several threads that costs the time in
 * which the last of them finishes its job, some milliseconds, in which libzstd's way through zeros
 * (3 GB/s) comes as far as this. */
#define LONG_RUN_BYTES (8u << 20)
#define SLICE_BYTES    (1u << 30) /* of a run, between two looks at whether to go on */
#define ZEROS_BYTES    (128u << 10)

/* Three compressed blocks of 18 zeros, each 15 literals of zero and a match of 3 bytes: at offset
 * 8, then 4, then 1. Each: block header; literals header (RLE, 15 bytes) and literal; one sequence;
 * symbol modes (all RLE); literals length code 15, offset code, match length code 0; bits. The
 * offset code n stands for offset + 3 = 2^n + n bits, which are read from above, below a 1. */
#define REPEAT_BLOCK_BYTES  9u
#define REPEAT_BLOCK_HEADER ZSTD_FORMAT_BLOCK_HEADER(0, ZSTD_FORMAT_BLOCK_COMPRESSED, 8u)
#define REPEAT_BLOCK(offset_code, bits)                                                            \
    REPEAT_BLOCK_HEADER & 0xff, REPEAT_BLOCK_HEADER >> 8, REPEAT_BLOCK_HEADER >> 16, 15 << 3 | 1,  \
        0, 1, 1 << 6 | 1 << 4 | 1 << 2, 15, offset_code, 0, bits
static const unsigned char repeated_offsets[] = {
    REPEAT_BLOCK(3, 1 << 3 | 3), REPEAT_BLOCK(2, 1 << 2 | 3), REPEAT_BLOCK(2, 1 << 2 | 0)};
#define REPEATED_OFFSETS_ZEROS (3 * 18u)

#define RAW_HEAD_BYTES 4096u

struct zstd_coder {
    struct vf_upload_coder base;
    bool begun; /* the raw block is out */
    ZSTD_CCtx *cctx;
    bool in_session, had_session;
    unsigned header_left; /* of the session's frame header, to be dropped */
    unsigned char header[ZSTD_FORMAT_BARE_HEADER_BYTES];
    struct vf_xxh64 hash;
    unsigned char *out;
    size_t out_len;
    const unsigned char *zeros;
};

static int flush(struct zstd_coder *c, struct vf_error **err)
{
    size_t n = c->out_len;
    c->out_len = 0;
    return n ? c->base.emit(c->base.opaque, c->out, n, c->hash.total_bytes, err) : 0;
}

static int put(struct zstd_coder *c, const void *buf, size_t len, struct vf_error **err)
{
    int rc = len > OUTPUT_BYTES - c->out_len ? flush(c, err) : 0;
    if (!rc) {
        memcpy(c->out + c->out_len, buf, len);
        c->out_len += len;
    }
    return rc;
}

static int put_block_header(struct zstd_coder *c, unsigned last, unsigned type, unsigned size,
                            struct vf_error **err)
{
    unsigned char bytes[4];
    le32_store(bytes, ZSTD_FORMAT_BLOCK_HEADER(last, type, size));
    return put(c, bytes, 3, err);
}

/* Drops what is left of the session's own frame header from the `n` bytes at the output's end. */
static int drop_header(struct zstd_coder *c, size_t n, struct vf_error **err)
{
    unsigned char *p = c->out + c->out_len;
    size_t drop = n < c->header_left ? n : c->header_left;
    if (memcmp(p, c->header + (sizeof c->header - c->header_left), drop) != 0) {
        return vf_error_set(err, VF_INTERNAL, "libzstd begins a frame in an unexpected way");
    }
    memmove(p, p + drop, n - drop);
    c->header_left -= (unsigned)drop;
    c->out_len += n - drop;
    return 0;
}

/* Until all input is taken, and with ZSTD_e_flush until all output is out. */
static int compress(struct zstd_coder *c, const void *buf, size_t len, ZSTD_EndDirective mode,
                    struct vf_error **err)
{
    ZSTD_inBuffer in = {.src = buf, .size = len};
    size_t left;
    do {
        int rc = c->out_len == OUTPUT_BYTES ? flush(c, err) : 0;
        if (rc) {
            return rc;
        }
        ZSTD_outBuffer out = {.dst = c->out + c->out_len, .size = OUTPUT_BYTES - c->out_len};
        left = ZSTD_compressStream2(c->cctx, &out, &in, mode);
        if (ZSTD_isError(left)) {
            return vf_error_set(err, VF_INTERNAL, "libzstd: %s", ZSTD_getErrorName(left));
        }
        rc = drop_header(c, out.pos, err);
        if (rc) {
            return rc;
        }
    } while (in.pos < in.size || (mode == ZSTD_e_flush && left > 0));
    return 0;
}

static int compress_data(struct zstd_coder *c, const void *buf, size_t len, struct vf_error **err)
{
    if (!c->in_session) {
        c->in_session = c->had_session = true;
        c->header_left = sizeof c->header;
    }
    return compress(c, buf, len, ZSTD_e_continue, err);
}

static int end_session(struct zstd_coder *c, struct vf_error **err)
{
    if (!c->in_session) {
        return 0;
    }
    c->in_session = false;
    int rc = compress(c, NULL, 0, ZSTD_e_flush, err);
    ZSTD_CCtx_reset(c->cctx, ZSTD_reset_session_only);
    return rc;
}

/* The first block, of the disk's first *ret_n bytes. */
static int put_raw_head(struct zstd_coder *c, const void *buf, uint64_t len, size_t *ret_n,
                        struct vf_error **err)
{
    size_t n = len < RAW_HEAD_BYTES ? (size_t)len : RAW_HEAD_BYTES;
    int rc = put_block_header(c, 0, ZSTD_FORMAT_BLOCK_RAW, (unsigned)n, err);
    c->begun = true;
    *ret_n = n;
    return rc ? rc : put(c, buf, n, err);
}

static int zstd_write(struct vf_upload_coder *coder, const void *buf, size_t len_bytes,
                      struct vf_error **err)
{
    struct zstd_coder *c = (struct zstd_coder *)coder;
    size_t n = 0;
    vf_xxh64_update(&c->hash, buf, len_bytes);
    int rc = c->begun || !len_bytes ? 0 : put_raw_head(c, buf, len_bytes, &n, err);
    return rc ? rc : compress_data(c, (const char *)buf + n, len_bytes - n, err);
}

static int put_rle(struct zstd_coder *c, uint64_t length, struct vf_error **err)
{
    static const unsigned char zero[1];
    int rc = 0;
    while (length && !rc) {
        unsigned n =
            length < ZSTD_FORMAT_BLOCK_MAX_BYTES ? (unsigned)length : ZSTD_FORMAT_BLOCK_MAX_BYTES;
        rc = put_block_header(c, 0, ZSTD_FORMAT_BLOCK_RLE, n, err);
        rc = rc ? rc : put(c, zero, sizeof zero, err);
        length -= n;
    }
    return rc;
}

static int zero_long(struct zstd_coder *c, uint64_t length, struct vf_error **err)
{
    int rc = end_session(c, err);
    length -= REPEATED_OFFSETS_ZEROS;
    while (length && !rc) {
        uint64_t n = length < SLICE_BYTES ? length : SLICE_BYTES;
        vf_xxh64_update_zeros(&c->hash, n);
        rc = put_rle(c, n, err);
        rc = rc ? rc : flush(c, err);
        length -= n;
    }
    vf_xxh64_update_zeros(&c->hash, REPEATED_OFFSETS_ZEROS);
    return rc ? rc : put(c, repeated_offsets, sizeof repeated_offsets, err);
}

static int zstd_zero(struct vf_upload_coder *coder, uint64_t length_bytes, struct vf_error **err)
{
    struct zstd_coder *c = (struct zstd_coder *)coder;
    size_t n_raw = 0;
    int rc = c->begun || !length_bytes ? 0 : put_raw_head(c, c->zeros, length_bytes, &n_raw, err);
    vf_xxh64_update_zeros(&c->hash, n_raw);
    length_bytes -= n_raw;
    if (!rc && length_bytes >= LONG_RUN_BYTES) {
        return zero_long(c, length_bytes, err);
    }
    vf_xxh64_update_zeros(&c->hash, length_bytes);
    while (length_bytes && !rc) {
        size_t n = length_bytes < ZEROS_BYTES ? (size_t)length_bytes : ZEROS_BYTES;
        rc = compress_data(c, c->zeros, n, err);
        length_bytes -= n;
    }
    return rc;
}

static int zstd_finish(struct vf_upload_coder *coder, struct vf_error **err)
{
    struct zstd_coder *c = (struct zstd_coder *)coder;
    unsigned char checksum[4];
    le32_store(checksum, (uint32_t)vf_xxh64_get(&c->hash));
    int rc = end_session(c, err);
    rc = rc ? rc : put_block_header(c, 1, ZSTD_FORMAT_BLOCK_RAW, 0, err);
    rc = rc ? rc : put(c, checksum, sizeof checksum, err);
    return rc ? rc : flush(c, err);
}

static void zstd_free(struct vf_upload_coder *coder)
{
    struct zstd_coder *c = (struct zstd_coder *)coder;
    ZSTD_freeCCtx(c->cctx);
    free(c->out);
    free(c);
}

static const struct vf_upload_coder_ops ops = {
    .write = zstd_write, .zero = zstd_zero, .finish = zstd_finish, .free = zstd_free};

static bool set_parameters(ZSTD_CCtx *cctx, unsigned threads)
{
    /* A libzstd without threads refuses any number of them, and compresses on ours. */
    ZSTD_CCtx_setParameter(cctx, ZSTD_c_nbWorkers, (int)threads);
    return !ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel, LEVEL)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_windowLog, (int)WINDOW_LOG)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_contentSizeFlag, 0)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 0));
}

int vf_upload_zstd_new(uint64_t size_bytes, unsigned threads, vf_upload_emit_fn *emit, void *opaque,
                       struct vf_upload_coder **ret_coder, struct vf_error **err)
{
    static const unsigned char zeros[ZEROS_BYTES];
    struct zstd_coder *c = vf_xcalloc(1, sizeof *c);
    c->base = (struct vf_upload_coder){.ops = &ops, .emit = emit, .opaque = opaque};
    c->zeros = zeros;
    c->out = vf_xcalloc(1, OUTPUT_BYTES);
    vf_xxh64_init(&c->hash);
    c->cctx = ZSTD_createCCtx();
    if (!c->cctx || !set_parameters(c->cctx, threads)) {
        zstd_free(&c->base);
        return vf_error_set(err, VF_INTERNAL, "libzstd cannot be set up");
    }
    le32_store(c->header, ZSTD_FORMAT_MAGIC);
    c->header[4] = 0;
    c->header[5] = ZSTD_FORMAT_WINDOW(WINDOW_LOG);
    le32_store(c->out, ZSTD_FORMAT_MAGIC);
    c->out[4] = ZSTD_FORMAT_FCS_8_BYTES | ZSTD_FORMAT_CHECKSUM;
    c->out[5] = ZSTD_FORMAT_WINDOW(WINDOW_LOG);
    le64_store(c->out + 6, size_bytes);
    c->out_len = ZSTD_FORMAT_HEADER_BYTES;
    *ret_coder = &c->base;
    return 0;
}
