/* The rounds of a migration: snapshot, guard, copy, snapshot removed, tried again. */
#include <inttypes.h>
#include <stdlib.h>

#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "jobs/migration/machine_private.h"
#include "jobs/report/text.h"

struct round {
    enum vf_round_kind kind;
    bool copied;
    bool adopted;     /* the snapshot may be an earlier run's */
    unsigned tries;   /* that failed, with nothing new in the checkpoint since */
    int64_t taken_ms; /* of the snapshot */
    struct vf_round all;
};

bool vf_machine_is_complete(const struct vf_checkpoint *c)
{
    for (size_t i = 0; i < c->n_disks; i++) {
        if (c->disks[i].phase != VF_CHECKPOINT_COMPLETE) {
            return false;
        }
    }
    return c->n_disks > 0;
}

static uint64_t copied_bytes(const struct vf_checkpoint *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->n_disks; i++) {
        sum += c->disks[i].copied_bytes;
    }
    return sum;
}

/* --- the steps of a try ------------------------------------------------------------------- */

/* One of ours may be there before, and only if a disk may need it: two at most. */
static int take_snapshot(struct vf_machine *m, struct round *r, struct vf_error **err)
{
    int64_t begin_ms = vf_machine_now_ms(m);
    int rc = vf_machine_look(m, err);
    if (rc) {
        return rc;
    }
    bool may_adopt =
        r->kind == VF_ROUND_PRECOPY && m->c->n_disks > 0 && !vf_machine_is_complete(m->c);
    if (m->view.own_snapshots > (may_adopt ? 1 : 0)) {
        rc = vf_machine_remove_snapshots(m, false, err);
    }
    if (rc == 0) {
        bool told = r->kind == VF_ROUND_PRECOPY && m->forecast.known;
        char *vf_autofree outlook = told ? vf_machine_outlook(m) : NULL;
        char *vf_autofree detail =
            vf_xasprintf("taking a snapshot%s%s", told ? ": " : "", told ? outlook : "");
        vf_machine_tell(m, VF_PHASE_SNAPSHOT, detail, NULL, NULL);
        m->snapshots = true;
        r->taken_ms = vf_machine_now_ms(m);
        rc = m->w->ops->take_snapshot(m->w, r->kind, err);
    }
    if (rc == 0) {
        m->in_hand = true;
        rc = vf_inject("machine.snapshot", err);
    }
    r->all.overhead_ms += vf_machine_now_ms(m) - begin_ms;
    return rc;
}

static int copy(struct vf_machine *m, struct round *r, struct vf_error **err)
{
    bool last = r->kind == VF_ROUND_LAST;
    int64_t begin_ms = vf_machine_now_ms(m);
    struct vf_round round = {0};
    /* Disks that are about to be changed. Before the last round it was done while the source ran.
     */
    int rc = !last && vf_machine_is_complete(m->c) ? m->w->ops->guard(m->w, err) : 0;
    if (rc == 0) {
        vf_machine_tell(m, last ? VF_PHASE_LAST_COPY : VF_PHASE_COPYING,
                        m->c->n_rounds == 0 ? "copying all"
                        : last              ? "copying what changed up to the shutdown"
                                            : "copying what changed",
                        NULL, NULL);
        uint64_t before = copied_bytes(m->c);
        rc = m->w->ops->copy(m->w, r->kind, &round, err);
        uint64_t after = copied_bytes(m->c);
        r->all.bytes += rc == 0 ? round.bytes : after > before ? after - before : 0;
    }
    int64_t took_ms = vf_machine_now_ms(m) - begin_ms;
    if (rc) {
        r->all.copy_ms += took_ms;
        return rc;
    }
    r->copied = true;
    r->all.copy_ms += round.copy_ms;
    r->all.overhead_ms += took_ms > round.copy_ms ? took_ms - round.copy_ms : 0;
    return vf_inject("machine.copied", err);
}

static int try_round(struct vf_machine *m, struct round *r, struct vf_error **err)
{
    int rc = 0;
    if (!r->copied && !m->in_hand) {
        rc = take_snapshot(m, r, err);
    }
    if (rc == 0 && !r->copied) {
        rc = copy(m, r, err);
    }
    if (rc || r->kind == VF_ROUND_LAST) {
        return rc;
    }
    int64_t begin_ms = vf_machine_now_ms(m);
    vf_machine_tell(m, VF_PHASE_SETTLING, "removing the snapshot", NULL, NULL);
    rc = vf_machine_remove_snapshots(m, false, err);
    r->all.overhead_ms += vf_machine_now_ms(m) - begin_ms;
    return rc ? rc : vf_inject("machine.removed", err);
}

/* --- tries -------------------------------------------------------------------------------- */

/* A copy that broke because its snapshot is gone may go on with another one. */
static int look_after_snapshot(struct vf_machine *m, const struct round *r, int rc)
{
    if (!m->in_hand || r->copied || rc == VF_CANCELLED || vf_machine_look(m, NULL) != 0 ||
        m->view.own_snapshots > 0) {
        return rc;
    }
    m->in_hand = false;
    return VF_RETRY;
}

