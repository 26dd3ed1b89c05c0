#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/stages/stage.h"
#include "tests/support/disk_check.h"
#include "tests/support/memory_sink.h"
#include "tests/support/vmdk_writer.h"

#define KIB 1024u

/* One write of `len` bytes that are zero but for [from, to). */
static void write_one(size_t len, size_t from, size_t to, unsigned n_writes, unsigned n_zeros)
{
    struct memory_sink *m = memory_sink_new(len, 0);
    struct vf_sink *s = vf_zero_stage_new(&m->base);
    uint8_t *data = calloc(1, len);
    memset(data + from, 7, to - from);
    assert_int_equal(vf_sink_write(s, data, len, 0, NULL), 0);
    assert_true(memory_sink_covered(m, true));
    assert_memory_equal(m->content, data, len);
    assert_int_equal(m->n_writes, n_writes);
    assert_int_equal(m->n_zeros, n_zeros);
    free(data);
    vf_sink_free(s);
}

static void test_zero_stage__runs_become_zero_and_short_ones_stay(void **state)
{
    (void)state;
    write_one(1024 * KIB, 0, 1024 * KIB, 1, 0);
    write_one(1024 * KIB, 0, 0, 0, 1);
    write_one(512, 0, 0, 0, 1); /* zero as a whole */
    write_one(512, 0, 1, 1, 0);
    write_one(64 * KIB, 16 * KIB, 64 * KIB, 1, 1); /* a run in front */
    write_one(64 * KIB, 12 * KIB, 64 * KIB, 1, 0); /* too short */
    write_one(64 * KIB, 0, 48 * KIB, 1, 1);        /* a run behind */
    write_one(64 * KIB, 0, 52 * KIB, 1, 0);
    write_one(64 * KIB, 20 * KIB, 21 * KIB, 1, 2); /* both */
    write_one(64 * KIB + 512, 0, 48 * KIB, 1, 1);  /* with an odd end */
    write_one(64 * KIB, 64 * KIB - 1, 64 * KIB, 1, 1);
    write_one(64 * KIB, 0, 1, 1, 1);
}

static void test_zero_stage__random_content_passes_unchanged(void **state)
{
    (void)state;
    uint64_t rng = 3;
    for (unsigned i = 0; i < 300; i++) {
        size_t len = 512 * (1 + vmdk_random(&rng) % 600);
        struct memory_sink *m = memory_sink_new(len, 0);
        struct vf_sink *s = vf_zero_stage_new(&m->base);
        uint8_t *data = calloc(1, len);
        for (unsigned k = 0; k < 3 + i % 5; k++) {
            size_t at = vmdk_random(&rng) % len, n = vmdk_random(&rng) % 9000;
            memset(data + at, 9, n < len - at ? n : len - at);
        }
        assert_int_equal(vf_sink_write(s, data, len, 0, NULL), 0);
        assert_true(memory_sink_covered(m, true));
        assert_memory_equal(m->content, data, len);
        free(data);
        vf_sink_free(s);
    }
}

static void test_zero_stage__the_rest_is_handed_on(void **state)
{
    (void)state;
    struct memory_sink *m = memory_sink_new(64 * KIB, MEMORY_SINK_ALL);
    struct vf_sink *s = vf_zero_stage_new(&m->base);
    uint8_t buf[512];
    assert_int_equal(s->size_bytes, 64 * KIB);
    assert_int_equal(s->caps, MEMORY_SINK_ALL);
    assert_int_equal(vf_sink_zero(s, 512, 1024, NULL), 0);
    assert_int_equal(vf_sink_read(s, buf, 512, 512, NULL), 0);
    assert_int_equal(buf[0], 0);
    assert_int_equal(vf_sink_flush(s, NULL), 0);
    assert_int_equal(vf_sink_finish(s, NULL), 0);
    assert_int_equal(m->n_zeros, 1);
    assert_int_equal(m->n_reads, 1);
    assert_int_equal(m->n_finishes, 1);
    vf_sink_free(s);
}

static void test_zero_stage__errors_come_through(void **state)
{
    (void)state;
    uint8_t *data = calloc(1, 64 * KIB);
    data[30000] = 1;
    for (unsigned call = 1; call <= 3; call++) {
        struct memory_sink *m = memory_sink_new(64 * KIB, 0);
        struct vf_sink *s = vf_zero_stage_new(&m->base);
        struct vf_error *err = NULL;
        m->fail_call = call;
        check_error(vf_sink_write(s, data, 64 * KIB, 0, &err), &err, VF_SPACE, "full");
        assert_int_equal(m->n_writes + m->n_zeros, call);
        vf_sink_free(s);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_stage__runs_become_zero_and_short_ones_stay),
        cmocka_unit_test(test_zero_stage__random_content_passes_unchanged),
        cmocka_unit_test(test_zero_stage__the_rest_is_handed_on),
        cmocka_unit_test(test_zero_stage__errors_come_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
