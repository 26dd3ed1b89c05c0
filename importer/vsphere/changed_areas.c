#include "importer/vsphere/changed_areas.h"

#include <inttypes.h>

#include "importer/base/xml.h"
#include "importer/vsphere/vim_names.h"

int vf_changed_areas_add(struct vf_areas *s, uint64_t disk_bytes, uint64_t offset_bytes,
                         uint64_t length_bytes, struct vf_error **err)
{
    uint64_t end;
    if (length_bytes == 0) {
        return 0;
    }
    if (offset_bytes >= disk_bytes || __builtin_add_overflow(offset_bytes, length_bytes, &end)) {
        return vf_error_set(err, VF_RANGE,
                            "a changed area at %" PRIu64 " is not on the disk, which has %" PRIu64
                            " bytes",
                            offset_bytes, disk_bytes);
    }
    offset_bytes -= offset_bytes % VF_CHANGED_AREAS_ALIGN_BYTES;
    if (end < disk_bytes && end % VF_CHANGED_AREAS_ALIGN_BYTES) {
        end += VF_CHANGED_AREAS_ALIGN_BYTES - end % VF_CHANGED_AREAS_ALIGN_BYTES;
    }
    if (end > disk_bytes) {
        end = disk_bytes;
    }
    return vf_areas_add(s, offset_bytes, end - offset_bytes, err);
}

void vf_changed_areas_set_whole(struct vf_areas *s, uint64_t disk_bytes)
{
    vf_areas_clear(s);
    (void)vf_areas_add(s, 0, disk_bytes, NULL); /* one area is below every ceiling */
}

static int bad_answer(struct vf_error **err, const char *why)
{
    return vf_error_set(err, VF_INVALID, "vSphere's answer about changed areas %s", why);
}

int vf_changed_areas_parse_answer(struct vf_areas *s, uint64_t disk_bytes, const xmlNode *info,
                                  uint64_t asked_bytes, uint64_t *ret_next, struct vf_error **err)
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
        int rc = vf_changed_areas_add(s, disk_bytes, start, bytes, err);
        if (rc) {
            return rc;
        }
    }
    *ret_next = next < disk_bytes ? next : disk_bytes;
    return 0;
}
