#include "importer/base/yaml_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/buf.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/base/yaml.h"

static struct vf_yaml *read_text(const char *text)
{
    struct vf_yaml *y = NULL;
    struct vf_error *err = NULL;
    if (vf_yaml_parse(text, strlen(text), "plan \"p.yaml\"", &y, &err)) {
        fail_msg("%s", vf_error_message(err));
    }
    return y;
}

static void expect_json(const char *yaml, const char *json)
{
    struct vf_yaml *y = read_text(yaml);
    char *vf_autofree text = vf_json_print(vf_yaml_tree(y), false);
    assert_string_equal(text, json);
    vf_yaml_free(y);
}

static void expect_error(const char *yaml, size_t len, int code, const char *message)
{
    struct vf_yaml *y = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_yaml_parse(yaml, len, "plan \"p.yaml\"", &y, &err), code);
    assert_null(y);
    if (!strstr(vf_error_message(err), message)) {
        fail_msg("%s", vf_error_message(err));
    }
    vf_error_free(err);
}

static void expect_invalid(const char *yaml, const char *message)
{
    expect_error(yaml, strlen(yaml), VF_INVALID, message);
}

static void test_yaml_scalars__core_schema_decides(void **state)
{
    (void)state;
    expect_json("[null, Null, ~, true, False, TRUE]", "[null,null,null,true,false,true]");
    expect_json("[0, -7, +7, 0755, 0x1F, 0o17, 9007199254740992]",
                "[0,-7,7,755,31,15,9007199254740992]");
    expect_json("[1.5, -.5, 1e3, 2., 1.25E-2]", "[1.5,-0.5,1000,2,0.0125]");
    expect_json("[18446744073709551615, -9007199254740993]",
                "[18446744073709551615,-9007199254740993]");
    expect_json("[yes, off, y, 12:30:00, 1_000, 0b1, ., -, e3, 0x, 1e, tRUE, 2001-01-01]",
                "[\"yes\",\"off\",\"y\",\"12:30:00\",\"1_000\",\"0b1\",\".\",\"-\",\"e3\",\"0x\","
                "\"1e\",\"tRUE\",\"2001-01-01\"]");
}

static void test_yaml_scalars__quotes_and_tags_make_strings(void **state)
{
    (void)state;
    expect_json("['1', \"true\", '', !!str 5, ! 6, !!int 7, !!float 8, !!null '', !!bool 'true']",
                "[\"1\",\"true\",\"\",\"5\",\"6\",7,8,null,true]");
    expect_json("a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}");
    expect_invalid("a: !!int x", "line 1, column 4: a tag");
    expect_invalid("a: !mine x", "line 1, column 4: a tag");
    expect_invalid("a: !mine {}", "line 1, column 4: a tag");
    expect_invalid("a: !!binary aGk=", "a tag");
}

static void test_yaml_scalars__what_json_cannot_say_is_invalid(void **state)
{
    (void)state;
    expect_invalid("a:\n  - .inf", "line 2, column 5: infinity");
    expect_invalid("-.INF", "infinity");
    expect_invalid(".nan", "infinity");
    expect_invalid("1e999", "too large");
    expect_invalid("18446744073709551616", "64 bits");
    expect_invalid("-9223372036854775809", "64 bits");
    expect_invalid("a: \"x\\0y\"", "line 1, column 4: a text holds a NUL");
}

static void test_yaml_tree__keys_keep_order_and_text(void **state)
{
    (void)state;
    expect_json("z: 1\na: {true: 2, 80: [3, {}], ~: []}\n\"\": 4\n",
                "{\"z\":1,\"a\":{\"true\":2,\"80\":[3,{}],\"~\":[]},\"\":4}");
    expect_json("", "null");
    expect_json("# nothing\n---\n...\n", "null");
    expect_json("\xef\xbb\xbf"
                "a: \xc3\xa4",
                "{\"a\":\"\xc3\xa4\"}");
    expect_json("<<: {a: 1}", "{\"<<\":{\"a\":1}}");
}

static void test_yaml_tree__duplicate_key_is_invalid(void **state)
{
    (void)state;
    expect_invalid("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n",
                   "plan \"p.yaml\", line 5, column 3: key \"c\" stands here again, after line 3");
    expect_invalid("{80: 1, \"80\": 2}", "column 9: key \"80\"");
    expect_json("a: {c: 1}\nb: {c: 1}\n", "{\"a\":{\"c\":1},\"b\":{\"c\":1}}");
}

static void test_yaml_tree__what_multiplies_is_refused(void **state)
{
    (void)state;
    expect_invalid("a: &x [1]\nb: *x\n", "line 2, column 4: aliases (\"*x\")");
    expect_invalid("a: 1\n---\nb: 1\n", "line 2, column 1: a second document");
    expect_invalid("? [1, 2]\n: 3\n", "line 1, column 3: a key must be");
    expect_invalid("{{}: 3}\n", "a key must be");
}

