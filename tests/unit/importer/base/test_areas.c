#include "importer/base/areas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"

/* xorshift64*: the same histories everywhere. */
static uint64_t random_u64(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static uint64_t random_below(uint64_t *state, uint64_t n)
{
    return random_u64(state) % n;
}

/* Ascending, apart from each other, counted: what every set promises. */
static void check_form(const struct vf_areas *s)
{
    struct vf_area a;
    uint64_t total = 0, from = 0;
    size_t count = 0;
    while (vf_areas_next(s, from, &a)) {
        assert_true(a.length_bytes > 0);
        assert_true(count == 0 || a.offset_bytes > from);
        total += a.length_bytes;
        count++;
        from = a.offset_bytes + a.length_bytes;
    }
    assert_int_equal(count, s->count);
    assert_int_equal(total, s->total_bytes);
    assert_true(count <= s->max);
}

static void assert_areas(const struct vf_areas *s, size_t n, const struct vf_area *want)
{
    check_form(s);
    assert_int_equal(s->count, n);
    struct vf_area a;
    uint64_t from = 0;
    for (size_t i = 0; i < n; i++) {
        assert_true(vf_areas_next(s, from, &a));
        assert_int_equal(a.offset_bytes, want[i].offset_bytes);
        assert_int_equal(a.length_bytes, want[i].length_bytes);
        from = a.offset_bytes + a.length_bytes;
    }
}

#define ASSERT_AREAS(s, ...)                                                                       \
    do {                                                                                           \
        const struct vf_area want_[] = {__VA_ARGS__};                                              \
        assert_areas(s, sizeof want_ / sizeof *want_, want_);                                      \
    } while (0)

static void fill(struct vf_areas *s, size_t n, const struct vf_area *areas)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(vf_areas_add(s, areas[i].offset_bytes, areas[i].length_bytes, NULL), 0);
    }
}

#define FILL(s, ...)                                                                               \
    do {                                                                                           \
        const struct vf_area given_[] = {__VA_ARGS__};                                             \
        fill(s, sizeof given_ / sizeof *given_, given_);                                           \
    } while (0)

static void test_areas__what_touches_becomes_one(void **state)
{
    (void)state;
    struct vf_areas s;
    vf_areas_init(&s, 100, VF_AREAS_REFUSE);
    FILL(&s, {10, 5}, {20, 5}, {0, 1}, {7, 0});
    ASSERT_AREAS(&s, {0, 1}, {10, 5}, {20, 5});
    FILL(&s, {15, 5});
    ASSERT_AREAS(&s, {0, 1}, {10, 15});
    FILL(&s, {1, 8});
    ASSERT_AREAS(&s, {0, 9}, {10, 15});
    FILL(&s, {3, 100});
    ASSERT_AREAS(&s, {0, 103});
    vf_areas_clear(&s);
    assert_areas(&s, 0, NULL);
    vf_areas_release(&s);
    vf_areas_release(&s);
}

static void test_areas__subtraction_cuts_and_splits(void **state)
{
    (void)state;
    struct vf_areas s;
    vf_areas_init(&s, 100, VF_AREAS_REFUSE);
    assert_int_equal(vf_areas_subtract(&s, 0, UINT64_MAX, NULL), 0);
    FILL(&s, {0, 100});
    assert_int_equal(vf_areas_subtract(&s, 40, 20, NULL), 0);
    assert_int_equal(vf_areas_subtract(&s, 0, 5, NULL), 0);
    assert_int_equal(vf_areas_subtract(&s, 99, 50, NULL), 0);
    assert_int_equal(vf_areas_subtract(&s, 50, 0, NULL), 0);
    ASSERT_AREAS(&s, {5, 35}, {60, 39});
    assert_int_equal(vf_areas_subtract(&s, 20, 60, NULL), 0);
    ASSERT_AREAS(&s, {5, 15}, {80, 19});
    assert_int_equal(vf_areas_subtract(&s, 0, 1000, NULL), 0);
    assert_areas(&s, 0, NULL);
    vf_areas_release(&s);
}

