/* What becomes of calls whose answer is lost: nothing is made twice, nothing is left. */
#include "importer/vsphere/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/vsphere/fault.h"
#include "tests/support/check.h"
#include "tests/support/soap_server.h"

#define VM_WITH(tree)                                                                              \
    "<returnval><objects><obj type=\"VirtualMachine\">vm-1</obj><propSet><name>snapshot</name>"    \
    "<val xsi:type=\"VirtualMachineSnapshotInfo\">" tree "</val></propSet></objects></returnval>"
#define TREE(moref, name, text, rest)                                                              \
    "<rootSnapshotList><snapshot type=\"VirtualMachineSnapshot\">" moref "</snapshot><name>" name  \
    "</name><description>" text "</description><quiesced>true</quiesced>" rest                     \
    "</rootSnapshotList>"
#define TASK(state, rest)                                                                          \
    "<returnval><version>1</version><filterSet><filter type=\"PropertyFilter\">f</filter>"         \
    "<objectSet><kind>enter</kind><obj type=\"Task\">task-1</obj><changeSet><name>info</name>"     \
    "<op>assign</op><val xsi:type=\"TaskInfo\"><state>" state "</state>" rest                      \
    "</val></changeSet></objectSet></filterSet></returnval>"
#define MADE                                                                                       \
    "<result xsi:type=\"ManagedObjectReference\" "                                                 \
    "type=\"VirtualMachineSnapshot\">snapshot-9</result>"
#define FAILED(type)                                                                               \
    "<error><fault xsi:type=\"" type "\"/><localizedMessage>text</localizedMessage></error>"

enum script {
    LOST_AFTER_MAKING, /* the answer is lost, the snapshot is there */
    LOST_BEFORE_MAKING,
    LOST_WHILE_MAKING, /* its task still runs at the first look */
    SAME_NAME_BEFORE,  /* lost before making, and an older snapshot looks like ours */
    TASK_FAILS,
    BUSY_ONCE,
    COLLECTOR_LOST,
    TASK_LOST, /* vCenter was restarted, the host went on */
    REMOVAL_FINDS_NONE,
};

struct plan {
    enum script script;
    const char *fault;
    char text[1000];
};

static const char *look(struct plan *p, unsigned nth, unsigned creations)
{
    static const char ours[] = VM_WITH(TREE("snapshot-9", "vmferry 1%2f2", "mark", ""));
    static const char none[] = VM_WITH("");
    static const char old[] = VM_WITH(TREE("snapshot-5", "vmferry 1%2f2", "mark", ""));
    static const char running[] =
        "<returnval><objects><obj type=\"VirtualMachine\">vm-1</obj></objects>"
        "<objects><obj type=\"Task\">task-1</obj><propSet><name>info.state</name><val>running</val>"
        "</propSet><propSet><name>info.descriptionId</name>"
        "<val>VirtualMachine.createSnapshot</val></propSet></objects></returnval>";
    (void)creations;
    switch (p->script) {
    case LOST_AFTER_MAKING:
    case TASK_LOST:
        return nth > 1 ? ours : none;
    case LOST_WHILE_MAKING:
        return nth == 1 ? none : nth == 2 ? running : ours;
    case SAME_NAME_BEFORE:
        return old;
    default:
        return none;
    }
}

static const char *create(const struct plan *p, unsigned nth)
{
    static const char task[] = "<returnval type=\"Task\">task-1</returnval>";
    switch (p->script) {
    case LOST_AFTER_MAKING:
    case LOST_WHILE_MAKING:
        return VF_TEST_SOAP_RESET;
    case LOST_BEFORE_MAKING:
    case SAME_NAME_BEFORE:
        return nth == 1 ? VF_TEST_SOAP_RESET : task;
    default:
        return task;
    }
}

static const char *wait(struct plan *p, unsigned nth)
{
    switch (p->script) {
    case TASK_FAILS:
        snprintf(p->text, sizeof p->text, TASK("error", FAILED("%s")), p->fault);
        return p->text;
    case BUSY_ONCE:
        return nth == 1 ? TASK("error", FAILED("TaskInProgress")) : TASK("success", MADE);
    case COLLECTOR_LOST:
        return nth == 1   ? TASK("running", "<progress>5</progress>")
               : nth == 2 ? VF_TEST_SOAP_FAULT "InvalidCollectorVersion"
               : nth == 3 ? "" /* nothing new */
               : nth == 4 ? VF_TEST_SOAP_RESET
                          : TASK("success", MADE);
    default:
        return TASK("success", MADE);
    }
}

static const char *play(const struct vf_test_soap_call *c, void *opaque)
{
    struct plan *p = opaque;
    static unsigned creations;
    if (strcmp(c->method, "Login") == 0) {
        creations = 0;
    } else if (strcmp(c->method, "CreateSnapshot_Task") == 0) {
        creations++;
        vf_test_check(strstr(c->body, "<name>vmferry 1%2f2</name><description>mark</description>"));
        return create(p, c->nth);
    } else if (strcmp(c->method, "RetrievePropertiesEx") == 0) {
        return look(p, c->nth, creations);
    } else if (strcmp(c->method, "CreatePropertyCollector") == 0) {
        return "<returnval type=\"PropertyCollector\">pc-2</returnval>";
    } else if (strcmp(c->method, "WaitForUpdatesEx") == 0) {
        return wait(p, c->nth);
    } else if (strcmp(c->method, "RemoveSnapshot_Task") == 0 ||
               (strcmp(c->method, "CreateFilter") == 0 && p->script == TASK_LOST)) {
        return VF_TEST_SOAP_FAULT "ManagedObjectNotFound";
    }
    return NULL;
}

