#include "importer/vsphere/power.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/task.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft.h"
#include "importer/vsphere/watch.h"

#define CALL_TIMEOUT_MS   30000
#define TASK_TIMEOUT_MS   (5 * 60 * 1000)
#define BUSY_MS           (7 * 60 * 1000) /* longer than a lease of 5 minutes that nobody holds */
#define CANCELLED_BUSY_MS (3 * 60 * 1000)
#define BUSY_WAIT_MS      2000
#define WATCH_GRACE_MS    (3 * 60 * 1000)
#define MAX_QUESTION      500

#define P_POWER    "runtime.powerState"
#define P_QUESTION "runtime.question"
#define P_STATE    "guest.guestState"
#define P_TOOLS    "guest.toolsRunningStatus"

void vf_power_view_release(struct vf_power_view *v)
{
    free(v->question);
    *v = (struct vf_power_view){0};
}

/* VirtualMachineQuestionInfo.text on its way to a person: one line, no control characters. */
static char *question_text(const xmlNode *info)
{
    char *vf_autofree text = vf_xml_child_text(info, VF_VIM_NS, "text");
    if (!text || !*text) {
        return info ? vf_xstrdup("a question without a text") : NULL;
    }
    char *line = vf_xstrndup(text, MAX_QUESTION);
    for (char *p = line; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }
    return line;
}

static bool text_is(const xmlNode *val, const char *text)
{
    char *vf_autofree s = vf_xml_text(val);
    return s && strcmp(s, text) == 0;
}

static int on_power(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                    struct vf_error **err)
{
    struct vf_power_view *v = opaque;
    struct vf_fault fault = {0};
    (void)ref;
    if (vf_property_fault(content, P_POWER, &fault)) {
        int rc = vf_fault_set_error(err, &fault, "read the VM's power state");
        vf_fault_release(&fault);
        return rc;
    }
    vf_power_view_release(v); /* of a query that started over */
    v->power = vf_power_parse(vf_property_value(content, P_POWER));
    v->tools_running = text_is(vf_property_value(content, P_TOOLS), "guestToolsRunning");
    v->shutting_down = text_is(vf_property_value(content, P_STATE), "shuttingDown");
    v->question = question_text(vf_property_value(content, P_QUESTION));
    return 0;
}

int vf_vm_fetch_power(struct vf_vsphere *vs, const char *vm_moref, struct vf_power_view *ret,
                      struct vf_error **err)
{
    static const char *const paths[] = {P_POWER, P_QUESTION, P_STATE, P_TOOLS, NULL};
    struct vf_power_view v = {0};
    int rc = vf_property_fetch_object(vs, VF_MO_VM, vm_moref, paths, true,
                                      "read the VM's power state", on_power, &v, err);
    if (rc) {
        vf_power_view_release(&v);
        return rc;
    }
    *ret = v;
    return 0;
}

static bool power_is(struct vf_vsphere *vs, const char *vm_moref, enum vf_power want)
{
    struct vf_power_view v = {0};
    bool yes = vf_vm_fetch_power(vs, vm_moref, &v, NULL) == 0 && v.power == want;
    vf_power_view_release(&v);
    return yes;
}

int vf_vm_shut_down_guest(struct vf_vsphere *vs, const char *vm_moref, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, "ShutdownGuest", VF_MO_VM, vm_moref);
    /* A guest that was asked twice shuts down once. */
    struct vf_call call = {.method = "ShutdownGuest",
                           .what = "ask the guest to shut down",
                           .body = &body,
                           .flags = VF_CALL_REPEATABLE,
                           .timeout_ms = CALL_TIMEOUT_MS};
    struct vf_error *e = NULL;
    int rc = vf_session_call_void(vs, &call, &e);
    vf_buf_release(&body);
    if (vf_fault_is(e, "InvalidPowerState") && power_is(vs, vm_moref, VF_POWER_OFF)) {
        vf_error_free(e);
        return 0;
    }
    vf_error_move(err, &e);
    return rc;
}

struct watching {
    const struct vf_power_wait *w;
    char *asked; /* the question that was told last */
};

static int on_change(void *opaque, const char *path, const xmlNode *value, bool *ret_done,
                     struct vf_error **err)
{
    struct watching *g = opaque;
    (void)err;
    if (strcmp(path, P_POWER) == 0) {
        *ret_done = vf_power_parse(value) == g->w->want;
        return 0;
    }
    char *vf_autofree text = question_text(value);
    if (text && (!g->asked || strcmp(text, g->asked) != 0)) {
        vf_replace_string(&g->asked, text);
        if (g->w->question) {
            g->w->question(g->w->opaque, text);
        }
    }
    return 0;
}

