/* A folder that takes one VM: made if it is not there, locked while a job writes into it. */
#ifndef IMPORTER_TARGET_DIR_H
#define IMPORTER_TARGET_DIR_H

#include <stdbool.h>

#include <vmferry/error.h>

struct vf_dir;

/* The name of the file that makes a folder a finished import; written last. */
#define VF_RECORD_NAME    "vmferry.json"
#define VF_MANIFESTS_NAME "manifests.yaml"

/* The parent folder must exist. VF_CONFLICT when the folder holds a finished import and `overwrite`
 * is false, or when another vmferry holds it. */
int vf_dir_open(const char *path, bool overwrite, struct vf_dir **ret_dir, struct vf_error **err);

/* Unlocks; removes the folder again if it was made here and is empty. */
void vf_dir_free(struct vf_dir *dir);

const char *vf_dir_path(const struct vf_dir *dir); /* borrowed */

/* PATH/NAME; NAME is ours and has no slash. Owned by the caller. */
char *vf_dir_join(const struct vf_dir *dir, const char *name);

/* An earlier import here is no longer finished from now on. */
int vf_dir_retract(struct vf_dir *dir, struct vf_error **err);

#endif
