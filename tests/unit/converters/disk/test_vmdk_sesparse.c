#include "converters/disk/vmdk_sesparse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"
#include "tests/support/vmdk_writer.h"

static int open_file(const struct vmdk_file *f, struct vf_disk *parent, struct vf_disk **ret_disk,
                     struct vf_error **err)
{
    struct vf_layer layer = {
        .fd = memfd_create("sesparse", MFD_CLOEXEC), .name = "delta.vmdk", .parent = parent};
    assert_true(layer.fd >= 0);
    assert_int_equal(write(layer.fd, f->bytes, f->len), (ssize_t)f->len);
    int rc = vf_vmdk_sesparse_open(&layer, ret_disk, err);
    if (rc) {
        close(layer.fd);
    }
    return rc;
}

static void test_vmdk_sesparse__random_layouts_read_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct vmdk_image image;
        struct vmdk_file file;
        struct vmdk_layout layout = {.shuffle = seed % 3 ? seed : 0};
        struct vf_disk *disk = NULL;
        uint64_t rng = seed;
        vmdk_image_init(&image, 1 + vmdk_random(&rng) % 90000, 8, seed);
        vmdk_write_sesparse(&image, &layout, &file);
        assert_int_equal(open_file(&file, NULL, &disk, NULL), 0);
        check_disk(disk, image.content, image.capacity_sectors * 512, seed);
        vf_disk_free(disk);
        vmdk_file_release(&file);
        vmdk_image_release(&image);
    }
}

static void test_vmdk_sesparse__writer_and_reader_agree_with_qemu_img(void **state)
{
    (void)state;
    char *dir = scratch_new();
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct vmdk_image image;
        struct vmdk_file file;
        struct vmdk_layout layout = {.shuffle = seed};
        vmdk_image_init(&image, 5000 + seed * 15713, 8, seed);
        vmdk_write_sesparse(&image, &layout, &file);
        vmdk_file_save(&file, scratch_path(dir, "d-sesparse.vmdk"));
        scratch_write_text(dir, "d.vmdk",
                           "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
                           "createType=\"seSparse\"\nRW %llu SESPARSE \"d-sesparse.vmdk\"\n",
                           (unsigned long long)image.capacity_sectors);
        assert_int_equal(
            run_qemu_img(dir, "convert", "-f", "vmdk", "-O", "raw", "d.vmdk", "out.raw", NULL), 0);
        size_t len;
        uint8_t *raw = scratch_read(dir, "out.raw", &len);
        assert_int_equal(len, image.capacity_sectors * 512);
        assert_memory_equal(raw, image.content, len);
        free(raw);
        vmdk_file_release(&file);
        vmdk_image_release(&image);
    }
    scratch_release(dir);
}

/* Grain numbers of 4096 and more use both parts of an entry's split number. */
static void test_vmdk_sesparse__split_grain_number_is_put_together(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file file;
    struct vf_disk *disk = NULL;
    vmdk_image_init(&image, 8ul * 9000, 8, 3);
    memset(image.states, VMDK_GRAIN_DATA, 9000);
    for (uint64_t g = 0; g < 9000; g++) {
        memset(image.content + g * 4096, (int)(g % 251), 4096);
    }
    vmdk_write_sesparse(&image, NULL, &file);
    assert_int_equal(open_file(&file, NULL, &disk, NULL), 0);
    check_disk(disk, image.content, image.capacity_sectors * 512, 1);
    vf_disk_free(disk);
    vmdk_file_release(&file);
    vmdk_image_release(&image);
}

static void test_vmdk_sesparse__unmapped_hides_the_parent_and_absent_shows_it(void **state)
{
    (void)state;
    struct vmdk_image base, delta;
    struct vmdk_file base_file, delta_file;
    struct vf_disk *parent = NULL, *disk = NULL;
    vmdk_image_init(&base, 80000, 8, 3);
    vmdk_image_init(&delta, 80000, 8, 4);
    vmdk_write_sesparse(&base, NULL, &base_file);
    vmdk_write_sesparse(&delta, NULL, &delta_file);
    assert_int_equal(open_file(&base_file, NULL, &parent, NULL), 0);
    assert_int_equal(open_file(&delta_file, parent, &disk, NULL), 0);
    for (uint64_t i = 0; i < 10000; i++) {
        if (delta.states[i] == VMDK_GRAIN_HOLE) {
            memcpy(delta.content + i * 4096, base.content + i * 4096, 4096);
        }
    }
    check_disk(disk, delta.content, 80000ul * 512, 1);
    vf_disk_free(disk);
    vf_disk_free(parent);
    vmdk_file_release(&base_file);
    vmdk_file_release(&delta_file);
    vmdk_image_release(&base);
    vmdk_image_release(&delta);
}

