/* Faults of vSphere as errors. Decisions rest on the fault's type, never on its text, which the
 * server translates.
 */
#ifndef IMPORTER_VSPHERE_FAULT_H
#define IMPORTER_VSPHERE_FAULT_H

#include <stdbool.h>

#include <vmferry/error.h>

/* A fault as it came: in a SOAP answer, a task's info.error, a lease's error or a missingSet. */
struct vf_fault {
    char *type;      /* "NoPermission"; never NULL once parsed */
    char *message;   /* localised; may be NULL */
    char *privilege; /* privilegeId of NoPermission; may be NULL */
    char *state;     /* existingState of InvalidPowerState; may be NULL */
};

void vf_fault_release(struct vf_fault *f);

/* TaskInProgress, ConcurrentAccess, HostCommunication, ...: RETRY, nothing was done.
 * NotAuthenticated, InvalidLogin, NoPermission, RestrictedVersion: AUTH. InvalidPowerState and kin:
 * CONFLICT. ManagedObjectNotFound: MISSING. Unknown types: INVALID. */
enum vf_code vf_fault_code(const char *type);

/* Set *err from a fault: "cannot WHAT: TEXT (TYPE)", reason, privilege and hint included. */
int vf_fault_set_error(struct vf_error **err, const struct vf_fault *f, const char *what);

/* vf_error_reason(e) equals `type`; false for NULL. */
bool vf_fault_is(const struct vf_error *e, const char *type);

/* The guest could not be frozen: the same snapshot without quiescing can still be had.
 * ApplicationQuiesceFault, FilesystemQuiesceFault and ToolsUnavailable. */
bool vf_fault_is_quiesce(const struct vf_error *e);

#endif
