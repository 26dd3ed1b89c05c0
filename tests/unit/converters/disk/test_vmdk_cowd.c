#include "converters/disk/vmdk_cowd.h"

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
        .fd = memfd_create("cowd", MFD_CLOEXEC), .name = "delta.vmdk", .parent = parent};
    assert_true(layer.fd >= 0);
    assert_int_equal(write(layer.fd, f->bytes, f->len), (ssize_t)f->len);
    int rc = vf_vmdk_cowd_open(&layer, ret_disk, err);
    if (rc) {
        close(layer.fd);
    }
    return rc;
}

static void test_vmdk_cowd__random_layouts_read_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct vmdk_image image;
        struct vmdk_file file;
        struct vmdk_layout layout = {.shuffle = seed % 3 ? seed : 0};
        struct vf_disk *disk = NULL;
        uint64_t rng = seed;
        vmdk_image_init(&image, 1 + vmdk_random(&rng) % 20000, 1u << seed % 5, seed);
        vmdk_write_cowd(&image, &layout, &file);
        assert_int_equal(open_file(&file, NULL, &disk, NULL), 0);
        check_disk(disk, image.content, image.capacity_sectors * 512, seed);
        vf_disk_free(disk);
        vmdk_file_release(&file);
        vmdk_image_release(&image);
    }
}

static void test_vmdk_cowd__writer_and_reader_agree_with_qemu_img(void **state)
{
    (void)state;
    char *dir = scratch_new();
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct vmdk_image image;
        struct vmdk_file file;
        struct vmdk_layout layout = {.shuffle = seed};
        vmdk_image_init(&image, 5000 + seed * 1571, 1u << seed % 4, seed);
        vmdk_write_cowd(&image, &layout, &file);
        vmdk_file_save(&file, scratch_path(dir, "d-delta.vmdk"));
        scratch_write_text(dir, "d.vmdk",
                           "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
                           "createType=\"vmfsSparse\"\nRW %llu VMFSSPARSE \"d-delta.vmdk\"\n",
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

static void test_vmdk_cowd__extents_of_single_sectors_are_joined(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file file;
    struct vf_disk *disk = NULL;
    struct vmdk_layout layout = {.shuffle = 5};
    vmdk_image_init(&image, 30000, 1, 2);
    memset(image.states, VMDK_GRAIN_DATA, 30000);
    vmdk_write_cowd(&image, &layout, &file);
    assert_int_equal(open_file(&file, NULL, &disk, NULL), 0);
    assert_int_equal(sum_extents(disk).n, 1);
    vf_disk_free(disk);
    vmdk_file_release(&file);
    vmdk_image_release(&image);
}

static void test_vmdk_cowd__absent_grains_come_from_the_parent(void **state)
{
    (void)state;
    struct vmdk_image base, delta;
    struct vmdk_file base_file, delta_file;
    struct vf_disk *parent = NULL, *disk = NULL;
    vmdk_image_init(&base, 9000, 2, 3);
    vmdk_image_init(&delta, 9000, 1, 4);
    vmdk_write_cowd(&base, NULL, &base_file);
    vmdk_write_cowd(&delta, NULL, &delta_file);
    assert_int_equal(open_file(&base_file, NULL, &parent, NULL), 0);
    assert_int_equal(open_file(&delta_file, parent, &disk, NULL), 0);
    for (uint64_t i = 0; i < 9000; i++) {
        if (delta.states[i] == VMDK_GRAIN_HOLE) {
            memcpy(delta.content + i * 512, base.content + i * 512, 512);
        }
    }
    check_disk(disk, delta.content, 9000ul * 512, 1);
    vf_disk_free(disk);
    vf_disk_free(parent);
    vmdk_file_release(&base_file);
    vmdk_file_release(&delta_file);
    vmdk_image_release(&base);
    vmdk_image_release(&delta);
}

static void expect_field(uint64_t offset, uint32_t value, enum vf_code code, const char *part)
{
    struct vmdk_image image;
    struct vmdk_file file;
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    vmdk_image_init(&image, 20000, 1, 9);
    memset(image.states, VMDK_GRAIN_DATA, 20000);
    vmdk_write_cowd(&image, NULL, &file);
    if (offset == UINT64_MAX) {
        vmdk_file_truncate(&file, value);
    } else {
        vmdk_file_put32(&file, offset, value);
    }
    uint8_t *buf = malloc(20000ul * 512);
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

static void test_vmdk_cowd__damage_is_invalid(void **state)
{
    (void)state;
    expect_field(0, 0, VF_INVALID, "\"COWD\"");
    expect_field(4, 2, VF_UNSUPPORTED, "version 2");
    expect_field(12, 0, VF_INVALID, "capacity of 0");
    expect_field(12, UINT32_MAX, VF_INVALID, "too few");
    expect_field(16, 0, VF_INVALID, "grains of 0");
    expect_field(16, 3, VF_INVALID, "grains of 3");
    expect_field(16, 1u << 31, VF_INVALID, "grains of");
    expect_field(20, UINT32_MAX, VF_INVALID, "past the end of the file");
    expect_field(20, 1, VF_INVALID, "over the header");
    expect_field(24, 1, VF_INVALID, "too few");
    expect_field(2048, UINT32_MAX, VF_INVALID, "entry 0 puts its table");
    expect_field(2048, 4, VF_INVALID, "over the grain directory");
    expect_field(2048 + 4, 5, VF_INVALID, "share");
    expect_field(2560, UINT32_MAX, VF_INVALID, "grain 0 is said to be");
    expect_field(2560, 5, VF_INVALID, "over a grain table");
    expect_field(2560, 3, VF_INVALID, "over the header");
    expect_field(UINT64_MAX, 10, VF_INVALID, "too early");
    expect_field(UINT64_MAX, 2048, VF_INVALID, "the grain directory");
    expect_field(UINT64_MAX, 3000, VF_INVALID, "past the end");
    expect_field(UINT64_MAX, 1000000, VF_INVALID, "past the end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vmdk_cowd__random_layouts_read_back),
        cmocka_unit_test(test_vmdk_cowd__writer_and_reader_agree_with_qemu_img),
        cmocka_unit_test(test_vmdk_cowd__extents_of_single_sectors_are_joined),
        cmocka_unit_test(test_vmdk_cowd__absent_grains_come_from_the_parent),
        cmocka_unit_test(test_vmdk_cowd__damage_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
