/* What a worker says in its log, told again to the listeners of the one who launched it: the lines
 * of jobs/report/json_lines.c, read back.
 *
 * The log is a pod's: whatever comes is bounded and checked, and lines of another form are kept, a
 * few, for when the worker ends without a result. One thread.
 */
#ifndef JOBS_CLUSTER_WORKER_EVENTS_H
#define JOBS_CLUSTER_WORKER_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/event.h>

/* Of what a worker says, in bytes. */
#define VF_WORKER_TEXT_MAX 2048

#define VF_WORKER_TAIL_LINES 5

struct vf_worker_disk {
    char *name;
    struct vf_progress progress;
    bool running; /* DISK_START was told, and no DISK_END */
};

struct vf_worker_events {
    struct vf_reporter *reporter; /* borrowed; may be NULL */
    char *vm;
    struct vf_worker_disk *disks;
    size_t n_disks;
    bool heard; /* of anything at all */
    bool many;  /* set by the caller: workers follow each other; the last one's result counts */
    bool has_result;
    enum vf_code code; /* of the result; below too */
    char *message;     /* the error, or on success where the VM is; NULL: none given */
    char *hint;
    char *tail[VF_WORKER_TAIL_LINES]; /* the last lines that are no events, oldest first */
    size_t n_tail;
};

/* `vm` is the VM's name for people. */
void vf_worker_events_init(struct vf_worker_events *w, struct vf_reporter *reporter, const char *vm,
                           size_t n_disks);
/* What the disk is called until and unless it is given: "disk N". */
void vf_worker_events_name_disk(struct vf_worker_events *w, size_t index, const char *name);

/* One line without its end; it need not be NUL-terminated. */
void vf_worker_events_line(struct vf_worker_events *w, const char *line, size_t len);

/* The worker is gone: disks that it did not end are told as ended with `error` (may be NULL). */
void vf_worker_events_end(struct vf_worker_events *w, const struct vf_error *error);

/* The kept lines as one text, or NULL. Caller frees. */
char *vf_worker_events_tail(const struct vf_worker_events *w);

/* After vf_worker_events_end. */
void vf_worker_events_release(struct vf_worker_events *w);

#endif
