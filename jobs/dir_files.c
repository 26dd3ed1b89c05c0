#include "jobs/dir_files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "converters/vm/manifest.h"
#include "converters/vm/names.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "jobs/checkpoint_store.h"
#include "jobs/record.h"

enum vf_format vf_dir_files_format(const struct vf_import *im)
{
    return im->options->format == VF_FORMAT_QCOW2 ? VF_FORMAT_QCOW2 : VF_FORMAT_RAW;
}

char *vf_dir_files_name(const struct vf_import *im, size_t index)
{
    char *vf_autofree claim = vf_name_of_disk(im->name, index);
    return vf_xasprintf("%s%s", claim, vf_format_suffix(vf_dir_files_format(im)));
}

static const char *file_of(const struct vf_image_target *t)
{
    return strrchr(t->place.path, '/') + 1;
}

/* --- before the copy --------------------------------------------------------------------- */

/* Of the files beside the images only the manifests could be somebody's: a record is looked for
 * when the folder is opened. */
static int claim_manifests(struct vf_dir_files *f, struct vf_error **err)
{
    char *vf_autofree path = vf_dir_join(f->dir, VF_MANIFESTS_NAME);
    struct vf_place place = {0};
    bool ours = false;
    int rc = vf_dir_claim(f->dir, VF_MANIFESTS_NAME, &ours, err);
    if (rc == 0) {
        rc = vf_place_reserve(&place, path, f->im->options->overwrite || ours, err);
    }
    vf_place_release(&place);
    return rc;
}

static uint64_t allocated_bytes(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

static int check_space(const struct vf_dir_files *f, const struct vf_vm *vm, struct vf_error **err)
{
    uint64_t need = 0;
    for (size_t i = 0; i < vm->n_disks; i++) {
        /* A thick disk may be all zero: only what is known to be used counts. */
        const struct vf_vm_disk *d = &vm->disks[i];
        uint64_t used = d->used_bytes < d->capacity_bytes ? d->used_bytes : d->capacity_bytes;
        uint64_t have = allocated_bytes(f->images[i].place.partial);
        need += used > have ? used - have : 0;
    }
    return need ? vf_place_check_space(f->images[0].place.path, need, err) : 0;
}

static int prepare_image(struct vf_dir_files *f, size_t i, const char *name, bool go_on,
                         struct vf_error **err)
{
    char *vf_autofree path = vf_dir_join(f->dir, name);
    enum vf_format format = vf_dir_files_format(f->im);
    bool ours = false;
    int rc = vf_dir_claim(f->dir, name, &ours, err);
    if (rc) {
        return rc;
    }
    ours = ours || f->im->options->overwrite;
    return go_on ? vf_image_target_adopt(&f->images[i], path, format, ours, err)
                 : vf_image_target_init(&f->images[i], path, format, ours, err);
}

static void release_images(struct vf_dir_files *f)
{
    for (size_t i = 0; i < f->n_images; i++) {
        vf_image_target_release(&f->images[i]);
    }
    free(f->images);
    f->images = NULL;
    f->n_images = 0;
}

int vf_dir_files_prepare(struct vf_dir_files *f, const struct vf_vm *vm, char *const *names,
                         bool go_on, struct vf_error **err)
{
    bool sized = true;
    int rc = 0;
    release_images(f);
    f->images = vf_xcalloc(vm->n_disks, sizeof *f->images);
    f->n_images = vm->n_disks;
    for (size_t i = 0; i < vm->n_disks && rc == 0; i++) {
        rc = prepare_image(f, i, names[i], go_on, err);
        sized = sized && vm->disks[i].capacity_bytes > 0;
    }
    if (rc == 0) {
        rc = claim_manifests(f, err);
    }
    if (rc == 0 && vm->n_disks > 0) {
        rc = check_space(f, vm, err);
    }
    return rc == 0 && sized ? vf_dir_files_describe(f, vm, err) : rc;
}

int vf_dir_files_describe(struct vf_dir_files *f, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_import *im = f->im;
    struct vf_manifest_disk *disks = vf_xcalloc(vm->n_disks, sizeof *disks);
    for (size_t i = 0; i < vm->n_disks; i++) {
        bool copied = i < im->n_copies;
        const struct vf_disk_storage storage = vf_mapping_storage_of(im->options->mapping, vm, i);
        disks[i] = (struct vf_manifest_disk){.image = file_of(&f->images[i]),
                                             .storage_class = storage.storage_class,
                                             .volume_mode = storage.volume_mode,
                                             .access_mode = storage.access_mode,
                                             .format = vf_format_name(f->images[i].format),
                                             .size_bytes = copied ? im->copies[i].size_bytes : 0,
                                             .digest = copied ? im->copies[i].digest : NULL};
    }
    struct vf_manifest_options mo = {.name = im->name,
                                     .namespace_name = im->options->namespace_name,
                                     .mapping = im->options->mapping,
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
        vf_report_warning(im->reporter, vm->name, "%s", m.concerns.items[i].text);
    }
    if (rc == 0) {
        free(f->manifests);
        f->manifests = text;
        im->warned = true;
    }
    vf_manifests_release(&m);
    free(disks);
    return rc;
}

/* --- after the copy ---------------------------------------------------------------------- */

static int write_record(struct vf_dir_files *f, const struct vf_vm *vm, struct vf_error **err)
{
    const struct vf_import *im = f->im;
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
        const struct vf_image_target *t = &f->images[i];
        r.disks[i] = (struct vf_record_disk){.file = vf_xstrdup(file_of(t)),
                                             .format = vf_xstrdup(vf_format_name(t->format)),
                                             .digest = vf_xstrdup(c->digest),
                                             .label = vf_xstrdup(vm->disks[i].label),
                                             .source = vf_xstrdup(vm->disks[i].file),
                                             .size_bytes = c->size_bytes};
    }
    char *vf_autofree text = vf_record_encode(&r);
    char *vf_autofree path = vf_dir_join(f->dir, VF_RECORD_NAME);
    vf_record_release(&r);
    return vf_place_write_file(path, text, true, err);
}

