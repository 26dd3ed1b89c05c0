#include "jobs/preflight/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check_world.h"
#include "tests/support/event_log.h"

/* Of a VM that is as it should be nothing is said that a person would have to act upon. */
static void test_judge__a_good_vm_has_no_warnings(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    check_world_judge(&w);
    for (size_t i = 0; i < w.findings.n_items; i++) {
        const struct vf_finding *f = &w.findings.items[i];
        if (f->rule->area == VF_AREA_VM) {
            fail_msg("%s: %s", f->rule->id, f->message);
        }
    }
    check_world_release(&w);
}

static void test_judge__a_rule_that_is_skipped_finds_nothing(void **state)
{
    (void)state;
    static const char *const skip[] = {"disk.encrypted", "vm.tpm", NULL};
    struct check_world w;
    check_world_init(&w);
    w.vms[0].disks[0].encrypted = true;
    w.vms[0].has_vtpm = w.vms[0].consolidation_needed = true;
    w.skip = skip;
    check_world_judge(&w);
    assert_null(check_world_find(&w, "disk.encrypted"));
    assert_null(check_world_find(&w, "vm.tpm"));
    assert_non_null(check_world_find(&w, "snapshot.consolidation"));
    check_world_release(&w);
}

static void test_judge__a_check_that_there_is_none_of_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"disk.encrypted", "disk.rmd", NULL};
    static const char *const good[] = {"disk.encrypted", NULL};
    struct vf_error *e = NULL;
    assert_int_equal(vf_judge_check_skip(bad, &e), VF_INVALID);
    assert_non_null(strstr(vf_error_message(e), "\"disk.rmd\""));
    vf_error_free(e);
    assert_int_equal(vf_judge_check_skip(good, NULL), 0);
    assert_int_equal(vf_judge_check_skip(NULL, NULL), 0);
}

static void test_judge__what_is_found_tells_where(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    w.vms[1].disks[0].encrypted = true;
    check_world_judge(&w);
    const struct vf_finding *f = check_world_find(&w, "disk.encrypted");
    assert_non_null(f);
    assert_string_equal(f->vm, "db01");
    assert_int_equal(f->index, 1);
    assert_string_equal(f->object, "disk 0 (\"Hard disk 1\")");
    assert_null(f->action);
    assert_string_equal(vf_finding_action(f), vf_rule_find("disk.encrypted")->action);
    check_world_release(&w);
}

/* --- order ------------------------------------------------------------------------------- */

static void add(struct vf_findings *f, const char *vm, size_t index, const char *id,
                enum vf_severity severity, const char *message)
{
    const struct vf_check c = {.findings = f, .rule = vf_rule_find(id)};
    f->vm = vm;
    f->index = index;
    vf_found_as(&c, severity, NULL, "do this", "%s", message);
    f->vm = NULL;
}

static void test_judge__findings_are_sorted_by_vm_then_gravity(void **state)
{
    (void)state;
    struct vf_findings f = {0};
    add(&f, NULL, 0, "source.vm-unreadable", VF_CRITICAL, "8");
    add(&f, "same", 1, "disk.encrypted", VF_CRITICAL, "5");
    add(&f, "same", 0, "vm.tpm", VF_WARNING, "3");
    add(&f, "same", 0, "disk.delta", VF_WARNING, "1");
    add(&f, "same", 0, "disk.delta", VF_WARNING, "2");
    add(&f, "same", 1, "cpu.evc", VF_INFORMATION, "7");
    add(&f, "same", 0, "disk.rdm-undecided", VF_CRITICAL, "0");
    add(&f, "same", 1, "cpu.affinity", VF_WARNING, "6");
    add(&f, "same", 0, "cpu.evc", VF_INFORMATION, "4");
    vf_findings_sort(&f);
    for (size_t i = 0; i < f.n_items; i++) {
        assert_int_equal(strtoul(f.items[i].message, NULL, 10), i);
        assert_string_equal(vf_finding_action(&f.items[i]), "do this");
    }
    vf_findings_release(&f);
    vf_findings_sort(&f);
}

