/* Creation of a snapshot: the one call that must never be sent twice blindly. */
#include <stdlib.h>
#include <string.h>

#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/property.h"
#include "importer/vsphere/requests.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/snapshot.h"
#include "importer/vsphere/snapshot_tree.h"
#include "importer/vsphere/task.h"
#include "importer/vsphere/vim_names.h"

#define CALL_TIMEOUT_MS   60000
#define CREATE_TIMEOUT_MS (15 * 60 * 1000) /* quiescing waits for the guest's writers */
#define CANCEL_GRACE_MS   30000
#define SETTLE_MS         1000 /* for a call that was on its way when the connection broke */

static const char what_create[] = "create a snapshot";

struct creation {
    struct vf_vsphere *vs;
    const char *vm_moref, *name, *description;
    bool quiesce;
    char **before; /* snapshots of that name and text that are not ours; NULL-terminated */

    /* What a look at the VM shows. */
    bool looking_before;
    char *made; /* the snapshot, when it is there */
    char *task; /* a running creation of a snapshot */
};

static bool is_known(const struct creation *c, const char *moref)
{
    for (size_t i = 0; c->before && c->before[i]; i++) {
        if (strcmp(c->before[i], moref) == 0) {
            return true;
        }
    }
    return false;
}

static void remember(struct creation *c, const char *moref)
{
    size_t n = 0;
    while (c->before && c->before[n]) {
        n++;
    }
    c->before = vf_xrealloc_array(c->before, n + 2, sizeof c->before[0]);
    c->before[n] = vf_xstrdup(moref);
    c->before[n + 1] = NULL;
}

static int on_snapshot(void *opaque, const xmlNode *tree, int depth, struct vf_error **err)
{
    struct creation *c = opaque;
    (void)depth;
    (void)err;
    char *vf_autofree name = vf_xml_child_text(tree, VF_VIM_NS, "name");
    char *vf_autofree text = vf_xml_child_text(tree, VF_VIM_NS, "description");
    char *vf_autofree moref = vf_xml_child_text(tree, VF_VIM_NS, "snapshot");
    vf_soap_unescape_name(name);
    if (!moref || !name || strcmp(name, c->name) != 0 ||
        strcmp(text ? text : "", c->description) != 0 || is_known(c, moref)) {
        return 0;
    }
    if (c->looking_before) {
        remember(c, moref);
    } else {
        vf_replace_string(&c->made, moref);
    }
    return 0;
}

/* Task.info.descriptionId names the method: "VirtualMachine.createSnapshot". */
static void on_task(struct creation *c, const struct vf_ref *ref, const xmlNode *content)
{
    char *vf_autofree id = vf_xml_text(vf_property_value(content, "info.descriptionId"));
    char *vf_autofree state = vf_xml_text(vf_property_value(content, "info.state"));
    if (id && strcasestr(id, "createSnapshot") && state &&
        (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0)) {
        vf_replace_string(&c->task, ref->value);
    }
}

static int on_object(void *opaque, const struct vf_ref *ref, const xmlNode *content,
                     struct vf_error **err)
{
    struct creation *c = opaque;
    if (strcmp(ref->type, VF_MO_TASK) == 0) {
        on_task(c, ref, content);
        return 0;
    }
    return vf_snapshot_tree_walk(vf_property_value(content, "snapshot"), on_snapshot, c, err);
}

static int encode_look(struct vf_vsphere *vs, struct vf_buf *specs, void *opaque,
                       struct vf_error **err)
{
    static const char *const vm_paths[] = {"snapshot", NULL};
    static const char *const task_paths[] = {"info.state", "info.descriptionId", NULL};
    static const struct vf_traversal tasks = {"tasks", VF_MO_VM, "recentTask", NULL};
    const struct creation *c = opaque;
    (void)vs;
    (void)err;
    vf_property_put_set(specs, VF_MO_VM, vm_paths);
    vf_property_put_set(specs, VF_MO_TASK, task_paths);
    vf_property_open_object(specs, VF_MO_VM, c->vm_moref, false);
    vf_property_put_traversal(specs, &tasks);
    vf_property_close_object(specs);
    return 0;
}

static int look(struct creation *c, bool before, bool cleanup, struct vf_error **err)
{
    struct vf_property_query q = {.what = what_create,
                                  .encode = encode_look,
                                  .object = on_object,
                                  .opaque = c,
                                  .cleanup = cleanup};
    c->looking_before = before;
    vf_replace_string(&c->made, NULL);
    vf_replace_string(&c->task, NULL);
    return vf_property_fetch(c->vs, &q, err);
}

/* Send the call once; a transport failure leaves open whether it was heard. */
static int start(struct creation *c, char **ret_task, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_encode_create_snapshot(&body, c->vm_moref, c->name, c->description, c->quiesce);
    struct vf_call call = {.method = "CreateSnapshot_Task",
                           .what = what_create,
                           .body = &body,
                           .flags = VF_CALL_ONCE,
                           .timeout_ms = CALL_TIMEOUT_MS};
    int rc = vf_task_start(c->vs, &call, ret_task, err);
    vf_buf_release(&body);
    return rc;
}

static int wait_for(struct creation *c, const char *task, bool cleanup, char **ret_moref,
                    struct vf_error **err)
{
    struct vf_task_wait wait = {
        .timeout_ms = CREATE_TIMEOUT_MS, .cleanup = cleanup, .grace_ms = CANCEL_GRACE_MS};
    int rc = vf_task_wait(c->vs, task, what_create, &wait, ret_moref, err);
    if (rc == 0 && !*ret_moref) {
        rc = vf_error_set(err, VF_INVALID, "cannot %s: the task gave none", what_create);
    }
    return rc;
}

