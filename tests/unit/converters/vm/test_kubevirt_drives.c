#include "converters/vm/kubevirt_drives.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/manifest_check.h"

#define N(a) (sizeof(a) / sizeof *(a))

static struct vf_vm_disk three[] = {
    {.label = TEXT("Hard disk 1"),
     .key = 2000,
     .file = TEXT("[ds1] web01/web01.vmdk"),
     .datastore = TEXT("ds1"),
     .uuid = TEXT("6000C29a-5e1f-0b7c-9d2e-1b2c3d4e5f60"),
     .capacity_bytes = 60 * GIB,
     .position = 0},
    {.label = TEXT("Hard disk 2"),
     .key = 2001,
     .file = TEXT("[ds1] web01/web01_1.vmdk"),
     .datastore = TEXT("ds2"),
     .capacity_bytes = 200 * GIB,
     .position = 1},
    {.label = TEXT("Hard disk 3"), .key = 2002, .capacity_bytes = 300 * GIB, .position = 2},
};

static struct manifest_check with_disks(void)
{
    struct manifest_check c = manifest_check_linux();
    c.vm.disks = three;
    c.vm.n_disks = 3;
    return c;
}

static void test_drives__bus_is_the_nearest_that_is_told(void **state)
{
    (void)state;
    struct manifest_check c = with_disks();
    struct vf_disk_rule rules[] = {{.disk = TEXT("Hard disk 2"), .bus = TEXT("usb")}};
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "disks.0.disk", "{\"bus\":\"virtio\"}");
    manifest_check_origin(&c, DEVICES "disks.0.disk.bus", VF_ORIGIN_OS, "row \"ubuntu\"");
    c.vm.guest_id = TEXT("windows2019srv_64Guest");
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "disks.0.disk", "{\"bus\":\"sata\"}");
    manifest_check_origin(&c, DEVICES "disks.0.disk.bus", VF_ORIGIN_OS, "row \"win2k19\"");
    c.mapping.disk_bus = TEXT("scsi");
    c.mapping.disks = rules;
    c.mapping.n_disks = 1;
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "disks.0.disk", "{\"bus\":\"scsi\"}");
    manifest_check_origin(&c, DEVICES "disks.0.disk.bus", VF_ORIGIN_OPTION, "all disks");
    manifest_check_expect(&c, DEVICES "disks.1.disk", "{\"bus\":\"usb\"}");
    manifest_check_origin(&c, DEVICES "disks.1.disk.bus", VF_ORIGIN_OPTION, "bus of the disk");
    /* A row named by a person goes before the guest's ID. */
    c.mapping = (struct vf_mapping){.os = TEXT("freebsd")};
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "disks.0.disk", "{\"bus\":\"scsi\"}");
    manifest_check_release(&c);
}

static void test_drives__more_disks_than_ports_are_on_scsi(void **state)
{
    (void)state;
    static const struct {
        size_t n_disks, n_nics;
        const char *bus, *rule_bus, *want;
        const char *concern;
    } rows[] = {
        {20, 1, NULL, NULL, "virtio", NULL},
        {21, 1, NULL, NULL, "scsi", "disk.many"},
        {14, 10, NULL, NULL, "virtio", NULL},
        {15, 10, NULL, NULL, "scsi", "disk.many"},
        {1, 30, NULL, NULL, "scsi", "disk.many"},
        {60, 1, "sata", NULL, "sata", NULL},
        {60, 1, "virtio", NULL, "virtio", "disk.many-virtio"},
        /* One that is told to be there leaves room for itself. */
        {60, 1, NULL, "virtio", "scsi", "disk.many"},
    };
    struct vf_vm_disk disks[60] = {0};
    struct vf_vm_nic nics[30] = {0};
    for (uint32_t i = 0; i < 60; i++) {
        disks[i] = (struct vf_vm_disk){.capacity_bytes = GIB, .position = i};
    }
    for (size_t i = 0; i < N(rows); i++) {
        struct vf_disk_rule rule = {.disk = TEXT("0"), .bus = TEXT(rows[i].rule_bus)};
        struct manifest_check c = manifest_check_linux();
        c.vm.disks = disks;
        c.vm.n_disks = rows[i].n_disks;
        c.vm.nics = nics;
        c.vm.n_nics = rows[i].n_nics;
        c.mapping.disk_bus = TEXT(rows[i].bus);
        c.mapping.disks = &rule;
        c.mapping.n_disks = 1;
        manifest_check_build(&c);
        char *last = vf_xasprintf(DEVICES "disks.%zu.disk.bus", rows[i].n_disks - 1);
        char *want = vf_xasprintf("\"%s\"", rows[i].want);
        manifest_check_expect(&c, last, want);
        manifest_check_expect(&c, DEVICES "disks.0.disk.bus",
                              rows[i].rule_bus ? "\"virtio\"" : want);
        manifest_check_concern(&c, rows[i].concern ? rows[i].concern : "disk.many",
                               rows[i].concern ? "PCI Express" : NULL);
        free(want);
        free(last);
        manifest_check_release(&c);
    }
}

