#include "jobs/rounds.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define MB     UINT64_C(1000000)

/* 100 GB at 100 MB/s, and 5 s beside. */
#define FULL                                                                                       \
    {                                                                                              \
        100000 * MB, 0, 1000 * SECOND, 5 * SECOND                                                  \
    }

#define MAX_ROUNDS 8

struct history {
    const char *name;
    struct vf_round rounds[MAX_ROUNDS]; /* the first with span 0 is the full copy */
    size_t n;
    int64_t age_ms, until_ms, budget_ms;
    enum vf_rounds_step step;
    const char *reason;
    int64_t round_ms, downtime_ms, best_ms; /* -1: not looked at */
    bool converges;
    int64_t wait_ms;
};

static const struct history histories[] = {
    {"nothing yet", {{0}}, 0, 0, -1, 0, VF_ROUNDS_START, "full copy", 0, 0, 0, false, 0},
    {"the full copy",
     {FULL},
     1,
     5 * SECOND,
     -1,
     0,
     VF_ROUNDS_START,
     "not known yet",
     0,
     0,
     0,
     false,
     0},
    {"cutover at once", {FULL}, 1, 0, 0, 0, VF_ROUNDS_CUT_OVER, "time", 0, 0, 0, false, 0},
    {"10 MB/s",
     {FULL, {10000 * MB, 1000 * SECOND, 100 * SECOND, 5 * SECOND}},
     2,
     105 * SECOND,
     -1,
     0,
     VF_ROUNDS_START,
     "shortens",
     15500,
     45500,
     35555,
     true,
     0},
    {"10 MB/s, settled",
     {FULL,
      {10000 * MB, 1000 * SECOND, 100 * SECOND, 5 * SECOND},
      {1050 * MB, 105 * SECOND, 10500, 5 * SECOND},
      {155 * MB, 15500, 1550, 5 * SECOND}},
     4,
     6550,
     -1,
     0,
     VF_ROUNDS_WAIT,
     "gain nothing now",
     5655,
     35655,
     35555,
     true,
     60000 - 6550},
    {"settled, and its interval is over",
     {FULL,
      {10000 * MB, 1000 * SECOND, 100 * SECOND, 5 * SECOND},
      {1050 * MB, 105 * SECOND, 10500, 5 * SECOND},
      {58 * MB, 5800, 580, 5 * SECOND},
      {57 * MB, 5700, 570, 5 * SECOND},
      {56 * MB, 5600, 560, 5 * SECOND},
      {56 * MB, 5600, 560, 5 * SECOND}},
     7,
     HOUR,
     -1,
     0,
     VF_ROUNDS_START,
     "hold",
     -1,
     -1,
     -1,
     true,
     0},
    {"more than is copied",
     {FULL, {200000 * MB, 1000 * SECOND, 2000 * SECOND, 5 * SECOND}},
     2,
     2005 * SECOND,
     -1,
     0,
     VF_ROUNDS_WAIT,
     "changes more than is copied",
     4015 * SECOND,
     4045 * SECOND,
     4045 * SECOND,
     false,
     HOUR - 2005 * SECOND},
    {"a hot set alone",
     {FULL,
      {2000 * MB, 1000 * SECOND, 20 * SECOND, 5 * SECOND},
      {2000 * MB, 25 * SECOND, 20 * SECOND, 5 * SECOND}},
     3,
     25 * SECOND,
     -1,
     0,
     VF_ROUNDS_WAIT,
     "gain nothing now",
     25000,
     55000,
     55000,
     true,
     225 * SECOND},
    {"quiet",
     {FULL, {0, 1000 * SECOND, 0, 5 * SECOND}},
     2,
     5 * SECOND,
     -1,
     0,
     VF_ROUNDS_WAIT,
     "gain nothing now",
     5000,
     35000,
     35000,
     true,
     55 * SECOND},
    {"quiet, with a budget",
     {FULL, {0, 1000 * SECOND, 0, 5 * SECOND}},
     2,
     5 * SECOND,
     -1,
     MINUTE,
     VF_ROUNDS_CUT_OVER,
     "budget",
     5000,
     35000,
     35000,
     true,
     0},
    {"in the budget by the mean, not if it was all hot",
     {FULL, {10000 * MB, 1000 * SECOND, 100 * SECOND, 5 * SECOND}},
     2,
     50 * SECOND,
     -1,
     MINUTE,
     VF_ROUNDS_START,
     "shortens",
     10000,
     40000,
     35555,
     true,
     0},
    {"in the budget",
     {FULL,
      {10000 * MB, 1000 * SECOND, 100 * SECOND, 5 * SECOND},
      {1050 * MB, 105 * SECOND, 10500, 5 * SECOND}},
     3,
     16 * SECOND,
     -1,
     MINUTE,
     VF_ROUNDS_CUT_OVER,
     "budget",
     6600,
     36600,
     35555,
     true,
     0},
    {"in the budget, and fixed for later",
     {FULL,
      {10000 * MB, 1000 * SECOND, 100 * SECOND, 5 * SECOND},
      {1050 * MB, 105 * SECOND, 10500, 5 * SECOND}},
     3,
     16 * SECOND,
     2 * HOUR,
     MINUTE,
     VF_ROUNDS_WAIT,
     "fixed for later",
     -1,
     -1,
     -1,
     true,
     HOUR},
    {"a budget below what can be had",
     {FULL,
      {10000 * MB, 1000 * SECOND, 100 * SECOND, 5 * SECOND},
      {1050 * MB, 105 * SECOND, 10500, 5 * SECOND}},
     3,
     16 * SECOND,
     -1,
     35 * SECOND,
     VF_ROUNDS_WAIT,
     "below what rounds can",
     6600,
     36600,
     35555,
     true,
     50 * SECOND},
    {"the last round before the cutover ends with it",
     {FULL,
      {2000 * MB, 1000 * SECOND, 20 * SECOND, 5 * SECOND},
      {2000 * MB, 25 * SECOND, 20 * SECOND, 5 * SECOND}},
     3,
     25 * SECOND,
     100 * SECOND,
     0,
     VF_ROUNDS_WAIT,
     "last round before",
     25000,
     55000,
     55000,
     true,
     75 * SECOND},
    {"and begins in time",
     {FULL,
      {2000 * MB, 1000 * SECOND, 20 * SECOND, 5 * SECOND},
      {2000 * MB, 25 * SECOND, 20 * SECOND, 5 * SECOND}},
     3,
     100 * SECOND,
     25 * SECOND,
     0,
     VF_ROUNDS_START,
     "last round before",
     -1,
     -1,
     -1,
     true,
     0},
    {"a budget, and more changes than is copied",
     {FULL, {200000 * MB, 1000 * SECOND, 2000 * SECOND, 5 * SECOND}},
     2,
     2005 * SECOND,
     -1,
     MINUTE,
     VF_ROUNDS_WAIT,
     "changes more than is copied",
     -1,
     -1,
     -1,
     false,
     HOUR - 2005 * SECOND},
    {"a fixed time, and more changes than is copied",
     {FULL, {200000 * MB, 1000 * SECOND, 2000 * SECOND, 5 * SECOND}},
     2,
     2005 * SECOND,
     6015 * SECOND,
     0,
     VF_ROUNDS_WAIT,
     "last round before",
     -1,
     -1,
     -1,
     false,
     2000 * SECOND / 3},
    {"too late for another",
     {FULL,
      {2000 * MB, 1000 * SECOND, 20 * SECOND, 5 * SECOND},
      {2000 * MB, 25 * SECOND, 20 * SECOND, 5 * SECOND}},
     3,
     25 * SECOND,
     24 * SECOND,
     0,
     VF_ROUNDS_WAIT,
     "would not end",
     -1,
     -1,
     -1,
     true,
     24 * SECOND},
};

