/* The changed areas of a disk as vSphere names them, for a set of importer/base/areas.h.
 *
 * Areas may be too many, never too few: whatever is doubtful about a border is decided by taking
 * more, and the sets are of VF_AREAS_WIDEN. No network here. Threads as for the sets.
 */
#ifndef IMPORTER_VSPHERE_CHANGED_AREAS_H
#define IMPORTER_VSPHERE_CHANGED_AREAS_H

#include <libxml/tree.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "importer/base/areas.h"

/* Areas begin and end at sectors, or at the disk's end. */
#define VF_CHANGED_AREAS_ALIGN_BYTES 512u

/* `disk_bytes`, here and below, is the disk's size, at most INT64_MAX. The area is rounded outwards
 * to sectors and cut at the disk's end; an empty one is nothing. VF_RANGE when it begins at or
 * behind the end, or overflows: it is of a disk of another size. */
int vf_changed_areas_add(struct vf_areas *s, uint64_t disk_bytes, uint64_t offset_bytes,
                         uint64_t length_bytes, struct vf_error **err);

/* One area, the whole disk, in place of what there was. */
void vf_changed_areas_set_whole(struct vf_areas *s, uint64_t disk_bytes);

/* Take what one DiskChangeInfo (the returnval of QueryChangedDiskAreas) says about the disk from
 * `asked_bytes` on. *ret_next is up to where it speaks, which is more than asked_bytes and at most
 * the disk's end; no areas means that nothing changed up to there.
 * VF_INVALID for an answer that leaves a part untold (it begins behind asked_bytes, or ends there)
 * or lacks numbers, VF_RANGE as vf_changed_areas_add; some of its areas may be in the set then.
 * Source: vSphere API reference, VirtualMachine, QueryChangedDiskAreas. */
int vf_changed_areas_parse_answer(struct vf_areas *s, uint64_t disk_bytes, const xmlNode *info,
                                  uint64_t asked_bytes, uint64_t *ret_next, struct vf_error **err);

#endif
