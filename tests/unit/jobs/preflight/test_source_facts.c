#include "jobs/preflight/source_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/soap_server.h"

#define VMS 1000

struct fixture {
    const char *refused; /* what the account may not read: a part of the request */
    unsigned n_calls;
    unsigned n_entities; /* asked about */
    bool asked_datastore, asked_other, asked_warm;
    struct vf_test_soap *soap;
    struct vf_vsphere *vs;
    struct vf_cancel *cancel;
    struct vf_vm vms[VMS];
    struct vf_vm_disk disk;
    char morefs[VMS][16];
    struct vf_check_options check;
    struct vf_source_facts facts;
};

#define HOSTS                                                                                      \
    "<returnval><objects><obj type=\"HostSystem\">host-1</obj><propSet><name>name</name>"          \
    "<val>esx1</val></propSet></objects></returnval>"
#define DATASTORES                                                                                 \
    "<returnval><objects><obj type=\"Datastore\">ds-1</obj><propSet><name>name</name>"             \
    "<val>fast</val></propSet></objects><objects><obj type=\"Datastore\">ds-2</obj><propSet>"      \
    "<name>name</name><val>slow</val></propSet></objects></returnval>"

static void note_question(struct fixture *f, const char *body)
{
    for (const char *at = body; (at = strstr(at, "<entities ")); at++) {
        f->n_entities++;
    }
    f->asked_datastore |= strstr(body, ">ds-1<") != NULL;
    f->asked_warm |= strstr(body, "ChangeTracking") != NULL;
    f->asked_other |= strstr(body, ">ds-2<") != NULL;
}

static const char *answer(const struct vf_test_soap_call *c, void *opaque)
{
    struct fixture *f = opaque;
    f->n_calls++;
    if (f->refused && (strstr(c->body, f->refused) || strcmp(c->method, f->refused) == 0)) {
        return VF_TEST_SOAP_FAULT "NoPermission";
    }
    if (strcmp(c->method, "CreateContainerView") == 0) {
        return "<returnval type=\"ContainerView\">view-1</returnval>";
    }
    if (strcmp(c->method, "HasUserPrivilegeOnEntities") == 0) {
        note_question(f, c->body);
        return "<returnval><entity type=\"VirtualMachine\">vm-7</entity><privAvailability>"
               "<privId>VApp.Export</privId><isGranted>false</isGranted></privAvailability>"
               "</returnval>";
    }
    if (strcmp(c->method, "CurrentTime") == 0) {
        return "<returnval>2000-01-01T00:00:00Z</returnval>";
    }
    if (strcmp(c->method, "RetrievePropertiesEx") == 0) {
        return strstr(c->body, "<type>HostSystem<")  ? HOSTS
               : strstr(c->body, "<type>Datastore<") ? DATASTORES
                                                     : "";
    }
    return NULL;
}

static int set_up(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->cancel = vf_cancel_new(NULL);
    f->soap = vf_test_soap_start(answer, f);
    f->vs = vf_test_soap_login(f->soap, f->cancel);
    f->disk.datastore = vf_xstrdup("fast");
    for (size_t i = 0; i < VMS; i++) {
        snprintf(f->morefs[i], sizeof f->morefs[i], "vm-%zu", i);
        f->vms[i] = (struct vf_vm){.moref = f->morefs[i], .disks = &f->disk, .n_disks = 1};
    }
    f->n_calls = 0;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vf_source_facts_release(&f->facts);
    vf_vsphere_free(f->vs);
    vf_test_soap_stop(f->soap);
    vf_cancel_free(f->cancel);
    free(f->disk.datastore);
    free(f);
    return 0;
}

static int fetch(struct fixture *f)
{
    return vf_source_facts_fetch(f->vs, &f->check, f->vms, VMS, f->cancel, &f->facts, NULL);
}

static void test_source_facts__of_a_thousand_vms_take_a_handful_of_calls(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fetch(f), 0);
    assert_true(f->facts.known && f->facts.clock_known && f->facts.privileges_known);
    assert_string_equal(f->facts.api_version, "8.0.2.0");
    assert_string_equal(f->facts.version, "8.0.3");
    assert_int_equal(f->facts.n_hosts, 1);
    assert_int_equal(f->facts.n_datastores, 2);
    assert_int_equal(f->facts.n_unknown, 0);
    assert_true(f->facts.clock_skew_ms < -1000000000);
    assert_int_equal(f->n_entities, VMS + 1);
    assert_true(f->asked_datastore);
    assert_false(vf_privileges_has(&f->facts.privileges, "vm-7", "VApp.Export"));
    assert_false(f->asked_other); /* no disk is there */
    assert_true(f->n_calls <= 16);
}

static void test_source_facts__ask_for_what_will_be_done(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(fetch(f), 0);
    assert_false(f->asked_warm);
    vf_source_facts_release(&f->facts);
    f->vms[0].cbt_supported = true;
    f->check.warm = true;
    assert_int_equal(fetch(f), 0);
    assert_true(f->asked_warm);
}

/* The rest is there all the same. */
static void expect_unknown(struct fixture *f, const char *refused, const char *says)
{
    vf_source_facts_release(&f->facts);
    f->refused = refused;
    assert_int_equal(fetch(f), 0);
    assert_int_equal(f->facts.n_unknown, 1);
    assert_non_null(strstr(f->facts.unknown[0], says));
    assert_non_null(strstr(f->facts.unknown[0], "NoPermission"));
    assert_true(f->facts.known);
}

static void test_source_facts__that_may_not_be_read_are_told_and_no_error(void **state)
{
    struct fixture *f = *state;
    expect_unknown(f, ">HostSystem<", "hosts and clusters: ");
    assert_int_equal(f->facts.n_hosts, 0);
    assert_int_equal(f->facts.n_datastores, 2);
    expect_unknown(f, "<type>Datastore<", "datastores: ");
    expect_unknown(f, "CurrentTime", "the server's clock: ");
    assert_false(f->facts.clock_known);
    expect_unknown(f, "HasUserPrivilegeOnEntities", "the account's privileges: ");
    assert_false(f->facts.privileges_known);
    assert_int_equal(f->facts.n_hosts, 1);
}

static void test_source_facts__that_are_cancelled_are_cancelled(void **state)
{
    struct fixture *f = *state;
    vf_cancel_trigger(f->cancel);
    assert_int_equal(fetch(f), VF_CANCELLED);
    assert_false(f->facts.known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_source_facts__of_a_thousand_vms_take_a_handful_of_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source_facts__ask_for_what_will_be_done, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_source_facts__that_may_not_be_read_are_told_and_no_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source_facts__that_are_cancelled_are_cancelled, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
