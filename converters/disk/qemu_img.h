/* qemu-img as a subprocess, for what our own readers do not cover: VHD, VHDX, VDI and qcow2 with
 * compressed clusters. The input format is always named, the protocol always "file". VMDK never
 * goes this way: qemu-img drops RDONLY and ZERO extents without a word.
 *
 * Any thread; blocks until the subprocess ended.
 */
#ifndef CONVERTERS_DISK_QEMU_IMG_H
#define CONVERTERS_DISK_QEMU_IMG_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "converters/disk/image_format.h"
#include "converters/disk/probe.h"

/* Whether qemu-img is the reader for this kind. */
bool vf_qemu_img_covers(enum vf_image_kind kind);

/* Check that the image is one qemu-img reads rightly (no differencing disk, no backing or data
 * file, no log to replay), and give its size. VF_UNSUPPORTED, VF_INVALID; VF_MISSING without
 * qemu-img. */
int vf_qemu_img_size(const char *path, enum vf_image_kind kind, const struct vf_cancel *cancel,
                     uint64_t *ret_size_bytes, struct vf_error **err);

/* Convert `source` into the new file `target` (replaced when it exists) and make it durable. A
 * failure leaves no target. `format` is RAW or QCOW2. The checks of vf_qemu_img_size come first. */
int vf_qemu_img_convert(const char *source, enum vf_image_kind kind, const char *target,
                        enum vf_format format, const struct vf_cancel *cancel,
                        struct vf_error **err);

/* qemu-img check of a qcow2 file: VF_INVALID when it finds errors or leaks. */
int vf_qemu_img_check(const char *path, const struct vf_cancel *cancel, struct vf_error **err);

#endif
