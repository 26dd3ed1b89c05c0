#include "importer/vsphere/cookie.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/check.h"
#include "tests/support/soap_server.h"

static const char *own_answers(const struct vf_test_soap_call *call, void *opaque)
{
    (void)call;
    (void)opaque;
    return NULL;
}

static struct vf_secret *fetch(struct vf_vsphere *vs, const struct vf_secret *refused)
{
    struct vf_secret *cookie = NULL;
    vf_test_check(vf_vsphere_fetch_cookie(vs, refused, &cookie, NULL) == 0);
    return cookie;
}

static void test_cookie__is_the_sessions_until_it_is_refused(void **state)
{
    (void)state;
    struct vf_test_soap *s = vf_test_soap_start(own_answers, NULL);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    struct vf_secret *first = fetch(vs, NULL);
    assert_string_equal(vf_secret_reveal(first), "vmware_soap_session=\"s1\"");
    struct vf_secret *again = fetch(vs, NULL);
    assert_string_equal(vf_secret_reveal(again), vf_secret_reveal(first));
    assert_int_equal(vf_test_soap_count(s, "Login"), 1);

    struct vf_secret *second = fetch(vs, first);
    assert_string_not_equal(vf_secret_reveal(second), vf_secret_reveal(first));
    assert_int_equal(vf_test_soap_count(s, "Login"), 2);
    /* An old one was refused: the session has a newer already. */
    struct vf_secret *known = fetch(vs, first);
    assert_string_equal(vf_secret_reveal(known), vf_secret_reveal(second));
    assert_int_equal(vf_test_soap_count(s, "Login"), 2);
    vf_secret_free(first);
    vf_secret_free(again);
    vf_secret_free(second);
    vf_secret_free(known);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

struct refused {
    struct vf_vsphere *vs;
    const struct vf_secret *cookie;
};

static void *renew(void *opaque)
{
    const struct refused *r = opaque;
    struct vf_secret *cookie = fetch(r->vs, r->cookie);
    vf_test_check(strcmp(vf_secret_reveal(cookie), vf_secret_reveal(r->cookie)) != 0);
    vf_secret_free(cookie);
    return NULL;
}

static void test_cookie__refused_to_many_at_once_is_one_login(void **state)
{
    (void)state;
    struct vf_test_soap *s = vf_test_soap_start(own_answers, NULL);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    struct vf_secret *first = fetch(vs, NULL);
    struct refused r = {vs, first};
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, renew, &r), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(vf_test_soap_count(s, "Login"), 2);
    vf_secret_free(first);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

static const char *refuse_second(const struct vf_test_soap_call *c, void *opaque)
{
    (void)opaque;
    return strcmp(c->method, "Login") == 0 && c->nth > 1 ? VF_TEST_SOAP_FAULT "InvalidLogin" : NULL;
}

static void test_cookie__login_that_is_refused_is_auth(void **state)
{
    (void)state;
    struct vf_test_soap *s = vf_test_soap_start(refuse_second, NULL);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    struct vf_secret *first = fetch(vs, NULL), *second = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_vsphere_fetch_cookie(vs, first, &second, &err), VF_AUTH);
    assert_null(second);
    assert_null(strstr(vf_error_message(err), "s1"));
    vf_error_free(err);
    vf_secret_free(first);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cookie__is_the_sessions_until_it_is_refused),
        cmocka_unit_test(test_cookie__refused_to_many_at_once_is_one_login),
        cmocka_unit_test(test_cookie__login_that_is_refused_is_auth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
