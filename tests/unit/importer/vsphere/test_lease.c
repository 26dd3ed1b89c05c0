/* The end of leases, good and bad. */
#include "importer/vsphere/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/vsphere/fault.h"
#include "tests/support/check.h"
#include "tests/support/soap_server.h"

#define PROP(name, val) "<propSet><name>" name "</name><val>" val "</val></propSet>"
#define LEASE(props)                                                                               \
    "<returnval><objects><obj type=\"HttpNfcLease\">lease-1</obj>" props "</objects></returnval>"
#define INFO                                                                                       \
    PROP("info", "<deviceUrl><key>/vm-1/VirtualLsiLogicController0:0</key>"                        \
                 "<url>https://*/nfc/1/d.vmdk</url><disk>true</disk></deviceUrl>"                  \
                 "<leaseTimeout>300</leaseTimeout>")
#define ERROR(type) "<propSet><name>error</name><val><fault xsi:type=\"" type "\"/></val></propSet>"

enum script { GOOD, NEVER_READY, COMPLETE_LOST, TIMED_OUT, GONE, REFUSED };

struct plan {
    enum script script;
    const char *state; /* that a look shows now */
};

static const char *show(const struct plan *p)
{
    return strcmp(p->state, "ready") == 0  ? LEASE(PROP("state", "ready") INFO)
           : strcmp(p->state, "done") == 0 ? LEASE(PROP("state", "done"))
           : strcmp(p->state, "late") == 0 ? LEASE(PROP("state", "error") ERROR("Timedout"))
           : strcmp(p->state, "bad") == 0  ? LEASE(PROP("state", "error") ERROR("NoDiskSpace"))
                                           : "";
}

static const char *end(struct plan *p, const struct vf_test_soap_call *c)
{
    if (p->script == COMPLETE_LOST && c->nth == 1) {
        p->state = "gone";
        return VF_TEST_SOAP_RESET;
    }
    if (strcmp(p->state, "ready") != 0) {
        return VF_TEST_SOAP_FAULT "InvalidState";
    }
    p->state = "done";
    return "";
}

static const char *play(const struct vf_test_soap_call *c, void *opaque)
{
    struct plan *p = opaque;
    if (strcmp(c->method, "ExportVm") == 0) {
        return p->script == REFUSED ? VF_TEST_SOAP_FAULT "InvalidPowerState"
                                    : "<returnval type=\"HttpNfcLease\">lease-1</returnval>";
    }
    if (strcmp(c->method, "CreatePropertyCollector") == 0) {
        return "<returnval type=\"PropertyCollector\">pc-2</returnval>";
    }
    if (strcmp(c->method, "WaitForUpdatesEx") == 0) {
        p->state = p->script == NEVER_READY ? "bad" : "ready";
        return "<returnval><version>1</version><filterSet><objectSet><kind>enter</kind><changeSet>"
               "<name>state</name><op>assign</op><val>ready</val></changeSet></objectSet>"
               "</filterSet></returnval>";
    }
    if (strcmp(c->method, "RetrievePropertiesEx") == 0) {
        return show(p);
    }
    if (strcmp(c->method, "HttpNfcLeaseProgress") == 0) {
        p->state = p->script == TIMED_OUT ? "late" : p->script == GONE ? "gone" : p->state;
        return p->script == TIMED_OUT ? VF_TEST_SOAP_FAULT "Timedout"
               : p->script == GONE    ? VF_TEST_SOAP_FAULT "ManagedObjectNotFound"
                                      : "";
    }
    if (strcmp(c->method, "HttpNfcLeaseComplete") == 0) {
        return end(p, c);
    }
    return NULL; /* HttpNfcLeaseAbort succeeds */
}

struct rig {
    struct plan plan;
    struct vf_test_soap *soap;
    struct vf_vsphere *vs;
    struct vf_lease *lease;
    struct vf_cancel *cancel;
};

static void start(struct rig *r, enum script script, int code, struct vf_error **err)
{
    *r = (struct rig){.plan = {.script = script, .state = "gone"}};
    r->cancel = vf_cancel_new(NULL);
    r->soap = vf_test_soap_start(play, &r->plan);
    r->vs = vf_test_soap_login(r->soap, r->cancel);
    assert_int_equal(vf_lease_open_vm(r->vs, "vm-1", &r->lease, err), code);
    assert_int_equal(r->lease != NULL, code == 0);
}

/* How often the lease was aborted, all told. */
static unsigned stop(struct rig *r)
{
    vf_lease_free(r->lease);
    unsigned aborts = vf_test_soap_count(r->soap, "HttpNfcLeaseAbort");
    vf_vsphere_free(r->vs);
    vf_test_soap_stop(r->soap);
    vf_cancel_free(r->cancel);
    return aborts;
}

