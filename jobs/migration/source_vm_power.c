/* The power of the source VM, and the note on it. */
#include "importer/base/clock.h"
#include "importer/base/inject.h"
#include "importer/vsphere/fault.h"
#include "importer/vsphere/notes.h"
#include "importer/vsphere/power.h"
#include "jobs/migration/source_vm_private.h"

/* How long a guest that was asked to shut down is given before it counts as one that stays up. */
#define GOING_DOWN_MS (2 * 60 * 1000)

static void on_question(void *opaque, const char *text)
{
    const struct vf_source_vm *s = opaque;
    vf_report_warning(s->reporter, s->vm.name,
                      "the VM waits for an answer to \"%s\": give it in vSphere", text);
}

static int power_off(struct vf_source_vm *s, const char *why, struct vf_error **err)
{
    vf_report_warning(s->reporter, s->vm.name, "powering the VM off hard: %s", why);
    int rc = vf_inject("source.power_off", err);
    rc = rc ? rc : vf_vm_power_off(s->vs, s->vm.moref, err);
    return rc ? rc : vf_inject("source.powered_off", err);
}

static int without_tools(struct vf_source_vm *s, struct vf_error **err)
{
    if (s->hard_power_off) {
        return power_off(s, "its guest tools do not run, so it cannot be asked", err);
    }
    vf_error_set(err, VF_UNSUPPORTED,
                 "the guest cannot be asked to shut down: its guest tools do not run");
    vf_error_hint(err, "shut the guest down by hand, or permit --hard-power-off");
    return VF_UNSUPPORTED;
}

static int out_of_time(struct vf_source_vm *s, struct vf_error **err)
{
    struct vf_power_view v = {0};
    int rc = vf_vm_fetch_power(s->vs, s->vm.moref, &v, err);
    if (rc || v.power == VF_POWER_OFF) {
        vf_power_view_release(&v);
        return rc;
    }
    if (s->hard_power_off) {
        vf_power_view_release(&v);
        return power_off(s, "its guest did not shut down in the time allowed", err);
    }
    vf_error_set(err, VF_CONFLICT, "the guest did not shut down within %lld s%s%s%s",
                 (long long)(s->shutdown_timeout_ms / 1000),
                 v.question ? ": the VM waits for an answer to \"" : "",
                 v.question ? v.question : "", v.question ? "\"" : "");
    vf_error_hint(err, "see in its console what holds it; a longer --shutdown-timeout, or "
                       "--hard-power-off, may help");
    vf_power_view_release(&v);
    return VF_CONFLICT;
}

