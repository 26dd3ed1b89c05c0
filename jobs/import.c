#include "jobs/import.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "converters/vm/manifest.h"
#include "converters/vm/names.h"
#include "importer/base/mem.h"
#include "jobs/import_plan.h"

static const char *kind_name(enum vf_import_kind kind)
{
    static const char *const names[] = {[VF_IMPORT_VSPHERE] = "vsphere",
                                        [VF_IMPORT_OVA] = "ova",
                                        [VF_IMPORT_OVF] = "ovf",
                                        [VF_IMPORT_VMDK] = "vmdk"};
    return names[kind];
}

/* --- what is known before the copy ------------------------------------------------------- */

/* Of the files beside the images only the manifests could be somebody's: a record is looked for
 * when the folder is opened. */
static int claim_manifests(struct vf_import *im, struct vf_error **err)
{
    char *vf_autofree path = vf_dir_join(im->dir, VF_MANIFESTS_NAME);
    struct vf_place place = {0};
    bool ours = false;
    int rc = vf_dir_claim(im->dir, VF_MANIFESTS_NAME, &ours, err);
    if (rc == 0) {
        rc = vf_place_reserve(&place, path, im->options->overwrite || ours, err);
    }
    vf_place_release(&place);
    return rc;
}

static int check_space(const struct vf_import *im, const struct vf_vm *vm, struct vf_error **err)
{
    uint64_t need = 0;
    for (size_t i = 0; i < vm->n_disks; i++) {
        /* A thick disk may be all zero: only what is known to be used counts. */
        const struct vf_vm_disk *d = &vm->disks[i];
        need += d->used_bytes < d->capacity_bytes ? d->used_bytes : d->capacity_bytes;
    }
    return need ? vf_place_check_space(im->copies[0].place.path, need, err) : 0;
}

static int prepare_disk(struct vf_import *im, const struct vf_vm *vm, size_t i,
                        struct vf_error **err)
{
    const struct vf_vm_disk *d = &vm->disks[i];
    struct vf_disk_copy *c = &im->copies[i];
    c->index = (unsigned)i;
    c->name = d->label ? vf_xstrdup(d->label) : vf_xasprintf("disk %zu", i);
    c->format = im->options->format == VF_FORMAT_QCOW2 ? VF_FORMAT_QCOW2 : VF_FORMAT_RAW;
    c->want_digest = true;
    c->expected_bytes = d->capacity_bytes;

    char *vf_autofree claim = vf_name_of_disk(im->name, i);
    char *vf_autofree file = vf_xasprintf("%s%s", claim, vf_format_suffix(c->format));
    char *vf_autofree path = vf_dir_join(im->dir, file);
    bool ours = false;
    int rc = vf_dir_claim(im->dir, file, &ours, err);
    return rc ? rc : vf_disk_copy_prepare(c, path, im->options->overwrite || ours, err);
}

static int build_manifests(struct vf_import *im, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_manifest_disk *disks = vf_xcalloc(vm->n_disks, sizeof *disks);
    char **images = vf_xcalloc(vm->n_disks, sizeof *images);
    for (size_t i = 0; i < vm->n_disks; i++) {
        char *vf_autofree claim = vf_name_of_disk(im->name, i);
        images[i] = vf_xasprintf("%s%s", claim, vf_format_suffix(im->copies[i].format));
        disks[i] = (struct vf_manifest_disk){.image = images[i],
                                             .format = vf_format_name(im->copies[i].format),
                                             .size_bytes = im->copies[i].size_bytes,
                                             .digest = im->copies[i].digest};
    }
    struct vf_manifest_options mo = {.name = im->name,
                                     .namespace_name = im->options->namespace_name,
                                     .storage_class = im->options->storage_class,
                                     .source = im->source,
                                     .disks = disks,
                                     .n_disks = vm->n_disks};
    struct vf_manifests m = {0};
    char *text = NULL;
    int rc = vf_manifests_build(vm, &mo, &m, err);
    if (rc == 0) {
        rc = vf_manifests_render(&m, &text, err);
    }
    for (size_t i = 0; rc == 0 && !im->warned && i < m.concerns.n_items; i++) {
        vf_report_warning(im->reporter, vm->name, "%s", m.concerns.items[i]);
    }
    if (rc == 0) {
        free(im->manifests);
        im->manifests = text;
        im->warned = true;
    }
    vf_manifests_release(&m);
    for (size_t i = 0; i < vm->n_disks; i++) {
        free(images[i]);
    }
    free(images);
    free(disks);
    return rc;
}

int vf_import_prepare(struct vf_import *im, const struct vf_vm *vm, struct vf_error **err)
{
    if (vm->n_disks == 0) {
        return vf_error_set(err, VF_MISSING, "the VM has no disk to copy");
    }
    im->vm_name = vf_xstrdup(vm->name);
    im->env.vm = im->vm_name;
    im->name =
        im->options->name ? vf_name_to_label(im->options->name, VF_NAME_VM_MAX) : vf_name_of_vm(vm);
    im->copies = vf_xcalloc(vm->n_disks, sizeof *im->copies);
    im->n_copies = vm->n_disks;
    bool sized = true;
    int rc = 0;
    for (size_t i = 0; i < vm->n_disks && rc == 0; i++) {
        rc = prepare_disk(im, vm, i, err);
        sized = sized && vm->disks[i].capacity_bytes > 0;
    }
    if (rc == 0) {
        rc = claim_manifests(im, err);
    }
    if (rc == 0) {
        rc = check_space(im, vm, err);
    }
    if (rc == 0 && sized) {
        /* Once before the copy, so that what cannot be described is told early. */
        rc = build_manifests(im, vm, err);
    }
    for (size_t i = 0; i < vm->n_disks && rc == 0 && sized; i++) {
        vf_disk_copy_announce(&im->copies[i], &im->env);
    }
    return rc;
}

