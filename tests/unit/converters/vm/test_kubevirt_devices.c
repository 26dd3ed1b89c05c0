#include "converters/vm/kubevirt_devices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/manifest_check.h"

static void test_devices__what_has_no_counterpart_is_told(void **state)
{
    (void)state;
    static const struct {
        enum vf_device_kind kind;
        const char *id;
    } rows[] = {
        {VF_DEVICE_PCI_PASSTHROUGH, "device.pci-passthrough"},
        {VF_DEVICE_VGPU, "device.vgpu"},
        {VF_DEVICE_USB, "device.usb"},
        {VF_DEVICE_SERIAL, "device.serial"},
        {VF_DEVICE_PARALLEL, "device.parallel"},
        {VF_DEVICE_FLOPPY, "device.floppy"},
        {VF_DEVICE_SOUND, "device.sound"},
        {VF_DEVICE_NVDIMM, "device.nvdimm"},
        {VF_DEVICE_WATCHDOG, "device.watchdog"},
        {VF_DEVICE_3D, "device.3d"},
        {VF_DEVICE_OTHER, "device.left-out"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_vm_device devices[] = {
            {.kind = VF_DEVICE_USB_CONTROLLER, .label = TEXT("USB xHCI controller")},
            {.kind = rows[i].kind, .label = TEXT("Thing 1")}};
        struct manifest_check c = manifest_check_linux();
        c.vm.devices = devices;
        c.vm.n_devices = 2;
        manifest_check_build(&c);
        assert_int_equal(c.made.concerns.n_items, 1);
        manifest_check_concern(&c, rows[i].id, "\"Thing 1\" is not carried");
        manifest_check_release(&c);
    }
}

static void test_devices__drivers_that_a_guest_may_lack(void **state)
{
    (void)state;
    static const struct {
        const char *guest;
        const char *bus, *model, *id, *part;
    } rows[] = {
        {"windows9_64Guest", NULL, NULL, "guest.windows-slow", "sata"},
        {"windows9_64Guest", "sata", NULL, "guest.windows-slow", NULL},
        {"windows9_64Guest", NULL, NULL, "guest.windows-drivers", NULL},
        {"windows9_64Guest", "virtio", NULL, "guest.windows-drivers", "virtio"},
        {"windows9_64Guest", "scsi", NULL, "guest.windows-drivers", "scsi disks"},
        {"windows9_64Guest", NULL, "virtio", "guest.windows-drivers", "NICs"},
        {"rhel9_64Guest", NULL, NULL, "guest.boot-image", "virtio disk"},
        {"rhel9_64Guest", "sata", NULL, "guest.boot-image", "sata disk"},
        {"ubuntu64Guest", NULL, NULL, "guest.boot-image", NULL},
        {"rhel6_64Guest", NULL, NULL, "guest.boot-image", NULL},
    };
    struct vf_vm_disk disk = {.capacity_bytes = GIB};
    struct vf_vm_nic nic = {.mac = TEXT("00:50:56:9a:11:01"), .start_connected = true};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.disks = &disk;
        c.vm.n_disks = 1;
        c.vm.nics = &nic;
        c.vm.n_nics = 1;
        c.vm.guest_id = TEXT(rows[i].guest);
        c.mapping.disk_bus = TEXT(rows[i].bus);
        c.mapping.nic_model = TEXT(rows[i].model);
        manifest_check_build(&c);
        manifest_check_concern(&c, rows[i].id, rows[i].part);
        manifest_check_release(&c);
    }
}

