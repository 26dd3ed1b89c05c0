#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"
#include "jobs/report/report.h"

/* A screen that knows what bars use (ECMA-48 CUU, EL, ED): what counts is what a person sees. */
#define ROWS    12
#define COLUMNS 60

struct screen {
    char cells[ROWS][COLUMNS + 1];
    int row, column;
    char *text; /* everything written so far */
    size_t len, seen;
    int64_t now_ms;
    struct vf_report_options options;
};

static void clear_from(struct screen *s, int row, int column)
{
    memset(s->cells[row] + column, ' ', (size_t)(COLUMNS - column));
}

static void scroll(struct screen *s)
{
    memmove(s->cells[0], s->cells[1], sizeof s->cells[0] * (ROWS - 1));
    clear_from(s, ROWS - 1, 0);
    s->row--;
}

static const char *obey_escape(struct screen *s, const char *p)
{
    char *end;
    assert_int_equal(p[1], '[');
    long n = strtol(p + 2, &end, 10);
    switch (*end) {
    case 'A':
        s->row = s->row > n ? s->row - (int)n : 0;
        break;
    case 'K':
        clear_from(s, s->row, s->column);
        break;
    case 'J':
        clear_from(s, s->row, s->column);
        for (int row = s->row + 1; row < ROWS; row++) {
            clear_from(s, row, 0);
        }
        break;
    default:
        fail_msg("escape sequence that the terminal may not know: %s", end);
    }
    return end;
}

static void show(struct screen *s)
{
    fflush(s->options.out);
    for (const char *p = s->text + s->seen; *p; p++) {
        if (*p == '\033') {
            p = obey_escape(s, p);
        } else if (*p == '\r') {
            s->column = 0;
        } else if (*p == '\n') {
            s->column = 0;
            s->row++;
        } else {
            if (s->column == COLUMNS) {
                s->column = 0;
                s->row++;
            }
            if (s->row == ROWS) {
                scroll(s);
            }
            s->cells[s->row][s->column++] = *p;
        }
        if (s->row == ROWS) {
            scroll(s);
        }
    }
    s->seen = s->len;
}

/* Lines without trailing blanks, as far as anything is on them. */
static void check_screen(struct screen *s, const char *expected)
{
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    show(s);
    for (int row = 0; row < ROWS; row++) {
        int len = COLUMNS;
        while (len > 0 && s->cells[row][len - 1] == ' ') {
            len--;
        }
        vf_buf_append(&b, s->cells[row], (size_t)len);
        vf_buf_puts(&b, "\n");
    }
    char *vf_autofree got = vf_buf_take_string(&b);
    size_t len = strlen(got);
    while (len > 1 && got[len - 1] == '\n' && got[len - 2] == '\n') {
        got[--len] = 0;
    }
    assert_string_equal(got, expected);
}

static int64_t fake_clock(void *opaque)
{
    return ((struct screen *)opaque)->now_ms;
}

static void fake_size(void *opaque, unsigned *ret_rows, unsigned *ret_columns)
{
    (void)opaque;
    *ret_rows = ROWS;
    *ret_columns = COLUMNS;
}

static int setup(void **state)
{
    struct screen *s = calloc(1, sizeof *s);
    for (int row = 0; row < ROWS; row++) {
        clear_from(s, row, 0);
    }
    s->now_ms = 100000;
    s->options = (struct vf_report_options){.out = open_memstream(&s->text, &s->len),
                                            .clock_ms = fake_clock,
                                            .terminal_size = fake_size,
                                            .opaque = s,
                                            .no_thread = true};
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct screen *s = *state;
    fclose(s->options.out);
    free(s->text);
    free(s);
    return 0;
}

static void start_disk(struct vf_reporter *r, unsigned disk, const struct vf_progress *p)
{
    char disk_name[32];
    snprintf(disk_name, sizeof disk_name, "disk-%u", disk);
    vf_report(r, &(struct vf_event){
                     .type = VF_EVENT_DISK_START, .disk = disk, .name = disk_name, .progress = p});
}

static void end_disk(struct vf_reporter *r, unsigned disk, const struct vf_error *error)
{
    vf_report(r, &(struct vf_event){.type = VF_EVENT_DISK_END, .disk = disk, .error = error});
}

static void test_bar__lines_are_redrawn_in_place(void **state)
{
    struct screen *s = *state;
    struct vf_reporter *r = vf_report_bar_new(&s->options);
    struct vf_progress p[2] = {{.total_bytes = 2000}, {.total_bytes = 2000}};
    vf_report_phase(r, "web01", "copy", "2 disks");
    start_disk(r, 0, &p[0]);
    start_disk(r, 1, &p[1]);
    check_screen(s, "vmferry: web01: copy: 2 disks\n"
                    "disk-0    ............................    0 %  waiting\n"
                    "disk-1    ............................    0 %  waiting\n"
                    "total     ............................    0 %  waiting\n");
    p[0].source_bytes = 1;
    vf_report_tick(r);
    s->now_ms += 1000;
    p[0].done_bytes = 1000;
    vf_report_tick(r);
    s->now_ms += 1000;
    p[1].done_bytes = 500;
    vf_report_tick(r);
    check_screen(s, "vmferry: web01: copy: 2 disks\n"
                    "disk-0    ##############..............   50 %  ETA 0:02\n"
                    "disk-1    #######.....................   25 %  ETA -:--\n"
                    "total     ##########-.................   37 %  ETA 0:03\n");
    vf_reporter_free(r);
}

