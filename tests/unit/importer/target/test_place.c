#include "importer/target/place.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"

/* A filesystem without locks, or whose directories cannot be synced. */
static int flock_errno, fsync_dir_errno;

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
    struct stat st;
    if (fsync_dir_errno && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = fsync_dir_errno;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void expect_text(const char *dir, const char *name, const char *text)
{
    size_t len;
    uint8_t *bytes = scratch_read(dir, name, &len);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(bytes, text, len);
    free(bytes);
}

static void test_place__partial_becomes_the_file(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_place p;
    const char *path = scratch_path(dir, "a");
    assert_int_equal(vf_place_reserve(&p, path, false, NULL), 0);
    assert_false(exists(p.partial));
    scratch_write_text(dir, "a.partial", "content");
    assert_int_equal(vf_place_commit(&p, NULL), 0);
    vf_place_release(&p);
    expect_text(dir, "a", "content");
    assert_false(exists(scratch_path(dir, "a.partial")));
    vf_place_release(&p);
    scratch_release(dir);
}

static void test_place__uncommitted_partial_is_removed(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_place p;
    assert_int_equal(vf_place_reserve(&p, scratch_path(dir, "a"), false, NULL), 0);
    scratch_write_text(dir, "a.partial", "content");
    vf_place_release(&p);
    assert_false(exists(scratch_path(dir, "a.partial")));
    assert_false(exists(scratch_path(dir, "a")));
    scratch_release(dir);
}

static void test_place__existing_file_needs_overwrite(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_place p = {0};
    struct vf_error *err = NULL;
    scratch_write_text(dir, "a", "old");
    int rc = vf_place_reserve(&p, scratch_path(dir, "a"), false, &err);
    assert_string_equal(vf_error_get_hint(err), "give another target, or --overwrite to replace "
                                                "it");
    check_error(rc, &err, VF_CONFLICT, "exists");
    vf_place_release(&p);
    assert_int_equal(vf_place_reserve(&p, scratch_path(dir, "a"), true, NULL), 0);
    scratch_write_text(dir, "a.partial", "new");
    expect_text(dir, "a", "old"); /* until the end */
    assert_int_equal(vf_place_commit(&p, NULL), 0);
    expect_text(dir, "a", "new");
    vf_place_release(&p);
    scratch_release(dir);
}

static void test_place__only_regular_files_are_replaced(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    assert_int_equal(mkdir(scratch_path(dir, "folder"), 0700), 0);
    assert_int_equal(mkfifo(scratch_path(dir, "fifo"), 0600), 0);
    assert_int_equal(symlink("elsewhere", scratch_path(dir, "link")), 0);
    assert_int_equal(mkfifo(scratch_path(dir, "b.partial"), 0600), 0);
    assert_int_equal(symlink("elsewhere", scratch_path(dir, "c.partial")), 0);
    const char *const names[] = {"folder", "fifo", "link", "b"};
    for (unsigned i = 0; i < 4; i++) {
        struct vf_place p;
        check_error(vf_place_reserve(&p, scratch_path(dir, names[i]), true, &err), &err,
                    VF_CONFLICT, "not a regular file");
        vf_place_release(&p);
    }
    struct vf_place p;
    assert_int_not_equal(vf_place_reserve(&p, scratch_path(dir, "c"), true, NULL), 0);
    vf_place_release(&p);
    assert_true(exists(scratch_path(dir, "c.partial")));
    scratch_release(dir);
}

static void test_place__partial_of_a_dead_process_is_taken_over(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_place p;
    scratch_write_text(dir, "a.partial", "half");
    assert_int_equal(vf_place_reserve(&p, scratch_path(dir, "a"), false, NULL), 0);
    assert_false(exists(scratch_path(dir, "a.partial")));
    vf_place_release(&p);
    scratch_release(dir);
}

static void test_place__partial_of_a_living_one_is_left_alone(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_place p, late;
    struct vf_error *err = NULL;
    const char *path = scratch_path(dir, "a");
    /* `late` reserved before the other began to write. */
    assert_int_equal(vf_place_reserve(&late, path, false, NULL), 0);
    scratch_write_text(dir, "a.partial", "half");
    int fd = open(scratch_path(dir, "a.partial"), O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    check_error(vf_place_reserve(&p, path, true, &err), &err, VF_CONFLICT,
                "is being written by another vmferry");
    vf_place_release(&p);
    vf_place_release(&late);
    expect_text(dir, "a.partial", "half");
    close(fd);
    assert_int_equal(vf_place_reserve(&p, path, false, NULL), 0);
    vf_place_release(&p);
    scratch_release(dir);
}

static void test_place__filesystem_without_locks_is_used(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_place p;
    scratch_write_text(dir, "a.partial", "half");
    flock_errno = EOPNOTSUPP;
    int rc = vf_place_reserve(&p, scratch_path(dir, "a"), false, NULL);
    flock_errno = 0;
    assert_int_equal(rc, 0);
    vf_place_release(&p);
    scratch_release(dir);
}

static void test_place__sync_of_the_folder_is_needed_where_there_is_one(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    fsync_dir_errno = EINVAL;
    int rc = vf_place_write_file(scratch_path(dir, "a"), "text", false, NULL);
    fsync_dir_errno = EIO;
    int bad = vf_place_write_file(scratch_path(dir, "b"), "text", false, &err);
    fsync_dir_errno = 0;
    assert_int_equal(rc, 0);
    check_error(bad, &err, VF_INTERNAL, "durable");
    scratch_release(dir);
}

static void test_place__a_file_that_appears_meanwhile_is_kept(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_place p;
    struct vf_error *err = NULL;
    assert_int_equal(vf_place_reserve(&p, scratch_path(dir, "a"), false, NULL), 0);
    scratch_write_text(dir, "a.partial", "ours");
    scratch_write_text(dir, "a", "theirs");
    check_error(vf_place_commit(&p, &err), &err, VF_CONFLICT, "cannot rename");
    vf_place_release(&p);
    expect_text(dir, "a", "theirs");
    assert_false(exists(scratch_path(dir, "a.partial")));
    scratch_release(dir);
}

static void test_place__folder_must_be_there(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_place p;
    struct vf_error *err = NULL;
    check_error(vf_place_reserve(&p, scratch_path(dir, "no/a"), false, &err), &err, VF_MISSING,
                "cannot use folder");
    vf_place_release(&p);
    scratch_write_text(dir, "file", "x");
    int rc = vf_place_reserve(&p, scratch_path(dir, "file/a"), false, &err);
    check_error(rc, &err, VF_INVALID, "is not a folder");
    vf_place_release(&p);
    scratch_release(dir);
}

/* In a child, for root has to step down and stays down. */
static int try_unwritable(const char *dir)
{
    if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0)) {
        return 2;
    }
    struct vf_place p;
    struct vf_error *err = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s/a", dir);
    int rc = vf_place_reserve(&p, path, false, &err);
    bool told = rc == VF_AUTH && strstr(vf_error_message(err), "cannot write into folder");
    vf_error_free(err);
    vf_place_release(&p);
    return told ? 0 : 1;
}

