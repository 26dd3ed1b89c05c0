/* Paging and what may go wrong between two pages. */
#include "importer/vsphere/inventory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/check.h"
#include "tests/support/soap_server.h"

#define PROP(name, val) "<propSet><name>" name "</name><val>" val "</val></propSet>"
#define OBJECT(type, moref, props)                                                                 \
    "<objects><obj type=\"" type "\">" moref "</obj>" props "</objects>"
#define VM(moref, name)                                                                            \
    OBJECT("VirtualMachine", moref,                                                                \
           PROP("name", name) PROP("parent", "group-v3") PROP("runtime.host", "host-1"))
#define TOKEN(t)   "<token>" t "</token>"
#define PAGE(rest) "<returnval>" rest "</returnval>"

static const char first[] = PAGE(TOKEN("1") VM("vm-2", "b") OBJECT(
    "Folder", "group-v3", PROP("name", "vm") PROP("parent", "datacenter-2")));
static const char second[] = PAGE(TOKEN("2") OBJECT(
    "Datacenter", "datacenter-2", PROP("name", "DC0") PROP("parent", "group-d1")));
static const char third[] =
    PAGE(VM("vm-1", "a") OBJECT("HostSystem", "host-1", PROP("name", "esx1")));

enum script {
    GOOD,
    PAGE_LOST,
    SESSION_LOST,
    VIEW_LOST,
    EMPTY_PAGE,
    NO_REFERENCE,
    NOTHING,
    NO_KEYS,
    NO_PROPERTY,
};

static const char *page(enum script script, const struct vf_test_soap_call *c)
{
    if (strcmp(c->method, "RetrievePropertiesEx") == 0) {
        vf_test_check(strstr(c->body, "<reportMissingObjectsInResults>true<"));
        if (script == NO_PROPERTY || (script == NO_KEYS && strstr(c->body, "nodeAffinity"))) {
            return VF_TEST_SOAP_FAULT "InvalidProperty";
        }
        return script == VIEW_LOST && c->nth == 1 ? VF_TEST_SOAP_FAULT "ManagedObjectNotFound"
               : script == NOTHING                ? ""
               : script == NO_REFERENCE           ? PAGE("<objects><obj>vm-1</obj></objects>")
                                                  : first;
    }
    if (script == EMPTY_PAGE) {
        return PAGE(TOKEN("1"));
    }
    /* Twice: libcurl sends a request again by itself over a fresh connection. */
    if (script == PAGE_LOST && (c->nth == 2 || c->nth == 3)) {
        return VF_TEST_SOAP_RESET;
    }
    if (script == SESSION_LOST && c->nth == 2) {
        return VF_TEST_SOAP_FAULT "NotAuthenticated";
    }
    return strstr(c->body, "<token>1</token>") ? second : third;
}

static const char *play(const struct vf_test_soap_call *c, void *opaque)
{
    if (strcmp(c->method, "CreateContainerView") == 0) {
        return "<returnval type=\"ContainerView\">view-1</returnval>";
    }
    if (strstr(c->method, "RetrievePropertiesEx")) {
        return page(*(enum script *)opaque, c);
    }
    return NULL;
}

/* How many views it took. */
static unsigned run(enum script script, const struct vf_vm_query *query, int code,
                    size_t n_expected)
{
    struct vf_test_soap *s = vf_test_soap_start(play, &script);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    struct vf_vm *vms = NULL;
    size_t n = 0;
    struct vf_vm_notes notes = {0};
    assert_int_equal(vf_vsphere_fetch_vms(vs, query, &vms, &n, &notes, NULL), code);
    assert_int_equal(n, n_expected);
    if (n == 2) {
        assert_string_equal(vms[0].name, "a"); /* sorted */
        assert_string_equal(vms[1].moref, "vm-2");
        assert_string_equal(vms[0].folder, "/DC0/vm");
        assert_string_equal(vms[1].host, "esx1"); /* which came on a later page */
    }
    vf_vms_free(vms, n);
    vf_vm_notes_release(&notes);
    unsigned views = vf_test_soap_count(s, "CreateContainerView");
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
    return views;
}

static void test_fetch_vms__pages_are_put_together(void **state)
{
    (void)state;
    assert_int_equal(run(GOOD, NULL, 0, 2), 1);
}

static void test_fetch_vms__lost_page_starts_over_once(void **state)
{
    (void)state;
    assert_int_equal(run(PAGE_LOST, NULL, 0, 2), 2);
}

static void test_fetch_vms__lost_session_takes_a_new_view(void **state)
{
    (void)state;
    assert_int_equal(run(SESSION_LOST, NULL, 0, 2), 2);
    assert_int_equal(run(VIEW_LOST, NULL, 0, 2), 2);
}

static void test_fetch_vms__endless_empty_pages_are_invalid(void **state)
{
    (void)state;
    assert_int_equal(run(EMPTY_PAGE, NULL, VF_INVALID, 0), 1);
}

static void test_fetch_vms__object_without_reference_is_invalid(void **state)
{
    (void)state;
    assert_int_equal(run(NO_REFERENCE, NULL, VF_INVALID, 0), 1);
}

static void test_fetch_vms__none_is_no_error(void **state)
{
    (void)state;
    run(NOTHING, NULL, 0, 0);
}

static void test_fetch_vms__filters(void **state)
{
    (void)state;
    static const char *const names[] = {"a", NULL};
    static const char *const folders[] = {"/DC1", NULL};
    static const char *const tags[] = {"env/prod", NULL};
    run(GOOD, &(struct vf_vm_query){.names = names}, 0, 1);
    run(GOOD, &(struct vf_vm_query){.folders = folders}, 0, 0);
    /* The tagging service is not there: an error only for the one who selects by tags. */
    run(GOOD, &(struct vf_vm_query){.want_tags = true}, 0, 2);
    run(GOOD, &(struct vf_vm_query){.tags = tags}, VF_MISSING, 0);
}

static void test_fetch_vms__server_without_keyed_paths_is_asked_again(void **state)
{
    (void)state;
    assert_int_equal(run(NO_KEYS, NULL, 0, 2), 2);
    assert_int_equal(run(NO_PROPERTY, NULL, VF_INVALID, 0), 2); /* not for ever */
    /* A brief query has no such path, and hosts bring no more than their names. */
    assert_int_equal(run(NO_KEYS, &(struct vf_vm_query){.brief = true}, 0, 2), 1);
}

static void test_fetch_vm__that_there_is_none_of_is_missing(void **state)
{
    (void)state;
    enum script script = NOTHING;
    struct vf_test_soap *s = vf_test_soap_start(play, &script);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    struct vf_vm vm;
    assert_int_equal(vf_vsphere_fetch_vm(vs, "vm-9", &vm, NULL), VF_MISSING);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fetch_vms__pages_are_put_together),
        cmocka_unit_test(test_fetch_vms__lost_page_starts_over_once),
        cmocka_unit_test(test_fetch_vms__lost_session_takes_a_new_view),
        cmocka_unit_test(test_fetch_vms__endless_empty_pages_are_invalid),
        cmocka_unit_test(test_fetch_vms__object_without_reference_is_invalid),
        cmocka_unit_test(test_fetch_vms__none_is_no_error),
        cmocka_unit_test(test_fetch_vms__filters),
        cmocka_unit_test(test_fetch_vms__server_without_keyed_paths_is_asked_again),
        cmocka_unit_test(test_fetch_vm__that_there_is_none_of_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
