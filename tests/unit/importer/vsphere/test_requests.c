/* Against the bytes that vim.wsdl and vim-types.xsd ask for: real servers refuse reordered
 * elements, which the simulator takes. */
#include "importer/vsphere/requests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/vsphere/property.h"
#include "importer/vsphere/soap.h"

#define HEAD                                                                                       \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"                                                   \
    "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\""                            \
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><e:Body>"
#define TAIL "</e:Body></e:Envelope>"

static void expect(struct vf_buf *b, const char *body)
{
    struct vf_buf whole;
    vf_buf_init(&whole, 1 << 20);
    vf_buf_printf(&whole, "%s%s%s", HEAD, body, TAIL);
    assert_false(b->overflow);
    assert_string_equal(b->data, whole.data);
    vf_buf_release(&whole);
    vf_buf_release(b);
    vf_buf_init(b, 1 << 20);
}

static void test_request__session_calls(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, 1 << 20);
    vf_soap_encode_plain(&b, "RetrieveServiceContent", "ServiceInstance", "ServiceInstance");
    expect(&b, "<RetrieveServiceContent xmlns=\"urn:vim25\">"
               "<_this type=\"ServiceInstance\">ServiceInstance</_this></RetrieveServiceContent>");
    vf_encode_login(&b, "SessionManager", "root@vsphere.local", "a<b&\"c'>");
    expect(&b, "<Login xmlns=\"urn:vim25\"><_this type=\"SessionManager\">SessionManager</_this>"
               "<userName>root@vsphere.local</userName>"
               "<password>a&lt;b&amp;&quot;c&apos;&gt;</password></Login>");
}

static void test_request__privileges(void **state)
{
    (void)state;
    static const struct vf_entity entities[] = {{"VirtualMachine", "vm-1"}, {"Datastore", "ds-2"}};
    static const char *const names[] = {"VApp.Export", "Datastore.Browse"};
    struct vf_buf b;
    vf_buf_init(&b, 1 << 20);
    vf_encode_has_privileges(&b, "AuthorizationManager", entities, 2, "SIM\\u&v", names, 2);
    expect(&b, "<HasUserPrivilegeOnEntities xmlns=\"urn:vim25\">"
               "<_this type=\"AuthorizationManager\">AuthorizationManager</_this>"
               "<entities type=\"VirtualMachine\">vm-1</entities>"
               "<entities type=\"Datastore\">ds-2</entities><userName>SIM\\u&amp;v</userName>"
               "<privId>VApp.Export</privId><privId>Datastore.Browse</privId>"
               "</HasUserPrivilegeOnEntities>");
    vf_buf_release(&b);
}

static void test_request__container_view(void **state)
{
    (void)state;
    static const char *const types[] = {"VirtualMachine", "Folder", NULL};
    struct vf_buf b;
    vf_buf_init(&b, 1 << 20);
    vf_encode_create_view(&b, "ViewManager", "group-d1", types);
    expect(&b, "<CreateContainerView xmlns=\"urn:vim25\">"
               "<_this type=\"ViewManager\">ViewManager</_this>"
               "<container type=\"Folder\">group-d1</container><type>VirtualMachine</type>"
               "<type>Folder</type><recursive>true</recursive></CreateContainerView>");
}

