#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check_world.h"

#define GIB ((uint64_t)1 << 30)

/* A source that all is well with: two hosts of a cluster, and one datastore. */
static struct vf_source_facts *source(struct check_world *w)
{
    struct vf_source_facts *s = &w->facts.source;
    s->known = s->clock_known = s->hosts_known = s->datastores_known = true;
    s->version = vf_xstrdup("8.0.2");
    s->api_version = vf_xstrdup("8.0.2.0");
    s->n_hosts = 2;
    s->hosts = vf_xcalloc(2, sizeof *s->hosts);
    for (size_t i = 0; i < 2; i++) {
        s->hosts[i] = (struct vf_host){.moref = vf_xasprintf("host-%zu", i + 1),
                                       .name = vf_xasprintf("esx%zu.example", i + 1),
                                       .cluster = vf_xstrdup("C0"),
                                       .connected = true};
    }
    s->n_datastores = 1;
    s->datastores = vf_xcalloc(1, sizeof *s->datastores);
    s->datastores[0] = (struct vf_datastore){.moref = vf_xstrdup("datastore-1"),
                                             .name = vf_xstrdup("fast"),
                                             .capacity_bytes = 1000 * GIB,
                                             .free_bytes = 500 * GIB,
                                             .accessible = true};
    return s;
}

static void fine(struct check_world *w)
{
    source(w);
}

static void unreadable(struct check_world *w)
{
    struct vf_source_facts *s = source(w);
    s->n_unknown = 1;
    s->unknown = vf_xcalloc(1, sizeof *s->unknown);
    s->unknown[0] = vf_xstrdup("datastores: cannot read the datastores (NoPermission)");
}

static void host_unseen(struct check_world *w)
{
    source(w);
    vf_replace_string(&w->vms[0].host_moref, "host-9");
}

static void datastore_unseen(struct check_world *w)
{
    vf_replace_string(&source(w)->datastores[0].name, "slow");
}

static void clock_behind(struct check_world *w)
{
    source(w)->clock_skew_ms = -600000;
}

static void clock_a_little_off(struct check_world *w)
{
    source(w)->clock_skew_ms = 29000;
}

static void clock_unknown(struct check_world *w)
{
    struct vf_source_facts *s = source(w);
    s->clock_skew_ms = 600000;
    s->clock_known = false;
}

static void set_api(struct check_world *w, const char *version)
{
    vf_replace_string(&source(w)->api_version, version);
}

static void api_6_0(struct check_world *w)
{
    set_api(w, "6.0");
}

static void api_6_5(struct check_world *w)
{
    set_api(w, "6.5");
}

static void api_5_1(struct check_world *w)
{
    set_api(w, "5.1");
}

static void api_5_1_off(struct check_world *w)
{
    set_api(w, "5.1");
    w->vms[0].power = VF_POWER_OFF;
}

static void esxi(struct check_world *w)
{
    source(w)->is_esxi = true;
}

static void free_licence(struct check_world *w)
{
    source(w)->free_licence = true;
}

static void free_licence_off(struct check_world *w)
{
    source(w)->free_licence = true;
    w->vms[0].power = VF_POWER_OFF;
}

static void host_away(struct check_world *w)
{
    source(w)->hosts[0].connected = false;
}

static void other_host_away(struct check_world *w)
{
    source(w)->hosts[1].connected = false;
}

static void host_in_maintenance(struct check_world *w)
{
    source(w)->hosts[0].maintenance = true;
}

static void other_host_in_maintenance(struct check_world *w)
{
    source(w)->hosts[1].maintenance = true;
}

static void drs(struct check_world *w)
{
    struct vf_source_facts *s = source(w);
    s->hosts[0].drs = s->hosts[1].drs = true;
    w->check.warm = true;
}

static void drs_cold(struct check_world *w)
{
    drs(w);
    w->check.warm = false;
}

static void dpm(struct check_world *w)
{
    source(w)->hosts[0].dpm = true;
}

static void dpm_all_on(struct check_world *w)
{
    dpm(w);
    w->vms[1].power = VF_POWER_ON;
}

static void ha(struct check_world *w)
{
    source(w)->hosts[0].ha = true;
}

static void ha_elsewhere(struct check_world *w)
{
    struct vf_source_facts *s = source(w);
    s->hosts[1].ha = true;
    vf_replace_string(&s->hosts[1].cluster, "C1");
}

static void datastore_away(struct check_world *w)
{
    source(w)->datastores[0].accessible = false;
}

static void other_datastore_away(struct check_world *w)
{
    datastore_away(w);
    vf_replace_string(&w->facts.source.datastores[0].name, "slow");
}

/* Of the same name, in another datacenter. */
static void namesake_away(struct check_world *w)
{
    datastore_away(w);
    w->vms[0].disks[0].datastore_moref = vf_xstrdup("datastore-2");
    w->vms[1].disks[0].datastore_moref = vf_xstrdup("datastore-2");
}

static void datastore_in_maintenance(struct check_world *w)
{
    source(w)->datastores[0].maintenance = true;
}

static void little_space(struct check_world *w)
{
    source(w)->datastores[0].free_bytes = 99 * GIB;
}

