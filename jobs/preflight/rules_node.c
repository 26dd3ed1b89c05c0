/* Rules of the nodes: is there one that the VM can run on? Of all that a VM asks for it is the same
 * node that has to have it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/preflight/demands.h"
#include "jobs/preflight/looks.h"
#include "jobs/report/text.h"

typedef bool node_fn(const struct vf_target_node *n, const struct vf_target_demand *d);

/* Does a node that takes VMs at all pass? */
static bool any_node(const struct vf_check *c, node_fn *fn, const struct vf_target_demand *d)
{
    const struct vf_target_facts *f = &c->facts->target;
    for (size_t i = 0; i < f->n_nodes; i++) {
        if (f->nodes[i].schedulable && fn(&f->nodes[i], d)) {
            return true;
        }
    }
    return false;
}

static bool is_node(const struct vf_target_node *n, const struct vf_target_demand *d)
{
    (void)n;
    (void)d;
    return true;
}

/* Without one there is nothing to compare with, and one rule has told. */
static bool is_judged(const struct vf_check *c)
{
    return c->facts->target.nodes_known && any_node(c, is_node, NULL);
}

static uint64_t hugepages_of(const struct vf_target_node *n, const struct vf_target_demand *d)
{
    return strcmp(d->hugepages, "1Gi") == 0 ? n->hugepages_1g_bytes : n->hugepages_2m_bytes;
}

static bool is_large_enough(const struct vf_target_node *n, const struct vf_target_demand *d)
{
    return n->memory_bytes >= vf_target_pod_bytes(d) && n->cpu_millis >= d->cpu_millis;
}

static bool has_hugepages(const struct vf_target_node *n, const struct vf_target_demand *d)
{
    return hugepages_of(n, d) >= d->memory_bytes;
}

static bool has_cpu_manager(const struct vf_target_node *n, const struct vf_target_demand *d)
{
    (void)d;
    return n->cpu_manager;
}

static bool nests(const struct vf_target_node *n, const struct vf_target_demand *d)
{
    (void)d;
    return n->vmx || n->svm;
}

/* The disks are copied and the VM is made all the same: it only does not run. */
static enum vf_severity severity_of(const struct vf_check *c)
{
    return c->options->import->cluster.start ? c->rule->severity : VF_WARNING;
}

/* --- the rules --------------------------------------------------------------------------- */

static void check_none(const struct vf_check *c)
{
    if (c->facts->target.nodes_known && !any_node(c, is_node, NULL)) {
        vf_found_as(c, severity_of(c), NULL, NULL,
                    "none of the %zu node%s is ready, not cordoned, and labelled "
                    "kubevirt.io/schedulable=true",
                    c->facts->target.n_nodes, vf_check_plural(c->facts->target.n_nodes));
    }
}

static void found_too_small(const struct vf_check *c, const struct vf_target_demand *d)
{
    const struct vf_target_facts *f = &c->facts->target;
    char need[VF_TEXT_BYTES_SIZE], have[VF_TEXT_BYTES_SIZE];
    uint64_t memory = 0, cpu = 0;
    for (size_t i = 0; i < f->n_nodes; i++) {
        const struct vf_target_node *n = &f->nodes[i];
        memory = n->schedulable && n->memory_bytes > memory ? n->memory_bytes : memory;
        cpu = n->schedulable && n->cpu_millis > cpu ? n->cpu_millis : cpu;
    }
    vf_found_as(c, severity_of(c), NULL, NULL,
                "the VM needs %s of memory and %" PRIu64 ".%03" PRIu64
                " CPUs of one node, with what "
                "KubeVirt takes itself; the most that any has is %s, and %" PRIu64 ".%03" PRIu64,
                vf_text_bytes(need, vf_target_pod_bytes(d)), d->cpu_millis / 1000,
                d->cpu_millis % 1000, vf_text_bytes(have, memory), cpu / 1000, cpu % 1000);
}

