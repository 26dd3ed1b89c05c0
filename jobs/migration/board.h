/* Contract: where a migration shows how it stands, and where requests to it are left. The two sides
 * are different processes, maybe on different machines: files beside a `dir` target, a ConfigMap in
 * a cluster. Nothing here is needed to go on after a crash; the checkpoint is.
 *
 * Implementations embed `struct vf_board` as their first member. One thread at a time.
 */
#ifndef JOBS_MIGRATION_BOARD_H
#define JOBS_MIGRATION_BOARD_H

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "jobs/migration/status.h"

struct vf_board;

struct vf_board_ops {
    /* --- the migration's side --- */
    /* Replace the status, whole or not at all. */
    int (*publish)(struct vf_board *b, const struct vf_migration_status *s, struct vf_error **err);
    /* The request that was left last; kind NONE when there is none. One that cannot be read is
     * VF_INVALID, and is dropped. */
    int (*fetch_request)(struct vf_board *b, struct vf_migration_request *ret,
                         struct vf_error **err);
    /* It was taken (or refused): the status says so. Fine when there is none. */
    int (*clear_request)(struct vf_board *b, struct vf_error **err);

    /* --- the other side --- */
    /* VF_MISSING: no migration here. Released by the caller. */
    int (*fetch_status)(struct vf_board *b, struct vf_migration_status *ret, struct vf_error **err);
    /* VF_MISSING: no migration here; VF_CONFLICT: another request waits still. */
    int (*leave_request)(struct vf_board *b, const struct vf_migration_request *r,
                         struct vf_error **err);
    /* Whether a vmferry works on it now: a lock held, a Job's pod that runs. */
    int (*fetch_alive)(struct vf_board *b, bool *ret_alive, struct vf_error **err);

    void (*free)(struct vf_board *b);
};

struct vf_board {
    const struct vf_board_ops *ops;
    /* Ends waits; may be changed at any time; NULL: none. */
    const struct vf_cancel *cancel;
};

void vf_board_free(struct vf_board *b); /* NULL is fine */

/* The files of a folder; it need not be locked, nor hold a migration yet. */
#define VF_BOARD_STATUS_NAME  ".vmferry-status.json"
#define VF_BOARD_REQUEST_NAME ".vmferry-request.json"
struct vf_board *vf_board_dir_new(const char *path);

#endif
