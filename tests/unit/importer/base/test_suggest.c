#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "importer/base/suggest.h"

static void test_suggest_distance__counts_edits(void **state)
{
    (void)state;
    assert_int_equal(vf_suggest_distance("", ""), 0);
    assert_int_equal(vf_suggest_distance("", "abc"), 3);
    assert_int_equal(vf_suggest_distance("abc", ""), 3);
    assert_int_equal(vf_suggest_distance("import", "import"), 0);
    assert_int_equal(vf_suggest_distance("imprt", "import"), 1);
    assert_int_equal(vf_suggest_distance("improt", "import"), 1); /* a swap is one */
    assert_int_equal(vf_suggest_distance("WEB01", "web01"), 0);
    assert_int_equal(vf_suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(vf_suggest_distance("sitting", "kitten"), 3);
}

static void test_suggest_distance__too_long_is_far(void **state)
{
    (void)state;
    char longest[130];
    memset(longest, 'a', sizeof longest);
    longest[129] = 0;
    assert_true(vf_suggest_distance(longest, "a") == SIZE_MAX);
    assert_true(vf_suggest_distance("a", longest) == SIZE_MAX);
    longest[128] = 0;
    assert_int_equal(vf_suggest_distance(longest, "a"), 127);
}

static void test_suggest__nearest_wins_and_far_is_none(void **state)
{
    (void)state;
    static const char *const names[] = {"password-file", "progress", "proxy", "vm", "vmdk"};
    assert_string_equal(vf_suggest("vn", names, 5), "vm");
    assert_string_equal(vf_suggest("vmkd", names, 5), "vmdk");
    assert_string_equal(vf_suggest("porxy", names, 5), "proxy");
    assert_string_equal(vf_suggest("password", names, 5), "password-file");
    assert_null(vf_suggest("zzzzzz", names, 5));
    assert_null(vf_suggest("vm", names, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suggest_distance__counts_edits),
        cmocka_unit_test(test_suggest_distance__too_long_is_far),
        cmocka_unit_test(test_suggest__nearest_wins_and_far_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
