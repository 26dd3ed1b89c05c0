#include "importer/base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const unsigned char bytes[] = {0xff, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x88};

/* At an odd address, which UBSan would refuse to a cast pointer. */
static void test_bytes_load__by_endianness_at_any_address(void **state)
{
    (void)state;
    assert_int_equal(le16_load(bytes + 1), 0x0201);
    assert_int_equal(le32_load(bytes + 1), 0x04030201);
    assert_true(le64_load(bytes + 1) == 0x8807060504030201u);
    assert_int_equal(be16_load(bytes + 1), 0x0102);
    assert_int_equal(be32_load(bytes + 1), 0x01020304);
    assert_true(be64_load(bytes + 1) == 0x0102030405060788u);
}

static void test_bytes_store__is_the_inverse(void **state)
{
    (void)state;
    unsigned char out[9] = {0xff};
    le16_store(out + 1, 0x0201);
    assert_memory_equal(out, bytes, 3);
    le32_store(out + 1, 0x04030201);
    assert_memory_equal(out, bytes, 5);
    le64_store(out + 1, 0x8807060504030201u);
    assert_memory_equal(out, bytes, 9);
    be16_store(out + 1, 0x0102);
    assert_memory_equal(out, bytes, 3);
    be32_store(out + 1, 0x01020304);
    assert_memory_equal(out, bytes, 5);
    be64_store(out + 1, 0x0102030405060788u);
    assert_memory_equal(out, bytes, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_load__by_endianness_at_any_address),
        cmocka_unit_test(test_bytes_store__is_the_inverse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
