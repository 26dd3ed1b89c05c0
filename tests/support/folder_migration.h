/* A warm migration of a made-up VM into a folder: the target, the board and the checkpoint are the
 * real ones, the source is a rule that says what each block holds in each of its states. For tests
 * that kill it anywhere and run it again. */
#ifndef TESTS_SUPPORT_FOLDER_MIGRATION_H
#define TESTS_SUPPORT_FOLDER_MIGRATION_H

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "jobs/migration/warm_target.h"

#define FOLDER_DISKS      2
#define FOLDER_DISK_BYTES ((uint64_t)(1 << 20) + 66048)
#define FOLDER_LAST_STATE 100u /* of the source, once it is off */

/* What target needs; one VM "web" with FOLDER_DISKS disks. */
struct folder_job {
    struct vf_import_options options;
    struct vf_import im;
    struct vf_vm vm;
};

void folder_job_init(struct folder_job *j, enum vf_format format);
void folder_job_release(struct folder_job *j);

/* Two rounds, or what is left to do, cutover, delivery, clean-up. */
int folder_migrate(struct folder_job *j, const char *path, struct vf_error **err);

/* As long as the folder is empty, or holds what a killed folder_migrate leaves. */
int folder_discard(struct folder_job *j, const char *path, struct vf_error **err);

/* The disk's content in a state; FOLDER_DISK_BYTES, heap. */
uint8_t *folder_content(unsigned disk, unsigned state);

/* Write what changed between two states (0: nothing was there yet) into a sink. */
int folder_copy(struct vf_sink *sink, unsigned disk, unsigned from, unsigned to,
                struct vf_error **err);

#endif
