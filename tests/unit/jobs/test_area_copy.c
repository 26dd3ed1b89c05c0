#include "jobs/area_copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/memory_sink.h"
#include "tests/support/vmdk_writer.h"

#define SIZE ((uint64_t)8 << 20)

/* A disk in memory that knows who reads it. Every third 64 KiB is zero, and says so. */
struct slow_disk {
    struct vf_disk base;
    uint8_t *content;
    atomic_uint n_reads, inside, most_inside, n_extents;
    atomic_ullong read_bytes;
    unsigned slow_us, fail_read;
    bool fail_extents;
    struct vf_cancel *cancel; /* triggered at read number cancel_read */
    unsigned cancel_read;
};

static bool is_zero_part(uint64_t at)
{
    return at / 65536 % 3 == 1;
}

static int disk_pread(struct vf_disk *disk, void *buf, size_t len, uint64_t offset,
                      struct vf_error **err)
{
    struct slow_disk *d = (struct slow_disk *)disk;
    vf_test_check(len > 0 && offset <= SIZE && len <= SIZE - offset);
    unsigned inside = atomic_fetch_add(&d->inside, 1) + 1, most = atomic_load(&d->most_inside);
    while (inside > most && !atomic_compare_exchange_weak(&d->most_inside, &most, inside)) {
    }
    unsigned n = atomic_fetch_add(&d->n_reads, 1) + 1;
    atomic_fetch_add(&d->read_bytes, len);
    if (d->slow_us) {
        usleep(d->slow_us);
    }
    memcpy(buf, d->content + offset, len);
    atomic_fetch_sub(&d->inside, 1);
    if (d->cancel && n == d->cancel_read) {
        vf_cancel_trigger(d->cancel);
    }
    return d->fail_read && n >= d->fail_read ? vf_error_set(err, VF_RETRY, "a read failed") : 0;
}

static int disk_extents(struct vf_disk *disk, uint64_t offset, uint64_t len, vf_extent_fn *fn,
                        void *opaque, struct vf_error **err)
{
    struct slow_disk *d = (struct slow_disk *)disk;
    atomic_fetch_add(&d->n_extents, 1);
    vf_test_check(offset <= SIZE && len <= SIZE - offset);
    int rc = d->fail_extents ? vf_error_set(err, VF_INVALID, "no map") : 0;
    for (uint64_t at = offset, n; at < offset + len && rc == 0; at += n) {
        n = 65536 - at % 65536;
        n = n < offset + len - at ? n : offset + len - at;
        struct vf_extent e = {at, n, is_zero_part(at) ? VF_EXTENT_HOLE : VF_EXTENT_DATA};
        rc = fn(opaque, &e, err);
    }
    return rc;
}

struct fixture {
    struct slow_disk disk;
    struct memory_sink *m;
    struct vf_areas areas;
    struct vf_area_copy copy;
};

static void init(struct fixture *f)
{
    static const struct vf_disk_ops ops = {.pread = disk_pread, .extents = disk_extents};
    *f = (struct fixture){.disk = {.base = {.ops = &ops, .size_bytes = SIZE}}};
    f->disk.content = malloc(SIZE);
    vf_test_check(f->disk.content);
    uint64_t rng = 99;
    for (uint64_t at = 0; at < SIZE; at += 8) {
        uint64_t v = is_zero_part(at) ? 0 : vmdk_random(&rng) | 1;
        memcpy(f->disk.content + at, &v, 8);
    }
    f->m = memory_sink_new(SIZE, MEMORY_SINK_ALL & ~(unsigned)VF_SINK_REWRITABLE);
    vf_areas_init(&f->areas, 100000, VF_AREAS_REFUSE);
    f->copy = (struct vf_area_copy){
        .disk = &f->disk.base, .sink = &f->m->base, .areas = &f->areas, .requests = 8};
}

static void release(struct fixture *f)
{
    vf_areas_release(&f->areas);
    vf_sink_free(&f->m->base);
    free(f->disk.content);
}

