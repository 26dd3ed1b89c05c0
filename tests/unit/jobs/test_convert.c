#include "jobs/convert.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/proc.h"
#include "tests/support/disk_check.h"
#include "tests/support/leaf_digest.h"
#include "tests/support/package.h"
#include "tests/support/vmdk_writer.h"

typedef void write_fn(const struct vmdk_image *image, const struct vmdk_layout *layout,
                      struct vmdk_file *ret_file);

static bool exists(const char *dir, const char *name)
{
    struct stat st;
    return lstat(scratch_path(dir, name), &st) == 0;
}

static void save(const char *dir, const char *name, const struct vmdk_image *image, write_fn *write)
{
    struct vmdk_file f;
    write(image, NULL, &f);
    vmdk_file_save(&f, scratch_path(dir, name));
    vmdk_file_release(&f);
}

static int convert(const char *dir, const char *source, const char *target,
                   struct vf_convert_options o, struct vf_convert_result *result,
                   struct vf_error **err)
{
    o.source = strcmp(source, "-") == 0 ? "-" : scratch_path(dir, source);
    o.target = scratch_path(dir, target);
    return vf_convert_run(&o, NULL, NULL, result, err);
}

static void expect_content(const char *dir, const char *name, const char *format,
                           const struct vmdk_image *image)
{
    scratch_write(dir, "model.raw", image->content, image->capacity_sectors * 512);
    const char *argv[] = {"qemu-img", "compare", "-f", format, "-F", "raw", NULL, NULL, NULL};
    argv[6] = scratch_path(dir, name);
    argv[7] = scratch_path(dir, "model.raw");
    const struct vf_proc_options o = {.argv = argv, .timeout_ms = 60000};
    struct vf_error *err = NULL;
    if (vf_proc_run(&o, NULL, &err) != 0) {
        fail_msg("%s: %s", name, vf_error_message(err));
    }
}

static void test_convert__every_kind_gives_the_same_disk(void **state)
{
    (void)state;
    write_fn *const kinds[] = {vmdk_write_stream_esxi, vmdk_write_stream_qemu, vmdk_write_sparse};
    char *dir = scratch_new(), expected[LEAF_DIGEST_SIZE];
    struct vmdk_image image;
    vmdk_image_init(&image, 3 * 2048 + 640, 128, 6);
    leaf_digest(image.content, image.capacity_sectors * 512, expected);
    for (unsigned i = 0; i < 12; i++) {
        struct vf_convert_options o = {.digest = true, .threads = i % 3, .overwrite = i >= 6};
        struct vf_convert_result r = {0};
        struct vf_error *err = NULL;
        const char *name = i % 2 ? "out.qcow2" : "out.img";
        save(dir, "in.vmdk", &image, kinds[i / 2 % 3]);
        unlink(scratch_path(dir, i < 6 ? name : "none"));
        if (convert(dir, "in.vmdk", name, o, &r, &err) != 0) {
            fail_msg("%s", vf_error_message(err));
        }
        assert_string_equal(r.digest, expected);
        assert_int_equal(r.size_bytes, image.capacity_sectors * 512);
        expect_content(dir, name, i % 2 ? "qcow2" : "raw", &image);
        vf_convert_result_release(&r);
    }
    vmdk_image_release(&image);
    scratch_release(dir);
}

static void test_convert__reads_standard_input_and_gzip(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vmdk_image image;
    size_t len, packed_len;
    vmdk_image_init(&image, 2048 + 640, 128, 6);
    save(dir, "in.vmdk", &image, vmdk_write_stream_esxi);
    uint8_t *bytes = scratch_read(dir, "in.vmdk", &len);
    void *packed = package_gzip(bytes, len, &packed_len);
    scratch_write(dir, "in.vmdk.gz", packed, packed_len);
    const char *const names[] = {"in.vmdk", "in.vmdk.gz"};
    int stdin_copy = dup(0);
    for (unsigned i = 0; i < 2; i++) {
        struct vf_error *err = NULL;
        int fd = open(scratch_path(dir, names[i]), O_RDONLY);
        assert_true(fd >= 0);
        assert_int_equal(dup2(fd, 0), 0);
        close(fd);
        struct vf_convert_options o = {.overwrite = true};
        if (convert(dir, "-", "out.img", o, NULL, &err) != 0) {
            fail_msg("%s", vf_error_message(err));
        }
        expect_content(dir, "out.img", "raw", &image);
    }
    dup2(stdin_copy, 0);
    close(stdin_copy);
    free(packed);
    free(bytes);
    vmdk_image_release(&image);
    scratch_release(dir);
}

