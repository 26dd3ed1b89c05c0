#include "importer/vsphere/inventory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/soap_server.h"

#define XSI             "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""
#define PROP(name, val) "<propSet><name>" name "</name><val>" val "</val></propSet>"
#define VALUE(key, value)                                                                          \
    "<CustomFieldValue " XSI " xsi:type=\"CustomFieldStringValue\"><key>" key                      \
    "</key><value>" value "</value></CustomFieldValue>"
#define FIELD(key, name)                                                                           \
    "<CustomFieldDef><key>" key "</key><name>" name "</name><type>xsd:string</type>"               \
    "</CustomFieldDef>"
#define OBJECT(type, moref, props)                                                                 \
    "<objects><obj type=\"" type "\">" moref "</obj>" props "</objects>"
#define VM(values) OBJECT("VirtualMachine", "vm-1", PROP("name", "a") PROP("customValue", values))

enum script { GOOD, NO_VALUES, NO_NAMES, ODD };

static const char *play(const struct vf_test_soap_call *c, void *opaque)
{
    enum script script = *(enum script *)opaque;
    if (strcmp(c->method, "CreateContainerView") == 0) {
        return "<returnval type=\"ContainerView\">view-1</returnval>";
    }
    if (strcmp(c->method, "RetrievePropertiesEx") != 0) {
        return NULL;
    }
    if (strstr(c->body, "<pathSet>field</pathSet>")) {
        return script == NO_NAMES ? VF_TEST_SOAP_FAULT "NoPermission"
               : script == ODD
                   ? "<returnval>" OBJECT(
                         "CustomFieldsManager", "CustomFieldsManager",
                         PROP("field", FIELD("1", "") FIELD("many", "x") "<CustomFieldDef/>" FIELD(
                                           "3", "z"))) "</returnval>"
                   : "<returnval>" OBJECT("CustomFieldsManager", "CustomFieldsManager",
                                          PROP("field", FIELD("102", "owner") FIELD("7", "cost")
                                                            FIELD("101", "unused"))) "</returnval>";
    }
    if (!strstr(c->body, "<pathSet>customValue</pathSet>") || script == NO_VALUES) {
        return "<returnval>" VM("") "</returnval>";
    }
    return script == ODD
               ? "<returnval>" VM(VALUE("1", "v") VALUE("x", "v") VALUE("3", "")
                                      VALUE("99999999999", "v")) "</returnval>"
               : "<returnval>" VM(VALUE("102", "web team") VALUE("7", "4711")
                                      VALUE("999", "of a field that is gone")) "</returnval>";
}

/* The attributes of the one VM as "name=value ", and how many queries it took. */
static unsigned fetch(enum script script, const struct vf_vm_query *query, char *ret_text,
                      bool *ret_unavailable)
{
    struct vf_test_soap *s = vf_test_soap_start(play, &script);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    struct vf_vm *vms = NULL;
    size_t n = 0;
    struct vf_vm_notes notes = {0};
    assert_int_equal(vf_vsphere_fetch_vms(vs, query, &vms, &n, &notes, NULL), 0);
    assert_int_equal(n, 1);
    *ret_text = '\0';
    for (size_t i = 0; i < vms[0].n_attributes; i++) {
        strcat(ret_text, vms[0].attributes[i].name);
        strcat(ret_text, "=");
        strcat(ret_text, vms[0].attributes[i].value);
        strcat(ret_text, " ");
    }
    *ret_unavailable = notes.attributes_unavailable;
    assert_int_equal(notes.attributes_unavailable, notes.attributes_reason != NULL);
    vf_vms_free(vms, n);
    vf_vm_notes_release(&notes);
    unsigned queries = vf_test_soap_count(s, "RetrievePropertiesEx");
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
    return queries;
}

static void test_attributes__by_the_names_of_their_fields(void **state)
{
    (void)state;
    char text[512];
    bool unavailable;
    const struct vf_vm_query query = {.want_attributes = true};
    assert_int_equal(fetch(GOOD, &query, text, &unavailable), 2);
    assert_string_equal(text, "cost=4711 owner=web team ");
    assert_false(unavailable);
}

static void test_attributes__names_are_asked_for_only_when_needed(void **state)
{
    (void)state;
    char text[512];
    bool unavailable;
    assert_int_equal(fetch(GOOD, NULL, text, &unavailable), 1);
    assert_string_equal(text, "");
    const struct vf_vm_query brief = {.want_attributes = true, .brief = true};
    assert_int_equal(fetch(GOOD, &brief, text, &unavailable), 1);
    const struct vf_vm_query query = {.want_attributes = true};
    assert_int_equal(fetch(NO_VALUES, &query, text, &unavailable), 1);
    assert_string_equal(text, "");
}

static void test_attributes__without_names_the_rest_is_told(void **state)
{
    (void)state;
    char text[512];
    bool unavailable;
    const struct vf_vm_query query = {.want_attributes = true};
    fetch(NO_NAMES, &query, text, &unavailable);
    assert_string_equal(text, "");
    assert_true(unavailable);
}

static void test_attributes__odd_fields_and_values_are_left_out(void **state)
{
    (void)state;
    char text[512];
    bool unavailable;
    const struct vf_vm_query query = {.want_attributes = true};
    fetch(ODD, &query, text, &unavailable);
    assert_string_equal(text, "");
    assert_false(unavailable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attributes__by_the_names_of_their_fields),
        cmocka_unit_test(test_attributes__names_are_asked_for_only_when_needed),
        cmocka_unit_test(test_attributes__without_names_the_rest_is_told),
        cmocka_unit_test(test_attributes__odd_fields_and_values_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
