#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check_cluster.h"

#define UUID  "50-web01"
#define OTHER "50-mail"

static void fine(struct check_world *w)
{
    check_cluster_init(w);
}

static void foreign_claim(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_name(w, "PersistentVolumeClaim/web01-disk-0", NULL, NULL, false, false);
}

static void foreign_vm(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_name(w, "VirtualMachine/web01", NULL, NULL, false, false);
}

static void other_import(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_name(w, "DataVolume/web01-disk-0", "web01", OTHER, true, false);
}

/* Names like these are of no VM to come. */
static void neighbours(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_name(w, "VirtualMachine/web01-disk-0", NULL, NULL, false, false);
    check_cluster_add_name(w, "PersistentVolumeClaim/web01", NULL, NULL, false, false);
    check_cluster_add_name(w, "PersistentVolumeClaim/web01-disk-1", NULL, NULL, false, false);
}

static void taken_but_unknown(struct check_world *w)
{
    foreign_vm(w);
    w->facts.target.names_known = false;
}

static void imported_vm(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_name(w, "VirtualMachine/web01", "web01", UUID, true, false);
}

static void imported_disk(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_name(w, "PersistentVolumeClaim/web01-disk-0", "web01", UUID, true, false);
}

/* Its last round is done, its cutover not: it goes on. */
static void warm_with_whole_disks(struct check_world *w)
{
    check_cluster_init(w);
    w->check.warm = true;
    check_cluster_add_name(w, "PersistentVolumeClaim/web01-disk-0", "web01", UUID, true, true);
}

static void unfinished(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_name(w, "DataVolume/web01-disk-0", "web01", UUID, false, false);
}

static void warm_goes_on(struct check_world *w)
{
    check_cluster_init(w);
    w->check.warm = true;
    check_cluster_add_name(w, "PersistentVolumeClaim/web01-disk-0", "web01", UUID, false, true);
}

static void cold_after_warm(struct check_world *w)
{
    warm_goes_on(w);
    w->check.warm = false;
}

static void mac_of_running(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_mac(w, "00:50:56:9a:00:01", "other/a", false);
    check_cluster_add_mac(w, "00:50:56:9a:00:01", "other/b", true);
    check_cluster_add_mac(w, "00:50:56:9a:00:01", "other/c", false);
}

static void mac_left_out(struct check_world *w)
{
    mac_of_running(w);
    vf_network_map_add(&w->mapping.networks, "00:50:56:9a:00:01=ignore", NULL);
}

static void mac_of_stopped(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_mac(w, "00:50:56:9a:00:01", "other/a", false);
}

static void mac_of_itself(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_add_mac(w, "00:50:56:9a:00:01", "prod/web01", true);
    w->facts.target.macs[0].source_uuid = vf_xstrdup(UUID);
    check_cluster_add_mac(w, "00:50:56:9a:00:00", "other/a", true);
    check_cluster_add_mac(w, "00:50:56:9a:00:03", "other/b", true);
}

/* Another copy of the same VM is another VM. */
static void mac_of_a_copy(struct check_world *w)
{
    mac_of_itself(w);
    vf_replace_string(&w->facts.target.macs[1].owner, "test/web01");
}

static const struct check_case cases[] = {
    {"target.name-taken", VF_CRITICAL, "PersistentVolumeClaim/web01-disk-0", foreign_claim,
     neighbours},
    {"target.name-taken", VF_CRITICAL, "not vmferry's", foreign_vm, taken_but_unknown},
    {"target.name-taken", VF_CRITICAL, "another VM", other_import, imported_vm},
    {"target.imported", VF_CRITICAL, "VirtualMachine/web01", imported_vm, other_import},
    {"target.imported", VF_CRITICAL, "complete", imported_disk, warm_with_whole_disks},
    {"target.unfinished", VF_INFORMATION, "left unfinished", unfinished, fine},
    {"target.unfinished", VF_INFORMATION, "under way", warm_goes_on, fine},
    {"target.unfinished", VF_CRITICAL, "warm migration", cold_after_warm, imported_disk},
    {"target.mac-in-use", VF_CRITICAL, "\"other/b\" in the cluster, which is running",
     mac_of_running, mac_of_itself},
    {"target.mac-in-use", VF_CRITICAL, "\"other/b\" in the cluster, which is running",
     mac_of_running, mac_left_out},
    {"target.mac-in-use", VF_WARNING, "stopped", mac_of_stopped, fine},
    {"target.mac-in-use", VF_CRITICAL, "test/web01", mac_of_a_copy, fine},
};

static void test_rules_name__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_name__each_trips_where_it_is_so_and_only_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
