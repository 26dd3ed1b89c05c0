#include "importer/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include <vmferry/cancel.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "tests/support/check.h"

static void test_secret__holds_bytes(void **state)
{
    (void)state;
    struct vf_secret *s = vf_secret_new("pass word!", 4);
    assert_string_equal(vf_secret_reveal(s), "pass");
    vf_secret_free(s);
    vf_secret_free(NULL);
}

static int fetch_file(const void *data, size_t len, mode_t mode, char *ret_text, int *ret_loose,
                      struct vf_error **err)
{
    char path[] = "/tmp/vmferry-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, data, len) == (ssize_t)len && fchmod(fd, mode) == 0);
    close(fd);
    struct vf_secret *s = NULL;
    int rc = vf_secret_fetch_file(path, &s, ret_loose, err);
    if (!rc && ret_text) {
        memcpy(ret_text, vf_secret_reveal(s), strlen(vf_secret_reveal(s)) + 1);
    }
    vf_secret_free(s);
    unlink(path);
    return rc;
}

static void test_secret_fetch_file__takes_first_line(void **state)
{
    (void)state;
    static const struct {
        const char *content, *secret;
    } table[] = {{"pw", "pw"},         {"pw\n", "pw"},       {"pw\r\n", "pw"},
                 {"pw\nnext\n", "pw"}, {" p w \n", " p w "}, {"p\rw\n", "p\rw"},
                 {"pw\r\r\n", "pw\r"}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[64];
        assert_int_equal(
            fetch_file(table[i].content, strlen(table[i].content), 0600, text, NULL, NULL), 0);
        assert_string_equal(text, table[i].secret);
    }
}

static void test_secret_fetch_file__bad_content_is_invalid_and_not_shown(void **state)
{
    (void)state;
    assert_int_equal(fetch_file("", 0, 0600, NULL, NULL, NULL), VF_INVALID);
    assert_int_equal(fetch_file("\nx\n", 3, 0600, NULL, NULL, NULL), VF_INVALID);
    assert_int_equal(fetch_file("\r\n", 2, 0600, NULL, NULL, NULL), VF_INVALID);
    struct vf_error *err = NULL;
    assert_int_equal(fetch_file("hid\0den\n", 8, 0600, NULL, NULL, &err), VF_INVALID);
    assert_null(strstr(vf_error_message(err), "hid"));
    vf_error_free(err);
}

static void test_secret_fetch_file__size_is_bounded(void **state)
{
    (void)state;
    size_t len = VF_SECRET_MAX_BYTES;
    char *vf_autofree big = vf_xcalloc(4 * len, 1);
    char *vf_autofree text = vf_xcalloc(4 * len, 1);
    memset(big, 'x', 4 * len);
    assert_int_equal(fetch_file(big, len, 0600, text, NULL, NULL), 0);
    assert_int_equal(strlen(text), len);
    memcpy(big + len, "\r\n", 2);
    assert_int_equal(fetch_file(big, len + 2, 0600, text, NULL, NULL), 0);
    assert_int_equal(strlen(text), len);
    memset(big, 'x', 4 * len);
    assert_int_equal(fetch_file(big, len + 1, 0600, NULL, NULL, NULL), VF_INVALID);
    assert_int_equal(fetch_file(big, 4 * len, 0600, NULL, NULL, NULL), VF_INVALID);
}

static void test_secret_fetch_file__readable_by_others_is_told(void **state)
{
    (void)state;
    int loose = -1;
    assert_int_equal(fetch_file("pw", 2, 0600, NULL, &loose, NULL), 0);
    assert_int_equal(loose, 0);
    assert_int_equal(fetch_file("pw", 2, 0644, NULL, &loose, NULL), 0);
    assert_int_equal(loose, 1);
}

static void test_secret_fetch_file__absent_is_missing(void **state)
{
    (void)state;
    struct vf_secret *s = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_secret_fetch_file("/nonexistent/pw", &s, NULL, &err), VF_MISSING);
    assert_non_null(strstr(vf_error_message(err), "/nonexistent/pw"));
    vf_error_clear(&err);
    assert_int_not_equal(vf_secret_fetch_file("/", &s, NULL, &err), 0);
    assert_null(s);
    vf_error_free(err);
}

