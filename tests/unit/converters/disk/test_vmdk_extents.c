/* Descriptors followed to their extents and parents: vmdk_extents.c and vmdk_image.c. */
#include "converters/disk/vmdk_extents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "converters/disk/image.h"
#include "converters/disk/open_beneath.h"
#include "tests/support/disk_check.h"
#include "tests/support/vmdk_writer.h"

#define HEAD "# Disk DescriptorFile\nversion=1\nCID=0000000a\nparentCID=ffffffff\n"

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

static void open_good(const char *dir, const char *name, struct vf_disk **ret_disk,
                      struct vf_image_info *ret_info)
{
    struct vf_error *err = NULL;
    check_error(vf_image_open(scratch_path(dir, name), NULL, ret_disk, ret_info, &err), &err, VF_OK,
                "");
}

static void expect_error(const char *dir, const char *name, enum vf_code code, const char *part)
{
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    check_error(vf_image_open(scratch_path(dir, name), NULL, &disk, NULL, &err), &err, code, part);
}

static void save_flat(const char *dir, const char *name, size_t len, uint8_t fill)
{
    uint8_t *bytes = malloc(len);
    memset(bytes, fill, len);
    scratch_write(dir, name, bytes, len);
    free(bytes);
}

static void save_sparse(const char *dir, const char *name, const struct vmdk_image *image)
{
    struct vmdk_file f;
    struct vmdk_layout layout = {.no_descriptor = true, .shuffle = 3};
    vmdk_write_sparse(image, &layout, &f);
    vmdk_file_save(&f, scratch_path(dir, name));
    vmdk_file_release(&f);
}

/* qemu-img drops RDONLY and ZERO extents and gives a short disk; here every extent counts. */
static void test_vmdk_extents__every_kind_follows_the_other(void **state)
{
    const char *dir = *state;
    struct vmdk_image sparse, se, cowd;
    struct vmdk_file f;
    vmdk_image_init(&sparse, 9001, 16, 1);
    vmdk_image_init(&se, 10000, 8, 2);
    vmdk_image_init(&cowd, 7000, 1, 3);
    save_flat(dir, "a b-f001.vmdk", 300ul * 512, 0x31);
    save_sparse(dir, "s.vmdk", &sparse);
    vmdk_write_sesparse(&se, NULL, &f);
    vmdk_file_save(&f, scratch_path(dir, "se.vmdk"));
    vmdk_file_release(&f);
    vmdk_write_cowd(&cowd, NULL, &f);
    vmdk_file_save(&f, scratch_path(dir, "cowd.vmdk"));
    vmdk_file_release(&f);
    assert_int_equal(mkdir(scratch_path(dir, "sub"), 0700), 0);
    save_flat(dir, "sub/v.vmdk", 50ul * 512, 0x44);
    scratch_write_text(dir, "d.vmdk",
                       HEAD "createType=\"custom\"\n"
                            "RW 100 FLAT \"a b-f001.vmdk\" 0\n"
                            "RDONLY 9001 SPARSE \"s.vmdk\"\n"
                            "RW 77 ZERO\n"
                            "RW 10000 SESPARSE \"se.vmdk\"\n"
                            "RW 7000 VMFSSPARSE \"cowd.vmdk\"\n"
                            "RDONLY 200 FLAT \"a b-f001.vmdk\" 100\n"
                            "RW 50 VMFS \"sub/v.vmdk\"\n");
    const uint64_t sectors = 100 + 9001 + 77 + 10000 + 7000 + 200 + 50;
    uint8_t *content = calloc(sectors, 512), *at = content;
    memset(at, 0x31, 100ul * 512);
    memcpy(at += 100ul * 512, sparse.content, 9001ul * 512);
    memcpy(at += 9078ul * 512, se.content, 10000ul * 512);
    memcpy(at += 10000ul * 512, cowd.content, 7000ul * 512);
    memset(at += 7000ul * 512, 0x31, 200ul * 512);
    memset(at + 200ul * 512, 0x44, 50ul * 512);
    struct vf_disk *disk = NULL;
    struct vf_image_info info;
    open_good(dir, "d.vmdk", &disk, &info);
    assert_int_equal(info.kind, VF_IMAGE_VMDK_DESCRIPTOR);
    assert_int_equal(info.n_extents, 7);
    assert_int_equal(info.n_layers, 1);
    check_disk(disk, content, sectors * 512, 5);
    vf_disk_free(disk);
    free(content);
    vmdk_image_release(&sparse);
    vmdk_image_release(&se);
    vmdk_image_release(&cowd);
}

