#include "jobs/migration/board_dir.h"

#include <fcntl.h>
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

#include "importer/base/mem.h"
#include "importer/target/dir.h"
#include "tests/support/disk_check.h"

struct folder {
    char *dir;
    struct vf_board *board;
};

static int make_folder(void **state)
{
    struct folder *f = vf_xcalloc(1, sizeof *f);
    f->dir = scratch_new();
    f->board = vf_board_dir_new(f->dir);
    *state = f;
    return 0;
}

static int drop_folder(void **state)
{
    struct folder *f = *state;
    vf_board_free(f->board);
    scratch_release(f->dir);
    free(f);
    return 0;
}

static int publish(struct folder *f, enum vf_migration_phase phase, uint32_t round)
{
    char name[] = "web";
    struct vf_migration_status s = {.name = name, .phase = phase, .round = round};
    return f->board->ops->publish(f->board, &s, NULL);
}

static uint32_t fetch_round(struct vf_board *b)
{
    struct vf_migration_status s = {0};
    struct vf_error *err = NULL;
    check_error(b->ops->fetch_status(b, &s, &err), &err, VF_OK, "");
    assert_string_equal(s.name, "web");
    uint32_t round = s.round;
    vf_migration_status_release(&s);
    return round;
}

static int leave(struct vf_board *b, enum vf_request_kind kind, struct vf_error **err)
{
    const struct vf_migration_request r = {.kind = kind, .at_s = kind == VF_REQUEST_CUTOVER};
    return b->ops->leave_request(b, &r, err);
}

static enum vf_request_kind fetch(struct vf_board *b)
{
    struct vf_migration_request r = {.kind = VF_REQUEST_CANCEL};
    struct vf_error *err = NULL;
    check_error(b->ops->fetch_request(b, &r, &err), &err, VF_OK, "");
    return r.kind;
}

static void test_board_dir__status_is_replaced_whole(void **state)
{
    struct folder *f = *state;
    struct vf_migration_status s = {0};
    struct vf_error *err = NULL;
    check_error(f->board->ops->fetch_status(f->board, &s, &err), &err, VF_MISSING,
                "holds no migration");
    assert_int_equal(publish(f, VF_PHASE_COPYING, 1), 0);
    assert_int_equal(fetch_round(f->board), 1);
    /* What a killed one left, or somebody put there. */
    assert_int_equal(symlink("/etc/passwd", scratch_path(f->dir, VF_BOARD_STATUS_NAME ".partial")),
                     0);
    assert_int_equal(publish(f, VF_PHASE_COPYING, 2), 0);
    struct vf_board *other = vf_board_dir_new(f->dir);
    assert_int_equal(fetch_round(other), 2);
    vf_board_free(other);
    assert_int_not_equal(access(scratch_path(f->dir, VF_BOARD_STATUS_NAME ".partial"), F_OK), 0);
}

/* Another process reads all the time while one writes, and finds a whole one each time. */
static void test_board_dir__a_reader_never_sees_half(void **state)
{
    struct folder *f = *state;
    assert_int_equal(publish(f, VF_PHASE_COPYING, 0), 0);
    pid_t pid = fork();
    if (pid == 0) {
        for (uint32_t i = 1;; i++) {
            publish(f, VF_PHASE_COPYING, i);
        }
    }
    uint32_t last = 0;
    for (unsigned i = 0; i < 2000; i++) {
        uint32_t now = fetch_round(f->board);
        assert_true(now >= last);
        last = now;
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    fetch_round(f->board);
}

static void test_board_dir__a_request_goes_across_once(void **state)
{
    struct folder *f = *state;
    struct vf_board *other = vf_board_dir_new(f->dir);
    struct vf_error *err = NULL;
    check_error(leave(other, VF_REQUEST_CUTOVER, &err), &err, VF_MISSING, "holds no migration");
    assert_int_equal(publish(f, VF_PHASE_WAITING, 0), 0);
    assert_int_equal(fetch(f->board), VF_REQUEST_NONE);
    assert_int_equal(leave(other, VF_REQUEST_CUTOVER, NULL), 0);
    int rc = leave(other, VF_REQUEST_CANCEL, &err);
    assert_non_null(vf_error_get_hint(err));
    check_error(rc, &err, VF_CONFLICT, "another request");
    assert_int_equal(fetch(f->board), VF_REQUEST_CUTOVER);
    assert_int_equal(fetch(f->board), VF_REQUEST_CUTOVER); /* until it is taken */
    assert_int_equal(f->board->ops->clear_request(f->board, NULL), 0);
    assert_int_equal(f->board->ops->clear_request(f->board, NULL), 0);
    assert_int_equal(fetch(f->board), VF_REQUEST_NONE);
    assert_int_equal(leave(other, VF_REQUEST_CANCEL, NULL), 0);
    assert_int_equal(fetch(f->board), VF_REQUEST_CANCEL);
    vf_board_free(other);
}

/* Of many who ask at once one is heard. */
static void test_board_dir__one_of_many_requests_waits(void **state)
{
    struct folder *f = *state;
    int fds[2], go;
    char byte = 'x';
    assert_int_equal(publish(f, VF_PHASE_WAITING, 0), 0);
    assert_int_equal(pipe(fds), 0);
    pid_t pids[8];
    for (unsigned i = 0; i < 8; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            close(fds[1]);
            (void)!read(fds[0], &byte, 1); /* all at once, when the other end closes */
            _exit(leave(f->board, VF_REQUEST_CUTOVER, NULL) == 0 ? 0 : 1);
        }
    }
    close(fds[0]);
    close(fds[1]);
    unsigned heard = 0;
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(waitpid(pids[i], &go, 0), pids[i]);
        heard += WIFEXITED(go) && WEXITSTATUS(go) == 0;
    }
    assert_int_equal(heard, 1);
    assert_int_equal(fetch(f->board), VF_REQUEST_CUTOVER);
}

