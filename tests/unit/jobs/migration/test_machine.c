/* When the machine does what. That it does it safely is test_machine_model.c's. */
#include "jobs/migration/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/machine_world.h"

#define BEGIN_S INT64_C(1800000000) /* the world's first second */
#define SECOND  INT64_C(1000)
#define MINUTE  (60 * SECOND)
#define HOUR    (60 * MINUTE)

/* What a run came to. */
struct end {
    enum vf_machine_end end;
    int rc;
    struct vf_error *err;
    char *text;
};

static struct fake_world world;

static struct fake_world *begin(void)
{
    fake_world_release(&world);
    fake_world_init(&world);
    world.tracking = true;
    return &world;
}

static struct end run(struct fake_world *f, const struct vf_machine_policy *policy)
{
    struct end e = {0};
    fake_world_begin(f);
    memset(f->counts, 0, sizeof f->counts);
    e.rc = vf_machine_run(&f->base, policy, &e.end, &e.err);
    e.text = vf_error_format(e.err);
    if (!f->dead) {
        fake_world_check_end(f, e.end, e.rc, e.err);
    }
    if (f->violations) {
        print_error("%s\n", f->violation);
    }
    assert_int_equal(f->violations, 0);
    return e;
}

static void release(struct end *e)
{
    vf_error_free(e->err);
    free(e->text);
}

/* Ends with the VM moved. */
static void run_to_done(struct fake_world *f, const struct vf_machine_policy *policy)
{
    struct end e = run(f, policy);
    if (e.end != VF_END_DONE) {
        print_error("end %d: %s\n", e.end, e.text);
    }
    assert_int_equal(e.end, VF_END_DONE);
    assert_int_equal(f->phase, VF_PHASE_DONE);
    release(&e);
}

static void expect_end(struct fake_world *f, const struct vf_machine_policy *policy,
                       enum vf_machine_end end, int code, const char *text)
{
    struct end e = run(f, policy);
    if (e.end != end || e.rc != code || !strstr(e.text, text)) {
        print_error("end %d, code %d: %s\n", e.end, e.rc, e.text);
        fail();
    }
    release(&e);
}

static void request(struct fake_world *f, int64_t at_ms, struct vf_migration_request r)
{
    size_t i = 0;
    while (f->requests[i].request.kind) {
        i++;
    }
    f->requests[i].at_ms = at_ms;
    f->requests[i].request = r;
}

static const struct vf_migration_request cutover = {.kind = VF_REQUEST_CUTOVER};
static const struct vf_migration_request cancel = {.kind = VF_REQUEST_CANCEL};
static const struct vf_machine_policy asap = {.when = VF_CUTOVER_ASAP};
static const struct vf_machine_policy on_request = {.when = VF_CUTOVER_ON_REQUEST};

/* 1 GB at 1 MB/s; the guest changes 100 KB/s. */
static void make_busy(struct fake_world *f)
{
    f->full_bytes = 1000 * 1000 * 1000;
    f->copy_bytes_ms = 1000;
    f->change_bytes_ms = 100;
    f->hot_bytes = 100 * 1000;
}

/* --- tracking, power ---------------------------------------------------------------------- */

static void test_machine__a_stun_needs_permission(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    f->tracking = false;
    struct end e = run(f, &asap);
    assert_int_equal(e.end, VF_END_FAILED);
    assert_int_equal(e.rc, VF_CONFLICT);
    assert_non_null(strstr(vf_error_get_hint(e.err), "--allow-stun"));
    assert_false(f->tracking);
    assert_int_equal(f->counts[FAKE_TAKE], 0);
    release(&e);
    struct vf_machine_policy policy = asap;
    policy.may_stun = true;
    run_to_done(f, &policy);
    assert_true(f->tracking);
}

/* Off needs none, nor a shutdown; nothing changes, so that one round in full is enough. */
static void test_machine__a_source_that_is_off_is_cut_over_at_once(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    f->power = VF_POWER_OFF;
    f->owner_on = f->tracking = false;
    run_to_done(f, &asap);
    assert_int_equal(f->counts[FAKE_COPY], 2);
    assert_int_equal(f->counts[FAKE_SHUT_DOWN], 0);
    assert_int_equal(f->base.numbers.downtime_ms, 0);
}

