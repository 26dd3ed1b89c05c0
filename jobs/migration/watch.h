/* Private to jobs/migration: what others see of a migration and ask of it. Keeps the status, tells
 * the reporter and the board, and takes requests from the board. As long as there is a board, a
 * thread of its own does it once a second, whatever the migration waits for: that a migration is
 * alive is told by its board.
 *
 * Threads: every function from the migration's one, but for the reporter's events.
 */
#ifndef JOBS_MIGRATION_WATCH_H
#define JOBS_MIGRATION_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>

#include "jobs/checkpoint.h"
#include "jobs/migration/board.h"
#include "jobs/migration/status.h"
#include "jobs/rounds.h"

struct vf_watch;

/* `next` (may be NULL) hears every event too. NULL without memory for a thread's lock. */
struct vf_watch *vf_watch_new(struct vf_reporter *next, const struct vf_cancel *cancel);
void vf_watch_free(struct vf_watch *w); /* NULL is fine */

/* What the parts of the migration report to. */
struct vf_reporter *vf_watch_reporter(struct vf_watch *w);

/* From now on there is one; NULL: no more. Borrowed. */
void vf_watch_set_board(struct vf_watch *w, struct vf_board *board);
/* From now on the board is written to by tell alone, so that others may work on it. */
void vf_watch_quiet(struct vf_watch *w);

/* Who and where; each NULL leaves what there is. */
void vf_watch_set_names(struct vf_watch *w, const char *name, const char *vm, const char *uuid,
                        const char *source, const char *place);
void vf_watch_set_transport(struct vf_watch *w, const char *name, const char *reason);
void vf_watch_set_cutover(struct vf_watch *w, const char *when);
/* Failed tries of this round, and at the end the downtime: told with the next phase. */
void vf_watch_set_numbers(struct vf_watch *w, unsigned tries, int64_t downtime_ms);
/* Disks, rounds and bytes as the checkpoint has them. */
void vf_watch_set_checkpoint(struct vf_watch *w, const struct vf_checkpoint *c);

void vf_watch_tell(struct vf_watch *w, enum vf_migration_phase phase,
                   const struct vf_rounds_forecast *forecast, const char *detail,
                   const char *next_step, const struct vf_error *error);

/* As vf_world_ops.wait. */
int vf_watch_wait(struct vf_watch *w, int64_t timeout_ms, struct vf_migration_request *ret,
                  struct vf_error **err);

/* A round is being copied, or read back: until stop its bytes are shown, and a request to cancel
 * triggers `cancel`. stop is true when it did. A request to cut over stays for wait. */
void vf_watch_start(struct vf_watch *w, struct vf_cancel *cancel);
bool vf_watch_stop(struct vf_watch *w);

#endif
