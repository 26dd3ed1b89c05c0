/* What the commands of warm migrations make of their command lines, before anything is touched; and
 * of a folder, as its files show it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/command.h"
#include "jobs/migration/board.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"

struct run {
    char *out, *err;
    size_t out_len, err_len;
    int status;
};

#define MAX_ARGS 24

/* Words are parted by blanks; '_' stands for one inside of a word. */
static struct run run(const char *line)
{
    char *vf_autofree words = vf_xstrdup(line);
    char *argv[MAX_ARGS] = {NULL};
    int argc = 0;
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) {
        argv[argc++] = word;
        for (char *blank = word; (blank = strchr(blank, '_'));) {
            *blank = ' ';
        }
    }
    struct run r = {0};
    struct vf_cli cli = {.out = open_memstream(&r.out, &r.out_len),
                         .err = open_memstream(&r.err, &r.err_len)};
    r.status = vf_cli_main(&cli, argc, argv);
    fclose(cli.out);
    fclose(cli.err);
    return r;
}

static void run_free(struct run *r)
{
    free(r->out);
    free(r->err);
}

static void check_misuse(const char *line, const char *err)
{
    struct run r = run(line);
    char *vf_autofree expected = vf_xasprintf("vmferry: error: %s\n", err);
    assert_string_equal(r.err, expected);
    assert_int_equal(r.status, 2);
    assert_string_equal(r.out, "");
    run_free(&r);
}

#define WARM "vmferry migrate --warm --vm x "
#define DIR  WARM "--to dir:y "

static void test_migrate__what_and_where_to(void **state)
{
    (void)state;
    check_misuse(
        "vmferry migrate --vm x --to dir:y",
        "migrate: only \"--warm\" migrations are made here; \"vmferry import\" copies a VM "
        "once");
    check_misuse("vmferry migrate --warm --to dir:y",
                 "migrate: option \"--vm\" is missing: the VM to migrate");
    check_misuse(WARM, "migrate: option \"--to\" is missing: dir:PATH or pvc");
    check_misuse(WARM "--to nowhere", "migrate: option \"--to\" wants dir:PATH or pvc");
    check_misuse(WARM "--to upload",
                 "migrate: an upload is written once, and a warm migration writes in rounds: "
                 "\"--to pvc\" has a Job do it in the cluster, \"--to dir:PATH\" copies into a "
                 "folder");
    check_misuse(DIR "--start", "migrate: option \"--start\" goes with a target in a cluster only");
    check_misuse(DIR "--context c",
                 "migrate: option \"--context\" goes with a target in a cluster only");
    check_misuse(WARM "--to pvc --format raw",
                 "migrate: option \"--format\" goes with --to dir:PATH only");
    check_misuse(WARM "--to pvc:/disks --worker-image i",
                 "migrate: option \"--worker-image\" goes with --to pvc only");
    check_misuse("vmferry migrate --warn", "migrate: unknown option \"--warn\"; did you mean "
                                           "--warm?");
}

static void test_migrate__transport(void **state)
{
    (void)state;
    check_misuse(DIR "--transport ftp", "migrate: option \"--transport\" wants one of auto, nfc, "
                                        "https, vddk, cdi, not \"ftp\"");
    check_misuse(DIR "--transport cdi", "migrate: \"--transport cdi\" goes with \"--to pvc\" only");
    check_misuse(WARM "--to pvc:/disks --transport cdi",
                 "migrate: \"--transport cdi\" goes with \"--to pvc\" only");
    check_misuse(DIR "--transport nfc --vddk-libdir /d",
                 "migrate: option \"--vddk-libdir\" goes with --transport vddk or auto only");
    check_misuse(DIR "--vddk-image i",
                 "migrate: option \"--vddk-image\" goes with --transport cdi only");
    check_misuse(DIR "--nbdkit n", "migrate: option \"--nbdkit\" goes with --transport vddk only");
    check_misuse(DIR "--transport nfc --connections 4",
                 "migrate: option \"--connections\" goes with --transport https or vddk only");
}

