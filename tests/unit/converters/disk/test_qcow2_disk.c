#include "converters/disk/qcow2_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "converters/disk/image.h"
#include "converters/disk/qcow2.h"
#include "importer/base/bytes.h"
#include "tests/support/disk_check.h"
#include "tests/support/vmdk_writer.h"

#define MIB ((size_t)1 << 20)

static void save_raw(const char *dir, const struct vmdk_image *image)
{
    scratch_write(dir, "in.raw", image->content, image->capacity_sectors * 512);
}

static void check_image(const char *dir, const char *name, const struct vmdk_image *image,
                        uint64_t seed)
{
    struct vf_disk *disk = NULL;
    struct vf_image_info info;
    struct vf_error *err = NULL;
    check_error(vf_image_open(scratch_path(dir, name), "qcow2", &disk, &info, &err), &err, VF_OK,
                "");
    assert_int_equal(info.kind, VF_IMAGE_QCOW2);
    check_disk(disk, image->content, image->capacity_sectors * 512, seed);
    vf_disk_free(disk);
}

static void test_qcow2_disk__qemu_img_files_read_back(void **state)
{
    (void)state;
    static const char *const options[] = {
        "compat=1.1",
        "compat=0.10",
        "compat=1.1,cluster_size=512",
        "compat=1.1,cluster_size=4096",
        "compat=1.1,cluster_size=2M",
        "compat=1.1,preallocation=metadata",
        "compat=1.1,preallocation=falloc",
        "compat=1.1,refcount_bits=1",
    };
    char *dir = scratch_new();
    for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
        struct vmdk_image image;
        vmdk_image_init(&image, 30001 + i * 7, 16, i + 1);
        save_raw(dir, &image);
        assert_int_equal(run_qemu_img(dir, "convert", "-f", "raw", "-O", "qcow2", "-o", options[i],
                                      "in.raw", "q.qcow2", NULL),
                         0);
        check_image(dir, "q.qcow2", &image, i);
        vmdk_image_release(&image);
    }
    scratch_release(dir);
}

static void test_qcow2_disk__our_own_sink_reads_back(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vmdk_image image;
    struct vf_sink *sink = NULL;
    vmdk_image_init(&image, 50001, 128, 11);
    assert_int_equal(
        vf_qcow2_sink_create(scratch_path(dir, "own.qcow2"), 50001ul * 512, &sink, NULL), 0);
    for (uint64_t g = 0; g < vmdk_image_grains(&image); g++) {
        uint64_t at = g * 65536, left = 50001ul * 512 - at, n = left < 65536 ? left : 65536;
        assert_int_equal(image.states[g] == VMDK_GRAIN_DATA
                             ? vf_sink_write(sink, image.content + at, n, at, NULL)
                             : vf_sink_zero(sink, at, n, NULL),
                         0);
    }
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    check_image(dir, "own.qcow2", &image, 3);
    vmdk_image_release(&image);
    scratch_release(dir);
}

static void test_qcow2_disk__zero_clusters_and_internal_snapshots(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vmdk_image image;
    vmdk_image_init(&image, 8 * MIB / 512, 128, 2);
    memset(image.states, VMDK_GRAIN_DATA, 128);
    memset(image.content, 0x77, 8 * MIB);
    save_raw(dir, &image);
    assert_int_equal(
        run_qemu_img(dir, "convert", "-f", "raw", "-O", "qcow2", "in.raw", "q.qcow2", NULL), 0);
    assert_int_equal(run_qemu_img(dir, "snapshot", "-c", "before", "q.qcow2", NULL), 0);
    /* qemu-img writes zero clusters over data when a raw image with holes goes onto it. */
    memset(image.content + 2 * MIB, 0, 3 * MIB);
    save_raw(dir, &image);
    assert_int_equal(
        run_qemu_img(dir, "convert", "-n", "-f", "raw", "-O", "qcow2", "in.raw", "q.qcow2", NULL),
        0);
    struct vf_disk *disk = NULL;
    assert_int_equal(vf_image_open(scratch_path(dir, "q.qcow2"), NULL, &disk, NULL, NULL), 0);
    check_disk(disk, image.content, 8 * MIB, 1);
    assert_int_equal(sum_extents(disk).zero, 3 * MIB);
    vf_disk_free(disk);
    vmdk_image_release(&image);
    scratch_release(dir);
}

