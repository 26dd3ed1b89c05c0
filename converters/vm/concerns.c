#include "converters/vm/concerns.h"

#include <stdlib.h>

#include "importer/base/mem.h"

void vf_concerns_add(struct vf_concerns *c, const char *id, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    c->items = vf_xrealloc_array(c->items, c->n_items + 1, sizeof *c->items);
    c->items[c->n_items++] = (struct vf_concern){.id = id, .text = vf_xvasprintf(fmt, ap)};
    va_end(ap);
}

void vf_concerns_release(struct vf_concerns *c)
{
    for (size_t i = 0; i < c->n_items; i++) {
        free(c->items[i].text);
    }
    free(c->items);
    *c = (struct vf_concerns){0};
}

static void disk_concerns(const struct vf_vm *vm, struct vf_concerns *c)
{
    for (size_t i = 0; i < vm->n_disks; i++) {
        const struct vf_vm_disk *d = &vm->disks[i];
        const char *label = d->label ? d->label : "a disk";
        if (d->rdm) {
            vf_concerns_add(c, "disk.rdm",
                            "disk %zu (\"%s\") is a raw device mapping: its content is copied, the "
                            "LUN is not passed through",
                            i, label);
        }
        if (d->shared) {
            vf_concerns_add(c, "disk.shared",
                            "disk %zu (\"%s\") is shared with other VMs: its claim must be "
                            "ReadWriteMany and Block, and they must name the same one",
                            i, label);
        }
    }
}

static void guest_concerns(const struct vf_vm *vm, bool virtio, struct vf_concerns *c)
{
    if (vm->family == VF_GUEST_WINDOWS && virtio) {
        vf_concerns_add(c, "guest.windows-drivers",
                        "Windows boots from virtio disks only with the virtio-win drivers in the "
                        "guest: install them before, or set the disks' bus to sata");
    }
    if (vm->has_vtpm) {
        vf_concerns_add(c, "vm.tpm",
                        "the content of the virtual TPM is not carried: have the BitLocker "
                        "recovery key at hand, or suspend BitLocker before");
    }
    if (vm->firmware == VF_FIRMWARE_EFI) {
        vf_concerns_add(c, "vm.efi-variables",
                        "EFI variables are not carried: the guest boots from \\EFI\\BOOT");
    }
    if (vm->nested_hv) {
        vf_concerns_add(c, "vm.nested",
                        "nested virtualization is not switched on: add the CPU feature vmx or svm "
                        "if the guest needs it");
    }
}

void vf_vm_concerns(const struct vf_vm *vm, bool virtio_disks, struct vf_concerns *c)
{
    guest_concerns(vm, virtio_disks, c);
    disk_concerns(vm, c);
    if (vm->n_snapshots) {
        vf_concerns_add(c, "vm.snapshots", "%zu snapshot%s: only the state of the copy is carried",
                        vm->n_snapshots, vm->n_snapshots == 1 ? "" : "s");
    }
    if (vm->cpus == 0) {
        vf_concerns_add(c, "vm.cpu-unknown", "the source does not tell the number of CPUs");
    }
    if (vm->memory_bytes == 0) {
        vf_concerns_add(c, "vm.memory-unknown",
                        "the source does not tell the size of memory: 2Gi is assumed");
    }
}
