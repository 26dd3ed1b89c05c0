#include "converters/disk/bitmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"

static void test_bitmap__bits_are_set_and_found(void **state)
{
    (void)state;
    const uint64_t sizes[] = {1, 63, 64, 65, 128, 1ull << 30};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct vf_bitmap a = {0}, b = {0};
        uint64_t n = sizes[i];
        assert_int_equal(vf_bitmap_init(&a, n, NULL), 0);
        assert_int_equal(vf_bitmap_init(&b, n, NULL), 0);
        assert_true(vf_bitmap_first_difference(&a, &b) == UINT64_MAX);
        assert_false(vf_bitmap_test(&a, n - 1));
        assert_false(vf_bitmap_test_and_set(&a, n - 1));
        assert_true(vf_bitmap_test_and_set(&a, n - 1));
        assert_true(vf_bitmap_test(&a, n - 1));
        if (i < 5) { /* the last is compared in the other test: it touches all its memory */
            assert_true(vf_bitmap_first_difference(&a, &b) == n - 1);
            vf_bitmap_test_and_set(&b, n - 1);
            assert_true(vf_bitmap_first_difference(&a, &b) == UINT64_MAX);
            vf_bitmap_test_and_set(&b, 0);
            assert_true(vf_bitmap_first_difference(&a, &b) == (n == 1 ? UINT64_MAX : 0));
        }
        vf_bitmap_release(&a);
        vf_bitmap_release(&b);
        vf_bitmap_release(&b);
    }
}

static void test_bitmap__empty_one_is_fine(void **state)
{
    (void)state;
    struct vf_bitmap a, b;
    assert_int_equal(vf_bitmap_init(&a, 0, NULL), 0);
    assert_int_equal(vf_bitmap_init(&b, 0, NULL), 0);
    assert_true(vf_bitmap_first_difference(&a, &b) == UINT64_MAX);
    vf_bitmap_release(&a);
    vf_bitmap_release(&b);
}

static void test_bitmap__absurd_size_is_an_error(void **state)
{
    (void)state;
    struct vf_bitmap b;
    struct vf_error *err = NULL;
    check_error(vf_bitmap_init(&b, UINT64_MAX, &err), &err, VF_INTERNAL, "cannot map");
    vf_bitmap_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bitmap__bits_are_set_and_found),
        cmocka_unit_test(test_bitmap__empty_one_is_fine),
        cmocka_unit_test(test_bitmap__absurd_size_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
