#include <dirent.h>
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

#include "converters/disk/image.h"
#include "importer/base/mem.h"
#include "importer/target/dir.h"
#include "jobs/record.h"
#include "tests/support/disk_check.h"
#include "tests/support/folder_migration.h"

/* A kill loses nothing that was written; what a power loss does is the images' own tests' business.
 */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

static const enum vf_format formats[] = {VF_FORMAT_RAW, VF_FORMAT_QCOW2};

static bool exists(const char *dir, const char *name)
{
    struct stat st;
    return lstat(scratch_path(dir, name), &st) == 0;
}

static void put(const char *dir, const char *name)
{
    scratch_write_text(dir, name, "theirs");
}

static bool is_theirs(const char *dir, const char *name)
{
    if (!exists(dir, name)) {
        return false;
    }
    size_t len;
    uint8_t *bytes = scratch_read(dir, name, &len);
    bool theirs = len == 6 && memcmp(bytes, "theirs", 6) == 0;
    free(bytes);
    return theirs;
}

static unsigned count_files(const char *dir)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    }
    closedir(d);
    return n;
}

/* The result of a migration, and nothing else but the last status. */
static void check_result(const char *dir, enum vf_format format)
{
    struct vf_record r = {0};
    struct vf_error *err = NULL;
    check_error(vf_record_load(dir, &r, &err), &err, VF_OK, "");
    assert_int_equal(r.n_disks, FOLDER_DISKS);
    assert_string_equal(r.instance_uuid, "5000-web");
    for (unsigned i = 0; i < FOLDER_DISKS; i++) {
        struct vf_disk *disk = NULL;
        uint8_t *content = folder_content(i, FOLDER_LAST_STATE);
        uint8_t *bytes = vf_xcalloc(1, FOLDER_DISK_BYTES);
        assert_int_equal(vf_image_open(scratch_path(dir, r.disks[i].file), vf_format_name(format),
                                       &disk, NULL, NULL),
                         0);
        assert_int_equal(disk->size_bytes, FOLDER_DISK_BYTES);
        assert_int_equal(disk->ops->pread(disk, bytes, FOLDER_DISK_BYTES, 0, NULL), 0);
        assert_memory_equal(bytes, content, FOLDER_DISK_BYTES);
        vf_disk_free(disk);
        free(bytes);
        free(content);
    }
    vf_record_release(&r);
    assert_true(exists(dir, VF_MANIFESTS_NAME));
    assert_true(exists(dir, VF_BOARD_STATUS_NAME));
    assert_int_equal(count_files(dir), FOLDER_DISKS + 3);
}

static int migrate(const char *dir, enum vf_format format, bool overwrite, struct vf_error **err)
{
    struct folder_job j;
    folder_job_init(&j, format);
    j.options.overwrite = overwrite;
    int rc = folder_migrate(&j, dir, err);
    folder_job_release(&j);
    return rc;
}

static int discard(const char *dir, struct vf_error **err)
{
    struct folder_job j;
    folder_job_init(&j, VF_FORMAT_RAW);
    int rc = folder_discard(&j, dir, err);
    folder_job_release(&j);
    return rc;
}

static void test_target_dir__a_migration_leaves_its_result_alone(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        char *dir = scratch_new();
        struct vf_error *err = NULL;
        check_error(migrate(dir, formats[i], false, &err), &err, VF_OK, "");
        check_result(dir, formats[i]);
        check_error(migrate(dir, formats[i], false, &err), &err, VF_CONFLICT,
                    "already holds a finished import");
        check_error(migrate(dir, formats[i], true, &err), &err, VF_OK, "");
        check_result(dir, formats[i]);
        /* The other format: the images of the first have other names. */
        check_error(migrate(dir, formats[1 - i], true, &err), &err, VF_OK, "");
        check_result(dir, formats[1 - i]);
        scratch_release(dir);
    }
}

/* --- kills ------------------------------------------------------------------------------- */