static void test_vmdk_extents__qemu_img_split_disks_read_back(void **state)
{
    const char *dir = *state;
    static const char *const options[] = {"subformat=twoGbMaxExtentSparse",
                                          "subformat=twoGbMaxExtentFlat"};
    for (unsigned i = 0; i < 2; i++) {
        struct vf_disk *disk = NULL;
        struct vf_image_info info;
        uint8_t byte = 1;
        assert_int_equal(
            run_qemu_img(dir, "create", "-f", "vmdk", "-o", options[i], "q.vmdk", "5G", NULL), 0);
        open_good(dir, "q.vmdk", &disk, &info);
        assert_int_equal(info.n_extents, 3);
        assert_int_equal(disk->size_bytes, 5ull << 30);
        /* qemu-img writes the first block of a flat file, to learn the alignment. */
        assert_true(sum_extents(disk).hole > (5ull << 30) - 65536);
        assert_int_equal(disk->ops->pread(disk, &byte, 1, (5ull << 30) - 1, NULL), 0);
        assert_int_equal(byte, 0);
        vf_disk_free(disk);
    }
}

static void test_vmdk_extents__names_cannot_leave_the_folder(void **state)
{
    const char *dir = *state;
    static const char *const names[] = {
        "/etc/passwd",           "../x.vmdk", "sub/../../x.vmdk", "..", "C:\\vm\\a.vm",
        "\\\\.\\PhysicalDrive0", "a/..",
    };
    assert_int_equal(mkdir(scratch_path(dir, "sub"), 0700), 0);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        scratch_write_text(dir, "d.vmdk", HEAD "RW 1 FLAT \"%s\" 0\n", names[i]);
        expect_error(dir, "d.vmdk", VF_INVALID, "does not lie in the folder");
    }
}

static void test_vmdk_extents__links_cannot_leave_the_folder(void **state)
{
    const char *dir = *state;
    assert_int_equal(mkdir(scratch_path(dir, "in"), 0700), 0);
    assert_int_equal(mkdir(scratch_path(dir, "in/deep"), 0700), 0);
    save_flat(dir, "secret", 512, 1);
    save_flat(dir, "in/real", 512, 2);
    assert_int_equal(symlink("../secret", scratch_path(dir, "in/out")), 0);
    assert_int_equal(symlink("/etc/passwd", scratch_path(dir, "in/abs")), 0);
    assert_int_equal(symlink("..", scratch_path(dir, "in/up")), 0);
    assert_int_equal(symlink("real", scratch_path(dir, "in/good")), 0);
    assert_int_equal(symlink("loop", scratch_path(dir, "in/loop")), 0);
    static const char *const bad[] = {"out", "abs", "up/secret", "loop"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        scratch_write_text(dir, "in/d.vmdk", HEAD "RW 1 FLAT \"%s\" 0\n", bad[i]);
        expect_error(dir, "in/d.vmdk", VF_INVALID, "symbolic link out of the folder");
    }
    struct vf_disk *disk = NULL;
    scratch_write_text(dir, "in/d.vmdk", HEAD "RW 1 FLAT \"good\" 0\n");
    open_good(dir, "in/d.vmdk", &disk, NULL);
    vf_disk_free(disk);
    scratch_write_text(dir, "in/d.vmdk", HEAD "RW 1 FLAT \"deep\" 0\n");
    expect_error(dir, "in/d.vmdk", VF_INVALID, "not a regular file");
    assert_int_equal(mkfifo(scratch_path(dir, "in/fifo"), 0600), 0);
    scratch_write_text(dir, "in/d.vmdk", HEAD "RW 1 FLAT \"fifo\" 0\n");
    expect_error(dir, "in/d.vmdk", VF_INVALID, "not a regular file");
}

