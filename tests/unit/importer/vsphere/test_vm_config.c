#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/vm_xml.h"

static void read_vm(struct vf_vm_draft *d, const char *xml)
{
    assert_int_equal(vf_test_parse_vm(d, xml, NULL), 0);
}

#define ALLOCATION(reservation, limit, shares, level)                                              \
    "<reservation>" reservation "</reservation><expandableReservation>false"                       \
    "</expandableReservation><limit>" limit "</limit><shares><shares>" shares                      \
    "</shares><level>" level "</level></shares>"

static void test_vm_config__allocations(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_vm(&d, VM_CONTENT(VM_PROP("config.cpuAllocation", "ResourceAllocationInfo",
                                   ALLOCATION("1000", "4000", "4000", "high"))
                               VM_PROP("config.memoryAllocation", "ResourceAllocationInfo",
                                       ALLOCATION("512", "-1", "77", "custom"))));
    const struct vf_vm_allocation *cpu = &d.vm.cpu_allocation, *memory = &d.vm.memory_allocation;
    assert_int_equal(cpu->reservation, 1000);
    assert_int_equal(cpu->limit, 4000);
    assert_int_equal(cpu->shares, 4000);
    assert_int_equal(cpu->level, VF_SHARES_HIGH);
    assert_int_equal(memory->reservation, UINT64_C(512) << 20);
    assert_true(memory->limit == VF_NO_LIMIT);
    assert_int_equal(memory->shares, 77);
    assert_int_equal(memory->level, VF_SHARES_CUSTOM);
    vf_vm_draft_release(&d);
}

static void test_vm_config__absurd_allocations_count_as_not_told(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_vm(
        &d,
        VM_CONTENT(
            VM_PROP("config.cpuAllocation", "x", ALLOCATION("-5", "nine", "99999999999", "extreme"))
                VM_PROP("config.memoryAllocation", "x",
                        ALLOCATION("18446744073709551615", "9223372036854775807", "-1", "low"))));
    assert_int_equal(d.vm.cpu_allocation.reservation, 0);
    assert_int_equal(d.vm.cpu_allocation.limit, 0);
    assert_int_equal(d.vm.cpu_allocation.shares, 0);
    assert_int_equal(d.vm.cpu_allocation.level, VF_SHARES_NORMAL);
    assert_int_equal(d.vm.memory_allocation.reservation, 0);
    assert_true(d.vm.memory_allocation.limit == VF_NO_LIMIT); /* more than memory can be */
    assert_int_equal(d.vm.memory_allocation.shares, 0);
    assert_int_equal(d.vm.memory_allocation.level, VF_SHARES_LOW);
    vf_vm_draft_release(&d);
}

static void test_vm_config__connection_states(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum vf_connection connection;
    } cases[] = {
        {"connected", VF_CONNECTION_GOOD},    {"disconnected", VF_CONNECTION_DISCONNECTED},
        {"orphaned", VF_CONNECTION_ORPHANED}, {"inaccessible", VF_CONNECTION_INACCESSIBLE},
        {"invalid", VF_CONNECTION_INVALID},   {"dreaming", VF_CONNECTION_UNKNOWN},
        {"", VF_CONNECTION_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char xml[1024];
        struct vf_vm_draft d;
        snprintf(xml, sizeof xml, VM_CONTENT(VM_PROP("runtime.connectionState", "x", "%s")),
                 cases[i].text);
        read_vm(&d, xml);
        assert_int_equal(d.vm.connection, cases[i].connection);
        vf_vm_draft_release(&d);
    }
}

static void test_vm_config__question_even_without_text(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_vm(&d, VM_CONTENT(VM_PROP("runtime.question", "VirtualMachineQuestionInfo",
                                   "<id>1</id><text>moved or copied?</text>")));
    assert_string_equal(d.vm.question, "moved or copied?");
    vf_vm_draft_release(&d);
    read_vm(&d, VM_CONTENT(VM_PROP("runtime.question", "x", "<id>1</id>")));
    assert_non_null(d.vm.question);
    vf_vm_draft_release(&d);
    read_vm(&d, VM_CONTENT(""));
    assert_null(d.vm.question);
    vf_vm_draft_release(&d);
}

