#include "jobs/cluster/worker_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "jobs/migration/status.h"
#include "jobs/report/report.h"
#include "tests/support/event_log.h"

#define GIB (1ull << 30)

struct fixture {
    struct vf_test_events events;
    struct vf_worker_events w;
};

static int setup(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    vf_test_events_init(&f->events);
    vf_worker_events_init(&f->w, &f->events.reporter, "web01", 2);
    vf_worker_events_name_disk(&f->w, 1, "Hard disk 2");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    vf_worker_events_release(&f->w);
    vf_test_events_release(&f->events);
    free(f);
    return 0;
}

static void say(struct fixture *f, const char *line)
{
    vf_worker_events_line(&f->w, line, strlen(line));
}

static void expect_told(struct fixture *f, const char *told)
{
    char *vf_autofree text = vf_test_events_text(&f->events);
    assert_string_equal(text, told);
}

/* --- what the worker's own reporter writes ----------------------------------------------- */

static void play_back(struct fixture *f, char *text)
{
    for (char *line; (line = strsep(&text, "\n"));) {
        say(f, line);
    }
}

static void test_worker_events__what_json_lines_write_is_told_again(void **state)
{
    struct fixture *f = *state;
    char *text = NULL;
    size_t len;
    struct vf_report_options o = {.out = open_memstream(&text, &len), .no_thread = true};
    struct vf_reporter *r = vf_report_json_new(&o);
    struct vf_progress p = {.total_bytes = 40 * GIB};
    struct vf_event disk = {
        .type = VF_EVENT_DISK_START, .vm = "Web 01", .disk = 1, .name = "theirs", .progress = &p};
    struct vf_error *error = NULL;
    vf_report_phase(r, "Web 01", "snapshot", "taking snapshot \"x\"");
    vf_report_warning(r, "Web 01", "crash-consistent");
    vf_report_info(r, "Web 01", "by the way");
    vf_report(r, &disk);
    p.done_bytes = 10 * GIB;
    p.data_bytes = 3 * GIB;
    p.source_bytes = 2 * GIB;
    vf_report_tick(r);
    fflush(o.out);
    char *vf_autofree first = vf_xstrdup(text);
    size_t so_far = len;
    p.done_bytes = 40 * GIB;
    disk.type = VF_EVENT_DISK_END;
    vf_report(r, &disk);
    vf_error_set(&error, VF_SPACE, "no \"room\"");
    vf_error_hint(&error, "make some");
    vf_error_wrap(&error, 0, "disk 1");
    vf_report(r, &(struct vf_event){.type = VF_EVENT_RESULT, .error = error});
    vf_reporter_free(r);
    fclose(o.out);

    play_back(f, first);
    assert_int_equal(atomic_load(&f->w.disks[1].progress.done_bytes), 10 * GIB);
    assert_int_equal(atomic_load(&f->w.disks[1].progress.data_bytes), 3 * GIB);
    assert_int_equal(atomic_load(&f->w.disks[1].progress.source_bytes), 2 * GIB);
    play_back(f, text + so_far);
    expect_told(f, "phase web01 snapshot: taking snapshot \"x\"\n"
                   "warning web01: crash-consistent\n"
                   "info web01: by the way\n"
                   "disk_start web01 1 Hard disk 2 0/42949672960\n"
                   "disk_end web01 1 Hard disk 2 42949672960/42949672960 ok: \n");
    assert_true(f->w.has_result);
    assert_int_equal(f->w.code, VF_SPACE);
    assert_string_equal(f->w.message, "disk 1: no \"room\"");
    assert_string_equal(f->w.hint, "make some");
    assert_int_equal(f->w.n_tail, 0);
    vf_error_free(error);
    free(text);
}

static void test_worker_events__every_code_is_known_again(void **state)
{
    struct fixture *f = *state;
    for (int code = VF_OK; code >= VF_INTERNAL; code--) {
        struct vf_worker_events w;
        char *vf_autofree line =
            vf_xasprintf("{\"event\":\"result\",\"code\":\"%s\"}", vf_code_name(code));
        vf_worker_events_init(&w, NULL, "x", 0);
        vf_worker_events_line(&w, line, strlen(line));
        assert_true(w.has_result);
        assert_int_equal(w.code, code);
        vf_worker_events_release(&w);
    }
    say(f, "{\"event\":\"result\",\"code\":\"unheard\"}");
    assert_int_equal(f->w.code, VF_INTERNAL);
}

static void test_worker_events__the_first_result_stands(void **state)
{
    struct fixture *f = *state;
    say(f, "{\"event\":\"result\",\"code\":\"auth\",\"message\":\"no\",\"hint\":\"h\"}");
    say(f, "{\"event\":\"result\",\"code\":\"ok\",\"message\":\"yes\"}");
    assert_int_equal(f->w.code, VF_AUTH);
    assert_string_equal(f->w.message, "no");
    assert_string_equal(f->w.hint, "h");
}

