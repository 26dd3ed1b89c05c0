/* Custom attributes: what an admin notes of VMs in fields of his own. Source: vSphere API
 * reference, CustomFieldsManager, CustomFieldValue.
 */
#ifndef IMPORTER_VSPHERE_ATTRIBUTES_H
#define IMPORTER_VSPHERE_ATTRIBUTES_H

#include <stddef.h>

#include <vmferry/error.h>

#include "importer/vsphere/vm_draft.h"
#include "importer/vsphere/vsphere.h"

/* Fill vm.attributes, sorted by name, of the drafts from their custom values: one call that reads
 * the names of all fields, none when no VM has a value. A value whose field has no name that the
 * user may see is left out. */
int vf_attributes_fetch(struct vf_vsphere *vs, struct vf_vm_draft *drafts, size_t n,
                        struct vf_error **err);

#endif
