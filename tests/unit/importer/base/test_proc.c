#include "importer/base/proc.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"

struct result {
    int rc;
    char *output;
    struct vf_error *err;
    int64_t took_ms;
};

static struct result run_with(struct vf_proc_options o)
{
    struct result r = {0};
    int64_t begin_ms = vf_clock_ms();
    r.rc = vf_proc_run(&o, &r.output, &r.err);
    r.took_ms = vf_clock_ms() - begin_ms;
    return r;
}

static struct result run_script(const char *script, struct vf_proc_options o)
{
    const char *const argv[] = {"/bin/sh", "-c", script, "sh", NULL};
    o.argv = argv;
    return run_with(o);
}

static void release(struct result *r)
{
    free(r->output);
    vf_error_free(r->err);
    *r = (struct result){0};
}

static void test_proc_run__gives_output(void **state)
{
    (void)state;
    struct result r = run_script("echo out; echo err >&2", (struct vf_proc_options){0});
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.output, "out\n");
    release(&r);
    r = run_script("exit 0", (struct vf_proc_options){0});
    assert_string_equal(r.output, "");
    release(&r);
}

static void test_proc_run__arguments_are_not_a_shells(void **state)
{
    (void)state;
    const char *const argv[] = {"printf", "%s|%s", "a b; echo $HOME", "`id`", NULL};
    struct result r = run_with((struct vf_proc_options){.argv = argv});
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.output, "a b; echo $HOME|`id`");
    release(&r);
}

static void test_proc_run__input_goes_through(void **state)
{
    (void)state;
    size_t len = 3 << 20; /* more than both pipes hold */
    char *vf_autofree input = vf_xcalloc(len + 1, 1);
    for (size_t i = 0; i < len; i++) {
        input[i] = (char)('a' + i % 26);
    }
    struct vf_proc_options o = {.input = input, .input_len = len, .max_output_bytes = len};
    struct result r = run_script("cat", o);
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.output, input);
    release(&r);
}

static void test_proc_run__no_input_is_an_empty_one(void **state)
{
    (void)state;
    struct result r = run_script("cat; echo end", (struct vf_proc_options){.timeout_ms = 10000});
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.output, "end\n");
    release(&r);
    r = run_script("cat; echo end", (struct vf_proc_options){.input = "", .timeout_ms = 10000});
    assert_int_equal(r.rc, 0);
    release(&r);
}

static void test_proc_run__unread_input_is_no_error(void **state)
{
    (void)state;
    size_t len = 1 << 20;
    char *vf_autofree input = vf_xcalloc(len, 1);
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR); /* would end the program */
    struct vf_proc_options o = {.input = input, .input_len = len};
    struct result r = run_script("exec <&-; echo done", o);
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.output, "done\n");
    release(&r);
}

static void test_proc_run__failure_tells_status_and_end_of_stderr(void **state)
{
    (void)state;
    struct result r = run_script("for i in $(seq 5000); do echo line $i >&2; done; "
                                 "printf 'bad \\033[31m disk\\nlast\\n' >&2; exit 3",
                                 (struct vf_proc_options){0});
    assert_int_equal(r.rc, VF_INTERNAL);
    const char *message = vf_error_message(r.err);
    assert_non_null(strstr(message, "\"/bin/sh\" failed with status 3"));
    assert_non_null(strstr(message, "line 5000; bad  [31m disk; last"));
    assert_null(strstr(message, "line 1;"));
    assert_non_null(strstr(message, "status 3: line ")); /* cut between two lines */
    assert_true(strlen(message) < 2500);
    assert_null(r.output);
    release(&r);
}

static void test_proc_run__signal_is_told(void **state)
{
    (void)state;
    struct result r = run_script("kill -9 $$", (struct vf_proc_options){0});
    assert_int_equal(r.rc, VF_INTERNAL);
    assert_non_null(strstr(vf_error_message(r.err), "signal 9"));
    release(&r);
}

static void test_proc_run__passed_descriptor_is_the_third(void **state)
{
    (void)state;
    int fds[2], more[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(pipe(more), 0); /* not close-on-exec, and still not the child's */
    assert_int_equal(write(fds[1], "key", 3), 3);
    close(fds[1]);
    char *vf_autofree script =
        vf_xasprintf("cat <&3; (exec 9<&%d) 2>/dev/null && echo open; true", more[0]);
    struct result r = run_script(script, (struct vf_proc_options){.pass_fd = fds[0]});
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.output, "key");
    assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC); /* still the caller's, as it was */
    release(&r);
    close(fds[0]);
    close(more[0]);
    close(more[1]);
}

static void keep_text(void *opaque, const char *data, size_t len)
{
    strncat(opaque, data, len);
}

static void test_proc_run__stderr_is_told_as_it_comes(void **state)
{
    (void)state;
    char text[64] = "";
    struct vf_proc_options o = {.on_stderr = keep_text, .on_stderr_opaque = text};
    struct result r = run_script("echo one >&2; echo out; echo two >&2", o);
    assert_int_equal(r.rc, 0);
    assert_string_equal(text, "one\ntwo\n");
    assert_string_equal(r.output, "out\n");
    release(&r);
}

