#include "importer/vsphere/cbt.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/log.h"
#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/change_id.h"
#include "importer/vsphere/inventory.h"
#include "importer/vsphere/requests.h"
#include "importer/vsphere/session.h"
#include "importer/vsphere/snapshot.h"
#include "importer/vsphere/task.h"
#include "importer/vsphere/vim_names.h"

#define CALL_TIMEOUT_MS   30000
#define ENABLE_TIMEOUT_MS (5 * 60 * 1000)
#define BUSY_MS           (7 * 60 * 1000) /* longer than a lease of 5 minutes that nobody holds */

/* An answer holds up to 2000 areas or reaches the disk's end; one that speaks of less than this in
 * the mean, after the first, would keep us asking. */
#define MIN_WINDOW_BYTES ((uint64_t)1 << 20)
#define FREE_ANSWERS     256u

static const char what_areas[] = "ask which areas of the disk changed";

enum vf_cbt_state vf_cbt_get_state(const struct vf_vm *vm, const struct vf_vm_disk *disk)
{
    if (disk->change_id && *disk->change_id) {
        return VF_CBT_ON;
    }
    /* Whether a raw device can be tracked depends on its mode, which only its change ID tells. */
    if (disk->independent || disk->rdm) {
        return VF_CBT_OUTSIDE;
    }
    return vm->cbt_enabled ? VF_CBT_WAITING : VF_CBT_OFF;
}

bool vf_cbt_is_stun_due(const struct vf_vm *vm)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (vf_cbt_get_state(vm, &vm->disks[i]) == VF_CBT_WAITING) {
            return true;
        }
    }
    return false;
}

static int refuse_snapshots(const struct vf_vm *vm, const char *what, struct vf_error **err)
{
    if (vm->n_snapshots == 0) {
        return 0;
    }
    vf_error_set(err, VF_CONFLICT, "cannot %s: the VM has snapshots, \"%s\" is one of %zu", what,
                 vm->snapshots[0].name ? vm->snapshots[0].name : vm->snapshots[0].moref,
                 vm->n_snapshots);
    vf_error_hint(err, "remove the VM's snapshots in vSphere, then try again");
    return VF_CONFLICT;
}

static int reconfigure(struct vf_vsphere *vs, const char *vm_moref, struct vf_error **err)
{
    static const struct vf_task_wait wait = {.timeout_ms = ENABLE_TIMEOUT_MS};
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_encode_enable_change_tracking(&body, vm_moref);
    struct vf_call call = {.method = "ReconfigVM_Task",
                           .what = "enable changed-block tracking",
                           .body = &body,
                           .flags = VF_CALL_REPEATABLE,
                           .timeout_ms = CALL_TIMEOUT_MS};
    int rc = vf_task_run(vs, &call, &wait, BUSY_MS, NULL, err);
    vf_buf_release(&body);
    return rc;
}

static int enable(struct vf_vsphere *vs, const struct vf_vm *vm, struct vf_error **err)
{
    if (!vm->cbt_supported) {
        vf_error_set(
            err, VF_UNSUPPORTED,
            "cannot enable changed-block tracking: the VM's hardware (%s) does not know it",
            vm->hardware ? vm->hardware : "of unknown version");
        vf_error_hint(err, "upgrade the VM's hardware compatibility, or migrate it cold");
        return VF_UNSUPPORTED;
    }
    int rc = refuse_snapshots(vm, "enable changed-block tracking", err);
    return rc ? rc : reconfigure(vs, vm->moref, err);
}

int vf_cbt_enable(struct vf_vsphere *vs, const char *vm_moref, bool *ret_changed,
                  struct vf_error **err)
{
    struct vf_vm vm;
    int rc = vf_vsphere_fetch_vm(vs, vm_moref, &vm, err);
    if (rc) {
        return rc;
    }
    bool change = !vm.cbt_enabled;
    if (change) {
        rc = enable(vs, &vm, err);
    }
    vf_vm_release(&vm);
    if (rc == 0 && ret_changed) {
        *ret_changed = change;
    }
    return rc;
}

