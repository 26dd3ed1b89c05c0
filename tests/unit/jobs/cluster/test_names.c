#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "converters/vm/names.h"
#include "importer/base/mem.h"
#include "jobs/cluster/landing.h"
#include "tests/support/kube_script.h"

#define VMS    "/apis/kubevirt.io/v1/namespaces/prod/virtualmachines/"
#define DVS    "/apis/cdi.kubevirt.io/v1beta1/namespaces/prod/datavolumes/"
#define CLAIMS "/api/v1/namespaces/prod/persistentvolumeclaims/"

#define NO_JOB(name)                                                                               \
    {                                                                                              \
        .path = "/apis/batch/v1/namespaces/prod/jobs/" name "-import", .status = 404               \
    }
#define OURS(kind, api, name, uuid, state)                                                         \
    "{\"apiVersion\":\"" api "\",\"kind\":\"" kind "\",\"metadata\":{\"name\":\"" name             \
    "\",\"namespace\":\"prod\",\"uid\":\"u1\",\"labels\":{"                                        \
    "\"app.kubernetes.io/managed-by\":\"vmferry\",\"vmferry.io/import\":\"web01\","                \
    "\"vmferry.io/state\":\"" state "\"},\"annotations\":{\"vmferry.io/source-uuid\":\"" uuid      \
    "\"}}}"
#define DV(name, uuid, state) OURS("DataVolume", "cdi.kubevirt.io/v1beta1", name, uuid, state)
#define FOREIGN(name)         "{\"metadata\":{\"name\":\"" name "\",\"uid\":\"f1\"}}"

struct world {
    struct vf_test_script script;
    struct vf_import_options options;
    struct vf_import im;
    struct vf_landing_cluster landing;
    struct vf_vm vm;
    struct vf_vm_disk disk;
    struct vf_error *err;
};

static void start(struct world *w, const struct vf_test_route *routes)
{
    *w = (struct world){.options = {.target = VF_TO_UPLOAD}};
    vf_test_script_start(&w->script, routes);
    w->im = (struct vf_import){.options = &w->options, .cancel = w->script.kube.cancel};
    w->im.name = vf_xstrdup("web01");
    w->landing.landing.im = &w->im;
    w->landing.client = w->script.kube.client;
    w->landing.ns = "prod";
    w->landing.owner = (struct vf_owner){.source_vm = "Web01", .source_uuid = "mine"};
    w->disk = (struct vf_vm_disk){.capacity_bytes = 1 << 20};
    w->vm = (struct vf_vm){.name = vf_xstrdup("Web01"), .instance_uuid = vf_xstrdup("mine")};
    w->vm.disks = &w->disk;
    w->vm.n_disks = 1;
}

static int settle(struct world *w, bool look)
{
    return vf_cluster_settle_names(&w->landing, &w->vm, look, &w->err);
}

static void stop(struct world *w)
{
    vf_error_free(w->err);
    free(w->im.name);
    free(w->vm.name);
    free(w->vm.instance_uuid);
    vf_test_script_stop(&w->script);
}

static const struct vf_test_route nothing_there[] = {{.path = VMS "web01", .status = 404},
                                                     {.path = DVS "web01-disk-0", .status = 404},
                                                     {.path = CLAIMS "web01-disk-0", .status = 404},
                                                     NO_JOB("web01"),
                                                     {0}};

static void test_names__free_name_is_taken(void **state)
{
    (void)state;
    struct world w;
    start(&w, nothing_there);
    assert_int_equal(settle(&w, false), 0);
    assert_string_equal(w.im.name, "web01");
    assert_string_equal(w.landing.owner.import, "web01");
    stop(&w);
}

static void check_refused(const struct vf_test_route *routes, const char *text)
{
    struct world w;
    start(&w, routes);
    assert_int_equal(settle(&w, false), VF_CONFLICT);
    vf_test_expect_error(w.err, text);
    vf_test_script_expect_no(&w.script, "DELETE");
    stop(&w);
}

static void test_names__what_is_not_ours_is_left_alone(void **state)
{
    (void)state;
    const struct vf_test_route vm[] = {{.path = VMS "web01", .body = FOREIGN("web01")}, {0}};
    const struct vf_test_route claim[] = {
        {.path = VMS "web01", .status = 404},
        {.path = DVS "web01-disk-0", .status = 404},
        {.path = CLAIMS "web01-disk-0", .body = FOREIGN("web01-disk-0")},
        {0}};
    check_refused(vm, "VirtualMachine \"web01\"");
    check_refused(vm, "not vmferry's");
    check_refused(claim, "PersistentVolumeClaim \"web01-disk-0\"");
}

