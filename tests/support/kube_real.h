/* A client of a real API server, for tests that tests/e2e runs; it tells them by the environment
 * where the server is.
 *
 *   VMFERRY_TEST_KUBECONFIG        a file; without it the service account of the next one
 *   VMFERRY_TEST_SERVICE_ACCOUNT   a folder as a kubelet makes it
 *   VMFERRY_TEST_NAMESPACE         empty, and the test's own
 *   VMFERRY_TEST_FILTER            names of tests, as cmocka_set_test_filter() takes them
 *   VMFERRY_TEST_DEBUG             the client's log on stderr
 */
#ifndef TESTS_SUPPORT_KUBE_REAL_H
#define TESTS_SUPPORT_KUBE_REAL_H

#include <cjson/cJSON.h>

#include "importer/kube/client.h"

struct vf_test_real {
    struct vf_kube_client *client;
    const char *ns;
    struct vf_error *err;
};

/* What fails here ends the program with the error on stderr. */
void vf_test_real_start(struct vf_test_real *r);
void vf_test_real_stop(struct vf_test_real *r);

/* Fails the test, with the error, unless rc is `code`; then forgets the error. */
void vf_test_real_expect(struct vf_test_real *r, int rc, int code);

/* A tree of a printf-like text. */
cJSON *vf_test_tree(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The text of an environment variable that must be there. */
const char *vf_test_setting(const char *name);

#endif
