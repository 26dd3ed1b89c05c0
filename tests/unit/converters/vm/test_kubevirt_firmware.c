#include "converters/vm/kubevirt_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/manifest_check.h"

static void test_kubevirt_firmware__bootloader_table(void **state)
{
    (void)state;
    static const struct {
        enum vf_firmware firmware;
        bool secure_boot, has_vtpm;
        enum vf_tristate tpm, persistent_efi;
        const char *want;
    } rows[] = {
        {VF_FIRMWARE_BIOS, false, false, VF_UNSET, VF_UNSET, "{\"bios\":{}}"},
        {VF_FIRMWARE_UNKNOWN, false, false, VF_UNSET, VF_UNSET, "{\"bios\":{}}"},
        {VF_FIRMWARE_BIOS, true, true, VF_YES, VF_YES, "{\"bios\":{}}"},
        {VF_FIRMWARE_EFI, false, false, VF_UNSET, VF_UNSET, "{\"efi\":{\"secureBoot\":false}}"},
        {VF_FIRMWARE_EFI, true, false, VF_UNSET, VF_UNSET, "{\"efi\":{\"secureBoot\":true}}"},
        {VF_FIRMWARE_EFI, true, true, VF_UNSET, VF_UNSET,
         "{\"efi\":{\"secureBoot\":true,\"persistent\":true}}"},
        {VF_FIRMWARE_EFI, true, true, VF_NO, VF_UNSET, "{\"efi\":{\"secureBoot\":true}}"},
        {VF_FIRMWARE_EFI, true, true, VF_NO, VF_YES,
         "{\"efi\":{\"secureBoot\":true,\"persistent\":true}}"},
        {VF_FIRMWARE_EFI, true, true, VF_UNSET, VF_NO, "{\"efi\":{\"secureBoot\":true}}"},
        {VF_FIRMWARE_EFI, false, false, VF_YES, VF_UNSET,
         "{\"efi\":{\"secureBoot\":false,\"persistent\":true}}"},
        {VF_FIRMWARE_EFI, false, false, VF_UNSET, VF_YES,
         "{\"efi\":{\"secureBoot\":false,\"persistent\":true}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.firmware = rows[i].firmware;
        c.vm.secure_boot = rows[i].secure_boot;
        c.vm.has_vtpm = rows[i].has_vtpm;
        c.mapping.tpm = rows[i].tpm;
        c.mapping.persistent_efi = rows[i].persistent_efi;
        manifest_check_build(&c);
        manifest_check_expect(&c, DOMAIN "firmware.bootloader", rows[i].want);
        bool in_vain = rows[i].firmware != VF_FIRMWARE_EFI && rows[i].persistent_efi == VF_YES;
        manifest_check_concern(&c, "mapping.persistent-efi", in_vain ? "has a BIOS" : NULL);
        manifest_check_release(&c);
    }
}

static void test_kubevirt_firmware__secure_boot_is_as_told(void **state)
{
    (void)state;
    static const struct {
        enum vf_firmware firmware;
        bool secure_boot;
        enum vf_tristate told;
        const char *want, *smm;
    } rows[] = {
        {VF_FIRMWARE_EFI, true, VF_NO, "{\"efi\":{\"secureBoot\":false}}", NULL},
        {VF_FIRMWARE_EFI, false, VF_YES, "{\"efi\":{\"secureBoot\":true}}", "{\"enabled\":true}"},
        {VF_FIRMWARE_BIOS, false, VF_YES, "{\"bios\":{}}", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct manifest_check c = manifest_check_linux();
        c.vm.firmware = rows[i].firmware;
        c.vm.secure_boot = rows[i].secure_boot;
        c.mapping.secure_boot = rows[i].told;
        manifest_check_build(&c);
        manifest_check_expect(&c, DOMAIN "firmware.bootloader", rows[i].want);
        manifest_check_expect(&c, DOMAIN "features.smm", rows[i].smm);
        if (rows[i].firmware == VF_FIRMWARE_EFI) {
            manifest_check_origin(&c, DOMAIN "firmware.bootloader.efi.secureBoot", VF_ORIGIN_OPTION,
                                  "--secure-boot");
        }
        manifest_check_release(&c);
    }
}

static void test_kubevirt_firmware__identity_is_what_the_guest_saw(void **state)
{
    (void)state;
    struct manifest_check c = manifest_check_linux();
    c.vm.bios_uuid = TEXT("423a9b1c-7d11-4f6e-9a53-0f2b6c1d8e77");
    c.vm.hardware = TEXT("vmx-19");
    manifest_check_build(&c);
    manifest_check_expect(&c, DOMAIN "firmware.uuid", "\"1c9b3a42-117d-6e4f-9a53-0f2b6c1d8e77\"");
    manifest_check_expect(&c, DOMAIN "firmware.serial",
                          "\"VMware-42 3a 9b 1c 7d 11 4f 6e-9a 53 0f 2b 6c 1d 8e 77\"");
    manifest_check_origin(&c, DOMAIN "firmware.uuid", VF_ORIGIN_SOURCE,
                          "config.uuid 423a9b1c-7d11-4f6e-9a53-0f2b6c1d8e77, as hardware vmx-19");
    c.vm.bios_uuid = NULL;
    manifest_check_build(&c);
    manifest_check_expect(&c, DOMAIN "firmware", "{\"bootloader\":{\"bios\":{}}}");
    manifest_check_concern(&c, "vm.identity-new", "licences");
    manifest_check_release(&c);
}

static void test_kubevirt_firmware__says_where_it_comes_from(void **state)
{
    (void)state;
    struct manifest_check c = manifest_check_linux();
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "firmware.bootloader.bios", VF_ORIGIN_SOURCE, "firmware bios");
    c.vm.firmware = VF_FIRMWARE_UNKNOWN;
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "firmware.bootloader.bios", VF_ORIGIN_DEFAULT, "not tell");
    c.vm.firmware = VF_FIRMWARE_EFI;
    c.vm.secure_boot = c.vm.has_vtpm = true;
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "firmware.bootloader.efi", VF_ORIGIN_SOURCE,
                          "efiSecureBootEnabled true");
    manifest_check_origin(&c, DOMAIN "firmware.bootloader.efi.persistent", VF_ORIGIN_SOURCE, "TPM");
    c.mapping.persistent_efi = VF_YES;
    manifest_check_build(&c);
    manifest_check_origin(&c, DOMAIN "firmware.bootloader.efi.persistent", VF_ORIGIN_OPTION,
                          "--persistent-efi");
    manifest_check_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kubevirt_firmware__bootloader_table),
        cmocka_unit_test(test_kubevirt_firmware__secure_boot_is_as_told),
        cmocka_unit_test(test_kubevirt_firmware__identity_is_what_the_guest_saw),
        cmocka_unit_test(test_kubevirt_firmware__says_where_it_comes_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
