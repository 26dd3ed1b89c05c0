/* The arithmetic of warm rounds: what the rounds so far say about the next one and about a cutover.
 *
 * The model: in t milliseconds after a snapshot a guest changes `hot + rate * t` bytes, a hot set
 * that is written over and over, and the rest at a steady rate. Both are fitted to the newest round
 * and to the last one before it whose span was clearly another one. A round takes its overhead and
 * the copy of that. Rounds without a pause then come down to a fixed length, if the guest changes
 * less than is copied, and to none if it does not.
 *
 * Pure: no clock, no state; any numbers go in, and what comes out is finite, never negative, and at
 * most VF_ROUNDS_MAX_MS. Any thread.
 */
#ifndef JOBS_ROUNDS_H
#define JOBS_ROUNDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer than anything one would wait for: "not in any time". 10 years. */
#define VF_ROUNDS_MAX_MS (INT64_C(315360000) * 1000)

/* One that is over. Negative numbers count as 0. */
struct vf_round {
    uint64_t bytes;      /* copied, of all disks */
    int64_t span_ms;     /* from the snapshot before to this one: in which they changed */
    int64_t copy_ms;     /* the copy alone */
    int64_t overhead_ms; /* snapshots, queries, flushes */
};

struct vf_rounds_policy {
    int64_t max_downtime_ms;   /* the budget of the cutover; 0: none */
    int64_t fixed_downtime_ms; /* of a cutover beside its last round: shutdown, new VM, its start */
    int64_t min_interval_ms;   /* between rounds that only hold what was reached; 0: 1 min */
    int64_t max_interval_ms;   /* 0: 1 h; not below the minimum */
};

enum vf_rounds_step {
    VF_ROUNDS_START,    /* the next round, now */
    VF_ROUNDS_WAIT,     /* for wait_ms, then ask again */
    VF_ROUNDS_CUT_OVER, /* its time has come, or the budget is met */
};

struct vf_rounds_forecast {
    bool known; /* two rounds are over, the full copy and another; else the numbers are 0 */
    uint64_t change_bytes_per_s; /* steady rate */
    uint64_t hot_bytes;          /* and on top of it */
    uint64_t copy_bytes_per_s;   /* 0: nothing was copied yet */
    uint64_t expected_bytes;     /* changed since the last snapshot */
    int64_t round_ms;            /* a round begun now takes */
    int64_t downtime_ms;         /* a cutover begun now: expected */
    int64_t worst_downtime_ms;   /* the same, if all that the last round copied was hot */
    int64_t best_downtime_ms;    /* what rounds without a pause come down to */
    int64_t gain_ms;             /* less downtime by one round more before a cutover; may be 0 */
    bool converges;              /* the guest changes less than is copied */
    bool pays;                   /* one round more is worth it, and the last ones have shown so */
    bool budget_met;             /* worst_downtime_ms is within the budget */
    bool budget_reachable;       /* best_downtime_ms is */
    enum vf_rounds_step step;
    int64_t wait_ms;    /* WAIT alone: at most max_interval_ms, at least 1 */
    const char *reason; /* of the step, for a person; static */
};

/* rounds[0] is the full copy, the newest is the last; since_snapshot_ms: the age of the newest
 * snapshot; until_cutover_ms: to the time that the cutover is fixed for, negative: none is. */
struct vf_rounds_forecast vf_rounds_forecast(const struct vf_round *rounds, size_t n,
                                             const struct vf_rounds_policy *policy,
                                             int64_t since_snapshot_ms, int64_t until_cutover_ms);

#endif