int vf_cbt_stun(struct vf_vsphere *vs, const char *vm_moref, const char *name,
                const char *description, struct vf_error **err)
{
    struct vf_vm vm;
    char *vf_autofree moref = NULL;
    int rc = vf_vsphere_fetch_vm(vs, vm_moref, &vm, err);
    if (rc) {
        return rc;
    }
    rc = refuse_snapshots(&vm, "start changed-block tracking", err);
    vf_vm_release(&vm);
    if (rc == 0) {
        rc = vf_snapshot_create(vs, vm_moref, name, description, false, &moref, err);
    }
    return rc ? rc : vf_snapshot_remove(vs, moref, true, err);
}

const char *vf_full_copy_text(enum vf_full_copy why)
{
    switch (why) {
    case VF_FULL_COPY_NOT_NEEDED:
        break;
    case VF_FULL_COPY_NO_CHANGE_ID:
        return "its changes were not tracked all the time";
    case VF_FULL_COPY_OTHER_TRACKING:
        return "its change tracking was reset, or it is another disk";
    case VF_FULL_COPY_TAKEN_BACK:
        return "it was taken back to an earlier state";
    case VF_FULL_COPY_RESIZED:
        return "its size changed";
    case VF_FULL_COPY_REFUSED:
        return "vSphere cannot tell what changed";
    case VF_FULL_COPY_BAD_ANSWER:
        return "what vSphere says about changes makes no sense";
    }
    return "nothing is known against its change tracking";
}

enum vf_full_copy vf_cbt_judge(const struct vf_cbt_since *since, const struct vf_vm_disk *disk)
{
    struct vf_change_id then, now;
    if (!since->change_id || vf_change_id_parse(disk->change_id, &now, NULL)) {
        return VF_FULL_COPY_NO_CHANGE_ID;
    }
    if (strcmp(since->change_id, VF_CHANGE_ID_ALLOCATED) == 0) {
        return VF_FULL_COPY_NOT_NEEDED;
    }
    if (vf_change_id_parse(since->change_id, &then, NULL)) {
        return VF_FULL_COPY_NO_CHANGE_ID;
    }
    if (since->capacity_bytes && since->capacity_bytes != disk->capacity_bytes) {
        return VF_FULL_COPY_RESIZED;
    }
    switch (vf_change_id_compare(&then, &now)) {
    case VF_CHANGE_FOREIGN:
        return VF_FULL_COPY_OTHER_TRACKING;
    case VF_CHANGE_EARLIER:
        return VF_FULL_COPY_TAKEN_BACK;
    case VF_CHANGE_SAME:
    case VF_CHANGE_LATER:
        break;
    }
    return VF_FULL_COPY_NOT_NEEDED;
}

void vf_cbt_answer_release(struct vf_cbt_answer *a)
{
    vf_areas_release(&a->areas);
    free(a->detail);
    *a = (struct vf_cbt_answer){0};
}

static void demand_full_copy(const struct vf_cbt_query *q, struct vf_cbt_answer *a,
                             enum vf_full_copy why, const struct vf_error *detail)
{
    a->why = why;
    a->detail = detail ? vf_xstrdup(vf_error_message(detail)) : NULL;
    vf_changed_areas_set_whole(&a->areas, q->disk->capacity_bytes);
}

/* Faults that say nothing about the tracking: a full copy from the same snapshot would meet them
 * too. All others mean that this question has no answer: FileFault and its kin for a tracking file
 * that is gone or does not know the change ID, InvalidArgument for a change ID of an ended
 * tracking, NotSupported for a datastore without one, and whatever else field reports tell of. */
static bool is_of_the_tracking(int rc, const struct vf_error *e)
{
    static const char *const others[] = {
        "ManagedObjectNotFound", "NotFound",        "InvalidPowerState",
        "InvalidState",          "RequestCanceled", VF_HTTP_REASON_NOT_SENT,
    };
    if (!vf_error_reason(e) || rc == VF_AUTH || rc == VF_RETRY || rc == VF_CANCELLED) {
        return false;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (vf_fault_is(e, others[i])) {
            return false;
        }
    }
    return true;
}

