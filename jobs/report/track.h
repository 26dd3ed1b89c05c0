/* The disks of a job as a listener sees them: counters, pace, and how each ended. Not thread-safe;
 * struct vf_listener locks.
 */
#ifndef JOBS_REPORT_TRACK_H
#define JOBS_REPORT_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/event.h>

#include "jobs/report/rate.h"

enum vf_track_state { VF_TRACK_RUNNING, VF_TRACK_DONE, VF_TRACK_FAILED };

struct vf_track_disk {
    char *vm; /* may be NULL */
    unsigned index;
    char *name; /* never NULL */
    enum vf_track_state state;
    const struct vf_progress *progress;                         /* NULL once the disk ended */
    uint64_t done_bytes, data_bytes, source_bytes, total_bytes; /* as last sampled */
    int64_t first_ms, last_ms; /* first sign of movement, last sample; -1: none yet */
    struct vf_rate rate;
    int64_t least_eta_s; /* for a total: all of it takes as long as its slowest disk */
};

struct vf_track {
    struct vf_track_disk *disks; /* by VM as they were told of, then by index */
    size_t n_disks;
    struct vf_rate rate; /* of all together */
    bool over;           /* a phase came when none ran: the next disk begins another round */
};

void vf_track_init(struct vf_track *t);
void vf_track_release(struct vf_track *t);

/* DISK_START and DISK_END change the table, PHASE ends a round of them, everything else is ignored.
 * Returns the disk, borrowed until the next call; NULL when the event is not about a known one. */
const struct vf_track_disk *vf_track_event(struct vf_track *t, const struct vf_event *e,
                                           int64_t now_ms);

/* Read the counters of every running disk. */
void vf_track_sample(struct vf_track *t, int64_t now_ms);

/* A line for all disks: name "total", running until none is. name is not to be freed. */
struct vf_track_disk vf_track_total(const struct vf_track *t);

/* Seconds from the first sign of movement to the last sample. */
uint64_t vf_track_elapsed_s(const struct vf_track_disk *d);
unsigned vf_track_percent(const struct vf_track_disk *d); /* 100 only when every byte is there */
/* Seconds to go at the present pace; -1 when there is no telling. */
int64_t vf_track_eta_s(const struct vf_track_disk *d);
/* Over the whole copy once it ended, of late while it runs. */
uint64_t vf_track_bytes_per_s(const struct vf_track_disk *d);

#endif
