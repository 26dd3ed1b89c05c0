#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/mem.h"
#include "jobs/migration/follow.h"
#include "tests/support/event_log.h"

/* What a board shows, one look after the other; the last one for ever. */
struct look {
    int rc; /* of fetch_status */
    bool alive;
    enum vf_migration_phase phase;
    const char *detail, *error;
    uint32_t round;
    uint64_t done_bytes, total_bytes; /* of disk 1 of 2; the other has nothing to copy */
};

struct fake_board {
    struct vf_board base;
    const struct look *looks;
    size_t n, at;
};

static const struct look *current(const struct fake_board *b)
{
    return &b->looks[b->at < b->n ? b->at : b->n - 1];
}

static struct vf_migration_status status_of(const struct look *l)
{
    struct vf_migration_status s = {.name = vf_xstrdup("new01"),
                                    .source_vm = vf_xstrdup("web01"),
                                    .phase = l->phase,
                                    .detail = vf_xstrdup(l->detail),
                                    .error = vf_xstrdup(l->error),
                                    .round = l->round,
                                    .n_disks = 2};
    s.disks = vf_xcalloc(2, sizeof *s.disks);
    s.disks[1].name = vf_xstrdup("Hard disk 2");
    s.disks[1].round_bytes = l->done_bytes;
    s.disks[1].round_total_bytes = l->total_bytes;
    return s;
}

static int fetch_alive(struct vf_board *b, bool *ret_alive, struct vf_error **err)
{
    (void)err;
    *ret_alive = current((struct fake_board *)b)->alive;
    return 0;
}

static int fetch_status(struct vf_board *b, struct vf_migration_status *ret, struct vf_error **err)
{
    struct fake_board *fake = (struct fake_board *)b;
    const struct look *l = current(fake);
    fake->at++;
    if (l->rc) {
        return vf_error_set(err, (enum vf_code)l->rc, "the board says no");
    }
    *ret = status_of(l);
    return 0;
}

static const struct vf_board_ops ops = {.fetch_alive = fetch_alive, .fetch_status = fetch_status};

struct followed {
    int rc;
    struct vf_error *err;
    struct vf_migration_status last;
    struct vf_test_events events;
};

static void follow(struct followed *f, const struct look *looks, size_t n, int64_t patience_ms)
{
    struct fake_board board = {.base = {.ops = &ops}, .looks = looks, .n = n};
    *f = (struct followed){0};
    vf_test_events_init(&f->events);
    struct vf_follow *follower = vf_follow_new(&f->events.reporter);
    f->rc = vf_follow_run(follower, &board.base, patience_ms, NULL, &f->last, &f->err);
    vf_follow_free(follower);
}

static void release(struct followed *f)
{
    vf_error_free(f->err);
    vf_migration_status_release(&f->last);
    vf_test_events_release(&f->events);
}

#define LOOKS(array) (array), sizeof(array) / sizeof *(array)

static void test_follow__tells_phases_and_disks_to_the_end(void **state)
{
    (void)state;
    const struct look looks[] = {
        {.alive = true, .phase = VF_PHASE_COPYING, .detail = "round 1", .round = 1},
        {.alive = true,
         .phase = VF_PHASE_COPYING,
         .detail = "round 1",
         .round = 1,
         .done_bytes = 10,
         .total_bytes = 100},
        {.alive = true,
         .phase = VF_PHASE_COPYING,
         .detail = "round 1",
         .round = 1,
         .done_bytes = 999,
         .total_bytes = 100}, /* cannot be, and is not shown */
        {.alive = true,
         .phase = VF_PHASE_WAITING,
         .detail = "a minute",
         .round = 1,
         .error = "copy: lost"},
        {.alive = false, .phase = VF_PHASE_DONE, .detail = "there", .round = 1},
    };
    struct followed f;
    follow(&f, LOOKS(looks), 60000);
    assert_int_equal(f.rc, 0);
    assert_int_equal(f.last.phase, VF_PHASE_DONE);
    assert_int_equal(vf_follow_end(&f.last, &f.err), 0);
    char *vf_autofree text = vf_test_events_text(&f.events);
    assert_string_equal(text, "phase web01 copying: round 1\n"
                              "disk_start web01 1 Hard disk 2 0/100\n"
                              "disk_end web01 1 Hard disk 2 100/100 ok: \n"
                              "phase web01 waiting: a minute\n"
                              "warning web01: copy: lost\n"
                              "phase web01 done: there\n");
    release(&f);
}