static void test_areas__beyond_any_disk_is_range(void **state)
{
    (void)state;
    struct vf_areas s;
    vf_areas_init(&s, 100, VF_AREAS_WIDEN);
    struct vf_error *err = NULL;
    assert_int_equal(vf_areas_add(&s, UINT64_MAX, 1, &err), VF_RANGE);
    assert_non_null(strstr(vf_error_message(err), "beyond any disk"));
    vf_error_clear(&err);
    assert_int_equal(vf_areas_subtract(&s, 2, UINT64_MAX, NULL), VF_RANGE);
    assert_int_equal(vf_areas_add(&s, UINT64_MAX - 4, 4, NULL), 0);
    assert_false(vf_areas_contains(&s, UINT64_MAX - 1, 2));
    assert_true(vf_areas_contains(&s, UINT64_MAX - 4, 4));
    assert_true(vf_areas_overlaps(&s, 0, UINT64_MAX));
    assert_true(vf_areas_overlaps(&s, 5, UINT64_MAX));
    ASSERT_AREAS(&s, {UINT64_MAX - 4, 4});
    /* Rounding up has no next granule there. */
    struct vf_areas_walk walk = {.size_bytes = UINT64_MAX, .granule_bytes = 4096, .max_bytes = 1};
    struct vf_area piece;
    assert_true(vf_areas_next_piece(&s, &walk, 0, &piece));
    assert_int_equal(piece.offset_bytes, UINT64_MAX - 4095);
    assert_int_equal(piece.length_bytes, 4095);
    assert_false(vf_areas_next_piece(&s, &walk, UINT64_MAX, &piece));
    vf_areas_release(&s);
}

static void test_areas__a_full_set_that_refuses_is_unchanged(void **state)
{
    (void)state;
    struct vf_areas s;
    vf_areas_init(&s, 1, VF_AREAS_REFUSE); /* counts as 4 */
    FILL(&s, {0, 1}, {10, 10}, {30, 1}, {40, 1});
    struct vf_error *err = NULL;
    assert_int_equal(vf_areas_add(&s, 50, 1, &err), VF_SPACE);
    assert_non_null(err);
    vf_error_clear(&err);
    assert_int_equal(vf_areas_subtract(&s, 12, 1, NULL), VF_SPACE);
    ASSERT_AREAS(&s, {0, 1}, {10, 10}, {30, 1}, {40, 1});
    assert_false(s.inexact);
    FILL(&s, {1, 1}, {31, 9});
    ASSERT_AREAS(&s, {0, 2}, {10, 10}, {30, 11});
    vf_areas_release(&s);
}

static void test_areas__a_full_set_widens_over_its_smallest_gaps(void **state)
{
    (void)state;
    struct vf_areas s;
    vf_areas_init(&s, 4, VF_AREAS_WIDEN);
    FILL(&s, {0, 10}, {11, 10}, {1000, 10}, {2000, 10});
    assert_false(s.inexact);
    FILL(&s, {2013, 10});
    assert_true(s.inexact);
    ASSERT_AREAS(&s, {0, 21}, {1000, 10}, {2000, 23});
    vf_areas_clear(&s);
    assert_false(s.inexact);
    vf_areas_release(&s);
}

static void test_areas__a_full_set_drops_its_smallest_areas(void **state)
{
    (void)state;
    struct vf_areas s;
    vf_areas_init(&s, 4, VF_AREAS_DROP);
    FILL(&s, {0, 10}, {20, 1}, {1000, 10}, {2000, 3}, {3000, 100});
    assert_true(s.inexact);
    ASSERT_AREAS(&s, {0, 10}, {1000, 10}, {3000, 100});
    vf_areas_limit(&s, 0);
    ASSERT_AREAS(&s, {3000, 100});
    vf_areas_release(&s);
}

static void test_areas__gaps_up_to_the_limit_are_merged(void **state)
{
    (void)state;
    struct vf_areas s;
    vf_areas_init(&s, 100, VF_AREAS_REFUSE);
    vf_areas_merge(&s, 100);
    FILL(&s, {0, 10}, {14, 6}, {25, 5}, {40, 10});
    vf_areas_merge(&s, 0);
    assert_int_equal(s.count, 4);
    vf_areas_merge(&s, 4);
    ASSERT_AREAS(&s, {0, 20}, {25, 5}, {40, 10});
    vf_areas_merge(&s, UINT64_MAX);
    ASSERT_AREAS(&s, {0, 50});
    vf_areas_release(&s);
}

