#include "importer/vsphere/datacenter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/disk_check.h"
#include "tests/support/soap_server.h"

/* An inventory: who is below whom. */
struct object {
    const char *type, *moref, *name;
    const char *way, *parent_type, *parent; /* way NULL: nothing to be seen above */
};

static const struct object inventory[] = {
    {"VirtualMachine", "vm-1", "web", "parent", "Folder", "group-prod"},
    {"VirtualMachine", "vm-2", "app", "parentVApp", "VirtualApp", "vapp-1"},
    {"VirtualMachine", "vm-3", "lost", NULL, NULL, NULL},
    {"VirtualMachine", "vm-4", "deep", "parent", "Folder", "group-odd"},
    {"VirtualMachine", "vm-5", "loop", "parent", "Folder", "group-loop"},
    {"VirtualApp", "vapp-1", "vapp", "parentFolder", "Folder", "group-v"},
    {"Folder", "group-prod", "vm", "parent", "Folder", "group-v"},
    {"Folder", "group-v", "vm", "parent", "Datacenter", "datacenter-1"},
    {"Datacenter", "datacenter-1", "DC%2f0", "parent", "Folder", "group-vm"},
    {"Folder", "group-vm", "vm", "parent", "Folder", "group-d1"},
    {"Folder", "group-odd", "vm", "parent", "Datacenter", "datacenter-2"},
    {"Datacenter", "datacenter-2", "Top", "parent", "Folder", "group-d1"},
    {"Folder", "group-loop", "loop", "parent", "Folder", "group-loop"},
};

static const char *answer(const struct vf_test_soap_call *c, void *opaque)
{
    static char text[2000];
    (void)opaque;
    if (strcmp(c->method, "RetrievePropertiesEx") != 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof inventory / sizeof inventory[0]; i++) {
        const struct object *o = &inventory[i];
        char *vf_autofree named = vf_xasprintf(">%s</obj>", o->moref);
        if (!strstr(c->body, named)) {
            continue;
        }
        char *vf_autofree parent =
            o->way ? vf_xasprintf("<propSet><name>%s</name><val type=\"%s\" "
                                  "xsi:type=\"ManagedObjectReference\">%s</val></propSet>",
                                  o->way, o->parent_type, o->parent)
                   : vf_xstrdup("");
        snprintf(text, sizeof text,
                 "<returnval><objects><obj type=\"%s\">%s</obj><propSet><name>name</name><val "
                 "xsi:type=\"xsd:string\">%s</val></propSet>%s</objects></returnval>",
                 o->type, o->moref, o->name, parent);
        return text;
    }
    return "";
}

struct fixture {
    struct vf_test_soap *server;
    struct vf_vsphere *vs;
};

static int set_up(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->server = vf_test_soap_start(answer, NULL);
    f->vs = vf_test_soap_login(f->server, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vf_vsphere_free(f->vs);
    vf_test_soap_stop(f->server);
    free(f);
    return 0;
}

static void expect_path(const struct fixture *f, const char *moref, const char *want)
{
    char *vf_autofree path = NULL;
    struct vf_error *err = NULL;
    if (vf_vsphere_fetch_datacenter_path(f->vs, moref, &path, &err)) {
        fail_msg("%s", vf_error_message(err));
    }
    assert_string_equal(path, want);
}

static void test_datacenter__path_holds_the_folders_above_it_alone(void **state)
{
    expect_path(*state, "vm-1", "vm/DC%2f0"); /* folders may have the name of the one for VMs */
    expect_path(*state, "vm-4", "Top");
}

static void test_datacenter__of_a_vm_in_a_vapp(void **state)
{
    expect_path(*state, "vm-2", "vm/DC%2f0");
}

static void expect_error(const struct fixture *f, const char *moref, enum vf_code code,
                         const char *part)
{
    char *path = NULL;
    struct vf_error *err = NULL;
    int rc = vf_vsphere_fetch_datacenter_path(f->vs, moref, &path, &err);
    assert_null(path);
    check_error(rc, &err, code, part);
}

static void test_datacenter__that_is_not_to_be_seen_is_auth(void **state)
{
    expect_error(*state, "vm-3", VF_AUTH, "nothing is to be seen above VirtualMachine \"vm-3\"");
}

static void test_datacenter__of_no_vm_is_missing(void **state)
{
    expect_error(*state, "vm-9", VF_MISSING, "datacenter");
}

static void test_datacenter__circle_ends(void **state)
{
    expect_error(*state, "vm-5", VF_INVALID, "deeper than 64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_datacenter__path_holds_the_folders_above_it_alone,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_datacenter__of_a_vm_in_a_vapp, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_datacenter__that_is_not_to_be_seen_is_auth, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_datacenter__of_no_vm_is_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_datacenter__circle_ends, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
