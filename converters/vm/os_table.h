/* Guest operating systems: what vSphere's guest IDs mean for KubeVirt. The table is data
 * (deploy/os-table.yaml, built in); users bring their own.
 *
 * Source of the names of preferences: kubevirt/common-instancetypes.
 */
#ifndef CONVERTERS_VM_OS_TABLE_H
#define CONVERTERS_VM_OS_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include <vmferry/error.h>
#include <vmferry/vm.h>

/* A row; borrowed from the table. NULL or false: not told. */
struct vf_os {
    const char *name; /* of the row: "rhel9" */
    enum vf_guest_family family;
    const char *preference;   /* VirtualMachineClusterPreference "rhel.9" */
    const char *instancetype; /* series to size from: "u1" */
    const char *disk_bus;     /* that a guest as it comes from vSphere boots from */
    const char *nic_model;
    bool virtio_transitional; /* virtio 0.9 only */
    bool hyperv;
    /* Its boot image (initramfs) holds drivers of the machine that it was made on, so that it may
     * boot from virtio only after it was made anew. */
    bool host_only_boot_image;
    bool unsupported; /* it cannot be expected to run on KVM: an information of preflight */
    const char *template_file; /* name of an admin's VM template; taken from beside the table */
};

struct vf_os_table;

/* `text` NULL: the one built in. `what` names it in errors, which have line and column. VF_INVALID
 * for unknown fields, patterns that are none, rows with one name. */
int vf_os_table_new(const char *text, const char *what, struct vf_os_table **ret_table,
                    struct vf_error **err);
void vf_os_table_free(struct vf_os_table *t);

/* The first row one of whose patterns (fnmatch(3), any case) matches the guest's ID, else its full
 * name; never NULL: the table's last row is of any guest. */
const struct vf_os *vf_os_find(const struct vf_os_table *t, const struct vf_vm *vm);
/* The row of that name; with NULL as vf_os_find. VF_INVALID when there is no row of that
 * name; the hint has one that is near. */
int vf_os_choose(const struct vf_os_table *t, const char *name, const struct vf_vm *vm,
                 const struct vf_os **ret_os, struct vf_error **err);
/* By the row's name; NULL: none. */
const struct vf_os *vf_os_by_name(const struct vf_os_table *t, const char *name);
/* The rows one by one, in the table's order; NULL behind the last. */
const struct vf_os *vf_os_row(const struct vf_os_table *t, size_t i);

/* The smallest instance type (by memory, then CPUs) of the row's series (or "u1") in the table that
 * the row is of, with at least so many CPUs and so much memory, "u1.xlarge"; heap, NULL: none is
 * large enough. `os` is a row of a table. */
char *vf_os_instancetype(const struct vf_os *os, uint32_t cpus, uint64_t memory_bytes);

#endif
