#include "importer/kube/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *text, size_t max_bytes, const char *clean)
{
    char *got = vf_kube_clean_text(text, max_bytes);
    assert_string_equal(got, clean);
    free(got);
}

static void test_kube_clean_text__is_one_plain_line(void **state)
{
    (void)state;
    expect(NULL, 10, "");
    expect("  a\n\tb  ", 10, "a b");
    expect("\x1b[31mred\x1b[0m", 20, "[31mred [0m");
    expect("a\xc2\x9b"
           "b\xe2\x80\xae"
           "c\xe2\x81\xa6",
           20, "a b c");
    expect("\xc3\xa4\xff\xf0\x9f\x98\x80", 20, "\xc3\xa4\xef\xbf\xbd\xf0\x9f\x98\x80");
}

static void test_kube_clean_text__is_cut_between_characters(void **state)
{
    (void)state;
    expect("abcdef", 6, "abcdef");
    expect("abcdefg", 6, "abcdef...");
    expect("ab\xf0\x9f\x98\x80", 5, "ab...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kube_clean_text__is_one_plain_line),
        cmocka_unit_test(test_kube_clean_text__is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
