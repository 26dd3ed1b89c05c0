#include "importer/kube/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/kube_rig.h"

static const struct vf_kube_resource pods = {
    .group = "", .version = "v1", .plural = "pods", .namespaced = true};
static const struct vf_kube_resource nodes = {.group = "", .version = "v1", .plural = "nodes"};
static const struct vf_kube_resource vms = {.group = "subresources.kubevirt.io",
                                            .version = "v1",
                                            .plural = "virtualmachines",
                                            .namespaced = true};
static const struct vf_kube_ref disk = {.resource = &vf_test_datavolumes, .name = "d1"};

static cJSON *make_object(void)
{
    cJSON *object = vf_json_new_object();
    vf_json_add_string(vf_json_add_object(object, "metadata"), "name", "d1");
    return object;
}

/* Says what came, as JSON. */
static void echo(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    cJSON *o = vf_json_new_object();
    char *vf_autofree type = vf_test_header(x, "Content-Type");
    char *vf_autofree authorization = vf_test_header(x, "Authorization");
    char *vf_autofree accept = vf_test_header(x, "Accept");
    vf_json_add_string(o, "method", x->method);
    vf_json_add_string(o, "target", x->target);
    vf_json_add_string(o, "type", type);
    vf_json_add_string(o, "authorization", authorization);
    vf_json_add_string(o, "accept", accept);
    vf_json_add_string(o, "body", x->body);
    char *vf_autofree text = vf_json_print(o, false);
    cJSON_Delete(o);
    vf_test_answer(x, 200, NULL, text);
}

static void show_head(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    cJSON *o = vf_json_new_object();
    vf_json_add_string(o, "head", x->head);
    char *vf_autofree text = vf_json_print(o, false);
    cJSON_Delete(o);
    vf_test_answer(x, 200, NULL, text);
}

static void expect(cJSON *answer, const char *key, const char *value)
{
    assert_string_equal(vf_json_string(answer, key), value);
}

#define WRITE "?fieldManager=vmferry&fieldValidation=Strict"
#define D1    "/apis/cdi.kubevirt.io/v1beta1/namespaces/prod/datavolumes/d1"

static void test_kube_get__path_and_headers(void **state)
{
    (void)state;
    struct vf_test_kube k;
    cJSON *o;
    vf_test_kube_start(&k, echo);
    assert_int_equal(vf_kube_get(k.client, &disk, NULL, &o, &k.err), 0);
    expect(o, "method", "GET");
    expect(o, "target", D1);
    expect(o, "authorization", "Bearer t0");
    expect(o, "accept", "application/json, */*;q=0.5");
    cJSON_Delete(o);
    struct vf_kube_ref ref = {.resource = &pods, .ns = "a", .name = "x:y", .subresource = "status"};
    assert_int_equal(vf_kube_get(k.client, &ref, NULL, &o, &k.err), 0);
    expect(o, "target", "/api/v1/namespaces/a/pods/x%3Ay/status");
    cJSON_Delete(o);
    ref = (struct vf_kube_ref){.resource = &nodes, .ns = "unused", .name = "n"};
    assert_int_equal(vf_kube_get(k.client, &ref, NULL, &o, &k.err), 0);
    expect(o, "target", "/api/v1/nodes/n");
    cJSON_Delete(o);
    assert_string_equal(vf_kube_client_namespace(k.client), "prod");
    vf_test_kube_stop(&k);
}

static void test_kube_ref__names_cannot_leave_their_place(void **state)
{
    (void)state;
    static const char *const names[] = {"", ".", "..", "a/b", "a%2fb", "../../secrets/x"};
    struct vf_test_kube k;
    cJSON *o;
    vf_test_kube_start(&k, echo);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct vf_kube_ref ref = {.resource = &pods, .name = names[i]};
        assert_int_equal(vf_kube_get(k.client, &ref, NULL, &o, NULL), VF_INVALID);
        ref = (struct vf_kube_ref){.resource = &pods, .ns = names[i], .name = "x"};
        assert_int_equal(vf_kube_get(k.client, &ref, NULL, &o, NULL), VF_INVALID);
    }
    assert_int_equal(k.n, 0);
    vf_test_kube_stop(&k);
}