static void test_secret_fetch_env__takes_and_wipes(void **state)
{
    (void)state;
    struct vf_secret *s = NULL;
    setenv("VMFERRY_TEST_SECRET", "env-pass", 1);
    const char *place = getenv("VMFERRY_TEST_SECRET");
    vf_test_check(place);
    assert_int_equal(vf_secret_fetch_env("VMFERRY_TEST_SECRET", &s, NULL), 0);
    assert_string_equal(vf_secret_reveal(s), "env-pass");
    vf_secret_free(s);
    s = NULL;
    assert_null(getenv("VMFERRY_TEST_SECRET"));
    assert_null(strstr(place, "env-pass")); /* unsetenv alone would leave the bytes */
    assert_int_equal(vf_secret_fetch_env("VMFERRY_TEST_SECRET", &s, NULL), VF_MISSING);
    setenv("VMFERRY_TEST_SECRET", "", 1);
    assert_int_equal(vf_secret_fetch_env("VMFERRY_TEST_SECRET", &s, NULL), VF_MISSING);
    assert_null(s);
}

/* A process of its own on a terminal of its own, asking. Its outcome comes over a pipe: the code,
 * then the secret. */
struct terminal {
    pid_t pid;
    int master, slave, result;
    char seen[4096]; /* what the terminal showed */
    size_t n_seen;
};

static struct vf_cancel *child_cancel;

static void on_usr1(int sig)
{
    (void)sig;
    vf_cancel_trigger(child_cancel); /* NOLINT(bugprone-signal-handler,cert-sig30-c) */
}

static void ask_in_child(int out)
{
    struct vf_secret *s = NULL;
    child_cancel = vf_cancel_new(NULL);
    signal(SIGUSR1, on_usr1);
    int rc = vf_secret_fetch_prompt("Password: ", child_cancel, &s, NULL);
    dprintf(out, "%d %s", rc, s ? vf_secret_reveal(s) : "");
    vf_secret_free(s);
    vf_cancel_free(child_cancel);
    _exit(0);
}

