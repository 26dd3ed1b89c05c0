#include "importer/target/upload_coder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

#include "importer/base/bytes.h"
#include "importer/base/mem.h"
#include "importer/base/zero.h"
#include "tests/support/check.h"

#define KIB 1024u
#define MIB (1024u * KIB)
#define GIB (UINT64_C(1024) * MIB)
#define TIB (1024 * GIB)

/* What is beyond 4 GiB is beyond a thread's races, and ten times slower under TSan. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#endif
#ifdef UNDER_TSAN
#define MANY_ZEROS (80 * MIB + 512)
#else
#define MANY_ZEROS (5 * GIB + 512)
#endif

enum kind { ZERO, RANDOM, TEXT, PERIODIC };

struct extent {
    enum kind kind;
    uint64_t length;
    unsigned period; /* of PERIODIC */
};

/* Long runs stand before data that libzstd codes with the offsets 1, 4 and 8 that a frame begins
 * with, and behind data that leaves others. */
static const struct extent mixed[] = {
    {RANDOM, 3 * MIB, 0},     {ZERO, 4 * KIB, 0},         {PERIODIC, 300 * KIB, 100},
    {ZERO, 8 * MIB, 0},       {PERIODIC, 100 * KIB, 1},   {TEXT, 2 * MIB, 0},
    {ZERO, 9 * MIB + 512, 0}, {PERIODIC, 64 * KIB, 4},    {RANDOM, 512, 0},
    {ZERO, 8 * MIB - 512, 0}, {TEXT, 700 * KIB + 512, 0}, {ZERO, 10 * MIB, 0},
    {PERIODIC, 512, 8},       {ZERO, 16 * MIB + 1024, 0}, {PERIODIC, 1 * MIB, 8},
    {PERIODIC, 20 * KIB, 12}, {ZERO, 8 * MIB, 0},         {RANDOM, 200 * KIB, 0},
    {PERIODIC, 2 * MIB, 1},   {ZERO, 300 * KIB, 0},       {TEXT, 512, 0},
    {ZERO, 1 * MIB + 512, 0}, {RANDOM, 1 * MIB + 512, 0}, {ZERO, 11 * MIB, 0},
};
static const struct extent begins_zero[] = {
    {ZERO, 20 * MIB, 0}, {PERIODIC, 512, 1}, {TEXT, MIB, 0}};
static const struct extent only_data[] = {{TEXT, 5 * MIB, 0}};
static const struct extent one_sector[] = {{TEXT, 512, 0}};
static const struct extent one_zero_sector[] = {{ZERO, 512, 0}};
static const struct extent odd_end[] = {{TEXT, 1536, 0}, {ZERO, 9 * MIB, 0}, {RANDOM, 77, 0}};
static const struct extent large[] = {
    {TEXT, 64 * KIB, 0}, {ZERO, MANY_ZEROS, 0}, {PERIODIC, 64 * KIB, 1}, {ZERO, MIB, 0}};

struct disk {
    const struct extent *extents;
    size_t n;
};

#define DISK(array)                                                                                \
    {                                                                                              \
        (array), sizeof(array) / sizeof *(array)                                                   \
    }
static const struct disk disks[] = {DISK(mixed),      DISK(begins_zero),     DISK(only_data),
                                    DISK(one_sector), DISK(one_zero_sector), DISK(odd_end)};
#define N_DISKS (sizeof disks / sizeof *disks)

static uint64_t disk_size(const struct disk *d)
{
    uint64_t size = 0;
    for (size_t i = 0; i < d->n; i++) {
        size += d->extents[i].length;
    }
    return size;
}

/* The byte at `i` of an extent that is not zero, the same on every call. */
static unsigned char byte_at(const struct extent *e, uint64_t i)
{
    uint64_t v;
    switch (e->kind) {
    case PERIODIC:
        v = (i % e->period + 1) * 0x9E3779B97F4A7C15u;
        return (unsigned char)(v >> 40 | 1);
    case TEXT:
        v = (i / 5 % 611) * 0x9E3779B97F4A7C15u;
        return (unsigned char)('a' + (v >> 59));
    default:
        v = (i + 1) * 0x9E3779B97F4A7C15u;
        v = (v ^ v >> 29) * 0xBF58476D1CE4E5B9u;
        return (unsigned char)(v >> 33);
    }
}

