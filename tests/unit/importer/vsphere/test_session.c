#include "importer/vsphere/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/vsphere/snapshot.h"
#include "tests/support/check.h"
#include "tests/support/http_server.h"
#include "tests/support/soap_server.h"

#define NEEDED                                                                                     \
    "<returnval><objects><obj type=\"VirtualMachine\">vm-1</obj><propSet>"                         \
    "<name>runtime.consolidationNeeded</name><val xsi:type=\"xsd:boolean\">true</val></propSet>"   \
    "</objects></returnval>"

static void test_parse_cookie__the_session_one_with_its_quotes(void **state)
{
    (void)state;
    static const struct {
        const char *headers, *cookie;
    } cases[] = {
        {"Set-Cookie: vmware_soap_session=\"5d-x\"; Path=/; HttpOnly; Secure\r\n",
         "vmware_soap_session=\"5d-x\""},
        {"Server: x\r\nset-cookie:vmware_soap_session=ab\r\n", "vmware_soap_session=ab"},
        {"Set-Cookie: lb=1\r\nSet-Cookie: vmware_soap_session=ab; Path=/\r\n",
         "vmware_soap_session=ab"},
        {"Set-Cookie: other=vmware_soap_session=ab\r\n", NULL},
        {"X: Set-Cookie: vmware_soap_session=ab\r\n", NULL},
        {"", NULL},
        {NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *cookie = vf_session_parse_cookie(cases[i].headers);
        if (cases[i].cookie) {
            assert_string_equal(cookie, cases[i].cookie);
        } else {
            assert_null(cookie);
        }
        free(cookie);
    }
}

/* Keeps an eye on every call's cookie and SOAPAction. */
static const char *watch_headers(const struct vf_test_soap_call *c, void *opaque)
{
    (void)opaque;
    vf_test_check(c->action && strcmp(c->action, "\"urn:vim25/8.0.2.0\"") == 0);
    if (strcmp(c->method, "Login") == 0) {
        vf_test_check(!c->cookie);
        vf_test_check(strstr(c->body, "<userName>u</userName><password>p4ssw0rd</password>"));
    } else if (c->logins) {
        vf_test_check(c->cookie && strcmp(c->cookie, "vmware_soap_session=\"s1\"") == 0);
    }
    return strcmp(c->method, "RetrievePropertiesEx") == 0 ? NEEDED : NULL;
}

static void test_session__version_cookie_and_logout(void **state)
{
    (void)state;
    struct vf_test_soap *s = vf_test_soap_start(watch_headers, NULL);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    assert_string_equal(vf_vsphere_api_version(vs), "8.0.2.0");
    assert_string_equal(vf_vsphere_about_name(vs), "VMware vCenter Server");
    assert_string_equal(vf_vsphere_host(vs), "127.0.0.1");
    assert_false(vf_vsphere_is_esxi(vs));
    bool needed = false;
    assert_int_equal(vf_vm_fetch_consolidation_needed(vs, "vm-1", &needed, NULL), 0);
    assert_true(needed);
    assert_int_equal(vf_vsphere_keep_alive(vs, NULL), 0);
    assert_int_equal(vf_test_soap_count(s, "CurrentTime"), 0); /* it was used just now */
    vf_vsphere_free(vs);
    assert_int_equal(vf_test_soap_count(s, "Logout"), 1);
    vf_test_soap_stop(s);
}

static const char *refuse(const struct vf_test_soap_call *c, void *opaque)
{
    (void)opaque;
    return strcmp(c->method, "Login") == 0 ? VF_TEST_SOAP_FAULT "InvalidLogin" : NULL;
}

static void test_session__wrong_password_is_auth_and_not_repeated(void **state)
{
    (void)state;
    struct vf_test_soap *s = vf_test_soap_start(refuse, NULL);
    struct vf_vsphere_options o = vf_test_soap_options(s);
    struct vf_vsphere *vs = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_vsphere_login(&o, NULL, &vs, &err), VF_AUTH);
    assert_null(vs);
    assert_string_equal(vf_error_message(err),
                        "vCenter at 127.0.0.1 refused the login of user \"u\"");
    assert_non_null(vf_error_get_hint(err));
    assert_null(strstr(vf_error_get_hint(err), "p4ssw0rd"));
    assert_int_equal(vf_test_soap_count(s, "Login"), 1);
    assert_int_equal(vf_test_soap_count(s, "Logout"), 0);
    vf_error_free(err);
    vf_secret_free((struct vf_secret *)(uintptr_t)o.password);
    vf_test_soap_stop(s);
}

/* The first session is gone for good, whoever asks. */
static const char *forget_first(const struct vf_test_soap_call *c, void *opaque)
{
    (void)opaque;
    if (strcmp(c->method, "RetrievePropertiesEx") != 0) {
        return NULL;
    }
    return c->cookie && strstr(c->cookie, "s1") ? VF_TEST_SOAP_FAULT "NotAuthenticated" : NEEDED;
}

static void *ask(void *opaque)
{
    bool needed = false;
    vf_test_check(vf_vm_fetch_consolidation_needed(opaque, "vm-1", &needed, NULL) == 0);
    vf_test_check(needed);
    return NULL;
}

