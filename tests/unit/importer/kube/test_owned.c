#include "importer/kube/owned.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/kube_script.h"

#define OURS    "\"app.kubernetes.io/managed-by\":\"vmferry\",\"vmferry.io/import\":\"web\""
#define CDIS    "\"app.kubernetes.io/managed-by\":\"cdi-controller\",\"vmferry.io/import\":\"web\""
#define DONE    ",\"vmferry.io/state\":\"complete\""
#define UUID(u) ",\"annotations\":{\"vmferry.io/source-uuid\":\"" u "\"}"
#define OBJECT(labels, more)                                                                       \
    "{\"metadata\":{\"name\":\"d1\",\"namespace\":\"prod\",\"uid\":\"u1\",\"labels\":{" labels     \
    "}" more "}}"

static const struct vf_owner owner = {.import = "web", .source_vm = "Web", .source_uuid = "5"};
static const struct vf_owner nameless = {.import = "web"};

static cJSON *parse(const char *text)
{
    cJSON *tree = NULL;
    assert_int_equal(vf_json_parse(text, strlen(text), "it", &tree, NULL), 0);
    return tree;
}

static void test_owned_mark__adds_and_replaces(void **state)
{
    cJSON *o = parse("{\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"b\",\"vmferry.io/state\":"
                     "\"filling\"},\"annotations\":\"none\"}}");
    (void)state;
    vf_owned_mark(o, &owner, VF_OWNED_COMPLETE);
    char *vf_autofree text = vf_json_print(o, false);
    assert_string_equal(
        text,
        "{\"metadata\":{\"name\":\"x\",\"labels\":{\"a\":\"b\",\"app.kubernetes.io/managed-by\":"
        "\"vmferry\",\"vmferry.io/import\":\"web\",\"vmferry.io/state\":\"complete\"},"
        "\"annotations\":{\"vmferry.io/source-vm\":\"Web\",\"vmferry.io/source-uuid\":\"5\"}}}");
    assert_int_equal(vf_owned_judge(o, &owner), VF_OWNED_FINISHED);
    cJSON_Delete(o);
}

static void test_owned_mark__without_state_and_source(void **state)
{
    cJSON *o = parse("{}");
    (void)state;
    vf_owned_mark(o, &nameless, NULL);
    char *vf_autofree text = vf_json_print(o, false);
    assert_string_equal(text, "{\"metadata\":{\"labels\":{\"app.kubernetes.io/managed-by\":"
                              "\"vmferry\",\"vmferry.io/import\":\"web\"}}}");
    cJSON_Delete(o);
}