static void test_bar__messages_scroll_by_above(void **state)
{
    struct screen *s = *state;
    struct vf_reporter *r = vf_report_bar_new(&s->options);
    struct vf_progress p = {.total_bytes = 2000};
    start_disk(r, 0, &p);
    vf_report_warning(r, "web01", "this one is much longer than the terminal is wide, by far");
    vf_report_tick(r);
    vf_report_info(r, NULL, "short");
    p.done_bytes = 2000;
    end_disk(r, 0, NULL);
    vf_report(r, &(struct vf_event){.type = VF_EVENT_RESULT});
    vf_reporter_free(r);
    check_screen(s, "vmferry: warning: web01: this one is much longer than the te\n"
                    "rminal is wide, by far\n"
                    "vmferry: short\n"
                    "disk-0    ############################  100 %  in 0:00\n");
    /* What the program prints after it starts on a line of its own. */
    assert_int_equal(s->column, 0);
    assert_int_equal(s->row, 4);
}

static void test_bar__stray_output_is_wiped_by_the_next_frame(void **state)
{
    struct screen *s = *state;
    struct vf_reporter *r = vf_report_bar_new(&s->options);
    struct vf_progress p = {.total_bytes = 2000};
    start_disk(r, 0, &p);
    fprintf(s->options.out, "^C"); /* the terminal's echo */
    vf_report_tick(r);
    vf_reporter_free(r);
    char *at = strstr(s->text, "^C");
    assert_non_null(at);
    assert_non_null(strstr(at, "\033[1A"));
    assert_non_null(strstr(at, "\033[J"));
}

static void test_bar__more_disks_than_rows_leave_out_the_done_first(void **state)
{
    struct screen *s = *state;
    struct vf_reporter *r = vf_report_bar_new(&s->options);
    struct vf_progress p[14];
    for (unsigned i = 0; i < 14; i++) {
        p[i] = (struct vf_progress){.total_bytes = 2000};
        start_disk(r, i, &p[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        p[i].done_bytes = 2000;
        end_disk(r, i, NULL);
    }
    vf_report_phase(r, NULL, "still", "copying");
    vf_reporter_free(r);
    check_screen(s, "vmferry: still: copying\n"
                    "disk-3    ............................    0 %  waiting\n"
                    "disk-4    ............................    0 %  waiting\n"
                    "disk-5    ............................    0 %  waiting\n"
                    "disk-6    ............................    0 %  waiting\n"
                    "disk-7    ............................    0 %  waiting\n"
                    "disk-8    ............................    0 %  waiting\n"
                    "disk-9    ............................    0 %  waiting\n"
                    "disk-10   ............................    0 %  waiting\n"
                    "and 6 more\n"
                    "total     ######......................   21 %  ETA -:--\n");
}

/* ^Z, some work in the shell, fg: what the shell wrote is not drawn over. */
static void test_bar__after_a_stop_it_starts_below(void **state)
{
    struct screen *s = *state;
    struct vf_reporter *r = vf_report_bar_new(&s->options);
    struct vf_progress p = {.total_bytes = 2000};
    start_disk(r, 0, &p);
    fprintf(s->options.out, "$ fg\n");
    s->now_ms += 60000;
    vf_report_tick(r);
    vf_report_tick(r);
    vf_reporter_free(r);
    check_screen(s, "disk-0    ............................    0 %  waiting\n"
                    "$ fg\n"
                    "disk-0    ............................    0 %  waiting\n");
}

static void test_bar__failed_disk_stays_visible(void **state)
{
    struct screen *s = *state;
    struct vf_reporter *r = vf_report_bar_new(&s->options);
    struct vf_progress p = {.total_bytes = 2000, .done_bytes = 1000};
    struct vf_error *error = NULL;
    vf_error_set(&error, VF_RETRY, "reset");
    start_disk(r, 0, &p);
    end_disk(r, 0, error);
    vf_report(r, &(struct vf_event){.type = VF_EVENT_RESULT, .error = error});
    vf_reporter_free(r);
    vf_error_free(error);
    check_screen(s, "disk-0    ##############..............   50 %  stopped\n");
}

static void test_bar__no_disks_no_lines(void **state)
{
    struct screen *s = *state;
    struct vf_reporter *r = vf_report_bar_new(&s->options);
    vf_report_phase(r, "web01", "look", "x");
    vf_report_tick(r);
    vf_reporter_free(r);
    check_screen(s, "vmferry: web01: look: x\n");
}

int main(void)
{
    setlocale(LC_ALL, "C"); /* one byte a cell */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bar__lines_are_redrawn_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar__messages_scroll_by_above, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar__stray_output_is_wiped_by_the_next_frame, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_bar__more_disks_than_rows_leave_out_the_done_first,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar__after_a_stop_it_starts_below, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar__failed_disk_stays_visible, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bar__no_disks_no_lines, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
