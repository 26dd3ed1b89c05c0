#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check_cluster.h"

static void fine(struct check_world *w)
{
    check_cluster_init(w);
}

static void no_kubevirt(struct check_world *w)
{
    check_cluster_init(w);
    vf_kubevirt_facts_release(&w->facts.kubevirt);
    w->facts.kubevirt.absent = true;
}

static void hidden_kubevirt(struct check_world *w)
{
    no_kubevirt(w);
    w->facts.kubevirt.absent = false;
}

static void deploying(struct check_world *w)
{
    check_cluster_init(w);
    vf_replace_string(&w->facts.kubevirt.phase, "Deploying");
}

static void v0_59(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_set_kubevirt(w, "v0.59.2");
}

static void v1_2(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_set_kubevirt(w, "v1.2.0");
}

static void v1_2_without_adoption(struct check_world *w)
{
    v1_2(w);
    w->import.cluster.handover = VF_IMPORT_CLAIM;
}

static void v1_3(struct check_world *w)
{
    check_cluster_init(w);
    check_cluster_set_kubevirt(w, "v1.3.0");
}

static void staged(struct check_world *w)
{
    check_cluster_init(w);
    w->vms[0].memory_hot_add = VF_YES;
    w->facts.kubevirt.live_update = false;
}

static void staged_without_hot_add(struct check_world *w)
{
    staged(w);
    w->vms[0].memory_hot_add = VF_NO;
}

static void no_cdi(struct check_world *w)
{
    check_cluster_init(w);
    w->facts.target.has_cdi = false;
}

static void no_cdi_for_claims(struct check_world *w)
{
    no_cdi(w);
    w->import.cluster.handover = VF_IMPORT_CLAIM;
}

static void no_cdi_for_uploads(struct check_world *w)
{
    no_cdi_for_claims(w);
    w->import.target = VF_TO_UPLOAD;
}

static void old_cdi(struct check_world *w)
{
    check_cluster_init(w);
    vf_replace_string(&w->facts.target.cdi_version, "v1.58.3");
}

static void new_cdi(struct check_world *w)
{
    check_cluster_init(w);
    vf_replace_string(&w->facts.target.cdi_version, "1.59.0");
}

static const struct check_case cases[] = {
    {"kubevirt.missing", VF_CRITICAL, "no KubeVirt", no_kubevirt, hidden_kubevirt},
    {"kubevirt.phase", VF_WARNING, "Deploying", deploying, hidden_kubevirt},
    {"kubevirt.old", VF_CRITICAL, "v0.59.2", v0_59, hidden_kubevirt},
    {"kubevirt.old", VF_CRITICAL, "v1.3", v1_2, v1_2_without_adoption},
    {"kubevirt.old", VF_CRITICAL, "v1.2.0", v1_2, v1_3},
    {"kubevirt.hot-plug", VF_INFORMATION, "can be added", staged, staged_without_hot_add},
    {"cdi.missing", VF_CRITICAL, "no CDI", no_cdi, no_cdi_for_claims},
    {"cdi.missing", VF_CRITICAL, "no CDI", no_cdi_for_uploads, fine},
    {"cdi.old", VF_CRITICAL, "v1.58.3", old_cdi, new_cdi},
};

/* --- what the manifest has --------------------------------------------------------------- */

static void at_1_5(struct check_world *w)
{
    check_cluster_set_kubevirt(w, "v1.5.2");
}

static void at_1_6(struct check_world *w)
{
    check_cluster_set_kubevirt(w, "v1.6.0");
}

static void at_1_8(struct check_world *w)
{
    check_cluster_set_kubevirt(w, "v1.8.2");
}

static void at_1_5_with_state(struct check_world *w)
{
    at_1_5(w);
    check_cluster_add_gate(w, "VMPersistentState");
}

static void at_1_8_with_drives(struct check_world *w)
{
    at_1_8(w);
    check_cluster_add_gate(w, "DeclarativeHotplugVolumes");
}

static void no_default_class(struct check_world *w)
{
    w->facts.target.classes[0].is_default = false;
}

static void no_default_class_needed(struct check_world *w)
{
    no_default_class(w);
    w->facts.kubevirt.vm_state_storage_class = vf_xstrdup("fast");
}

static void wrong_state_class(struct check_world *w)
{
    w->facts.kubevirt.vm_state_storage_class = vf_xstrdup("gone");
}

