#include "jobs/parallel.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/check.h"
#include "tests/support/disk_check.h"

#define N 20u

struct tasks {
    unsigned fail_at;  /* N: none */
    unsigned meet;     /* so many wait for each other */
    atomic_uint begun; /* in all */
    atomic_uint times[N];
    struct vf_cancel *cancel;
    pthread_barrier_t barrier;
};

static int task(void *opaque, size_t index, struct vf_error **err)
{
    struct tasks *t = opaque;
    atomic_fetch_add(&t->times[index], 1);
    if (atomic_fetch_add(&t->begun, 1) < t->meet) {
        pthread_barrier_wait(&t->barrier); /* for ever, unless so many run at once */
    }
    if (index == t->fail_at) {
        return vf_error_set(err, VF_SPACE, "task %zu is full", index);
    }
    return t->fail_at < index ? vf_cancel_wait(t->cancel, 60000, err) : 0;
}

static int run(struct tasks *t, unsigned threads, struct vf_error **err)
{
    t->cancel = vf_cancel_new(NULL);
    vf_test_check(pthread_barrier_init(&t->barrier, NULL, t->meet ? t->meet : 1) == 0);
    int rc = vf_parallel_run(N, threads, task, t, t->cancel, err);
    pthread_barrier_destroy(&t->barrier);
    assert_int_equal(vf_cancel_is_set(t->cancel), rc != 0);
    vf_cancel_free(t->cancel);
    return rc;
}

static void test_parallel__each_once_and_as_many_at_once_as_asked_for(void **state)
{
    (void)state;
    static const unsigned threads[] = {0, 1, 3, N, 1000};
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
        struct tasks t = {.fail_at = N, .meet = threads[i] < N ? threads[i] : N};
        assert_int_equal(run(&t, threads[i], NULL), 0);
        for (size_t k = 0; k < N; k++) {
            assert_int_equal(atomic_load(&t.times[k]), 1);
        }
    }
}

static void test_parallel__first_error_ends_the_others(void **state)
{
    (void)state;
    struct tasks t = {.fail_at = 5, .meet = 4};
    struct vf_error *err = NULL;
    int rc = run(&t, 4, &err);
    check_error(rc, &err, VF_SPACE, "task 5 is full");
    assert_true(atomic_load(&t.begun) <= 5 + 4);
}

static void test_parallel__nothing_to_do(void **state)
{
    (void)state;
    assert_int_equal(vf_parallel_run(0, 4, task, NULL, NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parallel__each_once_and_as_many_at_once_as_asked_for),
        cmocka_unit_test(test_parallel__first_error_ends_the_others),
        cmocka_unit_test(test_parallel__nothing_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
