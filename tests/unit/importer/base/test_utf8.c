#include "importer/base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_utf8_decode__only_rfc3629(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        uint32_t c;
    } rows[] = {
        {"A", 1, 'A'},
        {"\xc3\xa4", 2, 0xe4},
        {"\xe2\x82\xac", 3, 0x20ac},
        {"\xf0\x9f\x98\x80", 4, 0x1f600},
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
        {"\x80", 0, 0},             /* continuation alone */
        {"\xc0\xaf", 0, 0},         /* overlong '/' */
        {"\xe0\x80\xaf", 0, 0},     /* overlong */
        {"\xf0\x80\x80\xaf", 0, 0}, /* overlong */
        {"\xed\xa0\x80", 0, 0},     /* surrogate */
        {"\xf4\x90\x80\x80", 0, 0}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 0, 0},
        {"\xe2\x82", 0, 0}, /* cut */
        {"\xe2\x28\xa1", 0, 0},
        {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t c = 0;
        assert_int_equal(vf_utf8_decode(rows[i].bytes, strlen(rows[i].bytes), &c), rows[i].n);
        assert_int_equal(c, rows[i].c);
    }
}

static void test_utf8_clean__bad_bytes_are_replaced(void **state)
{
    (void)state;
    char *s = vf_utf8_clean("a\xc3\xa4\xff z\xe2\x82");
    assert_string_equal(s, "a\xc3\xa4\xef\xbf\xbd z\xef\xbf\xbd\xef\xbf\xbd");
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_decode__only_rfc3629),
        cmocka_unit_test(test_utf8_clean__bad_bytes_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
