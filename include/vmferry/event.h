/* What happens during a job, as data: the terminal, JSON lines and (later) metrics and Kubernetes
 * events are listeners of the same calls.
 */
#ifndef VMFERRY_EVENT_H
#define VMFERRY_EVENT_H

#include <stdatomic.h>
#include <stdint.h>

#include <vmferry/error.h>

/* Counters of one disk, written by the data path, read by the reporter. All in bytes. */
struct vf_progress {
    _Atomic uint64_t done_bytes;   /* logical bytes settled, data and zero: 0..total */
    _Atomic uint64_t data_bytes;   /* of those, written as data */
    _Atomic uint64_t source_bytes; /* read from the source, as it came (compressed) */
    uint64_t total_bytes;          /* capacity; fixed before the copy starts */
};

enum vf_event_type {
    VF_EVENT_PHASE,      /* name = "snapshot", "copy", ... ; detail in message; maybe data */
    VF_EVENT_WARNING,    /* message */
    VF_EVENT_INFO,       /* message */
    VF_EVENT_DISK_START, /* disk, name, progress (valid until DISK_END) */
    VF_EVENT_DISK_END,   /* disk, name; error NULL when good */
    VF_EVENT_RESULT,     /* the job ended; error NULL when good */
};

struct vf_event {
    enum vf_event_type type;
    const char *vm;   /* borrowed, may be NULL */
    unsigned disk;    /* index, for DISK_* */
    const char *name; /* of the disk or phase */
    const char *message;
    const struct vf_progress *progress;
    const struct vf_error *error;
    /* One JSON object as text, for listeners that hand data on: the status of a migration. */
    const char *data;
};

struct vf_reporter;

struct vf_reporter_ops {
    void (*event)(struct vf_reporter *r, const struct vf_event *e); /* any thread */
    void (*free)(struct vf_reporter *r);
};

struct vf_reporter {
    const struct vf_reporter_ops *ops;
};

void vf_report(struct vf_reporter *r, const struct vf_event *e); /* r may be NULL */
void vf_report_phase(struct vf_reporter *r, const char *vm, const char *phase, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void vf_report_warning(struct vf_reporter *r, const char *vm, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void vf_report_info(struct vf_reporter *r, const char *vm, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void vf_reporter_free(struct vf_reporter *r);

#endif