static void add(struct fixture *f, uint64_t offset, uint64_t length)
{
    assert_int_equal(vf_areas_add(&f->areas, offset, length, NULL), 0);
}

static void add_random(struct fixture *f, uint64_t seed)
{
    uint64_t rng = seed * 2 + 1;
    for (unsigned i = 0; i < 120; i++) {
        uint64_t most = vmdk_random(&rng) % 8 ? 24 : 1500;
        uint64_t sector = vmdk_random(&rng) % (SIZE / 512);
        uint64_t n = 1 + vmdk_random(&rng) % most;
        n = n < SIZE / 512 - sector ? n : SIZE / 512 - sector;
        add(f, sector * 512, n * 512);
    }
}

/* What is in the set was written, once (the sink is not rewritable); nothing else was. */
static void expect_copied(const struct fixture *f)
{
    for (uint64_t at = 0; at < SIZE; at += 512) {
        bool in = vf_areas_contains(&f->areas, at, 512);
        vf_test_check(f->m->sectors[at / 512] == in);
        vf_test_check(!in || memcmp(f->m->content + at, f->disk.content + at, 512) == 0);
    }
}

static void test_area_copy__copies_the_set_and_nothing_else(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct fixture f;
        struct vf_progress progress = {0};
        init(&f);
        add_random(&f, seed);
        f.copy.progress = &progress;
        f.copy.skip_holes = seed % 2;
        f.copy.request_bytes = seed % 3 ? 32768 : 0;
        assert_int_equal(vf_area_copy_run(&f.copy, NULL), 0);
        expect_copied(&f);
        assert_int_equal(progress.source_bytes, f.disk.read_bytes);
        assert_true(seed % 2 || f.disk.read_bytes >= f.areas.total_bytes);
        release(&f);
    }
}

static void test_area_copy__holes_are_not_read(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    add(&f, 0, SIZE);
    f.copy.skip_holes = true;
    assert_int_equal(vf_area_copy_run(&f.copy, NULL), 0);
    expect_copied(&f);
    uint64_t zero = 0;
    for (uint64_t at = 0; at < SIZE; at += 65536) {
        zero += is_zero_part(at) ? 65536 : 0;
    }
    assert_int_equal(f.disk.read_bytes, SIZE - zero);
    assert_int_equal(f.m->n_zeros, zero / 65536);
    release(&f);
}

static void test_area_copy__many_reads_are_under_way(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    for (uint64_t at = 0; at < SIZE; at += 65536) {
        add(&f, at, 4096);
    }
    f.copy.requests = 32;
    f.disk.slow_us = 2000;
    assert_int_equal(vf_area_copy_run(&f.copy, NULL), 0);
    expect_copied(&f);
    assert_int_equal(f.disk.n_reads, SIZE / 65536);
    assert_true(f.disk.most_inside > 4 && f.disk.most_inside <= 32);
    release(&f);
}

static void test_area_copy__near_areas_are_read_as_one(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    for (uint64_t at = 0; at < 16 * 8192; at += 8192) {
        add(&f, at, 4096);
    }
    add(&f, 1 << 20, 4096);
    assert_int_equal(vf_area_copy_run(&f.copy, NULL), 0);
    expect_copied(&f);
    assert_int_equal(f.disk.n_reads, 2);
    release(&f);
}

static void test_area_copy__budget_bounds_the_reads(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    add(&f, 0, SIZE);
    f.copy.requests = 64;
    f.copy.request_bytes = 65536;
    f.copy.budget_bytes = 3 * 65536 + 5;
    f.disk.slow_us = 200;
    assert_int_equal(vf_area_copy_run(&f.copy, NULL), 0);
    assert_true(f.disk.most_inside <= 3);
    release(&f);
}