/* Pods that follow each other: each begins with a phase. */
static void test_worker_events__of_many_the_last_result_counts(void **state)
{
    struct fixture *f = *state;
    f->w.many = true;
    say(f, "{\"event\":\"result\",\"code\":\"cancelled\",\"message\":\"no\",\"hint\":\"h\"}");
    say(f, "not a line of ours");
    assert_true(f->w.has_result);
    say(f, "{\"event\":\"phase\",\"phase\":\"connect\"}");
    assert_false(f->w.has_result || f->w.message || f->w.hint);
    say(f, "{\"event\":\"result\",\"code\":\"ok\",\"message\":\"there\"}");
    assert_true(f->w.has_result && f->w.code == VF_OK);
    assert_string_equal(f->w.message, "there");
}

static char *last_data;

static void keep_data(struct vf_reporter *r, const struct vf_event *e)
{
    (void)r;
    vf_replace_string(&last_data, e->data);
}

static void test_worker_events__a_status_is_handed_on_as_it_is_understood(void **state)
{
    struct fixture *f = *state;
    static const struct vf_reporter_ops ops = {.event = keep_data};
    struct vf_reporter reporter = {.ops = &ops};
    char name[] = "web01";
    const struct vf_migration_status status = {
        .name = name, .phase = VF_PHASE_COPYING, .copied_bytes = 7};
    char *vf_autofree text = vf_migration_status_encode(&status);
    char *vf_autofree good =
        vf_xasprintf("{\"event\":\"phase\",\"phase\":\"copying\",\"status\":%s}", text);
    f->w.reporter = &reporter;
    say(f, good);
    assert_non_null(last_data);
    assert_string_equal(last_data, text);
    say(f, "{\"event\":\"phase\",\"phase\":\"copying\",\"status\":{\"phase\":\"unheard\"}}");
    assert_null(last_data);
    say(f, "{\"event\":\"phase\",\"phase\":\"copying\",\"status\":\"text\"}");
    assert_null(last_data);
}

/* --- a disk's way ------------------------------------------------------------------------ */

static void test_worker_events__a_second_try_starts_over(void **state)
{
    struct fixture *f = *state;
    say(f, "{\"event\":\"disk_start\",\"disk\":0,\"total_bytes\":1000}");
    say(f, "{\"event\":\"progress\",\"disk\":0,\"done_bytes\":900}");
    say(f, "{\"event\":\"disk_start\",\"disk\":0,\"total_bytes\":1000}");
    assert_int_equal(atomic_load(&f->w.disks[0].progress.done_bytes), 0);
    say(f, "{\"event\":\"disk_end\",\"disk\":0,\"done_bytes\":40,\"code\":\"retry\","
           "\"message\":\"the stream broke\"}");
    say(f, "{\"event\":\"disk_end\",\"disk\":0,\"code\":\"ok\"}"); /* of none that runs */
    expect_told(f, "disk_start web01 0 disk 0 0/1000\n"
                   "disk_start web01 0 disk 0 0/1000\n"
                   "disk_end web01 0 disk 0 40/1000 retry: the stream broke\n");
}

static void test_worker_events__a_worker_that_vanished_ends_its_disks(void **state)
{
    struct fixture *f = *state;
    struct vf_error *error = NULL;
    vf_error_set(&error, VF_INTERNAL, "gone");
    say(f, "{\"event\":\"disk_start\",\"disk\":0,\"total_bytes\":10}");
    say(f, "{\"event\":\"disk_start\",\"disk\":1,\"total_bytes\":10}");
    say(f, "{\"event\":\"disk_end\",\"disk\":0,\"done_bytes\":10,\"code\":\"ok\"}");
    vf_worker_events_end(&f->w, error);
    vf_worker_events_end(&f->w, error);
    expect_told(f, "disk_start web01 0 disk 0 0/10\n"
                   "disk_start web01 1 Hard disk 2 0/10\n"
                   "disk_end web01 0 disk 0 10/10 ok: \n"
                   "disk_end web01 1 Hard disk 2 0/10 internal: gone\n");
    vf_error_free(error);
}

/* --- hostile ----------------------------------------------------------------------------- */

