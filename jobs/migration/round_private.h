/* What the files of round.h share: round.c (a round from begin to end), round_disks.c (which disks
 * there are), round_plan.c (what of a disk is to be copied), round_sinks.c (where it goes, and its
 * digest). */
#ifndef JOBS_MIGRATION_ROUND_PRIVATE_H
#define JOBS_MIGRATION_ROUND_PRIVATE_H

#include <pthread.h>

#include "importer/base/areas.h"
#include "jobs/migration/round.h"

struct vf_disks;

/* One disk, from its first round to the end. */
struct vf_round_disk {
    struct vf_disks *disks;
    size_t index; /* in the VM as the round has it, and at the target */
    int32_t key;
    char *name;
    uint64_t size_bytes;
    struct vf_progress progress;
    bool untracked_told;

    /* zero detection -> progress -> journal -> readback -> target; NULL: not open. */
    struct vf_sink *chain;
    struct vf_sink *journal, *readback; /* inside of it */

    /* Of the round. */
    struct vf_checkpoint_disk *noted; /* in the checkpoint */
    const struct vf_vm_disk *frozen;
    struct vf_areas changed; /* from base_change_id to the snapshot; of a full copy nothing */
    struct vf_areas todo;    /* of that, what is not at the target yet */
    uint64_t whole_bytes;    /* of the round, whatever is done of it */
    bool fresh;              /* the target begins from nothing */
    bool started;            /* DISK_START was told */
};

struct vf_disks {
    struct vf_disks_env env;
    struct vf_round_disk **list;
    size_t n;
    bool copies_itself; /* the last round's transport: there are no sinks */

    /* Guards the checkpoint and its store while a copy is under way; held over a save, which is
     * what it is for. No other lock is taken inside. */
    pthread_mutex_t lock;
    bool save_each; /* time that a flush makes something durable */
};

/* --- round_disks.c --- */

/* Make list and checkpoint those of `frozen`: tell what came and went, follow what hangs elsewhere
 * now, have the target prepare when it does not know the disks. */
int vf_round_adopt(struct vf_disks *d, const struct vf_vm *frozen, struct vf_error **err);

/* --- round_plan.c --- */

/* Fill what is `of the round` in every disk, and bring the checkpoint to where the round begins. */
int vf_round_plan(struct vf_disks *d, const char *snapshot, const struct vf_vm *frozen,
                  struct vf_error **err);
/* Copy this disk in full after all, for a reason that is told. */
int vf_round_plan_full(struct vf_round_disk *rd, const char *snapshot, const char *why,
                       struct vf_error **err);

/* --- round_sinks.c --- */

/* As the last flush left it, or, when `fresh`, from nothing. One that is open and not to be fresh
 * stays. */
int vf_round_open(struct vf_round_disk *rd, bool fresh, struct vf_error **err);
/* The content stays; what is known of the digest is gone. */
void vf_round_close(struct vf_round_disk *rd);

#endif
