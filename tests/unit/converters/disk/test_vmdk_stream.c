#include "converters/disk/vmdk_stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "converters/disk/vmdk_format.h"
#include "importer/base/bytes.h"
#include "importer/base/clock.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/memory_sink.h"
#include "tests/support/memory_stream.h"
#include "tests/support/vmdk_writer.h"

#define KIB     1024u
#define MIB     (1024u * 1024u)
#define ORDERED 0u

typedef void write_fn(const struct vmdk_image *image, const struct vmdk_layout *layout,
                      struct vmdk_file *ret_file);
static write_fn *const styles[] = {vmdk_write_stream_esxi, vmdk_write_stream_qemu};

static struct vf_pool *pool;

/* Few threads: their buffers are most of what a test of a small stream costs. */
static int setup(void **state)
{
    (void)state;
    pool = vf_pool_new(1);
    return pool ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    vf_pool_free(pool);
    return 0;
}

/* --- decoding and comparing ----------------------------------------------------------------- */

static int decode_into(const uint8_t *bytes, size_t len, size_t piece, struct memory_sink *sink,
                       struct vf_cancel *cancel, struct vf_error **err)
{
    struct vf_stream *in = memory_stream_new(bytes, len, piece, false);
    struct vf_vmdk_stream *s = NULL;
    int rc = vf_vmdk_stream_open(in, &s, err);
    if (rc == 0 && vf_vmdk_stream_capacity_bytes(s) > sink->base.size_bytes) {
        rc = vf_error_set(err, VF_RANGE, "the sink is too small");
    }
    if (rc == 0) {
        rc = vf_vmdk_stream_decode(s, &sink->base, pool, cancel, err);
    }
    vf_vmdk_stream_free(s);
    vf_stream_free(in);
    return rc;
}

/* Decodes, or fails with a reason; on success the disk is `image`'s, each sector given once. */
static int decode(const struct vmdk_file *f, const struct vmdk_image *image, unsigned caps,
                  size_t piece, struct vf_error **err)
{
    uint64_t size = image->capacity_sectors * 512;
    struct memory_sink *sink = memory_sink_new(size, caps);
    int rc = decode_into(f->bytes, f->len, piece, sink, NULL, err);
    if (rc == 0) {
        assert_true(memory_sink_covered(sink, true));
        assert_memory_equal(sink->content, image->content, size);
    }
    vf_sink_free(&sink->base);
    return rc;
}

static void expect_good(const struct vmdk_file *f, const struct vmdk_image *image, unsigned caps,
                        size_t piece)
{
    struct vf_error *err = NULL;
    if (decode(f, image, caps, piece, &err) != 0) {
        fail_msg("%s", vf_error_message(err));
    }
}

static void expect_bad(struct vmdk_file *f, const struct vmdk_image *image, enum vf_code code,
                       const char *part)
{
    struct vf_error *err = NULL;
    int rc = decode(f, image, MEMORY_SINK_ALL, 4096, &err);
    check_error(rc, &err, code, part);
}

/* --- good streams --------------------------------------------------------------------------- */

static void test_vmdk_stream__both_styles_and_all_grains_decode(void **state)
{
    (void)state;
    const uint32_t grains[] = {8, 16, 128, 256, 2048};
    /* Whole regions; not a multiple of 1 MiB; not of the grain; a part of one grain; one sector. */
    const uint64_t capacities[] = {8 * 2048, 7 * 2048 + 256, 5 * 2048 + 1001, 5, 1};
    const unsigned caps[] = {MEMORY_SINK_ALL, ORDERED};
    uint64_t seed = 1;
    for (unsigned style = 0; style < 2; style++) {
        for (unsigned g = 0; g < sizeof grains / sizeof *grains; g++) {
            for (unsigned c = 0; c < sizeof capacities / sizeof *capacities; c++) {
                struct vmdk_image image;
                struct vmdk_file f;
                vmdk_image_init(&image, capacities[c], grains[g], seed++);
                styles[style](&image, NULL, &f);
                expect_good(&f, &image, caps[seed % 2], 64 * KIB);
                vmdk_file_release(&f);
                vmdk_image_release(&image);
            }
        }
    }
}

