#include "importer/kube/target_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/kube/resources.h"
#include "tests/support/check.h"
#include "tests/support/kube_script.h"

#define GIB (UINT64_C(1) << 30)

#define CDI_API      "/apis/cdi.kubevirt.io/v1beta1"
#define SNAPSHOT_API "/apis/snapshot.storage.k8s.io/v1"
#define KINDS        "/apis/instancetype.kubevirt.io/v1beta1"
#define STORAGE      "/apis/storage.k8s.io/v1"
#define KUBEVIRT     "/apis/kubevirt.io/v1"
#define PROD         "/namespaces/prod"
#define NAD          "/apis/k8s.cni.cncf.io/v1"

/* A cluster of routes by path; each answer may be replaced by a test. */
struct answer {
    const char *path;
    int status;
    const char *body;
};

#define MARKS                                                                                      \
    ",\"labels\":{\"app.kubernetes.io/managed-by\":\"vmferry\",\"vmferry.io/import\":\"web01\","   \
    "\"vmferry.io/state\":\"complete\"},\"annotations\":{\"vmferry.io/source-uuid\":\"50-web01\"}"
#define NAMED(name, more) "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"prod\"" more "}}"
#define MACHINE(ns, name, mac, more)                                                               \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" ns "\"" more                           \
    "},\"spec\":{\"template\":{\"spec\":{\"domain\":{\"devices\":{\"interfaces\":[{"               \
    "\"macAddress\":\"" mac "\"},{\"macAddress\":\"\"},{\"name\":7}]}}}}}}"
#define INSTANCE(ns, name, mac, reported, phase)                                                   \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"" ns                                     \
    "\"},\"spec\":{\"domain\":{\"devices\":{\"interfaces\":[{\"macAddress\":\"" mac                \
    "\"}]}}},\"status\":{\"phase\":\"" phase "\",\"interfaces\":[{\"mac\":\"" reported "\"}]}}"
#define CLASS(name, default)                                                                       \
    "{\"metadata\":{\"name\":\"" name "\",\"annotations\":{"                                       \
    "\"storageclass.kubernetes.io/is-default-class\":\"" default "\"}},\"provisioner\":\"csi."     \
                                                                 "example\"}"
#define CAPACITY(class, more)                                                                      \
    "{\"metadata\":{\"name\":\"c\"},\"storageClassName\":\"" class "\"" more "}"
#define NODE(name, labels, ready, spec)                                                            \
    "{\"metadata\":{\"name\":\"" name "\",\"labels\":{" labels "}},\"spec\":{" spec                \
    "},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"" ready                        \
    "\"}],\"allocatable\":{\"cpu\":\"3920m\",\"memory\":\"16Gi\",\"hugepages-2Mi\":\"1Gi\"}}}"

