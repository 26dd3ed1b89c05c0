/* What the mapping tells becomes findings. */
#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "converters/vm/ovf.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/check_world.h"

static struct vf_vm *vm(struct check_world *w)
{
    return &w->vms[0];
}

static void map_disk(struct check_world *w, const char *rule)
{
    vf_test_check(vf_mapping_add_disk(&w->mapping, rule, NULL) == 0);
}

static void map_network(struct check_world *w, const char *rule)
{
    vf_test_check(vf_network_map_add(&w->mapping.networks, rule, NULL) == 0);
}

/* --- the machine ------------------------------------------------------------------------- */

static void bad_class(struct check_world *w)
{
    vf_replace_string(&w->mapping.storage_class, "No Class");
}

static void good_class(struct check_world *w)
{
    vf_replace_string(&w->mapping.storage_class, "fast");
}

static void no_cpus(struct check_world *w)
{
    vm(w)->cpus = 0;
}

static void no_memory(struct check_world *w)
{
    vm(w)->memory_bytes = 0;
}

static void no_uuid(struct check_world *w)
{
    vf_replace_string(&w->vms[0].bios_uuid, NULL);
}

static void nested(struct check_world *w)
{
    vm(w)->nested_hv = true;
}

static void tpm(struct check_world *w)
{
    vm(w)->has_vtpm = true;
    vm(w)->firmware = VF_FIRMWARE_EFI;
}

static void efi(struct check_world *w)
{
    vm(w)->firmware = VF_FIRMWARE_EFI;
}

static void snapshot(struct check_world *w)
{
    check_world_add_snapshot(vm(w), "before upgrade", 0);
}

static void windows(struct check_world *w)
{
    vf_replace_string(&vm(w)->guest_id, "windows9_64Guest");
    vf_replace_string(&vm(w)->guest_name, "Microsoft Windows 10 (64-bit)");
    vm(w)->family = VF_GUEST_WINDOWS;
}

static void windows_virtio(struct check_world *w)
{
    windows(w);
    vf_replace_string(&w->mapping.disk_bus, "virtio");
}

static void windows_zone(struct check_world *w)
{
    windows(w);
    vf_replace_string(&w->mapping.timezone, "Europe/Zurich");
}

static void rhel(struct check_world *w)
{
    vf_replace_string(&vm(w)->guest_id, "rhel9_64Guest");
}

static void cpu_reserved(struct check_world *w)
{
    vm(w)->cpu_allocation.reservation = 1000;
}

static void cpu_requested(struct check_world *w)
{
    cpu_reserved(w);
    vm(w)->host_cpu_mhz = 2000;
    w->mapping.resources = VF_RESOURCES_SOURCE;
}

static void cpu_limited(struct check_world *w)
{
    vm(w)->cpu_allocation.limit = 1000;
}

static void cpu_limit_kept(struct check_world *w)
{
    cpu_limited(w);
    vm(w)->host_cpu_mhz = 2000;
    w->mapping.resources = VF_RESOURCES_SOURCE;
}

static void memory_reserved(struct check_world *w)
{
    vm(w)->memory_allocation.reservation = (uint64_t)1 << 30;
}

static void memory_requested(struct check_world *w)
{
    memory_reserved(w);
    w->mapping.resources = VF_RESOURCES_SOURCE;
}

static void memory_requested_whole(struct check_world *w)
{
    memory_requested(w);
    vm(w)->memory_allocation.reservation = vm(w)->memory_bytes;
}

static void memory_limited(struct check_world *w)
{
    vm(w)->memory_allocation.limit = (uint64_t)1 << 30;
}

static void instancetype(struct check_world *w)
{
    vf_replace_string(&w->mapping.instancetype, "auto");
}

static void instancetype_too_small(struct check_world *w)
{
    instancetype(w);
    w->vms[0].cpus = w->vms[1].cpus = 100000;
}

static void preference(struct check_world *w)
{
    vf_replace_string(&w->mapping.preference, "auto");
}

static void preference_of_nothing(struct check_world *w)
{
    preference(w);
    vf_replace_string(&vm(w)->guest_id, "netware6Guest");
}

static void long_notes(struct check_world *w)
{
    vm(w)->annotation = vf_xasprintf("%*s", 300000, "the end");
}

static void short_notes(struct check_world *w)
{
    vm(w)->annotation = vf_xstrdup("the end");
}

static void template(struct check_world *w, const char *spec)
{
    w->mapping.template_text =
        vf_xasprintf("apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec: {%s}\n", spec);
}

static void template_instancetype(struct check_world *w)
{
    template(w, "instancetype: {name: u1.small}");
}

static void efi_kept_of_bios(struct check_world *w)
{
    vm(w)->firmware = VF_FIRMWARE_BIOS;
    w->mapping.persistent_efi = VF_YES;
}

