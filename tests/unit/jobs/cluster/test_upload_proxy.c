#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/cluster/upload_proxy.h"
#include "tests/support/disk_check.h"

/* Where CDI's proxy is, told by the user or published by CDI. */
static int open_proxy(const char *told, const char *published, struct vf_error **err)
{
    const struct vf_import_cluster cluster = {.proxy_url = told};
    char *copy = published ? strdup(published) : NULL;
    const struct vf_cdi_facts facts = {.upload_proxy_url = copy};
    struct vf_http *http = NULL;
    char *url = NULL;
    int rc = vf_upload_proxy_open(&cluster, &facts, NULL, &http, &url, err);
    assert_null(http);
    free(url);
    free(copy);
    return rc;
}

static void test_upload_proxy__proxy_without_tls_is_refused_unasked(void **state)
{
    (void)state;
    static const char *const urls[] = {"http://127.0.0.1:1", "ftp://127.0.0.1:1",
                                       "https://secret@127.0.0.1:1", "https://127.0.0.1:1/?secret",
                                       "127.0.0.1:1#secret"};
    for (size_t i = 0; i < 2 * sizeof urls / sizeof *urls; i++) {
        const char *url = urls[i / 2];
        struct vf_error *err = NULL;
        int rc = open_proxy(i % 2 ? url : NULL, i % 2 ? NULL : url, &err);
        char *text = vf_error_format(err);
        assert_null(strstr(text, "secret"));
        free(text);
        check_error(rc, &err, VF_INVALID, "not https://");
    }
}

static void test_upload_proxy__proxy_that_is_not_there_is_retry(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    check_error(open_proxy("https://127.0.0.1:1/", NULL, &err), &err, VF_RETRY, "port 1");
    check_error(open_proxy("127.0.0.1:1", NULL, &err), &err, VF_RETRY, "port 1");
    check_error(open_proxy(NULL, NULL, &err), &err, VF_MISSING, "publishes no address");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upload_proxy__proxy_without_tls_is_refused_unasked),
        cmocka_unit_test(test_upload_proxy__proxy_that_is_not_there_is_retry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
