#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/report/text.h"

static void check_safe(const char *in, const char *out)
{
    char *got = vf_text_safe(in);
    assert_string_equal(got, out);
    free(got);
}

static void test_text_safe__plain_and_utf8_stay(void **state)
{
    (void)state;
    check_safe("", "");
    check_safe("web 01", "web 01");
    check_safe("b\xc3\xbcro \xe6\x97\xa5\xe6\x9c\xac", "b\xc3\xbcro \xe6\x97\xa5\xe6\x9c\xac");
}

static void test_text_safe__what_steers_a_terminal_is_replaced(void **state)
{
    (void)state;
    check_safe("a\033[2Jb", "a?[2Jb");
    check_safe("a\r\n\tb\x7f", "a???b?");
    check_safe("a\xc2\x9b"
               "31mb",
               "a?31mb"); /* C1 CSI */
    check_safe("vm\xe2\x80\xae"
               "10bew",
               "vm?10bew"); /* right-to-left override */
}

static void test_text_safe__bad_utf8_is_replaced_byte_by_byte(void **state)
{
    (void)state;
    check_safe("a\xff\xc3", "a??");
    check_safe("\xed\xa0\x80", "???"); /* a surrogate */
}

static void test_text_width__counts_columns(void **state)
{
    (void)state;
    assert_int_equal(vf_text_width("web01"), 5);
    assert_int_equal(vf_text_width("b\xc3\xbcro"), 4);
    assert_int_equal(vf_text_width("\xe6\x97\xa5\xe6\x9c\xac"), 4); /* two wide ones */
    assert_int_equal(vf_text_width("e\xcc\x81"), 1);                /* a combining accent */
    assert_int_equal(vf_text_width("\033\xff"), 2);
}

static void check_fitted(const char *in, size_t columns, bool right, const char *out)
{
    struct vf_buf b;
    vf_buf_init(&b, 1000);
    vf_text_put_fitted(&b, in, columns, right);
    assert_string_equal(b.data ? b.data : "", out);
    vf_buf_release(&b);
}

static void test_text_fitted__fills_and_cuts(void **state)
{
    (void)state;
    check_fitted("ab", 4, false, "ab  ");
    check_fitted("ab", 4, true, "  ab");
    check_fitted("abcd", 4, true, "abcd");
    check_fitted("abcde", 4, false, "abc\xe2\x80\xa6");
    check_fitted("abc", 1, false, "\xe2\x80\xa6");
    check_fitted("abc", 0, false, "");
}

static void test_text_fitted__half_a_wide_character_becomes_a_blank(void **state)
{
    (void)state;
    check_fitted("\xe6\x97\xa5\xe6\x9c\xac", 3, false, "\xe6\x97\xa5\xe2\x80\xa6");
    check_fitted("\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5", 4, false, "\xe6\x97\xa5\xe2\x80\xa6 ");
}

static void test_text_bytes__rounded_down(void **state)
{
    (void)state;
    static const struct {
        uint64_t n_bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {UINT64_C(40) << 30, "40.0 GiB"},
        {(UINT64_C(40) << 30) - 1, "39.9 GiB"},
        {(UINT64_C(1) << 40) - 1, "1023 GiB"},
        {UINT64_C(1) << 40, "1.0 TiB"},
        {UINT64_C(1280) << 20, "1.2 GiB"},
        {(UINT64_C(100) << 30) - 1, "99.9 GiB"},
        {UINT64_MAX, "15.9 EiB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char buf[VF_TEXT_BYTES_SIZE];
        assert_string_equal(vf_text_bytes(buf, cases[i].n_bytes), cases[i].text);
    }
}

static void test_text_duration__grows_with_time(void **state)
{
    (void)state;
    char buf[VF_TEXT_DURATION_SIZE];
    assert_string_equal(vf_text_duration(buf, 0), "0:00");
    assert_string_equal(vf_text_duration(buf, 67), "1:07");
    assert_string_equal(vf_text_duration(buf, 3661), "1:01:01");
    assert_string_equal(vf_text_duration(buf, 2 * 86400 + 5), "2d 00:00:05");
    assert_string_equal(vf_text_duration(buf, UINT64_MAX), "213503982334601d 07:00:15");
}

int main(void)
{
    if (!setlocale(LC_ALL, "C.UTF-8")) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_safe__plain_and_utf8_stay),
        cmocka_unit_test(test_text_safe__what_steers_a_terminal_is_replaced),
        cmocka_unit_test(test_text_safe__bad_utf8_is_replaced_byte_by_byte),
        cmocka_unit_test(test_text_width__counts_columns),
        cmocka_unit_test(test_text_fitted__fills_and_cuts),
        cmocka_unit_test(test_text_fitted__half_a_wide_character_becomes_a_blank),
        cmocka_unit_test(test_text_bytes__rounded_down),
        cmocka_unit_test(test_text_duration__grows_with_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
