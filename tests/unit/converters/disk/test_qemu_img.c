#include "converters/disk/qemu_img.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "converters/disk/image.h"
#include "importer/base/bytes.h"
#include "tests/support/disk_check.h"
#include "tests/support/vmdk_writer.h"

/* 10 MiB. qemu-img rounds the size of a VHD up to a geometry, but not with force_size. */
#define SECTORS ((size_t)20480)

static int setup(void **state)
{
    *state = scratch_new();
    return 0;
}

static int teardown(void **state)
{
    scratch_release(*state);
    return 0;
}

static void make(const char *dir, const char *format, const char *options, struct vmdk_image *image)
{
    vmdk_image_init(image, SECTORS, 128, 5);
    scratch_write(dir, "in.raw", image->content, SECTORS * 512);
    assert_int_equal(run_qemu_img(dir, "convert", "-f", "raw", "-O", format, "-o", options,
                                  "in.raw", "src", NULL),
                     0);
}

static void test_qemu_img__converts_what_our_readers_do_not(void **state)
{
    const char *dir = *state;
    static const struct {
        const char *format, *options;
        enum vf_image_kind kind;
    } made[] = {
        {"vpc", "subformat=dynamic,force_size=on", VF_IMAGE_VHD},
        {"vpc", "subformat=fixed,force_size=on", VF_IMAGE_VHD},
        {"vhdx", "subformat=dynamic", VF_IMAGE_VHDX},
        {"vhdx", "subformat=fixed", VF_IMAGE_VHDX},
        {"vdi", "static=off", VF_IMAGE_VDI},
        {"qcow2", "extended_l2=on", VF_IMAGE_QCOW2},
    };
    for (unsigned i = 0; i < sizeof made / sizeof *made; i++) {
        struct vmdk_image image;
        struct vf_disk *disk = NULL;
        struct vf_error *err = NULL;
        uint64_t size = 0;
        make(dir, made[i].format, made[i].options, &image);
        check_error(vf_qemu_img_size(scratch_path(dir, "src"), made[i].kind, NULL, &size, &err),
                    &err, VF_OK, "");
        assert_int_equal(size, SECTORS * 512);
        for (unsigned f = 0; f < 2; f++) {
            enum vf_format format = f ? VF_FORMAT_QCOW2 : VF_FORMAT_RAW;
            check_error(vf_qemu_img_convert(scratch_path(dir, "src"), made[i].kind,
                                            scratch_path(dir, "out"), format, NULL, &err),
                        &err, VF_OK, "");
            assert_int_equal(
                vf_image_open(scratch_path(dir, "out"), f ? "qcow2" : "raw", &disk, NULL, NULL), 0);
            check_disk(disk, image.content, SECTORS * 512, i);
            vf_disk_free(disk);
        }
        vmdk_image_release(&image);
    }
}

static void test_qemu_img__compressed_qcow2(void **state)
{
    const char *dir = *state;
    struct vmdk_image image;
    struct vf_disk *disk = NULL;
    make(dir, "qcow2", "compat=1.1", &image);
    assert_int_equal(
        run_qemu_img(dir, "convert", "-c", "-f", "raw", "-O", "qcow2", "in.raw", "c.qcow2", NULL),
        0);
    assert_int_equal(vf_qemu_img_convert(scratch_path(dir, "c.qcow2"), VF_IMAGE_QCOW2,
                                         scratch_path(dir, "out"), VF_FORMAT_RAW, NULL, NULL),
                     0);
    assert_int_equal(vf_image_open(scratch_path(dir, "out"), "raw", &disk, NULL, NULL), 0);
    check_disk(disk, image.content, SECTORS * 512, 1);
    vf_disk_free(disk);
    vmdk_image_release(&image);
}

/* Names that qemu-img would take for options, protocols or JSON. */
static void test_qemu_img__names_are_only_names(void **state)
{
    const char *dir = *state;
    static const char *const names[] = {"nbd:localhost", "json:{}", "-f", "a,b=c", "x\"y\\z"};
    char *old = getcwd(NULL, 0);
    struct vmdk_image image;
    make(dir, "vdi", "static=off", &image);
    assert_int_equal(chdir(dir), 0);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(rename("src", names[i]), 0);
        assert_int_equal(
            vf_qemu_img_convert(names[i], VF_IMAGE_VDI, "host:out", VF_FORMAT_RAW, NULL, NULL), 0);
        assert_int_equal(access("host:out", R_OK), 0);
        assert_int_equal(rename(names[i], "src"), 0);
        assert_int_equal(unlink("host:out"), 0);
    }
    assert_int_equal(chdir(old), 0);
    free(old);
    vmdk_image_release(&image);
}

static void refix_checksum(uint8_t *footer)
{
    uint32_t sum = 0;
    be32_store(footer + 64, 0);
    for (unsigned i = 0; i < 512; i++) {
        sum += footer[i];
    }
    be32_store(footer + 64, ~sum);
}

/* The footer's copy and the footer changed, checksums right again. */
static void change_vhd(const char *dir, void (*change)(uint8_t *footer))
{
    size_t len;
    uint8_t *bytes = scratch_read(dir, "src", &len);
    uint8_t *footers[] = {bytes, bytes + len - 512};
    for (unsigned i = 0; i < 2; i++) {
        if (memcmp(footers[i], "conectix", 8) == 0) {
            change(footers[i]);
        }
    }
    scratch_write(dir, "src", bytes, len);
    free(bytes);
}

static void make_differencing(uint8_t *footer)
{
    be32_store(footer + 60, 4);
    refix_checksum(footer);
}

