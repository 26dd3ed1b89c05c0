/* A VM lands in a folder: images, manifests.yaml, and vmferry.json, which makes them an import. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "converters/vm/manifest.h"
#include "converters/vm/names.h"
#include "importer/base/mem.h"
#include "importer/target/dir.h"
#include "jobs/image_target.h"
#include "jobs/import_plan.h"
#include "jobs/record.h"

enum progress {
    COPYING,    /* only partial files */
    COMMITTING, /* some files may have their final names, and others not */
    WHOLE,      /* the record is written */
};

struct landing_dir {
    struct vf_landing landing;
    struct vf_dir *dir;
    struct vf_image_target *targets; /* one a copy */
    size_t n_targets;
    char *manifests; /* text, made before the copy so that what cannot be described is told early;
                        made again with the digests */
    enum progress progress;
};

/* --- what is known before the copy ------------------------------------------------------- */

/* Of the files beside the images only the manifests could be somebody's: a record is looked for
 * when the folder is opened. */
static int claim_manifests(struct landing_dir *l, struct vf_error **err)
{
    char *vf_autofree path = vf_dir_join(l->dir, VF_MANIFESTS_NAME);
    struct vf_place place = {0};
    bool ours = false;
    int rc = vf_dir_claim(l->dir, VF_MANIFESTS_NAME, &ours, err);
    if (rc == 0) {
        rc = vf_place_reserve(&place, path, l->landing.im->options->overwrite || ours, err);
    }
    vf_place_release(&place);
    return rc;
}

static int check_space(const struct landing_dir *l, const struct vf_vm *vm, struct vf_error **err)
{
    uint64_t need = 0;
    for (size_t i = 0; i < vm->n_disks; i++) {
        /* A thick disk may be all zero: only what is known to be used counts. */
        const struct vf_vm_disk *d = &vm->disks[i];
        need += d->used_bytes < d->capacity_bytes ? d->used_bytes : d->capacity_bytes;
    }
    return need ? vf_place_check_space(l->targets[0].place.path, need, err) : 0;
}

static int prepare_disk(struct landing_dir *l, size_t i, struct vf_error **err)
{
    const struct vf_import *im = l->landing.im;
    enum vf_format format =
        im->options->format == VF_FORMAT_QCOW2 ? VF_FORMAT_QCOW2 : VF_FORMAT_RAW;
    char *vf_autofree claim = vf_name_of_disk(im->name, i);
    char *vf_autofree file = vf_xasprintf("%s%s", claim, vf_format_suffix(format));
    char *vf_autofree path = vf_dir_join(l->dir, file);
    bool ours = false;
    int rc = vf_dir_claim(l->dir, file, &ours, err);
    im->copies[i].target = &l->targets[i].target;
    return rc ? rc
              : vf_image_target_init(&l->targets[i], path, format, im->options->overwrite || ours,
                                     err);
}

