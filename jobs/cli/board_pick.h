/* The migration that an operand names: one into a folder, "dir:PATH", or one of a cluster's
 * namespace, NAME.
 */
#ifndef JOBS_CLI_BOARD_PICK_H
#define JOBS_CLI_BOARD_PICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/cli/cluster_args.h"
#include "jobs/cli/command.h"
#include "jobs/cli/status_view.h"
#include "jobs/cluster/warm_board.h"
#include "jobs/migration/board.h"

struct vf_picked_board {
    struct vf_board *board;
    const char *path; /* of a folder; borrowed from the operand; NULL: in a cluster */
    const char *name; /* of one in a cluster; borrowed; NULL: in a folder */
    /* How long nobody may seem to work on it before that is believed: a Job starts its pod anew. */
    int64_t patience_ms;
};

/* Misuse for an operand that is neither, and for options of a cluster with a folder. */
int vf_board_pick(struct vf_cli *cli, const char *operand, const struct vf_cluster_args *cluster,
                  struct vf_picked_board *ret, struct vf_error **err);
void vf_board_unpick(struct vf_picked_board *p); /* of a zeroed struct too */

/* Its status, to be released, and whether a vmferry works on it. VF_MISSING where there is none;
 * *ret_alive is set all the same. */
int vf_board_fetch_status(const struct vf_picked_board *p, struct vf_migration_status *ret,
                          bool *ret_alive, struct vf_error **err);

struct vf_board_list {
    struct vf_cluster_migration *migrations; /* or the one of a folder */
    struct vf_status_row *rows;              /* of them */
    size_t n;
};

/* The one that the operand names, or without (NULL) all of the cluster's namespace. */
int vf_board_list(struct vf_cli *cli, const char *operand, const struct vf_cluster_args *cluster,
                  struct vf_board_list *ret, struct vf_error **err);
void vf_board_list_release(struct vf_board_list *l); /* of a zeroed struct too */

#endif