static void expect_bad_request(struct folder *f, const char *part)
{
    struct vf_migration_request r = {.kind = VF_REQUEST_CANCEL};
    struct vf_error *err = NULL;
    check_error(f->board->ops->fetch_request(f->board, &r, &err), &err, VF_INVALID, part);
    assert_int_equal(r.kind, VF_REQUEST_NONE);
    assert_int_equal(fetch(f->board), VF_REQUEST_NONE); /* it was dropped */
}

static void test_board_dir__foreign_content_is_bounded(void **state)
{
    struct folder *f = *state;
    struct vf_migration_status s = {0};
    struct vf_error *err = NULL;
    char *vf_autofree large = vf_xcalloc(1, VF_STATUS_MAX_BYTES + 2);
    memset(large, ' ', VF_STATUS_MAX_BYTES + 1);
    scratch_write_text(f->dir, VF_BOARD_REQUEST_NAME, "{\"kind\": 7");
    expect_bad_request(f, VF_BOARD_REQUEST_NAME);
    scratch_write(f->dir, VF_BOARD_REQUEST_NAME, large, VF_STATUS_MAX_BYTES);
    expect_bad_request(f, "too large");
    assert_int_equal(symlink("/etc/passwd", scratch_path(f->dir, VF_BOARD_REQUEST_NAME)), 0);
    expect_bad_request(f, "not a regular file");
    assert_int_equal(mkfifo(scratch_path(f->dir, VF_BOARD_REQUEST_NAME), 0600), 0);
    expect_bad_request(f, "not a regular file");
    scratch_write(f->dir, VF_BOARD_STATUS_NAME, large, VF_STATUS_MAX_BYTES + 1);
    check_error(f->board->ops->fetch_status(f->board, &s, &err), &err, VF_INVALID, "too large");
    scratch_write(f->dir, VF_BOARD_STATUS_NAME, "\0", 1);
    check_error(f->board->ops->fetch_status(f->board, &s, &err), &err, VF_INVALID,
                VF_BOARD_STATUS_NAME);
}

/* A process that holds the folder, until it is killed. */
static void test_board_dir__alive_is_who_holds_the_folder(void **state)
{
    struct folder *f = *state;
    int fds[2];
    char byte;
    bool alive = true;
    assert_int_equal(f->board->ops->fetch_alive(f->board, &alive, NULL), 0);
    assert_false(alive);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct vf_dir *d = NULL;
        bool ours;
        bool good =
            vf_dir_open(f->dir, false, &d, NULL) == 0 && vf_dir_claim(d, "a.img", &ours, NULL) == 0;
        (void)!write(fds[1], good ? "y" : "n", 1);
        for (;;) {
            pause();
        }
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    for (unsigned i = 0; i < 3; i++) { /* asking disturbs nobody */
        assert_int_equal(f->board->ops->fetch_alive(f->board, &alive, NULL), 0);
        assert_true(alive);
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(f->board->ops->fetch_alive(f->board, &alive, NULL), 0);
    assert_false(alive);
    struct vf_dir *d = NULL;
    assert_int_equal(vf_dir_open(f->dir, false, &d, NULL), 0);
    assert_int_equal(f->board->ops->fetch_alive(f->board, &alive, NULL), 0);
    assert_true(alive); /* the note of the killed one is taken up */
    vf_dir_free(d);
    close(fds[0]);
    close(fds[1]);
    struct vf_board *nowhere = vf_board_dir_new(scratch_path(f->dir, "no"));
    assert_int_equal(nowhere->ops->fetch_alive(nowhere, &alive, NULL), 0);
    assert_false(alive);
    vf_board_free(nowhere);
}

static void test_board_dir__cleared_it_is_gone(void **state)
{
    struct folder *f = *state;
    struct vf_migration_status s = {0};
    struct vf_error *err = NULL;
    assert_int_equal(publish(f, VF_PHASE_WAITING, 0), 0);
    assert_int_equal(leave(f->board, VF_REQUEST_CANCEL, NULL), 0);
    assert_int_equal(vf_board_dir_clear(f->board, false, NULL), 0);
    assert_int_equal(fetch(f->board), VF_REQUEST_NONE);
    fetch_round(f->board); /* the status stays */
    assert_int_equal(vf_board_dir_clear(f->board, true, NULL), 0);
    assert_int_equal(publish(f, VF_PHASE_CANCELLED, 0), 0);
    check_error(f->board->ops->fetch_status(f->board, &s, &err), &err, VF_MISSING, "");
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_folder(test_board_dir__status_is_replaced_whole),
        in_folder(test_board_dir__a_reader_never_sees_half),
        in_folder(test_board_dir__a_request_goes_across_once),
        in_folder(test_board_dir__one_of_many_requests_waits),
        in_folder(test_board_dir__foreign_content_is_bounded),
        in_folder(test_board_dir__alive_is_who_holds_the_folder),
        in_folder(test_board_dir__cleared_it_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
