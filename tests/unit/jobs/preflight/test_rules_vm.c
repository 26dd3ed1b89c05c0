#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/vsphere/notes.h"
#include "tests/support/check_world.h"

/* State. */

static void disconnected(struct check_world *w)
{
    w->vms[0].connection = VF_CONNECTION_DISCONNECTED;
}

static void orphaned(struct check_world *w)
{
    w->vms[0].connection = VF_CONNECTION_ORPHANED;
}

static void inaccessible(struct check_world *w)
{
    w->vms[0].connection = VF_CONNECTION_INACCESSIBLE;
}

static void invalid(struct check_world *w)
{
    w->vms[0].connection = VF_CONNECTION_INVALID;
}

static void connection_unknown(struct check_world *w)
{
    w->vms[0].connection = VF_CONNECTION_UNKNOWN;
}

/* As vCenter tells a VM whose configuration it cannot read: its name and its state. */
static void nothing_told(struct vf_vm *vm)
{
    struct vf_vm told = {.name = vf_take(vm->name),
                         .moref = vf_take(vm->moref),
                         .power = vm->power,
                         .connection = vm->connection};
    vf_vm_release(vm);
    *vm = told;
}

static void unreadable(struct check_world *w)
{
    nothing_told(&w->vms[1]);
}

static void inaccessible_untold(struct check_world *w)
{
    nothing_told(&w->vms[0]);
    inaccessible(w);
}

static void suspended(struct check_world *w)
{
    w->vms[1].power = VF_POWER_SUSPENDED;
}

static void asks(struct check_world *w)
{
    w->vms[0].question = vf_xstrdup("did you move or copy it?");
}

static void template(struct check_world *w)
{
    w->vms[1].template = true;
}

static void encrypted(struct check_world *w)
{
    w->vms[0].encrypted = w->vms[0].has_vtpm = true;
}

static void has_vtpm(struct check_world *w)
{
    w->vms[0].has_vtpm = true;
}

static void fault_tolerant(struct check_world *w)
{
    w->vms[0].fault_tolerant = true;
}

static void migrated(struct check_world *w)
{
    w->vms[1].annotation = vf_notes_compose("web server", "moved to KubeVirt");
}

static void noted(struct check_world *w)
{
    w->vms[1].annotation = vf_xstrdup("moved here by vmferry");
}

static void no_disks(struct check_world *w)
{
    vf_mapping_add_disk(&w->mapping, "0:skip", NULL);
}

static void firmware_unknown(struct check_world *w)
{
    w->vms[0].firmware = VF_FIRMWARE_UNKNOWN;
}

static void secure_boot(struct check_world *w)
{
    w->vms[0].firmware = VF_FIRMWARE_EFI;
    w->vms[0].secure_boot = true;
}

static void secure_boot_off(struct check_world *w)
{
    secure_boot(w);
    w->mapping.secure_boot = VF_NO;
}

static void efi(struct check_world *w)
{
    w->vms[0].firmware = VF_FIRMWARE_EFI;
}

static void name_empty(struct check_world *w)
{
    vf_replace_string(&w->vms[0].name, "");
}

static void name_changed(struct check_world *w)
{
    vf_replace_string(&w->vms[0].name, "Web Server 01");
}

static void name_none(struct check_world *w)
{
    w->facts.names = vf_xcalloc(CHECK_WORLD_VMS, sizeof(char *));
    w->facts.names[1] = vf_xstrdup("db01");
}

/* Tracking, snapshots, tools. */

static void warm(struct check_world *w)
{
    w->check.warm = true;
}

static void old_hardware(struct check_world *w)
{
    w->check.warm = true;
    w->vms[0].cbt_enabled = false;
    vf_replace_string(&w->vms[0].hardware, "vmx-04");
}

static void old_hardware_cold(struct check_world *w)
{
    old_hardware(w);
    w->check.warm = false;
}

