#include "converters/vm/kubevirt_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/manifest_check.h"

#define MIB (UINT64_C(1) << 20)

/* Four vCPUs on cores with 2500 MHz, 4 GiB. */
static struct manifest_check machine(struct vf_vm_allocation cpu, struct vf_vm_allocation memory)
{
    struct manifest_check c = manifest_check_linux();
    c.vm.cpus = 4;
    c.vm.host_cpu_mhz = 2500;
    c.vm.cpu_allocation = cpu;
    c.vm.memory_allocation = memory;
    c.mapping.resources = VF_RESOURCES_SOURCE;
    return c;
}

static void test_kubevirt_resources__cpu_table(void **state)
{
    (void)state;
    static const struct {
        struct vf_vm_allocation cpu;
        const char *want;
    } rows[] = {
        {{0}, NULL},
        {{.limit = VF_NO_LIMIT, .level = VF_SHARES_NORMAL, .shares = 4000}, NULL},
        {{.reservation = 5000, .limit = VF_NO_LIMIT}, "{\"requests\":{\"cpu\":\"2\"}}"},
        {{.reservation = 1000}, "{\"requests\":{\"cpu\":\"400m\"}}"},
        {{.reservation = 1}, "{\"requests\":{\"cpu\":\"1m\"}}"},
        {{.reservation = 1001}, "{\"requests\":{\"cpu\":\"401m\"}}"}, /* rounded up */
        /* More than it has, as after a move to a slower host. */
        {{.reservation = 40000}, "{\"requests\":{\"cpu\":\"4\"}}"},
        {{.reservation = UINT64_MAX}, "{\"requests\":{\"cpu\":\"4\"}}"},
        {{.limit = 2000}, "{\"limits\":{\"cpu\":\"800m\"}}"},
        {{.limit = 7500}, "{\"limits\":{\"cpu\":\"3\"}}"},
        {{.limit = 10000}, NULL}, /* all it has */
        {{.limit = 99999}, NULL},
        {{.reservation = 2500, .limit = 5000},
         "{\"requests\":{\"cpu\":\"1\"},\"limits\":{\"cpu\":\"2\"}}"},
        {{.reservation = 5000, .limit = 2500},
         "{\"requests\":{\"cpu\":\"1\"},\"limits\":{\"cpu\":\"1\"}}"},
        /* Shares: KubeVirt requests 400m for four vCPUs by itself. */
        {{.level = VF_SHARES_LOW, .shares = 2000}, "{\"requests\":{\"cpu\":\"200m\"}}"},
        {{.level = VF_SHARES_HIGH, .shares = 8000}, "{\"requests\":{\"cpu\":\"800m\"}}"},
        {{.level = VF_SHARES_CUSTOM, .shares = 4000}, "{\"requests\":{\"cpu\":\"400m\"}}"},
        {{.level = VF_SHARES_CUSTOM, .shares = 1}, "{\"requests\":{\"cpu\":\"1m\"}}"},
        {{.level = VF_SHARES_CUSTOM, .shares = 1000000}, "{\"requests\":{\"cpu\":\"4\"}}"},
        {{.level = VF_SHARES_CUSTOM}, NULL},
        {{.reservation = 1000, .level = VF_SHARES_HIGH}, "{\"requests\":{\"cpu\":\"400m\"}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = machine(rows[i].cpu, (struct vf_vm_allocation){0});
        manifest_check_build(&c);
        manifest_check_expect(&c, DOMAIN "resources", rows[i].want);
        manifest_check_concern(&c, "vm.cpu-reservation", NULL);
        manifest_check_concern(&c, "vm.cpu-limit", NULL);
        manifest_check_release(&c);
    }
}

static void test_kubevirt_resources__memory_table(void **state)
{
    (void)state;
    static const struct {
        struct vf_vm_allocation memory;
        const char *want;
        const char *overcommitted, *limit; /* parts of concerns */
    } rows[] = {
        {{0}, NULL, NULL, NULL},
        {{.reservation = 1024 * MIB},
         "{\"requests\":{\"memory\":\"1Gi\"}}",
         "1Gi of the guest's 4Gi",
         NULL},
        {{.reservation = 4096 * MIB, .limit = VF_NO_LIMIT},
         "{\"requests\":{\"memory\":\"4Gi\"}}",
         NULL,
         NULL},
        {{.reservation = 9000 * MIB}, "{\"requests\":{\"memory\":\"4Gi\"}}", NULL, NULL},
        {{.reservation = 1}, "{\"requests\":{\"memory\":\"1Mi\"}}", "1Mi", NULL},
        {{.reservation = UINT64_MAX}, "{\"requests\":{\"memory\":\"4Gi\"}}", NULL, NULL},
        {{.limit = 2048 * MIB}, NULL, NULL, "2048 MB of the guest's 4096 MB"},
        {{.limit = 4096 * MIB}, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = machine((struct vf_vm_allocation){0}, rows[i].memory);
        manifest_check_build(&c);
        manifest_check_expect(&c, DOMAIN "resources", rows[i].want);
        manifest_check_concern(&c, "vm.memory-overcommitted", rows[i].overcommitted);
        manifest_check_concern(&c, "vm.memory-limit", rows[i].limit);
        manifest_check_concern(&c, "vm.memory-reservation", NULL);
        manifest_check_release(&c);
    }
}

static const struct vf_vm_allocation some_cpu = {.reservation = 5000, .limit = 7500},
                                     some_memory = {.reservation = 1024 * MIB, .limit = 2048 * MIB};

static void test_kubevirt_resources__says_where_they_come_from(void **state)
{
    (void)state;
    struct manifest_check c = machine(some_cpu, some_memory);
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "resources.requests.cpu", VF_ORIGIN_SOURCE,
                          "reservation 5000 MHz, of cores with 2500 MHz");
    manifest_check_origin(&c, DOMAIN "resources.limits.cpu", VF_ORIGIN_SOURCE, "limit 7500 MHz");
    manifest_check_origin(&c, DOMAIN "resources.requests.memory", VF_ORIGIN_SOURCE,
                          "memory reservation 1024 MB");
    c.vm.cpu_allocation = (struct vf_vm_allocation){.level = VF_SHARES_HIGH, .shares = 8000};
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "resources.requests.cpu", VF_ORIGIN_SOURCE,
                          "shares \"high\", 8000");
    manifest_check_release(&c);
}

