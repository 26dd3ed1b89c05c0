#include "importer/vsphere/vm_draft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/vm_xml.h"

#define CONTENT(sets)         VM_CONTENT(sets)
#define PROP(path, type, val) VM_PROP(path, type, val)
#define DEVICES(list)         VM_DEVICES(list)
#define SCSI(key, bus)                                                                             \
    "<VirtualDevice xsi:type=\"ParaVirtualSCSIController\"><key>" key "</key><busNumber>" bus      \
    "</busNumber><sharedBus>noSharing</sharedBus></VirtualDevice>"
#define DISK(key, backing, controller, unit, size)                                                 \
    "<VirtualDevice xsi:type=\"VirtualDisk\"><key>" key "</key>"                                   \
    "<deviceInfo><label>Hard disk " key "</label></deviceInfo>" backing                            \
    "<controllerKey>" controller "</controllerKey><unitNumber>" unit "</unitNumber>"               \
    "<capacityInKB>1</capacityInKB>" size "</VirtualDevice>"
#define BYTES(n) "<capacityInBytes>" n "</capacityInBytes>"
#define FLAT(more)                                                                                 \
    "<backing xsi:type=\"VirtualDiskFlatVer2BackingInfo\"><fileName>[ds 1] a/a.vmdk</fileName>"    \
    "<datastore type=\"Datastore\">datastore-1</datastore>" more "</backing>"

static int parse(struct vf_vm_draft *d, const char *xml, struct vf_error **err)
{
    return vf_test_parse_vm(d, xml, err);
}

static void test_vm_draft__plain_properties(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    assert_int_equal(
        parse(&d,
              CONTENT(PROP("name", "xsd:string", "web%2f01 100%25") PROP(
                  "parent", "ManagedObjectReference", "group-v3") PROP("runtime.powerState", "x",
                                                                       "suspended")
                          PROP("config.guestId", "xsd:string", "rhel8_64Guest") PROP(
                              "config.hardware.memoryMB", "xsd:int",
                              "4096") PROP("config.hardware.numCPU", "xsd:int",
                                           "4") PROP("config.firmware", "xsd:string", "efi")
                              PROP("config.bootOptions.efiSecureBootEnabled", "xsd:boolean",
                                   "true") PROP("config.cpuHotAddEnabled", "xsd:boolean", "false")
                                  PROP("config.annotation", "xsd:string", "") PROP(
                                      "guest.toolsRunningStatus", "xsd:string", "guestToolsRunning")
                                      PROP("summary.storage", "x",
                                           "<committed>10</committed>"
                                           "<uncommitted>32</uncommitted>")),
              NULL),
        0);
    assert_string_equal(d.vm.name, "web/01 100%");
    assert_string_equal(d.parent, "group-v3");
    assert_int_equal(d.vm.power, VF_POWER_SUSPENDED);
    assert_int_equal(d.vm.family, VF_GUEST_LINUX);
    assert_int_equal(d.vm.memory_bytes, UINT64_C(4096) << 20);
    assert_int_equal(d.vm.cpus, 4);
    assert_int_equal(d.vm.firmware, VF_FIRMWARE_EFI);
    assert_true(d.vm.secure_boot);
    assert_int_equal(d.vm.cpu_hot_add, VF_NO);
    assert_int_equal(d.vm.memory_hot_add, VF_UNSET);
    assert_null(d.vm.annotation);
    assert_true(d.vm.tools_running);
    assert_int_equal(d.vm.used_bytes, 10);
    assert_int_equal(d.vm.provisioned_bytes, 42);
    assert_false(d.unreadable);
    vf_vm_draft_release(&d);
}