static void start(struct terminal *t, bool controlling)
{
    int fds[2];
    *t = (struct terminal){0};
    assert_int_equal(openpty(&t->master, &t->slave, NULL, NULL, NULL), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    t->pid = fork();
    assert_true(t->pid >= 0);
    if (t->pid == 0) {
        setsid();
        if (controlling && ioctl(t->slave, TIOCSCTTY, 0)) {
            _exit(99);
        }
        ask_in_child(fds[1]);
    }
    close(fds[1]);
    t->result = fds[0];
}

/* Until the terminal has shown `text` that many times. */
static void await_shown(struct terminal *t, const char *text, unsigned times)
{
    int64_t until_ms = vf_clock_ms() + 10000;
    for (;;) {
        unsigned n = 0;
        for (const char *at = t->seen; (at = strstr(at, text)); at++) {
            n++;
        }
        if (n >= times) {
            return;
        }
        struct pollfd fd = {.fd = t->master, .events = POLLIN};
        assert_true(vf_clock_ms() < until_ms);
        if (poll(&fd, 1, 1000) > 0) {
            ssize_t got = read(t->master, t->seen + t->n_seen, sizeof t->seen - 1 - t->n_seen);
            assert_true(got > 0);
            t->n_seen += (size_t)got;
        }
    }
}

static void type(struct terminal *t, const char *text)
{
    assert_int_equal(write(t->master, text, strlen(text)), strlen(text));
}

static bool has_echo(const struct terminal *t)
{
    struct termios now;
    assert_int_equal(tcgetattr(t->slave, &now), 0);
    return now.c_lflag & ECHO;
}

/* The child's exit status as of wait; *ret_text what it told. */
static int finish(struct terminal *t, char ret_text[256])
{
    int status = -1;
    size_t n = 0;
    ssize_t got;
    while ((got = read(t->result, ret_text + n, 255 - n)) > 0) {
        n += (size_t)got;
    }
    ret_text[n] = '\0';
    assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
    assert_true(has_echo(t));
    close(t->result);
    close(t->master);
    close(t->slave);
    return status;
}

static void test_secret_prompt__reads_without_echo(void **state)
{
    (void)state;
    struct terminal t;
    char text[256];
    start(&t, true);
    await_shown(&t, "Password: ", 1);
    assert_false(has_echo(&t));
    type(&t, "typed-secret\n");
    await_shown(&t, "\n", 1);
    assert_int_equal(finish(&t, text), 0);
    assert_string_equal(text, "0 typed-secret");
    assert_null(strstr(t.seen, "typed"));
}

static void test_secret_prompt__interrupt_restores_echo_and_ends(void **state)
{
    (void)state;
    struct terminal t;
    char text[256];
    start(&t, true);
    await_shown(&t, "Password: ", 1);
    type(&t, "half\x03");
    int status = finish(&t, text);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    assert_string_equal(text, "");
}

static void test_secret_prompt__term_restores_echo_and_ends(void **state)
{
    (void)state;
    struct terminal t;
    char text[256];
    start(&t, true);
    await_shown(&t, "Password: ", 1);
    assert_int_equal(kill(t.pid, SIGTERM), 0);
    int status = finish(&t, text);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void test_secret_prompt__cancellation_restores_echo(void **state)
{
    (void)state;
    struct terminal t;
    char text[256];
    start(&t, true);
    await_shown(&t, "Password: ", 1);
    int64_t begin_ms = vf_clock_ms();
    assert_int_equal(kill(t.pid, SIGUSR1), 0);
    assert_int_equal(finish(&t, text), 0);
    assert_true(vf_clock_ms() - begin_ms < 15000);
    char expected[16];
    snprintf(expected, sizeof expected, "%d ", VF_CANCELLED);
    assert_string_equal(text, expected);
}

/* The kernel ignores a stop of an orphaned process group, which this one is; so it is asked again
 * at once, as after a "fg". */
static void test_secret_prompt__stop_asks_again(void **state)
{
    (void)state;
    struct terminal t;
    char text[256];
    start(&t, true);
    await_shown(&t, "Password: ", 1);
    assert_int_equal(kill(t.pid, SIGTSTP), 0);
    await_shown(&t, "Password: ", 2);
    type(&t, "second\n");
    assert_int_equal(finish(&t, text), 0);
    assert_string_equal(text, "0 second");
}

static void test_secret_prompt__nothing_typed_is_invalid(void **state)
{
    (void)state;
    static const char *const inputs[] = {"\n", "\x04"};
    for (int i = 0; i < 2; i++) {
        struct terminal t;
        char text[256], expected[16];
        start(&t, true);
        await_shown(&t, "Password: ", 1);
        type(&t, inputs[i]);
        assert_int_equal(finish(&t, text), 0);
        snprintf(expected, sizeof expected, "%d ", VF_INVALID);
        assert_string_equal(text, expected);
    }
}

static void test_secret_prompt__no_terminal_is_missing(void **state)
{
    (void)state;
    struct terminal t;
    char text[256], expected[16];
    start(&t, false);
    assert_int_equal(finish(&t, text), 0);
    snprintf(expected, sizeof expected, "%d ", VF_MISSING);
    assert_string_equal(text, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secret__holds_bytes),
        cmocka_unit_test(test_secret_fetch_file__takes_first_line),
        cmocka_unit_test(test_secret_fetch_file__bad_content_is_invalid_and_not_shown),
        cmocka_unit_test(test_secret_fetch_file__size_is_bounded),
        cmocka_unit_test(test_secret_fetch_file__readable_by_others_is_told),
        cmocka_unit_test(test_secret_fetch_file__absent_is_missing),
        cmocka_unit_test(test_secret_fetch_env__takes_and_wipes),
        cmocka_unit_test(test_secret_prompt__reads_without_echo),
        cmocka_unit_test(test_secret_prompt__interrupt_restores_echo_and_ends),
        cmocka_unit_test(test_secret_prompt__term_restores_echo_and_ends),
        cmocka_unit_test(test_secret_prompt__cancellation_restores_echo),
        cmocka_unit_test(test_secret_prompt__stop_asks_again),
        cmocka_unit_test(test_secret_prompt__nothing_typed_is_invalid),
        cmocka_unit_test(test_secret_prompt__no_terminal_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
