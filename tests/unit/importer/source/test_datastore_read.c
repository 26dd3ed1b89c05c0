/* What happens while a disk is read. */
#include "importer/source/datastore.h"

#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/clock.h"
#include "importer/base/mem.h"
#include "importer/source/datastore_private.h"
#include "tests/support/check.h"
#include "tests/support/datastore_server.h"

#define READ_BYTES  (1u << 20)
#define READ_OFFSET 123457u

static int set_up(void **state)
{
    datastore_set_up(state);
    return datastore_open_plainly(*state);
}

/* One large read; its bytes are right if it is said to be. */
static int read_some(struct datastore_fixture *f)
{
    uint8_t *vf_autofree buf = vf_xcalloc(READ_BYTES, 1);
    vf_error_clear(&f->err);
    int rc = f->disk->ops->pread(f->disk, buf, READ_BYTES, READ_OFFSET, &f->err);
    if (!rc) {
        assert_memory_equal(buf, f->content + READ_OFFSET, READ_BYTES);
        assert_null(f->err);
    }
    return rc;
}

static unsigned gets_of_read(struct datastore_fixture *f, enum mischief m, unsigned times)
{
    f->n_gets = 0;
    datastore_order(f, m, 0, times);
    assert_int_equal(read_some(f), 0);
    return f->n_gets;
}

static void test_pread__outside_is_range(void **state)
{
    struct datastore_fixture *f = *state;
    char buf[16];
    uint64_t end = f->size;
    const struct vf_disk_ops *ops = f->disk->ops;
    assert_int_equal(ops->pread(f->disk, buf, 16, end - 15, NULL), VF_RANGE);
    assert_int_equal(ops->pread(f->disk, buf, 16, UINT64_MAX - 7, NULL), VF_RANGE);
    assert_int_equal(ops->extents(f->disk, end, 1, NULL, NULL, NULL), VF_RANGE);
    unsigned before = vf_test_server_requests(f->server);
    assert_int_equal(ops->pread(f->disk, buf, 0, end, NULL), 0);
    assert_int_equal(vf_test_server_requests(f->server), before);
    assert_int_equal(ops->pread(f->disk, buf, 16, end - 16, NULL), 0);
    assert_memory_equal(buf, f->content + end - 16, 16);
}

static void test_pread__is_one_request(void **state)
{
    struct datastore_fixture *f = *state;
    assert_int_equal(gets_of_read(f, NO_MISCHIEF, 0), 1);
    assert_int_equal(vf_test_server_connections(f->server), 1);
}

static void test_pread__goes_on_where_it_broke(void **state)
{
    struct datastore_fixture *f = *state;
    assert_int_equal(gets_of_read(f, RESET_MIDDLE, 1), 2);
    assert_int_equal(gets_of_read(f, RESET_EARLY, 2), 3);
    assert_int_equal(gets_of_read(f, CUT_SHORT, 1), 2);
    assert_int_equal(gets_of_read(f, SHORT_RANGE, 1), 2);
    assert_int_equal(gets_of_read(f, EMPTY_BODY, 3), 4);
}

static int open_hastily(struct datastore_fixture *f)
{
    struct vf_retry_policy retry;
    struct vf_datastore_options o = datastore_options(f, &retry);
    o.http = f->hasty;
    retry.max_tries = 20; /* on a busy machine some stalls are our own */
    return datastore_open(f, &o);
}

static void test_pread__stall_is_a_break(void **state)
{
    struct datastore_fixture *f = *state;
    assert_int_equal(open_hastily(f), 0);
    assert_true(gets_of_read(f, STALLS, 1) >= 2);
    assert_true(gets_of_read(f, HANGS, 1) >= 2);
}

static void test_pread__that_gets_on_has_all_its_tries_again(void **state)
{
    struct datastore_fixture *f = *state;
    /* Each brings half of what is left, 64 KiB at least: not one of the four tries is used up. */
    assert_int_equal(gets_of_read(f, RESET_MIDDLE, 4), 5);
    assert_int_equal(gets_of_read(f, SHORT_RANGE, 4), 5);
}

static void test_pread__that_does_not_get_on_ends(void **state)
{
    struct datastore_fixture *f = *state;
    static const enum mischief kinds[] = {RESET_EARLY, EMPTY_BODY, BUSY};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        f->n_gets = 0;
        datastore_order(f, kinds[i], 0, UINT_MAX);
        assert_int_equal(read_some(f), VF_RETRY);
        assert_int_equal(f->n_gets, 4);
        char *vf_autofree text = vf_error_format(f->err);
        assert_non_null(strstr(text, "[ds1] vm a/vm-flat.vmdk"));
        assert_non_null(strstr(text, "after 4 tries"));
    }
    datastore_order(f, NO_MISCHIEF, 0, 0);
    assert_int_equal(read_some(f), 0);
}

