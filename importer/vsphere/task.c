#include "importer/vsphere/task.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/watch.h"

#define DEFAULT_TIMEOUT_MS (60 * 60 * 1000)
#define DEFAULT_GRACE_MS   30000
#define CANCELLED_BUSY_MS  10000 /* how long a clean-up that was cancelled waits for a busy VM */

struct waiting {
    const struct vf_task_wait *wait;
    const char *what;
    char *result;
    bool failed; /* the task itself said so */
};

static void report(const struct waiting *t, const xmlNode *info)
{
    if (t->wait->progress) {
        int64_t percent;
        if (!vf_xml_child_i64(info, VF_VIM_NS, "progress", &percent) || percent < 0 ||
            percent > 100) {
            percent = -1;
        }
        t->wait->progress(t->wait->opaque, (int)percent);
    }
}

/* `info` is a TaskInfo: state queued, running, success or error; a fault stands in `error`, what
 * the task made in `result`. */
static int on_info(void *opaque, const char *path, const xmlNode *info, bool *ret_done,
                   struct vf_error **err)
{
    struct waiting *t = opaque;
    (void)path;
    char *vf_autofree state = vf_xml_child_text(info, VF_VIM_NS, "state");
    if (!state) {
        return vf_error_set(err, VF_INVALID, "cannot %s: its task has no state", t->what);
    }
    if (strcmp(state, "success") == 0) {
        struct vf_ref ref = {0};
        if (!t->result && vf_soap_get_ref(vf_xml_child(info, VF_VIM_NS, "result"), &ref)) {
            t->result = vf_take(ref.value);
            vf_ref_release(&ref);
        }
        *ret_done = true;
        return 0;
    }
    if (strcmp(state, "error") == 0) {
        struct vf_fault f = {0};
        t->failed = true;
        vf_fault_parse_localized(vf_xml_child(info, VF_VIM_NS, "error"), &f);
        int rc = vf_fault_set_error(err, &f, t->what);
        vf_fault_release(&f);
        return rc;
    }
    report(t, info);
    return 0;
}

static int lose(const struct waiting *t, struct vf_error **err)
{
    vf_error_set(err, VF_RETRY, "cannot %s: vSphere does not know its task any more", t->what);
    vf_error_set_reason(err, VF_TASK_REASON_LOST);
    return VF_RETRY;
}

int vf_task_wait(struct vf_vsphere *vs, const char *task_moref, const char *what,
                 const struct vf_task_wait *wait, char **ret_result, struct vf_error **err)
{
    static const char *const paths[] = {"info", NULL};
    struct waiting t = {.wait = wait, .what = what};
    struct vf_watch w = {.type = VF_MO_TASK,
                         .moref = task_moref,
                         .paths = paths,
                         .what = what,
                         .timeout_ms = wait->timeout_ms ? wait->timeout_ms : DEFAULT_TIMEOUT_MS,
                         .cleanup = wait->cleanup,
                         .grace_ms = wait->grace_ms ? wait->grace_ms : DEFAULT_GRACE_MS,
                         .change = on_info,
                         .opaque = &t};
    struct vf_error *e = NULL;
    int rc = vf_watch_run(vs, &w, &e);
    if (rc == 0 && ret_result) {
        *ret_result = vf_take(t.result);
    }
    free(t.result);
    if (vf_fault_is(e, "ManagedObjectNotFound") && !t.failed) {
        vf_error_free(e);
        return lose(&t, err);
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_task_start(struct vf_vsphere *vs, const struct vf_call *call, char **ret_task,
                  struct vf_error **err)
{
    struct vf_answer answer = {0};
    struct vf_call once = *call;
    once.flags |= VF_CALL_FAULT_ENDS;
    int rc = vf_session_call(vs, &once, &answer, err);
    if (rc) {
        return rc;
    }
    char *task = vf_answer_returnval(&answer);
    vf_answer_release(&answer);
    if (!task || !*task) {
        free(task);
        return vf_error_set(err, VF_INVALID, "cannot %s: no task came", call->what);
    }
    *ret_task = task;
    return 0;
}

int vf_task_run(struct vf_vsphere *vs, const struct vf_call *call, const struct vf_task_wait *wait,
                int64_t busy_ms, char **ret_result, struct vf_error **err)
{
    struct vf_retry retry;
    int64_t hurry_end_ms = 0; /* once cancelled */
    vf_session_retry_init(vs, busy_ms, wait->cleanup, &retry);
    for (;;) {
        char *vf_autofree task = NULL;
        struct vf_error *e = NULL;
        int rc = vf_task_start(vs, call, &task, &e);
        if (rc == 0) {
            rc = vf_task_wait(vs, task, call->what, wait, ret_result, &e);
        }
        if (hurry_end_ms == 0 && wait->cleanup && vf_cancel_is_set(vs->cancel)) {
            hurry_end_ms = vf_clock_ms() + CANCELLED_BUSY_MS;
        }
        /* A fault of that code says that nothing was done. */
        bool busy = rc == VF_RETRY && vf_error_reason(e);
        bool stopped = hurry_end_ms && vf_clock_ms() >= hurry_end_ms;
        if (!busy || stopped || !vf_retry_again(&retry, &rc, &e)) {
            vf_error_move(err, &e);
            return rc;
        }
    }
}
