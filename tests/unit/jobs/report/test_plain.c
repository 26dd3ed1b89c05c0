#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/report/report.h"

struct fixture {
    char *text;
    size_t len;
    int64_t now_ms;
    struct vf_report_options options;
};

static int64_t fake_clock(void *opaque)
{
    return ((struct fixture *)opaque)->now_ms;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->options = (struct vf_report_options){.out = open_memstream(&f->text, &f->len),
                                            .clock_ms = fake_clock,
                                            .opaque = f,
                                            .no_thread = true};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fclose(f->options.out);
    free(f->text);
    free(f);
    return 0;
}

static void play(struct fixture *f, enum vf_report_level level)
{
    struct vf_reporter *r = vf_report_plain_new(&f->options, level);
    struct vf_progress p = {.total_bytes = UINT64_C(8) << 30};
    vf_report_phase(r, "web01", "snapshot", "quiesced");
    vf_report_phase(r, NULL, "copy", "%s", "");
    struct vf_event e = {.type = VF_EVENT_DISK_START, .vm = "web01", .name = "d0", .progress = &p};
    vf_report(r, &e);
    vf_report_tick(r); /* nothing moved yet: no line */
    p.source_bytes = 1;
    vf_report_tick(r);
    f->now_ms = 10000;
    p.done_bytes = UINT64_C(2) << 30;
    vf_report_tick(r);
    vf_report_warning(r, "web01", "evil \033[2J");
    vf_report_info(r, NULL, "note");
    f->now_ms = 40000;
    p.done_bytes = p.total_bytes;
    e.type = VF_EVENT_DISK_END;
    vf_report(r, &e);
    vf_report_tick(r); /* nothing runs: no line */
    vf_report(r, &(struct vf_event){.type = VF_EVENT_RESULT, .message = "/out"});
    vf_reporter_free(r);
    fflush(f->options.out);
}

static void test_plain__lines_for_a_log(void **state)
{
    struct fixture *f = *state;
    play(f, VF_REPORT_PLAIN);
    assert_string_equal(f->text, "vmferry: web01: snapshot: quiesced\n"
                                 "vmferry: copy\n"
                                 "vmferry: 0 %: 0 B of 8.0 GiB, 0 B/s\n"
                                 "vmferry: 25 %: 2.0 GiB of 8.0 GiB, 204 MiB/s, 0:30 left\n"
                                 "vmferry: warning: web01: evil ?[2J\n"
                                 "vmferry: note\n"
                                 "vmferry: web01: d0: 8.0 GiB in 0:40, 204 MiB/s\n"
                                 "vmferry: done: /out\n");
}

static void test_plain__warnings_alone(void **state)
{
    struct fixture *f = *state;
    play(f, VF_REPORT_WARNINGS);
    assert_string_equal(f->text, "vmferry: warning: web01: evil ?[2J\n");
}

static void test_plain__silent_says_nothing(void **state)
{
    struct fixture *f = *state;
    play(f, VF_REPORT_SILENT);
    assert_int_equal(f->len, 0);
}

static void test_plain__failed_disk_says_how_far_it_came(void **state)
{
    struct fixture *f = *state;
    struct vf_reporter *r = vf_report_plain_new(&f->options, VF_REPORT_PLAIN);
    struct vf_progress p = {.total_bytes = 1000, .done_bytes = 420};
    struct vf_error *error = NULL;
    vf_error_set(&error, VF_RETRY, "reset");
    struct vf_event e = {.type = VF_EVENT_DISK_START, .disk = 1, .progress = &p};
    vf_report(r, &e);
    e.type = VF_EVENT_DISK_END;
    e.error = error;
    vf_report(r, &e);
    vf_reporter_free(r);
    fflush(f->options.out);
    assert_string_equal(f->text, "vmferry: disk 1: stopped at 42 %\n");
    vf_error_free(error);
}

static void test_plain__cancellation_is_told_once(void **state)
{
    struct fixture *f = *state;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    f->options.cancel = cancel;
    struct vf_reporter *r = vf_report_plain_new(&f->options, VF_REPORT_PLAIN);
    vf_report_tick(r);
    vf_cancel_trigger(cancel);
    vf_report_tick(r);
    vf_report_tick(r);
    vf_reporter_free(r);
    vf_cancel_free(cancel);
    fflush(f->options.out);
    assert_string_equal(f->text,
                        "vmferry: stopping and cleaning up; a second signal ends this at once\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain__lines_for_a_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain__warnings_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain__cancellation_is_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain__silent_says_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plain__failed_disk_says_how_far_it_came, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
