#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "jobs/preflight/demands.h"
#include "tests/support/check_cluster.h"

#define UUID "50-web01"
#define GIB  ((uint64_t)1 << 30)
#define MIB  ((uint64_t)1 << 20)

/* Both VMs have 2 CPUs, 4 GiB, and a disk of 1 GiB. */
static void set(struct check_world *w, const char *resource, uint64_t left)
{
    check_cluster_init(w);
    check_cluster_add_quota(w, resource, 1000 * GIB + left, 1000 * GIB);
}

#define QUOTA(name, resource, left)                                                                \
    static void name(struct check_world *w)                                                        \
    {                                                                                              \
        set(w, resource, left);                                                                    \
    }

/* Without a worker, which takes more. */
#define RUNNING(name, resource, left)                                                              \
    static void name(struct check_world *w)                                                        \
    {                                                                                              \
        set(w, resource, left);                                                                    \
        w->import.target = VF_TO_UPLOAD;                                                           \
    }

QUOTA(storage, "requests.storage", 2 * GIB - 1)
QUOTA(storage_fits, "requests.storage", 2 * GIB)
QUOTA(class_storage, "fast.storageclass.storage.k8s.io/requests.storage", GIB)
QUOTA(other_class, "slow.storageclass.storage.k8s.io/requests.storage", 0)
QUOTA(claims, "persistentvolumeclaims", 1)
QUOTA(claims_fit, "count/persistentvolumeclaims", 2)
QUOTA(class_claims, "fast.storageclass.storage.k8s.io/persistentvolumeclaims", 0)
RUNNING(cpu, "requests.cpu", 399)
RUNNING(cpu_fits, "cpu", 400)
RUNNING(cpu_limits, "limits.cpu", 3999)
RUNNING(cpu_limits_fit, "limits.cpu", 4000)
QUOTA(memory, "requests.memory", 8 * GIB)
QUOTA(memory_fits, "memory", 9 * GIB)
QUOTA(memory_limits, "limits.memory", 16 * GIB)
QUOTA(memory_limits_fit, "limits.memory", 18 * GIB)
QUOTA(pods, "pods", 1)
QUOTA(pods_fit, "count/pods", 2)
QUOTA(machines, "count/virtualmachines.kubevirt.io", 1)
QUOTA(machines_fit, "count/virtualmachines.kubevirt.io", 2)
QUOTA(volumes, "count/datavolumes.cdi.kubevirt.io", 1)
QUOTA(worker_pod, "pods", 0)
QUOTA(worker_cpu, "requests.cpu", 499)
QUOTA(worker_cpu_limit, "limits.cpu", 4999)
QUOTA(worker_memory, "memory", 201 * MIB)
QUOTA(worker_memory_limit, "limits.memory", 201 * MIB)
QUOTA(worker_fits, "memory", 202 * MIB)
QUOTA(unrelated, "count/secrets", 0)

static void volumes_of_upload(struct check_world *w)
{
    volumes(w);
    w->import.target = VF_TO_UPLOAD;
    w->import.cluster.handover = VF_IMPORT_CLAIM;
}

static void no_volumes(struct check_world *w)
{
    volumes(w);
    w->import.cluster.handover = VF_IMPORT_CLAIM;
}

static void own_volume(struct check_world *w)
{
    volumes(w);
    check_cluster_add_name(w, "DataVolume/web01-disk-0", "web01", UUID, false, false);
}

static void foreign_volume(struct check_world *w)
{
    volumes(w);
    check_cluster_add_name(w, "DataVolume/web01-disk-0", "web01", "someone", false, false);
}

static void own_machine(struct check_world *w)
{
    machines(w);
    check_cluster_add_name(w, "VirtualMachine/web01", "web01", UUID, false, false);
}

/* An upload takes the room of the largest VM's disks once more. */
static void scratch(struct check_world *w)
{
    set(w, "requests.storage", 3 * GIB - 1);
    w->import.target = VF_TO_UPLOAD;
}

static void scratch_fits(struct check_world *w)
{
    set(w, "requests.storage", 3 * GIB);
    w->import.target = VF_TO_UPLOAD;
}

static void state_claim(struct check_world *w)
{
    set(w, "persistentvolumeclaims", 2);
    w->vms[0].has_vtpm = true;
}

static void worker_pod_elsewhere(struct check_world *w)
{
    worker_pod(w);
    w->import.target = VF_TO_UPLOAD;
    w->mapping.instancetype = vf_xstrdup("u1.small");
    w->facts.target.quotas[0].hard += 2;
}

static void cpu_of_worker(struct check_world *w)
{
    worker_cpu(w);
    w->mapping.instancetype = vf_xstrdup("u1.small");
}

static void cpu_of_upload(struct check_world *w)
{
    cpu_of_worker(w);
    w->import.target = VF_TO_UPLOAD;
}

static void memory_of_worker_fits(struct check_world *w)
{
    worker_fits(w);
    w->mapping.instancetype = vf_xstrdup("u1.small");
}

static void cpu_and_start(struct check_world *w)
{
    cpu(w);
    w->import.cluster.start = true;
}

static void cpu_of_instancetype(struct check_world *w)
{
    cpu_and_start(w);
    w->mapping.instancetype = vf_xstrdup("u1.small");
}

static void memory_overcommitted(struct check_world *w)
{
    memory(w);
    w->facts.kubevirt.memory_overcommit = 150;
}

