/* How a migration stands, as text. Pure. */
#ifndef JOBS_CLI_STATUS_VIEW_H
#define JOBS_CLI_STATUS_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "jobs/migration/status.h"

struct vf_status_row {
    const char *name; /* where the status has none; may be NULL */
    const struct vf_migration_status *status;
    bool alive; /* a vmferry works on it */
};

/* All that is known of one, and a table of its disks. Safe for a terminal. Caller frees. */
char *vf_status_print(const struct vf_status_row *row);
/* A line each. Caller frees. */
char *vf_status_print_table(const struct vf_status_row *rows, size_t n);
/* The status' object, with "alive". */
cJSON *vf_status_to_json(const struct vf_status_row *row);

#endif
