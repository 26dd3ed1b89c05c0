#include "importer/source/gunzip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "tests/support/memory_stream.h"

#define CONTENT_BYTES 700000

static unsigned char content[CONTENT_BYTES];
static unsigned char packed[2 * CONTENT_BYTES];

/* Returns the length of `content` as one gzip member. */
static size_t pack(unsigned char *to, const unsigned char *from, size_t n)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)from,
                  .avail_in = (uInt)n,
                  .next_out = to,
                  .avail_out = CONTENT_BYTES};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static int set_up(void **state)
{
    (void)state;
    uint32_t x = 1;
    for (size_t i = 0; i < CONTENT_BYTES; i++) {
        x = x * 1664525 + 1013904223;
        content[i] = (unsigned char)((x >> 24) & 0x0f);
    }
    return 0;
}

static int unpack(const void *data, size_t len, size_t piece, uint64_t max, unsigned char *out,
                  size_t *ret_n)
{
    struct vf_stream *s = NULL;
    struct vf_stream *in = memory_stream_new(data, len, piece, false);
    int rc = vf_gunzip_open(in, "x.gz", max, &s, NULL);
    if (rc == 0) {
        rc = vf_stream_read_full(s, out, CONTENT_BYTES + 1, ret_n, NULL);
        vf_stream_free(s);
    }
    return rc;
}

static void test_gunzip__content_comes_back_whatever_the_pieces(void **state)
{
    (void)state;
    static unsigned char out[CONTENT_BYTES + 1];
    size_t len = pack(packed, content, CONTENT_BYTES);
    static const size_t pieces[] = {1, 7, 4096, SIZE_MAX};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t n = 0;
        assert_int_equal(unpack(packed, len, pieces[i], CONTENT_BYTES, out, &n), 0);
        assert_int_equal(n, CONTENT_BYTES);
        assert_memory_equal(out, content, n);
    }
}

static void test_gunzip__members_follow_one_another(void **state)
{
    (void)state;
    static unsigned char out[CONTENT_BYTES + 1];
    size_t len = pack(packed, content, 1000);
    len += pack(packed + len, content, 0);
    len += pack(packed + len, content + 1000, 500);
    size_t n = 0;
    assert_int_equal(unpack(packed, len, SIZE_MAX, 1500, out, &n), 0);
    assert_int_equal(n, 1500);
    assert_memory_equal(out, content, n);
}

static void test_gunzip__plain_bytes_pass(void **state)
{
    (void)state;
    static unsigned char out[CONTENT_BYTES + 1];
    static const char *const texts[] = {"", "a", "KDMV and more", "\x1f"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t n = 99;
        size_t len = strlen(texts[i]);
        assert_int_equal(unpack(texts[i], len, 1, len, out, &n), 0);
        assert_int_equal(n, len);
        assert_memory_equal(out, texts[i], n);
    }
}

static void test_gunzip__more_than_allowed_is_space(void **state)
{
    (void)state;
    static unsigned char out[CONTENT_BYTES + 1];
    size_t len = pack(packed, content, CONTENT_BYTES);
    size_t n;
    assert_int_equal(unpack(packed, len, SIZE_MAX, CONTENT_BYTES - 1, out, &n), VF_SPACE);
    assert_int_equal(unpack("plain", 5, SIZE_MAX, 4, out, &n), VF_SPACE);
}

static void test_gunzip__damage_is_invalid(void **state)
{
    (void)state;
    static unsigned char out[CONTENT_BYTES + 1];
    size_t len = pack(packed, content, 5000);
    size_t n;
    for (size_t cut = 3; cut < len; cut += 97) {
        assert_int_equal(unpack(packed, cut, SIZE_MAX, 5000, out, &n), VF_INVALID);
    }
    assert_int_equal(unpack(packed, len - 1, SIZE_MAX, 5000, out, &n), VF_INVALID);
    packed[len] = 'x'; /* behind the last member */
    assert_int_equal(unpack(packed, len + 1, SIZE_MAX, 5000, out, &n), VF_INVALID);
    packed[len - 8] ^= 1; /* CRC-32 */
    assert_int_equal(unpack(packed, len, SIZE_MAX, 5000, out, &n), VF_INVALID);
    packed[len - 8] ^= 1;
    packed[len - 4] ^= 1; /* length */
    assert_int_equal(unpack(packed, len, SIZE_MAX, 5000, out, &n), VF_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gunzip__content_comes_back_whatever_the_pieces),
        cmocka_unit_test(test_gunzip__members_follow_one_another),
        cmocka_unit_test(test_gunzip__plain_bytes_pass),
        cmocka_unit_test(test_gunzip__more_than_allowed_is_space),
        cmocka_unit_test(test_gunzip__damage_is_invalid),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