/* --- what is written after the copy ------------------------------------------------------ */

static int write_record(struct vf_import *im, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_record r = {.vm = vf_xstrdup(vm->name),
                          .name = vf_xstrdup(im->name),
                          .source_kind = vf_xstrdup(kind_name(im->options->kind)),
                          .source = vf_xstrdup(im->source),
                          .moref = vf_xstrdup(vm->moref),
                          .instance_uuid = vf_xstrdup(vm->instance_uuid),
                          .snapshot = im->snapshot,
                          .quiesced = im->quiesced};
    r.n_disks = vm->n_disks;
    r.disks = vf_xcalloc(r.n_disks, sizeof *r.disks);
    for (size_t i = 0; i < r.n_disks; i++) {
        const struct vf_disk_copy *c = &im->copies[i];
        const char *slash = strrchr(c->place.path, '/');
        r.disks[i] = (struct vf_record_disk){.file = vf_xstrdup(slash + 1),
                                             .format = vf_xstrdup(vf_format_name(c->format)),
                                             .digest = vf_xstrdup(c->digest),
                                             .label = vf_xstrdup(vm->disks[i].label),
                                             .source = vf_xstrdup(vm->disks[i].file),
                                             .size_bytes = c->size_bytes};
    }
    char *vf_autofree text = vf_record_encode(&r);
    char *vf_autofree path = vf_dir_join(im->dir, VF_RECORD_NAME);
    vf_record_release(&r);
    return vf_place_write_file(path, text, true, err);
}

/* Images of the earlier import in this folder that the new one does not have. */
static void remove_replaced(const struct vf_import *im, const struct vf_record *earlier)
{
    for (size_t i = 0; i < earlier->n_disks; i++) {
        char *vf_autofree path = vf_dir_join(im->dir, earlier->disks[i].file);
        bool kept = false;
        for (size_t j = 0; j < im->n_copies; j++) {
            kept = kept || strcmp(im->copies[j].place.path, path) == 0;
        }
        if (!kept) {
            unlink(path);
        }
    }
}

int vf_import_finish(struct vf_import *im, const struct vf_vm *vm, struct vf_error **err)
{
    vf_report_phase(im->reporter, vm->name, "finish", "writing manifests and record");
    struct vf_record earlier = {0};
    int rc = vf_cancel_check(im->cancel, err);
    if (rc == 0) {
        rc = build_manifests(im, vm, err);
    }
    if (rc == 0) {
        (void)vf_record_load(vf_dir_path(im->dir), &earlier, NULL);
        rc = vf_dir_retract(im->dir, err);
    }
    im->progress = VF_IMPORT_COMMITTING;
    for (size_t i = 0; i < im->n_copies && rc == 0; i++) {
        rc = vf_disk_copy_commit(&im->copies[i], err);
    }
    if (rc == 0) {
        char *vf_autofree path = vf_dir_join(im->dir, VF_MANIFESTS_NAME);
        rc = vf_place_write_file(path, im->manifests, true, err);
    }
    if (rc == 0) {
        rc = write_record(im, vm, err);
    }
    if (rc == 0) {
        im->progress = VF_IMPORT_WHOLE;
        remove_replaced(im, &earlier);
    }
    vf_record_release(&earlier);
    return rc;
}

/* --- the whole --------------------------------------------------------------------------- */

static int open_target(struct vf_import *im, struct vf_error **err)
{
    const char *to = im->options->to;
    if (strncmp(to, "dir:", 4) != 0 || !to[4]) {
        vf_error_set(err, VF_INVALID, "target \"%s\" is not of the form dir:PATH", to);
        return VF_INVALID;
    }
    return vf_dir_open(to + 4, im->options->overwrite, &im->dir, err);
}

static int run(struct vf_import *im, struct vf_error **err)
{
    int rc = open_target(im, err);
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

static void release(struct vf_import *im)
{
    for (size_t i = 0; i < im->n_copies; i++) {
        vf_disk_copy_release(&im->copies[i]);
    }
    free(im->copies);
    if (im->dir && im->progress != VF_IMPORT_COMMITTING) {
        vf_dir_settle(im->dir, im->progress == VF_IMPORT_WHOLE);
    }
    vf_dir_free(im->dir);
    vf_pool_free(im->env.pool);
    vf_cancel_free(im->cancel);
    free(im->name);
    free(im->vm_name);
    free(im->manifests);
    free(im->source);
}

int vf_import_run(const struct vf_import_options *options, struct vf_reporter *reporter,
                  struct vf_cancel *cancel, char **ret_dir, struct vf_error **err)
{
    struct vf_import im = {.options = options, .reporter = reporter};
    struct vf_error *e = NULL;
    im.cancel = vf_cancel_new(cancel);
    im.env = (struct vf_copy_env){.pool = vf_pool_new(options->threads), .reporter = reporter};
    int rc = im.cancel && im.env.pool ? run(&im, &e)
                                      : vf_error_set(&e, VF_INTERNAL, "cannot start a thread");
    for (size_t i = 0; i < im.n_copies; i++) {
        vf_disk_copy_report_end(&im.copies[i], &im.env, e);
    }
    vf_report(reporter, &(struct vf_event){.type = VF_EVENT_RESULT,
                                           .vm = options->vm ? options->vm : options->path,
                                           .message = im.dir ? vf_dir_path(im.dir) : NULL,
                                           .error = e});
    if (rc == 0 && ret_dir) {
        *ret_dir = vf_xstrdup(vf_dir_path(im.dir));
    }
    vf_error_move(err, &e);
    release(&im);
    return rc;
}
