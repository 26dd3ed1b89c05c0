#include "importer/kube/cdi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/kube_script.h"

#define TOKENS "/apis/upload.cdi.kubevirt.io/v1beta1/namespaces/prod/uploadtokenrequests"
#define TOKEN  "{\"status\":{\"token\":\"eyJh.bGci-_.x\"}}"

static int fetch(struct vf_test_script *s, const struct vf_test_route *routes,
                 struct vf_secret **ret)
{
    *ret = NULL;
    vf_test_script_start(s, routes);
    return vf_cdi_fetch_upload_token(s->kube.client, NULL, "d1", NULL, ret, &s->kube.err);
}

static void test_cdi_token__is_asked_for_the_claim(void **state)
{
    static const struct vf_test_route routes[] = {{.method = "POST", .path = TOKENS, .body = TOKEN},
                                                  {0}};
    struct vf_test_script s;
    struct vf_secret *token;
    (void)state;
    assert_int_equal(fetch(&s, routes, &token), 0);
    assert_string_equal(vf_secret_reveal(token), "eyJh.bGci-_.x");
    vf_test_script_expect(&s, "{\"apiVersion\":\"upload.cdi.kubevirt.io/v1beta1\",\"kind\":"
                              "\"UploadTokenRequest\",\"metadata\":{\"name\":\"d1\",\"namespace\":"
                              "\"prod\"},\"spec\":{\"pvcName\":\"d1\"}}");
    vf_secret_free(token);
    vf_test_script_stop(&s);
}

static void test_cdi_token__lost_answer_is_asked_again(void **state)
{
    static const struct vf_test_route routes[] = {
        {.method = "POST", .path = TOKENS, .status = -1, .times = 1},
        {.method = "POST", .path = TOKENS, .status = 503, .body = "later", .times = 1},
        {.method = "POST", .path = TOKENS, .body = TOKEN},
        {0}};
    struct vf_test_script s;
    struct vf_secret *token;
    (void)state;
    assert_int_equal(fetch(&s, routes, &token), 0);
    assert_int_equal(s.kube.n, 3);
    vf_secret_free(token);
    vf_test_script_stop(&s);
}

static void test_cdi_token__that_is_none_is_invalid(void **state)
{
    static const char *const bad[] = {
        "{}", "{\"status\":{\"token\":\"\"}}", "{\"status\":{\"token\":\"a b\"}}",
        "{\"status\":{\"token\":\"a\\r\\nX-Y: z\"}}", "{\"status\":{\"token\":7}}"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct vf_test_route routes[] = {{.method = "POST", .path = TOKENS, .body = bad[i]},
                                               {0}};
        struct vf_test_script s;
        struct vf_secret *token;
        assert_int_equal(fetch(&s, routes, &token), VF_INVALID);
        assert_null(token);
        vf_test_script_stop(&s);
    }
}

static void test_cdi_token__without_rights_names_them(void **state)
{
    static const struct vf_test_route routes[] = {
        {.method = "POST",
         .path = TOKENS,
         .status = 403,
         .body = "{\"kind\":\"Status\",\"message\":\"x cannot create resource\",\"code\":403}"},
        {0}};
    struct vf_test_script s;
    struct vf_secret *token;
    (void)state;
    assert_int_equal(fetch(&s, routes, &token), VF_AUTH);
    vf_test_expect_error(s.kube.err, "a token for the upload into \"d1\"");
    vf_test_expect_error(s.kube.err, "verb \"create\" on \"uploadtokenrequests\"");
    vf_test_script_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cdi_token__is_asked_for_the_claim),
        cmocka_unit_test(test_cdi_token__lost_answer_is_asked_again),
        cmocka_unit_test(test_cdi_token__that_is_none_is_invalid),
        cmocka_unit_test(test_cdi_token__without_rights_names_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
