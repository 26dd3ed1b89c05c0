#include "jobs/stages/journal.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/memory_sink.h"

#define SIZE ((uint64_t)4 << 20)

/* What the journal told, and the disk that it stands in front of. */
struct told {
    struct memory_sink *m;
    struct vf_sink *journal;
    pthread_mutex_t lock;
    struct vf_areas areas;
    unsigned n;
    uint64_t bytes;
    int fail;
};

static int take_note(void *opaque, const struct vf_areas *areas, struct vf_error **err)
{
    struct told *t = opaque;
    pthread_mutex_lock(&t->lock);
    t->n++;
    t->bytes += areas->total_bytes;
    vf_test_check(t->m->n_flushes > 0 && areas->count > 0);
    vf_test_check(vf_areas_add_all(&t->areas, areas, NULL) == 0);
    pthread_mutex_unlock(&t->lock);
    return t->fail ? vf_error_set(err, (enum vf_code)t->fail, "the note was not taken") : 0;
}

static void init(struct told *t, uint64_t interval_bytes, int64_t interval_ms)
{
    *t = (struct told){.m = memory_sink_new(SIZE, MEMORY_SINK_ALL)};
    pthread_mutex_init(&t->lock, NULL);
    vf_areas_init(&t->areas, 1000, VF_AREAS_REFUSE);
    t->journal = vf_journal_stage_new(&t->m->base, take_note, t);
    vf_journal_begin(t->journal, interval_bytes, interval_ms);
}

static void release(struct told *t)
{
    vf_sink_free(t->journal);
    vf_areas_release(&t->areas);
    pthread_mutex_destroy(&t->lock);
}

static const uint8_t data[65536] = {1};

static void test_journal__flushes_each_interval_and_tells_what_is_safe(void **state)
{
    (void)state;
    struct told t;
    init(&t, 65536, 0);
    for (uint64_t at = 0; at < 65536 - 8192; at += 8192) {
        assert_int_equal(vf_sink_write(t.journal, data, 8192, at, NULL), 0);
    }
    assert_int_equal(t.m->n_flushes, 0);
    assert_int_equal(t.n, 0);
    assert_int_equal(vf_sink_zero(t.journal, 1 << 20, 8192, NULL), 0);
    assert_int_equal(t.m->n_flushes, 1);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.areas.count, 2);
    assert_int_equal(t.areas.total_bytes, 65536);
    assert_true(vf_areas_contains(&t.areas, 0, 65536 - 8192));
    assert_true(vf_areas_contains(&t.areas, 1 << 20, 8192));
    assert_int_equal(vf_sink_write(t.journal, data, 512, 2 << 20, NULL), 0);
    assert_int_equal(t.n, 1);
    assert_int_equal(vf_sink_flush(t.journal, NULL), 0);
    assert_int_equal(t.n, 2);
    assert_true(vf_areas_contains(&t.areas, 2 << 20, 512));
    assert_int_equal(vf_sink_flush(t.journal, NULL), 0); /* nothing new: nothing told */
    assert_int_equal(t.n, 2);
    assert_int_equal(t.m->n_flushes, 3);
    release(&t);
}

/* What a kill costs: less than an interval, at any time. */
static void test_journal__never_more_than_an_interval_is_not_safe(void **state)
{
    (void)state;
    struct told t;
    init(&t, 100000, 0);
    uint64_t written = 0, rng = 5;
    for (uint64_t at = 0, n; at < SIZE; at += n) {
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        n = 512 * (1 + (rng >> 33) % 128);
        n = n < SIZE - at ? n : SIZE - at;
        int rc = (rng >> 60) % 2 ? vf_sink_write(t.journal, data, n, at, NULL)
                                 : vf_sink_zero(t.journal, at, n, NULL);
        assert_int_equal(rc, 0);
        written += n;
        assert_true(written - t.bytes < 100000);
    }
    assert_true(t.m->n_flushes <= SIZE / 100000);
    release(&t);
}

static void test_journal__flushes_by_time(void **state)
{
    (void)state;
    struct told t;
    init(&t, UINT64_MAX, 1);
    for (unsigned i = 0; t.n == 0; i++) {
        vf_test_check(i < 30000);
        assert_int_equal(vf_sink_write(t.journal, data, 512, 0, NULL), 0);
        usleep(1000);
    }
    release(&t);
}