/* What comes out of a coder. */
struct output {
    unsigned char *data; /* kept when `keep` */
    size_t cap;
    uint64_t len, disk_bytes;
    uint64_t fail_after; /* 0: never */
    bool keep;
};

static int take(void *opaque, const void *buf, size_t len, uint64_t disk_bytes,
                struct vf_error **err)
{
    struct output *o = opaque;
    if (o->fail_after && o->len + len > o->fail_after) {
        return vf_error_set(err, VF_RETRY, "enough");
    }
    vf_test_check(disk_bytes >= o->disk_bytes);
    o->disk_bytes = disk_bytes;
    if (o->keep) {
        if (o->len + len > o->cap) {
            o->cap = 2 * (o->len + len);
            o->data = vf_xrealloc_array(o->data, o->cap, 1);
        }
        memcpy(o->data + o->len, buf, len);
    }
    o->len += len;
    return 0;
}

static int new_coder(bool gzip, uint64_t size, unsigned threads, struct output *o,
                     struct vf_upload_coder **ret, struct vf_error **err)
{
    return gzip ? vf_upload_gzip_new(threads, take, o, ret, err)
                : vf_upload_zstd_new(size, threads, take, o, ret, err);
}

/* In parts of odd sizes. */
static int give(struct vf_upload_coder *c, const struct extent *e, struct vf_error **err)
{
    unsigned char part[150000];
    int rc = 0;
    if (e->kind == ZERO) {
        return c->ops->zero(c, e->length, err);
    }
    for (uint64_t at = 0; at < e->length && !rc;) {
        size_t want = 1 + (size_t)(at * 7919 % sizeof part);
        size_t n = e->length - at < want ? (size_t)(e->length - at) : want;
        for (size_t i = 0; i < n; i++) {
            part[i] = byte_at(e, at + i);
        }
        rc = c->ops->write(c, part, n, err);
        at += n;
    }
    return rc;
}

static int encode(bool gzip, const struct disk *d, unsigned threads, struct output *o,
                  struct vf_error **err)
{
    struct vf_upload_coder *c = NULL;
    int rc = new_coder(gzip, disk_size(d), threads, o, &c, err);
    if (rc) {
        return rc;
    }
    for (size_t i = 0; i < d->n && !rc; i++) {
        rc = give(c, &d->extents[i], err);
    }
    rc = rc ? rc : c->ops->finish(c, err);
    c->ops->free(c);
    return rc;
}

/* Decoded content against a disk, as it comes. */
struct reader {
    const struct disk *disk;
    size_t extent;
    uint64_t at; /* in it */
};

static void compare(struct reader *r, const unsigned char *p, size_t len)
{
    while (len) {
        assert_true(r->extent < r->disk->n);
        const struct extent *e = &r->disk->extents[r->extent];
        size_t n = e->length - r->at < len ? (size_t)(e->length - r->at) : len;
        if (e->kind == ZERO) {
            assert_true(vf_is_zero(p, n));
        } else {
            for (size_t i = 0; i < n; i++) {
                if (p[i] != byte_at(e, r->at + i)) {
                    fail_msg("extent %zu differs at %llu", r->extent,
                             (unsigned long long)(r->at + i));
                }
            }
        }
        p += n;
        len -= n;
        r->at += n;
        if (r->at == e->length) {
            r->extent++;
            r->at = 0;
        }
    }
}

static void check_end(const struct reader *r)
{
    assert_int_equal(r->extent, r->disk->n);
}