static void test_names__complete_import_is_not_repeated(void **state)
{
    (void)state;
    const struct vf_test_route vm[] = {
        {.path = VMS "web01",
         .body = OURS("VirtualMachine", "kubevirt.io/v1", "web01", "mine", "complete")},
        {0}};
    const struct vf_test_route disk[] = {
        {.path = VMS "web01", .status = 404},
        {.path = DVS "web01-disk-0", .body = DV("web01-disk-0", "mine", "complete")},
        {0}};
    check_refused(vm, "is complete");
    check_refused(disk, "cleanup --all");
}

static void test_names__name_of_another_vm_gets_digits(void **state)
{
    (void)state;
    struct vf_vm vm = {.name = (char[]){"Web01"}, .instance_uuid = (char[]){"mine"}};
    char *vf_autofree distinct = vf_name_of_vm_distinct(&vm);
    char *vf_autofree vm_path = vf_xasprintf(VMS "%s", distinct);
    char *vf_autofree dv_path = vf_xasprintf(DVS "%s-disk-0", distinct);
    char *vf_autofree job_path =
        vf_xasprintf("/apis/batch/v1/namespaces/prod/jobs/%s-import", distinct);
    char *vf_autofree claim_path = vf_xasprintf(CLAIMS "%s-disk-0", distinct);
    const struct vf_test_route routes[] = {
        {.path = VMS "web01",
         .body = OURS("VirtualMachine", "kubevirt.io/v1", "web01", "another", "complete")},
        {.path = vm_path, .status = 404},
        {.path = dv_path, .status = 404},
        {.path = claim_path, .status = 404},
        {.path = job_path, .status = 404},
        {0}};
    struct world w;
    start(&w, routes);
    assert_int_equal(settle(&w, false), 0);
    assert_string_equal(w.im.name, distinct);
    assert_ptr_equal(w.landing.owner.import, w.im.name);
    stop(&w);

    /* A name that was asked for is not changed. */
    start(&w, routes);
    w.options.name = "web01";
    assert_int_equal(settle(&w, false), VF_CONFLICT);
    vf_test_expect_error(w.err, "import of another VM");
    stop(&w);
}

static void test_names__unfinished_is_removed_unless_only_looked_at(void **state)
{
    (void)state;
    const struct vf_test_route routes[] = {
        {.path = VMS "web01", .status = 404},
        {.path = DVS "web01-disk-0", .body = DV("web01-disk-0", "mine", "filling"), .times = 1},
        {.path = DVS "web01-disk-0", .status = 404},
        {.path = CLAIMS "web01-disk-0", .status = 404},
        NO_JOB("web01"),
        {.method = "DELETE", .path = DVS "web01-disk-0", .body = "{}"},
        {.path = "/apis/cdi.kubevirt.io/v1beta1/namespaces/prod/datavolumes",
         .body = VF_TEST_LIST("")},
        {.path = "/apis/cdi.kubevirt.io/v1beta1/namespaces/prod/datavolumes",
         .query = VF_TEST_WATCH,
         .body = ""},
        {0}};
    struct world w;
    start(&w, routes);
    assert_int_equal(settle(&w, true), 0);
    vf_test_script_expect_no(&w.script, "DELETE");
    stop(&w);

    start(&w, routes);
    assert_int_equal(settle(&w, false), 0);
    vf_test_script_expect(&w.script, "DELETE " DVS "web01-disk-0");
    stop(&w);
}

static void test_names__what_became_complete_meanwhile_stays(void **state)
{
    (void)state;
    const struct vf_test_route routes[] = {
        {.path = VMS "web01", .status = 404},
        {.path = DVS "web01-disk-0", .body = DV("web01-disk-0", "mine", "filling"), .times = 1},
        {.path = DVS "web01-disk-0", .body = DV("web01-disk-0", "mine", "complete")},
        {.path = CLAIMS "web01-disk-0", .status = 404},
        NO_JOB("web01"),
        {0}};
    check_refused(routes, "not unfinished any more");
}

/* A worker fills the claims that were made for it. */
static void test_names__mounted_claims_stay(void **state)
{
    (void)state;
    const struct vf_test_route routes[] = {
        {.path = VMS "web01", .status = 404},
        {.path = DVS "web01-disk-0", .status = 404},
        {.path = CLAIMS "web01-disk-0",
         .body = OURS("PersistentVolumeClaim", "v1", "web01-disk-0", "mine", "filling")},
        {0}};
    struct world w;
    start(&w, routes);
    w.options.target = VF_TO_CLAIM;
    w.options.to_path = "/vmferry/disks";
    assert_int_equal(settle(&w, false), 0);
    vf_test_script_expect_no(&w.script, "DELETE");
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names__free_name_is_taken),
        cmocka_unit_test(test_names__what_is_not_ours_is_left_alone),
        cmocka_unit_test(test_names__complete_import_is_not_repeated),
        cmocka_unit_test(test_names__name_of_another_vm_gets_digits),
        cmocka_unit_test(test_names__unfinished_is_removed_unless_only_looked_at),
        cmocka_unit_test(test_names__what_became_complete_meanwhile_stays),
        cmocka_unit_test(test_names__mounted_claims_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
