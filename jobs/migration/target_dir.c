/* A warm migration's disks in a folder: NAME-disk-0.img.partial and so on while rounds run, their
 * final names, manifests and record at the cutover (jobs/dir_files.h).
 *
 * The folder is one VM's. Whose, the checkpoint says; before there is one, the note of what has
 * begun (importer/target/dir.h), which lists the checkpoint's name only of a warm migration.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "converters/vm/names.h"
#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "jobs/dir_files.h"
#include "jobs/migration/board_dir.h"
#include "jobs/migration/image_names.h"
#include "jobs/migration/warm_target.h"
#include "jobs/record.h"

struct target_dir {
    struct vf_warm_target base;
    struct vf_dir *dir;
    struct vf_dir_files files;
    struct vf_image_names names;
    char *uuid;     /* of the VM; NULL: not known yet */
    bool delivered; /* the checkpoint says so: what is there is not to be touched */
    bool said_no_guard;
};

/* --- whose folder ------------------------------------------------------------------------ */

static int refuse_other_vm(const struct target_dir *t, const struct vf_checkpoint *c,
                           struct vf_error **err)
{
    vf_error_set(err, VF_CONFLICT,
                 "\"%s\" holds a warm migration of another VM, \"%s\" with instance UUID \"%s\"",
                 t->base.place, c->vm_name ? c->vm_name : "", c->instance_uuid);
    vf_error_hint(err,
                  "give another target, or remove what is there with \"vmferry cancel dir:%s "
                  "--discard\"",
                  t->base.place);
    return VF_CONFLICT;
}

static int check_no_import(const struct target_dir *t, struct vf_error **err)
{
    char *vf_autofree first = vf_dir_get_noted(t->dir, 0);
    if (!first || vf_dir_is_noted(t->dir, VF_CHECKPOINT_NAME)) {
        return 0;
    }
    vf_error_set(err, VF_CONFLICT, "\"%s\" holds an import that was begun and not finished",
                 t->base.place);
    vf_error_hint(err,
                  "run that import again, or give another target; \"%s/%s\" lists what it left",
                  t->base.place, VF_UNFINISHED_NAME);
    return VF_CONFLICT;
}

static void remember(struct target_dir *t, const struct vf_checkpoint *c)
{
    vf_replace_string(&t->uuid, c->instance_uuid);
    t->delivered = c->stage == VF_STAGE_DELIVERED;
    for (size_t i = 0; i < c->n_disks; i++) {
        vf_image_names_remember(&t->names, &c->disks[i]);
    }
}

static const char *identity_of(const struct vf_vm *vm)
{
    return vm->instance_uuid && *vm->instance_uuid ? vm->instance_uuid : vm->moref;
}

static bool has_record(const struct target_dir *t)
{
    char *vf_autofree path = vf_dir_join(t->dir, VF_RECORD_NAME);
    struct stat st;
    return lstat(path, &st) == 0;
}

/* A checkpoint that cannot be read makes the copies that it described worthless to anybody; not
 * so an import that was finished over them, or what a later vmferry understands. */
static int judge_unreadable(const struct target_dir *t, int rc, struct vf_error **err)
{
    if (rc == VF_INVALID && (!has_record(t) || t->base.im->options->overwrite)) {
        vf_error_clear(err);
        return 0;
    }
    rc = vf_error_wrap(err, rc, "cannot tell which VM's disks \"%s\" holds", t->base.place);
    vf_error_hint(err,
                  "give another target, or remove what is there with \"vmferry cancel dir:%s "
                  "--discard\"",
                  t->base.place);
    return rc;
}

/* Whatever is here is of an earlier run for the same VM, or there is nothing. */
static int check_owner(struct target_dir *t, const struct vf_vm *vm, struct vf_error **err)
{
    struct vf_checkpoint c = {0};
    struct vf_error *e = NULL;
    const char *identity = identity_of(vm);
    int rc = vf_checkpoint_load(t->base.store, &c, &e);
    if (rc == VF_MISSING) {
        vf_error_clear(&e);
        return check_no_import(t, err);
    }
    if (rc) {
        rc = judge_unreadable(t, rc, &e);
        vf_error_move(err, &e);
        return rc;
    }
    if (identity && strcasecmp(identity, c.instance_uuid) == 0) {
        remember(t, &c);
    } else {
        rc = refuse_other_vm(t, &c, err);
    }
    vf_checkpoint_release(&c);
    return rc;
}

/* --- before the cutover ------------------------------------------------------------------ */

static int prepare(struct vf_warm_target *base, const struct vf_vm *vm, struct vf_error **err)
{
    struct target_dir *t = (struct target_dir *)base;
    struct vf_import *im = base->im;
    int rc = t->names.n_files == 0 ? check_owner(t, vm, err) : 0;
    if (rc) {
        return rc;
    }
    if (!im->name) {
        im->name = im->options->name ? vf_name_to_label(im->options->name, VF_NAME_VM_MAX)
                                     : vf_name_of_vm(vm);
    }
    vf_replace_string(&t->uuid, identity_of(vm));
    vf_image_names_assign(&t->names, im, vm);
    bool ours = false;
    rc = t->delivered ? 0 : vf_dir_claim(t->dir, VF_CHECKPOINT_NAME, &ours, err);
    if (rc == 0 && !t->delivered) {
        rc = vf_dir_files_prepare(&t->files, vm, t->names.files, true, err);
    }
    return rc ? rc : vf_inject("dir.prepared", err);
}

