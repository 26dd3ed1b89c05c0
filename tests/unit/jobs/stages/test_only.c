#include "jobs/stages/only.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/stages/stage.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/memory_sink.h"
#include "tests/support/vmdk_writer.h"

#define SECTOR    512u
#define N_SECTORS 4000u
#define SIZE      (N_SECTORS * SECTOR)

struct fixture {
    struct memory_sink *memory;
    struct vf_areas areas;
    struct vf_sink *only;
    uint8_t *content;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){.memory = memory_sink_new(SIZE, MEMORY_SINK_ALL)};
    vf_areas_init(&f->areas, 10000, VF_AREAS_REFUSE);
    f->content = calloc(1, SIZE);
    uint64_t rng = 9;
    for (size_t i = 0; i < SIZE; i++) {
        f->content[i] = (uint8_t)vmdk_random(&rng);
    }
}

static void add(struct fixture *f, uint64_t first, uint64_t n)
{
    assert_int_equal(vf_areas_add(&f->areas, first * SECTOR, n * SECTOR, NULL), 0);
}

static void open_stage(struct fixture *f)
{
    f->only = vf_only_stage_new(&f->memory->base, &f->areas);
}

static void end(struct fixture *f)
{
    vf_sink_free(f->only);
    vf_sink_free(&f->memory->base);
    vf_areas_release(&f->areas);
    free(f->content);
}

static int write_sectors(struct fixture *f, uint64_t first, uint64_t n, struct vf_error **err)
{
    return vf_sink_write(f->only, f->content + first * SECTOR, n * SECTOR, first * SECTOR, err);
}

/* Each sector of the set as it should be, each other one never touched. */
static void check_sectors(const struct fixture *f, uint64_t zero_from, uint64_t zero_to)
{
    static const uint8_t zeros[SECTOR];
    for (uint64_t i = 0; i < N_SECTORS; i++) {
        bool in = vf_areas_contains(&f->areas, i * SECTOR, SECTOR);
        assert_int_equal(f->memory->sectors[i], in);
        if (in) {
            const uint8_t *want = i >= zero_from && i < zero_to ? zeros : f->content + i * SECTOR;
            assert_memory_equal(f->memory->content + i * SECTOR, want, SECTOR);
        }
    }
}

static void test_only__extents_are_cut_at_the_edges(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    add(&f, 0, 1);
    add(&f, 5, 10);
    add(&f, 20, 1);
    add(&f, 22, 1);
    add(&f, 100, 1000);
    add(&f, N_SECTORS - 1, 1);
    open_stage(&f);
    assert_int_equal(f.only->size_bytes, SIZE);
    assert_int_equal(f.only->caps, MEMORY_SINK_ALL);
    assert_int_equal(write_sectors(&f, 0, 7, NULL), 0);
    assert_int_equal(write_sectors(&f, 7, 93, NULL), 0);
    assert_int_equal(write_sectors(&f, 100, 100, NULL), 0);
    assert_int_equal(vf_sink_zero(f.only, 200 * SECTOR, 500 * SECTOR, NULL), 0);
    assert_int_equal(write_sectors(&f, 700, N_SECTORS - 700, NULL), 0);
    check_sectors(&f, 200, 700);
    assert_int_equal(vf_sink_finish(f.only, NULL), 0);
    assert_int_equal(f.memory->n_finishes, 0);
    end(&f);
}

static void test_only__empty_set_lets_nothing_through(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    open_stage(&f);
    assert_int_equal(write_sectors(&f, 0, N_SECTORS, NULL), 0);
    assert_int_equal(vf_sink_zero(f.only, 0, SIZE, NULL), 0);
    assert_int_equal(f.memory->n_writes + f.memory->n_zeros, 0);
    assert_int_equal(vf_sink_finish(f.only, NULL), 0);
    end(&f);
}

