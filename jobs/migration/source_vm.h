/* The source VM of a migration at its vSphere: what is done to it, and nothing that was not undone
 * is forgotten. Snapshots of ours carry a name with VF_MIGRATION_SNAPSHOT_PREFIX, and a
 * description with the migration's mark, by which a later run finds them.
 *
 * Threads, cancellation: as importer/vsphere/vsphere.h. One thread, but for `changes`.
 */
#ifndef JOBS_MIGRATION_SOURCE_VM_H
#define JOBS_MIGRATION_SOURCE_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/cancel.h>
#include <vmferry/error.h>
#include <vmferry/event.h>
#include <vmferry/vm.h>

#include "converters/vm/mapping.h"
#include "importer/vsphere/cbt.h"
#include "importer/vsphere/vsphere.h"

#define VF_MIGRATION_SNAPSHOT_PREFIX "vmferry-warm-"

struct vf_source_vm_options {
    const struct vf_mapping *mapping; /* borrowed; what it does not copy is set aside in every view;
                                         NULL: all is copied */
    const struct vf_vsphere_options *vsphere;
    const char *vm;               /* name or moref */
    bool no_quiesce;              /* of precopy snapshots; the last one's guest is off */
    bool hard_power_off;          /* when the guest does not shut down in time */
    int64_t shutdown_timeout_ms;  /* 0: 5 min */
    struct vf_reporter *reporter; /* may be NULL */
    const struct vf_cancel *cancel;
};

struct vf_source_vm;

/* Log in and find it; nothing is changed. */
int vf_source_vm_open(const struct vf_source_vm_options *options, struct vf_source_vm **ret,
                      struct vf_error **err);
void vf_source_vm_free(struct vf_source_vm *s); /* logs out; removes nothing */

struct vf_vsphere *vf_source_vm_vsphere(const struct vf_source_vm *s); /* borrowed */
/* As vf_source_vm_look saw it last; borrowed until the next one. */
const struct vf_vm *vf_source_vm_get(const struct vf_source_vm *s);
/* The VM as the newest snapshot of ours froze it, with the live facts of the VM (power, host,
 * guest, networks); NULL when there is none. And its moref. Borrowed until it is removed. */
const struct vf_vm *vf_source_vm_get_frozen(const struct vf_source_vm *s);
const char *vf_source_vm_get_snapshot(const struct vf_source_vm *s);

/* Fetch it anew, by its moref. VF_MISSING when it is gone. */
int vf_source_vm_look(struct vf_source_vm *s, struct vf_error **err);

/* How many snapshots of ours, and of others, the VM had at the last look. */
void vf_source_vm_count_snapshots(const struct vf_source_vm *s, size_t *ret_own,
                                  size_t *ret_others);
/* Take up a snapshot of ours from an earlier run instead of a new one: fetches what it froze.
 * VF_MISSING when it is not there. */
int vf_source_vm_adopt_snapshot(struct vf_source_vm *s, const char *moref, struct vf_error **err);

/* Tracking was asked for, and at work it is on no disk. Where it is on some, the rounds' own
 * snapshots let it begin on a disk that came later; one that stays untracked has it switched off.
 */
bool vf_source_vm_is_stun_due(const struct vf_source_vm *s);

/* Tracking on for every disk that can have it; with `may_stun` by a stun where one is due, else
 * VF_CONFLICT with the flag that permits it as hint. Disks that stay untracked are told. */
int vf_source_vm_track(struct vf_source_vm *s, bool may_stun, struct vf_error **err);

/* Quiesced if asked for, had, and `running`; else crash-consistent, said once. A lost answer is
 * made good by the name. VF_CONFLICT when there are two of ours already. */
int vf_source_vm_take_snapshot(struct vf_source_vm *s, struct vf_error **err);
/* All of ours, whoever made them; consolidates if that is needed. Clean-up. The error names each
 * that may still be there. */
int vf_source_vm_remove_snapshots(struct vf_source_vm *s, struct vf_error **err);

/* Guest shutdown, wait, at the deadline power off if allowed, else VF_CONFLICT: the guest may still
 * be on its way down. Without tools: power off if allowed, else VF_UNSUPPORTED. */
int vf_source_vm_shut_down(struct vf_source_vm *s, struct vf_error **err);
/* Clean-up; good when it is on. A guest that was asked to shut down, by this run or, as its tools
 * tell, by an earlier one, is waited for, 2 min at most, and powered on then. */
int vf_source_vm_power_on(struct vf_source_vm *s, struct vf_error **err);
/* It was on when it was looked at last, and had been powered on by power_on: what its guest was
 * asked before is over. */
bool vf_source_vm_stays_on(const struct vf_source_vm *s);

/* Put `text` before the VM's notes, in the place of an earlier note of ours; NULL: take ours out.
 * What people wrote stays. Clean-up. */
int vf_source_vm_note(struct vf_source_vm *s, const char *text, struct vf_error **err);

/* vf_changes_fn of round.h; opaque is the source. Any thread. */
int vf_source_vm_fetch_changes(void *source, const struct vf_cbt_query *q,
                               struct vf_cbt_answer *ret, struct vf_error **err);

#endif