/* In a program of its own, for a point counts all its passes; *ret_killed: the fault struck. */
static int run_killed(const char *what, const char *dir, enum vf_format format, const char *faults,
                      bool *ret_killed)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("VMFERRY_FAULTS", faults, 1);
        execl("/proc/self/exe", "test", what, dir, vf_format_name(format), (char *)NULL);
        _exit(126);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *ret_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int run_child(char **argv)
{
    struct folder_job j;
    struct vf_error *err = NULL;
    folder_job_init(&j, strcmp(argv[3], "raw") == 0 ? VF_FORMAT_RAW : VF_FORMAT_QCOW2);
    j.options.overwrite = strcmp(argv[1], "overwrite") == 0;
    int rc = strcmp(argv[1], "discard") == 0 ? folder_discard(&j, argv[2], &err)
                                             : folder_migrate(&j, argv[2], &err);
    if (rc) {
        char *text = vf_error_format(err);
        fprintf(stderr, "%s\n", text);
        free(text);
    }
    vf_error_free(err);
    folder_job_release(&j);
    return rc ? 1 : 0;
}

static const char *const points[] = {
    "dir.prepared",    "dir.discarded",   "dir.retracted", "dir.named",       "dir.recorded",
    "dir.settled",     "place.commit",    "place.revoked", "image.sync",      "image.synced",
    "image.write",     "qcow2.header",    "qcow2.reopen",  "place.committed", "board.publish",
    "checkpoint.save", "checkpoint.saved"};

/* Of the many passes every so many; over an earlier import only what is done in the folder. 0:
 * none. */
static unsigned stride_of(const char *point, bool over_earlier)
{
    if (strncmp(point, "dir.", 4) == 0) {
        return 1;
    }
    if (strncmp(point, "place.", 6) == 0) { /* checkpoints pass here too */
        return over_earlier ? 5 : 3;
    }
    return over_earlier ? 0 : strcmp(point, "image.write") == 0 ? 297 : 9;
}

/* Killed there, and maybe again in the cutover of the second run; the next one ends well. */
static bool kill_and_go_on(const char *what, const char *dir, enum vf_format format,
                           const char *point, unsigned nth, const char *second)
{
    char faults[128];
    bool killed, again;
    snprintf(faults, sizeof faults, "%s:%u:kill", point, nth);
    int rc = run_killed(what, dir, format, faults, &killed);
    if (!killed) {
        assert_int_equal(rc, 0);
        return false;
    }
    if (second) {
        run_killed(what, dir, format, second, &again);
    }
    rc = run_killed(what, dir, format, "none:1:kill", &again);
    if (rc) { /* all was done but for the last word of it */
        struct vf_record r = {0};
        assert_true(!exists(dir, VF_CHECKPOINT_NAME));
        assert_int_equal(vf_record_load(dir, &r, NULL), 0);
        vf_record_release(&r);
    }
    return true;
}

static void kill_everywhere(const char *what, bool over_earlier)
{
    static const char *const seconds[] = {"dir.recorded:1:kill", "place.committed:9:kill",
                                          "place.revoked:1:kill", NULL};
    unsigned n = 0;
    unsigned n_formats = over_earlier ? 1 : 2;
    for (unsigned f = 0; f < n_formats; f++) {
        for (unsigned p = 0; p < sizeof points / sizeof *points; p++) {
            unsigned step = stride_of(points[p], over_earlier);
            bool struck = step > 0;
            for (unsigned nth = 1; struck; nth += step) {
                char *dir = scratch_new();
                if (over_earlier) {
                    assert_int_equal(migrate(dir, formats[f], false, NULL), 0);
                }
                put(dir, "other-disk-0.img");
                struck = kill_and_go_on(what, dir, formats[f], points[p], nth,
                                        n % 2 ? seconds[n / 2 % 4] : NULL);
                n++;
                assert_true(is_theirs(dir, "other-disk-0.img"));
                unlink(scratch_path(dir, "other-disk-0.img"));
                /* Killed in the very last word, when nobody comes to tidy up any more. */
                unlink(scratch_path(dir, VF_BOARD_STATUS_NAME ".partial"));
                check_result(dir, formats[f]);
                scratch_release(dir);
            }
        }
    }
    print_message("%u runs\n", n);
    assert_true(n > 20);
}

