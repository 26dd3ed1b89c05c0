/* The state machine in a world in which everything fails (tests/support/machine_world.h): every
 * single and every double fault, chains of kills, and long random walks. After them the same
 * command, run again in a world without faults, ends with the VM moved.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/machine_world.h"

#define MAX_RUNS 6
#define MAX_TEXT 256

/* How a scenario begins. */
struct setting {
    const char *name;
    bool off, untracked, cancel; /* cancel: `vmferry cancel` after each run that was killed */
};

static const struct setting settings[] = {
    {"on", false, false, false},
    {"off", true, false, false},
    {"untracked", false, true, false},
    {"cancelled after a kill", false, false, true},
};
#define N_SETTINGS (sizeof settings / sizeof *settings)

static const struct vf_machine_policy policy = {
    .when = VF_CUTOVER_ASAP, .may_stun = true, .max_tries = 3};

struct scenario {
    const struct setting *setting;
    struct fake_fault faults[FAKE_MAX_FAULTS];
    enum fake_mutation mutation;
};

struct outcome {
    unsigned calls, violations, runs;
    char violation[MAX_TEXT];
    uint32_t trace[FAKE_MAX_TRACE]; /* by call, the kinds of fault that matter there */
};

static bool has_faults_left(const struct fake_world *f)
{
    for (size_t i = 0; i < FAKE_MAX_FAULTS; i++) {
        if (f->faults[i].at > f->calls) {
            return true;
        }
    }
    return false;
}

/* `vmferry cancel` of what a killed run left. */
static void cancel(struct fake_world *f)
{
    struct vf_error *err = NULL;
    bool accepted = f->accepted, noted = f->noted;
    enum vf_power power = f->power;
    fake_world_begin(f);
    int rc = vf_machine_cancel(&f->base, false, &err);
    char *vf_autofree text = vf_error_format(err);
    if (f->dead) {
        vf_error_free(err);
        return;
    }
    f->prepared = true;
    if (accepted) {
        if (rc == 0 || (f->power != power && !f->behind) || f->noted != noted) {
            fake_world_violate(f, "an accepted VM was cancelled: %d", rc);
        }
    } else if (rc == 0) {
        vf_error_set(&err, VF_CANCELLED, "cancelled");
        fake_world_check_end(f, VF_END_CANCELLED, VF_CANCELLED, err);
    } else if (!strstr(text, "cannot be told")) {
        fake_world_check_end(f, VF_END_FAILED, rc, err);
    }
    vf_error_free(err);
}

/* An administrator who reads the error: a source that somebody powered on is put off. */
static void administer(struct fake_world *f)
{
    if (f->accepted && f->power == VF_POWER_ON) {
        f->power = VF_POWER_OFF;
        f->linger = 0;
    }
    if (!f->accepted && !f->owner_on) {
        f->power = VF_POWER_OFF;
    }
    f->behind = f->behind && f->accepted;
}

static struct outcome play(const struct scenario *s, bool loud)
{
    static struct fake_world f;
    struct outcome out = {0};
    fake_world_init(&f);
    f.loud = loud;
    f.mutation = s->mutation;
    memcpy(f.faults, s->faults, sizeof f.faults);
    f.tracking = !s->setting->untracked;
    if (s->setting->off) {
        f.power = VF_POWER_OFF;
        f.owner_on = false;
    }
    for (; out.runs < MAX_RUNS; out.runs++) {
        enum vf_machine_end end = VF_END_FAILED;
        struct vf_error *err = NULL;
        bool clean = !has_faults_left(&f);
        fake_world_begin(&f);
        int rc = vf_machine_run(&f.base, &policy, &end, &err);
        bool killed = f.dead;
        if (!killed) {
            fake_world_check_end(&f, end, rc, err);
        }
        if (loud) {
            char *vf_autofree text = vf_error_format(err);
            printf("run %u: %s end %d: %s\n", out.runs, killed ? "killed" : "", end, text);
        }
        vf_error_free(err);
        if ((!killed && end == VF_END_DONE) || f.settled) {
            break; /* a kill behind the last step does no harm */
        }
        if (clean) {
            fake_world_violate(&f, "without a fault it does not end well: %d", rc);
            break;
        }
        if (killed && s->setting->cancel) {
            cancel(&f);
        }
        administer(&f);
    }
    if (out.runs == MAX_RUNS) {
        fake_world_violate(&f, "not done after %d runs", MAX_RUNS);
    }
    out.calls = f.calls;
    out.violations = f.violations;
    memcpy(out.trace, f.trace, sizeof out.trace);
    snprintf(out.violation, sizeof out.violation, "%s", f.violation);
    fake_world_release(&f);
    return out;
}

static const char *const kind_names[FAKE_N_KINDS] = {
    "retry",      "fail",       "lost",        "lost fail", "cancel", "lost cancel",
    "kill",       "kill after", "half",        "half kill", "linger", "linger kill",
    "source out", "target out", "somebody on", "snaps gone"};

