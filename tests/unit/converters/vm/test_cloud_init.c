#include "converters/vm/cloud_init.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "tests/support/manifest_check.h"

#define N(a) (sizeof(a) / sizeof *(a))

#define MAC "00:50:56:9A:11:01"

static struct vf_vm_address addresses[] = {
    {.ip = TEXT("10.1.2.3"), .prefix_len = 24, .origin = VF_ADDRESS_STATIC},
    {.ip = TEXT("fe80::1"), .prefix_len = 64, .origin = VF_ADDRESS_AUTO},
    {.ip = TEXT("2001:db8::7"), .prefix_len = 64, .origin = VF_ADDRESS_STATIC},
    {.ip = TEXT("10.1.2.99"), .prefix_len = 24, .origin = VF_ADDRESS_DHCP},
};

static void expect_network(const struct vf_vm *vm, const enum vf_network_kind *kinds,
                           const char *want)
{
    struct vf_network_choice choices[8] = {{0}};
    for (size_t i = 0; i < vm->n_nics; i++) {
        choices[i].kind = kinds[i];
    }
    cJSON *network = vf_cloud_init_network(vm, choices);
    char *got = network ? vf_json_print(network, false) : vf_xstrdup("none");
    assert_string_equal(got, want);
    free(got);
    cJSON_Delete(network);
}

static void test_cloud_init_network__static_addresses_by_mac(void **state)
{
    (void)state;
    char *servers[] = {TEXT("10.1.2.53"), TEXT("not an address"), TEXT("2001:db8::53")};
    char *search[] = {TEXT("corp.example"), TEXT("-bad-")};
    struct vf_vm_nic nics[] = {
        {.mac = TEXT(MAC),
         .addresses = addresses,
         .n_addresses = 3,
         .gateway4 = TEXT("10.1.2.1"),
         .gateway6 = TEXT("fe80::1")},
        {.mac = TEXT("00:50:56:9a:11:02"), .addresses = addresses, .n_addresses = 1},
    };
    struct vf_vm vm = {.nics = nics,
                       .n_nics = 2,
                       .dns_servers = servers,
                       .n_dns_servers = 3,
                       .dns_search = search,
                       .n_dns_search = 2};
    static const enum vf_network_kind kinds[] = {VF_NETWORK_ATTACHMENT, VF_NETWORK_SRIOV};
    expect_network(&vm, kinds,
                   "{\"version\":2,\"ethernets\":{"
                   "\"net-0\":{\"match\":{\"macaddress\":\"00:50:56:9a:11:01\"},"
                   "\"addresses\":[\"10.1.2.3/24\",\"2001:db8::7/64\"],"
                   "\"routes\":[{\"to\":\"0.0.0.0/0\",\"via\":\"10.1.2.1\"},"
                   "{\"to\":\"::/0\",\"via\":\"fe80::1\"}],"
                   "\"nameservers\":{\"addresses\":[\"10.1.2.53\",\"2001:db8::53\"],"
                   "\"search\":[\"corp.example\"]}},"
                   "\"net-1\":{\"match\":{\"macaddress\":\"00:50:56:9a:11:02\"},"
                   "\"addresses\":[\"10.1.2.3/24\"]}}}");
}

static void test_cloud_init_network__others_go_on_asking(void **state)
{
    (void)state;
    struct vf_vm_nic nics[] = {
        {.mac = TEXT("00:50:56:9a:11:01"), .addresses = addresses, .n_addresses = 1},
        {.mac = TEXT("00:50:56:9a:11:02"), .addresses = &addresses[3], .n_addresses = 1},
        {.mac = TEXT("00:50:56:9a:11:03"), .addresses = addresses, .n_addresses = 1},
        {.mac = TEXT("00:50:56:9a:11:04"), .addresses = addresses, .n_addresses = 1},
        {.mac = TEXT("00:50:56:9a:11:05")},
    };
    struct vf_vm vm = {.nics = nics, .n_nics = 5};
    static const enum vf_network_kind kinds[] = {VF_NETWORK_ATTACHMENT, VF_NETWORK_ATTACHMENT,
                                                 VF_NETWORK_POD, VF_NETWORK_IGNORE,
                                                 VF_NETWORK_ATTACHMENT};
    expect_network(&vm, kinds,
                   "{\"version\":2,\"ethernets\":{"
                   "\"net-0\":{\"match\":{\"macaddress\":\"00:50:56:9a:11:01\"},"
                   "\"addresses\":[\"10.1.2.3/24\"]},"
                   "\"net-1\":{\"match\":{\"macaddress\":\"00:50:56:9a:11:02\"},\"dhcp4\":true},"
                   "\"net-2\":{\"match\":{\"macaddress\":\"00:50:56:9a:11:03\"},\"dhcp4\":true},"
                   "\"net-4\":{\"match\":{\"macaddress\":\"00:50:56:9a:11:05\"},\"dhcp4\":true}}}");
    /* Nothing to keep on an attachment. */
    static const enum vf_network_kind pod[] = {VF_NETWORK_POD, VF_NETWORK_ATTACHMENT,
                                               VF_NETWORK_IGNORE, VF_NETWORK_IGNORE,
                                               VF_NETWORK_ATTACHMENT};
    expect_network(&vm, pod, "none");
    expect_network(&(struct vf_vm){0}, pod, "none");
}

