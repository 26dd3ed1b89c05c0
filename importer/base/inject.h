/* Faults by name, for tests only: compiled in with VF_FAULTS=ON, nothing at all otherwise.
 *
 * VMFERRY_FAULTS holds a list "POINT:N:ACTION[,...]": the Nth time (from 1) the program comes to
 * POINT, ACTION happens. Actions: "enospc", "eio", "reset" (a transient error), "kill" (SIGKILL),
 * "stop" (SIGTERM to ourselves). Points are named where they stand in the code: "raw.write".
 * VMFERRY_FAULTS_TRACE names a file to which every point is appended, a line each, as it is passed.
 */
#ifndef IMPORTER_BASE_INJECT_H
#define IMPORTER_BASE_INJECT_H

#include <vmferry/error.h>

#ifdef VF_FAULTS
/* 0, or the code of the fault to return. Any thread. */
int vf_inject(const char *point, struct vf_error **err);
#else
static inline int vf_inject(const char *point, struct vf_error **err)
{
    (void)point;
    (void)err;
    return 0;
}
#endif

#endif