static void expect_open_error(const char *dir, const char *name, enum vf_code code,
                              const char *part)
{
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    check_error(vf_image_open(scratch_path(dir, name), "qcow2", &disk, NULL, &err), &err, code,
                part);
}

static void test_qcow2_disk__what_is_not_read_is_unsupported(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vmdk_image image;
    vmdk_image_init(&image, 5000, 16, 2);
    memset(image.content, 0x42, 100000); /* clusters that deflate well */
    save_raw(dir, &image);
    assert_int_equal(run_qemu_img(dir, "convert", "-c", "-f", "raw", "-O", "qcow2", "in.raw",
                                  "compressed.qcow2", NULL),
                     0);
    expect_open_error(dir, "compressed.qcow2", VF_UNSUPPORTED, "compressed clusters");
    assert_int_equal(run_qemu_img(dir, "create", "-f", "qcow2", "-F", "raw", "-b", "in.raw",
                                  "backed.qcow2", NULL),
                     0);
    expect_open_error(dir, "backed.qcow2", VF_UNSUPPORTED, "backing file");
    assert_int_equal(run_qemu_img(dir, "create", "-f", "qcow2", "-o", "data_file=data.raw",
                                  "external.qcow2", "1M", NULL),
                     0);
    expect_open_error(dir, "external.qcow2", VF_UNSUPPORTED, "another file");
    assert_int_equal(
        run_qemu_img(dir, "create", "-f", "qcow2", "-o", "extended_l2=on", "ext.qcow2", "1M", NULL),
        0);
    expect_open_error(dir, "ext.qcow2", VF_UNSUPPORTED, "extended L2");
    vmdk_image_release(&image);
    scratch_release(dir);
}

/* An image of 8 MiB all data, with one field changed. */
static void expect_field(uint64_t offset, unsigned bytes, uint64_t value, enum vf_code code,
                         const char *part)
{
    static uint8_t *whole;
    static size_t len;
    char *dir = scratch_new();
    if (!whole) {
        uint8_t *content = malloc(8 * MIB);
        memset(content, 0x55, 8 * MIB);
        scratch_write(dir, "in.raw", content, 8 * MIB);
        free(content);
        assert_int_equal(
            run_qemu_img(dir, "convert", "-f", "raw", "-O", "qcow2", "in.raw", "q.qcow2", NULL), 0);
        whole = scratch_read(dir, "q.qcow2", &len);
    }
    uint8_t *copy = malloc(len);
    memcpy(copy, whole, len);
    if (bytes == 8) {
        be64_store(copy + offset, value);
    } else {
        be32_store(copy + offset, (uint32_t)value);
    }
    scratch_write(dir, "bad.qcow2", copy, len);
    expect_open_error(dir, "bad.qcow2", code, part);
    free(copy);
    scratch_release(dir);
}

static void test_qcow2_disk__bad_header_is_refused(void **state)
{
    (void)state;
    expect_field(4, 4, 4, VF_UNSUPPORTED, "version 4");
    expect_field(20, 4, 8, VF_INVALID, "clusters of 2^8");
    expect_field(20, 4, 60, VF_INVALID, "clusters of 2^60");
    expect_field(24, 8, UINT64_MAX, VF_INVALID, "claims a size");
    expect_field(24, 8, 64ull << 40, VF_INVALID, "L1 table has");
    expect_field(32, 4, 1, VF_UNSUPPORTED, "encrypted");
    expect_field(36, 4, 0, VF_INVALID, "L1 table has 0 entries");
    expect_field(40, 8, 0x1234, VF_INVALID, "is not at a cluster");
    expect_field(40, 8, 0, VF_INVALID, "is not inside the file");
    expect_field(40, 8, 1ull << 60, VF_INVALID, "is not inside the file");
    expect_field(72, 8, 2, VF_INVALID, "marked as corrupt");
    expect_field(72, 8, 1ull << 40, VF_UNSUPPORTED, "unknown features 0x10000000000");
    expect_field(100, 4, 20, VF_INVALID, "too short");
}

