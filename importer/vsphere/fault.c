#include "importer/vsphere/fault.h"

#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"

void vf_fault_release(struct vf_fault *f)
{
    free(f->type);
    free(f->message);
    free(f->privilege);
    free(f->state);
    *f = (struct vf_fault){0};
}

/* Types that call for something; the many others are an input that was refused. From the vSphere
 * API reference, "Faults". */
static const struct {
    const char *type;
    enum vf_code code;
} fault_codes[] = {
    {"TaskInProgress", VF_RETRY},
    {"ConcurrentAccess", VF_RETRY},
    {"HostCommunication", VF_RETRY},
    {"HostNotReachable", VF_RETRY},
    {"HostConnectFault", VF_RETRY},
    {"VAppTaskInProgress", VF_RETRY},
    {"SnapshotLocked", VF_RETRY},
    {"NotAuthenticated", VF_AUTH},
    {"InvalidLogin", VF_AUTH},
    {"NoPermission", VF_AUTH},
    {"RestrictedVersion", VF_AUTH},
    {"RestrictedByAdministrator", VF_AUTH},
    {"PasswordExpired", VF_AUTH},
    {"InvalidPowerState", VF_CONFLICT},
    {"InvalidState", VF_CONFLICT},
    {"ResourceInUse", VF_CONFLICT},
    {"FileLocked", VF_CONFLICT},
    {"Timedout", VF_CONFLICT},        /* of a lease: it is lost; of a host: it may have acted */
    {"RequestCanceled", VF_CONFLICT}, /* by somebody in vSphere; our own stop is VF_CANCELLED */
    {"SnapshotFault", VF_CONFLICT},
    {"ApplicationQuiesceFault", VF_CONFLICT},
    {"FilesystemQuiesceFault", VF_CONFLICT},
    {"ToolsUnavailable", VF_CONFLICT},
    {"TooManySnapshotLevels", VF_CONFLICT},
    {"MultipleSnapshotsNotSupported", VF_CONFLICT},
    {"DuplicateName", VF_CONFLICT},
    {"AlreadyExists", VF_CONFLICT},
    {"ManagedObjectNotFound", VF_MISSING},
    {"NotFound", VF_MISSING},
    {"FileNotFound", VF_MISSING},
    {"NoDiskSpace", VF_SPACE},
    {"InsufficientResourcesFault", VF_SPACE},
    {"InsufficientStorageSpace", VF_SPACE},
    {"NotSupported", VF_UNSUPPORTED},
    {"NotImplemented", VF_UNSUPPORTED},
    {"MethodNotFound", VF_UNSUPPORTED},
    {"SnapshotIncompatibleDeviceInVm", VF_UNSUPPORTED},
};

enum vf_code vf_fault_code(const char *type)
{
    for (size_t i = 0; type && i < sizeof fault_codes / sizeof fault_codes[0]; i++) {
        if (strcmp(type, fault_codes[i].type) == 0) {
            return fault_codes[i].code;
        }
    }
    return VF_INVALID;
}

static void hint_for(struct vf_error **err, const struct vf_fault *f)
{
    if (strcmp(f->type, "NoPermission") == 0) {
        vf_error_hint(err, "give the user %s%s%s on the VM and what holds it",
                      f->privilege ? "the privilege \"" : "the privileges for this",
                      f->privilege ? f->privilege : "", f->privilege ? "\"" : "");
    } else if (strcmp(f->type, "RestrictedVersion") == 0) {
        vf_error_hint(err, "this host's licence refuses changes by the API: go through vCenter, or "
                           "license the host");
    } else if (strcmp(f->type, "TaskInProgress") == 0) {
        vf_error_hint(err, "wait for the running task of this VM (a backup?), then try again");
    } else if (strcmp(f->type, "NoDiskSpace") == 0) {
        vf_error_hint(err, "free space on the VM's datastore");
    }
}

/* A server's text on its way to a person: one line, no control characters, not endless. */
#define MAX_TEXT 400

static char *printable(const char *s)
{
    if (!s || !*s) {
        return NULL;
    }
    char *copy = vf_xstrndup(s, MAX_TEXT);
    for (char *p = copy; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }
    return copy;
}

int vf_fault_set_error(struct vf_error **err, const struct vf_fault *f, const char *what)
{
    char *vf_autofree text = printable(f->message);
    char *vf_autofree type = printable(f->type);
    char *vf_autofree detail = printable(f->privilege ? f->privilege : f->state);
    enum vf_code code = vf_fault_code(f->type);
    vf_error_set(err, code, "cannot %s: %s%s%s%s%s%s", what, text ? text : "", text ? " (" : "",
                 type ? type : "fault of no type", detail ? ": " : "", detail ? detail : "",
                 text ? ")" : "");
    vf_error_set_reason(err, f->type);
    hint_for(err, f);
    return code;
}

bool vf_fault_is(const struct vf_error *e, const char *type)
{
    const char *reason = vf_error_reason(e);
    return reason && strcmp(reason, type) == 0;
}

bool vf_fault_is_quiesce(const struct vf_error *e)
{
    return vf_fault_is(e, "ApplicationQuiesceFault") || vf_fault_is(e, "FilesystemQuiesceFault") ||
           vf_fault_is(e, "ToolsUnavailable");
}
