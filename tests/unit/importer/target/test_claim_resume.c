#include "importer/target/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"
#include "tests/support/loop_device.h"
#include "tests/support/sink_model.h"

#define MIB  (1024u * 1024u)
#define SIZE (5 * MIB + 1536)

/* What was asked of the filesystem, one letter a call: r(ename), f(sync of a file), d(irectory). */
static char calls[64];
static size_t n_calls;
static bool no_noreplace;
static int rename_signal; /* raised after the rename */

static void note(char what)
{
    if (n_calls < sizeof calls - 1) {
        calls[n_calls++] = what;
        calls[n_calls] = '\0';
    }
}

int fsync(int fd)
{
    struct stat st;
    note(fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? 'd' : 'f');
    return (int)syscall(SYS_fsync, fd);
}

int renameat2(int oldfd, const char *old, int newfd, const char *new, unsigned flags)
{
    if (no_noreplace && flags) {
        errno = EINVAL;
        return -1;
    }
    note('r');
    int rc = (int)syscall(SYS_renameat2, oldfd, old, newfd, new, flags);
    if (rename_signal) {
        raise(rename_signal);
    }
    return rc;
}

static bool exists(const char *dir, const char *name)
{
    struct stat st;
    return lstat(scratch_path(dir, name), &st) == 0;
}

static struct vf_sink *begin(const char *path, uint64_t size_bytes)
{
    struct vf_sink *sink = NULL;
    assert_int_equal(vf_claim_sink_open(path, size_bytes, false, &sink, NULL), 0);
    return sink;
}

static struct vf_sink *again(const char *path, uint64_t size_bytes)
{
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    if (vf_claim_sink_reopen(path, size_bytes, &sink, &err) != 0) {
        fail_msg("%s", vf_error_message(err));
    }
    assert_int_equal(sink->caps,
                     VF_SINK_RANDOM | VF_SINK_PARALLEL | VF_SINK_REWRITABLE | VF_SINK_READABLE);
    assert_int_equal(sink->size_bytes, size_bytes);
    return sink;
}

static void expect_refused(const char *path, uint64_t size_bytes, enum vf_code code,
                           const char *part)
{
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    check_error(vf_claim_sink_reopen(path, size_bytes, &sink, &err), &err, code, part);
    assert_null(sink);
}

static void expect_disk(const char *dir, const struct sink_model *m)
{
    size_t len;
    uint8_t *bytes = scratch_read(dir, VF_CLAIM_DISK_NAME, &len);
    assert_int_equal(len, m->size_bytes);
    assert_memory_equal(bytes, m->content, len);
    assert_false(exists(dir, VF_CLAIM_PARTIAL_NAME));
    free(bytes);
}

static void test_claim_resume__goes_on_over_many_runs(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct sink_model m;
    sink_model_init(&m, SIZE, 1);
    struct vf_sink *sink = begin(dir, SIZE);
    for (unsigned run = 0; run < 6; run++) {
        sink_model_exercise(&m, sink, 60);
        assert_int_equal(vf_sink_flush(sink, NULL), 0);
        /* Every third run comes to its end, and the cutover fails after that. */
        assert_int_equal(run % 3 == 2 ? vf_sink_finish(sink, NULL) : 0, 0);
        vf_sink_free(sink);
        assert_int_equal(exists(dir, VF_CLAIM_DISK_NAME), run % 3 == 2);
        sink = again(dir, SIZE);
        assert_false(exists(dir, VF_CLAIM_DISK_NAME)); /* no VM starts from what is written to */
        sink_model_compare(&m, sink);
    }
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    expect_disk(dir, &m);
    sink_model_release(&m);
    scratch_release(dir);
}

static void die_writing(const char *dir, const struct sink_model *m, int sig)
{
    struct vf_sink *sink = NULL;
    if (vf_claim_sink_open(dir, m->size_bytes, false, &sink, NULL) == 0 &&
        vf_sink_write(sink, m->content, m->size_bytes, 0, NULL) == 0 &&
        vf_sink_flush(sink, NULL) == 0) {
        rename_signal = sig;
        vf_sink_write(sink, m->content, 512, 0, NULL);
        if (sig) {
            vf_sink_finish(sink, NULL);
        }
        raise(SIGKILL);
    }
    _exit(1);
}