static void test_kube_writes__verbs_types_and_options(void **state)
{
    (void)state;
    static const struct vf_kube_options both = {.dry_run = true, .force = true};
    struct vf_test_kube k;
    cJSON *o, *object = make_object();
    vf_test_kube_start(&k, echo);
    assert_int_equal(vf_kube_create(k.client, &disk, object, NULL, &o, &k.err), 0);
    expect(o, "method", "POST");
    expect(o, "target", "/apis/cdi.kubevirt.io/v1beta1/namespaces/prod/datavolumes" WRITE);
    expect(o, "type", "application/json");
    expect(o, "body", "{\"metadata\":{\"name\":\"d1\"}}");
    cJSON_Delete(o);
    assert_int_equal(vf_kube_apply(k.client, &disk, object, &both, &o, &k.err), 0);
    expect(o, "method", "PATCH");
    expect(o, "target", D1 WRITE "&force=true&dryRun=All");
    expect(o, "type", "application/apply-patch+yaml");
    cJSON_Delete(o);
    assert_int_equal(vf_kube_merge_patch(k.client, &disk, object, &both, &o, &k.err), 0);
    expect(o, "method", "PATCH");
    expect(o, "target", D1 WRITE "&dryRun=All");
    expect(o, "type", "application/merge-patch+json");
    cJSON_Delete(o);
    struct vf_kube_ref status = disk;
    status.subresource = "status";
    assert_int_equal(vf_kube_update(k.client, &status, object, NULL, &o, &k.err), 0);
    expect(o, "method", "PUT");
    expect(o, "target", D1 "/status" WRITE);
    cJSON_Delete(o);
    struct vf_kube_ref token = {.resource = &pods, .name = "p", .subresource = "token"};
    assert_int_equal(vf_kube_create(k.client, &token, object, NULL, &o, &k.err), 0);
    expect(o, "target", "/api/v1/namespaces/prod/pods/p/token" WRITE);
    cJSON_Delete(o);
    assert_int_equal(vf_kube_apply(k.client, &disk, object, NULL, NULL, &k.err), 0);
    cJSON_Delete(object);
    vf_test_kube_stop(&k);
}

static void test_kube_client__impersonation_is_sent(void **state)
{
    (void)state;
    struct vf_test_kube k;
    struct vf_kube_config *c = vf_xcalloc(1, sizeof *c);
    c->impersonate = vf_xcalloc(2, sizeof(char *));
    c->impersonate[0] = vf_xstrdup("Impersonate-User: jane");
    c->impersonate[1] = vf_xstrdup("Impersonate-Group: a");
    c->n_impersonate = 2;
    vf_test_kube_start_with(&k, show_head, c);
    cJSON *o;
    assert_int_equal(vf_kube_get(k.client, &disk, NULL, &o, &k.err), 0);
    assert_non_null(strstr(vf_json_string(o, "head"), "Impersonate-User: jane\r\n"));
    assert_non_null(strstr(vf_json_string(o, "head"), "Impersonate-Group: a\r\n"));
    assert_null(strstr(vf_json_string(o, "head"), "Authorization"));
    cJSON_Delete(o);
    vf_test_kube_stop(&k);
}

static void test_kube_client__untrusted_server_hears_nothing(void **state)
{
    (void)state;
    struct vf_test_kube k, other;
    struct vf_kube_config *c = vf_xcalloc(1, sizeof *c);
    vf_test_kube_start(&other, echo);
    c->ca_pem = vf_test_server_ca_pem(other.server);
    c->token = vf_secret_new("t0", 2);
    vf_test_kube_start_with(&k, echo, c);
    assert_int_equal(vf_kube_get(k.client, &disk, NULL, NULL, &k.err), VF_AUTH);
    vf_test_expect_error(k.err, "is not trusted");
    vf_test_expect_error(k.err, "certificate-authority");
    assert_int_equal(k.n, 0);
    vf_test_kube_stop(&k);
    vf_test_kube_stop(&other);
}

static void remember(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)n;
    k->opaque = vf_xasprintf("%s %s %s", x->method, x->target, x->body);
    vf_test_answer(x, 200, NULL, "{\"kind\":\"Status\",\"status\":\"Success\"}");
}

static void test_kube_delete__preconditions_and_propagation(void **state)
{
    (void)state;
    static const struct vf_kube_options all = {
        .dry_run = true, .propagation = "Foreground", .uid = "u-1"};
    struct vf_test_kube k;
    vf_test_kube_start(&k, remember);
    assert_int_equal(vf_kube_delete(k.client, &disk, &all, &k.err), 0);
    assert_string_equal(k.opaque,
                        "DELETE " D1 " {\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\","
                        "\"propagationPolicy\":\"Foreground\",\"preconditions\":{\"uid\":\"u-1\"},"
                        "\"dryRun\":[\"All\"]}");
    free(k.opaque);
    assert_int_equal(vf_kube_delete(k.client, &disk, NULL, &k.err), 0);
    assert_string_equal(k.opaque,
                        "DELETE " D1 " {\"kind\":\"DeleteOptions\",\"apiVersion\":\"v1\"}");
    free(k.opaque);
    struct vf_kube_ref everything = {.resource = &pods};
    assert_int_equal(vf_kube_delete(k.client, &everything, NULL, NULL), VF_INTERNAL);
    assert_int_equal(k.n, 2);
    vf_test_kube_stop(&k);
}

