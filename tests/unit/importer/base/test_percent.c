#include "importer/base/percent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_percent_decode__only_whole_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"", ""},         {"a%20b", "a b"}, {"%41%4a%4A", "AJJ"}, {"%2E%2e%2F", "../"},
        {"100%", "100%"}, {"%2", "%2"},     {"%zz", "%zz"},       {"%00", "%00"},
        {"%%41", "%A"},   {"a+b", "a+b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *s = vf_percent_decode(rows[i].in);
        assert_string_equal(s, rows[i].out);
        free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percent_decode__only_whole_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