static void test_yaml_syntax__error_names_line_and_column(void **state)
{
    (void)state;
    expect_invalid("a: 1\nb: [1,\n", "plan \"p.yaml\", line 3, column 1: ");
    expect_invalid("a: 1\n\tb: 2\n", "line 2, column 1: found a tab character");
    expect_invalid("a: 'x\n", "line 2, column 1: found unexpected end of stream");
    expect_error("a: \xff", 4, VF_INVALID, "invalid leading UTF-8 octet");
    expect_error("a\0b", 3, VF_INVALID, "control characters are not allowed");
    expect_invalid("a: \x01", "control characters are not allowed");
}

static void test_yaml_limits__size_depth_and_number_hold(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (int i = 0; i <= VF_YAML_MAX_DEPTH; i++) {
        vf_buf_puts(&b, "[");
    }
    expect_error(b.data, b.len, VF_SPACE, "column 65: nested deeper than 64");
    vf_buf_clear(&b);
    for (int i = 0; i < VF_YAML_MAX_NODES; i++) {
        vf_buf_puts(&b, "- a\n");
    }
    expect_error(b.data, b.len, VF_SPACE, "line 500000, column 3: more than 500000 values");
    vf_buf_clear(&b);
    vf_buf_puts(&b, "#");
    while (b.len <= VF_YAML_MAX_BYTES) {
        vf_buf_puts(&b, "################################################################");
    }
    expect_error(b.data, b.len, VF_SPACE, "larger than 8 MiB");
    vf_buf_release(&b);
}

/* Many keys in one mapping must not take quadratic time. */
static void test_yaml_limits__wide_mapping_is_read(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (int i = 0; i < 100000; i++) {
        vf_buf_printf(&b, "key-%d: %d\n", i, i);
    }
    struct vf_yaml *y = read_text(b.data);
    assert_int_equal(cJSON_GetArraySize(vf_yaml_tree(y)), 100000);
    vf_yaml_free(y);
    vf_buf_release(&b);
}

static void test_yaml_place__is_the_key_or_the_value(void **state)
{
    (void)state;
    struct vf_yaml *y = read_text("a:\n  b: 1\n  list:\n  - x\n  - {k: v}\n");
    const cJSON *a = vf_json_object(vf_yaml_tree(y), "a");
    const cJSON *list = vf_json_array(a, "list");
    const cJSON *inner = cJSON_GetArrayItem(list, 1);
    assert_int_equal(vf_yaml_place(y, a).line, 1);
    assert_int_equal(vf_yaml_place(y, cJSON_GetObjectItem(a, "b")).line, 2);
    assert_int_equal(vf_yaml_place(y, cJSON_GetObjectItem(a, "b")).column, 3);
    assert_int_equal(vf_yaml_place(y, list).line, 3);
    assert_int_equal(vf_yaml_place(y, cJSON_GetArrayItem(list, 0)).column, 5);
    assert_int_equal(vf_yaml_place(y, cJSON_GetObjectItem(inner, "k")).column, 6);
    assert_int_equal(vf_yaml_place(y, NULL).line, 0);

    struct vf_error *err = NULL;
    assert_int_equal(vf_yaml_error(y, inner, VF_RANGE, &err, "no %d", 7), VF_RANGE);
    assert_string_equal(vf_error_message(err), "plan \"p.yaml\", line 5, column 5: no 7");
    vf_error_clear(&err);
    vf_yaml_error(y, NULL, VF_INVALID, &err, "empty");
    assert_string_equal(vf_error_message(err), "plan \"p.yaml\": empty");
    vf_error_free(err);
    vf_yaml_free(y);
}

static void test_yaml_read__takes_back_what_was_written(void **state)
{
    (void)state;
    static const char json[] =
        "{\"s\":[\"yes\",\"0755\",\"1e3\",\"~\",\"\",\"a: b\",\"x\\ny\\n\",\" z "
        "\",\"12:30\",\"#\"],"
        "\"n\":[0,-1,1.5,18446744073709551615],\"o\":{\"null\":null,\"1\":true},\"e\":[[],{}]}";
    struct vf_yaml *y = read_text(json);
    const cJSON *tree = vf_yaml_tree(y);
    char *text = NULL;
    assert_int_equal(vf_yaml_print(&tree, 1, &text, NULL), 0);
    expect_json(text, json);
    free(text);
    vf_yaml_free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_scalars__core_schema_decides),
        cmocka_unit_test(test_yaml_scalars__quotes_and_tags_make_strings),
        cmocka_unit_test(test_yaml_scalars__what_json_cannot_say_is_invalid),
        cmocka_unit_test(test_yaml_tree__keys_keep_order_and_text),
        cmocka_unit_test(test_yaml_tree__duplicate_key_is_invalid),
        cmocka_unit_test(test_yaml_tree__what_multiplies_is_refused),
        cmocka_unit_test(test_yaml_syntax__error_names_line_and_column),
        cmocka_unit_test(test_yaml_limits__size_depth_and_number_hold),
        cmocka_unit_test(test_yaml_limits__wide_mapping_is_read),
        cmocka_unit_test(test_yaml_place__is_the_key_or_the_value),
        cmocka_unit_test(test_yaml_read__takes_back_what_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
