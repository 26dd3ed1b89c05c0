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
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"
#include "tests/support/sink_model.h"

#define MIB (1024u * 1024u)

/* Storage that fails: each is 0 or what the call answers. */
static int pwrite_errno, fsync_errno, fsync_dir_errno, flock_errno;
static bool no_noreplace;
static int rename_signal;

ssize_t pwrite(int fd, const void *buf, size_t nbytes, off_t offset)
{
    if (pwrite_errno) {
        errno = pwrite_errno;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, buf, nbytes, offset);
}

int fsync(int fd)
{
    struct stat st;
    int errnum = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? fsync_dir_errno : fsync_errno;
    if (errnum) {
        errno = errnum;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

int flock(int fd, int operation)
{
    if (flock_errno) {
        errno = flock_errno;
        return -1;
    }
    return (int)syscall(SYS_flock, fd, operation);
}

int renameat2(int oldfd, const char *old, int newfd, const char *new, unsigned flags)
{
    if (rename_signal) {
        raise(rename_signal);
    }
    if (no_noreplace && flags) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, oldfd, old, newfd, new, flags);
}

static struct vf_cancel *cancel_in_seek; /* triggered by the second look for data */
static unsigned n_seeks;

off_t lseek(int fd, off_t offset, int whence)
{
    if (cancel_in_seek && ++n_seeks == 2) {
        vf_cancel_trigger(cancel_in_seek);
    }
    return (off_t)syscall(SYS_lseek, fd, offset, whence);
}

static bool exists(const char *dir, const char *name)
{
    struct stat st;
    return lstat(scratch_path(dir, name), &st) == 0;
}

static struct vf_sink *open_claim(const char *dir, uint64_t size_bytes, bool replace)
{
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    if (vf_claim_sink_open(dir, size_bytes, replace, &sink, &err) != 0) {
        fail_msg("%s", vf_error_message(err));
    }
    return sink;
}

static void expect_refused(const char *dir, bool replace, enum vf_code code, const char *part)
{
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    int rc = vf_claim_sink_open(dir, 4096, replace, &sink, &err);
    check_error(rc, &err, code, part);
    assert_null(sink);
}

static void test_claim_folder__matches_the_model(void **state)
{
    (void)state;
    const uint64_t sizes[] = {512, 3 * 65536 + 512, 7 * MIB + 1536};
    for (unsigned i = 0; i < 3; i++) {
        char *dir = scratch_new();
        struct sink_model m;
        assert_int_equal(mkdir(scratch_path(dir, "lost+found"), 0700), 0);
        struct vf_sink *sink = open_claim(dir, sizes[i], false);
        assert_true(sink->caps & VF_SINK_STARTS_ZERO);
        sink_model_init(&m, sizes[i], i);
        sink_model_compare(&m, sink);
        sink_model_exercise(&m, sink, 300);
        assert_int_equal(vf_sink_finish(sink, NULL), 0);
        vf_sink_free(sink);
        size_t len;
        uint8_t *bytes = scratch_read(dir, VF_CLAIM_DISK_NAME, &len);
        assert_int_equal(len, sizes[i]);
        assert_memory_equal(bytes, m.content, len);
        assert_false(exists(dir, VF_CLAIM_PARTIAL_NAME));
        free(bytes);
        sink_model_release(&m);
        scratch_release(dir);
    }
}

static void test_claim_folder__many_threads_write_at_once(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct sink_model m;
    struct vf_sink *sink = open_claim(dir, 16 * MIB, false);
    sink_model_init(&m, 16 * MIB, 9);
    sink_model_exercise_parallel(&m, sink, 8);
    assert_int_equal(vf_sink_flush(sink, NULL), 0);
    sink_model_compare(&m, sink);
    vf_sink_free(sink);
    sink_model_release(&m);
    scratch_release(dir);
}

static void test_claim_folder__zeros_take_no_room(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct stat st;
    char *data = malloc(4 * MIB);
    memset(data, 'x', 4 * MIB);
    struct vf_sink *sink = open_claim(dir, 5ull << 40, false);
    assert_int_equal(vf_sink_write(sink, data, 4 * MIB, MIB, NULL), 0);
    assert_int_equal(vf_sink_flush(sink, NULL), 0);
    assert_int_equal(stat(scratch_path(dir, VF_CLAIM_PARTIAL_NAME), &st), 0);
    assert_true(st.st_blocks * 512 >= 4 * MIB);
    assert_int_equal(vf_sink_zero(sink, 0, sink->size_bytes, NULL), 0);
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    assert_int_equal(stat(scratch_path(dir, VF_CLAIM_DISK_NAME), &st), 0);
    assert_int_equal(st.st_size, 5ll << 40);
    assert_int_equal(st.st_blocks, 0);
    free(data);
    scratch_release(dir);
}

static void test_claim_folder__mode_is_for_the_group_whatever_the_umask(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct stat st;
    bool root = geteuid() == 0;
    /* As fsGroup leaves it. */
    assert_int_equal(root ? chown(dir, (uid_t)-1, 107) : 0, 0);
    assert_int_equal(chmod(dir, 02770), 0);
    mode_t old = umask(077);
    struct vf_sink *sink = open_claim(dir, 4096, false);
    umask(old);
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    assert_int_equal(stat(scratch_path(dir, VF_CLAIM_DISK_NAME), &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0660);
    assert_int_equal(st.st_gid, root ? 107 : getegid());
    scratch_release(dir);
}

static void test_claim_folder__disk_there_needs_replace(void **state)
{
    (void)state;
    char *dir = scratch_new();
    size_t len;
    scratch_write_text(dir, VF_CLAIM_DISK_NAME, "old");
    expect_refused(dir, false, VF_CONFLICT, "already holds a disk");
    uint8_t *bytes = scratch_read(dir, VF_CLAIM_DISK_NAME, &len);
    assert_int_equal(len, 3);
    free(bytes);
    struct vf_sink *sink = open_claim(dir, 4096, true);
    assert_false(exists(dir, VF_CLAIM_DISK_NAME)); /* room for one */
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    bytes = scratch_read(dir, VF_CLAIM_DISK_NAME, &len);
    assert_int_equal(len, 4096);
    free(bytes);
    scratch_release(dir);
}

static void test_claim_folder__disk_that_appeared_is_not_replaced(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    for (int i = 0; i < 2; i++) {
        no_noreplace = i == 1;
        struct vf_sink *sink = open_claim(dir, 4096, false);
        scratch_write_text(dir, VF_CLAIM_DISK_NAME, "another's");
        check_error(vf_sink_finish(sink, &err), &err, VF_CONFLICT, "its name");
        vf_sink_free(sink);
        sink = open_claim(dir, 4096, true);
        assert_int_equal(vf_sink_finish(sink, NULL), 0);
        vf_sink_free(sink);
        assert_false(exists(dir, VF_CLAIM_PARTIAL_NAME));
        assert_int_equal(unlink(scratch_path(dir, VF_CLAIM_DISK_NAME)), 0);
    }
    no_noreplace = false;
    scratch_release(dir);
}

/* Where a commit takes two calls, a kill between them leaves both names. */
static void test_claim_folder__killed_commit_is_taken_over(void **state)
{
    (void)state;
    char *dir = scratch_new();
    vf_sink_free(open_claim(dir, 4096, false));
    char *partial = strdup(scratch_path(dir, VF_CLAIM_PARTIAL_NAME));
    assert_int_equal(link(partial, scratch_path(dir, VF_CLAIM_DISK_NAME)), 0);
    struct vf_sink *sink = open_claim(dir, 8192, true);
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    assert_int_equal(link(scratch_path(dir, VF_CLAIM_DISK_NAME), partial), 0);
    assert_int_equal(link(partial, scratch_path(dir, "third")), 0);
    expect_refused(dir, true, VF_CONFLICT, "has other names");
    free(partial);
    scratch_release(dir);
}

static void test_claim_folder__disk_in_use_is_never_replaced(void **state)
{
    (void)state;
    char *dir = scratch_new();
    scratch_write_text(dir, VF_CLAIM_DISK_NAME, "a running guest's");
    int fd = open(scratch_path(dir, VF_CLAIM_DISK_NAME), O_RDWR | O_CLOEXEC);
    /* As QEMU locks its images: block/file-posix.c, RAW_LOCK_PERM_BASE. */
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1};
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    expect_refused(dir, true, VF_CONFLICT, "is in use");
    close(fd);
    struct vf_sink *sink = open_claim(dir, 4096, true);
    vf_sink_free(sink);
    scratch_release(dir);
}

static void make_socket(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(strlen(path) < sizeof name.sun_path);
    memcpy(name.sun_path, path, strlen(path));
    assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof name), 0);
    close(fd);
}

