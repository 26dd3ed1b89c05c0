/* Listeners for the events of a job: bars on a terminal, JSON lines, plain lines for a log.
 *
 * Each is a struct vf_reporter (vmferry/event.h): events come from any thread; a second result is
 * ignored. Disks that are started anew after a phase in which none ran are those of a new round:
 * the ones before are forgotten. Free it with vf_reporter_free before anything else is written to
 * `out`.
 */
#ifndef JOBS_REPORT_REPORT_H
#define JOBS_REPORT_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <vmferry/cancel.h>
#include <vmferry/event.h>

#include "importer/base/clock.h"

struct vf_report_options {
    FILE *out; /* borrowed */
    bool color;
    const struct vf_cancel *cancel; /* once set, people are told that the clean-up has begun */
    /* For tests; NULL or 0 means the real thing. */
    int64_t (*clock_ms)(void *opaque);
    void (*wall_clock)(void *opaque, char buf[VF_CLOCK_RFC3339_SIZE]);
    void (*terminal_size)(void *opaque, unsigned *ret_rows, unsigned *ret_columns);
    void *opaque;
    bool no_thread; /* nothing happens by itself; vf_report_tick does it */
};

/* One line a disk and a total, redrawn in place five times a second; phases, notes and warnings
 * scroll by above. `out` is a terminal that knows the usual escape sequences. */
struct vf_reporter *vf_report_bar_new(const struct vf_report_options *options);

/* One JSON object a line: "event" is phase, warning, info, disk_start, progress (each second, for
 * every running disk), disk_end or result. A phase's data is its "status". */
struct vf_reporter *vf_report_json_new(const struct vf_report_options *options);

enum vf_report_level {
    VF_REPORT_SILENT,   /* nothing; errors are the caller's */
    VF_REPORT_WARNINGS, /* warnings */
    VF_REPORT_PLAIN,    /* phases, notes, disks, and progress every ten seconds */
};
struct vf_reporter *vf_report_plain_new(const struct vf_report_options *options,
                                        enum vf_report_level level);

/* What the reporter's thread does each time it wakes, for tests with no_thread. */
void vf_report_tick(struct vf_reporter *r);

#endif
