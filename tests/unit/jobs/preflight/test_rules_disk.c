#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check_world.h"

static struct vf_vm_disk *running(struct check_world *w)
{
    return &w->vms[0].disks[0];
}

static struct vf_vm_disk *off(struct check_world *w)
{
    return &w->vms[1].disks[0];
}

static void no_datastore(struct check_world *w)
{
    vf_replace_string(&running(w)->datastore, NULL);
}

static void size_zero(struct check_world *w)
{
    running(w)->capacity_bytes = 0;
}

static void one_sector(struct check_world *w)
{
    running(w)->capacity_bytes = 512;
}

static void size_odd(struct check_world *w)
{
    running(w)->capacity_bytes = 1000;
}

static void add_disks(struct check_world *w, size_t n)
{
    while (w->vms[0].n_disks < n) {
        char *vf_autofree file = vf_xasprintf("[fast] web01/%zu.vmdk", w->vms[0].n_disks);
        check_world_add_disk(&w->vms[0], file);
    }
}

static void too_many(struct check_world *w)
{
    add_disks(w, 257);
}

static void as_many_as_may_be(struct check_world *w)
{
    add_disks(w, 256);
}

static void encrypted(struct check_world *w)
{
    off(w)->encrypted = true;
}

static void encrypted_aside(struct check_world *w)
{
    off(w)->encrypted = true;
    vf_mapping_add_disk(&w->mapping, "0:skip", NULL);
}

static void independent(struct check_world *w)
{
    running(w)->independent = true;
    vf_replace_string(&running(w)->mode, "independent_persistent");
}

static void independent_off(struct check_world *w)
{
    off(w)->independent = true;
}

static void not_persistent(struct check_world *w)
{
    vf_replace_string(&off(w)->mode, "independent_nonpersistent");
}

static void linked_clone(struct check_world *w)
{
    off(w)->delta = true;
}

static void has_snapshot(struct check_world *w)
{
    off(w)->delta = true;
    check_world_add_snapshot(&w->vms[1], "before upgrade", 0);
}

static void rdm(struct check_world *w)
{
    running(w)->rdm = true;
    running(w)->rdm_device = vf_xstrdup("naa.600a");
}

static void rdm_copied(struct check_world *w)
{
    rdm(w);
    w->mapping.rdm = VF_RDM_COPY;
}

static void rdm_copied_by_rule(struct check_world *w)
{
    rdm(w);
    vf_mapping_add_disk(&w->mapping, "0:rdm=copy", NULL);
}

static void rdm_physical(struct check_world *w)
{
    rdm_copied(w);
    running(w)->rdm_physical = true;
}

static void shared(struct check_world *w)
{
    running(w)->shared = true;
}

static void shared_off(struct check_world *w)
{
    off(w)->shared = true;
}

static void one_file(struct check_world *w)
{
    vf_replace_string(&off(w)->file, running(w)->file);
}

static void one_file_one_copy(struct check_world *w)
{
    one_file(w);
    vf_replace_string(&off(w)->label, "Hard disk 9");
    vf_mapping_add_disk(&w->mapping, "Hard disk 9:claim=shared", NULL);
}

static void one_file_off(struct check_world *w)
{
    one_file(w);
    w->vms[0].power = VF_POWER_OFF;
}

static void used_unknown(struct check_world *w)
{
    running(w)->used_bytes = 0;
}

