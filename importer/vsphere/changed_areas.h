/* The changed areas of a disk, in bounded memory, and the answers of vSphere that they come from.
 *
 * Areas may be too many, never too few: whatever is doubtful about a border is decided by taking
 * more. No network here. Not for concurrent use while areas are added.
 */
#ifndef IMPORTER_VSPHERE_CHANGED_AREAS_H
#define IMPORTER_VSPHERE_CHANGED_AREAS_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>

/* Areas begin and end at sectors, or at the disk's end. */
#define VF_AREA_ALIGN_BYTES 512u

/* Enough for a disk of 2 TiB whose every second 4 MiB changed; 4 MiB of memory. */
#define VF_AREAS_MAX ((size_t)256 << 10)

struct vf_area {
    uint64_t offset_bytes, length_bytes;
};

struct vf_areas {
    /* Once finished: ascending, apart from each other, none empty, inside the disk. */
    struct vf_area *list;
    size_t n;
    uint64_t total_bytes; /* the sum of their lengths; once finished */

    uint64_t disk_bytes;
    size_t max;         /* ceiling of n */
    uint64_t gap_bytes; /* areas this close were made one, to stay below it; 0: none was */
    size_t cap;
    bool unsorted;
};

/* `disk_bytes` is at most INT64_MAX, `max` at least 2: VF_AREAS_MAX, or less in tests. */
void vf_areas_init(struct vf_areas *a, uint64_t disk_bytes, size_t max);
void vf_areas_release(struct vf_areas *a); /* as zeroed; may be released again */

/* Add an area, in any order, overlapping others or not. Rounded outwards to sectors and cut at the
 * disk's end; an empty one is nothing. When there are more than fit, those with the smallest gaps
 * between them are joined. VF_RANGE when it begins at or behind the end, or overflows: it is of a
 * disk of another size. */
int vf_areas_add(struct vf_areas *a, uint64_t offset_bytes, uint64_t length_bytes,
                 struct vf_error **err);

/* Sort, join what overlaps or touches, count. */
void vf_areas_finish(struct vf_areas *a);

/* One area, the whole disk, in place of what there was; finished. */
void vf_areas_set_whole(struct vf_areas *a);

/* Take what one DiskChangeInfo (the returnval of QueryChangedDiskAreas) says about the disk from
 * `asked_bytes` on. *ret_next is up to where it speaks, which is more than asked_bytes and at most
 * the disk's end; no areas means that nothing changed up to there.
 * VF_INVALID for an answer that leaves a part untold (it begins behind asked_bytes, or ends there)
 * or lacks numbers, VF_RANGE as vf_areas_add. Source: vSphere API reference, VirtualMachine,
 * QueryChangedDiskAreas. */
int vf_areas_parse_answer(struct vf_areas *a, const xmlNode *info, uint64_t asked_bytes,
                          uint64_t *ret_next, struct vf_error **err);

#endif