static void test_drives__disks_of_both_lists_keep_their_order(void **state)
{
    (void)state;
    struct vf_vm_disk copied[] = {three[1]};
    struct vf_vm_disk other[] = {three[0], three[2]};
    struct vf_disk_rule rules[] = {{.disk = TEXT("0"), .claim = TEXT("quorum")},
                                   {.disk = TEXT("2"), .skip = VF_YES}};
    struct manifest_check c = manifest_check_linux();
    c.vm.disks = copied;
    c.vm.n_disks = 1;
    c.vm.other_disks = other;
    c.vm.n_other_disks = 2;
    c.mapping.disks = rules;
    c.mapping.n_disks = 2;
    c.options.handover = VF_HANDOVER_ADOPT;
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "disks.0",
                          "{\"name\":\"disk-0\",\"bootOrder\":1,\"serial\":\"6000c29a5e1f0b7c9d2e\""
                          ",\"disk\":{\"bus\":\"virtio\"},\"errorPolicy\":\"report\",\"cache\":"
                          "\"none\",\"shareable\":true}");
    manifest_check_expect(&c, DEVICES "disks.1",
                          "{\"name\":\"disk-1\",\"disk\":{\"bus\":\"virtio\"}}");
    manifest_check_expect(&c, DEVICES "disks.2", NULL);
    manifest_check_expect(
        &c, SPEC "volumes.0",
        "{\"name\":\"disk-0\",\"persistentVolumeClaim\":{\"claimName\":\"quorum\"}}");
    manifest_check_expect(&c, SPEC "volumes.1.dataVolume.name", "\"web01-disk-0\"");
    manifest_check_expect(&c, "spec.dataVolumeTemplates.1", NULL);
    manifest_check_origin(&c, SPEC "volumes.0", VF_ORIGIN_OPTION, "claim");
    manifest_check_concern(&c, "disk.attached", "disk 0 (\"Hard disk 1\")");
    manifest_check_concern(&c, "disk.left-out", "disk 2 (\"Hard disk 3\")");
    manifest_check_release(&c);
}

static void test_drives__raw_device_mapping_is_as_decided(void **state)
{
    (void)state;
    struct vf_vm_disk rdm = {.label = TEXT("Hard disk 2"),
                             .capacity_bytes = GIB,
                             .rdm = true,
                             .rdm_device = TEXT("naa.600a0980"),
                             .uuid = TEXT("6000C29a-5e1f-0b7c-9d2e-1b2c3d4e5f60")};
    struct vf_disk_rule rule = {.disk = TEXT("0"), .claim = TEXT("lun7"), .rdm = VF_RDM_LUN};
    struct manifest_check c = manifest_check_linux();
    c.vm.other_disks = &rdm;
    c.vm.n_other_disks = 1;
    c.mapping.disks = &rule;
    c.mapping.n_disks = 1;
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "disks",
                          "[{\"name\":\"disk-0\",\"bootOrder\":1,\"lun\":{\"bus\":\"scsi\"},"
                          "\"errorPolicy\":\"report\"}]");
    manifest_check_expect(&c, SPEC "volumes.0.persistentVolumeClaim.claimName", "\"lun7\"");
    manifest_check_concern(&c, "disk.lun", "naa.600a0980");
    /* The decision for all, and no claim that leads to it. */
    rule = (struct vf_disk_rule){.disk = TEXT("0")};
    c.mapping.rdm = VF_RDM_LUN;
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "disks", NULL);
    manifest_check_expect(&c, SPEC "volumes", NULL);
    manifest_check_concern(&c, "disk.lun-unclaimed", "disk 0 (\"Hard disk 2\")");
    c.mapping.rdm = VF_RDM_IGNORE;
    manifest_check_build(&c);
    manifest_check_concern(&c, "disk.left-out", "disk 0");
    manifest_check_concern(&c, "disk.lun-unclaimed", NULL);
    c.vm.disks = &rdm;
    c.vm.n_disks = 1;
    c.vm.n_other_disks = 0;
    c.mapping.rdm = VF_RDM_COPY;
    manifest_check_build(&c);
    manifest_check_concern(&c, "disk.rdm", "its content is copied, the LUN naa.600a0980");
    c.mapping.rdm = VF_RDM_ASK;
    manifest_check_build(&c);
    manifest_check_concern(&c, "disk.rdm", "nobody said what becomes of it");
    manifest_check_release(&c);
}

