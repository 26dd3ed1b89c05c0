#include "importer/kube/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/kube_rig.h"

static const struct vf_kube_action create = {
    .verb = "create", .resource = &vf_test_datavolumes, .ns = "prod", .name = "d1"};

static struct vf_error *fail_with(long status, const char *body, int code)
{
    struct vf_error *err = NULL;
    assert_int_equal(vf_kube_status_error(&create, status, body, body ? strlen(body) : 0, -1, &err),
                     code);
    assert_int_equal(vf_error_code(err), code);
    assert_int_equal(vf_error_http_status(err), status);
    return err;
}

static struct vf_error *fail_status(long status, const char *reason, const char *message,
                                    const char *details, int code)
{
    char *vf_autofree body = vf_xasprintf(
        "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"%s\",\"message\":\"%s\","
        "\"details\":%s,\"code\":%ld}",
        reason, message, details ? details : "{}", status);
    return fail_with(status, body, code);
}

static void expect(struct vf_error *err, const char *reason, const char *text)
{
    if (reason) {
        assert_non_null(vf_error_reason(err));
        assert_string_equal(vf_error_reason(err), reason);
    } else {
        assert_null(vf_error_reason(err));
    }
    vf_test_expect_error(err, text);
    vf_error_free(err);
}

#define WHAT "cannot create datavolumes.cdi.kubevirt.io \"d1\" in namespace \"prod\": "

static void test_kube_status__conflicts_are_told_apart(void **state)
{
    (void)state;
    expect(fail_status(409, "AlreadyExists", "exists", NULL, VF_CONFLICT), "AlreadyExists",
           WHAT "exists");
    expect(fail_status(409, "Conflict", "changed", NULL, VF_CONFLICT), "Conflict", WHAT "changed");
    expect(fail_status(409, "Conflict", "Apply failed",
                       "{\"causes\":[{\"reason\":\"FieldManagerConflict\",\"field\":\".spec.a\","
                       "\"message\":\"conflict with kubectl\"}]}",
                       VF_CONFLICT),
           "Conflict", WHAT "Apply failed; .spec.a: conflict with kubectl");
}

static void test_kube_status__forbidden_names_verb_and_resource(void **state)
{
    (void)state;
    struct vf_error *err = fail_status(
        403, "Forbidden", "datavolumes is forbidden: User cannot create resource", NULL, VF_AUTH);
    vf_test_expect_error(err, "allow this account the verb \"create\" on \"datavolumes\" (API "
                              "group \"cdi.kubevirt.io\") in namespace \"prod\"");
    expect(err, "Forbidden", "User cannot create resource");
    /* Other 403s are not about rights, and a quota is about room. */
    err = fail_status(403, "Forbidden", "violates PodSecurity", NULL, VF_AUTH);
    assert_null(vf_error_get_hint(err));
    expect(err, "Forbidden", "violates PodSecurity");
    err = fail_status(403, "Forbidden", "admission webhook x denied the request: you cannot", NULL,
                      VF_INVALID);
    assert_null(vf_error_get_hint(err));
    expect(err, "Forbidden", "you cannot");
    err = fail_status(403, "Forbidden", "exceeded quota: q, requested: x", NULL, VF_SPACE);
    expect(err, "Forbidden", "ResourceQuota");
    expect(fail_status(401, "Unauthorized", "Unauthorized", NULL, VF_AUTH), "Unauthorized",
           "log in again");
}

static void test_kube_status__invalid_lists_the_fields(void **state)
{
    (void)state;
    expect(fail_status(422, "Invalid", "DataVolume is invalid",
                       "{\"causes\":[{\"field\":\"spec.storage\",\"message\":\"Required value\"},"
                       "{\"message\":\"only text\"},{\"field\":\"spec.x\"},{},7]}",
                       VF_INVALID),
           "Invalid",
           WHAT "DataVolume is invalid; spec.storage: Required value; only text; spec.x");
    /* So the API server words an unknown field of an apply. */
    expect(fail_status(500, "",
                       "failed to create typed patch object (/x; /v1, Kind=ConfigMap): "
                       ".dta: field not declared in schema",
                       NULL, VF_INVALID),
           NULL, ".dta: field not declared");
    /* What the message says already is not said again. */
    expect(fail_status(422, "Invalid", "spec.a: Required value",
                       "{\"causes\":[{\"field\":\"spec.a\",\"message\":\"Required value\"}]}",
                       VF_INVALID),
           "Invalid", WHAT "spec.a: Required value");
    expect(fail_status(400, "BadRequest", "strict decoding error: unknown field \\\"spec.foo\\\"",
                       NULL, VF_INVALID),
           "BadRequest", "unknown field \"spec.foo\"");
}

