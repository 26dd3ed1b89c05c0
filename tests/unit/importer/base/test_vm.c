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
        {"darwin21_64Guest", NULL, VF_GUEST_OTHER},
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
        cmocka_unit_test(test_vm_guest_family__by_id_then_by_name),
        cmocka_unit_test(test_vm_release__frees_all_and_may_be_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