static void untracked(struct check_world *w)
{
    w->check.warm = true;
    w->vms[0].cbt_enabled = false;
    vf_replace_string(&w->vms[0].disks[0].change_id, NULL);
}

static void untracked_cold(struct check_world *w)
{
    untracked(w);
    w->check.warm = false;
}

static void untracked_snapshots(struct check_world *w)
{
    untracked(w);
    check_world_add_snapshot(&w->vms[0], "before upgrade", 0);
}

static void tracked_snapshots(struct check_world *w)
{
    w->check.warm = true;
    check_world_add_snapshot(&w->vms[0], "before upgrade", 0);
}

static void one_untracked(struct check_world *w)
{
    w->check.warm = true;
    check_world_add_disk(&w->vms[0], "[fast] web01/web01_1.vmdk");
    vf_replace_string(&w->vms[0].disks[1].change_id, NULL);
}

static void all_tracked(struct check_world *w)
{
    w->check.warm = true;
    check_world_add_disk(&w->vms[0], "[fast] web01/web01_1.vmdk");
}

static void four_deep(struct check_world *w)
{
    for (int32_t i = 0; i < 4; i++) {
        check_world_add_snapshot(&w->vms[0], "s", i);
    }
}

/* Three deep, and as wide. */
static void three_deep(struct check_world *w)
{
    for (int32_t i = 0; i < 9; i++) {
        check_world_add_snapshot(&w->vms[0], "s", i / 3);
    }
}

static void leftover(struct check_world *w)
{
    check_world_add_snapshot(&w->vms[0], "vmferry-warm-20261122-1", 0);
}

static void alike(struct check_world *w)
{
    check_world_add_snapshot(&w->vms[0], "before vmferry", 0);
}

static void https_snapshots(struct check_world *w)
{
    w->check.transport.kind = VF_TRANSPORT_HTTPS;
    check_world_add_snapshot(&w->vms[0], "before upgrade", 0);
}

static void nfc_snapshots(struct check_world *w)
{
    w->check.transport.kind = VF_TRANSPORT_NFC;
    check_world_add_snapshot(&w->vms[0], "before upgrade", 0);
}

static void passthrough(struct check_world *w)
{
    check_world_add_device(&w->vms[0], VF_DEVICE_PCI_PASSTHROUGH, "PCI device 0");
}

static void passthrough_off(struct check_world *w)
{
    check_world_add_device(&w->vms[1], VF_DEVICE_PCI_PASSTHROUGH, "PCI device 0");
}

static void consolidate(struct check_world *w)
{
    w->vms[0].consolidation_needed = true;
}

static void no_tools(struct check_world *w)
{
    w->check.warm = true;
    w->vms[0].tools = VF_TOOLS_NOT_INSTALLED;
}

static void no_tools_off(struct check_world *w)
{
    w->check.warm = true;
    w->vms[1].tools = VF_TOOLS_NOT_INSTALLED;
}

static void tools_stopped(struct check_world *w)
{
    w->check.warm = true;
    w->vms[0].tools = VF_TOOLS_NOT_RUNNING;
}

static void old_tools(struct check_world *w)
{
    w->vms[0].tools_outdated = true;
}

/* CPU, memory. */

static void affinity(struct check_world *w)
{
    w->vms[0].cpu_affinity = true;
}

static void affinity_kept(struct check_world *w)
{
    w->vms[0].cpu_affinity = w->mapping.dedicated_cpus = true;
}

static void numa(struct check_world *w)
{
    w->vms[0].numa_affinity = true;
}

static void latency(struct check_world *w)
{
    w->vms[0].latency = vf_xstrdup("high");
}

static void latency_normal(struct check_world *w)
{
    w->vms[0].latency = vf_xstrdup("normal");
}

static void cpu_hot_add(struct check_world *w)
{
    w->vms[0].cpu_hot_add = VF_YES;
}

static void memory_hot_add(struct check_world *w)
{
    w->vms[0].memory_hot_add = VF_YES;
}

