#include "importer/source/nbdkit.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/nbd_check.h"

#define SECRET "correct horse battery staple"

static void test_nbdkit__socket_is_private_and_goes_away(void **state)
{
    (void)state;
    struct vf_test_nbd t = {0};
    vf_test_nbd_open(&t);
    char *vf_autofree socket = vf_xstrdup(vf_nbdkit_get_socket(t.server));
    char *vf_autofree dir = vf_xstrndup(socket, (size_t)(strrchr(socket, '/') - socket));
    struct stat st;
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    pid_t pid = vf_nbdkit_get_pid(t.server);
    assert_true(pid > 0);
    assert_int_equal(kill(pid, 0), 0);
    vf_test_nbd_release(&t);
    assert_int_equal(stat(dir, &st), -1);
    assert_int_equal(kill(pid, 0), -1);
}

static void test_nbdkit__serves_read_only(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"cow"}}; /* which would allow writes */
    vf_test_nbd_open(&t);
    check_disk(t.disk, t.content, t.size_bytes, 1);
    char *vf_autofree path = vf_xasprintf("/proc/%d/cmdline", (int)vf_nbdkit_get_pid(t.server));
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    char line[4096] = "";
    size_t n = fread(line, 1, sizeof line - 1, in);
    fclose(in);
    assert_non_null(memmem(line, n, "--readonly", sizeof "--readonly"));
    assert_non_null(memmem(line, n, "--exit-with-parent", sizeof "--exit-with-parent"));
    assert_non_null(memmem(line, n, "--threads\00064", sizeof "--threads\00064"));
    vf_test_nbd_release(&t);
}

static void test_nbdkit_start__bad_plugin_is_told_in_its_words(void **state)
{
    (void)state;
    struct vf_nbdkit_options o = {.plugin = "no-such-plugin"};
    struct vf_nbdkit *server = NULL;
    struct vf_error *err = NULL;
    int rc = vf_nbdkit_start(&o, &server, &err);
    check_error(rc, &err, VF_INTERNAL, "cannot open plugin 'no-such-plugin'");
    const char *const parameters[] = {"file=/nonexistent", NULL};
    o = (struct vf_nbdkit_options){.plugin = "file", .parameters = parameters};
    rc = vf_nbdkit_start(&o, &server, &err);
    check_error(rc, &err, VF_INTERNAL, "nbdkit plugin \"file\": \"/");
    assert_null(server);
}

static void test_nbdkit_start__no_program_is_missing(void **state)
{
    (void)state;
    struct vf_nbdkit_options o = {.program = "/nonexistent/nbdkit", .plugin = "null"};
    struct vf_nbdkit *server = NULL;
    struct vf_error *err = NULL;
    int rc = vf_nbdkit_start(&o, &server, &err);
    check_error(rc, &err, VF_MISSING, "\"/nonexistent/nbdkit\" is not there");
}

static void test_nbdkit_start__what_would_be_an_option_is_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {"--run=id", "-r", "plain", "=x", ""};
    struct vf_nbdkit *server = NULL;
    struct vf_error *err = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const char *const parameters[] = {bad[i], NULL};
        struct vf_nbdkit_options o = {.plugin = "null", .parameters = parameters};
        int rc = vf_nbdkit_start(&o, &server, &err);
        check_error(rc, &err, VF_INVALID, "is no parameter of nbdkit");
    }
    struct vf_nbdkit_options o = {.plugin = "--dump-config"};
    int rc = vf_nbdkit_start(&o, &server, &err);
    check_error(rc, &err, VF_INVALID, "is no plugin of nbdkit");
}

static void test_nbdkit_start__one_that_is_never_ready_is_retry(void **state)
{
    (void)state;
    struct vf_nbdkit_options o = {.plugin = "null", .start_timeout_ms = 200};
    struct vf_nbdkit *server = NULL;
    struct vf_error *err = NULL;
    char *dir = scratch_new();
    scratch_write_text(dir, "slow", "#!/bin/sh\necho waking up >&2\nexec sleep 3600\n");
    o.program = scratch_path(dir, "slow");
    assert_int_equal(chmod(o.program, 0700), 0);
    int rc = vf_nbdkit_start(&o, &server, &err);
    check_error(rc, &err, VF_RETRY, "nbdkit was not ready within 0 s");
    scratch_release(dir);
}

