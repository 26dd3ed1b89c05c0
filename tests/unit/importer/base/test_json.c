#include "importer/base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect_invalid(const char *text, const char *message)
{
    cJSON *tree = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_json_parse(text, strlen(text), "the record", &tree, &err), VF_INVALID);
    assert_null(tree);
    assert_non_null(strstr(vf_error_message(err), message));
    vf_error_free(err);
}

static void test_json_parse__damage_is_invalid_with_place(void **state)
{
    (void)state;
    expect_invalid("", "the record is empty");
    expect_invalid("{\"a\": tru}", "byte 6");
    expect_invalid("{\"a\": 1", "the record is not JSON");
    expect_invalid("{} x", "text after its end at byte 3");
    expect_invalid("{}{}", "text after its end at byte 2");
}

static void test_json_parse__deep_nesting_is_invalid(void **state)
{
    (void)state;
    size_t n = 100000;
    char *text = malloc(n);
    memset(text, '[', n);
    cJSON *tree = NULL;
    assert_int_equal(vf_json_parse(text, n, "x", &tree, NULL), VF_INVALID);
    free(text);
}

static void test_json_parse__length_bounds_the_text(void **state)
{
    (void)state;
    char *text = malloc(2); /* no terminator: the sanitizer sees a read beyond */
    memcpy(text, "17", 2);
    cJSON *tree = NULL;
    assert_int_equal(vf_json_parse(text, 2, "x", &tree, NULL), 0);
    assert_true(tree->valuedouble == 17);
    cJSON_Delete(tree);
    free(text);
}

static cJSON *parse(const char *text)
{
    cJSON *tree = NULL;
    assert_int_equal(vf_json_parse(text, strlen(text), "x", &tree, NULL), 0);
    return tree;
}

static void test_json_get__other_type_is_absent(void **state)
{
    (void)state;
    cJSON *t =
        parse(" {\"s\": \"x\", \"s\": \"y\", \"o\": {}, \"a\": [], \"b\": true, \"n\": 3} \n");
    assert_string_equal(vf_json_string(t, "s"), "x");
    assert_null(vf_json_string(t, "o"));
    assert_null(vf_json_string(t, "S"));
    assert_non_null(vf_json_object(t, "o"));
    assert_null(vf_json_object(t, "a"));
    assert_non_null(vf_json_array(t, "a"));
    assert_null(vf_json_array(t, "o"));
    assert_true(vf_json_bool(t, "b", false));
    assert_true(vf_json_bool(t, "n", true));
    assert_false(vf_json_bool(t, "absent", false));
    cJSON_Delete(t);
}

static void test_json_u64__only_exact_whole_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"{\"v\": 0}", true, 0},
        {"{\"v\": 21474836480}", true, UINT64_C(21474836480)},
        {"{\"v\": 9007199254740992}", true, UINT64_C(9007199254740992)},
        {"{\"v\": 1e3}", true, 1000},
        {"{\"v\": 9007199254740994}", false, 0},
        {"{\"v\": -1}", false, 0},
        {"{\"v\": 1.5}", false, 0},
        {"{\"v\": 1e300}", false, 0},
        {"{\"v\": 1e999}", false, 0},
        {"{\"v\": \"5\"}", false, 0},
        {"{\"v\": null}", false, 0},
        {"{}", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cJSON *t = parse(rows[i].text);
        uint64_t v = 0;
        assert_int_equal(vf_json_u64(t, "v", &v), rows[i].ok);
        assert_true(v == rows[i].value);
        cJSON_Delete(t);
    }
}

static void test_json_print__numbers_stay_exact_digits(void **state)
{
    (void)state;
    static const uint64_t values[] = {
        0, 1, 999999999999999, 1000000000000000, UINT64_C(1) << 53, UINT64_MAX};
    cJSON *t = vf_json_new_object();
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char key[2] = {(char)('a' + i), 0};
        vf_json_add_u64(t, key, values[i]);
        uint64_t back = 7;
        assert_true(vf_json_u64(t, key, &back) && back == values[i]);
    }
    char *text = vf_json_print(t, false);
    assert_string_equal(text, "{\"a\":0,\"b\":1,\"c\":999999999999999,\"d\":1000000000000000,"
                              "\"e\":9007199254740992,\"f\":18446744073709551615}");
    free(text);
    cJSON_Delete(t);
}

static void test_json_print__pretty_is_two_blanks(void **state)
{
    (void)state;
    cJSON *t = vf_json_new_object();
    vf_json_add_string(t, "name", "a \"quoted\"\n\xff");
    vf_json_add_string(t, "absent", NULL);
    cJSON *list = vf_json_add_array(t, "list");
    vf_json_append_string(list, "x");
    vf_json_append_string(list, NULL);
    vf_json_add_bool(vf_json_append_object(list), "yes", true);
    vf_json_add_object(t, "empty");
    char *text = vf_json_print(t, true);
    assert_string_equal(text, "{\n"
                              "  \"name\": \"a \\\"quoted\\\"\\n\xef\xbf\xbd\",\n"
                              "  \"list\": [\n"
                              "    \"x\",\n"
                              "    {\n"
                              "      \"yes\": true\n"
                              "    }\n"
                              "  ],\n"
                              "  \"empty\": {}\n"
                              "}");
    cJSON *back = parse(text);
    assert_true(cJSON_Compare(t, back, true));
    cJSON_Delete(back);
    free(text);
    cJSON_Delete(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_parse__damage_is_invalid_with_place),
        cmocka_unit_test(test_json_parse__deep_nesting_is_invalid),
        cmocka_unit_test(test_json_parse__length_bounds_the_text),
        cmocka_unit_test(test_json_get__other_type_is_absent),
        cmocka_unit_test(test_json_u64__only_exact_whole_numbers),
        cmocka_unit_test(test_json_print__numbers_stay_exact_digits),
        cmocka_unit_test(test_json_print__pretty_is_two_blanks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
