/* Private to the migration into a folder: which image is which disk's. A disk keeps the name that
 * its image was given, when its index changes because others came or went: what was copied of it
 * lies there. One thread.
 */
#ifndef JOBS_MIGRATION_IMAGE_NAMES_H
#define JOBS_MIGRATION_IMAGE_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/vm.h>

#include "jobs/checkpoint.h"
#include "jobs/import_plan.h"

struct vf_known_image;

struct vf_image_names {
    struct vf_known_image *known;
    size_t n_known;
    char **files; /* one a disk of the VM */
    size_t n_files;
};

void vf_image_names_release(struct vf_image_names *n); /* of a zeroed struct too */

/* As an earlier run had it; a name that no image of ours has is left out. */
void vf_image_names_remember(struct vf_image_names *n, const struct vf_checkpoint_disk *d);

/* Set `files` for the VM as it is now: of the disks that are known, by key and backing UUID, where
 * the name is of the format that is written, and new ones for the others. */
void vf_image_names_assign(struct vf_image_names *n, const struct vf_import *im,
                           const struct vf_vm *vm);

/* Whether a name that was read from somewhere may be an image's: a plain file's, with a suffix of
 * ours. */
bool vf_image_names_allow(const char *name);

#endif
