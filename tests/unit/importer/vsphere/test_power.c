/* What becomes of power calls that are refused, lost or never end. */
#include "importer/vsphere/power.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/vsphere/fault.h"
#include "tests/support/check.h"
#include "tests/support/soap_server.h"

/* A VM that does as it is told, or not. */
struct plan {
    const char *power; /* as it is */
    const char *tools, *guest, *question;
    const char *refusal;     /* fault of the power call itself; NULL: none */
    unsigned refusals;       /* so many times; 0: always */
    const char *task;        /* fault of its task; NULL: it goes well */
    unsigned task_faults;    /* so many times; 0: always */
    const char *becomes;     /* the power once a task or a shutdown went well */
    unsigned shutdown_after; /* answers of a watch before the guest is down */
    char text[3000];
};

static const char *tell_object(struct plan *p)
{
    snprintf(p->text, sizeof p->text,
             "<returnval><objects><obj type=\"VirtualMachine\">vm-1</obj>"
             "<propSet><name>runtime.powerState</name><val>%s</val></propSet>"
             "<propSet><name>guest.toolsRunningStatus</name><val>%s</val></propSet>"
             "<propSet><name>guest.guestState</name><val>%s</val></propSet>%s%s%s"
             "</objects></returnval>",
             p->power, p->tools ? p->tools : "guestToolsRunning", p->guest ? p->guest : "running",
             p->question ? "<propSet><name>runtime.question</name><val><id>1</id><text>" : "",
             p->question ? p->question : "", p->question ? "</text></val></propSet>" : "");
    return p->text;
}

#define UPDATE                                                                                     \
    "<returnval><version>1</version><filterSet><filter type=\"PropertyFilter\">f</filter>"         \
    "<objectSet><kind>enter</kind><obj type=\"%s\">x</obj>%s</objectSet></filterSet></returnval>"
#define CHANGE(name, value) "<changeSet><name>" name "</name><val>" value "</val></changeSet>"

static const char *tell_task(struct plan *p, unsigned nth)
{
    char change[600];
    bool bad = p->task && (p->task_faults == 0 || nth <= p->task_faults);
    p->power = !bad && p->becomes ? p->becomes : p->power;
    snprintf(change, sizeof change, CHANGE("info", "<state>%s</state>%s%s%s"),
             bad ? "error" : "success", bad ? "<error><fault xsi:type=\"" : "", bad ? p->task : "",
             bad ? "\"/></error>" : "");
    snprintf(p->text, sizeof p->text, UPDATE, "Task", change);
    return p->text;
}

static const char *tell_watch(struct plan *p, unsigned nth)
{
    char change[600];
    if (p->becomes && nth > p->shutdown_after) {
        p->power = p->becomes;
    }
    snprintf(change, sizeof change, "%s%s%s" CHANGE("runtime.powerState", "%s"),
             p->question ? "<changeSet><name>runtime.question</name><val><text>" : "",
             p->question ? p->question : "", p->question ? "</text></val></changeSet>" : "",
             p->power);
    snprintf(p->text, sizeof p->text, UPDATE, "VirtualMachine", change);
    return p->text;
}

static const char *play(const struct vf_test_soap_call *c, void *opaque)
{
    static bool of_task;
    struct plan *p = opaque;
    if (strcmp(c->method, "RetrievePropertiesEx") == 0) {
        return tell_object(p);
    }
    if (strcmp(c->method, "CreatePropertyCollector") == 0) {
        return "<returnval type=\"PropertyCollector\">pc-2</returnval>";
    }
    if (strcmp(c->method, "CreateFilter") == 0) {
        of_task = strstr(c->body, "<type>Task</type>") != NULL;
    } else if (strcmp(c->method, "WaitForUpdatesEx") == 0) {
        return of_task ? tell_task(p, c->nth) : tell_watch(p, c->nth);
    } else if (strncmp(c->method, "Power", 5) == 0 || strcmp(c->method, "ShutdownGuest") == 0) {
        if (p->refusal && (p->refusals == 0 || c->nth <= p->refusals)) {
            snprintf(p->text, sizeof p->text, "%s", p->refusal);
            return p->text;
        }
        return strcmp(c->method, "ShutdownGuest") == 0
                   ? ""
                   : "<returnval type=\"Task\">task-1</returnval>";
    }
    return NULL;
}