static void test_vm_draft__disk_flags(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    assert_int_equal(
        parse(&d,
              CONTENT(DEVICES(SCSI("1000", "0") DISK(
                  "2000",
                  FLAT("<diskMode>persistent</diskMode><thinProvisioned>true</thinProvisioned>"
                       "<uuid>6000C29a-5e1f</uuid><changeId>52 de c0/81</changeId>"
                       "<parent xsi:type=\"VirtualDiskFlatVer2BackingInfo\">"
                       "<fileName>[ds 1] a/base.vmdk</fileName><keyId/></parent>"),
                  "1000", "1", BYTES("1073741824"))
                                  DISK("2001",
                                       FLAT("<diskMode>independent_nonpersistent</diskMode>"
                                            "<sharing>sharingMultiWriter</sharing>"
                                            "<keyId><keyId>k</keyId></keyId>"),
                                       "1000", "0", BYTES("512")))),
              NULL),
        0);
    assert_int_equal(d.vm.n_disks, 2);
    const struct vf_vm_disk *a = &d.vm.disks[1], *b = &d.vm.disks[0]; /* sorted by unit */
    assert_int_equal(a->key, 2000);
    assert_string_equal(a->label, "Hard disk 2000");
    assert_string_equal(a->file, "[ds 1] a/a.vmdk");
    assert_string_equal(a->datastore, "ds 1");
    assert_string_equal(a->datastore_moref, "datastore-1");
    assert_string_equal(a->uuid, "6000C29a-5e1f");
    assert_string_equal(a->change_id, "52 de c0/81");
    assert_string_equal(a->mode, "persistent");
    assert_string_equal(a->controller_type, "ParaVirtualSCSIController");
    assert_int_equal(a->capacity_bytes, 1073741824);
    assert_int_equal(a->bus, VF_BUS_SCSI);
    assert_int_equal(a->bus_number, 0);
    assert_int_equal(a->unit_number, 1);
    assert_true(a->thin);
    assert_false(a->independent || a->shared || a->rdm || a->encrypted); /* nor by its parent */
    assert_true(a->delta);
    assert_int_equal(b->capacity_bytes, 512);
    assert_true(b->independent && b->shared && b->encrypted);
    assert_false(b->delta);
    assert_false(b->thin);
    vf_vm_draft_release(&d);
}

static void test_vm_draft__disk_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *backing;
        bool rdm, thin;
    } cases[] = {
        {"VirtualDiskFlatVer2BackingInfo", false, false},
        {"VirtualDiskSparseVer2BackingInfo", false, true},
        {"VirtualDiskSeSparseBackingInfo", false, true},
        {"VirtualDiskRawDiskMappingVer1BackingInfo", true, false},
        {"VirtualDiskRawDiskVer2BackingInfo", true, false},
        {"VirtualDiskPartitionedRawDiskVer2BackingInfo", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char xml[2048];
        struct vf_vm_draft d;
        snprintf(xml, sizeof xml,
                 CONTENT(DEVICES(DISK("2000", "<backing xsi:type=\"%s\"/>", "1000", "0", ""))),
                 cases[i].backing);
        assert_int_equal(parse(&d, xml, NULL), 0);
        assert_int_equal(d.vm.disks[0].rdm, cases[i].rdm);
        assert_int_equal(d.vm.disks[0].thin, cases[i].thin);
        assert_int_equal(d.vm.disks[0].capacity_bytes, 1024); /* capacityInKB of old servers */
        assert_int_equal(d.vm.disks[0].bus, VF_BUS_UNKNOWN);
        assert_int_equal(d.vm.disks[0].bus_number, -1);
        vf_vm_draft_release(&d);
    }
}

static void test_vm_draft__shared_bus_shares_its_disks(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    assert_int_equal(
        parse(&d,
              CONTENT(DEVICES(DISK("2000", FLAT(""), "1001", "0",
                                   "") "<VirtualDevice xsi:type=\"VirtualLsiLogicSASController\">"
                                       "<key>1001</key><busNumber>1</busNumber>"
                                       "<sharedBus>physicalSharing</sharedBus></VirtualDevice>")),
              NULL),
        0);
    assert_true(d.vm.disks[0].shared);
    assert_int_equal(d.vm.disks[0].bus_number, 1);
    vf_vm_draft_release(&d);
}

