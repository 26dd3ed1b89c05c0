#include "importer/kube/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect(const char *text, uint64_t bytes)
{
    uint64_t got = 0;
    if (!vf_kube_parse_bytes(text, &got) || got != bytes) {
        fail_msg("\"%s\" is %llu", text, (unsigned long long)got);
    }
}

static void test_quantity__suffixes_count(void **state)
{
    (void)state;
    expect("0", 0);
    expect("128974848", 128974848);
    expect("4Gi", UINT64_C(4) << 30);
    expect("1Ki", 1024);
    expect("2Ei", UINT64_C(2) << 60);
    expect("3k", 3000);
    expect("7M", 7000000);
    expect("1E", 1000000000000000000);
    expect("12e6", 12000000);
    expect("12E6", 12000000);
    expect("1e+3", 1000);
    expect("+5", 5);
}

static void test_quantity__fractions_are_rounded_up(void **state)
{
    (void)state;
    expect("1.5Gi", UINT64_C(3) << 29);
    expect("0.1", 1);
    expect(".5", 1);
    expect("100m", 1);
    expect("1500m", 2);
    expect("2000m", 2);
    expect("1u", 1);
    expect("15e-1", 2);
    expect("1.0000000000000001", 2);
    expect("1.0000000000000000", 1);
}

static void test_quantity__others_are_none(void **state)
{
    static const char *const bad[] = {
        "",
        "-1",
        "Gi",
        "1 Gi",
        "1GiB",
        "1ki",
        "e6",
        "1e",
        "1e99",
        ".",
        "1..2",
        "1.2.3",
        "0x10",
        "1K",
        "5Ei",
        "1e-",
        "1e-99",
        "4611686018427387904",
        "99999999999999999999",
        "99999999999Ti",
        "1e19",
        " 1",
        "1\n",
    };
    uint64_t bytes;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (vf_kube_parse_bytes(bad[i], &bytes)) {
            fail_msg("\"%s\" is taken", bad[i]);
        }
    }
    assert_false(vf_kube_parse_bytes(NULL, &bytes));
}

static void test_quantity__cpu_is_in_thousandths(void **state)
{
    static const struct {
        const char *text;
        uint64_t millis;
    } cases[] = {{"4", 4000}, {"1500m", 1500}, {"0.1", 100},     {"0.0001", 1},
                 {"1u", 1},   {"2k", 2000000}, {"1Ki", 1024000}, {"0", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t millis = 0;
        assert_true(vf_kube_parse_millis(cases[i].text, &millis));
        assert_int_equal(millis, cases[i].millis);
    }
    uint64_t millis;
    assert_false(vf_kube_parse_millis("4 CPUs", &millis));
    assert_false(vf_kube_parse_millis("5E", &millis)); /* of 2^62 */
    assert_false(vf_kube_parse_millis(NULL, &millis));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantity__suffixes_count),
        cmocka_unit_test(test_quantity__fractions_are_rounded_up),
        cmocka_unit_test(test_quantity__others_are_none),
        cmocka_unit_test(test_quantity__cpu_is_in_thousandths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