static void test_target_dir__killed_anywhere_it_goes_on(void **state)
{
    (void)state;
#ifndef VF_FAULTS
    print_message("built without VF_FAULTS\n");
    skip();
#endif
    kill_everywhere("migrate", false);
    kill_everywhere("overwrite", true);
}

/* --- whose folder ------------------------------------------------------------------------ */

/* A folder in which a migration was killed; before its delivery when `late` is false. */
static char *broken_off(bool late)
{
    char *dir = scratch_new();
    bool killed = false;
    run_killed("migrate", dir, VF_FORMAT_RAW, late ? "dir.recorded:1:kill" : "dir.retracted:1:kill",
               &killed);
#ifndef VF_FAULTS
    print_message("built without VF_FAULTS\n");
    scratch_release(dir);
    skip();
#endif
    assert_true(killed);
    return dir;
}

static void test_target_dir__another_vm_is_refused_before_anything_is_touched(void **state)
{
    (void)state;
    char *dir = broken_off(false);
    unsigned n = count_files(dir);
    struct vf_error *err = NULL;
    struct folder_job j;
    folder_job_init(&j, VF_FORMAT_RAW);
    j.options.overwrite = true;
    vf_replace_string(&j.vm.instance_uuid, "5000-other");
    int rc = folder_migrate(&j, dir, &err);
    assert_non_null(strstr(vf_error_get_hint(err), "vmferry cancel dir:/"));
    check_error(rc, &err, VF_CONFLICT, "holds a warm migration of another VM");
    folder_job_release(&j);
    assert_int_equal(count_files(dir), n);
    assert_int_equal(discard(dir, NULL), 0);
    assert_int_equal(count_files(dir), 0);
    scratch_release(dir);
}

/* Copies of which nothing is known are copied anew; an import that was finished is no copy. */
static void test_target_dir__an_unreadable_checkpoint_costs_a_copy(void **state)
{
    (void)state;
    char *dir = broken_off(false);
    struct vf_error *err = NULL;
    scratch_write_text(dir, VF_CHECKPOINT_NAME, "{}");
    check_error(migrate(dir, VF_FORMAT_RAW, false, &err), &err, VF_OK, "");
    check_result(dir, VF_FORMAT_RAW);
    scratch_release(dir);

    dir = broken_off(true);
    scratch_write_text(dir, VF_CHECKPOINT_NAME, "{}");
    check_error(migrate(dir, VF_FORMAT_RAW, false, &err), &err, VF_INVALID,
                "cannot tell which VM's disks");
    assert_int_equal(discard(dir, NULL), 0);
    assert_true(exists(dir, VF_RECORD_NAME));
    assert_true(exists(dir, "web-disk-0.img"));
    scratch_release(dir);

    dir = broken_off(false);
    scratch_write_text(dir, VF_CHECKPOINT_NAME, "{}");
    assert_int_equal(discard(dir, NULL), 0);
    assert_int_equal(count_files(dir), 0);
    scratch_release(dir);
}

static void test_target_dir__an_import_does_not_replace_a_migration(void **state)
{
    (void)state;
    char *dir = broken_off(false);
    unsigned n = count_files(dir);
    struct vf_error *err = NULL;
    struct folder_job j;
    folder_job_init(&j, VF_FORMAT_RAW);
    j.options.overwrite = true;
    int rc = vf_landing_dir_open(&j.im, dir, &j.im.landing, &err);
    assert_non_null(strstr(vf_error_get_hint(err), "go on with the same"));
    check_error(rc, &err, VF_CONFLICT, "holds a warm migration that is not over");
    assert_int_equal(count_files(dir), n);
    folder_job_release(&j);
    check_error(migrate(dir, VF_FORMAT_RAW, false, &err), &err, VF_OK, "");
    check_result(dir, VF_FORMAT_RAW);
    scratch_release(dir);
}