static int wait_for_try(struct vf_machine *m, const struct round *r, const struct vf_error *why,
                        struct vf_error **err)
{
    char seconds[VF_TEXT_DURATION_SIZE];
    int64_t wait_ms = vf_machine_backoff_ms(m, r->tries), asked_ms = vf_error_retry_after_ms(why);
    wait_ms = asked_ms > wait_ms && asked_ms < INT64_C(600) * 1000 ? asked_ms : wait_ms;
    char *vf_autofree text = vf_error_format(why);
    vf_text_duration(seconds, (uint64_t)wait_ms / 1000);
    vf_machine_warn(m, "the round broke (%s); it goes on in %s (try %u of %u)", text, seconds,
                    r->tries + 1, vf_machine_max_tries(m));
    m->w->numbers.tries = r->tries;
    char *vf_autofree next = vf_xasprintf("it goes on in %s", seconds);
    vf_machine_tell(m, r->kind == VF_ROUND_LAST ? VF_PHASE_LAST_COPY : VF_PHASE_COPYING,
                    "the round broke", next, why);
    int64_t end_ms = vf_machine_now_ms(m) + wait_ms, left_ms = wait_ms;
    int rc = 0;
    while (rc == 0 && left_ms > 0) {
        rc = vf_machine_wait(m, left_ms, err);
        left_ms = end_ms - vf_machine_now_ms(m);
    }
    return rc;
}

/* Of a try that failed with rc and *e: 0 to try again, then *e is freed. */
static int try_again(struct vf_machine *m, struct round *r, bool progressed, int rc,
                     struct vf_error **e)
{
    int verdict = look_after_snapshot(m, r, rc);
    if (verdict != VF_RETRY) {
        return rc;
    }
    r->tries = progressed ? 1 : r->tries + 1;
    if (r->tries >= vf_machine_max_tries(m)) {
        vf_error_wrap(e, rc, "given up after %u tries", r->tries);
        vf_error_hint(e, "what was copied is kept: run the same command again");
        return rc;
    }
    struct vf_error *why = vf_take(*e);
    rc = wait_for_try(m, r, why, e);
    vf_error_free(why);
    return rc;
}

/* Into the history that the forecast is made of. */
static void note_round(struct vf_machine *m, struct round *r)
{
    int64_t state_ms = r->adopted && m->adopts ? m->adopted_ms : r->taken_ms;
    /* A disk that is not tracked is copied in full in every round: that is what a round of this VM
     * costs, and no new beginning. */
    bool full = true;
    for (size_t i = 0; i < m->c->n_disks; i++) {
        full = full && m->c->disks[i].round == 0;
    }
    m->full_rounds = full ? m->full_rounds + 1 : 0;
    if (vf_machine_gains_nothing(m) && m->full_rounds == VF_MACHINE_FULL_ROUNDS) {
        vf_machine_warn(m,
                        "nothing tells what changes on the disks, so that every round copies all "
                        "of them: no more rounds are made before the cutover, which copies all "
                        "while the source is off");
    }
    full = full || m->c->n_rounds == 0;
    r->all.span_ms = m->aged && !full ? state_ms - m->snapshot_ms : 0;
    vf_checkpoint_add_round(m->c, &r->all, full);
    m->aged = true;
    m->ended_ms = vf_machine_now_ms(m);
    m->adopts = false;
    m->snapshot_ms = state_ms;
    struct vf_error *e = NULL;
    if (m->w->ops->save(m->w, &e) != 0) {
        char *vf_autofree text = vf_error_format(e);
        vf_machine_warn(m, "how long this round took could not be saved (%s)", text);
    }
    vf_error_free(e);
}

int vf_machine_round(struct vf_machine *m, enum vf_round_kind kind, struct vf_error **err)
{
    struct round r = {.kind = kind, .adopted = m->adopts};
    struct vf_error *e = NULL;
    int rc;
    m->w->numbers.tries = 0;
    for (;;) {
        uint64_t before = copied_bytes(m->c);
        rc = try_round(m, &r, &e);
        if (rc == 0) {
            break;
        }
        rc = try_again(m, &r, copied_bytes(m->c) > before, rc, &e);
        if (rc) {
            break;
        }
    }
    m->w->numbers.tries = 0;
    if (rc == 0 && kind == VF_ROUND_PRECOPY) {
        note_round(m, &r);
    }
    vf_error_move(err, &e);
    return rc;
}

int vf_machine_precopy(struct vf_machine *m, struct vf_error **err)
{
    for (;;) {
        int64_t wait_ms = 0;
        int rc = vf_machine_wait(m, 0, err); /* was anything asked for meanwhile? */
        if (rc) {
            return rc;
        }
        enum vf_rounds_step step = vf_machine_decide(m, &wait_ms);
        if (step == VF_ROUNDS_CUT_OVER) {
            return 0;
        }
        char *vf_autofree outlook = vf_machine_outlook(m);
        char *vf_autofree next = vf_machine_next_step(m, wait_ms);
        if (step == VF_ROUNDS_WAIT) {
            vf_machine_tell(m, VF_PHASE_WAITING, outlook, next, NULL);
            rc = vf_machine_wait(m, wait_ms, err);
        } else {
            rc = vf_machine_round(m, VF_ROUND_PRECOPY, err);
            m->further = false;
        }
        if (rc) {
            return rc;
        }
    }
}