static void test_kubevirt_resources__left_to_the_cluster_they_are_concerns(void **state)
{
    (void)state;
    struct manifest_check c = machine(some_cpu, some_memory);
    c.mapping.resources = VF_RESOURCES_CLUSTER;
    manifest_check_build(&c);
    manifest_check_expect(&c, DOMAIN "resources", NULL);
    manifest_check_concern(&c, "vm.cpu-reservation", "5000 MHz");
    manifest_check_concern(&c, "vm.cpu-limit", "7500 MHz");
    manifest_check_concern(&c, "vm.memory-reservation", "1024 MB");
    manifest_check_concern(&c, "vm.memory-limit", "2048 MB");
    c.vm.cpu_allocation = c.vm.memory_allocation =
        (struct vf_vm_allocation){.limit = VF_NO_LIMIT, .level = VF_SHARES_HIGH};
    manifest_check_build(&c);
    manifest_check_concern(&c, "vm.cpu-reservation", NULL);
    manifest_check_concern(&c, "vm.cpu-limit", NULL);
    manifest_check_concern(&c, "vm.memory-reservation", NULL);
    manifest_check_concern(&c, "vm.memory-limit", NULL);
    manifest_check_release(&c);
}

static void test_kubevirt_resources__unknown_speed_is_told(void **state)
{
    (void)state;
    struct manifest_check c = machine(some_cpu, (struct vf_vm_allocation){0});
    c.vm.host_cpu_mhz = 0;
    manifest_check_build(&c);
    manifest_check_expect(&c, DOMAIN "resources", NULL);
    manifest_check_concern(&c, "vm.cpu-reservation", "speed");
    manifest_check_concern(&c, "vm.cpu-limit", "speed");
    manifest_check_release(&c);
}

static void test_kubevirt_resources__dedicated_cpus_and_hugepages_are_requested_whole(void **state)
{
    (void)state;
    struct manifest_check c = machine(some_cpu, some_memory);
    c.mapping.hugepages = TEXT("2Mi");
    manifest_check_build(&c);
    manifest_check_expect(&c, DOMAIN "resources",
                          "{\"requests\":{\"cpu\":\"2\"},\"limits\":{\"cpu\":\"3\"}}");
    c.mapping.dedicated_cpus = true;
    manifest_check_build(&c);
    manifest_check_expect(&c, DOMAIN "resources", NULL);
    manifest_check_concern(&c, "vm.cpu-reservation", NULL);
    manifest_check_concern(&c, "vm.cpu-limit", "dedicated CPUs have no limit");
    manifest_check_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubevirt_resources__cpu_table),
        cmocka_unit_test(test_kubevirt_resources__memory_table),
        cmocka_unit_test(test_kubevirt_resources__says_where_they_come_from),
        cmocka_unit_test(test_kubevirt_resources__left_to_the_cluster_they_are_concerns),
        cmocka_unit_test(test_kubevirt_resources__unknown_speed_is_told),
        cmocka_unit_test(test_kubevirt_resources__dedicated_cpus_and_hugepages_are_requested_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
