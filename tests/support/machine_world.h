/* The world of jobs/migration/machine.h as a model: a source with snapshots and a power button, a
 * target with two disks, a checkpoint on disk. Any call can fail in any of the ways that a real one
 * does, by its number; what must never be so is noted as a violation when it happens.
 *
 * Content is a counter that grows while the source is on, so that a byte that was copied too early
 * shows. A killed process is a world in which nothing happens any more: what it would still do has
 * no effect, and what it returns is not looked at.
 */
#ifndef TESTS_SUPPORT_MACHINE_WORLD_H
#define TESTS_SUPPORT_MACHINE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/checkpoint.h"
#include "jobs/migration/machine.h"

#define FAKE_DISKS        2
#define FAKE_MAX_FAULTS   4
#define FAKE_MAX_REQUESTS 4
#define FAKE_MAX_SNAPS    4
#define FAKE_MAX_TRACE    512

enum fake_op {
    FAKE_LOOK,
    FAKE_TRACK,
    FAKE_TAKE,
    FAKE_SHUT_DOWN,
    FAKE_REMOVE,
    FAKE_POWER_ON,
    FAKE_NOTE,
    FAKE_PREPARE,
    FAKE_GUARD,
    FAKE_COPY,
    FAKE_DELIVER,
    FAKE_START,
    FAKE_FETCH_ACCEPTED,
    FAKE_SETTLE,
    FAKE_DISCARD,
    FAKE_SAVE,
    FAKE_WAIT,
    FAKE_N_OPS,
};

enum fake_fault_kind {
    FAKE_RETRY,       /* nothing happens, VF_RETRY */
    FAKE_FAIL,        /* nothing happens, VF_INTERNAL */
    FAKE_LOST,        /* it happens, and then VF_RETRY */
    FAKE_LOST_FAIL,   /* it happens, and then VF_INTERNAL */
    FAKE_CANCEL,      /* the user's signal, before */
    FAKE_LOST_CANCEL, /* after it happened, with VF_CANCELLED */
    FAKE_KILL,        /* kill -9, before */
    FAKE_KILL_AFTER,
    FAKE_HALF,        /* half of it happens (copy, removal), and then VF_RETRY */
    FAKE_HALF_KILL,   /* and then kill -9 */
    FAKE_LINGER,      /* a shutdown asked for that takes effect only later: VF_CONFLICT */
    FAKE_LINGER_KILL, /* and then kill -9 */
    FAKE_SOURCE_OUT,  /* the source cannot be reached any more in this run: VF_RETRY */
    FAKE_TARGET_OUT,  /* nor the target */
    FAKE_SOMEBODY_ON, /* somebody powers the source on, before */
    FAKE_SNAPS_GONE,  /* somebody removes all snapshots of ours, before */
    FAKE_N_KINDS,
};

struct fake_fault {
    unsigned at; /* number of the call, counted over all runs, from 1; 0: none */
    enum fake_fault_kind kind;
};

struct fake_snapshot {
    unsigned id; /* 0: none */
    bool own;
    bool of_off; /* the source was off */
    uint64_t content;
};

/* What is on disk. */
struct fake_saved {
    bool is_there;
    enum vf_checkpoint_stage stage;
    bool was_on;
    int64_t cutover_s;
    int64_t saved_s;
    size_t n_disks;
    struct {
        enum vf_checkpoint_phase phase;
        uint32_t round;
        unsigned snapshot;
        uint64_t copied_bytes;
        int64_t started_s;
    } disks[FAKE_DISKS];
    size_t n_rounds;
    struct vf_round rounds[VF_CHECKPOINT_MAX_ROUNDS];
};

/* A world that lies or a machine that forgets something, as which it looks from outside. */
enum fake_mutation {
    FAKE_HONEST,
    FAKE_STAGE_NOT_SAVED,    /* the stage is never written */
    FAKE_WAS_ON_NOT_SAVED,   /* nor whether the source was on */
    FAKE_REMOVE_NOTHING,     /* snapshots stay */
    FAKE_REMOVE_USERS,       /* those of others go too */
    FAKE_POWER_ON_NOTHING,   /* the source stays off */
    FAKE_NEVER_ACCEPTED,     /* the target always says no */
    FAKE_ALWAYS_LOOKS_OFF,   /* the source's power state is not looked at */
    FAKE_COMPLETE_TOO_EARLY, /* saved as complete before it is copied */
    FAKE_N_MUTATIONS,
};

struct fake_world {
    struct vf_world base;

    /* --- to be set before a run --- */
    struct fake_fault faults[FAKE_MAX_FAULTS];
    enum fake_mutation mutation;
    struct {
        int64_t at_ms;
        struct vf_migration_request request;
        bool given;
    } requests[FAKE_MAX_REQUESTS];
    bool loud;                      /* print what happens */
    uint64_t full_bytes, hot_bytes; /* the guest changes hot + rate * time */
    uint64_t change_bytes_ms, copy_bytes_ms;
    int64_t shutdown_ms, deliver_ms;
    bool start_wanted;

    /* --- the outside, which outlives runs --- */
    enum vf_power power;
    bool owner_on; /* as the owner wants it, who knows nothing of us */
    uint64_t content;
    unsigned linger; /* calls until a shutdown takes effect; 0: none */
    bool tracking;
    bool untracked; /* every round is one in full */
    struct fake_snapshot snaps[FAKE_MAX_SNAPS];
    unsigned last_id;
    uint64_t contents[512]; /* by snapshot */
    bool noted;
    uint64_t values[FAKE_DISKS];
    struct fake_saved saved;
    bool accepted, running, settled, discarded;
    bool behind; /* somebody powered the source on in a moment when nobody could know */
    bool late;   /* or when the new VM ran already */
    unsigned n_users;
    int64_t ms;

    /* --- of the run --- */
    struct vf_checkpoint c;
    unsigned in_hand;    /* snapshot; 0: none */
    uint64_t last_taken; /* content, of the state before */
    bool came_back;      /* powered on by us, after what its guest was asked */
    bool dead, cancelled, source_out, target_out, prepared;
    unsigned calls; /* over all runs */
    unsigned counts[FAKE_N_OPS];
    enum vf_migration_phase phase; /* as told last */
    unsigned warnings;
    int64_t cut_over_ms; /* when the shutdown was asked for... */
    int64_t stale_ms;    /* ...and how old the newest copied state was then */
    int64_t state_ms;    /* of the newest state that was copied */

    /* Of each call, which kinds of fault would make a difference: the rest, a bit a kind, is
     * nothing, or the same as another one. */
    uint32_t trace[FAKE_MAX_TRACE];

    unsigned violations;
    char violation[256]; /* the first */
};

/* A source that is on, one snapshot of the user's, an empty target. */
void fake_world_init(struct fake_world *f);
void fake_world_release(struct fake_world *f);

/* A new process: what the last one knew is gone. Then vf_machine_run or vf_machine_cancel. */
void fake_world_begin(struct fake_world *f);

size_t fake_world_count_own(const struct fake_world *f);
void fake_world_violate(struct fake_world *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* What must be so at the end of a run that was not killed. */
void fake_world_check_end(struct fake_world *f, enum vf_machine_end end, int rc,
                          const struct vf_error *err);

#endif
