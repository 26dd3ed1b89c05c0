#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "importer/kube/cdi.h"
#include "tests/support/kube_script.h"

static bool takes(int status, const char *body)
{
    const struct vf_test_route routes[] = {
        {.path = "/apis/cdi.kubevirt.io/v1beta1/cdis", .status = status, .body = body}, {0}};
    struct vf_test_script s;
    bool answer = true;
    vf_test_script_start(&s, routes);
    assert_int_equal(vf_cdi_fetch_takes_zstd(s.kube.client, NULL, &answer, &s.kube.err), 0);
    s.routes = NULL; /* they are gone with this frame; nothing is requested any more */
    vf_test_script_stop(&s);
    return answer;
}

static bool takes_of(const char *version)
{
    char body[300];
    snprintf(body, sizeof body,
             "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{\"status\":{"
             "\"observedVersion\":\"%s\"}}]}",
             version);
    return takes(200, body);
}

static void test_cdi_version__later_ones_take_zstd(void **state)
{
    (void)state;
    assert_true(takes_of("v1.64.0"));
    assert_true(takes_of("v1.65.1"));
    assert_true(takes_of("1.100.0-rc.1"));
    assert_true(takes_of("v2.0.0"));
}

static void test_cdi_version__others_may_not(void **state)
{
    (void)state;
    assert_false(takes_of("v1.63.9"));
    assert_false(takes_of("v0.99.0"));
    assert_false(takes_of("latest"));
    assert_false(takes_of(""));
    assert_false(takes_of("v1"));
    assert_false(takes_of("v-1.70.0"));
}

static void test_cdi_version__unknown_is_no(void **state)
{
    (void)state;
    assert_false(takes(200, "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[]}"));
    assert_false(takes(200, "{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[{\"status\":{"
                            "\"observedVersion\":7}}]}"));
    assert_false(takes(404, "{}"));
    assert_false(takes(403, "{\"kind\":\"Status\",\"reason\":\"Forbidden\",\"code\":403}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cdi_version__later_ones_take_zstd),
        cmocka_unit_test(test_cdi_version__others_may_not),
        cmocka_unit_test(test_cdi_version__unknown_is_no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
