#include "converters/vm/origins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "importer/base/json.h"

#define TEXT(s) ((char *)(uintptr_t)(s)) /* nobody frees these */

static void test_origins__the_last_note_stands(void **state)
{
    (void)state;
    struct vf_origins *o = vf_origins_new();
    cJSON *node = vf_json_new_object();
    assert_null(vf_origin_get(o, node));
    vf_origin_note(o, node, VF_ORIGIN_DEFAULT, "%d", 1);
    vf_origin_note(o, node, VF_ORIGIN_SOURCE, "numCPU %d", 8);
    assert_int_equal(vf_origin_get(o, node)->kind, VF_ORIGIN_SOURCE);
    assert_string_equal(vf_origin_get(o, node)->text, "numCPU 8");
    vf_origin_note(NULL, node, VF_ORIGIN_OS, "nobody listens");
    vf_origin_note(o, NULL, VF_ORIGIN_OS, "of nothing");
    assert_null(vf_origin_get(NULL, node));
    assert_null(vf_origin_get(o, NULL));
    vf_origins_free(o);
    vf_origins_free(NULL);
    cJSON_Delete(node);
}

static void test_origins__hold_thousands(void **state)
{
    (void)state;
    enum { N = 5000 };
    struct vf_origins *o = vf_origins_new();
    cJSON *array = vf_json_new_array();
    for (int i = 0; i < N; i++) {
        vf_origin_note(o, vf_json_append_object(array), VF_ORIGIN_OPTION, "%d", i);
    }
    int i = 0;
    for (const cJSON *c = array->child; c; c = c->next, i++) {
        assert_int_equal(strtol(vf_origin_get(o, c)->text, NULL, 10), i);
    }
    assert_int_equal(i, N);
    vf_origins_free(o);
    cJSON_Delete(array);
}

static void test_origins__forgotten_with_all_below(void **state)
{
    (void)state;
    struct vf_origins *o = vf_origins_new();
    cJSON *top = vf_json_new_object();
    cJSON *inner = vf_json_add_object(top, "inner");
    cJSON *leaf = vf_json_add_object(inner, "leaf");
    cJSON *beside = vf_json_add_object(top, "beside");
    vf_origin_note(o, inner, VF_ORIGIN_SOURCE, "a");
    vf_origin_note(o, leaf, VF_ORIGIN_SOURCE, "b");
    vf_origin_note(o, beside, VF_ORIGIN_SOURCE, "c");
    vf_origin_forget(o, inner);
    assert_null(vf_origin_get(o, inner));
    assert_null(vf_origin_get(o, leaf));
    assert_non_null(vf_origin_get(o, beside));
    vf_origin_note(o, leaf, VF_ORIGIN_TEMPLATE, "d");
    assert_string_equal(vf_origin_get(o, leaf)->text, "d");
    vf_origins_free(o);
    cJSON_Delete(top);
}

static void test_origins_explain__leaves_have_the_nearest_note(void **state)
{
    (void)state;
    cJSON *d = NULL;
    static const char text[] =
        "{\"a\":{\"x\":1,\"y\":{\"z\":\"t\"}},\"list\":[{\"name\":\"disk-0\",\"n\":1},{\"n\":2},"
        "{\"metadata\":{\"name\":\"c0\"}}],\"vmferry.io/notes\":[],\"q\\\"]\":null,\"\":{}}";
    assert_int_equal(vf_json_parse(text, sizeof text - 1, "it", &d, NULL), 0);
    struct vf_origins *o = vf_origins_new();
    const cJSON *a = vf_json_object(d, "a");
    vf_origin_note(o, a, VF_ORIGIN_SOURCE, "outer");
    vf_origin_note(o, cJSON_GetObjectItem(vf_json_object(a, "y"), "z"), VF_ORIGIN_OPTION, "inner");
    static const struct vf_explained want[] = {
        {TEXT("a.x"), TEXT("1"), VF_ORIGIN_SOURCE, TEXT("outer")},
        {TEXT("a.y.z"), TEXT("\"t\""), VF_ORIGIN_OPTION, TEXT("inner")},
        {TEXT("list[disk-0].name"), TEXT("\"disk-0\""), VF_ORIGIN_DEFAULT, TEXT("")},
        {TEXT("list[disk-0].n"), TEXT("1"), VF_ORIGIN_DEFAULT, TEXT("")},
        {TEXT("list[1].n"), TEXT("2"), VF_ORIGIN_DEFAULT, TEXT("")},
        {TEXT("list[c0].metadata.name"), TEXT("\"c0\""), VF_ORIGIN_DEFAULT, TEXT("")},
        {TEXT("[\"vmferry.io/notes\"]"), TEXT("[]"), VF_ORIGIN_DEFAULT, TEXT("")},
        {TEXT("[\"q\\\"]\"]"), TEXT("null"), VF_ORIGIN_DEFAULT, TEXT("")},
        {TEXT("[\"\"]"), TEXT("{}"), VF_ORIGIN_DEFAULT, TEXT("")},
    };
    struct vf_explained *got;
    size_t n;
    vf_origins_explain(o, d, &got, &n);
    assert_int_equal(n, sizeof want / sizeof *want);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(got[i].path, want[i].path);
        assert_string_equal(got[i].value, want[i].value);
        assert_int_equal(got[i].kind, want[i].kind);
        assert_string_equal(got[i].text, want[i].text);
    }
    vf_explained_free(got, n);
    vf_origins_free(o);
    cJSON_Delete(d);
}

static void test_origin_kind_name__each_has_one(void **state)
{
    (void)state;
    static const char *const want[] = {"default", "template", "guest OS",
                                       "source",  "target",   "option"};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_string_equal(vf_origin_kind_name((enum vf_origin_kind)i), want[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origins__the_last_note_stands),
        cmocka_unit_test(test_origins__hold_thousands),
        cmocka_unit_test(test_origins__forgotten_with_all_below),
        cmocka_unit_test(test_origins_explain__leaves_have_the_nearest_note),
        cmocka_unit_test(test_origin_kind_name__each_has_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
