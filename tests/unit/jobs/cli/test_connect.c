#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "jobs/cli/connect.h"

#define SHA1   "49:E2:47:4B:9A:32:64:90:A3:BA:8F:BC:EF:5E:CD:61:A9:38:01:2F"
#define SHA256 "8b4aece6b4b447ee71331b6334f1430da3fca043bdad22110622d0873d1867e3"

struct fixture {
    struct vf_cli cli;
    char *err_text;
    size_t err_len;
    struct vf_login_args login;
    struct vf_trust_args trust;
    struct vf_vsphere_options options;
    struct vf_secret *password;
    struct vf_error *err;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->cli.out = stdout;
    f->cli.err = open_memstream(&f->err_text, &f->err_len);
    f->login.source = "https://vc.example";
    f->login.user = "root";
    unsetenv("VMFERRY_SOURCE");
    unsetenv("VMFERRY_USER");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fclose(f->cli.err);
    free(f->err_text);
    vf_secret_free(f->password);
    vf_error_free(f->err);
    free(f);
    return 0;
}

static int resolve(struct fixture *f)
{
    vf_secret_free(vf_take(f->password));
    vf_error_clear(&f->err);
    f->cli.misuse = false;
    setenv("VMFERRY_PASSWORD", "from-env", 1); /* is gone once it was read */
    int rc = vf_connect_resolve(&f->cli, &f->login, &f->trust, &f->options, &f->password, &f->err);
    fflush(f->cli.err);
    return rc;
}

static void check_misuse(struct fixture *f, const char *in_message)
{
    assert_int_equal(resolve(f), VF_INVALID);
    assert_true(f->cli.misuse);
    assert_non_null(strstr(vf_error_message(f->err), in_message));
    assert_null(strstr(vf_error_message(f->err), "geheim"));
    assert_null(f->password);
}

static void test_connect__options_then_environment(void **state)
{
    struct fixture *f = *state;
    setenv("VMFERRY_SOURCE", "env.example", 1);
    setenv("VMFERRY_USER", "env-user", 1);
    assert_int_equal(resolve(f), 0);
    assert_string_equal(f->options.url, "https://vc.example");
    assert_string_equal(f->options.user, "root");
    assert_string_equal(vf_secret_reveal(f->options.password), "from-env");
    f->login.source = f->login.user = NULL;
    assert_int_equal(resolve(f), 0);
    assert_string_equal(f->options.url, "env.example");
    assert_string_equal(f->options.user, "env-user");
    setenv("VMFERRY_USER", "", 1); /* empty is unset */
    check_misuse(f, "--user");
    unsetenv("VMFERRY_SOURCE");
    check_misuse(f, "--source");
}

static void test_connect__trust_is_handed_on(void **state)
{
    struct fixture *f = *state;
    f->trust = (struct vf_trust_args){.ca_file = "ca.pem", .thumbprint = SHA1, .proxy = ""};
    assert_int_equal(resolve(f), 0);
    assert_string_equal(f->options.http.ca_file, "ca.pem");
    assert_string_equal(f->options.http.thumbprint, SHA1);
    assert_string_equal(f->options.http.proxy, "");
    assert_false(f->options.http.insecure);
    assert_int_equal(f->err_len, 0);
}

static void test_connect__insecure_is_warned_of_and_stands_alone(void **state)
{
    struct fixture *f = *state;
    f->trust.insecure = true;
    assert_int_equal(resolve(f), 0);
    assert_true(f->options.http.insecure);
    assert_memory_equal(f->err_text, "vmferry: warning: ", 18);
    f->trust.thumbprint = SHA1;
    check_misuse(f, "--thumbprint");
    f->trust.thumbprint = NULL;
    f->trust.ca_file = "ca.pem";
    check_misuse(f, "--ca-file");
}

