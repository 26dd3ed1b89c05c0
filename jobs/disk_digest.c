#include "jobs/disk_digest.h"

#include "jobs/digest.h"
#include "jobs/stages/stage.h"
#include "jobs/transfer.h"

int vf_disk_compute_digest(struct vf_disk *disk, struct vf_pool *pool, struct vf_progress *progress,
                           struct vf_cancel *cancel, char **ret_digest, struct vf_error **err)
{
    struct vf_digest digest;
    struct vf_sink *sink = NULL;
    int rc = vf_digest_init(&digest, disk->size_bytes, err);
    if (rc) {
        return rc;
    }
    rc = vf_transfer_chain(vf_null_sink_new(disk->size_bytes), &digest, progress, &sink, err);
    if (rc == 0) {
        rc = vf_transfer_disk(disk, sink, pool, progress, cancel, err);
    }
    if (rc == 0) {
        rc = vf_sink_finish(sink, err);
    }
    if (rc == 0) {
        rc = vf_digest_format(&digest, ret_digest, err);
    }
    vf_sink_free(sink);
    vf_digest_release(&digest);
    return rc;
}
