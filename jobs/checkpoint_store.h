/* Contract: where the checkpoint of one migration is kept, beside the data it describes. And the
 * one beside a `dir` target: a journal file.
 *
 * Implementations embed `struct vf_checkpoint_store` as their first member. One thread at a time.
 * Whoever saves has made durable what the checkpoint names (sink_flush) before; whoever saves into
 * a folder holds its lock (importer/target/dir).
 */
#ifndef JOBS_CHECKPOINT_STORE_H
#define JOBS_CHECKPOINT_STORE_H

#include <vmferry/error.h>

#include "jobs/checkpoint.h"

struct vf_checkpoint_store;

struct vf_checkpoint_store_ops {
    /* VF_MISSING: there is none. VF_INVALID, VF_UNSUPPORTED: there is one that cannot be read
     * (vf_checkpoint_parse), and it stays as it is. */
    int (*load)(struct vf_checkpoint_store *s, struct vf_checkpoint *ret_checkpoint,
                struct vf_error **err);
    /* On return it is durable. On failure, or when the machine stops meanwhile, either the one
     * before or this one is there, whole. */
    int (*save)(struct vf_checkpoint_store *s, const struct vf_checkpoint *c,
                struct vf_error **err);
    /* There is none from now on; fine when there was none. */
    int (*clear)(struct vf_checkpoint_store *s, struct vf_error **err);
    void (*free)(struct vf_checkpoint_store *s);
};

struct vf_checkpoint_store {
    const struct vf_checkpoint_store_ops *ops;
};

int vf_checkpoint_load(struct vf_checkpoint_store *s, struct vf_checkpoint *ret_checkpoint,
                       struct vf_error **err);
/* Sets c->updated to now. */
int vf_checkpoint_save(struct vf_checkpoint_store *s, struct vf_checkpoint *c,
                       struct vf_error **err);
int vf_checkpoint_clear(struct vf_checkpoint_store *s, struct vf_error **err);
void vf_checkpoint_store_free(struct vf_checkpoint_store *s); /* NULL is fine */

/* The journal's name in the folder of a `dir` target. */
#define VF_CHECKPOINT_NAME ".vmferry-checkpoint.json"

/* The file `path`, which need not exist; its folder must. Written as PATH.partial, synced, renamed,
 * the folder synced. The caller frees it. */
struct vf_checkpoint_store *vf_checkpoint_file_new(const char *path);

#endif