static void test_machine__a_suspended_source_is_refused_at_the_cutover(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    f->power = VF_POWER_SUSPENDED;
    f->owner_on = false;
    expect_end(f, &asap, VF_END_FAILED, VF_CONFLICT, "suspended");
    assert_int_equal(f->counts[FAKE_SHUT_DOWN], 0);
}

/* Somebody switched it off meanwhile: what a broken round left is of no use without. */
static void test_machine__tracking_begins_without_snapshots_of_ours(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    struct vf_machine_policy policy = asap;
    policy.may_stun = true;
    f->faults[0] = (struct fake_fault){6, FAKE_HALF_KILL};
    struct end e = run(f, &policy);
    release(&e);
    assert_true(f->dead);
    assert_int_equal(fake_world_count_own(f), 1);
    f->tracking = false;
    run_to_done(f, &policy);
}

/* --- when --------------------------------------------------------------------------------- */

static void test_machine__asap_is_when_rounds_gain_nothing(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    make_busy(f);
    run_to_done(f, &asap);
    /* 1000 s, 100 s, 10 s, and the last of 1.1 s: one more would gain less than a second. */
    assert_int_equal(f->counts[FAKE_COPY], 4);
    assert_in_range(f->stale_ms, 10 * SECOND, 11 * SECOND);
    assert_int_equal(f->counts[FAKE_GUARD], f->counts[FAKE_COPY] - 1);
    assert_in_range(f->base.numbers.downtime_ms, f->shutdown_ms + f->deliver_ms, 15 * SECOND);
}

static void test_machine__a_fixed_time_is_met_with_a_fresh_copy(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    make_busy(f);
    struct vf_machine_policy policy = {.when = VF_CUTOVER_AT, .from_s = BEGIN_S + 6 * 3600};
    run_to_done(f, &policy);
    assert_in_range(f->cut_over_ms, 6 * HOUR - 2 * SECOND, 6 * HOUR + MINUTE);
    assert_in_range(f->stale_ms, 0, 2 * MINUTE);
    /* And a budget does not hasten it. */
    f = begin();
    make_busy(f);
    policy.max_downtime_ms = HOUR;
    run_to_done(f, &policy);
    assert_in_range(f->cut_over_ms, 6 * HOUR - 2 * SECOND, 6 * HOUR + MINUTE);
    /* Nor does one that cannot be met hold it up. */
    f = begin();
    make_busy(f);
    policy.max_downtime_ms = SECOND;
    run_to_done(f, &policy);
    assert_in_range(f->cut_over_ms, 6 * HOUR - 2 * SECOND, 6 * HOUR + MINUTE);
}

static void test_machine__a_time_that_has_come_waits_for_one_copy(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    make_busy(f);
    struct vf_machine_policy policy = {.when = VF_CUTOVER_AT, .from_s = BEGIN_S - 10};
    run_to_done(f, &policy);
    assert_int_equal(f->counts[FAKE_COPY], 2);
}

static void test_machine__a_window_is_kept_to(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    make_busy(f);
    struct vf_machine_policy policy = {
        .when = VF_CUTOVER_WINDOW, .from_s = BEGIN_S + 6 * 3600, .until_s = BEGIN_S + 8 * 3600};
    run_to_done(f, &policy);
    assert_in_range(f->cut_over_ms, 6 * HOUR - 2 * SECOND, 8 * HOUR);
    /* It had begun long before. */
    f = begin();
    make_busy(f);
    policy.from_s = BEGIN_S - 3600;
    run_to_done(f, &policy);
    assert_in_range(f->cut_over_ms, 0, HOUR);
    /* Rounds that would gain still, but not in time. */
    f = begin();
    make_busy(f);
    policy.until_s = BEGIN_S + 1150;
    run_to_done(f, &policy);
    assert_in_range(f->cut_over_ms, 1000 * SECOND, 1150 * SECOND);
}

static void test_machine__after_its_window_it_waits_for_a_request(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    make_busy(f);
    struct vf_machine_policy policy = {.when = VF_CUTOVER_WINDOW,
                                       .from_s = BEGIN_S,
                                       .until_s = BEGIN_S + 3600,
                                       .max_downtime_ms = SECOND};
    request(f, 3 * HOUR, cutover);
    run_to_done(f, &policy);
    assert_in_range(f->cut_over_ms, 3 * HOUR, 3 * HOUR + MINUTE);
    assert_int_equal(f->warnings, 1);
}