static void test_drives__shared_disk_wants_a_shared_block_claim(void **state)
{
    (void)state;
    struct vf_vm_disk disk = {.capacity_bytes = GIB, .shared = true};
    struct manifest_check c = manifest_check_linux();
    c.vm.disks = &disk;
    c.vm.n_disks = 1;
    c.options.handover = VF_HANDOVER_ADOPT;
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "disks.0.cache", "\"none\"");
    manifest_check_expect(&c, DEVICES "disks.0.shareable", "true");
#define STORAGE "spec.dataVolumeTemplates.0.spec.storage."
    manifest_check_expect(&c, STORAGE "volumeMode", "\"Block\"");
    manifest_check_expect(&c, STORAGE "accessModes", "[\"ReadWriteMany\"]");
    manifest_check_origin(&c, STORAGE "volumeMode", VF_ORIGIN_SOURCE, "shared");
    manifest_check_concern(&c, "disk.shared", "ReadWriteMany");
    manifest_check_release(&c);
}

static void test_drives__storage_is_of_disk_datastore_or_all(void **state)
{
    (void)state;
    struct vf_storage_rule storage[] = {{.datastore = TEXT("ds2"), .storage_class = TEXT("slow")}};
    struct vf_disk_rule rules[] = {{.disk = TEXT("2"), .volume_mode = TEXT("Block")}};
    const struct vf_manifest_disk facts[3] = {{.storage_class = "there", .request_bytes = GIB}};
    struct manifest_check c = with_disks();
    c.mapping.storage_class = TEXT("fast");
    c.mapping.storage = storage;
    c.mapping.n_storage = 1;
    c.mapping.disks = rules;
    c.mapping.n_disks = 1;
    c.options.handover = VF_HANDOVER_ADOPT;
    c.options.disks = facts;
    c.options.n_disks = 3;
    manifest_check_build(&c);
#define TEMPLATE(n) "spec.dataVolumeTemplates." #n ".spec.storage."
    manifest_check_expect(&c, TEMPLATE(0) "storageClassName", "\"there\"");
    manifest_check_origin(&c, TEMPLATE(0) "storageClassName", VF_ORIGIN_TARGET, "claim");
    manifest_check_origin(&c, TEMPLATE(0) "resources.requests.storage", VF_ORIGIN_TARGET, "");
    manifest_check_expect(&c, TEMPLATE(1) "storageClassName", "\"slow\"");
    manifest_check_origin(&c, TEMPLATE(1) "resources.requests.storage", VF_ORIGIN_SOURCE, "");
    manifest_check_expect(&c, TEMPLATE(2) "storageClassName", "\"fast\"");
    manifest_check_expect(&c, TEMPLATE(2) "volumeMode", "\"Block\"");
    manifest_check_origin(&c, TEMPLATE(2) "volumeMode", VF_ORIGIN_OPTION, "disk");
    manifest_check_release(&c);
}

static struct vf_vm_nic two_nics[] = {
    {.key = 4000,
     .mac = TEXT("00:50:56:9a:11:01"),
     .network = TEXT("lan"),
     .start_connected = true},
    {.key = 4001,
     .mac = TEXT("00:50:56:9a:11:02"),
     .network = TEXT("dmz"),
     .start_connected = true},
};
static struct vf_vm_cdrom two_drives[] = {
    {.label = TEXT("CD/DVD drive 1"), .kind = VF_CDROM_EMPTY},
    {.label = TEXT("CD/DVD drive 2"),
     .kind = VF_CDROM_ISO,
     .file = TEXT("[ds1] iso/install [v1].iso")},
};

