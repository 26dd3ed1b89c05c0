/* Where the copy of one disk writes to: an image file, a claim, an upload. What every job that
 * copies disks asks of it.
 *
 * One thread at a time. Implementations embed `struct vf_disk_target` as their first member; their
 * lifetime is their maker's business.
 */
#ifndef JOBS_DISK_TARGET_H
#define JOBS_DISK_TARGET_H

#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/sink.h>

struct vf_disk_target;

struct vf_disk_target_ops {
    /* A sink for size_bytes, from the beginning, whatever an earlier try left. When its finish()
     * is good the disk is whole and durable. VF_RETRY, here or from the sink: the copy may be tried
     * again. `cancel` outlives the sink. */
    int (*open)(struct vf_disk_target *t, uint64_t size_bytes, const struct vf_cancel *cancel,
                struct vf_sink **ret_sink, struct vf_error **err);
    /* The copy failed, its sink is freed: remove what can be removed at once. */
    void (*discard)(struct vf_disk_target *t);
};

struct vf_disk_target {
    const struct vf_disk_target_ops *ops;
};

#endif
