#include "importer/base/pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/check.h"
#include "tests/support/disk_check.h"

/* What the tasks of one test do; shared by its slots. */
struct plan {
    atomic_uint running, most_running, n_inits, n_releases, n_runs;
    unsigned fail_init_at; /* 1-based; 0: never */
    uint64_t slow_number;  /* this task waits for `released` */
    atomic_bool released;
    uint64_t fail_number; /* UINT64_MAX: none; later ones wait for `failed` if it is given */
    struct vf_cancel *failed;
    bool ordered;

    pthread_mutex_t lock;
    uint64_t order[4096];
    unsigned n_order;
};

struct item {
    struct plan *plan;
    uint64_t number;
};

static void plan_init(struct plan *p)
{
    *p = (struct plan){.slow_number = UINT64_MAX, .fail_number = UINT64_MAX};
    pthread_mutex_init(&p->lock, NULL);
}

static int item_init(void *slot, void *owner, struct vf_error **err)
{
    struct item *it = slot;
    it->plan = owner;
    if (atomic_fetch_add(&it->plan->n_inits, 1) + 1 == it->plan->fail_init_at) {
        return vf_error_set(err, VF_SPACE, "no room for a slot");
    }
    return 0;
}

static void item_release(void *slot)
{
    atomic_fetch_add(&((struct item *)slot)->plan->n_releases, 1);
}

static int item_run(void *slot, struct vf_lane *lane, struct vf_error **err)
{
    struct item *it = slot;
    struct plan *p = it->plan;
    unsigned now = atomic_fetch_add(&p->running, 1) + 1;
    unsigned most = atomic_load(&p->most_running);
    while (now > most && !atomic_compare_exchange_weak(&p->most_running, &most, now)) {
    }
    atomic_fetch_add(&p->n_runs, 1);
    while (it->number == p->slow_number && !atomic_load(&p->released)) {
        usleep(500);
    }
    while (p->failed && it->number > p->fail_number && !vf_cancel_is_set(p->failed)) {
        usleep(500);
    }
    int rc = it->number == p->fail_number
                 ? vf_error_set(err, VF_INVALID, "task %u failed", (unsigned)it->number)
                 : 0;
    if (rc == 0 && p->ordered) {
        rc = vf_lane_wait_turn(lane, slot, err);
    }
    if (rc == 0) {
        pthread_mutex_lock(&p->lock);
        vf_test_check(p->n_order < 4096);
        p->order[p->n_order++] = it->number;
        pthread_mutex_unlock(&p->lock);
    }
    atomic_fetch_sub(&p->running, 1);
    return rc;
}

static const struct vf_lane_ops item_ops = {
    .slot_size = sizeof(struct item),
    .init = item_init,
    .release = item_release,
    .run = item_run,
};

static struct vf_lane *new_lane(struct vf_pool *pool, unsigned slots, struct plan *p,
                                struct vf_cancel *cancel)
{
    struct vf_lane *lane = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_lane_new(pool, slots, &item_ops, p, cancel, &lane, &err), 0);
    return lane;
}

/* Submit n tasks from `first`; the first failure that acquire gives. */
static int submit(struct vf_lane *lane, uint64_t first, uint64_t n, struct vf_error **err)
{
    for (uint64_t i = first; i < first + n; i++) {
        void *slot;
        int rc = vf_lane_acquire(lane, &slot, err);
        if (rc) {
            return rc;
        }
        ((struct item *)slot)->number = i;
        vf_lane_submit(lane, slot);
    }
    return 0;
}

static void test_pool__threads_are_as_asked_and_bounded(void **state)
{
    (void)state;
    const unsigned wanted[] = {1, 3, 64, 1000}, given[] = {1, 3, 64, 64};
    for (unsigned i = 0; i < 4; i++) {
        struct vf_pool *pool = vf_pool_new(wanted[i]);
        assert_int_equal(vf_pool_threads(pool), given[i]);
        vf_pool_free(pool);
    }
    struct vf_pool *pool = vf_pool_new(0);
    assert_in_range(vf_pool_threads(pool), 1, 64);
    vf_pool_free(pool);
    vf_pool_free(NULL);
}

static void test_lane__all_tasks_run_once_and_slots_bound_them(void **state)
{
    (void)state;
    struct plan p;
    plan_init(&p);
    struct vf_pool *pool = vf_pool_new(8);
    struct vf_lane *lane = new_lane(pool, 3, &p, NULL);
    assert_int_equal(submit(lane, 0, 2000, NULL), 0);
    assert_int_equal(vf_lane_drain(lane, NULL), 0);
    assert_int_equal(p.n_runs, 2000);
    assert_in_range(p.most_running, 1, 3);
    vf_lane_free(lane);
    assert_int_equal(p.n_inits, 3);
    assert_int_equal(p.n_releases, 3);
    vf_pool_free(pool);
}