static void test_proc_run__missing_program_is_missing_with_hint(void **state)
{
    (void)state;
    static const char *const names[] = {
        "no-such-program", "/nonexistent/program", "./relative", "", "/etc/passwd", "/bin"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *const argv[] = {names[i], NULL};
        struct result r = run_with((struct vf_proc_options){.argv = argv});
        assert_int_equal(r.rc, VF_MISSING);
        assert_non_null(strstr(vf_error_get_hint(r.err), names[i]));
        release(&r);
    }
}

static void test_proc_find__looks_in_absolute_parts_of_path(void **state)
{
    (void)state;
    char *vf_autofree saved = vf_xstrdup(getenv("PATH"));
    char dir[] = "/tmp/vmferry-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *vf_autofree program = vf_xasprintf("%s/prog", dir);
    char *vf_autofree path = vf_xasprintf("/nonexistent::.:%s", dir);
    int fd = open(program, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    setenv("PATH", path, 1);
    char *found = NULL;
    assert_int_equal(vf_proc_find("prog", &found, NULL), VF_MISSING); /* not executable */
    chmod(program, 0700);
    assert_int_equal(vf_proc_find("prog", &found, NULL), 0);
    assert_string_equal(found, program);
    free(found);
    /* What lies in the current directory is not found through "" or ".". */
    char cwd[4096];
    assert_non_null(getcwd(cwd, sizeof cwd));
    assert_int_equal(chdir(dir), 0);
    setenv("PATH", ":.:", 1);
    assert_int_equal(vf_proc_find("prog", &found, NULL), VF_MISSING);
    assert_int_equal(chdir(cwd), 0);
    setenv("PATH", saved, 1);
    unlink(program);
    rmdir(dir);
}

static void test_proc_run__output_over_ceiling_is_space(void **state)
{
    (void)state;
    struct result r = run_script("printf 12345", (struct vf_proc_options){.max_output_bytes = 5});
    assert_int_equal(r.rc, 0);
    release(&r);
    r = run_script("printf 123456", (struct vf_proc_options){.max_output_bytes = 5});
    assert_int_equal(r.rc, VF_SPACE);
    release(&r);
    r = run_script("yes", (struct vf_proc_options){.max_output_bytes = 100000});
    assert_int_equal(r.rc, VF_SPACE);
    assert_true(r.took_ms < 5000);
    release(&r);
}

static void test_proc_run__deadline_is_retry(void **state)
{
    (void)state;
    struct result r = run_script("exec sleep 60", (struct vf_proc_options){.timeout_ms = 200});
    assert_int_equal(r.rc, VF_RETRY);
    assert_in_range(r.took_ms, 200, 1900);
    release(&r);
}

static void test_proc_run__deadline_holds_while_it_writes(void **state)
{
    (void)state;
    struct result r = run_script("exec yes >&2", (struct vf_proc_options){.timeout_ms = 300});
    assert_int_equal(r.rc, VF_RETRY);
    assert_true(r.took_ms < 3000);
    release(&r);
}

static void test_proc_run__deaf_to_term_is_killed(void **state)
{
    (void)state;
    struct result r = run_script("trap '' TERM; while :; do sleep 1; done",
                                 (struct vf_proc_options){.timeout_ms = 200});
    assert_int_equal(r.rc, VF_RETRY);
    assert_in_range(r.took_ms, 2000, 6000);
    release(&r);
}

static void test_proc_run__left_children_neither_hold_nor_stay(void **state)
{
    (void)state;
    struct result r =
        run_script("sleep 60 & echo $!", (struct vf_proc_options){.timeout_ms = 30000});
    assert_int_equal(r.rc, 0);
    assert_true(r.took_ms < 5000); /* although the child holds the pipes */
    pid_t left = (pid_t)strtol(r.output, NULL, 10);
    assert_true(left > 1);
    int64_t until_ms = vf_clock_ms() + 5000;
    char path[64], stat[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)left);
    /* Gone, or a zombie that this machine's init has not collected yet. */
    for (;;) {
        FILE *f = fopen(path, "re");
        if (!f) {
            break;
        }
        stat[fread(stat, 1, sizeof stat - 1, f)] = '\0';
        fclose(f);
        const char *end = strrchr(stat, ')');
        if (!end || end[2] == 'Z' || end[2] == 'X') {
            break;
        }
        assert_true(vf_clock_ms() < until_ms);
        vf_cancel_wait(NULL, 10, NULL);
    }
    release(&r);
}

static void test_proc_run__environment_is_explicit(void **state)
{
    (void)state;
    const char *const argv[] = {"env", NULL};
    setenv("VMFERRY_TEST_LEAK", "1", 1);
    struct result r = run_with((struct vf_proc_options){.argv = argv});
    char *vf_autofree plain = vf_xasprintf("PATH=%s\nLC_ALL=C\n", getenv("PATH"));
    assert_string_equal(r.output, plain);
    release(&r);
    const char *const env[] = {"A=1", "B=2", NULL};
    r = run_with((struct vf_proc_options){.argv = argv, .env = env});
    assert_string_equal(r.output, "A=1\nB=2\n");
    release(&r);
    unsetenv("VMFERRY_TEST_LEAK");
}

