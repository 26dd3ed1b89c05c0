/* What the listeners share: the lock that serialises events, the table of disks, and the thread
 * that wakes them at their own interval. Private to jobs/report.
 */
#ifndef JOBS_REPORT_LISTENER_H
#define JOBS_REPORT_LISTENER_H

#include <pthread.h>
#include <stdbool.h>

#include "jobs/report/report.h"
#include "jobs/report/track.h"

struct vf_listener;

/* Called with the lock held: they are the inside of one object, write to `out`, and call nobody
 * that could come back. */
struct vf_listener_ops {
    unsigned interval_ms; /* 0: needs no thread */
    /* After the table has taken it in; `disk` is set for DISK_START and DISK_END. */
    void (*event)(struct vf_listener *l, const struct vf_event *e,
                  const struct vf_track_disk *disk);
    void (*tick)(struct vf_listener *l);
    void (*end)(struct vf_listener *l); /* once, before it is freed; the thread is gone */
};

/* A listener embeds this as its first member. Lock order: none is taken inside. */
struct vf_listener {
    struct vf_reporter base;
    const struct vf_listener_ops *ops;
    struct vf_report_options options;
    struct vf_track track;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool has_thread, stop, told_of_cancel, has_result;
};

/* `l` was allocated by vf_xcalloc as part of a larger struct; vf_reporter_free frees it. Without a
 * thread to be had it listens all the same. */
struct vf_reporter *vf_listener_start(struct vf_listener *l, const struct vf_listener_ops *ops,
                                      const struct vf_report_options *options);

#endif
