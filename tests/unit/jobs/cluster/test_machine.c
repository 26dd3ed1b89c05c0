#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "jobs/cluster/landing.h"
#include "tests/support/kube_script.h"

#define VMS   "/apis/kubevirt.io/v1/namespaces/prod/virtualmachines"
#define CLAIM "/api/v1/namespaces/prod/persistentvolumeclaims/web01-disk-0"

#define STATUS(code, reason, text)                                                                 \
    "{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":" code ",\"reason\":\"" reason           \
    "\",\"message\":\"" text "\"}"
/* Of tests/support/kube_rig.c. */
#define CLIENT_TRIES 5
#define EXISTS       STATUS("409", "AlreadyExists", "virtualmachines web01 already exists")
#define MACHINE(uuid)                                                                              \
    "{\"metadata\":{\"name\":\"web01\",\"uid\":\"m\",\"labels\":{"                                 \
    "\"app.kubernetes.io/managed-by\":\"vmferry\",\"vmferry.io/import\":\"web01\","                \
    "\"vmferry.io/state\":\"complete\"},\"annotations\":{\"vmferry.io/source-uuid\":\"" uuid       \
    "\"}}}"
#define CLAIM_WITH(more)                                                                           \
    "{\"metadata\":{\"name\":\"web01-disk-0\",\"uid\":\"c\"" more "},\"spec\":{}}"

static char text_class[] = "fast", text_mode[] = "Block", text_access[] = "ReadWriteOnce";

struct world {
    struct vf_test_script script;
    struct vf_import_options options;
    struct vf_import im;
    struct vf_disk_copy copy;
    struct vf_kube_storage storage;
    struct vf_landing_cluster landing;
    struct vf_cluster_disk disk;
    struct vf_vm vm;
    struct vf_vm_disk vm_disk;
    struct vf_error *err;
};

static int make(struct world *w, const struct vf_test_route *routes)
{
    *w = (struct world){.options = {.target = VF_TO_UPLOAD}};
    vf_test_script_start(&w->script, routes);
    w->im = (struct vf_import){.options = &w->options, .cancel = w->script.kube.cancel};
    w->im.name = vf_xstrdup("web01");
    w->im.copies = &w->copy;
    w->storage = (struct vf_kube_storage){
        .class_name = text_class, .volume_mode = text_mode, .access_mode = text_access};
    struct vf_landing_cluster *l = &w->landing;
    l->landing.im = &w->im;
    l->client = w->script.kube.client;
    l->ns = "prod";
    l->owner = (struct vf_owner){.import = "web01", .source_uuid = "mine"};
    l->disks = &w->disk;
    l->n_disks = 1;
    l->keep = true;
    w->disk.landing = l;
    w->disk.storage = &w->storage;
    w->disk.claim = vf_xstrdup("web01-disk-0");
    w->disk.size_bytes = 1 << 20;
    w->vm_disk = (struct vf_vm_disk){.capacity_bytes = 1 << 20};
    w->vm = (struct vf_vm){.name = vf_xstrdup("Web01"), .disks = &w->vm_disk, .n_disks = 1};
    w->vm.cpus = 1;
    w->vm.memory_bytes = 1 << 30;
    return vf_cluster_make_machine(l, &w->vm, &w->err);
}

static void stop(struct world *w)
{
    vf_error_free(w->err);
    free(w->im.name);
    free(w->disk.claim);
    free(w->vm.name);
    free(w->landing.landing.place);
    vf_test_script_stop(&w->script);
}

/* Somebody removes the disks: no VM is made of them. */
static void test_machine__not_of_a_claim_that_goes(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = CLAIM, .body = CLAIM_WITH(",\"deletionTimestamp\":\"2026-11-21T17:27:17Z\"")},
        {0}};
    struct world w;
    (void)state;
    assert_int_equal(make(&w, routes), VF_CONFLICT);
    vf_test_expect_error(w.err, "claim \"web01-disk-0\" is being deleted");
    vf_test_script_expect_no(&w.script, "POST");
    stop(&w);
}

/* All tries of the first round come to nothing, as far as is known; one was carried out. */
#define AWAY_THEN_THERE(uuid)                                                                      \
    {.path = CLAIM, .body = CLAIM_WITH("")},                                                       \
        {.method = "POST",                                                                         \
         .path = VMS,                                                                              \
         .status = 500,                                                                            \
         .body = STATUS("500", "InternalError", "failed calling webhook"),                         \
         .times = CLIENT_TRIES},                                                                   \
        {.path = VMS "/web01", .status = 404, .times = CLIENT_TRIES},                              \
        {.method = "POST", .path = VMS, .status = 409, .body = EXISTS},                            \
    {                                                                                              \
        .path = VMS "/web01", .body = MACHINE(uuid)                                                \
    }

static void test_machine__made_by_a_try_whose_answer_was_lost(void **state)
{
    static const struct vf_test_route routes[] = {AWAY_THEN_THERE("mine"), {0}};
    struct world w;
    (void)state;
    int rc = make(&w, routes);
    assert_string_equal(vf_error_message(w.err), "");
    assert_int_equal(rc, 0);
    assert_true(w.landing.whole);
    stop(&w);
}

static void test_machine__of_another_is_conflict(void **state)
{
    static const struct vf_test_route routes[] = {AWAY_THEN_THERE("others"), {0}};
    struct world w;
    (void)state;
    assert_int_equal(make(&w, routes), VF_CONFLICT);
    vf_test_expect_error(w.err, "already exists");
    assert_false(w.landing.whole);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine__not_of_a_claim_that_goes),
        cmocka_unit_test(test_machine__made_by_a_try_whose_answer_was_lost),
        cmocka_unit_test(test_machine__of_another_is_conflict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
