/* When the next round begins, and when the cutover. */
#include <stdlib.h>
#include <time.h>

#include "importer/base/mem.h"
#include "jobs/migration/machine_private.h"
#include "jobs/report/text.h"

#define FIXED_DOWNTIME_MS (INT64_C(30) * 1000)
#define MIN_INTERVAL_MS   (INT64_C(60) * 1000)
#define IDLE_MS           (INT64_C(3600) * 1000)

static int64_t until_ms(const struct vf_machine *m, int64_t time_s)
{
    int64_t left_s = time_s - m->w->ops->now_s(m->w), most_s = VF_ROUNDS_MAX_MS / 1000;
    if (left_s <= 0) {
        return 0;
    }
    return (left_s < most_s ? left_s : most_s) * 1000;
}

/* A window that is over leaves the cutover to a request. */
static void end_window(struct vf_machine *m)
{
    if (m->when == VF_CUTOVER_WINDOW && until_ms(m, m->until_s) == 0) {
        m->when = VF_CUTOVER_ON_REQUEST;
        m->budget_ms = 0;
        vf_machine_warn(m, "the window for the cutover is over; it begins on request now "
                           "(`vmferry cutover`), and rounds hold what was reached");
    }
}

static bool is_before_window(const struct vf_machine *m)
{
    return m->when == VF_CUTOVER_WINDOW && until_ms(m, m->from_s) > 0;
}

static void forecast(struct vf_machine *m)
{
    const struct vf_rounds_policy policy = {
        .max_downtime_ms = m->budget_ms,
        .fixed_downtime_ms =
            m->p->fixed_downtime_ms > 0 ? m->p->fixed_downtime_ms : FIXED_DOWNTIME_MS,
        .min_interval_ms = m->p->min_interval_ms,
        .max_interval_ms = m->p->max_interval_ms,
    };
    bool fixed = m->when == VF_CUTOVER_AT || is_before_window(m);
    m->forecast = vf_rounds_forecast(m->c->rounds, m->c->n_rounds, &policy,
                                     m->aged ? vf_machine_now_ms(m) - m->snapshot_ms : 0,
                                     fixed ? until_ms(m, m->from_s) : -1);
}

bool vf_machine_gains_nothing(const struct vf_machine *m)
{
    return m->full_rounds >= VF_MACHINE_FULL_ROUNDS;
}

/* Without a time that it is fixed for, and where a request need not be waited for. */
static bool is_time(const struct vf_machine *m)
{
    const struct vf_rounds_forecast *f = &m->forecast;
    bool on_request = m->when == VF_CUTOVER_ON_REQUEST;
    if (vf_machine_gains_nothing(m) && m->budget_ms == 0 && !on_request) {
        return true;
    }
    if (m->budget_ms > 0 ? f->budget_met : !on_request && f->known && !f->pays) {
        return true;
    }
    /* Nothing changes. */
    if (m->view.power == VF_POWER_OFF && (m->budget_ms > 0 || !on_request)) {
        return true;
    }
    /* The window ends before a round more and the cutover after it would. */
    return m->when == VF_CUTOVER_WINDOW && m->budget_ms == 0 && f->known &&
           f->round_ms + f->downtime_ms > until_ms(m, m->until_s);
}

/* Rounds that gain nothing leave the source alone for the interval between them, however long they
 * take themselves. Not before a fixed time, which the last one is to end shortly before. */
static int64_t rest_ms(const struct vf_machine *m)
{
    int64_t interval_ms = m->p->min_interval_ms > 0 ? m->p->min_interval_ms : MIN_INTERVAL_MS;
    bool fixed = m->when == VF_CUTOVER_AT || is_before_window(m);
    if (m->ended_ms == 0 || fixed || !m->forecast.known || m->forecast.pays) {
        return 0;
    }
    int64_t left_ms = m->ended_ms + interval_ms - vf_machine_now_ms(m);
    return left_ms > 0 ? left_ms : 0;
}

