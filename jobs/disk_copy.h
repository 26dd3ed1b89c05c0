/* One disk on its way from a source to its target: open, copy, finish, with digest and progress.
 * What every job that copies disks shares. One thread, but for the progress counters.
 */
#ifndef JOBS_DISK_COPY_H
#define JOBS_DISK_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/disk.h>
#include <vmferry/event.h>
#include <vmferry/stream.h>

#include "importer/base/pool.h"
#include "importer/base/xxh64.h"
#include "jobs/digest.h"
#include "jobs/disk_target.h"

/* What the copies of one job share; all borrowed. */
struct vf_copy_env {
    struct vf_pool *pool;
    struct vf_reporter *reporter; /* may be NULL */
    const char *vm;               /* for events; may be NULL */
};

struct vf_disk_copy {
    unsigned index;
    char *name; /* for events and errors: "Hard disk 1" */
    bool want_digest;
    uint64_t expected_bytes;       /* what the source's hardware says; 0: not known. A stream that
                                      disagrees is refused */
    struct vf_disk_target *target; /* borrowed */
    struct vf_progress progress;
    uint64_t size_bytes;  /* set by the copy */
    char *digest;         /* set by the copy when wanted */
    struct vf_xxh64 read; /* set by the copy of a stream: what was read of it */
    bool started;         /* DISK_START was reported */
    bool complete;        /* whole and durable */
    bool blank;           /* set by the copy: there was no source */
};

/* Tell the listeners of a disk of expected_bytes before its copy starts, so that they know the
 * whole from the beginning. */
void vf_disk_copy_announce(struct vf_disk_copy *c, const struct vf_copy_env *env);

/* Copy and finish; what a failed one left is discarded. `cancel` is triggered on failure. May be
 * called again after a failure, to start over. */
int vf_disk_copy_stream(struct vf_disk_copy *c, const struct vf_copy_env *env, struct vf_stream *in,
                        struct vf_cancel *cancel, struct vf_error **err);
int vf_disk_copy_disk(struct vf_disk_copy *c, const struct vf_copy_env *env, struct vf_disk *disk,
                      struct vf_cancel *cancel, struct vf_error **err);

/* An empty disk of expected_bytes. */
int vf_disk_copy_blank(struct vf_disk_copy *c, const struct vf_copy_env *env,
                       struct vf_cancel *cancel, struct vf_error **err);

/* For a complete disk whose source is opened again, because the copy of another one broke: is it
 * what was copied? VF_CONFLICT when it is not: the disks would not be of one state. */
int vf_disk_copy_compare_stream(const struct vf_disk_copy *c, struct vf_stream *in,
                                struct vf_error **err);
int vf_disk_copy_compare_disk(const struct vf_disk_copy *c, const struct vf_copy_env *env,
                              struct vf_disk *disk, struct vf_cancel *cancel,
                              struct vf_error **err);

/* Report the end of a disk to the listeners, once, whatever it is. */
void vf_disk_copy_report_end(struct vf_disk_copy *c, const struct vf_copy_env *env,
                             const struct vf_error *error);

/* Of a zeroed struct too. */
void vf_disk_copy_release(struct vf_disk_copy *c);

#endif