static void test_target_dir__a_migration_does_not_replace_an_import(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    scratch_write_text(dir, VF_UNFINISHED_NAME, "web-disk-0.img\nmanifests.yaml\n");
    scratch_write_text(dir, "web-disk-0.img.partial", "half");
    check_error(migrate(dir, VF_FORMAT_RAW, false, &err), &err, VF_CONFLICT,
                "an import that was begun and not finished");
    assert_int_equal(count_files(dir), 2);
    scratch_release(dir);
}

static void test_target_dir__somebodys_file_is_not_taken(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct vf_error *err = NULL;
    put(dir, "web-disk-1.img");
    check_error(migrate(dir, VF_FORMAT_RAW, false, &err), &err, VF_CONFLICT, "exists");
    assert_true(is_theirs(dir, "web-disk-1.img"));
    assert_int_equal(discard(dir, NULL), 0);
    assert_true(is_theirs(dir, "web-disk-1.img"));
    assert_int_equal(count_files(dir), 1);
    scratch_release(dir);
}

/* --- disks that come and go -------------------------------------------------------------- */

static void swap_disks(struct vf_vm *vm)
{
    struct vf_vm_disk first = vm->disks[0];
    vm->disks[0] = vm->disks[1];
    vm->disks[1] = first;
}

static void test_target_dir__a_disk_keeps_its_image(void **state)
{
    (void)state;
    char *dir = broken_off(false);
    struct folder_job j;
    struct vf_warm_target *t = NULL;
    struct vf_error *err = NULL;
    folder_job_init(&j, VF_FORMAT_RAW);
    swap_disks(&j.vm);
    check_error(vf_warm_target_dir_open(&j.im, dir, &t, &err), &err, VF_OK, "");
    check_error(t->ops->prepare(t, &j.vm, &err), &err, VF_OK, "");
    assert_string_equal(t->ops->get_name(t, 0), "web-disk-1.img");
    assert_string_equal(t->ops->get_name(t, 1), "web-disk-0.img");
    /* Another key, the same backing; and a new disk with a key that another had. */
    j.vm.disks[0].key = 2000;
    j.vm.disks[1].key = 2016;
    free(j.vm.disks[1].uuid);
    j.vm.disks[1].uuid = vf_xstrdup("6000-new");
    check_error(t->ops->prepare(t, &j.vm, &err), &err, VF_OK, "");
    assert_string_equal(t->ops->get_name(t, 0), "web-disk-1.img");
    assert_string_equal(t->ops->get_name(t, 1), "web-disk-2.img");
    j.vm.n_disks = 1;
    check_error(t->ops->prepare(t, &j.vm, &err), &err, VF_OK, "");
    assert_string_equal(t->ops->get_name(t, 0), "web-disk-1.img");
    assert_true(exists(dir, "web-disk-0.img.partial")); /* until the end */
    check_error(t->ops->deliver(t, &j.vm, &err), &err, VF_OK, "");
    check_error(t->ops->deliver(t, &j.vm, &err), &err, VF_OK, ""); /* once more */
    bool accepted = false;
    check_error(t->ops->fetch_accepted(t, &accepted, &err), &err, VF_OK, "");
    assert_true(accepted);
    check_error(t->ops->settle(t, &err), &err, VF_OK, "");
    assert_true(exists(dir, "web-disk-1.img"));
    assert_false(exists(dir, "web-disk-0.img.partial"));
    assert_false(exists(dir, VF_CHECKPOINT_NAME));
    vf_warm_target_free(t);
    j.vm.n_disks = 2;
    folder_job_release(&j);
    scratch_release(dir);
}

