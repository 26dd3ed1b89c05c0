#include "jobs/rounds.h"

#define MIN_INTERVAL_MS (INT64_C(60) * 1000)
#define MAX_INTERVAL_MS (INT64_C(60) * 60 * 1000)

#define RECENT         4   /* rounds whose means count */
#define OTHER_SPAN     1.5 /* so much longer or shorter is another span */
#define STALLS         3   /* so many rounds without a gain are enough */
#define GAIN_SHARE     0.1 /* of the variable part of the downtime, that a round has to gain */
#define GAIN_MIN_MS    1000.0
#define ROUND_SHARE    10 /* held: a round takes about this part of the interval */
#define CHAIN          20 /* so many rounds before a fixed time are thought of */
#define CHAIN_SLACK_MS 1000.0
#define MAX_MS         ((double)VF_ROUNDS_MAX_MS)
#define MAX_BYTES_PS   1e18

struct model {
    double hot, rate;   /* bytes; bytes a ms */
    double copy_rate;   /* bytes a ms; 0: not known */
    double overhead;    /* ms */
    double bytes, span; /* of the newest round */
    double fixed;       /* ms */
};

static double at_least_0(int64_t v)
{
    return v > 0 ? (double)v : 0;
}

static double span_of(const struct vf_round *r)
{
    return r->span_ms > 1 ? (double)r->span_ms : 1;
}

/* Of anything that came out, not-a-number too. */
static int64_t to_ms(double v)
{
    if (!(v > 0)) {
        return 0;
    }
    return v < MAX_MS ? (int64_t)v : VF_ROUNDS_MAX_MS;
}

static uint64_t to_bytes(double v)
{
    if (!(v > 0)) {
        return 0;
    }
    return (uint64_t)(v < MAX_BYTES_PS ? v : MAX_BYTES_PS);
}

static double min(double a, double b)
{
    return a < b ? a : b;
}

static double max(double a, double b)
{
    return a > b ? a : b;
}

/* The deltas' own rate: scattered small areas are slower than a full copy, which counts only while
 * no delta had anything to copy. */
static double copy_rate(const struct vf_round *rounds, size_t n)
{
    double bytes = 0, ms = 0;
    for (size_t i = n; i > 0 && (i + RECENT > n || bytes <= 0); i--) {
        const struct vf_round *r = &rounds[i - 1];
        if (r->bytes > 0 && (i > 1 || bytes <= 0)) {
            bytes += (double)r->bytes;
            ms += max(at_least_0(r->copy_ms), 1);
        }
    }
    return ms > 0 ? bytes / ms : 0;
}

/* n >= 2 */
static struct model fit(const struct vf_round *rounds, size_t n,
                        const struct vf_rounds_policy *policy)
{
    const struct vf_round *last = &rounds[n - 1];
    struct model m = {.copy_rate = copy_rate(rounds, n),
                      .bytes = (double)last->bytes,
                      .span = span_of(last),
                      .fixed = at_least_0(policy->fixed_downtime_ms)};
    size_t first = n > RECENT ? n - RECENT : 1;
    double bytes = 0, span = 0;
    for (size_t i = first; i < n; i++) {
        m.overhead += at_least_0(rounds[i].overhead_ms) / (double)(n - first);
        bytes += (double)rounds[i].bytes;
        span += span_of(&rounds[i]);
    }
    /* A quiet round among busy ones says little. */
    m.rate = last->bytes > 0 ? m.bytes / m.span : bytes / span;
    for (size_t i = n - 1; i > first && last->bytes > 0; i--) {
        double other = span_of(&rounds[i - 1]);
        if (max(other, m.span) >= OTHER_SPAN * min(other, m.span)) {
            double slope = (m.bytes - (double)rounds[i - 1].bytes) / (m.span - other);
            m.rate = max(0, min(slope, m.rate));
            m.hot = m.bytes - m.rate * m.span;
            break;
        }
    }
    return m;
}

static double changed_after(const struct model *m, double ms)
{
    return m->hot + m->rate * ms;
}