static void test_worker_events__counters_stay_within_the_disk(void **state)
{
    struct fixture *f = *state;
    struct vf_progress *p = &f->w.disks[0].progress;
    say(f, "{\"event\":\"progress\",\"disk\":0,\"done_bytes\":5}"); /* before its start */
    assert_int_equal(atomic_load(&p->done_bytes), 0);
    say(f, "{\"event\":\"disk_start\",\"disk\":0,\"total_bytes\":1000,\"done_bytes\":2000}");
    assert_int_equal(atomic_load(&p->done_bytes), 1000);
    say(f, "{\"event\":\"progress\",\"disk\":0,\"done_bytes\":1001,\"data_bytes\":1e15}");
    assert_int_equal(atomic_load(&p->done_bytes), 1000);
    assert_int_equal(atomic_load(&p->data_bytes), 1000);
    say(f, "{\"event\":\"progress\",\"disk\":0,\"done_bytes\":-1,\"data_bytes\":\"7\"}");
    assert_int_equal(atomic_load(&p->done_bytes), 0);
    assert_int_equal(atomic_load(&p->data_bytes), 0);
    say(f, "{\"event\":\"disk_start\",\"disk\":1,\"total_bytes\":1e300}");
    assert_true(f->w.disks[1].progress.total_bytes <= 1ull << 62);
}

static void test_worker_events__disks_that_are_not_there_are_passed_over(void **state)
{
    struct fixture *f = *state;
    say(f, "{\"event\":\"disk_start\",\"disk\":2,\"total_bytes\":10}");
    say(f, "{\"event\":\"disk_start\",\"disk\":-1,\"total_bytes\":10}");
    say(f, "{\"event\":\"disk_start\",\"disk\":0.5,\"total_bytes\":10}");
    say(f, "{\"event\":\"disk_start\",\"disk\":\"0\",\"total_bytes\":10}");
    say(f, "{\"event\":\"disk_start\",\"total_bytes\":10}");
    say(f, "{\"event\":\"disk_end\",\"disk\":18446744073709551615,\"code\":\"ok\"}");
    say(f, "{\"event\":\"unheard\",\"message\":\"x\"}");
    say(f, "{\"event\":\"warning\"}");
    say(f, "{\"event\":\"phase\",\"message\":\"without a name\"}");
    say(f, "{\"event\":7}");
    say(f, "{\"event\":\"warning\",\"message\":{\"a\":1}}");
    expect_told(f, "");
}

static void test_worker_events__texts_are_made_safe_and_bounded(void **state)
{
    struct fixture *f = *state;
    say(f, "{\"event\":\"warning\",\"message\":\"a\\u001b[31mred\\nline\\u202e\"}");
    expect_told(f, "warning web01: a [31mred line\n");
    char *vf_autofree big = vf_xcalloc(1, 60001);
    memset(big, 'x', 60000);
    char *vf_autofree line =
        vf_xasprintf("{\"event\":\"result\",\"code\":\"auth\",\"message\":\"%s\"}", big);
    say(f, line);
    assert_true(strlen(f->w.message) <= VF_WORKER_TEXT_MAX + 3);
}

static void test_worker_events__other_lines_are_kept_for_an_error(void **state)
{
    struct fixture *f = *state;
    assert_null(vf_worker_events_tail(&f->w));
    say(f, "");
    say(f, "exec format error");
    say(f, "{\"event\":\"warning\",\"message\":\"cut in the midd");
    say(f, "{\"no\":\"event\"}");
    say(f, "[1,2]");
    say(f, "five\x1b[2J");
    say(f, "six");
    char *vf_autofree tail = vf_worker_events_tail(&f->w);
    assert_string_equal(tail, "{\"event\":\"warning\",\"message\":\"cut in the midd\n"
                              "{\"no\":\"event\"}\n[1,2]\nfive [2J\nsix");
    expect_told(f, "");
    assert_false(f->w.has_result);
}

/* Not NUL-terminated, and with a NUL inside. */
static void test_worker_events__a_line_ends_where_its_length_says(void **state)
{
    struct fixture *f = *state;
    const char *line = "{\"event\":\"info\",\"message\":\"x\"}}}}";
    vf_worker_events_line(&f->w, line, strlen(line) - 3);
    expect_told(f, "info web01: x\n");
    vf_worker_events_line(&f->w, "{\"event\":\0\"info\"}", 18);
    vf_worker_events_line(&f->w, "plain\0text", 10);
    assert_string_equal(f->w.tail[f->w.n_tail - 1], "plain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_worker_events__what_json_lines_write_is_told_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_worker_events__every_code_is_known_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_worker_events__of_many_the_last_result_counts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_worker_events__a_status_is_handed_on_as_it_is_understood, setup, teardown),
        cmocka_unit_test_setup_teardown(test_worker_events__the_first_result_stands, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_worker_events__a_second_try_starts_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_worker_events__a_worker_that_vanished_ends_its_disks,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_worker_events__counters_stay_within_the_disk, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            test_worker_events__disks_that_are_not_there_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_worker_events__texts_are_made_safe_and_bounded, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_worker_events__other_lines_are_kept_for_an_error,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_worker_events__a_line_ends_where_its_length_says,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
