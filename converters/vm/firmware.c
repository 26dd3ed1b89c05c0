#include "converters/vm/firmware.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "importer/base/buf.h"
#include "importer/base/mem.h"

#define DISK_SERIAL_LEN 20
/* Virtual hardware from which on ESXi follows SMBIOS 2.6 in the order of the UUID's bytes. */
#define HARDWARE_REVERSED 13

/* "423a9b1c-7d11-..." or "42 3a 9b 1c 7d 11 ..."; all zero counts as none. */
static bool parse_uuid(const char *s, uint8_t uuid[16])
{
    unsigned n = 0;
    unsigned any = 0;
    memset(uuid, 0, 16);
    for (; s && *s; s++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *at = strchr(digits, *s);
        if (at && n < 32) {
            unsigned value = (unsigned)(at - digits) & 15;
            uuid[n / 2] = (uint8_t)(uuid[n / 2] << 4 | value);
            any |= value;
            n++;
        } else if (!strchr("- ", *s)) {
            return false;
        }
    }
    return n == 32 && any;
}

static long hardware_version(const char *hardware)
{
    return hardware && strncmp(hardware, "vmx-", 4) == 0 ? strtol(hardware + 4, NULL, 10) : 0;
}

static void swap(uint8_t *a, uint8_t *b)
{
    uint8_t t = *a;
    *a = *b;
    *b = t;
}

char *vf_firmware_uuid(const char *bios_uuid, const char *hardware)
{
    uint8_t u[16];
    if (!parse_uuid(bios_uuid, u)) {
        return NULL;
    }
    if (hardware_version(hardware) >= HARDWARE_REVERSED) {
        swap(&u[0], &u[3]);
        swap(&u[1], &u[2]);
        swap(&u[4], &u[5]);
        swap(&u[6], &u[7]);
    }
    return vf_xasprintf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                        u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
                        u[12], u[13], u[14], u[15]);
}

char *vf_firmware_serial(const char *bios_uuid)
{
    uint8_t u[16];
    if (!parse_uuid(bios_uuid, u)) {
        return NULL;
    }
    struct vf_buf b;
    vf_buf_init(&b, SIZE_MAX);
    for (int i = 0; i < 16; i++) {
        vf_buf_printf(&b, "%s%02x", i == 0 ? "VMware-" : i == 8 ? "-" : " ", u[i]);
    }
    return vf_buf_take_string(&b);
}

char *vf_firmware_disk_serial(const char *backing_uuid)
{
    uint8_t u[16];
    if (!parse_uuid(backing_uuid, u)) {
        return NULL;
    }
    char *s = vf_xcalloc(33, 1);
    for (size_t i = 0; i < DISK_SERIAL_LEN / 2; i++) {
        snprintf(s + 2 * i, 3, "%02x", u[i]);
    }
    return s;
}
