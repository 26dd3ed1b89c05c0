/* A migration that another vmferry works on, followed over its board: its status becomes events of
 * a reporter here.
 *
 * A status is foreign input of which vf_migration_status_parse has made sure. One thread.
 */
#ifndef JOBS_MIGRATION_FOLLOW_H
#define JOBS_MIGRATION_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>

#include "jobs/migration/board.h"
#include "jobs/migration/status.h"

struct vf_follow;

struct vf_follow *vf_follow_new(struct vf_reporter *reporter); /* may be NULL */
/* Disks that were begun are told as ended. NULL is fine. */
void vf_follow_free(struct vf_follow *f);

/* Tell what is new in it: a phase, its detail, an error that is being dealt with, the counters of
 * the round's disks. Nothing is kept of `s`. */
void vf_follow_tell(struct vf_follow *f, const struct vf_migration_status *s);

/* Fetch the status until the migration has ended, whichever way, or nobody has worked on it for
 * patience_ms: VF_CONFLICT then, with what to do. A board that cannot be read for a while
 * (VF_RETRY) counts as nobody. *ret_last is set, and to be released by the caller, on success
 * alone. */
int vf_follow_run(struct vf_follow *f, struct vf_board *board, int64_t patience_ms,
                  const struct vf_cancel *cancel, struct vf_migration_status *ret_last,
                  struct vf_error **err);

/* 0 for DONE; else the code and *err of the end that `s` tells of: VF_CANCELLED, or VF_CONFLICT
 * with the error as it was told there. */
int vf_follow_end(const struct vf_migration_status *s, struct vf_error **err);

#endif
