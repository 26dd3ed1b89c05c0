/* The digest of a disk that can be read at random. */
#ifndef JOBS_DISK_DIGEST_H
#define JOBS_DISK_DIGEST_H

#include <vmferry/cancel.h>
#include <vmferry/disk.h>
#include <vmferry/event.h>

#include "importer/base/pool.h"

/* Heap text (digest.h). `progress` may be NULL; `cancel` is triggered on failure. */
int vf_disk_compute_digest(struct vf_disk *disk, struct vf_pool *pool, struct vf_progress *progress,
                           struct vf_cancel *cancel, char **ret_digest, struct vf_error **err);

#endif
