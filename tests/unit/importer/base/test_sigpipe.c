#include "importer/base/sigpipe.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static void write_to_nobody(void)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    assert_int_equal(write(fds[1], "x", 1), -1);
    assert_int_equal(errno, EPIPE);
    close(fds[1]);
}

static bool is_blocked(void)
{
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    return sigismember(&now, SIGPIPE);
}

static void test_sigpipe__is_eaten_and_mask_restored(void **state)
{
    (void)state;
    struct vf_sigpipe guard, inner;
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR); /* would end the program */
    vf_sigpipe_block(&guard);
    vf_sigpipe_block(&inner);
    write_to_nobody();
    vf_sigpipe_restore(&inner);
    assert_true(is_blocked());
    write_to_nobody();
    vf_sigpipe_restore(&guard);
    assert_false(is_blocked());
}

/* One that was pending before is the caller's. */
static void test_sigpipe__pending_one_is_left(void **state)
{
    (void)state;
    struct vf_sigpipe guard;
    sigset_t set, old, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    raise(SIGPIPE);
    vf_sigpipe_block(&guard);
    write_to_nobody();
    vf_sigpipe_restore(&guard);
    sigpending(&pending);
    assert_true(sigismember(&pending, SIGPIPE));
    int sig = 0;
    assert_int_equal(sigwait(&set, &sig), 0);
    assert_int_equal(sig, SIGPIPE);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void test_sigpipe__errno_is_kept(void **state)
{
    (void)state;
    struct vf_sigpipe guard;
    errno = 7;
    vf_sigpipe_block(&guard);
    assert_int_equal(errno, 7);
    vf_sigpipe_restore(&guard);
    assert_int_equal(errno, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigpipe__is_eaten_and_mask_restored),
        cmocka_unit_test(test_sigpipe__pending_one_is_left),
        cmocka_unit_test(test_sigpipe__errno_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
