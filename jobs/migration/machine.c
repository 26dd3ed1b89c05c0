#include "jobs/migration/machine.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "importer/base/inject.h"
#include "importer/base/mem.h"
#include "jobs/migration/machine_private.h"

#define MAX_TRIES      5
#define CLEANUP_TRIES  5
#define RETRY_WAIT_MS  (INT64_C(5) * 1000)
#define RETRY_LONGEST  (INT64_C(5) * 60 * 1000)
#define RECENT_S       (INT64_C(60) * 60) /* a cutover that is gone on with without asking */
#define DOUBLINGS_MOST 10

/* --- small things ------------------------------------------------------------------------- */

void vf_machine_tell(struct vf_machine *m, enum vf_migration_phase phase, const char *detail,
                     const char *next_step, const struct vf_error *error)
{
    m->w->ops->tell(m->w, phase, m->forecast.known ? &m->forecast : NULL, detail, next_step, error);
}

void vf_machine_warn(struct vf_machine *m, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *vf_autofree text = vf_xvasprintf(fmt, ap);
    va_end(ap);
    m->w->ops->warn(m->w, text);
}

int64_t vf_machine_now_ms(const struct vf_machine *m)
{
    return m->w->ops->now_ms(m->w);
}

int64_t vf_machine_backoff_ms(const struct vf_machine *m, unsigned tries)
{
    int64_t ms = m->p->retry_wait_ms > 0 ? m->p->retry_wait_ms : RETRY_WAIT_MS;
    for (unsigned i = 1; i < tries && i < DOUBLINGS_MOST && ms < RETRY_LONGEST; i++) {
        ms *= 2;
    }
    return ms < RETRY_LONGEST ? ms : RETRY_LONGEST;
}

unsigned vf_machine_max_tries(const struct vf_machine *m)
{
    return m->p->max_tries ? m->p->max_tries : MAX_TRIES;
}

int vf_machine_look(struct vf_machine *m, struct vf_error **err)
{
    struct vf_world_view view = {0};
    int rc = m->w->ops->look(m->w, &view, err);
    if (rc == 0) {
        m->view = view;
        m->snapshots = view.own_snapshots > 0;
    }
    return rc;
}

/* It is off the board: a run after a kill has to know of it. Before there is a disk that can be
 * saved nothing is to be cut over either. */
static void save_request(struct vf_machine *m)
{
    struct vf_error *e = NULL;
    if (m->c->n_disks > 0 && m->w->ops->save(m->w, &e) != 0) {
        char *vf_autofree text = vf_error_format(e);
        vf_machine_warn(m, "that a cutover was asked for could not be saved (%s)", text);
    }
    vf_error_free(e);
}

static void take_request(struct vf_machine *m, const struct vf_migration_request *r)
{
    if (r->kind == VF_REQUEST_CANCEL) {
        m->is_requested = true;
        m->discard = r->discard;
    } else if (r->kind == VF_REQUEST_CUTOVER) {
        int64_t now_s = m->w->ops->now_s(m->w);
        m->now = r->at_s <= now_s;
        m->when = VF_CUTOVER_AT;
        m->from_s = m->now ? now_s : r->at_s;
        m->c->cutover_s = m->from_s;
        save_request(m);
    }
}

static int say_cancelled(struct vf_error **err)
{
    vf_error_set(err, VF_CANCELLED, "the migration was cancelled by request");
    vf_error_set_reason(err, VF_REASON_CANCEL_REQUESTED);
    return VF_CANCELLED;
}

int vf_machine_wait(struct vf_machine *m, int64_t timeout_ms, struct vf_error **err)
{
    struct vf_migration_request r = {0};
    int rc = m->w->ops->wait(m->w, timeout_ms, &r, err);
    if (rc == 0) {
        take_request(m, &r);
        rc = m->is_requested ? say_cancelled(err) : 0;
    }
    return rc;
}