static void test_vmdk_extents__a_link_to_the_descriptor_is_followed(void **state)
{
    const char *dir = *state;
    struct vf_disk *disk = NULL;
    assert_int_equal(mkdir(scratch_path(dir, "in"), 0700), 0);
    save_flat(dir, "in/x-flat.vmdk", 512, 2);
    scratch_write_text(dir, "in/x.vmdk", HEAD "RW 1 VMFS \"x-flat.vmdk\"\n");
    assert_int_equal(symlink("in/x.vmdk", scratch_path(dir, "link.vmdk")), 0);
    open_good(dir, "link.vmdk", &disk, NULL);
    vf_disk_free(disk);
}

static void test_vmdk_extents__what_cannot_be_read_is_refused(void **state)
{
    const char *dir = *state;
    save_flat(dir, "x", 10ul * 512, 1);
    scratch_write_text(dir, "d.vmdk", HEAD "RW 1 FLAT \"gone.vmdk\" 0\n");
    expect_error(dir, "d.vmdk", VF_MISSING, "gone.vmdk");
    scratch_write_text(dir, "d.vmdk", HEAD "RW 11 FLAT \"x\" 0\n");
    expect_error(dir, "d.vmdk", VF_INVALID, "too few");
    scratch_write_text(dir, "d.vmdk", HEAD "RW 1 FLAT \"x\" 10\n");
    expect_error(dir, "d.vmdk", VF_INVALID, "too few");
    scratch_write_text(dir, "d.vmdk", HEAD "RW 1 FLAT \"x\" 18446744073709551615\n");
    expect_error(dir, "d.vmdk", VF_INVALID, "offset");
    scratch_write_text(dir, "d.vmdk", HEAD "NOACCESS 1 FLAT \"x\" 0\n");
    expect_error(dir, "d.vmdk", VF_UNSUPPORTED, "NOACCESS");
    scratch_write_text(dir, "d.vmdk", HEAD "RW 1 VMFSRDM \"x\"\n");
    expect_error(dir, "d.vmdk", VF_UNSUPPORTED, "raw device mapping");
    scratch_write_text(dir, "d.vmdk", HEAD "RW 1 VMFSRAW \"x\"\n");
    expect_error(dir, "d.vmdk", VF_UNSUPPORTED, "raw device mapping");
    scratch_write_text(dir, "d.vmdk", HEAD "RW 1 SPARSE \"x\"\n");
    expect_error(dir, "d.vmdk", VF_INVALID, "KDMV");
    scratch_write_text(dir, "d.vmdk", HEAD "encryption.keySafe=\"x\"\nRW 1 FLAT \"x\" 0\n");
    expect_error(dir, "d.vmdk", VF_UNSUPPORTED, "encrypted");
}

static void test_vmdk_extents__sizes_must_agree(void **state)
{
    const char *dir = *state;
    struct vmdk_image image;
    vmdk_image_init(&image, 5000, 16, 1);
    save_sparse(dir, "s.vmdk", &image);
    scratch_write_text(dir, "d.vmdk", HEAD "RW 5001 SPARSE \"s.vmdk\"\n");
    expect_error(dir, "d.vmdk", VF_INVALID, "the descriptor says");
    scratch_write_text(dir, "d.vmdk", HEAD "RW 100 SPARSE \"s.vmdk\"\n");
    expect_error(dir, "d.vmdk", VF_INVALID, "the descriptor says");
    vmdk_image_release(&image);
}

static void test_vmdk_extents__streams_and_lone_pieces_are_refused(void **state)
{
    const char *dir = *state;
    struct vmdk_image image;
    struct vmdk_file f;
    vmdk_image_init(&image, 5000, 128, 1);
    save_sparse(dir, "x-s001.vmdk", &image);
    expect_error(dir, "x-s001.vmdk", VF_UNSUPPORTED, "one extent of a disk");
    vmdk_write_stream_esxi(&image, NULL, &f);
    vmdk_file_save(&f, scratch_path(dir, "stream.vmdk"));
    vmdk_file_release(&f);
    expect_error(dir, "stream.vmdk", VF_UNSUPPORTED, "streamOptimized");
    scratch_write_text(dir, "d.vmdk", HEAD "RDONLY 5000 SPARSE \"stream.vmdk\"\n");
    expect_error(dir, "d.vmdk", VF_UNSUPPORTED, "streamOptimized");
    vmdk_write_cowd(&image, NULL, &f);
    vmdk_file_save(&f, scratch_path(dir, "x-delta.vmdk"));
    vmdk_file_release(&f);
    expect_error(dir, "x-delta.vmdk", VF_UNSUPPORTED, "COWD snapshot data");
    vmdk_image_release(&image);
    vmdk_image_init(&image, 5000, 8, 1);
    vmdk_write_sesparse(&image, NULL, &f);
    vmdk_file_save(&f, scratch_path(dir, "x-sesparse.vmdk"));
    vmdk_file_release(&f);
    expect_error(dir, "x-sesparse.vmdk", VF_UNSUPPORTED, "SESparse snapshot data");
    vmdk_image_release(&image);
}

