#include "importer/kube/credential.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <unistd.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "tests/support/kube_rig.h"

static const struct vf_kube_ref disk = {.resource = &vf_test_datavolumes, .name = "d1"};

/* Lets in whoever says what opaque holds. */
static void check(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)n;
    char *vf_autofree authorization = vf_test_header(x, "Authorization");
    const char *who = authorization ? authorization : x->client_name ? x->client_name : "nobody";
    if (strcmp(who, k->text) == 0) {
        vf_test_answer(x, 200, NULL, "{}");
    } else {
        vf_test_kube_status(x, 401, "Unauthorized", "Unauthorized", NULL, NULL);
    }
}

static int get(struct vf_test_kube *k)
{
    vf_error_clear(&k->err);
    return vf_kube_get(k->client, &disk, NULL, NULL, &k->err);
}

static void start(struct vf_test_kube *k, struct vf_kube_config *c, const char *expected)
{
    vf_test_kube_start_with(k, check, c);
    k->text = expected;
}

static struct vf_kube_config *new_config(void)
{
    return vf_xcalloc(1, sizeof(struct vf_kube_config));
}

static void test_kube_credential__basic_and_certificate(void **state)
{
    (void)state;
    struct vf_test_kube k;
    struct vf_kube_config *c = new_config();
    c->username = vf_xstrdup("me");
    c->password = vf_secret_new("pw", 2);
    start(&k, c, "Basic bWU6cHc=");
    assert_int_equal(get(&k), 0);
    vf_test_kube_stop(&k);

    c = new_config();
    start(&k, c, "nobody");
    assert_int_equal(get(&k), 0);
    char *key = NULL, *cert = NULL;
    vf_test_server_issue(k.server, "operator", &cert, &key);
    struct vf_kube_config *with = new_config();
    with->server = vf_xstrdup(vf_test_server_url(k.server));
    with->ca_pem = vf_test_server_ca_pem(k.server);
    with->ns = vf_xstrdup("prod");
    with->proxy = vf_xstrdup("");
    with->origin = vf_xstrdup("test");
    with->client_cert_pem = cert;
    with->client_key_pem = vf_secret_new(key, strlen(key));
    vf_kube_client_free(k.client);
    k.text = "operator";
    assert_int_equal(vf_kube_client_new(with, NULL, NULL, &k.client, &k.err), 0);
    assert_int_equal(get(&k), 0);
    vf_test_kube_stop(&k);
    free(key);
}

static void test_kube_credential__bad_certificates_are_told_at_once(void **state)
{
    (void)state;
    struct vf_kube_config *c = new_config();
    struct vf_kube_client *client = NULL;
    struct vf_error *err = NULL;
    c->origin = vf_xstrdup("context \"x\"");
    c->server = vf_xstrdup("https://api.test");
    c->ca_pem = vf_xstrdup("junk");
    assert_int_equal(vf_kube_client_new(c, NULL, NULL, &client, &err), VF_INVALID);
    vf_test_expect_error(err, "context \"x\": the CA certificates");
    assert_null(client);
    vf_error_free(err);
}

static void test_kube_credential__static_token_refused_is_final(void **state)
{
    (void)state;
    struct vf_test_kube k;
    struct vf_kube_config *c = new_config();
    c->token = vf_secret_new("t0", 2);
    start(&k, c, "Bearer other");
    assert_int_equal(get(&k), VF_AUTH);
    assert_int_equal(k.n, 1);
    vf_test_expect_error(k.err, "log in again");
    vf_test_kube_stop(&k);
}

static void test_kube_credential__token_file_is_read_again_on_401(void **state)
{
    (void)state;
    struct vf_test_kube k;
    char *dir = vf_test_make_dir();
    struct vf_kube_config *c = new_config();
    c->token_file = vf_test_make_file(dir, "token", "one\n", 0600);
    start(&k, c, "Bearer one");
    assert_int_equal(get(&k), 0);
    free(vf_test_make_file(dir, "token", "two\n", 0600));
    k.text = "Bearer two";
    assert_int_equal(get(&k), 0);
    assert_int_equal(k.n, 3); /* good, refused, good */
    k.text = "Bearer three";
    assert_int_equal(get(&k), VF_AUTH);
    assert_int_equal(k.n, 4); /* the file has nothing new: no use in asking again */
    vf_test_kube_stop(&k);
    vf_test_remove_dir(dir);
}