enum { TRUNCATE = 1 };

static void expect_field(uint64_t offset, uint64_t value, enum vf_code code, const char *part)
{
    struct vmdk_image image;
    struct vmdk_file file;
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    vmdk_image_init(&image, 70000, 8, 9);
    memset(image.states, VMDK_GRAIN_DATA, 8750);
    vmdk_write_sesparse(&image, NULL, &file);
    if (offset == TRUNCATE) {
        vmdk_file_truncate(&file, value);
    } else {
        vmdk_file_put64(&file, offset, value);
    }
    uint8_t *buf = malloc(70000ul * 512);
    int rc = open_file(&file, NULL, &disk, &err);
    if (rc == 0) {
        rc = disk->ops->pread(disk, buf, disk->size_bytes, 0, &err);
    }
    check_error(rc, &err, code, part);
    free(buf);
    vf_disk_free(disk);
    vmdk_file_release(&file);
    vmdk_image_release(&image);
}

static void test_vmdk_sesparse__bad_header_is_refused(void **state)
{
    (void)state;
    expect_field(0, 0, VF_INVALID, "magic");
    expect_field(8, 0x0000000300000001, VF_UNSUPPORTED, "version 0x300000001");
    expect_field(16, 0, VF_INVALID, "capacity of 0");
    expect_field(16, UINT64_MAX, VF_INVALID, "capacity");
    expect_field(16, 1ull << 37, VF_INVALID, "has room for");
    expect_field(24, 16, VF_UNSUPPORTED, "grains of 16");
    expect_field(32, 128, VF_UNSUPPORTED, "tables of 128");
    expect_field(40, 1, VF_UNSUPPORTED, "unknown flags");
    expect_field(72, 1, VF_UNSUPPORTED, "unknown flags at offset 72");
    expect_field(80, 0, VF_INVALID, "volatile header at sector 0");
    expect_field(80, UINT64_MAX, VF_INVALID, "volatile header");
    expect_field(80, 1ull << 50, VF_INVALID, "too early");
    expect_field(80, 2, VF_INVALID, "lacks its magic");
    expect_field(128, UINT64_MAX, VF_INVALID, "grain directory at sector");
    expect_field(128, 0, VF_INVALID, "grain directory at sector 0");
    expect_field(136, 0, VF_INVALID, "room for 0");
    expect_field(144, 4096, VF_INVALID, "overlap");
    expect_field(152, UINT64_MAX, VF_INVALID, "grain tables at sector");
    expect_field(192, 4097, VF_INVALID, "overlap");
    expect_field(192, 0, VF_INVALID, "grains at sector 0");
}

static void test_vmdk_sesparse__journal_to_replay_is_refused(void **state)
{
    (void)state;
    expect_field(512 + 24, 1, VF_UNSUPPORTED, "journal was not replayed");
}

static void test_vmdk_sesparse__bad_tables_are_invalid(void **state)
{
    (void)state;
    const uint64_t gd = 4096ul * 512, gt = 4097ul * 512;
    expect_field(gd, 7, VF_INVALID, "grain directory entry 0 is 0x7");
    expect_field(gd, 0x1000000000000000ull | 3, VF_INVALID, "names none of 3 tables");
    expect_field(gd, 0x2000000000000000ull, VF_INVALID, "names none");
    expect_field(gd + 8, 0x1000000000000000ull, VF_INVALID, "which another entry has");
    expect_field(gt, 5, VF_INVALID, "the entry of grain 0 is 0x5");
    expect_field(gt, 0x4000000000000000ull, VF_INVALID, "of no known kind");
    expect_field(gt, 0x3fffffffffffffffull, VF_INVALID, "past the area of grains");
    expect_field(gt + 8, 0x3000000000000000ull | 3ull, VF_INVALID, "past the area of grains");
    expect_field(TRUNCATE, 100, VF_INVALID, "too early");
    expect_field(TRUNCATE, gd + 4, VF_INVALID, "the grain directory at");
    expect_field(TRUNCATE, gt + 4000, VF_INVALID, "table of grain directory entry 0");
    expect_field(TRUNCATE, 20000000, VF_INVALID, "past the end of the file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vmdk_sesparse__random_layouts_read_back),
        cmocka_unit_test(test_vmdk_sesparse__writer_and_reader_agree_with_qemu_img),
        cmocka_unit_test(test_vmdk_sesparse__split_grain_number_is_put_together),
        cmocka_unit_test(test_vmdk_sesparse__unmapped_hides_the_parent_and_absent_shows_it),
        cmocka_unit_test(test_vmdk_sesparse__bad_header_is_refused),
        cmocka_unit_test(test_vmdk_sesparse__journal_to_replay_is_refused),
        cmocka_unit_test(test_vmdk_sesparse__bad_tables_are_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
