#include "importer/kube/allowed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/kube/resources.h"
#include "tests/support/kube_script.h"

#define CLAIMS "/api/v1/namespaces/prod/persistentvolumeclaims"
#define FORBIDDEN                                                                                  \
    "{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":403,\"reason\":\"Forbidden\","           \
    "\"message\":\"RBAC: role not found\"}"

static int get_claim(struct vf_test_script *s)
{
    const struct vf_kube_ref ref = {.resource = &vf_kube_claims, .name = "a"};
    return vf_kube_get(s->kube.client, &ref, NULL, NULL, &s->kube.err);
}

static void test_allowed__refusal_after_a_restart_passes(void **state)
{
    (void)state;
    static const struct vf_test_route routes[] = {
        {.path = CLAIMS "/a", .body = "{}", .times = 1},
        {.path = CLAIMS "/a", .status = 403, .body = FORBIDDEN, .times = 2},
        {.path = CLAIMS "/a", .body = "{}"},
        {0},
    };
    struct vf_test_script s;
    vf_test_script_start(&s, routes);
    assert_int_equal(get_claim(&s), 0);
    assert_int_equal(get_claim(&s), 0);
    vf_test_script_stop(&s);
}

static void test_allowed__what_was_never_allowed_is_refused_at_once(void **state)
{
    (void)state;
    static const struct vf_test_route routes[] = {
        {.path = CLAIMS "/a", .status = 403, .body = FORBIDDEN, .times = 1},
        {0},
    };
    struct vf_test_script s;
    vf_test_script_start(&s, routes);
    assert_int_equal(get_claim(&s), VF_AUTH);
    vf_test_script_stop(&s);
}

/* The right was taken away: that is told, not that the server be tried again. */
static void test_allowed__refusal_that_stays_is_one(void **state)
{
    (void)state;
    static const struct vf_test_route routes[] = {
        {.path = CLAIMS "/a", .body = "{}", .times = 1},
        {.path = CLAIMS "/a", .status = 403, .body = FORBIDDEN},
        {0},
    };
    struct vf_test_script s;
    vf_test_script_start(&s, routes);
    assert_int_equal(get_claim(&s), 0);
    assert_int_equal(get_claim(&s), VF_AUTH);
    vf_test_expect_error(s.kube.err, "role not found");
    vf_test_script_stop(&s);
}

static void test_allowed__goes_by_verb_resource_and_namespace(void **state)
{
    (void)state;
    struct vf_kube_allowed a;
    const struct vf_kube_action get = {.verb = "get", .resource = &vf_kube_claims, .ns = "prod"};
    struct vf_kube_action other = get;
    vf_kube_allowed_init(&a);
    vf_kube_allowed_note(&a, &get);
    other.name = "any";
    assert_true(vf_kube_allowed_has(&a, &other));
    other.ns = "dev";
    assert_false(vf_kube_allowed_has(&a, &other));
    other = get;
    other.verb = "patch";
    assert_false(vf_kube_allowed_has(&a, &other));
    other = get;
    other.resource = &vf_kube_pods;
    assert_false(vf_kube_allowed_has(&a, &other));
    other.subresource = "log";
    assert_false(vf_kube_allowed_has(&a, &other));
    for (unsigned i = 0; i < 2 * VF_KUBE_MAX_ALLOWED; i++) { /* more than fit */
        char *vf_autofree ns = vf_xasprintf("ns-%u", i);
        other.ns = ns;
        vf_kube_allowed_note(&a, &other);
    }
    assert_int_equal(a.n, VF_KUBE_MAX_ALLOWED);
    assert_true(vf_kube_allowed_has(&a, &get));
    vf_kube_allowed_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed__refusal_after_a_restart_passes),
        cmocka_unit_test(test_allowed__what_was_never_allowed_is_refused_at_once),
        cmocka_unit_test(test_allowed__refusal_that_stays_is_one),
        cmocka_unit_test(test_allowed__goes_by_verb_resource_and_namespace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
