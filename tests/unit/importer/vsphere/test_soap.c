#include "importer/vsphere/soap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/xml.h"
#include "importer/vsphere/vim_names.h"

#define OPEN                                                                                       \
    "<?xml version=\"1.0\"?><soapenv:Envelope"                                                     \
    " xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\""                                 \
    " xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\""                                              \
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body>"
#define CLOSE "</soapenv:Body></soapenv:Envelope>"

static int parse(const char *text, const char *method, struct vf_answer *a, struct vf_error **err)
{
    *a = (struct vf_answer){0};
    return vf_soap_parse(text, strlen(text), method, a, err);
}

static void test_soap_parse__answer_with_default_namespace(void **state)
{
    (void)state;
    struct vf_answer a;
    assert_int_equal(parse(OPEN "<LoginResponse xmlns=\"urn:vim25\"><returnval>52a7</returnval>"
                                "</LoginResponse>" CLOSE,
                           "Login", &a, NULL),
                     0);
    assert_null(a.fault.type);
    char *v = vf_answer_returnval(&a);
    assert_string_equal(v, "52a7");
    free(v);
    vf_answer_release(&a);
}

/* The same, as a server of other habits writes it: every prefix differs, and xsi is declared where
 * it is used. */
static void test_soap_parse__answer_with_other_prefixes(void **state)
{
    (void)state;
    struct vf_answer a;
    const char text[] =
        "<S:Envelope xmlns:S=\"http://schemas.xmlsoap.org/soap/envelope/\"><S:Body>"
        "<v:CreateSnapshot_TaskResponse xmlns:v=\"urn:vim25\"><v:returnval "
        "xmlns:XMLSchema-instance=\"http://www.w3.org/2001/XMLSchema-instance\" "
        "XMLSchema-instance:type=\"v:ManagedObjectReference\" type=\"Task\">task-9</v:returnval>"
        "</v:CreateSnapshot_TaskResponse></S:Body></S:Envelope>";
    assert_int_equal(parse(text, "CreateSnapshot_Task", &a, NULL), 0);
    const xmlNode *n = vf_xml_child(a.response, VF_VIM_NS, "returnval");
    struct vf_ref ref = {0};
    assert_true(vf_soap_get_ref(n, &ref));
    assert_string_equal(ref.type, "Task");
    assert_string_equal(ref.value, "task-9");
    char *type = vf_xml_type(n);
    assert_string_equal(type, "ManagedObjectReference");
    free(type);
    vf_ref_release(&ref);
    vf_answer_release(&a);
}

static void test_soap_parse__answer_of_another_namespace_is_invalid(void **state)
{
    (void)state;
    struct vf_answer a;
    struct vf_error *err = NULL;
    assert_int_equal(parse(OPEN "<LoginResponse xmlns=\"urn:vim26\"/>" CLOSE, "Login", &a, &err),
                     VF_INVALID);
    assert_non_null(strstr(vf_error_message(err), "LoginResponse"));
    assert_null(a.doc);
    vf_error_free(err);
}

static void test_soap_parse__what_is_no_answer_is_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "<html><body>Service Unavailable</body></html>",
        OPEN "<LogoutResponse xmlns=\"urn:vim25\"/>" CLOSE,
        OPEN CLOSE,
        "<Envelope><Body><LoginResponse/></Body></Envelope>",
        "<!DOCTYPE x [<!ENTITY e \"y\">]><x>&e;</x>",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_answer a;
        assert_int_equal(parse(bad[i], "Login", &a, NULL), VF_INVALID);
        assert_null(a.doc);
    }
}

static void test_soap_parse__fault_type_is_that_of_the_detail(void **state)
{
    (void)state;
    struct vf_answer a;
    const char text[] = OPEN
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>Zugriff verweigert."
        "</faultstring><detail><NoPermissionFault xmlns=\"urn:vim25\" xsi:type=\"NoPermission\">"
        "<object type=\"VirtualMachine\">vm-1</object><privilegeId>VApp.Export</privilegeId>"
        "</NoPermissionFault></detail></soapenv:Fault>" CLOSE;
    assert_int_equal(parse(text, "ExportVm", &a, NULL), 0);
    assert_null(a.response);
    assert_string_equal(a.fault.type, "NoPermission");
    assert_string_equal(a.fault.message, "Zugriff verweigert.");
    assert_string_equal(a.fault.privilege, "VApp.Export");
    assert_null(a.fault.state);
    vf_answer_release(&a);
}

