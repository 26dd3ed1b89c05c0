#include "converters/disk/qcow2.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "converters/disk/image.h"
#include "importer/base/proc.h"
#include "tests/support/disk_check.h"
#include "tests/support/sink_model.h"
#include "tests/support/vmdk_writer.h"

#define CLUSTER 65536ull
#define SPAN    (8192 * CLUSTER) /* of one L2 table: 512 MiB */

/* qemu-img with these arguments must succeed. */
static void qemu_img(const char *const *argv)
{
    const struct vf_proc_options o = {.argv = argv, .timeout_ms = 60000};
    struct vf_error *err = NULL;
    if (vf_proc_run(&o, NULL, &err) != 0) {
        fail_msg("qemu-img %s: %s", argv[1], vf_error_message(err));
    }
}

/* No error and no leaked cluster. */
static void check_image(const char *path)
{
    qemu_img((const char *[]){"qemu-img", "check", "-f", "qcow2", path, NULL});
}

static void compare_image(const char *path, const char *raw)
{
    struct vf_disk *disk = NULL;
    struct stat st;
    check_image(path);
    assert_int_equal(stat(raw, &st), 0);
    assert_int_equal(vf_image_open(path, "qcow2", &disk, NULL, NULL), 0);
    assert_int_equal(disk->size_bytes, st.st_size);
    vf_disk_free(disk);
    qemu_img((const char *[]){"qemu-img", "compare", "-f", "qcow2", "-F", "raw", path, raw, NULL});
}

static struct vf_sink *create(const char *path, uint64_t size)
{
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    if (vf_qcow2_sink_create(path, size, &sink, &err) != 0) {
        fail_msg("%s", vf_error_message(err));
    }
    return sink;
}

static void finish(struct vf_sink *sink)
{
    struct vf_error *err = NULL;
    if (vf_sink_finish(sink, &err) != 0) {
        fail_msg("%s", vf_error_message(err));
    }
    vf_sink_free(sink);
}

static void test_qcow2_sink__random_writes_match_the_model(void **state)
{
    (void)state;
    const uint64_t sizes[] = {512,           CLUSTER - 512,      CLUSTER,
                              CLUSTER + 512, 9 * CLUSTER + 1024, (7u << 20) + 1536};
    char *dir = scratch_new();
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[16];
        struct sink_model m;
        snprintf(name, sizeof name, "%u.qcow2", i);
        const char *path = scratch_path(dir, name);
        struct vf_sink *sink = create(path, sizes[i]);
        sink_model_init(&m, sizes[i], i);
        sink_model_exercise(&m, sink, 300);
        assert_int_equal(vf_sink_flush(sink, NULL), 0);
        sink_model_exercise(&m, sink, 50);
        finish(sink);
        scratch_write(dir, "raw", m.content, (size_t)sizes[i]);
        compare_image(path, scratch_path(dir, "raw"));
        sink_model_release(&m);
    }
    scratch_release(dir);
}

/* A cluster that was written in part and ends the file: the rest of it is zero. */
static void test_qcow2_sink__partial_last_cluster_reads_back(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_sink *sink = create(scratch_path(dir, "a"), 4 * CLUSTER);
    uint8_t buf[2 * CLUSTER], model[2 * CLUSTER] = {0};
    memset(model + CLUSTER + 4096, 7, 4096);
    assert_int_equal(vf_sink_write(sink, model + CLUSTER + 4096, 4096, CLUSTER + 4096, NULL), 0);
    struct vf_error *err = NULL;
    if (vf_sink_read(sink, buf, sizeof buf, 0, &err) != 0) {
        fail_msg("%s", vf_error_message(err));
    }
    assert_memory_equal(buf, model, sizeof buf);
    finish(sink);
    check_image(scratch_path(dir, "a"));
    scratch_release(dir);
}

/* A few writes at the ends of tables and of the disk, against a sparse raw file. */
static void test_qcow2_sink__large_sizes_match(void **state)
{
    (void)state;
    const uint64_t sizes[] = {SPAN - CLUSTER, SPAN,      SPAN + CLUSTER,
                              SPAN + 512,     40 * SPAN, 64ull << 40};
    char *dir = scratch_new();
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *path = scratch_path(dir, "a.qcow2"), *raw = scratch_path(dir, "raw");
        struct vf_sink *sink = create(path, sizes[i]);
        int fd = open(raw, O_RDWR | O_CREAT | O_TRUNC, 0600);
        uint8_t data[3 * CLUSTER];
        uint64_t rng = i + 1;
        bool huge = sizes[i] > 1ull << 42; /* more than qemu-img compares in time */
        for (unsigned k = 0; k < sizeof data; k++) {
            data[k] = (uint8_t)vmdk_random(&rng);
        }
        assert_int_equal(ftruncate(fd, huge ? 0 : (off_t)sizes[i]), 0);
        uint64_t last = sizes[i] - 512;
        const uint64_t places[] = {last, 0, SPAN - 2 * CLUSTER - 512, sizes[i] / 2 / 512 * 512};
        for (unsigned k = 0; k < 4; k++) {
            uint64_t left = sizes[i] - places[k];
            size_t n = left < sizeof data ? (size_t)left : sizeof data;
            assert_int_equal(vf_sink_write(sink, data, n, places[k], NULL), 0);
            assert_true(huge || pwrite(fd, data, n, (off_t)places[k]) == (ssize_t)n);
        }
        assert_int_equal(vf_sink_zero(sink, 1024, 512, NULL), 0);
        assert_true(huge || pwrite(fd, (uint8_t[512]){0}, 512, 1024) == 512);
        finish(sink);
        close(fd);
        huge ? check_image(path) : compare_image(path, raw);
        unlink(path);
    }
    scratch_release(dir);
}

