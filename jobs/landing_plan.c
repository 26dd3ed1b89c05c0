/* A VM that lands nowhere: what an import would make is built, and the import ends. No cluster is
 * asked, and so claims are as the mapping tells, without what their storage adds.
 */
#include <stdlib.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "importer/kube/owned.h"
#include "jobs/cluster/landing.h"
#include "jobs/dir_files.h"

static int check_sizes(const struct vf_vm *vm, struct vf_error **err)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        if (vm->disks[i].capacity_bytes == 0) {
            return vf_error_set(err, VF_UNSUPPORTED,
                                "the size of disk %zu is not known before it is read", i);
        }
    }
    return 0;
}

static int build(const struct vf_import *im, const struct vf_vm *vm, struct vf_manifests *ret,
                 struct vf_error **err)
{
    const struct vf_import_options *o = im->options;
    bool dir = o->target == VF_TO_DIR;
    struct vf_manifest_disk *disks = vf_xcalloc(vm->n_disks, sizeof *disks);
    char **images = vf_xcalloc(vm->n_disks, sizeof *images);
    for (size_t i = 0; i < vm->n_disks; i++) {
        const struct vf_disk_storage storage = vf_mapping_storage_of(o->mapping, vm, i);
        images[i] = dir ? vf_dir_files_name(im, i) : NULL;
        disks[i] = (struct vf_manifest_disk){.image = images[i],
                                             .format = dir ? vf_format_name(vf_dir_files_format(im))
                                                           : NULL,
                                             .storage_class = storage.storage_class,
                                             .volume_mode = storage.volume_mode,
                                             .access_mode = storage.access_mode};
    }
    const struct vf_manifest_options mo = {.mapping = o->mapping,
                                           .name = im->name,
                                           .namespace_name = o->namespace_name,
                                           .source = im->source,
                                           .handover = dir ? VF_HANDOVER_DATA_VOLUME
                                                       : o->cluster.handover == VF_IMPORT_ADOPT
                                                           ? VF_HANDOVER_ADOPT
                                                           : VF_HANDOVER_CLAIM,
                                           .vm_only = !dir,
                                           .disks = disks,
                                           .n_disks = vm->n_disks};
    int rc = vf_manifests_build(vm, &mo, ret, err);
    for (size_t i = 0; i < vm->n_disks; i++) {
        free(images[i]);
    }
    free(images);
    free(disks);
    return rc;
}

/* As the import would mark it. */
static void mark(const struct vf_import *im, const struct vf_vm *vm, cJSON *machine)
{
    char *vf_autofree identity = vf_cluster_identity(im, vm);
    const struct vf_owner owner = {
        .import = im->name, .source_vm = im->vm_name, .source_uuid = identity};
    vf_owned_mark(machine, &owner, VF_OWNED_COMPLETE);
}

static int prepare(struct vf_landing *l, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_import *im = l->im;
    int rc = check_sizes(vm, err);
    rc = rc ? rc : build(im, vm, &im->planned, err);
    if (rc) {
        return rc;
    }
    const struct vf_manifests *m = &im->planned;
    for (size_t i = 0; i < m->concerns.n_items; i++) {
        vf_report_warning(im->reporter, im->vm_name, "%s", m->concerns.items[i].text);
    }
    if (im->options->target != VF_TO_DIR) {
        mark(im, vm, m->documents[m->n_documents - 1]);
        vf_report_info(im->reporter, im->vm_name,
                       "no cluster was asked: \"--dry-run server\" shows the claims, too, and has "
                       "all of it checked");
    }
    im->documents = vf_json_new_array();
    for (size_t i = 0; i < m->n_documents; i++) {
        cJSON_AddItemToArray(im->documents, cJSON_Duplicate(m->documents[i], true));
    }
    vf_error_set(err, VF_CANCELLED, "nothing is left to do here");
    vf_error_set_reason(err, VF_IMPORT_LANDED);
    return VF_CANCELLED;
}

static int finish(struct vf_landing *l, const struct vf_vm *vm, struct vf_error **err)
{
    (void)l;
    (void)vm;
    return vf_error_set(err, VF_INTERNAL, "a dry run has nothing to finish");
}

static void free_landing(struct vf_landing *l)
{
    free(l->place);
    free(l);
}

static const struct vf_landing_ops ops = {
    .prepare = prepare, .finish = finish, .free = free_landing};

struct vf_landing *vf_landing_plan_new(struct vf_import *im)
{
    struct vf_landing *l = vf_xcalloc(1, sizeof *l);
    *l = (struct vf_landing){.ops = &ops, .im = im};
    return l;
}
