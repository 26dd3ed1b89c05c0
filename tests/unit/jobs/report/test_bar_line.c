#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/report/bar_line.h"

static char name[] = "web01-disk-0";
static char wide_name[] =
    "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x83\x87\xe3\x82\xa3\xe3\x82\xb9";

static struct vf_track_disk halfway(char *disk_name)
{
    return (struct vf_track_disk){
        .name = disk_name,
        .done_bytes = UINT64_C(4) << 30,
        .total_bytes = UINT64_C(8) << 30,
        .first_ms = 0,
        .last_ms = 40000,
        .rate = {.started = true,
                 .last_ms = 40000,
                 .last_bytes = UINT64_C(4) << 30,
                 .sum = 100 << 20,
                 .weight = 1},
    };
}

static char *line_of(const struct vf_track_disk *d, unsigned columns, bool utf8, bool color)
{
    struct vf_bar_layout layout;
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    vf_bar_layout_init(&layout, d, 1, columns, utf8, color);
    vf_bar_put_line(&b, &layout, d);
    if (!color) {
        assert_int_equal(vf_text_width(b.data), layout.columns);
    }
    return vf_buf_take_string(&b);
}

static void check_line(const struct vf_track_disk *d, unsigned columns, const char *expected)
{
    char *line = line_of(d, columns, false, false);
    assert_string_equal(line, expected);
    free(line);
}

static void test_bar_line__wide_terminal_has_everything(void **state)
{
    (void)state;
    struct vf_track_disk d = halfway(name);
    check_line(&d, 100,
               "web01-disk-0  ################................   50 %   4.0 GiB / 8.0 GiB  "
               " 100 MiB/s  ETA 0:41    ");
}

static void test_bar_line__narrow_terminal_drops_rate_then_sizes_then_bar(void **state)
{
    (void)state;
    struct vf_track_disk d = halfway(name);
    check_line(&d, 70, "web01-disk-0  #######.......   50 %   4.0 GiB / 8.0 GiB  ETA 0:41    ");
    check_line(&d, 50, "web01-disk-0  #######.......   50 %  ETA 0:41    ");
    check_line(&d, 40, "web01-di\xe2\x80\xa6   50 %  ETA 0:41    ");
}

/* Never wider than the terminal less its last column, down to what cannot be done without. */
static void test_bar_line__fits_any_width(void **state)
{
    (void)state;
    for (unsigned columns = 23; columns < 300; columns++) {
        struct vf_track_disk disks[2] = {halfway(name), halfway(wide_name)};
        for (int i = 0; i < 2; i++) {
            char *line = line_of(&disks[i], columns, true, false);
            assert_in_range(vf_text_width(line), 1, columns - 1);
            free(line);
        }
    }
    struct vf_track_disk d = halfway(name);
    char *line = line_of(&d, 1, true, false);
    assert_in_range(vf_text_width(line), 1, 22);
    free(line);
}

static void test_bar_line__states_are_told_apart(void **state)
{
    (void)state;
    struct vf_track_disk d = halfway(name);
    d.state = VF_TRACK_FAILED;
    check_line(&d, 50, "web01-disk-0  #######.......   50 %  stopped     ");
    d.state = VF_TRACK_DONE;
    d.done_bytes = d.total_bytes;
    check_line(&d, 50, "web01-disk-0  ##############  100 %  in 0:40     ");
    d = (struct vf_track_disk){.name = name, .total_bytes = 5, .first_ms = -1};
    check_line(&d, 50, "web01-disk-0  ..............    0 %  waiting     ");
    d.first_ms = 0;
    check_line(&d, 50, "web01-disk-0  ..............    0 %  ETA -:--    ");
}

static void test_bar_line__color_adds_only_escapes(void **state)
{
    (void)state;
    struct vf_track_disk d = halfway(name);
    d.state = VF_TRACK_FAILED;
    char *plain = line_of(&d, 80, true, false);
    char *color = line_of(&d, 80, true, true);
    char *to = color;
    for (const char *from = color; *from; from++) {
        if (*from == '\033') {
            from += strcspn(from, "m");
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
    assert_string_equal(color, plain);
    free(plain);
    free(color);
}

static void test_bar_line__more_done_than_there_is_stays_in_the_bar(void **state)
{
    (void)state;
    struct vf_track_disk d = halfway(name);
    d.done_bytes = 3 * d.total_bytes;
    check_line(&d, 50, "web01-disk-0  ##############  100 %  ETA 0:00    ");
}

int main(void)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8")) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bar_line__wide_terminal_has_everything),
        cmocka_unit_test(test_bar_line__narrow_terminal_drops_rate_then_sizes_then_bar),
        cmocka_unit_test(test_bar_line__fits_any_width),
        cmocka_unit_test(test_bar_line__states_are_told_apart),
        cmocka_unit_test(test_bar_line__color_adds_only_escapes),
        cmocka_unit_test(test_bar_line__more_done_than_there_is_stays_in_the_bar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
