#include "converters/vm/kubevirt_machine.h"

#include "importer/base/json.h"

static void add_topology(const struct vf_manifest_plan *plan, cJSON *cpu)
{
    const struct vf_vm *vm = plan->vm;
    enum vf_tristate told = plan->mapping->hot_plug;
    uint32_t cores = vm->cores_per_socket;
    if (cores == 0 || vm->cpus % cores != 0) {
        cores = 1;
    }
    vf_json_add_u64(cpu, "sockets", vm->cpus / cores);
    vf_json_add_u64(cpu, "cores", cores);
    vf_json_add_u64(cpu, "threads", 1);
    if (vm->cores_per_socket) {
        vf_origin_note(plan->origins, cpu, VF_ORIGIN_SOURCE, "numCPU %u, numCoresPerSocket %u%s",
                       vm->cpus, vm->cores_per_socket,
                       cores == vm->cores_per_socket ? "" : ", which does not divide it");
    } else {
        vf_origin_note(plan->origins, cpu, VF_ORIGIN_SOURCE,
                       "numCPU %u; numCoresPerSocket is not told", vm->cpus);
    }
    vf_origin_note_member(plan->origins, cpu, "threads", VF_ORIGIN_SOURCE,
                          "vSphere shows a guest no threads");
    if (told == VF_NO || (told == VF_UNSET && vm->cpu_hot_add == VF_NO)) {
        vf_json_add_u64(cpu, "maxSockets", vm->cpus / cores);
        vf_origin_note_member(plan->origins, cpu, "maxSockets",
                              told == VF_NO ? VF_ORIGIN_OPTION : VF_ORIGIN_SOURCE,
                              told == VF_NO ? "--hot-plug no" : "cpuHotAddEnabled false");
    }
}

/* Both, since the nodes' vendor is not known: libvirt leaves out the optional one that a CPU does
 * not have, and nodes are not chosen by them. */
static void add_nested(const struct vf_manifest_plan *plan, cJSON *cpu,
                       struct vf_concerns *concerns)
{
    static const char *const names[] = {"vmx", "svm"};
    enum vf_tristate told = plan->mapping->nested;
    if (told == VF_NO || (told == VF_UNSET && !plan->vm->nested_hv)) {
        if (plan->vm->nested_hv) {
            vf_concerns_add(concerns, "vm.nested",
                            "the guest could run VMs of its own, and cannot any more, as told");
        }
        return;
    }
    vf_concerns_add(concerns, "vm.nested",
                    "the guest may run VMs of its own where the node's KVM lets it (nested=1 of "
                    "kvm_intel or kvm_amd); a node without does not keep it from starting");
    cJSON *features = vf_json_add_array(cpu, "features");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cJSON *feature = vf_json_append_object(features);
        vf_json_add_string(feature, "name", names[i]);
        vf_json_add_string(feature, "policy", "optional");
    }
    vf_origin_note(plan->origins, features, told == VF_YES ? VF_ORIGIN_OPTION : VF_ORIGIN_SOURCE,
                   told == VF_YES ? "--nested yes" : "nestedHVEnabled true");
}

void vf_kubevirt_cpu(const struct vf_manifest_plan *plan, cJSON *domain,
                     struct vf_concerns *concerns)
{
    const struct vf_mapping *m = plan->mapping;
    cJSON *cpu = vf_json_add_object(domain, "cpu");
    if (plan->vm->cpus && !plan->instancetype.name) {
        add_topology(plan, cpu);
    }
    if (m->cpu_model) {
        vf_json_add_string(cpu, "model", m->cpu_model);
        vf_origin_note_member(plan->origins, cpu, "model", VF_ORIGIN_OPTION, "--cpu-model");
    }
    add_nested(plan, cpu, concerns);
    if (m->dedicated_cpus) {
        vf_json_add_bool(cpu, "dedicatedCpuPlacement", true);
        vf_origin_note_member(plan->origins, cpu, "dedicatedCpuPlacement", VF_ORIGIN_OPTION,
                              "--dedicated-cpus");
    }
    if (m->numa) {
        vf_json_add_object(vf_json_add_object(cpu, "numa"), "guestMappingPassthrough");
        vf_origin_note_member(plan->origins, cpu, "numa", VF_ORIGIN_OPTION, "--numa");
    }
    if (!cpu->child) {
        cJSON_DeleteItemFromObjectCaseSensitive(domain, "cpu");
    }
}
