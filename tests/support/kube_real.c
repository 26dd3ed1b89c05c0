#include "tests/support/kube_real.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"

const char *vf_test_setting(const char *name)
{
    const char *value = getenv(name);
    if (!value) {
        fprintf(stderr, "%s is not set: this program is run by tests/e2e/cluster\n", name);
        exit(2);
    }
    return value;
}

void vf_test_real_start(struct vf_test_real *r)
{
    const char *path = getenv("VMFERRY_TEST_KUBECONFIG");
    const struct vf_kube_config_options options = {
        .path = path,
        .service_account_dir = path ? NULL : vf_test_setting("VMFERRY_TEST_SERVICE_ACCOUNT"),
    };
    struct vf_kube_config *config = NULL;
    *r = (struct vf_test_real){.ns = vf_test_setting("VMFERRY_TEST_NAMESPACE")};
    vf_log_set_debug(getenv("VMFERRY_TEST_DEBUG") != NULL);
    int rc = vf_kube_config_fetch(&options, &config, &r->err);
    rc = rc ? rc : vf_kube_client_new(config, NULL, NULL, &r->client, &r->err);
    vf_test_real_expect(r, rc, 0);
}

void vf_test_real_stop(struct vf_test_real *r)
{
    vf_kube_client_free(r->client);
    vf_error_free(r->err);
}

void vf_test_real_expect(struct vf_test_real *r, int rc, int code)
{
    if (rc != code) {
        char *vf_autofree text = vf_error_format(r->err);
        const char *hint = vf_error_get_hint(r->err);
        fprintf(stderr, "%s in place of %s: %s (%s)\n", vf_code_name(rc), vf_code_name(code), text,
                hint ? hint : "no hint");
        vf_test_check(!"outcome as expected");
    }
    vf_error_clear(&r->err);
}

cJSON *vf_test_tree(const char *fmt, ...)
{
    cJSON *tree = NULL;
    va_list ap;
    va_start(ap, fmt);
    char *vf_autofree text = vf_xvasprintf(fmt, ap);
    va_end(ap);
    vf_test_check(vf_json_parse(text, strlen(text), "the test's object", &tree, NULL) == 0);
    return tree;
}
