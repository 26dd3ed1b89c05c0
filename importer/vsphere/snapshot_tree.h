/* The tree of a VM's snapshots (VirtualMachineSnapshotInfo). */
#ifndef IMPORTER_VSPHERE_SNAPSHOT_TREE_H
#define IMPORTER_VSPHERE_SNAPSHOT_TREE_H

#include <libxml/tree.h>

#include <vmferry/error.h>

/* Called for each snapshot, parents before children; `tree` is its VirtualMachineSnapshotTree. */
typedef int vf_snapshot_tree_fn(void *opaque, const xmlNode *tree, int depth,
                                struct vf_error **err);

/* `info` is the value of the property `snapshot`; NULL for a VM without any. */
int vf_snapshot_tree_walk(const xmlNode *info, vf_snapshot_tree_fn *fn, void *opaque,
                          struct vf_error **err);

#endif
