#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check_cluster.h"

#define GIB ((uint64_t)1 << 30)

static void fine(struct check_world *w)
{
    check_cluster_init(w);
}

static void set_problem(struct check_world *w, int code, const char *problem)
{
    check_cluster_init(w);
    struct vf_target_storage *s = &w->facts.target.storages[0];
    vf_kube_storage_free(s->storage);
    s->storage = NULL;
    s->code = code;
    s->problem = vf_xstrdup(problem);
}

static void no_class(struct check_world *w)
{
    set_problem(w, VF_MISSING, "the cluster has no default storage class");
}

static void hidden_class(struct check_world *w)
{
    set_problem(w, VF_AUTH, "may not read");
}

static void wrong_mode(struct check_world *w)
{
    set_problem(w, VF_INVALID, "no volumes of Block");
}

/* A shared disk wishes for Block and ReadWriteMany by itself, unless a person tells otherwise: then
 * the storage is as told. */
static void shared(struct check_world *w, const char *volume_mode, const char *access_mode)
{
    check_cluster_init(w);
    w->vms[0].disks[0].shared = true;
    vf_replace_string(&w->mapping.volume_mode, volume_mode);
    vf_replace_string(&w->mapping.access_mode, access_mode);
    vf_replace_string(&w->facts.target.storages[0].volume_mode, volume_mode);
    vf_replace_string(&w->facts.target.storages[0].access_mode, access_mode);
    vf_replace_string(&check_cluster_storage(w)->volume_mode, volume_mode);
    vf_replace_string(&check_cluster_storage(w)->access_mode, access_mode);
}

static void shared_on_block(struct check_world *w)
{
    shared(w, "Block", "ReadWriteMany");
}

static void shared_on_files(struct check_world *w)
{
    shared(w, "Filesystem", "ReadWriteMany");
}

static void shared_once(struct check_world *w)
{
    shared(w, "Block", "ReadWriteOnce");
}

static void large(struct check_world *w)
{
    check_cluster_init(w);
    w->vms[0].disks[0].capacity_bytes = 100 * GIB + 1;
    w->facts.target.classes[0].total_free_bytes = 1000 * GIB;
}

static void just_fits(struct check_world *w)
{
    large(w);
    w->vms[0].disks[0].capacity_bytes = 100 * GIB;
}

/* Its claim is there, and has its room. */
static void large_and_there(struct check_world *w)
{
    large(w);
    w->facts.target.max_claim_bytes = GIB;
    check_cluster_add_name(w, "PersistentVolumeClaim/web01-disk-0", "web01", "50-web01", false,
                           true);
    check_cluster_add_name(w, "PersistentVolumeClaim/db01-disk-0", "db01", "50-db01", false, true);
}

static void large_and_untold(struct check_world *w)
{
    large(w);
    w->facts.target.classes[0].has_capacity = false;
}

/* What a file system takes is on top. */
static void fits_but_for_overhead(struct check_world *w)
{
    just_fits(w);
    vf_replace_string(&check_cluster_storage(w)->volume_mode, "Filesystem");
}

static void bounded_volumes(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.classes[0].max_volume_bytes = GIB - 1;
}

static void bounded_claims(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.max_claim_bytes = GIB - 1;
}

static void bounded_just_so(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.max_claim_bytes = GIB;
    w->facts.target.classes[0].max_volume_bytes = GIB;
}

static void too_much_together(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.classes[0].free_bytes = 2 * GIB - 1;
    w->facts.target.classes[0].total_free_bytes = 2 * GIB - 1;
}

static void one_is_there(struct check_world *w)
{
    too_much_together(w);
    check_cluster_add_name(w, "PersistentVolumeClaim/web01-disk-0", "web01", "50-web01", false,
                           true);
}

static void waits(struct check_world *w)
{
    check_cluster_init(w);
    w->import.target = VF_TO_UPLOAD;
    check_cluster_storage(w)->waits_for_consumer = true;
}

static void waits_for_worker(struct check_world *w)
{
    waits(w);
    w->import.target = VF_TO_CLAIM;
}

static void waits_not(struct check_world *w)
{
    waits(w);
    w->import.cluster.bind_immediately = true;
}

static void no_snapshots(struct check_world *w)
{
    check_cluster_init(w);
    w->check.warm = true;
    vf_replace_string(&w->facts.target.classes[0].snapshot_class, NULL);
}

static void no_snapshots_at_all(struct check_world *w)
{
    no_snapshots(w);
    w->facts.target.has_snapshots = false;
}

static void cold_without_snapshots(struct check_world *w)
{
    no_snapshots(w);
    w->check.warm = false;
}

static void snapshots_by_profile(struct check_world *w)
{
    no_snapshots(w);
    check_cluster_storage(w)->snapshot_class = vf_xstrdup("snap");
}

static const struct check_case cases[] = {
    {"storage.class", VF_CRITICAL, "no default storage class", no_class, fine},
    {"storage.class", VF_WARNING, "may not read", hidden_class, wrong_mode},
    {"storage.mode", VF_CRITICAL, "no volumes of Block", wrong_mode, no_class},
    {"storage.shared", VF_CRITICAL, "Filesystem", shared_on_files, shared_on_block},
    {"storage.shared", VF_CRITICAL, "ReadWriteOnce", shared_once, fine},
    {"storage.space", VF_CRITICAL, "asks for 100 GiB", large, just_fits},
    {"storage.space", VF_CRITICAL, "disk 0", large, large_and_there},
    {"storage.space", VF_CRITICAL, "106 GiB", fits_but_for_overhead, large_and_untold},
    {"storage.max-volume", VF_CRITICAL, "largest volume", bounded_volumes, bounded_just_so},
    {"storage.max-volume", VF_CRITICAL, "LimitRange", bounded_claims, large_and_there},
    {"storage.space-all", VF_CRITICAL, "2 VMs", too_much_together, one_is_there},
    {"storage.waits", VF_CRITICAL, "once a pod uses", waits, waits_not},
    {"storage.waits", VF_CRITICAL, "\"fast\"", waits, waits_for_worker},
    {"storage.snapshots", VF_WARNING, "of its driver", no_snapshots, cold_without_snapshots},
    {"storage.snapshots", VF_WARNING, "has no VolumeSnapshots", no_snapshots_at_all,
     snapshots_by_profile},
};

/* Sixty disks of one class that is not there are one thing to mend. */
static void test_rules_storage__what_many_disks_have_in_common_is_told_once(void **state)
{
    (void)state;
    struct check_world w;
    size_t n = 0;
    check_world_init(&w);
    no_class(&w);
    for (unsigned i = 0; i < 59; i++) {
        check_world_add_disk(&w.vms[0], "[fast] web01/more.vmdk");
    }
    check_world_judge(&w);
    for (size_t i = 0; i < w.findings.n_items; i++) {
        n += strcmp(w.findings.items[i].rule->id, "storage.class") == 0;
    }
    assert_int_equal(n, CHECK_WORLD_VMS);
    check_world_release(&w);
}

static void test_rules_storage__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_storage__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_storage__what_many_disks_have_in_common_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
