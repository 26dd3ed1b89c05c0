#include "importer/source/datastore_gate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/check.h"

static unsigned enter(struct vf_datastore_gate *g)
{
    unsigned era;
    assert_int_equal(vf_datastore_gate_enter(g, NULL, &era, NULL), 0);
    return era;
}

static void answer(struct vf_datastore_gate *g, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        vf_datastore_gate_leave(g, enter(g), VF_DATASTORE_GOOD);
    }
}

static void test_gate__busy_halves_the_limit_once_for_all_that_were_under_way(void **state)
{
    (void)state;
    struct vf_datastore_gate g;
    unsigned era[8];
    vf_datastore_gate_init(&g, 8);
    for (unsigned i = 0; i < 8; i++) {
        era[i] = enter(&g);
    }
    for (unsigned i = 0; i < 8; i++) {
        vf_datastore_gate_leave(&g, era[i], VF_DATASTORE_BUSY);
        assert_int_equal(vf_datastore_gate_get_limit(&g), 4);
    }
    vf_datastore_gate_leave(&g, enter(&g), VF_DATASTORE_BUSY);
    assert_int_equal(vf_datastore_gate_get_limit(&g), 2);
    vf_datastore_gate_release(&g);
}

static void test_gate__limit_is_never_below_one(void **state)
{
    (void)state;
    struct vf_datastore_gate g;
    vf_datastore_gate_init(&g, 3);
    for (unsigned i = 0; i < 5; i++) {
        vf_datastore_gate_leave(&g, enter(&g), VF_DATASTORE_BUSY);
    }
    assert_int_equal(vf_datastore_gate_get_limit(&g), 1);
    vf_datastore_gate_release(&g);
}

static void test_gate__answers_lift_the_limit_up_to_the_maximum(void **state)
{
    (void)state;
    struct vf_datastore_gate g;
    vf_datastore_gate_init(&g, 4);
    vf_datastore_gate_leave(&g, enter(&g), VF_DATASTORE_BUSY);
    vf_datastore_gate_leave(&g, enter(&g), VF_DATASTORE_OTHER);
    assert_int_equal(vf_datastore_gate_get_limit(&g), 2);
    answer(&g, 31);
    assert_int_equal(vf_datastore_gate_get_limit(&g), 2);
    answer(&g, 1);
    assert_int_equal(vf_datastore_gate_get_limit(&g), 3);
    answer(&g, 1000);
    assert_int_equal(vf_datastore_gate_get_limit(&g), 4);
    vf_datastore_gate_release(&g);
}

struct crowd {
    struct vf_datastore_gate gate;
    atomic_uint inside, most;
};

static void *come_and_go(void *opaque)
{
    struct crowd *c = opaque;
    for (unsigned i = 0; i < 200; i++) {
        unsigned era;
        vf_test_check(vf_datastore_gate_enter(&c->gate, NULL, &era, NULL) == 0);
        unsigned now = atomic_fetch_add(&c->inside, 1) + 1;
        unsigned most = atomic_load(&c->most);
        while (now > most && !atomic_compare_exchange_weak(&c->most, &most, now)) {
        }
        atomic_fetch_sub(&c->inside, 1);
        vf_datastore_gate_leave(&c->gate, era, VF_DATASTORE_GOOD);
    }
    return NULL;
}

static void test_gate__lets_no_more_in_than_the_limit(void **state)
{
    (void)state;
    struct crowd c = {0};
    pthread_t threads[8];
    vf_datastore_gate_init(&c.gate, 3);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &c), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_in_range(c.most, 1, 3);
    assert_int_equal(c.gate.under_way, 0);
    vf_datastore_gate_release(&c.gate);
}

struct waiter {
    struct vf_datastore_gate *gate;
    struct vf_cancel *cancel;
    int rc;
};

static void *wait_for_a_place(void *opaque)
{
    struct waiter *w = opaque;
    unsigned era;
    w->rc = vf_datastore_gate_enter(w->gate, w->cancel, &era, NULL);
    return NULL;
}

static void test_gate__wait_ends_with_a_cancellation(void **state)
{
    (void)state;
    struct vf_datastore_gate g;
    pthread_t thread;
    vf_datastore_gate_init(&g, 1);
    unsigned era = enter(&g);
    struct waiter w = {.gate = &g, .cancel = vf_cancel_new(NULL)};
    assert_int_equal(pthread_create(&thread, NULL, wait_for_a_place, &w), 0);
    vf_cancel_trigger(w.cancel);
    pthread_join(thread, NULL);
    assert_int_equal(w.rc, VF_CANCELLED);
    vf_datastore_gate_leave(&g, era, VF_DATASTORE_GOOD);
    assert_int_equal(g.under_way, 0);
    vf_cancel_free(w.cancel);
    vf_datastore_gate_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate__busy_halves_the_limit_once_for_all_that_were_under_way),
        cmocka_unit_test(test_gate__limit_is_never_below_one),
        cmocka_unit_test(test_gate__answers_lift_the_limit_up_to_the_maximum),
        cmocka_unit_test(test_gate__lets_no_more_in_than_the_limit),
        cmocka_unit_test(test_gate__wait_ends_with_a_cancellation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
