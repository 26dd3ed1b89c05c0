#include <vmferry/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"

static void test_error_set__returns_code_and_formats(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    assert_int_equal(vf_error_set(&err, VF_MISSING, "no VM \"%s\"", "web01"), VF_MISSING);
    assert_int_equal(vf_error_code(err), VF_MISSING);
    assert_string_equal(vf_error_message(err), "no VM \"web01\"");
    assert_null(vf_error_get_hint(err));
    assert_int_equal(vf_error_errno(err), 0);
    assert_int_equal(vf_error_http_status(err), 0);
    assert_int_equal(vf_error_retry_after_ms(err), -1);
    vf_error_free(err);
}

static void test_error_set__first_one_wins(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    vf_error_set(&err, VF_SPACE, "first");
    assert_int_equal(vf_error_set(&err, VF_AUTH, "second"), VF_AUTH);
    assert_int_equal(vf_error_code(err), VF_SPACE);
    assert_string_equal(vf_error_message(err), "first");
    vf_error_free(err);
}

static void test_error__nobody_wants_it(void **state)
{
    (void)state;
    struct vf_error *none = NULL;
    assert_int_equal(vf_error_set(NULL, VF_RANGE, "x"), VF_RANGE);
    assert_int_equal(vf_error_set_errno(NULL, ENOENT, "x"), VF_MISSING);
    assert_int_equal(vf_error_wrap(NULL, VF_RANGE, "x"), VF_RANGE);
    assert_int_equal(vf_error_wrap(&none, VF_RANGE, "x"), VF_RANGE);
    vf_error_hint(NULL, "x");
    vf_error_hint(&none, "x");
    vf_error_set_http_status(NULL, 500);
    vf_error_set_http_status(&none, 500);
    vf_error_set_retry_after_ms(NULL, 1);
    vf_error_set_retry_after_ms(&none, 1);
    assert_null(none);
    assert_int_equal(vf_error_code(NULL), VF_OK);
    assert_string_equal(vf_error_message(NULL), "");
    assert_null(vf_error_get_hint(NULL));
    assert_int_equal(vf_error_retry_after_ms(NULL), -1);
    vf_error_free(NULL);
    vf_error_clear(&none);
}

static void test_error_set_errno__classifies_and_tells(void **state)
{
    (void)state;
    static const struct {
        int errnum, code;
    } table[] = {{ENOSPC, VF_SPACE},     {EDQUOT, VF_SPACE},  {ENOENT, VF_MISSING},
                 {EACCES, VF_AUTH},      {EPERM, VF_AUTH},    {EEXIST, VF_CONFLICT},
                 {ECONNRESET, VF_RETRY}, {EIO, VF_INTERNAL},  {ENOTSUP, VF_UNSUPPORTED},
                 {EROFS, VF_AUTH},       {EBUSY, VF_CONFLICT}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct vf_error *err = NULL;
        assert_int_equal(vf_error_set_errno(&err, table[i].errnum, "cannot open \"%s\"", "f"),
                         table[i].code);
        assert_int_equal(vf_error_errno(err), table[i].errnum);
        char *vf_autofree expected =
            vf_xasprintf("cannot open \"f\": %s", strerror(table[i].errnum));
        assert_string_equal(vf_error_message(err), expected);
        vf_error_free(err);
    }
}

static void test_error_format__outermost_frame_first(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    vf_error_set(&err, VF_INVALID, "grain at %d is damaged", 7);
    assert_int_equal(vf_error_wrap(&err, VF_RETRY, "disk %d", 1), VF_INVALID);
    vf_error_wrap(&err, VF_INVALID, "vm \"%s\"", "web01");
    char *vf_autofree text = vf_error_format(err);
    assert_string_equal(text, "vm \"web01\": disk 1: grain at 7 is damaged");
    vf_error_free(err);
}

static void test_error_wrap__many_frames_keep_the_innermost(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    vf_error_set(&err, VF_INVALID, "m");
    for (int i = 0; i < 100; i++) {
        vf_error_wrap(&err, VF_INVALID, "f%d", i);
    }
    char *vf_autofree text = vf_error_format(err);
    assert_non_null(strstr(text, "f1: f0: m"));
    vf_error_free(err);
}

static void test_error_hint__innermost_wins(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    vf_error_set(&err, VF_AUTH, "m");
    vf_error_hint(&err, "do %s", "this");
    vf_error_hint(&err, "do that");
    assert_string_equal(vf_error_get_hint(err), "do this");
    vf_error_free(err);
}

static void test_error_move__fills_empty_or_frees(void **state)
{
    (void)state;
    struct vf_error *a = NULL, *b = NULL, *to = NULL;
    vf_error_set(&a, VF_AUTH, "a");
    vf_error_set(&b, VF_SPACE, "b");
    vf_error_move(&to, &a);
    assert_null(a);
    assert_string_equal(vf_error_message(to), "a");
    vf_error_move(&to, &b);
    assert_null(b);
    assert_string_equal(vf_error_message(to), "a");
    vf_error_move(NULL, &to);
    assert_null(to);
}

static void test_error_retry_after__is_kept(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    vf_error_set(&err, VF_RETRY, "m");
    vf_error_set_retry_after_ms(&err, 1500);
    assert_int_equal(vf_error_retry_after_ms(err), 1500);
    vf_error_set_retry_after_ms(&err, -7);
    assert_int_equal(vf_error_retry_after_ms(err), -1);
    vf_error_free(err);
}

static void test_code_name__covers_all(void **state)
{
    (void)state;
    assert_string_equal(vf_code_name(VF_OK), "ok");
    assert_string_equal(vf_code_name(VF_RETRY), "retry");
    assert_string_equal(vf_code_name(VF_CANCELLED), "cancelled");
    assert_string_equal(vf_code_name(VF_INTERNAL), "internal");
    assert_string_equal(vf_code_name(VF_INTERNAL - 1), "unknown");
    assert_string_equal(vf_code_name(1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_set__returns_code_and_formats),
        cmocka_unit_test(test_error_set__first_one_wins),
        cmocka_unit_test(test_error__nobody_wants_it),
        cmocka_unit_test(test_error_set_errno__classifies_and_tells),
        cmocka_unit_test(test_error_format__outermost_frame_first),
        cmocka_unit_test(test_error_wrap__many_frames_keep_the_innermost),
        cmocka_unit_test(test_error_hint__innermost_wins),
        cmocka_unit_test(test_error_move__fills_empty_or_frees),
        cmocka_unit_test(test_error_retry_after__is_kept),
        cmocka_unit_test(test_code_name__covers_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