/* One slow task while hundreds pass it by: their distance has no bound but the disk's length. */
static void test_lane__a_slow_task_does_not_hold_up_the_rest(void **state)
{
    (void)state;
    struct plan p;
    plan_init(&p);
    p.slow_number = 0;
    struct vf_pool *pool = vf_pool_new(2);
    struct vf_lane *lane = new_lane(pool, 4, &p, NULL);
    assert_int_equal(submit(lane, 0, 300, NULL), 0);
    atomic_store(&p.released, true);
    assert_int_equal(vf_lane_drain(lane, NULL), 0);
    assert_int_equal(p.n_order, 300);
    vf_lane_free(lane);
    vf_pool_free(pool);
}

static void test_lane__turns_put_output_in_order(void **state)
{
    (void)state;
    struct plan p;
    plan_init(&p);
    p.ordered = true;
    struct vf_pool *pool = vf_pool_new(7);
    struct vf_lane *lane = new_lane(pool, 64, &p, NULL);
    assert_int_equal(submit(lane, 0, 3000, NULL), 0);
    assert_int_equal(vf_lane_drain(lane, NULL), 0);
    assert_int_equal(p.n_order, 3000);
    for (unsigned i = 0; i < 3000; i++) {
        assert_int_equal(p.order[i], i);
    }
    vf_lane_free(lane);
    vf_pool_free(pool);
}

static void test_lane__two_ordered_lanes_share_one_thread(void **state)
{
    (void)state;
    struct plan a, b;
    plan_init(&a);
    plan_init(&b);
    a.ordered = b.ordered = true;
    struct vf_pool *pool = vf_pool_new(1);
    struct vf_lane *lane_a = new_lane(pool, 5, &a, NULL), *lane_b = new_lane(pool, 2, &b, NULL);
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(submit(lane_a, i, 1, NULL), 0);
        assert_int_equal(submit(lane_b, i, 1, NULL), 0);
    }
    assert_int_equal(vf_lane_drain(lane_a, NULL), 0);
    assert_int_equal(vf_lane_drain(lane_b, NULL), 0);
    assert_int_equal(a.n_order, 500);
    assert_int_equal(b.n_order, 500);
    vf_lane_free(lane_a);
    vf_lane_free(lane_b);
    vf_pool_free(pool);
}

static void test_lane__first_error_comes_out_and_the_rest_stops(void **state)
{
    (void)state;
    for (unsigned ordered = 0; ordered < 2; ordered++) {
        struct plan p;
        plan_init(&p);
        p.ordered = ordered != 0;
        p.fail_number = 10;
        struct vf_cancel *cancel = vf_cancel_new(NULL);
        p.failed = cancel;
        struct vf_pool *pool = vf_pool_new(3);
        struct vf_lane *lane = new_lane(pool, 6, &p, cancel);
        struct vf_error *err = NULL;
        int rc = submit(lane, 0, 4000, &err);
        assert_int_not_equal(rc, 0);
        rc = vf_lane_settle(lane, rc, &err);
        check_error(rc, &err, VF_INVALID, "task 10 failed");
        assert_true(vf_cancel_is_set(cancel));
        assert_in_range(p.n_runs, 1, 11 + 2);
        /* The code stays for whoever asks later. */
        assert_int_equal(vf_lane_drain(lane, NULL), VF_INVALID);
        vf_lane_free(lane);
        vf_pool_free(pool);
        vf_cancel_free(cancel);
    }
}

static void test_lane__error_after_last_submission_is_drained(void **state)
{
    (void)state;
    struct plan p;
    plan_init(&p);
    p.fail_number = 4;
    struct vf_pool *pool = vf_pool_new(2);
    struct vf_lane *lane = new_lane(pool, 8, &p, NULL);
    struct vf_error *err = NULL;
    assert_int_equal(submit(lane, 0, 5, NULL), 0);
    check_error(vf_lane_drain(lane, &err), &err, VF_INVALID, "task 4 failed");
    vf_lane_free(lane);
    vf_pool_free(pool);
}