static void test_machine__a_budget_that_is_met_is_a_cutover(void **state)
{
    (void)state;
    static const enum vf_cutover_when whens[] = {VF_CUTOVER_ON_REQUEST, VF_CUTOVER_ASAP,
                                                 VF_CUTOVER_WINDOW};
    for (size_t i = 0; i < sizeof whens / sizeof *whens; i++) {
        struct fake_world *f = begin();
        make_busy(f);
        struct vf_machine_policy policy = {.when = whens[i],
                                           .from_s = BEGIN_S,
                                           .until_s = BEGIN_S + 24 * 3600,
                                           .max_downtime_ms = MINUTE};
        run_to_done(f, &policy);
        /* 30 s beside the copy: the round of 100 s is too long a one, those of 10 s are not. */
        assert_in_range(f->counts[FAKE_COPY], 4, 5);
        assert_in_range(f->base.numbers.downtime_ms, 1, MINUTE);
    }
}

static void test_machine__a_budget_out_of_reach_waits_for_a_request(void **state)
{
    (void)state;
    static const enum vf_cutover_when whens[] = {VF_CUTOVER_ON_REQUEST, VF_CUTOVER_ASAP};
    for (size_t i = 0; i < sizeof whens / sizeof *whens; i++) {
        struct fake_world *f = begin();
        make_busy(f);
        f->hot_bytes = 50 * 1000 * 1000;
        struct vf_machine_policy policy = {.when = whens[i], .max_downtime_ms = MINUTE};
        request(f, 24 * HOUR, cutover);
        run_to_done(f, &policy);
        assert_in_range(f->cut_over_ms, 24 * HOUR, 25 * HOUR);
        /* It holds what was reached, and does not wear the source down. */
        assert_in_range(f->counts[FAKE_COPY], 24, 24 * 12);
    }
}

/* Rounds end, instead of one following on the other for ever. */
static void test_machine__without_tracking_rounds_are_not_repeated(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    make_busy(f);
    f->untracked = true;
    run_to_done(f, &asap);
    assert_int_equal(f->counts[FAKE_COPY], 3);
    f = begin();
    make_busy(f);
    f->untracked = true;
    request(f, 5 * HOUR, cutover);
    run_to_done(f, &on_request);
    assert_int_equal(f->counts[FAKE_COPY], 3);
    assert_in_range(f->cut_over_ms, 5 * HOUR, 5 * HOUR + 15 * SECOND);
}

/* --- requests ----------------------------------------------------------------------------- */

static void test_machine__a_request_interrupts_a_wait(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    make_busy(f);
    request(f, 5 * HOUR, cutover);
    run_to_done(f, &on_request);
    assert_in_range(f->cut_over_ms, 5 * HOUR, 5 * HOUR + 15 * SECOND);
}

static void test_machine__a_request_during_a_copy_comes_after_it(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    make_busy(f);
    request(f, 100 * SECOND, cutover);
    run_to_done(f, &on_request);
    assert_int_equal(f->counts[FAKE_COPY], 2);
    assert_in_range(f->cut_over_ms, 1000 * SECOND, 1001 * SECOND);
}

static void test_machine__a_request_for_later_replaces_the_policy(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    make_busy(f);
    struct vf_migration_request later = {.kind = VF_REQUEST_CUTOVER, .at_s = BEGIN_S + 7200};
    request(f, 100 * SECOND, later);
    run_to_done(f, &asap);
    assert_in_range(f->cut_over_ms, 2 * HOUR - 2 * SECOND, 2 * HOUR + MINUTE);
    /* And one for now replaces that. */
    f = begin();
    make_busy(f);
    later.at_s = BEGIN_S + 72000;
    request(f, 100 * SECOND, later);
    request(f, HOUR, cutover);
    run_to_done(f, &asap);
    assert_in_range(f->cut_over_ms, HOUR, HOUR + 2 * MINUTE);
}

static const struct vf_migration_request at_2h = {.kind = VF_REQUEST_CUTOVER,
                                                  .at_s = BEGIN_S + 7200};

/* Killed while it waits for the time that was asked for. */
static void kill_after_request(struct fake_world *f)
{
    make_busy(f);
    request(f, 100 * SECOND, at_2h);
    f->faults[0] = (struct fake_fault){24, FAKE_KILL};
    struct end e = run(f, &on_request);
    release(&e);
    assert_true(f->dead);
    assert_true(f->ms < 2 * HOUR);
    assert_int_equal(f->saved.cutover_s, BEGIN_S + 7200);
    f->faults[0].at = 0;
}

