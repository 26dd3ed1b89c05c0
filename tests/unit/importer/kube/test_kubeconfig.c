#include "importer/kube/kubeconfig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"

#define HEAD    "apiVersion: v1\nkind: Config\n"
#define CONTEXT "current-context: one\ncontexts:\n- name: one\n  context: {cluster: c, user: u}\n"
#define CLUSTER "clusters:\n- name: c\n  cluster: {server: 'https://api.test:6443'}\n"

static int parse_files(const struct vf_kubeconfig_file *files, size_t n, const char *context,
                       struct vf_kube_config **ret, struct vf_error **err)
{
    struct vf_kubeconfig_file with_len[4];
    for (size_t i = 0; i < n; i++) {
        with_len[i] = files[i];
        with_len[i].len = strlen(files[i].data);
    }
    *ret = NULL;
    return vf_kubeconfig_parse(with_len, n, context, ret, err);
}

static struct vf_kube_config *parse(const char *text)
{
    struct vf_kubeconfig_file file = {.path = "/etc/k/config", .data = text};
    struct vf_kube_config *c;
    struct vf_error *err = NULL;
    if (parse_files(&file, 1, NULL, &c, &err)) {
        fail_msg("%s", vf_error_message(err));
    }
    return c;
}

static struct vf_error *refuse(const char *text, int code)
{
    struct vf_kubeconfig_file file = {.path = "/etc/k/config", .data = text};
    struct vf_kube_config *c;
    struct vf_error *err = NULL;
    assert_int_equal(parse_files(&file, 1, NULL, &c, &err), code);
    assert_null(c);
    return err;
}

static void expect_refusal(const char *text, int code, const char *message)
{
    struct vf_error *err = refuse(text, code);
    if (!strstr(vf_error_message(err), message)) {
        fail_msg("%s", vf_error_message(err));
    }
    vf_error_free(err);
}

/* `user` is a flow mapping. */
static void expect_user_refusal(const char *user, int code, const char *message)
{
    char *vf_autofree text =
        vf_xasprintf(HEAD CONTEXT CLUSTER "users:\n- name: u\n  user: %s\n", user);
    expect_refusal(text, code, message);
}

static void expect_cluster_refusal(const char *cluster, const char *message)
{
    char *vf_autofree text = vf_xasprintf(
        HEAD CONTEXT "users: [{name: u}]\nclusters:\n- name: c\n  cluster: %s\n", cluster);
    expect_refusal(text, VF_INVALID, message);
}

static struct vf_kube_config *parse_user(const char *user)
{
    char *vf_autofree text =
        vf_xasprintf(HEAD CONTEXT CLUSTER "users:\n- name: u\n  user: %s\n", user);
    return parse(text);
}

static void test_kubeconfig__context_chooses_cluster_user_and_namespace(void **state)
{
    (void)state;
    static const char text[] =
        HEAD "current-context: two\npreferences: {}\n"
             "contexts:\n- name: one\n  context: {cluster: c, user: u}\n"
             "- context:\n    cluster: d\n    namespace: prod\n    user: v\n  name: two\n"
             "clusters:\n- name: c\n  cluster: {server: c.test}\n"
             "- name: d\n  cluster:\n    server: https://d.test:6443/k8s/x//\n"
             "    certificate-authority-data: Q0E=\n    tls-server-name: inner.test\n"
             "    proxy-url: socks5://p.test:1080\n"
             "users:\n- name: u\n  user: {token: t1}\n- name: v\n  user: {token: t2}\n";
    struct vf_kube_config *c = parse(text);
    assert_string_equal(c->server, "https://d.test:6443/k8s/x");
    assert_string_equal(c->ns, "prod");
    assert_string_equal(c->ca_pem, "CA");
    assert_string_equal(c->tls_server_name, "inner.test");
    assert_string_equal(c->proxy, "socks5h://p.test:1080");
    assert_string_equal(vf_secret_reveal(c->token), "t2");
    assert_string_equal(c->origin, "context \"two\" of kubeconfig \"/etc/k/config\"");
    assert_false(c->insecure);
    vf_kube_config_free(c);

    struct vf_kubeconfig_file file = {.path = "/etc/k/config", .data = text};
    assert_int_equal(parse_files(&file, 1, "one", &c, NULL), 0);
    assert_string_equal(c->server, "https://c.test");
    assert_string_equal(c->ns, "default");
    assert_string_equal(vf_secret_reveal(c->token), "t1");
    vf_kube_config_free(c);
}