static void break_checksum(uint8_t *footer)
{
    footer[100] ^= 1;
}

/* qemu-img takes the size from a geometry then, and cuts the end off. */
static void make_old_creator(uint8_t *footer)
{
    memcpy(footer + 28, "vpc ", 4);
    be16_store(footer + 56, 300); /* 300 * 4 * 17 sectors, less than are there */
    footer[58] = 4;
    footer[59] = 17;
    refix_checksum(footer);
}

static void test_qemu_img__differencing_vhd_is_refused(void **state)
{
    const char *dir = *state;
    struct vmdk_image image;
    struct vf_error *err = NULL;
    make(dir, "vpc", "subformat=dynamic,force_size=on", &image);
    change_vhd(dir, make_differencing);
    /* The reason for our own look: qemu-img does not mind. */
    assert_int_equal(
        run_qemu_img(dir, "convert", "-f", "vpc", "-O", "raw", "src", "silent.raw", NULL), 0);
    check_error(vf_qemu_img_convert(scratch_path(dir, "src"), VF_IMAGE_VHD,
                                    scratch_path(dir, "out"), VF_FORMAT_RAW, NULL, &err),
                &err, VF_UNSUPPORTED, "differencing VHD");
    assert_int_equal(access(scratch_path(dir, "out"), F_OK), -1);
    vmdk_image_release(&image);
}

static void test_qemu_img__vhd_has_the_size_of_its_footer(void **state)
{
    const char *dir = *state;
    struct vmdk_image image;
    struct vf_disk *disk = NULL;
    make(dir, "vpc", "subformat=dynamic,force_size=on", &image);
    change_vhd(dir, make_old_creator);
    assert_int_equal(vf_qemu_img_convert(scratch_path(dir, "src"), VF_IMAGE_VHD,
                                         scratch_path(dir, "out"), VF_FORMAT_RAW, NULL, NULL),
                     0);
    assert_int_equal(vf_image_open(scratch_path(dir, "out"), "raw", &disk, NULL, NULL), 0);
    check_disk(disk, image.content, SECTORS * 512, 1);
    vf_disk_free(disk);
    vmdk_image_release(&image);
}

static void test_qemu_img__damage_is_refused(void **state)
{
    const char *dir = *state;
    struct vmdk_image image;
    struct vf_error *err = NULL;
    uint64_t size;
    make(dir, "vpc", "subformat=dynamic,force_size=on", &image);
    change_vhd(dir, break_checksum);
    check_error(vf_qemu_img_size(scratch_path(dir, "src"), VF_IMAGE_VHD, NULL, &size, &err), &err,
                VF_INVALID, "footer");
    vmdk_image_release(&image);
    scratch_write_text(dir, "short", "vhdxfile");
    check_error(vf_qemu_img_size(scratch_path(dir, "short"), VF_IMAGE_VHDX, NULL, &size, &err),
                &err, VF_INVALID, "too early");
    scratch_write_text(dir, "short", "not a VDI");
    check_error(vf_qemu_img_size(scratch_path(dir, "short"), VF_IMAGE_VDI, NULL, &size, &err), &err,
                VF_INVALID, "qemu-img");
    assert_int_equal(run_qemu_img(dir, "create", "-f", "qcow2", "-F", "raw", "-b", "short",
                                  "backed.qcow2", NULL),
                     0);
    check_error(
        vf_qemu_img_size(scratch_path(dir, "backed.qcow2"), VF_IMAGE_QCOW2, NULL, &size, &err),
        &err, VF_UNSUPPORTED, "backing file");
}

static void test_qemu_img__vmdk_never_goes_this_way(void **state)
{
    const char *dir = *state;
    struct vf_error *err = NULL;
    uint64_t size;
    assert_false(vf_qemu_img_covers(VF_IMAGE_VMDK_DESCRIPTOR));
    assert_false(vf_qemu_img_covers(VF_IMAGE_RAW));
    scratch_write_text(dir, "x", "x");
    check_error(vf_qemu_img_size(scratch_path(dir, "x"), VF_IMAGE_VMDK_SPARSE, NULL, &size, &err),
                &err, VF_UNSUPPORTED, "not left to qemu-img");
}

static void test_qemu_img_check__leaks_are_found(void **state)
{
    const char *dir = *state;
    struct vf_error *err = NULL;
    size_t len;
    assert_int_equal(run_qemu_img(dir, "create", "-f", "qcow2", "-o", "preallocation=metadata",
                                  "q.qcow2", "8M", NULL),
                     0);
    assert_int_equal(vf_qemu_img_check(scratch_path(dir, "q.qcow2"), NULL, NULL), 0);
    uint8_t *bytes = scratch_read(dir, "q.qcow2", &len);
    uint64_t l2 = be64_load(bytes + be64_load(bytes + 40)) & 0x00fffffffffffe00ull;
    memset(bytes + l2, 0, 8);
    scratch_write(dir, "q.qcow2", bytes, len);
    check_error(vf_qemu_img_check(scratch_path(dir, "q.qcow2"), NULL, &err), &err, VF_INVALID,
                "qemu-img check of");
    free(bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_qemu_img__converts_what_our_readers_do_not),
        TEST(test_qemu_img__compressed_qcow2),
        TEST(test_qemu_img__names_are_only_names),
        TEST(test_qemu_img__differencing_vhd_is_refused),
        TEST(test_qemu_img__vhd_has_the_size_of_its_footer),
        TEST(test_qemu_img__damage_is_refused),
        TEST(test_qemu_img__vmdk_never_goes_this_way),
        TEST(test_qemu_img_check__leaks_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
