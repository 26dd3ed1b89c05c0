#include "importer/source/nbd.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "importer/base/mem.h"
#include "tests/support/check.h"
#include "tests/support/disk_check.h"
#include "tests/support/nbd_check.h"

static struct vf_nbd_facts facts_of(struct vf_test_nbd *t)
{
    struct vf_nbd_facts facts;
    vf_nbd_disk_get_facts(t->disk, &facts);
    return facts;
}

static void test_nbd__reads_what_is_served(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.size_bytes = 4 << 20};
    vf_test_nbd_open(&t);
    assert_int_equal(t.disk->size_bytes, t.size_bytes);
    check_disk(t.disk, t.content, t.size_bytes, 1);
    struct vf_nbd_facts facts = facts_of(&t);
    assert_true(facts.has_extents);
    assert_int_equal(facts.min_bytes, 1);
    assert_int_equal(facts.request_bytes, 256 << 10);
    assert_int_equal(facts.connections, 1);
    assert_int_equal(facts.losses, 0);
    struct extent_sums sums = sum_extents(t.disk);
    assert_int_equal(sums.data, t.size_bytes / 2);
    assert_int_equal(sums.zero, t.size_bytes / 2);
    assert_int_equal(sums.n, t.size_bytes / (64 << 10));
    vf_test_nbd_release(&t);
}

static void test_nbd__small_pieces_on_several_connections_are_put_together(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"delay"},
                            .parameters = {"rdelay=1ms"},
                            .options = {.connections = 4, .in_flight = 16, .request_bytes = 4096}};
    vf_test_nbd_open(&t);
    check_disk(t.disk, t.content, t.size_bytes, 2);
    assert_int_equal(facts_of(&t).connections, 4);
    vf_test_nbd_release(&t);
}

static void test_nbd__one_connection_where_the_server_wants_it_so(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"multi-conn"},
                            .parameters = {"multi-conn-mode=disable"},
                            .options = {.connections = 4}};
    vf_test_nbd_open(&t);
    check_disk(t.disk, t.content, t.size_bytes, 3);
    assert_int_equal(facts_of(&t).connections, 1);
    vf_test_nbd_release(&t);
}

static void test_nbd__limits_of_the_server_are_kept(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"blocksize-policy"},
                            .parameters = {"blocksize-minimum=4096", "blocksize-preferred=4096",
                                           "blocksize-maximum=65536",
                                           "blocksize-error-policy=error"},
                            .size_bytes = 3 << 20};
    vf_test_nbd_open(&t);
    struct vf_nbd_facts facts = facts_of(&t);
    assert_int_equal(facts.min_bytes, 4096);
    assert_int_equal(facts.request_bytes, 65536);
    check_disk(t.disk, t.content, t.size_bytes, 4);
    /* Each way to lie on the edges of blocks. */
    static const size_t edges[] = {0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 12288};
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        for (size_t j = i; j < sizeof edges / sizeof edges[0]; j++) {
            uint8_t buf[12289];
            size_t n = edges[j] - edges[i];
            memset(buf, 0xee, sizeof buf);
            assert_int_equal(t.disk->ops->pread(t.disk, buf, n, edges[i], NULL), 0);
            assert_memory_equal(buf, t.content + edges[i], n);
            assert_int_equal(buf[n], 0xee);
        }
    }
    assert_int_equal(facts_of(&t).losses, 0);
    vf_test_nbd_release(&t);
}

static void test_nbd__size_that_does_not_fit_the_blocks_is_invalid(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"blocksize-policy"},
                            .parameters = {"blocksize-minimum=4096", "blocksize-preferred=4096"},
                            .size_bytes = (1 << 20) + 512};
    vf_test_nbd_start(&t);
    struct vf_error *err = NULL;
    int rc = vf_nbdkit_open_disk(t.server, &t.options, &t.disk, &err);
    check_error(rc, &err, VF_INVALID, "do not fit together");
    vf_test_nbd_release(&t);
}

