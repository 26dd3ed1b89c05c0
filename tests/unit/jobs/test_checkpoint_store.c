#include "jobs/checkpoint_store.h"

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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/mem.h"

struct folder {
    char name[64];
    char *path; /* of the journal */
    struct vf_checkpoint_store *store;
};

static int make_folder(void **state)
{
    struct folder *f = vf_xcalloc(1, sizeof *f);
    snprintf(f->name, sizeof f->name, "/tmp/vmferry-checkpoint-XXXXXX");
    if (!mkdtemp(f->name)) {
        free(f);
        return -1;
    }
    f->path = vf_xasprintf("%s/%s", f->name, VF_CHECKPOINT_NAME);
    f->store = vf_checkpoint_file_new(f->path);
    *state = f;
    return 0;
}

static int drop_folder(void **state)
{
    struct folder *f = *state;
    char *vf_autofree partial = vf_xasprintf("%s.partial", f->path);
    unlink(partial);
    unlink(f->path);
    int rc = rmdir(f->name); /* nothing else may have been left */
    vf_checkpoint_store_free(f->store);
    free(f->path);
    free(f);
    return rc;
}

static struct vf_checkpoint sample(uint64_t n_areas)
{
    static const struct vf_vm_disk disk = {.key = 2000, .capacity_bytes = UINT64_C(1) << 34};
    struct vf_checkpoint c = {.instance_uuid = vf_xstrdup("u")};
    struct vf_checkpoint_disk *d = vf_checkpoint_add_disk(&c, &disk, "t");
    vf_checkpoint_disk_begin_full(d, "s1", "a/1");
    for (uint64_t i = 0; i < n_areas; i++) {
        assert_int_equal(vf_areas_add(&d->done, i << 20, 512, NULL), 0);
    }
    return c;
}

static void save(struct folder *f, uint64_t n_areas)
{
    struct vf_checkpoint c = sample(n_areas);
    assert_int_equal(vf_checkpoint_save(f->store, &c, NULL), 0);
    assert_int_equal(strlen(c.updated), 20);
    vf_checkpoint_release(&c);
}

/* How many areas the stored one has. */
static size_t load(struct folder *f)
{
    struct vf_checkpoint c = {0};
    struct vf_error *err = NULL;
    if (vf_checkpoint_load(f->store, &c, &err)) {
        print_error("%s\n", vf_error_message(err));
        fail();
    }
    size_t n = c.disks[0].done.count;
    vf_checkpoint_release(&c);
    return n;
}

static void put_file(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void assert_refused(struct folder *f, int code, const char *message)
{
    struct vf_checkpoint c = {0};
    struct vf_error *err = NULL;
    assert_int_equal(vf_checkpoint_load(f->store, &c, &err), code);
    char *vf_autofree text = vf_error_format(err);
    if (!strstr(text, message) || !strstr(text, VF_CHECKPOINT_NAME)) {
        print_error("\"%s\" is not in: %s\n", message, text);
        fail();
    }
    vf_error_free(err);
}

static void test_checkpoint_store__gives_back_what_was_saved_last(void **state)
{
    struct folder *f = *state;
    assert_refused(f, VF_MISSING, "cannot open");
    save(f, 3);
    assert_int_equal(load(f), 3);
    save(f, 2);
    assert_int_equal(load(f), 2);
    assert_int_equal(vf_checkpoint_clear(f->store, NULL), 0);
    assert_int_equal(vf_checkpoint_clear(f->store, NULL), 0);
    assert_refused(f, VF_MISSING, "cannot open");
}

static void test_checkpoint_store__what_a_killed_save_left_is_in_nobodys_way(void **state)
{
    struct folder *f = *state;
    char *vf_autofree partial = vf_xasprintf("%s.partial", f->path);
    put_file(partial, "{\"checkp", 8);
    assert_refused(f, VF_MISSING, "cannot open");
    save(f, 1);
    assert_int_equal(load(f), 1);
    assert_int_equal(access(partial, F_OK), -1);
}

static void test_checkpoint_store__what_cannot_be_read_is_told_and_stays(void **state)
{
    struct folder *f = *state;
    put_file(f->path, "", 0);
    assert_refused(f, VF_INVALID, "cut off");
    put_file(f->path, "\0\0\0\0", 4);
    assert_refused(f, VF_INVALID, "cut off");
    static const char later[] = "{\"checkpointVersion\":2,\"check\":\"xxh64-0000000000000000\"}\n";
    put_file(f->path, later, sizeof later - 1);
    assert_refused(f, VF_INVALID, "checksum is wrong");
    assert_int_equal(access(f->path, F_OK), 0);
    char *vf_autofree large = vf_xcalloc(2, VF_CHECKPOINT_MAX_BYTES);
    put_file(f->path, large, 2 * VF_CHECKPOINT_MAX_BYTES);
    assert_refused(f, VF_INVALID, "too large");
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(symlink("/etc/hostname", f->path), 0);
    assert_refused(f, VF_INVALID, "not a regular file");
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0); /* does not wait for a writer */
    assert_refused(f, VF_INVALID, "not a regular file");
    struct vf_checkpoint c = sample(1);
    assert_int_equal(vf_checkpoint_save(f->store, &c, NULL), VF_CONFLICT);
    vf_checkpoint_release(&c);
}

static void test_checkpoint_store__a_failed_save_leaves_the_one_before(void **state)
{
    struct folder *f = *state;
    save(f, 5);
    struct vf_checkpoint c = sample(6);
    vf_replace_string(&c.disks[0].snapshot, NULL);
    assert_int_equal(vf_checkpoint_save(f->store, &c, NULL), VF_INVALID);
    vf_checkpoint_release(&c);
    assert_int_equal(load(f), 5);
    char *vf_autofree nowhere = vf_xasprintf("%s/none/%s", f->name, VF_CHECKPOINT_NAME);
    struct vf_checkpoint_store *other = vf_checkpoint_file_new(nowhere);
    c = sample(1);
    struct vf_error *err = NULL;
    assert_int_equal(vf_checkpoint_save(other, &c, &err), VF_MISSING);
    assert_non_null(err);
    vf_error_free(err);
    vf_checkpoint_release(&c);
    vf_checkpoint_store_free(other);
}

/* Saves 1, 2, 3, ... areas until it is killed. */
static void save_for_ever(const struct folder *f)
{
    for (uint64_t n = 1;; n = n % 400 + 1) {
        struct vf_checkpoint c = sample(n);
        if (vf_checkpoint_save(f->store, &c, NULL)) {
            _exit(1);
        }
        vf_checkpoint_release(&c);
    }
}

static void test_checkpoint_store__kill_at_any_moment_leaves_a_whole_one(void **state)
{
    struct folder *f = *state;
    save(f, 1);
    for (unsigned i = 0; i < 25; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            save_for_ever(f);
        }
        usleep(500 + i * 911 % 20000);
        kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_true(load(f) >= 1);
    }
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_checkpoint_store__gives_back_what_was_saved_last),
        IN_FOLDER(test_checkpoint_store__what_a_killed_save_left_is_in_nobodys_way),
        IN_FOLDER(test_checkpoint_store__what_cannot_be_read_is_told_and_stays),
        IN_FOLDER(test_checkpoint_store__a_failed_save_leaves_the_one_before),
        IN_FOLDER(test_checkpoint_store__kill_at_any_moment_leaves_a_whole_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
