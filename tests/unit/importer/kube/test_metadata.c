#include "importer/kube/metadata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"

static cJSON *parse(const char *text)
{
    cJSON *tree = NULL;
    assert_int_equal(vf_json_parse(text, strlen(text), "it", &tree, NULL), 0);
    return tree;
}

static void test_metadata__is_read(void **state)
{
    cJSON *o = parse(
        "{\"metadata\":{\"name\":\"n\",\"namespace\":\"s\",\"uid\":\"u\",\"labels\":{\"l\":\"1\"},"
        "\"annotations\":{\"a\":\"2\"},\"deletionTimestamp\":\"x\",\"ownerReferences\":["
        "{\"uid\":\"o\"}]},\"status\":{\"phase\":\"p\",\"conditions\":[{\"type\":\"A\"},"
        "{\"type\":\"B\",\"status\":\"True\"}]}}");
    (void)state;
    assert_string_equal(vf_kube_name(o), "n");
    assert_string_equal(vf_kube_namespace(o), "s");
    assert_string_equal(vf_kube_uid(o), "u");
    assert_string_equal(vf_kube_label(o, "l"), "1");
    assert_string_equal(vf_kube_annotation(o, "a"), "2");
    assert_true(vf_kube_has_label(o, "l", "1"));
    assert_false(vf_kube_has_label(o, "l", "2"));
    assert_true(vf_kube_has_annotation(o, "a", "2"));
    assert_true(vf_kube_is_being_deleted(o));
    assert_string_equal(vf_kube_phase(o), "p");
    assert_true(vf_kube_condition_is(o, "B", "True"));
    assert_false(vf_kube_condition_is(o, "B", "False"));
    assert_false(vf_kube_condition_is(o, "A", "True"));
    assert_null(vf_kube_condition(o, "C"));
    assert_true(vf_kube_is_owned_by(o, "o"));
    assert_false(vf_kube_is_owned_by(o, "u"));
    cJSON_Delete(o);
}

static void test_metadata__of_anything_else_is_nothing(void **state)
{
    static const char *const others[] = {
        "{}",
        "[]",
        "{\"metadata\":7,\"status\":\"x\"}",
        "{\"metadata\":{\"name\":1,\"labels\":[],\"annotations\":\"a\",\"ownerReferences\":{}},"
        "\"status\":{\"conditions\":{\"type\":\"B\"},\"phase\":[]}}",
        "{\"metadata\":{\"ownerReferences\":[7,{\"uid\":8}],\"labels\":{\"l\":{}}},"
        "\"status\":{\"conditions\":[null,{\"type\":null}]}}",
    };
    (void)state;
    for (size_t i = 0; i <= sizeof others / sizeof *others; i++) {
        cJSON *o = i ? parse(others[i - 1]) : NULL;
        assert_null(vf_kube_name(o));
        assert_null(vf_kube_uid(o));
        assert_null(vf_kube_label(o, "l"));
        assert_false(vf_kube_has_annotation(o, "a", "a"));
        assert_false(vf_kube_is_being_deleted(o));
        assert_null(vf_kube_phase(o));
        assert_null(vf_kube_condition(o, "B"));
        assert_false(vf_kube_is_owned_by(o, "o"));
        cJSON_Delete(o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata__is_read),
        cmocka_unit_test(test_metadata__of_anything_else_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
