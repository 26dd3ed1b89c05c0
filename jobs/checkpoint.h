/* Checkpoints: how far the copy of a running VM's disks is, so that it can go on after a crash.
 *
 * A disk at the target is described by three names of states of the source's disk. Every byte of
 * the target inside `done` is as in `snapshot`; every other one is as in the state that
 * `base_change_id` names, or as in `snapshot`, or (in a full copy, which has no base) unknown. What
 * is left of a round is therefore what changed from the base to the snapshot, but for `done`. When
 * the snapshot is lost, a later one takes its place after what changed between the two was taken
 * out of `done` (vf_checkpoint_disk_rebase): the same sentences are true again.
 *
 * The text is one JSON object with a format version, sealed by a checksum, the same for the same
 * content: a line in a file, or the annotation of a claim. A checkpoint read back is foreign input:
 * it is bounded and checked here, then judged against the source as it is now.
 *
 * Threads: a checkpoint belongs to one thread at a time.
 */
#ifndef JOBS_CHECKPOINT_H
#define JOBS_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/base/areas.h"
#include "jobs/rounds.h"

#define VF_CHECKPOINT_VERSION 1

/* Longest text: in a file, and in an annotation (all annotations of an object have 256 KiB
 * together: k8s.io/apimachinery, TotalAnnotationSizeLimitB; half of that is left to others). */
#define VF_CHECKPOINT_MAX_BYTES            ((size_t)1 << 20)
#define VF_CHECKPOINT_ANNOTATION_MAX_BYTES ((size_t)128 << 10)

/* Of the rounds that are over, the full copy and the newest are kept. */
#define VF_CHECKPOINT_MAX_ROUNDS 8

enum vf_checkpoint_phase {
    VF_CHECKPOINT_FULL,     /* everything is being copied */
    VF_CHECKPOINT_DELTA,    /* what changed since base_change_id is being copied */
    VF_CHECKPOINT_COMPLETE, /* the target is as in `snapshot` */
};

/* Strings are owned, and NULL where they may be absent. */
struct vf_checkpoint_disk {
    int32_t key;        /* vSphere device key */
    char *label;        /* "Hard disk 1"; may be NULL */
    char *target;       /* image file or claim */
    char *backing_uuid; /* may be NULL */
    uint64_t size_bytes;
    enum vf_checkpoint_phase phase;
    uint32_t round;        /* 0: the full copy */
    char *snapshot;        /* moref */
    char *change_id;       /* of the disk in `snapshot`; NULL: it is not tracked */
    char *base_change_id;  /* DELTA alone */
    struct vf_areas done;  /* empty when COMPLETE; VF_AREAS_DROP */
    uint64_t round_bytes;  /* flushed in this round, what was copied again included */
    uint64_t copied_bytes; /* flushed in all rounds */
    char *round_started;   /* RFC 3339, UTC, whole seconds */
};

/* How far the migration is, beyond its disks. */
enum vf_checkpoint_stage {
    VF_STAGE_PRECOPY,   /* rounds; or a cutover that failed, and was undone */
    VF_STAGE_CUTOVER,   /* the source is being, or is, shut down for the last round */
    VF_STAGE_DELIVERED, /* the new VM is accepted; what is left is to tidy up */
};

struct vf_checkpoint {
    enum vf_checkpoint_stage stage;
    bool was_on;       /* the source, when the cutover began */
    int64_t cutover_s; /* Unix time of a cutover that was asked for (board.h); 0: none was */
    char *instance_uuid;
    char *moref;   /* of the VM; may be NULL */
    char *vm_name; /* for people; may be NULL */
    char *updated; /* RFC 3339; vf_checkpoint_save sets it */
    struct vf_checkpoint_disk *disks;
    size_t n_disks;
    struct vf_round rounds[VF_CHECKPOINT_MAX_ROUNDS]; /* over, for vf_rounds_forecast */
    size_t n_rounds;
};

void vf_checkpoint_release(struct vf_checkpoint *c); /* of a zeroed struct too */

/* A disk more, in need of begin_full. `disk` and `target` are copied from. Borrowed until the next
 * one is added. */
struct vf_checkpoint_disk *
vf_checkpoint_add_disk(struct vf_checkpoint *c, const struct vf_vm_disk *disk, const char *target);
/* One of c->disks; those behind it move up. */
void vf_checkpoint_remove_disk(struct vf_checkpoint *c, struct vf_checkpoint_disk *disk);
/* A round of the whole VM is over. With `full` the history begins anew. */
void vf_checkpoint_add_round(struct vf_checkpoint *c, const struct vf_round *round, bool full);

