/* `vmferry migrate --warm`: one VM, copied while it runs, kept in step by changed-block tracking,
 * cut over. And what other commands do to one: cutover, cancel, status are requests and looks at
 * its board; rollback goes back to the last good state of its disks.
 */
#ifndef JOBS_MIGRATION_MIGRATION_H
#define JOBS_MIGRATION_MIGRATION_H

#include <stdbool.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>

#include "jobs/import.h"
#include "jobs/migration/machine.h"
#include "jobs/migration/source_vm.h"
#include "jobs/migration/transport.h"
#include "jobs/preflight/facts.h"

struct vf_migration_options {
    struct vf_import_options import; /* kind VSPHERE; target DIR or CLAIM */
    struct vf_machine_policy policy;
    struct vf_transport_options transport;
    bool hard_power_off;
    int64_t shutdown_timeout_ms; /* 0: 5 min */
    bool no_digest;
};

/* Whether a warm migration can go by the mapping; NULL is fine. VF_INVALID with what does not go
 * together in it, and where a rule names a disk by its number: numbers are counted anew at every
 * look, and mean other disks once one came or went between two rounds. */
int vf_migration_check_mapping(const struct vf_mapping *mapping, struct vf_error **err);

/* 0: the new VM is there, and the source is off with a note on it. Else nothing was lost: the same
 * call goes on. `reporter` and `cancel` may be NULL. */
int vf_migration_run(const struct vf_migration_options *options, struct vf_reporter *reporter,
                     struct vf_cancel *cancel, struct vf_error **err);

/* Where no vmferry works on it: what the running one would do when it is cancelled. */
int vf_migration_cancel(const struct vf_migration_options *options, bool discard,
                        struct vf_reporter *reporter, struct vf_cancel *cancel,
                        struct vf_error **err);

/* What preflight is asked before the first round of it. */
struct vf_check_options vf_migration_check_options(const struct vf_migration_options *options);

/* jobs/cluster/warm_launch.c: claims, a Secret, a ConfigMap and a Job that runs the same migration
 * on the claims it mounts. Followed to its end; a cancellation (the user's) leaves it running and
 * says how to look at it, cut it over or cancel it. */
int vf_migration_launch(const struct vf_migration_options *options, struct vf_reporter *reporter,
                        struct vf_cancel *cancel, struct vf_error **err);

#endif
