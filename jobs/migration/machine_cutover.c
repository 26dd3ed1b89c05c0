/* The cutover, what follows an accepted VM, and what undoes one that was not. */
#include <stdlib.h>

#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "jobs/migration/machine_private.h"

#define WATCH_MS      (INT64_C(2) * 60 * 1000)
#define WATCH_STEP_MS (INT64_C(5) * 1000)

/* --- up to the accepted VM ---------------------------------------------------------------- */

/* The state before the last round, kept while the source still runs. */
static int guard(struct vf_machine *m, struct vf_error **err)
{
    return m->w->ops->guard(m->w, err);
}

static int save(struct vf_machine *m, struct vf_error **err)
{
    return m->w->ops->save(m->w, err);
}

static int ask_to_shut_down(struct vf_machine *m, struct vf_error **err)
{
    int rc = m->w->ops->shut_down(m->w, err);
    m->lingers = rc != 0 && (m->lingers || (rc != VF_UNSUPPORTED && rc != VF_AUTH));
    return rc;
}

/* Durably, before anything is done to the source: a later run knows what to put right. */
static int begin_cutover(struct vf_machine *m, struct vf_error **err)
{
    bool on = m->view.power == VF_POWER_ON, earlier = m->c->stage == VF_STAGE_CUTOVER;
    m->c->was_on = on || (earlier && m->c->was_on);
    m->c->stage = VF_STAGE_CUTOVER;
    int rc = vf_machine_patiently(m, save, err);
    return rc ? rc : vf_inject("machine.cutover", err);
}

static int shut_down(struct vf_machine *m, struct vf_error **err)
{
    vf_machine_tell(m, VF_PHASE_STOPPING, "shutting the source down", NULL, NULL);
    m->stopped = true;
    m->stop_ms = vf_machine_now_ms(m);
    int rc = vf_machine_patiently(m, ask_to_shut_down, err);
    return rc ? rc : vf_inject("machine.stopped", err);
}

static int check_off(struct vf_machine *m, struct vf_error **err)
{
    int rc = vf_machine_patiently(m, vf_machine_look, err);
    if (rc == 0 && m->view.power != VF_POWER_OFF) {
        rc = vf_error_set(err, VF_CONFLICT,
                          "the source was powered on again by somebody while it was cut over");
        vf_error_hint(err, "see who or what starts it (HA, a schedule, a person), then run the "
                           "same command again");
    }
    return rc;
}

int vf_machine_ask_accepted(struct vf_machine *m, struct vf_error **err)
{
    struct vf_error *e = NULL;
    for (unsigned tries = 1;; tries++) {
        int rc = m->w->ops->fetch_accepted(m->w, &m->accepted, &e);
        if (rc == 0) {
            return 0;
        }
        if (tries >= vf_machine_max_tries(m)) {
            break;
        }
        vf_error_clear(&e);
        m->w->ops->rest(m->w, vf_machine_backoff_ms(m, tries));
    }
    m->accepted = false;
    m->unknown = true;
    vf_error_hint(&e, "let nobody start the source before the same command was run again, with the "
                      "target in reach: it finds out, and goes on");
    int rc = vf_error_wrap(&e, VF_RETRY, "whether the new VM was accepted cannot be told");
    vf_error_move(err, &e);
    return rc;
}

void vf_machine_note_accepted(struct vf_machine *m)
{
    struct vf_error *e = NULL;
    m->accepted = true;
    m->c->stage = VF_STAGE_DELIVERED;
    (void)vf_inject("machine.accepted", NULL);
    if (m->w->ops->save(m->w, &e) != 0) {
        /* A later run asks the target. */
        char *vf_autofree text = vf_error_format(e);
        vf_machine_warn(m, "that the new VM was accepted could not be noted (%s)", text);
    }
    vf_error_free(e);
    (void)vf_inject("machine.delivered", NULL);
}

/* It is idempotent. Not undone before it is sure that nothing came of it. Each time right after a
 * look: what a source that is on writes is in no round. */
