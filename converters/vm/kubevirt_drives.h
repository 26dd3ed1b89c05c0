/* Drives of a VirtualMachine, before they are written down: disks as the guest counted them, then
 * CD-ROM drives, then the one with cloud-init data; each with its volume, bus, place in the boot
 * order and I/O thread.
 *
 * Bus: as told of the disk, else of all, else what the guest's row of the OS table boots from, else
 * virtio. A virtio-blk disk is a PCI Express device with a root port of its own; virt-launcher
 * counts 31 of these in a q35 machine, for NICs (KubeVirt keeps four ports for them at least),
 * controllers and hot-plug too. Where the disks, by nobody's wish, would not fit, all of them are
 * on virtio-scsi, which is one device, so that their order stays.
 *
 * Boot order: if any disk's place is told, only what is told. Else the devices that the source's
 * firmware was told of, a CD-ROM drive before them where that was so and it has something in it;
 * the first disk if none of them is a disk.
 *
 * I/O threads: a virtio-blk disk of VF_THREAD_DISK_BYTES or more gets one of its own, the largest
 * first, in a guest with VF_THREAD_CPUS vCPUs or more and several disks; threads are no more than
 * half of the vCPUs, since they compete with them for the pod's CPUs. One disk alone has the
 * emulator's thread to itself as it is. The rest shares one thread: KubeVirt takes the policy for
 * "shared" as soon as one disk has its own, so that ioThreadsPolicy stays unset.
 */
#ifndef CONVERTERS_VM_KUBEVIRT_DRIVES_H
#define CONVERTERS_VM_KUBEVIRT_DRIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "converters/vm/kubevirt_vm.h"

#define VF_THREAD_DISK_BYTES (UINT64_C(100) << 30)
#define VF_THREAD_CPUS       4
/* virtio-blk disks and NICs (at least four) together. */
#define VF_VIRTIO_PORTS 24

enum vf_drive_kind {
    VF_DRIVE_COPIED, /* a disk with a claim of its own */
    VF_DRIVE_CLAIM,  /* a disk whose claim is another VM's too */
    VF_DRIVE_LUN,    /* a LUN that is passed through */
    VF_DRIVE_CDROM,
    VF_DRIVE_CLOUD_INIT,
};

struct vf_drive_note {
    enum vf_origin_kind kind;
    const char *text; /* static */
};

struct vf_drive {
    enum vf_drive_kind kind;
    char name[32];
    const char *claim;               /* NULL: an empty CD-ROM drive, or cloud-init data */
    const struct vf_vm_disk *disk;   /* NULL: no disk */
    const struct vf_vm_cdrom *cdrom; /* of kind CDROM */
    const struct vf_disk_rule *rule; /* NULL: nothing is told */
    const char *bus;
    struct vf_drive_note bus_note;
    uint32_t boot; /* 0: it is not booted from */
    struct vf_drive_note boot_note;
    bool io_thread;
    struct vf_drive_note io_thread_note;
};

struct vf_drives {
    struct vf_drive *items;
    size_t n_items;
    uint32_t *nic_boot; /* one a NIC of the VM */
    char *network_data; /* of the cloud-init drive; NULL: there is none */
};

/* Borrows from the plan. `concerns` is added to; NULL: nobody wants to know again. */
void vf_drives_plan(const struct vf_manifest_plan *plan, struct vf_concerns *concerns,
                    struct vf_drives *ret_drives);
void vf_drives_release(struct vf_drives *drives); /* an all-zero struct is fine */

/* The first disk in the boot order, whatever else is tried before it; NULL: none. */
const struct vf_drive *vf_drives_first(const struct vf_drives *drives);

/* The parts of vf_drives_plan: each looks at the drives that are there. */
void vf_drives_choose_buses(const struct vf_manifest_plan *plan, struct vf_drives *drives,
                            struct vf_concerns *concerns);
void vf_drives_choose_boot(const struct vf_manifest_plan *plan, struct vf_drives *drives,
                           struct vf_concerns *concerns);
void vf_drives_choose_threads(const struct vf_manifest_plan *plan, struct vf_drives *drives,
                              struct vf_concerns *concerns);

/* domain.devices.disks */
void vf_kubevirt_disks(const struct vf_manifest_plan *plan, const struct vf_drives *drives,
                       cJSON *devices);

/* Whether an ISO in one of the VM's drives is the rule's: the datastore by its name, the rest of
 * the file by pattern. */
bool vf_iso_rule_matches(const struct vf_iso_rule *rule, const struct vf_vm *vm);

#endif
