#include "importer/vsphere/snapshot_tree.h"

#include "importer/base/xml.h"
#include "importer/vsphere/vim_names.h"

/* vSphere allows chains of 32. */
#define MAX_DEPTH 64

static int walk(const xmlNode *parent, const char *list, int depth, vf_snapshot_tree_fn *fn,
                void *opaque, struct vf_error **err)
{
    const xmlNode *tree = vf_xml_child(parent, VF_VIM_NS, list);
    for (; tree; tree = vf_xml_next(tree, VF_VIM_NS, list)) {
        if (depth >= MAX_DEPTH) {
            return vf_error_set(err, VF_INVALID, "the snapshot tree is deeper than %d", MAX_DEPTH);
        }
        int rc = fn(opaque, tree, depth, err);
        if (rc == 0) {
            rc = walk(tree, "childSnapshotList", depth + 1, fn, opaque, err);
        }
        if (rc) {
            return rc;
        }
    }
    return 0;
}

int vf_snapshot_tree_walk(const xmlNode *info, vf_snapshot_tree_fn *fn, void *opaque,
                          struct vf_error **err)
{
    return walk(info, "rootSnapshotList", 0, fn, opaque, err);
}