static void test_kube_credential__changed_token_file_is_noticed_before(void **state)
{
    (void)state;
    struct vf_test_kube k;
    char *dir = vf_test_make_dir();
    struct vf_kube_config *c = new_config();
    c->token_file = vf_test_make_file(dir, "token", "one", 0600);
    start(&k, c, "Bearer one");
    assert_int_equal(get(&k), 0);
    free(vf_test_make_file(dir, "token", "two", 0600));
    k.text = "Bearer two";
    assert_int_equal(vf_cancel_wait(NULL, 1100, NULL), 0);
    assert_int_equal(get(&k), 0);
    assert_int_equal(k.n, 2);
    /* Gone for the moment: the last one is good still. */
    unlink(c->token_file);
    assert_int_equal(vf_cancel_wait(NULL, 1100, NULL), 0);
    assert_int_equal(get(&k), 0);
    k.text = "Bearer three";
    assert_int_equal(get(&k), VF_AUTH);
    vf_test_kube_stop(&k);
    vf_test_remove_dir(dir);
}

#define EXEC_HEAD                                                                                  \
    "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":"

/* A plugin that counts its calls in a file and gives token "pN" of the N-th. */
static struct vf_kube_config *with_plugin(const char *dir, const char *more)
{
    struct vf_kube_config *c = new_config();
    char *vf_autofree text = vf_xasprintf("#!/bin/sh\necho >> %s/calls\nn=$(wc -l < %s/calls)\n"
                                          "printf '" EXEC_HEAD "{\"token\":\"p%%d\"%s}}' $n\n",
                                          dir, dir, more);
    c->exec = vf_xcalloc(1, sizeof *c->exec);
    c->exec->api_version = vf_xstrdup("client.authentication.k8s.io/v1");
    c->exec->command = vf_test_make_file(dir, "plugin", text, 0700);
    return c;
}

static void test_kube_credential__plugin_runs_once_and_again_on_401(void **state)
{
    (void)state;
    struct vf_test_kube k;
    char *dir = vf_test_make_dir();
    start(&k, with_plugin(dir, ""), "Bearer p1");
    assert_int_equal(get(&k), 0);
    assert_int_equal(get(&k), 0);
    assert_int_equal(k.n, 2);
    k.text = "Bearer p2";
    assert_int_equal(get(&k), 0);
    assert_int_equal(k.n, 4);
    k.text = "Bearer never";
    assert_int_equal(get(&k), VF_AUTH);
    assert_int_equal(k.n, 6); /* p2, then p3 once, and no further */
    vf_test_kube_stop(&k);
    vf_test_remove_dir(dir);
}

static void test_kube_credential__expired_plugin_token_is_renewed(void **state)
{
    (void)state;
    struct vf_test_kube k;
    char *dir = vf_test_make_dir();
    start(&k, with_plugin(dir, ",\"expirationTimestamp\":\"2001-01-01T00:00:00Z\""), "Bearer p1");
    assert_int_equal(get(&k), 0);
    k.text = "Bearer p2";
    assert_int_equal(get(&k), 0);
    assert_int_equal(k.n, 2);
    vf_test_kube_stop(&k);
    vf_test_remove_dir(dir);
}

static void test_kube_credential__failing_plugin_is_an_error_each_time(void **state)
{
    (void)state;
    struct vf_test_kube k;
    char *dir = vf_test_make_dir();
    struct vf_kube_config *c = with_plugin(dir, "");
    free(vf_test_make_file(dir, "plugin", "#!/bin/sh\nexit 1\n", 0700));
    start(&k, c, "Bearer p1");
    assert_int_equal(get(&k), VF_AUTH);
    vf_test_expect_error(k.err, "credential plugin");
    assert_int_equal(get(&k), VF_AUTH);
    assert_int_equal(k.n, 0);
    vf_test_kube_stop(&k);
    vf_test_remove_dir(dir);
}

