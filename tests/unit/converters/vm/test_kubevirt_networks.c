#include "converters/vm/kubevirt_networks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/manifest_check.h"

static struct vf_vm_nic nics[] = {
    {.label = TEXT("Network adapter 1"),
     .mac = TEXT("00:50:56:9a:11:01"),
     .network = TEXT("lan"),
     .start_connected = true},
    {.label = TEXT("Network adapter 2"), .mac = TEXT("00:50:56:9a:11:02"), .network = TEXT("dmz")},
    {.mac = TEXT("00:50:56:9a:11:03"), .network = TEXT("lan"), .start_connected = true},
};

static struct manifest_check with_nics(const char *const *rules)
{
    struct manifest_check c = manifest_check_linux();
    c.vm.nics = nics;
    c.vm.n_nics = 3;
    for (; *rules; rules++) {
        assert_int_equal(vf_network_map_add(&c.mapping.networks, *rules, NULL), 0);
    }
    manifest_check_build(&c);
    return c;
}

static void test_networks__each_kind_has_its_binding(void **state)
{
    (void)state;
    struct manifest_check c = with_nics(
        (const char *const[]){"00:50:56:9a:11:01=pod", "dmz=sriov:lab/vf0", "lan=vlan-120", NULL});
    manifest_check_expect(&c, DEVICES "interfaces",
                          "[{\"name\":\"net-0\",\"model\":\"virtio\",\"macAddress\":"
                          "\"00:50:56:9a:11:01\",\"masquerade\":{}},"
                          "{\"name\":\"net-1\",\"macAddress\":\"00:50:56:9a:11:02\",\"sriov\":{}},"
                          "{\"name\":\"net-2\",\"model\":\"virtio\",\"macAddress\":"
                          "\"00:50:56:9a:11:03\",\"bridge\":{}}]");
    manifest_check_expect(&c, SPEC "networks",
                          "[{\"name\":\"net-0\",\"pod\":{}},"
                          "{\"name\":\"net-1\",\"multus\":{\"networkName\":\"lab/vf0\"}},"
                          "{\"name\":\"net-2\",\"multus\":{\"networkName\":\"vlan-120\"}}]");
    manifest_check_concern(&c, "nic.link-up", "net-1");
    manifest_check_concern(&c, "nic.network-guessed", NULL);
    manifest_check_origin(&c, SPEC "networks.1.multus", VF_ORIGIN_OPTION, "dmz=sriov:lab/vf0");
    manifest_check_origin(&c, DEVICES "interfaces.0", VF_ORIGIN_SOURCE, "Network adapter 1");
    manifest_check_origin(&c, DEVICES "interfaces.0.model", VF_ORIGIN_OS, "row \"ubuntu\"");
    manifest_check_release(&c);
}

static void test_networks__pod_network_by_a_binding_plugin(void **state)
{
    (void)state;
    struct manifest_check c =
        with_nics((const char *const[]){"dmz=pod:l2bridge", "lan=ignore", NULL});
    manifest_check_expect(&c, DEVICES "interfaces",
                          "[{\"name\":\"net-1\",\"model\":\"virtio\",\"macAddress\":"
                          "\"00:50:56:9a:11:02\",\"binding\":{\"name\":\"l2bridge\"},"
                          "\"state\":\"down\"}]");
    manifest_check_expect(&c, SPEC "networks", "[{\"name\":\"net-1\",\"pod\":{}}]");
    manifest_check_concern(&c, "nic.left-out", "net-2");
    manifest_check_release(&c);
}

static void test_networks__several_sources_go_to_one_attachment(void **state)
{
    (void)state;
    struct manifest_check c = with_nics((const char *const[]){"*=lab/all", "vm*=pod", NULL});
    manifest_check_expect(&c, SPEC "networks.0.multus.networkName", "\"lab/all\"");
    manifest_check_expect(&c, SPEC "networks.1.multus.networkName", "\"lab/all\"");
    manifest_check_expect(&c, SPEC "networks.2.multus.networkName", "\"lab/all\"");
    /* A pattern is for many VMs. */
    manifest_check_concern(&c, "mapping.network-unused", NULL);
    manifest_check_release(&c);
    c = with_nics((const char *const[]){"LAN=ignore", NULL});
    manifest_check_concern(&c, "mapping.network-unused", "\"LAN\"");
    manifest_check_concern(&c, "nic.network-guessed", "\"dmz\"");
    manifest_check_origin(&c, SPEC "networks.1.multus", VF_ORIGIN_SOURCE, "\"dmz\"");
    manifest_check_origin(&c, SPEC "networks.0.pod", VF_ORIGIN_DEFAULT, "first NIC");
    manifest_check_release(&c);
}

static void test_networks__model_and_queues(void **state)
{
    (void)state;
    static const struct {
        const char *guest, *told;
        uint32_t cpus;
        const char *rule, *model, *queues;
    } rows[] = {
        {"ubuntu64Guest", NULL, 2, "x=pod", "\"virtio\"", "true"},
        {"ubuntu64Guest", NULL, 1, "x=pod", "\"virtio\"", NULL},
        {"ubuntu64Guest", NULL, 256, "x=pod", "\"virtio\"", "true"},
        {"ubuntu64Guest", NULL, 257, "x=pod", "\"virtio\"", NULL},
        {"ubuntu64Guest", "igb", 2, "x=pod", "\"igb\"", NULL},
        {"windows9_64Guest", NULL, 2, "x=pod", "\"e1000e\"", NULL},
        {"windows9_64Guest", "virtio", 2, "x=pod", "\"virtio\"", "true"},
        {"ubuntu64Guest", NULL, 2, "lan=sriov:a", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.nics = nics;
        c.vm.n_nics = 1;
        c.vm.guest_id = TEXT(rows[i].guest);
        c.vm.cpus = rows[i].cpus;
        c.mapping.nic_model = TEXT(rows[i].told);
        assert_int_equal(vf_network_map_add(&c.mapping.networks, rows[i].rule, NULL), 0);
        manifest_check_build(&c);
        manifest_check_expect(&c, DEVICES "interfaces.0.model", rows[i].model);
        manifest_check_expect(&c, DEVICES "networkInterfaceMultiqueue", rows[i].queues);
        manifest_check_expect(&c, DEVICES "blockMultiQueue", NULL);
        manifest_check_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks__each_kind_has_its_binding),
        cmocka_unit_test(test_networks__pod_network_by_a_binding_plugin),
        cmocka_unit_test(test_networks__several_sources_go_to_one_attachment),
        cmocka_unit_test(test_networks__model_and_queues),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