static void test_place__unwritable_folder_is_told_at_once(void **state)
{
    (void)state;
    char *dir = scratch_new();
    assert_int_equal(chmod(dir, 0555), 0);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(try_unwritable(dir));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    chmod(dir, 0700);
    scratch_release(dir);
}

static void test_place__space_is_asked_for(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    const char *path = scratch_path(dir, "a");
    assert_int_equal(vf_place_check_space(path, 0, NULL), 0);
    assert_int_equal(vf_place_check_space(path, 1, NULL), 0);
    int rc = vf_place_check_space(path, UINT64_MAX, &err);
    assert_non_null(vf_error_get_hint(err));
    check_error(rc, &err, VF_SPACE, "MiB free, and the copy may need 17592186044416 MiB");
    check_error(vf_place_check_space(scratch_path(dir, "no/a"), 1, &err), &err, VF_MISSING,
                "cannot ask");
    scratch_release(dir);
}

static void test_place__full_disk_leaves_nothing(void **state)
{
    (void)state;
    char *dir = scratch_new();
    if (mount("tmpfs", dir, "tmpfs", 0, "size=64k") != 0) {
        /* No right to mount: the same error from a file-size limit would be EFBIG, also SPACE. */
        struct vf_error *err = NULL;
        check_error(vf_error_set_errno(&err, EFBIG, "cannot write"), &err, VF_SPACE, "cannot");
    } else {
        char *text = malloc(1 << 20);
        struct vf_error *err = NULL;
        memset(text, 'x', 1 << 20);
        text[(1 << 20) - 1] = '\0';
        check_error(vf_place_write_file(scratch_path(dir, "a"), text, false, &err), &err, VF_SPACE,
                    "cannot write");
        assert_false(exists(scratch_path(dir, "a")));
        assert_false(exists(scratch_path(dir, "a.partial")));
        free(text);
        umount(dir);
    }
    scratch_release(dir);
}

