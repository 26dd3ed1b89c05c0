#include "jobs/preflight/rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check_world.h"

/* Borrowed strings; of "web01" on host-1 unless they say otherwise. */
static struct vf_probe_result *add(struct check_world *w, enum vf_transport_kind transport,
                                   enum vf_probe_failure failure, const char *object)
{
    struct vf_path_facts *p = &w->facts.path;
    p->results = vf_xrealloc_array(p->results, p->n_results + 1, sizeof *p->results);
    struct vf_probe_result *r = &p->results[p->n_results++];
    *r = (struct vf_probe_result){.transport = transport,
                                  .failure = failure,
                                  .vm = vf_xstrdup("web01"),
                                  .host_moref = vf_xstrdup("host-1"),
                                  .object = vf_xstrdup(object)};
    if (failure != VF_PROBE_GOOD) {
        r->reason = vf_xstrdup("it went wrong");
        r->hint = vf_xstrdup("do this");
    }
    if (transport == VF_TRANSPORT_HTTPS) {
        r->datastore = vf_xstrdup(object);
    }
    return r;
}

static void good(struct check_world *w)
{
    add(w, VF_TRANSPORT_NFC, VF_PROBE_GOOD, "esx1:443");
}

static void no_name(struct check_world *w)
{
    add(w, VF_TRANSPORT_NFC, VF_PROBE_NAME, "esx1:443");
}

static void no_answer(struct check_world *w)
{
    add(w, VF_TRANSPORT_NFC, VF_PROBE_PORT, "esx1:443");
}

static void bad_certificate(struct check_world *w)
{
    add(w, VF_TRANSPORT_NFC, VF_PROBE_CERTIFICATE, "esx1:443");
}

static void nfc_refused(struct check_world *w)
{
    add(w, VF_TRANSPORT_NFC, VF_PROBE_REFUSED, NULL);
}

static void https_refused(struct check_world *w)
{
    w->check.warm = true;
    add(w, VF_TRANSPORT_HTTPS, VF_PROBE_REFUSED, "fast")->running = true;
}

static void https_good(struct check_world *w)
{
    w->check.warm = true;
    add(w, VF_TRANSPORT_HTTPS, VF_PROBE_GOOD, "fast");
}

static void vddk_refused(struct check_world *w)
{
    w->check.warm = true;
    add(w, VF_TRANSPORT_VDDK, VF_PROBE_REFUSED, NULL);
}

static void both_barred(struct check_world *w)
{
    w->check.warm = true;
    no_answer(w);
    https_refused(w);
}

static void one_left(struct check_world *w)
{
    w->check.warm = true;
    no_answer(w);
    https_good(w);
}

static void slow(struct check_world *w)
{
    add(w, VF_TRANSPORT_NFC, VF_PROBE_GOOD, "esx1:443")->bytes_per_s = 4.5 * 1024 * 1024;
}

static void not_slow(struct check_world *w)
{
    add(w, VF_TRANSPORT_NFC, VF_PROBE_GOOD, "esx1:443")->bytes_per_s = 5.1 * 1024 * 1024;
}

static void not_tried(struct check_world *w)
{
    add(w, VF_TRANSPORT_VDDK, VF_PROBE_NOT_TRIED, NULL);
}

static void nothing_to_copy(struct check_world *w)
{
    for (size_t i = 0; i < CHECK_WORLD_VMS; i++) {
        w->vms[i].disks[0].capacity_bytes = w->vms[i].disks[0].used_bytes = 0;
    }
}

static const struct check_case cases[] = {
    {"host.name-unresolved", VF_CRITICAL, "esx1:443", no_name, good},
    {"host.name-unresolved", VF_CRITICAL, "(2 VMs there)", no_name, no_answer},
    {"host.port-closed", VF_CRITICAL, "esx1:443", no_answer, no_name},
    {"host.certificate", VF_CRITICAL, "esx1:443", bad_certificate, no_answer},
    {"nfc.refused", VF_WARNING, "VM \"web01\": it went wrong", nfc_refused, https_refused},
    {"https.refused", VF_INFORMATION, "\"web01\", which runs", https_refused, https_good},
    {"vddk.refused", VF_WARNING, "it went wrong", vddk_refused, nfc_refused},
    {"path.no-transport", VF_CRITICAL, "each transport", both_barred, one_left},
    {"path.no-transport", VF_CRITICAL, "the one transport", no_answer, good},
    {"path.slow", VF_WARNING, "4.5 MiB/s", slow, not_slow},
    {"path.not-tried", VF_INFORMATION, "vddk was not tried (VM \"web01\"): it went wrong",
     not_tried, vddk_refused},
    {"copy.duration", VF_INFORMATION, "100 MiB by nfc at 23.0 MiB/s, the usual rate", good,
     nothing_to_copy},
};

