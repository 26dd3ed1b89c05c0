/* Between the files of machine.h. */
#ifndef JOBS_MIGRATION_MACHINE_PRIVATE_H
#define JOBS_MIGRATION_MACHINE_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>

#include "jobs/migration/machine.h"

struct vf_machine {
    struct vf_world *w;
    const struct vf_machine_policy *p;
    struct vf_checkpoint *c; /* the world's */

    /* The policy in force: a request replaces it, a window ends. */
    enum vf_cutover_when when;
    int64_t from_s, until_s, budget_ms;
    bool now;     /* cut over without asking any further... */
    bool further; /* ...but after one more round */
    struct vf_rounds_forecast forecast;

    struct vf_world_view view; /* of the last look */
    bool snapshots;            /* of ours may be there */
    bool in_hand;              /* the world holds one, to be copied from */
    int64_t snapshot_ms;       /* of the last round that is over; now_ms's clock */
    bool aged;                 /* snapshot_ms is set */
    int64_t adopted_ms;        /* the broken round of an earlier run began then; with `adopts` */
    bool adopts;
    int64_t ended_ms;     /* the last round of this run; 0: none has */
    unsigned full_rounds; /* in a row, of this run, in which every disk was copied in full */

    bool lingers; /* the guest may still go down, though nobody waits for it */
    bool stopped; /* the source was shut down in this run, at stop_ms */
    int64_t stop_ms;
    bool accepted;     /* the new VM */
    bool unknown;      /* nobody can tell whether it was */
    bool left;         /* something could not be undone */
    bool discard;      /* a request said so */
    bool is_requested; /* the cancellation */
};

/* --- machine.c ---------------------------------------------------------------------------- */

/* The world's numbers and the forecast go with it. */
void vf_machine_tell(struct vf_machine *m, enum vf_migration_phase phase, const char *detail,
                     const char *next_step, const struct vf_error *error);
void vf_machine_warn(struct vf_machine *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

int64_t vf_machine_now_ms(const struct vf_machine *m);
/* Before the try after so many that failed. */
int64_t vf_machine_backoff_ms(const struct vf_machine *m, unsigned tries);
unsigned vf_machine_max_tries(const struct vf_machine *m);

/* Into m->view. */
int vf_machine_look(struct vf_machine *m, struct vf_error **err);

/* At most so long; shorter when a request comes. A request is taken up in *m; one to cancel is
 * VF_CANCELLED with its reason. */
int vf_machine_wait(struct vf_machine *m, int64_t timeout_ms, struct vf_error **err);

/* A step, tried again some times, with waits that requests and signals end. */
int vf_machine_patiently(struct vf_machine *m,
                         int (*step)(struct vf_machine *m, struct vf_error **err),
                         struct vf_error **err);

/* A clean-up step, tried again some times, not cancelled. */
typedef int vf_machine_step(struct vf_world *w, struct vf_error **err);
int vf_machine_insist(struct vf_machine *m, vf_machine_step *step, struct vf_error **err);

/* All of ours. `insist`: as above; a round has tries of its own. */
int vf_machine_remove_snapshots(struct vf_machine *m, bool insist, struct vf_error **err);

/* What else went wrong, freed here, becomes a part of *e, which it does not hide. */
void vf_machine_also(struct vf_error **e, struct vf_error *more, const char *what);

/* RFC 3339, UTC, whole seconds, as checkpoints have it; false: it is none. */
bool vf_machine_parse_time(const char *text, int64_t *ret_unix_s);

/* --- machine_rounds.c --------------------------------------------------------------------- */

/* Every disk of the checkpoint, and there is one. */
bool vf_machine_is_complete(const struct vf_checkpoint *c);

/* Rounds and waits until it is time for the cutover. */
int vf_machine_precopy(struct vf_machine *m, struct vf_error **err);
/* One, with its tries. LAST leaves its snapshot. */
int vf_machine_round(struct vf_machine *m, enum vf_round_kind kind, struct vf_error **err);

/* --- machine_policy.c --------------------------------------------------------------------- */

/* Rounds copy everything each time, for want of tracking: another one is worth nothing. */
#define VF_MACHINE_FULL_ROUNDS 2
bool vf_machine_gains_nothing(const struct vf_machine *m);

/* What to do now: sets m->forecast; *ret_wait_ms with WAIT. */
enum vf_rounds_step vf_machine_decide(struct vf_machine *m, int64_t *ret_wait_ms);
/* For people; the caller frees it. */
char *vf_machine_next_step(const struct vf_machine *m, int64_t wait_ms);
char *vf_machine_outlook(const struct vf_machine *m);

/* --- machine_cutover.c -------------------------------------------------------------------- */

/* Shutdown, last round, delivery. On success the VM is accepted, and that is saved. */
int vf_machine_cut_over(struct vf_machine *m, struct vf_error **err);
/* Ask the target, some times: m->accepted. On failure m->unknown. */
int vf_machine_ask_accepted(struct vf_machine *m, struct vf_error **err);
/* Set, and saved, as far as that can be. */
void vf_machine_note_accepted(struct vf_machine *m);
/* Of an accepted VM: start, note, snapshots, checkpoint. */
int vf_machine_finish(struct vf_machine *m, struct vf_error **err);
/* Of one that was not: *e is what led here, and learns what could not be undone. May be NULL
 * (vf_machine_cancel), and is set then on failure. */
void vf_machine_undo(struct vf_machine *m, struct vf_error **e);

#endif
