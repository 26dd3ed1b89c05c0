/* An OVF package as files in a folder: NAME.ovf, NAME.mf if there is one, and the files that the
 * descriptor names beside it.
 *
 * Calls come from one thread at a time; each stream may live in a thread of its own.
 */
#ifndef IMPORTER_SOURCE_OVF_DIR_H
#define IMPORTER_SOURCE_OVF_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/stream.h>

struct vf_ovf_dir;

/* Reads descriptor (at most 16 MiB) and manifest, and compares the descriptor with it. `cancel` may
 * be NULL and must outlive the package. VF_MISSING, VF_AUTH, VF_INVALID, VF_SPACE. */
int vf_ovf_dir_open(const char *ovf_path, const struct vf_cancel *cancel,
                    struct vf_ovf_dir **ret_dir, struct vf_error **err);
void vf_ovf_dir_free(struct vf_ovf_dir *dir); /* no stream of it may be left */

/* Borrowed, NUL-terminated. */
const char *vf_ovf_dir_descriptor(const struct vf_ovf_dir *dir, size_t *ret_len);

/* The bytes of a file, once, with a gzip wrapper taken off; hashed while they are read if the
 * manifest names it. More than max_output_bytes is VF_SPACE at the read. The stream is the
 * caller's. VF_INVALID when `href` leads out of the folder, through a symbolic link too. Where no
 * file has the name as written, percent-encoding is taken off it. */
int vf_ovf_dir_open_file(struct vf_ovf_dir *dir, const char *href, uint64_t max_output_bytes,
                         struct vf_stream **ret_stream, struct vf_error **err);

/* Absolute path of a file, for those who read at random; owned by the caller. Errors as above. */
int vf_ovf_dir_fetch_path(struct vf_ovf_dir *dir, const char *href, char **ret_path,
                          struct vf_error **err);

struct vf_ovf_dir_summary {
    bool has_manifest;
    bool has_certificate; /* it was not looked at */
    unsigned n_checked;   /* files whose digest agreed */
};

/* Once all streams are freed: reads what is left of the files the manifest names, and compares.
 * Only after this is what the streams gave to be trusted. VF_MISSING, VF_INVALID. `ret_summary` may
 * be NULL. */
int vf_ovf_dir_finish(struct vf_ovf_dir *dir, struct vf_ovf_dir_summary *ret_summary,
                      struct vf_error **err);

#endif
