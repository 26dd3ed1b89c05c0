/* Which rule tells of a disk, and what follows for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "converters/vm/mapping.h"
#include "importer/base/mem.h"

static void make_disk(struct vf_vm *vm, const char *datastore, bool rdm)
{
    size_t i = vm->n_disks++;
    vm->disks = vf_xrealloc_array(vm->disks, vm->n_disks, sizeof *vm->disks);
    vm->disks[i] =
        (struct vf_vm_disk){.label = vf_xasprintf("Hard disk %zu", i + 1),
                            .file = vf_xasprintf("[%s] vm/vm_%zu.vmdk", datastore, i),
                            .datastore = vf_xstrdup(datastore),
                            .uuid = vf_xasprintf("6000C29a-5e1f-0b7c-9d2e-00000000000%zu", i),
                            .rdm = rdm,
                            .position = (uint32_t)i};
}

static struct vf_vm make_vm(void)
{
    struct vf_vm vm;
    vf_vm_init(&vm);
    make_disk(&vm, "ssd-1", false);
    make_disk(&vm, "nfs", false);
    make_disk(&vm, "san", true);
    make_disk(&vm, "ssd-2", false);
    return vm;
}

static void add(struct vf_mapping *m, const char *rule)
{
    assert_int_equal(vf_mapping_add_disk(m, rule, NULL), 0);
}

static void test_mapping_disk_rule__goes_by_number_label_file_and_uuid(void **state)
{
    (void)state;
    struct vf_vm vm = make_vm();
    struct vf_mapping m = {0};
    add(&m, "0:bus=sata");
    add(&m, "Hard disk 2:bus=sata");
    add(&m, "[san] vm/vm_2.vmdk:bus=sata");
    add(&m, "6000c29A-5E1F-0b7c-9d2e-000000000003:bus=scsi");
    add(&m, "Hard disk 1:bus=scsi"); /* the first counts */
    for (size_t i = 0; i < vm.n_disks; i++) {
        assert_ptr_equal(vf_mapping_disk_rule(&m, &vm, i), &m.disks[i]);
    }
    assert_null(vf_mapping_disk_rule(NULL, &vm, 0));
    vf_mapping_release(&m);
    add(&m, "4:skip");
    add(&m, "hard disk 1:skip");
    for (size_t i = 0; i < vm.n_disks; i++) {
        assert_null(vf_mapping_disk_rule(&m, &vm, i));
    }
    vf_mapping_release(&m);
    vf_vm_release(&vm);
}

static void test_mapping_check_vm__refuses_two_rules_of_one_disk(void **state)
{
    (void)state;
    struct vf_vm vm = make_vm();
    struct vf_mapping m = {0};
    struct vf_error *err = NULL;
    add(&m, "1:skip");
    add(&m, "Hard disk 1:bus=sata");
    assert_int_equal(vf_mapping_check_vm(NULL, &vm, NULL), 0);
    assert_int_equal(vf_mapping_check_vm(&m, &vm, NULL), 0);
    vf_mapping_set_aside(&m, &vm);
    add(&m, "Hard disk 2:claim=there");
    assert_int_equal(vf_mapping_check_vm(&m, &vm, &err), VF_INVALID);
    assert_string_equal(vf_error_message(err),
                        "disk 1 (\"Hard disk 2\") is told of twice: as \"1\" "
                        "and as \"Hard disk 2\"");
    vf_error_clear(&err);
    m.disks[2].disk[10] = '1'; /* of one that is copied */
    assert_int_equal(vf_mapping_check_vm(&m, &vm, NULL), VF_INVALID);
    vf_mapping_release(&m);
    vf_vm_release(&vm);
}

static void check_storage(const struct vf_mapping *m, const struct vf_vm *vm, size_t i,
                          const char *storage_class, const char *volume_mode,
                          const char *access_mode)
{
    struct vf_disk_storage s = vf_mapping_storage_of(m, vm, i);
    assert_string_equal(s.storage_class ? s.storage_class : "", storage_class);
    assert_string_equal(s.volume_mode ? s.volume_mode : "", volume_mode);
    assert_string_equal(s.access_mode ? s.access_mode : "", access_mode);
}

