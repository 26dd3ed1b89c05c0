#include "converters/disk/vmdk_sparse.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "converters/disk/image.h"
#include "tests/support/disk_check.h"
#include "tests/support/vmdk_writer.h"

/* The file in memory, as a layer. */
static int file_fd(const struct vmdk_file *f)
{
    int fd = memfd_create("vmdk", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, f->bytes, f->len), (ssize_t)f->len);
    return fd;
}

static int open_file(const struct vmdk_file *f, struct vf_disk **ret_disk, bool *ret_unclean,
                     struct vf_error **err)
{
    struct vf_layer layer = {.fd = file_fd(f), .name = "disk.vmdk"};
    int rc = vf_vmdk_sparse_open(&layer, ret_disk, ret_unclean, err);
    if (rc) {
        close(layer.fd);
    }
    return rc;
}

/* The whole disk read; the first error, or 0. */
static int read_all(struct vf_disk *disk, struct vf_error **err)
{
    uint8_t *buf = malloc(disk->size_bytes);
    int rc = disk->ops->pread(disk, buf, disk->size_bytes, 0, err);
    free(buf);
    return rc;
}

/* Opening fails, or else reading does. */
static void expect_damage(struct vmdk_file *f, enum vf_code code, const char *part)
{
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    int rc = open_file(f, &disk, NULL, &err);
    if (rc == 0) {
        rc = read_all(disk, &err);
    }
    check_error(rc, &err, code, part);
    vf_disk_free(disk);
    vmdk_file_release(f);
}

/* 70 tables' worth, all kinds of grains, odd size. */
static void small_image(struct vmdk_image *image)
{
    vmdk_image_init(image, 3000 * 8 + 3, 8, 7);
    image->states[0] = VMDK_GRAIN_DATA;
    memset(image->content, 0x11, 8ul * 512);
}

static void test_vmdk_sparse__random_layouts_read_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct vmdk_image image;
        struct vmdk_file file;
        struct vf_disk *disk = NULL;
        struct vmdk_layout layout = {.shuffle = seed % 3 ? seed : 0};
        uint64_t rng = seed;
        uint32_t grain = 8u << vmdk_random(&rng) % 6;
        vmdk_image_init(&image, 1 + vmdk_random(&rng) % 20000, grain, seed);
        vmdk_write_sparse(&image, &layout, &file);
        assert_int_equal(open_file(&file, &disk, NULL, NULL), 0);
        check_disk(disk, image.content, image.capacity_sectors * 512, seed);
        vf_disk_free(disk);
        vmdk_file_release(&file);
        vmdk_image_release(&image);
    }
}