static void test_only__what_did_not_come_is_told_by_finish(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    begin(&f);
    add(&f, 10, 10);
    open_stage(&f);
    assert_int_equal(write_sectors(&f, 0, 19, NULL), 0);
    int rc = vf_sink_finish(f.only, &err);
    check_error(rc, &err, VF_INTERNAL, "4608 bytes came by where 5120");
    /* Twice is as wrong as never. */
    assert_int_equal(write_sectors(&f, 18, 2, NULL), 0);
    rc = vf_sink_finish(f.only, &err);
    check_error(rc, &err, VF_INTERNAL, "5632 bytes came by where 5120");
    end(&f);
}

static void test_only__what_was_taken_is_not_written_again(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    begin(&f);
    add(&f, 10, 100);
    add(&f, 200, 100);
    add(&f, 1000, 2000);
    f.memory->fail_call = 4;
    open_stage(&f);
    assert_int_equal(write_sectors(&f, 0, 250, NULL), 0);
    assert_int_equal(vf_sink_zero(f.only, 250 * SECTOR, 1000 * SECTOR, &err), VF_SPACE);
    vf_error_clear(&err);
    /* A second try, of what is left: the first two areas, and the half of the second one that
     * was zeroed, are with the target. */
    assert_int_equal(vf_only_stage_subtract(f.only, &f.areas, NULL), 0);
    assert_int_equal(f.areas.total_bytes, 2000 * SECTOR);
    vf_sink_free(f.only);
    open_stage(&f);
    f.memory->fail_call = 0;
    assert_int_equal(write_sectors(&f, 0, N_SECTORS, NULL), 0);
    assert_int_equal(vf_sink_finish(f.only, NULL), 0);
    for (uint64_t i = 0; i < N_SECTORS; i++) {
        bool early = (i >= 10 && i < 110) || (i >= 200 && i < 300);
        bool late = i >= 1000 && i < 3000;
        bool failed = i >= 1000 && i < 1250; /* the sink counts that call too */
        assert_int_equal(f.memory->sectors[i], early + late + failed);
    }
    end(&f);
}

static void test_only__reads_and_flushes_pass(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t buf[SECTOR];
    begin(&f);
    add(&f, 3, 1);
    open_stage(&f);
    assert_int_equal(write_sectors(&f, 3, 1, NULL), 0);
    assert_int_equal(vf_sink_flush(f.only, NULL), 0);
    assert_int_equal(vf_sink_read(f.only, buf, SECTOR, 3 * SECTOR, NULL), 0);
    assert_memory_equal(buf, f.content + 3 * SECTOR, SECTOR);
    end(&f);
}

struct share {
    struct fixture *f;
    uint64_t first;
};

static void *write_share(void *opaque)
{
    const struct share *s = opaque;
    for (uint64_t i = s->first; i < N_SECTORS; i += 4) {
        vf_test_check(write_sectors(s->f, i, 1, NULL) == 0);
    }
    return NULL;
}

static void test_only__several_threads(void **state)
{
    (void)state;
    struct fixture f;
    pthread_t threads[4];
    struct share shares[4];
    begin(&f);
    for (uint64_t i = 0; i + 3 < N_SECTORS; i += 7) {
        add(&f, i, 3);
    }
    open_stage(&f);
    for (unsigned i = 0; i < 4; i++) {
        shares[i] = (struct share){&f, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_share, &shares[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    check_sectors(&f, 0, 0);
    assert_int_equal(vf_sink_finish(f.only, NULL), 0);
    assert_int_equal(vf_only_stage_subtract(f.only, &f.areas, NULL), 0);
    assert_int_equal(f.areas.total_bytes, 0);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only__extents_are_cut_at_the_edges),
        cmocka_unit_test(test_only__empty_set_lets_nothing_through),
        cmocka_unit_test(test_only__what_did_not_come_is_told_by_finish),
        cmocka_unit_test(test_only__what_was_taken_is_not_written_again),
        cmocka_unit_test(test_only__reads_and_flushes_pass),
        cmocka_unit_test(test_only__several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
