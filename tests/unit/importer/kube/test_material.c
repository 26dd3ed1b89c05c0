#include "importer/kube/material.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/kube_rig.h"

static void expect(const char *encoded, const char *decoded)
{
    char *got = vf_kube_decode_base64(encoded);
    if (decoded) {
        assert_non_null(got);
        assert_string_equal(got, decoded);
    } else {
        assert_null(got);
    }
    free(got);
}

static void test_kube_base64__rfc4648_alone(void **state)
{
    (void)state;
    expect("Zm9v", "foo");
    expect("Zm8=", "fo");
    expect("Zg==", "f");
    expect(" Zm\n9v\r\nZ g==\t", "foof");
    expect("", NULL);
    expect("Zg=", NULL);
    expect("Zg", NULL);
    expect("Z===", NULL);
    expect("=", NULL);
    expect("Zg==Zg==", NULL);
    expect("Zm9_", NULL);
    expect("Zm9v!", NULL);
    expect("AGZv", NULL); /* a NUL inside */
    expect("ZgA=", NULL);
    char *text = vf_kube_encode_base64("hello", 5);
    assert_string_equal(text, "aGVsbG8=");
    free(text);
}

static void test_kube_secret_file__is_trimmed_and_checked(void **state)
{
    (void)state;
    char *dir = vf_test_make_dir();
    struct vf_secret *s = NULL;
    struct vf_error *err = NULL;
    char *path = vf_test_make_file(dir, "token", "abc \r\n\n", 0600);
    assert_int_equal(vf_kube_fetch_secret_file(path, "the token", &s, NULL), 0);
    assert_string_equal(vf_secret_reveal(s), "abc");
    vf_secret_free(s);
    free(path);
    path = vf_test_make_file(dir, "token", " \n", 0600);
    assert_int_equal(vf_kube_fetch_secret_file(path, "the token", &s, &err), VF_INVALID);
    vf_test_expect_error(err, "the token \"/tmp/");
    vf_test_expect_error(err, "is empty");
    vf_error_clear(&err);
    free(path);
    char *big = calloc(1, 300001);
    assert_non_null(big);
    memset(big, 'x', 300000);
    path = vf_test_make_file(dir, "token", big, 0600);
    assert_int_equal(vf_kube_fetch_secret_file(path, "the token", &s, NULL), VF_SPACE);
    char *text = NULL;
    size_t len = 0;
    assert_int_equal(vf_kube_fetch_file(path, "it", 300000, &text, &len, NULL), 0);
    assert_int_equal(len, 300000);
    assert_string_equal(text, big);
    vf_kube_wipe(text);
    assert_int_equal(vf_kube_fetch_file(path, "it", 299999, &text, &len, NULL), VF_SPACE);
    free(path);
    free(big);
    vf_test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kube_base64__rfc4648_alone),
        cmocka_unit_test(test_kube_secret_file__is_trimmed_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