static void test_kubeconfig__first_file_wins(void **state)
{
    (void)state;
    const struct vf_kubeconfig_file files[] = {
        {.path = "/a/config", .data = ""},
        {.path = "/b/config",
         .data = "contexts:\n- name: one\n  context: {cluster: c, user: u}\n"
                 "users:\n- name: u\n  user: {tokenFile: t}\n"},
        {.path = "/c/config",
         .data = CONTEXT "clusters:\n- name: c\n  cluster: {server: 'https://c.test', "
                         "certificate-authority: ca.crt}\n"
                         "users:\n- name: u\n  user: {token: no, username: no}\n"},
        {.path = "/d/config",
         .data = "current-context: other\nclusters:\n- name: c\n  cluster: {server: no}\n"},
    };
    struct vf_kube_config *c;
    struct vf_error *err = NULL;
    assert_int_equal(parse_files(files, 4, NULL, &c, &err), 0);
    assert_string_equal(c->server, "https://c.test");
    assert_string_equal(c->ca_file, "/c/ca.crt");
    assert_string_equal(c->token_file, "/b/t");
    /* Entries are taken whole: nothing of the second "u" mixes in. */
    assert_null(c->token);
    assert_null(c->username);
    vf_kube_config_free(c);
}

static void test_kubeconfig__paths_are_relative_to_the_file(void **state)
{
    (void)state;
    struct vf_kube_config *c =
        parse_user("{client-certificate: pki/u.crt, client-key: /abs/u.key, tokenFile: ../t}");
    assert_string_equal(c->client_cert_file, "/etc/k/pki/u.crt");
    assert_string_equal(c->client_key_file, "/abs/u.key");
    assert_string_equal(c->token_file, "/etc/k/../t");
    vf_kube_config_free(c);
}

static void test_kubeconfig_user__inline_certificate_and_basic(void **state)
{
    (void)state;
    struct vf_kube_config *c = parse_user("{client-certificate-data: \"Q0\\n  VSVA==\", "
                                          "client-key-data: S0VZ, username: me, password: pw}");
    assert_string_equal(c->client_cert_pem, "CERT");
    assert_string_equal(vf_secret_reveal(c->client_key_pem), "KEY");
    assert_string_equal(c->username, "me");
    assert_string_equal(vf_secret_reveal(c->password), "pw");
    vf_kube_config_free(c);
}

static void test_kubeconfig_user__impersonation_becomes_headers(void **state)
{
    (void)state;
    struct vf_kube_config *c = parse_user(
        "{token: t, as: jane, as-uid: '7', as-groups: [a, b], as-user-extra: {x/y: [p, q]}}");
    static const char *const expected[] = {
        "Impersonate-User: jane", "Impersonate-Uid: 7",         "Impersonate-Group: a",
        "Impersonate-Group: b",   "Impersonate-Extra-x%2Fy: p", "Impersonate-Extra-x%2Fy: q"};
    assert_int_equal(c->n_impersonate, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(c->impersonate[i], expected[i]);
    }
    vf_kube_config_free(c);
    expect_user_refusal("{as-groups: [a]}", VF_INVALID, "impersonation needs \"as\"");
    expect_user_refusal("{as: \"a\\nb\"}", VF_INVALID, "line break");
    expect_user_refusal("{as: x, as-groups: [\"a\\nb\"]}", VF_INVALID, "one line");
}

static void test_kubeconfig_exec__is_read_whole(void **state)
{
    (void)state;
    struct vf_kube_config *c =
        parse(HEAD CONTEXT
              "clusters:\n- name: c\n  cluster:\n    server: https://c.test\n    extensions:\n"
              "    - {name: other, extension: {no: 1}}\n"
              "    - {name: client.authentication.k8s.io/exec, extension: {audience: x}}\n"
              "users:\n- name: u\n  user:\n    exec:\n"
              "      apiVersion: client.authentication.k8s.io/v1\n      command: ./bin/login\n"
              "      args: [a, '1']\n      env: [{name: A, value: b}, {name: B}]\n"
              "      interactiveMode: IfAvailable\n      provideClusterInfo: true\n"
              "      installHint: get it\n");
    assert_non_null(c->exec);
    assert_string_equal(c->exec->command, "/etc/k/./bin/login");
    assert_int_equal(c->exec->n_args, 2);
    assert_string_equal(c->exec->args[1], "1");
    assert_int_equal(c->exec->n_env, 2);
    assert_string_equal(c->exec->env[0], "A=b");
    assert_string_equal(c->exec->env[1], "B=");
    assert_true(c->exec->provide_cluster_info);
    assert_string_equal(c->exec->install_hint, "get it");
    assert_non_null(cJSON_GetObjectItem(c->exec->cluster_config, "audience"));
    vf_kube_config_free(c);

    c = parse_user("{exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: login, "
                   "args: null, env: null}}");
    assert_string_equal(c->exec->command, "login");
    vf_kube_config_free(c);
}

