#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jobs/cli/progress.h"

struct result {
    char out[4000], err[4000];
};

static void read_all(int fd, char *text, size_t size)
{
    size_t len = 0;
    ssize_t n;
    while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0) {
        len += (size_t)n;
    }
    text[len] = 0;
}

/* Tell one warning, one phase and a good end; stderr is a terminal or a pipe. */
static void report(const struct vf_progress_args *args, bool debug, bool terminal,
                   struct result *ret)
{
    int out[2], err[2];
    assert_int_equal(pipe(out), 0);
    assert_int_equal(terminal ? openpty(&err[0], &err[1], NULL, NULL, NULL) : pipe(err), 0);
    struct vf_cli cli = {.out = fdopen(out[1], "w"), .err = fdopen(err[1], "w")};
    struct vf_reporter *r = NULL;
    struct vf_progress p = {.total_bytes = 10, .done_bytes = 10};
    assert_int_equal(vf_progress_open(&cli, args, debug, &r, NULL), 0);
    vf_report_warning(r, "vm", "careful");
    vf_report_phase(r, "vm", "copy", "1 disk");
    vf_report(r, &(struct vf_event){.type = VF_EVENT_DISK_START, .progress = &p});
    vf_report(r, &(struct vf_event){.type = VF_EVENT_DISK_END});
    vf_progress_close(r, 0, NULL);
    fcntl(err[0], F_SETFL, O_NONBLOCK); /* a terminal's end cannot be read after its close */
    fflush(cli.err);
    read_all(err[0], ret->err, sizeof ret->err);
    fclose(cli.out);
    fclose(cli.err);
    read_all(out[0], ret->out, sizeof ret->out);
    close(out[0]);
    close(err[0]);
}

static int setup(void **state)
{
    (void)state;
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    return 0;
}

static void test_progress__auto_is_bars_on_a_terminal_only(void **state)
{
    (void)state;
    struct result r;
    const struct vf_progress_args args = {0};
    report(&args, false, true, &r);
    assert_non_null(strstr(r.err, "\033[K"));
    assert_non_null(strstr(r.err, "\033[33mwarning:"));
    assert_string_equal(r.out, "");
    report(&args, false, false, &r);
    assert_null(strchr(r.err, '\033'));
    assert_string_equal(r.err, "vmferry: warning: vm: careful\nvmferry: vm: copy: 1 disk\n"
                               "vmferry: disk 0: 10 B in 0:00\n");
}

static void test_progress__debug_and_dumb_terminals_get_plain_lines(void **state)
{
    (void)state;
    struct result r;
    const struct vf_progress_args automatic = {0}, bar = {.mode = VF_PROGRESS_BAR};
    report(&automatic, true, true, &r);
    assert_null(strstr(r.err, "\033[K"));
    report(&bar, true, true, &r); /* asked for by name */
    assert_non_null(strstr(r.err, "\033[K"));
    setenv("TERM", "dumb", 1);
    report(&bar, false, true, &r);
    assert_null(strstr(r.err, "\033[K"));
}

static void test_progress__no_color_is_heeded(void **state)
{
    (void)state;
    struct result r;
    const struct vf_progress_args args = {0};
    setenv("NO_COLOR", "1", 1);
    report(&args, false, true, &r);
    assert_non_null(strstr(r.err, "\033[K"));
    assert_null(strstr(r.err, "\033[3"));
}

static void test_progress__json_goes_to_stdout_with_a_result(void **state)
{
    (void)state;
    struct result r;
    const struct vf_progress_args args = {.mode = VF_PROGRESS_JSON};
    report(&args, false, true, &r);
    assert_string_equal(r.err, "");
    assert_memory_equal(r.out, "{\"event\":\"warning\"", 18);
    assert_non_null(strstr(r.out, "{\"event\":\"result\""));
    assert_non_null(strstr(r.out, "\"code\":\"ok\"}\n"));
}

static void test_progress__none_warns_and_quiet_does_not(void **state)
{
    (void)state;
    struct result r;
    const struct vf_progress_args none = {.mode = VF_PROGRESS_NONE}, quiet = {.quiet = true};
    report(&none, false, false, &r);
    assert_string_equal(r.err, "vmferry: warning: vm: careful\n");
    report(&quiet, false, false, &r);
    assert_string_equal(r.err, "");
    assert_string_equal(r.out, "");
}

static void test_progress__quiet_json_is_misuse(void **state)
{
    (void)state;
    struct vf_cli cli = {.out = stdout, .err = stderr};
    struct vf_reporter *r = NULL;
    const struct vf_progress_args args = {.mode = VF_PROGRESS_JSON, .quiet = true};
    assert_int_equal(vf_progress_open(&cli, &args, false, &r, NULL), VF_INVALID);
    assert_true(cli.misuse);
    assert_null(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_progress__auto_is_bars_on_a_terminal_only, setup),
        cmocka_unit_test_setup(test_progress__debug_and_dumb_terminals_get_plain_lines, setup),
        cmocka_unit_test_setup(test_progress__no_color_is_heeded, setup),
        cmocka_unit_test_setup(test_progress__json_goes_to_stdout_with_a_result, setup),
        cmocka_unit_test_setup(test_progress__none_warns_and_quiet_does_not, setup),
        cmocka_unit_test_setup(test_progress__quiet_json_is_misuse, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