static void test_soap_parse__fault_with_xsi_on_the_element(void **state)
{
    (void)state;
    struct vf_answer a;
    const char text[] =
        "<S:Envelope xmlns:S=\"http://schemas.xmlsoap.org/soap/envelope/\"><S:Body><S:Fault>"
        "<faultstring></faultstring><detail><x:Fault xmlns:x=\"urn:vim25\" "
        "xmlns:_XMLSchema-instance=\"http://www.w3.org/2001/XMLSchema-instance\" "
        "_XMLSchema-instance:type=\"x:InvalidPowerState\"><x:requestedState>poweredOff"
        "</x:requestedState><x:existingState>poweredOn</x:existingState></x:Fault></detail>"
        "</S:Fault></S:Body></S:Envelope>";
    assert_int_equal(parse(text, "ExportVm", &a, NULL), 0);
    assert_string_equal(a.fault.type, "InvalidPowerState");
    assert_string_equal(a.fault.state, "poweredOn");
    vf_answer_release(&a);
}

static void test_soap_parse__fault_without_type_goes_by_its_element(void **state)
{
    (void)state;
    struct vf_answer a;
    assert_int_equal(parse(OPEN "<soapenv:Fault><detail><InvalidLoginFault/></detail>"
                                "</soapenv:Fault>" CLOSE,
                           "Login", &a, NULL),
                     0);
    assert_string_equal(a.fault.type, "InvalidLogin");
    vf_answer_release(&a);
    assert_int_equal(parse(OPEN "<soapenv:Fault><faultstring>x</faultstring></soapenv:Fault>" CLOSE,
                           "Login", &a, NULL),
                     0);
    assert_string_equal(a.fault.type, "MethodFault");
    vf_answer_release(&a);
}

static void test_soap_get_ref__needs_type_and_value(void **state)
{
    (void)state;
    static const char *const bad[] = {"<r>vm-1</r>", "<r type=\"\">vm-1</r>", "<r type=\"V\"/>",
                                      "<r xmlns:t=\"t\" t:type=\"V\">vm-1</r>"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        xmlDoc *doc = NULL;
        struct vf_ref ref = {0};
        assert_int_equal(vf_xml_parse(bad[i], strlen(bad[i]), "test", &doc, NULL), 0);
        assert_false(vf_soap_get_ref(xmlDocGetRootElement(doc), &ref));
        assert_null(ref.value);
        xmlFreeDoc(doc);
    }
    assert_false(vf_soap_get_ref(NULL, &(struct vf_ref){0}));
}

static void test_soap_unescape_name__only_the_three_are_decoded(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"plain", "plain"}, {"a%2fb%2Fc", "a/b/c"}, {"x%5cy%5Cz", "x\\y\\z"}, {"100%25", "100%"},
        {"%252f", "%2f"},   {"%41", "%41"},         {"ends %2", "ends %2"},   {"%", "%"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char s[32];
        strcpy(s, cases[i][0]);
        vf_soap_unescape_name(s);
        assert_string_equal(s, cases[i][1]);
    }
    vf_soap_unescape_name(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_soap_parse__answer_with_default_namespace),
        cmocka_unit_test(test_soap_parse__answer_with_other_prefixes),
        cmocka_unit_test(test_soap_parse__answer_of_another_namespace_is_invalid),
        cmocka_unit_test(test_soap_parse__what_is_no_answer_is_invalid),
        cmocka_unit_test(test_soap_parse__fault_type_is_that_of_the_detail),
        cmocka_unit_test(test_soap_parse__fault_with_xsi_on_the_element),
        cmocka_unit_test(test_soap_parse__fault_without_type_goes_by_its_element),
        cmocka_unit_test(test_soap_get_ref__needs_type_and_value),
        cmocka_unit_test(test_soap_unescape_name__only_the_three_are_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
