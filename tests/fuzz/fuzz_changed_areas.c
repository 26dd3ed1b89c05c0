/* Answers to QueryChangedDiskAreas, and change IDs. 'i': two change IDs, a newline between them.
 * Else the first byte chooses the ceiling of areas, the second the disk's size, and an answer
 * follows, which is taken as one to two questions. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "importer/base/xml.h"
#include "importer/vsphere/change_id.h"
#include "importer/vsphere/changed_areas.h"
#include "importer/vsphere/soap.h"
#include "importer/vsphere/vim_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth) {
        abort();
    }
}

static void check_areas(const struct vf_areas *s, uint64_t disk_bytes)
{
    struct vf_area a;
    uint64_t end = 0, sum = 0;
    size_t n = 0;
    must(s->count <= s->max);
    for (; vf_areas_next(s, end, &a); n++) {
        must(a.length_bytes > 0 && (n == 0 || a.offset_bytes > end));
        must(!__builtin_add_overflow(a.offset_bytes, a.length_bytes, &end));
        must(end <= disk_bytes && a.offset_bytes % VF_CHANGED_AREAS_ALIGN_BYTES == 0);
        must(end == disk_bytes || end % VF_CHANGED_AREAS_ALIGN_BYTES == 0);
        sum += a.length_bytes;
    }
    must(s->count == n && s->total_bytes == sum);
}

/* No byte of an answer that was taken is lost. */
static void check_cover(const struct vf_areas *s, uint64_t disk_bytes, const xmlNode *info)
{
    const xmlNode *area = vf_xml_child(info, VF_VIM_NS, "changedArea");
    for (; area; area = vf_xml_next(area, VF_VIM_NS, "changedArea")) {
        uint64_t start = 0, bytes = 0;
        must(vf_xml_child_u64(area, VF_VIM_NS, "start", &start));
        must(vf_xml_child_u64(area, VF_VIM_NS, "length", &bytes));
        if (bytes > 0) {
            must(start < disk_bytes);
            uint64_t rest = disk_bytes - start;
            must(vf_areas_contains(s, start, bytes < rest ? bytes : rest));
        }
    }
}

static void read_answer(const char *text, size_t len, size_t max, uint64_t disk_bytes)
{
    struct vf_answer answer = {0};
    if (vf_soap_parse(text, len, "QueryChangedDiskAreas", &answer, NULL)) {
        return;
    }
    const xmlNode *info = vf_xml_child(answer.response, VF_VIM_NS, "returnval");
    struct vf_areas s;
    uint64_t next = 0;
    vf_areas_init(&s, max, VF_AREAS_WIDEN);
    for (int i = 0; i < 2; i++) {
        uint64_t asked = next;
        struct vf_error *err = NULL;
        int rc = vf_changed_areas_parse_answer(&s, disk_bytes, info, asked, &next, &err);
        must((rc == 0) == (err == NULL));
        vf_error_free(err);
        if (rc) {
            break;
        }
        must(next <= disk_bytes && (next > asked || next == disk_bytes));
        check_areas(&s, disk_bytes);
        check_cover(&s, disk_bytes, info);
    }
    vf_changed_areas_set_whole(&s, disk_bytes);
    check_areas(&s, disk_bytes);
    must(s.count == 1 && s.total_bytes == disk_bytes && !s.inexact);
    vf_areas_release(&s);
    vf_answer_release(&answer);
}

static void read_ids(char *text)
{
    struct vf_change_id then, now;
    char *second = strchr(text, '\n');
    if (!second) {
        return;
    }
    *second++ = '\0';
    if (vf_change_id_parse(text, &then, NULL) == 0) {
        must(strlen(then.tracking) > 0 && strlen(then.tracking) <= VF_CHANGE_ID_MAX_TRACKING);
        must(vf_change_id_compare(&then, &then) == VF_CHANGE_SAME);
        if (vf_change_id_parse(second, &now, NULL) == 0) {
            must((vf_change_id_compare(&then, &now) == VF_CHANGE_LATER) ==
                 (vf_change_id_compare(&now, &then) == VF_CHANGE_EARLIER));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }
    char *text = vf_xcalloc(size, 1); /* NUL-terminated */
    if (data[0] == 'i') {
        memcpy(text, data + 1, size - 1);
        read_ids(text);
    } else {
        memcpy(text, data + 2, size - 2);
        size_t max = 4 + data[0] % 64u;
        uint64_t disk_bytes = ((uint64_t)1 << (data[1] % 63)) + data[1];
        read_answer(text, size - 2, max, disk_bytes);
    }
    free(text);
    return 0;
}