static void test_pread__waits_as_long_as_it_is_asked_to(void **state)
{
    struct datastore_fixture *f = *state;
    int64_t start_ms = vf_clock_ms();
    assert_int_equal(gets_of_read(f, BUSY_A_SECOND, 1), 2);
    assert_true(vf_clock_ms() - start_ms >= 1000);
}

static void test_pread__renews_a_session_that_expired(void **state)
{
    struct datastore_fixture *f = *state;
    assert_int_equal(gets_of_read(f, EXPIRES, 1), 2);
    assert_int_equal(f->renewals, 1);
    datastore_order(f, EXPIRES, 0, UINT_MAX);
    assert_int_equal(read_some(f), VF_AUTH);
    assert_int_equal(f->renewals, 3);
}

static void check_ends(struct datastore_fixture *f, enum mischief m, enum vf_code code,
                       const char *reason)
{
    f->n_gets = 0;
    datastore_order(f, m, 0, UINT_MAX);
    assert_int_equal(read_some(f), code);
    assert_int_equal(f->n_gets, 1);
    const char *got = vf_error_reason(f->err);
    assert_true(reason ? got && strcmp(got, reason) == 0 : !got);
}

static void test_pread__answers_for_other_bytes_are_refused(void **state)
{
    struct datastore_fixture *f = *state;
    check_ends(f, OTHER_RANGE, VF_INVALID, NULL);
    check_ends(f, LONGER, VF_INVALID, NULL);
    check_ends(f, OTHER_TOTAL, VF_CONFLICT, VF_DATASTORE_SIZE);
    check_ends(f, WHOLE_FILE, VF_UNSUPPORTED, VF_DATASTORE_NO_RANGES);
}

static void test_pread__file_that_is_refused_from_now_on_is_told(void **state)
{
    struct datastore_fixture *f = *state;
    f->status = 403;
    check_ends(f, STATUS, VF_AUTH, VF_DATASTORE_FORBIDDEN);
    f->status = 404;
    check_ends(f, STATUS, VF_MISSING, VF_DATASTORE_MISSING);
    f->status = 416;
    check_ends(f, STATUS, VF_CONFLICT, VF_DATASTORE_SIZE);
}

static void test_pread__status_500_is_tried_again_but_not_for_ever(void **state)
{
    struct datastore_fixture *f = *state;
    struct vf_retry_policy retry;
    struct vf_datastore_options o = datastore_options(f, &retry);
    retry.max_tries = 100;
    assert_int_equal(datastore_open(f, &o), 0);
    f->status = 500;
    assert_int_equal(gets_of_read(f, STATUS, 5), 6);
    f->n_gets = 0;
    datastore_order(f, STATUS, 0, UINT_MAX);
    assert_int_equal(read_some(f), VF_CONFLICT);
    assert_int_equal(f->n_gets, 6);
    assert_string_equal(vf_error_reason(f->err), VF_DATASTORE_LOCKED);
}

static unsigned limit_of(const struct datastore_fixture *f)
{
    return vf_datastore_gate_get_limit(&((struct vf_datastore *)f->disk)->gate);
}

static void test_pread__busy_server_gets_fewer_requests(void **state)
{
    struct datastore_fixture *f = *state;
    assert_int_equal(limit_of(f), VF_DATASTORE_REQUESTS);
    assert_int_equal(gets_of_read(f, RESET_MIDDLE, 1), 2);
    assert_int_equal(limit_of(f), VF_DATASTORE_REQUESTS);
    assert_int_equal(gets_of_read(f, BUSY, 1), 2);
    assert_int_equal(limit_of(f), VF_DATASTORE_REQUESTS / 2);
    f->status = 429;
    assert_int_equal(gets_of_read(f, STATUS, 1), 2);
    assert_int_equal(limit_of(f), VF_DATASTORE_REQUESTS / 4);
    for (unsigned i = 0; i < 200 && limit_of(f) < VF_DATASTORE_REQUESTS / 2; i++) {
        char byte;
        assert_int_equal(f->disk->ops->pread(f->disk, &byte, 1, i, NULL), 0);
    }
    assert_int_equal(limit_of(f), VF_DATASTORE_REQUESTS / 2);
}

struct reader {
    struct datastore_fixture *f;
    pthread_t thread;
    unsigned number, n_all;
    int rc;
};

