#include "jobs/transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "jobs/disk_digest.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/leaf_digest.h"
#include "tests/support/memory_sink.h"
#include "tests/support/memory_stream.h"
#include "tests/support/vmdk_writer.h"

#define MIB (1024u * 1024u)

/* A disk in memory whose extents are those of an image; may fail. */
struct memory_disk {
    struct vf_disk base;
    struct vmdk_image image;
    atomic_uint n_reads;
    unsigned fail_read; /* 1-based; 0: never */
    bool fail_extents;
};

static int memory_extents(struct vf_disk *d, uint64_t offset_bytes, uint64_t length_bytes,
                          vf_extent_fn *fn, void *opaque, struct vf_error **err)
{
    static const enum vf_extent_kind kinds[] = {VF_EXTENT_HOLE, VF_EXTENT_ZERO, VF_EXTENT_DATA};
    struct memory_disk *m = (struct memory_disk *)d;
    uint64_t grain = m->image.grain_sectors * 512ull, end = offset_bytes + length_bytes;
    vf_test_check(end <= d->size_bytes);
    while (offset_bytes < end) {
        uint64_t stop = (offset_bytes / grain + 1) * grain;
        stop = stop < end ? stop : end;
        struct vf_extent e = {.offset_bytes = offset_bytes,
                              .length_bytes = stop - offset_bytes,
                              .kind = kinds[m->image.states[offset_bytes / grain]]};
        int rc = fn(opaque, &e, err);
        if (rc) {
            return rc;
        }
        offset_bytes = stop;
        if (m->fail_extents && offset_bytes > d->size_bytes / 2) {
            return vf_error_set(err, VF_INVALID, "a table is damaged");
        }
    }
    return 0;
}

static int memory_pread(struct vf_disk *d, void *buf, size_t len_bytes, uint64_t offset_bytes,
                        struct vf_error **err)
{
    struct memory_disk *m = (struct memory_disk *)d;
    vf_test_check(len_bytes > 0 && len_bytes <= d->size_bytes - offset_bytes);
    bool fail = atomic_fetch_add(&m->n_reads, 1) + 1 == m->fail_read;
    memcpy(buf, m->image.content + offset_bytes, len_bytes);
    return fail ? vf_error_set(err, VF_RETRY, "a read failed") : 0;
}

static void memory_free(struct vf_disk *d)
{
    struct memory_disk *m = (struct memory_disk *)d;
    vmdk_image_release(&m->image);
    free(m);
}

static struct memory_disk *new_disk(uint64_t sectors, uint32_t grain, uint64_t seed)
{
    static const struct vf_disk_ops ops = {memory_extents, memory_pread, memory_free};
    struct memory_disk *m = calloc(1, sizeof *m);
    vmdk_image_init(&m->image, sectors, grain, seed);
    m->base = (struct vf_disk){.ops = &ops, .size_bytes = sectors * 512};
    return m;
}

static struct vf_pool *pool;

static int setup(void **state)
{
    (void)state;
    pool = vf_pool_new(4);
    return pool ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    vf_pool_free(pool);
    return 0;
}

