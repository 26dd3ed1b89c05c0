/* The power of a VM: how it is, and its changes. */
#ifndef IMPORTER_VSPHERE_POWER_H
#define IMPORTER_VSPHERE_POWER_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/vsphere/vsphere.h"

/* vf_error_reason of a VF_CONFLICT: the VM does nothing before a person answers what it asks
 * (runtime.question). */
#define VF_POWER_REASON_QUESTION "vmferry.Question"

struct vf_power_view {
    enum vf_power power;
    bool tools_running;
    bool shutting_down; /* as the guest's tools tell it; false is no proof */
    char *question;     /* what the VM asks and waits for; NULL: nothing */
};
void vf_power_view_release(struct vf_power_view *v); /* of a zeroed one too */

/* Clean-up call. On success `ret` is the caller's to release. */
int vf_vm_fetch_power(struct vf_vsphere *vs, const char *vm_moref, struct vf_power_view *ret,
                      struct vf_error **err);

/* Ask the guest to shut down; returns as soon as it was asked. Good when the VM is off. Whether and
 * when the guest does it nobody knows. VF_CONFLICT, reason ToolsUnavailable, without guest tools.
 * Needs VirtualMachine.Interact.PowerOff. */
int vf_vm_shut_down_guest(struct vf_vsphere *vs, const char *vm_moref, struct vf_error **err);

struct vf_power_wait {
    enum vf_power want;
    int64_t timeout_ms;
    bool cleanup; /* go on after cancellation */
    /* Called once for each question that the VM asks meanwhile; may be NULL. */
    void (*question)(void *opaque, const char *text);
    void *opaque;
};

/* Wait until the VM's power is as wanted. VF_RETRY when the time is up, and vf_vm_fetch_power tells
 * what there is instead. */
int vf_vm_wait_power(struct vf_vsphere *vs, const char *vm_moref, const struct vf_power_wait *w,
                     struct vf_error **err);

/* As if the cord were pulled. Good when the VM is off; while it is busy with another task (an
 * export, a backup) it is tried again, for minutes. VF_CONFLICT, reason VF_POWER_REASON_QUESTION,
 * with the question in the text, when the VM waits for an answer. */
int vf_vm_power_off(struct vf_vsphere *vs, const char *vm_moref, struct vf_error **err);

/* Clean-up: goes on after cancellation, for 3 min at most then. Good when the VM is on. Errors as
 * above. Needs VirtualMachine.Interact.PowerOn. */
int vf_vm_power_on(struct vf_vsphere *vs, const char *vm_moref, struct vf_error **err);

#endif