static const char *get_name(const struct vf_warm_target *base, size_t index)
{
    return ((const struct target_dir *)base)->names.files[index];
}

/* A cutover that broke off had given the image its name already: what is there is not delivered,
 * and must not look so any longer. */
static int take_back(struct target_dir *t, const struct vf_image_target *image, const char *name,
                     struct vf_error **err)
{
    if (access(image->place.partial, F_OK) == 0 || access(image->place.path, F_OK) != 0 ||
        !vf_dir_is_noted(t->dir, name)) {
        return 0;
    }
    int rc = vf_dir_retract(t->dir, err);
    if (rc == 0) {
        rc = vf_inject("dir.retracted", err);
    }
    return rc ? rc : vf_place_revoke(&image->place, err);
}

static int open_disk(struct vf_warm_target *base, size_t index, uint64_t size_bytes, bool fresh,
                     const struct vf_cancel *cancel, struct vf_sink **ret_sink,
                     struct vf_error **err)
{
    struct target_dir *t = (struct target_dir *)base;
    if (index >= t->files.n_images) {
        return vf_error_set(err, VF_INTERNAL, "disk %zu has no image in \"%s\"", index,
                            base->place);
    }
    struct vf_image_target *image = &t->files.images[index];
    int rc = take_back(t, image, t->names.files[index], err);
    if (rc) {
        return rc;
    }
    if (!fresh) {
        return vf_image_target_reopen(image, size_bytes, ret_sink, err);
    }
    struct vf_sink *sink = NULL;
    rc = vf_place_discard(&image->place, err);
    if (rc == 0) {
        rc = vf_inject("dir.discarded", err);
    }
    if (rc == 0) {
        rc = image->target.ops->open(&image->target, size_bytes, cancel, &sink, err);
    }
    if (rc == 0) {
        rc = vf_dir_sync(t->dir, err); /* what is flushed from now on has a name */
    }
    if (rc) {
        vf_sink_free(sink);
        return rc;
    }
    *ret_sink = sink;
    return 0;
}

static int guard(struct vf_warm_target *base, const struct vf_checkpoint *c, struct vf_error **err)
{
    struct target_dir *t = (struct target_dir *)base;
    (void)c;
    (void)err;
    if (!t->said_no_guard) {
        vf_report_info(base->im->reporter, base->im->vm_name,
                       "a folder keeps no state of the disks to go back to");
        t->said_no_guard = true;
    }
    return 0;
}

/* --- cutover ----------------------------------------------------------------------------- */

static int deliver(struct vf_warm_target *base, const struct vf_vm *vm, struct vf_error **err)
{
    struct target_dir *t = (struct target_dir *)base;
    if (t->delivered) {
        return 0;
    }
    int rc = vf_dir_files_describe(&t->files, vm, err);
    return rc ? rc : vf_dir_files_commit(&t->files, vm, err);
}

/* Images of an earlier import that lies here are not noted as ours: they had their names before.
 * Where nobody can say any more which VM it was about, the names alone decide. */
static int fetch_accepted(struct vf_warm_target *base, bool *ret_accepted, struct vf_error **err)
{
    struct target_dir *t = (struct target_dir *)base;
    struct vf_checkpoint c = {0};
    struct vf_record r = {0};
    *ret_accepted = false;
    if (!has_record(t)) {
        return 0;
    }
    int rc = vf_record_load(t->base.place, &r, err);
    if (rc == 0 && !t->uuid && vf_checkpoint_load(base->store, &c, NULL) == 0) {
        vf_replace_string(&t->uuid, c.instance_uuid);
    }
    const char *identity = r.instance_uuid ? r.instance_uuid : r.moref;
    bool ours = rc == 0 && (!t->uuid || (identity && strcasecmp(t->uuid, identity) == 0));
    for (size_t i = 0; i < r.n_disks; i++) {
        ours = ours && vf_dir_is_noted(t->dir, r.disks[i].file);
    }
    *ret_accepted = ours;
    vf_record_release(&r);
    vf_checkpoint_release(&c);
    return rc;
}

static int start(struct vf_warm_target *base, struct vf_error **err)
{
    (void)base;
    (void)err;
    return 0;
}

/* --- clean-up ---------------------------------------------------------------------------- */

static bool is_in(const struct vf_record *r, const char *name)
{
    for (size_t i = 0; i < r->n_disks; i++) {
        if (strcmp(r->disks[i].file, name) == 0) {
            return true;
        }
    }
    return false;
}

