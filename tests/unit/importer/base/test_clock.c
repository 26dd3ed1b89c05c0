#include "importer/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void test_clock_ms__never_goes_back(void **state)
{
    (void)state;
    int64_t before_ms = vf_clock_ms();
    for (int i = 0; i < 100000; i++) {
        int64_t now_ms = vf_clock_ms();
        assert_true(now_ms >= before_ms);
        before_ms = now_ms;
    }
}

static void test_clock_rfc3339__reads_back_as_now(void **state)
{
    (void)state;
    char text[VF_CLOCK_RFC3339_SIZE];
    struct tm tm = {0};
    time_t before = time(NULL);
    vf_clock_rfc3339(text);
    time_t after = time(NULL);
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    assert_non_null(end);
    assert_int_equal(*end, '\0');
    assert_in_range(timegm(&tm), before, after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_ms__never_goes_back),
        cmocka_unit_test(test_clock_rfc3339__reads_back_as_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