static void test_areas__bridges_only_over_what_was_not_wanted(void **state)
{
    (void)state;
    struct vf_areas done, wanted;
    vf_areas_init(&done, 100, VF_AREAS_DROP);
    vf_areas_init(&wanted, 100, VF_AREAS_WIDEN);
    FILL(&wanted, {10, 10}, {30, 10}, {50, 10}, {70, 10});
    FILL(&done, {10, 10}, {30, 10}, {52, 8}, {70, 1});
    vf_areas_bridge(&done, &wanted);
    ASSERT_AREAS(&done, {10, 30}, {52, 19});
    vf_areas_release(&done);
    vf_areas_release(&wanted);
}

static void test_areas__shrinks_to_whole_granules_but_for_the_end(void **state)
{
    (void)state;
    struct vf_areas s;
    vf_areas_init(&s, 100, VF_AREAS_DROP);
    vf_areas_shrink(&s, 512, 5000);
    FILL(&s, {1, 511}, {600, 1500}, {2560, 512}, {4000, 1000});
    vf_areas_shrink(&s, 512, 5000);
    ASSERT_AREAS(&s, {1024, 1024 - 512 + 512}, {2560, 512}, {4096, 904});
    FILL(&s, {4500, 4000});
    vf_areas_shrink(&s, 512, 5000);
    ASSERT_AREAS(&s, {1024, 1024}, {2560, 512}, {4096, 904});
    vf_areas_shrink(&s, 512, 1500);
    ASSERT_AREAS(&s, {1024, 476});
    vf_areas_release(&s);
}

static void test_areas__pieces_are_aligned_joined_and_cut(void **state)
{
    (void)state;
    struct vf_areas s;
    vf_areas_init(&s, 100, VF_AREAS_REFUSE);
    struct vf_areas_walk walk = {
        .size_bytes = 100000, .granule_bytes = 4096, .gap_bytes = 4096, .max_bytes = 20000};
    FILL(&s, {100, 10}, {200, 10}, {8192, 1}, {40000, 40000}, {99999, 500}, {200000, 5});
    static const struct vf_area want[] = {
        {0, 12288},     /* two in one granule, one behind a gap that is worth it */
        {36864, 16384}, /* the longest piece, in whole granules */
        {53248, 16384}, {69632, 12288}, {98304, 1696}, /* to the disk's end */
    };
    struct vf_area piece;
    uint64_t from = 0;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_true(vf_areas_next_piece(&s, &walk, from, &piece));
        assert_int_equal(piece.offset_bytes, want[i].offset_bytes);
        assert_int_equal(piece.length_bytes, want[i].length_bytes);
        from = piece.offset_bytes + piece.length_bytes;
    }
    assert_false(vf_areas_next_piece(&s, &walk, from, &piece));
    walk.gap_bytes = 4095;
    assert_true(vf_areas_next_piece(&s, &walk, 0, &piece));
    assert_int_equal(piece.length_bytes, 4096);
    /* A gap is not read when the piece would end within it. */
    walk.gap_bytes = 1u << 20;
    assert_true(vf_areas_next_piece(&s, &walk, 0, &piece));
    assert_int_equal(piece.length_bytes, 12288);
    vf_areas_release(&s);
}

/* A set beside a map of the same bytes. */
#define MODEL_BYTES 3000

struct model {
    struct vf_areas s;
    bool has[MODEL_BYTES];
};

static void model_check(const struct model *m)
{
    check_form(&m->s);
    for (uint64_t i = 0; i < MODEL_BYTES; i++) {
        bool has = vf_areas_contains(&m->s, i, 1);
        if (m->s.full == VF_AREAS_REFUSE) {
            assert_int_equal(has, m->has[i]);
        }
        if (m->s.full == VF_AREAS_WIDEN) {
            assert_true(has || !m->has[i]);
        }
        if (m->s.full == VF_AREAS_DROP) {
            assert_true(!has || m->has[i]);
        }
    }
}