static void check_zstd(const struct output *o, const struct disk *d)
{
    assert_int_equal(ZSTD_getFrameContentSize(o->data, o->len), disk_size(d));
    assert_int_equal(ZSTD_findFrameCompressedSize(o->data, o->len), o->len); /* one frame */
    assert_int_equal(le32_load(o->data), 0xFD2FB528u);
    assert_int_equal(o->data[4], 0xC0 | 0x04); /* 8 bytes of content size, checksum */

    size_t cap = 4 * MIB;
    unsigned char *vf_autofree plain = vf_xcalloc(1, cap);
    struct reader r = {.disk = d};
    ZSTD_DCtx *dctx = ZSTD_createDCtx();
    ZSTD_inBuffer in = {o->data, o->len, 0};
    size_t left = 1;
    while (left) {
        ZSTD_outBuffer out = {plain, cap, 0};
        left = ZSTD_decompressStream(dctx, &out, &in);
        if (ZSTD_isError(left)) {
            fail_msg("zstd: %s", ZSTD_getErrorName(left));
        }
        assert_true(out.pos || left == 0 || in.pos < in.size);
        compare(&r, plain, out.pos);
    }
    assert_int_equal(in.pos, in.size);
    check_end(&r);
    ZSTD_freeDCtx(dctx);
}

static void check_gzip(const struct output *o, const struct disk *d)
{
    size_t cap = 4 * MIB;
    unsigned char *vf_autofree plain = vf_xcalloc(1, cap);
    struct reader r = {.disk = d};
    z_stream z = {0};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = o->data;
    assert_true(o->len < UINT32_MAX);
    z.avail_in = (uInt)o->len;
    int rc = Z_OK;
    while (rc == Z_OK) {
        z.next_out = plain;
        z.avail_out = (uInt)cap;
        rc = inflate(&z, Z_NO_FLUSH);
        compare(&r, plain, cap - z.avail_out);
    }
    assert_int_equal(rc, Z_STREAM_END); /* with CRC and size that are right */
    assert_int_equal(z.avail_in, 0);    /* one member */
    inflateEnd(&z);
    check_end(&r);
}

static void check(bool gzip, const struct disk *d, unsigned threads)
{
    struct output o = {.keep = true};
    struct vf_error *err = NULL;
    assert_int_equal(encode(gzip, d, threads, &o, &err), 0);
    assert_int_equal(o.disk_bytes, disk_size(d));
    (gzip ? check_gzip : check_zstd)(&o, d);
    free(o.data);
}

static void test_zstd__decodes_to_the_disk(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_DISKS; i++) {
        check(false, &disks[i], 1);
        check(false, &disks[i], 4);
    }
}

static void test_gzip__decodes_to_the_disk(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_DISKS; i++) {
        check(true, &disks[i], 1);
        check(true, &disks[i], 4);
    }
}

static void test_zstd__more_than_4_gib(void **state)
{
    (void)state;
    const struct disk d = DISK(large);
    check(false, &d, 2);
}

static void test_gzip__more_than_4_gib(void **state)
{
    (void)state;
    const struct disk d = DISK(large);
    check(true, &d, 2);
}

/* What CDI's zstd decoder must have taken before the disk's first 512 bytes are out. */
static void test_zstd__first_block_is_raw(void **state)
{
    (void)state;
    for (int zero = 0; zero < 2; zero++) {
        struct output o = {.keep = true};
        struct vf_upload_coder *c = NULL;
        unsigned char sector[512] = {0x33, 0xc0};
        assert_int_equal(new_coder(false, 64 * MIB, 1, &o, &c, NULL), 0);
        if (!zero) {
            assert_int_equal(c->ops->write(c, sector, sizeof sector, NULL), 0);
        }
        uint64_t rest = 64 * MIB - (zero ? 0 : sizeof sector);
        assert_int_equal(c->ops->zero(c, rest, NULL), 0);
        assert_int_equal(c->ops->finish(c, NULL), 0);
        c->ops->free(c);
        unsigned header = o.data[14] | (unsigned)o.data[15] << 8 | (unsigned)o.data[16] << 16;
        assert_int_equal(header >> 1 & 3, 0);
        assert_true(header >> 3 >= 512);
        free(o.data);
    }
}

/* 4 bytes for 128 KiB. */
static void test_zstd__zeros_are_small(void **state)
{
    (void)state;
    const struct extent extents[] = {{TEXT, 4 * KIB, 0}, {ZERO, 16 * GIB, 0}, {TEXT, 4 * KIB, 0}};
    const struct disk d = DISK(extents);
    struct output o = {0};
    assert_int_equal(encode(false, &d, 1, &o, NULL), 0);
    assert_in_range(o.len, 16 * GIB / (128 * KIB) * 4, 16 * GIB / (128 * KIB) * 4 + 16 * KIB);
}

