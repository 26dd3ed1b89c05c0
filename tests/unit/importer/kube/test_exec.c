#include "importer/kube/exec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/kube_rig.h"

static void test_kube_time__rfc3339_is_read(void **state)
{
    (void)state;
    assert_int_equal(vf_kube_parse_time("1970-01-01T00:00:01Z"), 1);
    assert_int_equal(vf_kube_parse_time("2026-08-01T12:00:00Z"), 1785585600);
    assert_int_equal(vf_kube_parse_time("2026-08-01T14:00:00.123456789+02:00"), 1785585600);
    assert_int_equal(vf_kube_parse_time("2026-08-01t06:30:00-05:30"), 1785585600);
    static const char *const bad[] = {"",
                                      "2026-08-01",
                                      "2026-08-01T12:00:00",
                                      "2026-08-01T12:00:00.Z",
                                      "2026-13-01T12:00:00Z",
                                      "2026-08-01T25:00:00Z",
                                      "2026-08-01T12:00:00+0200",
                                      "2026-08-01T12:00:00Zx",
                                      "x026-08-01T12:00:00Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(vf_kube_parse_time(bad[i]), -1);
    }
}

static int parse(const char *text, struct vf_kube_exec_result *r, struct vf_error **err)
{
    *r = (struct vf_kube_exec_result){0};
    return vf_kube_exec_parse(text, strlen(text), VF_KUBE_EXEC_V1, r, err);
}

#define HEAD "{\"apiVersion\":\"" VF_KUBE_EXEC_V1 "\",\"kind\":\"ExecCredential\","

static void test_kube_exec_parse__token_certificate_and_time(void **state)
{
    (void)state;
    struct vf_kube_exec_result r;
    assert_int_equal(parse(HEAD "\"status\":{\"token\":\"t\",\"expirationTimestamp\":"
                                "\"1970-01-01T00:01:00Z\"}}\n",
                           &r, NULL),
                     0);
    assert_string_equal(vf_secret_reveal(r.token), "t");
    assert_int_equal(r.expires_at_s, 60);
    assert_null(r.cert_pem);
    vf_kube_exec_result_release(&r);
    assert_int_equal(parse(HEAD "\"status\":{\"clientCertificateData\":\"C\",\"clientKeyData\":"
                                "\"K\"}}",
                           &r, NULL),
                     0);
    assert_null(r.token);
    assert_string_equal(r.cert_pem, "C");
    assert_string_equal(vf_secret_reveal(r.key_pem), "K");
    vf_kube_exec_result_release(&r);
}

static void test_kube_exec_parse__anything_else_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "is not JSON"},
        {"please log in", "is not JSON"},
        {"[]", "is no ExecCredential"},
        {"{\"kind\":\"Status\"}", "is no ExecCredential"},
        {"{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/v1beta1\"}",
         "is of version \"client.authentication.k8s.io/v1beta1\""},
        {HEAD "\"spec\":{}}", "holds no credentials"},
        {HEAD "\"status\":{\"token\":\"\"}}", "neither a token nor a certificate"},
        {HEAD "\"status\":{\"token\":\"a\\nb\"}}", "several lines"},
        {HEAD "\"status\":{\"clientCertificateData\":\"C\"}}", "without its key"},
        {HEAD "\"status\":{\"token\":\"t\",\"clientKeyData\":\"s3cr3t\"}}", "a key alone"},
        {HEAD "\"status\":{\"token\":\"s3cr3t\",\"expirationTimestamp\":\"soon\"}}", "no time"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_kube_exec_result r;
        struct vf_error *err = NULL;
        assert_int_equal(parse(cases[i].text, &r, &err), VF_AUTH);
        vf_test_expect_error(err, cases[i].message);
        assert_null(strstr(vf_error_message(err), "s3cr3t"));
        assert_null(r.token);
        vf_error_free(err);
    }
}

struct rig {
    char *dir;
    struct vf_kube_config *config;
    struct vf_kube_exec_result result;
    struct vf_error *err;
};

static void start(struct rig *r, const char *script)
{
    *r = (struct rig){.dir = vf_test_make_dir()};
    char *vf_autofree text = vf_xasprintf("#!/bin/sh\n%s\n", script);
    r->config = vf_xcalloc(1, sizeof *r->config);
    r->config->server = vf_xstrdup("https://api.test");
    r->config->exec = vf_xcalloc(1, sizeof *r->config->exec);
    r->config->exec->api_version = vf_xstrdup(VF_KUBE_EXEC_V1);
    r->config->exec->command = vf_test_make_file(r->dir, "plugin", text, 0700);
}

static void stop(struct rig *r)
{
    vf_test_remove_dir(r->dir);
    vf_kube_config_free(r->config);
    vf_kube_exec_result_release(&r->result);
    vf_error_free(r->err);
}

static int run(struct rig *r)
{
    return vf_kube_exec_run(r->config, NULL, &r->result, &r->err);
}