static int shut_down_running(struct vf_source_vm *s, struct vf_error **err)
{
    struct vf_error *e = NULL;
    vf_report_phase(s->reporter, s->vm.name, "shutdown", "asking the guest to shut down");
    int rc = vf_inject("source.shut_down", err);
    if (rc) {
        return rc;
    }
    /* Before the call: its answer may be lost. */
    s->going_down = true;
    s->came_back = false;
    rc = vf_vm_shut_down_guest(s->vs, s->vm.moref, &e);
    if (vf_fault_is(e, "ToolsUnavailable")) {
        vf_error_free(e);
        s->going_down = false;
        return without_tools(s, err);
    }
    if (rc) {
        vf_error_move(err, &e);
        return rc;
    }
    const struct vf_power_wait wait = {.want = VF_POWER_OFF,
                                       .timeout_ms = s->shutdown_timeout_ms,
                                       .question = on_question,
                                       .opaque = s};
    rc = vf_inject("source.shutting_down", err);
    rc = rc ? rc : vf_vm_wait_power(s->vs, s->vm.moref, &wait, &e);
    if (rc == VF_RETRY && e) {
        vf_error_free(e);
        return out_of_time(s, err);
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_source_vm_shut_down(struct vf_source_vm *s, struct vf_error **err)
{
    struct vf_power_view v = {0};
    int rc = vf_vm_fetch_power(s->vs, s->vm.moref, &v, err);
    enum vf_power power = v.power;
    vf_power_view_release(&v);
    if (rc) {
        return rc;
    }
    if (power == VF_POWER_SUSPENDED) {
        vf_error_set(err, VF_CONFLICT, "the VM is suspended: its disks do not hold all its state");
        vf_error_hint(err, "resume it or power it off first");
        return VF_CONFLICT;
    }
    if (power != VF_POWER_OFF) {
        rc = shut_down_running(s, err);
    }
    if (rc == 0) {
        s->going_down = false;
        rc = vf_inject("source.off", err);
    }
    return rc ? rc : vf_source_vm_look(s, err);
}

/* A guest on its way down is no VM that is on: it will be off in a moment, with nobody there to
 * power it on again. */
static int await_off(struct vf_source_vm *s, struct vf_error **err)
{
    const struct vf_power_wait wait = {.want = VF_POWER_OFF,
                                       .timeout_ms = GOING_DOWN_MS,
                                       .cleanup = true,
                                       .question = on_question,
                                       .opaque = s};
    struct vf_error *e = NULL;
    vf_report_phase(s->reporter, s->vm.name, "cleanup",
                    "the guest was asked to shut down: waiting for that, to power it on again");
    int rc = vf_vm_wait_power(s->vs, s->vm.moref, &wait, &e);
    if (rc == VF_RETRY) {
        vf_error_free(e);
        vf_report_warning(s->reporter, s->vm.name,
                          "the guest was asked to shut down and has not done it yet: see that the "
                          "VM stays on");
        return VF_RETRY;
    }
    vf_error_move(err, &e);
    return rc;
}

/* Another migration of this VM may have come to its end since an earlier run of this one shut it
 * down: its successor would run beside it. A note on a VM that was seen running is an old one. */
static int check_no_successor(struct vf_source_vm *s, struct vf_error **err)
{
    int rc = s->seen_on ? 0 : vf_source_vm_look(s, err);
    if (rc == 0 && !s->seen_on && vf_notes_have_own(s->vm.annotation)) {
        rc = vf_error_set(err, VF_CONFLICT,
                          "the source is left off: its notes say that it was migrated already");
        vf_error_hint(err, "see in its notes where to; if its successor is gone, take the note of "
                           "vmferry out, and power the source on in vSphere");
    }
    return rc;
}

static int power_on(struct vf_source_vm *s, struct vf_error **err)
{
    int rc = check_no_successor(s, err);
    if (rc) {
        return rc;
    }
    vf_report_phase(s->reporter, s->vm.name, "cleanup", "powering the source on again");
    rc = vf_inject("source.power_on", err);
    rc = rc ? rc : vf_vm_power_on(s->vs, s->vm.moref, err);
    if (rc) {
        vf_error_hint(err, "the source VM is off: power it on in vSphere");
        return vf_error_wrap(err, rc, "powering the source on again");
    }
    s->going_down = false;
    s->came_back = true;
    return vf_inject("source.powered_on", err);
}

static int power_on_once(struct vf_source_vm *s, struct vf_error **err)
{
    struct vf_power_view v = {0};
    int rc = vf_vm_fetch_power(s->vs, s->vm.moref, &v, err);
    bool on = v.power == VF_POWER_ON;
    s->seen_on = s->seen_on || on;
    bool going_down = on && (s->going_down || v.shutting_down);
    vf_power_view_release(&v);
    if (rc) {
        vf_error_hint(err, "the source VM may be off: look at it in vSphere, power it on there");
        return rc;
    }
    if (going_down) {
        rc = await_off(s, err);
        if (rc == VF_RETRY) {
            return 0; /* it is on, and that is what was asked for */
        }
        on = false;
    }
    return rc || on ? rc : power_on(s, err);
}

int vf_source_vm_power_on(struct vf_source_vm *s, struct vf_error **err)
{
    int64_t start_ms = vf_clock_ms();
    for (;;) {
        struct vf_error *e = NULL;
        int rc = power_on_once(s, &e);
        if (rc == 0 || !vf_source_vm_try_again(s, start_ms, e)) {
            vf_error_move(err, &e);
            return rc;
        }
        vf_error_free(e);
    }
}

bool vf_source_vm_stays_on(const struct vf_source_vm *s)
{
    return s->vm.power == VF_POWER_ON && s->came_back;
}

int vf_source_vm_note(struct vf_source_vm *s, const char *text, struct vf_error **err)
{
    int rc = vf_inject("source.note", err);
    rc = rc ? rc : vf_vm_replace_note(s->vs, s->vm.moref, text, err);
    if (rc) {
        vf_error_hint(err, "see to it that nobody powers the source VM on; the same command tries "
                           "to write the note again");
    }
    return rc ? rc : vf_inject("source.noted", err);
}