static void check_history(const struct history *h)
{
    struct vf_rounds_policy policy = {.max_downtime_ms = h->budget_ms,
                                      .fixed_downtime_ms = 30 * SECOND};
    struct vf_rounds_forecast f =
        vf_rounds_forecast(h->rounds, h->n, &policy, h->age_ms, h->until_ms);
    bool same = f.step == h->step && strstr(f.reason, h->reason) && f.converges == h->converges &&
                f.wait_ms == h->wait_ms && f.known == (h->n > 1);
    if (h->round_ms >= 0) {
        same = same && f.round_ms == h->round_ms && f.downtime_ms == h->downtime_ms &&
               f.best_downtime_ms == h->best_ms;
    }
    if (!same) {
        print_error("%s: step %d (%s), wait %lld, round %lld, downtime %lld (worst %lld, best "
                    "%lld), gain %lld, converges %d\n",
                    h->name, (int)f.step, f.reason, (long long)f.wait_ms, (long long)f.round_ms,
                    (long long)f.downtime_ms, (long long)f.worst_downtime_ms,
                    (long long)f.best_downtime_ms, (long long)f.gain_ms, f.converges);
        fail();
    }
}

static void test_rounds__histories(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof histories / sizeof *histories; i++) {
        check_history(&histories[i]);
    }
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* Of any magnitude, the ends of the type among them. */
static int64_t any_number(uint64_t *seed)
{
    static const int64_t ends[] = {0, 1, -1, INT64_MAX, INT64_MIN, 1000, 60000};
    uint64_t r = next_random(seed);
    if (r % 4 == 0) {
        return ends[r / 4 % (sizeof ends / sizeof *ends)];
    }
    return (int64_t)(next_random(seed) >> (r / 4 % 64));
}

