/* Durations and points in time, as they are written on a command line. Pure but for the time zone
 * (TZ), in which a time without an offset is meant.
 */
#ifndef JOBS_CLI_WHEN_H
#define JOBS_CLI_WHEN_H

#include <stdint.h>

#include <vmferry/error.h>

/* "90" and "90s", "5m", "2h", "1d": whole units, 1 s to 365 days. VF_INVALID. */
int vf_when_parse_duration(const char *text, int64_t *ret_ms, struct vf_error **err);

/* RFC 3339, "2026-11-22T02:00:00Z" or with an offset; or local, "2026-11-22 02:00". Seconds may be
 * left out. To Unix time; from 1970 to 9999. VF_INVALID, too, for a local time that a change of the
 * clocks skips or brings twice. */
int vf_when_parse_time(const char *text, int64_t *ret_s, struct vf_error **err);

/* "FROM/TO", both as above, TO later. */
int vf_when_parse_window(const char *text, int64_t *ret_from_s, int64_t *ret_until_s,
                         struct vf_error **err);

/* "2026-11-22 02:00:00 +0100", local. */
#define VF_WHEN_SIZE 64
const char *vf_when_print(char buf[VF_WHEN_SIZE], int64_t time_s);

#endif
