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

static void fine(struct check_world *w)
{
    check_cluster_init(w);
    vf_network_map_add(&w->mapping.networks, "VM Network=vlan7", NULL);
    check_cluster_add_string(&w->facts.target.attachments, &w->facts.target.n_attachments,
                             "prod/vlan7");
}

static void no_right(struct check_world *w)
{
    check_cluster_init(w);
    w->import.mapping = &w->mapping;
    w->check.import = &w->import;
    const struct vf_kube_need *const *needs = vf_target_needs(&w->check);
    w->facts.target.refused = vf_xcalloc(4, sizeof(void *));
    w->facts.target.refused[0] = needs[0];
    w->facts.target.refused[1] = needs[1];
}

static void no_optional_right(struct check_world *w)
{
    no_right(w);
    size_t i = 0;
    const struct vf_kube_need *const *needs = vf_target_needs(&w->check);
    while (needs[i]->needed) {
        i++;
    }
    w->facts.target.refused[0] = needs[i];
    w->facts.target.refused[1] = NULL;
}

static void rights_unknown(struct check_world *w)
{
    no_right(w);
    w->facts.target.rights_known = false;
}

static void no_account(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.account = VF_NO;
}

static void account_unknown(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.account = VF_UNSET;
}

static void hidden(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_string(&w->facts.target.unknown, &w->facts.target.n_unknown,
                             "the nodes: forbidden");
}

static void clock_ahead(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.clock_skew_ms = 301 * 1000;
}

static void clock_behind(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.clock_skew_ms = -3600 * 1000;
}

static void clock_near(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.clock_skew_ms = -300 * 1000;
}

static void restricted(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.pod_security = vf_xstrdup("restricted");
}

static void restricted_and_started(struct check_world *w)
{
    restricted(w);
    w->import.cluster.start = true;
}

static void restricted_with_profile(struct check_world *w)
{
    restricted_and_started(w);
    w->facts.kubevirt.seccomp_profile = true;
}

static void baseline(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.pod_security = vf_xstrdup("baseline");
}

static void missing(struct check_world *w)
{
    check_cluster_init(w);
    vf_network_map_add(&w->mapping.networks, "VM Network=other/vlan7", NULL);
    check_cluster_add_string(&w->facts.target.missing_attachments,
                             &w->facts.target.n_missing_attachments, "other/vlan7");
}

/* A second NIC of which no rule tells. */
static void guess(struct check_world *w)
{
    check_cluster_init(w);
    check_world_add_nic(&w->vms[0], "00:50:56:9a:00:09", "backup");
    check_cluster_add_string(&w->facts.target.missing_attachments,
                             &w->facts.target.n_missing_attachments, "prod/backup");
}

static void guess_and_start(struct check_world *w)
{
    guess(w);
    w->import.cluster.start = true;
}

static void global(struct check_world *w)
{
    check_cluster_init(w);
    vf_network_map_add(&w->mapping.networks, "VM Network=default/vlan7", NULL);
}

static const struct check_case cases[] = {
    {"target.right", VF_CRITICAL,
     "may not \"get\", \"list\" persistentvolumeclaims in namespace \"prod\"", no_right, fine},
    {"target.right", VF_INFORMATION, "may not", no_optional_right, rights_unknown},
    {"target.worker-account", VF_CRITICAL, "vmferry-worker", no_account, account_unknown},
    {"target.unknown", VF_INFORMATION, "the nodes: forbidden", hidden, fine},
    {"target.clock", VF_WARNING, "5 minutes ahead", clock_ahead, clock_near},
    {"target.clock", VF_WARNING, "60 minutes behind", clock_behind, fine},
    {"target.pod-security", VF_WARNING, "restricted", restricted, baseline},
    {"target.pod-security", VF_CRITICAL, "restricted", restricted_and_started,
     restricted_with_profile},
    {"target.network-missing", VF_CRITICAL, "\"other/vlan7\"", missing, fine},
    {"target.network-missing", VF_WARNING, "by its name", guess, fine},
    {"target.network-missing", VF_CRITICAL, "NIC 1", guess_and_start, global},
    {"target.network-namespace", VF_WARNING, "not in namespace \"prod\"", missing, global},
};

static void user_defined(struct check_world *w)
{
    w->facts.target.is_user_defined_network = true;
}

static void no_bridge(struct check_world *w)
{
    w->facts.kubevirt.permit_bridge_on_pod_network = false;
}

