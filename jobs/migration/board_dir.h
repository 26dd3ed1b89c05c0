/* Private to the migration into a folder: the end of its board (board.h). */
#ifndef JOBS_MIGRATION_BOARD_DIR_H
#define JOBS_MIGRATION_BOARD_DIR_H

#include <stdbool.h>

#include <vmferry/error.h>

#include "jobs/migration/board.h"

/* Remove what the board left in the folder: with `all` the status too, and none is published any
 * more, for the folder is to be gone. */
int vf_board_dir_clear(struct vf_board *b, bool all, struct vf_error **err);

#endif