static void test_machine__a_request_outlives_a_kill(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    kill_after_request(f);
    run_to_done(f, &on_request);
    assert_in_range(f->cut_over_ms, 2 * HOUR - 2 * SECOND, 2 * HOUR + MINUTE);
}

static void test_machine__a_request_whose_time_was_missed_is_dropped(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    kill_after_request(f);
    f->ms = 4 * HOUR;
    request(f, 20 * HOUR, cutover);
    run_to_done(f, &on_request);
    assert_true(f->cut_over_ms >= 20 * HOUR);
    assert_int_equal(f->warnings, 1);
}

static void test_machine__a_request_does_not_outlive_what_undoes_it(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    kill_after_request(f);
    request(f, f->ms + MINUTE, cancel);
    expect_end(f, &on_request, VF_END_CANCELLED, VF_CANCELLED, "by request");
    assert_int_equal(f->saved.cutover_s, 0);
    /* Nor a cutover that failed: the guest did not go down. */
    f = begin();
    make_busy(f);
    request(f, HOUR, cutover);
    for (unsigned at = 1; f->counts[FAKE_SHUT_DOWN] == 0; at++) {
        f = begin();
        make_busy(f);
        request(f, 100 * SECOND, cutover);
        f->faults[0] = (struct fake_fault){at, FAKE_LINGER};
        struct end e = run(f, &on_request);
        release(&e);
        if (f->accepted) {
            f->counts[FAKE_SHUT_DOWN] = 0; /* it was not the shutdown */
        }
    }
    assert_true(f->saved.is_there);
    assert_int_equal(f->saved.cutover_s, 0);
}

static void test_machine__a_request_to_cancel_puts_all_back(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    make_busy(f);
    request(f, 2 * HOUR, cancel);
    struct end e = run(f, &on_request);
    assert_int_equal(e.end, VF_END_CANCELLED);
    assert_int_equal(e.rc, VF_CANCELLED);
    assert_string_equal(vf_error_reason(e.err), VF_REASON_CANCEL_REQUESTED);
    assert_int_equal(f->phase, VF_PHASE_CANCELLED);
    assert_false(f->discarded);
    assert_true(f->saved.is_there);
    release(&e);
}

/* The world ends the copy; what the request says of the copies is heard all the same. */
static void test_machine__a_request_to_cancel_ends_a_copy(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    make_busy(f);
    request(f, 100 * SECOND, (struct vf_migration_request){VF_REQUEST_CANCEL, true, 0});
    struct end e = run(f, &on_request);
    assert_int_equal(e.end, VF_END_CANCELLED);
    assert_string_equal(vf_error_reason(e.err), VF_REASON_CANCEL_REQUESTED);
    assert_true(f->discarded);
    assert_int_equal(f->counts[FAKE_COPY], 1);
    release(&e);
}

static void test_machine__a_signal_discards_nothing(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    f->faults[0] = (struct fake_fault){13, FAKE_CANCEL};
    struct end e = run(f, &asap);
    assert_int_equal(e.end, VF_END_CANCELLED);
    assert_null(vf_error_reason(e.err));
    assert_true(f->saved.is_there);
    release(&e);
}

/* --- tries -------------------------------------------------------------------------------- */

#define COPY_CALL 6 /* the number of the first copy */

static void test_machine__a_broken_copy_goes_on_with_its_snapshot(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    f->faults[0] = (struct fake_fault){COPY_CALL, FAKE_HALF};
    run_to_done(f, &asap);
    assert_int_equal(f->counts[FAKE_COPY], 4);
    assert_int_equal(f->counts[FAKE_TAKE], 3);
    assert_true(f->ms >= 5 * SECOND);
    assert_int_equal(f->base.numbers.tries, 0);
}

static void test_machine__a_copy_without_its_snapshot_takes_another(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    f->faults[0] = (struct fake_fault){COPY_CALL, FAKE_SNAPS_GONE};
    run_to_done(f, &asap);
    assert_int_equal(f->counts[FAKE_COPY], 4);
    assert_int_equal(f->counts[FAKE_TAKE], 4);
}

