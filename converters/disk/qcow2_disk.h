/* Random access to a qcow2 image, version 2 or 3, that stands alone: what vmferry writes, and most
 * cloud images. Its active state; internal snapshots are passed over.
 * Source: QEMU docs/interop/qcow2.txt.
 */
#ifndef CONVERTERS_DISK_QCOW2_DISK_H
#define CONVERTERS_DISK_QCOW2_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/disk.h>
#include <vmferry/error.h>

#include "converters/disk/mapped_disk.h"

struct vf_qcow2_header {
    uint32_t version;
    uint32_t cluster_bits; /* 9..21 */
    uint64_t size_bytes;
    uint32_t l1_entries;
    uint64_t l1_offset_bytes;
    bool dirty;            /* was not closed; only its refcounts may be wrong */
    bool compression_type; /* other than deflate */
    bool extended_l2;
};

/* Pure. `len` may be less than a header. VF_INVALID: damage, the image's own corrupt mark included;
 * VF_UNSUPPORTED: a backing or data file, encryption, an unknown version or feature. */
int vf_qcow2_header_parse(const uint8_t *bytes, size_t len, struct vf_qcow2_header *ret_header,
                          struct vf_error **err);

/* Every table is looked at before this returns, so that damage shows before a copy begins.
 * layer->fd is taken over on success; layer->parent must be NULL. VF_UNSUPPORTED also: compressed
 * clusters, extended L2 entries (qemu_img.h reads those). */
int vf_qcow2_disk_open(const struct vf_layer *layer, struct vf_disk **ret_disk, bool *ret_unclean,
                       struct vf_error **err);

#endif