static void test_owned_judge__knows_all_kinds(void **state)
{
    static const struct {
        const char *object;
        const struct vf_owner *owner;
        enum vf_owned owned;
    } cases[] = {
        {OBJECT(OURS, UUID("5")), &owner, VF_OWNED_UNFINISHED},
        {OBJECT(OURS DONE, UUID("5")), &owner, VF_OWNED_FINISHED},
        {OBJECT(OURS DONE, UUID("6")), &owner, VF_OWNED_OTHER},
        {OBJECT(OURS, ""), &owner, VF_OWNED_OTHER},
        {OBJECT(OURS, ""), &nameless, VF_OWNED_UNFINISHED},
        {OBJECT(OURS, UUID("5")), &nameless, VF_OWNED_OTHER},
        {OBJECT(CDIS, UUID("5")), &owner, VF_OWNED_UNFINISHED},
        {OBJECT("\"vmferry.io/import\":\"web\"", UUID("5")), &owner, VF_OWNED_NOT},
        {OBJECT("\"app.kubernetes.io/managed-by\":\"Helm\",\"vmferry.io/import\":\"web\"",
                UUID("5")),
         &owner, VF_OWNED_NOT},
        {OBJECT("\"app.kubernetes.io/managed-by\":\"vmferry\"", UUID("5")), &owner, VF_OWNED_NOT},
        {OBJECT("\"app.kubernetes.io/managed-by\":\"cdi-controller\"", ""), &nameless,
         VF_OWNED_NOT},
        {OBJECT("\"app.kubernetes.io/managed-by\":\"vmferry\",\"vmferry.io/import\":\"db\"",
                UUID("5")),
         &owner, VF_OWNED_OTHER},
        {"{}", &owner, VF_OWNED_NOT},
        {"{\"metadata\":{\"labels\":[\"vmferry\"]}}", &owner, VF_OWNED_NOT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cJSON *o = parse(cases[i].object);
        if (vf_owned_judge(o, cases[i].owner) != cases[i].owned) {
            fail_msg("case %zu", i);
        }
        cJSON_Delete(o);
    }
}

#define PATH_JOBS    "/apis/batch/v1/namespaces/prod/jobs"
#define PATH_SECRETS "/api/v1/namespaces/prod/secrets"
#define PATH_DVS     "/apis/cdi.kubevirt.io/v1beta1/namespaces/prod/datavolumes"
#define PATH_CLAIMS  "/api/v1/namespaces/prod/persistentvolumeclaims"
#define PATH_SNAPS   "/apis/snapshot.storage.k8s.io/v1/namespaces/prod/volumesnapshots"
#define PATH_MAPS    "/api/v1/namespaces/prod/configmaps"
#define PATH_VMS     "/apis/kubevirt.io/v1/namespaces/prod/virtualmachines"
#define BY_IMPORT                                                                                  \
    "labelSelector=app.kubernetes.io%2Fmanaged-by%20in%20%28vmferry%2Ccdi-controller%29%2C"        \
    "vmferry.io%2Fimport%3Dweb"

#define FORBIDDEN "{\"kind\":\"Status\",\"message\":\"User x cannot list this\",\"code\":403}"

static void test_owned_mark__tells_a_warm_migration_from_an_import(void **state)
{
    (void)state;
    struct vf_owner mine = {.import = "web", .source_uuid = "u"};
    cJSON *cold = vf_json_new_object(), *warm = vf_json_new_object();
    vf_owned_mark(cold, &mine, VF_OWNED_FILLING);
    mine.warm = true;
    vf_owned_mark(warm, &mine, VF_OWNED_FILLING);
    assert_false(vf_owned_is_warm(cold));
    assert_true(vf_owned_is_warm(warm));
    assert_int_equal(vf_owned_judge(warm, &mine), VF_OWNED_UNFINISHED);
    cJSON_Delete(cold);
    cJSON_Delete(warm);
    cJSON *other = parse("{\"metadata\":{\"labels\":{\"vmferry.io/migration\":\"warm\"}}}");
    assert_false(vf_owned_is_warm(other));
    cJSON_Delete(other);
}

static void test_owned_list__goes_over_all_kinds(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = PATH_JOBS,
         .query = BY_IMPORT,
         .body = VF_TEST_LIST("{\"metadata\":{\"name\":\"j\"}}")},
        {.path = PATH_SECRETS,
         .query = BY_IMPORT,
         .body =
             VF_TEST_LIST("{\"metadata\":{\"name\":\"s\"},\"data\":{\"password\":\"aHVzaA==\"}}")},
        {.path = PATH_DVS, .status = 404, .body = "404 page not found"},
        {.path = PATH_CLAIMS,
         .query = BY_IMPORT,
         .body = VF_TEST_LIST("{\"metadata\":{\"name\":\"c\"}},"
                              "{\"metadata\":{\"name\":\"d\"}}")},
        {.path = PATH_SNAPS, .status = 403, .body = FORBIDDEN},
        {.path = PATH_MAPS, .query = BY_IMPORT, .body = VF_TEST_LIST("")},
        {.path = PATH_VMS, .query = BY_IMPORT, .body = VF_TEST_LIST("")},
        {0},
    };
    struct vf_test_script s;
    cJSON *items = NULL;
    (void)state;
    vf_test_script_start(&s, routes);
    assert_int_equal(vf_owned_list(s.kube.client, NULL, "web", NULL, &items, &s.kube.err), 0);
    char *vf_autofree text = vf_json_print(items, false);
    assert_string_equal(
        text, "[{\"metadata\":{\"name\":\"j\"},\"apiVersion\":\"batch/v1\",\"kind\":\"Job\"},"
              "{\"metadata\":{\"name\":\"s\"},\"apiVersion\":\"v1\",\"kind\":\"Secret\"},"
              "{\"metadata\":{\"name\":\"c\"},\"apiVersion\":\"v1\",\"kind\":"
              "\"PersistentVolumeClaim\"},{\"metadata\":{\"name\":\"d\"},\"apiVersion\":\"v1\","
              "\"kind\":\"PersistentVolumeClaim\"}]");
    cJSON_Delete(items);
    vf_test_script_stop(&s);
}

