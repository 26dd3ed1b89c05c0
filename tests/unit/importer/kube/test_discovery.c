#include "importer/kube/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/kube_rig.h"

static const struct vf_kube_resource pods = {.group = "", .version = "v1", .plural = "pods"};
static const struct vf_kube_resource cats = {.group = "", .version = "v1", .plural = "cats"};
static const struct vf_kube_resource future = {.group = "", .version = "v9", .plural = "pods"};

#define GROUP   "/apis/cdi.kubevirt.io"
#define VERSION GROUP "/v1beta1"

/* The text: what of CDI there is. */
static void serve(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)n;
    const char *how = k->text;
    if (strcmp(x->target, "/api/v1") == 0) {
        vf_test_answer(x, 200, NULL,
                       "{\"resources\":[{\"name\":\"pods/status\"},{\"name\":\"pods\"}]}");
    } else if (strcmp(x->target, VERSION) == 0 && strcmp(how, "all") == 0) {
        vf_test_answer(x, 200, NULL, "{\"resources\":[{\"name\":\"datavolumes\"}]}");
    } else if (strcmp(x->target, VERSION) == 0 && strcmp(how, "others") == 0) {
        vf_test_answer(x, 200, NULL, "{\"resources\":[{\"name\":\"cdis\"},{}]}");
    } else if (strcmp(x->target, GROUP) == 0 && strcmp(how, "group") == 0) {
        vf_test_answer(x, 200, NULL,
                       "{\"versions\":[{\"version\":\"v1\"},{\"version\":\"v2\\u001b\"}]}");
    } else if (strcmp(how, "forbidden") == 0) {
        vf_test_kube_status(x, 403, "Forbidden", "no", NULL, NULL);
    } else {
        vf_test_answer(x, 404, NULL, "404 page not found\n");
    }
}

static void expect(const char *how, const struct vf_kube_resource *resource, int code,
                   const char *message)
{
    struct vf_test_kube k;
    vf_test_kube_start(&k, serve);
    k.text = how;
    assert_int_equal(vf_kube_check_resource(k.client, resource, "CDI", &k.err), code);
    if (code) {
        vf_test_expect_error(k.err, message);
    }
    if (code == VF_UNSUPPORTED) {
        assert_string_equal(vf_error_reason(k.err), VF_KUBE_REASON_NOT_SERVED);
        vf_test_expect_error(k.err, "install CDI");
    }
    vf_test_kube_stop(&k);
}

static void test_kube_check_resource__what_is_there_is_found(void **state)
{
    (void)state;
    expect("all", &vf_test_datavolumes, 0, NULL);
    expect("", &pods, 0, NULL);
}

static void test_kube_check_resource__tells_what_is_missing(void **state)
{
    (void)state;
    expect("", &vf_test_datavolumes, VF_UNSUPPORTED, "it does not know the API group");
    expect("group", &vf_test_datavolumes, VF_UNSUPPORTED, "of the API group it has only v1, v2");
    expect("others", &vf_test_datavolumes, VF_UNSUPPORTED, "not among the group's resources");
    expect("", &cats, VF_UNSUPPORTED, "not among the group's resources");
    expect("", &future, VF_UNSUPPORTED, "it does not know the API version");
    expect("forbidden", &vf_test_datavolumes, VF_AUTH, "cannot discover datavolumes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kube_check_resource__what_is_there_is_found),
        cmocka_unit_test(test_kube_check_resource__tells_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