static void test_migrate__times(void **state)
{
    (void)state;
    check_misuse(DIR "--cutover later",
                 "migrate: option \"--cutover\" wants command, asap, a time, or FROM/TO");
    check_misuse(DIR "--cutover 2026-11-22",
                 "migrate: option \"--cutover\": \"2026-11-22\" is no time: "
                 "\"2026-11-22T02:00:00Z\", or local \"2026-11-22 02:00\"");
    check_misuse(DIR "--cutover 2026-11-22T05:00Z/2026-11-22T02:00Z",
                 "migrate: option \"--cutover\": the window "
                 "\"2026-11-22T05:00Z/2026-11-22T02:00Z\" ends before it begins");
    setenv("TZ", "UTC", 1);
    check_misuse(DIR "--cutover 2001-02-03_04:05", "migrate: option \"--cutover\": 2001-02-03 "
                                                   "04:05:00 +0000 is more than a day ago");
    static const char *const durations[] = {"max-downtime", "min-interval", "max-interval",
                                            "shutdown-timeout"};
    for (size_t i = 0; i < VF_COUNT(durations); i++) {
        char *vf_autofree line = vf_xasprintf(DIR "--%s soon", durations[i]);
        char *vf_autofree err =
            vf_xasprintf("migrate: option \"--%s\": \"soon\" is no duration from 1 s to 365 d: a "
                         "whole number with s, m, h or d behind it",
                         durations[i]);
        check_misuse(line, err);
    }
    check_misuse(DIR "--min-interval 5m --max-interval 4m",
                 "migrate: \"--min-interval\" is longer than \"--max-interval\"");
}

static void test_migrate__only_then_is_the_source_asked_for(void **state)
{
    (void)state;
    static const char *const good[] = {
        DIR,
        DIR "--cutover asap --max-downtime 60 --shutdown-timeout 2h --no-digest --allow-stun",
        DIR "--cutover 2099-11-22_02:00/2099-11-22_05:00 --transport https --connections 9",
        DIR "--cutover 2099-11-22T02:00:00Z --vddk-libdir /d --nbdkit n --vddk-thumbprint t",
        WARM "--to pvc --transport cdi --vddk-thumbprint t --vddk-image i --start -n ns",
        WARM "--to pvc:/disks --hard-power-off --cutover command --no-quiesce",
    };
    unsetenv("VMFERRY_SOURCE");
    for (size_t i = 0; i < VF_COUNT(good); i++) {
        check_misuse(good[i], "migrate: option \"--source\" is missing: the URL of a vCenter or "
                              "ESXi host");
    }
}

static void check_number_of_disk(const char *line)
{
    struct run r = run(line);
    assert_int_not_equal(r.status, 0);
    if (!strstr(r.err, "a rule names disk \"1\" by its number") || !strstr(r.err, "inventory")) {
        fail_msg("%s", r.err);
    }
    run_free(&r);
}

/* They are counted anew at every look. Nothing is asked of the source, which is not there. */
static void test_migrate__numbers_of_disks_are_refused(void **state)
{
    (void)state;
    static const char source[] = " --source 127.0.0.1:1 --user u --insecure-skip-verify";
    static const char *const commands[] = {DIR, WARM "--to pvc:/disks ", WARM "--to pvc -n ns "};
    for (size_t i = 0; i < VF_COUNT(commands); i++) {
        setenv("VMFERRY_PASSWORD", "p", 1); /* it is taken out once it was read */
        char *vf_autofree line =
            vf_xasprintf("%s--disk Hard_disk_1:bus=sata --disk 1:skip%s", commands[i], source);
        check_number_of_disk(line);
    }
}

static void test_others__operands(void **state)
{
    (void)state;
    check_misuse("vmferry cutover",
                 "cutover: too few operands; usage: vmferry cutover [OPTION]... dir:PATH|NAME");
    check_misuse("vmferry cancel",
                 "cancel: too few operands; usage: vmferry cancel [OPTION]... dir:PATH|NAME");
    check_misuse("vmferry rollback",
                 "rollback: too few operands; usage: vmferry rollback [OPTION]... NAME");
    check_misuse("vmferry status dir:x -n ns",
                 "status: option \"--namespace\" does not go with dir:PATH");
    check_misuse("vmferry cutover /srv/web01", "cutover: \"/srv/web01\" is neither dir:PATH nor "
                                               "the name of a migration in a cluster");
    check_misuse("vmferry cancel dir:", "cancel: \"dir:\" is neither dir:PATH nor the name of a "
                                        "migration in a cluster");
    check_misuse("vmferry cutover dir:x --at tomorrow",
                 "cutover: \"tomorrow\" is no time: \"2026-11-22T02:00:00Z\", or local "
                 "\"2026-11-22 02:00\"");
}

static struct run run_in(const char *folder, const char *command, const char *more)
{
    char *vf_autofree line = vf_xasprintf("vmferry %s dir:%s %s", command, folder, more);
    return run(line);
}