/* After a failure that left it open: 0 with *ret_moref NULL when nothing was made. */
static int recover(struct creation *c, bool cleanup, char **ret_moref, struct vf_error **err)
{
    int rc = look(c, false, cleanup, err);
    if (rc == 0 && !c->made && c->task) {
        char *vf_autofree task = vf_xstrdup(c->task);
        char *vf_autofree moref = NULL;
        struct vf_error *e = NULL;
        /* Not necessarily our task: what counts is whether our snapshot is there at its end. */
        rc = wait_for(c, task, cleanup, &moref, &e);
        if (rc == VF_CANCELLED) {
            vf_error_move(err, &e);
            return rc;
        }
        vf_error_free(e);
        rc = look(c, false, cleanup, err);
    }
    if (rc == 0) {
        *ret_moref = vf_take(c->made);
    }
    return rc;
}

static void cancel_task(struct vf_vsphere *vs, const char *task)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_soap_encode_plain(&body, "CancelTask", VF_MO_TASK, task);
    struct vf_call call = {.method = "CancelTask",
                           .what = "cancel a task",
                           .body = &body,
                           .flags = VF_CALL_CLEANUP,
                           .timeout_ms = 5000};
    struct vf_error *e = NULL;
    if (vf_session_call_void(vs, &call, &e)) { /* not every task can be */
        vf_debug("vsphere: %s", vf_error_message(e));
    }
    vf_error_free(e);
    vf_buf_release(&body);
}

/* Cancelled with a snapshot in the making: see it end, and remove it. `task` may be NULL. */
static void undo(struct creation *c, const char *task, struct vf_error **err)
{
    struct vf_error *e = NULL;
    char *vf_autofree moref = NULL;
    int rc = 0;
    if (task) {
        cancel_task(c->vs, task);
        rc = wait_for(c, task, true, &moref, &e);
        if (rc && rc != VF_RETRY) {
            vf_error_clear(&e); /* the task failed: nothing was made */
            return;
        }
    } else {
        rc = recover(c, true, &moref, &e);
        if (rc == 0 && !moref) { /* it may have been on its way still */
            vf_cancel_wait(NULL, SETTLE_MS, NULL);
            rc = recover(c, true, &moref, &e);
        }
    }
    if (rc == 0 && moref) {
        rc = vf_snapshot_remove(c->vs, moref, true, &e);
    }
    if (rc) {
        vf_error_hint(err, "a snapshot \"%s\" may have stayed at the VM: remove it (%s)", c->name,
                      vf_error_message(e));
    }
    vf_error_free(e);
}

/* One attempt. *ret_open tells that a failure needs a look at what became of it. */
static int attempt(struct creation *c, char **ret_moref, bool *ret_open, struct vf_error **err)
{
    char *vf_autofree task = NULL;
    *ret_open = false;
    int rc = start(c, &task, err);
    if (rc == 0) {
        rc = wait_for(c, task, false, ret_moref, err);
        if (rc == VF_CANCELLED) {
            undo(c, task, err);
        }
        *ret_open = rc == VF_RETRY && err && vf_fault_is(*err, VF_TASK_REASON_LOST);
        return rc;
    }
    bool refused = err && *err && vf_error_reason(*err);
    if (rc == VF_CANCELLED) {
        undo(c, NULL, err);
    } else {
        *ret_open = rc == VF_RETRY && !refused;
    }
    return rc;
}

/* After a call whose answer was lost: 0 when it did its work, the failure as it was when it did
 * nothing. */
static int settle(struct creation *c, char **ret_moref, struct vf_error **err)
{
    struct vf_error *e = NULL;
    vf_debug("vsphere: snapshot: %s", vf_error_message(*err));
    int rc = vf_cancel_wait(c->vs->cancel, SETTLE_MS, &e);
    if (rc == 0) {
        rc = recover(c, false, ret_moref, &e);
    }
    if (rc == VF_CANCELLED) {
        undo(c, NULL, &e);
    }
    if (rc == 0 && !*ret_moref) {
        return VF_RETRY;
    }
    vf_error_clear(err);
    vf_error_move(err, &e);
    return rc;
}

static int create(struct creation *c, char **ret_moref, struct vf_error **err)
{
    struct vf_retry retry;
    vf_session_retry_init(c->vs, c->vs->retry_deadline_ms, false, &retry);
    for (;;) {
        bool left_open;
        struct vf_error *e = NULL;
        int rc = attempt(c, ret_moref, &left_open, &e);
        if (rc == VF_RETRY && left_open) {
            rc = settle(c, ret_moref, &e);
        }
        if (rc == 0 || !vf_retry_again(&retry, &rc, &e)) {
            vf_error_move(err, &e);
            return rc;
        }
    }
}

int vf_snapshot_create(struct vf_vsphere *vs, const char *vm_moref, const char *name,
                       const char *description, bool quiesce, char **ret_moref,
                       struct vf_error **err)
{
    struct creation c = {.vs = vs,
                         .vm_moref = vm_moref,
                         .name = name,
                         .description = description ? description : "",
                         .quiesce = quiesce};
    char *moref = NULL;
    struct vf_error *e = NULL;
    int rc = look(&c, true, false, &e);
    if (rc == 0) {
        rc = create(&c, &moref, &e);
    }
    if (rc == 0) {
        *ret_moref = moref;
    }
    vf_error_move(err, &e);
    free(c.made);
    free(c.task);
    vf_snapshot_morefs_free(c.before);
    return rc;
}