static const struct answer usual[] = {
    {"/version", 200, "{\"gitVersion\":\"v1.34.2\"}"},
    {CDI_API, 200, "{\"resources\":[{\"name\":\"datavolumes\"}]}"},
    {CDI_API "/cdis", 200, VF_TEST_LIST("{\"status\":{\"observedVersion\":\"v1.64.0\"}}")},
    {SNAPSHOT_API, 200, "{\"resources\":[{\"name\":\"volumesnapshots\"}]}"},
    {"/api/v1" PROD, 200,
     "{\"metadata\":{\"name\":\"prod\",\"labels\":{\"pod-security.kubernetes.io/enforce\":"
     "\"baseline\",\"k8s.ovn.org/primary-user-defined-network\":\"\"}}}"},
    {"/api/v1" PROD "/resourcequotas", 200,
     VF_TEST_LIST(
         "{\"metadata\":{\"name\":\"team\"},\"spec\":{\"hard\":{\"cpu\":\"1\"}},\"status\":{"
         "\"hard\":{\"requests.cpu\":\"1500m\",\"requests.storage\":\"10Gi\",\"pods\":\"many\"},"
         "\"used\":{\"requests.storage\":\"4Gi\"}}},"
         "{\"metadata\":{\"name\":\"batch\"},\"spec\":{\"scopes\":[\"Terminating\"],\"hard\":{"
         "\"pods\":\"1\"}}},"
         "{\"metadata\":{\"name\":\"new\"},\"spec\":{\"hard\":{\"count/pods\":\"7\"}}}")},
    {"/api/v1" PROD "/limitranges", 200,
     VF_TEST_LIST("{\"spec\":{\"limits\":[{\"type\":\"PersistentVolumeClaim\",\"max\":{"
                  "\"storage\":\"2Ti\"}},{\"type\":\"Pod\",\"max\":{\"memory\":\"64Gi\"}},{"
                  "\"type\":\"Container\",\"max\":{\"memory\":\"32Gi\",\"cpu\":\"4\"}}]}},"
                  "{\"spec\":{\"limits\":[{\"type\":\"PersistentVolumeClaim\",\"max\":{"
                  "\"storage\":\"1Ti\"},\"min\":{\"storage\":\"1Gi\"}}]}}")},
    {NAD PROD "/network-attachment-definitions/vlan7", 200, "{}"},
    {"/api/v1" PROD "/serviceaccounts/vmferry-worker", 200, "{}"},
    {KUBEVIRT PROD "/virtualmachines", 200, VF_TEST_LIST(NAMED("web01", MARKS) "," NAMED("a", ""))},
    {CDI_API PROD "/datavolumes", 200, VF_TEST_LIST(NAMED("web01-disk-0", MARKS))},
    {"/api/v1" PROD "/persistentvolumeclaims", 200, VF_TEST_LIST(NAMED("web01-disk-0", ""))},
    {KUBEVIRT "/virtualmachines", 200,
     VF_TEST_LIST(MACHINE("prod", "web01", "00-50-56-9A-00-01", MARKS) "," //
                  MACHINE("x", "y", "0050.569a.0002", "") "," MACHINE("x", "z", "1:2:3", ""))},
    {KUBEVIRT "/virtualmachineinstances", 200,
     VF_TEST_LIST(
         INSTANCE("prod", "web01", "00:50:56:9a:00:01", "00:50:56:9a:00:01", "Running") "," //
         INSTANCE("x", "w", "", "02:00:00:00:00:01", "Scheduling") ","                      //
         INSTANCE("x", "over", "02:00:00:00:00:09", "", "Failed"))},
    {KINDS "/virtualmachineclusterinstancetypes", 200, VF_TEST_LIST(NAMED("u1.small", ""))},
    {KINDS PROD "/virtualmachineinstancetypes", 200, VF_TEST_LIST("")},
    {KINDS "/virtualmachineclusterpreferences", 200,
     VF_TEST_LIST(NAMED("ubuntu", "") "," NAMED("fedora", ""))},
    {KINDS PROD "/virtualmachinepreferences", 200, VF_TEST_LIST(NAMED("own", ""))},
    {STORAGE "/storageclasses", 200,
     VF_TEST_LIST(CLASS("slow", "false") "," CLASS("fast", "true"))},
    {STORAGE "/storageclasses/fast", 200, CLASS("fast", "true")},
    {CDI_API "/storageprofiles/fast", 404, NULL},
    {CDI_API "/cdiconfigs/config", 404, NULL},
    {SNAPSHOT_API "/volumesnapshotclasses", 200,
     VF_TEST_LIST("{\"metadata\":{\"name\":\"snap\"},\"driver\":\"csi.example\"}")},
    {STORAGE "/csistoragecapacities", 200,
     VF_TEST_LIST(
         CAPACITY("fast", ",\"capacity\":\"3Gi\",\"maximumVolumeSize\":\"2Gi\"") "," //
         CAPACITY("fast", ",\"capacity\":\"5Gi\"") "," CAPACITY("slow", "") ","      //
         CAPACITY("gone", ",\"capacity\":\"1Ei\"") "," CAPACITY("fast", ",\"capacity\":7"))},
    {"/api/v1/nodes", 200,
     VF_TEST_LIST(
         NODE("n2",
              "\"kubevirt.io/schedulable\":\"true\",\"cpumanager\":\"true\","
              "\"cpu-feature.node.kubevirt.io/vmx\":\"true\"",
              "True", "") ","                                                                     //
         NODE("n1", "\"kubevirt.io/schedulable\":\"true\"", "True", "\"unschedulable\":true") "," //
         NODE("n3", "\"kubevirt.io/schedulable\":\"true\"", "Unknown", "") ","                    //
         NODE("n4", "", "True", ""))},
    {"/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", 201,
     "{\"status\":{\"resourceRules\":[{\"verbs\":[\"*\"],\"apiGroups\":[\"*\"],\"resources\":["
     "\"*\"]}]}}"},
};