static int deliver(struct vf_machine *m, struct vf_error **err)
{
    vf_machine_tell(m, VF_PHASE_DELIVERING, "making the new VM", NULL, NULL);
    for (unsigned tries = 1;; tries++) {
        struct vf_error *e = NULL, *unsure = NULL;
        int rc = check_off(m, &e);
        if (rc) {
            vf_error_move(err, &e);
            return rc;
        }
        rc = m->w->ops->deliver(m->w, &e);
        if (rc == 0) {
            return 0;
        }
        int told = vf_machine_ask_accepted(m, &unsure);
        if (told == 0 && m->accepted) {
            vf_error_free(e);
            return 0;
        }
        if (told) {
            vf_machine_also(&e, unsure, "the new VM may be there all the same");
        }
        if (told || rc != VF_RETRY || tries >= vf_machine_max_tries(m)) {
            vf_error_move(err, &e);
            return rc;
        }
        vf_error_free(e);
        rc = vf_machine_wait(m, vf_machine_backoff_ms(m, tries), err);
        if (rc) {
            return rc;
        }
    }
}

int vf_machine_cut_over(struct vf_machine *m, struct vf_error **err)
{
    int rc = vf_machine_patiently(m, vf_machine_look, err);
    if (rc == 0 && m->view.power != VF_POWER_ON && m->view.power != VF_POWER_OFF) {
        rc = vf_error_set(err, VF_CONFLICT, "the source is suspended, or out of reach");
        vf_error_hint(err, "resume it or power it off, then run the same command again");
    }
    if (rc == 0 && m->view.power == VF_POWER_ON && vf_machine_is_complete(m->c)) {
        rc = vf_machine_patiently(m, guard, err);
    }
    if (rc == 0) {
        rc = begin_cutover(m, err);
    }
    if (rc == 0 && m->view.power == VF_POWER_ON) {
        rc = shut_down(m, err);
    }
    if (rc == 0) {
        rc = vf_machine_round(m, VF_ROUND_LAST, err);
    }
    if (rc == 0) {
        rc = deliver(m, err);
    }
    if (rc) {
        return vf_error_wrap(err, rc, "cutover");
    }
    vf_machine_note_accepted(m);
    return 0;
}

/* --- after it ----------------------------------------------------------------------------- */

/* Both must never run. */
static int check_still_off(struct vf_machine *m, struct vf_error **err)
{
    struct vf_error *e = NULL;
    int rc = vf_machine_look(m, &e);
    if (rc == VF_MISSING) {
        vf_error_free(e);
        return 0; /* deleted */
    }
    vf_error_move(err, &e);
    if (rc) {
        vf_error_hint(err, "run the same command again; or see yourself that the source is off, "
                           "and start the new VM");
        return vf_error_wrap(err, rc, "it cannot be seen whether the source is off");
    }
    if (m->view.power == VF_POWER_OFF) {
        return 0;
    }
    vf_error_set(err, VF_CONFLICT,
                 "the source was powered on after it was cut over: what it wrote since is not in "
                 "the new VM, which was not started");
    vf_error_hint(err, "power the source off, then run the same command again; or, to keep the "
                       "source, delete the new VM and clean up");
    return VF_CONFLICT;
}

static int try_to_start(struct vf_machine *m, struct vf_error **err)
{
    int rc = check_still_off(m, err);
    if (rc == 0) {
        vf_machine_tell(m, VF_PHASE_STARTING, "the new VM is accepted", NULL, NULL);
        rc = m->w->ops->start(m->w, err);
    }
    return rc;
}

/* Requests come too late from here on. */
static void start(struct vf_machine *m, struct vf_error **e)
{
    struct vf_error *more = NULL;
    int rc = try_to_start(m, &more);
    for (unsigned tries = 1; rc == VF_RETRY && tries < vf_machine_max_tries(m); tries++) {
        vf_error_clear(&more);
        m->w->ops->rest(m->w, vf_machine_backoff_ms(m, tries));
        rc = try_to_start(m, &more);
    }
    if (rc) {
        vf_machine_also(e, more, "the new VM was accepted, and does not run yet");
    } else if (m->stopped) {
        m->w->numbers.downtime_ms = vf_machine_now_ms(m) - m->stop_ms;
    }
    (void)vf_inject("machine.started", NULL);
}

static void note(struct vf_machine *m, struct vf_error **e)
{
    struct vf_error *more = NULL;
    int rc = vf_machine_insist(m, m->w->ops->note, &more);
    if (rc == VF_AUTH || rc == VF_MISSING) {
        char *vf_autofree text = vf_error_format(more);
        vf_machine_warn(m, "no note could be left on the source (%s); let nobody start it", text);
        vf_error_free(more);
    } else if (rc) {
        vf_machine_also(e, more, "the note on the source could not be written");
    }
    (void)vf_inject("machine.noted", NULL);
}

