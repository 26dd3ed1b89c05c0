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
enum vf_connection {
    VF_CONNECTION_UNKNOWN,
    VF_CONNECTION_GOOD,
    VF_CONNECTION_DISCONNECTED, /* its host is away */
    VF_CONNECTION_ORPHANED,     /* no host has it any more */
    VF_CONNECTION_INACCESSIBLE, /* its files cannot be reached */
    VF_CONNECTION_INVALID,      /* its configuration cannot be read */
};
enum vf_tools { VF_TOOLS_UNKNOWN, VF_TOOLS_NOT_INSTALLED, VF_TOOLS_NOT_RUNNING, VF_TOOLS_RUNNING };
enum vf_shares { VF_SHARES_NORMAL, VF_SHARES_LOW, VF_SHARES_HIGH, VF_SHARES_CUSTOM };

#define VF_NO_LIMIT UINT64_MAX

/* Share of a host: CPU in MHz, memory in bytes. */
struct vf_vm_allocation {
    uint64_t reservation; /* 0: none */
    uint64_t limit;       /* 0: not known; VF_NO_LIMIT */
    enum vf_shares level;
    uint32_t shares; /* 0: not known */
};

struct vf_vm_disk {
    char *label;             /* "Hard disk 1" */
    int32_t key;             /* vSphere device key; OVF: index */
    char *source_id;         /* OVF diskId; NULL for vSphere */
    char *file;              /* "[datastore1] web01/web01.vmdk", or the OVF file reference */
    char *datastore;         /* its name, which several datacenters may have */
    char *datastore_moref;   /* "datastore-7" */
    uint64_t capacity_bytes; /* what the guest sees */
    uint64_t used_bytes;     /* 0: not known */
    bool thin;
    bool independent;  /* outside snapshots */
    bool rdm;          /* raw device mapping */
    bool rdm_physical; /* its compatibility mode: outside snapshots */
    char *rdm_device;  /* "naa.600...", or as the source calls the LUN; NULL: not said */
    bool shared;       /* multi-writer, or a shared bus */
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
    uint32_t position; /* among all disks of the VM, from 0; set by vf_vm_sort_disks */
};

enum vf_address_origin { VF_ADDRESS_UNKNOWN, VF_ADDRESS_STATIC, VF_ADDRESS_DHCP, VF_ADDRESS_AUTO };

struct vf_vm_address {
    char *ip;                      /* IPv4 or IPv6, without prefix length */
    unsigned prefix_len;           /* 0: not known */
    enum vf_address_origin origin; /* AUTO: link-local, random, advertised by a router */
};

struct vf_vm_nic {
    char *label;
    int32_t key;
    char *mac;                       /* lower case, colons; NULL when not fixed */
    char *model;                     /* "vmxnet3", "e1000e", ... */
    char *network;                   /* name on the source */
    bool connected;                  /* now */
    bool start_connected;            /* at power-on */
    struct vf_vm_address *addresses; /* from guest tools */
    size_t n_addresses;
    char *gateway4, *gateway6; /* of the default routes that leave by this NIC; NULL: none */
};

/* A drive. */
enum vf_cdrom_kind {
    VF_CDROM_EMPTY, /* also: a drive of the client or of the host, which holds nothing to move */
    VF_CDROM_ISO,
};
struct vf_vm_cdrom {
    char *label;
    int32_t key;
    enum vf_cdrom_kind kind;
    char *file; /* "[datastore1] iso/debian.iso"; NULL unless ISO */
    char *datastore;
    bool connected, start_connected;
    enum vf_bus bus;
    int32_t bus_number, unit_number;
};

/* What KubeVirt has no counterpart for, or none without a person's decision. */
enum vf_device_kind {
    VF_DEVICE_OTHER,
    VF_DEVICE_PCI_PASSTHROUGH,
    VF_DEVICE_VGPU,
    VF_DEVICE_USB_CONTROLLER,
    VF_DEVICE_USB, /* a device of the host or of a client */
    VF_DEVICE_SERIAL,
    VF_DEVICE_PARALLEL,
    VF_DEVICE_FLOPPY, /* with an image; empty drives are not listed */
    VF_DEVICE_SOUND,
    VF_DEVICE_NVDIMM,
    VF_DEVICE_WATCHDOG,
    VF_DEVICE_3D, /* a video card with 3D acceleration */
};
struct vf_vm_device {
    enum vf_device_kind kind;
    char *label; /* "USB xHCI controller" */
    char *type;  /* as the source calls it: "VirtualUSBXHCIController" */
};

