#include "tests/support/check_cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"

#define GIB ((uint64_t)1 << 30)

void check_cluster_set_kubevirt(struct check_world *w, const char *version)
{
    struct vf_kubevirt_facts *k = &w->facts.kubevirt;
    vf_replace_string(&k->version, version);
    vf_test_check(sscanf(version, "v%u.%u", &k->major, &k->minor) == 2);
}

static void set_kubevirt(struct check_world *w)
{
    struct vf_kubevirt_facts *k = &w->facts.kubevirt;
    check_cluster_set_kubevirt(w, "v1.9.0");
    k->known = k->live_update = k->permit_bridge_on_pod_network = true;
    k->phase = vf_xstrdup("Deployed");
    k->max_hotplug_ratio = 4;
    k->cpu_allocation_ratio = 10;
}

static void set_storage(struct vf_target_facts *f)
{
    f->classes = vf_xcalloc(1, sizeof *f->classes);
    f->n_classes = 1;
    f->classes[0] = (struct vf_target_class){.name = vf_xstrdup("fast"),
                                             .provisioner = vf_xstrdup("csi.example"),
                                             .is_default = true,
                                             .has_capacity = true,
                                             .free_bytes = 100 * GIB,
                                             .total_free_bytes = 100 * GIB,
                                             .snapshot_class = vf_xstrdup("snap")};
    struct vf_kube_storage *s = vf_xcalloc(1, sizeof *s);
    *s = (struct vf_kube_storage){.class_name = vf_xstrdup("fast"),
                                  .provisioner = vf_xstrdup("csi.example"),
                                  .volume_mode = vf_xstrdup("Block"),
                                  .access_mode = vf_xstrdup("ReadWriteMany"),
                                  .has_profile = true,
                                  .overhead = 0.06};
    f->storages = vf_xcalloc(1, sizeof *f->storages);
    f->n_storages = 1;
    f->storages[0].storage = s;
}

void check_cluster_init(struct check_world *w)
{
    struct vf_target_facts *f = &w->facts.target;
    w->import.target = VF_TO_CLAIM;
    w->facts.has_target = true;
    set_kubevirt(w);
    *f = (struct vf_target_facts){.known = true,
                                  .ns = vf_xstrdup("prod"),
                                  .version = vf_xstrdup("v1.34.2"),
                                  .macs_known = true,
                                  .names_known = true,
                                  .quotas_known = true,
                                  .classes_known = true,
                                  .nodes_known = true,
                                  .attachments_known = true,
                                  .preferences_known = true,
                                  .instancetypes_known = true,
                                  .cdi_known = true,
                                  .rights_known = true,
                                  .limits_known = true,
                                  .snapshots_known = true,
                                  .namespace_known = true,
                                  .has_cdi = true,
                                  .cdi_version = vf_xstrdup("v1.64.0"),
                                  .has_snapshots = true,
                                  .account = VF_YES,
                                  .clock_known = true};
    set_storage(f);
    f->nodes = vf_xcalloc(1, sizeof *f->nodes);
    f->n_nodes = 1;
    f->nodes[0] = (struct vf_target_node){.name = vf_xstrdup("node1"),
                                          .schedulable = true,
                                          .cpu_millis = 16000,
                                          .memory_bytes = 64 * GIB,
                                          .vmx = true};
}

struct vf_kube_storage *check_cluster_storage(struct check_world *w)
{
    return w->facts.target.storages[0].storage;
}

/* Lists are sorted by their first string. */
static int compare_first(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

void check_cluster_add_name(struct check_world *w, const char *key, const char *import,
                            const char *source_uuid, bool complete, bool warm)
{
    struct vf_target_facts *f = &w->facts.target;
    f->names = vf_xrealloc_array(f->names, f->n_names + 1, sizeof *f->names);
    f->names[f->n_names++] =
        (struct vf_target_name){.key = vf_xstrdup(key),
                                .marks = {.ours = import != NULL,
                                          .complete = complete,
                                          .warm = warm,
                                          .import = vf_xstrdup(import),
                                          .source_uuid = vf_xstrdup(source_uuid)}};
    qsort(f->names, f->n_names, sizeof *f->names, compare_first);
}

void check_cluster_add_mac(struct check_world *w, const char *mac, const char *owner, bool running)
{
    struct vf_target_facts *f = &w->facts.target;
    f->macs = vf_xrealloc_array(f->macs, f->n_macs + 1, sizeof *f->macs);
    f->macs[f->n_macs++] = (struct vf_target_mac){
        .mac = vf_xstrdup(mac), .owner = vf_xstrdup(owner), .running = running};
    qsort(f->macs, f->n_macs, sizeof *f->macs, compare_first);
}

void check_cluster_add_quota(struct check_world *w, const char *resource, uint64_t hard,
                             uint64_t used)
{
    struct vf_target_facts *f = &w->facts.target;
    f->quotas = vf_xrealloc_array(f->quotas, f->n_quotas + 1, sizeof *f->quotas);
    f->quotas[f->n_quotas++] = (struct vf_target_quota){
        .name = vf_xstrdup("team"), .resource = vf_xstrdup(resource), .hard = hard, .used = used};
}

void check_cluster_add_string(char ***strings, size_t *n, const char *s)
{
    *strings = vf_xrealloc_array(*strings, *n + 1, sizeof **strings);
    (*strings)[(*n)++] = vf_xstrdup(s);
    qsort(*strings, *n, sizeof **strings, compare_first);
}

void check_cluster_add_gate(struct check_world *w, const char *gate)
{
    check_cluster_add_string(&w->facts.kubevirt.gates, &w->facts.kubevirt.n_gates, gate);
}

/* --- manifests --------------------------------------------------------------------------- */

static void judge(struct check_world *w, const char *id, const char *spec)
{
    char *vf_autofree text =
        vf_xasprintf("{\"kind\":\"VirtualMachine\",\"spec\":{\"template\":{\"spec\":%s}}}", spec);
    cJSON *machine = cJSON_Parse(text);
    vf_test_check(machine);
    const struct vf_manifests manifests = {.documents = &machine, .n_documents = 1};
    w->import.mapping = &w->mapping;
    w->check.import = &w->import;
    w->facts.vms = w->vms;
    w->facts.n_vms = CHECK_WORLD_VMS;
    const struct vf_check c = {.options = &w->check,
                               .vm = &w->vms[0],
                               .facts = &w->facts,
                               .manifests = &manifests,
                               .findings = &w->findings,
                               .rule = vf_rule_find(id)};
    vf_test_check(c.rule);
    c.rule->check(&c);
    cJSON_Delete(machine);
}

static void run_one(const struct check_manifest_case *c, const char *spec,
                    void (*change)(struct check_world *), bool trips)
{
    struct check_world w;
    check_world_init(&w);
    check_cluster_init(&w);
    if (change) {
        change(&w);
    }
    judge(&w, c->id, spec);
    const struct vf_finding *f = check_world_find(&w, c->id);
    if (!f != !trips) {
        fail_msg("%s: %s", c->id, f ? f->message : "nothing was found");
    }
    if (f && (f->severity != c->severity || !strstr(f->message, c->says))) {
        fail_msg("%s: %s, \"%s\"", c->id, vf_severity_name(f->severity), f->message);
    }
    check_world_release(&w);
}

void check_cluster_run_case(const struct check_manifest_case *c)
{
    run_one(c, c->trip_spec, c->trip, true);
    run_one(c, c->near_spec ? c->near_spec : c->trip_spec, c->near, false);
}
