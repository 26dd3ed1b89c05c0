/* One file at a target: written under NAME.partial, given its name only when complete and durable.
 *
 * One thread. A partial file of a crashed run is taken over; one that a living vmferry holds (its
 * file lock) is VF_CONFLICT.
 */
#ifndef IMPORTER_TARGET_PLACE_H
#define IMPORTER_TARGET_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>

struct vf_place {
    char *path;    /* the final name */
    char *partial; /* what to write; does not exist after reserve */
    bool overwrite;
    bool reserved; /* the partial is removed at release */
};

/* Check that `path` may be written: its folder exists and is writable, nothing is in its place
 * (VF_CONFLICT, unless `overwrite` and it is a regular file), and remove a stale partial. */
int vf_place_reserve(struct vf_place *p, const char *path, bool overwrite, struct vf_error **err);

/* The same, but a partial of an earlier run is gone on with, and stays at release too. */
int vf_place_adopt(struct vf_place *p, const char *path, bool overwrite, struct vf_error **err);

/* Remove the partial; fine when there is none. VF_CONFLICT when it is being written, or no file. */
int vf_place_discard(struct vf_place *p, struct vf_error **err);

/* VF_SPACE when the filesystem of `path`'s folder has less than need_bytes for this user. */
int vf_place_check_space(const char *path, uint64_t need_bytes, struct vf_error **err);

/* partial becomes path, durably. The content was synced by its writer. */
int vf_place_commit(struct vf_place *p, struct vf_error **err);

/* The way back: path becomes partial again, durably, where there is none. */
int vf_place_revoke(const struct vf_place *p, struct vf_error **err);

/* Removes the partial unless committed, frees the strings. Works on a zeroed struct. */
void vf_place_release(struct vf_place *p);

/* Write a small file whole through a place: contents, fsync, rename. mode as open(2). */
int vf_place_write_file(const char *path, const char *text, bool overwrite, struct vf_error **err);

#endif
