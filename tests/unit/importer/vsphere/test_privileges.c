#include "importer/vsphere/privileges.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "tests/support/disk_check.h"
#include "tests/support/soap_server.h"

static const char *const names[] = {"VApp.Export", "Datastore.Browse", NULL};

struct world {
    struct vf_buf text;
    const char *gone;  /* this one is no longer there */
    const char *fault; /* instead of any answer */
    unsigned most;     /* entities asked about in one call */
    bool named;        /* the user by the name that the session has */
};

/* Nobody may export vm-7; nothing is said about vm-8. */
static const char *grant(struct world *w, const char *body)
{
    unsigned n = 0;
    w->named = strstr(body, "<userName>SIM\\u</userName>") != NULL;
    vf_buf_release(&w->text);
    vf_buf_init(&w->text, 1 << 20);
    for (const char *at = body; (at = strstr(at, "<entities ")); at++, n++) {
        const char *from = strchr(at, '>') + 1;
        char *vf_autofree moref = vf_xstrndup(from, strcspn(from, "<"));
        if (w->gone && strcmp(w->gone, moref) == 0) {
            return VF_TEST_SOAP_FAULT "ManagedObjectNotFound";
        }
        if (strcmp(moref, "vm-8") != 0) {
            vf_buf_printf(&w->text,
                          "<returnval><entity type=\"VirtualMachine\">%s</entity>"
                          "<privAvailability><privId>VApp.Export</privId><isGranted>%s"
                          "</isGranted></privAvailability><privAvailability><privId>Other"
                          "</privId><isGranted>false</isGranted></privAvailability></returnval>",
                          moref, strcmp(moref, "vm-7") == 0 ? "false" : "true");
        }
    }
    w->most = n > w->most ? n : w->most;
    return w->text.len ? w->text.data : "";
}

static const char *answer(const struct vf_test_soap_call *c, void *opaque)
{
    struct world *w = opaque;
    if (strcmp(c->method, "RetrievePropertiesEx") == 0) {
        return "<returnval><objects><obj type=\"SessionManager\">SessionManager</obj><propSet>"
               "<name>currentSession</name><val><key>k</key><userName>SIM\\u</userName></val>"
               "</propSet></objects></returnval>";
    }
    if (strcmp(c->method, "HasUserPrivilegeOnEntities") != 0) {
        return NULL;
    }
    return w->fault ? w->fault : grant(w, c->body);
}

struct fixture {
    struct world world;
    struct vf_test_soap *server;
    struct vf_vsphere *vs;
    struct vf_privileges table;
};

static int set_up(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->server = vf_test_soap_start(answer, &f->world);
    f->vs = vf_test_soap_login(f->server, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vf_privileges_release(&f->table);
    vf_vsphere_free(f->vs);
    vf_test_soap_stop(f->server);
    vf_buf_release(&f->world.text);
    free(f);
    return 0;
}

/* About vm-0 and as many as it takes. */
static int ask(struct fixture *f, size_t n, struct vf_error **err)
{
    struct vf_entity *entities = vf_xcalloc(n, sizeof *entities);
    char **morefs = vf_xcalloc(n, sizeof *morefs);
    for (size_t i = 0; i < n; i++) {
        morefs[i] = vf_xasprintf("vm-%zu", i);
        entities[i] = (struct vf_entity){"VirtualMachine", morefs[i]};
    }
    int rc = vf_vsphere_fetch_privileges(f->vs, entities, n, names, &f->table, err);
    for (size_t i = 0; i < n; i++) {
        free(morefs[i]);
    }
    free(morefs);
    free(entities);
    return rc;
}

static void test_privileges__that_are_missing_are_known_by_object(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, 600, NULL), 0);
    assert_true(f->world.named);
    assert_in_range(f->world.most, 100, 300);
    assert_int_equal(vf_test_soap_count(f->server, "HasUserPrivilegeOnEntities"), 3);
    assert_false(vf_privileges_has(&f->table, "vm-7", "VApp.Export"));
    assert_true(vf_privileges_has(&f->table, "vm-599", "VApp.Export"));
}

static void test_privileges__that_nothing_was_said_about_count_as_held(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, 9, NULL), 0);
    assert_true(vf_privileges_has(&f->table, "vm-8", "VApp.Export"));
    assert_true(vf_privileges_has(&f->table, "vm-7", "Datastore.Browse"));
    assert_true(vf_privileges_has(&f->table, "vm-7", "Not.Asked"));
    assert_true(vf_privileges_has(&f->table, "vm-10", "VApp.Export"));
}

static void test_privileges__on_what_vanished_do_not_hide_the_others(void **state)
{
    struct fixture *f = *state;
    f->world.gone = "vm-100";
    assert_int_equal(ask(f, 240, NULL), 0);
    assert_false(vf_privileges_has(&f->table, "vm-7", "VApp.Export"));
    assert_true(vf_privileges_has(&f->table, "vm-100", "VApp.Export"));
    /* Halving it takes about twice the logarithm. */
    assert_in_range(vf_test_soap_count(f->server, "HasUserPrivilegeOnEntities"), 3, 20);
}

static void test_privileges__that_may_not_be_asked_for_are_an_error(void **state)
{
    struct fixture *f = *state;
    struct vf_error *err = NULL;
    f->world.fault = VF_TEST_SOAP_FAULT "NoPermission";
    int rc = ask(f, 3, &err);
    check_error(rc, &err, VF_AUTH, "ask for the account's privileges");
    assert_int_equal(f->table.n_entities, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_privileges__that_are_missing_are_known_by_object,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_privileges__that_nothing_was_said_about_count_as_held,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_privileges__on_what_vanished_do_not_hide_the_others,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_privileges__that_may_not_be_asked_for_are_an_error,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