static void test_request__retrieve_and_continue(void **state)
{
    (void)state;
    static const char *const paths[] = {"name", "config.hardware.device", NULL};
    static const char *const next[] = {"up", NULL};
    static const struct vf_traversal t = {"v", "ContainerView", "view", next};
    struct vf_buf b, specs;
    vf_buf_init(&b, 1 << 20);
    vf_buf_init(&specs, 1 << 20);
    vf_property_put_set(&specs, "VirtualMachine", paths);
    vf_property_open_object(&specs, "ContainerView", "V", true);
    vf_property_put_traversal(&specs, &t);
    vf_property_close_object(&specs);
    vf_encode_retrieve(&b, "propertyCollector", &specs, 100);
    vf_buf_release(&specs);
    expect(&b,
           "<RetrievePropertiesEx xmlns=\"urn:vim25\">"
           "<_this type=\"PropertyCollector\">propertyCollector</_this><specSet>"
           "<propSet><type>VirtualMachine</type><pathSet>name</pathSet>"
           "<pathSet>config.hardware.device</pathSet></propSet>"
           "<objectSet><obj type=\"ContainerView\">V</obj><skip>true</skip>"
           "<selectSet xsi:type=\"TraversalSpec\"><name>v</name><type>ContainerView</type>"
           "<path>view</path><skip>false</skip><selectSet><name>up</name></selectSet></selectSet>"
           "</objectSet><reportMissingObjectsInResults>true</reportMissingObjectsInResults>"
           "</specSet><options><maxObjects>100</maxObjects></options></RetrievePropertiesEx>");
    vf_encode_continue(&b, "propertyCollector", "page 2 & on");
    expect(&b, "<ContinueRetrievePropertiesEx xmlns=\"urn:vim25\">"
               "<_this type=\"PropertyCollector\">propertyCollector</_this>"
               "<token>page 2 &amp; on</token></ContinueRetrievePropertiesEx>");
}

static void test_request__filter_and_wait(void **state)
{
    (void)state;
    static const char *const paths[] = {"info", NULL};
    struct vf_buf b;
    vf_buf_init(&b, 1 << 20);
    vf_encode_create_filter(&b, "pc-1", "Task", "task-1", paths);
    expect(&b, "<CreateFilter xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">pc-1</_this>"
               "<spec><propSet><type>Task</type><pathSet>info</pathSet></propSet>"
               "<objectSet><obj type=\"Task\">task-1</obj></objectSet></spec>"
               "<partialUpdates>false</partialUpdates></CreateFilter>");
    vf_encode_wait(&b, "pc-1", NULL, 20);
    expect(&b, "<WaitForUpdatesEx xmlns=\"urn:vim25\">"
               "<_this type=\"PropertyCollector\">pc-1</_this><version></version>"
               "<options><maxWaitSeconds>20</maxWaitSeconds></options></WaitForUpdatesEx>");
    vf_encode_wait(&b, "pc-1", "7", 1);
    expect(&b, "<WaitForUpdatesEx xmlns=\"urn:vim25\">"
               "<_this type=\"PropertyCollector\">pc-1</_this><version>7</version>"
               "<options><maxWaitSeconds>1</maxWaitSeconds></options></WaitForUpdatesEx>");
}

static void test_request__notes_in_schema_order(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, 1 << 20);
    vf_encode_annotate(&b, "vm-1", "2026-11-21T20:00:00Z", "a <b>\r\nc");
    expect(&b, "<ReconfigVM_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">vm-1</_this>"
               "<spec><changeVersion>2026-11-21T20:00:00Z</changeVersion>"
               "<annotation>a &lt;b&gt;&#13;\nc</annotation></spec></ReconfigVM_Task>");
    vf_encode_annotate(&b, "vm-1", NULL, "");
    expect(&b, "<ReconfigVM_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">vm-1</_this>"
               "<spec><annotation></annotation></spec></ReconfigVM_Task>");
}

static void test_request__snapshot_name_is_escaped_as_vsphere_wants(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, 1 << 20);
    vf_encode_create_snapshot(&b, "vm-1", "50% a/b\\c <x>", "100% & more", true);
    expect(&b,
           "<CreateSnapshot_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">vm-1</_this>"
           "<name>50%25 a%2fb%5cc &lt;x&gt;</name><description>100% &amp; more</description>"
           "<memory>false</memory><quiesce>true</quiesce></CreateSnapshot_Task>");
    vf_encode_remove_snapshot(&b, "snapshot-2", true);
    expect(&b, "<RemoveSnapshot_Task xmlns=\"urn:vim25\">"
               "<_this type=\"VirtualMachineSnapshot\">snapshot-2</_this>"
               "<removeChildren>false</removeChildren><consolidate>true</consolidate>"
               "</RemoveSnapshot_Task>");
}

