/* A request to a migration that another vmferry works on, and what comes of it. */
#ifndef JOBS_CLI_ASK_H
#define JOBS_CLI_ASK_H

#include <stdbool.h>

#include "jobs/cli/board_pick.h"
#include "jobs/cli/progress.h"

/* Leave `r` and, with `wait`, follow the migration to its end: the error then tells of one that is
 * not `wanted`. *status is as it was fetched before, and is replaced by the last one. A request
 * that nobody takes is taken back. */
int vf_ask(struct vf_cli *cli, const struct vf_picked_board *p,
           const struct vf_migration_request *r, const struct vf_progress_args *progress,
           bool debug, bool wait, enum vf_migration_phase wanted,
           struct vf_migration_status *status, struct vf_error **err);

#endif