static void test_vmdk_stream__random_layouts_match_the_model(void **state)
{
    (void)state;
    uint64_t rng = 77;
    for (unsigned i = 0; i < 60; i++) {
        struct vmdk_image image;
        struct vmdk_file f;
        struct vmdk_layout layout = {.level = 1 + (int)(vmdk_random(&rng) % 9)};
        uint32_t grain = 8u << vmdk_random(&rng) % 9;
        vmdk_image_init(&image, 1 + vmdk_random(&rng) % 20000, grain, 1000 + i);
        styles[i % 2](&image, &layout, &f);
        expect_good(&f, &image, i % 3 ? MEMORY_SINK_ALL : ORDERED, 1 + vmdk_random(&rng) % 9000);
        vmdk_file_release(&f);
        vmdk_image_release(&image);
    }
}

static void fill_states(struct vmdk_image *image, uint8_t state)
{
    uint64_t rng = 5;
    for (uint64_t g = 0; g < vmdk_image_grains(image); g++) {
        image->states[g] = state;
    }
    for (uint64_t i = 0; i < image->capacity_sectors * 512; i++) {
        image->content[i] = state == VMDK_GRAIN_DATA ? (uint8_t)vmdk_random(&rng) : 0;
    }
}

static void test_vmdk_stream__all_zero_and_full_disks_decode(void **state)
{
    (void)state;
    const uint8_t states[] = {VMDK_GRAIN_HOLE, VMDK_GRAIN_DATA};
    for (unsigned i = 0; i < 4; i++) {
        struct vmdk_image image;
        struct vmdk_file f;
        vmdk_image_init(&image, 3 * 2048 + 77, 128, 3);
        fill_states(&image, states[i / 2]);
        styles[i % 2](&image, NULL, &f);
        expect_good(&f, &image, ORDERED, 4096);
        expect_good(&f, &image, MEMORY_SINK_ALL, 4096);
        vmdk_file_release(&f);
        vmdk_image_release(&image);
    }
}

static void test_vmdk_stream__one_byte_at_a_time_decodes(void **state)
{
    (void)state;
    for (unsigned style = 0; style < 2; style++) {
        struct vmdk_image image;
        struct vmdk_file f;
        vmdk_image_init(&image, 4097, 16, 11);
        styles[style](&image, NULL, &f);
        expect_good(&f, &image, MEMORY_SINK_ALL, 1);
        vmdk_file_release(&f);
        vmdk_image_release(&image);
    }
}