/* NULL when there is none with this key. */
struct vf_checkpoint_disk *vf_checkpoint_find_disk(const struct vf_checkpoint *c, int32_t key);

/* From nothing. `change_id` may be NULL: then a copy that lost its snapshot starts from nothing. */
void vf_checkpoint_disk_begin_full(struct vf_checkpoint_disk *d, const char *snapshot,
                                   const char *change_id);

/* The next round of a complete disk: what changed between its change ID and the new one is to be
 * copied. VF_CONFLICT, nothing changed, when it is not complete or when the two change IDs do not
 * follow on each other (a full copy is needed then). */
int vf_checkpoint_disk_begin_delta(struct vf_checkpoint_disk *d, const char *snapshot,
                                   const char *change_id, struct vf_error **err);

/* A later snapshot in the place of a lost one, in the middle of a round. `changed`: what changed
 * between the disk's change_id and the new one. VF_CONFLICT as above. */
int vf_checkpoint_disk_rebase(struct vf_checkpoint_disk *d, const char *snapshot,
                              const char *change_id, const struct vf_areas *changed,
                              struct vf_error **err);

/* Note areas that are durable at the target: sink_flush came back. `changed` as for remaining:
 * done areas grow together over what was not to be copied. VF_CONFLICT outside of a round,
 * VF_RANGE beyond the disk. */
int vf_checkpoint_disk_flushed(struct vf_checkpoint_disk *d, const struct vf_areas *flushed,
                               const struct vf_areas *changed, struct vf_error **err);

/* What is still to be copied from `snapshot`, into a set that the caller inited (VF_AREAS_WIDEN).
 * `changed`: what changed from base_change_id to change_id; NULL in a full copy, else VF_INVALID.
 * Empty when the disk is complete. A target that goes on is not fresh: zeros have to be written. */
int vf_checkpoint_disk_remaining(const struct vf_checkpoint_disk *d, const struct vf_areas *changed,
                                 struct vf_areas *rest, struct vf_error **err);

/* All of the round was flushed. */
void vf_checkpoint_disk_complete(struct vf_checkpoint_disk *d);

/* Heap text without newline, at most max_bytes long. Where there are too many done areas for that,
 * the smallest are left out, each disk having the same room; what is left out is copied again.
 * Areas are in sectors of 512 bytes, cut down to whole ones. VF_SPACE when there is no room even
 * without; VF_INVALID when instance_uuid, a snapshot or a target is not set. */
int vf_checkpoint_encode(const struct vf_checkpoint *c, size_t max_bytes, char **ret_text,
                         struct vf_error **err);

/* White space at the end is fine. VF_INVALID for anything that encode does not write, damage
 * included; VF_UNSUPPORTED for a later version. */
int vf_checkpoint_parse(const char *text, size_t len, struct vf_checkpoint *ret_checkpoint,
                        struct vf_error **err);

/* What of a checkpoint is of use for a disk. */
enum vf_checkpoint_use {
    VF_USE_NOTHING, /* copy in full, from a new snapshot: begin_full */
    VF_USE_GO_ON,   /* the snapshot is still there: copy what remains */
    VF_USE_REBASE,  /* take a new snapshot, then rebase and copy what remains */
    VF_USE_DELTA,   /* the disk is complete: begin_delta with a new snapshot */
};

struct vf_checkpoint_verdict {
    enum vf_checkpoint_use use;
    const struct vf_checkpoint_disk
        *disk;    /* in the checkpoint; NULL: not there, or of another VM */
    char *reason; /* one line for a person, always set */
};

struct vf_checkpoint_judgement {
    bool other_vm;                       /* the checkpoint is of another VM: all is of no use */
    struct vf_checkpoint_verdict *disks; /* one for each of the VM's, in its order */
    size_t n_disks;
    const struct vf_checkpoint_disk **gone; /* in the checkpoint, and no longer in the VM */
    size_t n_gone;
};

/* Judge `c` by the VM as it is now. The change IDs in `now` are those of a snapshot just taken, or
 * of the VM's own configuration; NULL counts as not tracked. Its snapshots must be listed. Pure: a
 * change ID that looks well may still be refused by QueryChangedDiskAreas, and then the disk has to
 * be copied in full. `c` must outlive the judgement. */
void vf_checkpoint_judge(const struct vf_checkpoint *c, const struct vf_vm *now,
                         struct vf_checkpoint_judgement *ret);
void vf_checkpoint_judgement_release(struct vf_checkpoint_judgement *j);

#endif