static void efi_kept(struct check_world *w)
{
    w->vms[0].firmware = w->vms[1].firmware = VF_FIRMWARE_EFI;
    w->mapping.persistent_efi = VF_YES;
}

static void template_disk(struct check_world *w)
{
    template(w, "template: {spec: {volumes: [{name: scratch, emptyDisk: {capacity: 1Gi}}]}}");
}

static void template_plain(struct check_world *w)
{
    template(w, "template: {spec: {terminationGracePeriodSeconds: 7}}");
}

/* --- disks and drives -------------------------------------------------------------------- */

static void rdm_copied(struct check_world *w)
{
    vm(w)->disks[0].rdm = true;
    w->mapping.rdm = VF_RDM_COPY;
}

static void rdm_lun(struct check_world *w)
{
    vm(w)->disks[0].rdm = true;
    w->mapping.rdm = VF_RDM_LUN;
}

static void rdm_lun_claimed(struct check_world *w)
{
    rdm_lun(w);
    map_disk(w, "0:claim=lun-7");
}

static void attached(struct check_world *w)
{
    map_disk(w, "0:claim=shared");
}

static void skipped(struct check_world *w)
{
    map_disk(w, "0:skip");
}

static void shared(struct check_world *w)
{
    vm(w)->disks[0].shared = true;
}

static void sixty_disks(struct check_world *w)
{
    while (vm(w)->n_disks < 60) {
        char *vf_autofree file = vf_xasprintf("[fast] web01/%zu.vmdk", vm(w)->n_disks);
        check_world_add_disk(vm(w), file);
    }
}

static void sixty_virtio_disks(struct check_world *w)
{
    sixty_disks(w);
    vf_replace_string(&w->mapping.disk_bus, "virtio");
}

static void two_disks(struct check_world *w)
{
    check_world_add_disk(vm(w), "[fast] web01/web01_1.vmdk");
}

/* Labels are a person's to change. */
static void both_first(struct check_world *w)
{
    two_disks(w);
    vf_replace_string(&vm(w)->disks[1].label, "Hard disk 1");
    map_disk(w, "Hard disk 1:boot=1");
}

static void first_and_second(struct check_world *w)
{
    two_disks(w);
    map_disk(w, "0:boot=2");
    map_disk(w, "1:boot=1");
}

static void io_thread_sata(struct check_world *w)
{
    map_disk(w, "0:bus=sata,io-thread=yes");
}

static void io_thread_virtio(struct check_world *w)
{
    map_disk(w, "0:bus=virtio,io-thread=yes");
}

static void iso(struct check_world *w)
{
    vm(w)->cdroms = vf_xcalloc(1, sizeof *vm(w)->cdroms);
    vm(w)->cdroms[0] = (struct vf_vm_cdrom){.label = vf_xstrdup("CD/DVD drive 1"),
                                            .kind = VF_CDROM_ISO,
                                            .file = vf_xstrdup("[fast] iso/debian.iso"),
                                            .bus = VF_BUS_SATA};
    vm(w)->n_cdroms = 1;
}

static void iso_rule(struct check_world *w, const char *file)
{
    iso(w);
    w->mapping.isos = vf_xcalloc(1, sizeof *w->mapping.isos);
    w->mapping.isos[0] =
        (struct vf_iso_rule){.file = vf_xstrdup(file), .claim = vf_xstrdup("image")};
    w->mapping.n_isos = 1;
}

static void iso_typo(struct check_world *w)
{
    iso_rule(w, "[slow] iso/*");
}

static void iso_there(struct check_world *w)
{
    iso_rule(w, "[fast] iso/*");
}

static void empty_drive(struct check_world *w)
{
    iso(w);
    vm(w)->cdroms[0].kind = VF_CDROM_EMPTY;
    vf_replace_string(&vm(w)->cdroms[0].file, NULL);
}

static void empty_drive_kept(struct check_world *w)
{
    empty_drive(w);
    w->mapping.cdroms = VF_CDROMS_EMPTY;
}

/* --- NICs -------------------------------------------------------------------------------- */

static void network_typo(struct check_world *w)
{
    map_network(w, "VM Netwrok=pod");
}

static void disk_typo(struct check_world *w)
{
    map_disk(w, "7:bus=sata");
}

static void disk_there(struct check_world *w)
{
    map_disk(w, "0:bus=sata");
}

/* On which no more than one of the VMs is. */
static void network_of_one(struct check_world *w)
{
    vf_replace_string(&w->vms[1].nics[0].network, "Backup");
    map_network(w, "Backup=backup");
}

static void network_told(struct check_world *w)
{
    map_network(w, "VM Network=pod");
    map_network(w, "Backup=backup");
}

static void ignored(struct check_world *w)
{
    map_network(w, "VM Network=ignore");
}