static void test_claim_folder__only_regular_files_are_taken(void **state)
{
    (void)state;
    static const char *const names[] = {VF_CLAIM_DISK_NAME, VF_CLAIM_PARTIAL_NAME};
    for (unsigned i = 0; i < 2; i++) {
        char *dir = scratch_new();
        const char *path = scratch_path(dir, names[i]);
        scratch_write_text(dir, "elsewhere", "precious");
        assert_int_equal(symlink("elsewhere", path), 0);
        expect_refused(dir, true, VF_CONFLICT, "not a regular file");
        unlink(path);
        assert_int_equal(symlink("nowhere", path), 0);
        expect_refused(dir, true, VF_CONFLICT, "not a regular file");
        assert_false(exists(dir, "nowhere"));
        unlink(path);
        assert_int_equal(link(scratch_path(dir, "elsewhere"), path), 0);
        expect_refused(dir, true, VF_CONFLICT, "has other names");
        unlink(path);
        assert_int_equal(mkfifo(path, 0600), 0);
        expect_refused(dir, true, VF_CONFLICT, "not a regular file");
        unlink(path);
        make_socket(path);
        expect_refused(dir, true, VF_CONFLICT, "not a regular file");
        unlink(path);
        assert_int_equal(mkdir(path, 0700), 0);
        expect_refused(dir, true, VF_CONFLICT, "not a regular file");
        size_t len;
        uint8_t *bytes = scratch_read(dir, "elsewhere", &len);
        assert_memory_equal(bytes, "precious", 8);
        free(bytes);
        scratch_release(dir);
    }
}

