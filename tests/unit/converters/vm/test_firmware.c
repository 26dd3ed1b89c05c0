#include "converters/vm/firmware.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect_text(char *got, const char *want)
{
    if (want) {
        assert_non_null(got);
        assert_string_equal(got, want);
    } else {
        assert_null(got);
    }
    free(got);
}

static void test_firmware_uuid__bytes_turn_with_hardware_13(void **state)
{
    (void)state;
    static const struct {
        const char *uuid, *hardware, *want;
    } rows[] = {
        {"423a9b1c-7d11-4f6e-9a53-0f2b6c1d8e77", "vmx-19", "1c9b3a42-117d-6e4f-9a53-0f2b6c1d8e77"},
        {"423A9B1C-7D11-4F6E-9A53-0F2B6C1D8E77", "vmx-13", "1c9b3a42-117d-6e4f-9a53-0f2b6c1d8e77"},
        {"564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f", "vmx-12", "564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f"},
        {"564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f", "vmx-08", "564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f"},
        {"564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f", NULL, "564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f"},
        {"56 4d 3f 2a 90 be 5d 47-b1 c8 1a 2b 3c 4d 5e 6f", "vmx-8",
         "564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f"},
        {"564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6", "vmx-19", NULL},
        {"564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6f0", "vmx-19", NULL},
        {"564d3f2a-90be-5d47-b1c8-1a2b3c4d5e6g", "vmx-19", NULL},
        {"00000000-0000-0000-0000-000000000000", "vmx-19", NULL},
        {"", "vmx-19", NULL},
        {NULL, "vmx-19", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        expect_text(vf_firmware_uuid(rows[i].uuid, rows[i].hardware), rows[i].want);
    }
}

static void test_firmware_serial__as_esxi_writes_it(void **state)
{
    (void)state;
    expect_text(vf_firmware_serial("423a9b1c-7d11-4f6e-9a53-0f2b6c1d8e77"),
                "VMware-42 3a 9b 1c 7d 11 4f 6e-9a 53 0f 2b 6c 1d 8e 77");
    expect_text(vf_firmware_serial("junk"), NULL);
}

static void test_firmware_disk_serial__twenty_digits(void **state)
{
    (void)state;
    expect_text(vf_firmware_disk_serial("6000C29a-5e1f-0b7c-9d2e-aabbccddeeff"),
                "6000c29a5e1f0b7c9d2e");
    expect_text(vf_firmware_disk_serial(NULL), NULL);
    expect_text(vf_firmware_disk_serial("naa.6000"), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_firmware_uuid__bytes_turn_with_hardware_13),
        cmocka_unit_test(test_firmware_serial__as_esxi_writes_it),
        cmocka_unit_test(test_firmware_disk_serial__twenty_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
