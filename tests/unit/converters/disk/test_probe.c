#include "converters/disk/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "converters/disk/image.h"
#include "tests/support/disk_check.h"
#include "tests/support/vmdk_writer.h"

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

static void expect_kind(const char *dir, const char *name, enum vf_image_kind kind)
{
    enum vf_image_kind found;
    struct vf_error *err = NULL;
    check_error(vf_probe_file(scratch_path(dir, name), &found, &err), &err, VF_OK, "");
    if (found != kind) {
        fail_msg("%s: %s, not %s", name, vf_image_kind_name(found), vf_image_kind_name(kind));
    }
}

static void expect_error(const char *dir, const char *name, enum vf_code code, const char *part)
{
    enum vf_image_kind found;
    struct vf_error *err = NULL;
    check_error(vf_probe_file(scratch_path(dir, name), &found, &err), &err, code, part);
}

static void test_probe__what_qemu_img_makes(void **state)
{
    const char *dir = *state;
    static const struct {
        const char *format, *options, *name;
        enum vf_image_kind kind;
    } made[] = {
        {"qcow2", "compat=1.1", "a", VF_IMAGE_QCOW2},
        {"qcow2", "compat=0.10", "a", VF_IMAGE_QCOW2},
        {"qcow", "encryption=off", "a", VF_IMAGE_FOREIGN},
        {"vmdk", "subformat=monolithicSparse", "a.vmdk", VF_IMAGE_VMDK_SPARSE},
        {"vmdk", "subformat=streamOptimized", "a.vmdk", VF_IMAGE_VMDK_STREAM},
        {"vmdk", "subformat=monolithicFlat", "a.vmdk", VF_IMAGE_VMDK_DESCRIPTOR},
        {"vpc", "subformat=dynamic", "a", VF_IMAGE_VHD},
        {"vpc", "subformat=fixed", "a", VF_IMAGE_VHD},
        {"vpc", "subformat=fixed", "a.vhd", VF_IMAGE_VHD},
        {"vhdx", "subformat=dynamic", "a", VF_IMAGE_VHDX},
        {"vdi", "static=off", "a", VF_IMAGE_VDI},
        {"qed", "cluster_size=64k", "a", VF_IMAGE_FOREIGN},
        {"raw", "preallocation=off", "a", VF_IMAGE_RAW},
    };
    for (unsigned i = 0; i < sizeof made / sizeof *made; i++) {
        assert_int_equal(run_qemu_img(dir, "create", "-f", made[i].format, "-o", made[i].options,
                                      made[i].name, "8M", NULL),
                         0);
        expect_kind(dir, made[i].name, made[i].kind);
    }
    expect_kind(dir, "a-flat.vmdk", VF_IMAGE_RAW);
}

static void test_probe__what_the_writers_make(void **state)
{
    const char *dir = *state;
    struct vmdk_image image;
    struct vmdk_file f;
    vmdk_image_init(&image, 2000, 8, 1);
    static const struct {
        void (*write)(const struct vmdk_image *, const struct vmdk_layout *, struct vmdk_file *);
        enum vf_image_kind kind;
    } made[] = {
        {vmdk_write_sparse, VF_IMAGE_VMDK_SPARSE},
        {vmdk_write_cowd, VF_IMAGE_VMDK_COWD},
        {vmdk_write_sesparse, VF_IMAGE_VMDK_SESPARSE},
        {vmdk_write_stream_esxi, VF_IMAGE_VMDK_STREAM},
        {vmdk_write_stream_qemu, VF_IMAGE_VMDK_STREAM},
    };
    for (unsigned i = 0; i < sizeof made / sizeof *made; i++) {
        made[i].write(&image, NULL, &f);
        vmdk_file_save(&f, scratch_path(dir, "x.vmdk"));
        expect_kind(dir, "x.vmdk", made[i].kind);
        vmdk_file_release(&f);
    }
    vmdk_image_release(&image);
}

static void test_probe__other_files(void **state)
{
    const char *dir = *state;
    char tar[512] = "disk.ovf";
    memcpy(tar + 257, "ustar", 5);
    scratch_write(dir, "x.ova", tar, sizeof tar);
    expect_kind(dir, "x.ova", VF_IMAGE_TAR);
    scratch_write(dir, "x.gz", "\x1f\x8b\x08\0\0\0\0\0", 8);
    expect_kind(dir, "x.gz", VF_IMAGE_GZIP);
    scratch_write_text(dir, "x.ovf", "<?xml version=\"1.0\"?><Envelope/>");
    expect_kind(dir, "x.ovf", VF_IMAGE_OVF);
    scratch_write(dir, "x", "PK\3\4", 4);
    expect_kind(dir, "x", VF_IMAGE_FOREIGN);
    scratch_write(dir, "x", "\xfd\x37zXZ\0", 6);
    expect_kind(dir, "x", VF_IMAGE_FOREIGN);
}

