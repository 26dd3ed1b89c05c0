#include <inttypes.h>
#include <string.h>

#include "converters/disk/vmdk_stream_private.h"

int vf_vmdk_fill(struct vf_vmdk_stream *s, size_t want, struct vf_error **err)
{
    if (s->len - s->pos >= want || s->in_ended) {
        return 0;
    }
    memmove(s->buf, s->buf + s->pos, s->len - s->pos);
    s->len -= s->pos;
    s->pos = 0;
    while (s->len < want && !s->in_ended) {
        size_t n = 0;
        int rc = s->in->ops->read(s->in, s->buf + s->len, VF_VMDK_BUFFER_BYTES - s->len, &n, err);
        if (rc) {
            return rc;
        }
        s->len += n;
        s->in_ended = n == 0;
    }
    return 0;
}

size_t vf_vmdk_available(const struct vf_vmdk_stream *s)
{
    return s->len - s->pos;
}

void vf_vmdk_consume(struct vf_vmdk_stream *s, size_t n)
{
    s->pos += n;
    s->offset_bytes += n;
}

int vf_vmdk_truncated(const struct vf_vmdk_stream *s, const char *where, struct vf_error **err)
{
    vf_error_set(err, VF_INVALID, "the VMDK stream is cut short at offset %" PRIu64 ", %s",
                 s->offset_bytes + vf_vmdk_available(s), where);
    vf_error_hint(err, "what was copied is incomplete and was discarded; start the copy again");
    return VF_INVALID;
}

int vf_vmdk_take(struct vf_vmdk_stream *s, void *dst, uint64_t n, const char *where,
                 struct vf_error **err)
{
    uint8_t *to = dst;
    while (n > 0) {
        int rc = vf_vmdk_fill(s, 1, err);
        if (rc) {
            return rc;
        }
        size_t have = vf_vmdk_available(s);
        if (have == 0) {
            return vf_vmdk_truncated(s, where, err);
        }
        size_t part = have < n ? have : (size_t)n;
        if (to) {
            memcpy(to, s->buf + s->pos, part);
            to += part;
        }
        vf_vmdk_consume(s, part);
        n -= part;
    }
    return 0;
}

int vf_vmdk_skip_to_sector(struct vf_vmdk_stream *s, uint64_t sector, const char *what,
                           struct vf_error **err)
{
    if (sector > UINT64_MAX / SECTOR || sector * SECTOR < s->offset_bytes) {
        return vf_error_set(err, VF_INVALID,
                            "the VMDK's %s is said to be at sector %" PRIu64
                            ", which lies outside the part before the grains",
                            what, sector);
    }
    return vf_vmdk_take(s, NULL, sector * SECTOR - s->offset_bytes, "before the grains", err);
}

uint64_t vf_vmdk_grains(const struct vf_vmdk_stream *s)
{
    return (s->capacity_bytes + s->grain_bytes - 1) / s->grain_bytes;
}
