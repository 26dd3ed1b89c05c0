#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/json.h"
#include "importer/base/mem.h"
#include "jobs/cli/status_view.h"

#define MIB (UINT64_C(1) << 20)

static char name[] = "web01", vm[] = "Web 01", host[] = "vcenter.example", place[] = "/srv/web01",
            detail[] = "round 3", next_step[] = "next round in 1:00\033[2J", transport[] = "https",
            why[] = "every disk could be read", at[] = "2026-11-22T02:00:00Z",
            label[] = "Hard disk 1", image[] = "web01-disk-0.img", error[] = "snapshot: no",
            hint[] = "look at the host";
static struct vf_disk_status disks[] = {{.name = label,
                                         .target = image,
                                         .size_bytes = 4096 * MIB,
                                         .round_bytes = 10 * MIB,
                                         .round_total_bytes = 40 * MIB,
                                         .copied_bytes = 5000 * MIB}};

static struct vf_migration_status copying(void)
{
    return (struct vf_migration_status){.name = name,
                                        .source_vm = vm,
                                        .source = host,
                                        .place = place,
                                        .phase = VF_PHASE_COPYING,
                                        .detail = detail,
                                        .transport = transport,
                                        .transport_reason = why,
                                        .round = 3,
                                        .tries = 1,
                                        .bytes_per_s = 5 * MIB,
                                        .copied_bytes = 5000 * MIB,
                                        .forecast = true,
                                        .change_bytes_per_s = 3 * MIB / 2,
                                        .expected_bytes = 30 * MIB,
                                        .downtime_ms = 12001,
                                        .worst_downtime_ms = 40000,
                                        .best_downtime_ms = 9000,
                                        .eta_ms = 6000,
                                        .cutover_at = at,
                                        .last_checkpoint = at,
                                        .updated = at,
                                        .disks = disks,
                                        .n_disks = 1};
}

static char *print(const struct vf_migration_status *s, bool alive)
{
    const struct vf_status_row row = {.status = s, .alive = alive};
    return vf_status_print(&row);
}

static void test_status__copying(void **state)
{
    (void)state;
    struct vf_migration_status s = copying();
    char *vf_autofree text = print(&s, true);
    assert_string_equal(
        text, "Migration    web01\n"
              "Source       \"Web 01\" at vcenter.example\n"
              "Target       /srv/web01\n"
              "Phase        copying: round 3\n"
              "Round        3: 10.0 MiB of 40.0 MiB, 5.0 MiB/s, 0:06 left; 1 try failed\n"
              "Copied       4.8 GiB in all rounds\n"
              "Transport    https: every disk could be read\n"
              "Changed      30.0 MiB since the last snapshot, 1.5 MiB/s\n"
              "Downtime     0:13 expected, 0:40 at worst; 0:09 at best, after more rounds\n"
              "Cutover      2026-11-22T02:00:00Z\n"
              "Checkpoint   2026-11-22T02:00:00Z\n"
              "Updated      2026-11-22T02:00:00Z\n"
              "\n"
              "DISK         TARGET               SIZE                 ROUND   COPIED\n"
              "Hard disk 1  web01-disk-0.img  4.0 GiB  10.0 MiB of 40.0 MiB  4.8 GiB\n");
}

static void test_status__waiting_has_no_rate_and_no_escape_sequence(void **state)
{
    (void)state;
    struct vf_migration_status s = copying();
    s.phase = VF_PHASE_WAITING;
    s.next_step = next_step;
    char *vf_autofree text = print(&s, true);
    assert_null(strstr(text, "MiB/s,"));
    assert_null(strstr(text, " left"));
    assert_non_null(strstr(text, "Next         next round in 1:00?[2J\n"));
    assert_null(strchr(text, '\033'));
}

static void test_status__nobody_works_on_it_is_said(void **state)
{
    (void)state;
    struct vf_migration_status s = copying();
    char *vf_autofree text = print(&s, false);
    assert_non_null(strstr(text, "Worked on    by nobody"));
    s.phase = VF_PHASE_FAILED;
    s.error = error;
    s.hint = hint;
    char *vf_autofree failed = print(&s, false);
    assert_null(strstr(failed, "by nobody"));
    assert_null(strstr(failed, "expected"));
    assert_null(strstr(failed, "Cutover"));
    assert_non_null(strstr(failed, "Error        snapshot: no\nHint         look at the host\n"));
}

static void test_status__done_has_the_downtime_that_was_measured(void **state)
{
    (void)state;
    struct vf_migration_status s = copying();
    s.phase = VF_PHASE_DONE;
    s.measured_downtime_ms = 61000;
    char *vf_autofree text = print(&s, false);
    assert_non_null(strstr(text, "Downtime     1:01, measured\n"));
    assert_null(strstr(text, "expected"));
}

static void test_status__nothing_known_is_printed_too(void **state)
{
    (void)state;
    struct vf_migration_status s = {.eta_ms = -1};
    char *vf_autofree text = print(&s, true);
    assert_non_null(strstr(text, "Source       \"?\" at ?\nPhase        preparing\n"));
}

static void test_status_table__a_line_each(void **state)
{
    (void)state;
    struct vf_migration_status s[3] = {copying(), copying(), {.error = error}};
    s[1].phase = VF_PHASE_DONE;
    s[1].measured_downtime_ms = 61000;
    const struct vf_status_row rows[] = {
        {.status = &s[0], .alive = true}, {.status = &s[1]}, {.name = "odd", .status = &s[2]}};
    char *vf_autofree text = vf_status_print_table(rows, 3);
    assert_string_equal(
        text, "NAME   PHASE      ALIVE  ROUND   COPIED       RATE   CHANGED  DOWNTIME  NEXT\n"
              "web01  copying    yes        3  4.8 GiB  5.0 MiB/s  30.0 MiB      0:13  -\n"
              "web01  done       no         3  4.8 GiB          -         -      1:01  -\n"
              "odd    preparing  no         0      0 B          -         -         -  "
              "snapshot: no\n");
}

static void test_status_json__is_the_status_and_who_works_on_it(void **state)
{
    (void)state;
    struct vf_migration_status s = copying(), back = {0};
    const struct vf_status_row row = {.status = &s, .alive = true};
    cJSON *tree = vf_status_to_json(&row);
    assert_true(vf_json_bool(tree, "alive", false));
    cJSON_DeleteItemFromObject(tree, "alive");
    char *vf_autofree text = vf_json_print(tree, false);
    assert_int_equal(vf_migration_status_parse(text, strlen(text), &back, NULL), 0);
    assert_int_equal(back.worst_downtime_ms, 40000);
    vf_migration_status_release(&back);
    cJSON_Delete(tree);
}

int main(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status__copying),
        cmocka_unit_test(test_status__waiting_has_no_rate_and_no_escape_sequence),
        cmocka_unit_test(test_status__nobody_works_on_it_is_said),
        cmocka_unit_test(test_status__done_has_the_downtime_that_was_measured),
        cmocka_unit_test(test_status__nothing_known_is_printed_too),
        cmocka_unit_test(test_status_table__a_line_each),
        cmocka_unit_test(test_status_json__is_the_status_and_who_works_on_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
