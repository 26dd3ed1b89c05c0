/* The text part of a VMDK: what the disk is made of, and on which parent it stands. Pure.
 * Source: VMware "Virtual Disk Format 5.0", "The Descriptor File".
 */
#ifndef CONVERTERS_DISK_VMDK_DESCRIPTOR_H
#define CONVERTERS_DISK_VMDK_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "converters/disk/vmdk_format.h"

enum vf_vmdk_access { VF_VMDK_RW, VF_VMDK_RDONLY, VF_VMDK_NOACCESS };

enum vf_vmdk_extent_type {
    VF_VMDK_FLAT,
    VF_VMDK_SPARSE,
    VF_VMDK_ZERO,
    VF_VMDK_VMFS,
    VF_VMDK_VMFSSPARSE,
    VF_VMDK_VMFSRDM,
    VF_VMDK_VMFSRAW,
    VF_VMDK_SESPARSE,
};

struct vf_vmdk_extent {
    enum vf_vmdk_access access;
    enum vf_vmdk_extent_type type;
    uint64_t sectors;        /* > 0 */
    uint64_t offset_sectors; /* into the file; FLAT only */
    char *file;              /* UTF-8 as the encoding says, hostile; NULL for ZERO */
    char *file_bytes;        /* the same as it stands in the text; NULL for ZERO */
};

struct vf_vmdk_descriptor {
    uint32_t cid;
    uint32_t parent_cid; /* VMDK_CID_NONE: a base */
    char *create_type;   /* NULL when absent */
    char *parent_hint;   /* UTF-8, hostile; NULL when absent */
    bool encrypted;
    struct vf_vmdk_extent *extents;
    size_t n_extents;
    uint64_t capacity_sectors; /* sum of the extents */
};

#define VF_VMDK_MAX_EXTENTS 8192u

/* Whether the text begins as a descriptor does. */
bool vf_vmdk_descriptor_is(const char *text, size_t len);

/* `text` ends at len or at its first NUL. VF_INVALID gives the line: what is neither comment,
 * key=value nor a known extent is damage, so that nothing of a disk is passed over. VF_UNSUPPORTED:
 * an encoding that is not known, with names that need it. On success release it. */
int vf_vmdk_descriptor_parse(const char *text, size_t len, struct vf_vmdk_descriptor *ret_desc,
                             struct vf_error **err);
void vf_vmdk_descriptor_release(struct vf_vmdk_descriptor *d); /* of a zeroed struct too */

#endif
