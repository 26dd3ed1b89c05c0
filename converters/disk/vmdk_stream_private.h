/* Private to the stream decoder (vmdk_stream.c, vmdk_stream_body.c): its state, and the buffered
 * reading of its input.
 */
#ifndef CONVERTERS_DISK_VMDK_STREAM_PRIVATE_H
#define CONVERTERS_DISK_VMDK_STREAM_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/stream.h>

#include "converters/disk/bitmap.h"
#include "converters/disk/vmdk_header.h"
#include "converters/disk/vmdk_inflate.h"
#include "converters/disk/vmdk_stream_tables.h"

#define VF_VMDK_BUFFER_BYTES (256u << 10)
#define SECTOR               VMDK_SECTOR_BYTES

struct vf_vmdk_stream {
    struct vf_stream *in;
    uint8_t *buf;
    size_t pos, len;
    uint64_t offset_bytes; /* in the stream, of buf[pos] */
    bool in_ended;

    struct vf_vmdk_header header;
    uint64_t capacity_bytes;
    uint32_t grain_bytes;
    bool tables_in_front; /* qemu-img style: the tables tell what must come */
    bool marker_seen;     /* the end-of-stream marker */
    struct vf_bitmap expected, seen;
    struct vf_stream_tables tables; /* ESXi style: they tell what must have come */

    /* During decode. */
    struct vf_inflate_target target;
    struct vf_lane *lane;
    struct vf_inflate_batch *batch; /* being filled; NULL: none */
    uint64_t settled_bytes;         /* all below is some submitted batch's to settle */
};

/* Have up to `want` (at most VF_VMDK_BUFFER_BYTES) contiguous bytes at s->buf + s->pos; fewer only
 * at the end. */
int vf_vmdk_fill(struct vf_vmdk_stream *s, size_t want, struct vf_error **err);
size_t vf_vmdk_available(const struct vf_vmdk_stream *s);
void vf_vmdk_consume(struct vf_vmdk_stream *s, size_t n); /* at most what is available */

/* Copy n bytes to dst, or drop them when dst is NULL. */
int vf_vmdk_take(struct vf_vmdk_stream *s, void *dst, uint64_t n, const char *where,
                 struct vf_error **err);
int vf_vmdk_skip_to_sector(struct vf_vmdk_stream *s, uint64_t sector, const char *what,
                           struct vf_error **err);
int vf_vmdk_truncated(const struct vf_vmdk_stream *s, const char *where, struct vf_error **err);

uint64_t vf_vmdk_grains(const struct vf_vmdk_stream *s); /* of the disk, the last perhaps short */

#endif