static void test_mapping_storage_of__disk_goes_before_datastore_before_all(void **state)
{
    (void)state;
    struct vf_vm vm = make_vm();
    struct vf_mapping m = {.storage_class = vf_xstrdup("slow"),
                           .access_mode = vf_xstrdup("ReadWriteOnce")};
    assert_int_equal(vf_mapping_add_storage(&m, "ssd-*=fast,Block", NULL), 0);
    assert_int_equal(vf_mapping_add_storage(&m, "ssd-2=never", NULL), 0);
    assert_int_equal(vf_mapping_add_storage(&m, "san=,ReadWriteMany", NULL), 0);
    add(&m, "3:class=faster,access-mode=ReadWriteMany");
    check_storage(&m, &vm, 0, "fast", "Block", "ReadWriteOnce");
    check_storage(&m, &vm, 1, "slow", "", "ReadWriteOnce");
    check_storage(&m, &vm, 2, "slow", "", "ReadWriteMany");
    check_storage(&m, &vm, 3, "faster", "Block", "ReadWriteMany");
    check_storage(NULL, &vm, 3, "", "", "");
    vm.disks[1].shared = vm.disks[3].shared = true;
    check_storage(&m, &vm, 1, "slow", "Block", "ReadWriteOnce");
    check_storage(NULL, &vm, 3, "", "Block", "ReadWriteMany");
    vf_mapping_release(&m);
    vf_vm_release(&vm);
}

/* A datastore's name may look like a pattern that does not match it. */
static void test_mapping_storage_of__a_name_is_taken_as_it_is(void **state)
{
    (void)state;
    struct vf_vm vm;
    struct vf_mapping m = {0};
    vf_vm_init(&vm);
    make_disk(&vm, "ssd[1]", false);
    make_disk(&vm, "other", false);
    free(vf_take(vm.disks[1].datastore)); /* a package names none */
    assert_int_equal(vf_mapping_add_storage(&m, "ssd[1]=fast", NULL), 0);
    assert_int_equal(vf_mapping_add_storage(&m, "*=slow", NULL), 0);
    check_storage(&m, &vm, 0, "fast", "", "");
    check_storage(&m, &vm, 1, "slow", "", "");
    vf_mapping_release(&m);
    vf_vm_release(&vm);
}

static void test_mapping_copies_disk__by_rule_and_kind(void **state)
{
    (void)state;
    static const struct {
        enum vf_map_rdm rdm;
        const char *rule; /* of disk 2, the raw device mapping */
        bool copied;
    } rows[] = {
        {VF_RDM_ASK, NULL, true},
        {VF_RDM_COPY, NULL, true},
        {VF_RDM_LUN, NULL, false},
        {VF_RDM_IGNORE, NULL, false},
        {VF_RDM_IGNORE, "2:rdm=copy", true},
        {VF_RDM_COPY, "2:rdm=ignore", false},
        {VF_RDM_COPY, "2:rdm=lun,claim=x", false},
        {VF_RDM_COPY, "2:claim=x", false},
        {VF_RDM_COPY, "2:skip", false},
        {VF_RDM_COPY, "2:bus=sata", true},
        {VF_RDM_LUN, "2:bus=sata", false},
    };
    struct vf_vm vm = make_vm();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_mapping m = {.rdm = rows[i].rdm};
        if (rows[i].rule) {
            add(&m, rows[i].rule);
        }
        assert_int_equal(vf_mapping_copies_disk(&m, &vm, 2), rows[i].copied);
        assert_true(vf_mapping_copies_disk(&m, &vm, 0));
        vf_mapping_release(&m);
    }
    assert_true(vf_mapping_copies_disk(NULL, &vm, 2));
    vf_vm_release(&vm);
}

