/* HttpNfcLease: the right to read the disks of a VM or snapshot over HTTP as streamOptimized VMDKs.
 *
 * While a lease is open the VM cannot be powered on, migrated or destroyed, so each is completed or
 * aborted at every end. It times out unless vf_lease_progress is called well within
 * vf_lease_timeout_s(), and also when no data flows.
 * Threads: any function but free, by several at once.
 */
#ifndef IMPORTER_VSPHERE_LEASE_H
#define IMPORTER_VSPHERE_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/vsphere/vsphere.h"

struct vf_lease;

/* One file of the lease. The URL is a ticket: treat it as a secret; no cookie of ours belongs to
 * it. */
struct vf_lease_device {
    char *key;         /* "/vm-42/ParaVirtualSCSIController0:0" */
    char *url;         /* a host of '*' replaced by the one we are connected to */
    char *thumbprint;  /* SHA-1 of the host's certificate; NULL when not told */
    char *target_id;   /* "disk-0.vmdk"; NULL when not told */
    bool disk;         /* false: ISO, NVRAM, ... */
    int64_t file_size; /* bytes; -1 when not told, as for disks */
};

enum vf_lease_state {
    VF_LEASE_INITIALIZING,
    VF_LEASE_READY,
    VF_LEASE_DONE,
    VF_LEASE_ERROR,
    VF_LEASE_GONE, /* the server knows it no more */
};

/* Open and wait until ready (2 minutes). VF_CONFLICT, hint included, for a VM that is powered on.
 * A lease that does not become ready is aborted. */
int vf_lease_open_vm(struct vf_vsphere *vs, const char *vm_moref, struct vf_lease **ret_lease,
                     struct vf_error **err);
int vf_lease_open_snapshot(struct vf_vsphere *vs, const char *snapshot_moref,
                           struct vf_lease **ret_lease, struct vf_error **err);

/* Aborts unless completed; the session must still be there. NULL is fine. */
void vf_lease_free(struct vf_lease *lease);

/* Borrowed, valid until free. */
const struct vf_lease_device *vf_lease_devices(const struct vf_lease *lease, size_t *ret_n);
unsigned vf_lease_timeout_s(const struct vf_lease *lease);
const char *vf_lease_moref(const struct vf_lease *lease);

/* Renews the lease; percent is capped to 0..100. VF_CONFLICT when it is lost, reason "Timedout"
 * when by time. */
int vf_lease_progress(struct vf_lease *lease, unsigned percent, struct vf_error **err);

/* Clean-up calls: 15 s, also after cancellation; a second call does nothing. Complete says that
 * every byte was read; abort never fails but for transport. */
int vf_lease_complete(struct vf_lease *lease, struct vf_error **err);
int vf_lease_abort(struct vf_lease *lease, struct vf_error **err);

/* The state now. *ret_reason (may be NULL): fault type and text in state ERROR, else NULL; owned by
 * the caller. */
int vf_lease_fetch_state(struct vf_lease *lease, enum vf_lease_state *ret_state, char **ret_reason,
                         struct vf_error **err);

/* Given that a read of a device failed: replaces *err by "the lease timed out" or the lease's own
 * fault when that is why, else leaves it. Returns the code that *err has then. */
int vf_lease_explain(struct vf_lease *lease, int code, struct vf_error **err);

/* Index into vm->disks by controller, bus and unit named in the device key; -1 when it names none
 * or more than one. `vm` is what was exported: the frozen one for a snapshot. */
int vf_lease_match_disk(const struct vf_lease_device *device, const struct vf_vm *vm);

/* All disk devices at once: ret_index[i] is the index into vm->disks of device i, -1 for what is no
 * disk, or one of vm->other_disks. Keys that tell nothing are settled only where nothing is left to
 * choose (one device, one disk). VF_INVALID when a device stays without disk or two claim one.
 * ret_index has room for as many as vf_lease_devices gives. */
int vf_lease_match_disks(const struct vf_lease *lease, const struct vf_vm *vm, int *ret_index,
                         struct vf_error **err);

/* The OVF descriptor as vSphere writes it (OvfManager.CreateDescriptor), a dry run with
 * placeholders for the files; XML, owned by the caller. */
int vf_ovf_fetch_descriptor(struct vf_vsphere *vs, const char *vm_moref, const char *name,
                            char **ret_xml, struct vf_error **err);

#endif
