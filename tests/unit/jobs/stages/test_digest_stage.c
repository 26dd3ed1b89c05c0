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
#include "tests/support/leaf_digest.h"
#include "tests/support/memory_sink.h"
#include "tests/support/vmdk_writer.h"

#define KIB 1024u
#define MIB (1024u * 1024u)

struct fixture {
    struct vf_digest digest;
    struct memory_sink *sink;
    struct vf_sink *stage;
    uint8_t *content;
    uint64_t size;
};

/* Leaves: data, zero, data with zeros at both ends, zero, ... and a short one. */
static void begin(struct fixture *f, uint64_t size, unsigned caps)
{
    uint64_t rng = 5;
    *f = (struct fixture){.size = size, .content = calloc(1, (size_t)size)};
    for (uint64_t i = 0; i < size; i++) {
        uint64_t leaf = i / MIB;
        bool edge = leaf % 4 == 2 && (i % MIB < 200000 || i % MIB > 900000);
        f->content[i] = leaf % 2 || edge ? 0 : (uint8_t)vmdk_random(&rng);
    }
    assert_int_equal(vf_digest_init(&f->digest, size, NULL), 0);
    f->sink = memory_sink_new(size, caps);
    assert_int_equal(vf_digest_stage_new(&f->sink->base, &f->digest, &f->stage, NULL), 0);
}

static void give(struct fixture *f, uint64_t at, uint64_t len)
{
    const uint8_t *p = f->content + at;
    bool zero = true;
    for (uint64_t i = 0; i < len && zero; i++) {
        zero = p[i] == 0;
    }
    vf_test_check((zero && len % 1024 == 0
                       ? vf_sink_zero(f->stage, at, len, NULL)
                       : vf_sink_write(f->stage, p, (size_t)len, at, NULL)) == 0);
}

static void end(struct fixture *f)
{
    char expected[LEAF_DIGEST_SIZE], *text = NULL;
    struct vf_error *err = NULL;
    if (vf_sink_finish(f->stage, &err) != 0) {
        fail_msg("%s", vf_error_message(err));
    }
    assert_int_equal(f->sink->n_finishes, 1);
    assert_int_equal(vf_digest_format(&f->digest, &text, NULL), 0);
    leaf_digest(f->content, f->size, expected);
    assert_string_equal(text, expected);
    free(text);
    vf_sink_free(f->stage);
    vf_digest_release(&f->digest);
    free(f->content);
}

static void test_digest_stage__piece_size_does_not_matter(void **state)
{
    (void)state;
    const uint64_t pieces[] = {512, 1536, 4096, 65536, 70 * KIB, MIB, MIB + 512, 3 * MIB, 99 * MIB};
    for (unsigned i = 0; i < 9; i++) {
        struct fixture f;
        begin(&f, 6 * MIB + 1024 + 512, 0);
        for (uint64_t at = 0; at < f.size; at += pieces[i]) {
            give(&f, at, f.size - at < pieces[i] ? f.size - at : pieces[i]);
        }
        assert_int_equal(f.sink->n_reads, 0);
        end(&f);
    }
}

/* Zeros told as data are zeros all the same. */
static void test_digest_stage__zeros_as_data_are_zeros(void **state)
{
    (void)state;
    const uint64_t pieces[] = {512, 4096, MIB, 2 * MIB + 512};
    for (unsigned i = 0; i < 4; i++) {
        struct fixture f;
        begin(&f, 4 * MIB + 512, 0);
        for (uint64_t at = 0; at < f.size; at += pieces[i]) {
            uint64_t n = f.size - at < pieces[i] ? f.size - at : pieces[i];
            assert_int_equal(vf_sink_write(f.stage, f.content + at, (size_t)n, at, NULL), 0);
        }
        end(&f);
    }
}

static void test_digest_stage__zeros_between_leaves_in_one_call(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 5 * MIB + 512, 0);
    memset(f.content + MIB / 2, 0, 4 * MIB);
    give(&f, 0, MIB / 2);
    give(&f, MIB / 2, 4 * MIB);
    give(&f, MIB / 2 + 4 * MIB, f.size - MIB / 2 - 4 * MIB);
    end(&f);
}

static void test_digest_stage__any_order_is_read_back(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 6; seed++) {
        struct fixture f;
        uint64_t rng = seed;
        begin(&f, 5 * MIB + 3 * 4096, MEMORY_SINK_ALL);
        unsigned n = (unsigned)(f.size / 4096), order[2000];
        for (unsigned i = 0; i < n; i++) {
            order[i] = i;
        }
        for (unsigned i = n; i > 1; i--) {
            unsigned k = (unsigned)(vmdk_random(&rng) % i), was = order[i - 1];
            order[i - 1] = order[k];
            order[k] = was;
        }
        for (unsigned i = 0; i < n; i++) {
            give(&f, order[i] * 4096ull, 4096);
        }
        assert_true(f.sink->n_reads == 0);
        end(&f);
    }
}