static double copy_ms(const struct model *m, double bytes)
{
    if (bytes <= 0) {
        return 0;
    }
    return m->copy_rate > 0 ? min(bytes / m->copy_rate, MAX_MS) : MAX_MS;
}

static double round_after(const struct model *m, double ms)
{
    return m->overhead + copy_ms(m, changed_after(m, ms));
}

/* Below 1 the guest changes less than is copied. */
static double keeps_up(const struct model *m)
{
    return m->copy_rate > 0 ? m->rate / m->copy_rate : (m->rate > 0 ? 1 : 0);
}

/* Have the last rounds been no shorter than the shortest before them? */
static bool has_stalled(const struct vf_round *rounds, size_t n)
{
    double before = MAX_MS, recent = MAX_MS;
    if (n < 1 + STALLS + 1) {
        return false;
    }
    for (size_t i = 1; i < n; i++) {
        double took = at_least_0(rounds[i].copy_ms) + at_least_0(rounds[i].overhead_ms);
        double *least = i + STALLS < n ? &before : &recent;
        *least = min(*least, took);
    }
    return recent >= before * (1 - GAIN_SHARE);
}

static void say(struct vf_rounds_forecast *f, enum vf_rounds_step step, double wait,
                const char *reason)
{
    f->step = step;
    f->reason = reason;
    f->wait_ms = 0;
    if (step == VF_ROUNDS_WAIT) {
        f->wait_ms = to_ms(wait) > 1 ? to_ms(wait) : 1;
    }
}

/* How long an interval is that keeps what was reached without burdening the source. */
static double interval_of(const struct vf_rounds_policy *policy, double round_ms)
{
    double least = at_least_0(policy->min_interval_ms), most = at_least_0(policy->max_interval_ms);
    least = least > 0 ? least : (double)MIN_INTERVAL_MS;
    most = max(most > 0 ? most : (double)MAX_INTERVAL_MS, least);
    return min(max(ROUND_SHARE * round_ms, least), most);
}

/* By what is known, but for a time that the cutover is fixed for. */
static void decide(struct vf_rounds_forecast *f, const struct vf_rounds_policy *policy, double age,
                   bool stalled)
{
    double left = interval_of(policy, (double)f->round_ms) - age;
    if (f->budget_met) {
        say(f, VF_ROUNDS_CUT_OVER, 0, "the downtime is within its budget");
    } else if (f->pays) {
        say(f, VF_ROUNDS_START, 0, "one round more shortens the downtime");
    } else if (policy->max_downtime_ms > 0 && f->budget_reachable && !stalled) {
        say(f, VF_ROUNDS_START, 0, "one round more shows whether the budget is met");
    } else if (left <= 0) {
        say(f, VF_ROUNDS_START, 0, "it is time to hold what was reached");
    } else if (!f->converges) {
        say(f, VF_ROUNDS_WAIT, left, "the guest changes more than is copied: rounds gain nothing");
    } else if (policy->max_downtime_ms > 0 && !f->budget_reachable) {
        say(f, VF_ROUNDS_WAIT, left, "the budget is below what rounds can come down to");
    } else {
        say(f, VF_ROUNDS_WAIT, left, "more rounds gain nothing now");
    }
}

/* Does a round that is begun `age` after its snapshot shorten the one behind it? */
static bool is_worth_it(const struct model *m, double age)
{
    double round = round_after(m, age);
    return round - round_after(m, round) >= max(GAIN_MIN_MS, GAIN_SHARE * round);
}

/* What the rounds take that come down to where one more gains nothing; one at least. */
static double chain_after(const struct model *m, double age)
{
    double total = 0;
    for (unsigned i = 0; i < CHAIN && (i == 0 || is_worth_it(m, age)); i++) {
        age = round_after(m, age);
        total += age;
    }
    return total;
}

/* The last rounds before a fixed time end just then. Of one that is begun after s ms, s +
 * round(age + s) is what is left; of several, each makes the next longer by `keeps` of its delay.
 */