static void no_mac(struct check_world *w)
{
    vf_replace_string(&vm(w)->nics[0].mac, "junk");
}

static void mac_twice(struct check_world *w)
{
    check_world_add_nic(vm(w), vm(w)->nics[0].mac, "Backup");
}

static void two_nics(struct check_world *w)
{
    check_world_add_nic(vm(w), "00:50:56:9a:00:03", "Backup");
}

static void two_nics_told(struct check_world *w)
{
    two_nics(w);
    map_network(w, "Backup=backup");
}

static void fixed(struct check_world *w)
{
    vm(w)->nics[0].addresses[0].origin = VF_ADDRESS_STATIC;
}

static void fixed_bridged(struct check_world *w)
{
    fixed(w);
    map_network(w, "VM Network=prod/vlan-7");
}

static void fixed_given(struct check_world *w)
{
    fixed_bridged(w);
    w->mapping.addresses = VF_ADDRESSES_CLOUD_INIT;
}

static void sriov_down(struct check_world *w)
{
    vm(w)->nics[0].start_connected = false;
    map_network(w, "VM Network=sriov:prod/vf");
}

static void bridge_down(struct check_world *w)
{
    vm(w)->nics[0].start_connected = false;
    map_network(w, "VM Network=prod/vlan-7");
}

static const struct check_case cases[] = {
    {"mapping.invalid", VF_CRITICAL, "\"No Class\"", bad_class, good_class},
    {"mapping.network-unused", VF_INFORMATION, "VM Netwrok", network_typo, network_of_one},
    {"mapping.iso-unused", VF_INFORMATION, "\"[slow] iso/*\"", iso_typo, iso_there},
    {"mapping.disk-unused", VF_WARNING, "\"7\"", disk_typo, disk_there},
    {"vm.cpu-unknown", VF_WARNING, "CPUs", no_cpus, NULL},
    {"vm.memory-unknown", VF_WARNING, "memory", no_memory, NULL},
    {"vm.identity-new", VF_WARNING, "UUID", no_uuid, NULL},
    {"vm.nested", VF_INFORMATION, "nested", nested, NULL},
    {"vm.tpm", VF_WARNING, "TPM", tpm, efi},
    {"vm.efi-variables", VF_INFORMATION, "EFI", efi, NULL},
    {"mapping.persistent-efi", VF_INFORMATION, "BIOS", efi_kept_of_bios, efi_kept},
    {"vm.snapshots", VF_INFORMATION, "1 snapshot:", snapshot, NULL},
    {"vm.cpu-reservation", VF_INFORMATION, "1000 MHz", cpu_reserved, cpu_requested},
    {"vm.cpu-limit", VF_INFORMATION, "1000 MHz", cpu_limited, cpu_limit_kept},
    {"vm.memory-reservation", VF_INFORMATION, "1024 MB", memory_reserved, memory_requested},
    {"vm.memory-limit", VF_INFORMATION, "1024 MB", memory_limited, memory_reserved},
    {"vm.memory-overcommitted", VF_WARNING, "1Gi", memory_requested, memory_requested_whole},
    {"vm.instancetype", VF_INFORMATION, "instance type", instancetype, preference},
    {"vm.instancetype-none", VF_WARNING, "large enough", instancetype_too_small, instancetype},
    {"vm.preference-none", VF_INFORMATION, "Ubuntu", preference_of_nothing, preference},
    {"vm.annotations-cut", VF_WARNING, "longer", long_notes, short_notes},
    {"mapping.template-instancetype", VF_INFORMATION, "template", template_instancetype,
     template_plain},
    {"mapping.template-added", VF_INFORMATION, "scratch of volumes", template_disk, template_plain},
    {"guest.windows-drivers", VF_WARNING, "virtio-win", windows_virtio, windows},
    {"guest.windows-slow", VF_INFORMATION, "sata", windows, windows_virtio},
    {"guest.timezone", VF_INFORMATION, "time", windows, windows_zone},
    {"guest.boot-image", VF_WARNING, "initramfs", rhel, windows},
    {"guest.cloud-init", VF_INFORMATION, "cloud-init", fixed_given, fixed_bridged},
    {"disk.rdm", VF_WARNING, "copied", rdm_copied, rdm_lun},
    {"disk.lun-unclaimed", VF_CRITICAL, "no claim", rdm_lun, rdm_lun_claimed},
    {"disk.lun", VF_WARNING, "lun-7", rdm_lun_claimed, rdm_lun},
    {"disk.attached", VF_INFORMATION, "\"shared\"", attached, skipped},
    {"disk.left-out", VF_WARNING, "left out", skipped, attached},
    {"disk.shared", VF_WARNING, "shared", shared, NULL},
    {"disk.many", VF_WARNING, "60 disks", sixty_disks, two_disks},
    {"disk.many-virtio", VF_WARNING, "60 disks", sixty_virtio_disks, sixty_disks},
    {"disk.boot-order", VF_WARNING, "disk-1", both_first, first_and_second},
    {"disk.io-thread", VF_INFORMATION, "sata", io_thread_sata, io_thread_virtio},
    {"cdrom.iso-lost", VF_WARNING, "debian.iso", iso, empty_drive},
    {"cdrom.empty", VF_WARNING, "DeclarativeHotplugVolumes", empty_drive_kept, empty_drive},
    {"nic.mac-lost", VF_WARNING, "new MAC", no_mac, NULL},
    {"nic.mac-twice", VF_WARNING, "same MAC", mac_twice, two_nics},
    {"nic.network-guessed", VF_WARNING, "\"Backup\"", two_nics, two_nics_told},
    {"nic.left-out", VF_INFORMATION, "left out", ignored, network_told},
    {"nic.address-lost", VF_WARNING, "10.0.0.7", fixed, fixed_bridged},
    {"nic.address-static", VF_INFORMATION, "10.0.0.7", fixed_bridged, fixed_given},
    {"nic.link-up", VF_INFORMATION, "power-on", sriov_down, bridge_down},
};

