/* What the account may do, asked on the objects themselves (an account that is limited to a folder
 * has no rights on the root).
 *
 * Source: vSphere API reference, AuthorizationManager.HasUserPrivilegeOnEntities, in terms of the
 * session's user; the names of privileges are AuthorizationManager.privilegeList's.
 */
#ifndef IMPORTER_VSPHERE_PRIVILEGES_H
#define IMPORTER_VSPHERE_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/error.h>

#include "importer/vsphere/vsphere.h"

struct vf_entity {
    const char *type; /* "VirtualMachine", "Datastore", "Folder" */
    const char *moref;
};

/* A table: entities by privileges. */
struct vf_privileges {
    char **entities; /* morefs */
    size_t n_entities;
    char **names; /* "VApp.Export" */
    size_t n_names;
    bool *held; /* held[entity * n_names + name] */
};

/* Some hundred entities a call. VF_UNSUPPORTED on ESXi or an API before 6.0, where nothing can be
 * asked this way. */
int vf_vsphere_fetch_privileges(struct vf_vsphere *vs, const struct vf_entity *entities,
                                size_t n_entities, const char *const *names,
                                struct vf_privileges *ret, struct vf_error **err);
void vf_privileges_release(struct vf_privileges *p); /* an all-zero struct is fine */

/* Entities and names that were not asked about count as held. */
bool vf_privileges_has(const struct vf_privileges *p, const char *moref, const char *name);

#endif