static void test_owned_list__of_all_imports_asks_for_the_label(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = PATH_JOBS, .body = VF_TEST_LIST("")},
        {.path = PATH_SECRETS, .body = VF_TEST_LIST("")},
        {.path = PATH_DVS, .body = VF_TEST_LIST("")},
        {.path = PATH_CLAIMS, .body = VF_TEST_LIST("")},
        {.path = PATH_SNAPS, .status = 404, .body = "404 page not found"},
        {.path = PATH_MAPS, .body = VF_TEST_LIST("")},
        {.path = PATH_VMS, .body = VF_TEST_LIST("")},
        {0},
    };
    struct vf_test_script s;
    cJSON *items = NULL;
    (void)state;
    vf_test_script_start(&s, routes);
    assert_int_equal(vf_owned_list(s.kube.client, "prod", NULL, NULL, &items, &s.kube.err), 0);
    assert_int_equal(cJSON_GetArraySize(items), 0);
    vf_test_script_expect(&s, "cdi-controller%29%2Cvmferry.io%2Fimport\n");
    cJSON_Delete(items);
    vf_test_script_stop(&s);
}

static void test_owned_list__without_rights_names_them(void **state)
{
    static const struct vf_test_route routes[] = {
        {.path = PATH_JOBS, .body = VF_TEST_LIST("")},
        {.path = PATH_SECRETS,
         .status = 403,
         .body = "{\"kind\":\"Status\",\"message\":\"User x cannot list resource "
                 "secrets\",\"code\":403}"},
        {0},
    };
    struct vf_test_script s;
    cJSON *items = NULL;
    (void)state;
    vf_test_script_start(&s, routes);
    assert_int_equal(vf_owned_list(s.kube.client, NULL, "web", NULL, &items, &s.kube.err), VF_AUTH);
    assert_null(items);
    vf_test_expect_error(s.kube.err, "verb \"list\" on \"secrets\"");
    vf_test_script_stop(&s);
}

#define FULL(labels, kind)                                                                         \
    "{\"apiVersion\":\"" kind ",\"metadata\":{\"name\":\"d1\",\"namespace\":\"prod\",\"uid\":"     \
    "\"u1\",\"labels\":{" labels "}}}"
#define CLAIM "v1\",\"kind\":\"PersistentVolumeClaim\""
#define JOB   "batch/v1\",\"kind\":\"Job\""
#define CONFLICT_STATUS                                                                            \
    "{\"kind\":\"Status\",\"reason\":\"Conflict\",\"message\":\"Precondition failed: UID in "      \
    "precondition: u1, UID in object meta: u2\",\"code\":409}"

static int delete_object(struct vf_test_script *s, const struct vf_test_route *routes,
                         const char *text, int64_t timeout_ms)
{
    cJSON *o = parse(text);
    vf_test_script_start(s, routes);
    int rc = vf_owned_delete(s->kube.client, o, timeout_ms, NULL, &s->kube.err);
    cJSON_Delete(o);
    return rc;
}

static void test_owned_delete__names_the_uid_and_waits(void **state)
{
    static const struct vf_test_route routes[] = {
        {.method = "DELETE", .path = PATH_CLAIMS "/d1", .body = "{}"},
        {.path = PATH_CLAIMS, .body = VF_TEST_LIST(OBJECT(OURS, ""))},
        {.path = PATH_CLAIMS,
         .query = VF_TEST_WATCH,
         .body = VF_TEST_EVENT(
             "DELETED", "{\"metadata\":{\"name\":\"d1\",\"namespace\":\"prod\",\"uid\":\"u1\","
                        "\"resourceVersion\":\"7\"}}")},
        {0},
    };
    struct vf_test_script s;
    (void)state;
    assert_int_equal(delete_object(&s, routes, FULL(OURS, CLAIM), 20000), 0);
    vf_test_script_expect(&s, "\"preconditions\":{\"uid\":\"u1\"}");
    vf_test_script_expect_no(&s, "propagationPolicy");
    vf_test_script_expect(&s, VF_TEST_WATCH);
    vf_test_script_stop(&s);
}

static void test_owned_delete__of_a_job_takes_its_pods_first(void **state)
{
    static const struct vf_test_route routes[] = {
        {.method = "DELETE", .path = PATH_JOBS "/d1", .body = "{}"}, {0}};
    struct vf_test_script s;
    (void)state;
    assert_int_equal(delete_object(&s, routes, FULL(OURS, JOB), 0), 0);
    vf_test_script_expect(&s, "\"propagationPolicy\":\"Foreground\"");
    vf_test_script_stop(&s);
}