static void test_qcow2_disk__bad_tables_are_invalid(void **state)
{
    (void)state;
    const uint64_t l1 = 0x30000, l2 = 0x40000; /* where qemu-img puts them */
    expect_field(l1, 8, (1ull << 63) | 0x40200, VF_INVALID, "L1 entry 0");
    expect_field(l1, 8, (1ull << 62) | 0x40000, VF_INVALID, "reserved bits");
    expect_field(l1, 8, 1ull << 40, VF_INVALID, "past the end of the file");
    expect_field(l1, 8, l1, VF_INVALID, "over the L1 table");
    expect_field(l2, 8, 1ull << 40, VF_INVALID, "L2 entry 0");
    expect_field(l2 + 8, 8, 0x50200, VF_INVALID, "L2 entry 1");
    expect_field(l2 + 8, 8, 0x50008, VF_INVALID, "reserved bits");
    expect_field(l2 + 16, 8, (1ull << 62) | 0x50000, VF_UNSUPPORTED, "compressed");
}

static void test_qcow2_disk__table_named_twice_is_invalid(void **state)
{
    (void)state;
    char *dir = scratch_new();
    size_t len;
    assert_int_equal(run_qemu_img(dir, "create", "-f", "qcow2", "-o", "preallocation=metadata",
                                  "q.qcow2", "1100M", NULL),
                     0);
    uint8_t *bytes = scratch_read(dir, "q.qcow2", &len);
    uint64_t l1 = be64_load(bytes + 40);
    memcpy(bytes + l1 + 8, bytes + l1, 8);
    scratch_write(dir, "bad.qcow2", bytes, len);
    expect_open_error(dir, "bad.qcow2", VF_INVALID, "two qcow2 L1 entries");
    free(bytes);
    scratch_release(dir);
}

static void test_qcow2_disk__dirty_is_told(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_disk *disk = NULL;
    struct vf_image_info info;
    size_t len;
    assert_int_equal(run_qemu_img(dir, "create", "-f", "qcow2", "q.qcow2", "10M", NULL), 0);
    uint8_t *bytes = scratch_read(dir, "q.qcow2", &len);
    bytes[79] |= 1;
    scratch_write(dir, "q.qcow2", bytes, len);
    assert_int_equal(vf_image_open(scratch_path(dir, "q.qcow2"), NULL, &disk, &info, NULL), 0);
    assert_true(info.unclean_shutdown);
    vf_disk_free(disk);
    free(bytes);
    scratch_release(dir);
}

static void test_qcow2_header__length_bounds_the_bytes(void **state)
{
    (void)state;
    uint8_t *bytes = calloc(1, 104);
    struct vf_qcow2_header h;
    be32_store(bytes, 0x514649fb);
    be32_store(bytes + 4, 3);
    be32_store(bytes + 20, 16);
    be32_store(bytes + 100, 104);
    assert_int_equal(vf_qcow2_header_parse(bytes, 104, &h, NULL), 0);
    for (size_t n = 0; n < 104; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, bytes, n);
        assert_int_equal(vf_qcow2_header_parse(copy, n, &h, NULL), VF_INVALID);
        free(copy);
    }
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qcow2_disk__qemu_img_files_read_back),
        cmocka_unit_test(test_qcow2_disk__our_own_sink_reads_back),
        cmocka_unit_test(test_qcow2_disk__zero_clusters_and_internal_snapshots),
        cmocka_unit_test(test_qcow2_disk__what_is_not_read_is_unsupported),
        cmocka_unit_test(test_qcow2_disk__bad_header_is_refused),
        cmocka_unit_test(test_qcow2_disk__bad_tables_are_invalid),
        cmocka_unit_test(test_qcow2_disk__table_named_twice_is_invalid),
        cmocka_unit_test(test_qcow2_disk__dirty_is_told),
        cmocka_unit_test(test_qcow2_header__length_bounds_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