static void test_devices__tpm_as_the_source_or_told(void **state)
{
    (void)state;
    static const struct {
        bool has, windows;
        enum vf_tristate told;
        const char *preference, *want;
    } rows[] = {
        {false, false, VF_UNSET, NULL, NULL},
        {true, false, VF_UNSET, NULL, "{\"persistent\":true}"},
        {true, false, VF_NO, NULL, NULL},
        {false, false, VF_YES, NULL, "{\"persistent\":true}"},
        {false, true, VF_UNSET, "windows.11", "{\"enabled\":false}"},
        {false, false, VF_UNSET, "ubuntu", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.has_vtpm = rows[i].has;
        c.vm.guest_id = TEXT(rows[i].windows ? "windows11_64Guest" : "ubuntu64Guest");
        c.mapping.tpm = rows[i].told;
        c.mapping.preference = TEXT(rows[i].preference);
        manifest_check_build(&c);
        manifest_check_expect(&c, DEVICES "tpm", rows[i].want);
        manifest_check_release(&c);
    }
}

static void test_devices__by_the_family_and_age_of_the_guest(void **state)
{
    (void)state;
    struct manifest_check c = manifest_check_linux();
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "rng", "{}");
    manifest_check_expect(&c, DEVICES "inputs", NULL);
    manifest_check_expect(&c, DEVICES "useVirtioTransitional", NULL);
    c.vm.guest_id = TEXT("centos6_64Guest");
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "useVirtioTransitional", "true");
    manifest_check_origin(&c, DEVICES "useVirtioTransitional", VF_ORIGIN_OS, "row \"centos6\"");
    /* A row that is named goes before what the source says. */
    c.mapping.os = TEXT("win2k22");
    manifest_check_build(&c);
    manifest_check_expect(&c, DEVICES "rng", NULL);
    manifest_check_expect(&c, DEVICES "inputs.0.type", "\"tablet\"");
    manifest_check_release(&c);
}

/* Nothing that is written about devices, networks and volumes lacks its reason. */
static void test_devices__every_field_says_where_it_comes_from(void **state)
{
    (void)state;
    struct vf_vm_address address = {
        .ip = TEXT("10.1.2.3"), .prefix_len = 24, .origin = VF_ADDRESS_STATIC};
    struct vf_vm_disk disks[] = {
        {.capacity_bytes = 200 * GIB, .uuid = TEXT("6000C29a-5e1f-0b7c-9d2e-1b2c3d4e5f60")},
        {.capacity_bytes = 300 * GIB, .shared = true, .position = 1}};
    struct vf_vm_nic nics[] = {{.mac = TEXT("00:50:56:9a:11:01"), .network = TEXT("lan")},
                               {.mac = TEXT("00:50:56:9a:11:02"),
                                .network = TEXT("dmz"),
                                .addresses = &address,
                                .n_addresses = 1}};
    struct vf_vm_cdrom cdrom = {.kind = VF_CDROM_EMPTY};
    struct manifest_check c = manifest_check_linux();
    c.vm.disks = disks;
    c.vm.n_disks = 2;
    c.vm.nics = nics;
    c.vm.n_nics = 2;
    c.vm.cdroms = &cdrom;
    c.vm.n_cdroms = 1;
    c.vm.cpus = 8;
    c.vm.has_vtpm = true;
    c.vm.guest_id = TEXT("rhel6_64Guest");
    c.mapping.cdroms = VF_CDROMS_EMPTY;
    c.mapping.addresses = VF_ADDRESSES_CLOUD_INIT;
    c.options.handover = VF_HANDOVER_ADOPT;
    manifest_check_build(&c);
    struct vf_explained *list = NULL;
    size_t n = 0, n_seen = 0;
    vf_origins_explain(c.made.origins, c.made.documents[c.made.n_documents - 1], &list, &n);
    for (size_t i = 0; i < n; i++) {
        bool ours = strncmp(list[i].path, DEVICES, strlen(DEVICES)) == 0 ||
                    strncmp(list[i].path, SPEC "volumes", strlen(SPEC "volumes")) == 0 ||
                    strncmp(list[i].path, SPEC "networks", strlen(SPEC "networks")) == 0;
        n_seen += ours;
        if (ours && !*list[i].text) {
            fail_msg("%s does not say where it comes from", list[i].path);
        }
    }
    assert_true(n_seen > 25);
    vf_explained_free(list, n);
    manifest_check_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_devices__what_has_no_counterpart_is_told),
        cmocka_unit_test(test_devices__drivers_that_a_guest_may_lack),
        cmocka_unit_test(test_devices__tpm_as_the_source_or_told),
        cmocka_unit_test(test_devices__by_the_family_and_age_of_the_guest),
        cmocka_unit_test(test_devices__every_field_says_where_it_comes_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