static void test_convert__damage_leaves_nothing(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vmdk_image image;
    struct vmdk_file f;
    struct vf_error *err = NULL;
    const struct vf_convert_options plain = {.digest = true};
    vmdk_image_init(&image, 4 * 2048, 128, 6);
    vmdk_write_stream_esxi(&image, NULL, &f);
    f.len -= 512;
    vmdk_file_save(&f, scratch_path(dir, "cut.vmdk"));
    f.len += 512;
    vmdk_file_flip(&f, f.grain_offset + 40, 3);
    vmdk_file_save(&f, scratch_path(dir, "flipped.vmdk"));
    check_error(convert(dir, "cut.vmdk", "out.img", plain, NULL, &err), &err, VF_INVALID,
                "cut short");
    check_error(convert(dir, "flipped.vmdk", "out.qcow2", plain, NULL, &err), &err, VF_INVALID,
                "does not inflate");
    assert_false(exists(dir, "out.img"));
    assert_false(exists(dir, "out.img.partial"));
    assert_false(exists(dir, "out.qcow2"));
    assert_false(exists(dir, "out.qcow2.partial"));
    vmdk_file_release(&f);
    vmdk_image_release(&image);
    scratch_release(dir);
}

static void test_convert__existing_target_is_kept(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vmdk_image image;
    struct vf_error *err = NULL;
    size_t len;
    const struct vf_convert_options plain = {.digest = false};
    vmdk_image_init(&image, 2048, 128, 6);
    save(dir, "in.vmdk", &image, vmdk_write_stream_esxi);
    scratch_write_text(dir, "out.img", "old");
    check_error(convert(dir, "in.vmdk", "out.img", plain, NULL, &err), &err, VF_CONFLICT, "exists");
    free(scratch_read(dir, "out.img", &len));
    assert_int_equal(len, 3);
    check_error(convert(dir, "in.vmdk", "no/out.img", plain, NULL, &err), &err, VF_MISSING,
                "cannot use folder");
    check_error(convert(dir, "no.vmdk", "new.img", plain, NULL, &err), &err, VF_MISSING, "no.vmdk");
    vmdk_image_release(&image);
    scratch_release(dir);
}

static void test_convert__source_in_its_own_place(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vmdk_image image;
    vmdk_image_init(&image, 2048, 128, 6);
    save(dir, "disk", &image, vmdk_write_stream_esxi);
    const struct vf_convert_options o = {.overwrite = true};
    assert_int_equal(convert(dir, "disk", "disk", o, NULL, NULL), 0);
    expect_content(dir, "disk", "raw", &image);
    vmdk_image_release(&image);
    scratch_release(dir);
}

static void test_convert__format_by_name_is_held_to(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vmdk_image image;
    struct vf_error *err = NULL;
    vmdk_image_init(&image, 2048, 128, 6);
    save(dir, "in.vmdk", &image, vmdk_write_stream_esxi);
    const char *const wrong[] = {"qcow2", "vhdx", "ova"};
    for (unsigned i = 0; i < 3; i++) {
        const struct vf_convert_options o = {.source_format = wrong[i]};
        assert_int_equal(convert(dir, "in.vmdk", "out.img", o, NULL, &err), VF_INVALID);
        vf_error_clear(&err);
        assert_false(exists(dir, "out.img"));
    }
    const struct vf_convert_options unknown = {.source_format = "elf"};
    check_error(convert(dir, "in.vmdk", "out.img", unknown, NULL, &err), &err, VF_INVALID,
                "\"elf\" is no format");
    const struct vf_convert_options right = {.source_format = "vmdk"};
    assert_int_equal(convert(dir, "in.vmdk", "out.img", right, NULL, NULL), 0);
    expect_content(dir, "out.img", "raw", &image);
    vmdk_image_release(&image);
    scratch_release(dir);
}

static void test_convert__cancelled_one_leaves_nothing(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vmdk_image image;
    struct vf_error *err = NULL;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    vmdk_image_init(&image, 2048, 128, 6);
    save(dir, "in.vmdk", &image, vmdk_write_stream_esxi);
    vf_cancel_trigger(cancel);
    const struct vf_convert_options o = {.source = scratch_path(dir, "in.vmdk"),
                                         .target = scratch_path(dir, "out.img")};
    check_error(vf_convert_run(&o, NULL, cancel, NULL, &err), &err, VF_CANCELLED, "cancelled");
    assert_false(exists(dir, "out.img"));
    assert_false(exists(dir, "out.img.partial"));
    vf_cancel_free(cancel);
    vmdk_image_release(&image);
    scratch_release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convert__every_kind_gives_the_same_disk),
        cmocka_unit_test(test_convert__reads_standard_input_and_gzip),
        cmocka_unit_test(test_convert__damage_leaves_nothing),
        cmocka_unit_test(test_convert__existing_target_is_kept),
        cmocka_unit_test(test_convert__source_in_its_own_place),
        cmocka_unit_test(test_convert__format_by_name_is_held_to),
        cmocka_unit_test(test_convert__cancelled_one_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
