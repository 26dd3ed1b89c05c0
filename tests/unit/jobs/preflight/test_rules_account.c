#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "jobs/preflight/rights.h"
#include "tests/support/check_world.h"

/* An account that may do everything on both VMs and their datastore. */
static void grant(struct check_world *w)
{
    static const char *const entities[] = {"vm-web01", "vm-db01", "datastore-1"};
    struct vf_source_facts *s = &w->facts.source;
    s->known = s->privileges_known = true;
    s->n_datastores = 1;
    s->datastores = vf_xcalloc(1, sizeof *s->datastores);
    s->datastores[0] = (struct vf_datastore){
        .moref = vf_xstrdup("datastore-1"), .name = vf_xstrdup("fast"), .accessible = true};
    struct vf_privileges *p = &s->privileges;
    for (const struct vf_right *r = vf_rights; r->name; r++) {
        p->n_names++;
    }
    p->n_entities = 3;
    p->entities = vf_xcalloc(3, sizeof(char *));
    p->names = vf_xcalloc(p->n_names, sizeof(char *));
    p->held = vf_xcalloc(3 * p->n_names, sizeof(bool));
    memset(p->held, true, 3 * p->n_names * sizeof(bool));
    for (size_t i = 0; i < 3; i++) {
        p->entities[i] = vf_xstrdup(entities[i]);
    }
    for (size_t i = 0; i < p->n_names; i++) {
        p->names[i] = vf_xstrdup(vf_rights[i].name);
    }
}

static void take(struct check_world *w, const char *moref, const char *name)
{
    struct vf_privileges *p = &w->facts.source.privileges;
    if (!p->n_names) {
        grant(w);
    }
    for (size_t e = 0; e < p->n_entities; e++) {
        for (size_t n = 0; n < p->n_names; n++) {
            if (strcmp(p->entities[e], moref) == 0 && strcmp(p->names[n], name) == 0) {
                p->held[e * p->n_names + n] = false;
            }
        }
    }
}

static void no_snapshots(struct check_world *w)
{
    take(w, "vm-web01", "VirtualMachine.State.CreateSnapshot");
    take(w, "vm-web01", "VirtualMachine.State.RemoveSnapshot");
}

/* The VM that is off needs none for a cold copy. */
static void no_snapshots_off(struct check_world *w)
{
    take(w, "vm-db01", "VirtualMachine.State.CreateSnapshot");
}

static void no_power_on(struct check_world *w)
{
    take(w, "vm-web01", "VirtualMachine.Interact.PowerOn");
    w->check.warm = true;
}

static void no_power_on_cold(struct check_world *w)
{
    take(w, "vm-web01", "VirtualMachine.Interact.PowerOn");
}

static void no_export(struct check_world *w)
{
    take(w, "vm-db01", "VApp.Export");
}

static void no_browsing_cold(struct check_world *w)
{
    take(w, "datastore-1", "Datastore.Browse");
}

static void by_vddk(struct check_world *w)
{
    w->check.warm = true;
    w->check.transport.kind = VF_TRANSPORT_VDDK;
}

static void no_random_read(struct check_world *w)
{
    take(w, "vm-web01", "VirtualMachine.Provisioning.DiskRandomRead");
    by_vddk(w);
}

static void no_random_read_nfc(struct check_world *w)
{
    no_random_read(w);
    w->check.transport.kind = VF_TRANSPORT_NFC;
}

static void no_methods(struct check_world *w)
{
    take(w, "vm-web01", "Global.DisableMethods");
    take(w, "vm-web01", "Global.EnableMethods");
    by_vddk(w);
}

static void no_methods_nfc(struct check_world *w)
{
    no_methods(w);
    w->check.transport.kind = VF_TRANSPORT_NFC;
}

