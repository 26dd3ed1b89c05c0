/* What others see of a migration: a board in memory stands for theirs. */
#include "jobs/migration/watch.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"

struct memory_board {
    struct vf_board board;
    pthread_mutex_t lock;
    struct vf_migration_request request;
    char *text; /* of the status that was published last */
    unsigned published, cleared;
    int publish_code;
};

struct fixture {
    struct memory_board board;
    struct vf_cancel *cancel;
    struct vf_watch *watch;
    struct vf_error *err;
};

static int publish(struct vf_board *b, const struct vf_migration_status *s, struct vf_error **err)
{
    struct memory_board *m = (struct memory_board *)b;
    pthread_mutex_lock(&m->lock);
    free(m->text);
    m->text = vf_migration_status_encode(s);
    m->published++;
    pthread_mutex_unlock(&m->lock);
    return m->publish_code ? vf_error_set(err, m->publish_code, "no room") : 0;
}

static int fetch_request(struct vf_board *b, struct vf_migration_request *ret,
                         struct vf_error **err)
{
    struct memory_board *m = (struct memory_board *)b;
    (void)err;
    pthread_mutex_lock(&m->lock);
    *ret = m->request;
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int clear_request(struct vf_board *b, struct vf_error **err)
{
    struct memory_board *m = (struct memory_board *)b;
    (void)err;
    pthread_mutex_lock(&m->lock);
    m->request = (struct vf_migration_request){0};
    m->cleared++;
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static void leave(struct fixture *f, enum vf_request_kind kind)
{
    pthread_mutex_lock(&f->board.lock);
    f->board.request = (struct vf_migration_request){.kind = kind};
    pthread_mutex_unlock(&f->board.lock);
}

/* Of the migration's side alone. */
static const struct vf_board_ops ops = {
    .publish = publish, .fetch_request = fetch_request, .clear_request = clear_request};

static void fetch(struct fixture *f, struct vf_migration_status *ret)
{
    pthread_mutex_lock(&f->board.lock);
    assert_non_null(f->board.text);
    assert_int_equal(vf_migration_status_parse(f->board.text, strlen(f->board.text), ret, &f->err),
                     0);
    pthread_mutex_unlock(&f->board.lock);
}

static int set_up(void **state)
{
    struct fixture *f = vf_xcalloc(1, sizeof *f);
    f->board.board.ops = &ops;
    pthread_mutex_init(&f->board.lock, NULL);
    f->cancel = vf_cancel_new(NULL);
    f->watch = vf_watch_new(NULL, f->cancel);
    vf_watch_set_board(f->watch, &f->board.board);
    vf_watch_set_names(f->watch, "web01", "Web 01", "502a", "vc.example", "namespace prod");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vf_watch_free(f->watch);
    vf_cancel_free(f->cancel);
    pthread_mutex_destroy(&f->board.lock);
    free(f->board.text);
    vf_error_free(f->err);
    free(f);
    return 0;
}

static void test_watch_tell__is_published(void **state)
{
    struct fixture *f = *state;
    struct vf_rounds_forecast forecast = {
        .known = true, .downtime_ms = 4000, .worst_downtime_ms = 9000, .expected_bytes = 77};
    struct vf_migration_status s = {0};
    vf_watch_tell(f->watch, VF_PHASE_WAITING, &forecast, "round 2 is over", "round 3 in 60 s",
                  NULL);
    fetch(f, &s);
    assert_string_equal(s.name, "web01");
    assert_string_equal(s.source_vm, "Web 01");
    assert_int_equal(s.phase, VF_PHASE_WAITING);
    assert_string_equal(s.next_step, "round 3 in 60 s");
    assert_true(s.forecast);
    assert_int_equal(s.worst_downtime_ms, 9000);
    assert_null(s.error);
    vf_migration_status_release(&s);
}

static void test_watch_tell__failing_board_changes_nothing(void **state)
{
    struct fixture *f = *state;
    f->board.publish_code = VF_SPACE;
    vf_watch_tell(f->watch, VF_PHASE_COPYING, NULL, "everything", NULL, NULL);
    vf_watch_tell(f->watch, VF_PHASE_SETTLING, NULL, "flush", NULL, NULL);
    assert_true(f->board.published >= 2); /* the watch itself shows it each second too */
}

static void test_watch_wait__takes_a_request_once(void **state)
{
    struct fixture *f = *state;
    struct vf_migration_request r = {0};
    leave(f, VF_REQUEST_CUTOVER);
    assert_int_equal(vf_watch_wait(f->watch, 60000, &r, &f->err), 0);
    assert_int_equal(r.kind, VF_REQUEST_CUTOVER);
    assert_int_equal(f->board.cleared, 1);
    assert_int_equal(vf_watch_wait(f->watch, 0, &r, &f->err), 0);
    assert_int_equal(r.kind, VF_REQUEST_NONE);
}

static void test_watch_wait__ends_with_its_time_or_a_cancellation(void **state)
{
    struct fixture *f = *state;
    struct vf_migration_request r = {0};
    int64_t begin_ms = vf_clock_ms();
    assert_int_equal(vf_watch_wait(f->watch, 50, &r, &f->err), 0);
    assert_true(vf_clock_ms() - begin_ms >= 50);
    vf_cancel_trigger(f->cancel);
    assert_int_equal(vf_watch_wait(f->watch, 60000, &r, &f->err), VF_CANCELLED);
}

static void test_watch_copy__shows_disks_and_their_progress(void **state)
{
    struct fixture *f = *state;
    struct vf_progress progress = {.total_bytes = 1000};
    struct vf_cancel *round = vf_cancel_new(NULL);
    struct vf_migration_status s = {0};
    struct vf_event e = {.type = VF_EVENT_DISK_START, .name = "Hard disk 1", .progress = &progress};
    vf_watch_start(f->watch, round);
    vf_report(vf_watch_reporter(f->watch), &e);
    atomic_store(&progress.done_bytes, 600);
    pthread_mutex_lock(&f->board.lock);
    unsigned before = f->board.published, seen = before;
    pthread_mutex_unlock(&f->board.lock);
    while (seen < before + 2) { /* one may have been under way */
        assert_int_equal(vf_cancel_wait(NULL, 50, NULL), 0);
        pthread_mutex_lock(&f->board.lock);
        seen = f->board.published;
        pthread_mutex_unlock(&f->board.lock);
    }
    e.type = VF_EVENT_DISK_END;
    vf_report(vf_watch_reporter(f->watch), &e);
    assert_false(vf_watch_stop(f->watch));
    assert_false(vf_cancel_is_set(round));
    fetch(f, &s);
    assert_int_equal(s.n_disks, 1);
    assert_string_equal(s.disks[0].name, "Hard disk 1");
    assert_int_equal(s.disks[0].round_bytes, 600);
    assert_int_equal(s.disks[0].round_total_bytes, 1000);
    vf_migration_status_release(&s);
    vf_cancel_free(round);
}

static void test_watch_copy__request_to_cancel_ends_it_and_is_kept(void **state)
{
    struct fixture *f = *state;
    struct vf_cancel *round = vf_cancel_new(NULL);
    struct vf_migration_request r = {0};
    vf_watch_start(f->watch, round);
    leave(f, VF_REQUEST_CANCEL);
    assert_int_equal(vf_cancel_wait(round, 60000, NULL), VF_CANCELLED);
    assert_true(vf_watch_stop(f->watch));
    assert_int_equal(vf_watch_wait(f->watch, 0, &r, &f->err), 0);
    assert_int_equal(r.kind, VF_REQUEST_CANCEL);
    vf_cancel_free(round);
}

static void test_watch_copy__request_to_cut_over_waits(void **state)
{
    struct fixture *f = *state;
    struct vf_cancel *round = vf_cancel_new(NULL);
    struct vf_migration_request r = {0};
    leave(f, VF_REQUEST_CUTOVER);
    vf_watch_start(f->watch, round);
    unsigned cleared = 0;
    while (cleared == 0) {
        assert_int_equal(vf_cancel_wait(NULL, 50, NULL), 0);
        pthread_mutex_lock(&f->board.lock);
        cleared = f->board.cleared;
        pthread_mutex_unlock(&f->board.lock);
    }
    assert_false(vf_watch_stop(f->watch));
    assert_false(vf_cancel_is_set(round));
    assert_int_equal(vf_watch_wait(f->watch, 0, &r, &f->err), 0);
    assert_int_equal(r.kind, VF_REQUEST_CUTOVER);
    vf_cancel_free(round);
}

/* Somebody thinks better of it, hours before the copy is over. */
static void test_watch_copy__request_to_cancel_takes_the_place_of_a_cutover(void **state)
{
    struct fixture *f = *state;
    struct vf_cancel *round = vf_cancel_new(NULL);
    struct vf_migration_request r = {0};
    leave(f, VF_REQUEST_CUTOVER);
    vf_watch_start(f->watch, round);
    unsigned cleared = 0;
    while (cleared == 0) {
        assert_int_equal(vf_cancel_wait(NULL, 50, NULL), 0);
        pthread_mutex_lock(&f->board.lock);
        cleared = f->board.cleared;
        pthread_mutex_unlock(&f->board.lock);
    }
    leave(f, VF_REQUEST_CANCEL);
    assert_int_equal(vf_cancel_wait(round, 60000, NULL), VF_CANCELLED);
    assert_true(vf_watch_stop(f->watch));
    assert_int_equal(vf_watch_wait(f->watch, 0, &r, &f->err), 0);
    assert_int_equal(r.kind, VF_REQUEST_CANCEL);
    vf_cancel_free(round);
}

#define with_watch(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_watch(test_watch_tell__is_published),
        with_watch(test_watch_tell__failing_board_changes_nothing),
        with_watch(test_watch_wait__takes_a_request_once),
        with_watch(test_watch_wait__ends_with_its_time_or_a_cancellation),
        with_watch(test_watch_copy__shows_disks_and_their_progress),
        with_watch(test_watch_copy__request_to_cancel_ends_it_and_is_kept),
        with_watch(test_watch_copy__request_to_cut_over_waits),
        with_watch(test_watch_copy__request_to_cancel_takes_the_place_of_a_cutover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
