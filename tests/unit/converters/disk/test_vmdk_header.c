#include "converters/disk/vmdk_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/bytes.h"
#include "tests/support/disk_check.h"

/* A header that is good. */
static void fill(uint8_t h[VMDK_SPARSE_HEADER_BYTES])
{
    memset(h, 0, VMDK_SPARSE_HEADER_BYTES);
    memcpy(h, "KDMV", 4);
    le32_store(h + VMDK_SPARSE_VERSION, 3);
    le32_store(h + VMDK_SPARSE_FLAGS, 0x30001);
    le64_store(h + VMDK_SPARSE_CAPACITY, 1001);
    le64_store(h + VMDK_SPARSE_GRAIN_SIZE, 128);
    le64_store(h + VMDK_SPARSE_DESC_OFFSET, 1);
    le64_store(h + VMDK_SPARSE_DESC_SIZE, 20);
    le32_store(h + VMDK_SPARSE_GTES_PER_GT, 512);
    le64_store(h + VMDK_SPARSE_GD_OFFSET, VMDK_GD_AT_END);
    le64_store(h + VMDK_SPARSE_OVERHEAD, 128);
    memcpy(h + VMDK_SPARSE_NEWLINES, "\n \r\n", 4);
    le16_store(h + VMDK_SPARSE_COMPRESSION, 1);
}

static void test_vmdk_header__fields_are_read(void **state)
{
    (void)state;
    uint8_t h[VMDK_SPARSE_HEADER_BYTES];
    struct vf_vmdk_header p;
    struct vf_error *err = NULL;
    fill(h);
    h[VMDK_SPARSE_UNCLEAN] = 1;
    assert_int_equal(vf_vmdk_header_parse(h, &p, &err), 0);
    assert_int_equal(p.version, 3);
    assert_int_equal(p.flags, 0x30001);
    assert_int_equal(p.capacity_sectors, 1001);
    assert_int_equal(p.grain_sectors, 128);
    assert_int_equal(p.descriptor_sector, 1);
    assert_int_equal(p.descriptor_sectors, 20);
    assert_int_equal(p.gtes_per_gt, 512);
    assert_true(p.gd_sector == VMDK_GD_AT_END);
    assert_int_equal(p.overhead_sectors, 128);
    assert_true(p.unclean);
    assert_true(p.compressed);
}

static void test_vmdk_header__bad_numbers_are_refused(void **state)
{
    (void)state;
    const struct {
        unsigned at, bytes;
        uint64_t value;
        enum vf_code code;
        const char *part;
    } cases[] = {
        {0, 4, 0x44574f43, VF_INVALID, "does not begin with \"KDMV\""},
        {VMDK_SPARSE_VERSION, 4, 0, VF_UNSUPPORTED, "version 0"},
        {VMDK_SPARSE_VERSION, 4, 4, VF_UNSUPPORTED, "version 4"},
        {VMDK_SPARSE_CAPACITY, 8, 0, VF_INVALID, "capacity of 0"},
        {VMDK_SPARSE_CAPACITY, 8, (64ull << 31) + 1, VF_INVALID, "capacity of 137438953473"},
        {VMDK_SPARSE_CAPACITY, 8, UINT64_MAX, VF_INVALID, "capacity of"},
        {VMDK_SPARSE_GRAIN_SIZE, 8, 0, VF_INVALID, "grains of 0"},
        {VMDK_SPARSE_GRAIN_SIZE, 8, 4, VF_INVALID, "grains of 4"},
        {VMDK_SPARSE_GRAIN_SIZE, 8, 127, VF_INVALID, "grains of 127"},
        {VMDK_SPARSE_GRAIN_SIZE, 8, 4096, VF_INVALID, "grains of 4096"},
        {VMDK_SPARSE_GRAIN_SIZE, 8, 1ull << 63, VF_INVALID, "grains of"},
        {VMDK_SPARSE_DESC_SIZE, 8, 2049, VF_INVALID, "descriptor of 2049"},
        {VMDK_SPARSE_GTES_PER_GT, 4, 0, VF_INVALID, "claims 0 entries"},
        {VMDK_SPARSE_GTES_PER_GT, 4, 511, VF_INVALID, "claims 511 entries"},
        {VMDK_SPARSE_GTES_PER_GT, 4, 1u << 31, VF_INVALID, "entries"},
        {VMDK_SPARSE_NEWLINES, 4, 0x0a0a200a, VF_INVALID, "newline test"},
        {VMDK_SPARSE_COMPRESSION, 2, 2, VF_UNSUPPORTED, "compression algorithm 2"},
        {VMDK_SPARSE_COMPRESSION, 2, 0, VF_UNSUPPORTED, "compression algorithm 0"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t h[VMDK_SPARSE_HEADER_BYTES], value[8];
        struct vf_vmdk_header p;
        struct vf_error *err = NULL;
        fill(h);
        le64_store(value, cases[i].value);
        memcpy(h + cases[i].at, value, cases[i].bytes);
        check_error(vf_vmdk_header_parse(h, &p, &err), &err, cases[i].code, cases[i].part);
    }
}

static void test_vmdk_header__limits_themselves_are_good(void **state)
{
    (void)state;
    uint8_t h[VMDK_SPARSE_HEADER_BYTES];
    struct vf_vmdk_header p;
    fill(h);
    le64_store(h + VMDK_SPARSE_CAPACITY, 64ull << 31);
    le64_store(h + VMDK_SPARSE_GRAIN_SIZE, 2048);
    le64_store(h + VMDK_SPARSE_DESC_SIZE, 2048);
    assert_int_equal(vf_vmdk_header_parse(h, &p, NULL), 0);
    le64_store(h + VMDK_SPARSE_GRAIN_SIZE, 8);
    /* Without the flags the fields they guard mean nothing. */
    le32_store(h + VMDK_SPARSE_FLAGS, 0);
    memset(h + VMDK_SPARSE_NEWLINES, 0, 6);
    assert_int_equal(vf_vmdk_header_parse(h, &p, NULL), 0);
    assert_false(p.compressed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vmdk_header__fields_are_read),
        cmocka_unit_test(test_vmdk_header__bad_numbers_are_refused),
        cmocka_unit_test(test_vmdk_header__limits_themselves_are_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