#define N_USUAL (sizeof usual / sizeof *usual)

struct cluster {
    struct vf_test_script s;
    struct vf_test_route routes[3 * N_USUAL];
    struct vf_target_facts facts;
    int rc;
};

static const struct vf_kube_need read_pods = {
    .resource = &vf_kube_pods, .verb = "get", .purpose = "looks", .needed = true};

/* `other` (up to one without a path) goes before what is usual. */
static void look(struct cluster *k, const struct answer *other)
{
    static const char *const attachments[] = {"prod/vlan7", "prod/vlan8", NULL};
    static const struct vf_kube_storage_wish wishes[] = {
        {.class_name = NULL},
        {.class_name = "gone"},
        {.class_name = "fast", .volume_mode = "Block"},
    };
    static const struct vf_kube_need *const needs[] = {&read_pods, NULL};
    const struct vf_target_question q = {.attachments = attachments,
                                         .wishes = wishes,
                                         .n_wishes = 3,
                                         .account = "vmferry-worker",
                                         .needs = needs};
    static const struct answer gone[] = {
        {NAD PROD "/network-attachment-definitions/vlan8", 404, NULL},
        {STORAGE "/storageclasses/gone", 404, NULL},
        {NULL, 0, NULL},
    };
    *k = (struct cluster){.rc = 0};
    size_t n = 0;
    const struct answer *lists[] = {other, gone};
    for (size_t l = 0; l < 2; l++) {
        for (const struct answer *a = lists[l]; a && a->path; a++) {
            k->routes[n++] =
                (struct vf_test_route){.path = a->path, .status = a->status, .body = a->body};
        }
    }
    for (size_t i = 0; i < N_USUAL; i++) {
        k->routes[n++] = (struct vf_test_route){.method = usual[i].status == 201 ? "POST" : NULL,
                                                .path = usual[i].path,
                                                .status = usual[i].status,
                                                .body = usual[i].body};
    }
    vf_test_script_start(&k->s, k->routes);
    k->rc = vf_kube_fetch_target_facts(k->s.kube.client, &q, NULL, &k->facts, &k->s.kube.err);
}

static void stop(struct cluster *k)
{
    vf_target_facts_release(&k->facts);
    vf_test_script_stop(&k->s);
}

static void check_namespace(const struct vf_target_facts *f)
{
    assert_string_equal(f->pod_security, "baseline");
    assert_true(f->is_user_defined_network);
    assert_int_equal(f->n_quotas, 3);
    assert_string_equal(f->quotas[0].name, "new");
    assert_int_equal(f->quotas[0].hard, 7);
    assert_string_equal(f->quotas[1].resource, "requests.cpu");
    assert_int_equal(f->quotas[1].hard, 1500);
    assert_int_equal(f->quotas[2].hard, 10 * GIB);
    assert_int_equal(f->quotas[2].used, 4 * GIB);
    assert_int_equal(f->max_claim_bytes, 1024 * GIB);
    assert_int_equal(f->max_memory_bytes, 32 * GIB);
    assert_int_equal(f->account, VF_YES);
    assert_int_equal(f->n_attachments, 1);
    assert_string_equal(f->attachments[0], "prod/vlan7");
    assert_int_equal(f->n_missing_attachments, 1);
    assert_string_equal(f->missing_attachments[0], "prod/vlan8");
    assert_non_null(f->refused);
    assert_null(f->refused[0]);
}