/* A proxy's options are called as they are. */
static void test_connect__options_are_named_with_their_prefix(void **state)
{
    struct fixture *f = *state;
    f->trust = (struct vf_trust_args){.insecure = true, .thumbprint = SHA1, .prefix = "upload-"};
    check_misuse(f, "\"--upload-insecure-skip-verify\" and \"--upload-thumbprint\"");
    f->trust = (struct vf_trust_args){.thumbprint = "zz", .prefix = "upload-"};
    check_misuse(f, "\"--upload-thumbprint\"");
    f->trust = (struct vf_trust_args){.insecure = true, .prefix = "upload-"};
    assert_int_equal(resolve(f), 0);
    assert_non_null(strstr(f->err_text, "--upload-insecure-skip-verify"));
}

static void test_connect__thumbprint_has_its_form(void **state)
{
    struct fixture *f = *state;
    static const char *const good[] = {SHA1, SHA256};
    for (size_t i = 0; i < VF_COUNT(good); i++) {
        f->trust.thumbprint = good[i];
        assert_int_equal(resolve(f), 0);
    }
    static const char *const bad[] = {
        "12",         SHA1 ":",
        SHA1 ":00",   SHA256 "0",
        "g" SHA256,   ":" SHA1,
        "4:9" SHA256, "49::E2:47:4B:9A:32:64:90:A3:BA:8F:BC:EF:5E:CD:61:A9:38:01:2F"};
    for (size_t i = 0; i < VF_COUNT(bad); i++) {
        f->trust.thumbprint = bad[i];
        check_misuse(f, "--thumbprint");
    }
}

static void test_connect__password_in_a_url_is_refused_unrepeated(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "https://root:geheim@vc.example/sdk",
        "root:geheim@vc.example",
        "https://administrator@vsphere.local:geheim@vc.example:8443",
        "https://root:geheim/mit@vc.example",
        "https://root:geheim?mit#@vc.example/sdk",
        "https://:geheim@vc.example",
    };
    for (size_t i = 0; i < VF_COUNT(bad); i++) {
        f->login.source = bad[i];
        check_misuse(f, "option \"--source\" holds a password");
    }
    f->login.source = NULL;
    setenv("VMFERRY_SOURCE", bad[0], 1);
    check_misuse(f, "VMFERRY_SOURCE holds a password");
    f->login.source = "vc.example";
    f->trust.proxy = "http://u:geheim@proxy:3128";
    check_misuse(f, "\"--proxy\" holds a password");
}

static void test_connect__urls_without_password_pass(void **state)
{
    struct fixture *f = *state;
    static const char *const good[] = {
        "vc.example",
        "vc.example:8443",
        "https://vc.example:8443/sdk",
        "https://[fe80::1]:8443/sdk",
        "https://vc.example:8443/a@b",
        "https://vc.example/a:b@c",
        "https://root@vc.example/",
    };
    for (size_t i = 0; i < VF_COUNT(good); i++) {
        f->login.source = good[i];
        if (resolve(f)) {
            fail_msg("%s: %s", good[i], vf_error_message(f->err));
        }
    }
    f->login.source = "http://vc.example";
    check_misuse(f, "https");
}

static void test_connect__password_file_goes_before_environment(void **state)
{
    struct fixture *f = *state;
    char path[] = "/tmp/vf-test-password-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "from-file\n", 10), 10);
    f->login.password_file = path;
    assert_int_equal(resolve(f), 0);
    assert_string_equal(vf_secret_reveal(f->options.password), "from-file");
    assert_int_equal(f->err_len, 0);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(resolve(f), 0);
    assert_non_null(strstr(f->err_text, "warning: others can read the password"));
    assert_null(strstr(f->err_text, "from-file"));
    close(fd);
    unlink(path);
    assert_int_equal(resolve(f), VF_MISSING);
    assert_false(f->cli.misuse);
    assert_non_null(strstr(vf_error_message(f->err), path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_connect__options_then_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect__trust_is_handed_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect__options_are_named_with_their_prefix, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_connect__insecure_is_warned_of_and_stands_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_connect__thumbprint_has_its_form, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect__password_in_a_url_is_refused_unrepeated,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect__urls_without_password_pass, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect__password_file_goes_before_environment, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