static void test_lane__settle_prefers_the_cause(void **state)
{
    (void)state;
    struct plan p;
    plan_init(&p);
    p.fail_number = 0;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    struct vf_pool *pool = vf_pool_new(1);
    struct vf_lane *lane = new_lane(pool, 2, &p, cancel);
    assert_int_equal(submit(lane, 0, 1, NULL), 0);
    while (!vf_cancel_is_set(cancel)) {
        usleep(500);
    }
    /* The producer's read ended because of the cancellation. */
    struct vf_error *err = NULL;
    int rc = vf_cancel_check(cancel, &err);
    check_error(vf_lane_settle(lane, rc, &err), &err, VF_INVALID, "task 0 failed");
    vf_lane_free(lane);

    /* A failure of its own stands. */
    plan_init(&p);
    p.fail_number = 0;
    lane = new_lane(pool, 2, &p, NULL);
    assert_int_equal(submit(lane, 0, 1, NULL), 0);
    rc = vf_error_set(&err, VF_RETRY, "the stream broke");
    check_error(vf_lane_settle(lane, rc, &err), &err, VF_RETRY, "the stream broke");
    vf_lane_free(lane);
    vf_pool_free(pool);
    vf_cancel_free(cancel);
}

static void test_lane__settle_without_err_gives_the_code(void **state)
{
    (void)state;
    struct plan p;
    plan_init(&p);
    p.fail_number = 0;
    struct vf_pool *pool = vf_pool_new(1);
    struct vf_lane *lane = new_lane(pool, 2, &p, NULL);
    assert_int_equal(submit(lane, 0, 1, NULL), 0);
    assert_int_equal(vf_lane_settle(lane, VF_CANCELLED, NULL), VF_INVALID);
    vf_lane_free(lane);
    vf_pool_free(pool);
}

static void test_lane__cancellation_stops_the_producer(void **state)
{
    (void)state;
    struct plan p;
    plan_init(&p);
    struct vf_cancel *user = vf_cancel_new(NULL), *child = vf_cancel_new(user);
    struct vf_pool *pool = vf_pool_new(2);
    struct vf_lane *lane = new_lane(pool, 4, &p, child);
    struct vf_error *err = NULL;
    assert_int_equal(submit(lane, 0, 20, &err), 0);
    vf_cancel_trigger(user);
    int rc = submit(lane, 20, 1, &err);
    check_error(vf_lane_settle(lane, rc, &err), &err, VF_CANCELLED, "cancelled");
    assert_int_equal(p.n_runs, 20);
    vf_lane_free(lane);
    vf_pool_free(pool);
    vf_cancel_free(child);
    vf_cancel_free(user);
}

static void test_lane__failed_slot_releases_the_others(void **state)
{
    (void)state;
    struct plan p;
    plan_init(&p);
    p.fail_init_at = 3;
    struct vf_pool *pool = vf_pool_new(1);
    struct vf_lane *lane = NULL;
    struct vf_error *err = NULL;
    check_error(vf_lane_new(pool, 5, &item_ops, &p, NULL, &lane, &err), &err, VF_SPACE, "no room");
    assert_null(lane);
    assert_int_equal(p.n_inits, 3);
    assert_int_equal(p.n_releases, 2);
    vf_lane_free(NULL);
    vf_pool_free(pool);
}

static void test_lane__abandoned_slot_is_used_again(void **state)
{
    (void)state;
    struct plan p;
    plan_init(&p);
    struct vf_pool *pool = vf_pool_new(1);
    struct vf_lane *lane = new_lane(pool, 1, &p, NULL);
    for (unsigned i = 0; i < 3; i++) {
        void *slot;
        assert_int_equal(vf_lane_acquire(lane, &slot, NULL), 0);
        vf_lane_abandon(lane, slot);
    }
    assert_int_equal(submit(lane, 0, 5, NULL), 0);
    vf_lane_free(lane); /* waits for what is under way */
    assert_int_equal(p.n_runs, 5);
    vf_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool__threads_are_as_asked_and_bounded),
        cmocka_unit_test(test_lane__all_tasks_run_once_and_slots_bound_them),
        cmocka_unit_test(test_lane__a_slow_task_does_not_hold_up_the_rest),
        cmocka_unit_test(test_lane__turns_put_output_in_order),
        cmocka_unit_test(test_lane__two_ordered_lanes_share_one_thread),
        cmocka_unit_test(test_lane__first_error_comes_out_and_the_rest_stops),
        cmocka_unit_test(test_lane__error_after_last_submission_is_drained),
        cmocka_unit_test(test_lane__settle_prefers_the_cause),
        cmocka_unit_test(test_lane__settle_without_err_gives_the_code),
        cmocka_unit_test(test_lane__cancellation_stops_the_producer),
        cmocka_unit_test(test_lane__failed_slot_releases_the_others),
        cmocka_unit_test(test_lane__abandoned_slot_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