static void reserve(struct check_world *w)
{
    w->mapping.resources = VF_RESOURCES_SOURCE;
    for (size_t i = 0; i < CHECK_WORLD_VMS; i++) {
        w->vms[i].host_cpu_mhz = 2000;
        w->vms[i].cpu_allocation.reservation = 1000;
        w->vms[i].memory_allocation.reservation = GIB;
    }
}

static void memory_reserved(struct check_world *w)
{
    set(w, "requests.memory", 3 * GIB);
    reserve(w);
}

static void memory_not_reserved(struct check_world *w)
{
    memory_reserved(w);
    w->mapping.resources = VF_RESOURCES_CLUSTER;
}

static void cpu_reserved(struct check_world *w)
{
    set(w, "requests.cpu", 999);
    reserve(w);
}

static void cpu_not_reserved(struct check_world *w)
{
    cpu_reserved(w);
    w->mapping.resources = VF_RESOURCES_CLUSTER;
}

static void overspent(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_quota(w, "requests.storage", GIB, 2 * GIB);
}

static void memory_limit(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.max_memory_bytes = 4 * GIB;
}

static void memory_limit_and_start(struct check_world *w)
{
    memory_limit(w);
    w->import.cluster.start = true;
}

static void memory_limit_above(struct check_world *w)
{
    memory_limit(w);
    w->facts.target.max_memory_bytes = 5 * GIB;
}

static const struct check_case cases[] = {
    {"quota.storage", VF_CRITICAL, "2 VMs need 2.0 GiB", storage, storage_fits},
    {"quota.storage", VF_CRITICAL, "fast.storageclass", class_storage, other_class},
    {"quota.storage", VF_CRITICAL, "leaves 1 of persistentvolumeclaims", claims, claims_fit},
    {"quota.storage", VF_CRITICAL, "leaves 0", class_claims, unrelated},
    {"quota.storage", VF_CRITICAL, "3.0 GiB", scratch, scratch_fits},
    {"quota.storage", VF_CRITICAL, "need 3", state_claim, claims_fit},
    {"quota.storage", VF_CRITICAL, "leaves 0 B", overspent, storage_fits},
    {"quota.compute", VF_WARNING, "0.400", cpu, cpu_fits},
    {"quota.compute", VF_CRITICAL, "to run", cpu_and_start, cpu_of_instancetype},
    {"quota.compute", VF_WARNING, "4.000", cpu_limits, cpu_limits_fit},
    {"quota.compute", VF_WARNING, "requests.memory", memory, memory_fits},
    {"quota.compute", VF_WARNING, "limits.memory", memory_limits, memory_limits_fit},
    {"quota.compute", VF_WARNING, "pods", pods, pods_fit},
    {"quota.compute", VF_WARNING, "8.5 GiB", memory, memory_overcommitted},
    {"quota.compute", VF_WARNING, "8.5 GiB", memory_not_reserved, memory_reserved},
    {"quota.compute", VF_WARNING, "need 1.000", cpu_reserved, cpu_not_reserved},
    {"quota.compute", VF_CRITICAL, "the worker that copies needs 1", worker_pod,
     worker_pod_elsewhere},
    {"quota.compute", VF_CRITICAL, "needs 0.500", cpu_of_worker, cpu_of_upload},
    {"quota.compute", VF_CRITICAL, "worker that copies needs 5.000", worker_cpu_limit,
     cpu_limits_fit},
    {"quota.compute", VF_CRITICAL, "leaves 201 MiB", worker_memory, memory_of_worker_fits},
    {"quota.compute", VF_CRITICAL, "needs 202 MiB", worker_memory_limit, memory_of_worker_fits},
    {"quota.objects", VF_CRITICAL, "virtualmachines", machines, machines_fit},
    {"quota.objects", VF_CRITICAL, "datavolumes", volumes, unrelated},
    {"quota.objects", VF_CRITICAL, "datavolumes", volumes_of_upload, no_volumes},
    {"quota.objects", VF_CRITICAL, "datavolumes", foreign_volume, own_volume},
    {"quota.objects", VF_CRITICAL, "virtualmachines", machines, own_machine},
    {"quota.memory-limit", VF_WARNING, "LimitRange", memory_limit, memory_limit_above},
    {"quota.memory-limit", VF_CRITICAL, "4.0 GiB", memory_limit_and_start, memory_limit_above},
};

/* KubeVirt v1.8.2 of such a VM (pkg/hypervisor/kvm, GetMemoryOverhead): 4 GiB / 512, 220 MiB, 3
 * times 8 MiB, 32 MiB; with a TPM 53 MiB more. */
static void test_rules_quota__overhead_is_kubevirts(void **state)
{
    (void)state;
    struct check_world w;
    struct vf_target_demand d;
    check_world_init(&w);
    check_cluster_init(&w);
    w.import.mapping = &w.mapping;
    w.check.import = &w.import;
    const struct vf_check c = {.options = &w.check, .facts = &w.facts};
    vf_target_demand(&c, &w.vms[0], &d);
    assert_int_equal(d.overhead_bytes, (uint64_t)(8 + 220 + 24 + 32) << 20);
    w.vms[0].has_vtpm = true;
    vf_target_demand(&c, &w.vms[0], &d);
    assert_int_equal(d.overhead_bytes, (uint64_t)(8 + 220 + 24 + 32 + 53) << 20);
    check_world_release(&w);
}

static void test_rules_quota__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_quota__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_quota__overhead_is_kubevirts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
