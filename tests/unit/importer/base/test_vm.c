#include <vmferry/vm.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "importer/base/mem.h"

static void test_vm_sort_disks__in_the_order_of_the_guest(void **state)
{
    (void)state;
    struct vf_vm_disk disks[] = {
        {.key = 1, .bus = VF_BUS_UNKNOWN},
        {.key = 2, .bus = VF_BUS_NVME},
        {.key = 3, .bus = VF_BUS_SCSI, .bus_number = 1},
        {.key = 4, .bus = VF_BUS_SCSI, .unit_number = 10},
        {.key = 5, .bus = VF_BUS_SCSI, .unit_number = 2},
        {.key = 6, .bus = VF_BUS_IDE},
        {.key = 7, .bus = VF_BUS_SATA, .bus_number = 3},
        {.key = 0, .bus = VF_BUS_UNKNOWN},
    };
    static const int32_t order[] = {7, 6, 5, 4, 3, 2, 0, 1};
    struct vf_vm vm = {.disks = disks, .n_disks = sizeof disks / sizeof disks[0]};
    vf_vm_sort_disks(&vm);
    for (size_t i = 0; i < vm.n_disks; i++) {
        assert_int_equal(disks[i].key, order[i]);
    }
    vf_vm_sort_disks(&(struct vf_vm){0});
}

static void test_vm_sort_cdroms__as_the_guest_counts_them(void **state)
{
    (void)state;
    struct vf_vm_cdrom cdroms[] = {
        {.key = 5, .bus = VF_BUS_UNKNOWN, .bus_number = -1, .unit_number = -1},
        {.key = 4, .bus = VF_BUS_IDE, .bus_number = 1, .unit_number = 0},
        {.key = 3, .bus = VF_BUS_IDE, .bus_number = 0, .unit_number = 1},
        {.key = 1, .bus = VF_BUS_SATA, .bus_number = 0, .unit_number = 9},
        {.key = 2, .bus = VF_BUS_SATA, .bus_number = 1, .unit_number = 0},
    };
    struct vf_vm vm = {.cdroms = cdroms, .n_cdroms = sizeof cdroms / sizeof cdroms[0]};
    vf_vm_sort_cdroms(&vm);
    for (size_t i = 0; i < vm.n_cdroms; i++) {
        assert_int_equal(cdroms[i].key, i + 1);
    }
    vf_vm_sort_cdroms(&(struct vf_vm){0});
}

static void test_vm_guest_family__by_id_then_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *id, *name;
        enum vf_guest_family family;
    } cases[] = {
        {"windows2019srv_64Guest", NULL, VF_GUEST_WINDOWS},
        {"winXPProGuest", NULL, VF_GUEST_WINDOWS},
        {"ubuntu64Guest", NULL, VF_GUEST_LINUX},
        {"other5xLinux64Guest", NULL, VF_GUEST_LINUX},
        {"sles15_64Guest", NULL, VF_GUEST_LINUX},
        {"rockylinux_64Guest", NULL, VF_GUEST_LINUX},
        {"vmwarePhoton64Guest", NULL, VF_GUEST_LINUX},
        {"windows12_64Guest", NULL, VF_GUEST_WINDOWS},
        {"windows2022srvNext_64Guest", NULL, VF_GUEST_WINDOWS},
        {"win31Guest", NULL, VF_GUEST_WINDOWS},
        {"rhel10_64Guest", NULL, VF_GUEST_LINUX},
        {"debian13_64Guest", NULL, VF_GUEST_LINUX},
        {"sles16_64Guest", NULL, VF_GUEST_LINUX},
        {"other7xLinux64Guest", NULL, VF_GUEST_LINUX},
        {"almalinux_64Guest", NULL, VF_GUEST_LINUX},
        {"oracleLinux10_64Guest", NULL, VF_GUEST_LINUX},
        {"amazonlinux3_64Guest", NULL, VF_GUEST_LINUX},
        {"miraclelinux_64Guest", NULL, VF_GUEST_LINUX},
        {"pardus_64Guest", NULL, VF_GUEST_LINUX},
        {"fusionos_64Guest", NULL, VF_GUEST_LINUX},
        {"crxSys1Guest", NULL, VF_GUEST_LINUX},
        {"sjdsGuest", NULL, VF_GUEST_LINUX},
        {"darwin21_64Guest", NULL, VF_GUEST_OTHER},
        {"dosGuest", "Microsoft MS-DOS", VF_GUEST_OTHER},
        {"vmkernel9Guest", "VMware ESXi 9.0 or later", VF_GUEST_OTHER},
        {"solaris11_64Guest", "Oracle Solaris 11 (64-bit)", VF_GUEST_OTHER},
        {"freebsd13_64Guest", "FreeBSD 13 (64-bit)", VF_GUEST_OTHER},
        {"otherGuest", "Microsoft Windows Server 2022 (64-bit)", VF_GUEST_WINDOWS},
        {NULL, "Red Hat Enterprise Linux 9 (64-bit)", VF_GUEST_LINUX},
        {NULL, NULL, VF_GUEST_OTHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(vf_vm_guest_family(cases[i].id, cases[i].name), cases[i].family);
    }
}