typedef int call_fn(struct vf_vsphere *vs, const char *vm, struct vf_error **err);

/* How often `method` was called. */
static unsigned run(struct plan *p, call_fn *call, const char *method, int code,
                    struct vf_error **err)
{
    struct vf_test_soap *s = vf_test_soap_start(play, p);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    assert_int_equal(call(vs, "vm-1", err), code);
    unsigned n = vf_test_soap_count(s, method);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
    return n;
}

static void test_vm_power_off__becomes_off(void **state)
{
    (void)state;
    struct plan p = {.power = "poweredOn", .becomes = "poweredOff"};
    assert_int_equal(run(&p, vf_vm_power_off, "PowerOffVM_Task", 0, NULL), 1);
}

static void test_vm_power_on__that_is_on_is_good(void **state)
{
    (void)state;
    struct plan p = {.power = "poweredOn", .task = "InvalidPowerState"};
    assert_int_equal(run(&p, vf_vm_power_on, "PowerOnVM_Task", 0, NULL), 1);
    struct plan q = {.power = "poweredOn", .refusal = VF_TEST_SOAP_FAULT "InvalidPowerState"};
    assert_int_equal(run(&q, vf_vm_power_on, "PowerOnVM_Task", 0, NULL), 1);
}

static void test_vm_power_on__suspended_is_not_on(void **state)
{
    (void)state;
    struct plan p = {.power = "suspended", .task = "InvalidPowerState"};
    assert_int_equal(run(&p, vf_vm_power_on, "PowerOnVM_Task", VF_CONFLICT, NULL), 1);
}

static void test_vm_power_on__busy_vm_is_waited_for(void **state)
{
    (void)state;
    struct plan p = {
        .power = "poweredOff", .task = "TaskInProgress", .task_faults = 1, .becomes = "poweredOn"};
    assert_int_equal(run(&p, vf_vm_power_on, "PowerOnVM_Task", 0, NULL), 2);
}

static void test_vm_power_on__lost_answer_is_asked_again(void **state)
{
    (void)state;
    struct plan p = {.power = "poweredOff",
                     .refusal = VF_TEST_SOAP_RESET,
                     .refusals = 1,
                     .becomes = "poweredOn"};
    assert_int_equal(run(&p, vf_vm_power_on, "PowerOnVM_Task", 0, NULL), 2);
}

static void test_vm_power_on__question_is_told(void **state)
{
    (void)state;
    struct plan p = {
        .power = "poweredOff", .question = "moved or\ncopied?", .task = "TaskInProgress"};
    struct vf_error *err = NULL;
    run(&p, vf_vm_power_on, "PowerOnVM_Task", VF_CONFLICT, &err);
    assert_true(vf_fault_is(err, VF_POWER_REASON_QUESTION));
    assert_non_null(strstr(vf_error_message(err), "\"moved or copied?\""));
    assert_non_null(vf_error_get_hint(err));
    vf_error_free(err);
}

static void test_vm_power_on__no_resources_is_space(void **state)
{
    (void)state;
    struct plan p = {.power = "poweredOff", .task = "InsufficientResourcesFault"};
    assert_int_equal(run(&p, vf_vm_power_on, "PowerOnVM_Task", VF_SPACE, NULL), 1);
}

