#include "importer/kube/rights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/kube/resources.h"
#include "tests/support/kube_script.h"

#define RULES  "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
#define ACCESS "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

#define RULE(verbs, groups, resources, more)                                                       \
    "{\"verbs\":[" verbs "],\"apiGroups\":[" groups "],\"resources\":[" resources "]" more "}"

static const struct vf_kube_need create_jobs = {
    .resource = &vf_kube_jobs, .verb = "create", .purpose = "a", .needed = true};
static const struct vf_kube_need get_logs = {
    .resource = &vf_kube_pods, .subresource = "log", .verb = "get", .purpose = "b"};
static const struct vf_kube_need list_classes = {
    .resource = &vf_kube_storage_classes, .verb = "list", .purpose = "c"};

static void test_rights__rules_are_understood(void **state)
{
    static const struct {
        const char *rule;
        const struct vf_kube_need *need;
        bool allowed;
    } cases[] = {
        {RULE("\"create\"", "\"batch\"", "\"jobs\"", ""), &create_jobs, true},
        {RULE("\"get\",\"create\"", "\"\",\"batch\"", "\"pods\",\"jobs\"", ""), &create_jobs, true},
        {RULE("\"*\"", "\"*\"", "\"*\"", ""), &create_jobs, true},
        {RULE("\"*\"", "\"*\"", "\"*\"", ",\"resourceNames\":[]"), &create_jobs, true},
        {RULE("\"create\"", "\"batch\"", "\"jobs\"", ",\"resourceNames\":[\"a\"]"), &create_jobs,
         false},
        {RULE("\"get\"", "\"batch\"", "\"jobs\"", ""), &create_jobs, false},
        {RULE("\"create\"", "\"\"", "\"jobs\"", ""), &create_jobs, false},
        {RULE("\"create\"", "\"batch\"", "\"jobs/status\"", ""), &create_jobs, false},
        {RULE("\"get\"", "\"\"", "\"pods/log\"", ""), &get_logs, true},
        {RULE("\"get\"", "\"\"", "\"*/log\"", ""), &get_logs, true},
        {RULE("\"get\"", "\"\"", "\"*\"", ""), &get_logs, true},
        {RULE("\"get\"", "\"\"", "\"pods\"", ""), &get_logs, false},
        {"{}", &get_logs, false},
        {"7", &get_logs, false},
        {"{\"verbs\":\"get\",\"apiGroups\":[7],\"resources\":{}}", &get_logs, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *vf_autofree text = vf_xasprintf("{\"resourceRules\":[{},%s]}", cases[i].rule);
        cJSON *status = cJSON_Parse(text);
        assert_non_null(status);
        if (vf_kube_rights_allow(status, cases[i].need) != cases[i].allowed) {
            fail_msg("%s", cases[i].rule);
        }
        cJSON_Delete(status);
    }
    assert_false(vf_kube_rights_allow(NULL, &get_logs));
}

/* Other authorizers than RBAC need not tell their rules: what these lack is asked for. */
static void test_rights__what_rules_do_not_show_is_asked_for(void **state)
{
    static const struct vf_test_route routes[] = {
        {.method = "POST",
         .path = RULES,
         .status = 201,
         .body = "{\"status\":{\"incomplete\":true,\"resourceRules\":[" RULE(
             "\"create\"", "\"batch\"", "\"jobs\"", "") "]}}"},
        {.method = "POST",
         .path = ACCESS,
         .status = 201,
         .times = 1,
         .body = "{\"status\":{\"allowed\":true}}"},
        {.method = "POST",
         .path = ACCESS,
         .status = 201,
         .body = "{\"status\":{\"allowed\":false}}"},
        {.path = NULL},
    };
    static const struct vf_kube_need *const needs[] = {&create_jobs, &get_logs, &list_classes,
                                                       NULL};
    struct vf_test_script s;
    const struct vf_kube_need **refused = NULL;
    (void)state;
    vf_test_script_start(&s, routes);
    assert_int_equal(
        vf_kube_rights_fetch_refused(s.kube.client, "prod", needs, NULL, &refused, &s.kube.err), 0);
    assert_ptr_equal(refused[0], &list_classes);
    assert_null(refused[1]);
    free(refused);
    vf_test_script_expect(&s, "\"namespace\":\"prod\",\"group\":\"\",\"resource\":\"pods\","
                              "\"subresource\":\"log\",\"verb\":\"get\"");
    /* What is in no namespace is asked for in none. */
    vf_test_script_expect(&s, "{\"group\":\"storage.k8s.io\",\"resource\":\"storageclasses\","
                              "\"verb\":\"list\"}");
    vf_test_script_stop(&s);
}

static void test_rights__that_cannot_be_asked_are_an_error(void **state)
{
    static const struct vf_test_route routes[] = {
        {.method = "POST", .path = RULES, .status = 403, .body = "{}"},
        {.path = NULL},
    };
    static const struct vf_kube_need *const needs[] = {&create_jobs, NULL};
    struct vf_test_script s;
    const struct vf_kube_need **refused = NULL;
    (void)state;
    vf_test_script_start(&s, routes);
    assert_int_equal(
        vf_kube_rights_fetch_refused(s.kube.client, "prod", needs, NULL, &refused, &s.kube.err),
        VF_AUTH);
    assert_null(refused);
    vf_test_script_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rights__rules_are_understood),
        cmocka_unit_test(test_rights__what_rules_do_not_show_is_asked_for),
        cmocka_unit_test(test_rights__that_cannot_be_asked_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