static void test_nbdkit_start__cancellation_ends_the_wait(void **state)
{
    (void)state;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    vf_cancel_trigger(cancel);
    struct vf_nbdkit_options o = {.plugin = "null", .cancel = cancel};
    struct vf_nbdkit *server = NULL;
    struct vf_error *err = NULL;
    int rc = vf_nbdkit_start(&o, &server, &err);
    check_error(rc, &err, VF_CANCELLED, "cancelled");
    vf_cancel_free(cancel);
}

/* qemu-img writes a LUKS image, and nbdkit's luks filter opens it with the secret it is given.
 * qemu-img measures how fast it derives keys, and gives up where the clock of CPU time is too
 * coarse for that, which is luck. */
static void make_luks(struct vf_test_nbd *t)
{
    scratch_write_text(t->dir, "key", "%s", SECRET);
    int status = 1;
    for (unsigned i = 0; i < 50 && status != 0; i++) {
        status = run_qemu_img(t->dir, "convert", "-f", "raw", "-O", "luks", "--object",
                              "secret,id=key,file=key", "-o", "key-secret=key,iter-time=10",
                              "content", "luks", NULL);
    }
    assert_int_equal(status, 0);
}

static void test_nbdkit__secret_goes_by_descriptor(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.size_bytes = 1 << 20};
    vf_test_nbd_start(&t); /* for its content */
    make_luks(&t);
    char *vf_autofree file = vf_xasprintf("file=%s", scratch_path(t.dir, "luks"));
    const char *const parameters[] = {file, NULL};
    const char *const filters[] = {"luks", NULL};
    struct vf_secret *secret = vf_secret_new(SECRET, strlen(SECRET));
    struct vf_nbdkit_options o = {.plugin = "file",
                                  .filters = filters,
                                  .parameters = parameters,
                                  .secret_key = "passphrase",
                                  .secret = secret,
                                  .restarts = 1};
    struct vf_nbdkit *server = NULL;
    assert_int_equal(vf_nbdkit_start(&o, &server, NULL), 0);
    vf_secret_free(secret);
    struct vf_disk *disk = NULL;
    struct vf_nbd_options nbd = {.retry = {.max_tries = 50, .first_wait_ms = 20}};
    assert_int_equal(vf_nbdkit_open_disk(server, &nbd, &disk, NULL), 0);
    assert_int_equal(disk->size_bytes, t.size_bytes);
    check_disk(disk, t.content, t.size_bytes, 1);
    char *vf_autofree path = vf_xasprintf("/proc/%d/cmdline", (int)vf_nbdkit_get_pid(server));
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    char line[4096];
    size_t n = fread(line, 1, sizeof line, in);
    fclose(in);
    assert_non_null(memmem(line, n, "passphrase=-3", sizeof "passphrase=-3"));
    assert_null(memmem(line, n, SECRET, strlen(SECRET)));
    /* The one that is started again gets it too. */
    assert_int_equal(kill(vf_nbdkit_get_pid(server), SIGKILL), 0);
    check_disk(disk, t.content, t.size_bytes, 2);
    vf_disk_free(disk);
    vf_nbdkit_free(server);
    vf_test_nbd_release(&t);
}

static void test_nbdkit__secret_is_not_in_errors(void **state)
{
    (void)state;
    char *dir = scratch_new();
    scratch_write_text(dir, "loose",
                       "#!/bin/sh\necho \"bad password $(cat <&3)\" >&2\nsleep 3600\n");
    const char *program = scratch_path(dir, "loose");
    assert_int_equal(chmod(program, 0700), 0);
    struct vf_secret *secret = vf_secret_new(SECRET, strlen(SECRET));
    struct vf_nbdkit_options o = {.program = program,
                                  .plugin = "null",
                                  .secret_key = "password",
                                  .secret = secret,
                                  .start_timeout_ms = 1000};
    struct vf_nbdkit *server = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_nbdkit_start(&o, &server, &err), VF_RETRY);
    char *vf_autofree text = vf_error_format(err);
    assert_null(strstr(text, "horse"));
    vf_error_clear(&err);
    scratch_write_text(dir, "loose", "#!/bin/sh\necho \"bad password $(cat <&3)\" >&2\nexit 1\n");
    assert_int_equal(vf_nbdkit_start(&o, &server, &err), VF_INTERNAL);
    char *vf_autofree end = vf_error_format(err);
    assert_null(strstr(end, "horse"));
    vf_error_free(err);
    vf_secret_free(secret);
    scratch_release(dir);
}

