/* The privileges that a copy takes of the vSphere account, by what will be done with a VM. One
 * table, of which both the question to vSphere and the rule are made. Pure.
 *
 * Source: vSphere Web Services API reference, "Required Privileges" of each method; for VMware's
 * library its programming guide. The names are AuthorizationManager.privilegeList's.
 */
#ifndef JOBS_PREFLIGHT_RIGHTS_H
#define JOBS_PREFLIGHT_RIGHTS_H

#include <stdbool.h>

#include <vmferry/vm.h>

#include "jobs/preflight/facts.h"

enum vf_right_need {
    VF_RIGHT_NONE,
    VF_RIGHT_USEFUL,    /* something is lost without it */
    VF_RIGHT_MUST,      /* the copy fails without it */
    VF_RIGHT_TRANSPORT, /* of one transport: another may do */
};

struct vf_right {
    const char *name;                 /* "VApp.Export" */
    bool on_datastore;                /* else on the VM */
    enum vf_transport_kind transport; /* that alone needs it, or with a loss has a use for it; AUTO:
                                         whatever the transport */
    const char *loss;                 /* of VF_RIGHT_USEFUL: what is lost */
};

/* Ends with a row without name. */
extern const struct vf_right vf_rights[];

enum vf_right_need vf_right_needed(const struct vf_right *r, const struct vf_check_options *options,
                                   const struct vf_vm *vm);

/* May a copy of that kind go by this transport? A cold one always goes by nfc. */
bool vf_check_may_use(const struct vf_check_options *options, enum vf_transport_kind kind);

#endif
