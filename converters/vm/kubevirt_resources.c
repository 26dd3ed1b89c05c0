#include "converters/vm/kubevirt_machine.h"

#include "importer/base/json.h"
#include "importer/base/mem.h"

#define MIB UINT64_C(1048576)

/* KubeVirt's own cpuAllocationRatio, unless a cluster is told another. */
#define VCPUS_PER_REQUESTED_CPU 10
#define MILLI                   1000
/* vSphere's shares of a vCPU by level; custom ones are a number for the whole VM. */
#define SHARES_LOW    500
#define SHARES_NORMAL 1000
#define SHARES_HIGH   2000
/* No host has more; what a source tells is not multiplied before it is below. */
#define MAX_MHZ (UINT64_C(1) << 40)

static bool has_limit(const struct vf_vm_allocation *a)
{
    return a->limit && a->limit != VF_NO_LIMIT;
}

/* MHz as thousandths of the host's cores, rounded up, no more than all vCPUs. */
static uint64_t to_milli(const struct vf_vm *vm, uint64_t mhz)
{
    uint64_t all = (uint64_t)vm->cpus * MILLI;
    mhz = mhz < MAX_MHZ ? mhz : MAX_MHZ;
    uint64_t milli = (mhz * MILLI + vm->host_cpu_mhz - 1) / vm->host_cpu_mhz;
    return vm->cpus && milli > all ? all : milli;
}

/* 0 for normal shares, which is what KubeVirt requests by itself. */
static uint64_t milli_of_shares(const struct vf_vm *vm)
{
    const struct vf_vm_allocation *a = &vm->cpu_allocation;
    uint64_t all = (uint64_t)vm->cpus * MILLI, shares = a->shares;
    if (a->level == VF_SHARES_LOW || a->level == VF_SHARES_HIGH) {
        shares = (uint64_t)vm->cpus * (a->level == VF_SHARES_LOW ? SHARES_LOW : SHARES_HIGH);
    } else if (a->level != VF_SHARES_CUSTOM) {
        return 0;
    }
    uint64_t milli = shares * MILLI / SHARES_NORMAL / VCPUS_PER_REQUESTED_CPU;
    milli = milli || !shares ? milli : 1;
    return milli < all ? milli : all;
}

static char *cpu_quantity(uint64_t milli)
{
    return milli % MILLI ? vf_xasprintf("%llum", (unsigned long long)milli)
                         : vf_xasprintf("%llu", (unsigned long long)(milli / MILLI));
}

static const char *level_name(enum vf_shares level)
{
    return level == VF_SHARES_LOW ? "low" : level == VF_SHARES_HIGH ? "high" : "custom";
}

static void request_cpu(const struct vf_manifest_plan *plan, cJSON *requests, uint64_t limit_milli)
{
    const struct vf_vm *vm = plan->vm;
    uint64_t mhz = vm->cpu_allocation.reservation;
    bool reserved = mhz && vm->host_cpu_mhz;
    uint64_t milli = reserved ? to_milli(vm, mhz) : mhz ? 0 : milli_of_shares(vm);
    if (!milli) {
        return;
    }
    milli = limit_milli && milli > limit_milli ? limit_milli : milli; /* admission demands it */
    char *vf_autofree text = cpu_quantity(milli);
    vf_json_add_string(requests, "cpu", text);
    if (reserved) {
        vf_origin_note_member(plan->origins, requests, "cpu", VF_ORIGIN_SOURCE,
                              "reservation %llu MHz, of cores with %u MHz", (unsigned long long)mhz,
                              vm->host_cpu_mhz);
    } else {
        vf_origin_note_member(plan->origins, requests, "cpu", VF_ORIGIN_SOURCE, "shares \"%s\", %u",
                              level_name(vm->cpu_allocation.level), vm->cpu_allocation.shares);
    }
}

/* Thousandths of a core; 0: none. */
static uint64_t limit_cpu(const struct vf_manifest_plan *plan, cJSON *limits)
{
    const struct vf_vm *vm = plan->vm;
    uint64_t mhz = vm->cpu_allocation.limit;
    if (!has_limit(&vm->cpu_allocation) || !vm->host_cpu_mhz) {
        return 0;
    }
    uint64_t milli = to_milli(vm, mhz);
    if (vm->cpus && milli >= (uint64_t)vm->cpus * MILLI) {
        return 0;
    }
    char *vf_autofree text = cpu_quantity(milli);
    vf_json_add_string(limits, "cpu", text);
    vf_origin_note_member(plan->origins, limits, "cpu", VF_ORIGIN_SOURCE,
                          "limit %llu MHz, of cores with %u MHz", (unsigned long long)mhz,
                          vm->host_cpu_mhz);
    return milli;
}