static void test_follow__failure_is_the_error_of_the_status(void **state)
{
    (void)state;
    const struct look looks[] = {
        {.alive = true, .phase = VF_PHASE_STOPPING},
        {.alive = true, .phase = VF_PHASE_FAILED, .error = "the guest does not shut down"},
    };
    struct followed f;
    follow(&f, LOOKS(looks), 60000);
    assert_int_equal(f.rc, 0);
    assert_int_equal(vf_follow_end(&f.last, &f.err), VF_CONFLICT);
    char *vf_autofree text = vf_error_format(f.err);
    assert_string_equal(text, "the migration \"new01\" failed: the guest does not shut down");
    /* Whoever followed it tells that, once. */
    assert_false(vf_test_events_has(&f.events, "shut down"));
    release(&f);
}

static void test_follow__cancelled_is_cancelled(void **state)
{
    (void)state;
    const struct look looks[] = {
        {.alive = true, .phase = VF_PHASE_WAITING},
        {.alive = false, .phase = VF_PHASE_CANCELLED},
    };
    struct followed f;
    follow(&f, LOOKS(looks), 60000);
    assert_int_equal(f.rc, 0);
    assert_int_equal(vf_follow_end(&f.last, &f.err), VF_CANCELLED);
    release(&f);
}

static void test_follow__end_of_an_earlier_run_is_waited_out(void **state)
{
    (void)state;
    const struct look looks[] = {
        {.alive = true, .phase = VF_PHASE_FAILED, .error = "of yesterday"},
        {.alive = true, .phase = VF_PHASE_COPYING},
        {.alive = true, .phase = VF_PHASE_DONE},
    };
    struct followed f;
    follow(&f, LOOKS(looks), 60000);
    assert_int_equal(f.rc, 0);
    assert_int_equal(f.last.phase, VF_PHASE_DONE);
    assert_false(vf_test_events_has(&f.events, "failed"));
    release(&f);
}

static void test_follow__nobody_is_a_conflict_after_a_while(void **state)
{
    (void)state;
    const struct look looks[] = {
        {.alive = true, .phase = VF_PHASE_COPYING},
        {.alive = false, .phase = VF_PHASE_COPYING},
    };
    struct followed f;
    follow(&f, LOOKS(looks), 1000);
    assert_int_equal(f.rc, VF_CONFLICT);
    assert_non_null(strstr(vf_error_message(f.err), "last seen copying"));
    assert_non_null(strstr(vf_error_get_hint(f.err), "vmferry migrate --warm"));
    release(&f);
}

static void test_follow__board_that_comes_back_is_good(void **state)
{
    (void)state;
    const struct look looks[] = {
        {.alive = true, .rc = VF_MISSING}, /* nothing was published yet */
        {.alive = true, .rc = VF_RETRY},   {.alive = true, .phase = VF_PHASE_COPYING},
        {.alive = true, .rc = VF_RETRY},   {.alive = true, .phase = VF_PHASE_DONE},
    };
    struct followed f;
    follow(&f, LOOKS(looks), 60000);
    assert_int_equal(f.rc, 0);
    release(&f);
}

static void test_follow__other_errors_end_it(void **state)
{
    (void)state;
    static const int codes[] = {VF_INVALID, VF_AUTH, VF_UNSUPPORTED};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        const struct look looks[] = {{.alive = true, .rc = codes[i]}};
        struct followed f;
        follow(&f, LOOKS(looks), 60000);
        assert_int_equal(f.rc, codes[i]);
        assert_non_null(f.err);
        release(&f);
    }
    const struct look gone[] = {{.alive = false, .rc = VF_MISSING}};
    struct followed f;
    follow(&f, LOOKS(gone), 60000);
    assert_int_equal(f.rc, VF_MISSING);
    release(&f);
}

static void test_follow__stops_when_cancelled(void **state)
{
    (void)state;
    const struct look looks[] = {{.alive = true, .phase = VF_PHASE_WAITING}};
    struct fake_board board = {.base = {.ops = &ops}, .looks = LOOKS(looks)};
    struct vf_migration_status last = {0};
    struct vf_error *err = NULL;
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    vf_cancel_trigger(cancel);
    struct vf_follow *f = vf_follow_new(NULL);
    assert_int_equal(vf_follow_run(f, &board.base, 60000, cancel, &last, &err), VF_CANCELLED);
    vf_follow_free(f);
    vf_error_free(err);
    vf_cancel_free(cancel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follow__tells_phases_and_disks_to_the_end),
        cmocka_unit_test(test_follow__failure_is_the_error_of_the_status),
        cmocka_unit_test(test_follow__cancelled_is_cancelled),
        cmocka_unit_test(test_follow__end_of_an_earlier_run_is_waited_out),
        cmocka_unit_test(test_follow__nobody_is_a_conflict_after_a_while),
        cmocka_unit_test(test_follow__board_that_comes_back_is_good),
        cmocka_unit_test(test_follow__other_errors_end_it),
        cmocka_unit_test(test_follow__stops_when_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