static const struct check_case cases[] = {
    {"account.privilege", VF_CRITICAL,
     "VirtualMachine.State.CreateSnapshot, VirtualMachine.State.RemoveSnapshot", no_snapshots,
     no_snapshots_off},
    {"account.privilege", VF_CRITICAL, "lacks VirtualMachine.State", no_snapshots, grant},
    {"account.privilege-useful", VF_WARNING, "stay off", no_power_on, no_power_on_cold},
    {"account.privilege-transport", VF_CRITICAL, "nfc the account lacks VApp.Export", no_export,
     no_browsing_cold},
    {"account.privilege-transport", VF_CRITICAL,
     "vddk the account lacks VirtualMachine.Provisioning.DiskRandomRead", no_random_read,
     no_random_read_nfc},
    {"account.privilege-transport", VF_CRITICAL, "DiskRandomRead", no_random_read, no_methods},
    {"account.privilege-useful", VF_WARNING, "lacks Global.DisableMethods: VMware's library",
     no_methods, no_methods_nfc},
};

static void test_rules_account__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

/* Of web01, with what is taken from it on a warm migration; -1: nothing is found. */
static int severity_of(enum vf_transport_kind kind, bool no_nfc, bool no_https, const char *says)
{
    struct check_world w;
    check_world_init(&w);
    grant(&w);
    w.check.warm = true;
    w.check.transport.kind = kind;
    if (no_nfc) {
        take(&w, "vm-web01", "VApp.Export");
        take(&w, "vm-db01", "VApp.Export");
    }
    if (no_https) {
        take(&w, "datastore-1", "Datastore.Browse");
        take(&w, "datastore-1", "Datastore.FileManagement");
    }
    check_world_judge(&w);
    const struct vf_finding *f = check_world_find(&w, "account.privilege-transport");
    int severity = f ? (int)f->severity : -1;
    if (f && !strstr(f->message, says)) {
        fail_msg("no \"%s\" in \"%s\"", says, f->message);
    }
    check_world_release(&w);
    return severity;
}

static void test_rules_account__one_transport_stands_in_for_another(void **state)
{
    (void)state;
    assert_int_equal(severity_of(VF_TRANSPORT_AUTO, false, false, ""), -1);
    assert_int_equal(severity_of(VF_TRANSPORT_AUTO, true, false, "VApp.Export"), VF_WARNING);
    assert_int_equal(severity_of(VF_TRANSPORT_AUTO, false, true,
                                 "https the account lacks Datastore.Browse on datastore \"fast\", "
                                 "Datastore.FileManagement on datastore \"fast\""),
                     VF_INFORMATION);
    assert_int_equal(severity_of(VF_TRANSPORT_AUTO, true, true, "the account lacks"), VF_CRITICAL);
    assert_int_equal(severity_of(VF_TRANSPORT_HTTPS, false, true, "Datastore.Browse"), VF_CRITICAL);
    assert_int_equal(severity_of(VF_TRANSPORT_HTTPS, true, false, ""), -1);
    assert_int_equal(severity_of(VF_TRANSPORT_NFC, false, true, ""), -1);
}

static void test_rules_account__tracking_must_be_begun_only_where_it_is_off(void **state)
{
    (void)state;
    for (int enabled = 0; enabled < 2; enabled++) {
        struct check_world w;
        check_world_init(&w);
        take(&w, "vm-web01", "VirtualMachine.Config.ChangeTracking");
        w.check.warm = true;
        w.vms[0].cbt_enabled = enabled;
        check_world_judge(&w);
        assert_int_equal(check_world_find(&w, "account.privilege") != NULL, !enabled);
        check_world_release(&w);
    }
}

static void test_rules_account__unknown_privileges_are_not_judged(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    no_export(&w);
    w.facts.source.privileges_known = false;
    check_world_judge(&w);
    assert_null(check_world_find(&w, "account.privilege-transport"));
    check_world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_account__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_account__one_transport_stands_in_for_another),
        cmocka_unit_test(test_rules_account__tracking_must_be_begun_only_where_it_is_off),
        cmocka_unit_test(test_rules_account__unknown_privileges_are_not_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