#define EXEC_V1 "{exec: {apiVersion: client.authentication.k8s.io/v1, "

static void test_kubeconfig_exec__what_cannot_work_is_refused(void **state)
{
    (void)state;
    expect_user_refusal("{exec: {command: x}}", VF_INVALID, "needs an \"apiVersion\"");
    expect_user_refusal("{exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}}",
                        VF_UNSUPPORTED, "line 12, column 17: user \"u\": plugins of");
    expect_user_refusal(EXEC_V1 "command: x}}", VF_INVALID, "\"interactiveMode\" must be");
    expect_user_refusal(EXEC_V1 "command: x, interactiveMode: Perhaps}}", VF_INVALID, "must be");
    expect_user_refusal(EXEC_V1 "command: x, interactiveMode: Always}}", VF_UNSUPPORTED,
                        "wants to ask on the terminal");
    expect_user_refusal(EXEC_V1 "interactiveMode: Never}}", VF_INVALID, "needs a \"command\"");
    expect_user_refusal(EXEC_V1 "command: x, interactiveMode: Never, args: [1]}}", VF_INVALID,
                        "an argument must be a text");
    expect_user_refusal(EXEC_V1 "command: x, interactiveMode: Never, env: [{value: 1}]}}",
                        VF_INVALID, "\"value\" must be a text");
    expect_user_refusal(EXEC_V1 "command: x, interactiveMode: Never, env: [{value: a}]}}",
                        VF_INVALID, "a variable needs a name");
    expect_user_refusal(EXEC_V1 "command: x, interactiveMode: Never, env: [a]}}", VF_INVALID,
                        "a variable must be a mapping");
    expect_user_refusal("{exec: [1]}", VF_INVALID, "\"exec\" must be a mapping");
}

static void test_kubeconfig_user__auth_provider_is_told_what_helps(void **state)
{
    (void)state;
    struct vf_error *err = refuse(HEAD CONTEXT CLUSTER "users:\n- name: u\n  user:\n    token: t\n"
                                                       "    auth-provider: {name: gcp}\n",
                                  VF_UNSUPPORTED);
    assert_non_null(
        strstr(vf_error_message(err), "kubeconfig \"/etc/k/config\", line 14, column 5"));
    assert_non_null(strstr(vf_error_get_hint(err), "exec"));
    vf_error_free(err);
}

static void test_kubeconfig_user__contradictions_are_invalid(void **state)
{
    (void)state;
    expect_user_refusal("{token: t, username: x}", VF_INVALID, "exclude each other");
    expect_user_refusal("{client-certificate: a, client-certificate-data: QQ==, client-key: b}",
                        VF_INVALID, "exclude each other");
    expect_user_refusal("{client-certificate: a, client-key: b, client-key-data: QQ==}", VF_INVALID,
                        "exclude each other");
    expect_user_refusal("{client-certificate: a}", VF_INVALID, "must be given together");
    expect_user_refusal("{client-key: a}", VF_INVALID, "must be given together");
    expect_user_refusal("{token: 5}", VF_INVALID, "line 12, column 10: \"token\" must be a text");
    expect_user_refusal("{client-certificate-data: 'Q!=='}", VF_INVALID, "base64");
    expect_user_refusal("{client-certificate-data: QQA}", VF_INVALID, "base64");
    expect_user_refusal("{client-certificate-data: QUEAQQ==}", VF_INVALID, "base64");
}

static void test_kubeconfig_cluster__contradictions_are_invalid(void **state)
{
    (void)state;
    expect_cluster_refusal("{}", "has no server");
    expect_cluster_refusal("{server: 'ftp://x'}", "must be an https or http URL");
    expect_cluster_refusal("{server: 'https://x/?q'}", "query or fragment");
    expect_cluster_refusal("{server: x, proxy-url: p.test}", "the proxy must be");
    expect_cluster_refusal("{server: x, certificate-authority: a, "
                           "certificate-authority-data: QQ==}",
                           "exclude each other");
    expect_cluster_refusal("{server: x, insecure-skip-tls-verify: true, "
                           "certificate-authority: a}",
                           "exclude each other");
    expect_cluster_refusal("{server: x, insecure-skip-tls-verify: 'true'}", "true or false");
}