static void check_failure(const char *folder, const char *command, const char *part)
{
    struct run r = run_in(folder, command, "");
    assert_int_equal(r.status, 1);
    assert_string_equal(r.out, "");
    if (!strstr(r.err, part)) {
        fail_msg("%s", r.err);
    }
    run_free(&r);
}

static void test_others__folder_without_a_migration(void **state)
{
    (void)state;
    char *folder = scratch_new();
    check_failure(folder, "status", "holds no migration");
    check_failure(folder, "cutover", "holds no migration");
    check_failure(folder, "cancel", "holds no migration");
    scratch_release(folder);
}

/* What a vmferry that was killed in that phase leaves. */
static char *folder_in(enum vf_migration_phase phase)
{
    char *folder = scratch_new();
    struct vf_migration_status s = {.name = vf_xstrdup("new01"),
                                    .source_vm = vf_xstrdup("web01"),
                                    .phase = phase,
                                    .eta_ms = -1};
    struct vf_board *board = vf_board_dir_new(folder);
    vf_test_check(board->ops->publish(board, &s, NULL) == 0);
    vf_board_free(board);
    vf_migration_status_release(&s);
    return folder;
}

static void test_status__of_a_folder(void **state)
{
    (void)state;
    char *folder = folder_in(VF_PHASE_COPYING);
    struct run r = run_in(folder, "status", "");
    assert_int_equal(r.status, 0);
    assert_non_null(strstr(r.out, "Migration    new01\n"));
    assert_non_null(strstr(r.out, "Worked on    by nobody"));
    run_free(&r);

    r = run_in(folder, "status", "-o json");
    cJSON *tree = NULL;
    assert_int_equal(vf_json_parse(r.out, r.out_len, "status", &tree, NULL), 0);
    assert_string_equal(vf_json_string(tree, "phase"), "copying");
    assert_false(vf_json_bool(tree, "alive", true));
    cJSON_Delete(tree);
    run_free(&r);

    r = run_in(folder, "status", "-o yaml");
    assert_non_null(strstr(r.out, "phase: copying\n"));
    run_free(&r);
    scratch_release(folder);

    /* It has ended: there is nothing more to watch. */
    folder = folder_in(VF_PHASE_DONE);
    r = run_in(folder, "status", "--watch -o json");
    assert_int_equal(r.status, 0);
    assert_ptr_equal(strchr(r.out, '\n'), r.out + r.out_len - 1);
    run_free(&r);
    scratch_release(folder);
}

static void test_cutover__nobody_is_there_to_do_it(void **state)
{
    (void)state;
    char *folder = folder_in(VF_PHASE_WAITING);
    check_failure(folder, "cutover", "with --cutover asap");
    const char *request = scratch_path(folder, VF_BOARD_REQUEST_NAME);
    assert_int_not_equal(access(request, F_OK), 0); /* nor is it left for a later run */
    scratch_release(folder);
}

static void test_cutover__done_is_good(void **state)
{
    (void)state;
    char *folder = folder_in(VF_PHASE_DONE);
    struct run r = run_in(folder, "cutover", "");
    assert_int_equal(r.status, 0);
    assert_string_equal(r.err, "vmferry: it was cut over already\n");
    run_free(&r);
    check_failure(folder, "cancel", "there is nothing to cancel");
    scratch_release(folder);
}

static void test_cancel__says_what_it_takes_where_nobody_works(void **state)
{
    (void)state;
    char *folder = folder_in(VF_PHASE_WAITING);
    unsetenv("VMFERRY_SOURCE");
    unsetenv("VMFERRY_USER");
    struct run r = run_in(folder, "cancel", "");
    assert_int_equal(r.status, 2);
    assert_string_equal(r.err,
                        "vmferry: error: cancel: no vmferry works on the migration, so that "
                        "this one has to clean up at the source; missing: --source --user\n");
    run_free(&r);
    scratch_release(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_migrate__what_and_where_to),
        cmocka_unit_test(test_migrate__transport),
        cmocka_unit_test(test_migrate__times),
        cmocka_unit_test(test_migrate__only_then_is_the_source_asked_for),
        cmocka_unit_test(test_migrate__numbers_of_disks_are_refused),
        cmocka_unit_test(test_others__operands),
        cmocka_unit_test(test_others__folder_without_a_migration),
        cmocka_unit_test(test_status__of_a_folder),
        cmocka_unit_test(test_cutover__nobody_is_there_to_do_it),
        cmocka_unit_test(test_cutover__done_is_good),
        cmocka_unit_test(test_cancel__says_what_it_takes_where_nobody_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