static void check_machines(const struct vf_target_facts *f)
{
    size_t n;
    assert_int_equal(f->n_names, 4);
    assert_string_equal(f->names[0].key, "DataVolume/web01-disk-0");
    assert_true(f->names[0].marks.ours && f->names[0].marks.complete);
    assert_string_equal(f->names[0].marks.source_uuid, "50-web01");
    assert_false(vf_target_find_name(f, "PersistentVolumeClaim/web01-disk-0")->marks.ours);
    assert_null(vf_target_find_name(f, "PersistentVolumeClaim/web01"));
    assert_int_equal(f->n_macs, 3);
    const struct vf_target_mac *m = vf_target_find_mac(f, "00:50:56:9a:00:01", &n);
    assert_int_equal(n, 1);
    assert_string_equal(m->owner, "prod/web01");
    assert_string_equal(m->source_uuid, "50-web01");
    assert_true(m->running);
    m = vf_target_find_mac(f, "00:50:56:9a:00:02", &n);
    assert_int_equal(n, 1);
    assert_false(m->running);
    assert_string_equal(vf_target_find_mac(f, "02:00:00:00:00:01", &n)->owner, "x/w");
    assert_null(vf_target_find_mac(f, "02:00:00:00:00:02", &n));
    assert_int_equal(n, 0);
    assert_true(vf_target_has_string(f->preferences, f->n_preferences,
                                     "VirtualMachineClusterPreference/ubuntu"));
    assert_true(
        vf_target_has_string(f->preferences, f->n_preferences, "VirtualMachinePreference/own"));
    assert_int_equal(f->n_instancetypes, 1);
}

static void check_storage(const struct vf_target_facts *f)
{
    const struct vf_target_class *c = vf_target_find_class(f, NULL);
    assert_string_equal(c->name, "fast");
    assert_ptr_equal(vf_target_find_class(f, "fast"), c);
    assert_true(c->has_capacity);
    assert_int_equal(c->free_bytes, 5 * GIB);
    assert_int_equal(c->total_free_bytes, 8 * GIB);
    assert_int_equal(c->max_volume_bytes, 2 * GIB);
    assert_string_equal(c->snapshot_class, "snap");
    assert_false(vf_target_find_class(f, "slow")->has_capacity);
    assert_null(vf_target_find_class(f, "gone"));
    assert_int_equal(f->n_storages, 3);
    const struct vf_kube_storage_wish any = {.class_name = NULL};
    const struct vf_kube_storage_wish gone = {.class_name = "gone"};
    const struct vf_kube_storage_wish unasked = {.class_name = "fast"};
    assert_string_equal(vf_target_find_storage(f, &any)->storage->class_name, "fast");
    assert_int_equal(vf_target_find_storage(f, &gone)->code, VF_MISSING);
    assert_non_null(strstr(vf_target_find_storage(f, &gone)->problem, "\"gone\""));
    assert_non_null(strstr(vf_target_find_storage(f, &gone)->hint, "\"fast\""));
    assert_null(vf_target_find_storage(f, &unasked));
}

static void check_nodes(const struct vf_target_facts *f)
{
    assert_int_equal(f->n_nodes, 4);
    assert_string_equal(f->nodes[0].name, "n1");
    assert_false(f->nodes[0].schedulable);
    assert_true(f->nodes[1].schedulable && f->nodes[1].vmx && f->nodes[1].cpu_manager);
    assert_false(f->nodes[1].svm);
    assert_int_equal(f->nodes[1].cpu_millis, 3920);
    assert_int_equal(f->nodes[1].memory_bytes, 16 * GIB);
    assert_int_equal(f->nodes[1].hugepages_2m_bytes, GIB);
    assert_int_equal(f->nodes[1].hugepages_1g_bytes, 0);
    assert_false(f->nodes[2].schedulable);
    assert_false(f->nodes[3].schedulable);
}

static void test_target_facts__all_is_found(void **state)
{
    struct cluster k;
    (void)state;
    look(&k, NULL);
    assert_int_equal(k.rc, 0);
    const struct vf_target_facts *f = &k.facts;
    assert_int_equal(f->n_unknown, 0);
    assert_true(f->known && f->macs_known && f->names_known && f->quotas_known &&
                f->classes_known && f->nodes_known && f->attachments_known &&
                f->preferences_known && f->instancetypes_known && f->cdi_known && f->rights_known &&
                f->limits_known && f->snapshots_known && f->namespace_known);
    assert_string_equal(f->ns, "prod");
    assert_string_equal(f->version, "v1.34.2");
    assert_true(f->has_cdi && f->has_snapshots);
    assert_string_equal(f->cdi_version, "v1.64.0");
    check_namespace(f);
    check_machines(f);
    check_storage(f);
    check_nodes(f);
    stop(&k);
}

