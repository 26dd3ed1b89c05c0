#include "importer/vsphere/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define XML(ns, newest, prior)                                                                     \
    "<?xml version=\"1.0\"?><namespaces version=\"1.0\"" ns "><namespace><name>urn:sms</name>"     \
    "<version>99.0</version></namespace><namespace><name>urn:vim25</name><version>" newest         \
    "</version><priorVersions>" prior "</priorVersions></namespace></namespaces>"

static void expect_version(const char *xml, const char *version)
{
    char *v = NULL;
    assert_int_equal(vf_vim_parse_versions(xml, strlen(xml), &v, NULL), 0);
    assert_string_equal(v, version);
    free(v);
}

static void test_versions__highest_known_is_taken(void **state)
{
    (void)state;
    expect_version(XML("", "8.0.2.0", "<version>8.0.1.0</version>"), "8.0.2.0");
    expect_version(XML("", "9.0.0.0", "<version>8.0.3.0</version><version>8.0.2.0</version>"),
                   "8.0.3.0");
    expect_version(XML("", "6.7.3", "<version>6.7</version><version>6.7.1</version>"), "6.7.3");
    expect_version(XML("", "5.5", ""), "5.5");
}

static void test_versions__internal_names_are_passed_over(void **state)
{
    (void)state;
    expect_version(XML("", "uA046D008", "<version>8.0.3.0</version><version>7.0.3.2</version>"),
                   "8.0.3.0");
}

static void test_versions__any_namespace_of_the_document(void **state)
{
    (void)state;
    expect_version(XML(" xmlns=\"http://www.vmware.com/vi/versions\"", "6.0", ""), "6.0");
}

static void test_versions__none_in_common_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *xml;
        int code;
    } cases[] = {
        {XML("", "4.0", "<version>2.5</version>"), VF_UNSUPPORTED},
        {XML("", "12.0.0.0", "<version>11.0.0.0</version>"), VF_UNSUPPORTED},
        {XML("", "dev", "<version>x.y</version>"), VF_INVALID},
        {"<namespaces/>", VF_INVALID},
        {"<html>", VF_INVALID},
        {"", VF_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *v = NULL;
        struct vf_error *err = NULL;
        assert_int_equal(vf_vim_parse_versions(cases[i].xml, strlen(cases[i].xml), &v, &err),
                         cases[i].code);
        assert_null(v);
        assert_non_null(err);
        vf_error_free(err);
    }
}

static void test_compare_versions__number_by_number(void **state)
{
    (void)state;
    assert_true(vf_vim_compare_versions("6.7", "6.7.1") < 0);
    assert_true(vf_vim_compare_versions("6.10", "6.9.9") > 0);
    assert_int_equal(vf_vim_compare_versions("7.0", "7.0.0.0"), 0);
    assert_true(vf_vim_compare_versions("x", "1.0") < 0);
    assert_true(vf_vim_compare_versions("1.0", "1.") > 0);
    assert_int_equal(vf_vim_compare_versions("a", "b"), 0);
    assert_true(vf_vim_compare_versions("99999999.0", "4.0") < 0); /* absurd: no version */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions__highest_known_is_taken),
        cmocka_unit_test(test_versions__internal_names_are_passed_over),
        cmocka_unit_test(test_versions__any_namespace_of_the_document),
        cmocka_unit_test(test_versions__none_in_common_is_told),
        cmocka_unit_test(test_compare_versions__number_by_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