static void copy_well(struct memory_disk *d, unsigned caps)
{
    struct vf_progress progress = {.total_bytes = d->base.size_bytes};
    struct memory_sink *sink = memory_sink_new(d->base.size_bytes, caps);
    struct vf_digest digest;
    struct vf_sink *chain = NULL;
    struct vf_error *err = NULL;
    char expected[LEAF_DIGEST_SIZE], *text = NULL;
    assert_int_equal(vf_digest_init(&digest, d->base.size_bytes, NULL), 0);
    assert_int_equal(vf_transfer_chain(&sink->base, &digest, &progress, &chain, NULL), 0);
    if (vf_transfer_disk(&d->base, chain, pool, &progress, NULL, &err) != 0) {
        fail_msg("%s", vf_error_message(err));
    }
    assert_true(memory_sink_covered(sink, true));
    assert_memory_equal(sink->content, d->image.content, d->base.size_bytes);
    assert_int_equal(progress.done_bytes, d->base.size_bytes);
    assert_true(progress.data_bytes <= progress.source_bytes);
    assert_int_equal(sink->n_finishes, 0);
    assert_int_equal(vf_sink_finish(chain, NULL), 0);
    assert_int_equal(vf_digest_format(&digest, &text, NULL), 0);
    leaf_digest(d->image.content, d->base.size_bytes, expected);
    assert_string_equal(text, expected);
    free(text);
    vf_sink_free(chain);
    vf_digest_release(&digest);
    /* The digest of reading it through is the same. */
    assert_int_equal(vf_disk_compute_digest(&d->base, pool, NULL, NULL, &text, NULL), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void test_transfer__layouts_arrive_once_in_any_sink(void **state)
{
    (void)state;
    const unsigned caps[] = {MEMORY_SINK_ALL, 0, VF_SINK_RANDOM, VF_SINK_RANDOM | VF_SINK_PARALLEL};
    uint64_t rng = 13;
    for (unsigned i = 0; i < 40; i++) {
        uint64_t sectors = i < 4 ? i + 1 : 1 + vmdk_random(&rng) % 40000;
        struct memory_disk *d = new_disk(sectors, 8u << i % 7, i + 1);
        copy_well(d, caps[i % 4]);
        vf_disk_free(&d->base);
    }
}

/* One data sector, one hole, and so on: more extents in a region than are kept apart. */
static void test_transfer__many_small_extents_are_joined(void **state)
{
    (void)state;
    struct memory_disk *d = new_disk(3 * 2048 + 5, 8, 3);
    memset(d->image.content, 0, d->base.size_bytes);
    for (uint64_t g = 0; g < vmdk_image_grains(&d->image); g++) {
        d->image.states[g] = g % 2 ? VMDK_GRAIN_DATA : VMDK_GRAIN_HOLE;
        if (g % 2) {
            d->image.content[g * 4096 + 7] = 1;
        }
    }
    copy_well(d, 0);
    copy_well(d, MEMORY_SINK_ALL);
    vf_disk_free(&d->base);
}

static void test_transfer__empty_disk_is_fine(void **state)
{
    (void)state;
    struct memory_disk *d = new_disk(0, 8, 1);
    struct memory_sink *sink = memory_sink_new(0, 0);
    assert_int_equal(vf_transfer_disk(&d->base, &sink->base, pool, NULL, NULL, NULL), 0);
    assert_int_equal(sink->n_writes + sink->n_zeros, 0);
    vf_sink_free(&sink->base);
    vf_disk_free(&d->base);
}

static void test_transfer__first_failure_is_told(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        struct memory_disk *d = new_disk(24 * 2048, 128, 5);
        struct memory_sink *sink = memory_sink_new(d->base.size_bytes, i % 2 ? 0 : MEMORY_SINK_ALL);
        struct vf_cancel *cancel = vf_cancel_new(NULL);
        struct vf_error *err = NULL;
        enum vf_code code = VF_SPACE;
        const char *part = "the sink is full";
        if (i < 4) {
            sink->fail_call = 1 + i * 3;
        } else if (i < 8) {
            d->fail_read = 1 + (i - 4) * 3;
            code = VF_RETRY;
            part = "a read failed";
        } else {
            d->fail_extents = true;
            code = VF_INVALID;
            part = "a table is damaged";
        }
        check_error(vf_transfer_disk(&d->base, &sink->base, pool, NULL, cancel, &err), &err, code,
                    part);
        vf_cancel_free(cancel);
        vf_sink_free(&sink->base);
        vf_disk_free(&d->base);
    }
}

static void test_transfer__cancellation_ends_it_soon(void **state)
{
    (void)state;
    struct memory_disk *d = new_disk(100 * 2048, 128, 5);
    memset(d->image.states, VMDK_GRAIN_DATA, vmdk_image_grains(&d->image));
    struct memory_sink *sink = memory_sink_new(d->base.size_bytes, MEMORY_SINK_ALL);
    struct vf_cancel *cancel = vf_cancel_new(NULL);
    struct vf_error *err = NULL;
    sink->slow_us = 50000;
    sink->cancel = cancel;
    sink->cancel_call = 5;
    int64_t start_ms = vf_clock_ms();
    check_error(vf_transfer_disk(&d->base, &sink->base, pool, NULL, cancel, &err), &err,
                VF_CANCELLED, "cancelled");
    assert_true(vf_clock_ms() - start_ms < 20000);
    assert_true(sink->n_writes < 30);
    vf_cancel_free(cancel);
    vf_sink_free(&sink->base);
    vf_disk_free(&d->base);
}

static void test_counting_stream__counts_what_was_read(void **state)
{
    (void)state;
    struct vf_progress p = {.total_bytes = 1};
    struct vf_stream *in = memory_stream_new("0123456789", 10, 3, true);
    struct vf_stream *s = vf_counting_stream_new(in, &p);
    struct vf_error *err = NULL;
    char buf[20];
    size_t n;
    check_error(vf_stream_read_full(s, buf, 20, &n, &err), &err, VF_RETRY, "reset");
    assert_int_equal(p.source_bytes, 10);
    vf_stream_free(s);
    vf_stream_free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfer__layouts_arrive_once_in_any_sink),
        cmocka_unit_test(test_transfer__many_small_extents_are_joined),
        cmocka_unit_test(test_transfer__empty_disk_is_fine),
        cmocka_unit_test(test_transfer__first_failure_is_told),
        cmocka_unit_test(test_transfer__cancellation_ends_it_soon),
        cmocka_unit_test(test_counting_stream__counts_what_was_read),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
