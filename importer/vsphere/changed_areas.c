#include "importer/vsphere/changed_areas.h"

#include <stdlib.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/vim_names.h"

#define FIRST_CAP       64
#define FIRST_GAP_BYTES 4096u

void vf_areas_init(struct vf_areas *a, uint64_t disk_bytes, size_t max)
{
    *a = (struct vf_areas){.disk_bytes = disk_bytes, .max = max};
}

void vf_areas_release(struct vf_areas *a)
{
    free(a->list);
    *a = (struct vf_areas){0};
}

static int by_offset(const void *x, const void *y)
{
    const struct vf_area *a = x, *b = y;
    return (a->offset_bytes > b->offset_bytes) - (a->offset_bytes < b->offset_bytes);
}

/* Sums of offset and length stay below disk_bytes, which add() saw to. */
static uint64_t end_of(const struct vf_area *a)
{
    return a->offset_bytes + a->length_bytes;
}

/* Make `to` reach to the end of `from`, which does not begin before it, when no more than `gap`
 * lies between them. */
static bool join(struct vf_area *to, const struct vf_area *from, uint64_t gap)
{
    uint64_t end = end_of(to);
    if (from->offset_bytes > end && from->offset_bytes - end > gap) {
        return false;
    }
    if (end_of(from) > end) {
        to->length_bytes = end_of(from) - to->offset_bytes;
    }
    return true;
}

static void sort_and_join(struct vf_areas *a)
{
    if (a->unsorted) {
        qsort(a->list, a->n, sizeof a->list[0], by_offset);
        a->unsorted = false;
    }
    size_t kept = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (kept == 0 || !join(&a->list[kept - 1], &a->list[i], a->gap_bytes)) {
            a->list[kept++] = a->list[i];
        }
    }
    a->n = kept;
}

/* Down to half of the ceiling, so that this is not done again at the next area. It ends: a gap of
 * the disk's size leaves one area. */
static void make_room(struct vf_areas *a)
{
    sort_and_join(a);
    while (a->n > a->max / 2) {
        a->gap_bytes = a->gap_bytes ? a->gap_bytes * 2 : FIRST_GAP_BYTES;
        sort_and_join(a);
    }
}

static void append(struct vf_areas *a, const struct vf_area *area)
{
    if (a->n > 0 && area->offset_bytes < a->list[a->n - 1].offset_bytes) {
        a->unsorted = true;
    } else if (a->n > 0 && join(&a->list[a->n - 1], area, a->gap_bytes)) {
        return;
    }
    if (a->n == a->max) {
        make_room(a);
        a->unsorted = a->list[a->n - 1].offset_bytes > area->offset_bytes;
    }
    if (a->n == a->cap) {
        size_t cap = a->cap ? a->cap * 2 : FIRST_CAP;
        a->cap = cap < a->max ? cap : a->max;
        a->list = vf_xrealloc_array(a->list, a->cap, sizeof a->list[0]);
    }
    a->list[a->n++] = *area;
}

int vf_areas_add(struct vf_areas *a, uint64_t offset_bytes, uint64_t length_bytes,
                 struct vf_error **err)
{
    uint64_t end;
    if (length_bytes == 0) {
        return 0;
    }
    if (offset_bytes >= a->disk_bytes || __builtin_add_overflow(offset_bytes, length_bytes, &end)) {
        return vf_error_set(err, VF_RANGE,
                            "a changed area at %llu is not on the disk, which has %llu bytes",
                            (unsigned long long)offset_bytes, (unsigned long long)a->disk_bytes);
    }
    offset_bytes -= offset_bytes % VF_AREA_ALIGN_BYTES;
    if (end < a->disk_bytes && end % VF_AREA_ALIGN_BYTES) {
        end += VF_AREA_ALIGN_BYTES - end % VF_AREA_ALIGN_BYTES;
    }
    if (end > a->disk_bytes) {
        end = a->disk_bytes;
    }
    append(a, &(struct vf_area){offset_bytes, end - offset_bytes});
    return 0;
}

void vf_areas_finish(struct vf_areas *a)
{
    sort_and_join(a);
    a->total_bytes = 0;
    for (size_t i = 0; i < a->n; i++) {
        a->total_bytes += a->list[i].length_bytes;
    }
}

void vf_areas_set_whole(struct vf_areas *a)
{
    a->n = 0;
    a->unsorted = false;
    a->gap_bytes = 0;
    if (a->disk_bytes > 0) {
        append(a, &(struct vf_area){0, a->disk_bytes});
    }
    vf_areas_finish(a);
}

static int bad_answer(struct vf_error **err, const char *why)
{
    return vf_error_set(err, VF_INVALID, "vSphere's answer about changed areas %s", why);
}

int vf_areas_parse_answer(struct vf_areas *a, const xmlNode *info, uint64_t asked_bytes,
                          uint64_t *ret_next, struct vf_error **err)
{
    uint64_t from, length, next;
    if (!vf_xml_child_u64(info, VF_VIM_NS, "startOffset", &from) ||
        !vf_xml_child_u64(info, VF_VIM_NS, "length", &length) ||
        __builtin_add_overflow(from, length, &next)) {
        return bad_answer(err, "does not say what it is about");
    }
    if (from > asked_bytes) {
        return bad_answer(err, "leaves out where it was asked to begin");
    }
    if (next <= asked_bytes) {
        return bad_answer(err, "does not move on");
    }
    const xmlNode *area = vf_xml_child(info, VF_VIM_NS, "changedArea");
    for (; area; area = vf_xml_next(area, VF_VIM_NS, "changedArea")) {
        uint64_t start, bytes;
        if (!vf_xml_child_u64(area, VF_VIM_NS, "start", &start) ||
            !vf_xml_child_u64(area, VF_VIM_NS, "length", &bytes)) {
            return bad_answer(err, "has an area without start or length");
        }
        int rc = vf_areas_add(a, start, bytes, err);
        if (rc) {
            return rc;
        }
    }
    *ret_next = next < a->disk_bytes ? next : a->disk_bytes;
    return 0;
}
