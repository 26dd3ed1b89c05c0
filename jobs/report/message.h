/* One event as one line for people, safe for a terminal. Private to jobs/report. */
#ifndef JOBS_REPORT_MESSAGE_H
#define JOBS_REPORT_MESSAGE_H

#include <stdbool.h>

#include "jobs/report/track.h"

/* A heap string without newline, or NULL when the event has nothing to say: the errors of jobs and
 * disks are told by main(), once. */
char *vf_report_message(const struct vf_event *e, const struct vf_track_disk *disk, bool color);

#endif