static void test_claim_folder__one_writer_at_a_time(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    struct vf_sink *sink = open_claim(dir, 4096, false);
    expect_refused(dir, true, VF_CONFLICT, "is in use");
    vf_sink_free(sink);
    /* Where there are no locks, the one who lost the file notices at the end. */
    flock_errno = ENOLCK;
    sink = open_claim(dir, 4096, false);
    struct vf_sink *late = open_claim(dir, 4096, false);
    check_error(vf_sink_finish(sink, &err), &err, VF_CONFLICT, "another process removed");
    assert_int_equal(vf_sink_finish(late, NULL), 0);
    vf_sink_free(sink);
    vf_sink_free(late);
    flock_errno = 0;
    scratch_release(dir);
}

/* Written, synced and killed: before the end, or at the rename. */
static void die_writing(const char *dir, bool at_rename)
{
    struct vf_sink *sink = NULL;
    char *data = calloc(1, MIB);
    memset(data, 'x', MIB);
    if (vf_claim_sink_open(dir, 4 * MIB, false, &sink, NULL) == 0 &&
        vf_sink_write(sink, data, MIB, 0, NULL) == 0 && vf_sink_flush(sink, NULL) == 0) {
        if (at_rename) {
            rename_signal = SIGKILL;
            vf_sink_finish(sink, NULL);
        }
        raise(SIGKILL);
    }
    _exit(1);
}

