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
 * new VM was accepted, or nobody can tell whether it was: then the source stays off, so that not
 * both run, and the error says so. A failed prepare leaves everything as it was. A kill is made
 * good by the next run: it removes snapshots of ours that no checkpoint needs, continues a cutover
 * that had begun, and finishes one that was delivered. A cutover that was asked for is kept in the
 * checkpoint until it is undone, cancelled, or missed by an hour.
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
    bool stays_on;        /* on, and powered on after its guest did what it was asked to */
    size_t own_snapshots; /* of this migration, by name and description */
    size_t user_snapshots;
};

enum vf_round_kind {
    VF_ROUND_PRECOPY, /* the source runs, or whatever it does */
    VF_ROUND_LAST,    /* the source is off, and stays so */
};

struct vf_world;

/* Told with the phase: the machine sets them before it tells. */
struct vf_world_numbers {
    unsigned tries;      /* of this round that failed, with nothing new in the checkpoint since */
    int64_t downtime_ms; /* DONE: shutdown asked for to VM accepted, or running; else 0 */
};

/* The reason of a VF_CANCELLED that was asked for by a request; without: by a signal. */
#define VF_REASON_CANCEL_REQUESTED "CancelRequested"

/* Every function but the clean-up ones ends soon after a cancellation with VF_CANCELLED; the
 * clean-up ones go on, within deadlines of their own. VF_RETRY: may be tried again. Each is good
 * when what it is to bring about is so already. */
struct vf_world_ops {
    /* --- source --- */
    int (*look)(struct vf_world *w, struct vf_world_view *ret, struct vf_error **err);
    int (*enable_tracking)(struct vf_world *w, bool may_stun, struct vf_error **err);
    /* Take one; the world keeps what it froze, until it is removed. Of kind PRECOPY, with a disk in
     * the checkpoint that is not complete, it may take up the one that this disk names instead, if
     * it is there still: then at most one of ours is there. LAST is always a new one, of a source
     * that is off. There is none of ours, or one from before; none is left by a failure, or the
     * next look counts it. */
    int (*take_snapshot)(struct vf_world *w, enum vf_round_kind kind, struct vf_error **err);
    /* Ask the guest, wait, at the deadline power off if that is allowed (else VF_CONFLICT). Good
     * when it is off already. After VF_UNSUPPORTED and VF_AUTH the guest was not asked; after any
     * other failure it may still go down. */
    int (*shut_down)(struct vf_world *w, struct vf_error **err);
    /* --- source, clean-up --- */
    int (*remove_snapshots)(struct vf_world *w, struct vf_error **err); /* all of ours */
    int (*power_on)(struct vf_world *w, struct vf_error **err);
    int (*note)(struct vf_world *w, struct vf_error **err); /* where the VM has gone */

    /* --- target --- */
    /* First of all, once a run. It fails before anything of anybody was touched. */
    int (*prepare)(struct vf_world *w, struct vf_error **err);
    int (*guard)(struct vf_world *w, struct vf_error **err);
    /* What the snapshot that was taken last holds and the target does not: copied, flushed, and the
     * checkpoint saved with every disk complete. `ret->span_ms` and overhead are the machine's. Of
     * a round that broke as much is kept as was flushed. */
    int (*copy)(struct vf_world *w, enum vf_round_kind kind, struct vf_round *ret,
                struct vf_error **err);
    /* Make the new VM, which does not run before start. After a failure of any kind fetch_accepted
     * tells what became of it. */
    int (*deliver)(struct vf_world *w, struct vf_error **err);
    int (*start)(struct vf_world *w, struct vf_error **err); /* good when not asked for */
    /* --- target, clean-up --- */
    /* Whether the VM that deliver makes is there, whole; an error: it cannot be told. */
    int (*fetch_accepted)(struct vf_world *w, bool *ret_accepted, struct vf_error **err);
    int (*settle)(struct vf_world *w, struct vf_error **err);
    int (*discard)(struct vf_world *w, struct vf_error **err);

