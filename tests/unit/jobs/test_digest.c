#include "jobs/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/disk_check.h"
#include "tests/support/leaf_digest.h"
#include "tests/support/vmdk_writer.h"

#define MIB (1024u * 1024u)

static void check(const uint8_t *content, uint64_t size)
{
    struct vf_digest d;
    char expected[LEAF_DIGEST_SIZE], *text = NULL;
    assert_int_equal(vf_digest_init(&d, size, NULL), 0);
    for (uint64_t i = d.n_leaves; i > 0; i--) {
        assert_int_equal(vf_digest_set_leaf(&d, i - 1, content + (i - 1) * MIB, NULL), 0);
    }
    assert_int_equal(vf_digest_format(&d, &text, NULL), 0);
    leaf_digest(content, size, expected);
    assert_string_equal(text, expected);
    free(text);
    vf_digest_release(&d);
    vf_digest_release(&d);
}

static void test_digest__is_as_defined(void **state)
{
    (void)state;
    const uint64_t sizes[] = {0, 1, 511, 512, MIB - 1, MIB, MIB + 1, 5 * MIB + 512};
    uint8_t *content = calloc(6, MIB);
    uint64_t rng = 7;
    for (unsigned i = 0; i < 8; i++) {
        memset(content, 0, 6 * MIB);
        check(content, sizes[i]);
        for (uint64_t k = 0; k < sizes[i]; k++) {
            content[k] = k / MIB % 2 ? 0 : (uint8_t)vmdk_random(&rng);
        }
        check(content, sizes[i]);
    }
    free(content);
}

/* Fixed: records that were written once must verify for ever. */
static void test_digest__known_values_stand(void **state)
{
    (void)state;
    const struct {
        uint64_t size;
        bool data;
        const char *text;
    } cases[] = {
        {0, false, "sha256-1m:604235a39ed9a98c1cc5a8c64a6fd70cb9f917d898c17a390daa94064ddc2c14"},
        {MIB + 512, false,
         "sha256-1m:5c61209900a2470ac91e6b8b18efef22dd3e888ebcc6fb6c5ee9caccdfb42833"},
        {MIB + 512, true,
         "sha256-1m:bdf89537249b6ca518eeac6f54bef7428f1cf04547c507152c1ac96c9e66bcd0"},
    };
    uint8_t *leaf = malloc(MIB);
    memset(leaf, 0x61, MIB);
    for (unsigned i = 0; i < 3; i++) {
        struct vf_digest d;
        char *text = NULL;
        assert_int_equal(vf_digest_init(&d, cases[i].size, NULL), 0);
        for (uint64_t k = 0; k < d.n_leaves; k++) {
            assert_int_equal(vf_digest_set_leaf(&d, k, cases[i].data ? leaf : NULL, NULL), 0);
        }
        assert_int_equal(vf_digest_format(&d, &text, NULL), 0);
        assert_string_equal(text, cases[i].text);
        free(text);
        vf_digest_release(&d);
    }
    free(leaf);
}

static void test_digest__a_leaf_may_be_set_again(void **state)
{
    (void)state;
    struct vf_digest d;
    char expected[LEAF_DIGEST_SIZE], *text = NULL;
    uint8_t *content = calloc(1, MIB + 9);
    assert_int_equal(vf_digest_init(&d, MIB + 9, NULL), 0);
    content[MIB + 8] = content[5] = 1;
    assert_int_equal(vf_digest_set_leaf(&d, 0, content, NULL), 0);
    assert_int_equal(vf_digest_set_leaf(&d, 1, content + MIB, NULL), 0);
    content[5] = 0;
    assert_int_equal(vf_digest_set_leaf(&d, 0, NULL, NULL), 0);
    assert_int_equal(vf_digest_leaf_bytes(&d, 0), MIB);
    assert_int_equal(vf_digest_leaf_bytes(&d, 1), 9);
    assert_int_equal(vf_digest_format(&d, &text, NULL), 0);
    leaf_digest(content, MIB + 9, expected);
    assert_string_equal(text, expected);
    free(text);
    free(content);
    vf_digest_release(&d);
}

static void test_digest__absurd_size_is_an_error(void **state)
{
    (void)state;
    struct vf_digest d;
    struct vf_error *err = NULL;
    check_error(vf_digest_init(&d, UINT64_MAX, &err), &err, VF_INTERNAL, "cannot map");
    vf_digest_release(&d);
    assert_int_equal(vf_digest_init(&d, 64ull << 40, NULL), 0);
    vf_digest_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest__is_as_defined),
        cmocka_unit_test(test_digest__known_values_stand),
        cmocka_unit_test(test_digest__a_leaf_may_be_set_again),
        cmocka_unit_test(test_digest__absurd_size_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