static void test_vmdk_extents__descriptor_inside_must_describe_its_file(void **state)
{
    const char *dir = *state;
    struct vmdk_image image;
    struct vmdk_file f;
    vmdk_image_init(&image, 5000, 16, 1);
    vmdk_write_sparse(&image, NULL, &f);
    char *line = strstr((char *)f.bytes + 512, "RW 5000 SPARSE");
    assert_non_null(line);
    line[3] = '4';
    vmdk_file_save(&f, scratch_path(dir, "m.vmdk"));
    expect_error(dir, "m.vmdk", VF_INVALID, "does not describe it");
    vmdk_file_release(&f);
    vmdk_image_release(&image);
}

static void test_vmdk_extents__name_in_another_encoding_is_found_either_way(void **state)
{
    const char *dir = *state;
    struct vf_disk *disk = NULL;
    scratch_write_text(dir, "d.vmdk",
                       HEAD "encoding=\"windows-1252\"\nRW 1 FLAT \"m\xfcller\" 0\n");
    save_flat(dir, "m\xfcller", 512, 7);
    open_good(dir, "d.vmdk", &disk, NULL);
    vf_disk_free(disk);
    assert_int_equal(rename(scratch_path(dir, "m\xfcller"), scratch_path(dir, "m\xc3\xbcller")), 0);
    open_good(dir, "d.vmdk", &disk, NULL);
    vf_disk_free(disk);
}

/* --- chains ---------------------------------------------------------------------------------- */

/* base.vmdk (flat), one.vmdk (COWD) on it, two.vmdk (SESparse) on that; what two holds. */
static uint8_t *make_chain(const char *dir, const char *hint_of_one, const char *hint_of_two)
{
    struct vmdk_image one, two;
    struct vmdk_file f;
    vmdk_image_init(&one, 20000, 1, 21);
    vmdk_image_init(&two, 20000, 8, 22);
    uint8_t *content = malloc(20000ul * 512);
    memset(content, 0xba, 20000ul * 512);
    scratch_write(dir, "base-flat.vmdk", content, 20000ul * 512);
    scratch_write_text(dir, "base.vmdk",
                       "# Disk DescriptorFile\nCID=000000b0\nparentCID=ffffffff\n"
                       "createType=\"vmfs\"\nRW 20000 VMFS \"base-flat.vmdk\"\n");
    vmdk_write_cowd(&one, NULL, &f);
    vmdk_file_save(&f, scratch_path(dir, "one-delta.vmdk"));
    vmdk_file_release(&f);
    scratch_write_text(dir, "one.vmdk",
                       "# Disk DescriptorFile\nCID=000000b1\nparentCID=000000b0\n"
                       "createType=\"vmfsSparse\"\nparentFileNameHint=\"%s\"\n"
                       "RW 20000 VMFSSPARSE \"one-delta.vmdk\"\n",
                       hint_of_one);
    vmdk_write_sesparse(&two, NULL, &f);
    vmdk_file_save(&f, scratch_path(dir, "two-sesparse.vmdk"));
    vmdk_file_release(&f);
    scratch_write_text(dir, "two.vmdk",
                       "# Disk DescriptorFile\nCID=000000b2\nparentCID=000000b1\n"
                       "createType=\"seSparse\"\nparentFileNameHint=\"%s\"\n"
                       "RW 20000 SESPARSE \"two-sesparse.vmdk\"\n",
                       hint_of_two);
    for (uint64_t i = 0; i < 20000; i++) {
        if (one.states[i] != VMDK_GRAIN_HOLE) {
            memcpy(content + i * 512, one.content + i * 512, 512);
        }
        if (two.states[i / 8] != VMDK_GRAIN_HOLE) {
            memcpy(content + i * 512, two.content + i * 512, 512);
        }
    }
    vmdk_image_release(&one);
    vmdk_image_release(&two);
    return content;
}