    /* --- the rest --- */
    /* The checkpoint that an earlier run left (the world's; never NULL; empty when there is none),
     * asked for after prepare, or by vf_machine_cancel, which does not prepare. And its durable
     * save (clean-up) with what the machine changed in it: stage, power state, cutover asked for,
     * rounds. */
    struct vf_checkpoint *(*checkpoint)(struct vf_world *w);
    int (*save)(struct vf_world *w, struct vf_error **err);
    int64_t (*now_ms)(struct vf_world *w); /* steady */
    int64_t (*now_s)(struct vf_world *w);  /* Unix */
    /* Wait until a request comes or the time is over (then kind NONE; 0: look whether there is
     * one). Each is given once; one that ended a copy or came before a cancellation is given first,
     * then VF_CANCELLED as always. */
    int (*wait)(struct vf_world *w, int64_t timeout_ms, struct vf_migration_request *ret,
                struct vf_error **err);
    /* Clean-up: just wait, for seconds, and whatever was cancelled. */
    void (*rest)(struct vf_world *w, int64_t timeout_ms);
    /* The phase changed, or its numbers: listeners, log and board are told. `forecast` may be
     * NULL. */
    void (*tell)(struct vf_world *w, enum vf_migration_phase phase,
                 const struct vf_rounds_forecast *forecast, const char *detail,
                 const char *next_step, const struct vf_error *error);
    void (*warn)(struct vf_world *w, const char *text);
};

struct vf_world {
    const struct vf_world_ops *ops;
    struct vf_world_numbers numbers;
};

/* When to cut over. */
enum vf_cutover_when {
    VF_CUTOVER_ON_REQUEST, /* `vmferry cutover` */
    VF_CUTOVER_ASAP,       /* as soon as one round more would gain nothing */
    VF_CUTOVER_AT,         /* from_s, or as soon as all was copied once; never earlier */
    VF_CUTOVER_WINDOW,     /* as ASAP, from from_s to until_s; after it on request */
};

struct vf_machine_policy {
    enum vf_cutover_when when;
    int64_t from_s, until_s; /* Unix time */
    /* 0: none. Else the cutover comes as soon as it is met, and, but for AT and a request, no
     * sooner: with ON_REQUEST without one, in a window not before it begins. */
    int64_t max_downtime_ms;
    /* Of a cutover beside its last round: shutdown, new VM, its start. 0: 30 s. */
    int64_t fixed_downtime_ms;
    int64_t min_interval_ms, max_interval_ms; /* between rounds; 0: rounds.h decides */
    bool may_stun;         /* switching tracking on makes the VM stand still for a moment */
    unsigned max_tries;    /* of a round, with nothing new in the checkpoint between them; 0: 5 */
    int64_t retry_wait_ms; /* before the second try, doubled each time up to 5 min; 0: 5 s */
    /* How long a source is looked after whose guest was asked to shut down and did not in time: it
     * may still go down, and is then powered on. 0: 2 min. */
    int64_t watch_ms;
};

enum vf_machine_end {
    VF_END_DONE,
    VF_END_FAILED,    /* *err; the source is as it was; what was copied stays */
    VF_END_CANCELLED, /* by request or signal; the same, unless discard was asked for */
    /* The new VM is accepted, and is the one that counts; the source stays off. *err: what is left
     * to do (start, note, snapshots, checkpoint), which the same command does when run again. */
    VF_END_DELIVERED,
    VF_END_UNKNOWN, /* whether it is accepted cannot be told; the source stays off */
};

/* 0 with VF_END_DONE; else the code of *err. A checkpoint whose stage is DELIVERED is finished
 * alone; one whose stage is CUTOVER is gone on with: without asking the policy when the source is
 * off, or is on and the cutover was begun less than an hour ago. */
int vf_machine_run(struct vf_world *w, const struct vf_machine_policy *policy,
                   enum vf_machine_end *ret_end, struct vf_error **err);

/* What `vmferry cancel` does where no vmferry runs: snapshots of ours removed, a source that a
 * cutover had shut down powered on, with `discard` the copies removed. Nothing done when the new VM
 * was accepted already (VF_CONFLICT) or when that cannot be told. */
int vf_machine_cancel(struct vf_world *w, bool discard, struct vf_error **err);

#endif
