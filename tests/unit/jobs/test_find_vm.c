#include "jobs/find_vm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "importer/vsphere/inventory.h"
#include "tests/support/disk_check.h"

/* The inventory that the search sees; the real one is asked in the tests of importer/vsphere. */
static const struct {
    const char *name, *moref, *folder;
} inventory[] = {
    {"web01", "vm-1", "/DC0/vm/prod"}, {"web01", "vm-2", "/DC0/vm/test"},
    {"db", "vm-3", "/DC0/vm/prod"},    {"vm-3", "vm-4", "/DC0/vm"},
    {"Web02", "vm-5", "/DC0/vm"},      {"17", "18", NULL},
};
static unsigned n_vms = sizeof inventory / sizeof *inventory, n_clones;

int vf_vsphere_fetch_vms(struct vf_vsphere *vs, const struct vf_vm_query *query,
                         struct vf_vm **ret_vms, size_t *ret_n, struct vf_vm_notes *ret_notes,
                         struct vf_error **err)
{
    (void)vs;
    (void)ret_notes;
    (void)err;
    assert_true(query->brief);
    *ret_n = n_vms + n_clones;
    *ret_vms = vf_xcalloc(*ret_n, sizeof **ret_vms);
    for (size_t i = 0; i < *ret_n; i++) {
        struct vf_vm *vm = &(*ret_vms)[i];
        vf_vm_init(vm);
        vm->name = vf_xstrdup(i < n_vms ? inventory[i].name : "clone");
        vm->moref = i < n_vms ? vf_xstrdup(inventory[i].moref) : vf_xasprintf("vm-1%zu", i);
        vm->folder = vf_xstrdup(i < n_vms ? inventory[i].folder : "/DC0/vm");
    }
    return 0;
}

void vf_vms_free(struct vf_vm *vms, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vf_vm_release(&vms[i]);
    }
    free(vms);
}

int vf_vsphere_fetch_vm(struct vf_vsphere *vs, const char *moref, struct vf_vm *ret_vm,
                        struct vf_error **err)
{
    (void)vs;
    (void)err;
    vf_vm_init(ret_vm);
    ret_vm->moref = vf_xstrdup(moref);
    return 0;
}

void vf_vm_notes_release(struct vf_vm_notes *notes)
{
    free(notes->tags_reason);
}

static bool is_esxi;
static unsigned n_asked_for_tags;

bool vf_vsphere_is_esxi(const struct vf_vsphere *vs)
{
    (void)vs;
    return is_esxi;
}

int vf_vsphere_add_tags(struct vf_vsphere *vs, struct vf_vm *vms, size_t n,
                        struct vf_vm_notes *notes, struct vf_error **err)
{
    (void)vs;
    (void)vms;
    (void)err;
    assert_int_equal(n, 1);
    n_asked_for_tags++;
    notes->tags_unavailable = true;
    notes->tags_reason = vf_xstrdup("it does not answer");
    return 0;
}

static void expect_found(const char *name, const char *moref)
{
    struct vf_vm vm;
    assert_int_equal(vf_find_vm(NULL, name, NULL, &vm, NULL), 0);
    assert_string_equal(vm.moref, moref);
    vf_vm_release(&vm);
}

static void test_find_vm__by_name_path_and_reference(void **state)
{
    (void)state;
    expect_found("db", "vm-3");
    expect_found("/DC0/vm/test/web01", "vm-2");
    expect_found("vm-2", "vm-2");
    expect_found("vm-3", "vm-4"); /* a name comes before a reference */
    expect_found("17", "18");
    expect_found("18", "18");
}

static void test_find_vm__tags_are_no_reason_to_stop(void **state)
{
    (void)state;
    n_asked_for_tags = 0;
    expect_found("db", "vm-3");
    assert_int_equal(n_asked_for_tags, 1);
    is_esxi = true; /* has none */
    expect_found("db", "vm-3");
    assert_int_equal(n_asked_for_tags, 1);
    is_esxi = false;
}

static void test_find_vm__several_are_listed(void **state)
{
    (void)state;
    struct vf_vm vm;
    struct vf_error *err = NULL;
    int rc = vf_find_vm(NULL, "web01", NULL, &vm, &err);
    assert_non_null(vf_error_get_hint(err));
    check_error(rc, &err, VF_CONFLICT,
                "2 VMs are called \"web01\": /DC0/vm/prod/web01 (vm-1), /DC0/vm/test/web01 (vm-2)");
    n_clones = 13;
    check_error(vf_find_vm(NULL, "clone", NULL, &vm, &err), &err, VF_CONFLICT, " and 3 more");
    n_clones = 0;
}