int vf_machine_patiently(struct vf_machine *m,
                         int (*step)(struct vf_machine *m, struct vf_error **err),
                         struct vf_error **err)
{
    for (unsigned tries = 1;; tries++) {
        struct vf_error *e = NULL;
        int rc = step(m, &e);
        if (rc != VF_RETRY || tries >= vf_machine_max_tries(m)) {
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

int vf_machine_insist(struct vf_machine *m, vf_machine_step *step, struct vf_error **err)
{
    for (unsigned tries = 1;; tries++) {
        struct vf_error *e = NULL;
        int rc = step(m->w, &e);
        if (rc != VF_RETRY || tries == CLEANUP_TRIES) {
            vf_error_move(err, &e);
            return rc;
        }
        vf_error_free(e);
        m->w->ops->rest(m->w, vf_machine_backoff_ms(m, tries));
    }
}

int vf_machine_remove_snapshots(struct vf_machine *m, bool insist, struct vf_error **err)
{
    vf_machine_step *step = m->w->ops->remove_snapshots;
    m->in_hand = false;
    int rc = insist ? vf_machine_insist(m, step, err) : step(m->w, err);
    if (rc == 0) {
        m->snapshots = false;
    }
    return rc;
}

void vf_machine_also(struct vf_error **e, struct vf_error *more, const char *what)
{
    if (!*e) {
        vf_error_wrap(&more, 0, "%s", what);
        *e = more;
        return;
    }
    char *vf_autofree text = vf_error_format(more);
    const char *hint = vf_error_get_hint(more);
    vf_error_wrap(e, 0, "%s (%s%s%s); before that", what, text, hint ? "; " : "", hint ? hint : "");
    vf_error_free(more);
}

bool vf_machine_parse_time(const char *text, int64_t *ret_unix_s)
{
    struct tm tm = {0};
    const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) : NULL;
    if (!end || *end) {
        return false;
    }
    *ret_unix_s = (int64_t)timegm(&tm);
    return true;
}

/* --- the run ------------------------------------------------------------------------------ */

/* How long ago the text's time was; 0 for one to come, or none. */
static int64_t age_s(const struct vf_machine *m, const char *text)
{
    int64_t then, now = m->w->ops->now_s(m->w);
    return vf_machine_parse_time(text, &then) && then < now ? now - then : 0;
}

/* How old the state is that the disks are in, or on their way to. */
static void take_up_age(struct vf_machine *m)
{
    int64_t oldest = 0;
    for (size_t i = 0; i < m->c->n_disks; i++) {
        int64_t age = age_s(m, m->c->disks[i].round_started);
        oldest = age > oldest ? age : oldest;
    }
    int64_t most = VF_ROUNDS_MAX_MS / 1000;
    int64_t then_ms = vf_machine_now_ms(m) - (oldest < most ? oldest : most) * 1000;
    if (vf_machine_is_complete(m->c)) {
        m->aged = true;
        m->snapshot_ms = then_ms;
    } else if (m->c->n_disks > 0) {
        m->adopts = true;
        m->adopted_ms = then_ms;
    }
}

static int track(struct vf_machine *m, struct vf_error **err)
{
    const struct vf_world_view *v = &m->view;
    if (v->tracking && !v->stun_due) {
        return 0;
    }
    /* One that is off stands still anyway. */
    if (v->stun_due && v->power != VF_POWER_OFF && !m->p->may_stun) {
        vf_error_set(err, VF_CONFLICT,
                     "changed-block tracking is off, and to switch it on the running VM has to "
                     "stand still for a moment");
        vf_error_hint(err, "permit that with --allow-stun, or switch it on when the VM is off");
        return VF_CONFLICT;
    }
    /* Changes are counted from a state without snapshots; of ours none is of use without them. */
    if (v->own_snapshots > 0) {
        int rc = vf_machine_remove_snapshots(m, true, err);
        if (rc) {
            return rc;
        }
    }
    vf_machine_tell(m, VF_PHASE_TRACKING, "switching changed-block tracking on", NULL, NULL);
    int rc = m->w->ops->enable_tracking(m->w, m->p->may_stun, err);
    return rc ? rc : vf_inject("machine.tracking", err);
}

/* A guest that an earlier run asked to shut down may still do so. */
static bool may_linger(const struct vf_machine *m)
{
    return m->c->stage == VF_STAGE_CUTOVER && m->c->was_on && age_s(m, m->c->updated) < RECENT_S;
}

/* What was asked of an earlier run. Long after its time it is a surprise. */
static void take_up_request(struct vf_machine *m)
{
    int64_t at_s = m->c->cutover_s, now_s = m->w->ops->now_s(m->w);
    if (at_s > 0 && at_s < now_s - RECENT_S) {
        vf_machine_warn(m, "the time of the cutover that was asked for has passed while nobody "
                           "worked on the migration: ask for it again");
        m->c->cutover_s = 0;
    } else if (at_s > 0) {
        m->when = VF_CUTOVER_AT;
        m->from_s = at_s;
    }
}

/* An earlier run was cutting over. */
static int go_on_cutting_over(struct vf_machine *m, bool *ret_delivered, struct vf_error **err)
{
    int rc = vf_machine_ask_accepted(m, err);
    *ret_delivered = m->accepted;
    if (rc == 0 && m->accepted) {
        vf_machine_note_accepted(m);
    }
    if (rc || m->accepted) {
        return rc;
    }
    rc = vf_machine_patiently(m, vf_machine_look, err);
    if (rc) {
        return rc;
    }
    bool off = m->view.power == VF_POWER_OFF;
    m->lingers = m->lingers && !off;
    if (off || age_s(m, m->c->updated) < RECENT_S) {
        m->now = true;
        m->further = !off;
    } else {
        /* Somebody has it running again since: that is decided anew. */
        vf_machine_warn(m, "an earlier cutover was broken off, and the source runs; the cutover "
                           "begins when its time comes again");
        m->c->stage = VF_STAGE_PRECOPY;
        m->c->was_on = false;
    }
    return 0;
}

/* Up to the accepted VM. */
static int advance(struct vf_machine *m, struct vf_error **err)
{
    int rc = 0;
    if (m->c->stage == VF_STAGE_CUTOVER) {
        bool delivered = false;
        rc = go_on_cutting_over(m, &delivered, err);
        if (rc || delivered) {
            return rc;
        }
    } else {
        rc = vf_machine_patiently(m, vf_machine_look, err);
    }
    take_up_request(m);
    take_up_age(m);
    bool resume_off = m->c->stage == VF_STAGE_CUTOVER && m->view.power == VF_POWER_OFF;
    if (rc == 0 && !resume_off) {
        rc = vf_machine_patiently(m, track, err);
        if (rc == 0) {
            rc = vf_machine_precopy(m, err);
        }
    }
    return rc ? rc : vf_machine_cut_over(m, err);
}

static int run(struct vf_machine *m, struct vf_error **err)
{
    int rc = 0;
    m->snapshots = true;
    m->lingers = may_linger(m);
    if (m->c->stage == VF_STAGE_DELIVERED) {
        m->accepted = true;
    } else {
        rc = advance(m, err);
    }
    return m->accepted ? vf_machine_finish(m, err) : rc;
}

static enum vf_machine_end end_of(const struct vf_machine *m, int rc)
{
    if (rc == 0) {
        return VF_END_DONE;
    }
    if (m->accepted) {
        return VF_END_DELIVERED;
    }
    if (m->unknown) {
        return VF_END_UNKNOWN;
    }
    return rc == VF_CANCELLED ? VF_END_CANCELLED : VF_END_FAILED;
}

static void tell_end(struct vf_machine *m, enum vf_machine_end end, const struct vf_error *e)
{
    static const struct {
        enum vf_migration_phase phase;
        const char *detail, *next_step;
    } ends[] = {
        [VF_END_DONE] = {VF_PHASE_DONE, "the new VM is there; the source is off", NULL},
        [VF_END_FAILED] = {VF_PHASE_FAILED, "broken off; the source is as it was",
                           "the same command goes on where this one stopped"},
        [VF_END_CANCELLED] = {VF_PHASE_CANCELLED, "cancelled; the source is as it was",
                              "the same command goes on where this one stopped"},
        [VF_END_DELIVERED] = {VF_PHASE_FAILED,
                              "the new VM is accepted, and the one that counts; not all is done",
                              "do not start the source; the same command does what is left"},
        [VF_END_UNKNOWN] =
            {VF_PHASE_FAILED,
             "whether the new VM was accepted is not known; the source was left as it is",
             "do not start the source; the same command finds out, and goes on"},
    };
    const char *detail = m->left ? "broken off; not all could be undone" : ends[end].detail;
    bool dropped = end == VF_END_CANCELLED && m->discard;
    vf_machine_tell(m, ends[end].phase,
                    m->c || end == VF_END_CANCELLED ? detail : "nothing was touched",
                    dropped ? NULL : ends[end].next_step, e);
}

/* A request to cancel that ended something else comes with its word on what was copied. */
static void find_request(struct vf_machine *m, struct vf_error **e)
{
    struct vf_migration_request r = {0};
    if (m->is_requested) {
        return;
    }
    if (m->w->ops->wait(m->w, 0, &r, NULL) == 0 && r.kind == VF_REQUEST_CANCEL) {
        take_request(m, &r);
        vf_error_set_reason(e, VF_REASON_CANCEL_REQUESTED);
    }
}

int vf_machine_run(struct vf_world *w, const struct vf_machine_policy *policy,
                   enum vf_machine_end *ret_end, struct vf_error **err)
{
    struct vf_machine m = {.w = w,
                           .p = policy,
                           .when = policy->when,
                           .from_s = policy->from_s,
                           .until_s = policy->until_s,
                           .budget_ms = policy->max_downtime_ms};
    struct vf_error *e = NULL;
    w->numbers = (struct vf_world_numbers){0};
    vf_machine_tell(&m, VF_PHASE_PREPARING, "looking at the source and the target", NULL, NULL);
    int rc = w->ops->prepare(w, &e);
    if (rc == 0) {
        m.c = w->ops->checkpoint(w);
        rc = run(&m, &e);
        if (rc == VF_CANCELLED && !m.accepted) {
            find_request(&m, &e);
        }
        if (rc && !m.accepted) {
            vf_machine_undo(&m, &e);
        }
    }
    *ret_end = end_of(&m, rc);
    tell_end(&m, *ret_end, e);
    vf_error_move(err, &e);
    return rc;
}

int vf_machine_cancel(struct vf_world *w, bool discard, struct vf_error **err)
{
    static const struct vf_machine_policy none = {0};
    struct vf_machine m = {.w = w, .p = &none, .discard = discard, .snapshots = true};
    struct vf_error *e = NULL;
    int rc = 0;
    w->numbers = (struct vf_world_numbers){0};
    m.c = w->ops->checkpoint(w);
    m.lingers = may_linger(&m);
    m.is_requested = true;
    /* One without a disk may be none yet, or none any more. */
    if (m.c->stage == VF_STAGE_CUTOVER || m.c->n_disks == 0) {
        rc = vf_machine_ask_accepted(&m, err);
    }
    if (rc) {
        return rc;
    }
    if (m.accepted || m.c->stage == VF_STAGE_DELIVERED) {
        vf_error_set(err, VF_CONFLICT, "the new VM is accepted, and is the one that counts now");
        vf_error_hint(err, "run the migration's command again: it does what is left, no more");
        return VF_CONFLICT;
    }
    vf_machine_undo(&m, &e);
    rc = vf_error_code(e);
    tell_end(&m, rc ? VF_END_FAILED : VF_END_CANCELLED, e);
    vf_error_move(err, &e);
    return rc;
}
