/* A VM lands in a folder: images, manifests.yaml, and vmferry.json, which makes them an import. */
#include <stdlib.h>

#include "importer/base/mem.h"
#include "jobs/dir_files.h"

enum progress {
    COPYING,    /* only partial files */
    COMMITTING, /* some files may have their final names, and others not */
    WHOLE,      /* the record is written */
};

struct landing_dir {
    struct vf_landing landing;
    struct vf_dir *dir;
    struct vf_dir_files files;
    enum progress progress;
};

static int prepare(struct vf_landing *landing, const struct vf_vm *vm, struct vf_error **err)
{
    struct landing_dir *l = (struct landing_dir *)landing;
    char **names = vf_xcalloc(vm->n_disks, sizeof *names);
    for (size_t i = 0; i < vm->n_disks; i++) {
        names[i] = vf_dir_files_name(landing->im, i);
    }
    int rc = vf_dir_files_prepare(&l->files, vm, names, false, err);
    for (size_t i = 0; i < vm->n_disks; i++) {
        landing->im->copies[i].target = &l->files.images[i].target;
        free(names[i]);
    }
    free(names);
    return rc;
}

static int finish(struct vf_landing *landing, const struct vf_vm *vm, struct vf_error **err)
{
    struct landing_dir *l = (struct landing_dir *)landing;
    struct vf_import *im = landing->im;
    vf_report_phase(im->reporter, vm->name, "finish", "writing manifests and record");
    int rc = vf_cancel_check(im->cancel, err);
    if (rc == 0) {
        rc = vf_dir_files_describe(&l->files, vm, err);
    }
    if (rc == 0) {
        l->progress = COMMITTING;
        rc = vf_dir_files_commit(&l->files, vm, err);
    }
    if (rc == 0) {
        l->progress = WHOLE;
    }
    return rc;
}

static void free_landing(struct vf_landing *landing)
{
    struct landing_dir *l = (struct landing_dir *)landing;
    vf_dir_files_release(&l->files);
    if (l->dir && l->progress != COMMITTING) {
        vf_dir_settle(l->dir, l->progress == WHOLE);
    }
    vf_dir_free(l->dir);
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
    if (rc == 0) {
        rc = vf_dir_files_check_no_migration(l->dir, err);
    }
    if (rc) {
        free_landing(&l->landing);
        return rc;
    }
    l->files = (struct vf_dir_files){.im = im, .dir = l->dir};
    l->landing.place = vf_xstrdup(vf_dir_path(l->dir));
    *ret_landing = &l->landing;
    return 0;
}
