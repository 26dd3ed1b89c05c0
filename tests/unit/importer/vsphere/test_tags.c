#include "importer/vsphere/tags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/http_server.h"
#include "tests/support/soap_server.h"

/* Handlers run one at a time here: one client thread, one request after the other. */
struct rest {
    bool api;     /* only the newer paths, answers not wrapped */
    bool bad_id;  /* a session that could not go into a header */
    bool stumble; /* the first batch is refused for a moment */
    unsigned logins, logouts, batches, tags, categories;
};

static void say(const struct rest *r, struct vf_test_exchange *x, const char *json)
{
    char *vf_autofree body = r->api ? vf_xstrdup(json) : vf_xasprintf("{\"value\": %s}", json);
    vf_test_answer(x, 200, "Content-Type: application/json\r\n", body);
}

static void check_session(const struct vf_test_exchange *x)
{
    char *vf_autofree id = vf_test_header(x, "vmware-api-session-id");
    char *vf_autofree cookie = vf_test_header(x, "Cookie");
    vf_test_check(id && strcmp(id, "b00c") == 0);
    vf_test_check(!cookie);
}

static void handle_session(struct rest *r, struct vf_test_exchange *x)
{
    if (strcmp(x->method, "DELETE") == 0) {
        check_session(x);
        r->logouts++;
        vf_test_answer(x, 204, "", "");
        return;
    }
    char *vf_autofree auth = vf_test_header(x, "Authorization");
    vf_test_check(auth && strcmp(auth, "Basic dTpwNHNzdzByZA==") == 0); /* u:p4ssw0rd */
    r->logins++;
    say(r, x, r->bad_id ? "\"b00c\\r\\nEvil: 1\"" : "\"b00c\"");
}

static void handle_rest(struct vf_test_exchange *x, void *opaque)
{
    struct rest *r = opaque;
    const char *base = r->api ? "/api/" : "/rest/";
    if (strncmp(x->target, base, strlen(base)) != 0) {
        vf_test_answer(x, 404, "", "");
    } else if (strstr(x->target, "/session")) {
        handle_session(r, x);
    } else if (strstr(x->target, "list-attached-tags-on-objects")) {
        check_session(x);
        vf_test_check(strstr(x->target, "?~action=") || r->api);
        if (r->stumble && r->batches++ == 0) {
            vf_test_answer(x, 503, "", "");
            return;
        }
        r->batches += !r->stumble;
        say(r, x,
            "[{\"object_id\": {\"id\": \"vm-0\", \"type\": \"VirtualMachine\"},"
            " \"tag_ids\": [\"urn:tag:z\", \"urn:tag:gone\", \"urn:tag:a\"]},"
            " {\"object_id\": {\"id\": \"vm-600\"}, \"tag_ids\": [\"urn:tag:a\"]},"
            " {\"object_id\": {\"id\": \"vm-unknown\"}, \"tag_ids\": [\"urn:tag:a\"]}]");
    } else if (strstr(x->target, "/category/")) {
        r->categories++;
        say(r, x, "{\"id\": \"urn:cat\", \"name\": \"env\"}");
    } else if (strstr(x->target, "gone")) {
        vf_test_answer(x, 404, "", "{}");
    } else {
        r->tags++;
        vf_test_check(strstr(x->target, r->api ? "/tag/urn" : "/tag/id:urn"));
        say(r, x,
            strstr(x->target, "z") ? "{\"name\": \"z\", \"category_id\": \"urn:cat\"}"
                                   : "{\"name\": \"a\", \"category_id\": \"urn:cat\"}");
    }
}

#define N_VMS 601

static int run(struct rest *r, struct vf_vm *vms, struct vf_error **err)
{
    struct vf_vm *list[N_VMS];
    for (size_t i = 0; i < N_VMS; i++) {
        vf_vm_init(&vms[i]);
        vms[i].moref = vf_xasprintf("vm-%zu", i);
        list[i] = &vms[i];
    }
    struct vf_test_soap *s = vf_test_soap_start(NULL, r);
    vf_test_soap_set_rest(s, handle_rest);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    int rc = vf_tags_fetch(vs, list, N_VMS, 0, err);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
    return rc;
}

static void release(struct vf_vm *vms)
{
    for (size_t i = 0; i < N_VMS; i++) {
        vf_vm_release(&vms[i]);
    }
}

static void expect_tags(bool api)
{
    struct vf_vm vms[N_VMS];
    struct rest r = {.api = api};
    assert_int_equal(run(&r, vms, NULL), 0);
    assert_int_equal(vms[0].n_tags, 2); /* the deleted one is left out */
    assert_string_equal(vms[0].tags[0], "env/a");
    assert_string_equal(vms[0].tags[1], "env/z");
    assert_int_equal(vms[600].n_tags, 1);
    assert_int_equal(vms[1].n_tags, 0);
    /* Calls by batches and by distinct tags, not by VMs. */
    assert_int_equal(r.batches, 2);
    assert_int_equal(r.tags, 2);
    assert_int_equal(r.categories, 1);
    assert_int_equal(r.logins, 1);
    assert_int_equal(r.logouts, 1);
    release(vms);
}

static void test_tags__by_batches(void **state)
{
    (void)state;
    expect_tags(false);
}

static void test_tags__by_the_newer_paths(void **state)
{
    (void)state;
    expect_tags(true);
}

static void test_tags__busy_service_is_asked_again(void **state)
{
    (void)state;
    struct vf_vm vms[N_VMS];
    struct rest r = {.stumble = true};
    assert_int_equal(run(&r, vms, NULL), 0);
    assert_int_equal(vms[0].n_tags, 2);
    release(vms);
}

static void test_tags__session_that_breaks_headers_is_invalid(void **state)
{
    (void)state;
    struct vf_vm vms[N_VMS];
    struct rest r = {.bad_id = true};
    struct vf_error *err = NULL;
    assert_int_equal(run(&r, vms, &err), VF_INVALID);
    assert_int_equal(r.batches, 0);
    vf_error_free(err);
    release(vms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tags__by_batches),
        cmocka_unit_test(test_tags__by_the_newer_paths),
        cmocka_unit_test(test_tags__busy_service_is_asked_again),
        cmocka_unit_test(test_tags__session_that_breaks_headers_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