static void test_place__adopted_partial_stays_and_goes_both_ways(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_place p;
    struct vf_error *err = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s/a", dir);
    scratch_write_text(dir, "a.partial", "half");
    assert_int_equal(vf_place_adopt(&p, path, false, NULL), 0);
    vf_place_release(&p);
    expect_text(dir, "a.partial", "half");

    assert_int_equal(vf_place_adopt(&p, path, false, NULL), 0);
    assert_int_equal(vf_place_commit(&p, NULL), 0);
    expect_text(dir, "a", "half");
    assert_int_equal(vf_place_revoke(&p, NULL), 0);
    expect_text(dir, "a.partial", "half");
    assert_false(exists(scratch_path(dir, "a")));
    check_error(vf_place_revoke(&p, &err), &err, VF_MISSING, "cannot rename");
    scratch_write_text(dir, "a", "theirs");
    check_error(vf_place_revoke(&p, &err), &err, VF_CONFLICT, "cannot rename");
    expect_text(dir, "a.partial", "half");
    vf_place_release(&p);
    check_error(vf_place_adopt(&p, path, false, &err), &err, VF_CONFLICT, "exists");
    vf_place_release(&p);
    assert_int_equal(vf_place_adopt(&p, path, true, NULL), 0);
    assert_int_equal(vf_place_discard(&p, NULL), 0);
    assert_int_equal(vf_place_discard(&p, NULL), 0);
    assert_false(exists(scratch_path(dir, "a.partial")));
    /* A kill between link and unlink, where a rename cannot but replace: two names of one file. */
    assert_int_equal(link(path, scratch_path(dir, "a.partial")), 0);
    assert_int_equal(vf_place_commit(&p, NULL), 0);
    assert_false(exists(scratch_path(dir, "a.partial")));
    expect_text(dir, "a", "theirs");
    vf_place_release(&p);
    scratch_release(dir);
}

static void test_place_write_file__is_whole_and_replaced(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    assert_int_equal(vf_place_write_file(scratch_path(dir, "a"), "one\n", false, NULL), 0);
    expect_text(dir, "a", "one\n");
    check_error(vf_place_write_file(scratch_path(dir, "a"), "two\n", false, &err), &err,
                VF_CONFLICT, "exists");
    assert_int_equal(vf_place_write_file(scratch_path(dir, "a"), "two\n", true, NULL), 0);
    expect_text(dir, "a", "two\n");
    assert_int_equal(vf_place_write_file(scratch_path(dir, "a"), "", true, NULL), 0);
    expect_text(dir, "a", "");
    scratch_release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place__partial_becomes_the_file),
        cmocka_unit_test(test_place__uncommitted_partial_is_removed),
        cmocka_unit_test(test_place__existing_file_needs_overwrite),
        cmocka_unit_test(test_place__only_regular_files_are_replaced),
        cmocka_unit_test(test_place__partial_of_a_dead_process_is_taken_over),
        cmocka_unit_test(test_place__partial_of_a_living_one_is_left_alone),
        cmocka_unit_test(test_place__filesystem_without_locks_is_used),
        cmocka_unit_test(test_place__sync_of_the_folder_is_needed_where_there_is_one),
        cmocka_unit_test(test_place__a_file_that_appears_meanwhile_is_kept),
        cmocka_unit_test(test_place__folder_must_be_there),
        cmocka_unit_test(test_place__unwritable_folder_is_told_at_once),
        cmocka_unit_test(test_place__space_is_asked_for),
        cmocka_unit_test(test_place__full_disk_leaves_nothing),
        cmocka_unit_test(test_place__adopted_partial_stays_and_goes_both_ways),
        cmocka_unit_test(test_place_write_file__is_whole_and_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