static void test_find_vm__near_names_are_told(void **state)
{
    (void)state;
    struct vf_vm vm;
    struct vf_error *err = NULL;
    int rc = vf_find_vm(NULL, "web", NULL, &vm, &err);
    assert_non_null(strstr(vf_error_get_hint(err), "\"Web02\""));
    check_error(rc, &err, VF_MISSING, "no VM is called \"web\" among the 6");
    rc = vf_find_vm(NULL, "zzz", NULL, &vm, &err);
    assert_non_null(strstr(vf_error_get_hint(err), "vmferry inventory"));
    check_error(rc, &err, VF_MISSING, "no VM is called \"zzz\"");
    /* Not by the reference of nothing, and not by half a path. */
    check_error(vf_find_vm(NULL, "vm-99", NULL, &vm, &err), &err, VF_MISSING, "no VM");
    check_error(vf_find_vm(NULL, "/DC0/vm/web01", NULL, &vm, &err), &err, VF_MISSING, "no VM");
    n_vms = 0;
    check_error(vf_find_vm(NULL, "db", NULL, &vm, &err), &err, VF_MISSING, "among the 0");
    n_vms = sizeof inventory / sizeof *inventory;
}

static void test_check_exportable__what_stands_against_it_is_told(void **state)
{
    (void)state;
    const struct {
        enum vf_power power;
        struct vf_vm_disk disk;
        enum vf_code code;
        const char *part;
        enum vf_map_rdm rdm;
    } cases[] = {
        {VF_POWER_ON, {.capacity_bytes = 512}, 0, "", 0},
        {VF_POWER_OFF, {.capacity_bytes = 512, .independent = true, .shared = true}, 0, "", 0},
        {VF_POWER_SUSPENDED, {.capacity_bytes = 512}, VF_CONFLICT, "suspended", 0},
        {VF_POWER_OFF, {.capacity_bytes = 0}, VF_INVALID, "no size", 0},
        {VF_POWER_OFF, {.capacity_bytes = 512, .encrypted = true}, VF_UNSUPPORTED, "encrypted", 0},
        {VF_POWER_OFF, {.capacity_bytes = 512, .rdm = true}, VF_UNSUPPORTED, "nobody said", 0},
        {VF_POWER_OFF, {.capacity_bytes = 512, .rdm = true}, 0, "", VF_RDM_COPY},
        {VF_POWER_ON, {.capacity_bytes = 512, .rdm = true}, 0, "", VF_RDM_COPY},
        {VF_POWER_OFF,
         {.capacity_bytes = 512, .rdm = true, .rdm_physical = true},
         0,
         "",
         VF_RDM_COPY},
        {VF_POWER_ON,
         {.capacity_bytes = 512, .rdm = true, .rdm_physical = true},
         VF_UNSUPPORTED,
         "physical mode",
         VF_RDM_COPY},
        {VF_POWER_ON,
         {.capacity_bytes = 512, .independent = true},
         VF_UNSUPPORTED,
         "independent",
         0},
        {VF_POWER_ON, {.capacity_bytes = 512, .shared = true}, VF_UNSUPPORTED, "shared", 0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vf_vm_disk disk = cases[i].disk;
        struct vf_vm vm;
        struct vf_error *err = NULL;
        vf_vm_init(&vm);
        vm.power = cases[i].power;
        vm.disks = &disk;
        vm.n_disks = 1;
        const struct vf_mapping mapping = {.rdm = cases[i].rdm};
        int rc = vf_vm_check_exportable(&vm, cases[i].rdm ? &mapping : NULL, &err);
        /* Without an error to fill, the code is the same. */
        assert_int_equal(vf_vm_check_exportable(&vm, &mapping, NULL) != 0, cases[i].code != 0);
        if (cases[i].code == 0) {
            assert_int_equal(rc, 0);
        } else {
            assert_true(cases[i].code == VF_INVALID || vf_error_get_hint(err));
            check_error(rc, &err, cases[i].code, cases[i].part);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_vm__by_name_path_and_reference),
        cmocka_unit_test(test_find_vm__tags_are_no_reason_to_stop),
        cmocka_unit_test(test_find_vm__several_are_listed),
        cmocka_unit_test(test_find_vm__near_names_are_told),
        cmocka_unit_test(test_check_exportable__what_stands_against_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