static void test_area_copy__nothing_is_fine(void **state)
{
    (void)state;
    struct fixture f;
    init(&f);
    assert_int_equal(vf_area_copy_run(&f.copy, NULL), 0);
    f.copy.skip_holes = true;
    assert_int_equal(vf_area_copy_run(&f.copy, NULL), 0);
    assert_int_equal(f.disk.n_reads + f.m->n_writes + f.m->n_zeros, 0);
    release(&f);
}

static void test_area_copy__beyond_the_disk_is_range(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    init(&f);
    add(&f, SIZE - 512, 1024);
    check_error(vf_area_copy_run(&f.copy, &err), &err, VF_RANGE, "beyond");
    assert_int_equal(f.disk.n_reads, 0);
    release(&f);
}

static void test_area_copy__failed_read_ends_all(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    init(&f);
    add(&f, 0, SIZE);
    f.copy.cancel = vf_cancel_new(NULL);
    f.copy.request_bytes = 4096;
    f.disk.fail_read = 100;
    check_error(vf_area_copy_run(&f.copy, &err), &err, VF_RETRY, "a read failed");
    assert_true(f.disk.n_reads < 100 + 2 * 8);
    assert_true(vf_cancel_is_set(f.copy.cancel));
    vf_cancel_free(f.copy.cancel);
    release(&f);
}

static void test_area_copy__failed_write_is_the_error(void **state)
{
    (void)state;
    for (unsigned holes = 0; holes < 2; holes++) {
        struct fixture f;
        struct vf_error *err = NULL;
        init(&f);
        add(&f, 0, SIZE);
        f.copy.skip_holes = holes;
        f.m->fail_call = 5;
        check_error(vf_area_copy_run(&f.copy, &err), &err, VF_SPACE, "full");
        release(&f);
    }
}

static void test_area_copy__map_that_cannot_be_had_is_the_error(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    init(&f);
    add(&f, 0, SIZE);
    f.copy.skip_holes = true;
    f.disk.fail_extents = true;
    check_error(vf_area_copy_run(&f.copy, &err), &err, VF_INVALID, "no map");
    assert_int_equal(vf_area_copy_run(&f.copy, NULL), VF_INVALID);
    release(&f);
}

static void test_area_copy__cancelled_in_the_middle_ends(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    init(&f);
    add(&f, 0, SIZE);
    f.copy.cancel = f.disk.cancel = vf_cancel_new(NULL);
    f.copy.request_bytes = 4096;
    f.disk.cancel_read = 50;
    check_error(vf_area_copy_run(&f.copy, &err), &err, VF_CANCELLED, "cancel");
    assert_true(f.disk.n_reads < 50 + 2 * 8);
    vf_cancel_free(f.copy.cancel);
    release(&f);
}

static void test_area_copy__ordered_target_is_unsupported(void **state)
{
    (void)state;
    struct fixture f;
    struct vf_error *err = NULL;
    init(&f);
    f.m->base.caps &= ~(unsigned)VF_SINK_RANDOM;
    check_error(vf_area_copy_run(&f.copy, &err), &err, VF_UNSUPPORTED, "order");
    release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_area_copy__copies_the_set_and_nothing_else),
        cmocka_unit_test(test_area_copy__holes_are_not_read),
        cmocka_unit_test(test_area_copy__many_reads_are_under_way),
        cmocka_unit_test(test_area_copy__near_areas_are_read_as_one),
        cmocka_unit_test(test_area_copy__budget_bounds_the_reads),
        cmocka_unit_test(test_area_copy__nothing_is_fine),
        cmocka_unit_test(test_area_copy__beyond_the_disk_is_range),
        cmocka_unit_test(test_area_copy__failed_read_ends_all),
        cmocka_unit_test(test_area_copy__failed_write_is_the_error),
        cmocka_unit_test(test_area_copy__map_that_cannot_be_had_is_the_error),
        cmocka_unit_test(test_area_copy__cancelled_in_the_middle_ends),
        cmocka_unit_test(test_area_copy__ordered_target_is_unsupported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