static void test_vm_config__what_binds_a_vm(void **state)
{
    (void)state;
    struct vf_vm_draft d;
    read_vm(&d,
            VM_CONTENT(VM_PROP("config.cpuAffinity", "VirtualMachineAffinityInfo",
                               "<affinitySet>0</affinitySet><affinitySet>2</affinitySet>")
                           VM_PROP("config.extraConfig[\"numa.nodeAffinity\"]", "OptionValue",
                                   "<key>numa.nodeAffinity</key><value xsi:type=\"xsd:string\">0,1"
                                   "</value>") VM_PROP("config.latencySensitivity",
                                                       "LatencySensitivity", "<level>high</level>")
                               VM_PROP("config.memoryReservationLockedToMax", "xsd:boolean", "true")
                                   VM_PROP("config.keyId", "CryptoKeyId", "<keyId>k</keyId>")
                                       VM_PROP("config.cpuHotRemoveEnabled", "xsd:boolean", "true")
                                           VM_PROP("runtime.faultToleranceState", "x", "running")
                                               VM_PROP("runtime.minRequiredEVCModeKey",
                                                       "xsd:string", "intel-skylake")));
    assert_true(d.vm.cpu_affinity && d.vm.numa_affinity && d.vm.memory_locked && d.vm.encrypted);
    assert_true(d.vm.cpu_hot_remove && d.vm.fault_tolerant);
    assert_string_equal(d.vm.latency, "high");
    assert_string_equal(d.vm.evc_mode, "intel-skylake");
    vf_vm_draft_release(&d);
    /* The same properties of a VM that nothing binds. */
    read_vm(&d, VM_CONTENT(VM_PROP("config.cpuAffinity", "VirtualMachineAffinityInfo", "") VM_PROP(
                    "config.extraConfig[\"numa.nodeAffinity\"]", "OptionValue",
                    "<key>numa.nodeAffinity</key><value xsi:type=\"xsd:string\"></value>")
                               VM_PROP("runtime.faultToleranceState", "x", "notConfigured")
                                   VM_PROP("runtime.minRequiredEVCModeKey", "xsd:string", "")));
    assert_false(d.vm.cpu_affinity || d.vm.numa_affinity || d.vm.memory_locked || d.vm.encrypted);
    assert_false(d.vm.cpu_hot_remove || d.vm.fault_tolerant);
    assert_null(d.vm.latency);
    assert_null(d.vm.evc_mode);
    vf_vm_draft_release(&d);
}

#define BOOT(kind, key)                                                                            \
    "<VirtualMachineBootOptionsBootableDevice xsi:type=\"VirtualMachineBootOptionsBootable" kind   \
    "Device\">" key "</VirtualMachineBootOptionsBootableDevice>"
#define KEY(n) "<deviceKey>" n "</deviceKey>"

static void test_vm_config__boot_order(void **state)
{
    (void)state;
    static const char path[] = "config.bootOptions.bootOrder";
    struct vf_vm_draft d;
    char xml[4096];
    snprintf(
        xml, sizeof xml,
        VM_CONTENT(VM_PROP("%s", "x",
                           BOOT("Cdrom", "") BOOT("Disk", KEY("2001")) BOOT("Ethernet", KEY("4000"))
                               BOOT("Floppy", "") BOOT("Disk", KEY("2000")))),
        path);
    read_vm(&d, xml);
    assert_true(d.vm.boot_keys_cdrom_first);
    assert_int_equal(d.vm.n_boot_keys, 3);
    assert_int_equal(d.vm.boot_keys[0], 2001);
    assert_int_equal(d.vm.boot_keys[1], 4000);
    assert_int_equal(d.vm.boot_keys[2], 2000);
    vf_vm_draft_release(&d);
    snprintf(xml, sizeof xml,
             VM_CONTENT(VM_PROP("%s", "x",
                                BOOT("Disk", KEY("99999999999")) BOOT("Disk", KEY("2000"))
                                    BOOT("Cdrom", ""))),
             path);
    read_vm(&d, xml);
    assert_false(d.vm.boot_keys_cdrom_first);
    assert_int_equal(d.vm.n_boot_keys, 1);
    vf_vm_draft_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vm_config__allocations),
        cmocka_unit_test(test_vm_config__absurd_allocations_count_as_not_told),
        cmocka_unit_test(test_vm_config__connection_states),
        cmocka_unit_test(test_vm_config__question_even_without_text),
        cmocka_unit_test(test_vm_config__what_binds_a_vm),
        cmocka_unit_test(test_vm_config__boot_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