/* What would convert as a raw disk without a word. */
static void test_probe__content_that_belies_its_name_is_invalid(void **state)
{
    const char *dir = *state;
    static const char *const names[] = {"a.vmdk", "a.VMDK",  "a.qcow2",    "a.vhd",
                                        "a.vhdx", "a.vdi",   "a.ova",      "x-flat.vmdk.gz",
                                        "f.vmdk", "-f.vmdk", "a-s001.vmdk"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        scratch_write_text(dir, names[i], "<html>404</html>%2000d", 0);
        expect_error(dir, names[i], VF_INVALID, "does not begin like");
        struct vf_disk *disk = NULL;
        assert_int_equal(vf_image_open(scratch_path(dir, names[i]), "raw", &disk, NULL, NULL), 0);
        vf_disk_free(disk);
    }
    static const char *const flat[] = {"a-flat.vmdk", "a-f001.vmdk", "a.img", "a.raw", "vmdk"};
    for (unsigned i = 0; i < sizeof flat / sizeof *flat; i++) {
        scratch_write_text(dir, flat[i], "<html>404</html>%2000d", 0);
        expect_kind(dir, flat[i], VF_IMAGE_RAW);
    }
    scratch_write(dir, "empty.img", "", 0);
    expect_error(dir, "empty.img", VF_INVALID, "is empty");
    expect_error(dir, "gone.img", VF_MISSING, "gone.img");
    expect_error(dir, ".", VF_UNSUPPORTED, "neither a file");
}

/* The guest writes what it likes into a raw disk. */
static void test_probe__disk_that_begins_as_a_descriptor_is_refused(void **state)
{
    const char *dir = *state;
    static const char text[] = "# Disk DescriptorFile\nRW 1 FLAT \"neighbour.img\" 0\n";
    char *disk = calloc(1, 2 << 20);
    memcpy(disk, text, sizeof text);
    scratch_write(dir, "guest.img", disk, 2 << 20);
    expect_error(dir, "guest.img", VF_INVALID, "begins as a VMDK descriptor");
    free(disk);
}

static void test_probe__vhd_mark_alone_makes_no_vhd(void **state)
{
    const char *dir = *state;
    char *disk = calloc(1, 1 << 20);
    memcpy(disk + (1 << 20) - 512, "conectix", 8);
    scratch_write(dir, "guest.img", disk, 1 << 20);
    expect_kind(dir, "guest.img", VF_IMAGE_RAW);
    free(disk);
}

static void test_probe_head__length_bounds_the_bytes(void **state)
{
    (void)state;
    static const char head[] = "KDMV\1\0\0\0\3\0\0\0";
    for (size_t n = 0; n < sizeof head; n++) {
        char *copy = malloc(n ? n : 1);
        memcpy(copy, head, n);
        assert_int_equal(vf_probe_head(copy, n, NULL),
                         n >= 4 ? VF_IMAGE_VMDK_SPARSE : VF_IMAGE_RAW);
        free(copy);
    }
    const char *what = NULL;
    assert_int_equal(vf_probe_head("BZh9", 4, &what), VF_IMAGE_FOREIGN);
    assert_string_equal(what, "bzip2");
}

static void test_image_open__format_must_match(void **state)
{
    const char *dir = *state;
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    scratch_write_text(dir, "x.img", "%1000d", 0);
    const char *path = scratch_path(dir, "x.img");
    check_error(vf_image_open(path, "vmdk", &disk, NULL, &err), &err, VF_INVALID,
                "is not in format vmdk: it looks like raw");
    check_error(vf_image_open(path, "qcow2", &disk, NULL, &err), &err, VF_INVALID, "format qcow2");
    check_error(vf_image_open(path, "vhdx", &disk, NULL, &err), &err, VF_UNSUPPORTED, "vhdx");
    check_error(vf_image_open(dir, NULL, &disk, NULL, &err), &err, VF_UNSUPPORTED, "neither");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_probe__what_qemu_img_makes),
        TEST(test_probe__what_the_writers_make),
        TEST(test_probe__other_files),
        TEST(test_probe__content_that_belies_its_name_is_invalid),
        TEST(test_probe__disk_that_begins_as_a_descriptor_is_refused),
        TEST(test_probe__vhd_mark_alone_makes_no_vhd),
        cmocka_unit_test(test_probe_head__length_bounds_the_bytes),
        TEST(test_image_open__format_must_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
