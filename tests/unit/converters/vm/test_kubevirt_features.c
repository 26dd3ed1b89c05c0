#include "converters/vm/kubevirt_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/manifest_check.h"

static struct manifest_check windows(void)
{
    struct manifest_check c = manifest_check_linux();
    c.vm.guest_id = TEXT("windows2019srv_64Guest");
    c.vm.family = VF_GUEST_WINDOWS;
    return c;
}

static void test_kubevirt_features__table(void **state)
{
    (void)state;
    static const char hyperv[] =
        "{\"relaxed\":{},\"vapic\":{},\"spinlocks\":{\"spinlocks\":8191},\"vpindex\":{},"
        "\"synic\":{},\"synictimer\":{\"direct\":{}},\"frequencies\":{},\"reset\":{},"
        "\"runtime\":{},\"tlbflush\":{},\"ipi\":{}}";
    static const struct {
        const char *guest_id, *os;
        enum vf_guest_family family;
        enum vf_firmware firmware;
        bool secure_boot;
        const char *smm, *apic, *hyperv;
    } rows[] = {
        {"ubuntu64Guest", NULL, VF_GUEST_LINUX, VF_FIRMWARE_EFI, false, NULL, NULL, NULL},
        {"ubuntu64Guest", NULL, VF_GUEST_LINUX, VF_FIRMWARE_EFI, true, "{\"enabled\":true}", NULL,
         NULL},
        {"ubuntu64Guest", NULL, VF_GUEST_LINUX, VF_FIRMWARE_BIOS, true, NULL, NULL, NULL},
        {"windows2019srv_64Guest", NULL, VF_GUEST_WINDOWS, VF_FIRMWARE_BIOS, false, NULL, "{}",
         hyperv},
        {"windows2019srv_64Guest", NULL, VF_GUEST_WINDOWS, VF_FIRMWARE_EFI, true,
         "{\"enabled\":true}", "{}", hyperv},
        /* A row that is told goes before what the source says; the last row says nothing. */
        {"windows2019srv_64Guest", "rhel9", VF_GUEST_WINDOWS, VF_FIRMWARE_BIOS, false, NULL, NULL,
         NULL},
        {"nobodyKnowsGuest", NULL, VF_GUEST_WINDOWS, VF_FIRMWARE_BIOS, false, NULL, "{}", hyperv},
        {"nobodyKnowsGuest", NULL, VF_GUEST_OTHER, VF_FIRMWARE_BIOS, false, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.guest_id = TEXT(rows[i].guest_id);
        c.vm.family = rows[i].family;
        c.vm.firmware = rows[i].firmware;
        c.vm.secure_boot = rows[i].secure_boot;
        c.mapping.os = TEXT(rows[i].os);
        manifest_check_build(&c);
        manifest_check_expect(&c, DOMAIN "features.smm", rows[i].smm);
        manifest_check_expect(&c, DOMAIN "features.apic", rows[i].apic);
        manifest_check_expect(&c, DOMAIN "features.hyperv", rows[i].hyperv);
        manifest_check_expect(&c, DOMAIN "features.acpi",
                              rows[i].smm || rows[i].hyperv ? "{}" : NULL);
        manifest_check_expect(&c, DOMAIN "clock.timer.hyperv",
                              rows[i].hyperv ? "{\"present\":true}" : NULL);
        manifest_check_release(&c);
    }
}

static void test_kubevirt_features__say_where_they_come_from(void **state)
{
    (void)state;
    struct manifest_check c = windows();
    c.vm.firmware = VF_FIRMWARE_EFI;
    c.vm.secure_boot = true;
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "features.hyperv", VF_ORIGIN_OS, "row \"win");
    manifest_check_origin(&c, DOMAIN "features.smm", VF_ORIGIN_SOURCE, "secure boot");
    manifest_check_release(&c);
}

static void test_kubevirt_clock__table(void **state)
{
    (void)state;
    static const struct {
        bool windows;
        const char *timezone, *utc, *want, *concern;
    } rows[] = {
        {false, NULL, "{}", NULL, NULL},
        {false, "Europe/Zurich", "{}", NULL, NULL}, /* its clock shows UTC */
        {true, NULL, "{}", NULL, "--timezone"},
        {true, "Europe/Zurich", NULL, "\"Europe/Zurich\"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = rows[i].windows ? windows() : manifest_check_linux();
        c.mapping.timezone = TEXT(rows[i].timezone);
        manifest_check_build(&c);
        manifest_check_expect(&c, DOMAIN "clock.utc", rows[i].utc);
        manifest_check_expect(&c, DOMAIN "clock.timezone", rows[i].want);
        manifest_check_concern(&c, "guest.timezone", rows[i].concern);
        manifest_check_release(&c);
    }
}

static void test_kubevirt_clock__template_may_know_the_time_zone(void **state)
{
    (void)state;
    struct manifest_check c = windows();
    c.mapping.template_text =
        TEXT("{apiVersion: kubevirt.io/v1, kind: VirtualMachine, spec: {template: {spec: {domain: "
             "{clock: {timezone: Asia/Tokyo}}}}}}");
    manifest_check_build(&c);
    manifest_check_expect(&c, DOMAIN "clock.utc", NULL);
    manifest_check_expect(&c, DOMAIN "clock.timezone", "\"Asia/Tokyo\"");
    manifest_check_concern(&c, "guest.timezone", NULL);
    manifest_check_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubevirt_features__table),
        cmocka_unit_test(test_kubevirt_features__say_where_they_come_from),
        cmocka_unit_test(test_kubevirt_clock__table),
        cmocka_unit_test(test_kubevirt_clock__template_may_know_the_time_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
