#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/vm_xml.h"

static void read_guest(struct vf_vm_draft *d, const char *xml)
{
    assert_int_equal(vf_test_parse_vm(d, xml, NULL), 0);
}

static void test_vm_guest__tools(void **state)
{
    (void)state;
    static const struct {
        const char *running, *version;
        enum vf_tools tools;
        bool outdated;
    } cases[] = {
        {"guestToolsRunning", "guestToolsCurrent", VF_TOOLS_RUNNING, false},
        {"guestToolsRunning", "guestToolsUnmanaged", VF_TOOLS_RUNNING, false},
        {"guestToolsRunning", "guestToolsSupportedOld", VF_TOOLS_RUNNING, true},
        {"guestToolsRunning", "guestToolsTooOld", VF_TOOLS_RUNNING, true},
        {"guestToolsRunning", "guestToolsSupportedNew", VF_TOOLS_RUNNING, false},
        {"guestToolsNotRunning", "guestToolsNeedUpgrade", VF_TOOLS_NOT_RUNNING, true},
        {"guestToolsExecutingScripts", "guestToolsCurrent", VF_TOOLS_NOT_RUNNING, false},
        {"guestToolsNotRunning", "guestToolsNotInstalled", VF_TOOLS_NOT_INSTALLED, false},
        {"guestToolsRunning", "guestToolsNotInstalled", VF_TOOLS_RUNNING, false},
        {"", "", VF_TOOLS_NOT_RUNNING, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char xml[2048];
        struct vf_vm_draft d;
        snprintf(xml, sizeof xml,
                 VM_CONTENT(VM_PROP("guest.toolsVersionStatus2", "xsd:string", "%s")
                                VM_PROP("guest.toolsRunningStatus", "xsd:string", "%s")),
                 cases[i].version, cases[i].running);
        read_guest(&d, xml);
        assert_int_equal(d.vm.tools, cases[i].tools);
        assert_int_equal(d.vm.tools_running, cases[i].tools == VF_TOOLS_RUNNING);
        assert_int_equal(d.vm.tools_outdated, cases[i].outdated);
        vf_vm_draft_release(&d);
    }
    struct vf_vm_draft d;
    read_guest(&d, VM_CONTENT(""));
    assert_int_equal(d.vm.tools, VF_TOOLS_UNKNOWN);
    vf_vm_draft_release(&d);
}

static void test_vm_guest__disks(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_guest(
        &d, VM_CONTENT(VM_PROP("guest.disk", "ArrayOfGuestDiskInfo",
                               "<GuestDiskInfo><diskPath>C:\\</diskPath><capacity>1000</capacity>"
                               "<freeSpace>10</freeSpace></GuestDiskInfo>"
                               "<GuestDiskInfo><capacity>1000</capacity><freeSpace>1</freeSpace>"
                               "</GuestDiskInfo>"
                               "<GuestDiskInfo><diskPath>/x</diskPath><capacity>-1</capacity>"
                               "<freeSpace>1</freeSpace></GuestDiskInfo>"
                               "<GuestDiskInfo><diskPath>/boot</diskPath><capacity>7</capacity>"
                               "<freeSpace>0</freeSpace></GuestDiskInfo>")));
    assert_int_equal(d.vm.n_guest_disks, 2);
    assert_string_equal(d.vm.guest_disks[0].path, "C:\\");
    assert_int_equal(d.vm.guest_disks[0].capacity_bytes, 1000);
    assert_int_equal(d.vm.guest_disks[0].free_bytes, 10);
    assert_string_equal(d.vm.guest_disks[1].path, "/boot");
    assert_int_equal(d.vm.guest_disks[1].free_bytes, 0);
    vf_vm_draft_release(&d);
}

#define NIC(key) VM_DEVICE("VirtualVmxnet3", key, "<macAddress>00:50:56:00:00:01</macAddress>")
#define GUEST_NIC(key, rest)                                                                       \
    "<GuestNicInfo>" rest "<deviceConfigId>" key "</deviceConfigId></GuestNicInfo>"
#define IP(ip) "<ipAddress>" ip "</ipAddress>"
#define IP_CONFIG(ip, prefix, origin)                                                              \
    "<ipAddress><ipAddress>" ip "</ipAddress><prefixLength>" prefix "</prefixLength>" origin       \
    "<state>preferred</state></ipAddress>"
#define ORIGIN(o) "<origin>" o "</origin>"
#define NET(list) VM_PROP("guest.net", "ArrayOfGuestNicInfo", list)

static void check_address(const struct vf_vm_address *a, const char *ip, unsigned prefix_len,
                          enum vf_address_origin origin)
{
    assert_string_equal(a->ip, ip);
    assert_int_equal(a->prefix_len, prefix_len);
    assert_int_equal(a->origin, origin);
}

static void test_vm_guest__addresses(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_guest(
        &d, VM_CONTENT(NET(GUEST_NIC(
                "4000",
                IP("192.0.2.7") IP("2001:db8::7") IP("192.0.2.99") "<ipConfig>" IP_CONFIG(
                    "192.0.2.7", "24", ORIGIN("manual")) IP_CONFIG("192.0.2.8", "0", ORIGIN("dhcp"))
                    IP_CONFIG("2001:db8::7", "64", ORIGIN("random")) IP_CONFIG(
                        "fe80::1%2", "64", ORIGIN("manual")) IP_CONFIG("169.254.3.4", "16", "")
                        IP_CONFIG("2001:db8::8", "129", ORIGIN("other")) "</ipConfig>"))
                           VM_DEVICES(NIC("4000"))));
    const struct vf_vm_nic *n = &d.vm.nics[0];
    assert_int_equal(n->n_addresses, 7);
    check_address(&n->addresses[0], "192.0.2.7", 24, VF_ADDRESS_STATIC);
    check_address(&n->addresses[1], "192.0.2.8", 0, VF_ADDRESS_DHCP);
    check_address(&n->addresses[2], "2001:db8::7", 64, VF_ADDRESS_AUTO);
    check_address(&n->addresses[3], "fe80::1", 64, VF_ADDRESS_AUTO); /* whatever it says */
    check_address(&n->addresses[4], "169.254.3.4", 16, VF_ADDRESS_AUTO);
    check_address(&n->addresses[5], "2001:db8::8", 0, VF_ADDRESS_UNKNOWN);
    check_address(&n->addresses[6], "192.0.2.99", 0, VF_ADDRESS_UNKNOWN); /* alone */
    vf_vm_draft_release(&d);
}

static void test_vm_guest__what_is_no_address_is_dropped(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_guest(&d, VM_CONTENT(NET(GUEST_NIC(
                       "4000", IP("") IP("10.0.0.256") IP("x; rm -rf /") IP("10.0.0.1\n- to: 0/0")
                                   IP("10.0.0.1") IP("10.0.0.1"))) VM_DEVICES(NIC("4000"))));
    assert_int_equal(d.vm.nics[0].n_addresses, 1);
    assert_string_equal(d.vm.nics[0].addresses[0].ip, "10.0.0.1");
    vf_vm_draft_release(&d);
}

static void test_vm_guest__addresses_have_an_end(void **state)
{
    (void)state;
    const size_t n = 3000;
    char *xml = malloc(n * 64 + 2000), *p = xml;
    p = stpcpy(p, "<objects xmlns=\"urn:vim25\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instan"
                  "ce\"><obj type=\"VirtualMachine\">vm-1</obj>" VM_DEVICES(
                      NIC("4000")) "<propSet><name>guest.net</name><val><GuestNicInfo>");
    for (size_t i = 0; i < n; i++) {
        p += sprintf(p, "<ipAddress>10.0.%zu.%zu</ipAddress>", i / 256, i % 256);
    }
    strcpy(p, "<deviceConfigId>4000</deviceConfigId></GuestNicInfo></val></propSet></objects>");
    struct vf_vm_draft d;
    read_guest(&d, xml);
    assert_int_equal(d.vm.nics[0].n_addresses, 1024);
    vf_vm_draft_release(&d);
    free(xml);
}

#define ROUTE(network, prefix, ip, device)                                                         \
    "<ipRoute><network>" network "</network><prefixLength>" prefix                                 \
    "</prefixLength><gateway><ipAddress>" ip "</ipAddress>" device "</gateway></ipRoute>"
#define DEV(n)      "<device>" n "</device>"
#define STACK(rest) "<GuestStackInfo>" rest "</GuestStackInfo>"

static void test_vm_guest__default_routes(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_guest(
        &d,
        VM_CONTENT(VM_PROP(
            "guest.ipStack", "ArrayOfGuestStackInfo",
            STACK("<ipRouteConfig>" ROUTE("10.1.0.0", "16", "192.0.2.9", DEV("2")) ROUTE(
                "0.0.0.0", "0", "192.0.2.1", DEV("2")) ROUTE("0.0.0.0", "0", "192.0.2.2", DEV("2"))
                      ROUTE("::", "0", "fe80::1%eth1", DEV("2"))
                          ROUTE("0.0.0.0", "0", "172.17.0.9", DEV("0"))
                              ROUTE("0.0.0.0", "0", "192.0.2.3", DEV("99")) "</ipRouteConfig>")
                STACK(
                    "<ipRouteConfig>" ROUTE("0.0.0.0", "0", "198.51.100.1", "") "</ipRouteConfig>"))
                       NET(GUEST_NIC("-1", IP("172.17.0.1")) GUEST_NIC(
                           "4001", "<ipConfig>" IP_CONFIG("198.51.100.7", "26", "") "</ipConfig>")
                               GUEST_NIC("4000", "<ipConfig>" IP_CONFIG("192.0.2.7", "24",
                                                                        "") "</ipConfig>"))
                           VM_DEVICES(NIC("4000") NIC("4001"))));
    const struct vf_vm_nic *n = d.vm.nics;
    assert_string_equal(n[0].gateway4, "192.0.2.1"); /* by its place in guest.net */
    assert_string_equal(n[0].gateway6, "fe80::1");
    assert_string_equal(n[1].gateway4, "198.51.100.1"); /* by its net */
    assert_null(n[1].gateway6);
    vf_vm_draft_release(&d);
}

static void test_vm_guest__gateway_outside_every_net_is_nobodys(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_guest(
        &d,
        VM_CONTENT(
            NET(GUEST_NIC("4000", "<ipConfig>" IP_CONFIG("192.0.2.7", "25", "") "</ipConfig>" IP(
                                      "10.0.0.1"))) VM_DEVICES(NIC("4000"))
                VM_PROP("guest.ipStack", "ArrayOfGuestStackInfo",
                        STACK("<ipRouteConfig>" ROUTE("0.0.0.0", "0", "192.0.2.129", "")
                                  ROUTE("0.0.0.0", "0", "no", DEV("0"))
                                      ROUTE("::", "64", "fe80::1", DEV("0")) "</ipRouteConfig>"))));
    assert_null(d.vm.nics[0].gateway4);
    assert_null(d.vm.nics[0].gateway6);
    vf_vm_draft_release(&d);
}

static void test_vm_guest__dns_of_the_first_stack(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_guest(
        &d,
        VM_CONTENT(VM_PROP(
            "guest.ipStack", "ArrayOfGuestStackInfo",
            STACK("<dnsConfig><dhcp>false</dhcp><hostName>h</hostName><domainName>d"
                  "</domainName>" IP("192.0.2.53") IP("no")
                      IP("2001:db8::53") "<searchDomain>example.org</searchDomain><searchDomain>a b"
                                         "</searchDomain><searchDomain/></dnsConfig>")
                STACK("<dnsConfig>" IP("192.0.2.99") "</dnsConfig>"))));
    assert_int_equal(d.vm.n_dns_servers, 2);
    assert_string_equal(d.vm.dns_servers[0], "192.0.2.53");
    assert_string_equal(d.vm.dns_servers[1], "2001:db8::53");
    assert_int_equal(d.vm.n_dns_search, 1);
    assert_string_equal(d.vm.dns_search[0], "example.org");
    vf_vm_draft_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_guest__tools),
        cmocka_unit_test(test_vm_guest__disks),
        cmocka_unit_test(test_vm_guest__addresses),
        cmocka_unit_test(test_vm_guest__what_is_no_address_is_dropped),
        cmocka_unit_test(test_vm_guest__addresses_have_an_end),
        cmocka_unit_test(test_vm_guest__default_routes),
        cmocka_unit_test(test_vm_guest__gateway_outside_every_net_is_nobodys),
        cmocka_unit_test(test_vm_guest__dns_of_the_first_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
