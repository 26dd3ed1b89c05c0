/* Board of a migration in a cluster (jobs/migration/board.h): the ConfigMap "vmferry-NAME" in its
 * namespace, with vmferry's labels. Status, request and a sign of life are keys of their own, so
 * that whoever writes one leaves the others alone.
 *
 * A status is written when the phase changes, else every few seconds, and may be passed over when
 * the API server is away: the next one makes up for it. No call takes longer than about ten
 * seconds, but for the status that ends a migration, which is tried for a minute.
 */
#ifndef JOBS_CLUSTER_WARM_BOARD_H
#define JOBS_CLUSTER_WARM_BOARD_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>

#include "importer/kube/owned.h"
#include "jobs/cluster/cluster.h"
#include "jobs/migration/board.h"

#define VF_BOARD_STATUS_KEY    "status"
#define VF_BOARD_REQUEST_KEY   "request"
#define VF_BOARD_HEARTBEAT_KEY "heartbeat" /* RFC 3339: a migration ran then */

/* The ConfigMap's name; caller frees. */
char *vf_board_cluster_name(const char *migration);

struct vf_board_cluster_options {
    const struct vf_cluster_options *where; /* copied, its strings borrowed until open returns */
    const char *name;                       /* of the VirtualMachine that is to be, or is */
    /* The migration's own side, which makes the ConfigMap where there is none; copied. NULL: the
     * other side, which never does. */
    const struct vf_owner *owner;
    const struct vf_cancel *cancel; /* the board's, until it is changed; may be NULL */
};

/* With a client of its own; no request is made before the first call but those of vf_cluster_open.
 * Every call: VF_CONFLICT when the ConfigMap is not of vmferry, or with an owner, of another VM. */
int vf_board_cluster_open(const struct vf_board_cluster_options *options,
                          struct vf_board **ret_board, struct vf_error **err);

/* Of a ConfigMap as the server gave it: a migration that has not ended gave a sign of life in the
 * last minute and a half. */
bool vf_board_cluster_is_alive(const cJSON *map);

/* One migration of a namespace. */
struct vf_cluster_migration {
    char *name;
    struct vf_migration_status status; /* zero but for name and error when it cannot be read */
    bool alive;
};

/* All of them, by name. Caller frees with vf_cluster_migrations_free. */
int vf_cluster_fetch_migrations(const struct vf_cluster_options *where,
                                const struct vf_cancel *cancel,
                                struct vf_cluster_migration **ret_migrations, size_t *ret_n,
                                struct vf_error **err);
void vf_cluster_migrations_free(struct vf_cluster_migration *migrations, size_t n);

#endif