/* Deflate has 1 to 1032 at best. */
static void test_gzip__3_tib_of_zeros_are_quick(void **state)
{
    (void)state;
    const struct extent extents[] = {
        {TEXT, 64 * KIB, 0}, {ZERO, 2 * TIB, 0}, {RANDOM, 64 * KIB, 0}, {ZERO, TIB, 0}};
    const struct disk d = DISK(extents);
    struct output o = {0};
    assert_int_equal(encode(true, &d, 2, &o, NULL), 0);
    assert_in_range(o.len, 3 * TIB / 1032, 3 * TIB / 1000);
}

static void check_damage(bool gzip)
{
    const struct disk d = DISK(only_data);
    struct output o = {.keep = true};
    assert_int_equal(encode(gzip, &d, 1, &o, NULL), 0);
    unsigned char *vf_autofree plain = vf_xcalloc(1, 6 * MIB);
    unsigned char *sum = o.data + o.len - (gzip ? 8 : 4);
    for (int bit = 0; bit < 2; bit++) {
        *sum ^= (unsigned char)bit;
        if (gzip) {
            z_stream z = {.next_in = o.data, .avail_in = (uInt)o.len};
            z.next_out = plain;
            z.avail_out = 6 * MIB;
            assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
            assert_int_equal(inflate(&z, Z_FINISH), bit ? Z_DATA_ERROR : Z_STREAM_END);
            inflateEnd(&z);
        } else {
            size_t n = ZSTD_decompress(plain, 6 * MIB, o.data, o.len);
            assert_int_equal(ZSTD_isError(n), bit);
        }
    }
    free(o.data);
}

static void test_zstd__checksum_is_looked_at(void **state)
{
    (void)state;
    check_damage(false);
}

static void test_gzip__checksum_is_looked_at(void **state)
{
    (void)state;
    check_damage(true);
}

static void check_failing_emit(bool gzip)
{
    const struct disk d = DISK(mixed);
    struct output whole = {0};
    assert_int_equal(encode(gzip, &d, 3, &whole, NULL), 0);
    for (uint64_t after = 1; after < whole.len; after += whole.len / 5) {
        struct output o = {.fail_after = after};
        struct vf_error *err = NULL;
        assert_int_equal(encode(gzip, &d, 3, &o, &err), VF_RETRY);
        assert_string_equal(vf_error_message(err), "enough");
        vf_error_free(err);
    }
}

static void test_zstd__emit_failure_comes_out(void **state)
{
    (void)state;
    check_failing_emit(false);
}

static void test_gzip__emit_failure_comes_out(void **state)
{
    (void)state;
    check_failing_emit(true);
}

static void test_coder__may_be_freed_at_any_time(void **state)
{
    (void)state;
    for (int gzip = 0; gzip < 2; gzip++) {
        for (size_t n = 0; n <= 6; n++) {
            struct output o = {0};
            struct vf_upload_coder *c = NULL;
            assert_int_equal(new_coder(gzip, 64 * MIB, 2, &o, &c, NULL), 0);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(give(c, &mixed[i], NULL), 0);
            }
            c->ops->free(c);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zstd__decodes_to_the_disk),
        cmocka_unit_test(test_gzip__decodes_to_the_disk),
        cmocka_unit_test(test_zstd__more_than_4_gib),
        cmocka_unit_test(test_gzip__more_than_4_gib),
        cmocka_unit_test(test_zstd__first_block_is_raw),
        cmocka_unit_test(test_zstd__zeros_are_small),
        cmocka_unit_test(test_gzip__3_tib_of_zeros_are_quick),
        cmocka_unit_test(test_zstd__checksum_is_looked_at),
        cmocka_unit_test(test_gzip__checksum_is_looked_at),
        cmocka_unit_test(test_zstd__emit_failure_comes_out),
        cmocka_unit_test(test_gzip__emit_failure_comes_out),
        cmocka_unit_test(test_coder__may_be_freed_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
