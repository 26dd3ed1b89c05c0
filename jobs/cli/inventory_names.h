/* The model's enumerations as words; NULL for unknown. */
#ifndef JOBS_CLI_INVENTORY_NAMES_H
#define JOBS_CLI_INVENTORY_NAMES_H

#include <vmferry/vm.h>

const char *vf_power_name(enum vf_power power);                /* "on", "off", "suspended" */
const char *vf_firmware_name(enum vf_firmware firmware);       /* "bios", "efi" */
const char *vf_bus_name(enum vf_bus bus);                      /* "ide", "sata", "scsi", "nvme" */
const char *vf_guest_family_name(enum vf_guest_family family); /* "linux", "windows", "other" */
const char *vf_connection_name(enum vf_connection connection); /* "good", "orphaned", ... */
const char *vf_tools_name(enum vf_tools tools);   /* "not-installed", "not-running", "running" */
const char *vf_shares_name(enum vf_shares level); /* "normal", "low", ... */
const char *vf_address_origin_name(enum vf_address_origin origin); /* "static", "dhcp", "auto" */
const char *vf_device_kind_name(enum vf_device_kind kind);         /* "usb-controller", ... */

#endif
