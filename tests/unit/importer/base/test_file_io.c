#include "importer/base/file_io.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"
#include "tests/support/vmdk_writer.h"

#define MIB (1024u * 1024u)

static uint64_t allocated_bytes(int fd)
{
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

static void test_file_create__is_new_locked_and_private(void **state)
{
    (void)state;
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "image");
    struct vf_error *err = NULL;
    int fd, other;
    struct stat st;
    assert_int_equal(vf_file_create(path, &fd, &err), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0077, 0);
    check_error(vf_file_create(path, &other, &err), &err, VF_CONFLICT, "cannot create");
    other = open(path, O_RDWR);
    assert_int_not_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    close(fd);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    close(other);
    check_error(vf_file_create(scratch_path(dir, "no/image"), &fd, &err), &err, VF_MISSING,
                "cannot create");
    scratch_release(dir);
}

static void test_file_pread__end_of_file_is_damage(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    char buf[100];
    size_t n;
    int fd;
    assert_int_equal(vf_file_create(scratch_path(dir, "image"), &fd, &err), 0);
    assert_int_equal(vf_file_pwrite(fd, "image", "0123456789", 10, 5, &err), 0);
    assert_int_equal(vf_file_pread(fd, "image", buf, 10, 5, &err), 0);
    assert_memory_equal(buf, "0123456789", 10);
    check_error(vf_file_pread(fd, "image", buf, 11, 5, &err), &err, VF_INVALID,
                "\"image\" ends at offset 15, too early");
    assert_int_equal(vf_file_pread_upto(fd, "image", buf, 11, 5, &n, &err), 0);
    assert_int_equal(n, 10);
    assert_int_equal(vf_file_pread_upto(fd, "image", buf, 11, 1000, &n, &err), 0);
    assert_int_equal(n, 0);
    close(fd);
    check_error(vf_file_pread(-1, "image", buf, 1, 0, &err), &err, VF_INTERNAL, "cannot read");
    check_error(vf_file_pwrite(-1, "image", buf, 1, 0, &err), &err, VF_INTERNAL, "cannot write");
    scratch_release(dir);
}

static void test_file_zero__reads_as_zero_and_frees_blocks(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    int fd;
    uint8_t *model = malloc(4 * MIB), *buf = malloc(4 * MIB);
    memset(model, 0x5a, 4 * MIB);
    assert_int_equal(vf_file_create(scratch_path(dir, "image"), &fd, &err), 0);
    assert_int_equal(vf_file_pwrite(fd, "image", model, 4 * MIB, 0, &err), 0);
    const struct {
        uint64_t offset, length;
    } ranges[] = {{0, MIB}, {MIB + 512, 1024}, {2 * MIB + 4095, 4098}, {3 * MIB, MIB}, {0, 10}};
    for (unsigned i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        memset(model + ranges[i].offset, 0, ranges[i].length);
        assert_int_equal(vf_file_zero(fd, "image", ranges[i].offset, ranges[i].length, &err), 0);
    }
    assert_int_equal(vf_file_pread(fd, "image", buf, 4 * MIB, 0, &err), 0);
    assert_memory_equal(buf, model, 4 * MIB);
    assert_true(allocated_bytes(fd) <= 2 * MIB + 65536);
    /* Holes and what lies behind the end cost nothing and stay. */
    assert_int_equal(ftruncate(fd, 1ll << 40), 0);
    assert_int_equal(vf_file_zero(fd, "image", 0, 1ull << 40, &err), 0);
    assert_int_equal(allocated_bytes(fd), 0);
    assert_int_equal(vf_file_zero(fd, "image", 1ull << 41, 1ull << 41, &err), 0);
    close(fd);
    check_error(vf_file_zero(-1, "image", 0, 1, &err), &err, VF_INTERNAL, "cannot zero");
    free(model);
    free(buf);
    scratch_release(dir);
}

/* /dev/full stands in where no filesystem can be mounted. */
static void test_file_pwrite__full_disk_is_space_with_a_hint(void **state)
{
    (void)state;
    char *dir = scratch_new(), *buf = calloc(1, MIB);
    bool mounted = mount("tmpfs", dir, "tmpfs", 0, "size=256k") == 0;
    struct vf_error *err = NULL;
    int fd = -1;
    if (mounted) {
        assert_int_equal(vf_file_create(scratch_path(dir, "image"), &fd, &err), 0);
    } else {
        fd = open("/dev/full", O_RDWR);
    }
    int rc = vf_file_pwrite(fd, "image", buf, MIB, 0, &err);
    assert_non_null(vf_error_get_hint(err));
    check_error(rc, &err, VF_SPACE, "cannot write \"image\" at offset");
    close(fd);
    if (mounted) {
        umount(dir);
    }
    free(buf);
    scratch_release(dir);
}

/* Any alignment of memory, offset and length, past the cache or through it, beside buffered writes
 * and zeroing of the same file: what is read back is what was written last. */
static void check_bulk(bool direct)
{
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "image");
    struct vf_error *err = NULL;
    struct vf_bulk bulk;
    size_t size = 4 * MIB;
    char *model = calloc(1, size), *back = malloc(size), *data = aligned_alloc(4096, size);
    uint64_t seed = 7;
    int fd;
    assert_int_equal(vf_file_create(path, &fd, &err), 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    vf_bulk_open(&bulk, fd);
    if (!direct) {
        vf_bulk_close(&bulk);
        atomic_store(&bulk.fd, -1);
    }
    for (size_t i = 0; i < size; i++) {
        data[i] = (char)(i * 131 >> 3);
    }
    for (unsigned i = 0; i < 400; i++) {
        size_t unit = i % 3 ? 4096 : 512;
        size_t at = vmdk_random(&seed) % (size / unit) * unit;
        size_t len = 1 + vmdk_random(&seed) % (size - at);
        len = i % 5 ? (len + unit - 1) / unit * unit : len;
        size_t from = i % 7 ? 0 : 512; /* memory that is not aligned */
        len = len > size - at ? size - at : len;
        len = len > size - from ? size - from : len;
        if (i % 4 == 3) {
            assert_int_equal(vf_file_zero(fd, path, at, len, &err), 0);
            memset(model + at, 0, len);
        } else {
            assert_int_equal(vf_bulk_pwrite(&bulk, fd, path, data + from, len, at, &err), 0);
            memcpy(model + at, data + from, len);
        }
    }
    assert_int_equal(vf_file_pread(fd, path, back, size, 0, &err), 0);
    assert_memory_equal(back, model, size);
    vf_bulk_close(&bulk);
    close(fd);
    free(model);
    free(back);
    free(data);
    scratch_release(dir);
}

static void test_bulk_pwrite__any_mix_reads_back(void **state)
{
    (void)state;
    check_bulk(true);
    check_bulk(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_create__is_new_locked_and_private),
        cmocka_unit_test(test_file_pread__end_of_file_is_damage),
        cmocka_unit_test(test_file_zero__reads_as_zero_and_frees_blocks),
        cmocka_unit_test(test_file_pwrite__full_disk_is_space_with_a_hint),
        cmocka_unit_test(test_bulk_pwrite__any_mix_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