static void test_nbd__without_extents_all_is_data(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"noextents"}};
    vf_test_nbd_open(&t);
    assert_false(facts_of(&t).has_extents && sum_extents(t.disk).zero);
    assert_int_equal(sum_extents(t.disk).data, t.size_bytes);
    vf_test_nbd_release(&t);
}

static void test_nbd__hole_alone_is_data(void **state)
{
    (void)state;
    struct vf_test_nbd t = {
        .plugin = "eval",
        .parameters = {
            "get_size=echo 4194304", "pread=dd if=/dev/zero count=$3 iflag=count_bytes",
            "can_extents=exit 0",
            "extents=echo 0 1M hole; echo 1M 1M hole,zero; echo 2M 1M zero; echo 3M 1M"}};
    vf_test_nbd_open(&t);
    struct extent_sums sums = sum_extents(t.disk);
    assert_int_equal(sums.data, 2 << 20);
    assert_int_equal(sums.zero, 2 << 20);
    assert_int_equal(sums.hole, 0);
    assert_int_equal(sums.n, 3);
    vf_test_nbd_release(&t);
}

static void test_nbd__map_that_the_server_refuses_is_data(void **state)
{
    (void)state;
    struct vf_test_nbd t = {
        .plugin = "eval",
        .parameters = {"get_size=echo 4194304", "pread=dd if=/dev/zero count=$3 iflag=count_bytes",
                       "can_extents=exit 0", "extents=echo ENOTSUP no map >&2; exit 1"}};
    vf_test_nbd_open(&t);
    assert_int_equal(sum_extents(t.disk).data, 4 << 20);
    vf_test_nbd_release(&t);
}

/* Three windows, and answers that are longer than what is kept of one. */
static void test_nbd__large_map_comes_in_parts(void **state)
{
    (void)state;
    struct vf_test_nbd t = {
        .plugin = "eval",
        .parameters = {"get_size=echo 2684358656", "pread=exit 1", "can_extents=exit 0",
                       "extents=awk -v n=$3 -v o=$4 'BEGIN { for (i = 0; i < n; i += 131072) "
                       "printf \"%.0f 65536\\n%.0f 65536 hole,zero\\n\", o + i, o + i + 65536 }'"}};
    vf_test_nbd_open(&t);
    struct extent_sums sums = sum_extents(t.disk);
    assert_int_equal(sums.data + sums.zero, t.disk->size_bytes);
    assert_in_range(sums.data, t.disk->size_bytes / 2, t.disk->size_bytes / 2 + 65536);
    vf_test_nbd_release(&t);
}

static int count_then_fail(void *opaque, const struct vf_extent *e, struct vf_error **err)
{
    (void)e;
    ++*(unsigned *)opaque;
    return vf_error_set(err, VF_SPACE, "enough");
}

static void test_nbd__extent_callback_ends_the_walk(void **state)
{
    (void)state;
    struct vf_test_nbd t = {0};
    vf_test_nbd_open(&t);
    unsigned n = 0;
    struct vf_error *err = NULL;
    int rc = t.disk->ops->extents(t.disk, 0, t.size_bytes, count_then_fail, &n, &err);
    check_error(rc, &err, VF_SPACE, "enough");
    assert_int_equal(n, 1);
    assert_int_equal(t.disk->ops->extents(t.disk, 77, 0, count_then_fail, &n, NULL), 0);
    assert_int_equal(n, 1);
    vf_test_nbd_release(&t);
}