static void check_bounds(const struct vf_rounds_forecast *f, int64_t longest_wait_ms)
{
    const int64_t all[] = {f->round_ms,         f->downtime_ms, f->worst_downtime_ms,
                           f->best_downtime_ms, f->gain_ms,     f->wait_ms};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_true(all[i] >= 0 && all[i] <= VF_ROUNDS_MAX_MS);
    }
    assert_true(f->best_downtime_ms <= f->downtime_ms);
    assert_true(f->downtime_ms <= f->worst_downtime_ms);
    assert_true(!f->budget_met || f->budget_reachable);
    assert_non_null(f->reason);
    /* It says when to look again, and that is neither at once for ever nor never. */
    assert_true((f->step == VF_ROUNDS_WAIT) == (f->wait_ms > 0));
    assert_true(f->wait_ms <= longest_wait_ms);
}

static void test_rounds__any_numbers_give_finite_ones(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (unsigned i = 0; i < 200000; i++) {
        struct vf_round rounds[MAX_ROUNDS];
        size_t n = next_random(&seed) % (MAX_ROUNDS + 1);
        for (size_t k = 0; k < n; k++) {
            rounds[k] = (struct vf_round){(uint64_t)any_number(&seed), any_number(&seed),
                                          any_number(&seed), any_number(&seed)};
        }
        struct vf_rounds_policy policy = {any_number(&seed), any_number(&seed), 0, 0};
        int64_t longest = HOUR;
        if (i % 2) {
            policy.min_interval_ms = MINUTE;
            policy.max_interval_ms = longest = 2 * MINUTE;
        }
        struct vf_rounds_forecast f =
            vf_rounds_forecast(rounds, n, &policy, any_number(&seed), any_number(&seed));
        check_bounds(&f, longest);
        policy.min_interval_ms = any_number(&seed);
        policy.max_interval_ms = any_number(&seed);
        f = vf_rounds_forecast(rounds, n, &policy, any_number(&seed), any_number(&seed));
        check_bounds(&f, VF_ROUNDS_MAX_MS);
    }
}

/* A guest and a copy of it, run by what the forecasts say. */
struct load {
    const char *name;
    double hot;   /* bytes, all written within a second */
    double rate;  /* bytes a ms */
    double copy;  /* bytes a ms */
    double burst; /* rate is so much higher in the first two hours */
    int64_t budget_ms;
    bool meets; /* the budget, within a day */
};

static double changed(const struct load *l, int64_t from, int64_t to)
{
    double ms = (double)(to - from), busy = 0;
    if (from < 2 * HOUR) {
        busy = (double)((to < 2 * HOUR ? to : 2 * HOUR) - from);
    }
    return l->hot * (ms < 1000 ? ms / 1000 : 1) + l->rate * ms + l->burst * busy;
}

struct course {
    struct vf_round rounds[4096];
    size_t n;
    size_t n_started_at_once; /* in a row, the most */
    int64_t now_ms, snapshot_ms;
    bool met;
};

static void run_one(struct course *c, const struct load *l)
{
    int64_t start = c->now_ms;
    double bytes = c->n ? changed(l, c->snapshot_ms, start) : 1e11;
    struct vf_round r = {.bytes = (uint64_t)bytes,
                         .span_ms = c->n ? start - c->snapshot_ms : 0,
                         .copy_ms = (int64_t)(bytes / l->copy),
                         .overhead_ms = 4 * SECOND};
    c->snapshot_ms = start;
    c->now_ms += r.copy_ms + r.overhead_ms;
    c->rounds[c->n++] = r;
}