/* What an image left: its partial and, if it may have got one, its name. */
static int remove_image(struct target_dir *t, const char *name, bool with_final,
                        struct vf_error **err)
{
    char *vf_autofree partial = vf_xasprintf("%s.partial", name);
    int rc = vf_image_names_allow(name) ? vf_dir_remove(t->dir, partial, err) : 0;
    if (rc == 0 && with_final && vf_image_names_allow(name) && vf_dir_is_noted(t->dir, name)) {
        rc = vf_dir_remove(t->dir, name, err);
    }
    return rc;
}

/* Images that any run of this migration noted or copied into. `kept`: of what was delivered. */
static int remove_images(struct target_dir *t, const struct vf_record *kept, bool with_final,
                         struct vf_error **err)
{
    struct vf_checkpoint c = {0};
    int rc = 0;
    char *noted;
    (void)vf_checkpoint_load(t->base.store, &c, NULL);
    for (size_t i = 0; rc == 0 && (noted = vf_dir_get_noted(t->dir, i)) != NULL; i++) {
        rc = remove_image(t, noted, with_final && !is_in(kept, noted), err);
        free(noted);
    }
    for (size_t i = 0; i < c.n_disks && rc == 0; i++) {
        const char *name = c.disks[i].target;
        rc = remove_image(t, name, with_final && !is_in(kept, name), err);
    }
    vf_checkpoint_release(&c);
    return rc;
}

/* What the record names is the result, whatever disks the source has by now; somebody may have
 * taken it away already. The checkpoint goes last: as long as it is there, the same command tidies
 * up. */
static int settle(struct vf_warm_target *base, struct vf_error **err)
{
    struct target_dir *t = (struct target_dir *)base;
    struct vf_record r = {0};
    bool known = vf_record_load(base->place, &r, NULL) == 0;
    int rc = remove_images(t, &r, known, err);
    vf_record_release(&r);
    if (rc == 0) {
        rc = vf_board_dir_clear(base->board, false, err);
    }
    if (rc == 0) {
        vf_dir_settle(t->dir, true);
        rc = vf_dir_sync(t->dir, err);
    }
    if (rc == 0) {
        rc = vf_inject("dir.settled", err);
    }
    return rc ? rc : vf_checkpoint_clear(base->store, err);
}

static int discard(struct vf_warm_target *base, struct vf_error **err)
{
    struct target_dir *t = (struct target_dir *)base;
    bool accepted = false;
    int rc = fetch_accepted(base, &accepted, err);
    if (rc == 0) {
        rc = remove_images(t, &(struct vf_record){0}, !accepted, err);
    }
    if (rc == 0 && !accepted && vf_dir_is_noted(t->dir, VF_MANIFESTS_NAME)) {
        rc = vf_dir_remove(t->dir, VF_MANIFESTS_NAME, err);
    }
    if (rc == 0) {
        rc = vf_inject("dir.removed", err);
    }
    if (rc == 0) {
        rc = vf_checkpoint_clear(base->store, err);
    }
    if (rc == 0) {
        rc = vf_board_dir_clear(base->board, true, err);
    }
    if (rc == 0) {
        vf_dir_settle(t->dir, true);
        rc = vf_dir_sync(t->dir, err);
    }
    return rc;
}

static void free_target(struct vf_warm_target *base)
{
    struct target_dir *t = (struct target_dir *)base;
    vf_dir_files_release(&t->files);
    vf_image_names_release(&t->names);
    vf_checkpoint_store_free(base->store);
    vf_board_free(base->board);
    vf_dir_free(t->dir);
    free(base->place);
    free(t->uuid);
    free(t);
}

static const struct vf_warm_target_ops ops = {.prepare = prepare,
                                              .get_name = get_name,
                                              .open_disk = open_disk,
                                              .guard = guard,
                                              .deliver = deliver,
                                              .fetch_accepted = fetch_accepted,
                                              .start = start,
                                              .settle = settle,
                                              .discard = discard,
                                              .free = free_target};

int vf_warm_target_dir_open(struct vf_import *im, const char *path,
                            struct vf_warm_target **ret_target, struct vf_error **err)
{
    struct target_dir *t = vf_xcalloc(1, sizeof *t);
    t->base = (struct vf_warm_target){.ops = &ops, .im = im};
    /* A migration that goes on may have delivered already. */
    char *vf_autofree checkpoint = vf_xasprintf("%s/%s", path, VF_CHECKPOINT_NAME);
    bool goes_on = access(checkpoint, F_OK) == 0;
    int rc = vf_dir_open(path, im->options->overwrite || goes_on, &t->dir, err);
    if (rc) {
        free_target(&t->base);
        return rc;
    }
    t->files = (struct vf_dir_files){.im = im, .dir = t->dir};
    t->base.place = vf_xstrdup(vf_dir_path(t->dir));
    t->base.store = vf_checkpoint_file_new(checkpoint);
    t->base.board = vf_board_dir_new(t->base.place);
    *ret_target = &t->base;
    return 0;
}

void vf_warm_target_free(struct vf_warm_target *t)
{
    if (t) {
        t->ops->free(t);
    }
}
