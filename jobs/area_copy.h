/* The pump for areas: what lies in a set, from a disk with random access into a sink, with many
 * requests in flight and bounded memory. Names no concrete source or sink.
 */
#ifndef JOBS_AREA_COPY_H
#define JOBS_AREA_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/disk.h>
#include <vmferry/error.h>
#include <vmferry/event.h>
#include <vmferry/sink.h>

#include "importer/base/areas.h"

struct vf_area_copy {
    struct vf_disk *disk;
    struct vf_sink *sink;         /* random and parallel */
    const struct vf_areas *areas; /* granules of 512 bytes, but for the disk's end */
    unsigned requests;            /* reads under way at once; 0: 64 */
    uint32_t request_bytes;       /* longest read; 0: 256 KiB */
    uint64_t budget_bytes;        /* of buffers for all of it; 0: 32 MiB */
    bool skip_holes;              /* ask the disk for extents, and do not read what is zero */
    struct vf_progress *progress; /* source_bytes; may be NULL */
    struct vf_cancel *cancel;     /* triggered on failure; may be NULL */
};

/* Every byte of the areas once, nothing else, in no order; zeros and holes as zero. Does not flush.
 * The first error wins. */
int vf_area_copy_run(const struct vf_area_copy *c, struct vf_error **err);

#endif
