#include "converters/disk/raw.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"
#include "tests/support/sink_model.h"

static unsigned failing_fsyncs;

int fsync(int fd)
{
    if (failing_fsyncs > 0) {
        failing_fsyncs--;
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

static void test_raw_sink__fresh_one_is_a_hole_of_its_size(void **state)
{
    (void)state;
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "a.img");
    struct vf_sink *sink = NULL;
    struct stat st;
    assert_int_equal(vf_raw_sink_create(path, (5ull << 40) + 512, &sink, NULL), 0);
    assert_int_equal(vf_sink_zero(sink, 0, sink->size_bytes, NULL), 0);
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, (5ll << 40) + 512);
    assert_int_equal(st.st_blocks, 0);
    struct vf_error *err = NULL;
    check_error(vf_raw_sink_create(path, 512, &sink, &err), &err, VF_CONFLICT, "cannot create");
    const char *large = scratch_path(dir, "b.img");
    int rc = vf_raw_sink_create(large, INT64_MAX, &sink, &err);
    check_error(rc, &err, VF_SPACE, "cannot give");
    assert_int_not_equal(stat(large, &st), 0);
    scratch_release(dir);
}

static void test_raw_sink__matches_the_model(void **state)
{
    (void)state;
    const uint64_t sizes[] = {512, 3 * 65536 + 512, (7u << 20) + 1536};
    char *dir = scratch_new();
    for (unsigned i = 0; i < 3; i++) {
        struct vf_sink *sink = NULL;
        struct sink_model m;
        char name[16];
        snprintf(name, sizeof name, "%u.img", i);
        assert_int_equal(vf_raw_sink_create(scratch_path(dir, name), sizes[i], &sink, NULL), 0);
        sink_model_init(&m, sizes[i], i);
        sink_model_exercise(&m, sink, 300);
        assert_int_equal(vf_sink_finish(sink, NULL), 0);
        vf_sink_free(sink);
        size_t len;
        uint8_t *bytes = scratch_read(dir, name, &len);
        assert_int_equal(len, sizes[i]);
        assert_memory_equal(bytes, m.content, len);
        free(bytes);
        sink_model_release(&m);
    }
    scratch_release(dir);
}

static void test_raw_sink__many_threads_write_at_once(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_sink *sink = NULL;
    struct sink_model m;
    assert_int_equal(vf_raw_sink_create(scratch_path(dir, "a.img"), 16 << 20, &sink, NULL), 0);
    sink_model_init(&m, 16 << 20, 9);
    sink_model_exercise_parallel(&m, sink, 8);
    assert_int_equal(vf_sink_flush(sink, NULL), 0);
    sink_model_compare(&m, sink);
    vf_sink_free(sink);
    sink_model_release(&m);
    scratch_release(dir);
}

static struct vf_sink *reopen(const char *path, uint64_t size)
{
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    check_error(vf_raw_sink_open(path, size, &sink, &err), &err, VF_OK, "");
    return sink;
}

static void test_raw_sink_open__goes_on_over_many_rounds(void **state)
{
    (void)state;
    const uint64_t size = (3u << 20) + 512;
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "a.img");
    struct vf_sink *sink = NULL;
    struct sink_model m;
    sink_model_init(&m, size, 4);
    assert_int_equal(vf_raw_sink_create(path, size, &sink, NULL), 0);
    for (unsigned round = 0; round < 5; round++) {
        assert_true((sink->caps & VF_SINK_REWRITABLE) && (sink->caps & VF_SINK_READABLE));
        assert_int_equal((sink->caps & VF_SINK_STARTS_ZERO) != 0, round == 0);
        sink_model_exercise(&m, sink, 60);
        assert_int_equal(vf_sink_flush(sink, NULL), 0);
        vf_sink_free(sink);
        sink = reopen(path, size);
        sink_model_compare(&m, sink);
    }
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    sink = reopen(path, size); /* finished, and the cutover failed */
    sink_model_compare(&m, sink);
    vf_sink_free(sink);
    sink_model_release(&m);
    scratch_release(dir);
}

static void test_raw_sink_open__what_is_no_use_is_told(void **state)
{
    (void)state;
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "a.img");
    struct vf_sink *sink = NULL, *other = NULL;
    struct vf_error *err = NULL;
    check_error(vf_raw_sink_open(path, 512, &sink, &err), &err, VF_MISSING, "cannot open");
    assert_int_equal(vf_raw_sink_create(path, 1024, &sink, NULL), 0);
    check_error(vf_raw_sink_open(path, 1024, &other, &err), &err, VF_CONFLICT, "another vmferry");
    assert_int_equal(vf_sink_zero(sink, 0, 512, NULL), 0);
    vf_sink_free(sink);
    check_error(vf_raw_sink_open(path, 1024, &sink, &err), &err, VF_INVALID, "has 1025 bytes");
    scratch_write(dir, "a.img", "abc", 3);
    check_error(vf_raw_sink_open(path, 1024, &sink, &err), &err, VF_INVALID, "has 3 bytes");
    scratch_write(dir, "b", "abc", 3);
    assert_int_equal(symlink("b", scratch_path(dir, "link")), 0);
    check_error(vf_raw_sink_open(scratch_path(dir, "link"), 3, &sink, &err), &err, VF_CONFLICT,
                "not a regular file");
    assert_int_equal(mkfifo(scratch_path(dir, "fifo"), 0600), 0);
    check_error(vf_raw_sink_open(scratch_path(dir, "fifo"), 0, &sink, &err), &err, VF_CONFLICT,
                "not a regular file");
    scratch_release(dir);
}

/* The kernel tells of a write that failed once, and then no more. */
static void test_raw_sink__a_failed_flush_is_not_forgotten(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_raw_sink_create(scratch_path(dir, "a.img"), 512, &sink, NULL), 0);
    failing_fsyncs = 1;
    check_error(vf_sink_flush(sink, &err), &err, VF_INTERNAL, "durable");
    check_error(vf_sink_flush(sink, &err), &err, VF_INTERNAL, "durable");
    check_error(vf_sink_finish(sink, &err), &err, VF_INTERNAL, "durable");
    vf_sink_free(sink);
    scratch_release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw_sink__fresh_one_is_a_hole_of_its_size),
        cmocka_unit_test(test_raw_sink__matches_the_model),
        cmocka_unit_test(test_raw_sink__many_threads_write_at_once),
        cmocka_unit_test(test_raw_sink_open__goes_on_over_many_rounds),
        cmocka_unit_test(test_raw_sink_open__what_is_no_use_is_told),
        cmocka_unit_test(test_raw_sink__a_failed_flush_is_not_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