/* 40 tables and a cache of 16, in an order that evicts all the time. */
static void test_qcow2_sink__tables_go_out_and_come_back(void **state)
{
    (void)state;
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "a.qcow2"), *raw = scratch_path(dir, "raw");
    struct vf_sink *sink = create(path, 40 * SPAN);
    int fd = open(raw, O_RDWR | O_CREAT, 0600);
    assert_int_equal(ftruncate(fd, (off_t)(40 * SPAN)), 0);
    uint64_t rng = 3;
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t at = vmdk_random(&rng) % 40 * SPAN + vmdk_random(&rng) % 30 * 4096;
        uint8_t data[4096], back[4096];
        memset(data, (int)(vmdk_random(&rng) % 3 * 80), sizeof data);
        if (data[0] == 0) {
            assert_int_equal(vf_sink_zero(sink, at, sizeof data, NULL), 0);
        } else {
            assert_int_equal(vf_sink_write(sink, data, sizeof data, at, NULL), 0);
        }
        assert_int_equal(pwrite(fd, data, sizeof data, (off_t)at), (ssize_t)sizeof data);
        at = vmdk_random(&rng) % 40 * SPAN + vmdk_random(&rng) % 30 * 4096;
        assert_int_equal(vf_sink_read(sink, back, sizeof back, at, NULL), 0);
        assert_int_equal(pread(fd, data, sizeof data, (off_t)at), (ssize_t)sizeof data);
        assert_memory_equal(back, data, sizeof back);
    }
    finish(sink);
    close(fd);
    compare_image(path, raw);
    scratch_release(dir);
}

static void test_qcow2_sink__many_threads_write_at_once(void **state)
{
    (void)state;
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "a.qcow2");
    struct sink_model m;
    struct vf_sink *sink = create(path, 16 << 20);
    sink_model_init(&m, 16 << 20, 9);
    sink_model_exercise_parallel(&m, sink, 8);
    finish(sink);
    scratch_write(dir, "raw", m.content, 16 << 20);
    compare_image(path, scratch_path(dir, "raw"));
    sink_model_release(&m);
    scratch_release(dir);
}

static void test_qcow2_sink__all_zero_disk_is_small(void **state)
{
    (void)state;
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "a.qcow2");
    struct vf_sink *sink = create(path, 64ull << 40);
    struct stat st;
    assert_int_equal(vf_sink_zero(sink, 0, 64ull << 40, NULL), 0);
    finish(sink);
    check_image(path);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < 2 << 20);
    scratch_release(dir);
}

static void test_qcow2_sink__odd_size_is_rounded_up(void **state)
{
    (void)state;
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "a.qcow2");
    struct vf_sink *sink = create(path, 1000);
    uint8_t data[1000];
    memset(data, 5, sizeof data);
    assert_int_equal(vf_sink_write(sink, data, sizeof data, 0, NULL), 0);
    finish(sink);
    check_image(path);
    struct vf_disk *disk = NULL;
    assert_int_equal(vf_image_open(path, "qcow2", &disk, NULL, NULL), 0);
    assert_int_equal(disk->size_bytes, 1024);
    vf_disk_free(disk);
    scratch_release(dir);
}

static void test_qcow2_sink__unfinished_is_no_image(void **state)
{
    (void)state;
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "a.qcow2");
    struct vf_sink *sink = create(path, 1 << 20);
    uint8_t data[512] = {1};
    assert_int_equal(vf_sink_write(sink, data, sizeof data, 0, NULL), 0);
    assert_int_equal(vf_sink_flush(sink, NULL), 0);
    vf_sink_free(sink);
    struct vf_disk *disk = NULL;
    assert_int_not_equal(vf_image_open(path, "qcow2", &disk, NULL, NULL), 0);
    scratch_release(dir);
}

static void test_qcow2_sink__absurd_size_is_refused(void **state)
{
    (void)state;
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "a.qcow2");
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    const uint64_t sizes[] = {(2ull << 50) + 1, INT64_MAX, UINT64_MAX};
    for (unsigned i = 0; i < 3; i++) {
        check_error(vf_qcow2_sink_create(path, sizes[i], &sink, &err), &err, VF_UNSUPPORTED,
                    "too large for a qcow2 image");
        assert_int_not_equal(access(path, F_OK), 0);
    }
    scratch_write(dir, "a.qcow2", "x", 1);
    check_error(vf_qcow2_sink_create(path, 512, &sink, &err), &err, VF_CONFLICT, "cannot create");
    scratch_release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qcow2_sink__random_writes_match_the_model),
        cmocka_unit_test(test_qcow2_sink__partial_last_cluster_reads_back),
        cmocka_unit_test(test_qcow2_sink__large_sizes_match),
        cmocka_unit_test(test_qcow2_sink__tables_go_out_and_come_back),
        cmocka_unit_test(test_qcow2_sink__many_threads_write_at_once),
        cmocka_unit_test(test_qcow2_sink__all_zero_disk_is_small),
        cmocka_unit_test(test_qcow2_sink__odd_size_is_rounded_up),
        cmocka_unit_test(test_qcow2_sink__unfinished_is_no_image),
        cmocka_unit_test(test_qcow2_sink__absurd_size_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
