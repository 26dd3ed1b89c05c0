/* Sink: one disk into a PersistentVolumeClaim that is mounted here.
 *
 * A claim of volumeMode Block is a device node: the disk starts at its first byte. One of mode
 * Filesystem is a folder: the disk is the raw file "disk.img" at its root, mode 0660, which
 * KubeVirt opens as uid and gid 107 (facts: CDI doc/datavolumes.md; KubeVirt, container-disk and
 * host-disk code). The file has another name until the copy is complete and durable, so that a VM
 * never starts from half a disk; where disk.img is missing KubeVirt makes an empty one without a
 * word.
 *
 * Random, parallel, rewritable, readable. Starts zero for a file, never for a device: what a fresh
 * device reads as is the storage's business, so zeros are written there (deallocated where the
 * device has a command that promises zeros; a discard does not). finish() zeroes what a device has
 * behind the end of the disk too.
 *
 * Owner and group of disk.img are those of the process and the folder: uid 107, or fsGroup 107.
 */
#ifndef IMPORTER_TARGET_CLAIM_H
#define IMPORTER_TARGET_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/sink.h>

#define VF_CLAIM_DISK_NAME    "disk.img"
#define VF_CLAIM_PARTIAL_NAME ".vmferry-disk.img.partial"

enum vf_claim_mode { VF_CLAIM_FILESYSTEM, VF_CLAIM_BLOCK };

struct vf_claim_info {
    enum vf_claim_mode mode;
    uint64_t
        room_bytes; /* device size; free space of the filesystem, an old partial counted free */
    bool has_disk;  /* something named disk.img is there */
};

/* What is mounted at `path`. VF_MISSING when nothing is, VF_INVALID when it is neither a block
 * device nor a folder, VF_AUTH when this user may not write there (the hint tells of fsGroup and of
 * device_ownership_from_security_context). */
int vf_claim_probe(const char *path, struct vf_claim_info *ret_info, struct vf_error **err);

/* Begin a disk of size_bytes, over whatever an earlier try left. VF_SPACE when it does not fit:
 * capacity for a device; a file is sparse, so the free space is only warned of by the caller.
 * VF_CONFLICT when another process holds the claim's file or device (lock, O_EXCL), when disk.img
 * is there and `replace` is false, or is not a regular file. With `replace` it is removed at once,
 * as a claim has no room for two; a VM that runs from it on this node is VF_CONFLICT.
 * flush() and finish() are durable: fsync of the content and, for a file, of its folder after the
 * rename. free() without finish() leaves the partial file, which the next try takes over. */
int vf_claim_sink_open(const char *path, uint64_t size_bytes, bool replace,
                       struct vf_sink **ret_sink, struct vf_error **err);

/* Go on with a disk of size_bytes that an earlier run began, finished or not: what its last flush
 * made durable is there, and of what it wrote later some, in any mixture; it does not start zero.
 * Of a claim that is a folder: a disk.img takes its unfinished name back first, durably, so that no
 * VM starts from what is being written; VF_MISSING when there is no disk, VF_INVALID when it has
 * another size, VF_CONFLICT as above, and when there is a disk.img beside an unfinished disk. A
 * device does not tell what is on it: that is known to whoever asks for this. The rest as
 * vf_claim_sink_open. */
int vf_claim_sink_reopen(const char *path, uint64_t size_bytes, struct vf_sink **ret_sink,
                         struct vf_error **err);

/* Zeros may take hours where the storage has to write them: zero and finish look at `cancel`
 * (outlives the sink) in between. Before the first call. */
void vf_claim_sink_set_cancel(struct vf_sink *sink, const struct vf_cancel *cancel);

#endif