/* Every n-th piece of an odd size. */
static void *read_pieces(void *opaque)
{
    struct reader *r = opaque;
    const size_t piece = 100003;
    uint8_t *vf_autofree buf = vf_xcalloc(piece, 1);
    struct vf_disk *d = r->f->disk;
    for (uint64_t at = r->number * piece; at < d->size_bytes && !r->rc; at += r->n_all * piece) {
        size_t n = d->size_bytes - at < piece ? (size_t)(d->size_bytes - at) : piece;
        r->rc = d->ops->pread(d, buf, n, at, NULL);
        vf_test_check(r->rc || memcmp(buf, r->f->content + at, n) == 0);
    }
    return NULL;
}

static void read_by(struct datastore_fixture *f, unsigned n_threads)
{
    struct reader readers[16];
    for (unsigned i = 0; i < n_threads; i++) {
        readers[i] = (struct reader){.f = f, .number = i, .n_all = n_threads};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_pieces, &readers[i]), 0);
    }
    for (unsigned i = 0; i < n_threads; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].rc, 0);
    }
}

static void test_pread__by_many_threads_gives_the_same_bytes_whatever_happens(void **state)
{
    struct datastore_fixture *f = *state;
    static const enum mischief kinds[] = {RESET_MIDDLE, RESET_EARLY, CUT_SHORT, SHORT_RANGE,
                                          EMPTY_BODY,   BUSY,        EXPIRES,   STALLS};
    assert_int_equal(open_hastily(f), 0);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        datastore_order(f, kinds[i], 5, 2); /* a third expiry in one request would be an error */
        read_by(f, 8);
        assert_int_equal(f->times, 0);
    }
    /* All that were refused with one cookie brought one login about. */
    assert_in_range(f->renewals, 1, 2);
}

static void test_pread__has_no_more_under_way_than_it_may(void **state)
{
    struct datastore_fixture *f = *state;
    struct vf_retry_policy retry;
    struct vf_datastore_options o = datastore_options(f, &retry);
    o.max_requests = 3;
    assert_int_equal(datastore_open(f, &o), 0);
    f->most_under_way = 0;
    read_by(f, 16);
    assert_in_range(f->most_under_way, 1, 3);
    assert_in_range(vf_test_server_connections(f->server), 1, 4);
}

struct cancelled {
    struct datastore_fixture *f;
    struct vf_cancel *cancel;
    unsigned requests;
};

static void *cancel_after(void *opaque)
{
    struct cancelled *c = opaque;
    vf_test_check(vf_test_server_await_requests(c->f->server, c->requests));
    vf_cancel_trigger(c->cancel);
    return NULL;
}

static void check_cancelled_in(struct datastore_fixture *f, enum mischief m)
{
    struct vf_retry_policy retry;
    struct vf_datastore_options o = datastore_options(f, &retry);
    struct cancelled c = {.f = f, .cancel = vf_cancel_new(NULL)};
    pthread_t thread;
    o.cancel = c.cancel;
    retry.first_wait_ms = retry.max_wait_ms = 600000;
    retry.max_tries =
        m == BUSY ? 4 : 1; /* to a hanging request nothing but the cancellation comes */
    datastore_order(f, NO_MISCHIEF, 0, 0);
    assert_int_equal(datastore_open(f, &o), 0);
    datastore_order(f, m, 0, UINT_MAX);
    c.requests = vf_test_server_requests(f->server) + 1;
    assert_int_equal(pthread_create(&thread, NULL, cancel_after, &c), 0);
    assert_int_equal(read_some(f), VF_CANCELLED);
    pthread_join(thread, NULL);
    vf_disk_free(f->disk);
    f->disk = NULL;
    vf_cancel_free(c.cancel);
}

static void test_pread__ends_with_a_cancellation(void **state)
{
    struct datastore_fixture *f = *state;
    check_cancelled_in(f, HANGS);
    check_cancelled_in(f, BUSY);
}

#define with_disk(test) cmocka_unit_test_setup_teardown(test, set_up, datastore_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_disk(test_pread__outside_is_range),
        with_disk(test_pread__is_one_request),
        with_disk(test_pread__goes_on_where_it_broke),
        with_disk(test_pread__stall_is_a_break),
        with_disk(test_pread__that_gets_on_has_all_its_tries_again),
        with_disk(test_pread__that_does_not_get_on_ends),
        with_disk(test_pread__waits_as_long_as_it_is_asked_to),
        with_disk(test_pread__renews_a_session_that_expired),
        with_disk(test_pread__answers_for_other_bytes_are_refused),
        with_disk(test_pread__file_that_is_refused_from_now_on_is_told),
        with_disk(test_pread__status_500_is_tried_again_but_not_for_ever),
        with_disk(test_pread__busy_server_gets_fewer_requests),
        with_disk(test_pread__by_many_threads_gives_the_same_bytes_whatever_happens),
        with_disk(test_pread__has_no_more_under_way_than_it_may),
        with_disk(test_pread__ends_with_a_cancellation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