static void check_too_small(const struct vf_check *c)
{
    struct vf_target_demand d;
    vf_target_demand(c, c->vm, &d);
    if (d.known && is_judged(c) && !any_node(c, is_large_enough, &d)) {
        found_too_small(c, &d);
    }
}

static void check_hugepages(const struct vf_check *c)
{
    struct vf_target_demand d;
    vf_target_demand(c, c->vm, &d);
    if (d.known && d.hugepages && is_judged(c) && !any_node(c, has_hugepages, &d)) {
        char need[VF_TEXT_BYTES_SIZE];
        vf_found_as(c, severity_of(c), NULL, NULL,
                    "the VM needs %s in hugepages of %s, which no node has",
                    vf_text_bytes(need, d.memory_bytes), d.hugepages);
    }
}

static void check_dedicated(const struct vf_check *c)
{
    struct vf_target_demand d;
    vf_target_demand(c, c->vm, &d);
    if (d.dedicated && is_judged(c) && !any_node(c, has_cpu_manager, &d)) {
        vf_found_as(c, severity_of(c), NULL, NULL,
                    "the VM is to have CPUs of its own, and no node is labelled "
                    "cpumanager=true");
    }
}

/* A feature that the manifest requires keeps the VM from every node without it; one that is
 * optional is left off there. */
static void check_nested(const struct vf_check *c)
{
    const cJSON *cpu = vf_json_object(vf_target_domain(c), "cpu"), *feature;
    if (!is_judged(c) || any_node(c, nests, NULL)) {
        return;
    }
    cJSON_ArrayForEach(feature, vf_json_array(cpu, "features"))
    {
        const char *name = vf_json_string(feature, "name");
        const char *policy = vf_json_string(feature, "policy");
        if (name && (strcmp(name, "vmx") == 0 || strcmp(name, "svm") == 0)) {
            bool required = !policy || strcmp(policy, "require") == 0;
            vf_found_as(c, required ? VF_CRITICAL : c->rule->severity, NULL, NULL,
                        "the VM runs VMs of its own, and no node has the CPU feature vmx or svm "
                        "for it%s",
                        required ? ", which its manifest requires" : "");
            return;
        }
    }
}

const struct vf_rule vf_rules_node[] = {
    {.id = "node.none",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "readiness and labels of all nodes",
     .message = "there is no node that a VM could run on (warning: without --start)",
     .action = "see kubectl get nodes, and the pods of virt-handler",
     .once = true,
     .check = check_none},
    {.id = "node.too-small",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "allocatable memory and CPUs of all nodes, and KubeVirt's overhead",
     .message =
         "no node is large enough for the VM, even when it is empty (warning: without --start)",
     .action = "--instancetype names one that takes less, or change the VM at the source, or add a "
               "larger node",
     .check = check_too_small},
    {.id = "node.hugepages",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "hugepages of all nodes",
     .message = "no node has as many hugepages as the VM is to have (warning: without --start)",
     .action = "reserve hugepages on a node, or leave --hugepages out",
     .check = check_hugepages},
    {.id = "node.dedicated-cpus",
     .severity = VF_CRITICAL,
     .area = VF_AREA_TARGET,
     .looks_at = "label cpumanager of all nodes",
     .message = "no node gives a VM CPUs of its own (warning: without --start)",
     .action = "let kubelet run with the static CPU manager, and open KubeVirt's gate CPUManager; "
               "or leave --dedicated-cpus out",
     .check = check_dedicated},
    {.id = "node.nested",
     .severity = VF_WARNING,
     .area = VF_AREA_TARGET,
     .looks_at = "CPU features of the manifest and of all nodes",
     .message = "VMs inside of the VM will not start (critical: nor will the VM itself)",
     .action = "let the nodes' kernel module kvm_intel or kvm_amd nest (nested=1), or take "
               "--nested no",
     .check = check_nested},
    {.id = NULL},
};
