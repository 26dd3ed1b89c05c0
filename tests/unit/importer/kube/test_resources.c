#include "importer/kube/resources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "importer/base/mem.h"

static void test_resources__are_found_by_kind_and_back(void **state)
{
    (void)state;
    assert_ptr_equal(vf_kube_resource_of("v1", "PersistentVolumeClaim"), &vf_kube_claims);
    assert_ptr_equal(vf_kube_resource_of("batch/v1", "Job"), &vf_kube_jobs);
    assert_ptr_equal(vf_kube_resource_of("cdi.kubevirt.io/v1beta1", "DataVolume"),
                     &vf_kube_data_volumes);
    char *vf_autofree core = vf_kube_api_version(&vf_kube_secrets);
    char *vf_autofree cdi = vf_kube_api_version(&vf_kube_upload_tokens);
    assert_string_equal(core, "v1");
    assert_string_equal(cdi, "upload.cdi.kubevirt.io/v1beta1");
    assert_string_equal(vf_kube_kind(&vf_kube_kubevirts), "KubeVirt");
}

static void test_resources__of_other_kinds_are_none(void **state)
{
    static const struct vf_kube_resource other = {.group = "g", .version = "v1", .plural = "x"};
    (void)state;
    assert_null(vf_kube_resource_of("v1", "Node"));
    assert_null(vf_kube_resource_of("v2", "Secret"));
    assert_null(vf_kube_resource_of("batch/v1", "Secret"));
    assert_null(vf_kube_resource_of(NULL, "Secret"));
    assert_null(vf_kube_resource_of("v1", NULL));
    assert_null(vf_kube_kind(&other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resources__are_found_by_kind_and_back),
        cmocka_unit_test(test_resources__of_other_kinds_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