static void test_rules_mapping__each_is_told_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

static void test_rules_mapping__each_lost_device_is_told(void **state)
{
    (void)state;
    static const struct {
        enum vf_device_kind kind;
        const char *id; /* NULL: nothing is lost */
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
        {VF_DEVICE_USB_CONTROLLER, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct check_world w;
        check_world_init(&w);
        check_world_add_device(&w.vms[1], rows[i].kind, "the device");
        check_world_judge(&w);
        size_t found = 0;
        for (size_t k = 0; k < w.findings.n_items; k++) {
            const struct vf_finding *f = &w.findings.items[k];
            if (strncmp(f->rule->id, "device.", 7) == 0) {
                assert_string_equal(f->rule->id, rows[i].id ? rows[i].id : "none");
                assert_non_null(strstr(f->message, "the device"));
                found++;
            }
        }
        assert_int_equal(found, rows[i].id ? 1 : 0);
        check_world_release(&w);
    }
}

/* Not even what has no row is lost. */
static void test_rules_mapping__a_concern_without_a_row_is_told(void **state)
{
    (void)state;
    struct check_world w;
    struct vf_concerns concerns = {0};
    check_world_init(&w);
    check_world_judge(&w);
    assert_null(check_world_find(&w, "mapping.other"));
    const struct vf_judge j = {.options = &w.check, .facts = &w.facts, .findings = &w.findings};
    vf_concerns_add(&concerns, "no.such-rule", "something is %s", "otherwise");
    vf_concerns_add(&concerns, "disk.encrypted", "which a rule has found by itself");
    size_t before = w.findings.n_items;
    vf_judge_concerns(&j, &concerns);
    assert_int_equal(w.findings.n_items, before + 1);
    assert_string_equal(check_world_find(&w, "mapping.other")->message,
                        "something is otherwise (no.such-rule)");
    vf_concerns_release(&concerns);
    check_world_release(&w);
}

/* Those of packages, which have no VM that could be checked at vSphere. */
static void test_rules_mapping__concerns_of_a_package_have_rows(void **state)
{
    (void)state;
    static const char text[] =
        "<Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\""
        " xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\""
        " xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
        "CIM_ResourceAllocationSettingData\"><References/>"
        "<DiskSection><Info/><Disk ovf:diskId=\"d1\" ovf:capacity=\"1048576\"/></DiskSection>"
        "<DeploymentOptionSection><Info/><Configuration ovf:id=\"small\"/>"
        "</DeploymentOptionSection>"
        "<VirtualSystem ovf:id=\"v\"><Info/><VirtualHardwareSection><Info/>"
        "</VirtualHardwareSection></VirtualSystem></Envelope>";
    static const char *const ids[] = {"ovf.deployment-option", "disk.unattached"};
    struct vf_ovf ovf;
    struct vf_error *e = NULL;
    if (vf_ovf_parse(text, sizeof text - 1, "test", &ovf, &e) != 0) {
        fail_msg("%s", vf_error_message(e));
    }
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        bool told = false;
        for (size_t k = 0; k < ovf.concerns.n_items; k++) {
            told = told || strcmp(ovf.concerns.items[k].id, ids[i]) == 0;
        }
        assert_true(told);
        assert_non_null(vf_rule_find(ids[i]));
    }
    vf_ovf_release(&ovf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_mapping__each_is_told_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_mapping__each_lost_device_is_told),
        cmocka_unit_test(test_rules_mapping__a_concern_without_a_row_is_told),
        cmocka_unit_test(test_rules_mapping__concerns_of_a_package_have_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
