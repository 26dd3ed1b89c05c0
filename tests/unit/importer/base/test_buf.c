#include "importer/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_buf_append__grows_and_stays_terminated(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (int i = 0; i < 10000; i++) {
        assert_true(vf_buf_append(&b, "0123456789", 10));
        assert_int_equal(b.data[b.len], '\0');
    }
    assert_int_equal(b.len, 100000);
    assert_memory_equal(b.data + 99990, "0123456789", 10);
    assert_true(vf_buf_append(&b, NULL, 0));
    vf_buf_release(&b);
    assert_null(b.data);
    assert_true(vf_buf_puts(&b, "again"));
    vf_buf_release(&b);
}

static void test_buf_append__ceiling_is_exact_and_sticks(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, 8);
    assert_true(vf_buf_puts(&b, "12345678"));
    assert_false(b.overflow);
    assert_false(vf_buf_puts(&b, "9"));
    assert_true(b.overflow);
    assert_string_equal(b.data, "12345678");
    assert_false(vf_buf_append(&b, "", 0)); /* refused once, refused on */
    vf_buf_clear(&b);
    assert_true(vf_buf_puts(&b, "ab"));
    assert_string_equal(b.data, "ab");
    vf_buf_release(&b);
}

static void test_buf_append__absurd_length_is_refused(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    assert_true(vf_buf_puts(&b, "x"));
    assert_false(vf_buf_append(&b, "y", SIZE_MAX)); /* sum overflows */
    vf_buf_clear(&b);
    assert_false(vf_buf_append(&b, "y", SIZE_MAX)); /* no room for the NUL */
    vf_buf_release(&b);
}

static void test_buf_printf__appends(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, 100);
    assert_true(vf_buf_printf(&b, "%s-%d", "disk", 0));
    assert_true(vf_buf_printf(&b, "%s", ".img"));
    assert_string_equal(b.data, "disk-0.img");
    assert_false(vf_buf_printf(&b, "%200d", 1));
    assert_string_equal(b.data, "disk-0.img");
    vf_buf_release(&b);
}

static void test_buf_put_xml__escapes_and_drops(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, 200);
    assert_true(vf_buf_put_xml(&b, "a<b>&\"c'\t\n\r\x01\x1f\xc3\xa4"));
    assert_string_equal(b.data, "a&lt;b&gt;&amp;&quot;c&apos;\t\n&#13;\xc3\xa4");
    vf_buf_release(&b);
    vf_buf_init(&b, 3);
    assert_false(vf_buf_put_xml(&b, "&&"));
    assert_true(b.overflow);
    vf_buf_release(&b);
}

static void test_buf_take_string__is_never_null(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, 100);
    char *empty = vf_buf_take_string(&b);
    assert_string_equal(empty, "");
    free(empty);
    vf_buf_puts(&b, "text");
    char *text = vf_buf_take_string(&b);
    assert_string_equal(text, "text");
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.max, 100);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_append__grows_and_stays_terminated),
        cmocka_unit_test(test_buf_append__ceiling_is_exact_and_sticks),
        cmocka_unit_test(test_buf_append__absurd_length_is_refused),
        cmocka_unit_test(test_buf_printf__appends),
        cmocka_unit_test(test_buf_put_xml__escapes_and_drops),
        cmocka_unit_test(test_buf_take_string__is_never_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