static void model_change(struct model *m, uint64_t *seed)
{
    uint64_t offset = random_below(seed, MODEL_BYTES);
    uint64_t longest = random_below(seed, 4) == 0 ? 600 : 6;
    uint64_t length = random_below(seed, longest);
    length = offset + length > MODEL_BYTES ? MODEL_BYTES - offset : length;
    bool add = random_below(seed, 3) > 0;
    int rc = add ? vf_areas_add(&m->s, offset, length, NULL)
                 : vf_areas_subtract(&m->s, offset, length, NULL);
    assert_int_equal(rc, 0);
    memset(m->has + offset, add, length);
}

static void model_random(struct model *m, uint64_t *seed, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        model_change(m, seed);
    }
}

static void test_areas__are_what_a_map_of_bytes_is(void **state)
{
    (void)state;
    static const enum vf_areas_full rules[] = {VF_AREAS_REFUSE, VF_AREAS_WIDEN, VF_AREAS_DROP};
    for (unsigned rule = 0; rule < 3; rule++) {
        for (uint64_t run = 1; run <= 40; run++) {
            uint64_t seed = run * 7919 + rule;
            struct model *m = vf_xcalloc(1, sizeof *m);
            vf_areas_init(&m->s, rules[rule] == VF_AREAS_REFUSE ? 4000 : 20 * run, rules[rule]);
            for (unsigned i = 0; i < 20; i++) {
                model_random(m, &seed, 25);
                model_check(m);
            }
            vf_areas_release(&m->s);
            free(m);
        }
    }
}

static void test_areas__whole_sets_combine_as_maps_do(void **state)
{
    (void)state;
    static int (*const ops[])(struct vf_areas *, const struct vf_areas *, struct vf_error **) = {
        vf_areas_add_all, vf_areas_subtract_all, vf_areas_intersect, vf_areas_copy};
    struct model *a = vf_xcalloc(1, sizeof *a), *b = vf_xcalloc(1, sizeof *b);
    for (uint64_t run = 0; run < 200; run++) {
        uint64_t seed = run + 1;
        memset(a, 0, sizeof *a);
        memset(b, 0, sizeof *b);
        vf_areas_init(&a->s, 4000, VF_AREAS_REFUSE);
        vf_areas_init(&b->s, 4000, VF_AREAS_REFUSE);
        model_random(a, &seed, (unsigned)random_below(&seed, 300));
        model_random(b, &seed, (unsigned)random_below(&seed, 300));
        assert_int_equal(ops[run % 4](&a->s, &b->s, NULL), 0);
        for (unsigned i = 0; i < MODEL_BYTES; i++) {
            const bool x = a->has[i], y = b->has[i];
            const bool results[] = {x || y, x && !y, x && y, y};
            a->has[i] = results[run % 4];
        }
        model_check(a);
        model_check(b);
        vf_areas_release(&a->s);
        vf_areas_release(&b->s);
    }
    free(a);
    free(b);
}

/* Every wanted byte is in one piece, all are aligned, and no gap is read that is too large. */
static void test_areas__pieces_hold_all_and_do_not_overlap(void **state)
{
    (void)state;
    struct model *m = vf_xcalloc(1, sizeof *m);
    for (uint64_t run = 1; run <= 200; run++) {
        uint64_t seed = run;
        memset(m, 0, sizeof *m);
        vf_areas_init(&m->s, 4000, VF_AREAS_REFUSE);
        model_random(m, &seed, (unsigned)random_below(&seed, 200));
        struct vf_areas_walk walk = {.size_bytes = MODEL_BYTES - random_below(&seed, 100),
                                     .granule_bytes = UINT64_C(1) << random_below(&seed, 6),
                                     .gap_bytes = random_below(&seed, 50),
                                     .max_bytes = random_below(&seed, 300)};
        struct vf_area piece;
        uint64_t from = 0, bytes = 0;
        while (vf_areas_next_piece(&m->s, &walk, from, &piece)) {
            uint64_t end = piece.offset_bytes + piece.length_bytes;
            assert_true(piece.offset_bytes >= from && end <= walk.size_bytes);
            assert_int_equal(piece.offset_bytes % walk.granule_bytes, 0);
            assert_true(end == walk.size_bytes || end % walk.granule_bytes == 0);
            assert_true(piece.length_bytes > 0 && (piece.length_bytes <= walk.max_bytes ||
                                                   piece.length_bytes <= walk.granule_bytes));
            assert_true(vf_areas_overlaps(&m->s, piece.offset_bytes, piece.length_bytes));
            uint64_t unwanted = 0; /* in a row: a gap, and what widens the areas around it */
            for (uint64_t i = piece.offset_bytes; i < end; i++) {
                bytes += m->has[i];
                unwanted = m->has[i] ? 0 : unwanted + 1;
                assert_true(unwanted < walk.gap_bytes + 2 * walk.granule_bytes);
            }
            from = end;
        }
        for (uint64_t i = 0; i < walk.size_bytes; i++) {
            bytes -= m->has[i];
        }
        assert_int_equal(bytes, 0);
        vf_areas_release(&m->s);
    }
    free(m);
}