static void test_vm_draft__broken_disks_are_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {
        CONTENT(DEVICES(DISK("x", FLAT(""), "1000", "0", ""))),
        CONTENT(DEVICES(DISK("99999999999", FLAT(""), "1000", "0", ""))),
        CONTENT(DEVICES("<VirtualDevice xsi:type=\"VirtualDisk\"><key>2000</key></VirtualDevice>")),
        CONTENT(DEVICES(DISK("2000", FLAT(""), "1000", "0", BYTES("18446744073709551615")))),
        CONTENT(DEVICES("<VirtualDevice xsi:type=\"VirtualDisk\"><key>2000</key>"
                        "<capacityInKB>18014398509481984</capacityInKB></VirtualDevice>")),
        CONTENT(PROP("config.hardware.numCPU", "xsd:int", "-1")),
        CONTENT(PROP("config.hardware.memoryMB", "xsd:int", "many")),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_vm_draft d;
        struct vf_error *err = NULL;
        assert_int_equal(parse(&d, bad[i], &err), VF_INVALID);
        assert_non_null(err);
        vf_error_free(err);
        vf_vm_draft_release(&d);
    }
}

static void test_vm_draft__too_many_devices_is_range(void **state)
{
    (void)state;
    static const char device[] = "<VirtualDevice/>";
    const size_t n = 5000;
    char *xml = malloc(n * sizeof device + 1000);
    char *p = stpcpy(xml, "<objects xmlns=\"urn:vim25\"><propSet>"
                          "<name>config.hardware.device</name><val>");
    for (size_t i = 0; i < n; i++) {
        p = stpcpy(p, device);
    }
    strcpy(p, "</val></propSet></objects>");
    struct vf_vm_draft d;
    assert_int_equal(parse(&d, xml, NULL), VF_RANGE);
    vf_vm_draft_release(&d);
    free(xml);
}

static void test_vm_draft__nics_and_their_addresses(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    /* guest.net comes first: its cards are not known yet then. */
    assert_int_equal(
        parse(
            &d,
            CONTENT(PROP("guest.net", "ArrayOfGuestNicInfo",
                         "<GuestNicInfo><ipAddress>10.0.0.7</ipAddress>"
                         "<ipAddress>fe80::1</ipAddress><connected>true</connected>"
                         "<deviceConfigId>4000</deviceConfigId></GuestNicInfo>"
                         "<GuestNicInfo><ipAddress>172.17.0.1</ipAddress>"
                         "<deviceConfigId>-1</deviceConfigId></GuestNicInfo>")
                        DEVICES("<VirtualDevice xsi:type=\"VirtualVmxnet3\"><key>4000</key>"
                                "<backing xsi:type=\"VirtualEthernetCardNetworkBackingInfo\">"
                                "<deviceName>VM Network</deviceName>"
                                "<network type=\"Network\">network-7</network></backing>"
                                "<connectable><startConnected>true</startConnected>"
                                "<connected>false</connected></connectable>"
                                "<macAddress>00:50:56:AB:CD:EF</macAddress></VirtualDevice>"
                                "<VirtualDevice xsi:type=\"VirtualE1000e\"><key>4001</key>"
                                "<backing xsi:type=\"VirtualEthernetCardDistributedVirtualPort"
                                "BackingInfo\"><port><switchUuid>50 2b</switchUuid>"
                                "<portgroupKey>dvportgroup-9</portgroupKey></port></backing>"
                                "<macAddress>00-50-56-00-00-01</macAddress></VirtualDevice>"
                                "<VirtualDevice xsi:type=\"VirtualVmxnet9\"><key>4002</key>"
                                "<backing xsi:type=\"VirtualEthernetCardOpaqueNetworkBackingInfo\""
                                "><opaqueNetworkId>ls-1</opaqueNetworkId></backing>"
                                "<macAddress/></VirtualDevice>"
                                "<VirtualDevice xsi:type=\"VirtualTPM\"><key>11000</key>"
                                "</VirtualDevice>")),
            NULL),
        0);
    assert_int_equal(d.vm.n_nics, 3);
    const struct vf_vm_nic *n = d.vm.nics;
    assert_string_equal(n[0].model, "vmxnet3");
    assert_string_equal(n[0].mac, "00:50:56:ab:cd:ef");
    assert_true(n[0].start_connected);
    assert_false(n[0].connected);
    assert_int_equal(n[0].n_addresses, 2);
    assert_string_equal(n[0].addresses[1].ip, "fe80::1");
    assert_string_equal(d.backings[0].network, "network-7");
    assert_string_equal(d.backings[0].device_name, "VM Network");
    assert_string_equal(n[1].model, "e1000e");
    assert_string_equal(n[1].mac, "00:50:56:00:00:01");
    assert_string_equal(d.backings[1].network, "dvportgroup-9");
    assert_string_equal(n[2].model, "VirtualVmxnet9");
    assert_null(n[2].mac);
    assert_string_equal(d.backings[2].opaque_id, "ls-1");
    assert_true(d.vm.has_vtpm);
    vf_vm_draft_release(&d);
}

