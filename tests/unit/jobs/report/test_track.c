#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jobs/report/track.h"

static struct vf_event start(unsigned disk, const char *name, const struct vf_progress *p)
{
    return (struct vf_event){
        .type = VF_EVENT_DISK_START, .vm = "vm", .disk = disk, .name = name, .progress = p};
}

static void test_track__waiting_disk_has_no_pace(void **state)
{
    (void)state;
    struct vf_track t;
    struct vf_progress p = {.total_bytes = 1000};
    struct vf_event e = start(0, "a", &p);
    vf_track_init(&t);
    vf_track_event(&t, &e, 0);
    vf_track_sample(&t, 5000);
    assert_int_equal(t.disks[0].first_ms, -1);
    p.source_bytes = 10; /* bytes arrive, nothing is settled yet */
    vf_track_sample(&t, 6000);
    assert_int_equal(t.disks[0].first_ms, 6000);
    p.done_bytes = 500;
    vf_track_sample(&t, 8000);
    assert_int_equal(vf_track_bytes_per_s(&t.disks[0]), 250);
    assert_int_equal(vf_track_eta_s(&t.disks[0]), 2);
    assert_int_equal(vf_track_percent(&t.disks[0]), 50);
    vf_track_release(&t);
}

static void test_track__end_takes_the_last_counters_and_lets_go(void **state)
{
    (void)state;
    struct vf_track t;
    struct vf_progress p = {.total_bytes = 4000};
    struct vf_event e = start(3, "a", &p);
    vf_track_init(&t);
    vf_track_event(&t, &e, 0);
    p.done_bytes = 1;
    vf_track_sample(&t, 1000);
    p.done_bytes = 4000;
    e.type = VF_EVENT_DISK_END;
    e.progress = NULL;
    const struct vf_track_disk *d = vf_track_event(&t, &e, 3000);
    assert_non_null(d);
    assert_int_equal(d->state, VF_TRACK_DONE);
    assert_int_equal(d->done_bytes, 4000);
    assert_null(d->progress);
    assert_int_equal(vf_track_bytes_per_s(d), 2000); /* over all of it */
    assert_int_equal(vf_track_elapsed_s(d), 2);
    p.done_bytes = 1; /* no longer looked at */
    vf_track_sample(&t, 4000);
    assert_int_equal(t.disks[0].done_bytes, 4000);
    vf_track_release(&t);
}

static void test_track__end_of_an_unknown_disk_is_ignored(void **state)
{
    (void)state;
    struct vf_track t;
    vf_track_init(&t);
    struct vf_event e = {.type = VF_EVENT_DISK_END, .vm = "vm", .disk = 1};
    assert_null(vf_track_event(&t, &e, 0));
    e.type = VF_EVENT_WARNING;
    assert_null(vf_track_event(&t, &e, 0));
    assert_int_equal(t.n_disks, 0);
    vf_track_release(&t);
}

static void test_track__same_disk_again_starts_over(void **state)
{
    (void)state;
    struct vf_track t;
    struct vf_progress p = {.done_bytes = 7, .total_bytes = 10};
    struct vf_event e = start(0, NULL, &p);
    vf_track_init(&t);
    vf_track_event(&t, &e, 0);
    vf_track_sample(&t, 10);
    e.name = "again";
    vf_track_event(&t, &e, 20);
    e.vm = NULL; /* another VM's disk 0 */
    vf_track_event(&t, &e, 20);
    assert_int_equal(t.n_disks, 2);
    assert_string_equal(t.disks[0].name, "again");
    assert_int_equal(t.disks[0].done_bytes, 0);
    vf_track_release(&t);
}

static void test_track_total__sums_and_fails_with_one(void **state)
{
    (void)state;
    struct vf_track t;
    struct vf_progress p[2] = {{.total_bytes = 100}, {.total_bytes = 300}};
    vf_track_init(&t);
    for (unsigned i = 0; i < 2; i++) {
        struct vf_event e = start(i, NULL, &p[i]);
        vf_track_event(&t, &e, 0);
    }
    struct vf_track_disk total = vf_track_total(&t);
    assert_int_equal(total.state, VF_TRACK_RUNNING);
    assert_int_equal(total.first_ms, -1);
    p[0].done_bytes = 100;
    p[1].done_bytes = 200;
    vf_track_sample(&t, 500);
    total = vf_track_total(&t);
    assert_int_equal(total.done_bytes, 300);
    assert_int_equal(total.total_bytes, 400);
    assert_int_equal(vf_track_percent(&total), 75);

    struct vf_event e = {.type = VF_EVENT_DISK_END, .vm = "vm", .disk = 0};
    vf_track_event(&t, &e, 600);
    assert_int_equal(vf_track_total(&t).state, VF_TRACK_RUNNING);
    struct vf_error *error = NULL;
    vf_error_set(&error, VF_SPACE, "full");
    e.disk = 1;
    e.error = error;
    vf_track_event(&t, &e, 600);
    assert_int_equal(vf_track_total(&t).state, VF_TRACK_FAILED);
    vf_error_free(error);
    vf_track_release(&t);
}

