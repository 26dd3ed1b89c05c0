/* Private to source_vm*.c. */
#ifndef JOBS_MIGRATION_SOURCE_VM_PRIVATE_H
#define JOBS_MIGRATION_SOURCE_VM_PRIVATE_H

#include "jobs/migration/source_vm.h"
#include "jobs/snapshot_take.h"

struct vf_source_vm {
    struct vf_vsphere *vs;
    struct vf_reporter *reporter;
    const struct vf_cancel *cancel;
    const struct vf_mapping *mapping;
    bool quiesce, hard_power_off;
    int64_t shutdown_timeout_ms;

    struct vf_vm vm;                /* as looked at last */
    struct vf_snapshot_taken taken; /* the newest of ours; its moref NULL: none */
    char *mark, *description;       /* of our snapshots */
    bool told_unquiesced, told_untracked;
    bool stunned;    /* once is enough: a disk that stays untracked has it switched off */
    bool going_down; /* its guest was asked to, and may do it at any time */
    bool came_back;  /* powered on since */
    bool seen_on;    /* at any look */
};

/* After a clean-up that failed with `e` and began at `start_ms`: whether it is worth another try;
 * waits before it. */
bool vf_source_vm_try_again(const struct vf_source_vm *s, int64_t start_ms,
                            const struct vf_error *e);

#endif