int vf_machine_finish(struct vf_machine *m, struct vf_error **err)
{
    struct vf_error *e = NULL, *more = NULL;
    m->snapshots = true;
    start(m, &e);
    vf_machine_tell(m, VF_PHASE_CLEANING, "leaving a note on the source, removing snapshots", NULL,
                    e);
    note(m, &e);
    if (vf_machine_remove_snapshots(m, true, &more) != 0) {
        vf_machine_also(&e, more, "snapshots of ours may be left on the source");
    }
    (void)vf_inject("machine.cleaned", NULL);
    if (!e && vf_machine_insist(m, m->w->ops->settle, &more) != 0) {
        vf_machine_also(&e, more, "notes of the migration could not be removed at the target");
    }
    (void)vf_inject("machine.settled", NULL);
    int rc = vf_error_code(e);
    vf_error_move(err, &e);
    return rc;
}

/* --- what was not ------------------------------------------------------------------------- */

/* On, and no longer on its way down. */
static int bring_back(struct vf_machine *m, struct vf_error **err)
{
    int64_t end_ms = vf_machine_now_ms(m) + (m->p->watch_ms > 0 ? m->p->watch_ms : WATCH_MS);
    for (;;) {
        bool off = m->lingers && vf_machine_look(m, NULL) == 0 && m->view.power == VF_POWER_OFF;
        int rc = vf_machine_insist(m, m->w->ops->power_on, err);
        if (rc || off || !m->lingers) {
            return rc;
        }
        if (vf_machine_look(m, NULL) == 0 && m->view.stays_on) {
            return 0;
        }
        if (vf_machine_now_ms(m) >= end_ms) {
            vf_machine_warn(m, "the guest was asked to shut down, and has not yet: should it do so "
                               "later, power it on");
            return 0;
        }
        m->w->ops->rest(m->w, WATCH_STEP_MS);
    }
}

static void undo_cutover(struct vf_machine *m, struct vf_error **e)
{
    struct vf_error *more = NULL;
    if (m->c->was_on && bring_back(m, &more) != 0) {
        /* The checkpoint still says that it was on: the next run goes on, or `vmferry cancel`
         * powers it on. */
        m->left = true;
        vf_machine_also(e, more, "THE SOURCE IS OFF, and could not be powered on again");
        return;
    }
    (void)vf_inject("machine.brought_back", NULL);
    m->c->stage = VF_STAGE_PRECOPY;
    m->c->was_on = false;
    m->c->cutover_s = 0;
    if (vf_machine_insist(m, m->w->ops->save, &more) != 0) {
        m->left = true;
        vf_machine_also(e, more,
                        "that the cutover was undone could not be saved: the next run "
                        "begins it again");
    }
}

/* Who cancels does not want it cut over later. */
static void forget_request(struct vf_machine *m, struct vf_error **e)
{
    struct vf_error *more = NULL;
    m->c->cutover_s = 0;
    if (vf_machine_insist(m, m->w->ops->save, &more) != 0) {
        m->left = true;
        vf_machine_also(e, more,
                        "that the cutover was cancelled could not be saved: the next run "
                        "begins it at its time");
    }
}

void vf_machine_undo(struct vf_machine *m, struct vf_error **e)
{
    struct vf_error *more = NULL;
    vf_machine_tell(m, VF_PHASE_UNDOING,
                    m->unknown ? "removing snapshots; the source stays as it is"
                               : "putting the source back",
                    NULL, *e);
    if (m->c->stage == VF_STAGE_CUTOVER && !m->unknown) {
        undo_cutover(m, e);
    }
    if (m->c->stage == VF_STAGE_PRECOPY && m->is_requested && m->c->cutover_s > 0) {
        forget_request(m, e);
    }
    if (m->snapshots && vf_machine_remove_snapshots(m, true, &more) != 0) {
        m->left = true;
        vf_machine_also(e, vf_take(more), "snapshots of ours may be left on the source");
    }
    (void)vf_inject("machine.undone", NULL);
    if (m->discard && !m->unknown && vf_machine_insist(m, m->w->ops->discard, &more) != 0) {
        m->left = true;
        vf_machine_also(e, vf_take(more), "what was copied could not all be removed");
    }
}