static void test_kubeconfig_cluster__insecure_only_when_it_says_so(void **state)
{
    (void)state;
    struct vf_kube_config *c =
        parse(HEAD CONTEXT "users: [{name: u, user: {token: t}}]\nclusters:\n- name: c\n"
                           "  cluster: {server: 'https://x', insecure-skip-tls-verify: true}\n");
    assert_true(c->insecure);
    vf_kube_config_free(c);
}

/* As client-go: nothing that tells who we are goes over a line that anyone can read. */
static void test_kubeconfig_cluster__plain_http_carries_no_credentials(void **state)
{
    (void)state;
    struct vf_kube_config *c =
        parse(HEAD CONTEXT "users: [{name: u, user: {token: t, as: x}}]\n"
                           "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:8001/'}}]\n");
    assert_string_equal(c->server, "http://127.0.0.1:8001");
    assert_null(c->token);
    assert_int_equal(c->n_impersonate, 0);
    vf_kube_config_free(c);
}

static void test_kubeconfig__what_is_named_must_be_there(void **state)
{
    (void)state;
    expect_refusal("", VF_MISSING, "has no current context");
    expect_refusal("current-context: x\n", VF_MISSING, "has no context \"x\"");
    expect_refusal(CONTEXT, VF_MISSING,
                   "line 4, column 13: context \"one\" names cluster \"c\", which is not there");
    expect_refusal(CONTEXT CLUSTER, VF_MISSING, "names user \"u\", which is not there");
    expect_refusal("current-context: x\ncontexts: [{name: x, context: {}}]\n", VF_INVALID,
                   "names no cluster");
    expect_refusal("current-context: x\ncontexts: [{name: x}]\n", VF_INVALID, "names no cluster");
}

static void test_kubeconfig__broken_files_name_the_place(void **state)
{
    (void)state;
    expect_refusal("a: [", VF_INVALID, "kubeconfig \"/etc/k/config\", line 2, column 1: ");
    expect_refusal("- a\n", VF_INVALID, "line 1, column 1: this is no kubeconfig");
    expect_refusal("text", VF_INVALID, "this is no kubeconfig");
    expect_refusal("apiVersion: v1\nkind: Pod\n", VF_INVALID, "a \"Pod\" of \"v1\"");
    expect_refusal("current-context: [a]\n", VF_INVALID, "\"current-context\" must be a text");
    expect_refusal("current-context: x\ncontexts: {}\n", VF_INVALID, "\"contexts\" must be a list");
    expect_refusal("current-context: x\ncontexts:\n- a\n", VF_INVALID,
                   "line 3, column 3: a context must be a mapping");
    expect_refusal("current-context: x\ncontexts:\n- name: x\n  context: {}\n- name: x\n",
                   VF_INVALID, "line 5, column 3: context \"x\" stands here again");
    expect_refusal("current-context: x\ncontexts:\n- name: x\n  context: a\n", VF_INVALID,
                   "line 4, column 3: \"context\" must be a mapping");
}

static void test_kubeconfig__errors_hold_no_secret(void **state)
{
    (void)state;
    struct vf_error *err = refuse(HEAD CONTEXT CLUSTER
                                  "users:\n- name: u\n  user: {password: s3cr3t, token: s3cr3t}\n",
                                  VF_INVALID);
    char *vf_autofree text = vf_error_format(err);
    assert_null(strstr(text, "s3cr3t"));
    vf_error_free(err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubeconfig__context_chooses_cluster_user_and_namespace),
        cmocka_unit_test(test_kubeconfig__first_file_wins),
        cmocka_unit_test(test_kubeconfig__paths_are_relative_to_the_file),
        cmocka_unit_test(test_kubeconfig_user__inline_certificate_and_basic),
        cmocka_unit_test(test_kubeconfig_user__impersonation_becomes_headers),
        cmocka_unit_test(test_kubeconfig_exec__is_read_whole),
        cmocka_unit_test(test_kubeconfig_exec__what_cannot_work_is_refused),
        cmocka_unit_test(test_kubeconfig_user__auth_provider_is_told_what_helps),
        cmocka_unit_test(test_kubeconfig_user__contradictions_are_invalid),
        cmocka_unit_test(test_kubeconfig_cluster__contradictions_are_invalid),
        cmocka_unit_test(test_kubeconfig_cluster__insecure_only_when_it_says_so),
        cmocka_unit_test(test_kubeconfig_cluster__plain_http_carries_no_credentials),
        cmocka_unit_test(test_kubeconfig__what_is_named_must_be_there),
        cmocka_unit_test(test_kubeconfig__broken_files_name_the_place),
        cmocka_unit_test(test_kubeconfig__errors_hold_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
