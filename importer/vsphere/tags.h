/* Tags of VMs, from vCenter's REST service. */
#ifndef IMPORTER_VSPHERE_TAGS_H
#define IMPORTER_VSPHERE_TAGS_H

#include <stddef.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/vsphere/vsphere.h"

/* Fill vm.tags ("category/name", sorted) of those VMs: one call for each 500 of them, one for each
 * tag and category in use. A service that is in trouble is asked again for deadline_ms; 0: as
 * vSphere itself is. VF_UNSUPPORTED on ESXi. */
int vf_tags_fetch(struct vf_vsphere *vs, struct vf_vm *const *vms, size_t n, unsigned deadline_ms,
                  struct vf_error **err);

#endif
