/* Any local disk image that vmferry's own readers cover, as a vf_disk. */
#ifndef CONVERTERS_DISK_IMAGE_H
#define CONVERTERS_DISK_IMAGE_H

#include <stdbool.h>

#include <vmferry/disk.h>
#include <vmferry/error.h>

#include "converters/disk/probe.h"

/* What was opened; plain data. */
struct vf_image_info {
    enum vf_image_kind kind;
    unsigned n_extents;    /* of the top layer; 1 for all but VMDK descriptors */
    unsigned n_layers;     /* 1, or more when the disk is a delta on parents */
    bool unclean_shutdown; /* the last writer did not close some layer properly: tell the user */
};

/* `path` is a regular file or block device. `format` is NULL (the content decides) or one of "raw",
 * "vmdk", "qcow2": the file must then be that.
 *
 * A VMDK descriptor is followed to its extent files, and a delta to its parents, but only inside
 * the folder of the descriptor: absolute names, "..", and symbolic links that lead out of it are
 * VF_INVALID. Nothing is held in memory that grows with the disk.
 *
 * The disk may be read by any number of threads (vmferry/disk.h); free it with vf_disk_free.
 * `ret_info` may be NULL.
 *
 * Errors: VF_MISSING (the file, an extent or a parent is not there); VF_INVALID (damage: the text
 * gives the offset and what is wrong); VF_UNSUPPORTED for what is sound but not covered here:
 * streamOptimized (use vmdk_stream.h), qcow2 with compressed clusters, VHD, VHDX, VDI (use
 * qemu_img.h: vf_qemu_img_covers tells), archives, encryption, raw device mappings, backing files,
 * snapshot data (COWD, SESparse) named without its descriptor, and deltas whose parent is absent.
 */
int vf_image_open(const char *path, const char *format, struct vf_disk **ret_disk,
                  struct vf_image_info *ret_info, struct vf_error **err);

#endif