static const struct check_case cases[] = {
    {"disk.no-datastore", VF_CRITICAL, "disk 0 (\"Hard disk 1\")", no_datastore, NULL},
    {"disk.size-zero", VF_CRITICAL, "no size", size_zero, one_sector},
    {"disk.size-odd", VF_WARNING, "1000 bytes", size_odd, one_sector},
    {"disk.too-many", VF_CRITICAL, "257 disks", too_many, as_many_as_may_be},
    {"disk.encrypted", VF_CRITICAL, "encrypted", encrypted, encrypted_aside},
    {"disk.independent", VF_CRITICAL, "independent_persistent", independent, independent_off},
    {"disk.not-persistent", VF_WARNING, "independent_nonpersistent", not_persistent, independent},
    {"disk.delta", VF_WARNING, "differs", linked_clone, has_snapshot},
    {"disk.rdm-undecided", VF_CRITICAL, "naa.600a", rdm, rdm_copied_by_rule},
    {"disk.rdm-physical", VF_CRITICAL, "physical mode", rdm_physical, rdm_copied},
    {"disk.shared-snapshot", VF_CRITICAL, "shared", shared, shared_off},
    {"disk.copied-twice", VF_CRITICAL, "\"web01\"", one_file, one_file_one_copy},
    {"disk.in-use", VF_CRITICAL, "\"web01\", which runs", one_file, one_file_off},
    {"disk.used-unknown", VF_INFORMATION, "1 of 1 disk", used_unknown, NULL},
};

static void test_rules_disk__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

static size_t count(const struct check_world *w, const char *id)
{
    size_t n = 0;
    for (size_t i = 0; i < w->findings.n_items; i++) {
        n += strcmp(w->findings.items[i].rule->id, id) == 0;
    }
    return n;
}

/* The one that is off is told of the one that runs, and not the other way round. */
static void test_rules_disk__a_pair_that_shares_is_told_of_once(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    one_file(&w);
    check_world_judge(&w);
    assert_int_equal(count(&w, "disk.copied-twice"), 1);
    assert_int_equal(count(&w, "disk.in-use"), 1);
    assert_string_equal(check_world_find(&w, "disk.in-use")->vm, "db01");
    check_world_release(&w);
}

/* Whichever of the two leaves it out. */
static void test_rules_disk__what_one_leaves_out_is_not_copied_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHECK_WORLD_VMS; i++) {
        struct check_world w;
        check_world_init(&w);
        one_file(&w);
        vf_replace_string(&w.vms[i].disks[0].label, "Hard disk 9");
        vf_mapping_add_disk(&w.mapping, "Hard disk 9:claim=shared", NULL);
        check_world_judge(&w);
        assert_int_equal(w.vms[i].n_disks, 0);
        assert_int_equal(count(&w, "disk.copied-twice"), 0);
        check_world_release(&w);
    }
}

/* Datastores tell case apart: these are two files. */
static void test_rules_disk__names_of_files_have_case(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    vf_replace_string(&off(&w)->file, "[fast] WEB01/web01.vmdk");
    check_world_judge(&w);
    assert_int_equal(count(&w, "disk.copied-twice"), 0);
    check_world_release(&w);
}

static void test_rules_disk__warm_takes_snapshots_of_vms_that_are_off(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    independent_off(&w);
    w.check.warm = true;
    check_world_judge(&w);
    assert_int_equal(count(&w, "disk.independent"), 1);
    check_world_release(&w);
}

/* A snapshot would be of that one as well. */
static void test_rules_disk__shared_disk_that_is_left_out_forbids_snapshots_too(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    shared(&w);
    vf_replace_string(&running(&w)->label, "Hard disk 9");
    vf_mapping_add_disk(&w.mapping, "Hard disk 9:claim=shared", NULL);
    check_world_judge(&w);
    assert_int_equal(w.vms[0].n_disks, 0);
    assert_int_equal(count(&w, "disk.shared-snapshot"), 1);
    check_world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_disk__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_disk__a_pair_that_shares_is_told_of_once),
        cmocka_unit_test(test_rules_disk__what_one_leaves_out_is_not_copied_twice),
        cmocka_unit_test(test_rules_disk__names_of_files_have_case),
        cmocka_unit_test(test_rules_disk__shared_disk_that_is_left_out_forbids_snapshots_too),
        cmocka_unit_test(test_rules_disk__warm_takes_snapshots_of_vms_that_are_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
