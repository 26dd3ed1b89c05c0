/* The identity that a guest reads from its firmware (SMBIOS). Pure functions, heap strings. */
#ifndef CONVERTERS_VM_FIRMWARE_H
#define CONVERTERS_VM_FIRMWARE_H

/* SMBIOS UUID under which KVM shows a guest what ESXi showed it. Up to virtual hardware 12 that is
 * vSphere's config.uuid; from 13 on guests on ESXi read its first three fields with their bytes
 * reversed. `hardware` is "vmx-NN", NULL counts as old. NULL when bios_uuid is none. */
char *vf_firmware_uuid(const char *bios_uuid, const char *hardware);

/* "VMware-42 3a ... 6e-9a 53 ...": the serial number ESXi gives, bytes never reversed. */
char *vf_firmware_serial(const char *bios_uuid);

/* Serial of a virtio disk from the UUID of its backing: 20 hexadecimal digits, as much as a
 * virtio-blk guest sees. NULL when it is no UUID. */
char *vf_firmware_disk_serial(const char *backing_uuid);

#endif
