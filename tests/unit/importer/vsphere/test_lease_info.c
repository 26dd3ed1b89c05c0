#include "importer/vsphere/lease_info.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/xml.h"

#define INFO(rest) "<val xmlns=\"urn:vim25\">" rest "</val>"
#define DEVICE(key, url, disk, more)                                                               \
    "<deviceUrl><key>" key "</key><importKey>i</importKey><url>" url "</url>" more "<disk>" disk   \
    "</disk></deviceUrl>"

static int parse(struct vf_lease_info *info, const char *xml, struct vf_error **err)
{
    xmlDoc *doc = NULL;
    *info = (struct vf_lease_info){0};
    assert_int_equal(vf_xml_parse(xml, strlen(xml), "test", &doc, NULL), 0);
    int rc = vf_lease_info_parse(info, xmlDocGetRootElement(doc), "h:8443", "h", err);
    xmlFreeDoc(doc);
    return rc;
}

static void test_lease_info__devices(void **state)
{
    (void)state;
    struct vf_lease_info info;
    assert_int_equal(
        parse(&info,
              INFO(DEVICE("/vm-1/ParaVirtualSCSIController0:0", "https://esx/nfc/1/d0.vmdk", "true",
                          "<sslThumbprint>AA:BB</sslThumbprint>")
                       DEVICE("/vm-1/nvram", "https://*/nfc/1/nvram", "false",
                              "<sslThumbprint></sslThumbprint><targetId>file-1.nvram</targetId>"
                              "<fileSize>8684</fileSize>") "<leaseTimeout>300</leaseTimeout>"),
              NULL),
        0);
    assert_int_equal(info.n_devices, 2);
    assert_int_equal(info.timeout_s, 300);
    assert_string_equal(info.devices[0].key, "/vm-1/ParaVirtualSCSIController0:0");
    assert_string_equal(info.devices[0].thumbprint, "AA:BB");
    assert_true(info.devices[0].disk);
    assert_int_equal(info.devices[0].file_size, -1);
    assert_null(info.devices[0].target_id);
    assert_string_equal(info.devices[1].url, "https://h:8443/nfc/1/nvram");
    assert_null(info.devices[1].thumbprint);
    assert_false(info.devices[1].disk);
    assert_int_equal(info.devices[1].file_size, 8684);
    vf_lease_info_release(&info);
}

static void test_lease_info__timeout_has_a_default(void **state)
{
    (void)state;
    struct vf_lease_info info;
    assert_int_equal(parse(&info, INFO(DEVICE("k", "https://e/x", "true", "")), NULL), 0);
    assert_int_equal(info.timeout_s, 300);
    vf_lease_info_release(&info);
}

static void test_lease_info__broken_ones_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        INFO(""),
        INFO("<leaseTimeout>300</leaseTimeout>"),
        INFO("<deviceUrl><url>https://e/x</url><disk>true</disk></deviceUrl>"),
        INFO("<deviceUrl><key>k</key><disk>true</disk></deviceUrl>"),
        INFO(DEVICE("k", "http://e/x", "true", "")),
        INFO(DEVICE("k", "https://e/a b", "true", "")),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_lease_info info;
        struct vf_error *err = NULL;
        assert_int_equal(parse(&info, bad[i], &err), VF_INVALID);
        vf_error_free(err);
        vf_lease_info_release(&info);
    }
    struct vf_lease_info none = {0};
    assert_int_equal(vf_lease_info_parse(&none, NULL, "h", "h", NULL), VF_INVALID);
    vf_lease_info_release(&none);
}

static struct vf_vm_disk disk(enum vf_bus bus, int bus_number, int unit)
{
    return (struct vf_vm_disk){.bus = bus, .bus_number = bus_number, .unit_number = unit};
}

static struct vf_lease_device device(const char *key)
{
    return (struct vf_lease_device){.key = (char *)(uintptr_t)key, .disk = true};
}