static void test_cloud_init_network__what_is_no_address_stays_out(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        unsigned prefix;
        enum vf_address_origin origin;
        const char *mac;
    } rows[] = {
        {"10.1.2.3", 0, VF_ADDRESS_STATIC, MAC},
        {"10.1.2.3", 33, VF_ADDRESS_STATIC, MAC},
        {"2001:db8::7", 129, VF_ADDRESS_STATIC, MAC},
        {"10.1.2", 24, VF_ADDRESS_STATIC, MAC},
        {"10.1.2.3\"], \"x\": [\"", 24, VF_ADDRESS_STATIC, MAC},
        {"fe80::1%eth0", 64, VF_ADDRESS_STATIC, MAC},
        {"", 24, VF_ADDRESS_STATIC, MAC},
        {NULL, 24, VF_ADDRESS_STATIC, MAC},
        {"10.1.2.3", 24, VF_ADDRESS_UNKNOWN, MAC},
        {"10.1.2.3", 24, VF_ADDRESS_STATIC, NULL},
        {"10.1.2.3", 24, VF_ADDRESS_STATIC, "01:00:5e:00:00:01"},
        {"10.1.2.3", 24, VF_ADDRESS_STATIC, "junk"},
    };
    static const enum vf_network_kind kinds[] = {VF_NETWORK_ATTACHMENT};
    for (size_t i = 0; i < N(rows); i++) {
        struct vf_vm_address address = {
            .ip = TEXT(rows[i].ip), .prefix_len = rows[i].prefix, .origin = rows[i].origin};
        struct vf_vm_nic nic = {.mac = TEXT(rows[i].mac), .addresses = &address, .n_addresses = 1};
        struct vf_vm vm = {.nics = &nic, .n_nics = 1};
        expect_network(&vm, kinds, "none");
    }
    struct vf_vm_nic nic = {.mac = TEXT(MAC),
                            .addresses = addresses,
                            .n_addresses = 1,
                            .gateway4 = TEXT("fe80::1"),
                            .gateway6 = TEXT("10.1.2.1")};
    struct vf_vm vm = {.nics = &nic, .n_nics = 1};
    expect_network(&vm, kinds,
                   "{\"version\":2,\"ethernets\":{\"net-0\":{\"match\":{\"macaddress\":"
                   "\"00:50:56:9a:11:01\"},\"addresses\":[\"10.1.2.3/24\"]}}}");
}

