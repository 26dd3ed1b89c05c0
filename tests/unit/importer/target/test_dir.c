#include "importer/target/dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"

/* A filesystem whose directories cannot be locked or synced, as NFS and FUSE have it. */
static int flock_errno, fsync_errno;
static unsigned n_fsyncs;

int flock(int fd, int operation)
{
    if (flock_errno) {
        errno = flock_errno;
        return -1;
    }
    return (int)syscall(SYS_flock, fd, operation);
}

int fsync(int fd)
{
    n_fsyncs++;
    if (fsync_errno) {
        errno = fsync_errno;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static struct vf_dir *open_dir(const char *path, bool overwrite)
{
    struct vf_dir *d = NULL;
    struct vf_error *err = NULL;
    if (vf_dir_open(path, overwrite, &d, &err) != 0) {
        fail_msg("%s", vf_error_message(err));
    }
    return d;
}

static void test_dir__is_made_and_removed_when_empty(void **state)
{
    (void)state;
    char *dir = scratch_new();
    const char *path = scratch_path(dir, "vm"), *slashed = scratch_path(dir, "vm///");
    n_fsyncs = 0;
    struct vf_dir *d = open_dir(slashed, false);
    assert_string_equal(vf_dir_path(d), path);
    assert_true(exists(path));
    assert_true(n_fsyncs > 0); /* its own name is durable before anything in it */
    vf_dir_free(d);
    assert_false(exists(path));

    d = open_dir(path, false);
    char *joined = vf_dir_join(d, "x");
    assert_string_equal(joined, scratch_path(dir, "vm/x"));
    free(joined);
    scratch_write_text(dir, "vm/x", "kept");
    vf_dir_free(d);
    assert_true(exists(scratch_path(dir, "vm/x")));
    vf_dir_free(NULL);
    scratch_release(dir);
}

static void test_dir__that_was_there_stays(void **state)
{
    (void)state;
    char *dir = scratch_new();
    assert_int_equal(mkdir(scratch_path(dir, "vm"), 0700), 0);
    vf_dir_free(open_dir(scratch_path(dir, "vm"), false));
    assert_true(exists(scratch_path(dir, "vm")));
    scratch_release(dir);
}

static void test_dir__finished_import_needs_overwrite(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_dir *d = NULL;
    struct vf_error *err = NULL;
    scratch_write_text(dir, "vmferry.json", "{}");
    int rc = vf_dir_open(dir, false, &d, &err);
    assert_non_null(vf_error_get_hint(err));
    check_error(rc, &err, VF_CONFLICT, "already holds a finished import");
    d = open_dir(dir, true);
    assert_true(exists(scratch_path(dir, "vmferry.json")));
    assert_int_equal(vf_dir_retract(d, NULL), 0);
    assert_false(exists(scratch_path(dir, "vmferry.json")));
    assert_int_equal(vf_dir_retract(d, NULL), 0);
    vf_dir_free(d);
    scratch_release(dir);
}

static void test_dir__is_locked_while_open(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_dir *d = open_dir(dir, false), *other = NULL;
    struct vf_error *err = NULL;
    check_error(vf_dir_open(dir, true, &other, &err), &err, VF_CONFLICT,
                "another vmferry is writing");
    vf_dir_free(d);
    vf_dir_free(open_dir(dir, false));
    scratch_release(dir);
}

static void test_dir__that_cannot_be_locked_or_synced_is_used(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_dir *d = NULL;
    struct vf_error *err = NULL;
    flock_errno = EBADF;
    fsync_errno = EINVAL;
    int rc = vf_dir_open(scratch_path(dir, "vm"), false, &d, &err);
    int retract_rc = rc == 0 ? vf_dir_retract(d, NULL) : -1;
    fsync_errno = EIO;
    int bad_rc = rc == 0 ? vf_dir_retract(d, &err) : -1;
    flock_errno = fsync_errno = 0;
    assert_int_equal(rc, 0);
    assert_int_equal(retract_rc, 0);
    check_error(bad_rc, &err, VF_INTERNAL, "durable");
    vf_dir_free(d);
    scratch_release(dir);
}

static void test_dir__bad_paths_are_told(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_dir *d = NULL;
    struct vf_error *err = NULL;
    check_error(vf_dir_open(scratch_path(dir, "no/vm"), false, &d, &err), &err, VF_MISSING,
                "its parent does not exist");
    scratch_write_text(dir, "file", "x");
    assert_int_not_equal(vf_dir_open(scratch_path(dir, "file"), false, &d, &err), 0);
    vf_error_clear(&err);
    assert_int_not_equal(vf_dir_open(scratch_path(dir, "file/vm"), false, &d, &err), 0);
    vf_error_clear(&err);
    scratch_release(dir);
}

/* A process that was killed leaves its note; the next may replace what it names, nothing else. */
static void test_dir__what_a_killed_import_left_is_ours(void **state)
{
    (void)state;
    char *dir = scratch_new();
    bool ours = true;
    struct vf_dir *d = open_dir(dir, false);
    scratch_write_text(dir, "theirs.img", "x");
    assert_int_equal(vf_dir_claim(d, "a.img", &ours, NULL), 0);
    assert_false(ours);
    assert_int_equal(vf_dir_claim(d, "theirs.img", &ours, NULL), 0);
    assert_false(ours);
    scratch_write_text(dir, "a.img", "x");
    vf_dir_free(d); /* killed: neither whole nor settled */

    d = open_dir(dir, false);
    assert_int_equal(vf_dir_claim(d, "a.img", &ours, NULL), 0);
    assert_true(ours);
    assert_int_equal(vf_dir_claim(d, "a.im", &ours, NULL), 0);
    assert_false(ours);
    assert_int_equal(vf_dir_claim(d, "theirs.img", &ours, NULL), 0);
    assert_false(ours);
    vf_dir_settle(d, false); /* the earlier one's files may still be there */
    vf_dir_free(d);
    d = open_dir(dir, false);
    assert_int_equal(vf_dir_claim(d, "a.img", &ours, NULL), 0);
    assert_true(ours);
    vf_dir_settle(d, true);
    vf_dir_free(d);
    assert_false(exists(scratch_path(dir, VF_UNFINISHED_NAME)));
    d = open_dir(dir, false);
    assert_int_equal(vf_dir_claim(d, "a.img", &ours, NULL), 0);
    assert_false(ours);
    vf_dir_free(d);
    scratch_release(dir);
}

static void test_dir__noted_names_are_told(void **state)
{
    (void)state;
    char *dir = scratch_new();
    bool ours;
    scratch_write_text(dir, VF_UNFINISHED_NAME, "/\n../../etc/passwd\na.img\n\nb.img");
    struct vf_dir *d = open_dir(dir, false);
    assert_true(vf_dir_is_noted(d, "a.img"));
    assert_false(vf_dir_is_noted(d, "b.img")); /* its line is cut off */
    assert_int_equal(vf_dir_claim(d, "c.img", &ours, NULL), 0);
    assert_true(vf_dir_is_noted(d, "c.img"));
    char *first = vf_dir_get_noted(d, 0), *last = vf_dir_get_noted(d, 2);
    assert_string_equal(first, "a.img"); /* nothing with a slash */
    assert_true(last == NULL || strcmp(last, "c.img") == 0);
    assert_null(vf_dir_get_noted(d, 9));
    free(first);
    free(last);
    scratch_write_text(dir, "a.img", "x");
    assert_int_equal(vf_dir_remove(d, "a.img", NULL), 0);
    assert_int_equal(vf_dir_remove(d, "a.img", NULL), 0);
    assert_false(exists(scratch_path(dir, "a.img")));
    assert_int_equal(vf_dir_sync(d, NULL), 0);
    vf_dir_free(d);
    scratch_release(dir);
}

/* Made for an import that was killed, it goes with what is left of that. */
static void test_dir__made_by_a_killed_one_is_removed_by_the_next(void **state)
{
    (void)state;
    char *dir = scratch_new();
    bool ours;
    struct vf_dir *d = open_dir(scratch_path(dir, "vm"), false);
    assert_int_equal(vf_dir_claim(d, "a.img", &ours, NULL), 0);
    vf_dir_free(d);
    assert_true(exists(scratch_path(dir, "vm")));
    d = open_dir(scratch_path(dir, "vm"), false);
    assert_int_equal(vf_dir_claim(d, "a.img", &ours, NULL), 0);
    assert_true(ours);
    vf_dir_settle(d, true);
    vf_dir_free(d);
    assert_false(exists(scratch_path(dir, "vm")));
    scratch_release(dir);
}

/* Also where a folder itself cannot be locked. */
static void test_dir__who_lives_is_told_without_a_lock(void **state)
{
    (void)state;
    char *dir = scratch_new();
    bool held = true, ours;
    struct vf_dir *other = NULL;
    struct vf_error *err = NULL;
    assert_int_equal(vf_dir_fetch_held(dir, &held, NULL), 0);
    assert_false(held);
    check_error(vf_dir_fetch_held(scratch_path(dir, "no"), &held, &err), &err, VF_MISSING,
                "cannot open folder");
    flock_errno = EBADF;
    struct vf_dir *d = open_dir(dir, false);
    int rc = vf_dir_claim(d, "a.img", &ours, NULL);
    int held_rc = vf_dir_fetch_held(dir, &held, NULL);
    int second_rc = vf_dir_open(dir, false, &other, &err);
    flock_errno = 0;
    assert_int_equal(rc, 0);
    assert_int_equal(held_rc, 0);
    assert_true(held);
    check_error(second_rc, &err, VF_CONFLICT, "another vmferry is writing");
    vf_dir_free(d);
    assert_int_equal(vf_dir_fetch_held(dir, &held, NULL), 0);
    assert_false(held);
    assert_int_equal(mkfifo(scratch_path(dir, "fifo"), 0600), 0);
    unlink(scratch_path(dir, VF_UNFINISHED_NAME));
    assert_int_equal(symlink("fifo", scratch_path(dir, VF_UNFINISHED_NAME)), 0);
    assert_int_not_equal(vf_dir_fetch_held(dir, &held, NULL), 0); /* no link is followed */
    scratch_release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dir__is_made_and_removed_when_empty),
        cmocka_unit_test(test_dir__that_was_there_stays),
        cmocka_unit_test(test_dir__finished_import_needs_overwrite),
        cmocka_unit_test(test_dir__is_locked_while_open),
        cmocka_unit_test(test_dir__that_cannot_be_locked_or_synced_is_used),
        cmocka_unit_test(test_dir__bad_paths_are_told),
        cmocka_unit_test(test_dir__what_a_killed_import_left_is_ours),
        cmocka_unit_test(test_dir__noted_names_are_told),
        cmocka_unit_test(test_dir__made_by_a_killed_one_is_removed_by_the_next),
        cmocka_unit_test(test_dir__who_lives_is_told_without_a_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