static void expect_good(const struct scenario *s)
{
    struct outcome out = play(s, false);
    if (out.violations == 0) {
        return;
    }
    print_error("%s:", s->setting->name);
    for (size_t i = 0; i < FAKE_MAX_FAULTS && s->faults[i].at; i++) {
        print_error(" %u:%s", s->faults[i].at, kind_names[s->faults[i].kind]);
    }
    print_error(": %s\n", out.violation);
    play(s, true);
    fail();
}

/* The scenario with its first n faults alone: where another one may strike, and how. */
static struct outcome trace(struct scenario s, size_t n)
{
    memset(s.faults + n, 0, (FAKE_MAX_FAULTS - n) * sizeof *s.faults);
    struct outcome out = play(&s, false);
    assert_true(out.calls < FAKE_MAX_TRACE);
    return out;
}

static bool matters(const struct outcome *o, unsigned at, int kind)
{
    return (o->trace[at] >> kind & 1) != 0;
}

static void test_machine_model__without_faults_it_is_done_in_one_run(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        struct scenario s = {.setting = &settings[i]};
        expect_good(&s);
        assert_int_equal(play(&s, false).runs, 0);
    }
}

/* Every fault more, behind the n that there are, `depth` deep. Of `kinds`, a bit a kind. */
static void explore(struct scenario *s, size_t n, size_t depth, uint32_t kinds)
{
    struct outcome o = trace(*s, n);
    for (unsigned at = n ? s->faults[n - 1].at + 1 : 1; at <= o.calls; at++) {
        for (int kind = 0; kind < FAKE_N_KINDS; kind++) {
            if (!matters(&o, at, kind) || !(kinds >> kind & 1)) {
                continue;
            }
            s->faults[n] = (struct fake_fault){at, (enum fake_fault_kind)kind};
            expect_good(s);
            if (depth > 1) {
                explore(s, n + 1, depth - 1, kinds);
            }
            s->faults[n] = (struct fake_fault){0};
        }
    }
}

static void test_machine_model__any_single_fault_is_made_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        struct scenario s = {.setting = &settings[i]};
        explore(&s, 0, 1, UINT32_MAX);
    }
}

static void test_machine_model__any_two_faults_are_made_good(void **state)
{
    (void)state;
    struct scenario s = {.setting = &settings[0]};
    explore(&s, 0, 2, UINT32_MAX);
}

/* Two are in the double faults; here with a cancellation after each. And three. */
static void test_machine_model__kills_in_a_row_are_made_good(void **state)
{
    (void)state;
    uint32_t kills = 1u << FAKE_KILL | 1u << FAKE_KILL_AFTER | 1u << FAKE_HALF_KILL;
    struct scenario s = {.setting = &settings[0]};
    explore(&s, 0, 3, kills);
    s.setting = &settings[N_SETTINGS - 1];
    explore(&s, 0, 2, UINT32_MAX);
}

static uint64_t random_below(uint64_t *state, uint64_t n)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717) % n;
}

static void test_machine_model__random_walks_end_well(void **state)
{
    (void)state;
    uint64_t seed = 0x5eed;
    for (unsigned n = 0; n < 10000; n++) {
        struct scenario s = {.setting = &settings[random_below(&seed, N_SETTINGS)]};
        unsigned at = 0;
        for (size_t i = 0; i < FAKE_MAX_FAULTS; i++) {
            at += 1 + (unsigned)random_below(&seed, 30);
            s.faults[i] =
                (struct fake_fault){at, (enum fake_fault_kind)random_below(&seed, FAKE_N_KINDS)};
        }
        expect_good(&s);
    }
}

/* Is it found out? Over all single faults, one violation at least. */
static bool is_caught(enum fake_mutation mutation)
{
    for (size_t i = 0; i < N_SETTINGS; i++) {
        struct scenario s = {.setting = &settings[i]};
        struct outcome o = trace(s, 0);
        s.mutation = mutation;
        for (unsigned at = 1; at <= o.calls; at++) {
            for (int kind = 0; kind < FAKE_N_KINDS; kind++) {
                s.faults[0] = (struct fake_fault){at, (enum fake_fault_kind)kind};
                if (matters(&o, at, kind) && play(&s, false).violations > 0) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* A model that finds nothing proves nothing. */
static void test_machine_model__what_is_wrong_is_found(void **state)
{
    (void)state;
    for (int mutation = FAKE_HONEST + 1; mutation < FAKE_N_MUTATIONS; mutation++) {
        if (!is_caught((enum fake_mutation)mutation)) {
            print_error("mutation %d is not found\n", mutation);
            fail();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine_model__without_faults_it_is_done_in_one_run),
        cmocka_unit_test(test_machine_model__any_single_fault_is_made_good),
        cmocka_unit_test(test_machine_model__what_is_wrong_is_found),
        cmocka_unit_test(test_machine_model__any_two_faults_are_made_good),
        cmocka_unit_test(test_machine_model__kills_in_a_row_are_made_good),
        cmocka_unit_test(test_machine_model__random_walks_end_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