static void test_vmdk_chain__delta_on_delta_on_base(void **state)
{
    const char *dir = *state;
    struct vf_disk *disk = NULL;
    struct vf_image_info info;
    uint8_t *content = make_chain(dir, "base.vmdk", "one.vmdk");
    open_good(dir, "two.vmdk", &disk, &info);
    assert_int_equal(info.n_layers, 3);
    assert_int_equal(info.n_extents, 1);
    check_disk(disk, content, 20000ul * 512, 1);
    vf_disk_free(disk);
    free(content);
    /* The same by the oracle. */
    content = make_chain(dir, "base.vmdk", "one.vmdk");
    assert_int_equal(
        run_qemu_img(dir, "convert", "-f", "vmdk", "-O", "raw", "two.vmdk", "out.raw", NULL), 0);
    size_t len;
    uint8_t *raw = scratch_read(dir, "out.raw", &len);
    assert_int_equal(len, 20000ul * 512);
    assert_memory_equal(raw, content, len);
    free(raw);
    free(content);
}

static void test_vmdk_chain__hosts_path_is_looked_for_beside(void **state)
{
    const char *dir = *state;
    struct vf_disk *disk = NULL;
    uint8_t *content =
        make_chain(dir, "/vmfs/volumes/ds1/web01/base.vmdk", "C:\\Virtual Machines\\w\\one.vmdk");
    open_good(dir, "two.vmdk", &disk, NULL);
    check_disk(disk, content, 20000ul * 512, 1);
    vf_disk_free(disk);
    free(content);
}

static void test_vmdk_chain__absent_parent_is_unsupported(void **state)
{
    const char *dir = *state;
    free(make_chain(dir, "base.vmdk", "one.vmdk"));
    assert_int_equal(unlink(scratch_path(dir, "base.vmdk")), 0);
    expect_error(dir, "two.vmdk", VF_UNSUPPORTED,
                 "its parent \"base.vmdk\" is not in the same folder");
    free(make_chain(dir, "base.vmdk", ".."));
    expect_error(dir, "two.vmdk", VF_UNSUPPORTED, "does not name");
    free(make_chain(dir, "base.vmdk", "one.vmdk"));
    assert_int_equal(unlink(scratch_path(dir, "base-flat.vmdk")), 0);
    expect_error(dir, "two.vmdk", VF_MISSING, "base-flat.vmdk");
}

static void test_vmdk_chain__parent_must_be_the_right_one(void **state)
{
    const char *dir = *state;
    free(make_chain(dir, "base.vmdk", "one.vmdk"));
    scratch_write_text(dir, "base.vmdk",
                       "# Disk DescriptorFile\nCID=000000b7\nparentCID=ffffffff\n"
                       "RW 20000 VMFS \"base-flat.vmdk\"\n");
    expect_error(dir, "two.vmdk", VF_INVALID, "was changed after the delta was made");
    scratch_write_text(dir, "base.vmdk",
                       "# Disk DescriptorFile\nCID=000000b0\nparentCID=ffffffff\n"
                       "RW 19999 VMFS \"base-flat.vmdk\"\n");
    expect_error(dir, "two.vmdk", VF_INVALID, "bytes, the delta");
}

static void test_vmdk_chain__cycle_is_invalid(void **state)
{
    const char *dir = *state;
    free(make_chain(dir, "two.vmdk", "one.vmdk"));
    expect_error(dir, "two.vmdk", VF_INVALID, "comes back to this file");
    free(make_chain(dir, "one.vmdk", "one.vmdk"));
    expect_error(dir, "one.vmdk", VF_INVALID, "comes back to this file");
}

static void test_vmdk_chain__endless_chain_is_invalid(void **state)
{
    const char *dir = *state;
    for (unsigned i = 0; i < 70; i++) {
        char name[32];
        snprintf(name, sizeof name, "%u.vmdk", i);
        scratch_write_text(dir, name,
                           "# Disk DescriptorFile\nCID=1\nparentCID=1\n"
                           "parentFileNameHint=\"%u.vmdk\"\nRW 1 ZERO\n",
                           i + 1);
    }
    expect_error(dir, "0.vmdk", VF_INVALID, "more than 64 layers");
}

