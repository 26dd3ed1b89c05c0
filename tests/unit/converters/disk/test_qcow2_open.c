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
#include "converters/disk/qcow2.h"
#include "converters/disk/qcow2_format.h"
#include "converters/disk/qcow2_journal.h"
#include "importer/base/bytes.h"
#include "importer/base/mem.h"
#include "tests/support/disk_check.h"
#include "tests/support/sink_model.h"

#define CLUSTER ((uint64_t)QCOW2_CLUSTER_BYTES)
#define SPAN    (8192 * CLUSTER)
#define SIZE    (2 * SPAN + 5 * CLUSTER)

/* Of the image that make() makes: header, L1, and then in the order of writing. */
#define L1_AT    CLUSTER
#define FIRST_L2 (2 * CLUSTER) /* disk offset 0 */
#define LAST_L2  (4 * CLUSTER) /* disk offset 2 * SPAN */
#define CLUSTERS 6ull

struct image {
    char *dir;
    const char *path;
    int fd;
};

static struct vf_sink *reopen(const char *path, uint64_t size)
{
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    check_error(vf_qcow2_sink_open(path, size, &sink, &err), &err, VF_OK, "");
    return sink;
}

/* Two clusters in two tables; flushed. */
static void make(struct image *m)
{
    struct vf_sink *sink = NULL;
    uint8_t data[512];
    memset(data, 7, sizeof data);
    unlink(m->path);
    assert_int_equal(vf_qcow2_sink_create(m->path, SIZE, &sink, NULL), 0);
    assert_int_equal(vf_sink_write(sink, data, sizeof data, 0, NULL), 0);
    assert_int_equal(vf_sink_write(sink, data, sizeof data, 2 * SPAN + 4 * CLUSTER, NULL), 0);
    assert_int_equal(vf_sink_flush(sink, NULL), 0);
    vf_sink_free(sink);
    if (m->fd >= 0) {
        close(m->fd);
    }
    m->fd = open(m->path, O_RDWR);
    assert_true(m->fd >= 0);
}

static int make_image(void **state)
{
    struct image *m = vf_xcalloc(1, sizeof *m);
    m->dir = scratch_new();
    m->path = vf_xstrdup(scratch_path(m->dir, "a.qcow2"));
    m->fd = -1;
    make(m);
    *state = m;
    return 0;
}

static int drop_image(void **state)
{
    struct image *m = *state;
    close(m->fd);
    scratch_release(m->dir);
    free((char *)(uintptr_t)m->path);
    free(m);
    return 0;
}

static void poke(const struct image *m, uint64_t at, uint64_t value)
{
    uint8_t bytes[8];
    be64_store(bytes, value);
    assert_int_equal(pwrite(m->fd, bytes, 8, (off_t)at), 8);
}

static uint64_t peek(const struct image *m, uint64_t at)
{
    uint8_t bytes[8];
    assert_int_equal(pread(m->fd, bytes, 8, (off_t)at), 8);
    return be64_load(bytes);
}

static void expect_invalid(const struct image *m, uint64_t size, const char *part)
{
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    check_error(vf_qcow2_sink_open(m->path, size, &sink, &err), &err, VF_INVALID, part);
}

static void put_record(const struct image *m, uint64_t generation, uint64_t size, uint64_t clusters)
{
    const struct qcow2_commit c = {
        .generation = generation, .size_bytes = size, .clusters = clusters};
    assert_int_equal(qcow2_commit_write(m->fd, m->path, &c, NULL), 0);
}

