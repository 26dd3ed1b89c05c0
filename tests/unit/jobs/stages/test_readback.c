#include "jobs/stages/readback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "jobs/digest.h"
#include "tests/support/disk_check.h"
#include "tests/support/leaf_digest.h"
#include "tests/support/memory_sink.h"

#define LEAF ((uint64_t)VF_LEAF_BYTES)
#define SIZE (3 * LEAF + 1536)

static struct vf_pool *pool;

static const uint8_t data[8192] = {7, 1, 9};

static void expect_digest(const struct vf_sink *s, const struct memory_sink *m)
{
    char want[LEAF_DIGEST_SIZE];
    char *vf_autofree got = NULL;
    leaf_digest(m->content, SIZE, want);
    assert_int_equal(vf_readback_format(s, &got, NULL), 0);
    assert_string_equal(got, want);
}

static struct vf_sink *new_stage(struct memory_sink *m, bool is_zero)
{
    struct vf_sink *s = NULL;
    if (is_zero) {
        memset(m->content, 0, SIZE);
    }
    assert_int_equal(vf_readback_stage_new(&m->base, is_zero, &s, NULL), 0);
    return s;
}

static void test_readback__an_old_target_is_read_whole(void **state)
{
    (void)state;
    struct memory_sink *m = memory_sink_new(SIZE, MEMORY_SINK_ALL);
    struct vf_sink *s = new_stage(m, false);
    struct vf_error *err = NULL;
    char *digest = NULL;
    check_error(vf_readback_format(s, &digest, &err), &err, VF_CONFLICT, "not read back");
    assert_int_equal(vf_readback_unknown_bytes(s), SIZE);
    assert_int_equal(vf_readback_refresh(s, pool, NULL, NULL), 0);
    assert_int_equal(m->n_reads, 4);
    expect_digest(s, m);
    vf_sink_free(s);
}

static void test_readback__only_what_was_written_is_read_again(void **state)
{
    (void)state;
    struct memory_sink *m = memory_sink_new(SIZE, MEMORY_SINK_ALL);
    struct vf_sink *s = new_stage(m, true);
    expect_digest(s, m); /* of zeros: nothing to read */
    assert_int_equal(vf_sink_write(s, data, 8192, LEAF - 4096, NULL), 0);
    assert_int_equal(vf_readback_unknown_bytes(s), 2 * LEAF);
    assert_int_equal(vf_readback_refresh(s, pool, NULL, NULL), 0);
    assert_int_equal(m->n_reads, 2);
    expect_digest(s, m);
    assert_int_equal(vf_sink_write(s, data, 512, SIZE - 512, NULL), 0);
    assert_int_equal(vf_sink_zero(s, 0, 4096, NULL), 0);
    assert_int_equal(vf_readback_refresh(s, pool, NULL, NULL), 0);
    assert_int_equal(m->n_reads, 4);
    expect_digest(s, m);
    vf_sink_free(s);
}

static void test_readback__a_zeroed_leaf_is_known(void **state)
{
    (void)state;
    struct memory_sink *m = memory_sink_new(SIZE, MEMORY_SINK_ALL);
    struct vf_sink *s = new_stage(m, false);
    assert_int_equal(vf_readback_refresh(s, pool, NULL, NULL), 0);
    assert_int_equal(vf_sink_zero(s, LEAF - 512, SIZE - LEAF + 512, NULL), 0);
    assert_int_equal(vf_readback_unknown_bytes(s), LEAF); /* the first, of which an end is zero */
    m->n_reads = 0;
    assert_int_equal(vf_readback_refresh(s, pool, NULL, NULL), 0);
    assert_int_equal(m->n_reads, 1);
    expect_digest(s, m);
    vf_sink_free(s);
}

static void test_readback__a_leaf_written_as_a_whole_is_known(void **state)
{
    (void)state;
    struct memory_sink *m = memory_sink_new(SIZE, MEMORY_SINK_ALL);
    struct vf_sink *s = new_stage(m, false);
    uint8_t *vf_autofree big = vf_xcalloc(1, SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        big[i] = (uint8_t)(i * 31 >> 7);
    }
    assert_int_equal(vf_sink_write(s, big, SIZE - 512, 512, NULL), 0);
    assert_int_equal(vf_readback_unknown_bytes(s), LEAF);
    assert_int_equal(vf_sink_write(s, big + 5, LEAF, 0, NULL), 0);
    assert_int_equal(vf_readback_unknown_bytes(s), 0);
    assert_int_equal(m->n_reads, 0);
    expect_digest(s, m);
    vf_sink_free(s);
}

static void test_readback__a_failed_write_is_not_trusted(void **state)
{
    (void)state;
    struct memory_sink *m = memory_sink_new(SIZE, MEMORY_SINK_ALL);
    struct vf_sink *s = new_stage(m, true);
    m->fail_call = 1;
    assert_int_equal(vf_sink_write(s, data, 512, 0, NULL), VF_SPACE);
    assert_int_equal(vf_sink_zero(s, LEAF, LEAF, NULL), VF_SPACE);
    assert_int_equal(vf_readback_unknown_bytes(s), 2 * LEAF);
    vf_sink_free(s);
}

static void test_readback__a_failed_read_is_told_and_done_again(void **state)
{
    (void)state;
    struct memory_sink *m = memory_sink_new(SIZE, MEMORY_SINK_ALL);
    struct vf_sink *s = new_stage(m, false);
    struct vf_error *err = NULL;
    m->fail_read = true;
    check_error(vf_readback_refresh(s, pool, NULL, &err), &err, VF_INTERNAL, "cannot be read");
    m->fail_read = false;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    vf_cancel_trigger(cancel);
    assert_int_equal(vf_readback_refresh(s, pool, cancel, NULL), VF_CANCELLED);
    vf_cancel_free(cancel);
    assert_int_equal(vf_readback_refresh(s, pool, NULL, NULL), 0);
    expect_digest(s, m);
    vf_sink_free(s);
}

/* What the target holds counts, not what it was given. */
static void test_readback__a_target_that_changes_bytes_is_found_out(void **state)
{
    (void)state;
    struct memory_sink *m = memory_sink_new(SIZE, MEMORY_SINK_ALL);
    struct vf_sink *s = new_stage(m, true);
    assert_int_equal(vf_sink_write(s, data, 512, 0, NULL), 0);
    m->content[5] ^= 1;
    assert_int_equal(vf_readback_refresh(s, pool, NULL, NULL), 0);
    expect_digest(s, m);
    vf_sink_free(s);
}

static int make_pool(void **state)
{
    (void)state;
    pool = vf_pool_new(3);
    return pool ? 0 : -1;
}

static int free_pool(void **state)
{
    (void)state;
    vf_pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readback__an_old_target_is_read_whole),
        cmocka_unit_test(test_readback__only_what_was_written_is_read_again),
        cmocka_unit_test(test_readback__a_zeroed_leaf_is_known),
        cmocka_unit_test(test_readback__a_leaf_written_as_a_whole_is_known),
        cmocka_unit_test(test_readback__a_failed_write_is_not_trusted),
        cmocka_unit_test(test_readback__a_failed_read_is_told_and_done_again),
        cmocka_unit_test(test_readback__a_target_that_changes_bytes_is_found_out),
    };
    return cmocka_run_group_tests(tests, make_pool, free_pool);
}
