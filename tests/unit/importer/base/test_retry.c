#include "importer/base/retry.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"

static const struct vf_retry_policy quick = {.max_tries = 4, .first_wait_ms = 10};

/* How often a call is tried that always fails with `code`. */
static unsigned count_tries(const struct vf_retry_policy *p, int code, struct vf_error **err)
{
    struct vf_retry r;
    unsigned n = 0;
    int rc;
    vf_retry_init(&r, p, NULL);
    do {
        n++;
        rc = vf_error_set(err, code, "try %u", n);
    } while (vf_retry_again(&r, &rc, err));
    assert_int_equal(rc, code);
    return n;
}

static void test_retry__only_the_retry_code(void **state)
{
    (void)state;
    for (int code = VF_INTERNAL; code < VF_OK; code++) {
        struct vf_error *err = NULL;
        assert_int_equal(count_tries(&quick, code, &err), code == VF_RETRY ? 4 : 1);
        assert_int_equal(vf_error_code(err), code);
        vf_error_free(err);
    }
    struct vf_retry r;
    int rc = VF_OK;
    vf_retry_init(&r, &quick, NULL);
    assert_false(vf_retry_again(&r, &rc, NULL));
    assert_int_equal(rc, VF_OK);
}

static void test_retry__last_error_stands_with_the_count(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    count_tries(&quick, VF_RETRY, &err);
    char *vf_autofree text = vf_error_format(err);
    assert_string_equal(text, "after 4 tries: try 4");
    vf_error_free(err);
}

static void test_retry__works_without_an_error(void **state)
{
    (void)state;
    assert_int_equal(count_tries(&quick, VF_RETRY, NULL), 4);
}

static void test_retry__success_ends_it_without_error(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    struct vf_retry r;
    unsigned n = 0;
    int rc;
    vf_retry_init(&r, &quick, NULL);
    do {
        rc = ++n < 3 ? vf_error_set(&err, VF_RETRY, "x") : 0;
    } while (vf_retry_again(&r, &rc, &err));
    assert_int_equal(rc, 0);
    assert_int_equal(n, 3);
    assert_null(err);
}

static void test_retry__waits_double_within_jitter(void **state)
{
    (void)state;
    const struct vf_retry_policy p = {.max_tries = 6, .first_wait_ms = 40, .max_wait_ms = 160};
    static const int64_t most_ms[] = {40, 80, 160, 160, 160};
    struct vf_retry r;
    vf_retry_init(&r, &p, NULL);
    for (unsigned i = 0; i < 5; i++) {
        int rc = VF_RETRY;
        int64_t begin_ms = vf_clock_ms();
        assert_true(vf_retry_again(&r, &rc, NULL));
        int64_t took_ms = vf_clock_ms() - begin_ms;
        assert_true(took_ms >= most_ms[i] / 2);
        assert_true(took_ms <= most_ms[i] + 1000); /* a loaded machine */
    }
}

static void test_retry__asked_wait_is_kept(void **state)
{
    (void)state;
    const struct vf_retry_policy p = {.max_tries = 2, .first_wait_ms = 1, .max_wait_ms = 2};
    struct vf_error *err = NULL;
    struct vf_retry r;
    int rc = vf_error_set(&err, VF_RETRY, "busy");
    vf_error_set_retry_after_ms(&err, 150);
    vf_retry_init(&r, &p, NULL);
    int64_t begin_ms = vf_clock_ms();
    assert_true(vf_retry_again(&r, &rc, &err));
    assert_true(vf_clock_ms() - begin_ms >= 150);
}

static void test_retry__wait_past_the_deadline_is_not_begun(void **state)
{
    (void)state;
    const struct vf_retry_policy p = {.max_tries = 100, .first_wait_ms = 1, .timeout_ms = 30000};
    struct vf_error *err = NULL;
    struct vf_retry r;
    int rc = vf_error_set(&err, VF_RETRY, "busy");
    vf_error_set_retry_after_ms(&err, 60000);
    vf_retry_init(&r, &p, NULL);
    int64_t begin_ms = vf_clock_ms();
    assert_false(vf_retry_again(&r, &rc, &err));
    assert_true(vf_clock_ms() - begin_ms < 20000);
    assert_int_equal(rc, VF_RETRY);
    assert_string_equal(vf_error_message(err), "busy");
    vf_error_free(err);
}

static void test_retry__deadline_bounds_the_tries(void **state)
{
    (void)state;
    const struct vf_retry_policy p = {
        .max_tries = 1000000, .first_wait_ms = 10, .max_wait_ms = 10, .timeout_ms = 200};
    int64_t begin_ms = vf_clock_ms();
    assert_in_range(count_tries(&p, VF_RETRY, NULL), 2, 100);
    assert_in_range(vf_clock_ms() - begin_ms, 100, 20000);
}

static void *trigger(void *opaque)
{
    vf_cancel_wait(NULL, 50, NULL);
    vf_cancel_trigger(opaque);
    return NULL;
}

static void test_retry__cancellation_ends_the_wait(void **state)
{
    (void)state;
    const struct vf_retry_policy p = {.first_wait_ms = 60000, .max_wait_ms = 60000};
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    struct vf_error *err = NULL;
    struct vf_retry r;
    pthread_t thread;
    int rc = vf_error_set(&err, VF_RETRY, "busy");
    vf_retry_init(&r, &p, cancel);
    int64_t begin_ms = vf_clock_ms();
    assert_int_equal(pthread_create(&thread, NULL, trigger, cancel), 0);
    assert_false(vf_retry_again(&r, &rc, &err));
    pthread_join(thread, NULL);
    assert_true(vf_clock_ms() - begin_ms < 20000);
    assert_int_equal(rc, VF_CANCELLED);
    assert_int_equal(vf_error_code(err), VF_CANCELLED);
    vf_error_free(err);
    vf_cancel_free(cancel);
}

static void test_retry_progressed__counts_anew(void **state)
{
    (void)state;
    struct vf_retry r;
    vf_retry_init(&r, &quick, NULL);
    for (int i = 0; i < 10; i++) {
        int rc = VF_RETRY;
        assert_true(vf_retry_again(&r, &rc, NULL));
        vf_retry_progressed(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry__only_the_retry_code),
        cmocka_unit_test(test_retry__last_error_stands_with_the_count),
        cmocka_unit_test(test_retry__works_without_an_error),
        cmocka_unit_test(test_retry__success_ends_it_without_error),
        cmocka_unit_test(test_retry__waits_double_within_jitter),
        cmocka_unit_test(test_retry__asked_wait_is_kept),
        cmocka_unit_test(test_retry__wait_past_the_deadline_is_not_begun),
        cmocka_unit_test(test_retry__deadline_bounds_the_tries),
        cmocka_unit_test(test_retry__cancellation_ends_the_wait),
        cmocka_unit_test(test_retry_progressed__counts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