static void test_owned_delete__of_what_is_gone_is_good(void **state)
{
    static const struct vf_test_route gone[] = {
        {.method = "DELETE", .path = PATH_CLAIMS "/d1", .status = 404}, {0}};
    static const struct vf_test_route replaced[] = {
        {.method = "DELETE", .path = PATH_CLAIMS "/d1", .status = 409, .body = CONFLICT_STATUS},
        {.path = PATH_CLAIMS "/d1", .body = "{\"metadata\":{\"name\":\"d1\",\"uid\":\"u2\"}}"},
        {0}};
    static const struct vf_test_route replaced_later[] = {
        {.method = "DELETE", .path = PATH_CLAIMS "/d1", .body = "{}"},
        {.path = PATH_CLAIMS,
         .body = VF_TEST_LIST(
             "{\"metadata\":{\"name\":\"d1\",\"namespace\":\"prod\",\"uid\":\"u2\"}}")},
        {0}};
    static const struct vf_test_route *const all[] = {gone, replaced, replaced_later};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct vf_test_script s;
        assert_int_equal(delete_object(&s, all[i], FULL(OURS, CLAIM), 20000), 0);
        vf_test_script_stop(&s);
    }
}

static void test_owned_delete__other_conflicts_stand(void **state)
{
    static const struct vf_test_route routes[] = {
        {.method = "DELETE", .path = PATH_CLAIMS "/d1", .status = 409, .body = CONFLICT_STATUS},
        {.path = PATH_CLAIMS "/d1", .body = "{\"metadata\":{\"name\":\"d1\",\"uid\":\"u1\"}}"},
        {0}};
    struct vf_test_script s;
    (void)state;
    assert_int_equal(delete_object(&s, routes, FULL(OURS, CLAIM), 0), VF_CONFLICT);
    vf_test_expect_error(s.kube.err, "delete PersistentVolumeClaim \"d1\"");
    vf_test_script_stop(&s);
}

/* No request is in the script: one would fail the test. */
static void test_owned_delete__leaves_what_is_not_ours(void **state)
{
    static const struct vf_test_route none[] = {{0}};
    static const struct {
        const char *object;
        int code;
    } cases[] = {
        {FULL("\"app.kubernetes.io/managed-by\":\"Helm\"", CLAIM), VF_CONFLICT},
        {FULL("", CLAIM), VF_CONFLICT},
        {FULL(OURS, "v1\",\"kind\":\"Node\""), VF_INTERNAL},
        {"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"d1\",\"namespace\":"
         "\"prod\",\"labels\":{" OURS "}}}",
         VF_INTERNAL},
        {"{}", VF_INTERNAL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_test_script s;
        assert_int_equal(delete_object(&s, none, cases[i].object, 0), cases[i].code);
        vf_test_script_stop(&s);
    }
}

static void test_owned_delete__that_takes_too_long_is_retry(void **state)
{
    static const struct vf_test_route routes[] = {
        {.method = "DELETE", .path = PATH_CLAIMS "/d1", .body = "{}"},
        {.path = PATH_CLAIMS, .body = VF_TEST_LIST(OBJECT(OURS, ""))},
        {.path = PATH_CLAIMS, .query = VF_TEST_WATCH},
        {0},
    };
    struct vf_test_script s;
    (void)state;
    assert_int_equal(delete_object(&s, routes, FULL(OURS, CLAIM), 300), VF_RETRY);
    assert_string_equal(vf_error_reason(s.kube.err), VF_KUBE_REASON_TIMEOUT);
    vf_test_script_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owned_mark__adds_and_replaces),
        cmocka_unit_test(test_owned_mark__without_state_and_source),
        cmocka_unit_test(test_owned_judge__knows_all_kinds),
        cmocka_unit_test(test_owned_mark__tells_a_warm_migration_from_an_import),
        cmocka_unit_test(test_owned_list__goes_over_all_kinds),
        cmocka_unit_test(test_owned_list__of_all_imports_asks_for_the_label),
        cmocka_unit_test(test_owned_list__without_rights_names_them),
        cmocka_unit_test(test_owned_delete__names_the_uid_and_waits),
        cmocka_unit_test(test_owned_delete__of_a_job_takes_its_pods_first),
        cmocka_unit_test(test_owned_delete__of_what_is_gone_is_good),
        cmocka_unit_test(test_owned_delete__other_conflicts_stand),
        cmocka_unit_test(test_owned_delete__leaves_what_is_not_ours),
        cmocka_unit_test(test_owned_delete__that_takes_too_long_is_retry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
