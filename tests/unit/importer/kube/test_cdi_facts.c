#include "importer/kube/cdi.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/support/kube_script.h"

#define CDI    "/apis/cdi.kubevirt.io"
#define UPLOAD "/apis/upload.cdi.kubevirt.io"
#define CONFIG CDI "/v1beta1/cdiconfigs/config"
#define BUNDLE "/api/v1/namespaces/cdi/configmaps/cdi-uploadproxy-signer-bundle"
#define HAS_DVS                                                                                    \
    {                                                                                              \
        .path = CDI "/v1beta1", .body = "{\"resources\":[{\"name\":\"datavolumes\"}]}"             \
    }
#define HAS_TOKENS                                                                                 \
    {                                                                                              \
        .path = UPLOAD "/v1beta1", .body = "{\"resources\":[{\"name\":\"uploadtokenrequests\"}]}"  \
    }
#define CA_MAP "{\"data\":{\"ca-bundle.crt\":\"BUNDLE\"}}"

/* With a configuration and a bundle as given. */
static int fetch(const char *config, int bundle_status, const char *bundle,
                 struct vf_test_script *s, struct vf_cdi_facts *ret)
{
    const struct vf_test_route routes[] = {
        HAS_DVS,
        HAS_TOKENS,
        {.path = CONFIG, .status = config ? 200 : 404, .body = config},
        {.path = BUNDLE, .status = bundle_status, .body = bundle},
        {0}};
    *ret = (struct vf_cdi_facts){0};
    vf_test_script_start(s, routes);
    int rc = vf_cdi_fetch_facts(s->kube.client, NULL, ret, &s->kube.err);
    s->routes = NULL; /* they are gone with this frame; nothing is requested any more */
    return rc;
}

static void test_cdi_facts__override_goes_first(void **state)
{
    struct vf_test_script s;
    struct vf_cdi_facts f;
    (void)state;
    assert_int_equal(fetch("{\"spec\":{\"uploadProxyURLOverride\":\"https://proxy:8443\"},"
                           "\"status\":{\"uploadProxyURL\":\"other\",\"uploadProxyCA\":\"CA\"}}",
                           200, CA_MAP, &s, &f),
                     0);
    assert_string_equal(f.upload_proxy_url, "https://proxy:8443");
    assert_string_equal(f.upload_proxy_ca, "BUNDLE");
    vf_cdi_facts_release(&f);
    vf_test_script_stop(&s);
}

static void test_cdi_facts__published_host_becomes_a_url_with_its_ca(void **state)
{
    struct vf_test_script s;
    struct vf_cdi_facts f;
    (void)state;
    assert_int_equal(fetch("{\"spec\":{\"uploadProxyURLOverride\":\"\"},\"status\":{"
                           "\"uploadProxyURL\":\"cdi.example.com\",\"uploadProxyCA\":\"CA\"}}",
                           200, CA_MAP, &s, &f),
                     0);
    assert_string_equal(f.upload_proxy_url, "https://cdi.example.com");
    assert_string_equal(f.upload_proxy_ca, "CA");
    vf_test_script_expect_no(&s, BUNDLE);
    vf_cdi_facts_release(&f);
    vf_test_script_stop(&s);
}

static void test_cdi_facts__what_is_not_told_is_null(void **state)
{
    static const struct {
        int status;
        const char *bundle;
    } cases[] = {
        {404, NULL},
        {403, "{\"kind\":\"Status\",\"message\":\"no\",\"code\":403}"},
        {200, "{\"data\":{}}"},
        {200, "{\"data\":{\"ca-bundle.crt\":\"\"}}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_test_script s;
        struct vf_cdi_facts f;
        assert_int_equal(fetch("{\"status\":{\"uploadProxyURL\":\"\"}}", cases[i].status,
                               cases[i].bundle, &s, &f),
                         0);
        assert_null(f.upload_proxy_url);
        assert_null(f.upload_proxy_ca);
        vf_cdi_facts_release(&f);
        vf_test_script_stop(&s);
    }
}

/* A token goes there: never in the clear, and never to what only looks like a host. */
static void test_cdi_facts__bad_address_is_invalid(void **state)
{
    static const char *const bad[] = {"http://proxy",    "ftp://proxy",     "https://pro xy",
                                      "proxy\\u001b[0m", "proxy\\r\\nX: y", "file:///etc/passwd"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vf_test_script s;
        struct vf_cdi_facts f;
        char config[200];
        snprintf(config, sizeof config, "{\"status\":{\"uploadProxyURL\":\"%s\"}}", bad[i]);
        assert_int_equal(fetch(config, 404, NULL, &s, &f), VF_INVALID);
        assert_null(f.upload_proxy_url);
        vf_test_expect_error(s.kube.err, "--upload-proxy URL");
        vf_test_script_stop(&s);
    }
}

static void test_cdi_facts__not_deployed_is_unsupported(void **state)
{
    struct vf_test_script s;
    struct vf_cdi_facts f;
    (void)state;
    assert_int_equal(fetch(NULL, 404, NULL, &s, &f), VF_UNSUPPORTED);
    vf_test_expect_error(s.kube.err, "not deployed");
    vf_test_expect_error(s.kube.err, "make a CDI object");
    vf_test_script_stop(&s);
}

static void test_cdi_facts__not_installed_is_unsupported(void **state)
{
    static const struct vf_test_route without[] = {
        {.path = CDI "/v1beta1", .status = 404}, {.path = CDI, .status = 404}, {0}};
    static const struct vf_test_route old[] = {
        {.path = CDI "/v1beta1", .status = 404},
        {.path = CDI, .body = "{\"versions\":[{\"version\":\"v1alpha1\"}]}"},
        {0}};
    static const struct vf_test_route no_uploads[] = {
        HAS_DVS, {.path = UPLOAD "/v1beta1", .status = 404}, {.path = UPLOAD, .status = 404}, {0}};
    static const struct {
        const struct vf_test_route *routes;
        const char *text;
    } cases[] = {
        {without, "no datavolumes of \"cdi.kubevirt.io/v1beta1\""},
        {old, "only v1alpha1"},
        {no_uploads, "no uploadtokenrequests"},
    };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct vf_test_script s;
        struct vf_cdi_facts f;
        vf_test_script_start(&s, cases[i].routes);
        assert_int_equal(vf_cdi_fetch_facts(s.kube.client, NULL, &f, &s.kube.err), VF_UNSUPPORTED);
        vf_test_expect_error(s.kube.err, cases[i].text);
        vf_test_expect_error(s.kube.err, "install CDI");
        vf_test_script_stop(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cdi_facts__override_goes_first),
        cmocka_unit_test(test_cdi_facts__published_host_becomes_a_url_with_its_ca),
        cmocka_unit_test(test_cdi_facts__what_is_not_told_is_null),
        cmocka_unit_test(test_cdi_facts__bad_address_is_invalid),
        cmocka_unit_test(test_cdi_facts__not_deployed_is_unsupported),
        cmocka_unit_test(test_cdi_facts__not_installed_is_unsupported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