/* Whatever was there before counts no longer, in whole leaves and in parts. */
static void test_digest_stage__what_is_written_again_counts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        struct fixture f;
        uint8_t *junk = malloc(8 * MIB);
        memset(junk, 0x77, 8 * MIB);
        begin(&f, 4 * MIB + 512, MEMORY_SINK_ALL);
        const uint64_t from[] = {0, 0, MIB, MIB - 512, 4 * MIB, 2 * MIB + 4096};
        const uint64_t len[] = {4 * MIB + 512, MIB, MIB, 1024, 512, 8192};
        if (i % 2) {
            assert_int_equal(vf_sink_zero(f.stage, from[i], len[i], NULL), 0);
        } else {
            assert_int_equal(vf_sink_write(f.stage, junk, len[i], from[i], NULL), 0);
        }
        for (uint64_t at = 0; at < f.size; at += MIB) {
            give(&f, at, f.size - at < MIB ? f.size - at : MIB);
        }
        /* And once more a part, as it is. */
        give(&f, 4096, 8192);
        give(&f, 3 * MIB, 4096);
        end(&f);
        free(junk);
    }
}

static void test_digest_stage__unreadable_target_refuses_disorder(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    begin(&f, 2 * MIB, MEMORY_SINK_ALL & ~(unsigned)VF_SINK_READABLE);
    give(&f, 4096, MIB - 4096);
    give(&f, 0, 4096);
    check_error(vf_sink_finish(f.stage, &err), &err, VF_UNSUPPORTED, "cannot be read back");
    assert_int_equal(f.sink->n_finishes, 0);
    vf_sink_free(f.stage);
    vf_digest_release(&f.digest);
    free(f.content);
}

static void test_digest_stage__errors_come_through(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct fixture f;
        struct vf_error *err = NULL;
        begin(&f, 2 * MIB, MEMORY_SINK_ALL);
        f.sink->fail_call = i == 0 ? 1 : 0;
        f.sink->fail_read = i == 1;
        f.sink->fail_finish = i == 2;
        int rc = vf_sink_write(f.stage, f.content + 4096, 8192, 4096, &err);
        rc = rc ? rc : vf_sink_finish(f.stage, &err);
        check_error(rc, &err, i == 1 ? VF_INTERNAL : VF_SPACE, "the sink");
        vf_sink_free(f.stage);
        vf_digest_release(&f.digest);
        free(f.content);
    }
}

struct giver {
    struct fixture *f;
    unsigned index;
    pthread_t thread;
};

/* Leaf after leaf, each in pieces by one thread, as the copies do it; and leaf 0 by all. */
static void *give_leaves(void *opaque)
{
    struct giver *g = opaque;
    for (uint64_t leaf = 1 + g->index; leaf * MIB < g->f->size; leaf += 8) {
        for (uint64_t at = leaf * MIB; at < (leaf + 1) * MIB && at < g->f->size; at += 256 * KIB) {
            uint64_t left = g->f->size - at;
            give(g->f, at, left < 256 * KIB ? left : 256 * KIB);
        }
    }
    give(g->f, g->index * 128 * KIB, 128 * KIB);
    return NULL;
}

static void test_digest_stage__many_threads_give_the_same(void **state)
{
    (void)state;
    struct fixture f;
    struct giver givers[8];
    begin(&f, 40 * MIB + 512, MEMORY_SINK_ALL);
    for (unsigned i = 0; i < 8; i++) {
        givers[i] = (struct giver){.f = &f, .index = i};
        assert_int_equal(pthread_create(&givers[i].thread, NULL, give_leaves, &givers[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(givers[i].thread, NULL);
    }
    end(&f);
}

static void test_null_sink__keeps_nothing(void **state)
{
    (void)state;
    struct vf_sink *s = vf_null_sink_new(4096);
    struct vf_error *err = NULL;
    char buf[512] = {0};
    assert_int_equal(s->size_bytes, 4096);
    assert_int_equal(vf_sink_write(s, buf, 512, 0, NULL), 0);
    assert_int_equal(vf_sink_zero(s, 512, 512, NULL), 0);
    check_error(vf_sink_read(s, buf, 512, 0, &err), &err, VF_UNSUPPORTED, "nothing was kept");
    assert_int_equal(vf_sink_flush(s, NULL), 0);
    assert_int_equal(vf_sink_finish(s, NULL), 0);
    vf_sink_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest_stage__piece_size_does_not_matter),
        cmocka_unit_test(test_digest_stage__zeros_as_data_are_zeros),
        cmocka_unit_test(test_digest_stage__zeros_between_leaves_in_one_call),
        cmocka_unit_test(test_digest_stage__any_order_is_read_back),
        cmocka_unit_test(test_digest_stage__what_is_written_again_counts),
        cmocka_unit_test(test_digest_stage__unreadable_target_refuses_disorder),
        cmocka_unit_test(test_digest_stage__errors_come_through),
        cmocka_unit_test(test_digest_stage__many_threads_give_the_same),
        cmocka_unit_test(test_null_sink__keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