static void test_vm_draft__snapshots_with_depth(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    assert_int_equal(
        parse(&d,
              CONTENT(PROP("snapshot", "VirtualMachineSnapshotInfo",
                           "<currentSnapshot type=\"VirtualMachineSnapshot\">snapshot-3"
                           "</currentSnapshot><rootSnapshotList>"
                           "<snapshot type=\"VirtualMachineSnapshot\">snapshot-1</snapshot>"
                           "<name>before 50%25</name><quiesced>true</quiesced>"
                           "<childSnapshotList><snapshot type=\"VirtualMachineSnapshot\">"
                           "snapshot-3</snapshot><name>after</name><quiesced>false</quiesced>"
                           "</childSnapshotList></rootSnapshotList>")),
              NULL),
        0);
    assert_int_equal(d.vm.n_snapshots, 2);
    assert_string_equal(d.vm.snapshots[0].moref, "snapshot-1");
    assert_string_equal(d.vm.snapshots[0].name, "before 50%");
    assert_true(d.vm.snapshots[0].quiesced);
    assert_int_equal(d.vm.snapshots[0].depth, 0);
    assert_string_equal(d.vm.snapshots[1].moref, "snapshot-3");
    assert_int_equal(d.vm.snapshots[1].depth, 1);
    vf_vm_draft_release(&d);
}

static void test_vm_draft__bottomless_snapshot_tree_is_invalid(void **state)
{
    (void)state;
    char xml[32768], *p = xml;
    p = stpcpy(p, "<objects xmlns=\"urn:vim25\"><propSet><name>snapshot</name><val>");
    for (int i = 0; i < 100; i++) {
        p = stpcpy(p, i ? "<childSnapshotList>" : "<rootSnapshotList>");
        p = stpcpy(p, "<snapshot type=\"S\">s</snapshot>");
    }
    for (int i = 99; i >= 0; i--) {
        p = stpcpy(p, i ? "</childSnapshotList>" : "</rootSnapshotList>");
    }
    strcpy(p, "</val></propSet></objects>");
    struct vf_vm_draft d;
    assert_int_equal(parse(&d, xml, NULL), VF_INVALID);
    vf_vm_draft_release(&d);
}

static void test_vm_draft__disk_usage_is_that_of_the_whole_chain(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    assert_int_equal(
        parse(&d,
              CONTENT(PROP("layoutEx", "VirtualMachineFileLayoutEx",
                           "<file><key>1</key><size>100</size></file>"
                           "<file><key>2</key><size>5000</size></file>"
                           "<file><key>3</key><size>70</size></file>"
                           "<disk><key>2000</key><chain><fileKey>1</fileKey><fileKey>2</fileKey>"
                           "</chain><chain><fileKey>3</fileKey><fileKey>9</fileKey></chain></disk>")
                          DEVICES(DISK("2000", FLAT(""), "1000", "0", ""))),
              NULL),
        0);
    assert_int_equal(d.vm.disks[0].used_bytes, 5170);
    vf_vm_draft_release(&d);
}