int vf_vm_wait_power(struct vf_vsphere *vs, const char *vm_moref, const struct vf_power_wait *w,
                     struct vf_error **err)
{
    static const char *const paths[] = {P_POWER, P_QUESTION, NULL};
    struct watching g = {.w = w};
    struct vf_watch watch = {.type = VF_MO_VM,
                             .moref = vm_moref,
                             .paths = paths,
                             .what = w->want == VF_POWER_OFF ? "wait until the VM is off"
                                                             : "wait until the VM is on",
                             .timeout_ms = w->timeout_ms,
                             .cleanup = w->cleanup,
                             .grace_ms = WATCH_GRACE_MS,
                             .change = on_change,
                             .opaque = &g};
    int rc = vf_watch_run(vs, &watch, err);
    free(g.asked);
    return rc;
}

struct change {
    const char *method, *what, *vm_moref;
    enum vf_power want;
    bool cleanup;
};

/* Why the task does not end may be that the VM asks something. True: *e says it. */
static bool is_asked(struct vf_vsphere *vs, const struct change *c, struct vf_error **e)
{
    struct vf_power_view v = {0};
    bool asked = vf_vm_fetch_power(vs, c->vm_moref, &v, NULL) == 0 && v.question;
    if (asked) {
        vf_error_clear(e);
        vf_error_set(e, VF_CONFLICT, "cannot %s: the VM waits for an answer to \"%s\"", c->what,
                     v.question);
        vf_error_set_reason(e, VF_POWER_REASON_QUESTION);
        vf_error_hint(e, "answer the VM's question in vSphere, then try again");
    }
    vf_power_view_release(&v);
    return asked;
}

static int start_and_wait(struct vf_vsphere *vs, const struct change *c, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, c->method, VF_MO_VM, c->vm_moref);
    struct vf_call call = {.method = c->method,
                           .what = c->what,
                           .body = &body,
                           .flags = VF_CALL_REPEATABLE | (c->cleanup ? VF_CALL_CLEANUP : 0),
                           .timeout_ms = CALL_TIMEOUT_MS};
    const struct vf_task_wait wait = {
        .timeout_ms = TASK_TIMEOUT_MS, .cleanup = c->cleanup, .grace_ms = WATCH_GRACE_MS};
    char *vf_autofree task = NULL;
    int rc = vf_task_start(vs, &call, &task, err);
    vf_buf_release(&body);
    return rc ? rc : vf_task_wait(vs, task, c->what, &wait, NULL, err);
}

/* Any power call is good when the VM is as wanted at its end: that is so after a repetition, and
 * when somebody else was faster. */
static int change_power(struct vf_vsphere *vs, const struct change *c, struct vf_error **err)
{
    const struct vf_cancel *cancel = c->cleanup ? NULL : vs->cancel;
    int64_t start_ms = vf_clock_ms();
    for (;;) {
        struct vf_error *e = NULL;
        int rc = start_and_wait(vs, c, &e);
        if (rc == 0 || (rc != VF_CANCELLED && power_is(vs, c->vm_moref, c->want))) {
            vf_error_free(e);
            return 0;
        }
        bool hurry = c->cleanup && vf_cancel_is_set(vs->cancel);
        int64_t left_ms = start_ms + (hurry ? CANCELLED_BUSY_MS : BUSY_MS) - vf_clock_ms();
        if (rc != VF_RETRY || is_asked(vs, c, &e) || left_ms <= 0) {
            rc = (int)vf_error_code(e);
            vf_error_move(err, &e);
            return rc;
        }
        vf_debug("vsphere: %s", vf_error_message(e));
        vf_error_clear(&e);
        rc = vf_cancel_wait(cancel, left_ms < BUSY_WAIT_MS ? left_ms : BUSY_WAIT_MS, err);
        if (rc) {
            return rc;
        }
    }
}

int vf_vm_power_off(struct vf_vsphere *vs, const char *vm_moref, struct vf_error **err)
{
    const struct change c = {.method = "PowerOffVM_Task",
                             .what = "power the VM off",
                             .vm_moref = vm_moref,
                             .want = VF_POWER_OFF};
    return change_power(vs, &c, err);
}

int vf_vm_power_on(struct vf_vsphere *vs, const char *vm_moref, struct vf_error **err)
{
    const struct change c = {.method = "PowerOnVM_Task",
                             .what = "power the VM on",
                             .vm_moref = vm_moref,
                             .want = VF_POWER_ON,
                             .cleanup = true};
    return change_power(vs, &c, err);
}