static void test_mapping_disk_rule__file_of_a_snapshot_is_that_of_the_disk(void **state)
{
    (void)state;
    static const struct {
        const char *file, *told;
        bool same;
    } rows[] = {
        {"[a] vm/vm.vmdk", "[a] vm/vm.vmdk", true},
        {"[a] vm/vm-000001.vmdk", "[a] vm/vm.vmdk", true},
        {"[a] vm/vm.vmdk", "[a] vm/vm-000001.vmdk", true},
        {"[a] vm/vm-000002.vmdk", "[a] vm/vm-000010.vmdk", true},
        {"[a] vm/vm_1-000001.vmdk", "[a] vm/vm.vmdk", false},
        {"[a] vm/vm-000001.vmdk", "[b] vm/vm.vmdk", false},
        {"[a] vm/vm-0001.vmdk", "[a] vm/vm.vmdk", false},
        {"[a] vm/vm-0000001.vmdk", "[a] vm/vm.vmdk", false},
        {"[a] vm/vm000001.vmdk", "[a] vm/vm.vmdk", false},
        {"[a] vm/vm-000001.vmdk", "[a] vm/vm", false},
        {"[a] vm/vm-000001", "[a] vm/vm", false},
        {"-000001.vmdk", ".vmdk", false},
        {"", "x", false},
        {NULL, ".vmdk", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_vm_disk disk = {.file = rows[i].file ? vf_xstrdup(rows[i].file) : NULL};
        char *told = vf_xstrdup(rows[i].told);
        struct vf_disk_rule rule = {.disk = told};
        struct vf_mapping m = {.disks = &rule, .n_disks = 1};
        if ((vf_mapping_rule_for(&m, &disk) != NULL) != rows[i].same) {
            fail_msg("row %zu", i);
        }
        free(told);
        free(disk.file);
    }
}

static void test_mapping_set_aside__keeps_the_order_and_may_be_repeated(void **state)
{
    (void)state;
    struct vf_vm vm = make_vm();
    struct vf_mapping m = {.rdm = VF_RDM_LUN};
    add(&m, "3:skip");
    vf_mapping_set_aside(&m, &vm);
    vf_mapping_set_aside(&m, &vm);
    assert_int_equal(vm.n_disks, 2);
    assert_int_equal(vm.n_other_disks, 2);
    assert_string_equal(vm.disks[1].label, "Hard disk 2");
    assert_string_equal(vm.other_disks[0].label, "Hard disk 3");
    assert_string_equal(vm.other_disks[1].label, "Hard disk 4");
    add(&m, "0:claim=x"); /* what is decided later goes to its place */
    vf_mapping_set_aside(&m, &vm);
    assert_int_equal(vm.n_disks, 1);
    assert_int_equal(vm.disks[0].position, 1);
    assert_int_equal(vm.n_other_disks, 3);
    for (size_t i = 1; i < vm.n_other_disks; i++) {
        assert_true(vm.other_disks[i - 1].position < vm.other_disks[i].position);
    }
    assert_ptr_equal(vf_mapping_rule_for(&m, &vm.other_disks[0]), &m.disks[1]);
    vf_mapping_set_aside(NULL, &vm);
    assert_int_equal(vm.n_disks, 1);
    vf_mapping_release(&m);
    vf_vm_release(&vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mapping_disk_rule__goes_by_number_label_file_and_uuid),
        cmocka_unit_test(test_mapping_check_vm__refuses_two_rules_of_one_disk),
        cmocka_unit_test(test_mapping_storage_of__disk_goes_before_datastore_before_all),
        cmocka_unit_test(test_mapping_storage_of__a_name_is_taken_as_it_is),
        cmocka_unit_test(test_mapping_copies_disk__by_rule_and_kind),
        cmocka_unit_test(test_mapping_disk_rule__file_of_a_snapshot_is_that_of_the_disk),
        cmocka_unit_test(test_mapping_set_aside__keeps_the_order_and_may_be_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