static void test_judge__findings_of_skipped_rules_are_dropped(void **state)
{
    (void)state;
    static const char *const skip[] = {"vm.tpm", NULL};
    struct vf_findings f = {0};
    add(&f, "a", 0, "vm.tpm", VF_WARNING, "gone");
    add(&f, "a", 0, "cpu.evc", VF_INFORMATION, "kept");
    add(&f, "b", 1, "vm.tpm", VF_WARNING, "gone");
    vf_findings_drop(&f, skip);
    assert_int_equal(f.n_items, 1);
    assert_string_equal(f.items[0].message, "kept");
    vf_findings_drop(&f, NULL);
    assert_int_equal(f.n_items, 1);
    vf_findings_release(&f);
}

/* --- what could not be looked at ---------------------------------------------------------- */

static void test_judge__what_may_not_be_read_is_told(void **state)
{
    (void)state;
    struct vf_facts facts = {.n_vms = 7};
    struct vf_findings f = {0};
    const struct vf_judge j = {.facts = &facts, .findings = &f};
    struct vf_vm_notes notes = {0};
    vf_judge_notes(&j, &notes);
    assert_int_equal(f.n_items, 0);
    notes = (struct vf_vm_notes){
        .tags_unavailable = true, .tags_reason = (char[]){"HTTP 503"}, .unreadable = 3};
    vf_judge_notes(&j, &notes);
    assert_int_equal(f.n_items, 2);
    assert_string_equal(f.items[0].rule->id, "source.vm-unreadable");
    assert_non_null(strstr(f.items[0].message, "3 of 7 VMs"));
    assert_string_equal(f.items[1].rule->id, "source.tags-unreadable");
    assert_non_null(strstr(f.items[1].message, "HTTP 503"));
    vf_findings_release(&f);
    facts.source.is_esxi = true;
    notes.unreadable = 0;
    vf_judge_notes(&j, &notes);
    assert_int_equal(f.n_items, 0);
}

static void test_judge__a_cluster_out_of_reach_is_told_with_its_hint(void **state)
{
    (void)state;
    struct vf_facts facts = {0};
    struct vf_findings f = {0};
    const struct vf_judge j = {.facts = &facts, .findings = &f};
    struct vf_error *e = NULL;
    vf_error_set(&e, VF_RETRY, "connection refused");
    vf_error_hint(&e, "is it on?");
    vf_error_wrap(&e, VF_RETRY, "the API server of https://k8s");
    vf_judge_unreachable(&j, e);
    vf_error_free(e);
    assert_int_equal(f.n_items, 1);
    assert_string_equal(f.items[0].rule->id, "target.unreachable");
    assert_int_equal(f.items[0].severity, VF_CRITICAL);
    assert_string_equal(f.items[0].message, "the API server of https://k8s: connection refused");
    assert_string_equal(vf_finding_action(&f.items[0]), "is it on?");
    vf_findings_release(&f);
}

/* --- before a copy ----------------------------------------------------------------------- */

static void test_judge__warnings_let_a_copy_go_on(void **state)
{
    (void)state;
    struct vf_test_events events;
    struct vf_findings f = {0};
    vf_test_events_init(&events);
    add(&f, "web01", 0, "disk.delta", VF_WARNING, "it is a linked clone");
    add(&f, "web01", 0, "vm.tpm", VF_WARNING, "told by the mapping");
    add(&f, "web01", 0, "cpu.evc", VF_INFORMATION, "worth knowing");
    assert_int_equal(vf_findings_report(&f, &events.reporter, NULL), 0);
    char *vf_autofree text = vf_test_events_text(&events);
    assert_string_equal(text, "warning web01: it is a linked clone (disk.delta); do this\n");
    vf_findings_release(&f);
    vf_test_events_release(&events);
}

