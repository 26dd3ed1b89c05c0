/* vmferry.json: what a `dir` target holds, from where, and what its content must be. Written last:
 * a folder without it is no finished import.
 */
#ifndef JOBS_RECORD_H
#define JOBS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#define VF_RECORD_VERSION 1

struct vf_record_disk {
    char *file;   /* name within the folder */
    char *format; /* "raw", "qcow2" */
    char *digest; /* digest.h; NULL: none was taken */
    char *label;  /* "Hard disk 1"; may be NULL */
    char *source; /* file on the source; may be NULL */
    uint64_t size_bytes;
};

struct vf_record {
    char *vm;                    /* the source's name */
    char *name;                  /* of the objects and files */
    char *source_kind;           /* "vsphere", "ova", "ovf", "vmdk" */
    char *source;                /* host, file or URL without credentials */
    char *moref, *instance_uuid; /* NULL unless vSphere */
    bool snapshot;               /* the VM ran: content is of a snapshot */
    bool quiesced;               /* of the snapshot */
    struct vf_record_disk *disks;
    size_t n_disks;
};

void vf_record_release(struct vf_record *r); /* of a zeroed struct too */

/* Heap text, pretty JSON with a newline at its end. */
char *vf_record_encode(const struct vf_record *r);

/* VF_INVALID for anything that vf_record_encode does not write; VF_UNSUPPORTED for a later version.
 * File names with a slash are refused. */
int vf_record_parse(const char *text, size_t len, struct vf_record *ret_record,
                    struct vf_error **err);

/* Read DIR/vmferry.json. */
int vf_record_load(const char *dir, struct vf_record *ret_record, struct vf_error **err);

#endif
