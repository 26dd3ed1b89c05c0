#include "importer/vsphere/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"

static void test_parse_url__forms_that_people_write(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"https://vc.example/sdk", "vc.example", "vc.example"},
        {"https://vc.example", "vc.example", "vc.example"},
        {"HTTPS://vc.example:8443/", "vc.example:8443", "vc.example"},
        {"vc.example", "vc.example", "vc.example"},
        {"10.0.0.1:443/sdk/", "10.0.0.1:443", "10.0.0.1"},
        {"https://[2001:db8::1]:9443/sdk", "[2001:db8::1]:9443", "[2001:db8::1]"},
        {"[::1]", "[::1]", "[::1]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *vf_autofree authority = NULL, *vf_autofree host = NULL;
        assert_int_equal(vf_vsphere_parse_url(cases[i][0], &authority, &host, NULL), 0);
        assert_string_equal(authority, cases[i][1]);
        assert_string_equal(host, cases[i][2]);
    }
}

static void test_parse_url__others_are_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "https://",
        "http://vc.example",
        "ftp://vc",
        "https://vc/ui",
        "https://vc?x",
        "https://vc#x",
        "https://v c",
        "https://vc:",
        "https://vc:x",
        "https://vc:99999",
        "https://[::1",
        "https://vc:443:1",
        "a\nb",
        "https://vc\"",
        "https:/vc",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *authority = NULL, *host = NULL;
        struct vf_error *err = NULL;
        assert_int_equal(vf_vsphere_parse_url(bad[i], &authority, &host, &err), VF_INVALID);
        assert_null(authority);
        assert_null(host);
        assert_non_null(vf_error_get_hint(err));
        vf_error_free(err);
    }
}

static void test_parse_url__user_info_is_refused_and_not_quoted(void **state)
{
    (void)state;
    char *authority = NULL, *host = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(
        vf_vsphere_parse_url("https://root:s3cret@vc.example/sdk", &authority, &host, &err),
        VF_INVALID);
    char *text = vf_error_format(err);
    assert_null(strstr(text, "s3cret"));
    assert_null(strstr(vf_error_get_hint(err), "s3cret"));
    free(text);
    vf_error_free(err);
}

static void test_map_device_url__star_is_the_host_we_use(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"https://esx1.example/nfc/52/disk-0.vmdk", "https://esx1.example/nfc/52/disk-0.vmdk"},
        {"https://*/ha-nfc/52/disk-0.vmdk", "https://h:8443/ha-nfc/52/disk-0.vmdk"},
        {"https://*:902/ha-nfc/52/d?x=*", "https://h:902/ha-nfc/52/d?x=*"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *vf_autofree url = NULL;
        assert_int_equal(vf_vsphere_map_device_url(cases[i][0], "h:8443", "h", &url, NULL), 0);
        assert_string_equal(url, cases[i][1]);
    }
}

static void test_map_device_url__others_are_invalid_and_not_quoted(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "http://esx/nfc/ticket", "esx/nfc/ticket",
        "https:///nfc/ticket",   "https://*x/nfc/ticket",
        "https://e/nfc ticket",  "https://e/nfc\r\nticket",
        "file:///etc/ticket",    "",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *url = NULL;
        struct vf_error *err = NULL;
        assert_int_equal(vf_vsphere_map_device_url(bad[i], "h:1", "h", &url, &err), VF_INVALID);
        assert_null(url);
        assert_null(strstr(vf_error_message(err), "ticket"));
        vf_error_free(err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_url__forms_that_people_write),
        cmocka_unit_test(test_parse_url__others_are_invalid),
        cmocka_unit_test(test_parse_url__user_info_is_refused_and_not_quoted),
        cmocka_unit_test(test_map_device_url__star_is_the_host_we_use),
        cmocka_unit_test(test_map_device_url__others_are_invalid_and_not_quoted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