/* "disk-1 net-0": by the numbers that admission wants unique. */
static void expect_boot(struct manifest_check *c, const char *want)
{
    const struct vf_vm *vm = &c->vm;
    char got[200] = "";
    manifest_check_build(c);
    const cJSON *spec = cJSON_GetObjectItem(
        cJSON_GetObjectItem(cJSON_GetObjectItem(c->made.documents[c->made.n_documents - 1], "spec"),
                            "template"),
        "spec");
    const cJSON *devices = cJSON_GetObjectItem(cJSON_GetObjectItem(spec, "domain"), "devices");
    size_t most = vm->n_disks + vm->n_nics + vm->n_cdroms + 8;
    for (size_t n = 1; n <= most; n++) {
        const cJSON *lists[] = {cJSON_GetObjectItem(devices, "disks"),
                                cJSON_GetObjectItem(devices, "interfaces")};
        for (size_t l = 0; l < 2; l++) {
            const cJSON *one;
            cJSON_ArrayForEach(one, lists[l])
            {
                const cJSON *boot = cJSON_GetObjectItem(one, "bootOrder");
                if (boot && boot->valueint == (int)n) {
                    size_t len = strlen(got);
                    snprintf(got + len, sizeof got - len, "%s%zu:%s", len ? " " : "", n,
                             cJSON_GetObjectItem(one, "name")->valuestring);
                }
            }
        }
    }
    assert_string_equal(got, want);
}

static void test_drives__boot_order_is_the_sources(void **state)
{
    (void)state;
    int32_t keys[] = {4001, 2001, 9999, 4000, 2001};
    struct vf_iso_rule iso = {.file = TEXT("[ds1] iso/install [v1].iso"), .claim = TEXT("iso")};
    struct manifest_check c = with_disks();
    c.vm.nics = two_nics;
    c.vm.n_nics = 2;
    expect_boot(&c, "1:disk-0");
    manifest_check_origin(&c, DEVICES "disks.0.bootOrder", VF_ORIGIN_SOURCE, "first");
    c.vm.boot_keys = keys;
    c.vm.n_boot_keys = 5;
    expect_boot(&c, "1:net-1 2:disk-1 3:net-0");
    manifest_check_origin(&c, DEVICES "disks.1.bootOrder", VF_ORIGIN_SOURCE, "bootOrder");
    manifest_check_origin(&c, DEVICES "interfaces.1.bootOrder", VF_ORIGIN_SOURCE, "bootOrder");
    /* Without a disk among them the first one is tried after all. */
    c.vm.n_boot_keys = 1;
    expect_boot(&c, "1:net-1 2:disk-0");
    vf_network_map_add(&c.mapping.networks, "dmz=ignore", NULL);
    expect_boot(&c, "1:disk-0");
    /* A drive stands first only if something is in it. */
    c.vm.cdroms = two_drives;
    c.vm.n_cdroms = 2;
    c.vm.boot_keys_cdrom_first = true;
    c.mapping.cdroms = VF_CDROMS_EMPTY;
    expect_boot(&c, "1:disk-0");
    c.mapping.cdroms = VF_CDROMS_KEEP;
    c.mapping.isos = &iso;
    c.mapping.n_isos = 1;
    expect_boot(&c, "1:cdrom-1 2:disk-0");
    c.vm.boot_keys_cdrom_first = false;
    expect_boot(&c, "1:disk-0");
    /* Nothing but a drive. */
    c.vm.n_disks = 0;
    expect_boot(&c, "1:cdrom-1");
    c.mapping.cdroms = VF_CDROMS_DROP;
    expect_boot(&c, "");
    manifest_check_release(&c);
}