/* Killed before it was tidied up; by then a disk was taken out of the source. */
static void test_target_dir__what_was_delivered_stays_whatever_the_source_has(void **state)
{
    (void)state;
    char *dir = broken_off(true);
    struct folder_job j;
    struct vf_warm_target *t = NULL;
    struct vf_checkpoint c = {0};
    struct vf_error *err = NULL;
    folder_job_init(&j, VF_FORMAT_RAW);
    check_error(vf_warm_target_dir_open(&j.im, dir, &t, &err), &err, VF_OK, "");
    assert_int_equal(vf_checkpoint_load(t->store, &c, NULL), 0);
    c.stage = VF_STAGE_DELIVERED;
    assert_int_equal(vf_checkpoint_save(t->store, &c, NULL), 0);
    j.vm.n_disks = 1;
    check_error(t->ops->prepare(t, &j.vm, &err), &err, VF_OK, "");
    check_error(t->ops->deliver(t, &j.vm, &err), &err, VF_OK, "");
    check_error(t->ops->settle(t, &err), &err, VF_OK, "");
    vf_warm_target_free(t);
    check_result(dir, VF_FORMAT_RAW);
    vf_checkpoint_release(&c);
    j.vm.n_disks = 2;
    folder_job_release(&j);
    scratch_release(dir);
}

static void test_target_dir__nothing_of_use_is_told(void **state)
{
    (void)state;
    char *dir = scratch_new();
    struct folder_job j;
    struct vf_warm_target *t = NULL;
    struct vf_sink *sink = NULL;
    struct vf_error *err = NULL;
    for (unsigned f = 0; f < 2; f++) {
        folder_job_init(&j, formats[f]);
        check_error(vf_warm_target_dir_open(&j.im, dir, &t, &err), &err, VF_OK, "");
        check_error(t->ops->prepare(t, &j.vm, &err), &err, VF_OK, "");
        check_error(t->ops->open_disk(t, 0, FOLDER_DISK_BYTES, false, NULL, &sink, &err), &err,
                    VF_MISSING, "cannot open");
        assert_int_equal(t->ops->open_disk(t, 0, FOLDER_DISK_BYTES, true, NULL, &sink, NULL), 0);
        assert_true(sink->caps & VF_SINK_STARTS_ZERO);
        assert_int_equal(folder_copy(sink, 0, 0, 1, NULL), 0);
        vf_sink_free(sink); /* never flushed: no checkpoint can know of it */
        check_error(t->ops->open_disk(t, 0, FOLDER_DISK_BYTES, false, NULL, &sink, &err), &err,
                    VF_INVALID, "web-disk-0");
        assert_int_equal(t->ops->discard(t, NULL), 0);
        vf_warm_target_free(t);
        folder_job_release(&j);
        assert_int_equal(count_files(dir), 0);
    }
    scratch_release(dir);
}

/* --- discard ----------------------------------------------------------------------------- */

static void test_target_dir__discard_removes_ours_and_the_folder(void **state)
{
    (void)state;
    char *base = scratch_new();
    bool killed;
    const char *dir = scratch_path(base, "vm");
    char *vf_autofree own = vf_xstrdup(dir);
    run_killed("migrate", own, VF_FORMAT_QCOW2, "dir.retracted:1:kill", &killed);
#ifndef VF_FAULTS
    print_message("built without VF_FAULTS\n");
    skip();
#endif
    assert_true(exists(own, "web-disk-0.qcow2.partial"));
    run_killed("discard", own, VF_FORMAT_QCOW2, "dir.removed:1:kill", &killed);
    assert_true(killed);
    assert_int_equal(discard(own, NULL), 0);
    assert_false(exists(base, "vm"));

    /* Images had their names already, but the import was not whole. */
    run_killed("migrate", own, VF_FORMAT_RAW, "dir.named:1:kill", &killed);
    assert_true(exists(own, "web-disk-0.img"));
    put(own, "notes.txt");
    assert_int_equal(discard(own, NULL), 0);
    assert_int_equal(count_files(own), 1);
    assert_true(is_theirs(own, "notes.txt"));
    scratch_release(base);
}

static void test_target_dir__discard_keeps_what_was_delivered(void **state)
{
    (void)state;
    char *dir = broken_off(true);
    assert_int_equal(discard(dir, NULL), 0);
    assert_true(exists(dir, VF_RECORD_NAME));
    assert_true(exists(dir, VF_MANIFESTS_NAME));
    assert_int_equal(count_files(dir), FOLDER_DISKS + 2);
    scratch_release(dir);
}

