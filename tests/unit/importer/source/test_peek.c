#include "importer/source/peek.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"
#include "tests/support/memory_stream.h"

static void test_peek__head_is_seen_and_read_again(void **state)
{
    (void)state;
    const size_t lens[] = {0, 1, 511, 512, 513, 100000}, pieces[] = {1, 7, 512, 70000};
    char *data = malloc(100000), *back = malloc(100001);
    for (size_t i = 0; i < 100000; i++) {
        data[i] = (char)(i * 7 + i / 251);
    }
    for (unsigned i = 0; i < 24; i++) {
        size_t len = lens[i % 6], piece = pieces[i / 6];
        struct vf_stream *in = memory_stream_new(data, len, piece, false), *s = NULL;
        const void *head = NULL;
        size_t head_len = 99, n = 99;
        assert_int_equal(vf_peek_open(in, 512, &s, &head, &head_len, NULL), 0);
        assert_int_equal(head_len, len < 512 ? len : 512);
        assert_memory_equal(head, data, head_len);
        assert_int_equal(s->size_bytes, len);
        assert_int_equal(vf_stream_read_full(s, back, 3, &n, NULL), 0);
        size_t part = n;
        assert_int_equal(vf_stream_read_full(s, back + part, 100001 - part, &n, NULL), 0);
        assert_int_equal(part + n, len);
        assert_memory_equal(back, data, len);
        assert_int_equal(s->ops->read(s, back, 10, &n, NULL), 0);
        assert_int_equal(n, 0);
        vf_stream_free(s);
    }
    free(data);
    free(back);
}

static void test_peek__more_than_the_limit_is_cut(void **state)
{
    (void)state;
    char *data = calloc(1, 100000);
    struct vf_stream *s = NULL;
    const void *head;
    size_t head_len;
    struct vf_stream *in = memory_stream_new(data, 100000, 4096, false);
    assert_int_equal(vf_peek_open(in, SIZE_MAX, &s, &head, &head_len, NULL), 0);
    assert_int_equal(head_len, 65536);
    vf_stream_free(s);
    free(data);
}

static void test_peek__broken_stream_is_taken_too(void **state)
{
    (void)state;
    struct vf_stream *s = NULL;
    struct vf_error *err = NULL;
    const void *head;
    size_t head_len;
    struct vf_stream *in = memory_stream_new("abc", 3, 4096, true);
    check_error(vf_peek_open(in, 512, &s, &head, &head_len, &err), &err, VF_RETRY, "reset");
    assert_null(s);
    /* A break behind the head shows when it is read to. */
    in = memory_stream_new("abc", 3, 4096, true);
    assert_int_equal(vf_peek_open(in, 3, &s, &head, &head_len, NULL), 0);
    char buf[10];
    size_t n;
    check_error(vf_stream_read_full(s, buf, 10, &n, &err), &err, VF_RETRY, "reset");
    vf_stream_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peek__head_is_seen_and_read_again),
        cmocka_unit_test(test_peek__more_than_the_limit_is_cut),
        cmocka_unit_test(test_peek__broken_stream_is_taken_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