static void test_kube_status__not_found_and_not_served_differ(void **state)
{
    (void)state;
    expect(fail_status(404, "NotFound", "\\\"d1\\\" not found", "{\"name\":\"d1\"}", VF_MISSING),
           "NotFound", "not found");
    expect(fail_status(404, "NotFound", "the server could not find the requested resource", NULL,
                       VF_UNSUPPORTED),
           VF_KUBE_REASON_NOT_SERVED, "is installed, in a version that has v1beta1");
    expect(fail_with(404, "404 page not found\n", VF_UNSUPPORTED), VF_KUBE_REASON_NOT_SERVED,
           WHAT "status 404: 404 page not found");
    expect(fail_status(404, "NotFound", "namespaces \\\"prod\\\" not found",
                       "{\"name\":\"prod\",\"kind\":\"namespaces\"}", VF_MISSING),
           "NotFound", "kubectl create namespace prod");
}

static void test_kube_status__retry_after_comes_from_details_too(void **state)
{
    (void)state;
    struct vf_error *err =
        fail_status(429, "TooManyRequests", "slow", "{\"retryAfterSeconds\":3}", VF_RETRY);
    assert_int_equal(vf_error_retry_after_ms(err), 3000);
    expect(err, "TooManyRequests", "slow");
    err = fail_status(504, "Timeout", "t", "{\"retryAfterSeconds\":99999999999}", VF_RETRY);
    assert_int_equal(vf_error_retry_after_ms(err), 86400000);
    vf_error_free(err);
    expect(fail_with(503, "<html>\x1b[31m down\r\n</html>", VF_RETRY), NULL,
           WHAT "status 503: <html> [31m down </html>");
    expect(fail_with(500, NULL, VF_RETRY), NULL, WHAT "status 500");
}

static void test_kube_status__other_codes(void **state)
{
    (void)state;
    static const struct {
        long status;
        int code;
    } cases[] = {{405, VF_UNSUPPORTED}, {415, VF_UNSUPPORTED}, {413, VF_SPACE},
                 {501, VF_UNSUPPORTED}, {410, VF_MISSING},     {302, VF_INVALID},
                 {418, VF_INVALID}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        vf_error_free(fail_status(cases[i].status, "", "m", NULL, cases[i].code));
    }
}

static void test_kube_status__hostile_texts_are_bounded_and_plain(void **state)
{
    (void)state;
    char *long_text = vf_xcalloc(1, 100001);
    memset(long_text, 'm', 100000);
    struct vf_error *err = fail_status(422, long_text, long_text, NULL, VF_INVALID);
    assert_in_range(strlen(vf_error_message(err)), 2000, 2200);
    assert_in_range(strlen(vf_error_reason(err)), 80, 90);
    vf_error_free(err);
    free(long_text);
    err = fail_status(422, "a\\u001b[0m", "x\\u001b]0;t\\u0007\\u202ey\\n  z", NULL, VF_INVALID);
    expect(err, "a [0m", WHAT "x ]0;t y z");
}

static void test_kube_status__object_of_a_watch(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    cJSON *tree = cJSON_Parse("{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\","
                              "\"message\":\"too old\"}");
    assert_int_equal(vf_kube_status_object_error(&create, tree, &err), VF_MISSING);
    assert_int_equal(vf_error_http_status(err), 410);
    expect(err, "Expired", "too old");
    cJSON_Delete(tree);
    err = NULL;
    tree = cJSON_Parse("{\"code\":7}");
    assert_int_equal(vf_kube_status_object_error(&create, tree, &err), VF_RETRY);
    vf_error_free(err);
    cJSON_Delete(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kube_status__conflicts_are_told_apart),
        cmocka_unit_test(test_kube_status__forbidden_names_verb_and_resource),
        cmocka_unit_test(test_kube_status__invalid_lists_the_fields),
        cmocka_unit_test(test_kube_status__not_found_and_not_served_differ),
        cmocka_unit_test(test_kube_status__retry_after_comes_from_details_too),
        cmocka_unit_test(test_kube_status__other_codes),
        cmocka_unit_test(test_kube_status__hostile_texts_are_bounded_and_plain),
        cmocka_unit_test(test_kube_status__object_of_a_watch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