static void test_kube_exec_run__gets_arguments_and_environment(void **state)
{
    (void)state;
    struct rig r;
    start(&r, "[ \"$VMFERRY_PASSWORD\" = '' ] || exit 9\n"
              "printf '" HEAD "\"status\":{\"token\":\"%s %s %s %s\"}}' \"$1\" \"$A\" \"$B\" "
              "\"$(printf %s \"$KUBERNETES_EXEC_INFO\" | wc -c)\"");
    setenv("A", "inherited", 1);
    setenv("B", "replaced", 1);
    setenv("VMFERRY_PASSWORD", "s3cr3t", 1);
    r.config->exec->args = vf_xcalloc(1, sizeof(char *));
    r.config->exec->args[0] = vf_xstrdup("first arg");
    r.config->exec->n_args = 1;
    r.config->exec->env = vf_xcalloc(1, sizeof(char *));
    r.config->exec->env[0] = vf_xstrdup("B=own");
    r.config->exec->n_env = 1;
    char *vf_autofree info = vf_kube_exec_info(r.config);
    char *vf_autofree expected = vf_xasprintf("first arg inherited own %zu", strlen(info));
    int rc = run(&r);
    unsetenv("VMFERRY_PASSWORD");
    assert_int_equal(rc, 0);
    assert_string_equal(vf_secret_reveal(r.result.token), expected);
    stop(&r);
}

static void test_kube_exec_info__tells_the_cluster_when_asked(void **state)
{
    (void)state;
    struct rig r;
    start(&r, "");
    char *vf_autofree plain = vf_kube_exec_info(r.config);
    assert_string_equal(plain, "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":"
                               "\"ExecCredential\",\"spec\":{\"interactive\":false}}");
    r.config->exec->provide_cluster_info = true;
    r.config->exec->cluster_config = cJSON_Parse("{\"audience\":\"x\"}");
    r.config->ca_pem = vf_xstrdup("CERT");
    r.config->tls_server_name = vf_xstrdup("inner");
    r.config->proxy = vf_xstrdup("http://p");
    char *vf_autofree full = vf_kube_exec_info(r.config);
    assert_string_equal(full, "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":"
                              "\"ExecCredential\",\"spec\":{\"cluster\":{\"server\":"
                              "\"https://api.test\",\"tls-server-name\":\"inner\","
                              "\"certificate-authority-data\":\"Q0VSVA==\",\"proxy-url\":"
                              "\"http://p\",\"config\":{\"audience\":\"x\"}},"
                              "\"interactive\":false}}");
    stop(&r);
}

static void test_kube_exec_run__failure_says_what_it_said(void **state)
{
    (void)state;
    struct rig r;
    start(&r, "echo 'session expired' >&2; exit 3");
    assert_int_equal(run(&r), VF_AUTH);
    vf_test_expect_error(r.err, "credential plugin \"/tmp/");
    vf_test_expect_error(r.err, "failed with status 3: session expired");
    vf_test_expect_error(r.err, "log in first");
    stop(&r);

    start(&r, "echo s3cr3t");
    assert_int_equal(run(&r), VF_AUTH);
    vf_test_expect_error(r.err, "is not JSON");
    assert_null(strstr(vf_error_message(r.err), "s3cr3t"));
    stop(&r);

    start(&r, "head -c 2000000 /dev/zero | tr '\\0' x");
    assert_int_equal(run(&r), VF_AUTH);
    vf_test_expect_error(r.err, "wrote more than 1048576 bytes");
    stop(&r);
}

static void test_kube_exec_run__missing_program_gives_the_files_hint(void **state)
{
    (void)state;
    struct rig r;
    start(&r, "");
    free(r.config->exec->command);
    r.config->exec->command = vf_xstrdup("vmferry-no-such-plugin");
    assert_int_equal(run(&r), VF_MISSING);
    assert_string_equal(vf_error_get_hint(r.err),
                        "install \"vmferry-no-such-plugin\", or have PATH lead to it");
    vf_error_clear(&r.err);
    r.config->exec->install_hint = vf_xstrdup("get it\x1b[31m\nfrom x.test\n");
    assert_int_equal(run(&r), VF_MISSING);
    assert_string_equal(vf_error_get_hint(r.err), "get it [31m from x.test");
    stop(&r);
}

static void test_kube_exec_run__is_ended_by_cancellation(void **state)
{
    (void)state;
    struct rig r;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    start(&r, "sleep 30");
    vf_cancel_trigger(cancel);
    int64_t begun_ms = vf_clock_ms();
    assert_int_equal(vf_kube_exec_run(r.config, cancel, &r.result, &r.err), VF_CANCELLED);
    int64_t took_ms = vf_clock_ms() - begun_ms;
    assert_in_range(took_ms, 0, 1000);
    vf_cancel_free(cancel);
    stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kube_time__rfc3339_is_read),
        cmocka_unit_test(test_kube_exec_parse__token_certificate_and_time),
        cmocka_unit_test(test_kube_exec_parse__anything_else_is_refused),
        cmocka_unit_test(test_kube_exec_run__gets_arguments_and_environment),
        cmocka_unit_test(test_kube_exec_info__tells_the_cluster_when_asked),
        cmocka_unit_test(test_kube_exec_run__failure_says_what_it_said),
        cmocka_unit_test(test_kube_exec_run__missing_program_gives_the_files_hint),
        cmocka_unit_test(test_kube_exec_run__is_ended_by_cancellation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
