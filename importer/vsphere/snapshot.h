/* Snapshots: the frozen state that is copied while the VM runs on. */
#ifndef IMPORTER_VSPHERE_SNAPSHOT_H
#define IMPORTER_VSPHERE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/vsphere/vsphere.h"

/* Snapshot without memory. `name` should be one that nobody else uses: should the connection break
 * at the call, the snapshot is recognised by name and description, never made twice. When
 * cancelled, a snapshot in the making is waited for and removed. *ret_moref is owned by the caller.
 * vf_fault_is_quiesce(*err) tells that only the freezing failed. */
int vf_snapshot_create(struct vf_vsphere *vs, const char *vm_moref, const char *name,
                       const char *description, bool quiesce, char **ret_moref,
                       struct vf_error **err);

/* The VM as the snapshot froze it: hardware, disks with keys, capacities and change IDs; init-ed
 * here, released by the caller on success. *ret_quiesced: what was had, not what was asked for
 * (without guest tools, quiescing is skipped without a word). */
int vf_snapshot_fetch(struct vf_vsphere *vs, const char *vm_moref, const char *snapshot_moref,
                      struct vf_vm *ret_frozen, bool *ret_quiesced, struct vf_error **err);

/* Remove one snapshot, not its children. Clean-up: goes on after cancellation for 30 s. A snapshot
 * that is gone already is a success; VF_RETRY when the removal runs on past the deadline. */
int vf_snapshot_remove(struct vf_vsphere *vs, const char *snapshot_moref, bool consolidate,
                       struct vf_error **err);

/* Snapshots of a VM whose name starts with `name_prefix` and whose description holds
 * `description_mark` (either may be NULL: any). *ret_morefs: NULL-terminated, children before
 * parents, so that they can be removed in order; free with vf_snapshot_morefs_free. */
int vf_snapshot_find(struct vf_vsphere *vs, const char *vm_moref, const char *name_prefix,
                     const char *description_mark, char ***ret_morefs, size_t *ret_n,
                     struct vf_error **err);
void vf_snapshot_morefs_free(char **morefs);

/* Clean-up calls: removing a snapshot does not say that its delta disks are merged. Both go on
 * after cancellation. */
int vf_vm_fetch_consolidation_needed(struct vf_vsphere *vs, const char *vm_moref, bool *ret_needed,
                                     struct vf_error **err);
int vf_vm_consolidate(struct vf_vsphere *vs, const char *vm_moref, struct vf_error **err);

#endif