static void evc(struct check_world *w)
{
    w->vms[0].evc_mode = vf_xstrdup("intel-skylake");
}

static void evc_named(struct check_world *w)
{
    evc(w);
    vf_replace_string(&w->mapping.cpu_model, "Skylake-Server");
}

static void three_cpus(struct check_world *w)
{
    w->vms[0].cpus = 3;
}

static void many_cpus(struct check_world *w)
{
    w->vms[0].cpus = 256;
}

static void many_cpus_not_too(struct check_world *w)
{
    w->vms[0].cpus = 255;
    w->vms[0].cores_per_socket = 5;
}

static void memory_odd(struct check_world *w)
{
    w->vms[0].memory_bytes += (uint64_t)1 << 20;
}

static const struct check_case cases[] = {
    {"vm.disconnected", VF_CRITICAL, "host \"esx1\"", disconnected, connection_unknown},
    {"vm.orphaned", VF_CRITICAL, "no host knows", orphaned, disconnected},
    {"vm.inaccessible", VF_CRITICAL, "files", inaccessible, orphaned},
    {"vm.invalid", VF_CRITICAL, "configuration", invalid, inaccessible},
    {"vm.unreadable", VF_CRITICAL, "neither", unreadable, inaccessible_untold},
    {"vm.suspended", VF_CRITICAL, "suspended", suspended, NULL},
    {"vm.question", VF_CRITICAL, "did you move", asks, NULL},
    {"vm.template", VF_WARNING, "template", template, NULL},
    {"vm.encrypted", VF_WARNING, "virtual TPM", encrypted, has_vtpm},
    {"vm.fault-tolerance", VF_CRITICAL, "fault tolerance", fault_tolerant, NULL},
    {"vm.migrated", VF_WARNING, "migrated already", migrated, noted},
    {"vm.disks-none", VF_WARNING, "left out", no_disks, NULL},
    {"vm.firmware-unknown", VF_WARNING, "BIOS is assumed", firmware_unknown, efi},
    {"vm.secure-boot", VF_INFORMATION, "keys", secure_boot, efi},
    {"vm.secure-boot", VF_INFORMATION, "keys", secure_boot, secure_boot_off},
    {"vm.name-empty", VF_WARNING, "has no name", name_empty, name_changed},
    {"vm.name-changed", VF_INFORMATION, "web-server-01", name_changed, name_empty},
    {"vm.name-none", VF_CRITICAL, "no name is free", name_none, NULL},
    {"cbt.unsupported", VF_CRITICAL, "vmx-04", old_hardware, old_hardware_cold},
    {"cbt.off", VF_CRITICAL, "is off", untracked, untracked_cold},
    {"cbt.snapshots", VF_CRITICAL, "before upgrade", untracked_snapshots, tracked_snapshots},
    {"cbt.disk-untracked", VF_WARNING, "disk 1 (\"Hard disk 2\")", one_untracked, all_tracked},
    {"snapshot.chain", VF_WARNING, "4 deep", four_deep, three_deep},
    {"snapshot.leftover", VF_WARNING, "vmferry-warm-2026", leftover, alike},
    {"snapshot.https", VF_CRITICAL, "1 snapshot:", https_snapshots, nfc_snapshots},
    {"snapshot.passthrough", VF_CRITICAL, "PCI device 0", passthrough, passthrough_off},
    {"snapshot.consolidation", VF_WARNING, "merged", consolidate, NULL},
    {"tools.missing", VF_CRITICAL, "not installed", no_tools, no_tools_off},
    {"tools.stopped", VF_CRITICAL, "do not run", tools_stopped, warm},
    {"tools.outdated", VF_INFORMATION, "upgrade", old_tools, NULL},
    {"cpu.affinity", VF_WARNING, "certain CPUs", affinity, affinity_kept},
    {"cpu.numa-affinity", VF_WARNING, "NUMA", numa, affinity},
    {"cpu.latency", VF_WARNING, "\"high\"", latency, latency_normal},
    {"cpu.hot-plug", VF_INFORMATION, "may be added", cpu_hot_add, memory_hot_add},
    {"cpu.evc", VF_INFORMATION, "intel-skylake", evc, evc_named},
    {"cpu.topology", VF_INFORMATION, "3 CPUs", three_cpus, NULL},
    {"cpu.many", VF_WARNING, "256 CPUs", many_cpus, many_cpus_not_too},
    {"memory.hot-plug", VF_INFORMATION, "memory may be added", memory_hot_add, cpu_hot_add},
    {"memory.odd", VF_INFORMATION, "4296015872 bytes", memory_odd, NULL},
};