static void test_vmdk_stream__one_and_many_threads_decode(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file f;
    struct vf_pool *one = pool;
    vmdk_image_init(&image, 40 * 2048, 128, 21);
    vmdk_write_stream_esxi(&image, NULL, &f);
    expect_good(&f, &image, ORDERED, 64 * KIB);
    pool = vf_pool_new(16);
    expect_good(&f, &image, ORDERED, 64 * KIB);
    expect_good(&f, &image, MEMORY_SINK_ALL, 64 * KIB);
    vf_pool_free(pool);
    pool = one;
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

/* --- damage --------------------------------------------------------------------------------- */

/* Small, so that every byte and bit can be tried. */
static void small(unsigned style, struct vmdk_image *image, struct vmdk_file *f)
{
    vmdk_image_init(image, 8 * 9 + 3, 8, 4);
    fill_states(image, VMDK_GRAIN_HOLE);
    for (unsigned g = 1; g < 8; g += 3) {
        image->states[g] = VMDK_GRAIN_DATA;
        for (unsigned i = 0; i < 600; i++) {
            image->content[g * 4096 + i] = (uint8_t)(i * g);
        }
    }
    styles[style](image, NULL, f);
}

static void test_vmdk_stream__every_truncation_fails(void **state)
{
    (void)state;
    for (unsigned style = 0; style < 2; style++) {
        struct vmdk_image image;
        struct vmdk_file f;
        small(style, &image, &f);
        /* qemu-img leaves the last record unpadded, and so its padding proves nothing. */
        size_t end = f.len;
        while (style == 1 && f.bytes[end - 1] == 0) {
            end--;
        }
        size_t full = f.len;
        for (size_t len = 0; len < full; len++) {
            struct vf_error *err = NULL;
            if (len > 4096 && len + 4096 < f.grain_offset && len % 401 != 0) {
                continue; /* nothing but padding */
            }
            f.len = len;
            int rc = decode(&f, &image, len % 2 ? MEMORY_SINK_ALL : ORDERED, 4096, &err);
            if (len < end) {
                assert_int_equal(rc, VF_INVALID);
                assert_int_equal(vf_error_code(err), VF_INVALID);
            } else {
                assert_int_equal(rc, 0);
            }
            vf_error_clear(&err);
        }
        f.len = full;
        expect_good(&f, &image, MEMORY_SINK_ALL, 4096);
        vmdk_file_release(&f);
        vmdk_image_release(&image);
    }
}

/* Under TSan, which looks at threads and is slow, one bit of a byte has to do. */
#ifdef __SANITIZE_THREAD__
#define BIT_STEP 8u
#else
#define BIT_STEP 1u
#endif

/* No bit may change the disk without a word. A flip in the capacity changes its size. */
static void test_vmdk_stream__no_flipped_bit_changes_the_disk(void **state)
{
    (void)state;
    for (unsigned style = 0; style < 2; style++) {
        struct vmdk_image image;
        struct vmdk_file f;
        unsigned n_good = 0, n_bad = 0;
        small(style, &image, &f);
        uint64_t size = image.capacity_sectors * 512;
        for (uint64_t at = 0; at < f.len; at++) {
            /* Every bit of what means something, and some of the padding. */
            bool means = f.bytes[at] != 0 || at < VMDK_SPARSE_HEADER_BYTES ||
                         (at >= f.grain_offset && at % 512 < 20) || at % 251 == 0;
            for (unsigned bit = at % BIT_STEP; means && bit < 8; bit += BIT_STEP) {
                struct vf_error *err = NULL;
                struct memory_sink *sink = memory_sink_new(size + 64 * KIB, MEMORY_SINK_ALL);
                vmdk_file_flip(&f, at, bit);
                int rc = decode_into(f.bytes, f.len, 64 * KIB, sink, NULL, &err);
                vmdk_file_flip(&f, at, bit);
                if (rc == 0 && (memcmp(sink->content, image.content, size) != 0 ||
                                sink->content[size] != 0xa5)) {
                    fail_msg("style %u: bit %u at %llu changes the disk and is not seen", style,
                             bit, (unsigned long long)at);
                }
                rc ? n_bad++ : n_good++;
                vf_error_clear(&err);
                vf_sink_free(&sink->base);
            }
        }
        assert_true(n_bad > 1000 / BIT_STEP);
        assert_true(n_good > 1000 / BIT_STEP);
        vmdk_file_release(&f);
        vmdk_image_release(&image);
    }
}

static uint64_t record_bytes(const struct vmdk_file *f, uint64_t at)
{
    return (12 + (uint64_t)le32_load(f->bytes + at + 8) + 511) / 512 * 512;
}

static void test_vmdk_stream__hostile_grains_are_refused(void **state)
{
    (void)state;
    for (unsigned style = 0; style < 2; style++) {
        struct vmdk_image image;
        struct vmdk_file f;
        small(style, &image, &f);
        uint64_t at = f.grain_offset, second = at + record_bytes(&f, at);
        uint64_t lba = le64_load(f.bytes + at);
        uint32_t size = le32_load(f.bytes + at + 8);
        const struct {
            uint64_t lba;
            uint32_t size;
            const char *part;
        } cases[] = {
            {image.capacity_sectors / 8 * 8 + 8, size, "beyond the capacity"},
            {UINT64_MAX, size, "beyond the capacity"},
            {UINT64_MAX - 7, size, "beyond the capacity"},
            {0x0080000000000000, size, "beyond the capacity"},
            {lba + 1, size, "not a multiple of 8"},
            {lba, UINT32_MAX, "a deflated grain of 4294967295 bytes"},
            {lba, 4096 + 256 + 65, "a deflated grain of 4417 bytes"},
            {lba, 3, "does not inflate"},
            {lba, 4096 + 256 + 64, ""},
        };
        for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
            vmdk_file_put64(&f, at, cases[i].lba);
            vmdk_file_put32(&f, at + 8, cases[i].size);
            expect_bad(&f, &image, VF_INVALID, cases[i].part);
        }
        vmdk_file_put64(&f, at, lba);
        vmdk_file_put32(&f, at + 8, size);
        vmdk_file_put64(&f, second, lba);
        expect_bad(&f, &image, VF_INVALID, "a second grain for sector 8");
        /* A grain put where none belongs: the tables know better. */
        vmdk_file_put64(&f, second, 0);
        expect_bad(&f, &image, VF_INVALID, "its tables and its grains disagree");
        vmdk_file_release(&f);
        vmdk_image_release(&image);
    }
}