static void decide_by_time(struct vf_rounds_forecast *f, const struct model *m, double age,
                           double left)
{
    if (left <= 0) {
        say(f, VF_ROUNDS_CUT_OVER, 0, "the time of the cutover has come");
        return;
    }
    double spare = left - round_after(m, age), slack = left - chain_after(m, age);
    if (spare < 0) {
        say(f, VF_ROUNDS_WAIT, left, "another round would not end before the cutover");
        return;
    }
    double keeps = keeps_up(m), start = spare / (1 + keeps);
    if (start < 1 || (slack < CHAIN_SLACK_MS && is_worth_it(m, age))) {
        say(f, VF_ROUNDS_START, 0, "the last round before the cutover");
        return;
    }
    if (keeps < 1 && slack > 0) {
        start = min(start, slack * (1 - keeps));
    }
    if (f->step == VF_ROUNDS_CUT_OVER) {
        say(f, VF_ROUNDS_WAIT, start, "the cutover is fixed for later");
    } else if (f->step == VF_ROUNDS_WAIT && start < (double)f->wait_ms) {
        say(f, VF_ROUNDS_WAIT, start, "the last round before the cutover is to come");
    }
}

static void forecast_known(struct vf_rounds_forecast *f, const struct model *m,
                           const struct vf_rounds_policy *policy, double age, bool stalled)
{
    double round = round_after(m, age), downtime = m->fixed + round;
    double after = m->fixed + round_after(m, round);
    double worst_bytes = max(changed_after(m, age), m->bytes * max(1, age / m->span));
    double worst = m->fixed + (m->overhead + copy_ms(m, worst_bytes));
    double keeps = keeps_up(m);
    /* round_after(x) = x */
    double settled = keeps < 1 ? (m->overhead + copy_ms(m, m->hot)) / (1 - keeps) : MAX_MS;

    f->known = true;
    f->change_bytes_per_s = to_bytes(m->rate * 1000);
    f->hot_bytes = to_bytes(m->hot);
    f->expected_bytes = to_bytes(changed_after(m, age));
    f->round_ms = to_ms(round);
    f->downtime_ms = to_ms(downtime);
    f->worst_downtime_ms = to_ms(worst);
    f->best_downtime_ms = to_ms(min(downtime, m->fixed + settled));
    f->gain_ms = to_ms(downtime - after);
    f->converges = keeps < 1;
    f->pays = !stalled && is_worth_it(m, age);
    int64_t budget = policy->max_downtime_ms;
    f->budget_met = budget > 0 && f->worst_downtime_ms <= budget;
    f->budget_reachable = budget > 0 && f->best_downtime_ms <= budget;
}

struct vf_rounds_forecast vf_rounds_forecast(const struct vf_round *rounds, size_t n,
                                             const struct vf_rounds_policy *policy,
                                             int64_t since_snapshot_ms, int64_t until_cutover_ms)
{
    struct vf_rounds_forecast f = {0};
    f.copy_bytes_per_s = to_bytes(n ? copy_rate(rounds, n) * 1000 : 0);
    if (n < 2) {
        bool time = until_cutover_ms == 0 && n == 1;
        say(&f, time ? VF_ROUNDS_CUT_OVER : VF_ROUNDS_START, 0,
            time     ? "the time of the cutover has come"
            : n == 0 ? "the full copy is to come"
                     : "how much the guest changes is not known yet");
        return f;
    }
    struct model m = fit(rounds, n, policy);
    double age = min(at_least_0(since_snapshot_ms), MAX_MS);
    bool stalled = has_stalled(rounds, n);
    forecast_known(&f, &m, policy, age, stalled);
    decide(&f, policy, age, stalled);
    if (until_cutover_ms >= 0) {
        double longest = interval_of(policy, MAX_MS);
        decide_by_time(&f, &m, age, (double)until_cutover_ms);
        if (f.step == VF_ROUNDS_WAIT && (double)f.wait_ms > longest) {
            f.wait_ms = to_ms(longest);
        }
    }
    return f;
}