static void test_rules_vm__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

/* Milder, or graver, as the case may be. */

static enum vf_severity severity_of(struct check_world *w, const char *id)
{
    check_world_judge(w);
    const struct vf_finding *f = check_world_find(w, id);
    assert_non_null(f);
    enum vf_severity severity = f->severity;
    check_world_release(w);
    return severity;
}

static void test_rules_vm__what_was_permitted_is_no_longer_critical(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    untracked(&w);
    w.check.allow_stun = true;
    assert_int_equal(severity_of(&w, "cbt.off"), VF_INFORMATION);
    check_world_init(&w);
    untracked(&w);
    w.vms[0].power = VF_POWER_OFF;
    assert_int_equal(severity_of(&w, "cbt.off"), VF_INFORMATION);
    check_world_init(&w);
    tools_stopped(&w);
    w.check.hard_power_off = true;
    assert_int_equal(severity_of(&w, "tools.stopped"), VF_WARNING);
    check_world_init(&w);
    no_tools(&w);
    w.check.warm = false;
    assert_int_equal(severity_of(&w, "tools.missing"), VF_WARNING);
}

/* What is not known of its content is not told one by one. */
static void test_rules_vm__of_an_unreadable_vm_only_that_is_told(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    inaccessible_untold(&w);
    unreadable(&w);
    check_world_judge(&w);
    assert_int_equal(w.findings.n_items, 2);
    assert_string_equal(w.findings.items[0].rule->id, "vm.inaccessible");
    assert_string_equal(w.findings.items[1].rule->id, "vm.unreadable");
    check_world_release(&w);
}

/* As the migration has it: one disk that is tracked proves that tracking is at work; with none, the
 * VM has to stand still for it to begin. */
static void test_rules_vm__tracking_that_waits_is_told(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    one_untracked(&w);
    check_world_judge(&w);
    assert_null(check_world_find(&w, "cbt.off"));
    assert_non_null(check_world_find(&w, "cbt.disk-untracked"));
    check_world_release(&w);
    check_world_init(&w);
    warm(&w);
    vf_replace_string(&w.vms[0].disks[0].change_id, NULL);
    check_world_judge(&w);
    assert_non_null(strstr(check_world_find(&w, "cbt.off")->message, "not at work yet"));
    assert_null(check_world_find(&w, "cbt.disk-untracked"));
    check_world_release(&w);
}

static void test_rules_vm__what_is_worse_than_usual_is_critical(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    template(&w);
    w.check.warm = true;
    assert_int_equal(severity_of(&w, "vm.template"), VF_CRITICAL);
    check_world_init(&w);
    for (int32_t i = 0; i < 32; i++) {
        check_world_add_snapshot(&w.vms[0], "s", i);
    }
    assert_int_equal(severity_of(&w, "snapshot.chain"), VF_CRITICAL);
    check_world_init(&w);
    w.vms[1].fault_tolerant = true;
    assert_int_equal(severity_of(&w, "vm.fault-tolerance"), VF_INFORMATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_vm__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_vm__what_was_permitted_is_no_longer_critical),
        cmocka_unit_test(test_rules_vm__of_an_unreadable_vm_only_that_is_told),
        cmocka_unit_test(test_rules_vm__tracking_that_waits_is_told),
        cmocka_unit_test(test_rules_vm__what_is_worse_than_usual_is_critical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
