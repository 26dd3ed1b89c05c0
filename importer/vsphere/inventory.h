/* Virtual machines of a vCenter or ESXi host as struct vf_vm. */
#ifndef IMPORTER_VSPHERE_INVENTORY_H
#define IMPORTER_VSPHERE_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

#include "importer/vsphere/vsphere.h"

/* Which VMs. Each array is NULL-terminated and may be NULL. A VM must satisfy every kind of filter
 * that is given, and of one kind any entry; names and globs are one kind. */
struct vf_vm_query {
    const char *const *names;   /* exact */
    const char *const *globs;   /* fnmatch(3) patterns over the name */
    const char *const *folders; /* "/DC0/vm/prod": that folder and those below it */
    const char *const *tags;    /* "category/name" or "name" */
    const char *const *powers;  /* "on", "off", "suspended"; else VF_INVALID */
    bool want_tags;             /* fill vm.tags; implied by `tags` */
    bool want_attributes;       /* fill vm.attributes; nothing when brief */
    bool brief;                 /* only name, moref, folder, power, template: a small answer */
    bool want_disk_usage;       /* fill used_bytes of disks: a larger answer */
};

/* What could not be had without failing the whole. */
struct vf_vm_notes {
    bool tags_unavailable;       /* ESXi, or the tagging service did not answer */
    char *tags_reason;           /* why; owned, may be NULL */
    bool attributes_unavailable; /* their names could not be read */
    char *attributes_reason;     /* why; owned, may be NULL */
    size_t unreadable;           /* VMs with properties that the user may not read */
};
void vf_vm_notes_release(struct vf_vm_notes *notes);

/* All VMs that match, sorted by folder, then name: one paged property-collector query however many
 * there are. `query` NULL: all. `ret_notes` may be NULL. Free with vf_vms_free. Asking for `tags`
 * where there is no tagging service is an error; want_tags alone is only noted. */
int vf_vsphere_fetch_vms(struct vf_vsphere *vs, const struct vf_vm_query *query,
                         struct vf_vm **ret_vms, size_t *ret_n, struct vf_vm_notes *ret_notes,
                         struct vf_error **err);
void vf_vms_free(struct vf_vm *vms, size_t n);

/* Fill the tags of VMs that came without; where there is no tagging service that is noted. */
int vf_vsphere_add_tags(struct vf_vsphere *vs, struct vf_vm *vms, size_t n,
                        struct vf_vm_notes *notes, struct vf_error **err);

/* One VM by its reference ("vm-42"), everything but tags (and attributes whose names may not be
 * read); init-ed here, released by the caller on success. VF_MISSING when there is none. */
int vf_vsphere_fetch_vm(struct vf_vsphere *vs, const char *moref, struct vf_vm *ret_vm,
                        struct vf_error **err);

#endif