static void test_vm_shut_down_guest__off_already_is_good(void **state)
{
    (void)state;
    struct plan p = {.power = "poweredOff", .refusal = VF_TEST_SOAP_FAULT "InvalidPowerState"};
    assert_int_equal(run(&p, vf_vm_shut_down_guest, "ShutdownGuest", 0, NULL), 1);
    struct plan q = {.power = "suspended", .refusal = VF_TEST_SOAP_FAULT "InvalidPowerState"};
    assert_int_equal(run(&q, vf_vm_shut_down_guest, "ShutdownGuest", VF_CONFLICT, NULL), 1);
}

static void test_vm_shut_down_guest__without_tools_is_a_conflict(void **state)
{
    (void)state;
    struct plan p = {.power = "poweredOn", .refusal = VF_TEST_SOAP_FAULT "ToolsUnavailable"};
    struct vf_error *err = NULL;
    run(&p, vf_vm_shut_down_guest, "ShutdownGuest", VF_CONFLICT, &err);
    assert_true(vf_fault_is(err, "ToolsUnavailable"));
    vf_error_free(err);
}

static void test_vm_fetch_power__is_all_told(void **state)
{
    (void)state;
    struct plan p = {.power = "poweredOn", .guest = "shuttingDown", .question = "why?"};
    struct vf_test_soap *s = vf_test_soap_start(play, &p);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    struct vf_power_view v = {0};
    assert_int_equal(vf_vm_fetch_power(vs, "vm-1", &v, NULL), 0);
    assert_int_equal(v.power, VF_POWER_ON);
    assert_true(v.tools_running && v.shutting_down);
    assert_string_equal(v.question, "why?");
    vf_power_view_release(&v);
    assert_int_equal(vf_vm_fetch_power(vs, "vm-2", &v, NULL), VF_MISSING);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

static void count_question(void *opaque, const char *text)
{
    vf_test_check(strcmp(text, "why?") == 0);
    (*(unsigned *)opaque)++;
}

static void test_vm_wait_power__tells_a_question_once(void **state)
{
    (void)state;
    struct plan p = {
        .power = "poweredOn", .becomes = "poweredOff", .question = "why?", .shutdown_after = 3};
    struct vf_test_soap *s = vf_test_soap_start(play, &p);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    unsigned asked = 0;
    const struct vf_power_wait w = {
        .want = VF_POWER_OFF, .timeout_ms = 60000, .question = count_question, .opaque = &asked};
    assert_int_equal(vf_vm_wait_power(vs, "vm-1", &w, NULL), 0);
    assert_int_equal(asked, 1);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

static void test_vm_wait_power__that_never_comes_ends(void **state)
{
    (void)state;
    struct plan p = {.power = "poweredOn"};
    struct vf_test_soap *s = vf_test_soap_start(play, &p);
    struct vf_vsphere *vs = vf_test_soap_login(s, NULL);
    const struct vf_power_wait w = {.want = VF_POWER_OFF, .timeout_ms = 300};
    int64_t start_ms = vf_clock_ms();
    assert_int_equal(vf_vm_wait_power(vs, "vm-1", &w, NULL), VF_RETRY);
    assert_true(vf_clock_ms() - start_ms >= 300);
    vf_vsphere_free(vs);
    vf_test_soap_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_power_off__becomes_off),
        cmocka_unit_test(test_vm_power_on__that_is_on_is_good),
        cmocka_unit_test(test_vm_power_on__suspended_is_not_on),
        cmocka_unit_test(test_vm_power_on__busy_vm_is_waited_for),
        cmocka_unit_test(test_vm_power_on__lost_answer_is_asked_again),
        cmocka_unit_test(test_vm_power_on__question_is_told),
        cmocka_unit_test(test_vm_power_on__no_resources_is_space),
        cmocka_unit_test(test_vm_shut_down_guest__off_already_is_good),
        cmocka_unit_test(test_vm_shut_down_guest__without_tools_is_a_conflict),
        cmocka_unit_test(test_vm_fetch_power__is_all_told),
        cmocka_unit_test(test_vm_wait_power__tells_a_question_once),
        cmocka_unit_test(test_vm_wait_power__that_never_comes_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