static void test_vm_release__frees_all_and_may_be_repeated(void **state)
{
    (void)state;
    struct vf_vm vm;
    vf_vm_init(&vm);
    vm.name = vf_xstrdup("a");
    vm.tags = vf_xcalloc(1, sizeof vm.tags[0]);
    vm.tags[vm.n_tags++] = vf_xstrdup("t");
    vm.disks = vf_xcalloc(1, sizeof vm.disks[0]);
    vm.disks[vm.n_disks++].change_id = vf_xstrdup("c");
    vm.nics = vf_xcalloc(1, sizeof vm.nics[0]);
    vm.nics[0].addresses = vf_xcalloc(1, sizeof vm.nics[0].addresses[0]);
    vm.nics[0].addresses[vm.nics[0].n_addresses++].ip = vf_xstrdup("::1");
    vm.n_nics = 1;
    vm.nics[0].gateway6 = vf_xstrdup("fe80::1");
    vm.question = vf_xstrdup("q");
    vm.cdroms = vf_xcalloc(1, sizeof vm.cdroms[0]);
    vm.cdroms[vm.n_cdroms++].file = vf_xstrdup("f");
    vm.devices = vf_xcalloc(1, sizeof vm.devices[0]);
    vm.devices[vm.n_devices++].type = vf_xstrdup("d");
    vm.attributes = vf_xcalloc(1, sizeof vm.attributes[0]);
    vm.attributes[vm.n_attributes++].value = vf_xstrdup("v");
    vm.guest_disks = vf_xcalloc(1, sizeof vm.guest_disks[0]);
    vm.guest_disks[vm.n_guest_disks++].path = vf_xstrdup("/");
    vm.dns_servers = vf_xcalloc(1, sizeof vm.dns_servers[0]);
    vm.dns_servers[vm.n_dns_servers++] = vf_xstrdup("::1");
    vm.boot_keys = vf_xcalloc(1, sizeof vm.boot_keys[0]);
    vm.n_boot_keys = 1;
    vm.other_disks = vf_xcalloc(1, sizeof vm.other_disks[0]);
    vm.other_disks[vm.n_other_disks++].rdm_device = vf_xstrdup("naa.1");
    vm.snapshots = vf_xcalloc(1, sizeof vm.snapshots[0]);
    vm.snapshots[vm.n_snapshots++].name = vf_xstrdup("s");
    vf_vm_release(&vm);
    assert_null(vm.name);
    assert_int_equal(vm.n_disks, 0);
    vf_vm_release(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_sort_disks__in_the_order_of_the_guest),
        cmocka_unit_test(test_vm_sort_cdroms__as_the_guest_counts_them),
        cmocka_unit_test(test_vm_guest_family__by_id_then_by_name),
        cmocka_unit_test(test_vm_release__frees_all_and_may_be_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