static void test_nbd__outside_is_range(void **state)
{
    (void)state;
    struct vf_test_nbd t = {0};
    vf_test_nbd_open(&t);
    uint8_t buf[2];
    unsigned n = 0;
    struct vf_error *err = NULL;
    uint64_t size = t.disk->size_bytes;
    assert_int_equal(t.disk->ops->pread(t.disk, buf, 0, size, NULL), 0);
    assert_int_equal(t.disk->ops->pread(t.disk, buf, 1, size - 1, NULL), 0);
    int rc = t.disk->ops->pread(t.disk, buf, 2, size - 1, &err);
    check_error(rc, &err, VF_RANGE, "not inside");
    rc = t.disk->ops->pread(t.disk, buf, 2, UINT64_MAX, &err);
    check_error(rc, &err, VF_RANGE, "not inside");
    rc = t.disk->ops->extents(t.disk, 1, size, count_then_fail, &n, &err);
    check_error(rc, &err, VF_RANGE, "not inside");
    vf_test_nbd_release(&t);
}

struct reader {
    pthread_t thread;
    struct vf_test_nbd *t;
    unsigned seed;
};

static void *read_much(void *opaque)
{
    struct reader *r = opaque;
    size_t most = 300000;
    uint8_t *buf = vf_xcalloc(1, most);
    for (unsigned i = 0; i < 40; i++) {
        size_t n = (size_t)rand_r(&r->seed) % most;
        size_t at = (size_t)rand_r(&r->seed) % (r->t->size_bytes - n);
        vf_test_check(r->t->disk->ops->pread(r->t->disk, buf, n, at, NULL) == 0);
        vf_test_check(memcmp(buf, r->t->content + at, n) == 0);
        if (i % 8 == 0) {
            struct extent_sums sums = sum_extents(r->t->disk);
            vf_test_check(sums.data + sums.zero == r->t->size_bytes);
        }
    }
    free(buf);
    return NULL;
}

static void test_nbd__many_threads_share_it(void **state)
{
    (void)state;
    struct vf_test_nbd t = {.filters = {"delay"},
                            .parameters = {"rdelay=1ms"},
                            .options = {.connections = 2, .in_flight = 8, .request_bytes = 16384}};
    vf_test_nbd_open(&t);
    struct reader readers[8];
    for (unsigned i = 0; i < 8; i++) {
        readers[i] = (struct reader){.t = &t, .seed = i + 1};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_much, &readers[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(readers[i].thread, NULL);
    }
    vf_test_nbd_release(&t);
}

static void test_nbd_disk_open__options_that_contradict_are_invalid(void **state)
{
    (void)state;
    const struct vf_nbd_options bad[] = {
        {0},
        {.unix_socket = "/a", .host = "b"},
        {.host = "b", .tls = VF_NBD_TLS_CERTIFICATES},
        {.host = "b", .tls = VF_NBD_TLS_PSK, .tls_username = "u"},
        {.host = "b", .tls = VF_NBD_TLS_PSK, .tls_psk_file = "f"},
        {.host = "b", .connections = 65},
        {.host = "b", .in_flight = 1025},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vf_disk *disk = NULL;
        struct vf_error *err = NULL;
        int rc = vf_nbd_disk_open(&bad[i], &disk, &err);
        check_error(rc, &err, VF_INVALID, "an NBD disk needs");
        assert_null(disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nbd__reads_what_is_served),
        cmocka_unit_test(test_nbd__small_pieces_on_several_connections_are_put_together),
        cmocka_unit_test(test_nbd__one_connection_where_the_server_wants_it_so),
        cmocka_unit_test(test_nbd__limits_of_the_server_are_kept),
        cmocka_unit_test(test_nbd__size_that_does_not_fit_the_blocks_is_invalid),
        cmocka_unit_test(test_nbd__without_extents_all_is_data),
        cmocka_unit_test(test_nbd__hole_alone_is_data),
        cmocka_unit_test(test_nbd__map_that_the_server_refuses_is_data),
        cmocka_unit_test(test_nbd__large_map_comes_in_parts),
        cmocka_unit_test(test_nbd__extent_callback_ends_the_walk),
        cmocka_unit_test(test_nbd__outside_is_range),
        cmocka_unit_test(test_nbd__many_threads_share_it),
        cmocka_unit_test(test_nbd_disk_open__options_that_contradict_are_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
