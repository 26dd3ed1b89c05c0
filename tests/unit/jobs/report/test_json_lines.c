#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "importer/base/json.h"
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

static void fake_wall_clock(void *opaque, char buf[VF_CLOCK_RFC3339_SIZE])
{
    (void)opaque;
    memcpy(buf, "2026-11-21T14:18:25Z", VF_CLOCK_RFC3339_SIZE);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->options = (struct vf_report_options){.out = open_memstream(&f->text, &f->len),
                                            .clock_ms = fake_clock,
                                            .wall_clock = fake_wall_clock,
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

static void test_json__a_copy_as_lines(void **state)
{
    struct fixture *f = *state;
    struct vf_reporter *r = vf_report_json_new(&f->options);
    struct vf_progress p = {.total_bytes = 4000};
    vf_report_phase(r, "web01", "copy", "1 disk");
    struct vf_event e = {.type = VF_EVENT_DISK_START, .vm = "web01", .name = "d0", .progress = &p};
    vf_report(r, &e);
    vf_report_tick(r);
    p.source_bytes = 5;
    vf_report_tick(r);
    f->now_ms = 2000;
    p.done_bytes = 2000;
    p.data_bytes = 1500;
    p.source_bytes = 700;
    vf_report_tick(r);
    f->now_ms = 4000;
    p.done_bytes = 4000;
    e.type = VF_EVENT_DISK_END;
    vf_report(r, &e);
    vf_report(r, &(struct vf_event){.type = VF_EVENT_RESULT, .message = "/out"});
    vf_report(r, &(struct vf_event){.type = VF_EVENT_RESULT}); /* the second is ignored */
    vf_reporter_free(r);
    fflush(f->options.out);
#define TIME "\"time\":\"2026-11-21T14:18:25Z\""
#define DISK "\"vm\":\"web01\",\"disk\":0,\"name\":\"d0\",\"total_bytes\":4000"
    assert_string_equal(
        f->text,
        "{\"event\":\"phase\"," TIME
        ",\"vm\":\"web01\",\"phase\":\"copy\",\"message\":\"1 disk\"}\n"
        "{\"event\":\"disk_start\"," TIME "," DISK "}\n"
        "{\"event\":\"progress\"," TIME "," DISK ",\"done_bytes\":0,\"data_bytes\":0,"
        "\"source_bytes\":5,\"rate\":0}\n"
        "{\"event\":\"progress\"," TIME "," DISK ",\"done_bytes\":2000,\"data_bytes\":1500,"
        "\"source_bytes\":700,\"rate\":1000,\"eta_s\":2}\n"
        "{\"event\":\"disk_end\"," TIME "," DISK ",\"done_bytes\":4000,\"data_bytes\":1500,"
        "\"source_bytes\":700,\"rate\":1000,\"code\":\"ok\"}\n"
        "{\"event\":\"result\"," TIME ",\"code\":\"ok\",\"message\":\"/out\"}\n");
}

static void test_json__data_of_a_phase_is_its_status(void **state)
{
    struct fixture *f = *state;
    struct vf_reporter *r = vf_report_json_new(&f->options);
    struct vf_event e = {.type = VF_EVENT_PHASE, .name = "waiting", .data = "{\"round\":2}"};
    vf_report(r, &e);
    e.data = "{"; /* is passed over */
    vf_report(r, &e);
    vf_reporter_free(r);
    fflush(f->options.out);
    assert_string_equal(f->text, "{\"event\":\"phase\"," TIME
                                 ",\"phase\":\"waiting\",\"status\":{\"round\":2}}\n"
                                 "{\"event\":\"phase\"," TIME ",\"phase\":\"waiting\"}\n");
}

static void test_json__error_has_code_message_and_hint(void **state)
{
    struct fixture *f = *state;
    struct vf_reporter *r = vf_report_json_new(&f->options);
    struct vf_error *error = NULL;
    vf_error_set(&error, VF_SPACE, "no room for \"x\"\n\xff");
    vf_error_hint(&error, "free some");
    vf_error_wrap(&error, VF_SPACE, "disk 1");
    vf_report(r, &(struct vf_event){.type = VF_EVENT_RESULT, .vm = "a\nb", .error = error});
    vf_reporter_free(r);
    vf_error_free(error);
    fflush(f->options.out);
    assert_ptr_equal(strchr(f->text, '\n'), f->text + f->len - 1); /* one line, whatever came */
    cJSON *line = NULL;
    assert_int_equal(vf_json_parse(f->text, f->len, "line", &line, NULL), 0);
    assert_string_equal(vf_json_string(line, "vm"), "a\nb");
    assert_string_equal(vf_json_string(line, "code"), "space");
    assert_string_equal(vf_json_string(line, "message"), "disk 1: no room for \"x\"\n\xef\xbf\xbd");
    assert_string_equal(vf_json_string(line, "hint"), "free some");
    cJSON_Delete(line);
}

static void *report_many(void *opaque)
{
    for (int i = 0; i < 200; i++) {
        vf_report_info(opaque, "vm", "note %d", i);
    }
    return NULL;
}

/* Lines of several threads never run into each other; the listener's own thread is at work too. */
static void test_json__threads_do_not_mix_lines(void **state)
{
    struct fixture *f = *state;
    f->options.no_thread = false;
    struct vf_reporter *r = vf_report_json_new(&f->options);
    struct vf_progress p = {.total_bytes = 10, .done_bytes = 1};
    vf_report(r, &(struct vf_event){.type = VF_EVENT_DISK_START, .progress = &p});
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, report_many, r), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 300000000}, NULL);
    vf_reporter_free(r);
    fflush(f->options.out);
    size_t lines = 0, progress = 0;
    for (char *rest = f->text, *end; (end = strchr(rest, '\n')); rest = end + 1, lines++) {
        cJSON *line = NULL;
        assert_int_equal(vf_json_parse(rest, (size_t)(end - rest), "line", &line, NULL), 0);
        progress += strcmp(vf_json_string(line, "event"), "progress") == 0;
        cJSON_Delete(line);
    }
    assert_in_range(progress, 1, 2); /* it wakes each second */
    assert_int_equal(lines, 801 + progress);
}

static void test_json__full_disk_does_not_stop_the_job(void **state)
{
    struct fixture *f = *state;
    struct vf_report_options options = f->options;
    options.out = fopen("/dev/full", "w");
    assert_non_null(options.out);
    struct vf_reporter *r = vf_report_json_new(&options);
    vf_report_info(r, "vm", "note");
    vf_report_info(r, "vm", "note");
    vf_reporter_free(r);
    assert_true(ferror(options.out)); /* for main() to see */
    fclose(options.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_json__a_copy_as_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json__data_of_a_phase_is_its_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json__error_has_code_message_and_hint, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_json__threads_do_not_mix_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json__full_disk_does_not_stop_the_job, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
