#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "jobs/stages/stage.h"
#include "tests/support/disk_check.h"
#include "tests/support/memory_sink.h"

static void test_progress_stage__counts_what_was_settled(void **state)
{
    (void)state;
    struct vf_progress p = {.total_bytes = 8192};
    struct memory_sink *m = memory_sink_new(8192, MEMORY_SINK_ALL);
    struct vf_sink *s = vf_progress_stage_new(&m->base, &p);
    uint8_t data[1024] = {1};
    assert_int_equal(vf_sink_write(s, data, 1024, 0, NULL), 0);
    assert_int_equal(vf_sink_zero(s, 1024, 4096, NULL), 0);
    assert_int_equal(vf_sink_read(s, data, 512, 0, NULL), 0);
    assert_int_equal(p.done_bytes, 5120);
    assert_int_equal(p.data_bytes, 1024);
    assert_int_equal(p.source_bytes, 0);
    assert_int_equal(vf_sink_flush(s, NULL), 0);
    assert_int_equal(vf_sink_finish(s, NULL), 0);
    assert_int_equal(m->n_finishes, 1);
    vf_sink_free(s);
}

static void test_progress_stage__does_not_count_what_failed(void **state)
{
    (void)state;
    struct vf_progress p = {.total_bytes = 8192};
    struct memory_sink *m = memory_sink_new(8192, MEMORY_SINK_ALL);
    struct vf_sink *s = vf_progress_stage_new(&m->base, &p);
    struct vf_error *err = NULL;
    uint8_t data[1024] = {1};
    m->fail_call = 1;
    check_error(vf_sink_write(s, data, 1024, 0, &err), &err, VF_SPACE, "full");
    check_error(vf_sink_zero(s, 0, 1024, &err), &err, VF_SPACE, "full");
    assert_int_equal(p.done_bytes, 0);
    assert_int_equal(p.data_bytes, 0);
    vf_sink_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress_stage__counts_what_was_settled),
        cmocka_unit_test(test_progress_stage__does_not_count_what_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