enum vf_rounds_step vf_machine_decide(struct vf_machine *m, int64_t *ret_wait_ms)
{
    end_window(m);
    forecast(m);
    const struct vf_rounds_forecast *f = &m->forecast;
    if (!vf_machine_is_complete(m->c) || m->further) {
        return VF_ROUNDS_START;
    }
    if (m->now) {
        return VF_ROUNDS_CUT_OVER;
    }
    if (m->when != VF_CUTOVER_AT && !is_before_window(m) && is_time(m)) {
        return VF_ROUNDS_CUT_OVER;
    }
    if (m->when == VF_CUTOVER_AT && until_ms(m, m->from_s) == 0) {
        return VF_ROUNDS_CUT_OVER;
    }
    if (vf_machine_gains_nothing(m)) {
        bool fixed = m->when == VF_CUTOVER_AT || is_before_window(m);
        int64_t left_ms = fixed ? until_ms(m, m->from_s) : IDLE_MS;
        *ret_wait_ms = left_ms < IDLE_MS ? left_ms : IDLE_MS;
        return VF_ROUNDS_WAIT;
    }
    if (f->step != VF_ROUNDS_WAIT) {
        *ret_wait_ms = rest_ms(m);
        return *ret_wait_ms > 0 ? VF_ROUNDS_WAIT : VF_ROUNDS_START;
    }
    *ret_wait_ms = f->wait_ms;
    if (m->when == VF_CUTOVER_WINDOW) {
        int64_t left_ms = until_ms(m, m->until_s);
        *ret_wait_ms = left_ms < f->wait_ms ? left_ms : f->wait_ms;
    }
    return VF_ROUNDS_WAIT;
}

static char *time_text(int64_t unix_s)
{
    char text[sizeof "2026-11-21T14:18:25Z +more"] = "?";
    time_t t = (time_t)unix_s;
    struct tm tm;
    if (gmtime_r(&t, &tm)) {
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    }
    return vf_xstrdup(text);
}

static char *duration_text(int64_t ms)
{
    char text[VF_TEXT_DURATION_SIZE];
    return vf_xstrdup(vf_text_duration(text, (uint64_t)(ms > 0 ? ms : 0) / 1000));
}

static char *cutover_text(const struct vf_machine *m)
{
    char *vf_autofree budget = duration_text(m->budget_ms);
    char *vf_autofree from = time_text(m->from_s);
    char *vf_autofree until = time_text(m->until_s);
    char *vf_autofree met =
        m->budget_ms > 0 ? vf_xasprintf(", as soon as its downtime is expected below %s", budget)
                         : vf_xstrdup("");
    switch (m->when) {
    case VF_CUTOVER_AT:
        return vf_xasprintf("the cutover at %s", from);
    case VF_CUTOVER_WINDOW:
        return vf_xasprintf("the cutover between %s and %s%s", from, until, met);
    case VF_CUTOVER_ASAP:
        return vf_xasprintf("then the cutover%s", *met ? met : ", as soon as rounds gain nothing");
    case VF_CUTOVER_ON_REQUEST:
        break;
    }
    return vf_xasprintf("the cutover on request (`vmferry cutover`)%s%s", *met ? " or" : "",
                        *met ? met + 1 : "");
}

char *vf_machine_next_step(const struct vf_machine *m, int64_t wait_ms)
{
    char *vf_autofree cutover = cutover_text(m);
    char *vf_autofree wait = duration_text(wait_ms);
    if (m->now) {
        return vf_xstrdup("then the cutover");
    }
    return wait_ms > 0 ? vf_xasprintf("the next round within %s; %s", wait, cutover)
                       : vf_take(cutover);
}

char *vf_machine_outlook(const struct vf_machine *m)
{
    const struct vf_rounds_forecast *f = &m->forecast;
    if (!f->known) {
        return vf_xstrdup(f->reason);
    }
    char *vf_autofree expected = duration_text(f->downtime_ms);
    char *vf_autofree worst = duration_text(f->worst_downtime_ms);
    return vf_xasprintf("%s; a cutover now is expected to take %s, at worst %s", f->reason,
                        expected, worst);
}