static void test_request__change_tracking(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, 1 << 20);
    vf_encode_enable_change_tracking(&b, "vm-1");
    expect(&b, "<ReconfigVM_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">vm-1</_this>"
               "<spec><changeTrackingEnabled>true</changeTrackingEnabled></spec>"
               "</ReconfigVM_Task>");
    vf_encode_changed_areas(&b, "vm-1", "snapshot-2", 2000, UINT64_C(70368744177664), "a <b/1");
    expect(&b, "<QueryChangedDiskAreas xmlns=\"urn:vim25\">"
               "<_this type=\"VirtualMachine\">vm-1</_this>"
               "<snapshot type=\"VirtualMachineSnapshot\">snapshot-2</snapshot>"
               "<deviceKey>2000</deviceKey><startOffset>70368744177664</startOffset>"
               "<changeId>a &lt;b/1</changeId></QueryChangedDiskAreas>");
    vf_encode_changed_areas(&b, "vm-1", NULL, 16000, 0, "*");
    expect(&b, "<QueryChangedDiskAreas xmlns=\"urn:vim25\">"
               "<_this type=\"VirtualMachine\">vm-1</_this><deviceKey>16000</deviceKey>"
               "<startOffset>0</startOffset><changeId>*</changeId></QueryChangedDiskAreas>");
}

static void test_request__lease_and_descriptor(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, 1 << 20);
    vf_encode_lease_progress(&b, "session[5]9", 120);
    expect(&b, "<HttpNfcLeaseProgress xmlns=\"urn:vim25\">"
               "<_this type=\"HttpNfcLease\">session[5]9</_this><percent>100</percent>"
               "</HttpNfcLeaseProgress>");
    vf_encode_create_descriptor(&b, "OvfManager", "vm-1", NULL);
    expect(&b, "<CreateDescriptor xmlns=\"urn:vim25\"><_this type=\"OvfManager\">OvfManager</_this>"
               "<obj type=\"VirtualMachine\">vm-1</obj><cdp></cdp></CreateDescriptor>");
    vf_encode_create_descriptor(&b, "OvfManager", "vm-1", "N");
    expect(&b, "<CreateDescriptor xmlns=\"urn:vim25\"><_this type=\"OvfManager\">OvfManager</_this>"
               "<obj type=\"VirtualMachine\">vm-1</obj><cdp><name>N</name></cdp>"
               "</CreateDescriptor>");
}

static void test_request__references_cannot_break_out(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, 1 << 20);
    vf_soap_encode_plain(&b, "Logout", "X\"><evil>", "</_this><evil/>");
    expect(&b, "<Logout xmlns=\"urn:vim25\"><_this type=\"X&quot;&gt;&lt;evil&gt;\">"
               "&lt;/_this&gt;&lt;evil/&gt;</_this></Logout>");
}

static void test_request__over_the_ceiling_is_told(void **state)
{
    (void)state;
    struct vf_buf b;
    vf_buf_init(&b, 400);
    char name[300];
    memset(name, '%', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    vf_encode_create_snapshot(&b, "vm-1", name, "", false);
    assert_true(b.overflow);
    vf_buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request__session_calls),
        cmocka_unit_test(test_request__privileges),
        cmocka_unit_test(test_request__container_view),
        cmocka_unit_test(test_request__retrieve_and_continue),
        cmocka_unit_test(test_request__filter_and_wait),
        cmocka_unit_test(test_request__notes_in_schema_order),
        cmocka_unit_test(test_request__snapshot_name_is_escaped_as_vsphere_wants),
        cmocka_unit_test(test_request__change_tracking),
        cmocka_unit_test(test_request__lease_and_descriptor),
        cmocka_unit_test(test_request__references_cannot_break_out),
        cmocka_unit_test(test_request__over_the_ceiling_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
