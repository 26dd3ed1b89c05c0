#include "converters/disk/raw_disk.h"

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

/* Content with its zero grains left as holes. */
static int sparse_file(const char *dir, const struct vmdk_image *image)
{
    int fd = open(scratch_path(dir, "disk.raw"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    uint64_t grain = (uint64_t)image->grain_sectors * 512, size = image->capacity_sectors * 512;
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    for (uint64_t g = 0; g < vmdk_image_grains(image); g++) {
        uint64_t at = g * grain, n = size - at < grain ? size - at : grain;
        if (image->states[g] == VMDK_GRAIN_DATA) {
            assert_int_equal(pwrite(fd, image->content + at, n, (off_t)at), (ssize_t)n);
        }
    }
    return fd;
}

static void test_raw_disk__holes_are_told_and_content_reads_back(void **state)
{
    (void)state;
    char *dir = scratch_new();
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct vmdk_image image;
        struct vf_disk *disk = NULL;
        vmdk_image_init(&image, 60000 + seed, 128, seed);
        image.states[0] = VMDK_GRAIN_DATA;
        image.states[3] = VMDK_GRAIN_HOLE;
        memset(image.content + 3ul * 65536, 0, 65536);
        int fd = sparse_file(dir, &image);
        assert_int_equal(vf_raw_disk_open(fd, "disk.raw", 0, UINT64_MAX, &disk, NULL), 0);
        check_disk(disk, image.content, image.capacity_sectors * 512, seed);
        if (lseek(fd, 0, SEEK_HOLE) < (off_t)(image.capacity_sectors * 512)) {
            assert_true(sum_extents(disk).hole > 0);
        }
        vf_disk_free(disk);
        vmdk_image_release(&image);
    }
    scratch_release(dir);
}

static void test_raw_disk__window_is_a_disk_of_its_own(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vmdk_image image;
    struct vf_disk *disk = NULL;
    vmdk_image_init(&image, 20000, 8, 5);
    int fd = sparse_file(dir, &image);
    assert_int_equal(vf_raw_disk_open(fd, "disk.raw", 777ul * 512, 9001ul * 512, &disk, NULL), 0);
    check_disk(disk, image.content + 777ul * 512, 9001ul * 512, 1);
    vf_disk_free(disk);
    vmdk_image_release(&image);
    scratch_release(dir);
}

static void test_raw_disk__short_file_is_invalid(void **state)
{
    (void)state;
    int fd = memfd_create("raw", MFD_CLOEXEC);
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(ftruncate(fd, 1000), 0);
    check_error(vf_raw_disk_open(fd, "x", 0, 1001, &disk, &err), &err, VF_INVALID,
                "\"x\" has 1000 bytes");
    check_error(vf_raw_disk_open(fd, "x", 1001, UINT64_MAX, &disk, &err), &err, VF_INVALID,
                "at offset 1001");
    check_error(vf_raw_disk_open(fd, "x", UINT64_MAX - 1, 5, &disk, &err), &err, VF_INVALID,
                "too few");
    close(fd);
}

static void test_raw_disk__file_cut_while_open_is_invalid(void **state)
{
    (void)state;
    int fd = memfd_create("raw", MFD_CLOEXEC);
    struct vf_disk *disk = NULL;
    struct vf_error *err = NULL;
    uint8_t buf[512];
    assert_int_equal(ftruncate(fd, 4096), 0);
    assert_int_equal(vf_raw_disk_open(fd, "x", 0, UINT64_MAX, &disk, NULL), 0);
    assert_int_equal(ftruncate(fd, 600), 0);
    check_error(disk->ops->pread(disk, buf, 512, 512, &err), &err, VF_INVALID, "too early");
    vf_disk_free(disk);
}

static void test_raw_disk__odd_size_is_kept(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_disk *disk = NULL;
    struct vf_image_info info;
    scratch_write_text(dir, "odd.raw", "%0*d", 1234567, 0);
    assert_int_equal(vf_image_open(scratch_path(dir, "odd.raw"), NULL, &disk, &info, NULL), 0);
    assert_int_equal(info.kind, VF_IMAGE_RAW);
    assert_int_equal(disk->size_bytes, 1234567);
    vf_disk_free(disk);
    scratch_release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw_disk__holes_are_told_and_content_reads_back),
        cmocka_unit_test(test_raw_disk__window_is_a_disk_of_its_own),
        cmocka_unit_test(test_raw_disk__short_file_is_invalid),
        cmocka_unit_test(test_raw_disk__file_cut_while_open_is_invalid),
        cmocka_unit_test(test_raw_disk__odd_size_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
