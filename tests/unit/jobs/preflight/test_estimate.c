#include "jobs/preflight/estimate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

struct world {
    struct vf_vm_disk disks[3];
    struct vf_vm vm;
    struct vf_import_options import;
    struct vf_check_options check;
    struct vf_probe_result results[2];
    struct vf_path_facts path;
};

static char fast[] = "fast", slow[] = "slow", host_1[] = "host-1", host_2[] = "host-2";

static void init(struct world *w, size_t n_disks)
{
    *w = (struct world){0};
    w->vm.disks = w->disks;
    w->vm.n_disks = n_disks;
    w->vm.host_moref = host_1;
    for (size_t i = 0; i < 3; i++) {
        w->disks[i] = (struct vf_vm_disk){
            .datastore = fast, .capacity_bytes = 1000 * MIB, .used_bytes = 100 * MIB};
    }
    w->check.import = &w->import;
    w->path.results = w->results;
}

static void measured(struct world *w, enum vf_transport_kind kind, uint64_t mib_per_s)
{
    w->results[w->path.n_results++] =
        (struct vf_probe_result){.transport = kind,
                                 .host_moref = kind == VF_TRANSPORT_HTTPS ? NULL : host_1,
                                 .datastore = kind == VF_TRANSPORT_HTTPS ? fast : NULL,
                                 .bytes_per_s = (double)(mib_per_s * MIB)};
}

static struct vf_estimate estimate(const struct world *w)
{
    struct vf_estimate e;
    vf_estimate_copy(&w->check, &w->vm, &w->path, &e);
    return e;
}

static void test_estimate__is_of_what_is_used(void **state)
{
    (void)state;
    struct world w;
    init(&w, 3);
    w.disks[1].used_bytes = 0;          /* not known */
    w.disks[2].used_bytes = 5000 * MIB; /* more than there is */
    assert_int_equal(estimate(&w).bytes, 2100 * MIB);
    assert_false(estimate(&w).measured);
}

static void test_estimate__of_nfc_grows_with_disks_at_once(void **state)
{
    (void)state;
    struct world w;
    init(&w, 3);
    measured(&w, VF_TRANSPORT_NFC, 10);
    assert_true(estimate(&w).measured);
    assert_int_equal((int)estimate(&w).copy_s, 10);
    assert_int_equal((int)estimate(&w).downtime_s, 10); /* cold: the copy */
    w.import.parallel_disks = 1;
    assert_int_equal((int)estimate(&w).copy_s, 30);
    /* The largest disk is read by one stream. */
    w.import.parallel_disks = 3;
    w.disks[0].used_bytes = 1000 * MIB;
    assert_int_equal((int)estimate(&w).copy_s, 100);
}

static void test_estimate__prefers_the_rate_of_the_vms_own_host(void **state)
{
    (void)state;
    struct world w;
    init(&w, 1);
    measured(&w, VF_TRANSPORT_NFC, 10);
    measured(&w, VF_TRANSPORT_NFC, 50);
    w.results[1].host_moref = host_2;
    assert_int_equal((int)estimate(&w).copy_s, 10);
    w.vm.host_moref = host_2;
    assert_int_equal((int)estimate(&w).copy_s, 2);
    w.vm.host_moref = slow; /* of neither: their mean */
    assert_int_equal((int)(estimate(&w).bytes_per_s / (double)MIB), 30);
}

static void test_estimate__of_a_warm_migration_takes_the_transport_that_works(void **state)
{
    (void)state;
    struct world w;
    init(&w, 1);
    measured(&w, VF_TRANSPORT_NFC, 10);
    measured(&w, VF_TRANSPORT_HTTPS, 100);
    assert_int_equal(vf_estimate_transport(&w.check, &w.vm, &w.path), VF_TRANSPORT_NFC); /* cold */
    w.check.warm = true;
    assert_int_equal(vf_estimate_transport(&w.check, &w.vm, &w.path), VF_TRANSPORT_HTTPS);
    assert_int_equal((int)estimate(&w).copy_s, 1);
    double short_s = estimate(&w).downtime_s;
    w.results[1].failure = VF_PROBE_REFUSED;
    assert_int_equal(vf_estimate_transport(&w.check, &w.vm, &w.path), VF_TRANSPORT_NFC);
    /* The last round reads the whole export. */
    assert_true(estimate(&w).downtime_s > short_s + 9);
    w.results[1].failure = VF_PROBE_GOOD;
    w.vm.power = VF_POWER_ON; /* and what was read belongs to one that is off */
    assert_int_equal(vf_estimate_transport(&w.check, &w.vm, &w.path), VF_TRANSPORT_NFC);
    w.results[1].running = true;
    assert_int_equal(vf_estimate_transport(&w.check, &w.vm, &w.path), VF_TRANSPORT_HTTPS);
    w.results[1].datastore = slow; /* another one's */
    assert_int_equal(vf_estimate_transport(&w.check, &w.vm, &w.path), VF_TRANSPORT_NFC);
    w.check.transport.kind = VF_TRANSPORT_HTTPS; /* asked for, whatever was seen */
    assert_int_equal(vf_estimate_transport(&w.check, &w.vm, &w.path), VF_TRANSPORT_HTTPS);
}

static void test_estimate__of_no_disk_is_nothing(void **state)
{
    (void)state;
    struct world w;
    init(&w, 0);
    struct vf_estimate e = {0};
    vf_estimate_copy(&w.check, &w.vm, NULL, &e);
    assert_int_equal(e.bytes, 0);
    assert_true(e.copy_s < 0.001 && e.bytes_per_s > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_estimate__is_of_what_is_used),
        cmocka_unit_test(test_estimate__of_nfc_grows_with_disks_at_once),
        cmocka_unit_test(test_estimate__prefers_the_rate_of_the_vms_own_host),
        cmocka_unit_test(test_estimate__of_a_warm_migration_takes_the_transport_that_works),
        cmocka_unit_test(test_estimate__of_no_disk_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