static void test_claim_resume__after_a_kill_what_was_flushed_is_there(void **state)
{
    (void)state;
    for (int at_rename = 0; at_rename < 2; at_rename++) {
        char *dir = scratch_new();
        struct sink_model m;
        sink_model_init(&m, SIZE, 7);
        for (size_t i = 0; i < SIZE; i++) {
            m.content[i] = (uint8_t)(i * 31 + i / 512);
        }
        pid_t pid = fork();
        if (pid == 0) {
            die_writing(dir, &m, at_rename ? SIGKILL : 0);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(exists(dir, VF_CLAIM_DISK_NAME), at_rename);
        struct vf_sink *sink = again(dir, SIZE);
        sink_model_compare(&m, sink);
        assert_int_equal(vf_sink_finish(sink, NULL), 0);
        vf_sink_free(sink);
        expect_disk(dir, &m);
        sink_model_release(&m);
        scratch_release(dir);
    }
}

/* The name goes back durably before anything can be written, and comes again after the content. */
static void test_claim_resume__names_change_in_an_order_that_survives_power_loss(void **state)
{
    (void)state;
    for (int links = 0; links < 2; links++) {
        char *dir = scratch_new();
        no_noreplace = links;
        struct vf_sink *sink = begin(dir, 4096);
        assert_int_equal(vf_sink_finish(sink, NULL), 0);
        vf_sink_free(sink);
        n_calls = 0;
        calls[0] = '\0';
        sink = again(dir, 4096);
        assert_string_equal(calls, links ? "d" : "rd");
        n_calls = 0;
        assert_int_equal(vf_sink_finish(sink, NULL), 0);
        assert_string_equal(calls, links ? "fd" : "frd");
        vf_sink_free(sink);
        no_noreplace = false;
        assert_false(exists(dir, VF_CLAIM_PARTIAL_NAME));
        scratch_release(dir);
    }
}

/* Where a rename takes two calls, a kill between them leaves both names, whichever way it went. */
static void test_claim_resume__two_names_of_one_disk_are_ours(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct sink_model m;
    sink_model_init(&m, SIZE, 3);
    struct vf_sink *sink = begin(dir, SIZE);
    sink_model_exercise(&m, sink, 50);
    assert_int_equal(vf_sink_flush(sink, NULL), 0);
    vf_sink_free(sink);
    char *partial = strdup(scratch_path(dir, VF_CLAIM_PARTIAL_NAME));
    assert_int_equal(link(partial, scratch_path(dir, VF_CLAIM_DISK_NAME)), 0);
    sink = again(dir, SIZE);
    assert_false(exists(dir, VF_CLAIM_DISK_NAME));
    sink_model_compare(&m, sink);
    vf_sink_free(sink);
    assert_int_equal(link(partial, scratch_path(dir, "third")), 0);
    expect_refused(dir, SIZE, VF_CONFLICT, "has other names");
    free(partial);
    sink_model_release(&m);
    scratch_release(dir);
}

static void test_claim_resume__what_is_not_to_be_gone_on_with(void **state)
{
    (void)state;
    char *dir = scratch_new();
    expect_refused(dir, 4096, VF_MISSING, "holds no disk");
    struct vf_sink *sink = begin(dir, 4096);
    expect_refused(dir, 4096, VF_CONFLICT, "is in use");
    vf_sink_free(sink);
    expect_refused(dir, 8192, VF_INVALID, "a disk of 4096 bytes, not 8192");
    /* KubeVirt makes an empty disk.img where there is none. */
    scratch_write_text(dir, VF_CLAIM_DISK_NAME, "empty");
    expect_refused(dir, 4096, VF_CONFLICT, "beside the unfinished disk");
    assert_true(exists(dir, VF_CLAIM_PARTIAL_NAME) && exists(dir, VF_CLAIM_DISK_NAME));
    assert_int_equal(unlink(scratch_path(dir, VF_CLAIM_DISK_NAME)), 0);
    assert_int_equal(unlink(scratch_path(dir, VF_CLAIM_PARTIAL_NAME)), 0);
    scratch_write_text(dir, "elsewhere", "precious");
    assert_int_equal(symlink("elsewhere", scratch_path(dir, VF_CLAIM_PARTIAL_NAME)), 0);
    expect_refused(dir, 8, VF_CONFLICT, "not a regular file");
    expect_refused(scratch_path(dir, "nowhere"), 8, VF_MISSING, "cannot use the claim");
    scratch_release(dir);
}

static void test_claim_resume__running_guests_disk_is_left_alone(void **state)
{
    (void)state;
    char *dir = scratch_new();
    scratch_write_text(dir, VF_CLAIM_DISK_NAME, "a running guest's");
    int fd = open(scratch_path(dir, VF_CLAIM_DISK_NAME), O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1};
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    expect_refused(dir, 17, VF_CONFLICT, "is in use");
    assert_true(exists(dir, VF_CLAIM_DISK_NAME));
    close(fd);
    scratch_release(dir);
}

static void test_claim_resume__device_keeps_its_content(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct loop_device device;
    uint8_t *dirt = malloc(8 * MIB);
    memset(dirt, 0xd1, 8 * MIB);
    scratch_write(dir, "volume", dirt, 8 * MIB);
    free(dirt);
    if (!loop_device_open(&device, scratch_path(dir, "volume"), 512)) {
        scratch_release(dir);
        skip();
    }
    struct sink_model m;
    sink_model_init(&m, SIZE, 5);
    struct vf_sink *sink = begin(device.path, SIZE);
    assert_int_equal(vf_sink_zero(sink, 0, SIZE, NULL), 0);
    for (unsigned run = 0; run < 4; run++) {
        sink_model_exercise(&m, sink, 60);
        assert_int_equal(run % 2 ? vf_sink_finish(sink, NULL) : vf_sink_flush(sink, NULL), 0);
        vf_sink_free(sink);
        sink = again(device.path, SIZE);
        sink_model_compare(&m, sink);
    }
    vf_sink_free(sink);
    expect_refused(device.path, 8 * MIB + 512, VF_SPACE, "8388608 bytes");
    sink_model_release(&m);
    loop_device_close(&device);
    scratch_release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claim_resume__goes_on_over_many_runs),
        cmocka_unit_test(test_claim_resume__after_a_kill_what_was_flushed_is_there),
        cmocka_unit_test(test_claim_resume__names_change_in_an_order_that_survives_power_loss),
        cmocka_unit_test(test_claim_resume__two_names_of_one_disk_are_ours),
        cmocka_unit_test(test_claim_resume__what_is_not_to_be_gone_on_with),
        cmocka_unit_test(test_claim_resume__running_guests_disk_is_left_alone),
        cmocka_unit_test(test_claim_resume__device_keeps_its_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
