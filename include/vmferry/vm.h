/* The neutral model of one virtual machine: filled from vSphere or OVF, turned into manifests.
 *
 * Plain data. All strings and arrays are heap-owned by the struct (NULL or 0 when the source does
 * not say); vf_vm_release frees them. Not for concurrent use while it is being filled.
 */
#ifndef VMFERRY_VM_H
#define VMFERRY_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vf_power { VF_POWER_UNKNOWN, VF_POWER_OFF, VF_POWER_ON, VF_POWER_SUSPENDED };
enum vf_firmware { VF_FIRMWARE_UNKNOWN, VF_FIRMWARE_BIOS, VF_FIRMWARE_EFI };
enum vf_bus { VF_BUS_UNKNOWN, VF_BUS_IDE, VF_BUS_SATA, VF_BUS_SCSI, VF_BUS_NVME };
enum vf_guest_family { VF_GUEST_OTHER, VF_GUEST_LINUX, VF_GUEST_WINDOWS };
enum vf_tristate { VF_UNSET, VF_NO, VF_YES };

struct vf_vm_disk {
    char *label;     /* "Hard disk 1" */
    int32_t key;     /* vSphere device key; OVF: index */
    char *source_id; /* OVF diskId; NULL for vSphere */
    char *file;      /* "[datastore1] web01/web01.vmdk", or the OVF file reference */
    char *datastore;
    uint64_t capacity_bytes; /* what the guest sees */
    uint64_t used_bytes;     /* 0: not known */
    bool thin;
    bool independent; /* outside snapshots */
    bool rdm;         /* raw device mapping */
    bool shared;      /* multi-writer, or a shared bus */
    bool encrypted;
    bool delta; /* the file holds no more than what was written over a parent's content */
    char *mode; /* "persistent", "independent_persistent", ... */
    char *uuid; /* backing UUID "6000C29a-5e1f-..." */
    char *change_id;
    enum vf_bus bus;
    char *controller_type; /* "ParaVirtualSCSIController", "lsilogic", ... */
    int32_t bus_number;    /* of the controller */
    int32_t unit_number;
    int32_t controller_key;
};

struct vf_vm_nic {
    char *label;
    int32_t key;
    char *mac;            /* lower case, colons; NULL when not fixed */
    char *model;          /* "vmxnet3", "e1000e", ... */
    char *network;        /* name on the source */
    bool connected;       /* now */
    bool start_connected; /* at power-on */
    char **ips;           /* from guest tools */
    size_t n_ips;
};

struct vf_vm_snapshot {
    char *moref;
    char *name;
    char *description;
    bool quiesced;
    int32_t depth; /* 0 at the root */
};

struct vf_vm {
    char *name;
    char *moref;         /* "vm-42"; NULL for OVF */
    char *folder;        /* inventory path without the VM's name, "/DC0/vm/prod" */
    char *host;          /* ESXi host it runs on */
    char *instance_uuid; /* vCenter's, unique there */
    char *bios_uuid;     /* config.uuid */
    char *guest_id;      /* "ubuntu64Guest" */
    char *guest_name;    /* "Ubuntu Linux (64-bit)" */
    char *guest_hostname;
    char *hardware; /* "vmx-19" */
    char *annotation;
    char **tags; /* "category/name" or name */
    size_t n_tags;
    enum vf_power power;
    enum vf_firmware firmware;
    enum vf_guest_family family;
    bool secure_boot;
    bool template;
    bool tools_running;
    bool cbt_enabled;
    bool cbt_supported;
    bool consolidation_needed;
    bool has_vtpm;
    bool nested_hv;
    enum vf_tristate cpu_hot_add, memory_hot_add;
    uint32_t cpus;             /* all vCPUs */
    uint32_t cores_per_socket; /* 0: not said */
    uint64_t memory_bytes;
    uint64_t provisioned_bytes, used_bytes;
    struct vf_vm_disk *disks; /* in the order the guest saw: SATA, IDE, SCSI, NVMe; bus, unit */
    size_t n_disks;
    struct vf_vm_nic *nics;
    size_t n_nics;
    struct vf_vm_snapshot *snapshots;
    size_t n_snapshots;
};

void vf_vm_init(struct vf_vm *vm);
void vf_vm_release(struct vf_vm *vm);

/* Put the disks in the order in which the guest counted them. */
void vf_vm_sort_disks(struct vf_vm *vm);

/* Windows, Linux or other, from vSphere's guestId or guestFullName; either may be NULL. */
enum vf_guest_family vf_vm_guest_family(const char *guest_id, const char *guest_name);

#endif