static void little_space_off(struct check_world *w)
{
    little_space(w);
    w->vms[0].power = VF_POWER_OFF;
}

static const struct check_case cases[] = {
    {"source.unreadable", VF_INFORMATION, "datastores: cannot read", unreadable, fine},
    {"source.unreadable", VF_INFORMATION, "the hosts of 1 VM,", host_unseen, fine},
    {"source.unreadable", VF_INFORMATION, "disks of 2 VMs, which", datastore_unseen, fine},
    {"source.clock-skew", VF_WARNING, "vCenter is 10:00 behind", clock_behind, clock_a_little_off},
    {"source.clock-skew", VF_WARNING, "behind", clock_behind, clock_unknown},
    {"source.old-version", VF_WARNING, "version 6.0 of the API", api_6_0, api_6_5},
    {"source.snapshot-export", VF_CRITICAL, "5.1", api_5_1, api_5_1_off},
    {"source.esxi", VF_INFORMATION, "ESXi", esxi, fine},
    {"source.free-licence", VF_CRITICAL, "free licence", free_licence, free_licence_off},
    {"host.disconnected", VF_CRITICAL, "host \"esx1.example\"", host_away, other_host_away},
    {"host.maintenance", VF_WARNING, "host \"esx1.example\"", host_in_maintenance,
     other_host_in_maintenance},
    {"cluster.drs", VF_INFORMATION, "cluster \"C0\"", drs, drs_cold},
    {"cluster.dpm", VF_INFORMATION, "(1 VM)", dpm, dpm_all_on},
    {"cluster.ha", VF_INFORMATION, "(1 VM)", ha, ha_elsewhere},
    {"datastore.inaccessible", VF_CRITICAL, "datastore \"fast\"", datastore_away,
     other_datastore_away},
    {"datastore.inaccessible", VF_CRITICAL, "datastore \"fast\"", datastore_away, namesake_away},
    {"datastore.maintenance", VF_WARNING, "datastore \"fast\"", datastore_in_maintenance, fine},
    {"datastore.space", VF_WARNING, "99.0 GiB of 1000 GiB are free (9 %)", little_space,
     little_space_off},
};

static void test_rules_source__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

static size_t count(const struct check_world *w, const char *id)
{
    size_t n = 0;
    for (size_t i = 0; i < w->findings.n_items; i++) {
        n += strcmp(w->findings.items[i].rule->id, id) == 0;
    }
    return n;
}

static void test_rules_source__a_cluster_is_told_of_once(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    drs(&w);
    w.vms[1].power = VF_POWER_ON;
    check_world_judge(&w);
    assert_int_equal(count(&w, "cluster.drs"), 1);
    assert_non_null(strstr(check_world_find(&w, "cluster.drs")->message, "(2 VMs)"));
    check_world_release(&w);
}

static void test_rules_source__an_unknown_source_is_not_judged(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    host_away(&w);
    w.facts.source.datastores[0].accessible = false;
    w.facts.source.known = false;
    check_world_judge(&w);
    assert_null(check_world_find(&w, "host.disconnected"));
    assert_null(check_world_find(&w, "datastore.inaccessible"));
    check_world_release(&w);
}

static void expect_space(uint64_t capacity, uint64_t free_bytes, uint64_t used, int severity)
{
    struct check_world w;
    check_world_init(&w);
    struct vf_datastore *d = &source(&w)->datastores[0];
    d->capacity_bytes = capacity;
    d->free_bytes = free_bytes;
    w.vms[0].disks[0].capacity_bytes = w.vms[0].disks[0].used_bytes = used;
    check_world_judge(&w);
    const struct vf_finding *f = check_world_find(&w, "datastore.space");
    assert_int_equal(f ? (int)f->severity : -1, severity);
    check_world_release(&w);
}

static void test_rules_source__room_for_a_snapshot_is_by_share_and_by_use(void **state)
{
    (void)state;
    expect_space(1000 * GIB, 101 * GIB, 500 * GIB, -1);
    expect_space(1000 * GIB, 99 * GIB, 1 * GIB, VF_WARNING);
    /* Plenty for others, but not for this one. */
    expect_space(1000 * GIB, 101 * GIB, 2000 * GIB, VF_WARNING);
    expect_space(1000 * GIB, GIB / 2, GIB, VF_WARNING);
    expect_space(1000 * GIB, GIB / 2, 100 * GIB, VF_CRITICAL);
    expect_space(1000 * GIB, 0, GIB, VF_CRITICAL);
    expect_space(0, 0, GIB, -1); /* not told */
}

static void test_rules_source__a_small_skew_is_worth_knowing(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    source(&w)->clock_skew_ms = 60000;
    check_world_judge(&w);
    const struct vf_finding *f = check_world_find(&w, "source.clock-skew");
    assert_non_null(f);
    assert_int_equal(f->severity, VF_INFORMATION);
    assert_non_null(strstr(f->message, "ahead of"));
    check_world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_source__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_source__a_cluster_is_told_of_once),
        cmocka_unit_test(test_rules_source__an_unknown_source_is_not_judged),
        cmocka_unit_test(test_rules_source__room_for_a_snapshot_is_by_share_and_by_use),
        cmocka_unit_test(test_rules_source__a_small_skew_is_worth_knowing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
