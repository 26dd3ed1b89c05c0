/* Signals and the exit status, with the real main() in a child: it waits for a server that accepts
 * connections and says nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"

#define main vmferry_main
int vmferry_main(int argc, char **argv);
#include "jobs/cli/main.c" /* NOLINT(bugprone-suspicious-include): it is what is tested */
#undef main

struct child {
    pid_t pid;
    int err; /* its stderr */
    int server;
};

static int listen_on_loopback(unsigned *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static void run_child(const char *url)
{
    char *argv[] = {
        vf_xstrdup("vmferry"), vf_xstrdup("inventory"), vf_xstrdup("--source"), vf_xstrdup(url),
        vf_xstrdup("--user"),  vf_xstrdup("u"),         vf_xstrdup("--proxy="), NULL};
    setenv("VMFERRY_PASSWORD", "x", 1);
    _exit(vmferry_main(7, argv));
}

/* Returns once it has connected. */
static struct child start_child(void)
{
    struct child c;
    unsigned port;
    int err[2];
    c.server = listen_on_loopback(&port);
    assert_int_equal(pipe(err), 0);
    char *vf_autofree url = vf_xasprintf("https://127.0.0.1:%u", port);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        dup2(err[1], STDERR_FILENO);
        close(err[0]);
        close(err[1]);
        run_child(url);
    }
    close(err[1]);
    c.err = err[0];
    int connection = accept4(c.server, NULL, NULL, SOCK_CLOEXEC);
    assert_true(connection >= 0); /* stays open until this process ends */
    return c;
}

static int end_child(struct child *c, char *text, size_t size)
{
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = read(c->err, text + len, size - 1 - len)) > 0) {
        len += (size_t)n;
    }
    text[len] = 0;
    int status;
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    close(c->err);
    close(c->server);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void check_signal(int signum)
{
    char text[4000];
    struct child c = start_child();
    int64_t start_ms = vf_clock_ms();
    assert_int_equal(kill(c.pid, signum), 0);
    assert_int_equal(end_child(&c, text, sizeof text), 128 + signum);
    assert_in_range(vf_clock_ms() - start_ms, 0, 20000);
    assert_non_null(strstr(text, "vmferry: error: "));
    assert_non_null(strstr(text, "cancelled"));
}

static void test_main__signals_end_it_with_their_status(void **state)
{
    (void)state;
    check_signal(SIGINT);
    check_signal(SIGTERM);
    check_signal(SIGHUP);
}

static void test_main__second_signal_does_not_wait(void **state)
{
    (void)state;
    char text[4000];
    struct child c = start_child();
    assert_int_equal(kill(c.pid, SIGSTOP), 0);
    /* Both are there when it goes on; the lower number is delivered first, the other on top. */
    assert_int_equal(kill(c.pid, SIGINT), 0);
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    assert_int_equal(kill(c.pid, SIGCONT), 0);
    int status = end_child(&c, text, sizeof text);
    assert_true(status == 130 || status == 143);
    assert_non_null(strstr(text, "vmferry: ended at once"));
}

static void test_main__closed_standard_descriptors_are_filled(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(0);
        close(1);
        close(2);
        char *argv[] = {vf_xstrdup("vmferry"), vf_xstrdup("version"), NULL};
        int status = vmferry_main(2, argv);
        int fd = open("/dev/null", O_RDONLY);
        _exit(status == 0 && fd > 2 ? 7 : 8);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_main__signals_end_it_with_their_status),
        cmocka_unit_test(test_main__second_signal_does_not_wait),
        cmocka_unit_test(test_main__closed_standard_descriptors_are_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
