/* What an image file is, told by its content. Nothing is trusted but magic numbers; a name whose
 * suffix promises a format that the content does not show is damage, not a raw disk.
 */
#ifndef CONVERTERS_DISK_PROBE_H
#define CONVERTERS_DISK_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

enum vf_image_kind {
    VF_IMAGE_RAW,             /* nothing known was found */
    VF_IMAGE_VMDK_DESCRIPTOR, /* text; the data is in other files */
    VF_IMAGE_VMDK_SPARSE,     /* hosted sparse */
    VF_IMAGE_VMDK_STREAM,     /* streamOptimized: for the forward decoder (vmdk_stream.h) */
    VF_IMAGE_VMDK_COWD,       /* vmfsSparse: VMFS5 snapshot data */
    VF_IMAGE_VMDK_SESPARSE,   /* VMFS6 snapshot data */
    VF_IMAGE_QCOW2,
    VF_IMAGE_VHD, /* "vpc" to qemu-img */
    VF_IMAGE_VHDX,
    VF_IMAGE_VDI,
    VF_IMAGE_TAR,     /* an OVA, if it is anything of ours */
    VF_IMAGE_GZIP,    /* of an OVA member, a VMDK or a raw image: look inside */
    VF_IMAGE_OVF,     /* XML */
    VF_IMAGE_FOREIGN, /* recognised, but nothing vmferry reads (zip, xz, qcow1, QED, DMG, ...) */
};

/* How much of the start of a file vf_probe_head needs at most; it does with less. */
#define VF_PROBE_HEAD_BYTES 4096

/* Pure. Tells the kind from the first bytes; VF_IMAGE_RAW when they match nothing. A fixed VHD has
 * its mark at the end and is not seen here. *ret_what (may be NULL) is a static name for people. */
enum vf_image_kind vf_probe_head(const void *head, size_t len, const char **ret_what);

/* As above for a regular file or block device, ends looked at too. VF_INVALID when the content
 * contradicts the suffix of the name (".vmdk", ".qcow2", ".vhd", ".vhdx", ".vdi", ".ova"). */
int vf_probe_file(const char *path, enum vf_image_kind *ret_kind, struct vf_error **err);

/* As vf_probe_file, on an open file; `path` gives the suffix and the name for errors. */
int vf_probe_fd(int fd, const char *path, enum vf_image_kind *ret_kind, struct vf_error **err);

const char *vf_image_kind_name(enum vf_image_kind kind); /* "hosted sparse VMDK" */

#endif
