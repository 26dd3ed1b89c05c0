/* The state machine of one warm migration: in which order things happen, what is tried again, and
 * what is undone at which end. It knows neither vSphere nor a target: all it does, it does through
 * `struct vf_world`, so that a model can be put in the world's place and every path tried.
 *
 * Order: prepare; tracking; then rounds: snapshot, guard (before a delta), copy, flush and
 * checkpoint, snapshot removed. Between rounds there is no snapshot of ours, and at no time more
 * than two. The cutover: stage and power state noted durably, source shut down, last snapshot and
 * round, target checked against the source being still off, deliver; from that on the new VM is
 * the one that counts: its acceptance is noted, it is started if asked, the source gets its note,
 * snapshots go, the checkpoint goes.
 *
 * What holds at every end of vf_machine_run but a kill: no snapshot of ours is left, or the error
 * names it; and a source that was on when the migration began its cutover is on again, unless the
 * new VM was accepted. A kill is made good by the next run: it removes snapshots of ours that no
 * checkpoint needs, continues a cutover that had begun, and finishes one that was delivered.
 *
 * Threads: one.
 */
#ifndef JOBS_MIGRATION_MACHINE_H
#define JOBS_MIGRATION_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "jobs/checkpoint.h"
#include "jobs/migration/status.h"
#include "jobs/rounds.h"

/* The source as it is now. */
struct vf_world_view {
    enum vf_power power;
    bool tracking;        /* asked for, and every disk that can be tracked is, or will be */
    bool stun_due;        /* it takes a stun before tracking begins */
    size_t own_snapshots; /* of this migration, by name and description */
    size_t user_snapshots;
};

enum vf_round_kind {
    VF_ROUND_PRECOPY, /* the source runs, or whatever it does */
    VF_ROUND_LAST,    /* the source is off, and stays so */
};

struct vf_world;

/* Every function but the clean-up ones ends soon after a cancellation with VF_CANCELLED. VF_RETRY:
 * may be tried again. */
struct vf_world_ops {
    /* --- source --- */
    int (*look)(struct vf_world *w, struct vf_world_view *ret, struct vf_error **err);
    int (*enable_tracking)(struct vf_world *w, bool may_stun, struct vf_error **err);
    /* Take one; the world keeps what it froze, until it is removed. */
    int (*take_snapshot)(struct vf_world *w, enum vf_round_kind kind, struct vf_error **err);
    /* Ask the guest, wait, at the deadline power off if that is allowed (else VF_CONFLICT). Good
     * when it is off already. */
    int (*shut_down)(struct vf_world *w, struct vf_error **err);
    /* --- source, clean-up --- */
    int (*remove_snapshots)(struct vf_world *w, struct vf_error **err); /* all of ours */
    int (*power_on)(struct vf_world *w, struct vf_error **err);
    int (*note)(struct vf_world *w, struct vf_error **err); /* where the VM has gone */

    /* --- target --- */
    int (*prepare)(struct vf_world *w, struct vf_error **err);
    int (*guard)(struct vf_world *w, struct vf_error **err);
    /* What the snapshot that was taken last holds and the target does not: copied, flushed, and the
     * checkpoint saved with every disk complete. `ret->span_ms` and overhead are the machine's. Of
     * a round that broke as much is kept as was flushed. */
    int (*copy)(struct vf_world *w, enum vf_round_kind kind, struct vf_round *ret,
                struct vf_error **err);
    int (*deliver)(struct vf_world *w, struct vf_error **err);
    int (*start)(struct vf_world *w, struct vf_error **err); /* good when not asked for */
    /* --- target, clean-up --- */
    int (*settle)(struct vf_world *w, struct vf_error **err);
    int (*discard)(struct vf_world *w, struct vf_error **err);

    /* --- the rest --- */
    /* The checkpoint that an earlier run left (the world's; never NULL; empty when there is none),
     * and its durable save with what the machine changed in it: stage, power state, rounds. */
    struct vf_checkpoint *(*checkpoint)(struct vf_world *w);
    int (*save)(struct vf_world *w, struct vf_error **err);
    /* The guard, a disk of the source, or whatever else was noticed since the last round makes
     * this round one in full, or impossible: told by copy and prepare, not here. */
    int64_t (*now_ms)(struct vf_world *w); /* steady */
    int64_t (*now_s)(struct vf_world *w);  /* Unix */
    /* Wait until a request comes or the time is over (then kind NONE). VF_CANCELLED as always. */
    int (*wait)(struct vf_world *w, int64_t timeout_ms, struct vf_migration_request *ret,
                struct vf_error **err);
    /* The phase changed, or its numbers: listeners, log and board are told. `forecast` may be
     * NULL. */
    void (*tell)(struct vf_world *w, enum vf_migration_phase phase,
                 const struct vf_rounds_forecast *forecast, const char *detail,
                 const char *next_step, const struct vf_error *error);
    void (*warn)(struct vf_world *w, const char *text);
};

struct vf_world {
    const struct vf_world_ops *ops;
};

/* When to cut over. */
enum vf_cutover_when {
    VF_CUTOVER_ON_REQUEST, /* `vmferry cutover` */
    VF_CUTOVER_ASAP,       /* as soon as one round more would gain nothing */
    VF_CUTOVER_AT,         /* from_s */
    VF_CUTOVER_WINDOW,     /* between from_s and until_s; after it on request */
};

struct vf_machine_policy {
    enum vf_cutover_when when;
    int64_t from_s, until_s; /* Unix time */
    /* 0: none. Else, whatever `when`, no earlier than the window: as soon as it is met. At a fixed
     * time the cutover comes even when it is not. */
    int64_t max_downtime_ms;
    int64_t min_interval_ms, max_interval_ms; /* between rounds; 0: rounds.h decides */
    bool may_stun;         /* switching tracking on makes the VM stand still for a moment */
    unsigned max_tries;    /* of a round, with nothing new in the checkpoint between them; 0: 5 */
    int64_t retry_wait_ms; /* before the second try, doubled each time up to 5 min; 0: 5 s */
};

enum vf_machine_end {
    VF_END_DONE,
    VF_END_FAILED,    /* *err; the source is as it was; what was copied stays */
    VF_END_CANCELLED, /* by request or signal; the same, unless discard was asked for */
};

/* 0 with VF_END_DONE; else the code of *err. */
int vf_machine_run(struct vf_world *w, const struct vf_machine_policy *policy,
                   enum vf_machine_end *ret_end, struct vf_error **err);

/* What `vmferry cancel` does where no vmferry runs: snapshots of ours removed, a source that a
 * cutover had shut down powered on, with `discard` the copies removed. VF_CONFLICT, nothing done,
 * when the new VM was accepted already. */
int vf_machine_cancel(struct vf_world *w, bool discard, struct vf_error **err);

#endif
