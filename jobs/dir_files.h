/* The files that make a VM in a folder: an image for each disk, manifests.yaml, and vmferry.json,
 * which makes an import of them. What the landing of an import and the target of a warm migration
 * share. One thread.
 */
#ifndef JOBS_DIR_FILES_H
#define JOBS_DIR_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/target/dir.h"
#include "jobs/image_target.h"
#include "jobs/import_plan.h"

struct vf_dir_files {
    struct vf_import *im; /* borrowed */
    struct vf_dir *dir;   /* borrowed */
    struct vf_image_target *images;
    size_t n_images;
    char *manifests; /* text, made before the copy so that what cannot be described is told early;
                        made again with the digests */
};

/* The images' format. */
enum vf_format vf_dir_files_format(const struct vf_import *im);
/* "web01-disk-0.img"; the caller frees it. */
char *vf_dir_files_name(const struct vf_import *im, size_t index);

/* Claim and reserve the images `names` (one a disk of `vm`) and the manifests, and ask for space.
 * With `go_on` images that an earlier run left are kept, now and at release, and count as space
 * that is there. May be called again. */
int vf_dir_files_prepare(struct vf_dir_files *f, const struct vf_vm *vm, char *const *names,
                         bool go_on, struct vf_error **err);

/* The manifests as they are to be written: once before anything is given its name. */
int vf_dir_files_describe(struct vf_dir_files *f, const struct vf_vm *vm, struct vf_error **err);

/* An earlier import here is none any more; images, manifests and record get their names in that
 * order, and what only the earlier import had is removed. Images that have their name already, from
 * a commit that broke off, are fine. */
int vf_dir_files_commit(struct vf_dir_files *f, const struct vf_vm *vm, struct vf_error **err);

void vf_dir_files_release(struct vf_dir_files *f); /* of a zeroed struct too */

/* VF_CONFLICT when the folder holds a warm migration that is not over: its copies are worth hours,
 * and no import removes them. */
int vf_dir_files_check_no_migration(const struct vf_dir *dir, struct vf_error **err);

#endif
