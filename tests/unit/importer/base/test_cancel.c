#include <vmferry/cancel.h>

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "importer/base/clock.h"

static void test_cancel__null_is_never_set(void **state)
{
    (void)state;
    struct pollfd fds[1];
    assert_false(vf_cancel_is_set(NULL));
    assert_int_equal(vf_cancel_check(NULL, NULL), 0);
    assert_int_equal(vf_cancel_poll_fds(NULL, fds, 1), 0);
    int64_t begin_ms = vf_clock_ms();
    assert_int_equal(vf_cancel_wait(NULL, 30, NULL), 0);
    assert_true(vf_clock_ms() - begin_ms >= 30);
    vf_cancel_free(NULL);
}

static void test_cancel_trigger__reaches_descendants_only(void **state)
{
    (void)state;
    struct vf_cancel *root = vf_cancel_new(NULL);
    struct vf_cancel *left = vf_cancel_new(root);
    struct vf_cancel *right = vf_cancel_new(root);
    struct vf_cancel *leaf = vf_cancel_new(left);
    vf_cancel_trigger(left);
    assert_true(vf_cancel_is_set(left));
    assert_true(vf_cancel_is_set(leaf));
    assert_false(vf_cancel_is_set(right));
    assert_false(vf_cancel_is_set(root));
    vf_cancel_trigger(root);
    assert_true(vf_cancel_is_set(right));
    vf_cancel_free(leaf);
    vf_cancel_free(right);
    vf_cancel_free(left);
    vf_cancel_free(root);
}

static void test_cancel_check__gives_error(void **state)
{
    (void)state;
    struct vf_error *err = NULL;
    struct vf_cancel *c = vf_cancel_new(NULL);
    assert_int_equal(vf_cancel_check(c, &err), 0);
    assert_null(err);
    vf_cancel_trigger(c);
    vf_cancel_trigger(c);
    assert_int_equal(vf_cancel_check(c, &err), VF_CANCELLED);
    assert_int_equal(vf_error_code(err), VF_CANCELLED);
    vf_error_free(err);
    vf_cancel_free(c);
}

static void test_cancel_poll_fds__become_readable(void **state)
{
    (void)state;
    struct vf_cancel *root = vf_cancel_new(NULL);
    struct vf_cancel *child = vf_cancel_new(root);
    struct pollfd fds[VF_CANCEL_MAX_FDS];
    assert_int_equal(vf_cancel_poll_fds(child, fds, VF_CANCEL_MAX_FDS), 2);
    assert_int_equal(poll(fds, 2, 0), 0);
    vf_cancel_trigger(root);
    assert_int_equal(poll(fds, 2, 0), 1);
    assert_int_equal(poll(fds, 2, 0), 1);                   /* stays so */
    assert_int_equal(vf_cancel_poll_fds(child, fds, 1), 1); /* the caller's room is kept to */
    vf_cancel_free(child);
    vf_cancel_free(root);
}

static void *trigger(void *opaque)
{
    vf_cancel_wait(NULL, 50, NULL);
    vf_cancel_trigger(opaque);
    return NULL;
}

static void test_cancel_wait__ends_at_trigger(void **state)
{
    (void)state;
    struct vf_cancel *root = vf_cancel_new(NULL);
    struct vf_cancel *child = vf_cancel_new(root);
    pthread_t thread;
    int64_t begin_ms = vf_clock_ms();
    assert_int_equal(pthread_create(&thread, NULL, trigger, root), 0);
    assert_int_equal(vf_cancel_wait(child, 60000, NULL), VF_CANCELLED);
    assert_in_range(vf_clock_ms() - begin_ms, 40, 5000);
    pthread_join(thread, NULL);
    assert_int_equal(vf_cancel_wait(child, 60000, NULL), VF_CANCELLED);
    vf_cancel_free(child);
    vf_cancel_free(root);
}

static struct vf_cancel *signalled;

static void on_signal(int sig)
{
    (void)sig;
    vf_cancel_trigger(signalled); /* NOLINT(bugprone-signal-handler,cert-sig30-c) */
}

static void test_cancel_trigger__from_signal_handler(void **state)
{
    (void)state;
    signalled = vf_cancel_new(NULL);
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    assert_int_equal(vf_cancel_wait(signalled, 60000, NULL), VF_CANCELLED);
    signal(SIGUSR1, SIG_DFL);
    vf_cancel_free(signalled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cancel__null_is_never_set),
        cmocka_unit_test(test_cancel_trigger__reaches_descendants_only),
        cmocka_unit_test(test_cancel_check__gives_error),
        cmocka_unit_test(test_cancel_poll_fds__become_readable),
        cmocka_unit_test(test_cancel_wait__ends_at_trigger),
        cmocka_unit_test(test_cancel_trigger__from_signal_handler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
