#include "importer/kube/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "importer/base/mem.h"
#include "tests/support/kube_rig.h"

#define CONFIG(server)                                                                             \
    "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"                  \
    "clusters: [{name: c, cluster: {server: '" server "'}}]\nusers: [{name: u, user: {}}]\n"

struct rig {
    char *dir;
    struct vf_kube_config *config;
    struct vf_error *err;
};

static int start(void **state)
{
    struct rig *r = vf_xcalloc(1, sizeof *r);
    r->dir = vf_test_make_dir();
    *state = r;
    unsetenv("KUBECONFIG");
    unsetenv("KUBERNETES_SERVICE_HOST");
    unsetenv("KUBERNETES_SERVICE_PORT");
    setenv("HOME", r->dir, 1);
    return 0;
}

static int stop(void **state)
{
    struct rig *r = *state;
    vf_test_remove_dir(r->dir);
    vf_kube_config_free(r->config);
    vf_error_free(r->err);
    free(r);
    return 0;
}

static void put(struct rig *r, const char *name, const char *text)
{
    free(vf_test_make_file(r->dir, name, text, 0600));
}

static int fetch(struct rig *r, const struct vf_kube_config_options *o)
{
    vf_kube_config_free(r->config);
    r->config = NULL;
    vf_error_clear(&r->err);
    return vf_kube_config_fetch(o, &r->config, &r->err);
}

static void test_kube_config__path_given_goes_first(void **state)
{
    struct rig *r = *state;
    put(r, "a", CONFIG("https://a.test"));
    put(r, "b", CONFIG("https://b.test"));
    char *vf_autofree a = vf_xasprintf("%s/a", r->dir);
    char *vf_autofree b = vf_xasprintf("%s/b", r->dir);
    setenv("KUBECONFIG", a, 1);
    assert_int_equal(fetch(r, NULL), 0);
    assert_string_equal(r->config->server, "https://a.test");
    struct vf_kube_config_options o = {.path = b, .ns = "mine"};
    assert_int_equal(fetch(r, &o), 0);
    assert_string_equal(r->config->server, "https://b.test");
    assert_string_equal(r->config->ns, "mine");
    o = (struct vf_kube_config_options){.path = "/nonexistent/config"};
    assert_int_equal(fetch(r, &o), VF_MISSING);
    vf_test_expect_error(r->err, "cannot open kubeconfig \"/nonexistent/config\"");
    o = (struct vf_kube_config_options){.context = "y"};
    assert_int_equal(fetch(r, &o), VF_MISSING);
    vf_test_expect_error(r->err, "has no context \"y\"");
}

static void test_kube_config__list_passes_over_what_is_not_there(void **state)
{
    struct rig *r = *state;
    put(r, "b", CONFIG("https://b.test"));
    char *vf_autofree list = vf_xasprintf("%s/no::%s/b:%s/b", r->dir, r->dir, r->dir);
    setenv("KUBECONFIG", list, 1);
    assert_int_equal(fetch(r, NULL), 0);
    assert_string_equal(r->config->server, "https://b.test");

    char *vf_autofree none = vf_xasprintf("%s/no", r->dir);
    setenv("KUBECONFIG", none, 1);
    assert_int_equal(fetch(r, NULL), VF_MISSING);
    vf_test_expect_error(r->err, "where KUBECONFIG points to");
}

/* HOME/.kube is a link to HOME here: the rig's folder is flat. */
static void test_kube_config__home_is_the_default(void **state)
{
    struct rig *r = *state;
    assert_int_equal(fetch(r, NULL), VF_MISSING);
    vf_test_expect_error(r->err, "no kubeconfig in ~/.kube/config");
    char *vf_autofree link = vf_xasprintf("%s/.kube", r->dir);
    assert_int_equal(symlink(r->dir, link), 0);
    put(r, "config", CONFIG("https://home.test"));
    int rc = fetch(r, NULL);
    unlink(link);
    assert_int_equal(rc, 0);
    assert_string_equal(r->config->server, "https://home.test");
}

