/* Faults injected into the upload sink. In a program of its own: a point counts all its passes. */
#include "importer/target/upload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/http_server.h"

#define DISK_BYTES 4096

static void handle(struct vf_test_exchange *x, void *opaque)
{
    (void)opaque;
    char bytes[4096];
    while (vf_test_read_chunked(x, bytes, sizeof bytes) > 0) {
    }
    vf_test_answer(x, 200, NULL, "");
}

static int fetch_token(void *opaque, struct vf_secret **ret_token, struct vf_error **err)
{
    (void)opaque;
    (void)err;
    *ret_token = vf_secret_new("token", 5);
    return 0;
}

static int upload(struct vf_test_server *server, struct vf_error **err)
{
    struct vf_http_options http_options = {.proxy = ""};
    struct vf_http *http = NULL;
    assert_int_equal(vf_http_new(&http_options, NULL, &http, NULL), 0);
    struct vf_upload_options o = {.http = http,
                                  .url = vf_test_server_url(server),
                                  .fetch_token = fetch_token,
                                  .size_bytes = DISK_BYTES};
    struct vf_sink *sink = NULL;
    char data[DISK_BYTES / 2] = "data";
    assert_int_equal(vf_upload_sink_open(&o, &sink, NULL), 0);
    int rc = vf_sink_write(sink, data, sizeof data, 0, err);
    rc = rc ? rc : vf_sink_zero(sink, sizeof data, sizeof data, err);
    rc = rc ? rc : vf_sink_finish(sink, err);
    vf_sink_free(sink);
    vf_http_free(http);
    return rc;
}

/* Fault by fault, as main names them. */
static void test_upload__faults_strike(void **state)
{
    (void)state;
#ifndef VF_FAULTS
    print_message("built without VF_FAULTS\n");
    skip();
#endif
    struct vf_test_server *server = vf_test_server_start(VF_TEST_PLAIN, handle, NULL);
    struct vf_error *err = NULL;
    assert_int_equal(upload(server, &err), VF_RETRY); /* at the zeros */
    assert_non_null(strstr(vf_error_message(err), "upload.write"));
    assert_null(vf_error_reason(err));
    vf_error_clear(&err);
    assert_int_equal(upload(server, &err), VF_RETRY);
    assert_string_equal(vf_error_reason(err), VF_UPLOAD_REASON_DOUBT);
    vf_error_clear(&err);
    assert_int_equal(upload(server, &err), 0);
    assert_int_equal(vf_test_server_connections(server), 3);
    vf_test_server_stop(server);
}

int main(void)
{
    setenv("VMFERRY_FAULTS", "upload.write:2:reset,upload.answer:1:reset", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_upload__faults_strike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