static void test_lease__completed_is_not_aborted(void **state)
{
    (void)state;
    struct rig r;
    start(&r, GOOD, 0, NULL);
    size_t n;
    const struct vf_lease_device *d = vf_lease_devices(r.lease, &n);
    assert_int_equal(n, 1);
    assert_non_null(strstr(d[0].url, "https://127.0.0.1:"));
    assert_int_equal(vf_lease_timeout_s(r.lease), 300);
    assert_int_equal(vf_lease_progress(r.lease, 50, NULL), 0);
    assert_int_equal(vf_lease_complete(r.lease, NULL), 0);
    assert_int_equal(vf_lease_complete(r.lease, NULL), 0);
    assert_int_equal(vf_lease_abort(r.lease, NULL), 0);
    assert_int_equal(vf_test_soap_count(r.soap, "HttpNfcLeaseComplete"), 1);
    assert_int_equal(stop(&r), 0);
}

static void test_lease__dropped_is_aborted_once_even_when_cancelled(void **state)
{
    (void)state;
    struct rig r;
    start(&r, GOOD, 0, NULL);
    vf_cancel_trigger(r.cancel);
    assert_int_equal(vf_lease_progress(r.lease, 1, NULL), VF_CANCELLED);
    assert_int_equal(vf_lease_abort(r.lease, NULL), 0);
    assert_int_equal(stop(&r), 1);
}

static void test_lease__that_fails_to_start_is_aborted(void **state)
{
    (void)state;
    struct rig r;
    struct vf_error *err = NULL;
    start(&r, NEVER_READY, VF_SPACE, &err);
    assert_true(vf_fault_is(err, "NoDiskSpace"));
    vf_error_free(err);
    assert_int_equal(stop(&r), 1);
}

static void test_lease__of_a_running_vm_is_conflict_with_hint(void **state)
{
    (void)state;
    struct rig r;
    struct vf_error *err = NULL;
    start(&r, REFUSED, VF_CONFLICT, &err);
    assert_non_null(strstr(vf_error_get_hint(err), "snapshot"));
    vf_error_free(err);
    assert_int_equal(stop(&r), 0);
}

static void test_lease_complete__lost_answer_is_success_when_it_ended(void **state)
{
    (void)state;
    struct rig r;
    start(&r, COMPLETE_LOST, 0, NULL);
    assert_int_equal(vf_lease_complete(r.lease, NULL), 0);
    assert_int_equal(vf_test_soap_count(r.soap, "HttpNfcLeaseComplete"), 2);
    assert_int_equal(stop(&r), 0);
}

static void test_lease_progress__timed_out_is_told_and_final(void **state)
{
    (void)state;
    struct rig r;
    struct vf_error *err = NULL;
    start(&r, TIMED_OUT, 0, NULL);
    assert_int_equal(vf_lease_progress(r.lease, 1, &err), VF_CONFLICT);
    assert_string_equal(vf_error_reason(err), "Timedout");
    assert_string_equal(vf_error_message(err), "the export lease timed out");
    vf_error_clear(&err);
    assert_int_equal(vf_test_soap_count(r.soap, "HttpNfcLeaseProgress"), 1);
    /* A read that broke because of it says so. */
    vf_error_set(&err, VF_RETRY, "connection reset");
    assert_int_equal(vf_lease_explain(r.lease, VF_RETRY, &err), VF_CONFLICT);
    assert_string_equal(vf_error_message(err), "the export lease timed out");
    vf_error_clear(&err);
    enum vf_lease_state now;
    char *why = NULL;
    assert_int_equal(vf_lease_fetch_state(r.lease, &now, &why, NULL), 0);
    assert_int_equal(now, VF_LEASE_ERROR);
    assert_string_equal(why, "the export lease timed out");
    free(why);
    /* What was read meanwhile may not count as complete. */
    assert_int_equal(vf_lease_complete(r.lease, NULL), VF_CONFLICT);
    stop(&r);
}

static void test_lease_explain__leaves_other_errors(void **state)
{
    (void)state;
    struct rig r;
    struct vf_error *err = NULL;
    start(&r, GOOD, 0, NULL);
    vf_error_set(&err, VF_RETRY, "connection reset");
    assert_int_equal(vf_lease_explain(r.lease, VF_RETRY, &err), VF_RETRY);
    assert_string_equal(vf_error_message(err), "connection reset");
    vf_error_free(err);
    stop(&r);
}

static void test_lease__gone_is_conflict(void **state)
{
    (void)state;
    struct rig r;
    struct vf_error *err = NULL;
    start(&r, GONE, 0, NULL);
    assert_int_equal(vf_lease_progress(r.lease, 1, &err), VF_CONFLICT);
    vf_error_clear(&err);
    enum vf_lease_state now;
    assert_int_equal(vf_lease_fetch_state(r.lease, &now, NULL, NULL), 0);
    assert_int_equal(now, VF_LEASE_GONE);
    assert_int_equal(vf_lease_complete(r.lease, NULL), VF_CONFLICT);
    stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease__completed_is_not_aborted),
        cmocka_unit_test(test_lease__dropped_is_aborted_once_even_when_cancelled),
        cmocka_unit_test(test_lease__that_fails_to_start_is_aborted),
        cmocka_unit_test(test_lease__of_a_running_vm_is_conflict_with_hint),
        cmocka_unit_test(test_lease_complete__lost_answer_is_success_when_it_ended),
        cmocka_unit_test(test_lease_progress__timed_out_is_told_and_final),
        cmocka_unit_test(test_lease_explain__leaves_other_errors),
        cmocka_unit_test(test_lease__gone_is_conflict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