/* A million areas in an order that is nobody's friend, and taken away again in another. */
#define MANY ((uint64_t)1 << 20)

static void test_areas__a_million_in_any_order(void **state)
{
    (void)state;
    struct vf_areas s;
    vf_areas_init(&s, MANY, VF_AREAS_REFUSE);
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t where = i * UINT64_C(2654435761) % MANY; /* odd: every one once */
        assert_int_equal(vf_areas_add(&s, where * 8192, 4096, NULL), 0);
    }
    assert_int_equal(s.count, MANY);
    assert_int_equal(s.total_bytes, MANY * 4096);
    assert_true(s.n_blocks <= MANY * 64 / 8192);
    assert_int_equal(vf_areas_add(&s, 4096 + 100, 1, NULL), VF_SPACE);
    assert_true(vf_areas_contains(&s, UINT64_C(8192) * 777777, 4096));
    assert_false(vf_areas_overlaps(&s, UINT64_C(8192) * 777777 + 4096, 4096));
    for (uint64_t i = 0; i < MANY - 1000; i++) {
        uint64_t where = i * UINT64_C(40503) % MANY;
        assert_int_equal(vf_areas_subtract(&s, where * 8192, 4096, NULL), 0);
    }
    check_form(&s);
    assert_int_equal(s.count, 1000);
    assert_true(s.n_blocks <= 8); /* emptied blocks do not stay */
    vf_areas_release(&s);
}

static void test_areas__a_million_under_a_ceiling_stay_few_and_whole(void **state)
{
    (void)state;
    struct vf_areas changed, flushed;
    vf_areas_init(&changed, 10000, VF_AREAS_WIDEN);
    vf_areas_init(&flushed, 10000, VF_AREAS_DROP);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(vf_areas_add(&changed, i * 8192, 4096, NULL), 0);
        assert_int_equal(vf_areas_add(&flushed, i * 8192, 4096, NULL), 0);
    }
    check_form(&changed);
    check_form(&flushed);
    assert_true(changed.inexact && flushed.inexact);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_true(vf_areas_contains(&changed, i * 8192, 4096));
    }
    assert_true(changed.total_bytes <= MANY * 8192);
    assert_true(flushed.count >= 5000);
    vf_areas_release(&changed);
    vf_areas_release(&flushed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_areas__what_touches_becomes_one),
        cmocka_unit_test(test_areas__subtraction_cuts_and_splits),
        cmocka_unit_test(test_areas__beyond_any_disk_is_range),
        cmocka_unit_test(test_areas__a_full_set_that_refuses_is_unchanged),
        cmocka_unit_test(test_areas__a_full_set_widens_over_its_smallest_gaps),
        cmocka_unit_test(test_areas__a_full_set_drops_its_smallest_areas),
        cmocka_unit_test(test_areas__gaps_up_to_the_limit_are_merged),
        cmocka_unit_test(test_areas__bridges_only_over_what_was_not_wanted),
        cmocka_unit_test(test_areas__shrinks_to_whole_granules_but_for_the_end),
        cmocka_unit_test(test_areas__pieces_are_aligned_joined_and_cut),
        cmocka_unit_test(test_areas__are_what_a_map_of_bytes_is),
        cmocka_unit_test(test_areas__whole_sets_combine_as_maps_do),
        cmocka_unit_test(test_areas__pieces_hold_all_and_do_not_overlap),
        cmocka_unit_test(test_areas__a_million_in_any_order),
        cmocka_unit_test(test_areas__a_million_under_a_ceiling_stay_few_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
