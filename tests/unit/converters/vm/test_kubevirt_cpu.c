#include "converters/vm/kubevirt_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/manifest_check.h"

static void test_kubevirt_cpu__table(void **state)
{
    (void)state;
    static const struct {
        uint32_t cpus, cores;
        enum vf_tristate hot_add, hot_plug;
        const char *want;
    } rows[] = {
        {1, 1, VF_UNSET, VF_UNSET, "{\"sockets\":1,\"cores\":1,\"threads\":1}"},
        {8, 4, VF_UNSET, VF_UNSET, "{\"sockets\":2,\"cores\":4,\"threads\":1}"},
        {8, 0, VF_UNSET, VF_UNSET, "{\"sockets\":8,\"cores\":1,\"threads\":1}"},
        {6, 4, VF_UNSET, VF_UNSET, "{\"sockets\":6,\"cores\":1,\"threads\":1}"},
        {8, 16, VF_UNSET, VF_UNSET, "{\"sockets\":8,\"cores\":1,\"threads\":1}"},
        {128, 64, VF_NO, VF_UNSET, "{\"sockets\":2,\"cores\":64,\"threads\":1,\"maxSockets\":2}"},
        {4, 2, VF_YES, VF_UNSET, "{\"sockets\":2,\"cores\":2,\"threads\":1}"},
        {4, 2, VF_YES, VF_NO, "{\"sockets\":2,\"cores\":2,\"threads\":1,\"maxSockets\":2}"},
        {4, 2, VF_NO, VF_YES, "{\"sockets\":2,\"cores\":2,\"threads\":1}"},
        {4, 2, VF_UNSET, VF_NO, "{\"sockets\":2,\"cores\":2,\"threads\":1,\"maxSockets\":2}"},
        {0, 0, VF_NO, VF_NO, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.cpus = rows[i].cpus;
        c.vm.cores_per_socket = rows[i].cores;
        c.vm.cpu_hot_add = rows[i].hot_add;
        c.mapping.hot_plug = rows[i].hot_plug;
        manifest_check_build(&c);
        manifest_check_expect(&c, DOMAIN "cpu", rows[i].want);
        manifest_check_release(&c);
    }
}

static void test_kubevirt_cpu__says_where_it_comes_from(void **state)
{
    (void)state;
    struct manifest_check c = manifest_check_linux();
    c.vm.cpus = 6;
    c.vm.cores_per_socket = 4;
    c.vm.cpu_hot_add = VF_NO;
    c.mapping.cpu_model = TEXT("host-passthrough");
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "cpu", VF_ORIGIN_SOURCE,
                          "numCPU 6, numCoresPerSocket 4, which does not divide it");
    manifest_check_origin(&c, DOMAIN "cpu.maxSockets", VF_ORIGIN_SOURCE, "cpuHotAddEnabled false");
    manifest_check_origin(&c, DOMAIN "cpu.model", VF_ORIGIN_OPTION, "--cpu-model");
    c.mapping.hot_plug = VF_NO;
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "cpu.maxSockets", VF_ORIGIN_OPTION, "--hot-plug no");
    c.vm.cores_per_socket = 0;
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "cpu", VF_ORIGIN_SOURCE, "numCoresPerSocket is not told");
    manifest_check_release(&c);
}

static void test_kubevirt_cpu__told_fields(void **state)
{
    (void)state;
    struct manifest_check c = manifest_check_linux();
    c.mapping = (struct vf_mapping){.cpu_model = TEXT("Skylake-Server-IBRS"),
                                    .dedicated_cpus = true,
                                    .numa = true,
                                    .hugepages = TEXT("2Mi")};
    manifest_check_build(&c);
    manifest_check_expect(&c, DOMAIN "cpu",
                          "{\"sockets\":2,\"cores\":1,\"threads\":1,\"model\":"
                          "\"Skylake-Server-IBRS\",\"dedicatedCpuPlacement\":true,"
                          "\"numa\":{\"guestMappingPassthrough\":{}}}");
    manifest_check_origin(&c, DOMAIN "cpu.numa", VF_ORIGIN_OPTION, "--numa");
    manifest_check_release(&c);
}

static void test_kubevirt_cpu__nested_is_as_told_else_as_the_source_has_it(void **state)
{
    (void)state;
    static const char both[] = "[{\"name\":\"vmx\",\"policy\":\"optional\"},"
                               "{\"name\":\"svm\",\"policy\":\"optional\"}]";
    static const struct {
        bool source;
        enum vf_tristate told;
        const char *want, *concern;
    } rows[] = {
        {false, VF_UNSET, NULL, NULL},     {true, VF_UNSET, both, "nested=1"},
        {false, VF_YES, both, "nested=1"}, {true, VF_NO, NULL, "as told"},
        {false, VF_NO, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.nested_hv = rows[i].source;
        c.mapping.nested = rows[i].told;
        manifest_check_build(&c);
        manifest_check_expect(&c, DOMAIN "cpu.features", rows[i].want);
        manifest_check_concern(&c, "vm.nested", rows[i].concern);
        if (rows[i].want) {
            manifest_check_origin(&c, DOMAIN "cpu.features",
                                  rows[i].told == VF_YES ? VF_ORIGIN_OPTION : VF_ORIGIN_SOURCE,
                                  "nested");
        }
        manifest_check_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubevirt_cpu__table),
        cmocka_unit_test(test_kubevirt_cpu__says_where_it_comes_from),
        cmocka_unit_test(test_kubevirt_cpu__told_fields),
        cmocka_unit_test(test_kubevirt_cpu__nested_is_as_told_else_as_the_source_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