static void test_claim_folder__killed_writer_leaves_no_disk(void **state)
{
    (void)state;
    for (int at_rename = 0; at_rename < 2; at_rename++) {
        char *dir = scratch_new();
        struct vf_claim_info before, after;
        assert_int_equal(vf_claim_probe(dir, &before, NULL), 0);
        pid_t pid = fork();
        if (pid == 0) {
            die_writing(dir, at_rename);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_false(exists(dir, VF_CLAIM_DISK_NAME));
        assert_true(exists(dir, VF_CLAIM_PARTIAL_NAME));
        assert_int_equal(vf_claim_probe(dir, &after, NULL), 0);
        assert_false(after.has_disk);
        /* The next one starts from zeros. */
        struct sink_model m;
        struct vf_sink *sink = open_claim(dir, 2 * MIB, false);
        sink_model_init(&m, 2 * MIB, 1);
        sink_model_compare(&m, sink);
        assert_int_equal(vf_sink_finish(sink, NULL), 0);
        vf_sink_free(sink);
        sink_model_release(&m);
        assert_int_equal(vf_claim_probe(dir, &after, NULL), 0);
        assert_true(after.has_disk);
        scratch_release(dir);
    }
}

static void test_claim_folder__failures_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        int errnum;
        enum vf_code code;
        const char *hint;
    } rows[] = {{ENOSPC, VF_SPACE, "expand the claim"},
                {EDQUOT, VF_SPACE, "quota"},
                {EIO, VF_INTERNAL, "kernel log"},
                {ESTALE, VF_INTERNAL, "network filesystem"},
                {EROFS, VF_AUTH, "read-only"}};
    char *dir = scratch_new();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct vf_error *err = NULL;
        struct vf_sink *sink = open_claim(dir, 4096, false);
        pwrite_errno = rows[i].errnum;
        int rc = vf_sink_write(sink, "x", 1, 0, &err);
        assert_non_null(strstr(vf_error_get_hint(err), rows[i].hint));
        assert_int_equal(vf_error_errno(err), rows[i].errnum);
        check_error(rc, &err, rows[i].code, dir);
        pwrite_errno = 0;
        fsync_errno = rows[i].errnum;
        rc = vf_sink_finish(sink, &err);
        assert_non_null(strstr(vf_error_get_hint(err), rows[i].hint));
        check_error(rc, &err, rows[i].code, dir);
        fsync_errno = 0;
        vf_sink_free(sink);
        assert_false(exists(dir, VF_CLAIM_DISK_NAME));
    }
    scratch_release(dir);
}

static void test_claim_folder__folder_is_synced_where_it_can_be(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    fsync_dir_errno = EINVAL;
    struct vf_sink *sink = open_claim(dir, 4096, false);
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    sink = open_claim(dir, 4096, true);
    fsync_dir_errno = EIO;
    check_error(vf_sink_finish(sink, &err), &err, VF_INTERNAL, "durable");
    vf_sink_free(sink);
    fsync_dir_errno = 0;
    scratch_release(dir);
}

static void test_claim_folder__full_filesystem_is_space(void **state)
{
    (void)state;
    char *dir = scratch_new();
    if (mount("tmpfs", dir, "tmpfs", 0, "size=1m") != 0) {
        scratch_release(dir);
        skip();
    }
    struct vf_error *err = NULL;
    struct vf_claim_info info;
    char *data = aligned_alloc(4096, 2 * MIB);
    memset(data, 'x', 2 * MIB);
    assert_int_equal(vf_claim_probe(dir, &info, NULL), 0);
    assert_int_equal(info.mode, VF_CLAIM_FILESYSTEM);
    assert_int_equal(info.room_bytes, MIB);
    struct vf_sink *sink = open_claim(dir, 4 * MIB, false); /* sparse: told when it is full */
    int rc = vf_sink_write(sink, data, 2 * MIB, 0, &err);
    assert_non_null(strstr(vf_error_get_hint(err), "expand the claim"));
    check_error(rc, &err, VF_SPACE, dir);
    vf_sink_free(sink);
    /* What the partial takes counts as free, and is. */
    assert_int_equal(vf_claim_probe(dir, &info, NULL), 0);
    assert_int_equal(info.room_bytes, MIB);
    sink = open_claim(dir, 4 * MIB, false);
    assert_int_equal(vf_sink_write(sink, data, MIB / 2, 0, NULL), 0);
    assert_int_equal(vf_sink_zero(sink, MIB / 2, 3 * MIB, NULL), 0);
    assert_int_equal(vf_sink_finish(sink, NULL), 0);
    vf_sink_free(sink);
    free(data);
    umount(dir);
    scratch_release(dir);
}