/* An account that may do nothing but ask for the version. */
static void test_target_facts__what_is_forbidden_is_not_known(void **state)
{
    struct answer forbidden[N_USUAL];
    struct cluster k;
    size_t n = 0;
    (void)state;
    for (size_t i = 1; i < N_USUAL; i++) {
        if (usual[i].status != 201) {
            forbidden[n++] = (struct answer){usual[i].path, 403, "{}"};
        }
    }
    forbidden[n] = (struct answer){.path = NULL};
    look(&k, forbidden);
    assert_int_equal(k.rc, 0);
    const struct vf_target_facts *f = &k.facts;
    assert_true(f->known && f->rights_known);
    assert_false(f->macs_known || f->names_known || f->quotas_known || f->classes_known ||
                 f->nodes_known || f->preferences_known || f->instancetypes_known || f->cdi_known ||
                 f->limits_known || f->snapshots_known || f->namespace_known);
    assert_int_equal(f->account, VF_UNSET);
    assert_int_equal(f->n_attachments, 0);
    assert_true(f->n_unknown > 10);
    for (size_t i = 0; i < f->n_unknown; i++) {
        assert_non_null(strstr(f->unknown[i], ": "));
    }
    stop(&k);
}

/* What is not installed is known to be empty. */
static void test_target_facts__what_is_not_served_is_known_to_be_empty(void **state)
{
    struct answer absent[N_USUAL + 2];
    struct cluster k;
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < N_USUAL; i++) {
        if (strstr(usual[i].path, "kubevirt.io") || strstr(usual[i].path, "snapshot")) {
            absent[n++] = (struct answer){usual[i].path, 404, "404 page not found"};
        }
    }
    absent[n++] = (struct answer){"/apis/cdi.kubevirt.io", 404, "404 page not found"};
    absent[n++] = (struct answer){"/apis/snapshot.storage.k8s.io", 404, "404 page not found"};
    absent[n] = (struct answer){.path = NULL};
    look(&k, absent);
    assert_int_equal(k.rc, 0);
    const struct vf_target_facts *f = &k.facts;
    assert_int_equal(f->n_unknown, 0);
    assert_true(f->cdi_known && f->snapshots_known && f->names_known && f->macs_known &&
                f->preferences_known && f->instancetypes_known);
    assert_false(f->has_cdi || f->has_snapshots);
    assert_null(f->cdi_version);
    assert_int_equal(f->n_names, 1);
    assert_int_equal(f->n_macs + f->n_preferences + f->n_instancetypes, 0);
    stop(&k);
}

static void test_target_facts__one_list_that_fails_is_not_known(void **state)
{
    static const struct answer broken[] = {
        {"/api/v1/nodes", 200, "{\"items\":7}"},
        {KUBEVIRT "/virtualmachineinstances", 200, "no JSON"},
        {NULL, 0, NULL},
    };
    struct cluster k;
    (void)state;
    look(&k, broken);
    assert_int_equal(k.rc, 0);
    assert_int_equal(k.facts.n_unknown, 2);
    assert_false(k.facts.nodes_known);
    assert_true(k.facts.macs_known); /* of the VirtualMachines they are */
    assert_int_equal(k.facts.n_macs, 2);
    stop(&k);
}

static void test_target_facts__no_cluster_is_an_error(void **state)
{
    static const struct answer unauthorized[] = {{"/version", 401, "{}"}, {NULL, 0, NULL}};
    static const struct answer later[] = {{"/api/v1/nodes", 401, "{}"}, {NULL, 0, NULL}};
    static const struct answer away[] = {{"/version", -1, NULL}, {NULL, 0, NULL}};
    struct cluster k;
    (void)state;
    look(&k, unauthorized);
    assert_int_equal(k.rc, VF_AUTH);
    stop(&k);
    look(&k, later);
    assert_int_equal(k.rc, VF_AUTH);
    stop(&k);
    look(&k, away);
    assert_int_equal(k.rc, VF_RETRY);
    stop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_facts__all_is_found),
        cmocka_unit_test(test_target_facts__what_is_forbidden_is_not_known),
        cmocka_unit_test(test_target_facts__what_is_not_served_is_known_to_be_empty),
        cmocka_unit_test(test_target_facts__one_list_that_fails_is_not_known),
        cmocka_unit_test(test_target_facts__no_cluster_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