/* A grain that swallows its neighbour's record still inflates. */
static void test_vmdk_stream__swallowed_grain_is_missed(void **state)
{
    (void)state;
    for (unsigned style = 0; style < 2; style++) {
        struct vmdk_image image;
        struct vmdk_file f;
        small(style, &image, &f);
        uint64_t at = f.grain_offset, next = at + record_bytes(&f, at);
        vmdk_file_put32(&f, at + 8, (uint32_t)(record_bytes(&f, at) + record_bytes(&f, next) - 12));
        expect_bad(&f, &image, VF_INVALID, "its tables and its grains disagree");
        vmdk_file_release(&f);
        vmdk_image_release(&image);
    }
}

static void test_vmdk_stream__wrong_inflated_size_is_damage(void **state)
{
    (void)state;
    for (unsigned style = 0; style < 2; style++) {
        struct vmdk_image image;
        struct vmdk_file f;
        small(style, &image, &f);
        /* Half a grain each: too much for these numbers, and the reverse. */
        uint64_t capacity = le64_load(f.bytes + VMDK_SPARSE_CAPACITY);
        vmdk_file_put64(&f, VMDK_SPARSE_GRAIN_SIZE, 16);
        struct vf_error *err = NULL;
        struct memory_sink *sink = memory_sink_new(capacity * 512, MEMORY_SINK_ALL);
        assert_int_equal(decode_into(f.bytes, f.len, 4096, sink, NULL, &err), VF_INVALID);
        vf_error_clear(&err);
        vf_sink_free(&sink->base);
        vmdk_file_release(&f);
        vmdk_image_release(&image);
    }
}