static void request_memory(const struct vf_manifest_plan *plan, cJSON *requests,
                           struct vf_concerns *concerns)
{
    const struct vf_vm *vm = plan->vm;
    uint64_t bytes = vm->memory_allocation.reservation;
    if (!bytes || plan->mapping->hugepages) {
        return;
    }
    bytes = bytes < UINT64_MAX - MIB ? (bytes + MIB - 1) / MIB * MIB : bytes;
    bytes = vm->memory_bytes && bytes > vm->memory_bytes ? vm->memory_bytes : bytes;
    char *vf_autofree text = vf_kubevirt_quantity(bytes);
    vf_json_add_string(requests, "memory", text);
    vf_origin_note_member(plan->origins, requests, "memory", VF_ORIGIN_SOURCE,
                          "memory reservation %llu MB",
                          (unsigned long long)(vm->memory_allocation.reservation / MIB));
    if (bytes < vm->memory_bytes) {
        char *vf_autofree guest = vf_kubevirt_quantity(vm->memory_bytes);
        vf_concerns_add(concerns, "vm.memory-overcommitted",
                        "%s of the guest's %s of memory are set aside for it, as reserved at the "
                        "source: a node that runs out of memory may end the VM for the rest",
                        text, guest);
    }
}

static void tell_cpu(const struct vf_manifest_plan *plan, struct vf_concerns *concerns)
{
    const struct vf_vm *vm = plan->vm;
    const struct vf_vm_allocation *cpu = &vm->cpu_allocation;
    bool source = plan->mapping->resources == VF_RESOURCES_SOURCE;
    const char *why = source
                          ? "and is not carried, since the speed of the host's cores is not known"
                          : "and is not carried";
    if (cpu->reservation && !plan->mapping->dedicated_cpus && (!source || !vm->host_cpu_mhz)) {
        vf_concerns_add(concerns, "vm.cpu-reservation",
                        "the source reserves %llu MHz of CPU for the VM, %s: the cluster sets a "
                        "tenth of its vCPUs aside, or as it was told",
                        (unsigned long long)cpu->reservation, why);
    }
    if (has_limit(cpu) && (!source || !vm->host_cpu_mhz || plan->mapping->dedicated_cpus)) {
        vf_concerns_add(concerns, "vm.cpu-limit",
                        "the source limits the VM to %llu MHz of CPU, %s: it may use all of its "
                        "vCPUs",
                        (unsigned long long)cpu->limit,
                        plan->mapping->dedicated_cpus ? "and dedicated CPUs have no limit" : why);
    }
}

static void tell_memory(const struct vf_manifest_plan *plan, struct vf_concerns *concerns)
{
    const struct vf_vm *vm = plan->vm;
    const struct vf_vm_allocation *memory = &vm->memory_allocation;
    if (memory->reservation && plan->mapping->resources == VF_RESOURCES_CLUSTER &&
        !plan->mapping->dedicated_cpus && !plan->mapping->hugepages) {
        vf_concerns_add(concerns, "vm.memory-reservation",
                        "the source reserves %llu MB of memory for the VM: the cluster sets all of "
                        "its memory aside, unless it was told to overcommit",
                        (unsigned long long)(memory->reservation / MIB));
    }
    if (has_limit(memory) && memory->limit < vm->memory_bytes) {
        vf_concerns_add(concerns, "vm.memory-limit",
                        "the source limits the VM to %llu MB of the guest's %llu MB of memory, and "
                        "swaps the rest: Kubernetes has no such limit, and the VM may use all",
                        (unsigned long long)(memory->limit / MIB),
                        (unsigned long long)(vm->memory_bytes / MIB));
    }
}

void vf_kubevirt_resources(const struct vf_manifest_plan *plan, cJSON *domain,
                           struct vf_concerns *concerns)
{
    if (plan->instancetype.name) { /* which has its own, and is told of as a whole */
        return;
    }
    tell_cpu(plan, concerns);
    tell_memory(plan, concerns);
    if (plan->mapping->resources != VF_RESOURCES_SOURCE || plan->mapping->dedicated_cpus) {
        return;
    }
    cJSON *requests = vf_json_new_object(), *limits = vf_json_new_object();
    request_cpu(plan, requests, limit_cpu(plan, limits));
    request_memory(plan, requests, concerns);
    if (requests->child || limits->child) {
        cJSON *resources = vf_json_add_object(domain, "resources");
        if (requests->child) {
            cJSON_AddItemToObject(resources, "requests", requests);
            requests = NULL;
        }
        if (limits->child) {
            cJSON_AddItemToObject(resources, "limits", limits);
            limits = NULL;
        }
    }
    cJSON_Delete(requests);
    cJSON_Delete(limits);
}