static void test_kube_config__files_named_inside_are_read(void **state)
{
    struct rig *r = *state;
    put(r, "ca", "CA text\n");
    put(r, "crt", "CERT\n");
    put(r, "key", "KEY\n");
    put(r, "cfg",
        "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
        "clusters: [{name: c, cluster: {server: a.test, certificate-authority: ca}}]\n"
        "users: [{name: u, user: {client-certificate: crt, client-key: key}}]\n");
    char *vf_autofree path = vf_xasprintf("%s/cfg", r->dir);
    struct vf_kube_config_options o = {.path = path};
    assert_int_equal(fetch(r, &o), 0);
    assert_string_equal(r->config->ca_pem, "CA text\n");
    assert_string_equal(r->config->client_cert_pem, "CERT\n");
    assert_string_equal(vf_secret_reveal(r->config->client_key_pem), "KEY");
    char *vf_autofree key = vf_xasprintf("%s/key", r->dir);
    unlink(key);
    assert_int_equal(fetch(r, &o), VF_MISSING);
    vf_test_expect_error(r->err, "context \"x\" of kubeconfig");
    vf_test_expect_error(r->err, "cannot open the client key");
}

static void test_kube_config__relative_path_is_against_the_working_folder(void **state)
{
    struct rig *r = *state;
    put(r, "ca", "CA");
    put(r, "cfg",
        "current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\n"
        "clusters: [{name: c, cluster: {server: a.test, certificate-authority: ca}}]\n");
    char cwd[4096];
    assert_non_null(getcwd(cwd, sizeof cwd));
    assert_int_equal(chdir(r->dir), 0);
    struct vf_kube_config_options o = {.path = "cfg"};
    int rc = fetch(r, &o);
    assert_int_equal(chdir(cwd), 0);
    assert_int_equal(rc, 0);
    assert_string_equal(r->config->ca_pem, "CA");
}

static void test_kube_config__pod_uses_its_service_account(void **state)
{
    struct rig *r = *state;
    put(r, "ca.crt", "CA");
    put(r, "token", "t\n");
    put(r, "namespace", "migrated\n");
    const struct vf_kube_config_options o = {.service_account_dir = r->dir};
    setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "6443", 1);
    assert_int_equal(fetch(r, &o), 0);
    assert_string_equal(r->config->server, "https://[fd00::1]:6443");
    assert_string_equal(r->config->ns, "migrated");
    assert_string_equal(r->config->ca_pem, "CA");
    assert_non_null(strstr(r->config->token_file, "/token"));
    setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
    assert_int_equal(fetch(r, &o), 0);
    assert_string_equal(r->config->server, "https://10.0.0.1:6443");
    /* A kubeconfig goes before it. */
    put(r, "cfg", CONFIG("https://cfg.test"));
    char *vf_autofree path = vf_xasprintf("%s/cfg", r->dir);
    setenv("KUBECONFIG", path, 1);
    assert_int_equal(fetch(r, &o), 0);
    assert_string_equal(r->config->server, "https://cfg.test");
}

static void test_kube_config__pod_without_account_says_so(void **state)
{
    struct rig *r = *state;
    const struct vf_kube_config_options o = {.service_account_dir = r->dir};
    setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
    setenv("KUBERNETES_SERVICE_PORT", "443", 1);
    assert_int_equal(fetch(r, &o), VF_MISSING);
    vf_test_expect_error(r->err, "automountServiceAccountToken");
}

static void test_kube_config__size_and_kind_of_file_are_checked(void **state)
{
    struct rig *r = *state;
    char *big = vf_xcalloc(1, (5u << 20) + 1);
    memset(big, '#', 5u << 20);
    put(r, "cfg", big);
    free(big);
    char *vf_autofree path = vf_xasprintf("%s/cfg", r->dir);
    struct vf_kube_config_options o = {.path = path};
    assert_int_equal(fetch(r, &o), VF_SPACE);
    o.path = r->dir;
    assert_int_not_equal(fetch(r, &o), 0);
    vf_test_expect_error(r->err, "cannot read kubeconfig");
    o.path = "/dev/zero";
    assert_int_equal(fetch(r, &o), VF_SPACE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kube_config__path_given_goes_first),
        TEST(test_kube_config__list_passes_over_what_is_not_there),
        TEST(test_kube_config__home_is_the_default),
        TEST(test_kube_config__files_named_inside_are_read),
        TEST(test_kube_config__relative_path_is_against_the_working_folder),
        TEST(test_kube_config__pod_uses_its_service_account),
        TEST(test_kube_config__pod_without_account_says_so),
        TEST(test_kube_config__size_and_kind_of_file_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