static void test_vmdk_stream__absurd_markers_are_refused(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file f;
    small(0, &image, &f);
    uint64_t table = f.gt_offset - 512, directory = f.gd_offset - 512,
             footer = f.footer_offset - 512, end = f.footer_offset + 512;
    const struct {
        uint64_t at, value;
        uint32_t type;
        const char *part;
    } cases[] = {
        {table, 4, 5, "a marker of type 5 and size 4"},
        {table, 4, UINT32_MAX, "a marker of type 4294967295"},
        {table, 3, 1, "a marker of type 1 and size 3"},
        {table, UINT64_MAX, 1, "a marker of type 1 and size 18446744073709551615"},
        {table, 4, 4, "a marker of type 4 and size 4"},
        {directory, 0, 2, "a marker of type 2 and size 0"},
        {directory, 1ull << 40, 2, "a marker of type 2"},
        {directory, 1, 3, "not a sparse VMDK"},
        {footer, 2, 3, "a marker of type 3 and size 2"},
        {footer, 1, 2, "a second grain directory"},
        {footer, 1, 0, "a marker of type 0 and size 1"},
        {end, 1, 0, "a marker of type 0 and size 1"},
        {end, 0, 4, "cut short"},
        {end, 1, 4, "cut short"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t value = le64_load(f.bytes + cases[i].at);
        uint32_t type = le32_load(f.bytes + cases[i].at + 12);
        vmdk_file_put64(&f, cases[i].at, cases[i].value);
        vmdk_file_put32(&f, cases[i].at + 12, cases[i].type);
        expect_bad(&f, &image, VF_INVALID, cases[i].part);
        vmdk_file_put64(&f, cases[i].at, value);
        vmdk_file_put32(&f, cases[i].at + 12, type);
    }
    /* The end comes too early, with all records before it sound. */
    vmdk_file_put64(&f, table, 0);
    vmdk_file_put32(&f, table + 12, 0);
    f.len = table + 512;
    expect_bad(&f, &image, VF_INVALID, "without the grain directory");
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

static void test_vmdk_stream__progress_markers_are_passed_over(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file f;
    small(0, &image, &f);
    /* In place of the end, then the end: two sectors more. */
    uint64_t end = f.footer_offset + 512;
    vmdk_file_put32(&f, end + 12, VMDK_MARKER_PROGRESS);
    vmdk_file_put64(&f, end + 512, 0);
    vmdk_file_put64(&f, end + 1016, 0);
    expect_good(&f, &image, MEMORY_SINK_ALL, 4096);
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

static void test_vmdk_stream__more_tables_than_the_disk_has_are_refused(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file f;
    small(0, &image, &f);
    uint64_t at = f.gt_offset - 512, len = 5 * 512;
    uint8_t *twice = malloc(f.len + len);
    memcpy(twice, f.bytes, at + len);
    memcpy(twice + at + len, f.bytes + at, f.len - at);
    struct vmdk_file g = {.bytes = twice, .len = f.len + len};
    expect_bad(&g, &image, VF_INVALID, "more grain tables than the 1");
    free(twice);
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

static void test_vmdk_stream__bytes_behind_the_end_are_refused(void **state)
{
    (void)state;
    for (unsigned style = 0; style < 2; style++) {
        struct vmdk_image image;
        struct vmdk_file f;
        small(style, &image, &f);
        size_t len = (f.len + 511) / 512 * 512;
        vmdk_file_put64(&f, len + 5000, 0);
        expect_good(&f, &image, MEMORY_SINK_ALL, 4096);
        f.bytes[len + 4096] = 1;
        struct vf_error *err = NULL;
        assert_int_equal(decode(&f, &image, MEMORY_SINK_ALL, 4096, &err), VF_INVALID);
        vf_error_clear(&err);
        vmdk_file_release(&f);
        vmdk_image_release(&image);
    }
}

/* --- order ---------------------------------------------------------------------------------- */

/* Grains of the regions in another order, with the tables made to agree. */
static void swap_halves(struct vmdk_image *image, struct vmdk_file *f)
{
    vmdk_image_init(image, 4 * 2048, 2048, 4);
    fill_states(image, VMDK_GRAIN_DATA);
    struct vmdk_layout layout = {.level = 1};
    vmdk_write_stream_esxi(image, &layout, f);
    uint64_t first = f->grain_offset, second = first + record_bytes(f, first),
             third = second + record_bytes(f, second);
    size_t a = (size_t)(second - first), b = (size_t)(third - second);
    uint8_t *both = malloc(a + b);
    memcpy(both, f->bytes + second, b);
    memcpy(both + b, f->bytes + first, a);
    memcpy(f->bytes + first, both, a + b);
    free(both);
    vmdk_file_put32(f, f->gt_offset, (uint32_t)((first + b) / 512));
    vmdk_file_put32(f, f->gt_offset + 4, (uint32_t)(first / 512));
}

static void test_vmdk_stream__out_of_order_needs_a_rewritable_sink(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file f;
    struct vf_pool *one = pool;
    pool = vf_pool_new(4);
    swap_halves(&image, &f);
    uint64_t size = image.capacity_sectors * 512;
    for (unsigned i = 0; i < 20; i++) {
        struct vf_error *err = NULL;
        struct memory_sink *sink = memory_sink_new(size, MEMORY_SINK_ALL);
        assert_int_equal(decode_into(f.bytes, f.len, 64 * KIB, sink, NULL, &err), 0);
        assert_true(memory_sink_covered(sink, false));
        assert_memory_equal(sink->content, image.content, size);
        vf_sink_free(&sink->base);
    }
    const unsigned caps[] = {ORDERED, VF_SINK_RANDOM | VF_SINK_PARALLEL, VF_SINK_REWRITABLE};
    for (unsigned i = 0; i < 3; i++) {
        struct vf_error *err = NULL;
        struct memory_sink *sink = memory_sink_new(size, caps[i]);
        int rc = decode_into(f.bytes, f.len, 64 * KIB, sink, NULL, &err);
        check_error(rc, &err, VF_UNSUPPORTED, "grains out of order (disk offset 0 after 2097152)");
        vf_sink_free(&sink->base);
    }
    vf_pool_free(pool);
    pool = one;
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

/* --- head ----------------------------------------------------------------------------------- */

static void test_vmdk_stream__what_is_no_full_stream_is_refused(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file f;
    vmdk_image_init(&image, 300, 8, 4);
    const struct vmdk_layout delta = {.parent_cid = 0x12345678, .parent_hint = "base.vmdk"};
    for (unsigned style = 0; style < 2; style++) {
        styles[style](&image, &delta, &f);
        expect_bad(&f, &image, VF_UNSUPPORTED, "only what changed since its parent");
        vmdk_file_release(&f);
    }
    vmdk_write_sparse(&image, NULL, &f);
    expect_bad(&f, &image, VF_UNSUPPORTED, "not streamOptimized");
    vmdk_file_release(&f);

    vmdk_write_stream_esxi(&image, NULL, &f);
    char *line = memmem(f.bytes + 512, 512, "ddb.", 4);
    assert_non_null(line);
    char key[] = "encryptionKeys=\"vmware:key\"\n";
    memset(line, '\n', (size_t)((char *)f.bytes + 1024 - line));
    assert_true(line + sizeof key < (char *)f.bytes + 1024);
    memcpy(line, key, sizeof key - 1);
    expect_bad(&f, &image, VF_UNSUPPORTED, "encrypted");
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

static void test_vmdk_stream__absurd_heads_are_refused(void **state)
{
    (void)state;
    for (unsigned style = 0; style < 2; style++) {
        struct vmdk_image image;
        struct vmdk_file f;
        small(style, &image, &f);
        const struct {
            uint64_t at, value;
            const char *part;
        } cases[] = {
            {VMDK_SPARSE_CAPACITY, 76, "and its descriptor 75"},
            {VMDK_SPARSE_CAPACITY, 0, "claims a capacity of 0"},
            {VMDK_SPARSE_CAPACITY, UINT64_MAX, "claims a capacity of"},
            {VMDK_SPARSE_GRAIN_SIZE, 0, "claims grains of 0"},
            {VMDK_SPARSE_GRAIN_SIZE, 1ull << 63, "claims grains of"},
            {VMDK_SPARSE_DESC_OFFSET, UINT64_MAX, "descriptor lies outside"},
            {VMDK_SPARSE_DESC_OFFSET, 1ull << 55, "descriptor lies outside"},
            {VMDK_SPARSE_DESC_SIZE, UINT64_MAX, "a descriptor of"},
            {VMDK_SPARSE_OVERHEAD, 0, "outside"},
            {VMDK_SPARSE_OVERHEAD, 1ull << 63, "first grain is said to be at sector"},
            {VMDK_SPARSE_OVERHEAD, 1ull << 40, "cut short"},
        };
        for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
            uint64_t was = le64_load(f.bytes + cases[i].at);
            vmdk_file_put64(&f, cases[i].at, cases[i].value);
            expect_bad(&f, &image, VF_INVALID, cases[i].part);
            vmdk_file_put64(&f, cases[i].at, was);
        }
        vmdk_file_release(&f);
        vmdk_image_release(&image);
    }
}

static void test_vmdk_stream__footer_guards_the_capacity(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file f;
    small(0, &image, &f);
    vmdk_file_put64(&f, VMDK_SPARSE_DESC_OFFSET, 0); /* nothing else speaks of it */
    expect_good(&f, &image, MEMORY_SINK_ALL, 4096);
    vmdk_file_put64(&f, f.footer_offset + VMDK_SPARSE_CAPACITY, 76);
    expect_bad(&f, &image, VF_INVALID, "its header and its footer disagree");
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

static void test_vmdk_stream__tables_in_front_are_checked(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file f;
    small(1, &image, &f);
    uint64_t gd = le64_load(f.bytes + VMDK_SPARSE_GD_OFFSET);
    vmdk_file_put64(&f, VMDK_SPARSE_GD_OFFSET, 0);
    expect_bad(&f, &image, VF_INVALID, "grain directory is said to be at sector 0");
    vmdk_file_put64(&f, VMDK_SPARSE_GD_OFFSET, gd);
    uint32_t gde = le32_load(f.bytes + f.gd_offset);
    vmdk_file_put32(&f, f.gd_offset, UINT32_MAX);
    expect_bad(&f, &image, VF_INVALID, "grain table 0 of the VMDK lies outside its head");
    vmdk_file_put32(&f, f.gd_offset, 1);
    expect_bad(&f, &image, VF_INVALID, "grain table is said to be at sector 1");
    vmdk_file_put32(&f, f.gd_offset, gde);
    vmdk_file_put32(&f, f.gt_offset + 511 * 4, 999);
    expect_bad(&f, &image, VF_INVALID, "names a grain beyond its capacity");
    vmdk_file_put32(&f, f.gt_offset + 511 * 4, 0);
    vmdk_file_put32(&f, f.gt_offset, 999);
    expect_bad(&f, &image, VF_INVALID,
               "incomplete: its tables and its grains disagree at disk "
               "offset 0");
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

static void test_vmdk_stream__broken_stream_is_its_own_error(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file f;
    small(0, &image, &f);
    for (size_t len = 0; len < f.len; len += 1000) {
        struct vf_stream *in = memory_stream_new(f.bytes, len, 4096, true);
        struct memory_sink *sink = memory_sink_new(image.capacity_sectors * 512, MEMORY_SINK_ALL);
        struct vf_vmdk_stream *s = NULL;
        struct vf_error *err = NULL;
        int rc = vf_vmdk_stream_open(in, &s, &err);
        rc = rc ? rc : vf_vmdk_stream_decode(s, &sink->base, pool, NULL, &err);
        check_error(rc, &err, VF_RETRY, "the connection was reset");
        vf_vmdk_stream_free(s);
        vf_sink_free(&sink->base);
        vf_stream_free(in);
    }
    vf_vmdk_stream_free(NULL);
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

/* --- failing sinks, cancellation ------------------------------------------------------------ */

static void test_vmdk_stream__failing_sink_is_the_error(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file f;
    vmdk_image_init(&image, 16 * 2048, 128, 9);
    vmdk_write_stream_esxi(&image, NULL, &f);
    const unsigned caps[] = {MEMORY_SINK_ALL, ORDERED};
    for (unsigned i = 0; i < 2; i++) {
        struct memory_sink *whole = memory_sink_new(image.capacity_sectors * 512, caps[i]);
        assert_int_equal(decode_into(f.bytes, f.len, 4096, whole, NULL, NULL), 0);
        unsigned n = whole->n_writes + whole->n_zeros;
        vf_sink_free(&whole->base);
        assert_true(n > 10);
        for (unsigned call = 1; call <= n; call += 1 + n / 20) {
            struct memory_sink *sink = memory_sink_new(image.capacity_sectors * 512, caps[i]);
            struct vf_cancel *cancel = vf_cancel_new(NULL);
            struct vf_error *err = NULL;
            sink->fail_call = call;
            int rc = decode_into(f.bytes, f.len, 4096, sink, cancel, &err);
            check_error(rc, &err, VF_SPACE, "the sink is full");
            vf_sink_free(&sink->base);
            vf_cancel_free(cancel);
        }
    }
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

static void test_vmdk_stream__cancellation_ends_it_soon(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file f;
    vmdk_image_init(&image, 64 * 2048, 128, 9);
    fill_states(&image, VMDK_GRAIN_DATA);
    const struct vmdk_layout layout = {.level = 1};
    vmdk_write_stream_esxi(&image, &layout, &f);
    for (unsigned i = 0; i < 2; i++) {
        struct memory_sink *sink =
            memory_sink_new(image.capacity_sectors * 512, i ? ORDERED : MEMORY_SINK_ALL);
        struct vf_cancel *user = vf_cancel_new(NULL), *cancel = vf_cancel_new(user);
        struct vf_error *err = NULL;
        sink->slow_us = 50000;
        sink->cancel = user;
        sink->cancel_call = 3;
        int64_t start_ms = vf_clock_ms();
        int rc = decode_into(f.bytes, f.len, 64 * KIB, sink, cancel, &err);
        check_error(rc, &err, VF_CANCELLED, "cancelled");
        assert_true(vf_clock_ms() - start_ms < 20000);
        assert_true(sink->n_writes < 20);
        vf_sink_free(&sink->base);
        vf_cancel_free(cancel);
        vf_cancel_free(user);
    }
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vmdk_stream__both_styles_and_all_grains_decode),
        cmocka_unit_test(test_vmdk_stream__random_layouts_match_the_model),
        cmocka_unit_test(test_vmdk_stream__all_zero_and_full_disks_decode),
        cmocka_unit_test(test_vmdk_stream__one_byte_at_a_time_decodes),
        cmocka_unit_test(test_vmdk_stream__one_and_many_threads_decode),
        cmocka_unit_test(test_vmdk_stream__every_truncation_fails),
        cmocka_unit_test(test_vmdk_stream__no_flipped_bit_changes_the_disk),
        cmocka_unit_test(test_vmdk_stream__hostile_grains_are_refused),
        cmocka_unit_test(test_vmdk_stream__swallowed_grain_is_missed),
        cmocka_unit_test(test_vmdk_stream__wrong_inflated_size_is_damage),
        cmocka_unit_test(test_vmdk_stream__absurd_markers_are_refused),
        cmocka_unit_test(test_vmdk_stream__progress_markers_are_passed_over),
        cmocka_unit_test(test_vmdk_stream__more_tables_than_the_disk_has_are_refused),
        cmocka_unit_test(test_vmdk_stream__bytes_behind_the_end_are_refused),
        cmocka_unit_test(test_vmdk_stream__out_of_order_needs_a_rewritable_sink),
        cmocka_unit_test(test_vmdk_stream__what_is_no_full_stream_is_refused),
        cmocka_unit_test(test_vmdk_stream__absurd_heads_are_refused),
        cmocka_unit_test(test_vmdk_stream__footer_guards_the_capacity),
        cmocka_unit_test(test_vmdk_stream__tables_in_front_are_checked),
        cmocka_unit_test(test_vmdk_stream__broken_stream_is_its_own_error),
        cmocka_unit_test(test_vmdk_stream__failing_sink_is_the_error),
        cmocka_unit_test(test_vmdk_stream__cancellation_ends_it_soon),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