static void accept_silently(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    (void)n;
    vf_test_answer(x, 202, NULL, "");
}

static void test_kube_update__subresource_may_answer_nothing(void **state)
{
    (void)state;
    struct vf_test_kube k;
    const struct vf_kube_ref start = {.resource = &vms, .name = "web", .subresource = "start"};
    cJSON *o = NULL;
    vf_test_kube_start(&k, accept_silently);
    assert_int_equal(vf_kube_update(k.client, &start, NULL, NULL, &o, &k.err), 0);
    assert_null(o);
    assert_int_equal(vf_kube_get(k.client, &disk, NULL, &o, &k.err), VF_INVALID);
    vf_test_kube_stop(&k);
}

/* The first requests fail as opaque says, then it works. */
static void fail_twice(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    const char *how = k->text;
    if (n > 2) {
        vf_test_answer(x, 200, NULL, "{\"metadata\":{\"name\":\"d1\"}}");
    } else if (strcmp(how, "reset") == 0) {
        vf_test_reset(x);
    } else if (strcmp(how, "429") == 0) {
        vf_test_kube_status(x, 429, "TooManyRequests", "slow down", NULL, "Retry-After: 0\r\n");
    } else if (strcmp(how, "503 later") == 0) {
        vf_test_kube_status(x, 503, "ServiceUnavailable", "later", NULL, "Retry-After: 0\r\n");
    } else {
        vf_test_kube_status(x, 500, "InternalError", "oops", NULL, NULL);
    }
}

static int try_write(const char *how, const char *verb, unsigned *ret_requests)
{
    struct vf_test_kube k;
    cJSON *object = make_object();
    int rc = VF_INTERNAL;
    vf_test_kube_start(&k, fail_twice);
    k.text = how;
    if (strcmp(verb, "create") == 0) {
        rc = vf_kube_create(k.client, &disk, object, NULL, NULL, &k.err);
    } else if (strcmp(verb, "update") == 0) {
        rc = vf_kube_update(k.client, &disk, object, NULL, NULL, &k.err);
    } else if (strcmp(verb, "apply") == 0) {
        rc = vf_kube_apply(k.client, &disk, object, NULL, NULL, &k.err);
    } else if (strcmp(verb, "merge") == 0) {
        rc = vf_kube_merge_patch(k.client, &disk, object, NULL, NULL, &k.err);
    } else if (strcmp(verb, "merge version") == 0) {
        vf_json_add_string(cJSON_GetObjectItem(object, "metadata"), "resourceVersion", "1");
        rc = vf_kube_merge_patch(k.client, &disk, object, NULL, NULL, &k.err);
    } else if (strcmp(verb, "get") == 0) {
        rc = vf_kube_get(k.client, &disk, NULL, NULL, &k.err);
    } else if (strcmp(verb, "delete") == 0) {
        rc = vf_kube_delete(k.client, &disk, NULL, &k.err);
    }
    *ret_requests = k.n;
    cJSON_Delete(object);
    vf_test_kube_stop(&k);
    return rc;
}

static void test_kube_retry__only_what_is_safe_is_repeated(void **state)
{
    (void)state;
    static const char *const safe[] = {"get", "apply", "merge", "delete"};
    static const char *const unsafe[] = {"create", "update", "merge version"};
    static const char *const doubtful[] = {"reset", "500"};
    static const char *const refused[] = {"429", "503 later"};
    unsigned requests;
    for (size_t i = 0; i < 2; i++) {
        for (size_t v = 0; v < 4; v++) {
            assert_int_equal(try_write(doubtful[i], safe[v], &requests), 0);
            assert_int_equal(requests, 3);
            assert_int_equal(try_write(refused[i], safe[v], &requests), 0);
            assert_int_equal(requests, 3);
        }
        for (size_t v = 0; v < 3; v++) {
            assert_int_equal(try_write(doubtful[i], unsafe[v], &requests), VF_RETRY);
            assert_int_equal(requests, 1);
            assert_int_equal(try_write(refused[i], unsafe[v], &requests), 0);
            assert_int_equal(requests, 3);
        }
    }
}

static void ask_to_wait(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    if (n == 1) {
        vf_test_kube_status(x, 429, "TooManyRequests", "slow", NULL, "Retry-After: 1\r\n");
    } else {
        vf_test_answer(x, 200, NULL, "{}");
    }
}