static void test_machine__tries_end_and_waits_grow(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    f->faults[0] = (struct fake_fault){COPY_CALL, FAKE_SOURCE_OUT};
    expect_end(f, &asap, VF_END_FAILED, VF_RETRY, "given up after 5 tries");
    assert_int_equal(f->counts[FAKE_COPY], 5);
    /* 5, 10, 20 and 40 s, and clean-up that does not get through either. */
    assert_true(f->ms >= 75 * SECOND);
}

static void test_machine__what_was_copied_makes_tries_count_afresh(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    struct vf_machine_policy policy = asap;
    policy.max_tries = 2;
    policy.retry_wait_ms = 1;
    f->faults[0] = (struct fake_fault){COPY_CALL, FAKE_RETRY};
    f->faults[1] = (struct fake_fault){COPY_CALL + 3, FAKE_HALF}; /* behind a look and a wait */
    run_to_done(f, &policy);
    f = begin();
    f->faults[0] = (struct fake_fault){COPY_CALL, FAKE_RETRY};
    f->faults[1] = (struct fake_fault){COPY_CALL + 3, FAKE_RETRY};
    expect_end(f, &policy, VF_END_FAILED, VF_RETRY, "given up after 2 tries");
}

/* vCenter restarts in the very moment of the cutover. */
static void test_machine__a_cutover_bears_a_passing_failure_of_each_step(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    run_to_done(f, &asap);
    unsigned calls = f->calls;
    for (unsigned at = 2; at <= calls; at++) { /* prepare comes first */
        f = begin();
        f->faults[0] = (struct fake_fault){at, FAKE_RETRY};
        run_to_done(f, &asap);
        f = begin();
        f->faults[0] = (struct fake_fault){at, FAKE_LOST};
        run_to_done(f, &asap);
    }
}

static void test_machine__other_failures_are_not_tried_again(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    f->faults[0] = (struct fake_fault){COPY_CALL, FAKE_FAIL};
    expect_end(f, &asap, VF_END_FAILED, VF_INTERNAL, "copy failed");
    assert_int_equal(f->counts[FAKE_COPY], 1);
}

/* --- going on ----------------------------------------------------------------------------- */

static void test_machine__a_snapshot_that_a_disk_needs_is_taken_up(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    f->faults[0] = (struct fake_fault){COPY_CALL, FAKE_HALF_KILL};
    struct end e = run(f, &asap);
    release(&e);
    unsigned id = f->last_id;
    assert_int_equal(f->saved.disks[1].snapshot, id);
    f->faults[0] = (struct fake_fault){f->calls + COPY_CALL + 1, FAKE_KILL}; /* behind the copy */
    e = run(f, &asap);
    release(&e);
    assert_int_equal(f->last_id, id);
    assert_int_equal(f->saved.disks[1].phase, VF_CHECKPOINT_COMPLETE);
    /* Now no disk needs it. */
    f->faults[0].at = 0;
    run_to_done(f, &asap);
    assert_true(f->last_id > id);
}

/* Killed before or after the shutdown's effect. */
static void kill_at_shutdown(struct fake_world *f, enum fake_fault_kind kind)
{
    for (unsigned at = 1; !(f->dead && f->counts[FAKE_SHUT_DOWN] == 1); at++) {
        assert_true(at < 500);
        begin();
        make_busy(f);
        request(f, HOUR, cutover);
        f->faults[0] = (struct fake_fault){at, kind};
        struct end e = run(f, &on_request);
        release(&e);
    }
    assert_int_equal(f->saved.stage, VF_STAGE_CUTOVER);
    assert_true(f->saved.was_on);
}

static void test_machine__a_cutover_goes_on_when_the_source_is_off(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    kill_at_shutdown(f, FAKE_KILL_AFTER);
    assert_int_equal(f->power, VF_POWER_OFF);
    run_to_done(f, &on_request);
    assert_int_equal(f->counts[FAKE_SHUT_DOWN], 0);
    assert_int_equal(f->counts[FAKE_COPY], 1);
}

static void test_machine__a_cutover_goes_on_when_the_source_is_on(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    kill_at_shutdown(f, FAKE_KILL);
    assert_int_equal(f->power, VF_POWER_ON);
    run_to_done(f, &on_request);
    assert_int_equal(f->counts[FAKE_SHUT_DOWN], 1);
    assert_int_equal(f->counts[FAKE_COPY], 2); /* a round more before */
}

