#include "converters/vm/kubevirt_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/manifest_check.h"

#define MIB (UINT64_C(1) << 20)

static void test_kubevirt_memory__table(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        enum vf_tristate hot_add, hot_plug;
        const char *hugepages;
        bool numa;
        const char *want;
    } rows[] = {
        {4 * GIB, VF_UNSET, VF_UNSET, NULL, false, "{\"guest\":\"4Gi\"}"},
        {4 * GIB, VF_YES, VF_UNSET, NULL, false, "{\"guest\":\"4Gi\"}"},
        {4 * GIB, VF_NO, VF_UNSET, NULL, false, "{\"guest\":\"4Gi\",\"maxGuest\":\"4Gi\"}"},
        {4 * GIB, VF_NO, VF_YES, NULL, false, "{\"guest\":\"4Gi\"}"},
        {4 * GIB, VF_YES, VF_NO, NULL, false, "{\"guest\":\"4Gi\",\"maxGuest\":\"4Gi\"}"},
        /* What admission does not take: below 1 GiB, odd MiB, beside NUMA nodes. */
        {1022 * MIB, VF_NO, VF_UNSET, NULL, false, "{\"guest\":\"1022Mi\"}"},
        {1024 * MIB, VF_NO, VF_UNSET, NULL, false, "{\"guest\":\"1Gi\",\"maxGuest\":\"1Gi\"}"},
        {1025 * MIB, VF_NO, VF_UNSET, NULL, false, "{\"guest\":\"1025Mi\"}"},
        {1026 * MIB, VF_NO, VF_UNSET, NULL, false,
         "{\"guest\":\"1026Mi\",\"maxGuest\":\"1026Mi\"}"},
        {4 * GIB, VF_NO, VF_UNSET, "2Mi", true,
         "{\"guest\":\"4Gi\",\"hugepages\":{\"pageSize\":\"2Mi\"}}"},
        {4 * GIB, VF_NO, VF_UNSET, "1Gi", false,
         "{\"guest\":\"4Gi\",\"maxGuest\":\"4Gi\",\"hugepages\":{\"pageSize\":\"1Gi\"}}"},
        {1025 * MIB, VF_NO, VF_UNSET, "64Ki", false,
         "{\"guest\":\"1025Mi\",\"hugepages\":{\"pageSize\":\"64Ki\"}}"},
        {4096 * MIB + 4096, VF_NO, VF_UNSET, NULL, false, "{\"guest\":\"4294971392\"}"},
        {0, VF_NO, VF_UNSET, NULL, false, "{\"guest\":\"2Gi\",\"maxGuest\":\"2Gi\"}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.memory_bytes = rows[i].bytes;
        c.vm.memory_hot_add = rows[i].hot_add;
        c.mapping.hot_plug = rows[i].hot_plug;
        c.mapping.hugepages = TEXT(rows[i].hugepages);
        c.mapping.numa = c.mapping.dedicated_cpus = rows[i].numa;
        manifest_check_build(&c);
        manifest_check_expect(&c, DOMAIN "memory", rows[i].want);
        manifest_check_release(&c);
    }
}

static void test_kubevirt_memory__says_where_it_comes_from(void **state)
{
    (void)state;
    struct manifest_check c = manifest_check_linux();
    c.vm.memory_hot_add = VF_NO;
    c.mapping.hugepages = TEXT("1Gi");
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "memory.guest", VF_ORIGIN_SOURCE, "memoryMB 4096");
    manifest_check_origin(&c, DOMAIN "memory.maxGuest", VF_ORIGIN_SOURCE,
                          "memoryHotAddEnabled false");
    manifest_check_origin(&c, DOMAIN "memory.hugepages", VF_ORIGIN_OPTION, "--hugepages");
    c.vm.memory_bytes = 0;
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "memory.guest", VF_ORIGIN_DEFAULT, "no size");
    manifest_check_concern(&c, "vm.memory-unknown", "2Gi");
    manifest_check_release(&c);
}

static void test_kubevirt_memory__not_a_multiple_of_its_pages_is_invalid(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *hugepages, *instancetype;
        int want;
    } rows[] = {
        {1536 * MIB, "1Gi", NULL, VF_INVALID}, {1536 * MIB, "2Mi", NULL, 0},
        {512 * MIB, "1Gi", NULL, VF_INVALID},  {1025 * MIB, "2Mi", NULL, VF_INVALID},
        {1536 * MIB, "1Gi", "u1.medium", 0},   {0, "2Gi", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.memory_bytes = rows[i].bytes;
        c.mapping.hugepages = TEXT(rows[i].hugepages);
        c.mapping.instancetype = TEXT(rows[i].instancetype);
        c.options.mapping = &c.mapping;
        struct vf_error *err = NULL;
        assert_int_equal(vf_manifests_build(&c.vm, &c.options, &c.made, &err), rows[i].want);
        if (err) {
            assert_non_null(vf_error_get_hint(err));
        }
        vf_error_free(err);
        manifest_check_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubevirt_memory__table),
        cmocka_unit_test(test_kubevirt_memory__says_where_it_comes_from),
        cmocka_unit_test(test_kubevirt_memory__not_a_multiple_of_its_pages_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
