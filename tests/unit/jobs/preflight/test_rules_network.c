#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check_world.h"

static void no_nic(struct check_world *w)
{
    struct vf_vm other = {0};
    other.nics = w->vms[1].nics;
    other.n_nics = w->vms[1].n_nics;
    w->vms[1].nics = NULL;
    w->vms[1].n_nics = 0;
    vf_vm_release(&other);
}

static void pod_twice(struct check_world *w)
{
    check_world_add_nic(&w->vms[0], "00:50:56:9a:00:03", "Backup");
    vf_network_map_add(&w->mapping.networks, "VM Network=pod", NULL);
    vf_network_map_add(&w->mapping.networks, "Backup=pod", NULL);
}

static void pod_once(struct check_world *w)
{
    check_world_add_nic(&w->vms[0], "00:50:56:9a:00:03", "Backup");
    vf_network_map_add(&w->mapping.networks, "Backup=ignore", NULL);
}

static void one_mac(struct check_world *w)
{
    vf_replace_string(&w->vms[1].nics[0].mac, w->vms[0].nics[0].mac);
}

/* The advice of the rule: it has to help, whichever of the two is left out. */
static void earlier_left_out(struct check_world *w)
{
    one_mac(w);
    vf_replace_string(&w->vms[0].nics[0].network, "Lab");
    vf_network_map_add(&w->mapping.networks, "Lab=ignore", NULL);
}

static void later_left_out(struct check_world *w)
{
    one_mac(w);
    vf_replace_string(&w->vms[1].nics[0].network, "Lab");
    vf_network_map_add(&w->mapping.networks, "Lab=ignore", NULL);
}

static void no_macs(struct check_world *w)
{
    vf_replace_string(&w->vms[0].nics[0].mac, NULL);
    vf_replace_string(&w->vms[1].nics[0].mac, NULL);
}

static void disconnected(struct check_world *w)
{
    w->vms[0].nics[0].start_connected = false;
}

static void off(struct check_world *w)
{
    w->vms[0].power = VF_POWER_OFF;
    w->vms[0].nics[0].connected = false;
}

static void no_network(struct check_world *w)
{
    vf_replace_string(&w->vms[0].nics[0].network, NULL);
}

static void sriov(struct check_world *w)
{
    vf_replace_string(&w->vms[1].nics[0].model, "sriov");
}

static const struct check_case cases[] = {
    {"nic.none", VF_INFORMATION, "no NIC", no_nic, NULL},
    {"nic.pod-network-twice", VF_CRITICAL, "pod network", pod_twice, pod_once},
    {"nic.mac-in-selection", VF_CRITICAL, "NIC 0 of \"web01\"", one_mac, no_macs},
    {"nic.mac-in-selection", VF_CRITICAL, "NIC 0 of \"web01\"", one_mac, earlier_left_out},
    {"nic.mac-in-selection", VF_CRITICAL, "NIC 0 of \"web01\"", one_mac, later_left_out},
    {"nic.disconnected", VF_INFORMATION, "link will be down", disconnected, off},
    {"nic.network-unknown", VF_WARNING, "network", no_network, NULL},
    {"nic.sriov", VF_WARNING, "SR-IOV", sriov, NULL},
};

static void test_rules_network__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

/* What keeps the manifests from being made is told by one rule, not by two. */
static void test_rules_network__two_on_the_pod_network_are_told_of_once(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    pod_twice(&w);
    check_world_judge(&w);
    assert_non_null(check_world_find(&w, "nic.pod-network-twice"));
    assert_null(check_world_find(&w, "mapping.invalid"));
    check_world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_network__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_network__two_on_the_pod_network_are_told_of_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