static void test_nbdkit_start__secret_with_lines_is_invalid(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a\nb"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_secret *secret = vf_secret_new(bad[i], strlen(bad[i]));
        struct vf_nbdkit_options o = {.plugin = "null", .secret_key = "password", .secret = secret};
        struct vf_nbdkit *server = NULL;
        struct vf_error *err = NULL;
        int rc = vf_nbdkit_start(&o, &server, &err);
        check_error(rc, &err, VF_INVALID, "no secret that is empty");
        vf_secret_free(secret);
    }
}

/* A process of vmferry's that is killed takes its nbdkit along. */
static void test_nbdkit__ends_with_its_parent(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t parent = fork();
    if (parent == 0) {
        struct vf_nbdkit_options o = {.plugin = "null"};
        struct vf_nbdkit *server = NULL;
        vf_test_check(vf_nbdkit_start(&o, &server, NULL) == 0);
        char text[256] = "";
        int n = snprintf(text, sizeof text, "%d %s", (int)vf_nbdkit_get_pid(server),
                         vf_nbdkit_get_socket(server));
        vf_test_check(write(fds[1], text, (size_t)n) == n);
        raise(SIGKILL);
    }
    close(fds[1]);
    char text[256] = "", *rest = NULL;
    assert_true(read(fds[0], text, sizeof text - 1) > 0);
    close(fds[0]);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    pid_t pid = (pid_t)strtol(text, &rest, 10);
    for (unsigned i = 0; i < 6000 && kill(pid, 0) == 0; i++) {
        usleep(10000);
    }
    /* Gone, or waiting for an init that reaps. */
    char *vf_autofree path = vf_xasprintf("/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    assert_true(!dir || !readdir(dir));
    if (dir) {
        closedir(dir);
    }
    char *slash = strrchr(rest + 1, '/');
    *slash = '\0';
    scratch_release(strdup(rest + 1));
}

static void test_nbdkit__end_of_all_restarts_is_told(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.restarts = 1, .options = {.retry = {.max_tries = 50}}};
    vf_test_nbd_open(&t);
    uint8_t byte;
    vf_test_nbd_kill(&t);
    assert_int_equal(t.disk->ops->pread(t.disk, &byte, 1, 0, NULL), 0);
    vf_test_nbd_kill(&t);
    vf_disk_free(t.disk);
    t.disk = NULL;
    struct vf_error *err = NULL;
    t.options.retry.max_tries = 2;
    int rc = vf_nbdkit_open_disk(t.server, &t.options, &t.disk, &err);
    check_error(rc, &err, VF_MISSING, "was ended by signal 9");
    assert_int_equal(vf_nbdkit_get_pid(t.server), 0);
    vf_test_nbd_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nbdkit__socket_is_private_and_goes_away),
        cmocka_unit_test(test_nbdkit__serves_read_only),
        cmocka_unit_test(test_nbdkit_start__bad_plugin_is_told_in_its_words),
        cmocka_unit_test(test_nbdkit_start__no_program_is_missing),
        cmocka_unit_test(test_nbdkit_start__what_would_be_an_option_is_invalid),
        cmocka_unit_test(test_nbdkit_start__one_that_is_never_ready_is_retry),
        cmocka_unit_test(test_nbdkit_start__cancellation_ends_the_wait),
        cmocka_unit_test(test_nbdkit__secret_goes_by_descriptor),
        cmocka_unit_test(test_nbdkit__secret_is_not_in_errors),
        cmocka_unit_test(test_nbdkit_start__secret_with_lines_is_invalid),
        cmocka_unit_test(test_nbdkit__ends_with_its_parent),
        cmocka_unit_test(test_nbdkit__end_of_all_restarts_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