static void other_kinds(struct check_world *w)
{
    struct vf_target_facts *f = &w->facts.target;
    check_cluster_add_string(&f->preferences, &f->n_preferences,
                             "VirtualMachineClusterPreference/fedora");
    check_cluster_add_string(&f->preferences, &f->n_preferences, "VirtualMachinePreference/ubuntu");
    check_cluster_add_string(&f->instancetypes, &f->n_instancetypes,
                             "VirtualMachineClusterInstancetype/u1.small");
}

static void those_kinds(struct check_world *w)
{
    struct vf_target_facts *f = &w->facts.target;
    other_kinds(w);
    check_cluster_add_string(&f->preferences, &f->n_preferences,
                             "VirtualMachineClusterPreference/ubuntu");
    check_cluster_add_string(&f->instancetypes, &f->n_instancetypes,
                             "VirtualMachineInstancetype/large");
}

#define NIC(binding)                                                                               \
    "{\"networks\":[{\"name\":\"a\",\"multus\":{}},{\"name\":\"b\",\"pod\":{}}],\"domain\":{"      \
    "\"devices\":{\"interfaces\":[{\"name\":\"a\",\"bridge\":{}},{\"name\":\"b\"," binding "}]}}}"

static const struct check_manifest_case manifests[] = {
    {"target.user-defined-network", VF_CRITICAL, "masquerade", NIC("\"masquerade\":{}"),
     NIC("\"binding\":{\"name\":\"l2bridge\"}"), user_defined, user_defined},
    {"target.user-defined-network", VF_CRITICAL, "prod", NIC("\"masquerade\":{}"), NULL,
     user_defined, NULL},
    {"target.bridge-on-pod", VF_CRITICAL, "not permitted", NIC("\"bridge\":{}"),
     NIC("\"masquerade\":{}"), no_bridge, no_bridge},
    {"target.bridge-on-pod", VF_CRITICAL, "bridge", NIC("\"bridge\":{}"), NULL, no_bridge, NULL},
    /* The kinds stand beside the template. */
    {"target.preference", VF_CRITICAL, "VirtualMachineClusterPreference/ubuntu",
     "{}},\"preference\":{\"name\":\"ubuntu\"},\"x\":{\"y\":{}", NULL, other_kinds, those_kinds},
    {"target.instancetype", VF_CRITICAL, "VirtualMachineInstancetype/large",
     "{}},\"instancetype\":{\"kind\":\"VirtualMachineInstancetype\",\"name\":\"large\"},"
     "\"x\":{\"y\":{}",
     "{}},\"instancetype\":{\"name\":\"u1.small\"},\"x\":{\"y\":{}", other_kinds, other_kinds},
    {"target.instancetype", VF_CRITICAL, "VirtualMachineClusterInstancetype/large",
     "{}},\"instancetype\":{\"kind\":\"virtualmachineclusterinstancetypes\",\"name\":\"large\"},"
     "\"x\":{\"y\":{}",
     "{}},\"instancetype\":{\"kind\":\"virtualmachineinstancetypes\",\"name\":\"large\"},"
     "\"x\":{\"y\":{}",
     those_kinds, those_kinds},
    {"target.instancetype", VF_CRITICAL, "there is no Flavour/large",
     "{}},\"instancetype\":{\"kind\":\"Flavour\",\"name\":\"large\"},\"x\":{\"y\":{}",
     "{}},\"instancetype\":{\"kind\":\"virtualMachineInstanceType\",\"name\":\"large\"},"
     "\"x\":{\"y\":{}",
     those_kinds, those_kinds},
    {"target.preference", VF_CRITICAL, "VirtualMachinePreference/fedora",
     "{}},\"preference\":{\"kind\":\"virtualmachinepreference\",\"name\":\"fedora\"},\"x\":{\"y\":{"
     "}",
     "{}},\"preference\":{\"kind\":\"virtualmachineclusterpreferences\",\"name\":\"fedora\"},"
     "\"x\":{\"y\":{}",
     other_kinds, other_kinds},
};

static void test_rules_target__manifests_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof manifests / sizeof *manifests; i++) {
        check_cluster_run_case(&manifests[i]);
    }
}

static void test_rules_target__nothing_is_said_of_a_fine_cluster(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    fine(&w);
    check_world_judge(&w);
    for (size_t i = 0; i < w.findings.n_items; i++) {
        if (w.findings.items[i].rule->area == VF_AREA_TARGET) {
            fail_msg("%s: %s", w.findings.items[i].rule->id, w.findings.items[i].message);
        }
    }
    check_world_release(&w);
}

static void test_rules_target__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_target__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_target__manifests_are_judged),
        cmocka_unit_test(test_rules_target__nothing_is_said_of_a_fine_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