static void test_vm_draft__what_may_not_be_read_is_noted(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    const char missing[] =
        CONTENT("<missingSet><path>config.guestId</path><fault><fault xsi:type=\"%s\"/>"
                "<localizedMessage/></fault></missingSet>");
    char xml[2048];
    snprintf(xml, sizeof xml, missing, "NoPermission");
    assert_int_equal(parse(&d, xml, NULL), 0);
    assert_true(d.unreadable);
    vf_vm_draft_release(&d);
    snprintf(xml, sizeof xml, missing, "InvalidProperty");
    assert_int_equal(parse(&d, xml, NULL), 0);
    assert_false(d.unreadable);
    vf_vm_draft_release(&d);
}

static bool has_path(const char *const *paths, const char *path)
{
    for (; *paths; paths++) {
        if (strcmp(*paths, path) == 0) {
            return true;
        }
    }
    return false;
}

static void test_vm_draft_paths__only_what_the_version_knows(void **state)
{
    (void)state;
    const char **old = vf_vm_draft_paths(VF_VM_FULL, "4.1");
    assert_true(has_path(old, "config.hardware.device"));
    assert_false(has_path(old, "config.bootOptions.efiSecureBootEnabled"));
    assert_false(has_path(old, "runtime.consolidationNeeded"));
    assert_false(has_path(old, "config.keyId"));
    assert_false(has_path(old, "customValue"));
    free(old);
    const char **brief = vf_vm_draft_paths(VF_VM_BRIEF, "8.0.3.0");
    assert_true(has_path(brief, "name"));
    assert_false(has_path(brief, "config.hardware.device"));
    size_t n_brief = 0;
    while (brief[n_brief]) {
        n_brief++;
    }
    assert_int_equal(n_brief, 6);
    free(brief);
    const char **all = vf_vm_draft_paths(VF_VM_WITH_USAGE | VF_VM_WITH_ATTRIBUTES, "8.0.3.0");
    assert_true(has_path(all, "layoutEx") && has_path(all, "customValue"));
    assert_true(has_path(all, "config.extraConfig[\"numa.nodeAffinity\"]"));
    assert_true(vf_vm_draft_drop_keyed_paths(all));
    assert_false(has_path(all, "config.extraConfig[\"numa.nodeAffinity\"]"));
    assert_true(has_path(all, "layoutEx"));
    assert_false(vf_vm_draft_drop_keyed_paths(all));
    free(all);
    const char **config = vf_vm_draft_config_paths("8.0.3.0");
    assert_true(has_path(config, "config.hardware.device"));
    assert_true(has_path(config, "config.bootOptions.efiSecureBootEnabled"));
    assert_false(has_path(config, "name"));
    assert_false(has_path(config, "layoutEx"));
    for (size_t i = 0; config[i]; i++) {
        assert_null(strchr(config[i], '['));
    }
    free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_draft__plain_properties),
        cmocka_unit_test(test_vm_draft__disk_flags),
        cmocka_unit_test(test_vm_draft__disk_kinds),
        cmocka_unit_test(test_vm_draft__shared_bus_shares_its_disks),
        cmocka_unit_test(test_vm_draft__broken_disks_are_invalid),
        cmocka_unit_test(test_vm_draft__too_many_devices_is_range),
        cmocka_unit_test(test_vm_draft__nics_and_their_addresses),
        cmocka_unit_test(test_vm_draft__snapshots_with_depth),
        cmocka_unit_test(test_vm_draft__bottomless_snapshot_tree_is_invalid),
        cmocka_unit_test(test_vm_draft__disk_usage_is_that_of_the_whole_chain),
        cmocka_unit_test(test_vm_draft__what_may_not_be_read_is_noted),
        cmocka_unit_test(test_vm_draft_paths__only_what_the_version_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