/* Images of the earlier import in this folder that the new one does not have. */
static void remove_replaced(const struct vf_dir_files *f, const struct vf_record *earlier)
{
    for (size_t i = 0; i < earlier->n_disks; i++) {
        char *vf_autofree path = vf_dir_join(f->dir, earlier->disks[i].file);
        bool kept = false;
        for (size_t j = 0; j < f->n_images; j++) {
            kept = kept || strcmp(f->images[j].place.path, path) == 0;
        }
        if (!kept) {
            unlink(path);
        }
    }
}

/* An image gets its name; one of an earlier import, in its place with the user's leave, is removed
 * first and the name noted as ours: what stands there after a kill is then known to be new. */
static int commit_image(struct vf_dir_files *f, struct vf_image_target *t, struct vf_error **err)
{
    bool has_partial = access(t->place.partial, F_OK) == 0;
    bool has_final = access(t->place.path, F_OK) == 0;
    bool ours = false;
    int rc = 0;
    if (!has_partial && has_final && vf_dir_is_noted(f->dir, file_of(t))) {
        return 0; /* by a commit that broke off */
    }
    if (has_partial && has_final && t->place.overwrite) {
        rc = vf_dir_claim(f->dir, file_of(t), &ours, err);
        if (rc == 0 && !ours) {
            rc = vf_dir_remove(f->dir, file_of(t), err);
            rc = rc ? rc : vf_dir_claim(f->dir, file_of(t), &ours, err);
        }
    }
    return rc ? rc : vf_image_target_commit(t, err);
}

int vf_dir_files_commit(struct vf_dir_files *f, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_record earlier = {0};
    (void)vf_record_load(vf_dir_path(f->dir), &earlier, NULL);
    int rc = vf_dir_retract(f->dir, err);
    if (rc == 0) {
        rc = vf_inject("dir.retracted", err);
    }
    for (size_t i = 0; i < f->n_images && rc == 0; i++) {
        rc = commit_image(f, &f->images[i], err);
    }
    if (rc == 0) {
        rc = vf_inject("dir.named", err);
    }
    if (rc == 0) {
        char *vf_autofree path = vf_dir_join(f->dir, VF_MANIFESTS_NAME);
        rc = vf_place_write_file(path, f->manifests, true, err);
    }
    if (rc == 0) {
        rc = write_record(f, vm, err);
    }
    if (rc == 0) {
        remove_replaced(f, &earlier);
        rc = vf_inject("dir.recorded", err);
    }
    vf_record_release(&earlier);
    return rc;
}

void vf_dir_files_release(struct vf_dir_files *f)
{
    release_images(f);
    free(f->manifests);
    f->manifests = NULL;
}

int vf_dir_files_check_no_migration(const struct vf_dir *dir, struct vf_error **err)
{
    char *vf_autofree path = vf_dir_join(dir, VF_CHECKPOINT_NAME);
    struct stat st;
    if (lstat(path, &st) != 0) {
        return 0;
    }
    struct vf_checkpoint_store *store = vf_checkpoint_file_new(path);
    struct vf_checkpoint c = {0};
    bool named = vf_checkpoint_load(store, &c, NULL) == 0 && c.vm_name;
    vf_error_set(err, VF_CONFLICT, "\"%s\" holds a warm migration%s%s%s that is not over",
                 vf_dir_path(dir), named ? " of VM \"" : "", named ? c.vm_name : "",
                 named ? "\"" : "");
    vf_error_hint(err,
                  "go on with the same \"vmferry migrate\" command, remove its copies with "
                  "\"vmferry cancel dir:%s --discard\", or give another target",
                  vf_dir_path(dir));
    vf_checkpoint_release(&c);
    vf_checkpoint_store_free(store);
    return VF_CONFLICT;
}