static void test_journal__what_failed_is_not_told(void **state)
{
    (void)state;
    struct told t;
    struct vf_error *err = NULL;
    init(&t, 65536, 0);
    assert_int_equal(vf_sink_write(t.journal, data, 4096, 0, NULL), 0);
    assert_int_equal(vf_sink_write(t.journal, data, 4096, 8192, NULL), 0);
    t.m->fail_call = 3;
    check_error(vf_sink_write(t.journal, data, 4096, 4096, &err), &err, VF_SPACE, "full");
    check_error(vf_sink_write(t.journal, data, 512, 0, &err), &err, VF_SPACE, "full");
    assert_int_equal(vf_journal_health(t.journal), VF_JOURNAL_WRITE_FAILED);
    assert_int_equal(vf_sink_flush(t.journal, NULL), 0);
    assert_int_equal(t.areas.total_bytes, 4096 + 4096 - 512);
    assert_false(vf_areas_overlaps(&t.areas, 4096, 4096));
    assert_false(vf_areas_overlaps(&t.areas, 0, 512));
    release(&t);
}

/* The kernel forgets pages that it could not write: a later fsync is good without them. */
static void test_journal__after_a_failed_flush_nothing_is_told_any_more(void **state)
{
    (void)state;
    struct told t;
    struct vf_error *err = NULL;
    init(&t, 8192, 0);
    t.m->fail_flush = true;
    assert_int_equal(vf_sink_write(t.journal, data, 4096, 0, NULL), 0);
    check_error(vf_sink_write(t.journal, data, 4096, 4096, &err), &err, VF_INTERNAL, "flushed");
    assert_int_equal(vf_journal_health(t.journal), VF_JOURNAL_FLUSH_FAILED);
    t.m->fail_flush = false;
    assert_int_equal(vf_sink_write(t.journal, data, 4096, 8192, NULL), 0);
    check_error(vf_sink_flush(t.journal, &err), &err, VF_INTERNAL, "earlier flush");
    assert_int_equal(t.n, 0);
    release(&t);
}

static void test_journal__a_note_that_is_not_taken_fails_the_write(void **state)
{
    (void)state;
    struct told t;
    struct vf_error *err = NULL;
    init(&t, 4096, 0);
    t.fail = VF_SPACE;
    check_error(vf_sink_write(t.journal, data, 4096, 0, &err), &err, VF_SPACE, "not taken");
    assert_int_equal(vf_journal_health(t.journal), VF_JOURNAL_WELL);
    release(&t);
}

static void test_journal__a_new_round_forgets_what_was_not_flushed(void **state)
{
    (void)state;
    struct told t;
    init(&t, 65536, 0);
    assert_int_equal(vf_sink_write(t.journal, data, 4096, 0, NULL), 0);
    vf_journal_begin(t.journal, 65536, 0);
    assert_int_equal(vf_sink_flush(t.journal, NULL), 0);
    assert_int_equal(t.n, 0);
    release(&t);
}

struct writer {
    struct told *t;
    unsigned index;
    pthread_t thread;
};

#define WRITERS 8u

static void *write_part(void *opaque)
{
    struct writer *w = opaque;
    for (uint64_t at = w->index * 4096u; at < SIZE; at += WRITERS * 4096u) {
        vf_test_check(vf_sink_write(w->t->journal, data, 4096, at, NULL) == 0);
    }
    return NULL;
}

/* The sink checks that no write is under way while it is flushed. */
static void test_journal__many_writers_lose_nothing(void **state)
{
    (void)state;
    struct told t;
    struct writer writers[WRITERS];
    init(&t, 40000, 0);
    t.m->slow_us = 20;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.t = &t, .index = i};
        vf_test_check(pthread_create(&writers[i].thread, NULL, write_part, &writers[i]) == 0);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    assert_int_equal(vf_sink_flush(t.journal, NULL), 0);
    assert_int_equal(t.bytes, SIZE); /* each byte once */
    assert_true(vf_areas_contains(&t.areas, 0, SIZE));
    assert_true(t.n > SIZE / (40000 + WRITERS * 4096) / 2);
    assert_true(t.m->most_inside > 1);
    release(&t);
}

static void test_journal__interval_is_a_hundredth_within_limits(void **state)
{
    (void)state;
    assert_int_equal(vf_journal_interval_bytes(0), 8u << 20);
    assert_int_equal(vf_journal_interval_bytes((uint64_t)10 << 30), ((uint64_t)10 << 30) / 100);
    assert_int_equal(vf_journal_interval_bytes((uint64_t)62 << 40), 1u << 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal__flushes_each_interval_and_tells_what_is_safe),
        cmocka_unit_test(test_journal__never_more_than_an_interval_is_not_safe),
        cmocka_unit_test(test_journal__flushes_by_time),
        cmocka_unit_test(test_journal__what_failed_is_not_told),
        cmocka_unit_test(test_journal__after_a_failed_flush_nothing_is_told_any_more),
        cmocka_unit_test(test_journal__a_note_that_is_not_taken_fails_the_write),
        cmocka_unit_test(test_journal__a_new_round_forgets_what_was_not_flushed),
        cmocka_unit_test(test_journal__many_writers_lose_nothing),
        cmocka_unit_test(test_journal__interval_is_a_hundredth_within_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