static void reserving(struct check_world *w)
{
    w->facts.kubevirt.persistent_reservation = true;
}

static void read_write_once(struct check_world *w)
{
    vf_replace_string(&check_cluster_storage(w)->access_mode, "ReadWriteOnce");
}

static void live_migrate_by_default(struct check_world *w)
{
    read_write_once(w);
    w->facts.kubevirt.default_eviction_strategy = vf_xstrdup("LiveMigrate");
}

static void limited(struct check_world *w)
{
    check_cluster_set_kubevirt(w, "v1.4.0");
    check_cluster_add_quota(w, "limits.memory", UINT64_MAX, 0);
}

static void limited_and_started(struct check_world *w)
{
    limited(w);
    w->import.cluster.start = true;
}

static void limited_by_new(struct check_world *w)
{
    limited_and_started(w);
    check_cluster_set_kubevirt(w, "v1.5.0");
}

#define DEVICES(text) "{\"domain\":{\"devices\":{" text "}}}"
#define EFI(text)     "{\"domain\":{\"firmware\":{\"bootloader\":{\"efi\":{" text "}}}}}"
#define DRIVE         "\"disks\":[{\"name\":\"cd\",\"cdrom\":{\"bus\":\"sata\"}}]"
#define LIMITS(text)  "{\"domain\":{\"resources\":{\"limits\":{" text "}}}}"

static const struct check_manifest_case manifests[] = {
    {"kubevirt.persistent-state", VF_CRITICAL, "v1.5.2", DEVICES("\"tpm\":{\"persistent\":true}"),
     NULL, at_1_5, at_1_6},
    {"kubevirt.persistent-state", VF_CRITICAL, "VMPersistentState", EFI("\"persistent\":true"),
     NULL, at_1_5, at_1_5_with_state},
    {"kubevirt.persistent-state", VF_CRITICAL, "TPM", EFI("\"persistent\":true"),
     DEVICES("\"tpm\":{\"persistent\":true,\"enabled\":false}"), at_1_5, at_1_5},
    {"kubevirt.state-storage", VF_CRITICAL, "no default storage class", EFI("\"persistent\":true"),
     EFI("\"secureBoot\":false"), no_default_class, no_default_class},
    {"kubevirt.state-storage", VF_CRITICAL, "\"gone\"", DEVICES("\"tpm\":{\"persistent\":true}"),
     NULL, wrong_state_class, no_default_class_needed},
    {"kubevirt.empty-cdrom", VF_CRITICAL, "DeclarativeHotplugVolumes", DEVICES(DRIVE), NULL, at_1_8,
     at_1_8_with_drives},
    {"kubevirt.empty-cdrom", VF_CRITICAL, "empty CD-ROM", DEVICES(DRIVE),
     "{\"volumes\":[{\"name\":\"cd\"}],\"domain\":{\"devices\":{" DRIVE "}}}", at_1_8, at_1_8},
    {"kubevirt.reservation", VF_CRITICAL, "reservations",
     DEVICES("\"disks\":[{\"name\":\"a\",\"lun\":{\"reservation\":true}}]"), NULL, NULL, reserving},
    {"kubevirt.video", VF_CRITICAL, "VideoConfig", DEVICES("\"video\":{\"type\":\"virtio\"}"), NULL,
     at_1_8, NULL},
    {"kubevirt.live-migration", VF_WARNING, "waits for ever",
     "{\"evictionStrategy\":\"LiveMigrate\"}", NULL, read_write_once, NULL},
    {"kubevirt.live-migration", VF_WARNING, "ReadWriteOnce", "{}", NULL, live_migrate_by_default,
     NULL},
    {"kubevirt.live-migration", VF_INFORMATION, "cannot be live-migrated",
     "{\"evictionStrategy\":\"LiveMigrateIfPossible\"}", NULL, read_write_once, NULL},
    {"kubevirt.limits", VF_WARNING, "limits.memory", "{}", LIMITS("\"memory\":\"4Gi\""), limited,
     limited},
    {"kubevirt.limits", VF_CRITICAL, "v1.4.0", LIMITS("\"cpu\":\"4\""), NULL, limited_and_started,
     limited_by_new},
};

static void test_rules_kubevirt__manifests_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof manifests / sizeof *manifests; i++) {
        check_cluster_run_case(&manifests[i]);
    }
}

static void test_rules_kubevirt__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_kubevirt__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_kubevirt__manifests_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
