/* A VM with disks that change, its snapshots and its change tracking, and a target that loses what
 * was not flushed: all that a warm migration's rounds meet, in memory, seeded, and able to fail or
 * to end at any call.
 *
 * Every save of a checkpoint is checked against what the target would hold after a power loss at
 * that moment, by the sentences of jobs/checkpoint.h. Failures abort: they may be on any thread.
 */
#ifndef TESTS_SUPPORT_WARM_MODEL_H
#define TESTS_SUPPORT_WARM_MODEL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/vm.h>

#include "jobs/import_plan.h"
#include "jobs/migration/round.h"

#define WARM_MAX_DISKS     4
#define WARM_MAX_SNAPSHOTS 64
#define WARM_MAX_FILES     64
#define WARM_NAME_SIZE     40

/* A disk at one moment. A sector's content is made of its stamp; 0: zeros. */
struct warm_state {
    int32_t key;
    char uuid[40], label[24];
    char tracking[48]; /* of its change IDs; "": not tracked */
    uint64_t sequence; /* of the state, in that tracking */
    uint64_t sectors;
    uint64_t *stamps;
    uint64_t *changed_at; /* by block of WARM_BLOCK sectors: the sequence of its last change */
};

#define WARM_BLOCK 8u

struct warm_snapshot {
    char moref[24];
    bool exists;
    struct warm_state disks[WARM_MAX_DISKS];
    size_t n_disks;
};

/* What the target keeps of one disk. */
struct warm_file {
    char name[WARM_NAME_SIZE];
    bool exists, open;
    unsigned inside; /* writes under way */
    uint64_t sectors;
    uint8_t *now;     /* what a read gives */
    uint8_t *durable; /* what is there after a power loss, but for: */
    uint8_t *dirty;   /* a sector's content after a power loss is anything */
};

enum warm_transport_kind { WARM_IN_ORDER, WARM_SHUFFLED, WARM_AREA_COPY };

struct warm_model {
    uint64_t rng;
    struct warm_state live[WARM_MAX_DISKS];
    size_t n_live;
    struct warm_snapshot snapshots[WARM_MAX_SNAPSHOTS];
    size_t n_snapshots;
    struct warm_file files[WARM_MAX_FILES];
    unsigned n_made; /* keys, UUIDs and stamps are never used twice */
    uint64_t n_stamps;

    /* Settings. */
    bool names_by_uuid; /* else by the index in the VM */
    bool starts_zero;   /* fresh sinks do */
    size_t max_text;    /* of a checkpoint */
    enum warm_transport_kind transport_kind;
    uint64_t kill_at;        /* number of the call at which the program ends; 0: never */
    uint64_t fail_at;        /* that fails; 0: none */
    bool leave_out;          /* the transport forgets a part, and says nothing */
    enum vf_code save_fails; /* every save does; 0: none */
    bool refuse_changes;     /* the tracking cannot tell */

    pthread_mutex_t lock; /* guards what is below and the files, while a copy is under way */
    uint64_t n_calls;
    bool dead;
    char *text; /* the checkpoint that was saved last; NULL: none */
    unsigned n_saves, n_queries, n_prepares;
    uint64_t written_bytes, read_bytes; /* by sinks since the last round began, or by the test */

    char names[WARM_MAX_DISKS][WARM_NAME_SIZE]; /* of the files, as prepare gave them */
    struct vf_import im;
    struct vf_warm_target target;
    struct vf_checkpoint_store store;
    struct vf_transport transport;
};

/* One disk of `sectors`; more with warm_model_add_disk. */
void warm_model_init(struct warm_model *m, uint64_t seed, uint64_t sectors);
void warm_model_release(struct warm_model *m);

uint64_t warm_model_random(struct warm_model *m, uint64_t below);

struct warm_state *warm_model_add_disk(struct warm_model *m, uint64_t sectors);
void warm_model_remove_disk(struct warm_model *m, size_t index);
void warm_model_resize(struct warm_model *m, size_t index, uint64_t sectors);
void warm_model_replace(struct warm_model *m, size_t index); /* another disk under the same key */
void warm_model_move_key(struct warm_model *m, size_t index);
void warm_model_reset_tracking(struct warm_model *m, size_t index, bool tracked);

/* The guest writes n sectors from `sector` on; zeros if `zero`. */
void warm_model_write(struct warm_model *m, size_t index, uint64_t sector, uint64_t n, bool zero);
/* A random burst of it. */
void warm_model_guest(struct warm_model *m, unsigned writes);

struct warm_snapshot *warm_model_snapshot(struct warm_model *m);
/* Of a snapshot as vf_snapshot_fetch gives it; released by the caller. */
void warm_model_freeze(const struct warm_snapshot *s, struct vf_vm *ret_vm);

/* For vf_disks_env. */
int warm_model_changes(void *opaque, const struct vf_cbt_query *q, struct vf_cbt_answer *ret,
                       struct vf_error **err);

/* The program has ended: with `power_loss` the machine too. Nothing of it may be in use. */
void warm_model_crash(struct warm_model *m, bool power_loss);
/* The checkpoint that a new run finds; empty when there is none. */
void warm_model_load(const struct warm_model *m, struct vf_checkpoint *ret);

/* Aborts unless the file of disk `index` holds, durably, what the snapshot has. */
void warm_model_compare(const struct warm_model *m, const struct warm_snapshot *s, size_t index);
/* The digest that the disk has; heap. */
char *warm_model_digest(const struct warm_snapshot *s, size_t index);

struct warm_file *warm_model_find_file(struct warm_model *m, const char *name);

#endif