static int build_manifests(struct landing_dir *l, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_import *im = l->landing.im;
    struct vf_manifest_disk *disks = vf_xcalloc(vm->n_disks, sizeof *disks);
    char **images = vf_xcalloc(vm->n_disks, sizeof *images);
    for (size_t i = 0; i < vm->n_disks; i++) {
        char *vf_autofree claim = vf_name_of_disk(im->name, i);
        images[i] = vf_xasprintf("%s%s", claim, vf_format_suffix(l->targets[i].format));
        disks[i] = (struct vf_manifest_disk){.image = images[i],
                                             .format = vf_format_name(l->targets[i].format),
                                             .size_bytes = im->copies[i].size_bytes,
                                             .digest = im->copies[i].digest};
    }
    struct vf_manifest_options mo = {.name = im->name,
                                     .namespace_name = im->options->namespace_name,
                                     .storage_class = im->options->storage_class,
                                     .source = im->source,
                                     .disk_bus = im->options->disk_bus,
                                     .networks = &im->networks,
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
        free(l->manifests);
        l->manifests = text;
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

static int prepare(struct vf_landing *landing, const struct vf_vm *vm, struct vf_error **err)
{
    struct landing_dir *l = (struct landing_dir *)landing;
    bool sized = true;
    int rc = 0;
    l->targets = vf_xcalloc(vm->n_disks, sizeof *l->targets);
    l->n_targets = vm->n_disks;
    for (size_t i = 0; i < vm->n_disks && rc == 0; i++) {
        rc = prepare_disk(l, i, err);
        sized = sized && vm->disks[i].capacity_bytes > 0;
    }
    if (rc == 0) {
        rc = claim_manifests(l, err);
    }
    if (rc == 0) {
        rc = check_space(l, vm, err);
    }
    /* Once before the copy, so that what cannot be described is told early. */
    return rc == 0 && sized ? build_manifests(l, vm, err) : rc;
}

/* --- what is written after the copy ------------------------------------------------------ */

static int write_record(struct landing_dir *l, const struct vf_vm *vm, struct vf_error **err)
{
    const struct vf_import *im = l->landing.im;
    struct vf_record r = {.vm = vf_xstrdup(vm->name),
                          .name = vf_xstrdup(im->name),
                          .source_kind = vf_xstrdup(vf_import_kind_name(im->options->kind)),
                          .source = vf_xstrdup(im->source),
                          .moref = vf_xstrdup(vm->moref),
                          .instance_uuid = vf_xstrdup(vm->instance_uuid),
                          .snapshot = im->snapshot,
                          .quiesced = im->quiesced};
    r.n_disks = vm->n_disks;
    r.disks = vf_xcalloc(r.n_disks, sizeof *r.disks);
    for (size_t i = 0; i < r.n_disks; i++) {
        const struct vf_disk_copy *c = &im->copies[i];
        const struct vf_image_target *t = &l->targets[i];
        const char *slash = strrchr(t->place.path, '/');
        r.disks[i] = (struct vf_record_disk){.file = vf_xstrdup(slash + 1),
                                             .format = vf_xstrdup(vf_format_name(t->format)),
                                             .digest = vf_xstrdup(c->digest),
                                             .label = vf_xstrdup(vm->disks[i].label),
                                             .source = vf_xstrdup(vm->disks[i].file),
                                             .size_bytes = c->size_bytes};
    }
    char *vf_autofree text = vf_record_encode(&r);
    char *vf_autofree path = vf_dir_join(l->dir, VF_RECORD_NAME);
    vf_record_release(&r);
    return vf_place_write_file(path, text, true, err);
}

/* Images of the earlier import in this folder that the new one does not have. */
static void remove_replaced(const struct landing_dir *l, const struct vf_record *earlier)
{
    for (size_t i = 0; i < earlier->n_disks; i++) {
        char *vf_autofree path = vf_dir_join(l->dir, earlier->disks[i].file);
        bool kept = false;
        for (size_t j = 0; j < l->n_targets; j++) {
            kept = kept || strcmp(l->targets[j].place.path, path) == 0;
        }
        if (!kept) {
            unlink(path);
        }
    }
}

/* Images, manifests and record get their names in that order. */
static int finish(struct vf_landing *landing, const struct vf_vm *vm, struct vf_error **err)
{
    struct landing_dir *l = (struct landing_dir *)landing;
    struct vf_import *im = landing->im;
    vf_report_phase(im->reporter, vm->name, "finish", "writing manifests and record");
    struct vf_record earlier = {0};
    int rc = vf_cancel_check(im->cancel, err);
    if (rc == 0) {
        rc = build_manifests(l, vm, err);
    }
    if (rc == 0) {
        (void)vf_record_load(vf_dir_path(l->dir), &earlier, NULL);
        l->progress = COMMITTING;
        rc = vf_dir_retract(l->dir, err);
    }
    for (size_t i = 0; i < l->n_targets && rc == 0; i++) {
        rc = vf_image_target_commit(&l->targets[i], err);
    }
    if (rc == 0) {
        char *vf_autofree path = vf_dir_join(l->dir, VF_MANIFESTS_NAME);
        rc = vf_place_write_file(path, l->manifests, true, err);
    }
    if (rc == 0) {
        rc = write_record(l, vm, err);
    }
    if (rc == 0) {
        l->progress = WHOLE;
        remove_replaced(l, &earlier);
    }
    vf_record_release(&earlier);
    return rc;
}

static void free_landing(struct vf_landing *landing)
{
    struct landing_dir *l = (struct landing_dir *)landing;
    for (size_t i = 0; i < l->n_targets; i++) {
        vf_image_target_release(&l->targets[i]);
    }
    free(l->targets);
    if (l->dir && l->progress != COMMITTING) {
        vf_dir_settle(l->dir, l->progress == WHOLE);
    }
    vf_dir_free(l->dir);
    free(l->manifests);
    free(landing->place);
    free(l);
}

static const struct vf_landing_ops ops = {
    .prepare = prepare, .finish = finish, .free = free_landing};

int vf_landing_dir_open(struct vf_import *im, const char *path, struct vf_landing **ret_landing,
                        struct vf_error **err)
{
    struct landing_dir *l = vf_xcalloc(1, sizeof *l);
    l->landing = (struct vf_landing){.ops = &ops, .im = im};
    int rc = vf_dir_open(path, im->options->overwrite, &l->dir, err);
    if (rc) {
        free_landing(&l->landing);
        return rc;
    }
    l->landing.place = vf_xstrdup(vf_dir_path(l->dir));
    *ret_landing = &l->landing;
    return 0;
}
