/* Changed-block tracking: what a disk's guest wrote between two snapshots.
 *
 * The order of things: vf_cbt_enable once; vf_cbt_stun when that changed something, or when
 * vf_cbt_is_stun_due; a snapshot, whose disks (vf_snapshot_fetch) carry change IDs; a full copy.
 * Then a later snapshot, and vf_cbt_fetch_areas from the change ID that was kept to that snapshot.
 * Which disks are tracked is proved by the change IDs of a snapshot, by nothing else.
 *
 * Threads, cancellation and errors: as vsphere.h says.
 * Source: vSphere API reference, VirtualMachine.QueryChangedDiskAreas, VirtualMachineConfigSpec,
 * and "Changed Block Tracking" in the Virtual Disk Development Kit's programming guide.
 */
#ifndef IMPORTER_VSPHERE_CBT_H
#define IMPORTER_VSPHERE_CBT_H

#include <stdbool.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/vsphere/changed_areas.h"
#include "importer/vsphere/vsphere.h"

enum vf_cbt_state {
    VF_CBT_OFF,     /* not asked for at this VM */
    VF_CBT_WAITING, /* asked for, but the disk has no change ID yet */
    VF_CBT_ON,      /* the disk has a change ID */
    VF_CBT_OUTSIDE, /* independent, or a raw device without change ID: no snapshot holds it */
};

/* Of one of the VM's disks, the VM as the inventory or vf_snapshot_fetch gave it. */
enum vf_cbt_state vf_cbt_get_state(const struct vf_vm *vm, const struct vf_vm_disk *disk);

/* Some disk is WAITING: tracking that was asked for begins when the disks are next opened, which is
 * at a power-on, a resume, a migration, or when a snapshot is made and removed. One that stays so
 * after that has tracking switched off for itself ("scsi0:0.ctkEnabled"): it is copied in full. */
bool vf_cbt_is_stun_due(const struct vf_vm *vm);

/* Ask for tracking of all disks (ReconfigVM_Task). Changes nothing when it is on already;
 * *ret_changed (may be NULL) tells. Needs VirtualMachine.Config.ChangeTracking.
 * VF_UNSUPPORTED where the VM cannot (virtual hardware below version 7), VF_CONFLICT while the VM
 * has snapshots: what they froze would not be tracked. */
int vf_cbt_enable(struct vf_vsphere *vs, const char *vm_moref, bool *ret_changed,
                  struct vf_error **err);

/* Let tracking begin: a snapshot (without memory, not quiesced) is made and removed, at which a
 * running VM stands still for a moment, twice. `name` and `description` as for vf_snapshot_create:
 * by them whoever cleans up finds a snapshot that stayed because the program ended in between.
 * VF_CONFLICT while the VM has snapshots: tracking would not begin before the last one is gone. */
int vf_cbt_stun(struct vf_vsphere *vs, const char *vm_moref, const char *name,
                const char *description, struct vf_error **err);

/* Why the tracking cannot tell what changed since a certain state. */
enum vf_full_copy {
    VF_FULL_COPY_NOT_NEEDED,
    VF_FULL_COPY_NO_CHANGE_ID,   /* of the state, or of the disk now: not tracked then, or now */
    VF_FULL_COPY_OTHER_TRACKING, /* the tracking was reset meanwhile, or this is another disk */
    VF_FULL_COPY_TAKEN_BACK,     /* the disk is in an earlier state: a snapshot was reverted to */
    VF_FULL_COPY_RESIZED,
    VF_FULL_COPY_REFUSED,    /* vSphere cannot say: a fault, such as FileFault */
    VF_FULL_COPY_BAD_ANSWER, /* what it said breaks its own rules */
};

/* "its change tracking was reset, or it is another disk": completes "disk 1 is copied in full: ".
 * Borrowed. */
const char *vf_full_copy_text(enum vf_full_copy why);

/* The state from which on changes are asked for. */
struct vf_cbt_since {
    const char *change_id; /* kept from a snapshot's disk; NULL: none; or VF_CHANGE_ID_ALLOCATED */
    uint64_t capacity_bytes; /* of the disk then; 0: not known. Not looked at with "*" */
};

/* What can be said without asking: whether `since` is a state that the tracking of this disk (as a
 * snapshot holds it) knows. VF_FULL_COPY_NOT_NEEDED is no promise that vSphere will answer. */
enum vf_full_copy vf_cbt_judge(const struct vf_cbt_since *since, const struct vf_vm_disk *disk);

struct vf_cbt_query {
    const char *vm_moref;
    const char *snapshot_moref;    /* up to this one; NULL: up to now, of a VM that is off */
    const struct vf_vm_disk *disk; /* as vf_snapshot_fetch gave it of that snapshot */
    struct vf_cbt_since since;
};

struct vf_cbt_answer {
    /* Where `why` is not NOT_NEEDED this is the whole disk: copying the areas is right always. */
    struct vf_areas areas;
    enum vf_full_copy why;
    char *detail; /* vSphere's words with REFUSED, what is wrong with BAD_ANSWER; else NULL */
};

void vf_cbt_answer_release(struct vf_cbt_answer *a); /* as zeroed; may be released again */

/* The areas of a disk that changed since a state, or all that are allocated
 * (VF_CHANGE_ID_ALLOCATED; what is not named then reads as zero). Asks window by window until the
 * disk's end; memory is bounded by VF_AREAS_MAX_DEFAULT. Needs
 * VirtualMachine.Provisioning.DiskRandomRead. That the tracking cannot tell is no error: ret->why
 * says it, at the cost of a full copy. Errors are what a full copy would not mend: VF_AUTH,
 * VF_RETRY, VF_CANCELLED, VF_MISSING for a VM, snapshot or disk that is gone, VF_CONFLICT for a VM
 * that is on and no snapshot. On success `ret` is the caller's to release. */
int vf_cbt_fetch_areas(struct vf_vsphere *vs, const struct vf_cbt_query *q,
                       struct vf_cbt_answer *ret, struct vf_error **err);

#endif