static void test_vmdk_sparse__writer_and_reader_agree_with_qemu_img(void **state)
{
    (void)state;
    char *dir = scratch_new();
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct vmdk_image image;
        struct vmdk_file file;
        struct vmdk_layout layout = {.shuffle = seed};
        vmdk_image_init(&image, 1 + seed * 3571, 8u << seed % 5, seed);
        vmdk_write_sparse(&image, &layout, &file);
        vmdk_file_save(&file, scratch_path(dir, "disk.vmdk"));
        assert_int_equal(
            run_qemu_img(dir, "convert", "-f", "vmdk", "-O", "raw", "disk.vmdk", "out.raw", NULL),
            0);
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

static void test_vmdk_sparse__qemu_img_files_read_back(void **state)
{
    (void)state;
    static const char *const options[] = {
        "subformat=monolithicSparse", "subformat=monolithicSparse,zeroed_grain=on",
        "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse",
        "subformat=twoGbMaxExtentFlat"};
    char *dir = scratch_new();
    for (unsigned i = 0; i < sizeof options / sizeof *options; i++) {
        struct vmdk_image image;
        struct vf_disk *disk = NULL;
        struct vf_image_info info;
        struct vf_error *err = NULL;
        vmdk_image_init(&image, 40001 + i, 128, i + 1);
        scratch_write(dir, "in.raw", image.content, image.capacity_sectors * 512);
        assert_int_equal(run_qemu_img(dir, "convert", "-f", "raw", "-O", "vmdk", "-o", options[i],
                                      "in.raw", "q.vmdk", NULL),
                         0);
        check_error(vf_image_open(scratch_path(dir, "q.vmdk"), "vmdk", &disk, &info, &err), &err,
                    VF_OK, "");
        assert_int_equal(info.n_extents, 1);
        assert_int_equal(info.n_layers, 1);
        check_disk(disk, image.content, image.capacity_sectors * 512, i);
        vf_disk_free(disk);
        vmdk_image_release(&image);
    }
    scratch_release(dir);
}

static void test_vmdk_sparse__absent_grains_come_from_the_parent(void **state)
{
    (void)state;
    struct vmdk_image base, delta;
    struct vmdk_file base_file, delta_file;
    struct vf_disk *base_disk = NULL, *disk = NULL;
    vmdk_image_init(&base, 50000, 16, 3);
    vmdk_image_init(&delta, 20000, 8, 4);
    vmdk_write_sparse(&base, NULL, &base_file);
    vmdk_write_sparse(&delta, NULL, &delta_file);
    assert_int_equal(open_file(&base_file, &base_disk, NULL, NULL), 0);
    const uint64_t shift = 40000ul * 512; /* the parent ends in the middle of the delta */
    struct vf_layer layer = {.fd = file_fd(&delta_file),
                             .name = "delta.vmdk",
                             .parent = base_disk,
                             .parent_offset_bytes = shift};
    assert_int_equal(vf_vmdk_sparse_open(&layer, &disk, NULL, NULL), 0);
    for (uint64_t g = 0; g < vmdk_image_grains(&delta); g++) {
        for (uint64_t i = g * 4096; delta.states[g] == VMDK_GRAIN_HOLE && i < (g + 1) * 4096; i++) {
            delta.content[i] = shift + i < 50000ul * 512 ? base.content[shift + i] : 0;
        }
    }
    check_disk(disk, delta.content, 20000ul * 512, 1);
    vf_disk_free(disk);
    vf_disk_free(base_disk);
    vmdk_file_release(&base_file);
    vmdk_file_release(&delta_file);
    vmdk_image_release(&base);
    vmdk_image_release(&delta);
}

static void test_vmdk_sparse__unclean_is_told(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file file;
    struct vmdk_layout layout = {.unclean = true};
    struct vf_disk *disk = NULL;
    bool unclean = false;
    small_image(&image);
    vmdk_write_sparse(&image, &layout, &file);
    assert_int_equal(open_file(&file, &disk, &unclean, NULL), 0);
    assert_true(unclean);
    vf_disk_free(disk);
    vmdk_file_release(&file);
    vmdk_image_release(&image);
}

static void test_vmdk_sparse__truncation_is_invalid(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file file;
    small_image(&image);
    vmdk_write_sparse(&image, NULL, &file);
    size_t whole = file.len, grains = file.grain_offset, tables = file.gt_offset;
    vmdk_file_truncate(&file, whole - 4096 - 1);
    expect_damage(&file, VF_INVALID, "past the end of the file");
    vmdk_write_sparse(&image, NULL, &file);
    vmdk_file_truncate(&file, grains);
    expect_damage(&file, VF_INVALID, "past the end of the file");
    vmdk_write_sparse(&image, NULL, &file);
    vmdk_file_truncate(&file, tables + 100);
    expect_damage(&file, VF_INVALID, "past the end of the file");
    vmdk_write_sparse(&image, NULL, &file);
    vmdk_file_truncate(&file, 4096);
    expect_damage(&file, VF_INVALID, "the grain directory");
    vmdk_write_sparse(&image, NULL, &file);
    vmdk_file_truncate(&file, 511);
    expect_damage(&file, VF_INVALID, "too early");
    vmdk_image_release(&image);
}

static void test_vmdk_sparse__last_grain_may_end_with_the_capacity(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file file;
    struct vf_disk *disk = NULL;
    vmdk_image_init(&image, 8 * 100 + 3, 8, 1);
    memset(image.states, VMDK_GRAIN_DATA, 101);
    vmdk_write_sparse(&image, NULL, &file);
    vmdk_file_truncate(&file, file.len - 5ul * 512);
    assert_int_equal(open_file(&file, &disk, NULL, NULL), 0);
    check_disk(disk, image.content, image.capacity_sectors * 512, 1);
    vf_disk_free(disk);
    vmdk_file_truncate(&file, file.len - 1);
    expect_damage(&file, VF_INVALID, "grain 100 is said to be");
    vmdk_image_release(&image);
}

/* One field changed, and what is said of it. */
static void expect_field(uint64_t offset, unsigned bytes, uint64_t value, enum vf_code code,
                         const char *part)
{
    struct vmdk_image image;
    struct vmdk_file file;
    small_image(&image);
    vmdk_write_sparse(&image, NULL, &file);
    if (bytes == 8) {
        vmdk_file_put64(&file, offset, value);
    } else {
        vmdk_file_put32(&file, offset, (uint32_t)value);
    }
    expect_damage(&file, code, part);
    vmdk_image_release(&image);
}

static void test_vmdk_sparse__absurd_header_is_invalid(void **state)
{
    (void)state;
    expect_field(0, 4, 0x12345678, VF_INVALID, "KDMV");
    expect_field(4, 4, 9, VF_UNSUPPORTED, "version 9");
    expect_field(8, 4, 0x10003, VF_UNSUPPORTED, "");
    expect_field(12, 8, 0, VF_INVALID, "capacity of 0");
    expect_field(12, 8, UINT64_MAX, VF_INVALID, "capacity");
    expect_field(12, 8, 1ull << 37, VF_INVALID, "the grain directory"); /* 64 TiB, small file */
    expect_field(20, 8, 0, VF_INVALID, "grains of 0");
    expect_field(20, 8, 24, VF_INVALID, "grains of 24");
    expect_field(20, 8, 1ull << 40, VF_INVALID, "grains of");
    expect_field(28, 8, UINT64_MAX / 512, VF_INVALID, "descriptor");
    expect_field(44, 4, 0, VF_INVALID, "entries");
    expect_field(44, 4, 1u << 30, VF_INVALID, "entries");
    expect_field(56, 8, UINT64_MAX, VF_UNSUPPORTED, "streamOptimized");
    expect_field(56, 8, UINT64_MAX - 1, VF_INVALID, "past the end of the file");
    expect_field(56, 8, 0, VF_INVALID, "over the header");
    expect_field(56, 8, 5, VF_INVALID, "over the header or descriptor");
}

static void test_vmdk_sparse__bad_tables_are_invalid(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file file;
    small_image(&image);
    vmdk_write_sparse(&image, NULL, &file);
    uint64_t gd = file.gd_offset, gt = file.gt_offset;
    uint32_t gd_sector = (uint32_t)(gd / 512), gt_sector = (uint32_t)(gt / 512);
    vmdk_file_release(&file);
    vmdk_image_release(&image);
    expect_field(gd, 4, UINT32_MAX, VF_INVALID, "grain directory entry 0 puts its table at");
    expect_field(gd, 4, gd_sector, VF_INVALID, "over the grain directory");
    expect_field(gd, 4, 2, VF_INVALID, "over the header or descriptor");
    expect_field(gd + 4, 4, gt_sector, VF_INVALID, "two grain tables share");
    expect_field(gd + 4, 4, gt_sector + 3, VF_INVALID, "two grain tables share");
    expect_field(gt, 4, UINT32_MAX, VF_INVALID, "grain 0 is said to be");
    expect_field(gt, 4, gt_sector, VF_INVALID, "over a grain table");
    expect_field(gt, 4, gd_sector, VF_INVALID, "over a grain table or the directory");
    expect_field(gt, 4, 2, VF_INVALID, "over the header or descriptor");
}

static void test_vmdk_sparse__entry_of_one_is_data_only_without_the_flag(void **state)
{
    (void)state;
    struct vmdk_image image;
    struct vmdk_file file;
    small_image(&image);
    vmdk_write_sparse(&image, NULL, &file);
    vmdk_file_put32(&file, 8, 3); /* no zeroed grains: 1 would be the descriptor's place */
    vmdk_file_put32(&file, file.gt_offset, 1);
    expect_damage(&file, VF_INVALID, "over the header or descriptor");
    vmdk_image_release(&image);
}

static void test_vmdk_sparse__text_mode_transfer_is_told(void **state)
{
    (void)state;
    expect_field(73, 4, 0x0a0a200a, VF_INVALID, "newline test");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vmdk_sparse__random_layouts_read_back),
        cmocka_unit_test(test_vmdk_sparse__writer_and_reader_agree_with_qemu_img),
        cmocka_unit_test(test_vmdk_sparse__qemu_img_files_read_back),
        cmocka_unit_test(test_vmdk_sparse__absent_grains_come_from_the_parent),
        cmocka_unit_test(test_vmdk_sparse__unclean_is_told),
        cmocka_unit_test(test_vmdk_sparse__truncation_is_invalid),
        cmocka_unit_test(test_vmdk_sparse__last_grain_may_end_with_the_capacity),
        cmocka_unit_test(test_vmdk_sparse__absurd_header_is_invalid),
        cmocka_unit_test(test_vmdk_sparse__bad_tables_are_invalid),
        cmocka_unit_test(test_vmdk_sparse__entry_of_one_is_data_only_without_the_flag),
        cmocka_unit_test(test_vmdk_sparse__text_mode_transfer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