static void test_rules_path__each_trips_where_it_is_so_and_only_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_world_run_case(&cases[i]);
    }
}

static enum vf_severity severity_of(struct check_world *w, const char *id, const char *says)
{
    check_world_judge(w);
    const struct vf_finding *f = check_world_find(w, id);
    assert_non_null(f);
    if (!strstr(f->message, says)) {
        fail_msg("no \"%s\" in \"%s\"", says, f->message);
    }
    enum vf_severity severity = f->severity;
    check_world_release(w);
    return severity;
}

static void test_rules_path__a_host_that_is_guessed_is_no_reason_to_stop(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    add(&w, VF_TRANSPORT_AUTO, VF_PROBE_NAME, "esx1:443")->guessed = true;
    assert_int_equal(severity_of(&w, "host.name-unresolved", "wrong"), VF_WARNING);
}

static void test_rules_path__a_host_is_a_warning_where_the_cluster_copies(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    no_name(&w);
    w.import.target = VF_TO_CLAIM;
    assert_int_equal(severity_of(&w, "host.name-unresolved", "the copy runs in the cluster"),
                     VF_WARNING);
    check_world_init(&w);
    no_name(&w);
    w.import.target = VF_TO_CLAIM;
    w.import.to_path = "/claims"; /* mounted here, in the Job itself */
    assert_int_equal(severity_of(&w, "host.name-unresolved", "wrong"), VF_CRITICAL);
    check_world_init(&w);
    no_name(&w);
    w.check.warm = true; /* https may do */
    assert_int_equal(severity_of(&w, "host.name-unresolved", "wrong"), VF_WARNING);
}

static void test_rules_path__https_that_was_asked_for_is_a_warning(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    https_refused(&w);
    w.check.transport.kind = VF_TRANSPORT_HTTPS;
    assert_int_equal(severity_of(&w, "https.refused", "wrong"), VF_WARNING);
}

/* db01 is on the same host; that web01's export was refused may be web01's own matter. */
static void test_rules_path__a_refusal_bars_only_its_own_vm(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    nfc_refused(&w);
    check_world_judge(&w);
    size_t n = 0;
    for (size_t i = 0; i < w.findings.n_items; i++) {
        if (strcmp(w.findings.items[i].rule->id, "path.no-transport") == 0) {
            assert_string_equal(w.findings.items[i].vm, "web01");
            n++;
        }
    }
    assert_int_equal(n, 1);
    check_world_release(&w);
}

static void test_rules_path__what_was_not_tried_is_told_once_for_each_reason(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    for (int i = 0; i < 50; i++) {
        not_tried(&w);
    }
    add(&w, VF_TRANSPORT_NFC, VF_PROBE_NOT_TRIED, NULL);
    check_world_judge(&w);
    size_t n = 0;
    for (size_t i = 0; i < w.findings.n_items; i++) {
        n += strcmp(w.findings.items[i].rule->id, "path.not-tried") == 0;
    }
    assert_int_equal(n, 2);
    check_world_release(&w);
}

static void test_rules_path__the_action_is_the_one_that_the_failure_told(void **state)
{
    (void)state;
    struct check_world w;
    check_world_init(&w);
    bad_certificate(&w);
    check_world_judge(&w);
    assert_string_equal(check_world_find(&w, "host.certificate")->action, "do this");
    check_world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_path__each_trips_where_it_is_so_and_only_there),
        cmocka_unit_test(test_rules_path__a_host_that_is_guessed_is_no_reason_to_stop),
        cmocka_unit_test(test_rules_path__a_host_is_a_warning_where_the_cluster_copies),
        cmocka_unit_test(test_rules_path__https_that_was_asked_for_is_a_warning),
        cmocka_unit_test(test_rules_path__a_refusal_bars_only_its_own_vm),
        cmocka_unit_test(test_rules_path__what_was_not_tried_is_told_once_for_each_reason),
        cmocka_unit_test(test_rules_path__the_action_is_the_one_that_the_failure_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
