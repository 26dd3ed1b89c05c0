/* An OVA: an OVF package as one tar file (DMTF DSP0243 2.1.1, section 6.3), read forward once.
 *
 * The manifest may come before or after the files it names: each member is hashed as it goes by,
 * and compared as soon as both are known. One thread at a time.
 */
#ifndef IMPORTER_SOURCE_OVA_H
#define IMPORTER_SOURCE_OVA_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/stream.h>

struct vf_ova;

/* `in` is taken, on failure too; it may be a tar or a gzip of one. `name` is for errors about the
 * whole; the caller's frame tells which archive it was. VF_INVALID when it is neither. */
int vf_ova_open(struct vf_stream *in, const char *name, struct vf_ova **ret_ova,
                struct vf_error **err);
void vf_ova_free(struct vf_ova *ova);

struct vf_ova_member {
    const char *name;    /* without leading "./"; borrowed until the ova is freed */
    uint64_t size_bytes; /* as stored in the tar */
};

/* The next file of the package, in the tar's order; what the caller left unread of the one before
 * is read and hashed first. *ret_end is set, and the member untouched, behind the last. The first
 * is the descriptor (NAME.ovf): anything else is VF_INVALID. Manifest and certificate are not
 * given: they are for us. VF_INVALID too for damage, for a file twice, a second descriptor or
 * manifest, a link or device, a name that leads out, and a digest that does not agree with the
 * manifest. */
int vf_ova_next(struct vf_ova *ova, struct vf_ova_member *ret_member, bool *ret_end,
                struct vf_error **err);

/* The bytes of the member that next gave, once; a gzip wrapper is taken off. More than
 * max_output_bytes after that is VF_SPACE at the read. The stream belongs to the ova and ends with
 * the next call of next, finish or free; freeing it is allowed and does nothing. */
int vf_ova_open_member(struct vf_ova *ova, uint64_t max_output_bytes, struct vf_stream **ret_stream,
                       struct vf_error **err);

/* The whole member as heap text, NUL-terminated: for the descriptor, bounded at 16 MiB. */
int vf_ova_read_descriptor(struct vf_ova *ova, char **ret_text, size_t *ret_len,
                           struct vf_error **err);

struct vf_ova_summary {
    bool has_manifest;
    bool has_certificate; /* it was not looked at */
    unsigned n_checked;   /* files whose digest agreed */
    unsigned n_unchecked; /* files that the manifest does not name */
};

/* Reads on to the end, and makes sure that every file the manifest names was there and agreed. Only
 * after this is what the members gave to be trusted. VF_MISSING, VF_INVALID. `ret_summary` may be
 * NULL. */
int vf_ova_finish(struct vf_ova *ova, struct vf_ova_summary *ret_summary, struct vf_error **err);

#endif