static void test_track__next_round_begins_a_new_list(void **state)
{
    (void)state;
    struct vf_track t;
    struct vf_progress p[2] = {{.total_bytes = 100}, {.total_bytes = 300}};
    const struct vf_event phase = {.type = VF_EVENT_PHASE, .vm = "vm", .name = "copying"};
    vf_track_init(&t);
    for (unsigned i = 0; i < 2; i++) {
        struct vf_event e = start(i, NULL, &p[i]);
        vf_track_event(&t, &e, 0);
    }
    vf_track_event(&t, &phase, 1); /* while disks run: of the same round */
    struct vf_event e = {.type = VF_EVENT_DISK_END, .vm = "vm", .disk = 0};
    vf_track_event(&t, &e, 2);
    e.disk = 1;
    vf_track_event(&t, &e, 2);
    vf_track_event(&t, &phase, 3);
    assert_int_equal(t.n_disks, 2); /* they stay to be seen */

    struct vf_event again = start(1, "only", &p[1]);
    vf_track_event(&t, &again, 4);
    assert_int_equal(t.n_disks, 1);
    assert_string_equal(t.disks[0].name, "only");
    struct vf_event other = start(0, NULL, &p[0]); /* joins it */
    vf_track_event(&t, &other, 5);
    assert_int_equal(t.n_disks, 2);
    vf_track_release(&t);
}

static void test_track__disks_stand_in_their_order(void **state)
{
    (void)state;
    static const struct {
        const char *vm;
        unsigned index;
    } told[] = {{"b", 1}, {"b", 2}, {"b", 0}, {"a", 1}, {"a", 0}};
    static const char *const expected[] = {"b0", "b1", "b2", "a0", "a1"};
    struct vf_track t;
    vf_track_init(&t);
    for (size_t i = 0; i < 5; i++) {
        struct vf_event e = {.type = VF_EVENT_DISK_START, .vm = told[i].vm, .disk = told[i].index};
        const struct vf_track_disk *d = vf_track_event(&t, &e, 0);
        assert_int_equal(d->index, told[i].index);
    }
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(t.disks[i].vm[0], expected[i][0]);
        assert_int_equal(t.disks[i].index, (unsigned)(expected[i][1] - '0'));
    }
    vf_track_release(&t);
}

/* Zeros make one disk fly by; the other still takes its time. */
static void test_track_total__takes_as_long_as_the_slowest(void **state)
{
    (void)state;
    struct vf_track t;
    struct vf_progress p[2] = {{.total_bytes = 10000}, {.total_bytes = 10000}};
    vf_track_init(&t);
    for (unsigned i = 0; i < 2; i++) {
        struct vf_event e = start(i, NULL, &p[i]);
        vf_track_event(&t, &e, 0);
        p[i].source_bytes = 1;
    }
    vf_track_sample(&t, 0);
    p[0].done_bytes = 1000;
    p[1].done_bytes = 9000;
    vf_track_sample(&t, 1000);
    struct vf_track_disk total = vf_track_total(&t);
    assert_int_equal(vf_track_eta_s(&t.disks[0]), 9);
    assert_int_equal(vf_rate_eta_s(&total.rate, 10000), 1);
    assert_int_equal(vf_track_eta_s(&total), 9);
    vf_track_release(&t);
}

static void test_track_percent__full_only_when_complete(void **state)
{
    (void)state;
    struct vf_track_disk d = {.done_bytes = 999999, .total_bytes = 1000000};
    assert_int_equal(vf_track_percent(&d), 99);
    d.done_bytes = 1000000;
    assert_int_equal(vf_track_percent(&d), 100);
    d = (struct vf_track_disk){.state = VF_TRACK_RUNNING};
    assert_int_equal(vf_track_percent(&d), 0);
    d.state = VF_TRACK_DONE;
    assert_int_equal(vf_track_percent(&d), 100);
    d = (struct vf_track_disk){.done_bytes = UINT64_MAX / 2, .total_bytes = UINT64_MAX};
    assert_in_range(vf_track_percent(&d), 49, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_track__waiting_disk_has_no_pace),
        cmocka_unit_test(test_track__end_takes_the_last_counters_and_lets_go),
        cmocka_unit_test(test_track__end_of_an_unknown_disk_is_ignored),
        cmocka_unit_test(test_track__same_disk_again_starts_over),
        cmocka_unit_test(test_track__next_round_begins_a_new_list),
        cmocka_unit_test(test_track__disks_stand_in_their_order),
        cmocka_unit_test(test_track_total__sums_and_fails_with_one),
        cmocka_unit_test(test_track_total__takes_as_long_as_the_slowest),
        cmocka_unit_test(test_track_percent__full_only_when_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
