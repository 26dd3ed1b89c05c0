#include "importer/vsphere/change_id.h"

#include <stdbool.h>
#include <string.h>

static bool parse_sequence(const char *text, uint64_t *ret)
{
    uint64_t n = 0;
    if (!*text) {
        return false;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(n, UINT64_C(10), &n) ||
            __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n)) {
            return false;
        }
    }
    *ret = n;
    return true;
}

static bool is_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

int vf_change_id_parse(const char *text, struct vf_change_id *ret, struct vf_error **err)
{
    struct vf_change_id id = {0};
    const char *slash = text ? strrchr(text, '/') : NULL;
    size_t len = slash ? (size_t)(slash - text) : 0;
    if (len == 0 || len > VF_CHANGE_ID_MAX_TRACKING || !is_printable(text, len) ||
        !parse_sequence(slash + 1, &id.sequence)) {
        return vf_error_set(err, VF_INVALID, "the disk's change ID is of an unknown form");
    }
    memcpy(id.tracking, text, len);
    *ret = id;
    return 0;
}

enum vf_change_order vf_change_id_compare(const struct vf_change_id *then,
                                          const struct vf_change_id *now)
{
    if (strcmp(then->tracking, now->tracking) != 0) {
        return VF_CHANGE_FOREIGN;
    }
    return now->sequence == then->sequence  ? VF_CHANGE_SAME
           : now->sequence > then->sequence ? VF_CHANGE_LATER
                                            : VF_CHANGE_EARLIER;
}
