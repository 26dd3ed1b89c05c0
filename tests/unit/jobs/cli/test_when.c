#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "jobs/cli/command.h"
#include "jobs/cli/when.h"

static int64_t duration(const char *text)
{
    int64_t ms = -1;
    struct vf_error *err = NULL;
    int rc = vf_when_parse_duration(text, &ms, &err);
    assert_true((rc == 0) == (err == NULL));
    assert_true(rc == 0 || (rc == VF_INVALID && ms == -1));
    vf_error_free(err);
    return ms;
}

static void test_when__durations(void **state)
{
    (void)state;
    assert_int_equal(duration("90"), 90000);
    assert_int_equal(duration("90s"), 90000);
    assert_int_equal(duration("5m"), 300000);
    assert_int_equal(duration("2h"), 7200000);
    assert_int_equal(duration("365d"), 365LL * 86400000);
    static const char *const bad[] = {
        "",    "0", "0s",   "-5",    "+5",   " 5",       "5 m",
        "5ms", "m", "1.5h", "1h30m", "366d", "31536001", "99999999999999999999",
        "0x10"};
    for (size_t i = 0; i < VF_COUNT(bad); i++) {
        assert_int_equal(duration(bad[i]), -1);
    }
}

static int64_t time_of(const char *text)
{
    int64_t s = -1;
    struct vf_error *err = NULL;
    int rc = vf_when_parse_time(text, &s, &err);
    assert_true((rc == 0) == (err == NULL));
    vf_error_free(err);
    return rc == 0 ? s : -1;
}

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

#define CET "CET-1CEST,M3.5.0,M10.5.0/3"

static void test_when__rfc_3339_is_the_same_everywhere(void **state)
{
    (void)state;
    static const char *const zones[] = {"UTC", CET, "NZST-12NZDT,M9.5.0,M4.1.0/3"};
    for (size_t i = 0; i < VF_COUNT(zones); i++) {
        set_zone(zones[i]);
        assert_int_equal(time_of("2026-11-22T02:00:00Z"), 1795312800);
        assert_int_equal(time_of("2026-11-22t02:00Z"), 1795312800);
        assert_int_equal(time_of("2026-11-22T03:00:00+01:00"), 1795312800);
        assert_int_equal(time_of("2026-11-21T20:30:00-05:30"), 1795312800);
        assert_int_equal(time_of("2026-11-22 02:00:00Z"), 1795312800);
        assert_int_equal(time_of("1970-01-01T00:00:00Z"), 0);
        assert_int_equal(time_of("2028-02-29T12:00:00Z"), 1835438400);
    }
}

static void test_when__without_an_offset_is_local(void **state)
{
    (void)state;
    set_zone(CET);
    assert_int_equal(time_of("2026-11-22 03:00"), 1795312800);
    assert_int_equal(time_of("2026-11-22 03:00:01"), 1795312801);
    assert_int_equal(time_of("2026-07-01 02:00"), time_of("2026-07-01T00:00:00Z"));
    set_zone("UTC");
    assert_int_equal(time_of("2026-11-22 02:00"), 1795312800);
}

static void test_when__local_time_that_is_skipped_or_comes_twice_is_invalid(void **state)
{
    (void)state;
    set_zone(CET);
    assert_int_equal(time_of("2026-03-29 02:30"), -1);
    assert_int_equal(time_of("2026-10-25 02:30"), -1);
    assert_int_equal(time_of("2026-03-29 01:59"), time_of("2026-03-29T00:59:00Z"));
    assert_int_equal(time_of("2026-10-25 03:00"), time_of("2026-10-25T02:00:00Z"));
}

static void test_when__what_is_no_time_is_invalid(void **state)
{
    (void)state;
    set_zone("UTC");
    static const char *const bad[] = {
        "",
        "02:00",
        "2026-11-22",
        "2026-11-22T02:00:00", /* RFC 3339 wants its offset */
        "2026-11-22 2:00",
        "2026-11-22 02:00 ",
        "2026-11-22T02:00:00ZZ",
        "2026-11-22T02:00:00+0100",
        "2026-11-22T02:00:00+24:00",
        "2026-02-29T02:00:00Z",
        "2026-13-01T02:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T02:60:00Z",
        "2026-11-22T23:59:60Z",
        "2026-11-22T02:00:00.5Z",
        "1969-12-31T23:59:59Z",
        "-026-11-22T02:00:00Z",
        "tomorrow",
    };
    for (size_t i = 0; i < VF_COUNT(bad); i++) {
        assert_int_equal(time_of(bad[i]), -1);
    }
}

static void test_when__window(void **state)
{
    (void)state;
    int64_t from_s = 7, until_s = 7;
    set_zone("UTC");
    assert_int_equal(
        vf_when_parse_window("2026-11-22T02:00Z/2026-11-22 05:00", &from_s, &until_s, NULL), 0);
    assert_int_equal(from_s, 1795312800);
    assert_int_equal(until_s, 1795312800 + 3 * 3600);
    static const char *const bad[] = {"2026-11-22 02:00", "2026-11-22 02:00/", "/2026-11-22 02:00",
                                      "2026-11-22 05:00/2026-11-22 02:00",
                                      "2026-11-22 05:00/2026-11-22 05:00"};
    for (size_t i = 0; i < VF_COUNT(bad); i++) {
        struct vf_error *err = NULL;
        assert_int_equal(vf_when_parse_window(bad[i], &from_s, &until_s, &err), VF_INVALID);
        assert_non_null(err);
        vf_error_free(err);
    }
    assert_int_equal(from_s, 1795312800);
}

static void test_when__is_printed_in_local_time(void **state)
{
    (void)state;
    char buf[VF_WHEN_SIZE];
    set_zone(CET);
    assert_string_equal(vf_when_print(buf, 1795312800), "2026-11-22 03:00:00 +0100");
    vf_when_print(buf, INT64_MAX); /* no such year */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when__durations),
        cmocka_unit_test(test_when__rfc_3339_is_the_same_everywhere),
        cmocka_unit_test(test_when__without_an_offset_is_local),
        cmocka_unit_test(test_when__local_time_that_is_skipped_or_comes_twice_is_invalid),
        cmocka_unit_test(test_when__what_is_no_time_is_invalid),
        cmocka_unit_test(test_when__window),
        cmocka_unit_test(test_when__is_printed_in_local_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
