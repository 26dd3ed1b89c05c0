#include "importer/base/xxh64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "importer/base/mem.h"

static uint64_t hash(const void *p, size_t len)
{
    struct vf_xxh64 x;
    vf_xxh64_init(&x);
    vf_xxh64_update(&x, p, len);
    return vf_xxh64_get(&x);
}

/* The values are those of the reference program, xxhsum -H64. */
static void test_xxh64__known_values(void **state)
{
    (void)state;
    assert_int_equal(hash("", 0), UINT64_C(0xef46db3751d8e999));
    assert_int_equal(hash("a", 1), UINT64_C(0xd24ec4f1a98c6e5b));
    assert_int_equal(hash("abc", 3), UINT64_C(0x44bc2cf5ad770999));
    assert_int_equal(hash("Nobody inspects the spammish repetition", 39),
                     UINT64_C(0xfbcea83c8a378bf1));
}

static void test_xxh64__parts_are_as_the_whole(void **state)
{
    (void)state;
    unsigned char bytes[600];
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(i * 37 + i / 7);
    }
    uint64_t whole = hash(bytes, sizeof bytes);
    for (unsigned step = 1; step < 100; step++) {
        struct vf_xxh64 x;
        vf_xxh64_init(&x);
        for (unsigned at = 0; at < sizeof bytes; at += step) {
            unsigned n = sizeof bytes - at < step ? (unsigned)sizeof bytes - at : step;
            vf_xxh64_update(&x, bytes + at, n);
        }
        assert_int_equal(vf_xxh64_get(&x), whole);
    }
}

static void test_xxh64__zeros_are_as_zero_bytes(void **state)
{
    (void)state;
    unsigned char bytes[400] = {1, 2, 3};
    for (unsigned head = 0; head < 70; head++) {
        for (unsigned zeros = 0; zeros < 140; zeros++) {
            struct vf_xxh64 x;
            memset(bytes, 0, sizeof bytes);
            memset(bytes, 0xe7, head);
            memset(bytes + head + zeros, 0x5c, 41);
            vf_xxh64_init(&x);
            vf_xxh64_update(&x, bytes, head);
            vf_xxh64_update_zeros(&x, zeros);
            vf_xxh64_update(&x, bytes + head + zeros, 41);
            assert_int_equal(vf_xxh64_get(&x), hash(bytes, head + zeros + 41));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xxh64__known_values),
        cmocka_unit_test(test_xxh64__parts_are_as_the_whole),
        cmocka_unit_test(test_xxh64__zeros_are_as_zero_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