/* A file system in the guest, as its tools see it. */
struct vf_vm_guest_disk {
    char *path; /* "/", "C:\\" */
    uint64_t capacity_bytes, free_bytes;
};

struct vf_vm_attribute {
    char *name, *value;
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
    char *host_moref;    /* "host-12" */
    char *cluster;       /* of that host; NULL: none */
    char *instance_uuid; /* vCenter's, unique there */
    char *bios_uuid;     /* config.uuid */
    char *guest_id;      /* "ubuntu64Guest" */
    char *guest_name;    /* "Ubuntu Linux (64-bit)" */
    char *guest_hostname;
    char *hardware; /* "vmx-19" */
    char *annotation;
    char **tags; /* "category/name" or name */
    size_t n_tags;
    struct vf_vm_attribute *attributes; /* custom attributes, of those that are set */
    size_t n_attributes;
    enum vf_power power;
    enum vf_connection connection;
    enum vf_tools tools;
    char *question; /* what it asks, and waits for; NULL: nothing */
    enum vf_firmware firmware;
    enum vf_guest_family family;
    bool secure_boot;
    bool template;
    bool tools_running;  /* tools == VF_TOOLS_RUNNING */
    bool tools_outdated; /* vSphere says that they need an upgrade, or are not supported */
    bool encrypted;      /* its home; its disks tell for themselves */
    bool fault_tolerant;
    bool cpu_affinity, numa_affinity; /* bound to CPUs, to NUMA nodes of the host */
    bool memory_locked;               /* all of the memory is reserved, and stays so */
    bool cpu_hot_remove;
    char *latency;  /* sensitivity: "low", "normal", "medium", "high", "custom"; NULL: not said */
    char *evc_mode; /* least EVC mode of the running VM, "intel-skylake"; NULL: none */
    bool cbt_enabled;
    bool cbt_supported;
    bool consolidation_needed;
    bool has_vtpm;
    bool nested_hv;
    enum vf_tristate cpu_hot_add, memory_hot_add;
    uint32_t cpus;             /* all vCPUs */
    uint32_t cores_per_socket; /* 0: not said */
    uint64_t memory_bytes;
    struct vf_vm_allocation cpu_allocation;    /* MHz */
    struct vf_vm_allocation memory_allocation; /* bytes */
    uint32_t host_cpu_mhz;                     /* of one core of the host; 0: not known */
    uint64_t provisioned_bytes, used_bytes;
    struct vf_vm_disk *disks; /* in the order the guest saw: SATA, IDE, SCSI, NVMe; bus, unit */
    size_t n_disks;
    struct vf_vm_disk *other_disks; /* that are not copied, by the mapping's decision; in order */
    size_t n_other_disks;
    struct vf_vm_nic *nics;
    size_t n_nics;
    struct vf_vm_cdrom *cdroms; /* by controller and unit */
    size_t n_cdroms;
    struct vf_vm_device *devices; /* in the source's order */
    size_t n_devices;
    int32_t *boot_keys; /* of devices in the order the firmware tries them; empty: its own order */
    size_t n_boot_keys;
    bool boot_keys_cdrom_first; /* a CD-ROM drive stands before all of them */
    struct vf_vm_guest_disk *guest_disks;
    size_t n_guest_disks;
    char **dns_servers, **dns_search; /* of the guest's first IP stack */
    size_t n_dns_servers, n_dns_search;
    struct vf_vm_snapshot *snapshots;
    size_t n_snapshots;
};

void vf_vm_init(struct vf_vm *vm);
void vf_vm_release(struct vf_vm *vm);

/* Put the disks in the order in which the guest counted them. */
void vf_vm_sort_disks(struct vf_vm *vm);
void vf_vm_sort_cdroms(struct vf_vm *vm);

/* Windows, Linux or other, from vSphere's guestId or guestFullName; either may be NULL. */
enum vf_guest_family vf_vm_guest_family(const char *guest_id, const char *guest_name);

#endif
