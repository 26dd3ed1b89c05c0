/* Rules of CPU and memory: what vSphere promised the VM, and KubeVirt does not by itself. */
#include <inttypes.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/preflight/looks.h"

/* x86 without interrupt remapping addresses so many; a guest needs a virtual IOMMU for more. */
#define MANY_CPUS 255u
/* What memory hot-plug and huge pages count in. */
#define MEMORY_STEP ((uint64_t)2 << 20)

static void check_affinity(const struct vf_check *c)
{
    const struct vf_mapping *m = vf_check_mapping(c);
    if (c->vm->cpu_affinity && !(m && m->dedicated_cpus)) {
        vf_found(c, NULL, "the VM is bound to certain CPUs of its host");
    }
}

static void check_numa(const struct vf_check *c)
{
    const struct vf_mapping *m = vf_check_mapping(c);
    if (c->vm->numa_affinity && !(m && m->numa)) {
        vf_found(c, NULL, "the VM is bound to certain NUMA nodes of its host");
    }
}

static void check_latency(const struct vf_check *c)
{
    const struct vf_mapping *m = vf_check_mapping(c);
    const char *latency = c->vm->latency ? c->vm->latency : "";
    bool high = strcmp(latency, "high") == 0 || strcmp(latency, "custom") == 0;
    if (high && !(m && m->dedicated_cpus)) {
        vf_found(c, NULL, "latency sensitivity is \"%s\": the VM has CPUs to itself", latency);
    }
}

static void check_cpu_hot_plug(const struct vf_check *c)
{
    bool add = c->vm->cpu_hot_add == VF_YES;
    if (add || c->vm->cpu_hot_remove) {
        vf_found(c, NULL,
                 "CPUs may be %s%s%s while the VM runs: in KubeVirt whole sockets are "
                 "added, by a live migration, and never removed",
                 add ? "added" : "", add && c->vm->cpu_hot_remove ? " and " : "",
                 c->vm->cpu_hot_remove ? "removed" : "");
    }
}

static void check_memory_hot_plug(const struct vf_check *c)
{
    if (c->vm->memory_hot_add == VF_YES) {
        vf_found(c, NULL,
                 "memory may be added while the VM runs: in KubeVirt by a live migration, "
                 "to a guest of 1 GiB or more");
    }
}

static void check_evc(const struct vf_check *c)
{
    const struct vf_mapping *m = vf_check_mapping(c);
    if (c->vm->evc_mode && !(m && m->cpu_model)) {
        vf_found(c, NULL,
                 "the guest sees the CPU features of \"%s\" (EVC): it will see those of "
                 "the node it starts on",
                 c->vm->evc_mode);
    }
}

static void check_topology(const struct vf_check *c)
{
    const struct vf_vm *vm = c->vm;
    if (vm->cores_per_socket > 1 && vm->cpus % vm->cores_per_socket != 0) {
        vf_found(c, NULL,
                 "%" PRIu32 " CPUs are not divisible into sockets of %" PRIu32
                 " cores: each gets a socket of its own",
                 vm->cpus, vm->cores_per_socket);
    }
}

static void check_many_cpus(const struct vf_check *c)
{
    if (c->vm->cpus > MANY_CPUS) {
        vf_found(c, NULL, "the VM has %" PRIu32 " CPUs, more than %u", c->vm->cpus, MANY_CPUS);
    }
}

static void check_memory_odd(const struct vf_check *c)
{
    if (c->vm->memory_bytes % MEMORY_STEP != 0) {
        vf_found(c, NULL, "its memory, %" PRIu64 " bytes, is no multiple of 2 MiB",
                 c->vm->memory_bytes);
    }
}

const struct vf_rule vf_rules_machine[] = {
    {.id = "cpu.affinity",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "CPU affinity",
     .message = "the VM is bound to CPUs of its host, and will not be in the cluster",
     .action = "--dedicated-cpus gives it CPUs to itself, on nodes with the CPU manager",
     .check = check_affinity},
    {.id = "cpu.numa-affinity",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "NUMA affinity",
     .message = "the VM is bound to NUMA nodes of its host, and will not be in the cluster",
     .action = "--numa --dedicated-cpus --hugepages 2Mi passes the topology of a node through",
     .check = check_numa},
    {.id = "cpu.latency",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "latency sensitivity",
     .message = "the VM is latency sensitive and has CPUs to itself, and will share them in the "
                "cluster",
     .action = "--dedicated-cpus gives it CPUs to itself, on nodes with the CPU manager",
     .check = check_latency},
    {.id = "cpu.hot-plug",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "CPU hot add and remove",
     .message =
         "CPUs may be added or removed while the VM runs, which KubeVirt does in its own way",
     .action = "nothing; live migration must be possible when CPUs are to be added",
     .check = check_cpu_hot_plug},
    {.id = "cpu.evc",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "EVC mode",
     .message =
         "EVC holds the guest's CPU features down to those of a generation, and nothing does "
         "in the cluster",
     .action = "--cpu-model names one where nodes differ",
     .check = check_evc},
    {.id = "cpu.topology",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "CPUs and cores per socket",
     .message =
         "the number of CPUs is no multiple of the cores per socket: sockets of one core are "
         "made",
     .action = "nothing, unless a licence counts sockets: then change the VM's cores per socket",
     .check = check_topology},
    {.id = "cpu.many",
     .severity = VF_WARNING,
     .area = VF_AREA_VM,
     .looks_at = "number of CPUs",
     .message = "a guest with more than 255 CPUs needs a virtual IOMMU, and nodes as large",
     .action = "give the VM fewer CPUs, or try a VM of that size in the cluster first",
     .check = check_many_cpus},
    {.id = "memory.hot-plug",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "memory hot add",
     .message = "memory may be added while the VM runs, which KubeVirt does in its own way",
     .action = "nothing; live migration must be possible when memory is to be added",
     .check = check_memory_hot_plug},
    {.id = "memory.odd",
     .severity = VF_INFORMATION,
     .area = VF_AREA_VM,
     .looks_at = "size of memory",
     .message = "memory that is no multiple of 2 MiB can be neither hot-plugged nor of huge pages",
     .action = "nothing, or change the VM's memory while it is off",
     .check = check_memory_odd},
    {.id = NULL},
};