static void test_session__lost_for_many_threads_is_renewed_once(void **state)
{
    (void)state;
    struct vf_test_soap *s = vf_test_soap_start(forget_first, NULL);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    pthread_t threads[6];
    for (size_t i = 0; i < 6; i++) {
        vf_test_check(pthread_create(&threads[i], NULL, ask, vs) == 0);
    }
    for (size_t i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(vf_test_soap_count(s, "Login"), 2);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

static const char *forget_all(const struct vf_test_soap_call *c, void *opaque)
{
    (void)opaque;
    return strcmp(c->method, "RetrievePropertiesEx") == 0 ? VF_TEST_SOAP_FAULT "NotAuthenticated"
                                                          : NULL;
}

static void test_session__lost_again_at_once_is_auth(void **state)
{
    (void)state;
    struct vf_test_soap *s = vf_test_soap_start(forget_all, NULL);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    struct vf_error *err = NULL;
    bool needed;
    assert_int_equal(vf_vm_fetch_consolidation_needed(vs, "vm-1", &needed, &err), VF_AUTH);
    assert_int_equal(vf_test_soap_count(s, "Login"), 2);
    vf_error_free(err);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

static const char *stumble(const struct vf_test_soap_call *c, void *opaque)
{
    (void)opaque;
    if (strcmp(c->method, "RetrievePropertiesEx") != 0) {
        return NULL;
    }
    return c->nth == 1   ? VF_TEST_SOAP_RESET
           : c->nth == 2 ? VF_TEST_SOAP_RAW "503 Out of HTTP sessions"
           : c->nth == 3 ? VF_TEST_SOAP_FAULT "HostCommunication"
           : c->nth == 4 ? VF_TEST_SOAP_RAW "500 <html>proxy</html>"
                         : NEEDED;
}

static void test_session__reading_is_repeated(void **state)
{
    (void)state;
    struct vf_test_soap *s = vf_test_soap_start(stumble, NULL);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    bool needed = false;
    assert_int_equal(vf_vm_fetch_consolidation_needed(vs, "vm-1", &needed, NULL), 0);
    assert_true(needed);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

static const char *gibberish(const struct vf_test_soap_call *c, void *opaque)
{
    (void)opaque;
    return strcmp(c->method, "RetrievePropertiesEx") == 0 ? VF_TEST_SOAP_RAW "200 <a></b>" : NULL;
}

static void test_session__gibberish_is_invalid_at_once(void **state)
{
    (void)state;
    struct vf_test_soap *s = vf_test_soap_start(gibberish, NULL);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    bool needed;
    assert_int_equal(vf_vm_fetch_consolidation_needed(vs, "vm-1", &needed, NULL), VF_INVALID);
    assert_int_equal(vf_test_soap_count(s, "RetrievePropertiesEx"), 1);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

static void test_session__clean_up_goes_on_after_cancellation(void **state)
{
    (void)state;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    struct vf_test_soap *s = vf_test_soap_start(watch_headers, NULL);
    struct vf_vsphere *vs = vf_test_soap_login(s, cancel);
    vf_cancel_trigger(cancel);
    bool needed = false;
    assert_int_equal(vf_vm_fetch_consolidation_needed(vs, "vm-1", &needed, NULL), 0);
    assert_true(needed);
    struct vf_vm vm;
    bool quiesced;
    assert_int_equal(vf_snapshot_fetch(vs, "vm-1", "snapshot-1", &vm, &quiesced, NULL),
                     VF_CANCELLED);
    vf_vsphere_free(vs);
    assert_int_equal(vf_test_soap_count(s, "Logout"), 1);
    vf_test_soap_stop(s);
    vf_cancel_free(cancel);
}

static void no_page(struct vf_test_exchange *x, void *opaque)
{
    (void)opaque;
    vf_test_answer(x, 404, "", "no such page");
}

static void test_session__what_is_no_vsphere_is_invalid(void **state)
{
    (void)state;
    struct vf_test_server *s = vf_test_server_start(VF_TEST_TLS, no_page, NULL);
    struct vf_secret *password = vf_secret_new("x", 1);
    struct vf_vsphere_options o = {.url = vf_test_server_url(s),
                                   .user = "u",
                                   .password = password,
                                   .http = {.ca_file = vf_test_server_ca_file(s), .proxy = ""}};
    struct vf_error *err = NULL;
    struct vf_vsphere *vs = NULL;
    assert_int_equal(vf_vsphere_login(&o, NULL, &vs, &err), VF_INVALID);
    assert_non_null(strstr(vf_error_message(err), "HTTP 404"));
    assert_non_null(vf_error_get_hint(err));
    vf_error_free(err);
    vf_secret_free(password);
    vf_test_server_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_cookie__the_session_one_with_its_quotes),
        cmocka_unit_test(test_session__version_cookie_and_logout),
        cmocka_unit_test(test_session__wrong_password_is_auth_and_not_repeated),
        cmocka_unit_test(test_session__lost_for_many_threads_is_renewed_once),
        cmocka_unit_test(test_session__lost_again_at_once_is_auth),
        cmocka_unit_test(test_session__reading_is_repeated),
        cmocka_unit_test(test_session__gibberish_is_invalid_at_once),
        cmocka_unit_test(test_session__clean_up_goes_on_after_cancellation),
        cmocka_unit_test(test_session__what_is_no_vsphere_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