static void test_qcow2_open__table_entries_are_not_taken_on_trust(void **state)
{
    struct image *m = *state;
    const struct {
        uint64_t at, value;
        const char *why;
    } cases[] = {
        {FIRST_L2 + 8, 3 * CLUSTER | QCOW2_FLAG_COPIED, "a second table entry for one cluster"},
        {FIRST_L2 + 8, FIRST_L2 | QCOW2_FLAG_COPIED, "a second table entry for one cluster"},
        {FIRST_L2, 0, "its tables name 3 of 4 clusters"},
        {FIRST_L2, 9 * CLUSTER | QCOW2_FLAG_COPIED, "its tables name 3 of 4 clusters"},
        {FIRST_L2, CLUSTER | QCOW2_FLAG_COPIED, "none of ours"},
        {FIRST_L2, 0x1ff, "none of ours"},
        {FIRST_L2, 3 * CLUSTER, "none of ours"},
        {FIRST_L2, 3 * CLUSTER | QCOW2_FLAG_COPIED | QCOW2_FLAG_ZERO, "none of ours"},
        {FIRST_L2, 3 * CLUSTER | QCOW2_FLAG_COPIED | QCOW2_FLAG_COMPRESSED, "none of ours"},
        {FIRST_L2, (3 * CLUSTER + 512) | QCOW2_FLAG_COPIED, "none of ours"},
        {LAST_L2 + 5 * 8, 5 * CLUSTER | QCOW2_FLAG_COPIED, "for one cluster"},
        {L1_AT, LAST_L2 | QCOW2_FLAG_COPIED, "for one cluster"},
        {L1_AT + 8, 3 * CLUSTER | QCOW2_FLAG_COPIED, "for one cluster"},
        {L1_AT, 0, "its tables name 2 of 4 clusters"},
        {L1_AT, UINT64_MAX, "its tables name 2 of 4 clusters"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        make(m);
        poke(m, cases[i].at, cases[i].value);
        expect_invalid(m, SIZE, cases[i].why);
    }
    /* Behind the disk's end. */
    make(m);
    poke(m, LAST_L2 + 5 * 8, peek(m, LAST_L2 + 4 * 8));
    poke(m, LAST_L2 + 4 * 8, 0);
    expect_invalid(m, SIZE, "behind the end of the disk");
}

static void test_qcow2_open__records_are_not_taken_on_trust(void **state)
{
    struct image *m = *state;
    expect_invalid(m, SIZE + 512, "is of a disk of");
    put_record(m, 2, SIZE, CLUSTERS + 1);
    expect_invalid(m, SIZE, "clusters of it were flushed");
    put_record(m, 2, SIZE, UINT64_MAX);
    expect_invalid(m, SIZE, "clusters of it were flushed");
    put_record(m, 2, SIZE, 1);
    expect_invalid(m, SIZE, "clusters of it were flushed");
    make(m);
    assert_int_equal(ftruncate(m->fd, (off_t)(CLUSTERS * CLUSTER - 1)), 0);
    expect_invalid(m, SIZE, "clusters of it were flushed");
    make(m);
    poke(m, qcow2_commit_offset(1) + 24, SIZE + 512);
    expect_invalid(m, SIZE, "was never flushed");
    make(m);
    uint8_t record[QCOW2_RECORD_BYTES];
    const struct qcow2_commit even = {.generation = 2, .size_bytes = SIZE, .clusters = CLUSTERS};
    qcow2_commit_encode(&even, record); /* where the odd ones stand */
    assert_int_equal(pwrite(m->fd, record, sizeof record, (off_t)qcow2_commit_offset(1)), 512);
    expect_invalid(m, SIZE, "was never flushed");
    assert_int_equal(ftruncate(m->fd, 0), 0);
    expect_invalid(m, SIZE, "was never flushed");
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    check_error(vf_qcow2_sink_open(m->path, UINT64_MAX, &sink, &err), &err, VF_UNSUPPORTED,
                "too large");
    unlink(m->path);
    check_error(vf_qcow2_sink_open(m->path, SIZE, &sink, &err), &err, VF_MISSING, "cannot open");
}

/* A physical sector that got lost while a record was written into it. */
static void test_qcow2_open__one_whole_record_is_enough(void **state)
{
    struct image *m = *state;
    uint8_t garbage[4096];
    memset(garbage, 0xa5, sizeof garbage);
    assert_int_equal(pwrite(m->fd, garbage, 4096, (off_t)qcow2_commit_offset(2)), 4096);
    vf_sink_free(reopen(m->path, SIZE));
    make(m);
    put_record(m, 2, SIZE, CLUSTERS);
    assert_int_equal(pwrite(m->fd, garbage, 4096, (off_t)qcow2_commit_offset(1)), 4096);
    vf_sink_free(reopen(m->path, SIZE));
}

static void test_qcow2_open__entries_of_after_the_flush_are_dropped_for_good(void **state)
{
    struct image *m = *state;
    uint8_t data[512], zeros[512] = {0};
    memset(data, 9, sizeof data);
    poke(m, FIRST_L2 + 8, CLUSTERS * CLUSTER | QCOW2_FLAG_COPIED);
    poke(m, L1_AT + 8, (CLUSTERS + 1) * CLUSTER | QCOW2_FLAG_COPIED);
    assert_int_equal(pwrite(m->fd, data, sizeof data, (off_t)(CLUSTERS * CLUSTER)), 512);
    struct vf_sink *sink = reopen(m->path, SIZE);
    assert_int_equal(peek(m, FIRST_L2 + 8), 0);
    assert_int_equal(vf_sink_read(sink, data, sizeof data, CLUSTER, NULL), 0);
    assert_memory_equal(data, zeros, sizeof data);
    /* The cluster is given to somebody else, and is his alone. */
    memset(data, 3, sizeof data);
    assert_int_equal(vf_sink_write(sink, data, sizeof data, 2 * CLUSTER + 512, NULL), 0);
    assert_int_equal(vf_sink_flush(sink, NULL), 0);
    vf_sink_free(sink);
    sink = reopen(m->path, SIZE);
    assert_int_equal(vf_sink_read(sink, data, sizeof data, 2 * CLUSTER, NULL), 0);
    assert_memory_equal(data, zeros, sizeof data);
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    assert_int_equal(run_qemu_img(m->dir, "check", "-f", "qcow2", "a.qcow2", NULL), 0);
}

static void test_qcow2_open__finished_is_unfinished_again(void **state)
{
    struct image *m = *state;
    struct vf_disk *disk = NULL;
    for (unsigned i = 0; i < 3; i++) {
        struct vf_sink *sink = reopen(m->path, SIZE);
        assert_int_equal(vf_sink_finish(sink, NULL), 0);
        vf_sink_free(sink);
        assert_int_equal(run_qemu_img(m->dir, "check", "-f", "qcow2", "a.qcow2", NULL), 0);
        sink = reopen(m->path, SIZE);
        vf_sink_free(sink);
        assert_int_not_equal(vf_image_open(m->path, "qcow2", &disk, NULL, NULL), 0);
    }
    struct vf_sink *sink = reopen(m->path, SIZE);
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    assert_int_equal(ftruncate(m->fd, 40 * (off_t)CLUSTER), 0);
    expect_invalid(m, SIZE, "changed by another program");
    assert_int_equal(vf_image_open(m->path, "qcow2", &disk, NULL, NULL), 0);
    vf_disk_free(disk); /* and left as it is */
}

/* Rounds that write the same areas again, by many threads. */
static void test_qcow2_open__rewriting_does_not_grow_the_file(void **state)
{
    struct image *m = *state;
    const uint64_t size = 16 << 20;
    const char *path = scratch_path(m->dir, "rounds");
    char *vf_autofree own = vf_xstrdup(path);
    struct vf_sink *sink = NULL;
    struct sink_model model;
    struct stat first, st;
    sink_model_init(&model, size, 9);
    assert_int_equal(vf_qcow2_sink_create(own, size, &sink, NULL), 0);
    sink_model_exercise_parallel(&model, sink, 8);
    assert_int_equal(vf_sink_flush(sink, NULL), 0);
    assert_int_equal(stat(own, &first), 0);
    for (unsigned i = 0; i < 4; i++) {
        vf_sink_free(sink);
        sink = reopen(own, size);
        sink_model_compare(&model, sink);
        sink_model_exercise_parallel(&model, sink, 8);
        assert_int_equal(vf_sink_flush(sink, NULL), 0);
        assert_int_equal(stat(own, &st), 0);
        assert_int_equal(st.st_size, first.st_size);
    }
    assert_int_equal(vf_sink_zero(sink, 0, size, NULL), 0);
    assert_int_equal(vf_sink_flush(sink, NULL), 0);
    assert_int_equal(stat(own, &st), 0);
    assert_true(st.st_blocks * 512 < (off_t)(8 * CLUSTER)); /* given back */
    vf_sink_free(sink);
    sink_model_release(&model);
}

/* An L1 of several clusters, of which a round writes some. */
static void test_qcow2_open__large_disks_come_back(void **state)
{
    struct image *m = *state;
    const uint64_t size = 9ull << 40,
                   at[] = {0, size - 512, 4ull << 40, (4ull << 40) - 512, 1 << 20};
    char *vf_autofree path = vf_xstrdup(scratch_path(m->dir, "large"));
    struct vf_sink *sink = NULL;
    uint8_t data[512], back[512];
    assert_int_equal(vf_qcow2_sink_create(path, size, &sink, NULL), 0);
    for (unsigned i = 0; i < 5; i++) {
        memset(data, (int)i + 1, sizeof data);
        assert_int_equal(vf_sink_write(sink, data, sizeof data, at[i], NULL), 0);
        assert_int_equal(vf_sink_flush(sink, NULL), 0);
        vf_sink_free(sink);
        sink = reopen(path, size);
        for (unsigned k = 0; k < 5; k++) {
            memset(data, k <= i ? (int)k + 1 : 0, sizeof data);
            assert_int_equal(vf_sink_read(sink, back, sizeof back, at[k], NULL), 0);
            assert_memory_equal(back, data, sizeof data);
        }
    }
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    assert_int_equal(run_qemu_img(m->dir, "check", "-f", "qcow2", "large", NULL), 0);
}

static void test_qcow2_open__no_two_at_once(void **state)
{
    struct image *m = *state;
    struct vf_sink *sink = reopen(m->path, SIZE), *other = NULL;
    struct vf_error *err = NULL;
    check_error(vf_qcow2_sink_open(m->path, SIZE, &other, &err), &err, VF_CONFLICT,
                "another vmferry");
    vf_sink_free(sink);
}

#define with_image(test) cmocka_unit_test_setup_teardown(test, make_image, drop_image)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_image(test_qcow2_open__table_entries_are_not_taken_on_trust),
        with_image(test_qcow2_open__records_are_not_taken_on_trust),
        with_image(test_qcow2_open__one_whole_record_is_enough),
        with_image(test_qcow2_open__entries_of_after_the_flush_are_dropped_for_good),
        with_image(test_qcow2_open__finished_is_unfinished_again),
        with_image(test_qcow2_open__rewriting_does_not_grow_the_file),
        with_image(test_qcow2_open__large_disks_come_back),
        with_image(test_qcow2_open__no_two_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