static void test_claim_probe__says_what_is_there(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_claim_info info;
    struct vf_error *err = NULL;
    assert_int_equal(vf_claim_probe(dir, &info, NULL), 0);
    assert_int_equal(info.mode, VF_CLAIM_FILESYSTEM);
    assert_false(info.has_disk);
    assert_true(info.room_bytes > 0);
    scratch_write_text(dir, VF_CLAIM_DISK_NAME, "x");
    assert_int_equal(vf_claim_probe(dir, &info, NULL), 0);
    assert_true(info.has_disk);
    check_error(vf_claim_probe(scratch_path(dir, "none"), &info, &err), &err, VF_MISSING,
                "cannot use the claim");
    const char *file = scratch_path(dir, VF_CLAIM_DISK_NAME);
    check_error(vf_claim_probe(file, &info, &err), &err, VF_INVALID, "neither");
    expect_refused(file, false, VF_INVALID, "neither");
    expect_refused(scratch_path(dir, "none"), false, VF_MISSING, "cannot use");
    struct vf_sink *sink = NULL;
    int rc = vf_claim_sink_open(dir, UINT64_MAX, true, &sink, &err);
    check_error(rc, &err, VF_RANGE, "too large");
    rc = vf_claim_sink_open(dir, INT64_MAX, true, &sink, &err);
    check_error(rc, &err, VF_SPACE, "its size");
    assert_false(exists(dir, VF_CLAIM_PARTIAL_NAME));
    scratch_release(dir);
}

static void test_claim_probe__folder_of_others_is_auth_with_a_hint(void **state)
{
    (void)state;
    char *dir = scratch_new();
    const char *claim = scratch_path(dir, "claim");
    struct vf_claim_info info;
    struct vf_error *err = NULL;
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(mkdir(claim, 0555), 0);
    bool root = geteuid() == 0;
    assert_int_equal(root ? seteuid(65534) : 0, 0); /* root may write everywhere */
    int rc = vf_claim_probe(claim, &info, &err);
    struct vf_sink *sink = NULL;
    int open_rc = vf_claim_sink_open(claim, 4096, false, &sink, NULL);
    assert_int_equal(root ? seteuid(0) : 0, 0);
    assert_non_null(vf_error_get_hint(err));
    assert_non_null(strstr(vf_error_get_hint(err), "fsGroup"));
    check_error(rc, &err, VF_AUTH, "cannot write into the claim");
    assert_int_equal(open_rc, VF_AUTH);
    scratch_release(dir);
}

static void test_claim_folder__cancelled_zeroing_ends(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    struct vf_sink *sink = open_claim(dir, 2048 * MIB, false);
    vf_claim_sink_set_cancel(sink, cancel);
    assert_int_equal(vf_sink_zero(sink, 512, 2048 * MIB - 512, NULL), 0);
    n_seeks = 0;
    cancel_in_seek = cancel;
    check_error(vf_sink_zero(sink, 512, 2048 * MIB - 512, &err), &err, VF_CANCELLED, "cancelled");
    cancel_in_seek = NULL;
    assert_int_equal(n_seeks, 2);
    vf_sink_free(sink);
    vf_cancel_free(cancel);
    scratch_release(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claim_folder__matches_the_model),
        cmocka_unit_test(test_claim_folder__many_threads_write_at_once),
        cmocka_unit_test(test_claim_folder__zeros_take_no_room),
        cmocka_unit_test(test_claim_folder__cancelled_zeroing_ends),
        cmocka_unit_test(test_claim_folder__mode_is_for_the_group_whatever_the_umask),
        cmocka_unit_test(test_claim_folder__disk_there_needs_replace),
        cmocka_unit_test(test_claim_folder__disk_that_appeared_is_not_replaced),
        cmocka_unit_test(test_claim_folder__killed_commit_is_taken_over),
        cmocka_unit_test(test_claim_folder__disk_in_use_is_never_replaced),
        cmocka_unit_test(test_claim_folder__only_regular_files_are_taken),
        cmocka_unit_test(test_claim_folder__one_writer_at_a_time),
        cmocka_unit_test(test_claim_folder__killed_writer_leaves_no_disk),
        cmocka_unit_test(test_claim_folder__failures_are_told_apart),
        cmocka_unit_test(test_claim_folder__folder_is_synced_where_it_can_be),
        cmocka_unit_test(test_claim_folder__full_filesystem_is_space),
        cmocka_unit_test(test_claim_probe__says_what_is_there),
        cmocka_unit_test(test_claim_probe__folder_of_others_is_auth_with_a_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