static void test_drives__boot_order_that_is_told_is_all(void **state)
{
    (void)state;
    int32_t keys[] = {4001};
    struct vf_disk_rule rules[] = {{.disk = TEXT("2"), .boot = 1}, {.disk = TEXT("0"), .boot = 3}};
    struct vf_vm_disk twins[] = {{.label = TEXT("Hard disk"), .position = 0},
                                 {.label = TEXT("Hard disk"), .position = 1}};
    struct manifest_check c = with_disks();
    c.vm.nics = two_nics;
    c.vm.n_nics = 2;
    c.vm.boot_keys = keys;
    c.vm.n_boot_keys = 1;
    c.mapping.disks = rules;
    c.mapping.n_disks = 2;
    expect_boot(&c, "1:disk-2 3:disk-0");
    manifest_check_origin(&c, DEVICES "disks.2.bootOrder", VF_ORIGIN_OPTION, "boot");
    manifest_check_concern(&c, "disk.boot-order", NULL);
    /* One rule may find two disks: admission wants numbers that differ. */
    rules[0].disk = TEXT("Hard disk");
    c.mapping.n_disks = 1;
    c.vm.disks = twins;
    c.vm.n_disks = 2;
    expect_boot(&c, "1:disk-0 2:disk-1");
    manifest_check_concern(&c, "disk.boot-order", "disk-1 is told to be number 1");
    manifest_check_release(&c);
}

static void test_drives__cdroms_are_kept_as_told(void **state)
{
    (void)state;
    struct vf_iso_rule iso = {.file = TEXT("*install*"), .claim = TEXT("iso")};
    struct manifest_check c = manifest_check_linux();
    c.vm.cdroms = two_drives;
    c.vm.n_cdroms = 2;
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "disks", NULL);
    manifest_check_concern(&c, "cdrom.iso-lost", "\"[ds1] iso/install [v1].iso\"");
    manifest_check_concern(&c, "cdrom.empty", NULL);
    c.mapping.cdroms = VF_CDROMS_EMPTY;
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "disks",
                          "[{\"name\":\"cdrom-0\",\"cdrom\":{\"bus\":\"sata\"}},"
                          "{\"name\":\"cdrom-1\",\"cdrom\":{\"bus\":\"sata\"}}]");
    manifest_check_expect(&c, SPEC "volumes", NULL);
    manifest_check_concern(&c, "cdrom.iso-lost", "install");
    manifest_check_concern(&c, "cdrom.empty", "2 CD-ROM drives");
    c.mapping.cdroms = VF_CDROMS_KEEP;
    manifest_check_build(&c);
    manifest_check_concern(&c, "cdrom.iso-lost", "no claim is named");
    c.mapping.isos = &iso;
    c.mapping.n_isos = 1;
    manifest_check_build(&c);
    manifest_check_concern(&c, "cdrom.iso-lost", NULL);
    manifest_check_concern(&c, "cdrom.empty", "1 CD-ROM drive ");
    manifest_check_expect(
        &c, SPEC "volumes",
        "[{\"name\":\"cdrom-1\",\"persistentVolumeClaim\":{\"claimName\":\"iso\"}}]");
    manifest_check_origin(&c, SPEC "volumes.0", VF_ORIGIN_OPTION, "ISO");
    manifest_check_concern(&c, "mapping.iso-unused", NULL);
    iso.file = TEXT("[ds1] iso/*");
    manifest_check_build(&c);
    manifest_check_concern(&c, "cdrom.iso-lost", NULL);
    manifest_check_concern(&c, "mapping.iso-unused", NULL);
    iso.file = TEXT("[d] iso/*");
    manifest_check_build(&c);
    manifest_check_concern(&c, "cdrom.iso-lost", "no claim is named");
    manifest_check_concern(&c, "mapping.iso-unused", "\"[d] iso/*\"");
    manifest_check_release(&c);
}

/* '1' for each disk with a thread of its own. */
static void expect_threads(struct manifest_check *c, const char *want)
{
    manifest_check_build(c);
    for (size_t i = 0; i < c->vm.n_disks; i++) {
        char *path = vf_xasprintf(DEVICES "disks.%zu.dedicatedIOThread", i);
        manifest_check_expect(c, path, want[i] == '1' ? "true" : NULL);
        free(path);
    }
    manifest_check_expect(c, DOMAIN "ioThreadsPolicy", NULL);
}