static void test_proc_run__descriptors_are_not_inherited(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    int open_fd = fcntl(fd, F_DUPFD, 50); /* as some library might, without close-on-exec */
    close(fd);
    assert_true(open_fd >= 50);
    struct result r =
        run_script("for f in /proc/$$/fd/*; do echo ${f##*/}; done", (struct vf_proc_options){0});
    close(open_fd);
    assert_int_equal(r.rc, 0);
    for (char *line = strtok(r.output, "\n"); line; line = strtok(NULL, "\n")) {
        assert_true(strtol(line, NULL, 10) < 20); /* the shell itself opens a few low ones */
    }
    release(&r);
}

static void test_proc_run__signals_are_defaults_unblocked(void **state)
{
    (void)state;
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    signal(SIGPIPE, SIG_IGN);
    struct result r =
        run_script("grep -E '^Sig(Blk|Ign)' /proc/self/status", (struct vf_proc_options){0});
    signal(SIGPIPE, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    assert_int_equal(r.rc, 0);
    const char *blk = strstr(r.output, "SigBlk:"), *ign = strstr(r.output, "SigIgn:");
    assert_true(blk && ign);
    unsigned long blocked = strtoul(blk + 7, NULL, 16), ignored = strtoul(ign + 7, NULL, 16);
    assert_int_equal(blocked, 0);
    assert_int_equal(ignored & 0x7fffffff, 0); /* glibc ignores 32 and 33, its own */
    release(&r);
}

static void test_proc_run__works_with_standard_descriptors_closed(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(0);
        close(1);
        close(2);
        struct result r =
            run_script("cat; echo e >&2", (struct vf_proc_options){.input = "in", .input_len = 2});
        bool good = r.rc == 0 && strcmp(r.output, "in") == 0;
        release(&r);
        _exit(good ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void *trigger(void *opaque)
{
    vf_cancel_wait(NULL, 200, NULL);
    vf_cancel_trigger(opaque);
    return NULL;
}

static void test_proc_run__cancellation_ends_it(void **state)
{
    (void)state;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, trigger, cancel), 0);
    struct result r = run_script("exec sleep 60", (struct vf_proc_options){.cancel = cancel});
    pthread_join(thread, NULL);
    assert_int_equal(r.rc, VF_CANCELLED);
    assert_true(r.took_ms < 1700);
    release(&r);
    r = run_script("echo ran", (struct vf_proc_options){.cancel = cancel}); /* not even begun */
    assert_int_equal(r.rc, VF_CANCELLED);
    release(&r);
    vf_cancel_free(cancel);
}

static void *run_one(void *opaque)
{
    struct result r =
        run_script("cat; exit 0", (struct vf_proc_options){.input = opaque, .input_len = 1});
    intptr_t good = r.rc == 0 && r.output[0] == *(char *)opaque;
    release(&r);
    return (void *)good;
}

static void test_proc_run__several_threads(void **state)
{
    (void)state;
    char texts[] = "abcdefgh";
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run_one, &texts[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        void *good;
        pthread_join(threads[i], &good);
        assert_non_null(good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proc_run__gives_output),
        cmocka_unit_test(test_proc_run__arguments_are_not_a_shells),
        cmocka_unit_test(test_proc_run__input_goes_through),
        cmocka_unit_test(test_proc_run__no_input_is_an_empty_one),
        cmocka_unit_test(test_proc_run__unread_input_is_no_error),
        cmocka_unit_test(test_proc_run__failure_tells_status_and_end_of_stderr),
        cmocka_unit_test(test_proc_run__signal_is_told),
        cmocka_unit_test(test_proc_run__passed_descriptor_is_the_third),
        cmocka_unit_test(test_proc_run__stderr_is_told_as_it_comes),
        cmocka_unit_test(test_proc_run__missing_program_is_missing_with_hint),
        cmocka_unit_test(test_proc_find__looks_in_absolute_parts_of_path),
        cmocka_unit_test(test_proc_run__output_over_ceiling_is_space),
        cmocka_unit_test(test_proc_run__deadline_is_retry),
        cmocka_unit_test(test_proc_run__deadline_holds_while_it_writes),
        cmocka_unit_test(test_proc_run__deaf_to_term_is_killed),
        cmocka_unit_test(test_proc_run__left_children_neither_hold_nor_stay),
        cmocka_unit_test(test_proc_run__environment_is_explicit),
        cmocka_unit_test(test_proc_run__descriptors_are_not_inherited),
        cmocka_unit_test(test_proc_run__signals_are_defaults_unblocked),
        cmocka_unit_test(test_proc_run__works_with_standard_descriptors_closed),
        cmocka_unit_test(test_proc_run__cancellation_ends_it),
        cmocka_unit_test(test_proc_run__several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