/* How often the snapshot was asked for. */
static unsigned run(enum script script, const char *fault, int code, struct vf_error **err)
{
    struct plan p = {.script = script, .fault = fault};
    struct vf_test_soap *s = vf_test_soap_start(play, &p);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    char *moref = NULL;
    assert_int_equal(vf_snapshot_create(vs, "vm-1", "vmferry 1/2", "mark", true, &moref, err),
                     code);
    if (code == 0) {
        assert_string_equal(moref, "snapshot-9");
    } else {
        assert_null(moref);
    }
    free(moref);
    unsigned n = vf_test_soap_count(s, "CreateSnapshot_Task");
    assert_int_equal(vf_test_soap_count(s, "CreatePropertyCollector"),
                     vf_test_soap_count(s, "DestroyPropertyCollector"));
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
    return n;
}

static void test_snapshot_create__lost_answer_of_one_that_was_made(void **state)
{
    (void)state;
    assert_int_equal(run(LOST_AFTER_MAKING, NULL, 0, NULL), 1);
}

static void test_snapshot_create__lost_answer_while_it_is_made(void **state)
{
    (void)state;
    assert_int_equal(run(LOST_WHILE_MAKING, NULL, 0, NULL), 1);
}

static void test_snapshot_create__lost_answer_of_one_that_was_not_made(void **state)
{
    (void)state;
    assert_int_equal(run(LOST_BEFORE_MAKING, NULL, 0, NULL), 2);
}

static void test_snapshot_create__an_older_one_of_that_name_is_not_ours(void **state)
{
    (void)state;
    assert_int_equal(run(SAME_NAME_BEFORE, NULL, 0, NULL), 2);
}

static void test_snapshot_create__failed_quiesce_is_told(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    assert_int_equal(run(TASK_FAILS, "ApplicationQuiesceFault", VF_CONFLICT, &err), 1);
    assert_true(vf_fault_is_quiesce(err));
    vf_error_free(err);
}

static void test_snapshot_create__full_datastore_is_space(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    assert_int_equal(run(TASK_FAILS, "NoDiskSpace", VF_SPACE, &err), 1);
    assert_false(vf_fault_is_quiesce(err));
    vf_error_free(err);
}

static void test_snapshot_create__busy_vm_is_asked_again(void **state)
{
    (void)state;
    assert_int_equal(run(BUSY_ONCE, NULL, 0, NULL), 2);
}

static void test_snapshot_create__lost_collector_is_made_anew(void **state)
{
    (void)state;
    assert_int_equal(run(COLLECTOR_LOST, NULL, 0, NULL), 1);
}

static void test_snapshot_create__lost_task_of_one_that_was_made(void **state)
{
    (void)state;
    assert_int_equal(run(TASK_LOST, NULL, 0, NULL), 1);
}

static void test_snapshot_remove__gone_already_is_success(void **state)
{
    (void)state;
    struct plan p = {.script = REMOVAL_FINDS_NONE};
    struct vf_test_soap *s = vf_test_soap_start(play, &p);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    assert_int_equal(vf_snapshot_remove(vs, "snapshot-9", true, NULL), 0);
    assert_int_equal(vf_test_soap_count(s, "RemoveSnapshot_Task"), 1);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

static const char *nested(const struct vf_test_soap_call *c, void *opaque)
{
    (void)opaque;
    return strcmp(c->method, "RetrievePropertiesEx") != 0
               ? NULL
               : VM_WITH(
                     TREE("snapshot-1", "vmferry-a", "by vmferry of plan x",
                          "<childSnapshotList><snapshot type=\"VirtualMachineSnapshot\">snapshot-2"
                          "</snapshot><name>mine</name><description>by vmferry</description>"
                          "<childSnapshotList><snapshot type=\"VirtualMachineSnapshot\">snapshot-3"
                          "</snapshot><name>vmferry-b</name><description>by vmferry</description>"
                          "</childSnapshotList></childSnapshotList>"));
}

static void test_snapshot_find__children_come_first(void **state)
{
    (void)state;
    struct vf_test_soap *s = vf_test_soap_start(nested, NULL);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    char **morefs = NULL;
    size_t n = 0;
    assert_int_equal(vf_snapshot_find(vs, "vm-1", "vmferry-", "by vmferry", &morefs, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_string_equal(morefs[0], "snapshot-3");
    assert_string_equal(morefs[1], "snapshot-1");
    assert_null(morefs[2]);
    vf_snapshot_morefs_free(morefs);
    assert_int_equal(vf_snapshot_find(vs, "vm-1", "vmferry-", "plan y", &morefs, &n, NULL), 0);
    assert_int_equal(n, 0);
    vf_snapshot_morefs_free(morefs);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot_create__lost_answer_of_one_that_was_made),
        cmocka_unit_test(test_snapshot_create__lost_answer_while_it_is_made),
        cmocka_unit_test(test_snapshot_create__lost_answer_of_one_that_was_not_made),
        cmocka_unit_test(test_snapshot_create__an_older_one_of_that_name_is_not_ours),
        cmocka_unit_test(test_snapshot_create__failed_quiesce_is_told),
        cmocka_unit_test(test_snapshot_create__full_datastore_is_space),
        cmocka_unit_test(test_snapshot_create__busy_vm_is_asked_again),
        cmocka_unit_test(test_snapshot_create__lost_collector_is_made_anew),
        cmocka_unit_test(test_snapshot_create__lost_task_of_one_that_was_made),
        cmocka_unit_test(test_snapshot_remove__gone_already_is_success),
        cmocka_unit_test(test_snapshot_find__children_come_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
