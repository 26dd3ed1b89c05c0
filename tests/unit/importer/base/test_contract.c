#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vmferry/disk.h>
#include <vmferry/sink.h>
#include <vmferry/stream.h>

#include "importer/base/mem.h"
#include "tests/support/memory_stream.h"

static struct vf_stream *stream_of(const char *text, size_t piece, bool breaks)
{
    struct memory_stream *m = vf_xcalloc(1, sizeof *m);
    static const struct vf_stream_ops ops = {.read = memory_stream_read,
                                             .free = memory_stream_free};
    m->base.ops = &ops;
    m->data = text;
    m->len_bytes = strlen(text);
    m->piece_bytes = piece;
    m->breaks = breaks;
    return &m->base;
}

static void test_stream_read_full__joins_pieces_up_to_the_end(void **state)
{
    (void)state;
    struct vf_stream *s = stream_of("abcdefgh", 3, false);
    char buf[6];
    size_t n = 99;
    assert_int_equal(vf_stream_read_full(s, buf, 5, &n, NULL), 0);
    assert_int_equal(n, 5);
    assert_memory_equal(buf, "abcde", 5);
    assert_int_equal(vf_stream_read_full(s, buf, 5, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_memory_equal(buf, "fgh", 3);
    assert_int_equal(vf_stream_read_full(s, buf, 5, &n, NULL), 0);
    assert_int_equal(n, 0);
    vf_stream_free(s);
}

static void test_stream_read_full__break_is_an_error(void **state)
{
    (void)state;
    struct vf_stream *s = stream_of("abc", 2, true);
    char buf[6];
    size_t n = 99;
    assert_int_equal(vf_stream_read_full(s, buf, 5, &n, NULL), VF_RETRY);
    assert_int_equal(n, 99); /* set only on success */
    vf_stream_free(s);
}

static void test_contract_free__null_is_fine(void **state)
{
    (void)state;
    vf_stream_free(NULL);
    vf_disk_free(NULL);
    vf_sink_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_read_full__joins_pieces_up_to_the_end),
        cmocka_unit_test(test_stream_read_full__break_is_an_error),
        cmocka_unit_test(test_contract_free__null_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
