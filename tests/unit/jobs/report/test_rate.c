#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jobs/report/rate.h"

#define MIB (UINT64_C(1) << 20)

static void test_rate__steady_pace_is_told_at_once(void **state)
{
    (void)state;
    struct vf_rate r = {0};
    assert_int_equal(vf_rate_bytes_per_s(&r), 0);
    vf_rate_sample(&r, 5000, 0);
    assert_int_equal(vf_rate_bytes_per_s(&r), 0);
    for (int i = 1; i <= 50; i++) {
        vf_rate_sample(&r, 5000 + i * 200, (uint64_t)i * 20 * MIB);
        assert_in_range(vf_rate_bytes_per_s(&r), 100 * MIB - 1, 100 * MIB);
    }
}

static void test_rate__follows_a_change_within_some_seconds(void **state)
{
    (void)state;
    struct vf_rate r = {0};
    uint64_t bytes = 0;
    int64_t now_ms = 0;
    for (int i = 0; i < 100; i++, now_ms += 200, bytes += 200 * MIB) {
        vf_rate_sample(&r, now_ms, bytes);
    }
    for (int i = 0; i < 5; i++, now_ms += 200, bytes += 20 * MIB) {
        vf_rate_sample(&r, now_ms, bytes);
    }
    assert_true(vf_rate_bytes_per_s(&r) > 500 * MIB); /* one second does not upset it */
    for (int i = 0; i < 150; i++, now_ms += 200, bytes += 20 * MIB) {
        vf_rate_sample(&r, now_ms, bytes);
    }
    assert_in_range(vf_rate_bytes_per_s(&r), 100 * MIB, 140 * MIB);
}

static void test_rate__same_moment_twice_changes_nothing(void **state)
{
    (void)state;
    struct vf_rate r = {0};
    vf_rate_sample(&r, 0, 0);
    vf_rate_sample(&r, 1000, MIB);
    vf_rate_sample(&r, 1000, 500 * MIB);
    assert_in_range(vf_rate_bytes_per_s(&r), MIB - 1, MIB);
}

static void test_rate__counter_or_clock_that_goes_back_starts_afresh(void **state)
{
    (void)state;
    struct vf_rate r = {0};
    vf_rate_sample(&r, 0, 0);
    vf_rate_sample(&r, 2000, 100 * MIB);
    vf_rate_sample(&r, 3000, 0);
    assert_int_equal(vf_rate_bytes_per_s(&r), 0);
    vf_rate_sample(&r, 4000, MIB);
    vf_rate_sample(&r, 1000, 2 * MIB);
    assert_int_equal(vf_rate_bytes_per_s(&r), 0);
}

static void test_rate_eta__needs_a_second_and_movement(void **state)
{
    (void)state;
    struct vf_rate r = {0};
    assert_int_equal(vf_rate_eta_s(&r, MIB), -1);
    vf_rate_sample(&r, 0, 0);
    vf_rate_sample(&r, 900, 9 * MIB);
    assert_int_equal(vf_rate_eta_s(&r, 100 * MIB), -1);
    vf_rate_sample(&r, 1000, 10 * MIB);
    assert_in_range(vf_rate_eta_s(&r, 100 * MIB), 10, 11);
    assert_int_equal(vf_rate_eta_s(&r, 1), 1);
    assert_int_equal(vf_rate_eta_s(&r, 0), 0);

    struct vf_rate still = {0};
    vf_rate_sample(&still, 0, MIB);
    vf_rate_sample(&still, 5000, MIB);
    assert_int_equal(vf_rate_eta_s(&still, MIB), -1);
}

static void test_rate_eta__beyond_reason_is_unknown(void **state)
{
    (void)state;
    struct vf_rate r = {0};
    vf_rate_sample(&r, 0, 0);
    vf_rate_sample(&r, 10000, 10);
    assert_int_equal(vf_rate_eta_s(&r, UINT64_MAX), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rate__steady_pace_is_told_at_once),
        cmocka_unit_test(test_rate__follows_a_change_within_some_seconds),
        cmocka_unit_test(test_rate__same_moment_twice_changes_nothing),
        cmocka_unit_test(test_rate__counter_or_clock_that_goes_back_starts_afresh),
        cmocka_unit_test(test_rate_eta__needs_a_second_and_movement),
        cmocka_unit_test(test_rate_eta__beyond_reason_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