/* Certificates by plugin: another one needs connections of its own. */
static void test_kube_credential__plugin_may_change_the_certificate(void **state)
{
    (void)state;
    struct vf_test_kube k;
    char *dir = vf_test_make_dir();
    start(&k, with_plugin(dir, ""), "first");
    for (int i = 0; i < 2; i++) {
        const char *who = i ? "second" : "first";
        char *vf_autofree cert = NULL, *vf_autofree key = NULL;
        vf_test_server_issue(k.server, who, &cert, &key);
        cJSON *status = cJSON_CreateObject();
        cJSON_AddStringToObject(status, "clientCertificateData", cert);
        cJSON_AddStringToObject(status, "clientKeyData", key);
        char *json = cJSON_PrintUnformatted(status);
        char *vf_autofree text =
            vf_xasprintf("#!/bin/sh\ncat <<'END'\n" EXEC_HEAD "%s}\nEND\n", json);
        free(vf_test_make_file(dir, "plugin", text, 0700));
        cJSON_free(json);
        cJSON_Delete(status);
        k.text = who;
        assert_int_equal(get(&k), 0);
    }
    assert_int_equal(k.n, 3); /* first; first refused; second */
    vf_test_kube_stop(&k);
    free(vf_test_make_file(dir, "calls", "", 0600));
    vf_test_remove_dir(dir);
}

static void *get_many(void *opaque)
{
    struct vf_test_kube *k = opaque;
    intptr_t bad = 0;
    for (int i = 0; i < 20; i++) {
        bad += vf_kube_get(k->client, &disk, NULL, NULL, NULL) != 0;
    }
    return (void *)bad;
}

static void rotate(struct vf_test_kube *k, struct vf_test_exchange *x, unsigned n)
{
    (void)k;
    char *vf_autofree authorization = vf_test_header(x, "Authorization");
    /* Every token is good for the first 40 requests of its number. */
    unsigned token = authorization ? (unsigned)strtoul(authorization + 8, NULL, 10) : 0;
    if (token >= 1 && n <= token * 40) {
        vf_test_answer(x, 200, NULL, "{}");
    } else {
        vf_test_kube_status(x, 401, "Unauthorized", "Unauthorized", NULL, NULL);
    }
}

static void test_kube_credential__threads_share_one_renewal(void **state)
{
    (void)state;
    struct vf_test_kube k;
    char *dir = vf_test_make_dir();
    vf_test_kube_start_with(&k, rotate, with_plugin(dir, ""));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, get_many, &k), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *bad;
        pthread_join(threads[i], &bad);
        assert_int_equal((intptr_t)bad, 0);
    }
    assert_in_range(k.n, 80, 92); /* 80 good ones and few refusals */
    vf_test_kube_stop(&k);
    vf_test_remove_dir(dir);
}

static void *cancel_soon(void *opaque)
{
    vf_cancel_wait(NULL, 300, NULL);
    vf_cancel_trigger(opaque);
    return NULL;
}

static void test_kube_credential__cancellation_ends_the_plugin(void **state)
{
    (void)state;
    struct vf_test_kube k;
    pthread_t thread;
    char *dir = vf_test_make_dir();
    struct vf_kube_config *c = with_plugin(dir, "");
    free(vf_test_make_file(dir, "plugin", "#!/bin/sh\nexec sleep 30\n", 0700));
    start(&k, c, "");
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, k.cancel), 0);
    int64_t begun_ms = vf_clock_ms();
    assert_int_equal(get(&k), VF_CANCELLED);
    int64_t took_ms = vf_clock_ms() - begun_ms;
    assert_in_range(took_ms, 250, 1300);
    pthread_join(thread, NULL);
    vf_test_kube_stop(&k);
    vf_test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kube_credential__basic_and_certificate),
        cmocka_unit_test(test_kube_credential__bad_certificates_are_told_at_once),
        cmocka_unit_test(test_kube_credential__static_token_refused_is_final),
        cmocka_unit_test(test_kube_credential__token_file_is_read_again_on_401),
        cmocka_unit_test(test_kube_credential__changed_token_file_is_noticed_before),
        cmocka_unit_test(test_kube_credential__plugin_runs_once_and_again_on_401),
        cmocka_unit_test(test_kube_credential__expired_plugin_token_is_renewed),
        cmocka_unit_test(test_kube_credential__failing_plugin_is_an_error_each_time),
        cmocka_unit_test(test_kube_credential__plugin_may_change_the_certificate),
        cmocka_unit_test(test_kube_credential__threads_share_one_renewal),
        cmocka_unit_test(test_kube_credential__cancellation_ends_the_plugin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