static void test_kube_retry__retry_after_is_kept_to(void **state)
{
    (void)state;
    struct vf_test_kube k;
    vf_test_kube_start(&k, ask_to_wait);
    int64_t begun_ms = vf_clock_ms();
    assert_int_equal(vf_kube_get(k.client, &disk, NULL, NULL, &k.err), 0);
    int64_t took_ms = vf_clock_ms() - begun_ms;
    assert_in_range(took_ms, 1000, 8000);
    vf_test_kube_stop(&k);
}

/* Nothing reached the server, so that even a create may be tried again. */
static void test_kube_retry__create_is_tried_again_while_nothing_is_sent(void **state)
{
    (void)state;
    struct vf_test_kube k;
    vf_test_kube_start(&k, echo);
    struct vf_test_server *away = k.server;
    vf_test_server_stop(away);
    cJSON *object = make_object();
    assert_int_equal(vf_kube_create(k.client, &disk, object, NULL, NULL, &k.err), VF_RETRY);
    vf_test_expect_error(k.err, "after 5 tries: cannot connect");
    cJSON_Delete(object);
    vf_kube_client_free(k.client);
    vf_cancel_free(k.cancel);
    vf_error_free(k.err);
}

static void lose_the_answer(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    if (n == 1) {
        vf_test_reset(x);
    } else {
        vf_test_kube_status(x, 404, "NotFound", "gone", "{\"name\":\"d1\"}", NULL);
    }
}

static void test_kube_delete__gone_after_a_lost_answer_is_deleted(void **state)
{
    (void)state;
    struct vf_test_kube k;
    vf_test_kube_start(&k, lose_the_answer);
    assert_int_equal(vf_kube_delete(k.client, &disk, NULL, &k.err), 0);
    assert_int_equal(k.n, 2);
    assert_int_equal(vf_kube_delete(k.client, &disk, NULL, &k.err), VF_MISSING);
    vf_test_kube_stop(&k);
}

static void answer_badly(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    const char *how = k->text;
    (void)n;
    if (strcmp(how, "huge") == 0) {
        char block[4096];
        memset(block, 'x', sizeof block);
        vf_test_printf(x, "HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n{\"a\":\"");
        for (int i = 0; i < 8192; i++) {
            vf_test_send(x, block, sizeof block);
        }
        x->close = true;
    } else {
        vf_test_answer(x, 200, NULL, how);
    }
}

static void test_kube_answer__size_and_form_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *body, *message;
        int code;
    } cases[] = {
        {"huge", "larger than 8388608 bytes", VF_SPACE},
        {"{\"a\":", "is not JSON", VF_INVALID},
        {"<html>", "is not JSON", VF_INVALID},
        {"[1]", "is no object", VF_INVALID},
        {"", "is empty", VF_INVALID},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_test_kube k;
        cJSON *o = NULL;
        vf_test_kube_start(&k, answer_badly);
        k.text = cases[i].body;
        assert_int_equal(vf_kube_get(k.client, &disk, NULL, &o, &k.err), cases[i].code);
        vf_test_expect_error(k.err, cases[i].message);
        assert_null(o);
        vf_test_kube_stop(&k);
    }
}

static void hang(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)n;
    vf_cancel_trigger(k->opaque);
    vf_test_hang(x);
}

static void test_kube_options__cancel_of_the_call_ends_it(void **state)
{
    (void)state;
    struct vf_test_kube k;
    vf_test_kube_start(&k, hang);
    struct vf_cancel *one = vf_cancel_new(k.cancel);
    k.opaque = one;
    const struct vf_kube_options o = {.cancel = one};
    int64_t begun_ms = vf_clock_ms();
    assert_int_equal(vf_kube_get(k.client, &disk, &o, NULL, &k.err), VF_CANCELLED);
    int64_t took_ms = vf_clock_ms() - begun_ms;
    assert_in_range(took_ms, 0, 1000);
    vf_test_kube_stop(&k);
    vf_cancel_free(one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kube_get__path_and_headers),
        cmocka_unit_test(test_kube_ref__names_cannot_leave_their_place),
        cmocka_unit_test(test_kube_writes__verbs_types_and_options),
        cmocka_unit_test(test_kube_client__impersonation_is_sent),
        cmocka_unit_test(test_kube_client__untrusted_server_hears_nothing),
        cmocka_unit_test(test_kube_delete__preconditions_and_propagation),
        cmocka_unit_test(test_kube_update__subresource_may_answer_nothing),
        cmocka_unit_test(test_kube_retry__only_what_is_safe_is_repeated),
        cmocka_unit_test(test_kube_retry__retry_after_is_kept_to),
        cmocka_unit_test(test_kube_retry__create_is_tried_again_while_nothing_is_sent),
        cmocka_unit_test(test_kube_delete__gone_after_a_lost_answer_is_deleted),
        cmocka_unit_test(test_kube_answer__size_and_form_are_checked),
        cmocka_unit_test(test_kube_options__cancel_of_the_call_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
