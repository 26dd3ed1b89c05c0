#include "jobs/cli/inventory_names.h"

#include <stddef.h>

const char *vf_power_name(enum vf_power power)
{
    static const char *const names[] = {[VF_POWER_UNKNOWN] = NULL,
                                        [VF_POWER_OFF] = "off",
                                        [VF_POWER_ON] = "on",
                                        [VF_POWER_SUSPENDED] = "suspended"};
    return names[power];
}

const char *vf_firmware_name(enum vf_firmware firmware)
{
    static const char *const names[] = {
        [VF_FIRMWARE_UNKNOWN] = NULL, [VF_FIRMWARE_BIOS] = "bios", [VF_FIRMWARE_EFI] = "efi"};
    return names[firmware];
}

const char *vf_bus_name(enum vf_bus bus)
{
    static const char *const names[] = {[VF_BUS_UNKNOWN] = NULL,
                                        [VF_BUS_IDE] = "ide",
                                        [VF_BUS_SATA] = "sata",
                                        [VF_BUS_SCSI] = "scsi",
                                        [VF_BUS_NVME] = "nvme"};
    return names[bus];
}

const char *vf_guest_family_name(enum vf_guest_family family)
{
    static const char *const names[] = {
        [VF_GUEST_OTHER] = "other", [VF_GUEST_LINUX] = "linux", [VF_GUEST_WINDOWS] = "windows"};
    return names[family];
}