static void test_lease_match_disk__by_controller_bus_and_unit(void **state)
{
    (void)state;
    struct vf_vm_disk disks[] = {
        disk(VF_BUS_SATA, 0, 1),  disk(VF_BUS_IDE, 1, 0),  disk(VF_BUS_SCSI, 0, 0),
        disk(VF_BUS_SCSI, 0, 1),  disk(VF_BUS_SCSI, 1, 0), disk(VF_BUS_NVME, 0, 14),
        disk(VF_BUS_SCSI, 2, 64),
    };
    const struct vf_vm vm = {.disks = disks, .n_disks = sizeof disks / sizeof disks[0]};
    static const struct {
        const char *key;
        int index;
    } cases[] = {
        {"/vm-42/VirtualAHCIController0:1", 0},
        {"/vm-42/VirtualIDEController1:0", 1},
        {"/vm-42/ParaVirtualSCSIController0:0", 2},
        {"/3/VirtualLsiLogicController0:1", 3},
        {"VirtualLsiLogicSASController1:0", 4},
        {"/vm-42/VirtualNVMEController0:14", 5},
        {"/vm-42/VirtualBusLogicController2:64", 6},
        {"/vm-42/ParaVirtualSCSIController0:2", -1},
        {"/vm-42/ParaVirtualSCSIController3:0", -1},
        {"/vm-42/VirtualUSBController0:0", -1},
        {"/vm-42/ParaVirtualSCSIController0", -1},
        {"/vm-42/ParaVirtualSCSIController0:0x", -1},
        {"/vm-42/ParaVirtualSCSIController00000000000:0", -1},
        {"/vm-42/ParaVirtualSCSIController0:0/", -1},
        {"disk-0", -1},
        {"2000", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vf_lease_device d = device(cases[i].key);
        assert_int_equal(vf_lease_match_disk(&d, &vm), cases[i].index);
        d.disk = false;
        assert_int_equal(vf_lease_match_disk(&d, &vm), -1);
    }
}

static void test_lease_match_disk__two_at_one_place_is_none(void **state)
{
    (void)state;
    struct vf_vm_disk disks[] = {disk(VF_BUS_SCSI, 0, 0), disk(VF_BUS_SCSI, 0, 0)};
    const struct vf_vm vm = {.disks = disks, .n_disks = 2};
    struct vf_lease_device d = device("/vm-1/ParaVirtualSCSIController0:0");
    assert_int_equal(vf_lease_match_disk(&d, &vm), -1);
}

static int match(const char *const *keys, size_t n, struct vf_vm_disk *disks, size_t n_disks,
                 int *index, struct vf_error **err)
{
    struct vf_lease_device devices[4];
    const struct vf_vm vm = {.disks = disks, .n_disks = n_disks};
    for (size_t i = 0; i < n; i++) {
        devices[i] = device(keys[i]);
        devices[i].disk = strcmp(keys[i], "iso") != 0;
    }
    const struct vf_lease_info info = {.devices = devices, .n_devices = n};
    return vf_lease_info_match(&info, &vm, index, err);
}

static void test_lease_match_disks__all_at_once(void **state)
{
    (void)state;
    struct vf_vm_disk disks[] = {disk(VF_BUS_SCSI, 0, 0), disk(VF_BUS_SCSI, 0, 1)};
    static const char *const keys[] = {"iso", "/vm-1/VirtualLsiLogicController0:1",
                                       "/vm-1/VirtualLsiLogicController0:0"};
    int index[4];
    assert_int_equal(match(keys, 3, disks, 2, index, NULL), 0);
    assert_int_equal(index[0], -1);
    assert_int_equal(index[1], 1);
    assert_int_equal(index[2], 0);
}

static void test_lease_match_disks__never_guesses(void **state)
{
    (void)state;
    struct vf_vm_disk disks[] = {disk(VF_BUS_SCSI, 0, 0), disk(VF_BUS_SCSI, 0, 1)};
    static const char *const lone[] = {"disk-0", "iso"};
    static const char *const order[] = {"disk-0", "disk-1"};
    static const char *const twice[] = {"/a/VirtualLsiLogicController0:0",
                                        "/b/ParaVirtualSCSIController0:0"};
    static const char *const elsewhere[] = {"/a/VirtualLsiLogicController0:7"};
    int index[4];
    /* One file, one disk: there is nothing to choose. */
    assert_int_equal(match(lone, 2, disks, 1, index, NULL), 0);
    assert_int_equal(index[0], 0);
    assert_int_equal(match(lone, 2, disks, 2, index, NULL), VF_INVALID);
    assert_int_equal(match(order, 2, disks, 2, index, NULL), VF_INVALID);
    assert_int_equal(match(twice, 2, disks, 2, index, NULL), VF_INVALID);
    /* A key that names another place is no key without meaning. */
    assert_int_equal(match(elsewhere, 1, disks, 1, index, NULL), VF_INVALID);
}

/* Disks that are not copied are exported all the same. */
static void test_lease_match_disks__those_set_aside_are_passed_over(void **state)
{
    (void)state;
    struct vf_vm_disk kept = disk(VF_BUS_SCSI, 0, 1), aside = disk(VF_BUS_SCSI, 0, 0);
    const struct vf_vm vm = {
        .disks = &kept, .n_disks = 1, .other_disks = &aside, .n_other_disks = 1};
    struct vf_lease_device devices[] = {device("/vm-1/VirtualLsiLogicController0:0"),
                                        device("/vm-1/VirtualLsiLogicController0:1")};
    const struct vf_lease_info both = {.devices = devices, .n_devices = 2};
    int index[2];
    assert_int_equal(vf_lease_info_match(&both, &vm, index, NULL), 0);
    assert_int_equal(index[0], -1);
    assert_int_equal(index[1], 0);
    /* A file without a place may be that of either. */
    devices[0] = device("disk-0");
    const struct vf_lease_info lone = {.devices = devices, .n_devices = 1};
    assert_int_equal(vf_lease_info_match(&lone, &vm, index, NULL), VF_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease_info__devices),
        cmocka_unit_test(test_lease_info__timeout_has_a_default),
        cmocka_unit_test(test_lease_info__broken_ones_are_refused),
        cmocka_unit_test(test_lease_match_disk__by_controller_bus_and_unit),
        cmocka_unit_test(test_lease_match_disk__two_at_one_place_is_none),
        cmocka_unit_test(test_lease_match_disks__all_at_once),
        cmocka_unit_test(test_lease_match_disks__never_guesses),
        cmocka_unit_test(test_lease_match_disks__those_set_aside_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