static int ask(struct vf_vsphere *vs, const struct vf_cbt_query *q, uint64_t start_bytes,
               struct vf_answer *ret, struct vf_error **err)
{
    struct vf_buf body;
    vf_buf_init(&body, VF_SOAP_MAX_REQUEST);
    vf_encode_changed_areas(&body, q->vm_moref, q->snapshot_moref, q->disk->key, start_bytes,
                            q->since.change_id);
    struct vf_call call = {.method = "QueryChangedDiskAreas",
                           .what = what_areas,
                           .body = &body,
                           .flags = VF_CALL_REPEATABLE};
    int rc = vf_session_call(vs, &call, ret, err);
    vf_buf_release(&body);
    return rc;
}

/* One window. Sets a->why when the tracking has no answer. */
static int fetch_window(struct vf_vsphere *vs, const struct vf_cbt_query *q, uint64_t *at_bytes,
                        struct vf_cbt_answer *a, struct vf_error **err)
{
    struct vf_answer answer = {0};
    struct vf_error *e = NULL;
    int rc = ask(vs, q, *at_bytes, &answer, &e);
    if (rc && is_of_the_tracking(rc, e)) {
        demand_full_copy(q, a, VF_FULL_COPY_REFUSED, e);
        vf_error_free(e);
        return 0;
    }
    if (rc) {
        vf_error_move(err, &e);
        return rc;
    }
    const xmlNode *info = vf_xml_child(answer.response, VF_VIM_NS, "returnval");
    rc = vf_changed_areas_parse_answer(&a->areas, q->disk->capacity_bytes, info, *at_bytes,
                                       at_bytes, &e);
    vf_answer_release(&answer);
    if (rc) {
        demand_full_copy(q, a, VF_FULL_COPY_BAD_ANSWER, e);
        vf_error_free(e);
    }
    return 0;
}

/* Asking on at the disk's end is a fault. An empty window says only that it is empty. */
static int fetch_windows(struct vf_vsphere *vs, const struct vf_cbt_query *q,
                         struct vf_cbt_answer *a, struct vf_error **err)
{
    uint64_t at_bytes = 0, n = 0;
    int rc = 0;
    while (rc == 0 && !a->why && at_bytes < q->disk->capacity_bytes) {
        if (n++ >= FREE_ANSWERS + at_bytes / MIN_WINDOW_BYTES) {
            struct vf_error *e = NULL;
            vf_error_set(&e, VF_RANGE, "vSphere's answers about changed areas are too small");
            demand_full_copy(q, a, VF_FULL_COPY_BAD_ANSWER, e);
            vf_error_free(e);
            break;
        }
        rc = fetch_window(vs, q, &at_bytes, a, err);
    }
    return rc;
}

int vf_cbt_fetch_areas(struct vf_vsphere *vs, const struct vf_cbt_query *q,
                       struct vf_cbt_answer *ret, struct vf_error **err)
{
    struct vf_cbt_answer a = {0};
    vf_areas_init(&a.areas, VF_AREAS_MAX_DEFAULT, VF_AREAS_WIDEN);
    enum vf_full_copy why = vf_cbt_judge(&q->since, q->disk);
    int rc = 0;
    if (why) {
        demand_full_copy(q, &a, why, NULL);
    } else {
        rc = fetch_windows(vs, q, &a, err);
    }
    if (rc) {
        vf_cbt_answer_release(&a);
        return rc;
    }
    vf_debug("vsphere: disk %d: %zu changed areas, %llu bytes%s%s", (int)q->disk->key,
             a.areas.count, (unsigned long long)a.areas.total_bytes, a.why ? ": " : "",
             a.why ? vf_full_copy_text(a.why) : "");
    *ret = a;
    return 0;
}