static void test_cloud_init__is_given_to_linux_that_wants_it(void **state)
{
    (void)state;
    struct vf_vm_nic nics[] = {{.mac = TEXT("00:50:56:9a:11:01"),
                                .network = TEXT("lan"),
                                .addresses = addresses,
                                .n_addresses = 1,
                                .start_connected = true}};
    struct manifest_check c = manifest_check_linux();
    c.vm.nics = nics;
    c.vm.n_nics = 1;
    /* The first NIC is on the pod network. */
    c.mapping.addresses = VF_ADDRESSES_CLOUD_INIT;
    manifest_check_build(&c);
    manifest_check_expect(&c, SPEC "volumes", NULL);
    manifest_check_concern(&c, "nic.address-lost", "NIC net-0 had 10.1.2.3: on the pod network");
    vf_network_map_add(&c.mapping.networks, "lan=lab/lan", NULL);
    manifest_check_build(&c);
    manifest_check_concern(&c, "nic.address-lost", NULL);
    manifest_check_concern(&c, "nic.address-static", NULL);
    manifest_check_concern(&c, "guest.cloud-init", "installed in the guest");
    manifest_check_expect(&c, DEVICES "disks",
                          "[{\"name\":\"cloud-init\",\"cdrom\":{\"bus\":\"sata\"}}]");
    manifest_check_expect(&c, SPEC "volumes.0.name", "\"cloud-init\"");
    manifest_check_expect(&c, SPEC "volumes.0.cloudInitNoCloud.userData",
                          "\"#cloud-config\\npreserve_hostname: true\\nssh_deletekeys: false\\n"
                          "users: []\\napt: {preserve_sources_list: true}\\n\"");
    manifest_check_origin(&c, SPEC "volumes.0", VF_ORIGIN_OPTION, "cloud-init");
    c.mapping.addresses = VF_ADDRESSES_IGNORE;
    manifest_check_build(&c);
    manifest_check_expect(&c, SPEC "volumes", NULL);
    manifest_check_concern(&c, "nic.address-static", "NIC net-0 has 10.1.2.3");
    c.mapping.addresses = VF_ADDRESSES_CLOUD_INIT;
    c.vm.guest_id = TEXT("windows9_64Guest");
    manifest_check_build(&c);
    manifest_check_expect(&c, SPEC "volumes", NULL);
    manifest_check_concern(&c, "nic.address-lost", "cloud-init is for Linux");
    manifest_check_release(&c);
}

static void test_cloud_init__address_that_it_cannot_keep_is_lost(void **state)
{
    (void)state;
    struct vf_vm_address bare = {.ip = TEXT("10.9.9.9"), .origin = VF_ADDRESS_STATIC};
    struct vf_vm_nic nics[] = {
        {.mac = TEXT("00:50:56:9a:11:01"), .addresses = &bare, .n_addresses = 1},
        {.mac = TEXT("00:50:56:9a:11:02"), .addresses = addresses, .n_addresses = 1},
    };
    struct manifest_check c = manifest_check_linux();
    c.vm.nics = nics;
    c.vm.n_nics = 1;
    nics[0].network = nics[1].network = TEXT("lan");
    c.mapping.addresses = VF_ADDRESSES_CLOUD_INIT;
    vf_network_map_add(&c.mapping.networks, "lan=lab/lan", NULL);
    manifest_check_build(&c); /* cloud-init is not told of anything */
    manifest_check_concern(&c, "nic.address-lost", NULL);
    manifest_check_concern(&c, "nic.address-static", "10.9.9.9");
    c.vm.n_nics = 2;
    manifest_check_build(&c);
    manifest_check_concern(&c, "nic.address-lost", "NIC net-0 had 10.9.9.9: cloud-init");
    manifest_check_concern(&c, "nic.address-static", NULL);
    manifest_check_release(&c);
}

static void test_cloud_init__more_than_admission_takes_is_lost(void **state)
{
    (void)state;
    struct vf_vm_nic nics[30];
    char macs[30][18];
    for (size_t i = 0; i < N(nics); i++) {
        snprintf(macs[i], sizeof macs[i], "00:50:56:9a:11:%02zx", i);
        nics[i] = (struct vf_vm_nic){
            .mac = macs[i], .network = TEXT("lan"), .addresses = addresses, .n_addresses = 3};
    }
    struct manifest_check c = manifest_check_linux();
    c.vm.nics = nics;
    c.vm.n_nics = 30;
    c.mapping.addresses = VF_ADDRESSES_CLOUD_INIT;
    vf_network_map_add(&c.mapping.networks, "*=lan", NULL);
    manifest_check_build(&c);
    manifest_check_expect(&c, SPEC "volumes", NULL);
    manifest_check_concern(&c, "nic.address-lost", "2048 inside of a VM");
    manifest_check_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cloud_init_network__static_addresses_by_mac),
        cmocka_unit_test(test_cloud_init_network__others_go_on_asking),
        cmocka_unit_test(test_cloud_init_network__what_is_no_address_stays_out),
        cmocka_unit_test(test_cloud_init__is_given_to_linux_that_wants_it),
        cmocka_unit_test(test_cloud_init__address_that_it_cannot_keep_is_lost),
        cmocka_unit_test(test_cloud_init__more_than_admission_takes_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