/* Whoever powered it on, days ago, is not to be surprised. */
static void test_machine__an_old_cutover_of_a_running_source_is_decided_anew(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    kill_at_shutdown(f, FAKE_KILL);
    f->ms += 2 * HOUR;
    request(f, f->ms + 10 * HOUR, cancel);
    expect_end(f, &on_request, VF_END_CANCELLED, VF_CANCELLED, "by request");
    assert_int_equal(f->counts[FAKE_SHUT_DOWN], 0);
    assert_true(f->counts[FAKE_COPY] > 2);
}

static void test_machine__a_cutover_that_fails_after_a_kill_powers_on(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    kill_at_shutdown(f, FAKE_KILL_AFTER);
    f->faults[1] = (struct fake_fault){f->calls + 4, FAKE_FAIL};
    struct end e = run(f, &on_request);
    assert_int_equal(e.end, VF_END_FAILED);
    assert_int_equal(f->power, VF_POWER_ON);
    assert_int_equal(f->counts[FAKE_POWER_ON], 1);
    assert_int_equal(f->saved.stage, VF_STAGE_PRECOPY);
    release(&e);
}

static void test_machine__a_source_that_cannot_be_powered_on_is_told(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    kill_at_shutdown(f, FAKE_KILL_AFTER);
    f->faults[1] = (struct fake_fault){f->calls + 4, FAKE_SOURCE_OUT};
    expect_end(f, &on_request, VF_END_FAILED, VF_RETRY, "THE SOURCE IS OFF");
    assert_int_equal(f->saved.stage, VF_STAGE_CUTOVER);
    assert_true(f->saved.was_on);
}

/* --- after the cutover -------------------------------------------------------------------- */

static void deliver_and_kill(struct fake_world *f)
{
    for (unsigned at = 1; !(f->dead && f->accepted); at++) {
        assert_true(at < 100);
        f = begin();
        f->power = VF_POWER_OFF;
        f->owner_on = false;
        f->faults[0] = (struct fake_fault){at, FAKE_KILL_AFTER};
        struct end e = run(f, &asap);
        release(&e);
    }
}

static void test_machine__a_delivered_one_is_finished(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    deliver_and_kill(f);
    assert_int_equal(f->saved.stage, VF_STAGE_CUTOVER); /* the target is asked */
    run_to_done(f, &asap);
    assert_int_equal(f->counts[FAKE_COPY] + f->counts[FAKE_DELIVER] + f->counts[FAKE_TAKE], 0);
}

static void test_machine__a_new_vm_is_not_started_beside_its_source(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    deliver_and_kill(f);
    f->power = VF_POWER_ON;
    f->behind = true;
    expect_end(f, &asap, VF_END_DELIVERED, VF_CONFLICT, "powered on after it was cut over");
    assert_false(f->running);
    assert_true(f->noted);
    f->power = VF_POWER_OFF;
    run_to_done(f, &asap);
    assert_true(f->running);
}

static void test_machine__without_knowing_nobody_is_powered_on(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    kill_at_shutdown(f, FAKE_KILL_AFTER);
    f->faults[1] = (struct fake_fault){f->calls + 2, FAKE_TARGET_OUT};
    expect_end(f, &on_request, VF_END_UNKNOWN, VF_RETRY, "cannot be told");
    assert_int_equal(f->power, VF_POWER_OFF);
    assert_int_equal(f->saved.stage, VF_STAGE_CUTOVER);
    f->faults[1].at = 0;
    run_to_done(f, &on_request);
}

/* --- vmferry cancel ----------------------------------------------------------------------- */

static int run_cancel(struct fake_world *f, bool discard)
{
    fake_world_begin(f);
    memset(f->counts, 0, sizeof f->counts);
    int rc = vf_machine_cancel(&f->base, discard, NULL);
    assert_int_equal(f->violations, 0);
    return rc;
}

static void test_machine_cancel__puts_back_what_a_kill_left(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    f->faults[0] = (struct fake_fault){COPY_CALL, FAKE_HALF_KILL};
    struct end e = run(f, &asap);
    release(&e);
    assert_int_equal(run_cancel(f, false), 0);
    assert_int_equal(fake_world_count_own(f), 0);
    assert_false(f->discarded);
    assert_int_equal(f->counts[FAKE_POWER_ON], 0);
    run_to_done(f, &asap);

    f = begin();
    kill_at_shutdown(f, FAKE_KILL_AFTER);
    assert_int_equal(run_cancel(f, true), 0);
    assert_int_equal(f->power, VF_POWER_ON);
    assert_true(f->discarded);
}