/* --- claims ---------------------------------------------------------------------------------- */

/* A file whose header claims 64 TiB costs no memory, and an empty one of that size is read. */
static void test_vmdk_extents__largest_disk_costs_little_memory(void **state)
{
    const char *dir = *state;
    struct vf_disk *disk = NULL;
    struct rusage before, after;
    scratch_write_text(dir, "huge.vmdk", HEAD "RW 137438953472 SESPARSE \"h-sesparse.vmdk\"\n");
    struct vmdk_image image = {.capacity_sectors = 8, .grain_sectors = 8};
    uint8_t none[4096] = {0}, hole = VMDK_GRAIN_HOLE;
    struct vmdk_file f;
    image.content = none;
    image.states = &hole;
    vmdk_write_sesparse(&image, NULL, &f);
    const uint64_t dir_sectors = (4u << 20) * 8 / 512;
    vmdk_file_put64(&f, 16, 137438953472);
    vmdk_file_put64(&f, 136, dir_sectors);
    vmdk_file_put64(&f, 144, 4096 + dir_sectors);
    vmdk_file_put64(&f, 152, 64ull << 22);
    vmdk_file_put64(&f, 192, 1ull << 33);
    vmdk_file_put64(&f, 200, 1ull << 37);
    vmdk_file_save(&f, scratch_path(dir, "h-sesparse.vmdk"));
    assert_int_equal(
        truncate(scratch_path(dir, "h-sesparse.vmdk"), (off_t)(4096 + dir_sectors) * 512), 0);
    getrusage(RUSAGE_SELF, &before);
    open_good(dir, "huge.vmdk", &disk, NULL);
    assert_int_equal(disk->size_bytes, 64ull << 40);
    assert_int_equal(sum_extents(disk).hole, 64ull << 40);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 16384); /* KiB */
    vf_disk_free(disk);
    vmdk_file_release(&f);
}

static void test_open_beneath__names(void **state)
{
    (void)state;
    assert_true(vf_name_is_beneath("a"));
    assert_true(vf_name_is_beneath("a/b.vmdk"));
    assert_true(vf_name_is_beneath("..a"));
    assert_true(vf_name_is_beneath("a..b/c.."));
    assert_true(vf_name_is_beneath("./a"));
    assert_false(vf_name_is_beneath(""));
    assert_false(vf_name_is_beneath("/a"));
    assert_false(vf_name_is_beneath(".."));
    assert_false(vf_name_is_beneath("../a"));
    assert_false(vf_name_is_beneath("a/../b"));
    assert_false(vf_name_is_beneath("a/.."));
    assert_false(vf_name_is_beneath("a\\b"));
    assert_false(vf_name_is_beneath("a\nb"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_vmdk_extents__every_kind_follows_the_other),
        TEST(test_vmdk_extents__qemu_img_split_disks_read_back),
        TEST(test_vmdk_extents__names_cannot_leave_the_folder),
        TEST(test_vmdk_extents__links_cannot_leave_the_folder),
        TEST(test_vmdk_extents__a_link_to_the_descriptor_is_followed),
        TEST(test_vmdk_extents__what_cannot_be_read_is_refused),
        TEST(test_vmdk_extents__sizes_must_agree),
        TEST(test_vmdk_extents__streams_and_lone_pieces_are_refused),
        TEST(test_vmdk_extents__descriptor_inside_must_describe_its_file),
        TEST(test_vmdk_extents__name_in_another_encoding_is_found_either_way),
        TEST(test_vmdk_chain__delta_on_delta_on_base),
        TEST(test_vmdk_chain__hosts_path_is_looked_for_beside),
        TEST(test_vmdk_chain__absent_parent_is_unsupported),
        TEST(test_vmdk_chain__parent_must_be_the_right_one),
        TEST(test_vmdk_chain__cycle_is_invalid),
        TEST(test_vmdk_chain__endless_chain_is_invalid),
        TEST(test_vmdk_extents__largest_disk_costs_little_memory),
        cmocka_unit_test(test_open_beneath__names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
