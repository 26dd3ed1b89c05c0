/* What the nodes have for a VM to run on.
 *
 * Source: KubeVirt, pkg/virt-handler/node-labeller (labels of CPU features), pkg/virt-handler/
 * heartbeat (kubevirt.io/schedulable, cpumanager).
 */
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/metadata.h"
#include "importer/kube/quantity.h"
#include "importer/kube/resources.h"
#include "importer/kube/target_facts_private.h"

#define SCHEDULABLE "kubevirt.io/schedulable"
#define CPU_MANAGER "cpumanager"
#define CPU_FEATURE "cpu-feature.node.kubevirt.io/"

static uint64_t read_bytes(const cJSON *amounts, const char *key)
{
    uint64_t bytes;
    return vf_kube_parse_bytes(vf_json_string(amounts, key), &bytes) ? bytes : 0;
}

static void add_node(struct vf_target_facts *f, const struct vf_target_list *list,
                     const cJSON *item)
{
    const cJSON *amounts = vf_json_object(vf_json_object(item, "status"), "allocatable");
    bool cordoned = vf_json_bool(vf_json_object(item, "spec"), "unschedulable", false);
    const char *name = vf_kube_name(item);
    (void)list;
    f->nodes = vf_xrealloc_array(f->nodes, f->n_nodes + 1, sizeof *f->nodes);
    struct vf_target_node *n = &f->nodes[f->n_nodes++];
    *n = (struct vf_target_node){
        .name = vf_target_text(name ? name : ""),
        .schedulable = !cordoned && vf_kube_condition_is(item, "Ready", "True") &&
                       vf_kube_has_label(item, SCHEDULABLE, "true"),
        .memory_bytes = read_bytes(amounts, "memory"),
        .vmx = vf_kube_has_label(item, CPU_FEATURE "vmx", "true"),
        .svm = vf_kube_has_label(item, CPU_FEATURE "svm", "true"),
        .hugepages_2m_bytes = read_bytes(amounts, "hugepages-2Mi"),
        .hugepages_1g_bytes = read_bytes(amounts, "hugepages-1Gi"),
        .cpu_manager = vf_kube_has_label(item, CPU_MANAGER, "true"),
    };
    if (!vf_kube_parse_millis(vf_json_string(amounts, "cpu"), &n->cpu_millis)) {
        n->cpu_millis = 0;
    }
}

static void forget_nodes(struct vf_target_facts *f)
{
    for (size_t i = 0; i < f->n_nodes; i++) {
        free(f->nodes[i].name);
    }
    f->n_nodes = 0;
}

static int compare_nodes(const void *a, const void *b)
{
    const struct vf_target_node *x = a, *y = b;
    return strcmp(x->name, y->name);
}

int vf_target_fetch_nodes(struct vf_target_look *l, struct vf_error **err)
{
    static const struct vf_target_list nodes = {
        .resource = &vf_kube_nodes, .what = "the nodes", .begin = forget_nodes, .each = add_node};
    int rc = vf_target_list(l, &nodes, &l->facts->nodes_known, err);
    if (l->facts->n_nodes) {
        qsort(l->facts->nodes, l->facts->n_nodes, sizeof *l->facts->nodes, compare_nodes);
    }
    return rc;
}