static void run_course(struct course *c, const struct load *l, int64_t cutover_ms)
{
    struct vf_rounds_policy policy = {.max_downtime_ms = l->budget_ms,
                                      .fixed_downtime_ms = 20 * SECOND};
    size_t at_once = 0;
    while (c->now_ms < 24 * HOUR && c->n < 4096) {
        int64_t left = cutover_ms < 0 ? -1 : (cutover_ms > c->now_ms ? cutover_ms - c->now_ms : 0);
        struct vf_rounds_forecast f =
            vf_rounds_forecast(c->rounds, c->n, &policy, c->now_ms - c->snapshot_ms, left);
        if (f.step == VF_ROUNDS_CUT_OVER) {
            c->met = true;
            return;
        }
        if (f.step == VF_ROUNDS_WAIT) {
            c->now_ms += f.wait_ms;
            at_once = 0;
            continue;
        }
        run_one(c, l);
        at_once++;
        c->n_started_at_once = at_once > c->n_started_at_once ? at_once : c->n_started_at_once;
    }
}

static int64_t real_downtime(const struct course *c, const struct load *l)
{
    double bytes = changed(l, c->snapshot_ms, c->now_ms);
    return 24 * SECOND + (int64_t)(bytes / l->copy);
}

static void test_rounds__a_budget_is_met_or_rounds_calm_down(void **state)
{
    (void)state;
    static const struct load loads[] = {
        {"idle", 0, 0, 1e5, 0, MINUTE, true},
        {"calm", 0, 1e3, 1e5, 0, MINUTE, true},
        {"half of what is copied", 0, 5e4, 1e5, 0, MINUTE, true},
        {"nearly what is copied", 0, 9.5e4, 1e5, 0, 5 * MINUTE, true},
        {"a hot set", 1e9, 1e3, 1e5, 0, MINUTE, true},
        {"a hot set that is too large", 1e10, 1e3, 1e5, 0, MINUTE, false},
        {"more than is copied", 0, 1.5e5, 1e5, 0, MINUTE, false},
        {"far more than is copied", 0, 1e7, 1e5, 0, MINUTE, false},
        {"a budget below the overhead", 0, 1e3, 1e5, 0, 10 * SECOND, false},
        {"busy for two hours, then calm", 0, 1e3, 1e5, 2e5, MINUTE, true},
        {"no budget", 0, 1e4, 1e5, 0, 0, false},
    };
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        static struct course c;
        memset(&c, 0, sizeof c);
        run_course(&c, &loads[i], -1);
        if (c.met != loads[i].meets || (c.met && real_downtime(&c, &loads[i]) > MINUTE * 5)) {
            print_error("%s: met %d after %zu rounds\n", loads[i].name, c.met, c.n);
            fail();
        }
        if (c.met) {
            assert_true(real_downtime(&c, &loads[i]) <= loads[i].budget_ms);
        }
        if (c.n_started_at_once > 40 || c.n > 1500) {
            print_error("%s: %zu rounds, %zu without a pause\n", loads[i].name, c.n,
                        c.n_started_at_once);
            fail();
        }
    }
}

static void test_rounds__a_fixed_time_is_kept_and_met_with_a_fresh_snapshot(void **state)
{
    (void)state;
    static const struct load loads[] = {
        {"calm", 0, 1e3, 1e5, 0, 0, true},
        {"half of what is copied", 0, 5e4, 1e5, 0, 0, true},
        {"a hot set", 1e9, 1e3, 1e5, 0, MINUTE, true},
        {"busy for two hours, then calm", 0, 1e3, 1e5, 2e5, MINUTE, true},
    };
    for (size_t i = 0; i < sizeof loads / sizeof *loads; i++) {
        static struct course c;
        memset(&c, 0, sizeof c);
        run_course(&c, &loads[i], 10 * HOUR + 123);
        assert_true(c.met);
        /* Not long before, and no round ran over it. */
        assert_true(c.now_ms >= 10 * HOUR && c.now_ms <= 10 * HOUR + SECOND);
        if (real_downtime(&c, &loads[i]) > 40 * SECOND) {
            print_error("%s: %lld ms\n", loads[i].name, (long long)real_downtime(&c, &loads[i]));
            fail();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds__histories),
        cmocka_unit_test(test_rounds__any_numbers_give_finite_ones),
        cmocka_unit_test(test_rounds__a_budget_is_met_or_rounds_calm_down),
        cmocka_unit_test(test_rounds__a_fixed_time_is_kept_and_met_with_a_fresh_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
