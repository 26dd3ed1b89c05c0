/* A folder that takes one VM: made if it is not there, locked while a job writes into it. */
#ifndef IMPORTER_TARGET_DIR_H
#define IMPORTER_TARGET_DIR_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/error.h>

struct vf_dir;

/* The name of the file that makes a folder a finished import; written last. */
#define VF_RECORD_NAME    "vmferry.json"
#define VF_MANIFESTS_NAME "manifests.yaml"

/* Lists the files of an import that has begun and not ended, so that the same command after a kill
 * may replace them, and no others. Who has begun it holds its lock (F_OFD_SETLK), by which others
 * can tell, without taking it, that he lives. */
#define VF_UNFINISHED_NAME ".vmferry-unfinished"

/* The parent folder must exist. VF_CONFLICT when the folder holds a finished import and `overwrite`
 * is false, or when another vmferry holds it. */
int vf_dir_open(const char *path, bool overwrite, struct vf_dir **ret_dir, struct vf_error **err);

/* Unlocks; removes the folder again if it was made here, or by the killed run that noted what is in
 * it, and is empty. */
void vf_dir_free(struct vf_dir *dir);

const char *vf_dir_path(const struct vf_dir *dir); /* borrowed */

/* PATH/NAME; NAME is ours and has no slash. Owned by the caller. */
char *vf_dir_join(const struct vf_dir *dir, const char *name);

/* Before a file of ours is made: note it as unfinished. *ret_ours tells whether it was noted
 * before, by this import or by one that was killed, so that what is there now may be replaced. */
int vf_dir_claim(struct vf_dir *dir, const char *name, bool *ret_ours, struct vf_error **err);

/* Whether `name` is noted, by this import or by one that was killed; and the names that are, one by
 * one: NULL when there are no more. A note is foreign input: the names have no slash, no more is
 * known of them. Owned by the caller. */
bool vf_dir_is_noted(const struct vf_dir *dir, const char *name);
char *vf_dir_get_noted(const struct vf_dir *dir, size_t index);

/* The import is `whole`, or nothing of it is left: drop the note. What a killed import left before
 * stays noted until one is whole. */
void vf_dir_settle(struct vf_dir *dir, bool whole);

/* Remove a file of ours; fine when it is not there. Not durable before vf_dir_sync. */
int vf_dir_remove(struct vf_dir *dir, const char *name, struct vf_error **err);
int vf_dir_sync(struct vf_dir *dir, struct vf_error **err);

/* Whether a vmferry writes into the folder `path` now, and has noted something. Disturbs nobody.
 * VF_MISSING when there is no such folder. */
int vf_dir_fetch_held(const char *path, bool *ret_held, struct vf_error **err);

/* An earlier import here is no longer finished from now on. */
int vf_dir_retract(struct vf_dir *dir, struct vf_error **err);

#endif