static void test_drives__large_disks_have_threads(void **state)
{
    (void)state;
    struct vf_disk_rule rules[] = {{.disk = TEXT("0"), .io_thread = VF_YES},
                                   {.disk = TEXT("2"), .io_thread = VF_NO}};
    struct manifest_check c = with_disks(); /* 60, 200 and 300 GiB */
    expect_threads(&c, "000");
    c.vm.cpus = 4;
    expect_threads(&c, "011");
    c.vm.n_disks = 1;
    expect_threads(&c, "0");
    c.vm.n_disks = 3;
    c.mapping.disks = rules;
    c.mapping.n_disks = 2;
    expect_threads(&c, "110");
    manifest_check_origin(&c, DEVICES "disks.0.dedicatedIOThread", VF_ORIGIN_OPTION, "ioThread");
    manifest_check_origin(&c, DEVICES "disks.1.dedicatedIOThread", VF_ORIGIN_DEFAULT, "large");
    c.vm.cpus = 2;
    expect_threads(&c, "100");
    /* KubeVirt denies them on any other bus. */
    c.mapping.disk_bus = TEXT("scsi");
    expect_threads(&c, "000");
    manifest_check_concern(&c, "disk.io-thread", "disk 0");
    manifest_check_release(&c);

    /* Half of the CPUs, the largest first. */
    struct vf_vm_disk disks[6];
    for (uint32_t i = 0; i < 6; i++) {
        disks[i] = (struct vf_vm_disk){.capacity_bytes = (100 + i) * GIB, .position = i};
    }
    struct manifest_check many = manifest_check_linux();
    many.vm.disks = disks;
    many.vm.n_disks = 6;
    many.vm.cpus = 6;
    expect_threads(&many, "000111");
    many.vm.cpus = 64;
    expect_threads(&many, "111111");
    manifest_check_release(&many);
}

static void test_drives__serial_is_what_the_guest_can_see(void **state)
{
    (void)state;
    static const struct {
        const char *bus, *uuid, *told, *want;
    } rows[] = {
        {"virtio", "6000C29a-5e1f-0b7c-9d2e-1b2c3d4e5f60", NULL, "\"6000c29a5e1f0b7c9d2e\""},
        {"sata", "6000C29a-5e1f-0b7c-9d2e-1b2c3d4e5f60", NULL, "\"6000c29a5e1f0b7c9d2e\""},
        {"scsi", "6000C29a-5e1f-0b7c-9d2e-1b2c3d4e5f60", NULL,
         "\"6000c29a5e1f0b7c9d2e1b2c3d4e5f60\""},
        {"scsi", "6000C29a-5e1f-0b7c-9d2e-1b2c3d4e5f60", "WD-1", "\"WD-1\""},
        {"scsi", "6000C29a-5e1f", NULL, NULL},
        {"scsi", "6000C29a-5e1f-0b7c-9d2e-1b2c3d4e5f60 or 1=1", NULL, NULL},
        {"virtio", NULL, NULL, NULL},
        {"virtio", NULL, "x", "\"x\""},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct vf_vm_disk disk = {.capacity_bytes = GIB, .uuid = TEXT(rows[i].uuid)};
        struct vf_disk_rule rule = {.disk = TEXT("0"), .serial = TEXT(rows[i].told)};
        struct manifest_check c = manifest_check_linux();
        c.vm.disks = &disk;
        c.vm.n_disks = 1;
        c.mapping.disk_bus = TEXT(rows[i].bus);
        c.mapping.disks = &rule;
        c.mapping.n_disks = 1;
        manifest_check_build(&c);
        manifest_check_expect(&c, DEVICES "disks.0.serial", rows[i].want);
        manifest_check_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drives__bus_is_the_nearest_that_is_told),
        cmocka_unit_test(test_drives__more_disks_than_ports_are_on_scsi),
        cmocka_unit_test(test_drives__disks_of_both_lists_keep_their_order),
        cmocka_unit_test(test_drives__raw_device_mapping_is_as_decided),
        cmocka_unit_test(test_drives__shared_disk_wants_a_shared_block_claim),
        cmocka_unit_test(test_drives__storage_is_of_disk_datastore_or_all),
        cmocka_unit_test(test_drives__boot_order_is_the_sources),
        cmocka_unit_test(test_drives__boot_order_that_is_told_is_all),
        cmocka_unit_test(test_drives__cdroms_are_kept_as_told),
        cmocka_unit_test(test_drives__large_disks_have_threads),
        cmocka_unit_test(test_drives__serial_is_what_the_guest_can_see),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
