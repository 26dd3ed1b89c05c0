/* What a VM takes on datastores, and its snapshots. Source: vSphere API reference,
 * VirtualMachineStorageSummary, VirtualMachineFileLayoutEx, VirtualMachineSnapshotInfo. */
#include <stdlib.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/snapshot_tree.h"
#include "importer/vsphere/soap.h"
#include "importer/vsphere/vim_names.h"
#include "importer/vsphere/vm_draft_private.h"

/* `committed` is what the files take, `uncommitted` what they may grow by. */
void vf_vm_draft_parse_storage(struct vf_vm_draft *d, const xmlNode *val)
{
    uint64_t committed = 0, uncommitted = 0;
    vf_xml_child_u64(val, VF_VIM_NS, "committed", &committed);
    vf_xml_child_u64(val, VF_VIM_NS, "uncommitted", &uncommitted);
    d->vm.used_bytes = committed;
    if (__builtin_add_overflow(committed, uncommitted, &d->vm.provisioned_bytes)) {
        d->vm.provisioned_bytes = UINT64_MAX;
    }
}

static int add_snapshot(void *opaque, const xmlNode *tree, int depth, struct vf_error **err)
{
    struct vf_vm *vm = opaque;
    char *moref = vf_xml_child_text(tree, VF_VIM_NS, "snapshot");
    if (!moref) {
        return vf_error_set(err, VF_INVALID, "a snapshot came without reference");
    }
    vm->snapshots = vf_xrealloc_array(vm->snapshots, vm->n_snapshots + 1, sizeof vm->snapshots[0]);
    struct vf_vm_snapshot *s = &vm->snapshots[vm->n_snapshots++];
    *s = (struct vf_vm_snapshot){
        .moref = moref,
        .name = vf_xml_child_text(tree, VF_VIM_NS, "name"),
        .description = vf_xml_child_text(tree, VF_VIM_NS, "description"),
        .quiesced = vf_xml_child_bool(tree, VF_VIM_NS, "quiesced", false),
        .depth = depth,
    };
    vf_soap_unescape_name(s->name);
    return 0;
}

int vf_vm_draft_parse_snapshots(struct vf_vm_draft *d, const xmlNode *val, struct vf_error **err)
{
    return vf_snapshot_tree_walk(val, add_snapshot, &d->vm, err);
}

static uint64_t file_size(const xmlNode *layout, int64_t key)
{
    const xmlNode *file = vf_xml_child(layout, VF_VIM_NS, "file");
    for (; file; file = vf_xml_next(file, VF_VIM_NS, "file")) {
        int64_t k;
        uint64_t size;
        if (vf_xml_child_i64(file, VF_VIM_NS, "key", &k) && k == key &&
            vf_xml_child_u64(file, VF_VIM_NS, "size", &size)) {
            return size;
        }
    }
    return 0;
}

static uint64_t chain_size(const xmlNode *layout, const xmlNode *disk)
{
    uint64_t sum = 0;
    const xmlNode *unit = vf_xml_child(disk, VF_VIM_NS, "chain");
    for (; unit; unit = vf_xml_next(unit, VF_VIM_NS, "chain")) {
        const xmlNode *key = vf_xml_child(unit, VF_VIM_NS, "fileKey");
        for (; key; key = vf_xml_next(key, VF_VIM_NS, "fileKey")) {
            char *vf_autofree s = vf_xml_text(key);
            uint64_t size = s ? file_size(layout, strtoll(s, NULL, 10)) : 0;
            if (__builtin_add_overflow(sum, size, &sum)) {
                return UINT64_MAX;
            }
        }
    }
    return sum;
}

/* Each disk's chain of files, base first. */
void vf_vm_draft_parse_layout(struct vf_vm_draft *d, const xmlNode *layout)
{
    struct vf_vm *vm = &d->vm;
    const xmlNode *disk = vf_xml_child(layout, VF_VIM_NS, "disk");
    for (; disk; disk = vf_xml_next(disk, VF_VIM_NS, "disk")) {
        int64_t key;
        if (!vf_xml_child_i64(disk, VF_VIM_NS, "key", &key)) {
            continue;
        }
        for (size_t i = 0; i < vm->n_disks; i++) {
            if (vm->disks[i].key == key) {
                vm->disks[i].used_bytes = chain_size(layout, disk);
            }
        }
    }
}
