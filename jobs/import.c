#include "jobs/import.h"

#include <stdlib.h>
#include <string.h>

#include "converters/vm/names.h"
#include "importer/base/mem.h"
#include "jobs/import_plan.h"

const char *vf_import_kind_name(enum vf_import_kind kind)
{
    static const char *const names[] = {[VF_IMPORT_VSPHERE] = "vsphere",
                                        [VF_IMPORT_OVA] = "ova",
                                        [VF_IMPORT_OVF] = "ovf",
                                        [VF_IMPORT_VMDK] = "vmdk"};
    return names[kind];
}

static void release_copies(struct vf_import *im)
{
    for (size_t i = 0; i < im->n_copies; i++) {
        vf_disk_copy_release(&im->copies[i]);
    }
    free(vf_take(im->copies));
    im->n_copies = 0;
}

void vf_import_make_copies(struct vf_import *im, const struct vf_vm *vm)
{
    release_copies(im);
    im->copies = vf_xcalloc(vm->n_disks, sizeof *im->copies);
    im->n_copies = vm->n_disks;
    for (size_t i = 0; i < vm->n_disks; i++) {
        const struct vf_vm_disk *d = &vm->disks[i];
        struct vf_disk_copy *c = &im->copies[i];
        c->index = (unsigned)i;
        c->name = d->label ? vf_xstrdup(d->label) : vf_xasprintf("disk %zu", i);
        c->want_digest = true;
        c->expected_bytes = d->capacity_bytes;
    }
}

/* There is a VM to be made, even if nothing is copied for it. */
static int check_worth(const struct vf_import *im, const struct vf_vm *vm, struct vf_error **err)
{
    const struct vf_mapping *m = im->options->mapping;
    bool has_drive = m && m->cdroms != VF_CDROMS_DROP && vm->n_cdroms > 0;
    if (vm->n_disks > 0 || vm->n_other_disks > 0 || has_drive) {
        return 0;
    }
    vf_error_set(err, VF_MISSING, "the VM has no disk to copy");
    if (vm->n_cdroms > 0) {
        vf_error_hint(err, "--cdrom empty or --cdrom keep brings it with its CD-ROM drives alone");
    }
    return VF_MISSING;
}

int vf_import_prepare(struct vf_import *im, const struct vf_vm *vm, struct vf_error **err)
{
    int rc = check_worth(im, vm, err);
    rc = rc ? rc : vf_mapping_check_vm(im->options->mapping, vm, err);
    if (rc) {
        return rc;
    }
    im->vm_name = vf_xstrdup(vm->name);
    im->env.vm = im->vm_name;
    im->name =
        im->options->name ? vf_name_to_label(im->options->name, VF_NAME_VM_MAX) : vf_name_of_vm(vm);
    vf_import_make_copies(im, vm);
    bool sized = true;
    for (size_t i = 0; i < vm->n_disks; i++) {
        sized = sized && vm->disks[i].capacity_bytes > 0;
    }
    rc = im->landing->ops->prepare(im->landing, vm, err);
    im->prepared = rc == 0;
    for (size_t i = 0; i < vm->n_disks && rc == 0 && sized; i++) {
        vf_disk_copy_announce(&im->copies[i], &im->env);
    }
    return rc;
}

int vf_import_finish(struct vf_import *im, const struct vf_vm *vm, struct vf_error **err)
{
    int rc = im->landing->ops->finish(im->landing, vm, err);
    im->finished = rc == 0;
    return rc;
}

const struct vf_network_map *vf_import_networks(const struct vf_import *im)
{
    return im->options->mapping ? &im->options->mapping->networks : NULL;
}

static int open_landing(struct vf_import *im, struct vf_error **err)
{
    if (im->options->dry_run) {
        im->landing = vf_landing_plan_new(im);
        return 0;
    }
    if (im->options->target == VF_TO_DIR) {
        return vf_landing_dir_open(im, im->options->to_path, &im->landing, err);
    }
    return vf_landing_cluster_open(im, &im->landing, err);
}

static int run(struct vf_import *im, struct vf_error **err)
{
    int rc = im->options->mapping ? vf_mapping_check(im->options->mapping, err) : 0;
    if (rc == 0) {
        rc = open_landing(im, err);
    }
    if (rc) {
        return rc;
    }
    switch (im->options->kind) {
    case VF_IMPORT_VSPHERE:
        return vf_import_vsphere(im, err);
    case VF_IMPORT_OVA:
    case VF_IMPORT_OVF:
        return vf_import_package(im, err);
    default:
        return vf_import_vmdk(im, err);
    }
}

void vf_import_release(struct vf_import *im)
{
    release_copies(im);
    vf_pool_free(im->env.pool);
    vf_cancel_free(im->cancel);
    free(im->name);
    free(im->vm_name);
    free(im->source);
    vf_manifests_release(&im->planned);
}

static bool has_landed(const struct vf_error *e)
{
    const char *reason = vf_error_reason(e);
    return reason && strcmp(reason, VF_IMPORT_LANDED) == 0;
}

int vf_import_plan(const struct vf_import_options *options, struct vf_cancel *cancel, char **ret_vm,
                   struct vf_manifests *ret_planned, struct vf_error **err)
{
    struct vf_import_options planning = *options;
    struct vf_import im = {.options = &planning};
    struct vf_error *e = NULL;
    planning.dry_run = true;
    im.cancel = vf_cancel_new(cancel);
    im.env.pool = vf_pool_new(1);
    int rc = im.cancel && im.env.pool ? run(&im, &e)
                                      : vf_error_set(&e, VF_INTERNAL, "cannot start a thread");
    if (rc == VF_CANCELLED && has_landed(e)) {
        rc = 0;
        vf_error_clear(&e);
        *ret_vm = vf_take(im.vm_name);
        *ret_planned = im.planned;
        im.planned = (struct vf_manifests){0};
    }
    if (im.landing) {
        im.landing->ops->free(vf_take(im.landing));
    }
    cJSON_Delete(im.documents);
    vf_import_release(&im);
    vf_error_move(err, &e);
    return rc;
}

int vf_import_run(const struct vf_import_options *options, struct vf_reporter *reporter,
                  struct vf_cancel *cancel, cJSON **ret_documents, struct vf_error **err)
{
    struct vf_import im = {.options = options, .reporter = reporter};
    struct vf_error *e = NULL;
    im.cancel = vf_cancel_new(cancel);
    im.env = (struct vf_copy_env){.pool = vf_pool_new(options->threads), .reporter = reporter};
    int rc = im.cancel && im.env.pool ? run(&im, &e)
                                      : vf_error_set(&e, VF_INTERNAL, "cannot start a thread");
    if (rc == VF_CANCELLED && has_landed(e)) {
        rc = 0;
        vf_error_clear(&e);
    }
    for (size_t i = 0; i < im.n_copies; i++) {
        vf_disk_copy_report_end(&im.copies[i], &im.env, e);
    }
    char *vf_autofree place = im.landing ? vf_xstrdup(im.landing->place) : NULL;
    if (im.landing) { /* its clean-up is a part of the job, and its events come before the result */
        im.landing->ops->free(vf_take(im.landing));
    }
    vf_report(reporter, &(struct vf_event){.type = VF_EVENT_RESULT,
                                           .vm = options->vm ? options->vm : im.source,
                                           .message = place,
                                           .error = e});
    vf_error_move(err, &e);
    if (rc == 0 && ret_documents) {
        *ret_documents = vf_take(im.documents);
    }
    cJSON_Delete(im.documents);
    vf_import_release(&im);
    return rc;
}
