/* Datastores. Source: vSphere API reference, Datastore, DatastoreSummary. */
#ifndef IMPORTER_VSPHERE_DATASTORES_H
#define IMPORTER_VSPHERE_DATASTORES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/vsphere/vsphere.h"

/* Strings are heap, NULL when not told. */
struct vf_datastore {
    char *moref, *name;
    char *type; /* "VMFS", "NFS", "NFS41", "vsan", "VVOL" */
    uint64_t capacity_bytes, free_bytes;
    bool accessible, maintenance;
};

/* All that the account may see, sorted by name: one paged query. */
int vf_vsphere_fetch_datastores(struct vf_vsphere *vs, struct vf_datastore **ret, size_t *ret_n,
                                struct vf_error **err);
void vf_datastores_free(struct vf_datastore *datastores, size_t n);

/* Whether the disk is on that datastore: by reference where both are known, since names are
 * unique in a datacenter only; else by name. NULL is on none. */
bool vf_datastore_has(const char *moref, const char *name, const struct vf_vm_disk *disk);

/* The disk's; NULL: not among them. */
const struct vf_datastore *vf_datastore_find(const struct vf_datastore *datastores, size_t n,
                                             const struct vf_vm_disk *disk);

#endif
