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

const char *vf_connection_name(enum vf_connection connection)
{
    static const char *const names[] = {[VF_CONNECTION_UNKNOWN] = NULL,
                                        [VF_CONNECTION_GOOD] = "good",
                                        [VF_CONNECTION_DISCONNECTED] = "disconnected",
                                        [VF_CONNECTION_ORPHANED] = "orphaned",
                                        [VF_CONNECTION_INACCESSIBLE] = "inaccessible",
                                        [VF_CONNECTION_INVALID] = "invalid"};
    return names[connection];
}

const char *vf_tools_name(enum vf_tools tools)
{
    static const char *const names[] = {[VF_TOOLS_UNKNOWN] = NULL,
                                        [VF_TOOLS_NOT_INSTALLED] = "not-installed",
                                        [VF_TOOLS_NOT_RUNNING] = "not-running",
                                        [VF_TOOLS_RUNNING] = "running"};
    return names[tools];
}

const char *vf_shares_name(enum vf_shares level)
{
    static const char *const names[] = {[VF_SHARES_NORMAL] = "normal",
                                        [VF_SHARES_LOW] = "low",
                                        [VF_SHARES_HIGH] = "high",
                                        [VF_SHARES_CUSTOM] = "custom"};
    return names[level];
}

const char *vf_address_origin_name(enum vf_address_origin origin)
{
    static const char *const names[] = {[VF_ADDRESS_UNKNOWN] = NULL,
                                        [VF_ADDRESS_STATIC] = "static",
                                        [VF_ADDRESS_DHCP] = "dhcp",
                                        [VF_ADDRESS_AUTO] = "auto"};
    return names[origin];
}

const char *vf_device_kind_name(enum vf_device_kind kind)
{
    static const char *const names[] = {
        [VF_DEVICE_OTHER] = "other",       [VF_DEVICE_PCI_PASSTHROUGH] = "pci-passthrough",
        [VF_DEVICE_VGPU] = "vgpu",         [VF_DEVICE_USB_CONTROLLER] = "usb-controller",
        [VF_DEVICE_USB] = "usb",           [VF_DEVICE_SERIAL] = "serial",
        [VF_DEVICE_PARALLEL] = "parallel", [VF_DEVICE_FLOPPY] = "floppy",
        [VF_DEVICE_SOUND] = "sound",       [VF_DEVICE_NVDIMM] = "nvdimm",
        [VF_DEVICE_WATCHDOG] = "watchdog", [VF_DEVICE_3D] = "3d"};
    return names[kind];
}
