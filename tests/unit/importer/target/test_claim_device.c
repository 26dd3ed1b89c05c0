#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/target/claim.h"
#include "tests/support/disk_check.h"
#include "tests/support/loop_device.h"
#include "tests/support/sink_model.h"

#define MIB    (1024u * 1024u)
#define DEVICE (8 * MIB)

/* Devices that cannot zero by themselves, or break. */
static int fallocate_errno, zeroout_errno, fsync_errno;
static atomic_uint n_fallocates, n_zeroouts; /* by several threads */

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    n_fallocates++;
    if (fallocate_errno) {
        errno = fallocate_errno;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    va_start(ap, request);
    void *argument = va_arg(ap, void *);
    va_end(ap);
    if (request == BLKZEROOUT) {
        n_zeroouts++;
        if (zeroout_errno) {
            errno = zeroout_errno;
            return -1;
        }
    }
    return (int)syscall(SYS_ioctl, fd, request, argument);
}

int fsync(int fd)
{
    if (fsync_errno) {
        errno = fsync_errno;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

struct fixture {
    char *dir;
    struct loop_device device;
};

/* A device full of what another left there. */
static void set_up(struct fixture *f, uint32_t sector_bytes)
{
    uint8_t *dirt = malloc(DEVICE);
    memset(dirt, 0xd1, DEVICE);
    f->dir = scratch_new();
    scratch_write(f->dir, "volume", dirt, DEVICE);
    free(dirt);
    if (!loop_device_open(&f->device, scratch_path(f->dir, "volume"), sector_bytes)) {
        scratch_release(f->dir);
        skip();
    }
}

static void tear_down(struct fixture *f)
{
    loop_device_close(&f->device);
    scratch_release(f->dir);
    fallocate_errno = zeroout_errno = fsync_errno = 0;
}

static struct vf_sink *open_claim(const struct fixture *f, uint64_t size_bytes)
{
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    if (vf_claim_sink_open(f->device.path, size_bytes, false, &sink, &err) != 0) {
        fail_msg("%s", vf_error_message(err));
    }
    return sink;
}

/* The volume holds the model's content, and zeros behind it. */
static void expect_volume(const struct fixture *f, const struct sink_model *m)
{
    size_t len;
    uint8_t *bytes = scratch_read(f->dir, "volume", &len);
    assert_int_equal(len, DEVICE);
    assert_memory_equal(bytes, m->content, m->size_bytes);
    for (size_t i = (size_t)m->size_bytes; i < len; i++) {
        assert_int_equal(bytes[i], 0);
    }
    free(bytes);
}

static void exercise(uint64_t size_bytes, uint32_t sector_bytes, uint64_t seed)
{
    struct fixture f;
    struct sink_model m;
    set_up(&f, sector_bytes);
    struct vf_sink *sink = open_claim(&f, size_bytes);
    assert_int_equal(sink->caps,
                     VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE | VF_SINK_READABLE);
    sink_model_init(&m, size_bytes, seed);
    assert_int_equal(vf_sink_zero(sink, 0, size_bytes, NULL), 0);
    sink_model_compare(&m, sink);
    sink_model_exercise(&m, sink, 200);
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    expect_volume(&f, &m);
    sink_model_release(&m);
    tear_down(&f);
}

static void test_claim_device__dirty_one_reads_as_written(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {512, 3 * MIB + 1536, 5 * MIB + 100, DEVICE};
    for (unsigned i = 0; i < 4; i++) {
        exercise(sizes[i] & ~UINT64_C(511), 512, i);
        exercise(sizes[i] & ~UINT64_C(511), 4096, i);
    }
}

static void test_claim_device__zeroing_falls_back(void **state)
{
    (void)state;
    static const int errnums[] = {EOPNOTSUPP, EINVAL, ENOTTY};
    for (unsigned i = 0; i < 3; i++) {
        fallocate_errno = errnums[i];
        n_fallocates = n_zeroouts = 0;
        exercise(6 * MIB + 512, i % 2 ? 4096 : 512, i);
        assert_int_equal(n_fallocates, 1); /* and not asked again */
        assert_true(n_zeroouts > 1);
        fallocate_errno = zeroout_errno = errnums[i];
        n_fallocates = n_zeroouts = 0;
        exercise(6 * MIB + 512, i % 2 ? 4096 : 512, i);
        assert_int_equal(n_fallocates, 1);
        assert_int_equal(n_zeroouts, 1);
    }
}

static void test_claim_device__zeros_deallocate(void **state)
{
    (void)state;
    struct fixture f;
    struct stat st;
    set_up(&f, 512);
    struct vf_sink *sink = open_claim(&f, DEVICE);
    assert_int_equal(vf_sink_zero(sink, 0, DEVICE, NULL), 0);
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    assert_int_equal(stat(scratch_path(f.dir, "volume"), &st), 0);
    assert_true(st.st_blocks * 512 < MIB);
    tear_down(&f);
}

static void test_claim_device__many_threads_write_at_once(void **state)
{
    (void)state;
    struct fixture f;
    struct sink_model m;
    set_up(&f, 512);
    struct vf_sink *sink = open_claim(&f, 7 * MIB);
    sink_model_init(&m, 7 * MIB, 9);
    assert_int_equal(vf_sink_zero(sink, 0, 7 * MIB, NULL), 0);
    sink_model_exercise_parallel(&m, sink, 8);
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    expect_volume(&f, &m);
    sink_model_release(&m);
    tear_down(&f);
}

static void test_claim_device__too_small_is_space(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_claim_info info;
    struct vf_error *err = NULL;
    struct vf_sink *sink = NULL;
    set_up(&f, 512);
    assert_int_equal(vf_claim_probe(f.device.path, &info, NULL), 0);
    assert_int_equal(info.mode, VF_CLAIM_BLOCK);
    assert_int_equal(info.room_bytes, DEVICE);
    assert_false(info.has_disk);
    int rc = vf_claim_sink_open(f.device.path, DEVICE + 512, false, &sink, &err);
    assert_non_null(strstr(vf_error_get_hint(err), "expand the claim"));
    check_error(rc, &err, VF_SPACE, "8388608 bytes, and the disk 8389120");
    tear_down(&f);
}

static void test_claim_device__held_by_another_is_a_conflict(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    struct vf_sink *sink = NULL, *first;
    set_up(&f, 512);
    first = open_claim(&f, DEVICE);
    int rc = vf_claim_sink_open(f.device.path, DEVICE, true, &sink, &err);
    check_error(rc, &err, VF_CONFLICT, "cannot open the claim's device");
    vf_sink_free(first);
    first = open_claim(&f, DEVICE);
    vf_sink_free(first);
    tear_down(&f);
}

static void test_claim_device__of_others_is_auth_with_a_hint(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_claim_info info;
    struct vf_error *err = NULL;
    set_up(&f, 512);
    assert_int_equal(chmod(f.dir, 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    int rc = vf_claim_probe(f.device.path, &info, &err);
    assert_int_equal(seteuid(0), 0);
    assert_non_null(strstr(vf_error_get_hint(err), "device_ownership_from_security_context"));
    check_error(rc, &err, VF_AUTH, "cannot write to the claim's device");
    tear_down(&f);
}

static void test_claim_device__lost_writes_are_noticed(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    set_up(&f, 512);
    struct vf_sink *sink = open_claim(&f, DEVICE);
    assert_int_equal(vf_sink_write(sink, "01234567", 8, 0, NULL), 0);
    fsync_errno = EIO;
    int rc = vf_sink_finish(sink, &err);
    assert_non_null(strstr(vf_error_get_hint(err), "kernel log"));
    check_error(rc, &err, VF_INTERNAL, "durable");
    vf_sink_free(sink);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claim_device__dirty_one_reads_as_written),
        cmocka_unit_test(test_claim_device__zeroing_falls_back),
        cmocka_unit_test(test_claim_device__zeros_deallocate),
        cmocka_unit_test(test_claim_device__many_threads_write_at_once),
        cmocka_unit_test(test_claim_device__too_small_is_space),
        cmocka_unit_test(test_claim_device__held_by_another_is_a_conflict),
        cmocka_unit_test(test_claim_device__of_others_is_auth_with_a_hint),
        cmocka_unit_test(test_claim_device__lost_writes_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