static void test_machine_cancel__leaves_an_accepted_one_alone(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    deliver_and_kill(f);
    assert_int_equal(run_cancel(f, true), VF_CONFLICT);
    assert_false(f->discarded);
    run_to_done(f, &asap);
    /* When all is done there is nothing to cancel either. */
    assert_int_equal(run_cancel(f, true), VF_CONFLICT);
    assert_false(f->discarded);
}

static void test_machine_cancel__does_nothing_when_it_cannot_know(void **state)
{
    (void)state;
    struct fake_world *f = begin();
    kill_at_shutdown(f, FAKE_KILL_AFTER);
    f->faults[1] = (struct fake_fault){f->calls + 1, FAKE_TARGET_OUT};
    assert_int_equal(run_cancel(f, true), VF_RETRY);
    assert_int_equal(f->power, VF_POWER_OFF);
    assert_false(f->discarded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine__a_stun_needs_permission),
        cmocka_unit_test(test_machine__a_source_that_is_off_is_cut_over_at_once),
        cmocka_unit_test(test_machine__a_suspended_source_is_refused_at_the_cutover),
        cmocka_unit_test(test_machine__tracking_begins_without_snapshots_of_ours),
        cmocka_unit_test(test_machine__asap_is_when_rounds_gain_nothing),
        cmocka_unit_test(test_machine__a_fixed_time_is_met_with_a_fresh_copy),
        cmocka_unit_test(test_machine__a_time_that_has_come_waits_for_one_copy),
        cmocka_unit_test(test_machine__a_window_is_kept_to),
        cmocka_unit_test(test_machine__after_its_window_it_waits_for_a_request),
        cmocka_unit_test(test_machine__a_budget_that_is_met_is_a_cutover),
        cmocka_unit_test(test_machine__a_budget_out_of_reach_waits_for_a_request),
        cmocka_unit_test(test_machine__without_tracking_rounds_are_not_repeated),
        cmocka_unit_test(test_machine__a_request_interrupts_a_wait),
        cmocka_unit_test(test_machine__a_request_during_a_copy_comes_after_it),
        cmocka_unit_test(test_machine__a_request_for_later_replaces_the_policy),
        cmocka_unit_test(test_machine__a_request_outlives_a_kill),
        cmocka_unit_test(test_machine__a_request_whose_time_was_missed_is_dropped),
        cmocka_unit_test(test_machine__a_request_does_not_outlive_what_undoes_it),
        cmocka_unit_test(test_machine__a_request_to_cancel_puts_all_back),
        cmocka_unit_test(test_machine__a_request_to_cancel_ends_a_copy),
        cmocka_unit_test(test_machine__a_signal_discards_nothing),
        cmocka_unit_test(test_machine__a_broken_copy_goes_on_with_its_snapshot),
        cmocka_unit_test(test_machine__a_copy_without_its_snapshot_takes_another),
        cmocka_unit_test(test_machine__tries_end_and_waits_grow),
        cmocka_unit_test(test_machine__what_was_copied_makes_tries_count_afresh),
        cmocka_unit_test(test_machine__a_cutover_bears_a_passing_failure_of_each_step),
        cmocka_unit_test(test_machine__other_failures_are_not_tried_again),
        cmocka_unit_test(test_machine__a_snapshot_that_a_disk_needs_is_taken_up),
        cmocka_unit_test(test_machine__a_cutover_goes_on_when_the_source_is_off),
        cmocka_unit_test(test_machine__a_cutover_goes_on_when_the_source_is_on),
        cmocka_unit_test(test_machine__an_old_cutover_of_a_running_source_is_decided_anew),
        cmocka_unit_test(test_machine__a_cutover_that_fails_after_a_kill_powers_on),
        cmocka_unit_test(test_machine__a_source_that_cannot_be_powered_on_is_told),
        cmocka_unit_test(test_machine__a_delivered_one_is_finished),
        cmocka_unit_test(test_machine__a_new_vm_is_not_started_beside_its_source),
        cmocka_unit_test(test_machine__without_knowing_nobody_is_powered_on),
        cmocka_unit_test(test_machine_cancel__puts_back_what_a_kill_left),
        cmocka_unit_test(test_machine_cancel__leaves_an_accepted_one_alone),
        cmocka_unit_test(test_machine_cancel__does_nothing_when_it_cannot_know),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fake_world_release(&world);
    return failed;
}