/* A checkpoint is foreign input: what it names outside of the folder, or as no image, is let be. */
static void test_target_dir__hostile_names_reach_nothing(void **state)
{
    (void)state;
    char *base = scratch_new();
    char *vf_autofree dir = vf_xstrdup(scratch_path(base, "vm"));
    char *vf_autofree checkpoint = vf_xasprintf("%s/%s", dir, VF_CHECKPOINT_NAME);
    static const char *const names[] = {"../out.img", "notes", ".hidden.img", "web.img"};
    struct vf_checkpoint c = {.instance_uuid = vf_xstrdup("5000-web")};
    struct vf_error *err = NULL;
    assert_int_equal(mkdir(dir, 0700), 0);
    for (unsigned i = 0; i < 4; i++) {
        const struct vf_vm_disk disk = {.key = (int32_t)i, .capacity_bytes = 512};
        vf_checkpoint_disk_begin_full(vf_checkpoint_add_disk(&c, &disk, names[i]), "s", "a/1");
    }
    struct vf_checkpoint_store *store = vf_checkpoint_file_new(checkpoint);
    assert_int_equal(vf_checkpoint_save(store, &c, NULL), 0);
    put(base, "out.img");
    put(base, "out.img.partial");
    put(dir, "notes");
    put(dir, "notes.partial");
    put(dir, ".hidden.img.partial");
    put(dir, "web.img"); /* was never noted as ours */
    put(dir, "web.img.partial");
    check_error(discard(dir, &err), &err, VF_OK, "");
    assert_true(is_theirs(base, "out.img"));
    assert_true(is_theirs(base, "out.img.partial"));
    assert_true(is_theirs(dir, "web.img"));
    assert_false(exists(dir, "web.img.partial"));
    assert_int_equal(count_files(dir), 4);
    vf_checkpoint_store_free(store);
    vf_checkpoint_release(&c);
    scratch_release(base);
}

/* Of an earlier import, over which a migration was begun. */
static void test_target_dir__discard_keeps_an_earlier_import(void **state)
{
    (void)state;
    char *dir = scratch_new();
    bool killed = false;
    assert_int_equal(migrate(dir, VF_FORMAT_RAW, false, NULL), 0);
    run_killed("overwrite", dir, VF_FORMAT_RAW, "image.sync:3:kill", &killed);
    assert_int_equal(discard(dir, NULL), 0);
    assert_true(exists(dir, VF_RECORD_NAME));
    assert_true(exists(dir, "web-disk-0.img"));
    assert_false(exists(dir, "web-disk-0.img.partial"));
    scratch_release(dir);
}

int main(int argc, char **argv)
{
    if (argc == 4) {
        return run_child(argv);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_dir__a_migration_leaves_its_result_alone),
        cmocka_unit_test(test_target_dir__killed_anywhere_it_goes_on),
        cmocka_unit_test(test_target_dir__another_vm_is_refused_before_anything_is_touched),
        cmocka_unit_test(test_target_dir__an_unreadable_checkpoint_costs_a_copy),
        cmocka_unit_test(test_target_dir__an_import_does_not_replace_a_migration),
        cmocka_unit_test(test_target_dir__a_migration_does_not_replace_an_import),
        cmocka_unit_test(test_target_dir__somebodys_file_is_not_taken),
        cmocka_unit_test(test_target_dir__a_disk_keeps_its_image),
        cmocka_unit_test(test_target_dir__what_was_delivered_stays_whatever_the_source_has),
        cmocka_unit_test(test_target_dir__nothing_of_use_is_told),
        cmocka_unit_test(test_target_dir__discard_removes_ours_and_the_folder),
        cmocka_unit_test(test_target_dir__discard_keeps_what_was_delivered),
        cmocka_unit_test(test_target_dir__hostile_names_reach_nothing),
        cmocka_unit_test(test_target_dir__discard_keeps_an_earlier_import),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