static void test_judge__what_is_critical_stops_a_copy_with_all_reasons(void **state)
{
    (void)state;
    struct vf_findings f = {0};
    struct vf_error *e = NULL;
    add(&f, "web01", 0, "disk.encrypted", VF_CRITICAL, "one");
    add(&f, "web01", 0, "disk.encrypted", VF_CRITICAL, "two");
    add(&f, "web01", 0, "disk.delta", VF_WARNING, "only a warning");
    add(&f, "web01", 0, "disk.lun-unclaimed", VF_CRITICAL, "three");
    assert_int_equal(vf_findings_report(&f, NULL, &e), VF_UNSUPPORTED);
    assert_string_equal(vf_error_message(e),
                        "one (disk.encrypted); two (disk.encrypted); three (disk.lun-unclaimed)");
    assert_string_equal(vf_error_get_hint(e), "do this; do this; --skip-check ID leaves out a "
                                              "check that is wrong");
    vf_error_free(e);
    vf_findings_release(&f);
}

/* 60 disks that cannot be copied make a message that can be read. */
static void test_judge__a_message_has_an_end(void **state)
{
    (void)state;
    struct vf_findings f = {0};
    struct vf_error *e = NULL;
    char *vf_autofree text = vf_xasprintf("%*s", 300, "is so");
    for (size_t i = 0; i < 100; i++) {
        add(&f, "web01", 0, "disk.encrypted", VF_CRITICAL, text);
    }
    assert_int_equal(vf_findings_report(&f, NULL, &e), VF_UNSUPPORTED);
    assert_true(strlen(vf_error_message(e)) < 20000);
    assert_non_null(strstr(vf_error_message(e), "; and "));
    vf_error_free(e);
    vf_findings_release(&f);
}

/* --- facts ------------------------------------------------------------------------------- */

static void test_facts__what_vms_have_in_common_is_found_by_key(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    check_world_add_nic(&w.vms[1], w.vms[0].nics[0].mac, "Backup");
    check_world_add_nic(&w.vms[0], NULL, "Backup");
    w.facts.vms = w.vms;
    w.facts.n_vms = CHECK_WORLD_VMS;
    vf_facts_index(&w.facts, NULL);
    assert_int_equal(w.facts.macs.n_items, 3);
    size_t n;
    const struct vf_fact_key *k = vf_fact_keys_find(&w.facts.macs, w.vms[0].nics[0].mac, &n);
    assert_int_equal(n, 2);
    assert_int_equal(k[0].vm, 0);
    assert_int_equal(k[1].vm, 1);
    assert_int_equal(k[1].item, 1);
    assert_null(vf_fact_keys_find(&w.facts.macs, "00:50:56:ff:ff:ff", &n));
    assert_int_equal(n, 0);
    assert_null(vf_fact_keys_find(&w.facts.macs, NULL, &n));
    check_world_release(&w);
}

static void test_facts__nothing_is_indexed_and_released(void **state)
{
    (void)state;
    struct vf_facts f = {0};
    size_t n;
    vf_facts_index(&f, NULL);
    assert_null(vf_fact_keys_find(&f.macs, "x", &n));
    vf_facts_release(&f);
    vf_facts_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge__a_good_vm_has_no_warnings),
        cmocka_unit_test(test_judge__a_rule_that_is_skipped_finds_nothing),
        cmocka_unit_test(test_judge__a_check_that_there_is_none_of_is_refused),
        cmocka_unit_test(test_judge__what_is_found_tells_where),
        cmocka_unit_test(test_judge__findings_are_sorted_by_vm_then_gravity),
        cmocka_unit_test(test_judge__findings_of_skipped_rules_are_dropped),
        cmocka_unit_test(test_judge__what_may_not_be_read_is_told),
        cmocka_unit_test(test_judge__a_cluster_out_of_reach_is_told_with_its_hint),
        cmocka_unit_test(test_judge__warnings_let_a_copy_go_on),
        cmocka_unit_test(test_judge__what_is_critical_stops_a_copy_with_all_reasons),
        cmocka_unit_test(test_judge__a_message_has_an_end),
        cmocka_unit_test(test_facts__what_vms_have_in_common_is_found_by_key),
        cmocka_unit_test(test_facts__nothing_is_indexed_and_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
